"""From a spec file to a resolved spec: `extends` folded in, every card written out, every file named."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from doit import catalogue, yamlio
from doit.curation.rules.base import Rule
from doit.curation.rules.contamination import BenchmarkFiles, Contaminated
from doit.errors import DoitError, SpecError, did_you_mean
from doit.mixtures.spec import MixSource, MixtureSpec, language_path
from doit.mixtures.variants import expand
from doit.reading.fetching import Fetched, fetch
from doit.schemas.card import DatasetCard
from doit.schemas.shapes import Prompts


@dataclass(frozen=True)
class SourceFiles:
    """A source with its card and its files."""

    card: DatasetCard
    mix: MixSource
    files: tuple[tuple[str, Path], ...]
    """(path as the ledger writes it, path to open), sorted."""
    fetched: Fetched | None = None
    """How they came from a Hub."""


@dataclass(frozen=True)
class Resolved:
    """A spec that needs nothing more to be built."""

    spec: MixtureSpec
    """With its cards written in place."""
    sources: tuple[SourceFiles, ...]
    where: str
    """How errors name the spec."""
    folder: Path = Path()
    """Where the spec's relative paths start from."""
    variants: tuple[tuple[str, Resolved], ...] = ()
    """The variants of the spec, by name; they share its pool."""
    benchmarks: tuple[SourceFiles, ...] = ()
    """What the rules named `contaminated` look for, each once."""


def load_spec(path: Path, overrides: Sequence[str] = (), *, folder: Path | None = None) -> Resolved:
    """Read a spec file.

    Args:
        path: a YAML file.
        overrides: `a.b=v` assignments, applied last.
        folder: where its relative paths start from; the file's own folder if None.

    Raises:
        SpecError: the file, a card or a path is wrong.
    """
    document = _with_base(path, ())
    for override in overrides:
        key, equals, value = override.partition("=")
        document = yamlio.apply_override(document, f"{language_path(document, key)}{equals}{value}")
    text = path.read_text(encoding="utf-8")
    return resolve(document, folder=path.parent if folder is None else folder, where=str(path), text=text)


def resolve(document: Any, *, folder: Path, where: str, text: str | None = None) -> Resolved:
    """Check a spec given as plain data, and find its cards and files relative to `folder`."""
    if not isinstance(document, dict):
        raise SpecError("D204", "a mixture spec is a mapping of keys.", where=where, hint="See mixtures/README.md.")
    try:
        spec = MixtureSpec.model_validate(document)
    except ValidationError as error:
        raise yamlio.explain(error, model=MixtureSpec, where=where, text=text) from None
    try:
        cards = [_card(source, folder, where) for source in spec.sources]
    except DoitError as error:
        raise error.within(where) from None
    names = [card.name for card, _ in cards]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(
                "D207", f'dataset "{name}" is named twice.', where=where, hint="Give its files in one list."
            )
    for value in spec.mix.get("source", {}):
        if value != "*" and value not in names:
            hint = did_you_mean(value, names)
            raise SpecError("D203", f'no source "{value}".', where=f"{where}: mix.source.{value}", hint=hint)
    try:
        found = _files(spec.sources, cards, folder, where)
    except DoitError as error:
        raise error.within(where) from None
    inlined = tuple(s.mix.model_copy(update={"dataset": s.card}) for s in found)
    try:
        rules, benchmarks = find_benchmarks(spec.curation, folder)
    except DoitError as error:
        raise error.within(where) from None
    try:
        changed = expand(document, names)
    except DoitError as error:
        raise error.within(where) from None
    variants = tuple((n, resolve(d, folder=folder, where=f"{where}: variants.{n}")) for n, d in changed.items())
    whole = spec.model_copy(update={"sources": inlined, "curation": rules})
    return Resolved(whole, tuple(found), where, folder, variants, benchmarks)


def find_benchmarks(rules: Sequence[Rule], folder: Path) -> tuple[tuple[Rule, ...], tuple[SourceFiles, ...]]:
    """The rules with the cards of their benchmarks written out, and the benchmarks' files.

    Raises:
        SpecError: a card or a file is not there, or two benchmarks have one name.
    """
    found: dict[str, SourceFiles] = {}
    written: list[Rule] = []
    for rule in rules:
        if not isinstance(rule, Contaminated):
            written.append(rule)
            continue
        mine = [_benchmark(given, folder) for given in rule.against]
        for one in mine:
            if found.setdefault(one.card.name, one).files != one.files:
                raise SpecError("D207", f'two benchmarks are called "{one.card.name}".', where="curation.against")
        written.append(rule.model_copy(update={"against": tuple(one.card for one in mine)}))
    return tuple(written), tuple(found.values())


def _benchmark(given: str | BenchmarkFiles | DatasetCard, folder: Path) -> SourceFiles:
    """A benchmark's card, with its files as the spec's folder sees them, and those files."""
    if isinstance(given, BenchmarkFiles):
        card, beside = load_card(given.dataset, beside=folder)[0], folder
        card = card.model_copy(update={"source": card.source.model_copy(update={"files": given.files})})
    elif isinstance(given, str):
        card, path = load_card(given, beside=folder)
        beside = path.parent if given.endswith((".yaml", ".yml")) else folder
    else:
        card, beside = given, folder
    mix = MixSource(dataset=card)
    if card.source.hub is not None and card.source.files is None:
        return _fetched(mix, card)
    if card.source.files is None:
        own = "Write `files:` under its `source`."
        hint = f"Write `{{dataset: {given}, files: …}}`." if isinstance(given, str) else own
        raise SpecError("D204", f'"{card.name}" names no files.', where="curation.against", hint=hint)
    listed = (card.source.files,) if isinstance(card.source.files, str) else card.source.files
    paths = _expand(listed, beside, f"curation.against: {card.name}")
    files = tuple((_shown(path, folder), path) for path in paths)
    source = card.source.model_copy(update={"files": tuple(shown for shown, _ in files)})
    return SourceFiles(card.model_copy(update={"source": source}), mix, files)


def _with_base(path: Path, seen: tuple[Path, ...]) -> Any:
    """The document of a file with the documents that it extends under it."""
    if path.resolve() in seen:
        raise SpecError("D207", "`extends` comes back to this file.", where=str(path))
    document = yamlio.load(path)
    if not isinstance(document, dict) or not isinstance(document.get("extends"), str):
        return document
    base_path = catalogue.find("mixtures", document["extends"], beside=path.parent)
    base = _with_base(base_path, (*seen, path.resolve()))
    own = {key: value for key, value in document.items() if key != "extends"}
    merged = {**base, **own}
    if isinstance(base.get("mix"), dict) and isinstance(own.get("mix"), dict):
        merged["mix"] = {**base["mix"], **own["mix"]}
    return merged


def load_card(name: str, *, beside: Path | None) -> tuple[DatasetCard, Path]:
    """A card by its shipped name or by path, and where it was found."""
    path = catalogue.find("schemas", name, beside=beside)
    try:
        return DatasetCard.model_validate(yamlio.load(path)), path
    except ValidationError as error:
        text = path.read_text(encoding="utf-8")
        raise yamlio.explain(error, model=DatasetCard, where=str(path), text=text) from None


def _card(source: MixSource, folder: Path, where: str) -> tuple[DatasetCard, Path]:
    """The card of a source, and the folder to which its own paths are relative."""
    if isinstance(source.dataset, DatasetCard):
        card, beside = source.dataset, folder
    else:
        card, found = load_card(source.dataset, beside=folder)
        own = source.dataset.endswith((".yaml", ".yml"))
        beside = found.parent if own else folder
    if isinstance(card.shape, Prompts):
        raise SpecError("D204", f'"{card.name}" has no answers: shape `prompts` cannot be trained on.', where=where)
    if source.files is None and card.source.files is None and card.source.hub is None:
        hint = f"Write `files:` beside `dataset: {card.name}`."
        raise SpecError("D204", f'"{card.name}" names no files.', where=where, hint=hint)
    return card, beside


def _files(
    sources: Sequence[MixSource], cards: Sequence[tuple[DatasetCard, Path]], folder: Path, where: str
) -> list[SourceFiles]:
    """The files of every source. Nothing is fetched before all that lies here is found."""
    here: list[SourceFiles | None] = []
    for source, (card, beside) in zip(sources, cards, strict=True):
        patterns = card.source.files if source.files is None else source.files
        if patterns is None or (source.files is None and card.source.hub is not None):
            here.append(None)
            continue
        listed = (patterns,) if isinstance(patterns, str) else patterns
        paths = _expand(listed, beside if source.files is None else folder, f"{where}: {card.name}")
        here.append(SourceFiles(card, source, tuple((_shown(path, folder), path) for path in paths)))
    return [found or _fetched(source, card) for found, source, (card, _) in zip(here, sources, cards, strict=True)]


def _fetched(source: MixSource, card: DatasetCard) -> SourceFiles:
    """The files of a source on a Hub; its card then names the commit that they are of."""
    fetched = fetch(card.source, name=card.name)
    pinned = card.source.model_copy(update={"revision": fetched.commit})
    return SourceFiles(card.model_copy(update={"source": pinned}), source, fetched.files, fetched)


def _expand(patterns: Sequence[str], folder: Path, where: str) -> list[Path]:
    """The files that globs match, sorted by path; a pattern that matches none is an error."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        # Unlike Path.glob, this takes absolute patterns too, and leaves special characters of `folder` alone.
        matches = glob.glob(pattern, root_dir=folder, recursive=True) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207
        files = [folder / match for match in sorted(matches) if (folder / match).is_file()]
        if not files:
            near = did_you_mean(Path(pattern).name, _siblings(folder / pattern))
            hint = f"{near} Paths start from {folder.resolve()}.".strip()
            raise SpecError("D206", f'no file matches "{pattern}".', where=where, hint=hint)
        found.update(dict.fromkeys(files))
    return sorted(found, key=lambda path: path.as_posix())


def _siblings(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []


def _shown(path: Path, folder: Path) -> str:
    """A path relative to the spec, with `/`; an absolute one where it lies on another drive."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.as_posix()
