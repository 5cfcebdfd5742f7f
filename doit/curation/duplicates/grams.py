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

SAMPLED, BUCKET_BITS = 1 << 15, 20
"""Texts by which grams are judged, and how many buckets of grams: a table that stays in the processor's cache."""

KEY_BITS, HASH_BITS = 56, 50
SKETCH_WORDS = (2, 2, 4, 8)
"""Words of a sketch's parts, coarse to fine."""
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
    """How common grams are, on a logarithmic scale from 0 to 63, judged by some of the texts.

    Args:
        texts: a column of strings without nulls.

    Returns:
        An entry for each bucket of grams: a power of two of them, those whose hashes begin with the same bits. What a
        bucket holds by chance beside a gram, or what only texts that were not looked at hold, costs candidates and
        loses none.
    """
    some = texts.gather_every(max(1, len(texts) // SAMPLED))
    counts = np.zeros(1 << min(BUCKET_BITS, max(8, int(some.str.len_chars().sum()).bit_length())), dtype=np.uint32)
    one = np.uint32(1)
    for _, hashes, _ in gram_runs(some):
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
        starts = np.searchsorted(keys, np.arange(len(counts), dtype=np.uint64) << np.uint64(KEY_BITS))
        keys &= np.uint64((1 << KEY_BITS) - 1)
        yield first, Sets(keys, np.append(starts, len(keys)))


def sketches(sets: Sets) -> list[NDArray[np.uint64]]:
    """1,024 bits a set: for each, whether an odd number of members falls on it.

    Two sets that differ in d members have sketches that differ in d bits or fewer, whatever falls where (the odd sketch
    of Mitzenmacher, Pagh and Pham 2014, used here as a bound that loses nothing). So have sketches folded in halves by
    exclusive or; with fewer words they part small sets as well.

    Returns:
        Arrays of 64-bit words, a row for each set, coarse to fine: a sketch of two words; then for each word of the
        sketch before one of the two that it was folded from, the other being the exclusive or of both. The words of the
        next sketch are the former halves and then the latter ones.
    """
    width = sum(SKETCH_WORDS)
    words = np.zeros((len(sets.sizes), width), dtype=np.uint64)
    word = (sets.keys >> np.uint64(6) & np.uint64(width - 1)).view(np.int64)
    word += np.repeat(np.arange(len(words)) * width, sets.sizes)
    np.bitwise_xor.at(words.reshape(-1), word, np.uint64(1) << (sets.keys & np.uint64(63)))
    finer = []
    while words.shape[1] > 2:
        half = words.shape[1] // 2
        finer.append(words[:, :half])
        words = words[:, :half] ^ words[:, half:]
    return [words, *reversed(finer)]


def gram_sets(texts: pl.Series, common: NDArray[np.uint8]) -> Sets:
    """The sets of all texts at once. See `set_runs`."""
    runs = [run for _, run in set_runs(texts, common)]
    sizes = np.concatenate([np.zeros(1, dtype=np.int64), *(run.sizes for run in runs)])
    keys = np.concatenate([np.zeros(0, dtype=np.uint64), *(run.keys for run in runs)])
    return Sets(keys, np.cumsum(sizes))
