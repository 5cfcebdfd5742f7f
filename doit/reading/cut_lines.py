r"""Lines of JSON objects cut into columns of texts, some megabytes at a time and without parsing them.

Most files of lines were written by one program: the same keys in the same order, and other texts. Such a line is known
by what stands around its texts. If every byte outside them is that of a line which was parsed, and between its quotes
is nothing but what JSON allows there, it is that line with other texts. So a block is cut at its quotes, and all its
lines are compared at once with the first that is an object with texts in it. A line that differs in a single byte, such
as a key, a number or a blank, is left to the parser, and so is one with a control character or an escape like `\u4f60`.

This takes a third of the time of parsing, and Polars and numpy, which do it, leave other threads alone meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from doit.reading.raw import Bad, Row

_LINE_FEED, _RETURN, _BLANK, _QUOTE, _BACKSLASH = b'\n\r "\\'
_MEANT = np.zeros(256, np.uint8)
r"""What the second byte of an escape stands for; 0 where it is no escape, and for `\u`."""
_MEANT[list(b'"\\/bfnrt')] = list(b'"\\/\b\f\n\r\t')
_TRIED = 16
"""How many lines at the start of a block are tried for a pattern."""


class CutRows(NamedTuple):
    """The rows of a block of lines, most of which were cut into columns."""

    numbers: NDArray[np.int64]
    """The number of each row that was cut; those of the others lie between them."""
    bytes: NDArray[np.int64]
    """The offset of each row that was cut."""
    exact: bool
    """Whether these are offsets in the file; else re-encoding has moved them."""
    columns: dict[str, pl.Series]
    """Key -> its texts in the rows that were cut."""
    pattern: dict[str, Any]
    """What those rows have in common: all keys in their order, and the values that are no texts."""
    others: list[Row | Bad]
    stop: int
    """One more than the number of the last row."""

    def rows(self, which: NDArray[np.integer]) -> Iterator[Row]:
        """The rows at some places among those that were cut, one by one."""
        places = (self.numbers[which].tolist(), self.bytes[which].tolist())
        texts = (column.gather(which).to_list() for column in self.columns.values())
        for number, byte, *values in zip(*places, *texts, strict=True):
            value = {**self.pattern, **dict(zip(self.columns, values, strict=True))}
            yield Row(number, byte if self.exact else None, value)


class Cut(NamedTuple):
    """The lines of a block, those that could be cut as columns."""

    starts: NDArray[np.int64]
    """Where each line of the block begins."""
    ends: NDArray[np.int64]
    """Where it ends; the line feed is not part of it."""
    mask: NDArray[np.bool_]
    """Which lines were cut."""
    columns: dict[str, pl.Series]
    """Key -> its texts in the lines that were cut."""
    pattern: dict[str, Any]
    """What those lines have in common: all keys in their order, and the values that are no texts."""


class _Pattern(NamedTuple):
    value: dict[str, Any]
    """A line, parsed."""
    quotes: int
    places: list[int]
    """Which of the quotes open and close a value that is a text."""
    around: list[str]
    """What stands before, between and after these texts."""


def cut_block(block: bytes) -> Cut | None:
    """Cut the lines of a block that are alike.

    Args:
        block: lines, without the last one's line feed.

    Returns:
        What was cut, and where the other lines are; None where that is less than half of the lines.
    """
    if not _is_utf8(block):
        return None
    data = np.frombuffer(block, np.uint8)
    last = len(data) - 1
    controls = np.flatnonzero(data < _BLANK)
    feeds = data[controls] == _LINE_FEED
    ends = np.append(controls[feeds], len(data))
    starts = np.concatenate(([0], ends[:-1] + 1))
    escapes = _escapes(data)
    quotes = np.flatnonzero(data == _QUOTE)
    if len(escapes):
        escaped = np.zeros(len(data) + 1, bool)
        escaped[escapes + 1] = True
        quotes = quotes[~escaped[quotes]]
    first = np.searchsorted(quotes, np.append(starts, len(data) + 1))
    pattern = _first_pattern(block, starts, ends, quotes, first)
    if pattern is None:
        return None
    mask = np.diff(first) == pattern.quotes
    strange = controls[~feeds]
    strange = strange[(data[strange] != _RETURN) | ((data[_after(strange, data)] != _LINE_FEED) & (strange < last))]
    unknown = escapes[_MEANT[data[_after(escapes, data)]] == 0]
    mask[np.searchsorted(starts, np.concatenate((strange, unknown)), side="right") - 1] = False
    places = quotes[first[:-1][mask, None] + pattern.places]
    places[:, ::2] += 1
    mask[mask] = fits = _fits(block, pattern.around, np.column_stack((starts[mask], places, ends[mask])))
    if 2 * int(mask.sum()) < len(mask):
        return None
    places = places[fits]
    if len(escapes):
        block, places = _unescaped(data, escapes, places)
    pieces = _pieces(block, places)
    texts = [key for key, value in pattern.value.items() if type(value) is str]
    columns = {key: pieces.gather_every(2 * len(texts), 2 * place) for place, key in enumerate(texts)}
    return Cut(starts, ends, mask, columns, pattern.value)


def _is_utf8(block: bytes) -> bool:
    buffers = [None, pa.py_buffer(np.array([0, len(block)])), pa.py_buffer(block)]
    try:
        pl.Series(pa.Array.from_buffers(pa.large_binary(), 1, buffers)).cast(pl.String)
    except pl.exceptions.PolarsError:
        return False
    return True


def _escapes(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The backslashes that begin an escape: of those that follow one another, every other one."""
    found = np.flatnonzero(data == _BACKSLASH)
    if not len(found):
        return found
    place = np.arange(len(found))
    begins = np.concatenate(([True], found[1:] != found[:-1] + 1))
    run = np.maximum.accumulate(np.where(begins, place, 0))
    return np.asarray(found[(place - run) % 2 == 0])


def _after(places: NDArray[np.int64], data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The byte behind each; at the very end, the byte itself."""
    return np.minimum(places + 1, len(data) - 1)


def _first_pattern(
    block: bytes,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    quotes: NDArray[np.int64],
    first: NDArray[np.int64],
) -> _Pattern | None:
    """The pattern of the first line that has one."""
    for line in range(min(_TRIED, len(starts))):
        start = int(starts[line])
        own = quotes[first[line] : first[line + 1]] - start
        pattern = _pattern(block[start : ends[line]], own.tolist())
        if pattern is not None:
            return pattern
    return None


def _pattern(line: bytes, quotes: list[int]) -> _Pattern | None:
    """The pattern of a line; None where it is no object, has no texts, a key twice, or texts inside other values."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if type(value) is not dict:
        return None
    places = []
    strings = 0
    for held in value.values():
        strings += 1
        if type(held) is str:
            places += [2 * strings, 2 * strings + 1]
            strings += 1
    # Every key and every text has two quotes, so that more of them are those of a repeated key or of an inner text.
    if not places or len(quotes) != 2 * strings:
        return None
    bounds = [0, *(quotes[place] + (number % 2 == 0) for number, place in enumerate(places)), len(line)]
    around = [line[bounds[i] : bounds[i + 1]].decode() for i in range(0, len(bounds), 2)]
    return _Pattern(value, len(quotes), places, around)


def _fits(block: bytes, around: list[str], bounds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """In which lines all that is around the texts is as it should be.

    Args:
        block: the lines.
        around: of m + 1 texts.
        bounds: lines × (2 m + 2): where a line begins, where each of its m texts begins and ends, where the line ends.
    """
    pieces = _pieces(block, bounds)
    fits = np.ones(len(bounds), bool)
    for number, expected in enumerate(around):
        fits &= (pieces.gather_every(bounds.shape[1], 2 * number) == expected).to_numpy()
    return fits


def _unescaped(
    data: NDArray[np.uint8], escapes: NDArray[np.int64], places: NDArray[np.int64]
) -> tuple[bytes, NDArray[np.int64]]:
    """A block with every escape as the one byte that it stands for, and where its places are then."""
    meant = data.copy()
    after = _after(escapes, data)
    meant[after] = np.where(_MEANT[data[after]] > 0, _MEANT[data[after]], data[after])
    kept = np.ones(len(data), bool)
    kept[escapes] = False
    return meant[kept].tobytes(), places - np.searchsorted(escapes, places)


def _pieces(block: bytes, bounds: NDArray[np.int64]) -> pl.Series:
    """A block cut at the bounds, in their order, without copying: one text less than there are bounds."""
    flat = np.ascontiguousarray(bounds).reshape(-1)
    count = max(len(flat) - 1, 0)
    buffers = [None, pa.py_buffer(flat), pa.py_buffer(block)]
    return pl.Series(pa.Array.from_buffers(pa.large_string(), count, buffers))
