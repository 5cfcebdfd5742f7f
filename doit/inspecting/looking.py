"""A look through a folder: what each file holds, which of them share a layout, and how much there is of what."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from doit.errors import DoitError, SpecError, did_you_mean
from doit.inspecting.labels import Label, ability_rule, label_columns, stem_ability
from doit.mixtures.pools.normalising import with_language
from doit.progress import Progress
from doit.reading.records import layout_of, read_records
from doit.reading.sampling import sample
from doit.reading.sniffing import Sniffed, Use, safe_name, sniff
from doit.schemas.card import DatasetCard

TAKEN: tuple[Use, ...] = ("training", "preference")
"""What a spec takes in; everything else is listed beside it with the reason."""
READ_BYTES = 256 << 20
"""A file over this size is not counted to its end."""
READ_BATCHES = 16
LABELLED_FILES = 40
LEAST_FIT = 0.5
"""A source of which less can be read is left out."""
OUTPUT = ("manifest.json", "ledger.parquet")
"""A folder with these is a mixture of ours, not a source."""


@dataclass(frozen=True)
class Seen:
    """One file, looked into."""

    path: Path
    shown: str
    """Relative to the folder, with `/`."""
    sniffed: Sniffed


@dataclass
class Group:
    """Files that share a layout: one source."""

    name: str
    files: list[Seen]
    card: DatasetCard | None
    """With the ability rule that its labels suggest."""
    labels: list[Label] = field(default_factory=list)
    records: int = 0
    rejected: int = 0
    dropped: int = 0
    estimated: bool = False
    cells: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    """(language, ability) -> records."""
    ids: set[str] = field(default_factory=set)
    """Of its records, so that copies can be told."""

    @property
    def sniffed(self) -> Sniffed:
        """What was said of its first file."""
        return self.files[0].sniffed

    @property
    def taken(self) -> bool:
        """Whether it belongs into a training mixture and can be read as it is."""
        ready = all(seen.sniffed.card is not None for seen in self.files)
        decided = not any("without a decision" in doubt for doubt in self.sniffed.doubts)
        return self.sniffed.use in TAKEN and ready and decided and self.records > 0 and self.fit >= LEAST_FIT

    @property
    def fit(self) -> float:
        """The share of records that the card reads, over all files that were counted."""
        total = self.records + self.rejected
        return self.records / total if total else self.sniffed.fit


def look(folder: Path) -> list[Group]:
    """Look into every file of a folder, or into one file.

    Args:
        folder: a folder, or a file.

    Returns:
        Groups of files, those for training first, then by name; each counted.

    Raises:
        SpecError: D206 when there is nothing there, or no file in it.
        StorageError: the disk does not give a file.
    """
    files = list(_files(folder))
    if not files:
        hint = "Name a folder with files of data, or one file."
        raise SpecError("D206", "the folder holds no files.", where=str(folder), hint=hint)
    with Progress("looking", total=len(files), unit="files") as progress:
        seen = []
        for path, shown in files:
            seen.append(Seen(path, shown, _sniffed(path, shown)))
            progress.advance()
    groups = _grouped(seen, folder)
    with Progress("counting", total=len(files), unit="files") as progress:
        for group in groups:
            _label(group)
            _count(group, progress)
    return sorted(groups, key=lambda group: (not group.taken, group.name))


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files below a folder, sorted; nothing hidden, no mixtures of ours, no folder behind a link."""
    if folder.is_file():
        yield folder, folder.name
        return
    if not folder.is_dir():
        siblings = [entry.name for entry in folder.parent.iterdir()] if folder.parent.is_dir() else []
        near = [name for name in siblings if name != folder.name]
        hint = did_you_mean(folder.name, near) or "Name a folder with files of data, or one file."
        raise SpecError("D206", "no such file or folder.", where=str(folder), hint=hint)
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if set(OUTPUT) <= set(names):
            folders.clear()
            continue
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                yield path, path.relative_to(folder).as_posix()


def _sniffed(path: Path, shown: str) -> Sniffed:
    try:
        return sniff(path, shown=shown)
    except DoitError as error:
        return Sniffed(None, None, (), 0.0, (f"Cannot be read: {error.code} {error.what}",), "unreadable")


def _grouped(seen: Sequence[Seen], folder: Path) -> list[Group]:
    """Files under one top folder (or beside each other) whose cards are the same but for the roles that occur."""
    found: dict[tuple[Any, ...], list[Seen]] = {}
    for each in seen:
        top, slash, _ = each.shown.partition("/")
        place = top if slash and each.sniffed.kind is not None else ""
        found.setdefault((place, each.sniffed.use, each.sniffed.kind, _layout(each.sniffed)), []).append(each)
    by_place = Counter(key[0] for key in found if key[2] is not None)
    names: set[str] = set()
    groups = []
    for (place, use, kind, _), files in found.items():
        base = place or (Path(files[0].shown).stem if len(files) == 1 else folder.resolve().name)
        if kind is None:
            base = f"{use}-files"
        elif by_place[place] > 1 and (place or len(files) > 1):
            base = f"{base}-{kind if use in TAKEN else use}"
        name = safe_name(base)
        unique = next(n for n in (name, *(f"{name}-{k}" for k in range(2, len(found) + 2))) if n not in names)
        names.add(unique)
        groups.append(Group(unique, files, _common_card(files, unique)))
    return groups


def _layout(sniffed: Sniffed) -> str:
    """What the cards of one group have in common."""
    if sniffed.proposal is None:
        return ""
    document = sniffed.proposal.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    document["shape"] = {key: value for key, value in document["shape"].items() if key not in ("roles", "trim")}
    return repr((sorted(document.items(), key=repr), sniffed.card is None))


def _common_card(files: Sequence[Seen], name: str) -> DatasetCard | None:
    proposals = [each.sniffed.proposal for each in files if each.sniffed.proposal is not None]
    if not proposals:
        return None
    shape = proposals[0].shape
    roles = {role: ours for card in proposals for role, ours in getattr(card.shape, "roles", {}).items()}
    trim = dict.fromkeys(mark for card in proposals for mark in getattr(card.shape, "trim", ()))
    more = {key: value for key, value in (("roles", roles), ("trim", tuple(trim))) if value}
    return proposals[0].model_copy(update={"name": name, "shape": shape.model_copy(update=more)})


def _label(group: Group) -> None:
    """Find label-like columns in a group's rows, and the ability rule that they give."""
    if group.card is None:
        return
    step = max(1, len(group.files) // LABELLED_FILES)
    layout = layout_of(group.card)
    rows = [row for each in group.files[::step][:LABELLED_FILES] for row in sample(each.path, layout).rows]
    group.labels = label_columns(rows, group.card)
    rule = ability_rule(group.labels) or stem_ability([each.path for each in group.files])
    if rule is not None:
        group.card = group.card.model_copy(update={"ability": rule})


def _count(group: Group, progress: Progress) -> None:
    for each in group.files:
        if group.card is not None:
            _count_file(group, each.path, group.card)
        progress.advance()


def _count_file(group: Group, path: Path, card: DatasetCard) -> None:
    size = path.stat().st_size
    whole = size <= READ_BYTES
    batches = read_records(path, card)
    for batch in batches if whole else islice(batches, READ_BATCHES):
        table: pa.Table = with_language(batch.records)
        group.records += table.num_rows
        group.rejected += len(batch.rejects)
        group.dropped += len(batch.left_out)
        group.cells.update(zip(table["language"].to_pylist(), table["ability"].to_pylist(), strict=True))
        group.ids.update(table["id"].to_pylist())
    group.estimated = group.estimated or not whole


def reasons(group: Group) -> list[str]:
    """Why a source is not taken; empty where it is."""
    if group.taken:
        return []
    use = group.sniffed.use
    said = {
        "benchmark": "Likely a benchmark: good for `against:`, not for training.",
        "prompts": "Prompts without answers: good for `against:`, not for training.",
        "text": "Raw text: for secondary pre-training, not for instruction tuning.",
        "config": "A configuration or index file.",
        "unreadable": "Cannot be read.",
        "unknown": "No known shape.",
    }
    found = [said[use]] if use in said else []
    if any(each.sniffed.card is None and each.sniffed.proposal is not None for each in group.files):
        found.append("Its encoding must be declared by somebody who knows it.")
    if use in TAKEN and group.fit < LEAST_FIT:
        found.append("Most records cannot be read." if group.records else "No record can be read.")
    if any("without a decision" in doubt for doubt in group.sniffed.doubts):
        found.append("Which side is preferred is not said.")
    return found


def evidence_of(group: Group) -> tuple[list[str], list[str]]:
    """Evidence and doubts of all files of a group, each said once, those of most files first."""
    why: Counter[str] = Counter()
    doubts: Counter[str] = Counter()
    for each in group.files:
        why.update(dict.fromkeys(each.sniffed.evidence, 1))
        doubts.update(dict.fromkeys(each.sniffed.doubts, 1))
    most = [_of(sentence, count, group) for sentence, count in why.most_common(4)]
    said = [_of(sentence, count, group) for sentence, count in doubts.most_common()]
    return most, said if len(said) <= 7 else [*said[:6], f"And {len(said) - 6} more remarks on single files."]


def _of(sentence: str, count: int, group: Group) -> str:
    return sentence if count == len(group.files) else f"{sentence} ({count:,} of {len(group.files):,} files)"
