"""The command line: words and commands, no logic. A command calls one function of `doit.verbs` and prints its answer.

Exit status: 0 done; 2 the spec or the call is wrong; 3 the data is wrong or too little; 1 a fault of ours, with a
traceback. `--json` prints one JSON document on standard output and nothing else there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from doit import __version__, training_commands, verbs
from doit.errors import DoitError, SpecError

if TYPE_CHECKING:
    import polars as pl
    from pydantic import BaseModel

app = App(
    name="doit",
    version=__version__,
    help="Build instruction mixtures from scattered files, exactly and reproducibly, and see what is in them.",
    help_flags=["--help", "-h"],
    suppress_keyboard_interrupt=False,
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document on standard output.")]
Jobs = Annotated[
    int | None, Parameter(name=["--jobs", "-j"], help="Processes that read; as many as help if not given.")
]
Strict = Annotated[bool, Parameter(negative="", help="Any bad row or unknown label is an error.")]
Sets = Annotated[
    tuple[str, ...], Parameter(name="--set", negative="", help="Change the spec: `a.b=value`; may be repeated.")
]


@app.command
def build(
    spec: str,
    out: Path,
    /,
    *,
    jobs: Jobs = None,
    engine: Annotated[Literal["local", "ray"], Parameter(help="Where the processes run.")] = "local",
    strict: Strict = False,
    set_: Sets = (),
    json: Json = False,
) -> None:
    """Build a mixture: read, curate, plan, draw, write.

    Parameters
    ----------
    spec:
        Path of a spec file, or the name of a shipped one.
    out:
        Folder to make, or to replace if it holds a mixture already.
    """
    _positive(jobs)
    answer = verbs.build(spec, out, jobs=jobs, engine=engine, strict=strict, overrides=set_)
    if json:
        _print_json(answer)
        return
    from doit.inspecting.tables import build_table, show

    show(build_table(answer), file=sys.stderr)
    for name, held in answer.splits.items():
        print(f"{name}: {held:,} records, held out of training", file=sys.stderr)
    for folder in {**(answer.series or {}), **(answer.variants or {})}.values():
        print(f"built  {folder}", file=sys.stderr)


@app.command
def curate(
    *paths: Path,
    rules: Annotated[Path, Parameter(help="YAML file with a list of rules, or a mixture spec: its `curation`.")],
    dataset: Annotated[str | None, Parameter(help="Name or path of the card to read the inputs by.")] = None,
    shape: Annotated[str | None, Parameter(help="Kind of the inputs' shape, if not told by their content.")] = None,
    jobs: Jobs = None,
    engine: Annotated[Literal["local", "ray"], Parameter(help="Where the processes run.")] = "local",
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Apply rules to files and keep all that they leave: INPUT... OUT.

    Parameters
    ----------
    paths:
        The files to read, or one folder of files, and last the folder to make.
    """
    _positive(jobs)
    if len(paths) < 2:
        raise SpecError("D204", "there is no folder to make.", hint="Name the inputs, then the output.")
    *inputs, out = paths
    answer = verbs.curate(
        inputs, out, rules=rules, dataset=dataset, shape=shape, jobs=jobs, engine=engine, strict=strict
    )
    if json:
        _print_json(answer)
        return
    from doit.inspecting.tables import build_table, show

    show(build_table(answer), file=sys.stderr)


@app.command
def plan(
    spec: str,
    /,
    *,
    jobs: Jobs = None,
    engine: Annotated[Literal["local", "ray"], Parameter(help="Where the processes run.")] = "local",
    strict: Strict = False,
    set_: Sets = (),
    json: Json = False,
) -> None:
    """Show what a build would take, cell by cell; write nothing.

    Parameters
    ----------
    spec:
        Path of a spec file, or the name of a shipped one.
    """
    _positive(jobs)
    answer = verbs.plan(spec, jobs=jobs, engine=engine, strict=strict, overrides=set_)
    if json:
        _print_json(answer)
    else:
        from doit.inspecting.tables import plan_table, show

        for name, one in (answer.variants or {"": answer}).items():
            if name:
                print(f"\n{name}")
            show(plan_table(one), file=sys.stdout)
            for told in (one.lost, *one.warnings):
                if told:
                    print(f"note: {told}", file=sys.stderr)
            if one.patch:
                print(f"What would work:\n\n{one.patch}")
    refusals = [one.refused for one in (answer.variants or {"": answer}).values() if one.refused]
    for refused in refusals:
        print(refused, file=sys.stderr)
    if refusals:
        raise SystemExit(3)


@app.command
def inspect(
    path: Path,
    /,
    *,
    by: Annotated[str | None, Parameter(help="Count by these columns instead, such as `language,ability`.")] = None,
    where: Annotated[
        tuple[str, ...], Parameter(negative="", help="Only rows with this value: `language=zh`; may be repeated.")
    ] = (),
    show_: Annotated[int | None, Parameter(name="--show", help="Print so many rows of every cell.")] = None,
    html: Annotated[Path | None, Parameter(help="Write the mixture's report to this file.")] = None,
    png: Annotated[Path | None, Parameter(help="Draw language by ability to this file.")] = None,
    json: Json = False,
) -> None:
    """Count records by language, ability, source and length.

    Parameters
    ----------
    path:
        A mixture's folder, a folder of Parquet files, or one Parquet file.
    """
    from doit.inspecting.tables import crosstab_table, inspect_table, show

    if html is not None:
        verbs.report(path, html)
    if png is not None:
        verbs.heatmap(path, png, where=where)
    if show_ is not None:
        _show_samples(verbs.samples(path, show_, where=where), json=json)
        return
    if by is not None:
        counted = verbs.crosstab(path, tuple(name.strip() for name in by.split(",")), where=where)
        if json:
            _print({"by": counted.columns[:-1], "rows": counted.to_dicts()})
        else:
            show(crosstab_table(counted), file=sys.stdout)
        return
    answer = verbs.inspect(path, where=where)
    if json:
        _print(answer.model_dump())
    else:
        show(inspect_table(answer), file=sys.stdout)


@app.command
def convert(
    *paths: Path,
    to: Annotated[
        str,
        Parameter(
            help="Format: messages, alpaca, sharegpt, belle, doit, cot, pairs, marked_text, qa; of a mixture's folder: "
            "llamafactory, axolotl, ms-swift, trl, openai, alpaca, belle, doit."
        ),
    ],
    dataset: Annotated[str | None, Parameter(help="Name or path of the card to read the inputs by.")] = None,
    shape: Annotated[str | None, Parameter(help="Kind of the inputs' shape, if not told by their content.")] = None,
    lossy: Annotated[bool, Parameter(negative="", help="Drop what the format cannot hold, and count it.")] = False,
    overwrite: Annotated[bool, Parameter(negative="", help="Replace OUT if it is there.")] = False,
    strict: Annotated[bool, Parameter(negative="", help="Any bad row is an error.")] = False,
    json: Json = False,
) -> None:
    """Write files of one format as one file of another: INPUT... OUT.

    Parameters
    ----------
    paths:
        The files to read, and last the file to make: .jsonl, .json, .csv, .tsv or .parquet.
    """
    if len(paths) < 2:
        raise SpecError("D204", "there is no file to make.", hint="Name the inputs, then the output.")
    *inputs, out = paths
    options = {"lossy": lossy, "overwrite": overwrite, "strict": strict}
    answer = verbs.convert(inputs, out, to=to, dataset=dataset, shape=shape, **options)
    for line in answer.lines():
        print(line, file=sys.stderr)
    if json:
        _print_json(answer)


@app.command
def init(
    folder: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Write the spec to this new file.")] = None,
    json: Json = False,
) -> None:
    """Look through a folder of files and write a starting spec.

    Parameters
    ----------
    folder:
        A folder of files in any format, or one file.
    """
    answer = verbs.init(folder, out=out)
    if json:
        _print_json(answer)
        return
    from doit.inspecting.starting_table import init_table
    from doit.inspecting.tables import show

    show(init_table(answer), file=sys.stderr)
    if out is None:
        sys.stdout.write(answer.spec)
    else:
        print(f"The spec is in {out}.", file=sys.stderr)


@app.command
def verify(out: Path, /, *, json: Json = False) -> None:
    """Check every digest and law of a mixture.

    Parameters
    ----------
    out:
        A mixture's folder.
    """
    answer = verbs.verify(out)
    if json:
        _print_json(answer)
    else:
        from doit.inspecting.tables import show, verify_table

        show(verify_table(answer), file=sys.stdout)
    if not answer.ok:
        raise SystemExit(3)


@app.command
def why(out: Path, target: str, /, *, json: Json = False) -> None:
    """Say why a record or row was drawn, left, dropped or rejected.

    Parameters
    ----------
    out:
        A mixture's folder; of a series or of variants, every one answers.
    target:
        An id or its first digits, at least 6; or FILE:ROW or SOURCE:FILE:ROW, rows counted from 0.
    """
    answer = verbs.why(out, target)
    if json:
        _print_json(answer)
        return
    from doit.inspecting.explaining_tables import why_table
    from doit.inspecting.tables import show

    show(why_table(answer), file=sys.stdout)


@app.command
def diff(
    a: Path,
    b: Path,
    /,
    *,
    ids: Annotated[int, Parameter(help="List so many ids that only one of them has.")] = 0,
    json: Json = False,
) -> None:
    """Show what differs between two mixtures.

    Parameters
    ----------
    a:
        A mixture's folder.
    b:
        Another one.
    """
    answer = verbs.diff(a, b, ids=ids)
    if json:
        _print_json(answer)
        return
    from doit.inspecting.explaining_tables import diff_table
    from doit.inspecting.tables import show

    show(diff_table(answer), file=sys.stdout)


@app.command
def rebuild(
    manifest: Path,
    out: Path,
    /,
    *,
    sources: Annotated[Path, Parameter(help="Folder that the paths of the input files start from.")] = Path(),
    jobs: Jobs = None,
    engine: Annotated[Literal["local", "ray"], Parameter(help="Where the processes run.")] = "local",
    json: Json = False,
) -> None:
    """Build a mixture again from its manifest, and compare the digests.

    Parameters
    ----------
    manifest:
        A manifest.json, or the folder of a mixture, a series or variants.
    out:
        Folder to make, or to replace if it holds another mixture.
    """
    _positive(jobs)
    answer = verbs.rebuild(manifest, out, sources=sources, jobs=jobs, engine=engine)
    if json:
        _print_json(answer)
        return
    from doit.inspecting.explaining_tables import rebuild_table
    from doit.inspecting.tables import show

    show(rebuild_table(answer), file=sys.stderr)


@app.command
def publish(
    folder: Path,
    repo: str,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Show everything, make no request.")] = False,
    public: Annotated[
        bool, Parameter(negative="--private", help="Whether a new repository is for everybody; private if not said.")
    ] = False,
    revision: Annotated[str, Parameter(help="Branch to write to.")] = "main",
    by: Annotated[Literal["ability"] | None, Parameter(help="Add one configuration an ability.")] = None,
    recipe_only: Annotated[bool, Parameter(negative="", help="Publish what rebuilds the mixture, no text.")] = False,
    accept_license: Annotated[str | None, Parameter(help="Why rows may be published all the same.")] = None,
    redact: Annotated[bool, Parameter(negative="", help="Mask secrets and personal data.")] = False,
    allow_personal: Annotated[str | None, Parameter(help="Why personal data may stay in.")] = None,
    mixture: Annotated[str | None, Parameter(help="Of a run: the dataset repository of its mixture.")] = None,
    base_license: Annotated[str | None, Parameter(help="Of a run: the licence of its base model.")] = None,
    json: Json = False,
) -> None:
    """Push a mixture, its recipe, an adapter or a model to the Hugging Face Hub.

    Parameters
    ----------
    folder:
        What `doit build` or a training made.
    repo:
        owner/name.
    """
    answer = verbs.publish(
        folder,
        repo,
        public=public,
        revision=revision,
        by=by,
        recipe_only=recipe_only,
        accept_license=accept_license,
        redact=redact,
        allow_personal=allow_personal,
        mixture=mixture,
        base_license=base_license,
        dry_run=dry_run,
    )
    if json:
        _print_json(answer)
    else:
        from doit.hub.telling import publish_table
        from doit.inspecting.tables import show

        show(publish_table(answer), file=sys.stdout if dry_run else sys.stderr)
    if not answer.ok:
        raise SystemExit(3)


app.command(training_commands.train)
app.command(training_commands.merge)
app.command(training_commands.chat)


@app.command(name="list")
def list_(
    kind: Literal["datasets", "mixtures", "trainers", "shapes", "rules", "methods", "abilities", "crosswalks"],
    /,
    *,
    json: Json = False,
) -> None:
    """List what is shipped: datasets, mixtures, trainers, shapes, rules, methods, abilities or crosswalks.

    Parameters
    ----------
    kind:
        What to list.
    """
    rows = verbs.listing(kind)
    if json:
        _print(rows)
        return
    from doit.inspecting.listings import listing_table
    from doit.inspecting.tables import show

    show(listing_table(rows), file=sys.stdout)


@app.command
def show(name: str, /, *, json: Json = False) -> None:
    """Show one dataset card, mixture, trainer, shape, rule, method or ability.

    Parameters
    ----------
    name:
        A name that `doit list` shows.
    """
    found = verbs.describe(name)
    if json:
        _print(found)
    else:
        from doit.yamlio import dump

        print(dump(found), end="")


def _positive(jobs: int | None) -> None:
    if jobs is not None and jobs < 1:
        raise SpecError("D204", f"--jobs is {jobs}.", hint="Give a number of 1 or more.")


def _show_samples(rows: pl.DataFrame, *, json: bool) -> None:
    from doit.inspecting.sample_table import samples_table
    from doit.inspecting.tables import show

    if json:
        _print(rows.to_dicts())
    else:
        show(samples_table(rows), file=sys.stdout)


def _print_json(answer: BaseModel) -> None:
    sys.stdout.write(answer.model_dump_json(indent=2, exclude_none=True) + "\n")


def _print(value: Any) -> None:
    import orjson

    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app(sys.argv[1:] if arguments is None else arguments, exit_on_error=False, print_error=False)
    except DoitError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    except CycloptsError as error:
        print(f"D204 {error} See `doit --help`.", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("stopped; the output folder is as it was.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(
            f"D104 {place}{error.strerror or error}. Look at the path, its rights and the space left.", file=sys.stderr
        )
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
