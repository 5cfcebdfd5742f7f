"""From the rows of one file to records: shape, labels and identity. Bad rows become rejects, nothing is lost.

Language is not told here: it is a decision of its own (`doit.curation.language.telling`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from doit.reading.labels import Labels, list_array, text_array
from doit.reading.plain import (
    PlainRows,
    digests_array,
    empties_of,
    exact_digest,
    hex_texts,
    integers,
    plain_cut,
    plain_rows,
)
from doit.reading.rows import Bad, CutRows, Layout, Row, read_cut, read_rows, read_span
from doit.schemas.card import DatasetCard
from doit.schemas.record import counted
from doit.schemas.shapes import BadRow, Conversation
from doit.schemas.shapes.base import MISSING, check_order, find, is_key, kind_of, list_at, need_object
from doit.table import MESSAGES, REJECTS

RAW_LIMIT = 65_536
"""Characters of a rejected row that are kept."""
NESTED_JSON = 254
"""How deep a value may be nested that a record keeps as JSON text, such as tools: orjson writes no more."""
_ATOMS = (int, float, bool, type(None))
_TOO_DEEP = (orjson.JSONEncodeError, RecursionError)

FRESH = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("written", pa.binary(16), nullable=False),
        pa.field("messages", MESSAGES, nullable=False),
        pa.field("reasoning", pa.list_(pa.string())),
        pa.field("tools", pa.string()),
        pa.field("ability", pa.string()),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("turns", pa.int32(), nullable=False),
        pa.field("chars", pa.int32(), nullable=False),
    ]
)
"""What reading alone knows of a record. `written` is a digest of the texts exactly as the source has them."""


class Reject(NamedTuple):
    """A row, or a stretch of a file, that could not become a record."""

    row: int | None
    part: int | None
    byte: int | None
    stage: str
    code: str
    field: str | None
    reason: str
    raw: str


@dataclass
class Batch:
    """Some consecutive rows of one file, read."""

    records: pa.Table
    """Columns of `FRESH`, in file order."""
    rejects: list[Reject]
    left_out: list[tuple[int, int]]
    """(row, part) that the card's `where` does not keep."""
    unknown_labels: Counter[str]
    """Labels that the card's map lacks."""
    rows: int
    """One more than the highest row number so far; 0 where no row has a number."""
    unread: dict[tuple[int, int], list[str]]
    """(row, part) of a record -> fields with thinking or tools that the shape leaves out, where that was asked for."""


def layout_of(card: DatasetCard) -> Layout:
    """How the card says that the bytes of its files are laid out."""
    source = card.source
    return Layout(
        rows=card.rows,
        encoding=source.encoding,
        columns=source.columns,
        delimiter=source.delimiter,
        compression=source.compression,
    )


def read_records(
    path: Path, card: DatasetCard, span: tuple[int, int] | None = None, *, watch: bool = False
) -> Iterator[Batch]:
    """Read one file with its card, batch by batch, in file order.

    Args:
        path: the file.
        card: its dataset card.
        span: a stretch of `doit.reading.rows.spans`, whose rows are then numbered from 0; None = the whole file.
        watch: tell of fields that the shape leaves out; every row is then taken by itself.

    Yields:
        Batches in which every row is a record (or several), a reject, or left out by `where`.
    """
    shaper = _Shaper(card, path.stem, watch=watch)
    if shaper.flat is not None:
        yield from map(shaper.batch, read_cut(path, layout_of(card), span))
    else:
        yield from map(shaper.batch, read_rows(path, layout_of(card)) if span is None else read_span(path, *span))


@dataclass
class _Columns:
    """The columns of a batch while it is being read, and what did not make it into them."""

    ids: list[bytes] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=lambda: [0])
    roles: list[str] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    reasoning: list[list[str | None] | None] = field(default_factory=list)
    tools: list[str | None] = field(default_factory=list)
    abilities: list[str | None] = field(default_factory=list)
    tags: list[list[str]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    groups: list[str | None] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    chars: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    left_out: list[tuple[int, int]] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    unread: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    def add(self, row: int, part: int, made: Conversation) -> None:
        """Append the columns that follow from the conversation alone."""
        identity, written = identify(made)
        self.ids.append(identity)
        self.written.append(written)
        turns = chars = 0
        for role, content in made.messages:
            self.roles.append(role)
            self.contents.append(content)
            turns += role == "assistant"
            chars += len(content)
        self.offsets.append(len(self.roles))
        self.reasoning.append(made.reasoning)
        self.tools.append(made.tools)
        self.rows.append(row)
        self.parts.append(part)
        self.turns.append(turns)
        self.chars.append(chars)

    def table(self) -> pa.Table:
        """The columns of `FRESH`."""
        pairs = pa.StructArray.from_arrays([text_array(self.roles), text_array(self.contents)], ["role", "content"])
        arrays = [
            hex_texts(b"".join(self.ids)),
            digests_array(b"".join(self.written)),
            pa.ListArray.from_arrays(integers(np.array(self.offsets, np.int32)), pairs),
            list_array(self.reasoning),
            text_array(self.tools),
            text_array(self.abilities),
            list_array(self.tags),
            integers(np.array(self.rows, np.int64)),
            integers(np.array(self.parts, np.int32)),
            text_array(self.groups),
            integers(np.array(self.turns, np.int32)),
            integers(np.array(self.chars, np.int32)),
        ]
        return pa.Table.from_arrays(arrays, schema=FRESH)


class _Shaper:
    """Turns rows into records by one card."""

    def __init__(self, card: DatasetCard, stem: str, *, watch: bool = False) -> None:
        self.card = card
        self.watch = watch
        self.labels = Labels(card, stem)
        self.whole = card.each is None and card.where is None and card.preference is None and card.group is None
        flat = card.shape.flat() if self.whole and not watch and not self.labels.may_refuse else None
        self.flat = flat if flat is not None and all(is_key(key) for key in flat.keys) else None
        self.empties = None if self.flat is None else empties_of(card.shape, self.flat)
        self.hollow: dict[type, BadRow | None] = {}
        """Type of a value of which no more is looked at -> why it makes no record, None where it makes one."""

    def batch(self, read: Sequence[Row | Bad] | CutRows) -> Batch:
        """Everything that some rows make, in their order."""
        columns = _Columns()
        tables = []
        if isinstance(read, CutRows):
            tables += self._cut_tables(read, columns)
        rows = read.others if isinstance(read, CutRows) else read
        good = [row for row in rows if isinstance(row, Row)]
        for bad in rows:
            if isinstance(bad, Bad):
                reject = Reject(bad.row, None, bad.byte, "reading", bad.code, bad.field, bad.reason, bad.raw)
                columns.rejects.append(reject)
        plain = None if self.flat is None else plain_rows([row.value for row in good], self.flat, self.empties)
        for number, row in enumerate(good):
            if plain is None or not plain.mask[number]:
                self.take(row, columns)
        if plain is not None:
            chosen = [row for row, is_plain in zip(good, plain.mask, strict=True) if is_plain]
            tables.append(self._plain_table(plain, np.array([row.row for row in chosen]), chosen, columns.unknown))
        if columns.ids or not tables:
            tables.append(columns.table())
        # Of a block that was cut, rows that are not plain stand before those that could not be cut.
        mixed = len(tables) > 1 or (isinstance(read, CutRows) and bool(columns.ids))
        table = pa.concat_tables(tables).combine_chunks().sort_by("row") if mixed else tables[0]
        columns.rejects.sort(key=lambda reject: (reject.row is None, reject.row or 0, reject.part or 0))
        if isinstance(read, CutRows):
            return Batch(table, columns.rejects, columns.left_out, columns.unknown, read.stop, columns.unread)
        numbers = (row.row for row in reversed(rows) if row.row is not None)
        return Batch(table, columns.rejects, columns.left_out, columns.unknown, next(numbers, -1) + 1, columns.unread)

    def _cut_tables(self, cut: CutRows, columns: _Columns) -> list[pa.Table]:
        """The plain ones of rows that were cut; the others are taken one by one."""
        assert self.flat is not None
        plain = plain_cut(cut, self.flat, self.empties)
        mask = np.zeros(len(cut.numbers), bool) if plain is None else plain.mask
        for row in cut.rows(np.flatnonzero(~mask)):
            self.take(row, columns)
        if plain is None:
            return []
        chosen = np.flatnonzero(mask)
        return [self._plain_table(plain, cut.numbers[chosen], cut.rows(chosen), columns.unknown)]

    def _plain_table(
        self, plain: PlainRows, numbers: NDArray[np.int64], rows: Iterable[Row], unknown: Counter[str]
    ) -> pa.Table:
        count = len(numbers)
        abilities, tags = self.labels.columns(count, rows, unknown)
        arrays = [
            plain.ids,
            plain.written,
            plain.messages,
            pa.nulls(count, pa.list_(pa.string())),
            pa.nulls(count, pa.string()),
            abilities,
            tags,
            integers(numbers),
            integers(np.zeros(count, np.int32)),
            pa.nulls(count, pa.string()),
            integers(np.ones(count, np.int32)),
            plain.chars,
        ]
        return pa.Table.from_arrays(arrays, schema=FRESH)

    def take(self, row: Row, columns: _Columns) -> None:
        """Append the record (or the records) of a row to `columns`, or say why there is none."""
        if self.whole and (type(row.value) in _ATOMS or not row.value):
            refused = self._refused(row.value)
            if refused is not None:
                columns.rejects.append(_reject(row, 0, row.value, refused))
                return
        try:
            values = [row.value] if self.card.each is None else list(_parts(row.value, self.card.each, self.card.each))
        except BadRow as bad:
            columns.rejects.append(_reject(row, None, row.value, bad))
            return
        part = 0
        for value in values:
            for made in [value] if isinstance(value, BadRow) else self._made(value):
                wrong = made if isinstance(made, BadRow) else self._take_part(row, part, value, made, columns)
                if wrong is not None:
                    columns.rejects.append(_reject(row, part, row.value if value is wrong else value, wrong))
                part += 1

    def _refused(self, value: Any) -> BadRow | None:
        """Why a number, a boolean, null or something empty makes no record: the same for all that are of its type."""
        kind = type(value)
        if kind not in self.hollow:
            made = self._made(value)
            self.hollow[kind] = made[0] if made and isinstance(made[0], BadRow) else None
        return self.hollow[kind]

    def _made(self, value: Any) -> list[Conversation | BadRow | None]:
        """What the shape makes of a value; None where the card leaves the value out."""
        try:
            if self.card.where is not None and not _wanted(value, self.card.where):
                return [None]
            if self.card.preference is not None:
                column = self.card.preference.chosen(value)
                if column is None:
                    return [None]
                value = _preferring(value, column)
            return list(self.card.shape.conversations(value))
        except BadRow as bad:
            return [bad]
        except _TOO_DEEP:
            return [_too_deep()]

    def _take_part(
        self, row: Row, part: int, value: Any, made: Conversation | None, columns: _Columns
    ) -> BadRow | None:
        """Append one record, or count one that is left out; or say why it is neither."""
        if made is None:
            columns.left_out.append((row.row, part))
            return None
        try:
            if self.card.shape.dialogue:
                check_order(made.messages, "messages")
            ability, tags = self.labels.of(value, columns.unknown)
            group = None if self.card.group is None else self._group(row.value, value, self.card.group)
            columns.add(row.row, part, made)
        except BadRow as bad:
            return bad
        except _TOO_DEEP:
            return _too_deep()
        if self.watch and (unread := self.card.shape.unread(value)):
            columns.unread[row.row, part] = unread
        columns.abilities.append(ability)
        columns.tags.append(tags)
        columns.groups.append(group)
        return None

    def _group(self, row: Any, value: Any, path: str) -> str | None:
        found = find(row, path)
        found = find(value, path) if found is MISSING else found
        return None if found is MISSING or found is None else str(found)


def identify(made: Conversation) -> tuple[bytes, bytes]:
    """The digest that is a conversation's id, and that of it exactly as written, reasoning and tools included.

    Raises:
        BadRow: D304 for half a surrogate pair, which no UTF-8 file can hold; JSON kept in a text can bring one.
    """
    plain = made.reasoning is None and made.tools is None
    digest = hashlib.blake2b(digest_size=16)
    for number, (role, content) in enumerate(made.messages):
        try:
            data, whole = counted(role, content)
        except UnicodeEncodeError:
            raise BadRow("D304", f"messages[{number}]", f"turn {number} holds half a surrogate pair.") from None
        plain = plain and whole
        digest.update(data)
    if plain:
        return digest.digest(), digest.digest()
    return digest.digest(), exact_digest(made)


def _parts(value: Any, path: str, each: str, around: dict[str, Any] | None = None) -> Iterator[Any]:
    """One row as many: each element of the list at `path`, with the other fields of all that it lies in around it.

    Args:
        value: the row, or an element of it.
        path: to the list from there; steps behind a `*` are taken from every element.
        each: the whole path, which names an element that has no fields.
        around: fields of what `value` lies in; the nearer ones win.

    Yields:
        Records' rows, and a `BadRow` for an element from which the path leads no further.

    Raises:
        BadRow: the row itself has no such list.
    """
    here, deeper = _first_list(path)
    elements = list_at(value, here)
    fields = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
    left_out = here.removesuffix(".*")
    rest = {**(around or {}), **{str(key): kept for key, kept in fields.items() if str(key) != left_out}}
    for number, element in enumerate(elements):
        if not deeper:
            yield {**rest, **element} if isinstance(element, dict) else {**rest, each: element}
            continue
        try:
            yield from _parts(element, deeper, each, rest)
        except BadRow as bad:
            yield BadRow(bad.code, f"{left_out}.{number}.{bad.field}", bad.reason)


@cache
def _first_list(path: str) -> tuple[str, str]:
    """A path up to its first `*`, that included, and what stands behind it: nothing if the `*` is its end."""
    steps = path.split(".")
    end = steps.index("*") + 1 if "*" in steps else len(steps)
    return ".".join(steps[:end]), ".".join(steps[end:])


def _preferring(value: Any, column: str) -> dict[str, Any]:
    """A row with its preferred side at `chosen`."""
    need_object(value)
    side = find(value, column)
    if side is MISSING:
        raise BadRow("D310", column, f"field `{column}` is missing, and it is the preferred side.")
    return {**value, "chosen": side}


def _wanted(value: Any, where: dict[str, Any]) -> bool:
    """Whether a row has every value that the card asks for; a list of values means any of them."""
    for path, wanted in where.items():
        found = find(value, path)
        if found is MISSING or found not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    return True


def _too_deep() -> BadRow:
    return BadRow(
        "D312", "", f"a field is nested more than {NESTED_JSON} deep, so that it cannot be kept as JSON text."
    )


def _reject(row: Row, part: int | None, value: Any, bad: BadRow) -> Reject:
    try:
        raw = value if isinstance(value, str) else orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        raw = _written(value)
    if len(raw) > RAW_LIMIT:
        raw = f"{raw[:RAW_LIMIT]}… ({len(raw):,} characters of {kind_of(value)})"
    return Reject(row.row, part, row.byte, "shaping", bad.code, bad.field, bad.reason, raw)


def _written(value: Any) -> str:
    """A row that JSON cannot hold, or that is too deep to be written out."""
    try:
        return repr(value)
    except RecursionError:
        return f"({kind_of(value)} nested too deep to be written out)"


def rejects_table(rejects: list[Reject], source: str, file: str) -> pa.Table:
    """Rejects as a table with the columns of `doit.table.REJECTS`."""
    rows = [{"source": source, "file": file, **reject._asdict()} for reject in rejects]
    return pl.DataFrame(rows, schema=pl.Schema(REJECTS)).to_arrow().cast(REJECTS)
