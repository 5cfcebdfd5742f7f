"""The verbs that make mixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from doit.errors import SpecError
from doit.verbs.pages import pages

if TYPE_CHECKING:
    from doit.mixtures.loading import Resolved
    from doit.mixtures.manifest import BuildAnswer, PlanAnswer
    from doit.mixtures.proofs.answers import RebuildAnswer


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
    resolved = find_spec(spec, overrides)

    from doit.inspecting.notebook import Built, shown
    from doit.mixtures.building.build import build_mixture

    answer = build_mixture(resolved, Path(out), pages=pages, workers=jobs, engine=engine, strict=strict)
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
    from doit.mixtures.building.build import plan_mixture

    return shown(plan_mixture(find_spec(spec, overrides), workers=jobs, engine=engine, strict=strict), Planned)


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
    from doit.mixtures.building.build import build_mixture
    from doit.mixtures.curated_files import rules_of, sources_of
    from doit.mixtures.loading import load_card, resolve
    from doit.reading.converting import described_input
    from doit.reading.row_writing import SUFFIXES

    if dataset is not None and shape is not None:
        raise SpecError("D204", "both `dataset` and `shape` are given.", hint="A card has a shape: leave `shape` out.")
    if Path(out).suffix.lower() in SUFFIXES and not Path(out).exists():
        hint = "Name a folder: the rows will be in its `data`."
        raise SpecError("D204", "this is the name of a file, and a folder is made.", where=str(out), hint=hint)
    left_out: list[str] = []
    wanted, folder = rules_of(Path(rules)), Path(rules).parent
    paths = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(path) for path in inputs]
    if len(paths) == 1 and paths[0].is_dir() and dataset is None and shape is None:
        sources, left_out = _found_in(paths[0], folder)
    else:
        card = None if dataset is None else load_card(dataset, beside=Path())[0]
        sources = sources_of([described_input(path, card, shape) for path in paths], folder)
    document = {"name": "curated", "size": "all", "sources": sources, "curation": wanted}
    resolved = resolve(document, folder=folder, where=str(rules))
    answer = build_mixture(resolved, Path(out), pages=pages, workers=jobs, engine=engine, strict=strict)
    return shown(answer.model_copy(update={"warnings": (*left_out, *answer.warnings)}), Built)


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
    from doit.mixtures.proofs.rebuilding import rebuild as build_again

    return build_again(Path(manifest), Path(out), sources=Path(sources), pages=pages, workers=jobs, engine=engine)


def find_spec(spec: Spec, overrides: Sequence[str]) -> Resolved:
    """A spec that was given by path, by name or as data, with its cards and files."""
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


def _found_in(folder: Path, beside: Path) -> tuple[list[Any], list[str]]:
    """The sources of a starting spec for a folder, and what of the folder is left out."""
    from doit.inspecting.starting import start
    from doit.yamlio import loads

    if (folder / "manifest.json").is_file():
        hint = "Add the rules to its spec and build it again."
        raise SpecError("D204", "this is a mixture, which is curated already.", where=str(folder), hint=hint)
    found = start(folder, beside)
    if not any(one.taken for one in found.sources):
        left = "; ".join(f"{', '.join(one.files[:3])} ({one.use})" for one in found.sources[:3])
        hint = "Name the files to curate them all the same; `doit init` says why."
        raise SpecError("D206", f"no file in it is taken: {left}.", where=str(folder), hint=hint)
    return list(loads(found.spec, str(folder))["sources"]), [
        f"D323 {', '.join(one.files[:3])}: not curated, because it looks like {one.use}; name the file to take it."
        for one in found.sources
        if not one.taken
    ]
