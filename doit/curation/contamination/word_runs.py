"""Texts as rows of tokens, words where words are written apart and characters where they are not, and hashes of runs
of them, worked out over many texts at once.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.duplicates.folding import BETWEEN, folded
from doit.curation.stretches import stretches

GAP, WORD, CHARACTER, UNSEEN = range(4)
"""What a code point is: between tokens, part of a word, a token of its own, or nothing that a reader sees."""

UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x312F),  # radicals, Han signs, kana, bopomofo
    (0x31A0, 0x31FF),  # bopomofo, strokes, kana
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B16F),  # kana
    (0x20000, 0x3FFFD),
)
"""First and last code point of scripts that put no space between words."""

FIRST = np.uint32(1 << 31)
"""Set in the first code point of every token, so that two runs of code points are equal only if their tokens are."""

FACTOR = 0x9E3779B97F4A7C15
CHUNK_CHARS, CHUNK_ROWS = 1 << 18, 1 << 13
"""Texts worked on together: what numpy makes of them stays in the processor's cache."""

Places = NDArray[np.int64]
Hashes = NDArray[np.uint64]


PLANES = (*range(0x34000), *range(0xE0000, 0xE0200))
"""Code points that Unicode has assigned, and some more; the others are gaps."""

INTERACTS = np.uint32(1 << 30)
"""Stands for a code point that folds to several, or that can join the one before it."""
POINT, CLASS = np.uint32(0x1FFFFF), np.uint32(24)


@cache
def _classes() -> NDArray[np.uint8]:
    """What every code point is. Symbols, private and unassigned ones are gaps."""
    table = np.full(0x110000, GAP, dtype=np.uint8)
    for point in PLANES:
        category = unicodedata.category(chr(point))
        if category[0] in "LMN":
            table[point] = WORD
        elif category == "Cf":
            table[point] = UNSEEN
    for first, last in UNSPACED:
        for point in range(first, last + 1):
            if table[point] == WORD and unicodedata.category(chr(point)) != "Nd":
                table[point] = CHARACTER
    for first, last in ((0x034F, 0x034F), (0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF)):
        table[first : last + 1] = UNSEEN  # joiners of graphemes and selectors of glyphs
    return table


def _joins(point: int) -> bool:
    """Whether normalisation may join a code point to the one before it, or move it."""
    vowel_or_final = 0x1160 <= point <= 0x11FF
    return vowel_or_final or unicodedata.combining(chr(point)) != 0


@cache
def _folds() -> NDArray[np.uint32]:
    """What every code point alone folds to, and above it the class of that; `INTERACTS` where that does not say all."""
    classes = _classes()
    # Surrogates are no characters, and U+FFFF, which folds to itself, would keep the others from being folded at once.
    alone = [point for point in PLANES if not 0xD800 <= point < 0xE000 and point != ord(BETWEEN)]
    table = np.arange(0x110000, dtype=np.uint32) | classes.astype(np.uint32) << CLASS
    parts = [unicodedata.decomposition(chr(point)).split() for point in alone]
    second = {int(part[1], 16) for part in parts if len(part) == 2 and not part[0].startswith("<")}
    joining = {point for point in alone if _joins(point)} | second
    for point, text in zip(alone, folded(pl.Series([chr(point) for point in alone])).to_list(), strict=True):
        points = [ord(character) for character in text]
        if point in joining or any(other in joining for other in points):
            table[point] = INTERACTS
        elif len(points) == 1:
            table[point] = points[0] | int(classes[points[0]]) << int(CLASS)
        elif all(classes[other] == GAP for other in points):
            table[point] = 0x20
        else:
            table[point] = INTERACTS
    return table


@lru_cache(maxsize=2)
def _powers(size: int, factor: int) -> Hashes:
    """1, factor, factor², … modulo 2**64: kept for chunks of the usual size, and not beyond the next one for others."""
    powers = np.full(size, factor, dtype=np.uint64)
    powers[:1] = 1
    accumulated: Hashes = np.multiply.accumulate(powers)
    return accumulated


@dataclass(frozen=True)
class Tokens:
    """The tokens of some texts, one text after the other."""

    points: NDArray[np.uint32]
    """Folded code points of all tokens, the first of each with `FIRST`."""
    starts: Places
    """Where in `points` each token begins, and the end of the last: one more than there are tokens."""
    rows: Places
    """The first token of each text, and the end of the last: one more than there are texts."""
    at: Places
    """Where each of `points` stands, in characters, when a line feed follows every text."""
    begins: Places
    """Where each text begins there, and the end of the last."""
    breaks: Places
    """Where line feeds stand there."""
    refolded: NDArray[np.bool_]
    """Texts with characters that fold to several or join others: of those, positions are in the folded text."""

    @cached_property
    def _sums(self) -> tuple[Hashes, Hashes]:
        """Where each token begins, and the last ends: the polynomial up to there, and what divides it by its power."""
        size = 1 << max(len(self.points) - 1, CHUNK_CHARS).bit_length()
        sums = np.zeros(len(self.points) + 1, dtype=np.uint64)
        np.cumsum(self.points * _powers(size, FACTOR)[: len(self.points)], out=sums[1:])
        return sums[self.starts], _powers(size, pow(FACTOR, -1, 1 << 64))[self.starts]

    def hashes(self, length: int) -> Hashes:
        """Hashes of all runs of so many tokens, also of those that cross from a text into the next.

        The polynomial of Karp and Rabin (1987) modulo 2**64; equal runs have equal hashes, here and anywhere.

        Returns:
            One hash for each token with so many tokens from it on, itself included.
        """
        sums, shifts = self._sums
        count = max(len(sums) - length, 0)
        return (sums[length:] - sums[:count]) * shifts[:count]

    def hashes_at(self, tokens: Places, lengths: Places | int) -> Hashes:
        """The hashes of the runs that begin at some tokens. See `hashes`."""
        sums, shifts = self._sums
        hashes: Hashes = (sums[tokens + lengths] - sums[tokens]) * shifts[tokens]
        return hashes

    def place(self, row: int, first: int, last: int) -> tuple[int, int]:
        """Where in its text a run from one token to another begins and ends."""
        start, end = self.at[self.starts[first]], self.at[self.starts[last + 1] - 1] + 1
        return int(start - self.begins[row]), int(end - self.begins[row])

    def fills_lines(self, first: Places, last: Places) -> NDArray[np.bool_]:
        """Whether no other token stands on the line on which a run of tokens begins, nor on that on which it ends."""
        line = np.full(len(self.starts) + 1, -1)  # a token before all others and one after them are on other lines
        near = np.unique(np.concatenate((first - 1, first, last, last + 1)))
        near = near[(near >= 0) & (near < len(self.starts) - 1)]
        line[near] = np.searchsorted(self.breaks, self.at[self.starts[near]])
        alone: NDArray[np.bool_] = (line[first - 1] != line[first]) & (line[last + 1] != line[last])
        return alone

    def characters(self) -> Places:
        """How many tokens of each text are single characters of an unspaced script."""
        single = _classes()[self.points[self.starts[:-1]] & POINT] == CHARACTER
        sums = np.concatenate(([0], np.cumsum(single)))
        counts: Places = sums[self.rows[1:]] - sums[self.rows[:-1]]
        return counts


def token_chunks(texts: pl.Series) -> Iterator[tuple[int, Tokens]]:
    """Cut texts into tokens.

    A text is folded (NFKC, full case folding) first. Letters, digits and marks between anything else are a word; in
    scripts that put no space between words, each is a token of its own. All else only separates tokens, but invisible
    characters, such as a zero-width space inside a word, do not even do that.

    Args:
        texts: a column of strings; null is like empty.

    Yields:
        The first text of a chunk, and the chunk's tokens.
    """
    lengths = texts.str.len_chars().fill_null(0).to_numpy()
    for chunk in stretches(lengths, CHUNK_CHARS, CHUNK_ROWS):
        yield chunk.start, _tokens(texts[chunk].fill_null("").to_list())


def _tokens(rows: list[str]) -> Tokens:
    folds = _folds()
    points, begins = _points(rows)
    values, refolded = folds[points], np.zeros(len(rows), dtype=np.bool_)
    if (values == INTERACTS).any():
        # Few texts have such: a whole column folded by Python would take ten times as long.
        hit = np.unique(np.searchsorted(begins, np.flatnonzero(values == INTERACTS), side="right") - 1)
        for row, text in zip(hit, folded(pl.Series([rows[at] for at in hit])).to_list(), strict=True):
            rows[row] = text
        refolded[hit] = True
        points, begins = _points(rows)
        values = folds[points]
        joined = values == INTERACTS
        values[joined] = points[joined] | _classes()[points[joined]].astype(np.uint32) << CLASS
    breaks = np.flatnonzero(points == ord("\n"))
    classes = (values >> CLASS).astype(np.uint8)
    seen = np.flatnonzero(classes != UNSEEN) if (classes == UNSEEN).any() else None
    if seen is not None:
        values, classes = values[seen], classes[seen]
    first = classes == WORD
    first[1:] &= classes[:-1] != WORD
    first |= classes == CHARACTER
    full = np.flatnonzero(classes != GAP)
    at = full if seen is None else seen[full]
    first = first[full]
    starts = np.append(np.flatnonzero(first), len(full))
    tokens = np.searchsorted(at[starts[:-1]], begins)
    marked = values[full] & POINT | first * FIRST
    return Tokens(marked, starts, tokens, at, begins, breaks, refolded)


def _points(rows: list[str]) -> tuple[NDArray[np.uint32], Places]:
    """The code points of some texts, a line feed after each, and where each begins; and the end of the last."""
    begins = np.cumsum([0, *(len(row) + 1 for row in rows)])
    return np.frombuffer("\n".join([*rows, ""]).encode("utf-32-le", "surrogatepass"), dtype="<u4"), begins
