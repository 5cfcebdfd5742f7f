"""The verbs, the same in Python and on the command line. Each returns the object that `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from doit.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    import polars as pl

    from doit.hub.answers import PublishAnswer
    from doit.inspecting.starting import InitAnswer
    from doit.mixtures.answers import DiffAnswer, RebuildAnswer, WhyAnswer
    from doit.mixtures.export import ExportAnswer
    from doit.mixtures.loading import Resolved
    from doit.mixtures.manifest import BuildAnswer, InspectAnswer, Manifest, PlanAnswer, VerifyAnswer
    from doit.reading.converting import ConvertAnswer
    from doit.schemas.card import DatasetCard

Engine = Literal["local", "ray"]
Spec = str | Path | Mapping[str, Any]
"""Path of a spec file; name of a shipped spec, or a spec as plain data, whose paths start from the working folder."""


def build(
    spec: Spec,
    out: str | Path,
    *,
    jobs: int | None = 1,
    engine: Engine = "local",
    strict: bool = False,
    overrides: Sequence[str] = (),
) -> BuildAnswer:
    """Build a mixture: read, curate, plan, draw, write.

    Args:
        spec: the mixture spec.
        out: the folder to make, or to replace if it holds a mixture already.
        jobs: processes that read files, None = as many as help; the result is the same for any number. More than
            one needs `if __name__ == "__main__":` in a script, as all that starts processes does.
        engine: where they run.
        strict: any bad row or unknown label is an error.
        overrides: `a.b=v` assignments on top of the spec.

    Returns:
        Counts per source and cell, and the content digest.

    Raises:
        SpecError: the spec or the call is wrong.
        DataError: the data is wrong or too little.
        StorageError: OUT holds something else, or the disk refused.
    """
    from doit.inspecting.notebook import Built, shown
    from doit.mixtures.build import build_mixture

    resolved = _resolved(spec, overrides)
    answer = build_mixture(resolved, Path(out), pages=_pages, workers=jobs, engine=engine, strict=strict)
    return shown(answer, Built)


def plan(
    spec: Spec,
    *,
    jobs: int | None = 1,
    engine: Engine = "local",
    strict: bool = False,
    overrides: Sequence[str] = (),
) -> PlanAnswer:
    """What `build` would take, cell by cell: wanted, available, taken, epochs. Writes no mixture.

    Raises:
        SpecError: the spec or the call is wrong.
        DataError: the data is wrong or too little.
    """
    from doit.inspecting.notebook import Planned, shown
    from doit.mixtures.build import plan_mixture

    return shown(plan_mixture(_resolved(spec, overrides), workers=jobs, engine=engine, strict=strict), Planned)


def inspect(path: str | Path, *, where: Sequence[str] = ()) -> InspectAnswer:
    """Count a mixture, or Parquet files of records, by language, ability, source and construction.

    Args:
        path: a mixture's folder, a folder of Parquet files, or one file.
        where: `column=value` conditions that the counted rows meet, such as `language=zh`.

    Raises:
        SpecError: nothing to inspect there.
    """
    from doit.inspecting.counts import inspect as count
    from doit.inspecting.notebook import Inspected, shown

    return shown(count(Path(path), where), Inspected)


def samples(path: str | Path, per_cell: int = 3, *, where: Sequence[str] = ()) -> pl.DataFrame:
    """A few rows of every cell of language and ability, with their messages.

    Args:
        path: as for `inspect`.
        per_cell: rows of one cell.
        where: as for `inspect`.

    Raises:
        SpecError: nothing to inspect there.
    """
    from doit.inspecting.counts import files_of
    from doit.inspecting.samples import LOOKED_AT
    from doit.inspecting.samples import samples as take

    if per_cell < 1:
        raise SpecError("D204", f"`per_cell` is {per_cell}.", hint="Give 1 or more.")
    return take(files_of(Path(path)), per_cell=per_cell, most=LOOKED_AT, where=where)


def heatmap(path: str | Path, png: str | Path, *, where: Sequence[str] = ()) -> None:
    """Draw language by ability as a PNG.

    Args:
        path: as for `inspect`.
        png: the file to write.
        where: as for `inspect`.

    Raises:
        SpecError: nothing to inspect there, or `altair` and `vl-convert-python` are missing.
    """
    from doit import storage
    from doit.inspecting.heatmap import heatmap_png

    storage.write_bytes(Path(png), heatmap_png(inspect(path, where=where)))


def convert(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    to: str,
    dataset: str | None = None,
    shape: str | None = None,
    lossy: bool = False,
    overwrite: bool = False,
    strict: bool = False,
) -> ConvertAnswer | ExportAnswer:
    """Write files of one format as one file of another; or a mixture as the files of a trainer.

    Args:
        inputs: one file, or several that are written one after the other; or the folder of one mixture.
        out: the file to make; its suffix decides the container: .jsonl, .json, .csv, .tsv or .parquet. Of a mixture,
            the folder to make.
        to: messages, alpaca, sharegpt, belle, doit, cot, pairs, marked_text or qa; or the name or path of a dataset
            card, whose shape is written. Of a mixture: llamafactory, axolotl, ms-swift, trl, openai, alpaca, belle or
            doit.
        dataset: name or path of the card to read the inputs by.
        shape: kind of the inputs' shape, where there is no card. Neither: what their content shows.
        lossy: drop what the target cannot hold, and count it, instead of refusing.
        overwrite: replace `out`.
        strict: any bad row is an error.

    Returns:
        Counts of what was read, written, rejected and lost.

    Raises:
        SpecError: the call is wrong, or the target would lose something.
        DataError: nothing could be written, or, with `strict`, a row is bad.
        StorageError: `out` is there already, or the disk refused.
    """
    from doit.mixtures.loading import load_card
    from doit.reading.converting import TARGETS, convert_files, described_input

    if dataset is not None and shape is not None:
        raise SpecError("D204", "both `dataset` and `shape` are given.", hint="A card has a shape: leave `shape` out.")
    paths = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(path) for path in inputs]
    if any(path.is_dir() for path in paths):
        return _export(paths, Path(out), to, dataset or shape, lossy=lossy, overwrite=overwrite)
    target = TARGETS.get(to) or _target_card(to).shape
    card = None if dataset is None else load_card(dataset, beside=Path())[0]
    described = [described_input(path, card, shape) for path in paths]
    return convert_files(described, Path(out), target, to, lossy=lossy, overwrite=overwrite, strict=strict)


def _export(
    paths: Sequence[Path], out: Path, to: str, read_as: str | None, *, lossy: bool, overwrite: bool
) -> ExportAnswer:
    """`convert` of a mixture."""
    from doit.mixtures.export import export_mixture

    if len(paths) > 1:
        folder = next(path for path in paths if path.is_dir())
        raise SpecError("D204", "a mixture is converted alone.", where=str(folder), hint="Name one folder.")
    if read_as is not None:
        hint = "Leave `dataset` and `shape` out."
        raise SpecError("D204", "the records of a mixture have a shape already.", where=str(paths[0]), hint=hint)
    return export_mixture(paths[0], out, to, lossy=lossy, overwrite=overwrite)


def _target_card(name: str) -> DatasetCard:
    """The card that `convert` is to write like."""
    from doit import catalogue
    from doit.mixtures.loading import load_card
    from doit.reading.converting import TARGETS

    if not catalogue.is_path(name) and name not in catalogue.names("schemas"):
        known = ", ".join(TARGETS)
        hint = f"{did_you_mean(name, TARGETS)} Known: {known}; or a dataset card.".strip()
        raise SpecError("D203", f'no format "{name}".', where="--to", hint=hint)
    return load_card(name, beside=Path())[0]


def curate(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    rules: str | Path,
    dataset: str | None = None,
    shape: str | None = None,
    jobs: int | None = 1,
    engine: Engine = "local",
    strict: bool = False,
) -> BuildAnswer:
    """Apply rules to files, and keep all that they leave: a mixture of its own, with ledger, rejects and report.

    Args:
        inputs: one file, several, or a folder of files.
        out: the folder to make, or to replace if it holds a mixture already.
        rules: a YAML file with a list of rules, or a mixture spec, whose `curation` is taken. Paths in it start from
            its own folder.
        dataset: name or path of the card to read the inputs by.
        shape: kind of the inputs' shape, where there is no card. Neither: what their content shows.
        jobs: processes, as many as help if None.
        engine: where they run.
        strict: any bad row or unknown label is an error.

    Raises:
        SpecError: the call or a rule is wrong.
        DataError: nothing is left, or, with `strict`, a row is bad.
        StorageError: OUT holds something else, or the disk refused.
    """
    from doit.inspecting.notebook import Built, shown
    from doit.mixtures.build import build_mixture
    from doit.mixtures.loading import load_card, resolve
    from doit.mixtures.rules_file import rules_of, sources_of
    from doit.reading.converting import described_input

    if dataset is not None and shape is not None:
        raise SpecError("D204", "both `dataset` and `shape` are given.", hint="A card has a shape: leave `shape` out.")
    wanted, folder = rules_of(Path(rules)), Path(rules).parent
    paths = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(path) for path in inputs]
    if len(paths) == 1 and paths[0].is_dir() and dataset is None and shape is None:
        sources = _found_in(paths[0], folder)
    else:
        card = None if dataset is None else load_card(dataset, beside=Path())[0]
        sources = sources_of([described_input(path, card, shape) for path in paths], folder)
    document = {"name": "curated", "size": "all", "sources": sources, "curation": wanted}
    resolved = resolve(document, folder=folder, where=str(rules))
    answer = build_mixture(resolved, Path(out), pages=_pages, workers=jobs, engine=engine, strict=strict)
    return shown(answer, Built)


def _found_in(folder: Path, beside: Path) -> list[Any]:
    """The sources of a starting spec for a folder."""
    from doit.inspecting.starting import start
    from doit.yamlio import loads

    if (folder / "manifest.json").is_file():
        hint = "Add the rules to its spec and build it again."
        raise SpecError("D204", "this is a mixture, which is curated already.", where=str(folder), hint=hint)
    return list(loads(start(folder, beside).spec, str(folder))["sources"])


def init(folder: str | Path, *, out: str | Path | None = None) -> InitAnswer:
    """Look through a folder of files and write a starting spec: shapes with their evidence, counts, labels and doubts.

    Args:
        folder: a folder, or one file.
        out: where to write the spec; its `files` are then relative to that file's folder, else to the working folder.

    Returns:
        What was found, what mixtures are feasible, and the spec as text.

    Raises:
        SpecError: there is nothing there, or no file in it.
        StorageError: `out` is there already, or the disk refused.
    """
    from doit.inspecting.starting import start

    if out is None:
        return start(Path(folder), Path())
    from doit import storage
    from doit.errors import StorageError

    target = Path(out)
    if target.exists():
        raise StorageError("D101", "there is something already.", where=str(target), hint="Name another file.")
    answer = start(Path(folder), target.parent)
    storage.write_text(target, answer.spec)
    return answer


def verify(out: str | Path) -> VerifyAnswer:
    """Check every digest and law of a mixture.

    Raises:
        SpecError: there is no mixture there.
    """
    from doit.inspecting.notebook import Verified, shown
    from doit.mixtures.verifying import verify as check

    return shown(check(Path(out)), Verified)


def why(out: str | Path, target: str) -> WhyAnswer:
    """Why a record or row was drawn, left, dropped or rejected, with the numbers behind it.

    Args:
        out: a mixture's folder; of a series or of variants, every one answers.
        target: an id or its first digits, at least 6; or `FILE:ROW` or `SOURCE:FILE:ROW`, the row counted from 0.

    Raises:
        SpecError: there is no mixture, or nothing of that name in it.
        StorageError: a file of the mixture is damaged.
    """
    from doit.mixtures.why import why as explain

    return explain(Path(out), target)


def diff(a: str | Path, b: str | Path, *, ids: int = 0) -> DiffAnswer:
    """What differs between two mixtures: by cell, id and column, and in their specs, inputs and versions.

    Args:
        a: a mixture's folder.
        b: another one.
        ids: how many ids to list that only one of them has.

    Raises:
        SpecError: there is no mixture there, or `ids` is negative.
        StorageError: a file of a mixture is damaged.
    """
    from doit.mixtures.diffing import diff as compare

    if ids < 0:
        raise SpecError("D204", f"`ids` is {ids}.", hint="Give 0 or more.")
    return compare(Path(a), Path(b), ids=ids)


def rebuild(
    manifest: str | Path,
    out: str | Path,
    *,
    sources: str | Path = ".",
    jobs: int | None = 1,
    engine: Engine = "local",
) -> RebuildAnswer:
    """Build what a manifest describes, over inputs proved to be the same, and prove that it came out the same.

    Args:
        manifest: a manifest file, or the folder of a mixture, a series or variants.
        out: the folder to make, or to replace if it holds another mixture.
        sources: the folder that the manifest's paths of input files start from; nothing outside it is read.
        jobs: processes that read files, as many as help if None.
        engine: where they run.

    Raises:
        SpecError: there is no manifest, or an input is missing or outside `sources`.
        DataError: an input's bytes changed, or the content digest is another one.
        StorageError: the manifest cannot be read, or OUT holds something else.
    """
    from doit.mixtures.rebuilding import rebuild as build_again

    return build_again(Path(manifest), Path(out), sources=Path(sources), pages=_pages, workers=jobs, engine=engine)


def publish(
    folder: str | Path,
    repo: str,
    *,
    public: bool = False,
    revision: str = "main",
    by: Literal["ability"] | None = None,
    recipe_only: bool = False,
    accept_license: str | None = None,
    redact: bool = False,
    allow_personal: str | None = None,
    mixture: str | None = None,
    base_license: str | None = None,
    dry_run: bool = False,
) -> PublishAnswer:
    """Push a mixture, its recipe, or the adapter or model of a run to the Hugging Face Hub: one commit, then a tag.

    Args:
        folder: what `build` or a training made.
        repo: `owner/name`; it is made where it is missing.
        public: whether a new repository is for everybody; a private one is for its owner.
        revision: the branch to write to.
        by: `ability` adds one configuration an ability.
        recipe_only: publish what rebuilds the mixture, and no text.
        accept_license: the reason for which rows are published whose licence does not let them be; it is published.
        redact: mask secrets and personal data.
        allow_personal: the reason for which personal data stay in; it is published.
        mixture: of a run, the dataset repository that holds its mixture.
        base_license: of a run, the licence of its base model.
        dry_run: look at everything, answer what would be sent, and send nothing.

    Returns:
        Files, checks, card, and the commit. With `dry_run` a check may have failed: see `ok`.

    Raises:
        SpecError: the call is wrong, or the Hub cannot be reached, refuses or has changed meanwhile.
        DataError: rows may not be passed on, or hold secrets or personal data.
        StorageError: a file is not what was built, or the repository holds what is not ours.
    """
    from doit.hub.package import Choices
    from doit.hub.publishing import publish as push

    choices = Choices(
        recipe_only=recipe_only,
        by_ability=by == "ability",
        accept_license=accept_license,
        redact=redact,
        allow_personal=allow_personal,
        mixture=mixture,
        base_license=base_license,
    )
    return push(Path(folder), repo, choices=choices, public=public, branch=revision, dry_run=dry_run)


def _resolved(spec: Spec, overrides: Sequence[str]) -> Resolved:
    from doit import catalogue
    from doit.mixtures.loading import load_spec, resolve
    from doit.yamlio import apply_override

    if isinstance(spec, Mapping):
        document: Any = dict(spec)
        for override in overrides:
            document = apply_override(document, override)
        return resolve(document, folder=Path(), where="spec")
    if Path(spec).is_dir():
        raise SpecError("D206", "this is a folder, not a spec.", where=str(spec), hint="Name a YAML file in it.")
    if isinstance(spec, Path) or catalogue.is_path(spec) or Path(spec).is_file():
        return load_spec(Path(spec), overrides)
    return load_spec(catalogue.find("mixtures", spec), overrides, folder=Path())


def _pages(manifest: Manifest, mixture: pl.DataFrame, rejects: pl.DataFrame, folder: Path) -> dict[str, str]:
    from doit.inspecting.report import card_markdown, report_html

    page = report_html(manifest, mixture, rejects, **_looked_at(folder))
    return {"report.html": page, "README.md": card_markdown(manifest, mixture)}


def _looked_at(folder: Path) -> dict[str, pl.DataFrame]:
    """What the report shows of a mixture's rows and of its near duplicates."""
    import polars as pl

    from doit.inspecting.browsing import MOST, PER_CELL
    from doit.inspecting.samples import samples

    files = sorted((folder / "data").glob("train-*.parquet"))
    slim = ["id", "source", "file", "row", "rule", "value"]
    return {
        "samples": samples(files, per_cell=PER_CELL, most=MOST),
        "ledger": pl.scan_parquet(folder / "ledger.parquet", glob=False).select(slim).collect(),
    }


def crosstab(path: str | Path, by: Sequence[str], *, where: Sequence[str] = ()) -> pl.DataFrame:
    """Count a mixture by any columns.

    Returns:
        The columns `by` and `records`, most first.

    Raises:
        SpecError: an unknown column, or nothing to inspect there.
    """
    from doit.inspecting.counts import crosstab as count

    return count(Path(path), by, where)


def report(out: str | Path, html: str | Path) -> None:
    """Write the report of a mixture to another file.

    Raises:
        SpecError: there is no mixture there.
    """
    import polars as pl

    from doit import storage
    from doit.inspecting.report import report_html
    from doit.mixtures.opening import one_mixture

    folder = Path(out)
    manifest = one_mixture(folder).manifest
    columns = ["language", "ability", "source", "construction", "turns", "chars", "epoch"]
    train = pl.scan_parquet(folder / "data" / "train-*.parquet").select(columns).collect()
    page = report_html(manifest, train, pl.read_parquet(folder / "rejects.parquet"), **_looked_at(folder))
    storage.write_text(Path(html), page)


def listing(kind: str) -> list[dict[str, Any]]:
    """What is shipped of a kind, one row each: `name` and what is worth knowing.

    Args:
        kind: datasets, mixtures, trainers, shapes, rules, methods, abilities or crosswalks.
    """
    from doit.listing import rows

    return rows(kind)


def describe(name: str) -> dict[str, Any]:
    """Everything about one shipped thing, as plain data.

    Raises:
        SpecError: nothing has this name.
    """
    from doit.listing import one

    return one(name)
