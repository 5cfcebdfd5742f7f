"""Rows of tab- and comma-separated text, every value as the text that it is.

Between tabs nothing is quoted: a `"` is a character, and a line is a row. Between other delimiters quotes are those of
RFC 4180: doubled inside, line breaks allowed. A field that does not begin with a quote may hold quotes as characters.

A row over several lines counts only if it parses and has the right number of columns. Otherwise its first line alone is
bad and reading goes on at the next, so that an unclosed quote cannot swallow the rows after it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from doit.errors import SpecError
from doit.reading.containers import undecodable
from doit.reading.raw import BATCH_ROWS, CHUNK_BYTES, Bad, Batch, Batches, Layout, Row, too_long
from doit.reading.text import Block, Broken, Text, line_blocks, not_utf8

LOOKAHEAD_LINES = 10_000
LOOKAHEAD_BYTES = 16 << 20
_READY_BYTES = 64 << 10
_EMPTY_LINES = re.compile(rb"(?:\r?\n)*+")
_QUOTED = re.compile(r'"((?:[^"]++|"")*+)"')


_Line = tuple[int, bytes, int]
"""Offset, bytes, and 0 or the whole length of a line over `LINE_BYTES`."""


class _Lines:
    """Lines to come, any number of which can be looked at before they are taken."""

    def __init__(self, text: Text) -> None:
        self._blocks = line_blocks(text)
        self._ready: deque[_Line] = deque()
        self._block = Block(0, b"", 0)
        self._at = 1
        """Where the lines of the block that are not ready begin; behind its end where all are."""
        self._broken: Broken | None = None

    def peek(self, index: int) -> _Line | None:
        while len(self._ready) <= index and self._more():
            pass
        return self._ready[index] if index < len(self._ready) else None

    def _more(self) -> bool:
        """Make more lines ready, without empty ones where no row can be open; False at the end."""
        if self._at > len(self._block.data):
            try:
                block = next(self._blocks, None) if self._broken is None else None
            except Broken as broken:
                self._broken = broken
                return False
            if block is None:
                return False
            self._block, self._at = block, 0
        byte, data, length = self._block
        if not self._ready and (empty := _EMPTY_LINES.match(data, self._at)):
            self._at = empty.end()
        start = self._at
        end = data.find(b"\n", start + _READY_BYTES)
        end = len(data) if end < 0 else end
        for line in data[start:end].split(b"\n"):
            self._ready.append((byte + start, line, length))
            start += len(line) + 1
        self._at = start
        return True

    def take(self, count: int) -> None:
        for _ in range(count):
            self._ready.popleft()

    def check(self) -> None:
        """Raise what ended the text early, once every line before it has been taken."""
        if self._broken is not None:
            raise self._broken


class _Record(NamedTuple):
    """A row on one or more lines: its text, how many lines it took, and its fields or why it has none."""

    line: _Line
    data: bytes
    lines: int
    fields: list[str]
    wrong: tuple[str, str, str | None] | None = None
    """Code, reason and field."""


def delimiter_of(text: Text, layout: Layout) -> str:
    """The delimiter that the layout declares or the name of the file implies: a tab for .tsv and .tab, else a comma."""
    if layout.delimiter is not None:
        if layout.delimiter in {"", '"', "\n", "\r", "\r\n"}:
            raise SpecError("D204", f"{layout.delimiter!r} cannot separate columns.", where="delimiter")
        return layout.delimiter
    name = text.name.lower()
    if name.endswith((".tsv", ".tab")):
        return "\t"
    first = text.head(64 << 10).partition(b"\n")[0]
    return "\t" if not name.endswith(".csv") and b"\t" in first else ","


def delimited_rows(text: Text, layout: Layout, first: int) -> Batches:
    """Rows of a delimited text: dicts from column name to text.

    Without `layout.columns` the first row names the columns. A column without a name is called `column_<position>`,
    from 0. Where a name comes again no row is read, for nobody can tell which of the columns is meant. The layout may
    name them, with `_2`, `_3` and so on behind the name that comes again; the first row still counts as a header then.

    Args:
        text: read to its end.
        layout: its `columns` and `delimiter`.
        first: the number of the first row.

    Yields:
        Batches, in file order.
    """
    delimiter = delimiter_of(text, layout)
    if bad := undecodable(text) or _lone_returns(text):
        yield [bad]
        return
    lines = _Lines(text)
    columns = layout.columns
    header = _next_record(lines, delimiter, len(columns) if columns else None)
    if header is None:
        lines.check()
        return
    if columns is None:
        if header.wrong is not None:
            why = header.wrong[1] or text.undecoded(header.data)
            reason = f"the header cannot be read, so no row has columns: {why}"
            yield [text.bad(None, header.line[0], header.wrong[0], reason, header.data)]
            return
        lines.take(header.lines)
        columns = _column_names(header.fields)
        if (twice := _repeated_name(header.fields)) is not None:
            names = ", ".join(columns)
            reason = f"two columns are called {twice!r}; tell them apart: `columns: [{names}]`, in this order."
            yield [text.bad(None, header.line[0], "D302", reason, header.data, field=twice)]
            return
    elif header.wrong is None and columns in (_stripped(header.fields), _column_names(header.fields)):
        lines.take(header.lines)
    yield from _rows(text, lines, delimiter, columns, first)
    lines.check()


def _rows(text: Text, lines: _Lines, delimiter: str, columns: tuple[str, ...], row: int) -> Batches:
    exact, quoting = text.encoding is None, delimiter != "\t"
    batch: Batch = []
    size = 0
    while (line := lines.peek(0)) is not None:
        byte, data, length = line
        fields = None if length or (quoting and b'"' in data) else _plain_fields(data, delimiter)
        if fields is not None and len(fields) == len(columns):
            lines.take(1)
            batch.append(Row(row, byte if exact else None, dict(zip(columns, fields, strict=True))))
        elif record := _next_record(lines, delimiter, len(columns)):
            lines.take(record.lines)
            batch.append(_outcome(text, record, columns, row))
            data = record.data
        else:
            break
        row += 1
        size += len(data)
        if len(batch) >= BATCH_ROWS or size >= CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _plain_fields(data: bytes, delimiter: str) -> list[str] | None:
    """The fields of a line in which nothing is quoted, as in most lines; None for a blank or an undecodable one."""
    try:
        text = data.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError:
        return None
    return text.split(delimiter) if text else None


def _outcome(text: Text, record: _Record, columns: tuple[str, ...], row: int) -> Row | Bad:
    byte, _, length = record.line
    if record.wrong is None:
        return Row(row, text.place(byte), dict(zip(columns, record.fields, strict=True)))
    code, reason, field = record.wrong
    reason = reason or text.undecoded(record.data)
    return text.bad(row, byte, code, reason, record.data, field=field, total=length or None)


def _next_record(lines: _Lines, delimiter: str, columns: int | None) -> _Record | None:
    """The next row, still to be taken; blank lines before it are taken."""
    while (line := lines.peek(0)) is not None and line[1] in (b"", b"\r"):
        lines.take(1)
    if line is None:
        return None
    _, data, length = line
    if length:
        return _Record(line, data, 1, [], ("D308", too_long("line", length), None))
    data = data.removesuffix(b"\r")
    text = _decoded(data)
    if delimiter == "\t" or '"' not in text:
        return _checked(line, data, 1, text.split(delimiter), columns)
    fields = split_quoted(text, delimiter)
    if isinstance(fields, list):
        return _checked(line, data, 1, fields, columns)
    if fields == "open" and (record := _over_lines(lines, line, delimiter, columns)):
        return record
    what = "a quote is never closed" if fields == "open" else f"text after a closing quote, at character {fields:,}"
    return _Record(line, data, 1, [], ("D307", f"{what}; the row is this line alone.", None))


def _over_lines(lines: _Lines, line: _Line, delimiter: str, columns: int | None) -> _Record | None:
    """The row that begins with an open quote, if the line that closes it makes it one; None if nothing does.

    Inside a quoted field a line leaves the quote open exactly if it holds an even number of quotes.
    """
    parts, size = [line[1]], len(line[1])
    for index in range(1, LOOKAHEAD_LINES):
        following = lines.peek(index)
        if following is None or following[2] or size + len(following[1]) > LOOKAHEAD_BYTES:
            return None
        parts.append(following[1])
        size += len(following[1]) + 1
        if following[1].count(b'"') % 2 == 0:
            continue
        data = b"\n".join(parts).removesuffix(b"\r")
        fields = split_quoted(_decoded(data), delimiter)
        if not isinstance(fields, list) or (columns is not None and len(fields) != columns):
            return None
        return _checked(line, data, len(parts), fields, columns)
    return None


def _checked(line: _Line, data: bytes, lines: int, fields: list[str], columns: int | None) -> _Record:
    """A record whose fields are decoded and counted."""
    if not_utf8(data):
        return _Record(line, data, lines, [], ("D303", "", None))
    if columns is not None and len(fields) != columns:
        reason = f"the row has {len(fields):,} columns where {columns:,} are named."
        return _Record(line, data, lines, [], ("D306", reason, f"{len(fields)} of {columns} columns"))
    return _Record(line, data, lines, fields)


def _decoded(data: bytes) -> str:
    """Text in which delimiters and quotes can be found even where other bytes are wrong."""
    return data.decode("utf-8", "surrogateescape")


def split_quoted(text: str, delimiter: str) -> list[str] | str | int:
    """The fields of one row between which quotes may protect delimiters.

    Returns:
        The fields; `open` where the last quote is not closed; or where, as a 1-based character, text follows a closing
        quote.
    """
    fields: list[str] = []
    at = 0
    while True:
        if text.startswith('"', at):
            match = _QUOTED.match(text, at)
            if match is None:
                return "open"
            fields.append(match[1].replace('""', '"'))
            at = match.end()
        else:
            end = text.find(delimiter, at)
            end = len(text) if end < 0 else end
            fields.append(text[at:end])
            at = end
        if at == len(text):
            return fields
        if not text.startswith(delimiter, at):
            return at + 1
        at += len(delimiter)


def _stripped(header: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in header)


def _repeated_name(header: Sequence[str]) -> str | None:
    names = [name for name in _stripped(header) if name]
    return next((name for at, name in enumerate(names) if name in names[:at]), None)


def _column_names(header: Sequence[str]) -> tuple[str, ...]:
    """A name for every column, none of them twice; a name that the header uses elsewhere is not made up."""
    names: list[str] = []
    for position, given in enumerate(header):
        stem = given.strip() or f"column_{position}"
        name, times = stem, 1
        while name in names or (name != given.strip() and name in header):
            times += 1
            name = f"{stem}_{times}"
        names.append(name)
    return tuple(names)


def _lone_returns(text: Text) -> Bad | None:
    """The file as a whole, if carriage returns end its lines: it would be one long header and no rows."""
    head = text.head(CHUNK_BYTES)
    if b"\n" in head or b"\r" not in head.strip():
        return None
    reason = "the lines end in a lone carriage return; save the file with line feeds."
    return text.bad(None, text.start, "D308", reason, head)
