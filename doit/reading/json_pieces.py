"""Cut a JSON array or object at the commas between its elements, without parsing it, in one pass and bounded memory.

Strings are told from structure, so a bracket or a comma in a text cuts nothing. A string never spans lines in JSON, so
that a quote that is missing or too many is forgotten at the end of its line; where everything stands on one line, and
where brackets do not pair, what is left of the text is one stretch without rows.

Most arrays repeat themselves: the next comma before the same first key is taken for the end of an object, and if what
stands before it parses, it is, because no part of a JSON object is an object that begins with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from doit.reading.raw import LINE_BYTES, RAW_BYTES
from doit.reading.text import Broken, Text

_BLANK = b" \t\r\n"
_STRING = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_INNER = re.compile(rb'[^"\[\]{}]*+(?:%b[^"\[\]{}]*+)*+' % _STRING)
"""To the next bracket outside strings, or quote that opens none."""
_OUTER = re.compile(rb'[^",\[\]{}]*+(?:%b[^",\[\]{}]*+)*+' % _STRING)
"""The same, or to the next comma."""
_NEXT = re.compile(rb'(,[ \t\r\n]*+)\{[ \t\r\n]*+"[^"\\\n]{1,64}"')
"""A comma, and the next object as far as its first key."""
_REACH = 64
"""How many times longer than the last piece the next may be to be looked for by its mark."""
_STRINGS = re.compile(_STRING)
_AFTER_STRING = re.compile(rb"[ \t\r\n]*+(?:[,:\]}]|\Z)")
_QUOTE, _COMMA, _OPENERS = 0x22, 0x2C, b"[{"
_SHUTS = {0x5B: 0x5D, 0x7B: 0x7D}
MORE, UNPAIRED = -1, -2
"""Instead of a place: the end has not come, or brackets do not pair."""


class Piece(NamedTuple):
    """What stands between two commas, blanks trimmed; empty where nothing does."""

    byte: int
    data: bytes


class Sound(NamedTuple):
    """A piece that was parsed already, and whose end is certain for that reason."""

    byte: int
    data: bytes
    value: Any

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)


class Stretch(NamedTuple):
    """What is left of a text from where no pieces can be told apart."""

    byte: int
    reason: str
    data: bytes
    """Its start."""
    total: int
    """Its length in bytes."""


class _Window:
    """The part of a text that is being looked at."""

    def __init__(self, text: Text) -> None:
        self.data, self.byte = b"", text.start
        self.broken: str | None = None
        self._chunks = iter(text)

    def more(self, start: int) -> bool:
        """Forget what is before `start`, and take in as much as is left, or a chunk. False at the end of the text."""
        self.byte += start
        parts = [self.data[start:]]
        wanted, got = max(len(parts[0]), 1), 0
        while got < wanted and (chunk := self._next()):
            parts.append(chunk)
            got += len(chunk)
        self.data = b"".join(parts)
        return got > 0

    def _next(self) -> bytes | None:
        try:
            return next((chunk for chunk in self._chunks if chunk), None)
        except Broken as broken:
            self.broken = str(broken.args[0])
            return None

    def stretch(self, start: int, reason: str) -> Stretch | None:
        """All that is left from `start`; None where it is blank and nothing is damaged."""
        while not self.data[start:].strip(_BLANK) and self.more(len(self.data)):
            start = 0
        head = self.data[start:].lstrip(_BLANK)
        end = self.byte + len(self.data)
        first = end - len(head)
        while chunk := self._next():
            end += len(chunk)
            head += chunk[: max(RAW_BYTES + 4 - len(head), 0)]
        if not head and self.broken is None:
            return None
        return Stretch(first, self.broken or reason, head, end - first)


def pieces(text: Text, opener: bytes) -> Iterator[Sound | Piece | Stretch]:
    """The elements of the array, or the members of the object, that a text holds.

    Args:
        text: read to its end.
        opener: `[` or `{`.

    Yields:
        Pieces in order, those that were parsed on the way as `Sound`; last, only where something is wrong, one stretch.
    """
    window = _Window(text)
    while not window.data.strip(_BLANK):
        if not window.more(len(window.data)):
            yield from _some(window.stretch(0, ""))
            return
    start = len(window.data) - len(window.data.lstrip(_BLANK))
    if window.data[start : start + 1] != opener:
        kind = "an array" if opener == b"[" else "an object"
        yield from _some(window.stretch(start, f"{kind} was expected here."))
        return
    yield from _inside(window, start + 1, _SHUTS[opener[0]])


def _inside(window: _Window, start: int, shut: int) -> Iterator[Sound | Piece | Stretch]:
    after_comma = False
    mark: re.Match[bytes] | None = None
    reach = 0
    while True:
        if mark is not None:
            try:
                end = window.data.index(mark[0], start, start + reach)
                data = window.data[start:end]
                value = orjson.loads(data)
            except ValueError:
                mark = None
            else:
                yield Sound(window.byte + start, data, value)
                start = end + mark.end(1) - mark.start()
                continue
        end = _piece_end(window.data, start, shut)
        if end == MORE:
            if len(window.data) - start > LINE_BYTES:
                yield from _some(window.stretch(start, f"an element without end in {LINE_BYTES:,} bytes."))
                return
            if window.more(start):
                start = 0
                continue
            yield from _unclosed(window)
            return
        if end == UNPAIRED:
            yield from _some(window.stretch(start, "the brackets do not pair from here on."))
            return
        piece = _piece(window, start, end)
        closed = window.data[end] == shut
        if piece.data or after_comma or not closed:
            yield piece
        start, after_comma = end + 1, True
        if closed:
            yield from _some(window.stretch(start, "text after the closing bracket."))
            return
        mark = _NEXT.match(window.data, end) if shut == _SHUTS[0x5B] else None
        if mark is not None:
            start, reach = mark.end(1), _REACH * len(piece.data) + _REACH


def _some(stretch: Stretch | None) -> Iterator[Stretch]:
    if stretch is not None:
        yield stretch


def _piece(window: _Window, start: int, end: int) -> Piece:
    data = window.data[start:end].lstrip(_BLANK)
    return Piece(window.byte + end - len(data), data.rstrip(_BLANK))


def _piece_end(data: bytes, at: int, shut: int) -> int:
    """Where the comma or the closing bracket after a piece is; or `MORE`, or `UNPAIRED`."""
    stack: list[int] = []
    while True:
        match = (_INNER if stack else _OUTER).match(data, at)
        assert match is not None
        at = match.end()
        if at == len(data):
            return MORE
        byte = data[at]
        if byte in _OPENERS:
            stack.append(_SHUTS[byte])
        elif byte == _QUOTE:
            if data.find(b"\n", at) < 0:
                return MORE
        elif not stack:
            return at if byte in (_COMMA, shut) else UNPAIRED
        elif stack.pop() != byte:
            return UNPAIRED
        at += 1


def value_end(data: bytes, at: int, stack: list[int]) -> int:
    """Where the object or list ends that begins at a place, or that was begun before.

    Args:
        data: whole lines, but for the last.
        at: where to begin; if nothing is open, at a bracket.
        stack: what closes the brackets that are open; kept up to date.

    Returns:
        The place behind its last bracket; or `MORE`, or `UNPAIRED`.
    """
    while True:
        match = _INNER.match(data, at)
        assert match is not None
        at = match.end()
        if at == len(data):
            return MORE
        byte = data[at]
        if byte in _OPENERS:
            stack.append(_SHUTS[byte])
        elif byte == _QUOTE:
            if data.find(b"\n", at) < 0:
                return MORE
        elif not stack or stack.pop() != byte:
            return UNPAIRED
        elif not stack:
            return at + 1
        at += 1


def _unclosed(window: _Window) -> Iterator[Piece | Stretch]:
    """The end of a text in the middle of its array: a last element that is whole, then what is missing."""
    piece = _piece(window, 0, len(window.data))
    reason = "the text ends before the closing bracket."
    whole = piece.data[-1:] in (b"}", b"]", b'"') and _piece_end(piece.data + b",", 0, 0) == len(piece.data)
    if whole:
        yield piece
        window.more(len(window.data))
    yield window.stretch(0, reason) or Stretch(window.byte + len(window.data), reason, b"", 0)


def odd_quotes(data: bytes) -> bool:
    """Whether a quote of a broken piece stands where no string can begin or end, so that its ends are in doubt."""
    ends = [match.end() for match in _STRINGS.finditer(data)]
    return b'"' in _STRINGS.sub(b"", data) or not all(_AFTER_STRING.match(data, end) for end in ends)
