"""Choosing some records of every cell: the best by a score, or a sample in proportion to it.

What is chosen depends on ids and scores alone, never on the order of the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.keys import keys


def cells_of(rows: pl.DataFrame, per: Sequence[str]) -> NDArray[np.int64]:
    """A number for every row, the same for rows with the same values; null is a value.

    Args:
        rows: a row a record.
        per: columns of strings whose values make a cell; without any, all rows are one.
    """
    if not per:
        return np.zeros(rows.height, dtype=np.int64)
    known = rows.select(per).unique().sort(per, nulls_last=True).with_row_index("cell")
    joined = rows.select(per).join(known, on=per, how="left", nulls_equal=True, maintain_order="left")
    return joined["cell"].to_numpy().astype(np.int64)


def counts_of(sizes: NDArray[np.int64], keep: int | Fraction) -> NDArray[np.int64]:
    """How many records of each cell stay: so many, or the nearest whole number to a part of it, halves up."""
    if isinstance(keep, int):
        return np.minimum(sizes, keep)
    top, bottom = keep.numerator, keep.denominator
    return np.array([(2 * top * size + bottom) // (2 * bottom) for size in sizes.tolist()], dtype=np.int64)


def first_of_each(
    order: NDArray[np.float64], ids: pl.Series, cells: NDArray[np.int64], keep: int | Fraction
) -> NDArray[np.bool_]:
    """The records of every cell that come first.

    Args:
        order: smallest first; equal ones by id.
        ids: one a record.
        cells: of `cells_of`.
        keep: records of a cell, or the part of it, that stay.

    Returns:
        Whether each record is among them.
    """
    frame = pl.DataFrame({"cell": cells, "order": order, "id": ids}).with_row_index("at").sort("cell", "order", "id")
    sizes = np.bincount(cells, minlength=int(cells.max(initial=-1)) + 1)
    starts = np.cumsum(sizes) - sizes
    sorted_cells = frame["cell"].to_numpy()
    rank = np.arange(frame.height) - starts[sorted_cells]
    chosen = np.zeros(frame.height, dtype=np.bool_)
    chosen[frame["at"].to_numpy()] = rank < counts_of(sizes, keep)[sorted_cells]
    return chosen


def sampling_order(scores: NDArray[np.float64], ids: pl.Series, seed: int) -> NDArray[np.float64]:
    """The order in which a sample without replacement draws records, each time in proportion to the scores left.

    Weighted sampling by exponential keys (Efraimidis and Spirakis 2006): -log(u) / score, smallest first, where u in
    (0, 1] is the record's key for the purpose `sample`. So a smaller sample lies in every larger one.

    Args:
        scores: 0 or more; with 0 a record is never drawn, and its order is infinite.
        ids: one a record.
        seed: the rule's seed.
    """
    uniform = (keys("sample", seed, ids) + 0.5) / 2.0**64
    drawn = np.full(len(scores), np.inf)
    np.divide(-np.log(uniform), scores, out=drawn, where=scores > 0)
    return drawn
