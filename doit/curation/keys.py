"""A written-down hash of (purpose, seed, id): what a choice among records goes by, so that nothing else decides it.

    salt = BLAKE2b-64 of the text "purpose:seed:copy", read as a little-endian number
    key  = mix(mix(high ^ salt) ^ low)          high, low: the two halves of the id, big-endian
    mix  = the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), after adding its golden gamma

Golden values stand in the tests. Nothing depends on a random generator's state or on a library's hash.
"""

from __future__ import annotations

import binascii
import hashlib
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Purpose = Literal["draw", "order", "keep", "split", "sample"]
Words = NDArray[np.uint64]

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)

AT_ONCE = 1 << 18
"""Ids whose keys are made at a time: few enough that what lies between stays in the processor's cache."""


def mix(words: Words) -> Words:
    """SplitMix64's finaliser of every word, after adding its gamma; arithmetic is modulo 2**64."""
    z = words + GAMMA
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


def halves(ids: pl.Series) -> tuple[Words, Words]:
    """The two 64-bit halves of ids: 128-bit numbers, or 32 hex digits."""
    if ids.dtype == pl.UInt128:
        word = pl.lit(1 << 64, pl.UInt128)
        two = ids.to_frame("id").select(high=pl.col("id") // word, low=pl.col("id") % word).cast(pl.UInt64)
        return two["high"].to_numpy(), two["low"].to_numpy()
    parts = [ids.str.slice(start, 16).str.to_integer(base=16, dtype=pl.UInt64) for start in (0, 16)]
    return parts[0].to_numpy(), parts[1].to_numpy()


def hexadecimal(ids: pl.Series) -> pl.Series:
    """Ids as 32 hex digits, whichever way they are held; null where there is none."""
    if ids.dtype == pl.String:
        return ids
    missing = ids.is_null()
    digits = binascii.hexlify(np.column_stack(halves(ids.fill_null(pl.lit(0, pl.UInt128)))).astype(">u8").tobytes())
    ends = np.arange(0, len(digits) + 1, 32, dtype=np.int64)
    spelled = pl.Series(pa.LargeStringArray.from_buffers(len(ids), pa.py_buffer(ends), pa.py_buffer(digits)))
    return (spelled.set(missing, None) if missing.any() else spelled).alias(ids.name)


def keys(purpose: Purpose, seed: int, ids: pl.Series, copy: int = 1) -> Words:
    """The key of every id.

    Args:
        purpose: what the key decides; keys of different purposes are independent.
        seed: the spec's seed.
        ids: records' ids, 128-bit numbers or 32 hex digits.
        copy: which copy of the record, from 1.

    Returns:
        One 64-bit key an id.
    """
    salt = np.frombuffer(hashlib.blake2b(f"{purpose}:{seed}:{copy}".encode(), digest_size=8).digest(), "<u8")[0]
    found = np.empty(len(ids), np.uint64)
    for start in range(0, len(ids), AT_ONCE):
        high, low = halves(ids[start : start + AT_ONCE])
        found[start : start + AT_ONCE] = mix(mix(high ^ salt) ^ low)
    return found
