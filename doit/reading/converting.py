"""From one format to another: rows are read as any source is, and written the way back, with nothing lost unsaid.

What may not be lost is what a record's id is made of (every turn's role and its text but for white space around it),
thinking that is kept apart, and tool definitions. Labels are no part of these formats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from doit.errors import CODES, DataError, SpecError, StorageError, did_you_mean
from doit.progress import Progress
from doit.reading.records import Reject, read_records
from doit.reading.row_writing import SUFFIXES, RowWriter, row_writer
from doit.reading.rows import Layout, Row, read_rows
from doit.reading.sniffing import sniff
from doit.schemas.base import Frozen
from doit.schemas.card import DatasetCard, Source
from doit.schemas.record import content_id
from doit.schemas.shapes import (
    SHAPES,
    Alpaca,
    BadRow,
    Conversation,
    Cot,
    DoitChat,
    MarkedText,
    Messages,
    Pairs,
    Qa,
    Shape,
    ShareGpt,
    Templated,
)
from doit.schemas.shapes.base import APART, CannotHold, check_order
from doit.schemas.shapes.way_back import LOSSES, has_reasoning, without

TARGETS: dict[str, Shape] = {
    "alpaca": Alpaca(),
    "belle": ShareGpt(roles={"human": "user", "assistant": "assistant"}, system=None, tools=None),
    "cot": Cot(rationale_in="reasoning"),
    "doit": DoitChat(system=None, tools=None),
    "marked_text": MarkedText(),
    "messages": Messages(),
    "pairs": Pairs(),
    "qa": Qa(),
    "sharegpt": ShareGpt(),
}
"""What can be written by name: each publisher's own fields and role names."""

SHOWN_REJECTS = 5
COT_COLUMNS = ("question", "answer", "rationale")
"""FLAN's order, in files without a header."""


class InputRead(Frozen):
    """How one input was understood."""

    file: str
    shape: str
    """Kind of the shape that made conversations of its rows."""
    because: str
    """`dataset NAME`, `--shape`, or what was seen in the file."""
    doubts: tuple[str, ...]
    """What is not certain where the content alone decided."""


class ConvertAnswer(Frozen):
    """What a conversion did: read = written + rejected + dropped + left_out."""

    out: str
    read: int
    written: int
    rejected: dict[str, int]
    """Code -> rows that could not be read."""
    dropped: dict[str, int]
    """`where` -> rows that the card does not keep."""
    left_out: dict[str, int]
    """Under `--lossy`: key of `LOSSES` -> rows of which nothing could be kept."""
    lost: dict[str, int]
    """Under `--lossy`: key of `LOSSES` -> written rows that lost it."""
    inputs: list[InputRead]
    first_rejects: list[str]
    """The first few rows that could not be read: file, row, field and why."""

    def lines(self) -> list[str]:
        """The answer for a person, a line each."""
        told = []
        for one in self.inputs:
            told.append(f"{one.file}: read as {one.shape} ({one.because})")
            told += [f"  doubtful: {doubt}" for doubt in one.doubts]
        rejected = sum(self.rejected.values())
        hidden = rejected - len(self.first_rejects)
        told += [*self.first_rejects, *([f"… and {hidden:,} more rows that cannot be read"] if hidden else [])]
        told.append(f"{self.out}: {self.read:,} read, {self.written:,} written")
        told += [f"  {count:,} rejected: {code}, {CODES[code]}" for code, count in self.rejected.items()]
        told += [f"  {count:,} dropped: the card's `{rule}` does not keep them" for rule, count in self.dropped.items()]
        told += [f"  {count:,} left out: {LOSSES[what]}" for what, count in self.left_out.items()]
        return told + [f"  {count:,} written without {LOSSES[what]}" for what, count in self.lost.items()]


class Input(NamedTuple):
    """A file to convert."""

    file: Path
    card: DatasetCard
    because: str
    doubts: tuple[str, ...] = ()


def described_input(file: Path, card: DatasetCard | None, kind: str | None) -> Input:
    """An input with the card to read it by: the given one, one of the given shape, or what its content shows.

    Args:
        file: the input.
        card: its card, if one was named.
        kind: of its shape, if that was named.

    Raises:
        SpecError: D203 for an unknown shape, D204 where no shape fits what is in the file, D206 for a missing file.
    """
    if file.is_dir():
        raise SpecError("D206", "this is a folder, not a file.", where=str(file), hint="Name the files in it.")
    if not file.is_file():
        what = "this is no regular file." if file.exists() else "there is no such file."
        raise SpecError("D206", what, where=str(file))
    if card is not None:
        return Input(file, card, f"dataset {card.name}")
    if kind is not None:
        return Input(file, _card_of(file, kind), "--shape")
    sniffed = sniff(file)
    if sniffed.card is None:
        why = " ".join(sniffed.doubts[:2] or sniffed.evidence[:1])
        hint = "Say --shape KIND (see `doit list shapes`) or --dataset CARD."
        raise SpecError("D204", f"nothing shows how to read this file. {why}".strip(), where=str(file), hint=hint)
    return Input(file, sniffed.card, " ".join(sniffed.evidence), sniffed.doubts)


def _card_of(file: Path, kind: str) -> DatasetCard:
    if kind not in SHAPES and kind in TARGETS:
        kind = TARGETS[kind].kind  # type: ignore[attr-defined]
    if kind not in SHAPES:
        hint = f"{did_you_mean(kind, SHAPES)} See `doit list shapes`.".strip()
        raise SpecError("D203", f'no shape "{kind}".', where="--shape", hint=hint)
    source = Source(columns=COT_COLUMNS) if kind == "cot" and _has_no_header(file) else Source()
    return DatasetCard.model_validate({"name": "input", "shape": {"kind": kind}, "source": source})


def _has_no_header(file: Path) -> bool:
    """Whether a tab-separated file begins with a row and not with the names of its columns, in any order."""
    if ".tsv" not in file.suffixes and ".tab" not in file.suffixes:
        return False
    rows = next(read_rows(file, Layout(columns=COT_COLUMNS)), [])
    first: dict[str, str] = next((row.value for row in rows if isinstance(row, Row)), {})
    return not set(first.values()) & set(COT_COLUMNS)


def convert_files(
    inputs: Sequence[Input],
    out: Path,
    target: Shape,
    name: str,
    *,
    lossy: bool = False,
    overwrite: bool = False,
    strict: bool = False,
) -> ConvertAnswer:
    """Read every input, in order, and write one file of another format.

    Args:
        inputs: files with their cards.
        out: the file to make; its suffix is one of `SUFFIXES`.
        target: the shape whose way back writes the rows.
        name: what the target is called in messages.
        lossy: drop what the target cannot hold, and count it, instead of refusing.
        overwrite: replace a file that is there.
        strict: refuse the first row that cannot be read.

    Returns:
        Counts of everything that was read.

    Raises:
        SpecError: D203 or D204 where the call is wrong or the target would lose something.
        DataError: D320 where nothing was written; with `strict`, the code of the first bad row.
        StorageError: D101 where OUT is there, D104 when the disk refuses.
    """
    _check_call(inputs, out, target, name, overwrite=overwrite)
    work = _Conversion(target, name, lossy, strict)
    headless = out.suffix.lower() == ".tsv" and isinstance(target, Cot)
    with row_writer(out, COT_COLUMNS if headless else None) as writer, Progress("converting", unit="rows") as progress:
        for one in inputs:
            work.take(one, writer, progress)
        if not work.written:
            counts = ", ".join(f"{count:,} {why}" for why, count in _unwritten(work).items()) or "no rows"
            hint = f"The first: {work.first[0]}" if work.first else ""
            raise DataError("D320", f"there is nothing to write ({counts}).", where=str(inputs[0].file), hint=hint)
        gone = _unwritten(work).total() + work.lost.total()
        if gone and out.exists() and any(out.samefile(one.file) for one in inputs):
            what = f"this is one of the inputs, and {gone:,} of its rows would be gone in whole or in part."
            raise StorageError("D101", what, where=str(out), hint="Choose another name.")
    read = [
        InputRead(file=str(one.file), shape=one.card.shape.kind, because=one.because, doubts=one.doubts)
        for one in inputs
    ]
    return ConvertAnswer(
        out=str(out),
        read=work.read,
        written=work.written,
        rejected=dict(sorted(work.rejected.items())),
        dropped=dict(work.dropped),
        left_out=dict(sorted(work.left_out.items())),
        lost=dict(sorted(work.lost.items())),
        inputs=read,
        first_rejects=work.first,
    )


def _check_call(inputs: Sequence[Input], out: Path, target: Shape, name: str, *, overwrite: bool) -> None:
    if out.suffix.lower() not in SUFFIXES:
        hint = f"Its suffix says what to write: {', '.join(SUFFIXES)}."
        raise SpecError("D204", "this is no kind of file that can be written.", where=str(out), hint=hint)
    if type(target).row is Shape.row:
        hint = f"Known: {', '.join(TARGETS)}, or a dataset card whose shape has a way back."
        raise SpecError("D203", f'"{name}" has no way back from a conversation to a row.', where="--to", hint=hint)
    for one in inputs:
        if one.card.shape.dialogue != target.dialogue:
            what = (
                f"shape `{one.card.shape.kind}` makes no questions with answers"
                if target.dialogue
                else "this is dialogue"
            )
            hint = "" if one.because.startswith(("--shape", "dataset ")) else "Say --shape KIND if it is read wrongly."
            raise SpecError("D204", f'{what}, so "{name}" cannot be written.', where=str(one.file), hint=hint)
    if out.is_dir():
        raise StorageError("D101", "this is a folder.", where=str(out), hint="Name a file.")
    if out.exists() and not overwrite:
        hint = "Choose another name, or add --overwrite to replace it."
        raise StorageError("D101", "there is a file of this name already.", where=str(out), hint=hint)


def _unwritten(work: _Conversion) -> Counter[str]:
    return work.rejected + work.dropped + work.left_out


@dataclass
class _Conversion:
    """One conversion while it goes on."""

    target: Shape
    name: str
    lossy: bool
    strict: bool
    read: int = 0
    written: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    def take(self, one: Input, writer: RowWriter, progress: Progress) -> None:
        """Convert one file."""
        for batch in read_records(one.file, self._kept_apart(one.card), watch=True):
            for reject in batch.rejects:
                self._reject(one.file, reject)
            for place, conversation in _conversations(batch.records):
                where = f"{one.file} row {place[0]:,}"
                unread = batch.unread.get(place, [])
                if unread and not self.lossy:
                    raise _unread(unread[0], one.card, where)
                self._convert(conversation, where, writer, {APART.get(name, "reasoning") for name in unread})
            self.dropped.update({"where": len(batch.left_out)} if batch.left_out else {})
            count = batch.records.num_rows + len(batch.rejects) + len(batch.left_out)
            self.read += count
            progress.advance(count)

    def _kept_apart(self, card: DatasetCard) -> DatasetCard:
        """The card, with a rationale kept apart from its answer where the target keeps them apart too."""
        shape, target = card.shape, self.target
        apart = isinstance(target, Qa) and target.rationale is not None and target.rationale_in == "reasoning"
        if apart and isinstance(shape, Qa | Templated) and shape.rationale_in == "answer":
            return card.model_copy(update={"shape": shape.model_copy(update={"rationale_in": "reasoning"})})
        return card

    def _reject(self, file: Path, reject: Reject) -> None:
        row = "" if reject.row is None else f" row {reject.row:,}"
        byte = "" if reject.byte is None else f" (byte {reject.byte:,})"
        named = not reject.field or " " in reject.field or f"`{reject.field}`" in reject.reason
        where = f"{file}{row}{byte}" + ("" if named else f": {reject.field}")
        if self.strict:
            hint = "Without --strict it would be counted and left out."
            raise DataError(reject.code, reject.reason, where=where, hint=hint)
        self.rejected[reject.code] += 1
        if len(self.first) < SHOWN_REJECTS:
            self.first.append(f"{reject.code} {where}: {reject.reason}")

    def _convert(self, conversation: Conversation, where: str, writer: RowWriter, lost: set[str]) -> None:
        """Write one row; `lost` is what reading it has left out already."""
        while True:
            try:
                writer.write(self._row(conversation))
            except CannotHold as cannot:
                if not self.lossy:
                    raise self._refusal(cannot.what, where) from None
                less = without(conversation, cannot.what)
                if less is None:
                    self.left_out[cannot.what] += 1
                    return
                lost.add(cannot.what)
                if _thinking(less) < _thinking(conversation):
                    # a turn that is dropped takes its thinking along
                    lost.add("reasoning")
                conversation = less
            except SpecError as error:
                raise error.within(where) from None
            else:
                self.written += 1
                self.lost.update(lost)
                return

    def _row(self, conversation: Conversation) -> Any:
        """The row, which is read again: a card's own markers and columns can make a row mean something else."""
        row = self.target.row(conversation)
        try:
            again = self.target.conversation(row)
            if self.target.dialogue:
                check_order(again.messages, "messages")
        except BadRow:
            raise CannotHold("text") from None
        same = again.messages == conversation.messages or content_id(again.messages) == content_id(
            conversation.messages
        )
        if not same or again.tools != conversation.tools or _thoughts(again) != _thoughts(conversation):
            raise CannotHold("text")
        return row

    def _refusal(self, what: str, where: str) -> SpecError:
        told = f'"{self.name}" cannot hold {LOSSES[what]}.'
        hint = "Choose another --to, or add --lossy: what is lost is counted."
        return SpecError("D213", told, where=where, hint=hint)


def _thoughts(conversation: Conversation) -> list[str | None]:
    return [thought or None for thought in conversation.reasoning or ()] if has_reasoning(conversation) else []


def _thinking(conversation: Conversation) -> int:
    """How many turns have thinking that is kept apart."""
    return sum(bool(thought) for thought in conversation.reasoning or ())


def _unread(name: str, card: DatasetCard, where: str) -> SpecError:
    what = LOSSES[APART.get(name, "reasoning")]
    told = f"field `{name}` would be lost: shape `{card.shape.kind}` does not read {what} there."
    hint = "Name a shape or a card that does, or add --lossy: what is lost is counted."
    return SpecError("D213", told, where=where, hint=hint)


def _conversations(records: pa.Table) -> Iterator[tuple[tuple[int, int], Conversation]]:
    """(row, part) and conversation of every record."""
    columns = (records.column(name).to_pylist() for name in ("row", "part", "messages", "reasoning", "tools"))
    for row, part, messages, reasoning, tools in zip(*columns, strict=True):
        turns = [(message["role"], message["content"]) for message in messages]
        yield (row, part), Conversation(turns, reasoning, tools)
