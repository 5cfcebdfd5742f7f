"""From the rows of one file to records: shape, labels and identity. Bad rows become rejects, nothing is lost.

Language is not told here: it is a decision of its own (`doit.curation.language.telling`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

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
from doit.schemas.abilities import ABILITIES, OTHER, clean_label, fold_label
from doit.schemas.card import AbilityRule, DatasetCard
from doit.schemas.record import counted
from doit.schemas.shapes import BadRow, Conversation
from doit.schemas.shapes.base import MISSING, check_order, find, is_key, kind_of, list_at, need_object
from doit.table import MESSAGES, REJECTS

RAW_LIMIT = 65_536
"""Characters of a rejected row that are kept."""
NESTED_JSON = 254
"""How deep a value may be nested that a record keeps as JSON text, such as tools: orjson writes no more."""
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


def read_records(path: Path, card: DatasetCard, span: tuple[int, int] | None = None) -> Iterator[Batch]:
    """Read one file with its card, batch by batch, in file order.

    Args:
        path: the file.
        card: its dataset card.
        span: a stretch of `doit.reading.rows.spans`, whose rows are then numbered from 0; None = the whole file.

    Yields:
        Batches in which every row is a record (or several), a reject, or left out by `where`.
    """
    shaper = _Shaper(card, path.stem)
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
        pairs = pa.StructArray.from_arrays([_texts(self.roles), _texts(self.contents)], ["role", "content"])
        arrays = [
            hex_texts(b"".join(self.ids)),
            digests_array(b"".join(self.written)),
            pa.ListArray.from_arrays(integers(np.array(self.offsets, np.int32)), pairs),
            _text_lists(self.reasoning),
            _texts(self.tools),
            _texts(self.abilities),
            _text_lists(self.tags),
            integers(np.array(self.rows, np.int64)),
            integers(np.array(self.parts, np.int32)),
            _texts(self.groups),
            integers(np.array(self.turns, np.int32)),
            integers(np.array(self.chars, np.int32)),
        ]
        return pa.Table.from_arrays(arrays, schema=FRESH)


def _texts(values: Sequence[str | None]) -> pa.Array:
    return pl.Series(values, dtype=pl.String).to_arrow().cast(pa.string())


def _text_lists(values: Sequence[Sequence[str | None] | None]) -> pa.Array:
    return pl.Series(values, dtype=pl.List(pl.String)).to_arrow().cast(pa.list_(pa.string()))


class _Shaper:
    """Turns rows into records by one card."""

    def __init__(self, card: DatasetCard, stem: str) -> None:
        self.card = card
        self.labels = _Labels(card, stem)
        whole = card.each is None and card.where is None and card.preference is None and card.group is None
        flat = card.shape.flat() if whole else None
        self.flat = flat if flat is not None and all(is_key(key) for key in flat.keys) else None
        self.empties = None if self.flat is None else empties_of(card.shape, self.flat)

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
            return Batch(table, columns.rejects, columns.left_out, columns.unknown, read.stop)
        numbers = (row.row for row in reversed(rows) if row.row is not None)
        return Batch(table, columns.rejects, columns.left_out, columns.unknown, next(numbers, -1) + 1)

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
        try:
            values = [row.value] if self.card.each is None else list(_parts(row.value, self.card.each))
        except BadRow as bad:
            columns.rejects.append(_reject(row, None, row.value, bad))
            return
        part = 0
        for value in values:
            for made in self._made(value):
                wrong = made if isinstance(made, BadRow) else self._take_part(row, part, value, made, columns)
                if wrong is not None:
                    columns.rejects.append(_reject(row, part, value, wrong))
                part += 1

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
        columns.abilities.append(ability)
        columns.tags.append(tags)
        columns.groups.append(group)
        return None

    def _group(self, row: Any, value: Any, path: str) -> str | None:
        found = find(row, path)
        found = find(value, path) if found is MISSING else found
        return None if found is MISSING or found is None else str(found)


class _Labels:
    """A record's ability and native labels, by the card's rule."""

    def __init__(self, card: DatasetCard, stem: str) -> None:
        self.rule: AbilityRule | None = card.ability
        self.scheme = (self.rule.scheme if self.rule else None) or card.name
        self.stem = stem.rsplit("_", 1)[0]
        plain = {fold_label(key): key for key in (*ABILITIES, OTHER)}
        given = None if self.rule is None else self.rule.map
        self.map = plain if given is None else {fold_label(label): key for label, key in given.items()}
        self.seen: dict[str, tuple[str | None, str]] = {}

    def columns(self, count: int, rows: Iterable[Row], unknown: Counter[str]) -> tuple[pa.Array, pa.Array]:
        """`of` for many rows, as Arrow columns; looks at the rows only where the rule does."""
        if self.rule is None or self.rule.constant is not None:
            constant = None if self.rule is None else self.rule.constant
            nothing = pa.ListArray.from_arrays(integers(np.zeros(count + 1, np.int32)), _texts([]))
            return pl.repeat(constant, count, dtype=pl.String, eager=True).to_arrow().cast(pa.string()), nothing
        found = [self.of(row.value, unknown) for row in rows]
        return _texts([ability for ability, _ in found]), _text_lists([tags for _, tags in found])

    def of(self, row: Any, unknown: Counter[str]) -> tuple[str | None, list[str]]:
        """(ability, tags) of a row; counts a label that the map lacks."""
        if self.rule is None:
            return None, []
        if self.rule.constant is not None:
            return self.rule.constant, []
        value = self.stem if self.rule.field is None else find(row, self.rule.field)
        if value is MISSING or value is None or value == "":
            return None, []
        labels = value if isinstance(value, list) else [value]
        found = [self._one(str(label)) for label in labels]
        for ability, label in found:
            if ability is None:
                unknown[label] += 1
        first = next((ability for ability, _ in found if ability is not None), None)
        if self.rule.field is None or self.rule.map is None:
            found = [pair for pair in found if pair[0] is None]
        return first, [f"{self.scheme}:{label}" for _, label in found]

    def _one(self, label: str) -> tuple[str | None, str]:
        known = self.seen.get(label)
        if known is None:
            known = self.seen[label] = (self.map.get(fold_label(label)), clean_label(label))
        return known


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


def _parts(value: Any, path: str) -> Iterator[Any]:
    """One row as many: each element of the list at `path`, with the row's other fields around it."""
    elements = list_at(value, path)
    fields = dict(enumerate(value)) if isinstance(value, list) else value
    rest = {str(key): kept for key, kept in fields.items() if str(key) != path}
    for element in elements:
        yield {**rest, **element} if isinstance(element, dict) else {**rest, path: element}


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
