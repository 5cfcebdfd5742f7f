"""Files that rules read beside the sources: benchmarks, scores, vectors, names, tokenizers; the manifest names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from doit import storage
from doit.curation.rules.base import Rule
from doit.curation.rules.contamination import Contaminated
from doit.curation.rules.script import NameFiles, Script
from doit.errors import SpecError, StorageError
from doit.mixtures.loading import Resolved, SourceFiles
from doit.mixtures.manifest import RuleFile
from doit.mixtures.spec import MixSource
from doit.reading.fetching import fetch
from doit.schemas.card import DatasetCard

FIELDS = ("scores", "embeddings", "tokenizer")
"""Fields of rules that name a file relative to the spec."""

Find = Callable[[str, str, str], Path | None]
"""(who reads it, its path in the manifest, SHA-256) -> where it is, proved."""


def rule_files(resolved: Resolved) -> tuple[RuleFile, ...]:
    """Every file that the rules of a spec read, each once, with its digest."""
    found: dict[tuple[str, str], Path] = {}
    for field, name in _named(resolved.spec.curation):
        path = resolved.folder / name
        inner = path / "tokenizer.json"
        found[field, f"{name}/tokenizer.json" if inner.is_file() else name] = inner if inner.is_file() else path
    for benchmark in resolved.benchmarks:
        found |= {(benchmark.card.name, shown): path for shown, path in benchmark.files}
    return tuple(
        RuleFile(of=of, file=name, bytes=path.stat().st_size, sha256=storage.file_digest(path))
        for (of, name), path in sorted(found.items())
    )


def place_rules(
    rules: Sequence[Rule], files: Sequence[RuleFile], find: Find, folder: Path, where: str
) -> tuple[tuple[Rule, ...], tuple[SourceFiles, ...]]:
    """The rules with the files that they read below one folder, and their benchmarks.

    Args:
        rules: of a manifest, the cards of benchmarks written out.
        files: what the manifest says of their files.
        find: looks for one of them.
        folder: what the rules' paths start from then.
        where: how errors name the manifest.

    Raises:
        SpecError: D206 files that are missing.
        DataError: D102 a file whose bytes changed.
        StorageError: D102 a manifest that lacks a file's digest.
    """
    placed = []
    for rule in rules:
        update: dict[str, str | NameFiles] = {}
        names = []
        for field, name in _named([rule]):
            path = _inside(_found(_meant(files, field, name), name, find, folder, where), folder)
            if field == "names":
                names.append(path)
                update[field] = NameFiles(file=tuple(names))
            else:
                update[field] = path
        placed.append(rule.model_copy(update=update) if update else rule)
    cards = [card for rule in rules if isinstance(rule, Contaminated) for card in rule.against]
    benchmarks = {card.name: card for card in cards if isinstance(card, DatasetCard)}
    return tuple(placed), tuple(_benchmark(card, files, find, folder, where) for card in benchmarks.values())


def _named(rules: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    """(field, path) of every file that rules name."""
    for rule in rules:
        for field in FIELDS:
            name = getattr(rule, field, None)
            if isinstance(name, str):
                yield field, name
        for name in rule.name_files if isinstance(rule, Script) else ():
            yield "names", name


def _meant(files: Sequence[RuleFile], field: str, name: str) -> RuleFile | None:
    """The file that a rule names; where folders were taken from a published manifest, the one whose path ends so."""
    mine = [(one, one.file.removesuffix("/tokenizer.json")) for one in files if one.of == field]
    same = [one for one, file in mine if name in (file, one.file)]
    alike = [one for one, file in mine if f"/{file}".endswith(f"/{name}") or f"/{name}".endswith(f"/{file}")]
    found = same or alike
    return found[0] if len(found) == 1 else None


def _benchmark(card: DatasetCard, files: Sequence[RuleFile], find: Find, folder: Path, where: str) -> SourceFiles:
    mine = [one for one in files if one.of == card.name]
    if not mine:
        raise StorageError("D102", f'the manifest names no files of the benchmark "{card.name}".', where=where)
    if card.source.hub is not None and card.source.files is None:
        fetched = dict(fetch(card.source, name=card.name).files)
        for one in mine:
            if one.file not in fetched or storage.file_digest(fetched[one.file]) != one.sha256:
                raise StorageError("D102", f"{one.file} is another file than it was.", where=str(card.source.hub))
        paths = [(one.file, fetched[one.file]) for one in mine]
    else:
        paths = [(one.file, _found(one, one.file, find, folder, where)) for one in mine]
    return SourceFiles(card, MixSource(dataset=card), tuple(paths))


def _found(one: RuleFile | None, name: str, find: Find, folder: Path, where: str) -> Path:
    if one is None:
        raise StorageError("D102", f"the manifest has no digest of {name}.", where=where, hint="Build from the spec.")
    path = find(one.of, one.file, one.sha256)
    if path is None:
        hint = "A rule reads it: copy it beside the input files."
        raise SpecError("D206", f"{one.file} ({one.of}) is not here.", where=str(folder), hint=hint)
    return path


def _inside(path: Path, folder: Path) -> str:
    return path.resolve().relative_to(folder.resolve()).as_posix()
