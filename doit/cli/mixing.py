"""The commands that make mixtures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from doit import verbs
from doit.cli.app import Engine, Jobs, Json, Sets, Strict, app, collect_seldom, positive, print_json
from doit.errors import SpecError


@app.command
def build(
    spec: str,
    out: Path,
    /,
    *,
    jobs: Jobs = None,
    engine: Engine = "local",
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
    positive(jobs)
    collect_seldom()
    answer = verbs.build(spec, out, jobs=jobs, engine=engine, strict=strict, overrides=set_)
    if json:
        print_json(answer)
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
    engine: Engine = "local",
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Apply rules to files and keep all that they leave: INPUT... OUT.

    Parameters
    ----------
    paths:
        The files to read, or one folder of files, and last the folder to make.
    """
    positive(jobs)
    collect_seldom()
    if len(paths) < 2:
        raise SpecError("D204", "there is no folder to make.", hint="Name the inputs, then the output.")
    *inputs, out = paths
    answer = verbs.curate(
        inputs, out, rules=rules, dataset=dataset, shape=shape, jobs=jobs, engine=engine, strict=strict
    )
    if json:
        print_json(answer)
        return
    from doit.inspecting.tables import build_table, show

    show(build_table(answer), file=sys.stderr)


@app.command
def plan(
    spec: str,
    /,
    *,
    jobs: Jobs = None,
    engine: Engine = "local",
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
    positive(jobs)
    collect_seldom()
    answer = verbs.plan(spec, jobs=jobs, engine=engine, strict=strict, overrides=set_)
    if json:
        print_json(answer)
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
def rebuild(
    manifest: Path,
    out: Path,
    /,
    *,
    sources: Annotated[Path, Parameter(help="Folder that the paths of the input files start from.")] = Path(),
    jobs: Jobs = None,
    engine: Engine = "local",
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
    positive(jobs)
    collect_seldom()
    answer = verbs.rebuild(manifest, out, sources=sources, jobs=jobs, engine=engine)
    if json:
        print_json(answer)
        return
    from doit.inspecting.explaining_tables import rebuild_table
    from doit.inspecting.tables import show

    show(rebuild_table(answer), file=sys.stderr)
