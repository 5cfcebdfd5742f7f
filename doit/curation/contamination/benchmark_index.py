"""An index of benchmark items by their rarest n-grams, small enough that records can stream past it.

An item with g distinct n-grams reaches a coverage c only in a text that has ceil(c * g) of them, and so at least s of
the g - ceil(c * g) + s rarest, whatever s (prefix filtering, as for near duplicates). Only these are looked up. An item
too short for one n-gram is looked up by its rarest run of 1, 2, 4 or more tokens, whichever fits, and then compared as
a whole.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.contamination.word_runs import Hashes, Places, Tokens, token_chunks

SLACK = 1e-9
"""Taken off before rounding up, so that a product such as 0.7 * 10 never asks for one n-gram too many."""

PRESENT_BITS = 24
"""At most: a table of sixteen megabytes says of most runs of tokens that no item has them."""

SHARED = 4
"""Rare n-grams that a text must have to be looked at more closely: that many more are looked up, and templates, whose
rows share one or two with many items, are passed over."""

COUNTED_BITS = 22
"""N-grams whose hashes begin alike are counted together; what that gets wrong costs candidates and loses none."""


@dataclass(frozen=True)
class Runs:
    """Some runs of tokens of one length, and which items have them."""

    length: int
    keys: Hashes
    """Ascending; a run that two items have is there twice."""
    items: Places
    offsets: Places
    """How many tokens of the item come before the run."""
    present: NDArray[np.bool_]
    """Whether a hash that begins with these bits is among the keys."""

    @classmethod
    def of(cls, length: int, hashes: Hashes, items: Places, offsets: Places) -> Runs:
        """Runs in any order."""
        order = np.lexsort((items, hashes))
        bits = min(PRESENT_BITS, max(8, len(hashes).bit_length() + 5))
        present = np.zeros(1 << bits, dtype=np.bool_)
        present[(hashes >> np.uint64(64 - bits)).astype(np.int64)] = True
        return cls(length, hashes[order], items[order], offsets[order], present)

    def met(self, hashes: Hashes) -> tuple[Places, Places]:
        """Which of some hashes are among the keys, and at which key: a hash comes once for every item that has it."""
        shift = np.uint64(64 - (len(self.present).bit_length() - 1))
        maybe = np.flatnonzero(self.present[(hashes >> shift).astype(np.int64)])
        wanted = hashes[maybe]
        first = np.searchsorted(self.keys, wanted)
        often = np.searchsorted(self.keys, wanted, side="right") - first
        keys = np.repeat(first - (np.cumsum(often) - often), often) + np.arange(often.sum())
        return np.repeat(maybe, often), keys


@dataclass(frozen=True)
class BenchmarkIndex:
    """The items of benchmarks, ready to be met by records."""

    chunks: tuple[tuple[int, Tokens], ...]
    """The first item of a chunk, and the chunk's tokens."""
    spans: Places
    """Tokens of an n-gram of each item, or of a whole short item; 0 for an item that is not looked for."""
    whole: NDArray[np.bool_]
    """Items with fewer tokens than n."""
    alone: NDArray[np.bool_]
    """Items with n / 2 tokens or fewer, a term or a greeting: they count only where they stand on a line alone."""
    grams: Hashes
    """Hashes of the distinct n-grams (or of the whole text) of each item, item after item, ascending in each."""
    first: Places
    """The token, in the item's chunk, at which the item first has the n-gram."""
    starts: Places
    """Where each item's n-grams begin, and the end of the last."""
    need: Places
    """How many of its n-grams a text must have to reach the coverage."""
    lookups: tuple[Runs, ...]
    """By ascending length."""

    @classmethod
    def of(
        cls,
        items: pl.Series,
        *,
        words: int,
        characters: int,
        coverage: float,
        short: NDArray[np.bool_] | None = None,
    ) -> BenchmarkIndex:
        """Read all items. For the arguments see `doit.curation.contamination.finding.contaminated`."""
        chunks = tuple(token_chunks(items))
        sizes = _joined([np.diff(tokens.rows) for _, tokens in chunks])
        single = _joined([tokens.characters() for _, tokens in chunks])
        lengths = np.where(2 * single >= sizes, characters, words)
        whole = sizes < lengths
        wanted = (sizes > 0) & (~whole | (True if short is None else short))
        spans = np.where(wanted, np.minimum(sizes, lengths), 0)
        hashes, owners, at = _grams(chunks, spans)
        starts = np.searchsorted(owners, np.arange(len(items) + 1))
        need = np.ceil(coverage * np.diff(starts) - SLACK).astype(np.int64)
        rare = _rarest(hashes, owners, starts, need) & ~whole[owners]
        hashes_at: dict[int, list[tuple[Hashes, Places, Places]]] = {}
        for length in np.unique(spans[owners[rare]]).tolist():
            mine = np.flatnonzero(rare & (spans[owners] == length))
            hashes_at[length] = [(hashes[mine], owners[mine], np.zeros(len(mine), dtype=np.int64))]
        for length in (1, 2, 4, 8, 16, 32, 64):
            some = np.flatnonzero(whole & wanted & (sizes >= length) & (sizes < 2 * length))
            if len(some):
                hashes_at.setdefault(length, []).append(_anchors(chunks, some, sizes, length))
        lookups = [
            Runs.of(length, *(np.concatenate(parts) for parts in zip(*found, strict=True)))
            for length, found in sorted(hashes_at.items())
        ]
        return cls(chunks, spans, whole, 2 * sizes <= lengths, hashes, at, starts, need, tuple(lookups))

    def tokens(self, item: int) -> Tokens:
        """The tokens of an item's chunk."""
        return self.chunks[bisect_right(self.chunks, item, key=lambda chunk: chunk[0]) - 1][1]


def _joined(parts: list[Places]) -> Places:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def ranges(first: Places, last: Places) -> tuple[Places, Places]:
    """All whole numbers from each first one up to, but without, its last one; and which range each is of."""
    sizes = np.maximum(last - first, 0)
    which = np.repeat(np.arange(len(sizes)), sizes)
    return np.repeat(first - (np.cumsum(sizes) - sizes), sizes) + np.arange(len(which)), which


def _grams(chunks: tuple[tuple[int, Tokens], ...], spans: Places) -> tuple[Hashes, Places, Places]:
    """The hashes of the distinct runs of each item, of the item's own span, their items, and their first tokens."""
    hashes, owners, places = (
        [np.zeros(0, dtype=np.uint64)],
        [np.zeros(0, dtype=np.int64)],
        [np.zeros(0, dtype=np.int64)],
    )
    for first, tokens in chunks:
        mine = spans[first : first + len(tokens.rows) - 1]
        last = np.where(mine > 0, tokens.rows[1:] - mine + 1, tokens.rows[:-1])
        at, row = ranges(tokens.rows[:-1], last)
        found = tokens.hashes_at(at, mine[row])
        order = np.lexsort((found, row))
        found, row, at = found[order], row[order], at[order]
        new = np.ones(len(row), dtype=np.bool_)
        new[1:] = (found[1:] != found[:-1]) | (row[1:] != row[:-1])
        hashes.append(found[new])
        owners.append(first + row[new])
        places.append(at[new])
    return np.concatenate(hashes), np.concatenate(owners), np.concatenate(places)


def _rarest(hashes: Hashes, owners: Places, starts: Places, need: Places) -> NDArray[np.bool_]:
    """The runs of each item of which a text that reaches the coverage has at least `SHARED`, or all that it needs."""
    bucket = (hashes >> np.uint64(64 - COUNTED_BITS)).astype(np.int64)
    order = np.lexsort((np.bincount(bucket, minlength=1 << COUNTED_BITS)[bucket], owners))
    place = np.arange(len(owners)) - starts[owners[order]]
    looked_up = np.diff(starts) - need + np.minimum(need, SHARED)
    rare = np.zeros(len(owners), dtype=np.bool_)
    rare[order] = place < looked_up[owners[order]]
    return rare


def _anchors(
    chunks: tuple[tuple[int, Tokens], ...], some: Places, sizes: Places, length: int
) -> tuple[Hashes, Places, Places]:
    """Of each of some items the run of a length that is rarest among all tokens of all items, the first of several."""
    every = np.concatenate([tokens.hashes(length) for _, tokens in chunks])
    known, counts = np.unique(every, return_counts=True)
    hashes, owners, offsets = [], [], []
    for first, tokens in chunks:
        mine = some[(some >= first) & (some < first + len(tokens.rows) - 1)]
        begin = tokens.rows[mine - first]
        at, which = ranges(begin, begin + sizes[mine] - length + 1)
        hashes.append(tokens.hashes_at(at, length))
        owners.append(mine[which])
        offsets.append(at - begin[which])
    found, owner, offset = np.concatenate(hashes), np.concatenate(owners), np.concatenate(offsets)
    order = np.lexsort((offset, counts[np.searchsorted(known, found)], owner))
    best = order[np.append([True], owner[order][1:] != owner[order][:-1])]
    return found[best], owner[best], offset[best]
