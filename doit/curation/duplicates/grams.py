"""Sets of character 4-grams as sorted 64-bit keys, worked out over whole runs of rows.

A gram's key begins with how common the gram is in the whole column and ends with a hash of its four characters, so
that a sorted set stands in the order that candidate search wants: rarest first. Two grams share a key with a
probability of 2^-50.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.stretches import stretches

GRAM = 4
"""Characters of a gram."""

RUN_ROWS, RUN_CHARS = 256, 1 << 20
"""Rows worked on together: their number within the run takes the upper 8 bits of a key, and a few hundred kilobytes of
keys stay in the processor's cache."""

KEY_BITS, HASH_BITS, SKETCH_BITS = 56, 50, 1024
FACTORS = tuple(
    np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
)
"""Odd numbers whose bits look random; one for each character of a gram."""
STIR, SHORT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xA0761D6478BD642F)

Keys = NDArray[np.uint64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Sets:
    """Sets of gram keys, one after the other."""

    keys: Keys
    """Ascending within a set."""
    starts: Counts
    """Where each set begins, and the end of the last: one more than there are sets."""

    @property
    def sizes(self) -> Counts:
        """Members of each set."""
        return np.diff(self.starts)


def stirred(numbers: Keys) -> Keys:
    """Numbers whose every bit depends on every bit of the given ones; a bijection."""
    numbers = numbers ^ (numbers >> np.uint64(32))
    numbers *= STIR
    numbers ^= numbers >> np.uint64(29)
    numbers *= FACTORS[1]
    numbers ^= numbers >> np.uint64(32)
    return numbers


def gram_runs(texts: pl.Series) -> Iterator[tuple[int, Keys, Counts]]:
    """The hashed 4-grams of every text, in order and with repetitions.

    A text of fewer than four characters has one gram: the whole text, also if it is empty.

    Args:
        texts: a column of strings without nulls.

    Yields:
        The run's first row; the hashes of its grams; and how many each row of the run has.
    """
    chars = texts.str.len_chars().to_numpy().astype(np.int64)
    for rows in stretches(chars, RUN_CHARS, RUN_ROWS):
        run, lengths = texts[rows], chars[rows]
        short = np.flatnonzero(lengths < GRAM)
        if len(short):
            run = run.str.pad_end(GRAM, "\0")
        points = np.frombuffer("".join(run.to_list()).encode("utf-32-le"), dtype="<u4").astype(np.uint64)
        counts = np.maximum(lengths, GRAM) - (GRAM - 1)
        hashes = points * FACTORS[0]
        for place in range(1, GRAM):
            hashes[:-place] += points[place:] * FACTORS[place]
        starts = np.cumsum(counts + (GRAM - 1)) - (counts + (GRAM - 1))
        # A padded text is told from one that ends in NULs by its length.
        hashes[starts[short]] += (GRAM - lengths[short]).astype(np.uint64) * SHORT
        inside = np.ones(len(hashes), dtype=np.bool_)
        for place in range(1, GRAM):
            inside[starts + counts + (GRAM - 1) - place] = False
        yield rows.start, stirred(hashes[inside]), counts


def _buckets(hashes: Keys, table: NDArray[np.unsignedinteger]) -> Counts:
    return (hashes >> np.uint64(64 - (len(table).bit_length() - 1))).astype(np.int64)


def commonness(texts: pl.Series) -> NDArray[np.uint8]:
    """How common grams are, on a logarithmic scale from 0 to 63.

    Args:
        texts: a column of strings without nulls.

    Returns:
        An entry for each bucket of grams: a power of two of them, those whose hashes begin with the same bits. What a
        bucket holds by chance beside a gram costs candidates and loses none.
    """
    bits = min(22, max(8, int(texts.str.len_chars().sum()).bit_length()))
    counts = np.zeros(1 << bits, dtype=np.uint32)
    one = np.uint32(1)
    for _, hashes, _ in gram_runs(texts):
        np.add.at(counts, _buckets(hashes, counts), one)
    levels: NDArray[np.uint8] = np.minimum(3 * np.log2(np.maximum(counts, 1)), 63).astype(np.uint8)
    return levels


def set_runs(texts: pl.Series, common: NDArray[np.uint8]) -> Iterator[tuple[int, Sets]]:
    """The sets of gram keys of every text.

    Args:
        texts: a column of strings without nulls.
        common: what `commonness` found in the whole column.

    Yields:
        The run's first row, and the sets of its rows.
    """
    for first, hashes, counts in gram_runs(texts):
        rarity = common[_buckets(hashes, common)].astype(np.uint64)
        keys = rarity << np.uint64(HASH_BITS) | hashes & np.uint64((1 << HASH_BITS) - 1)
        keys |= np.repeat(np.arange(len(counts), dtype=np.uint64) << np.uint64(KEY_BITS), counts)
        keys.sort()
        keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
        sizes = np.bincount((keys >> np.uint64(KEY_BITS)).astype(np.int64), minlength=len(counts))
        yield first, Sets(keys & np.uint64((1 << KEY_BITS) - 1), np.concatenate(([0], np.cumsum(sizes))))


def sketches(sets: Sets) -> NDArray[np.uint64]:
    """1,024 bits a set: for each, whether an odd number of members falls on it.

    Two sets that differ in d members have sketches that differ in d bits or fewer, whatever falls where (the odd sketch
    of Mitzenmacher, Pagh and Pham 2014, used here as a bound that loses nothing).

    Returns:
        An array of sixteen 64-bit words a set.
    """
    bits = (stirred(sets.keys) >> np.uint64(64 - 10)).astype(np.int64)
    cells = np.repeat(np.arange(len(sets.sizes)) * SKETCH_BITS, sets.sizes) + bits
    odd = np.bincount(cells, minlength=len(sets.sizes) * SKETCH_BITS).astype(np.uint8) & np.uint8(1)
    return np.packbits(odd.reshape(-1, SKETCH_BITS), axis=1).view(np.uint64)


def gram_sets(texts: pl.Series, common: NDArray[np.uint8]) -> Sets:
    """The sets of all texts at once. See `set_runs`."""
    runs = [run for _, run in set_runs(texts, common)]
    sizes = np.concatenate([np.zeros(1, dtype=np.int64), *(run.sizes for run in runs)])
    keys = np.concatenate([np.zeros(0, dtype=np.uint64), *(run.keys for run in runs)])
    return Sets(keys, np.cumsum(sizes))
