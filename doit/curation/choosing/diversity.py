"""Farthest-first selection: records of which each is as unlike as possible to all that were chosen before it.

A text is its set of character 3-grams, hashed with signs into a vector of 256 whole numbers of one length (feature
hashing, Weinberger et al. 2009). Distances are sums of products of small whole numbers, which 32-bit floats hold
exactly in whatever order they are added: so the choice is the same on every machine and for every order of the records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.duplicates.folding import folded
from doit.curation.duplicates.grams import FACTORS, stirred
from doit.curation.stretches import stretches
from doit.progress import Progress

GRAM = 3
"""Characters of a gram."""

WIDTH_BITS = 8
LENGTH = 2000
"""Of a vector. Two vectors' products add up to no more than its square, which is under 2**24."""

RUN_ROWS, RUN_CHARS = 1 << 12, 1 << 18
REFRESHED, SWEPT = 16, 1024
"""Records whose distances are brought up to date together: in the search for the farthest, and at the end."""

Vectors = NDArray[np.int16]


def gram_vectors(texts: pl.Series) -> Vectors:
    """The vectors of texts, folded by NFKC and case first.

    Args:
        texts: a column of strings; null is like empty, and an empty text has no direction: all zeros.

    Returns:
        An array of a row a text and 256 columns.
    """
    vectors = np.zeros((len(texts), 1 << WIDTH_BITS), dtype=np.int16)
    lengths = texts.str.len_chars().fill_null(0).to_numpy().astype(np.int64)
    with Progress("making vectors", total=len(texts), unit="records") as progress:
        for rows in stretches(lengths, RUN_CHARS, RUN_ROWS):
            vectors[rows] = _vectors(folded(texts[rows]).fill_null(""))
            progress.advance(rows.stop - rows.start)
    return vectors


def _vectors(texts: pl.Series) -> Vectors:
    # What surrounds a text makes a gram of its first and its last character, and of a text of one.
    points = np.frombuffer("\0\0".join(["", *texts.to_list(), ""]).encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    counts = texts.str.len_chars().to_numpy().astype(np.int64)
    hashes = points * FACTORS[0]
    for place in range(1, GRAM):
        hashes[:-place] += points[place:] * FACTORS[place]
    starts = np.cumsum(counts + 2) - counts - 1
    row = np.repeat(np.arange(len(counts)), counts)
    at = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(len(row))
    grams = stirred(hashes[at])
    order = np.lexsort((grams, row))
    grams, row = grams[order], row[order]
    new = np.ones(len(row), dtype=np.bool_)
    new[1:] = (grams[1:] != grams[:-1]) | (row[1:] != row[:-1])
    grams, row = grams[new], row[new]
    sign = 1 - 2 * (grams & np.uint64(1)).astype(np.int64)
    cell = row << WIDTH_BITS | (grams >> np.uint64(64 - WIDTH_BITS)).astype(np.int64)
    sums = np.bincount(cell, weights=sign, minlength=len(counts) << WIDTH_BITS).reshape(-1, 1 << WIDTH_BITS)
    length = np.sqrt((sums.astype(np.int64) ** 2).sum(axis=1))
    whole: Vectors = np.rint(sums * LENGTH / np.maximum(length, 1)[:, None]).astype(np.int16)
    return whole


@dataclass
class _Distances:
    """How far each record is from the chosen ones that it has been compared with: never less than from all of them."""

    vectors: Vectors
    chosen: NDArray[np.float32]
    """A row for each record to be chosen; the first `count` are there."""
    chosen_squares: NDArray[np.float32]
    count: int
    squares: NDArray[np.int64]
    """Squared lengths of the vectors."""
    far: NDArray[np.int64]
    """Squared distance to the nearest chosen one; -1 for the chosen themselves."""
    nearest: NDArray[np.int64]
    """Which of the chosen that is, as a number from 0."""
    seen: NDArray[np.int64]
    """How many of the chosen each record has been compared with."""

    @classmethod
    def of(cls, vectors: Vectors, count: int) -> _Distances:
        """Nothing chosen yet."""
        squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.int64)
        none = np.zeros(len(vectors), dtype=np.int64)
        far = np.full(len(vectors), np.iinfo(np.int64).max)
        chosen = np.zeros((count, vectors.shape[1]), dtype=np.float32)
        return cls(vectors, chosen, np.zeros(count, np.float32), 0, squares, far, none, none.copy())

    def choose(self, at: int) -> None:
        """Take one record."""
        self.chosen[self.count], self.chosen_squares[self.count] = self.vectors[at], self.squares[at]
        self.nearest[at], self.far[at] = self.count, -1
        self.count += 1
        self.seen[at] = len(self.chosen)

    def refresh(self, some: NDArray[np.int64]) -> None:
        """Compare some records with those of the chosen that any of them has not met."""
        first = int(self.seen[some].min())
        chosen = self.chosen[first : self.count]
        dots = self.vectors[some].astype(np.float32) @ chosen.T
        far = self.chosen_squares[first : self.count] - 2 * dots
        best = far.argmin(axis=1)
        distance = self.squares[some] + far[np.arange(len(some)), best].astype(np.int64)
        # Of equally near ones the first chosen counts, which an earlier comparison may have found.
        nearer = distance < self.far[some]
        self.far[some[nearer]] = distance[nearer]
        self.nearest[some[nearer]] = first + best[nearer]
        self.seen[some] = self.count


def farthest_first(
    vectors: Vectors, count: int, progress: Progress | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose records one by one, each time the one whose nearest chosen record is farthest (Gonzalez 1985).

    The first one is the first row; of equally far ones the first row is taken. Distances to the chosen only shrink, so
    an old one is enough to pass a record over: only records that may be the farthest are compared again, 16 together.
    Still that comes to about rows * count products of vectors where no record is much farther than the others.

    Args:
        vectors: of `gram_vectors`, in ascending id.
        count: how many, at most as many as there are rows.
        progress: is told of every record that is chosen.

    Returns:
        The rows chosen, in the order in which they were; and for every row which of these is nearest to it, as a place
        in the first answer (for a chosen one itself).
    """
    rows = np.zeros(count, dtype=np.int64)
    distances = _Distances.of(vectors, count)
    for number in range(count):
        at = int(distances.far.argmax())
        while distances.seen[at] < number:
            distances.refresh(_farthest(distances, number))
            at = int(distances.far.argmax())
        rows[number] = at
        distances.choose(at)
        if progress is not None:
            progress.advance()
        if number in (0, count - 1):
            left = np.flatnonzero(distances.seen <= number)
            for start in range(0, len(left), SWEPT):
                distances.refresh(left[start : start + SWEPT])
    return rows, distances.nearest


def _farthest(distances: _Distances, number: int) -> NDArray[np.int64]:
    """Records to be compared again: the farthest, as far as is known, that have not met all of the chosen."""
    stale = np.flatnonzero(distances.seen < number)
    if len(stale) > REFRESHED:
        stale = stale[np.argpartition(-distances.far[stale], REFRESHED)[:REFRESHED]]
    return stale


def similarities(vectors: Vectors, one: NDArray[np.int64], other: NDArray[np.int64]) -> Iterator[float]:
    """The cosine of the angle between pairs of vectors; 0 where a text is empty."""
    for start in range(0, len(one), RUN_ROWS):
        a, b = (vectors[which[start : start + RUN_ROWS]].astype(np.int64) for which in (one, other))
        lengths = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        yield from ((a * b).sum(axis=1) / np.maximum(lengths, 1)).tolist()
