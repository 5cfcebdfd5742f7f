"""Which texts hold an item of a benchmark.

The coverage of an item is the share of its distinct n-grams that one text has. Hashes find candidates
(`doit.curation.contamination.benchmark_index`); every answer is worked out again from the characters themselves.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.contamination.benchmark_index import SHARED, BenchmarkIndex, ranges
from doit.curation.contamination.word_runs import Places, Tokens, token_chunks
from doit.curation.duplicates.folding import folded, reduced
from doit.curation.stretches import stretches
from doit.progress import Progress

FOUND = {"at": pl.UInt32, "item": pl.UInt32, "coverage": pl.Float64, "start": pl.Int64, "end": pl.Int64}

COUNTED_GRAMS = 1 << 20
"""N-grams of candidates that are counted together, or of one if it has more: bounds memory."""

LOW = np.uint64(0xFFFFFFFF)


def contaminated(
    texts: pl.Series,
    items: pl.Series,
    *,
    words: int,
    characters: int,
    coverage: float,
    short: NDArray[np.bool_] | None = None,
    ignore_script: bool = False,
) -> pl.DataFrame:
    """Every item that a text holds.

    Texts are cut into words, and into characters in scripts without spaces (`word_runs`). An item's n is `characters`
    if at least half of its tokens are such, else `words`. An item of fewer than n tokens is held by a text
    that has all its tokens, one after the other; one of n / 2 or fewer, only where they are all that a line has.

    Args:
        texts: of the records; null is like empty.
        items: of the benchmarks; null is like empty, and no text holds one without a letter or digit.
        words: n for words, at least 1.
        characters: n for characters, at least 1.
        coverage: the share of an item's n-grams that is enough, over 0 and up to 1.
        short: which items are looked for if they have fewer than n tokens; all if not given.
        ignore_script: whether Traditional and Simplified characters are the same.

    Returns:
        `at` (row in `texts`), `item` (row in `items`), `coverage`, and `start` and `end`: the shortest stretch of the
        text, in characters, that has all the n-grams found. Sorted by `at` and `item`.
    """
    sought, given = (_simplified(items), _simplified(texts)) if ignore_script else (items, texts)
    index = BenchmarkIndex.of(sought, words=words, characters=characters, coverage=coverage, short=short)
    rows = []
    with Progress("looking for benchmark items", total=len(texts), unit="records") as progress:
        for first, tokens in token_chunks(given) if index.lookups else ():
            for found in _found(tokens, index):
                at, start, end = first + found.row, found.start, found.end
                if tokens.refolded[found.row]:
                    start, end = _unfolded(given[at], start, end, folded)
                if ignore_script:
                    start, end = _unfolded(texts[at], start, end, _simplified)
                rows.append((at, found.item, found.coverage, start, end))
            progress.advance(len(tokens.rows) - 1)
    return pl.DataFrame(rows, schema=FOUND, orient="row").sort("at", "item")


def _simplified(texts: pl.Series) -> pl.Series:
    return reduced(texts, ignoring=("script",))


class _Held(NamedTuple):
    """An item that a text holds, and where."""

    row: int
    item: int
    coverage: float
    start: int
    end: int


def _found(tokens: Tokens, index: BenchmarkIndex) -> Iterator[_Held]:
    """The items that some texts hold."""
    rows, items = _candidates(tokens, index)
    for some in stretches(index.starts[items + 1] - index.starts[items] + np.diff(tokens.rows)[rows], COUNTED_GRAMS):
        reached = _reached(tokens, index, rows[some], items[some])
        for row, item in zip(rows[some][reached].tolist(), items[some][reached].tolist(), strict=True):
            if held := _verified(tokens, index, row, item):
                yield held


def _candidates(tokens: Tokens, index: BenchmarkIndex) -> tuple[Places, Places]:
    """Pairs of a text and an item of which the text has enough rare n-grams, or all of a short item; ascending."""
    pairs = [np.zeros(0, dtype=np.uint64)]
    for lookup in index.lookups:
        at, key = lookup.met(tokens.hashes(lookup.length))
        item = lookup.items[key]
        row = np.searchsorted(tokens.rows, at, side="right") - 1
        first = at - lookup.offsets[key]
        inside = (first >= tokens.rows[row]) & (first + index.spans[item] <= tokens.rows[row + 1])
        first, item, row = first[inside], item[inside], row[inside]
        good = ~index.whole[item] | _as_whole(tokens, index, first, item)
        pairs.append(row[good].astype(np.uint64) << np.uint64(32) | item[good].astype(np.uint64))
    packed, often = np.unique(np.concatenate(pairs), return_counts=True)
    rows, items = (packed >> np.uint64(32)).astype(np.int64), (packed & LOW).astype(np.int64)
    enough = often >= np.minimum(index.need[items], SHARED)
    return rows[enough], items[enough]


def _as_whole(tokens: Tokens, index: BenchmarkIndex, first: Places, item: Places) -> NDArray[np.bool_]:
    """Whether the run at a token is all of a short item, and, if that is very short, all of its line."""
    span = index.spans[item]
    same: NDArray[np.bool_] = tokens.hashes_at(first, span) == index.grams[index.starts[item]]
    lone = np.flatnonzero(same & index.alone[item])
    same[lone] = tokens.fills_lines(first[lone], (first + span)[lone] - 1)
    return same


def _reached(tokens: Tokens, index: BenchmarkIndex, rows: Places, items: Places) -> NDArray[np.bool_]:
    """Whether each text has enough of the item's n-grams, by their hashes: at least where it truly has."""
    reached = np.zeros(len(rows), dtype=np.bool_)
    spans = index.spans[items]
    for span in np.unique(spans).tolist():
        mine = np.flatnonzero(spans == span)
        texts, rank = np.unique(rows[mine], return_inverse=True)
        above, below = np.uint64(64 - len(texts).bit_length()), np.uint64(len(texts).bit_length())
        at, text = ranges(tokens.rows[texts], tokens.rows[texts + 1] - span + 1)
        # A text and the hash of its n-gram fit one number; what the hash loses can only add candidates.
        there = np.sort(text.astype(np.uint64) << above | tokens.hashes_at(at, span) >> below)
        gram, pair = ranges(index.starts[items[mine]], index.starts[items[mine] + 1])
        wanted = rank[pair].astype(np.uint64) << above | index.grams[gram] >> below
        has = there[np.minimum(np.searchsorted(there, wanted), len(there) - 1)] == wanted
        reached[mine] = np.bincount(pair, weights=has, minlength=len(mine)) >= index.need[items[mine]]
    return reached


def _verified(tokens: Tokens, index: BenchmarkIndex, row: int, item: int) -> _Held | None:
    """The coverage of an item by a text, from the characters; None where it is not reached after all."""
    span, grams = int(index.spans[item]), slice(index.starts[item], index.starts[item + 1])
    at = np.arange(tokens.rows[row], tokens.rows[row + 1] - span + 1)
    found, hashes = tokens.hashes_at(at, span), index.grams[grams]
    gram = np.minimum(np.searchsorted(hashes, found), len(hashes) - 1)
    likely = hashes[gram] == found
    if index.alone[item]:
        likely &= tokens.fills_lines(at, at + span - 1)
    at, gram = at[likely], gram[likely]
    true = _same(tokens, at, index.tokens(item), index.first[grams][gram], span)
    at, gram = at[true], gram[true]
    count = len(np.unique(gram))
    if count < index.need[item]:
        return None
    first, last = _shortest(at.tolist(), gram.tolist(), count)
    return _Held(row, item, count / len(hashes), *tokens.place(row, first, last + span - 1))


def _same(tokens: Tokens, at: Places, others: Tokens, first: Places, span: int) -> NDArray[np.bool_]:
    """Whether runs of tokens read the same as runs of others, pair by pair."""
    begin, end = tokens.starts[at], tokens.starts[at + span]
    begin_there, end_there = others.starts[first], others.starts[first + span]
    same: NDArray[np.bool_] = end - begin == end_there - begin_there
    places, run = ranges(begin[same], end[same])
    differ = tokens.points[places] != others.points[places + (begin_there - begin)[same][run]]
    same[same] = np.bincount(run, weights=differ, minlength=int(same.sum())) == 0
    return same


def _shortest(places: list[int], grams: list[int], count: int) -> tuple[int, int]:
    """The first and the last place of the shortest stretch with every one of the n-grams; of several the first."""
    inside: dict[int, int] = {}
    best, left = (places[0], places[-1]), 0
    for at, gram in zip(places, grams, strict=True):
        inside[gram] = inside.get(gram, 0) + 1
        while inside[grams[left]] > 1:
            inside[grams[left]] -= 1
            left += 1
        if len(inside) == count and at - places[left] < best[1] - best[0]:
            best = (places[left], at)
    return best


def _unfolded(text: str, start: int, end: int, fold: Callable[[pl.Series], pl.Series]) -> tuple[int, int]:
    """Where a stretch of a folded text stands in the text itself.

    The first characters of a text fold to about the first of the folded text: `start` and `end` are where those become
    too many.
    """
    if text.isascii():
        return start, end

    def first_over(limit: int) -> int:
        low, high = 0, len(text)
        while low < high:
            middle = (low + high) // 2
            if len(fold(pl.Series([text[:middle]]))[0]) > limit:
                high = middle
            else:
                low = middle + 1
        return low

    last = first_over(end - 1)
    while last < len(text) and unicodedata.combining(text[last]):
        last += 1
    return max(0, first_over(start) - 1), last
