r"""JSON values that follow one another with nothing between them but blanks, each on one line or over several.

Such a text is cut before every `{` that begins a line, or that follows a `}` which does. A line break cannot stand
inside a string, and inside a value a comma stands before such a `{`; so what lies between two cuts and parses is a
value, whatever is broken before it. A value is looked for over a cut only where brackets are still open there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise

import orjson

from doit.reading.json_pieces import MORE, UNPAIRED, Piece, Sound, Stretch, value_end
from doit.reading.raw import CHUNK_BYTES, LINE_BYTES, too_long
from doit.reading.text import Broken, Text, line_blocks

_BLANK = b" \t\r\n"
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_CUT = re.compile(rb"\n(?:\}[ \t]*+)?+(?=\{)")
_TRIED = 200
"""How many values at the start of a text may tell that they stand over lines."""


def over_lines(text: Text) -> bool:
    """Whether one of the first values of a text stands over several lines; consumes nothing."""
    head = text.head(CHUNK_BYTES)
    segments = _segments(head)
    if len(head) == CHUNK_BYTES:
        segments.pop()
    return any(b"\n" in held and _is_object(held) for held in (each.strip(_BLANK) for each in segments[:_TRIED]))


def line_values(line: bytes) -> list[Sound]:
    """The objects on a line, with their offsets in it; none if anything else stands between or behind them."""
    cutter = _Cutter(0)
    found = list(cutter.take(line))
    values = [value for value in found if isinstance(value, Sound) and isinstance(value.value, dict)]
    return values if len(values) == len(found) and not cutter.open else []


def begins_with_several(line: bytes) -> bool:
    """Whether an object stands on a line, and another begins behind it."""
    cutter = _Cutter(0)
    found = list(islice(cutter.take(line), 2))
    first, behind = found[:1], [part.data for part in found[1:]] + cutter.open
    holds = first and isinstance(first[0], Sound) and isinstance(first[0].value, dict)
    return bool(holds) and any(part.startswith(b"{") for part in behind)


def json_values(text: Text) -> Iterator[Sound | Piece | Stretch]:
    """The values of a text, in order.

    Args:
        text: read to its end.

    Yields:
        Values as `Sound`, what is broken as `Piece`, and what is too long as `Stretch`: of each of these, that alone.

    Raises:
        Broken: the text ends early; its `args` then hold what is unfinished.
    """
    cutter = _Cutter(text.start)
    rest = b""
    try:
        for block in line_blocks(text):
            if block.length:
                yield from cutter.end(rest)
                yield Stretch(block.byte, too_long("line", block.length), block.data, block.length)
                cutter, rest = _Cutter(block.byte + block.length + 1), b""
                continue
            *whole, rest = _segments(rest + block.data + b"\n")
            for segment in whole:
                yield from cutter.take(segment)
            if len(rest) > LINE_BYTES:
                yield from cutter.take(rest)
                rest = b""
    except Broken as broken:
        reason, data, byte = broken.args
        yield from cutter.take(rest)
        open_at = cutter.start if cutter.open else byte
        raise Broken(reason, b"".join(cutter.open) + data, open_at) from broken
    yield from cutter.end(rest)


class _Cutter:
    """Takes segments in their order, and gives values."""

    def __init__(self, byte: int) -> None:
        self.open: list[bytes] = []
        """The beginning of a value whose end has not come."""
        self.start = self._byte = byte
        """Offsets: of what is open, and of the segment to come."""
        self._stack: list[int] = []
        self._size = 0

    def take(self, segment: bytes) -> Iterator[Sound | Piece | Stretch]:
        """The values that end in a segment, and what is open where the next value begins."""
        if self.open and _is_object(segment):
            yield self._unclosed()
        at = 0
        while self.open or (at := _filled(segment, at)) < len(segment):
            if not self.open:
                self.start = self._byte + at
            opened = self.open or segment[at] in b"{["
            end = value_end(segment, at, self._stack) if opened else UNPAIRED
            if end == MORE:
                self.open.append(segment[at:])
                self._size += len(segment) - at
                if self._size > LINE_BYTES:
                    reason, size = too_long("row", self._size), self._size
                    yield Stretch(self.start, reason, self._unclosed().data, size)
                break
            end = len(segment) if end == UNPAIRED else end
            data = b"".join((*self.open, segment[at:end])).rstrip(_BLANK)
            self._forget()
            yield _value(self.start, data)
            at = end
        self._byte += len(segment)

    def end(self, segment: bytes) -> Iterator[Sound | Piece | Stretch]:
        """The last values. An object behind a comma, or what else may stand before an element, stays what it is."""
        if self.open and self.open[-1].rstrip(_BLANK)[-1:] in b",:[":
            self.open.append(segment)
        else:
            yield from self.take(segment)
        if self.open:
            yield self._unclosed()

    def _unclosed(self) -> Piece:
        piece = Piece(self.start, b"".join(self.open).rstrip(_BLANK))
        self._forget()
        return piece

    def _forget(self) -> None:
        self.open, self._stack, self._size = [], [], 0


def _segments(data: bytes) -> list[bytes]:
    cuts = [0, *(match.end() for match in _CUT.finditer(data)), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


def _filled(data: bytes, start: int) -> int:
    """Where the next byte that is no blank is."""
    match = _BLANKS.match(data, start)
    assert match is not None
    return match.end()


def _is_object(data: bytes) -> bool:
    try:
        return data[:1] == b"{" and isinstance(orjson.loads(data), dict)
    except orjson.JSONDecodeError:
        return False


def _value(byte: int, data: bytes) -> Sound | Piece:
    try:
        return Sound(byte, data, orjson.loads(data))
    except orjson.JSONDecodeError:
        return Piece(byte, data)
