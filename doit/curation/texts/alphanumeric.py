"""How much of a text is letters and digits."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.stretches import stretches

NEITHER, SPACE, LETTER = 0, 1, 2
RUN_CHARS = 1 << 18
"""Characters looked up together, so that they stay in the processor's cache."""


@cache
def _kinds() -> NDArray[np.uint8]:
    """The kind of every code point: a megabyte. Marks are letters, of क्षि and of é with a combining accent."""
    points = pl.Series([chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000])
    kinds = pl.select(
        pl.when(points.str.contains(r"[\p{L}\p{N}\p{M}]"))
        .then(LETTER)
        .when(points.str.contains(r"\s"))
        .then(SPACE)
        .otherwise(NEITHER)
    ).to_series()
    table = np.zeros(0x110000, dtype=np.uint8)
    table[:0xD800], table[0xE000:] = kinds[:0xD800].to_numpy(), kinds[0xD800:].to_numpy()
    return table


def alphanumeric_share(texts: pl.Series) -> pl.Series:
    """The share of letters, digits and marks of any script among a text's characters that are not white space.

    Args:
        texts: a column of strings.

    Returns:
        A Float64 column, 0 to 1; 0 for a text of nothing but white space, and for null.
    """
    plain = texts.fill_null("")
    lengths = plain.str.len_chars().to_numpy().astype(np.int64)
    shares = np.zeros(len(plain))
    filled = np.flatnonzero(lengths)
    for part in stretches(lengths[filled], RUN_CHARS):
        rows = filled[part]
        points = np.frombuffer("".join(plain.gather(rows).to_list()).encode("utf-32-le"), dtype="<u4")
        kinds = _kinds()[points]
        starts = np.cumsum(lengths[rows]) - lengths[rows]
        letters = np.add.reduceat(kinds == LETTER, starts, dtype=np.int64)
        written = lengths[rows] - np.add.reduceat(kinds == SPACE, starts, dtype=np.int64)
        shares[rows] = letters / np.maximum(written, 1)
    return pl.Series(texts.name, shares)
