"""Build a mixture again from its manifest, over sources that are proved to be the same, and compare the digests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from doit import storage
from doit.errors import DataError, SpecError, StorageError
from doit.mixtures.building.build import Pages, build_mixture
from doit.mixtures.loading import Resolved, SourceFiles
from doit.mixtures.manifest import InputFile
from doit.mixtures.opening import Opened, open_mixtures
from doit.mixtures.proofs.answers import Difference, RebuildAnswer
from doit.mixtures.proofs.diffing import version_differences
from doit.mixtures.rule_files import place_rules
from doit.mixtures.spec import MixSource
from doit.progress import Progress
from doit.reading.fetching import fetch
from doit.schemas.card import DatasetCard

_ABOVE = re.compile(r"(?:[A-Za-z]:)?/+|(?:\.\.?/+)+")
"""What stands before the part of a path that a copy of the sources still has: a root, or steps upwards."""

_NAMED = 3
"""How many missing files an error names."""


def rebuild(
    manifest: Path,
    out: Path,
    *,
    sources: Path,
    pages: Pages,
    workers: int | None = None,
    engine: str = "local",
) -> RebuildAnswer:
    """Build what a manifest describes, and prove that it came out the same.

    Every input is found below `sources` by the path in the manifest (what leads upwards or to a root is left off, then
    folders from the front, and the dataset's name may stand before it), and its SHA-256 is checked before a byte of it
    is read as data. Files of a Hub that are not there are fetched at the commit that the manifest names.

    Args:
        manifest: a manifest file, or the folder that it is in; of one mixture, a series or variants.
        out: the folder to make or replace. From the manifest of one size the whole series is built, for that size
            follows from the larger ones.
        sources: where the input files are. Nothing outside it is read.
        pages: writes the report and the dataset card.
        workers: processes that read; None = as many as help.
        engine: local or ray.

    Raises:
        SpecError: D206 no manifest, or inputs that are missing; D209 a path that leaves `sources`; D204 a manifest
            whose spec does not write its cards out.
        DataError: D102 an input whose bytes changed, with both digests; D501 another content digest.
        StorageError: D102 a manifest that cannot be read; D101 `out` is the folder of the manifest, or not ours.
    """
    opened = open_mixtures(manifest)
    _refuse_own_folder(out, manifest if manifest.is_dir() else manifest.parent, opened)
    if not sources.is_dir():
        raise SpecError("D206", "no such folder.", where=str(sources), hint="`--sources` is where the input files are.")
    search = _Search(sources)
    named: dict[str | None, Resolved] = {}
    for variant in dict.fromkeys(one.variant for one in opened):
        named[variant] = _resolved([one for one in opened if one.variant == variant], search)
    resolved = next(iter(named.values()))
    if None not in named:
        resolved = replace(resolved, variants=tuple((str(name), variant) for name, variant in named.items()))
    build_mixture(resolved, out, pages=pages, workers=workers, engine=engine)
    return _compared(opened, {one.label: one for one in open_mixtures(out)}, out)


def _refuse_own_folder(out: Path, home: Path, opened: Sequence[Opened]) -> None:
    """What is to be reproduced must not be overwritten."""
    theirs = {home.resolve(), *(one.folder.resolve() for one in opened)}
    target = out.resolve()
    if any(folder == target or target in folder.parents for folder in theirs):
        hint = "Rebuild into another folder, so that both can be compared."
        raise StorageError("D101", "this folder holds the manifest to rebuild from.", where=str(out), hint=hint)


def _resolved(sizes: Sequence[Opened], search: _Search) -> Resolved:
    """What a mixture or all sizes of a series were built from."""
    first = sizes[0]
    for one in sizes[1:]:
        if one.manifest.spec != first.manifest.spec or one.manifest.inputs != first.manifest.inputs:
            what = f"it has another spec or other inputs than size {first.size} of its series."
            raise StorageError("D102", what, where=str(one.folder / "manifest.json"), hint="See `doit verify`.")
    where = str(first.folder / "manifest.json")
    spec = first.spec()
    if spec.tokenizer is not None:
        spec = spec.model_copy(update={"tokenizer": _tokenizer(spec.tokenizer, first, search, where)})
    files = first.manifest.rule_files
    rules, benchmarks = place_rules(spec.curation, files, search.find, search.folder, where)
    spec = spec.model_copy(update={"curation": rules})
    placed = tuple(_placed(first, search, where))
    return Resolved(spec=spec, sources=placed, where=where, folder=search.folder, benchmarks=benchmarks)


def _tokenizer(name: str, mixture: Opened, search: _Search, where: str) -> str:
    """The tokenizer's path below the sources, found and checked as inputs are."""
    sha256 = mixture.manifest.tokenizer
    if sha256 is None:
        raise StorageError("D102", "the manifest has no digest of its tokenizer.", where=where)
    path = search.find("tokenizer", f"{name}/tokenizer.json", sha256) or search.find("tokenizer", name, sha256)
    if path is None:
        what = f"the tokenizer {name} is not here."
        raise SpecError("D206", what, where=str(search.folder), hint="Copy it beside the input files.")
    return path.relative_to(search.folder.resolve()).as_posix()


# -- inputs


def _placed(mixture: Opened, search: _Search, where: str) -> list[SourceFiles]:
    """Every source with its files, found and checked, under the names that the manifest gives them."""
    cards = {card.name: (card, mix) for mix in mixture.spec().sources for card in [_card(mix, where)]}
    inputs: dict[str, list[InputFile]] = {name: [] for name in cards}
    for read in mixture.manifest.inputs:
        inputs.setdefault(read.source, []).append(read)
    for name, listed in inputs.items():
        if name not in cards or not listed:
            what = f'"{name}" is not both in the spec and among the inputs.'
            raise StorageError("D102", what, where=where, hint="Use the manifest.json that a build wrote.")
    found = _searched(inputs, search)
    missing = [read for name, (card, mix) in cards.items() if not _on_hub(card, mix) for read in inputs[name]]
    _refuse_missing([read for read in missing if (read.source, read.file) not in found], search.folder)
    placed = []
    for name, (card, mix) in cards.items():
        paths = {read.file: found[name, read.file] for read in inputs[name] if (name, read.file) in found}
        if len(paths) < len({read.file for read in inputs[name]}):
            paths = _fetched(card, inputs[name])
        placed.append(SourceFiles(card, mix, tuple(sorted(paths.items()))))
    return placed


def _searched(inputs: Mapping[str, Sequence[InputFile]], search: _Search) -> dict[tuple[str, str], Path]:
    """(source, file) -> where its bytes are; those that are nowhere are left out."""
    found = {}
    listed = [read for of_source in inputs.values() for read in of_source]
    with Progress("checking", total=sum(read.bytes for read in listed) // 1000, unit="kB") as progress:
        for read in listed:
            path = search.find(read.source, read.file, read.sha256)
            if path is not None:
                found[read.source, read.file] = path
            progress.advance(read.bytes // 1000)
    return found


def _card(mix: MixSource, where: str) -> DatasetCard:
    if isinstance(mix.dataset, DatasetCard):
        return mix.dataset
    what = f'the spec only names "{mix.dataset}": its card is not written out.'
    raise SpecError("D204", what, where=where, hint="Use the manifest.json that a build wrote.")


def _on_hub(card: DatasetCard, mix: MixSource) -> bool:
    return card.source.hub is not None and mix.files is None


def _refuse_missing(missing: Sequence[InputFile], sources: Path) -> None:
    if missing:
        named = ", ".join(f"{read.file} ({read.source})" for read in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        what = f"{len(missing)} input files are not here: {named}{more}."
        hint = "Name with `--sources` the folder that their paths start from."
        raise SpecError("D206", what, where=str(sources), hint=hint)


def _fetched(card: DatasetCard, inputs: Sequence[InputFile]) -> dict[str, Path]:
    """The files of a Hub source at the commit that the manifest names, checked."""
    paths = dict(fetch(card.source, name=card.name).files)
    gone = [read.file for read in inputs if read.file not in paths]
    if gone:
        raise SpecError("D206", f"the Hub has no {gone[0]} any more.", where=f"{card.source.hub}")
    for read in inputs:
        digest = storage.file_digest(paths[read.file])
        if digest != read.sha256:
            raise _changed(read.source, read.file, read.sha256, paths[read.file], digest)
    return {read.file: paths[read.file] for read in inputs}


def _changed(source: str, file: str, sha256: str, path: Path, digest: str) -> DataError:
    what = f"the bytes of {source}'s {file} changed: SHA-256 was {sha256}, is {digest}."
    return DataError("D102", what, where=str(path), hint="Bring back the file as it was, or build from the spec.")


class _Search:
    """Finds inputs below one folder by their paths, and proves them by their digests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digests: dict[Path, str] = {}

    def find(self, source: str, file: str, sha256: str) -> Path | None:
        """The file with these bytes, or None where nothing bears its name.

        Raises:
            DataError: D102 a file of that name has other bytes.
            SpecError: D209 the path leads out of the folder.
        """
        other: Path | None = None
        for path in self._candidates(source, file):
            if self._digest(path) == sha256:
                return path
            other = other or path
        if other is not None:
            raise _changed(source, file, sha256, other, self._digest(other))
        return None

    def _candidates(self, source: str, file: str) -> Iterator[Path]:
        """Files that may be the one, the likeliest first: the digest decides."""
        inside = _ABOVE.sub("", file, count=1) if _ABOVE.match(file) else file
        parts = inside.split("/")
        names = [inside, f"{source}/{inside}", *("/".join(parts[drop:]) for drop in range(1, len(parts)))]
        for number, name in enumerate(names):
            try:
                path = storage.safe_relative(name, self.folder)
            except SpecError:
                if number == 0:
                    raise
                continue
            if path.is_file():
                yield path

    def _digest(self, path: Path) -> str:
        if path not in self.digests:
            self.digests[path] = storage.file_digest(path)
        return self.digests[path]


# -- the proof


def _compared(wanted: Sequence[Opened], built: Mapping[str | None, Opened], out: Path) -> RebuildAnswer:
    """The answer, or D501 with the versions that may be to blame."""
    found: dict[str, str] = {}
    here = next(iter(built.values())).manifest
    versions = version_differences(wanted[0].manifest, here.doit, here.versions)
    for one in wanted:
        # The manifest of one size does not say that it is one: of the series, the size that has its records is meant.
        label = one.label if one.label is not None or None in built else str(one.manifest.plan.size)
        made = built.get(label)
        if made is None or made.manifest.digest != one.manifest.digest:
            raise _differs(one, made, versions, out)
        if label is not None:
            found[label] = made.manifest.digest
    files = {(read.source, read.file): read for one in wanted for read in one.manifest.inputs}
    return RebuildAnswer(
        out=str(out),
        digest=wanted[0].manifest.digest,
        inputs=len(files),
        bytes=sum(read.bytes for read in files.values()),
        versions=tuple(versions),
        mixtures=found or None,
    )


def _differs(wanted: Opened, made: Opened | None, versions: Sequence[Difference], out: Path) -> DataError:
    of = f" of {wanted.label}" if wanted.label is not None else ""
    got = "no such mixture was built" if made is None else f"the rebuilt one has {made.manifest.digest}"
    what = f"the content digest{of} is not reproduced: the manifest has {wanted.manifest.digest}, {got}."
    changed = ", ".join(f"{one.key} {one.a or 'none'} -> {one.b or 'none'}" for one in versions)
    why = f"Versions differ: {changed}." if changed else "All versions are the same: the manifest was changed by hand?"
    return DataError("D501", what, where=str(out), hint=f"{why} `doit diff` shows which rows.")
