"""Rows of JSON: lines, the elements of an array, the values of an object, what a path leads to, or the whole file.

An array is never parsed as a whole. `doit.reading.json_pieces` cuts it at the commas between its elements, so that a
broken element costs itself alone, and memory holds a chunk of the file whatever its size and whatever it is packed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import orjson

from doit.reading.cut_lines import CutRows, cut_block
from doit.reading.json_pieces import Piece, Sound, Stretch, odd_quotes, pieces
from doit.reading.json_values import begins_with_several, json_values, line_values, over_lines
from doit.reading.raw import BATCH_ROWS, CHUNK_BYTES, DOCUMENT_BYTES, Bad, Batch, Batches, Row, too_long
from doit.reading.text import Block, Text, line_blocks, not_utf8
from doit.schemas.repeated_keys import repeated_key

_BLANK = b" \t\r\n"
_FIRST_BYTES = 16 << 20
"""How far the end of the first line is looked for."""
_PYTHON = re.compile(r"(?:True|False|None)\b|'")
_NOT_A_NUMBER = re.compile(r"-?(?:NaN|Infinity)\b")
_POSITION = re.compile(r"-?[0-9]{1,9}")
_REASONS = {
    "surrogate": "half a surrogate pair in a string",
    "end of data": "the text ends too early",
    "after document": "a second value where the row should end",
    "depth": "nested more than 1,024 deep",
    "infinity": "a number beyond 64 bits of floating point",
}
"""Part of orjson's message -> ours."""
_SHUT = {b"{": b"}", b"[": b"]"}


def json_rows(text: Text, rows: str, first: int) -> Batches:
    """Rows of a JSON text.

    Args:
        text: read to its end.
        rows: as in `Layout.rows`; `auto` lets the content decide.
        first: the number of the first row.

    Yields:
        Batches, in file order.
    """
    way = _way(text) if rows == "auto" else rows
    if way == "lines":
        return _line_rows(text, first)
    if way == "concatenated":
        return _value_rows(text, first)
    if way in {"array", "values"}:
        return _piece_rows(text, first, b"[" if way == "array" else b"{")
    return _document_rows(text, None if way == "file" else way, first, by_hand=rows != "auto")


def cut_json_rows(text: Text, rows: str, first: int) -> Iterator[Batch | CutRows]:
    """The same rows; those of lines that are alike as columns."""
    return _cut_rows(text, first) if reads_lines(text, rows) else json_rows(text, rows, first)


def reads_lines(text: Text, rows: str) -> bool:
    """Whether `json_rows` takes a text line by line; consumes nothing."""
    return (_way(text) if rows == "auto" else rows) == "lines"


def whole_value(data: bytes) -> Any:
    """The JSON value that the bytes are, or None where they are no JSON, or null."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def first_lines(text: Text) -> list[bytes]:
    """The first lines that are not blank, up to 100, none of them cut; empty if the first is over `_FIRST_BYTES`."""
    size = 64 << 10
    while True:
        head = text.head(size)
        ended = len(head) < size
        lines = head.split(b"\n")
        if not ended:
            lines.pop()
        lines = [line.strip() for line in lines if line.strip()]
        if ended or len(lines) > 1 or size >= _FIRST_BYTES:
            return lines[:100]
        size *= 4


def _way(text: Text) -> str:
    """How a text keeps its rows: `lines`, `array`, `concatenated` or `file`."""
    lines = first_lines(text)
    opening = lines[0][:1] if lines else text.head(CHUNK_BYTES).strip()[:1]
    if opening == b"[":
        if not lines or len(lines) == 1 or not _row_like(lines[0]):
            return "array"
        follows = lines[1][:1] in b"[{"
        complete = whole_value(lines[0]) is not None
        return "lines" if follows and (complete or whole_value(lines[1]) is not None) else "array"
    return _way_of_objects(text, lines) if opening == b"{" else "lines"


def _way_of_objects(text: Text, lines: list[bytes]) -> str:
    """The same for a text that begins with an object; `lines` as of `first_lines`."""
    broken = not all(isinstance(whole_value(line), dict) for line in lines)
    if broken and (over_lines(text) or (len(lines) == 1 and begins_with_several(lines[0]))):
        return "concatenated"
    if len(lines) < 2 or text.name.lower().endswith((".jsonl", ".ndjson")) or whole_value(lines[0]) is not None:
        return "lines"
    head = text.head(CHUNK_BYTES)
    if len(head) < CHUNK_BYTES and whole_value(head) is not None:
        return "file"
    return "lines" if 2 * sum(map(_row_like, lines)) >= len(lines) else "file"


def _row_like(line: bytes) -> bool:
    return _SHUT.get(line[:1]) == line[-1:]


def _line_rows(text: Text, row: int) -> Batches:
    for block in line_blocks(text):
        for batch in _parsed(text, row, block):
            yield batch
            row += len(batch)


def _parsed(text: Text, row: int, block: Block) -> Batches:
    """The rows of a block, each parsed by itself."""
    batch: Batch = []
    for part in block.filled():
        byte = part.byte
        for line in part.lines():
            read = _read_line(text, row, byte, line, part.length)
            if isinstance(read, list):
                batch += read
                row += len(read)
            else:
                batch.append(read)
                row += 1
            if len(batch) >= BATCH_ROWS:
                yield batch
                batch = []
            byte += len(line) + 1
    if batch:
        yield batch


def _read_line(text: Text, row: int, byte: int, line: bytes, length: int = 0) -> Row | Bad | Batch:
    """The row of one line, or those of one that is blank, and so none, or that holds several objects."""
    if length:
        return text.bad(row, byte, "D308", too_long("line", length), line, total=length)
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not line.strip(_BLANK):
            return []
        if several := line_values(line) if "after document" in error.msg else []:
            return [_sound(text, row + at, byte + found.byte, found) for at, found in enumerate(several)]
        return text.bad(row, byte, *explain(text, line, error), line.rstrip(b"\r"))
    key = repeated_key(line, value) if isinstance(value, dict | list) else None
    return Row(row, text.place(byte), value) if key is None else _repeated(text, row, byte, line, key)


def _cut_rows(text: Text, row: int) -> Iterator[Batch | CutRows]:
    for block in line_blocks(text):
        cut = None if block.length else cut_block(block.data)
        if cut is None:
            for batch in _parsed(text, row, block):
                yield batch
                row += len(batch)
            continue
        counts = np.ones(len(cut.mask), np.int64)
        before = np.cumsum(cut.mask)
        others: Batch = []
        for at in np.flatnonzero(~cut.mask).tolist():
            start, end = cut.starts[at], cut.ends[at]
            number = row + int(before[at]) + len(others)
            read = _read_line(text, number, block.byte + int(start), block.data[start:end])
            found = read if isinstance(read, list) else [read]
            counts[at] = len(found)
            others += found
        numbers = row - 1 + np.cumsum(counts)
        row = int(numbers[-1]) + 1
        offsets = block.byte + cut.starts[cut.mask]
        yield CutRows(numbers[cut.mask], offsets, text.encoding is None, cut.columns, cut.pattern, others, row)


def _sound(text: Text, row: int, byte: int, found: Sound) -> Row | Bad:
    key = repeated_key(found.data, found.value) if isinstance(found.value, dict | list) else None
    return Row(row, text.place(byte), found.value) if key is None else _repeated(text, row, byte, found.data, key)


def _value_rows(text: Text, row: int) -> Batches:
    """Values that follow one another, each parsed alone."""
    batch: Batch = []
    size = 0
    for found in json_values(text):
        if isinstance(found, Stretch):
            batch.append(text.bad(row, found.byte, "D308", found.reason, found.data, total=found.total))
        elif isinstance(found, Sound):
            batch.append(_sound(text, row, found.byte, found))
        else:
            batch.append(text.bad(row, found.byte, *_broken(text, found.data), found.data))
        row += 1
        size += len(found.data)
        if len(batch) >= BATCH_ROWS or size >= CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _broken(text: Text, data: bytes) -> tuple[str, str]:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return explain(text, data, error)
    raise AssertionError("what parses is no broken value")


def _repeated(text: Text, row: int | None, byte: int, data: bytes, key: str) -> Bad:
    shown = key[:64]
    reason = f"the key {shown!r} stands twice in one object, so that one of its values would be lost."
    return text.bad(row, byte, "D302", reason, data, field=shown)


def explain(source: Text, data: bytes, error: orjson.JSONDecodeError) -> tuple[str, str]:
    """The code and the reason for a text that orjson refused."""
    if not_utf8(data):
        return "D303", source.undecoded(data)
    text = data.decode("utf-8")
    code, said = _told(error.msg)
    if match := _NOT_A_NUMBER.match(text, max(error.pos - 1, 0)) or _NOT_A_NUMBER.match(text, error.pos):
        said = f"{match[0]} is no JSON value"
    elif match := _PYTHON.match(text, error.pos):
        said = f"{match[0]} is Python's spelling, not JSON's"
    return code, f"{said}, at character {error.pos + 1:,} of the row."


@cache
def _told(message: str) -> tuple[str, str]:
    """The code and our words for one of orjson's messages, of which there are few."""
    said = next((ours for theirs, ours in _REASONS.items() if theirs in message), message)
    return "D304" if "surrogate" in message else "D302", said


def _piece_rows(text: Text, row: int, opener: bytes) -> Batches:
    """Elements of an array, or values of an object: each parsed alone.

    After a broken piece with a quote out of place, strings may be taken for structure and structure for strings. What
    is then sound but holds no string, such as `[1, 2]` out of the middle of a text, is not believed to be a row.
    Commas that follow one another without an element between them are one `Bad`.
    """
    batch: Batch = []
    size, doubt, gap, exact = 0, False, False, text.encoding is None
    for piece in pieces(text, opener):
        if isinstance(piece, Stretch):
            batch.append(text.bad(None, piece.byte, "D308", piece.reason, piece.data, total=piece.total))
            break
        data = piece.data
        if not data:
            if not gap:
                batch.append(text.bad(None, piece.byte, "D302", "a comma with no element before or after it."))
            gap = True
            continue
        gap = False
        try:
            value, key = _element(piece) if opener == b"[" else _member(data)
        except orjson.JSONDecodeError as error:
            batch.append(text.bad(row, piece.byte, *explain(text, data, error), data))
            doubt = doubt or odd_quotes(data)
        else:
            if doubt and b'"' not in data:
                reason = "this stands after a row whose quotes do not pair, and may be a part of its text."
                batch.append(text.bad(row, piece.byte, "D302", reason, data))
            elif key is not None:
                batch.append(_repeated(text, row, piece.byte, data, key))
            else:
                batch.append(Row(row, piece.byte if exact else None, value))
                doubt = False
        row += 1
        size += len(data)
        if len(batch) >= BATCH_ROWS or size >= CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _element(piece: Piece | Sound) -> tuple[Any, str | None]:
    """The value of one element, and a key that it holds twice."""
    value = piece.value if isinstance(piece, Sound) else orjson.loads(piece.data)
    return value, repeated_key(piece.data, value)


def _member(data: bytes) -> tuple[Any, str | None]:
    """The value of one `"key": value`, and a key that it holds twice."""
    whole = b"{%b}" % data
    try:
        held = orjson.loads(whole)
        (value,) = held.values()
    except ValueError as error:
        if isinstance(error, orjson.JSONDecodeError):
            raise orjson.JSONDecodeError(error.msg, error.doc, max(error.pos - 1, 0)) from error
        raise orjson.JSONDecodeError("no key and value", "", 0) from error
    return value, repeated_key(whole, held)


def _document_rows(text: Text, path: str | None, row: int, *, by_hand: bool) -> Batches:
    """The whole file as one row, or the rows that a path leads to; a file that is no JSON has none."""
    parts: list[bytes] = []
    size = 0
    for chunk in text:
        parts.append(chunk)
        size += len(chunk)
        if size > DOCUMENT_BYTES:
            reason = f"the file is over {DOCUMENT_BYTES:,} bytes, the most that is parsed as a whole."
            yield [text.bad(None, text.start, "D308", reason, parts[0], total=size)]
            return
    data = b"".join(parts)
    del parts
    if not data.strip(_BLANK):
        return
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        number = row if path is None and by_hand else None
        yield [text.bad(number, text.start, *explain(text, data, error), data)]
        return
    if (key := repeated_key(data, value)) is not None:
        yield [_repeated(text, row if path is None else None, text.start, data, key)]
        return
    del data
    found = iter([Row(row, text.place(text.start), value)]) if path is None else _at_path(text, value, path, row)
    while batch := list(islice(found, BATCH_ROWS)):
        yield batch


def _at_path(text: Text, value: Any, path: str, row: int) -> Iterator[Row | Bad]:
    steps = path.split(".")
    for where, found in _walk(value, steps, ""):
        if isinstance(found, _Missing):
            yield text.bad(None, None, "D305", f"`{path}` leads nowhere at `{where}`: {found.why}.", field=where)
        elif steps[-1] != "*" and isinstance(found, list):
            for element in found:
                yield Row(row, None, element)
                row += 1
        else:
            yield Row(row, None, found)
            row += 1


class _Missing(NamedTuple):
    why: str


def _walk(value: Any, steps: list[str], where: str) -> Iterator[tuple[str, Any]]:
    """What the steps lead to, each with the path that was taken; or why they lead nowhere."""
    if not steps:
        yield where, value
        return
    step, later = steps[0], steps[1:]
    if step == "*" and isinstance(value, (list, dict)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _walk(inner, later, f"{where}.{key}".lstrip("."))
    elif isinstance(value, dict) and step in value:
        yield from _walk(value[step], later, f"{where}.{step}".lstrip("."))
    elif isinstance(value, list) and _POSITION.fullmatch(step) and -len(value) <= int(step) < len(value):
        yield from _walk(value[int(step)], later, f"{where}.{step}".lstrip("."))
    else:
        place = f"{where}.{step}".lstrip(".")
        held = isinstance(value, (dict, list)) and step != "*"
        yield place, _Missing("there is no such entry" if held else "what should hold it is no object and no list")
