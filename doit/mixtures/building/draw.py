"""The draw: which records a cell gets, and in which order a mixture is written.

Everything follows from a record's key (`doit.curation.keys`); nothing depends on the order of the input.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.keys import Words, halves, keys


def kept(slim: pl.DataFrame, part: dict[str, tuple[int, int]], seed: int) -> pl.Series:
    """Which records `keep` lets through: of each source the smallest `keep` keys, rounded to the nearest count.

    Args:
        slim: columns `id` and `source`.
        part: source -> its `keep` as (numerator, denominator).
        seed: the spec's seed.

    Returns:
        A boolean for every row of `slim`.
    """
    keyed = slim.select(
        pl.Series("key", keys("keep", seed, slim["id"])),
        "id",
        "source",
        position=pl.int_range(pl.len(), dtype=pl.UInt32),
    )
    keep = np.ones(slim.height, dtype=bool)
    for source, (top, bottom) in part.items():
        if top == bottom:
            continue
        rows = keyed.filter(pl.col("source") == source).sort("key", "id")
        count = (2 * top * rows.height + bottom) // (2 * bottom)
        keep[rows["position"].to_numpy()[count:]] = False
    return pl.Series("keep", keep)


def draw(slim: pl.DataFrame, taken: dict[int, int], seed: int, weight: str | None = None) -> pl.DataFrame:
    """Give every record of a cell its rank, and say how many copies of it are drawn.

    Copies rank by (epoch, key): a second copy comes only after every record's first.

    Args:
        slim: columns `id`, `cell` (a number), `max_epochs` and the weight.
        taken: cell -> how many, copies included; with a weight, how much of it.
        seed: the spec's seed.
        weight: a column of tokens; the cell then takes the first records by key whose sum is nearest.

    Returns:
        Columns `rank` (0-based place in the cell by key) and `epoch` (copies drawn, 0 = unused), in `slim`'s order.
    """
    cell, most = slim["cell"].to_numpy(), slim["max_epochs"].to_numpy()
    weights = None if weight is None else slim[weight].cast(pl.Int64).to_numpy()
    order, sizes = _by_cell(cell)
    key = keys("draw", seed, slim["id"])[order]
    rank, epoch = np.zeros(slim.height, np.uint32), np.zeros(slim.height, np.int32)
    start = 0
    for size in sizes:
        inside = _by_key(key[start : start + size], slim["id"], order[start : start + size])
        rows = order[start : start + size][inside]
        start += size
        goal = taken.get(int(cell[rows[0]]), 0)
        count = goal if weights is None else nearest(weights[rows], most[rows], goal)
        rank[rows] = np.arange(size, dtype=np.uint32)
        if count <= size:
            epoch[rows[:count]] = 1
        else:
            epoch[rows] = copies(most[rows], count)
    return pl.DataFrame({"rank": rank, "epoch": epoch})


def _by_cell(cell: NDArray[np.int32]) -> tuple[NDArray[np.uint32], list[int]]:
    """The rows cell by cell, and how many each cell has."""
    if len(cell) == 0:
        return np.zeros(0, np.uint32), []
    short = cell.astype(np.uint16) if int(cell.max()) < 1 << 16 else cell  # numpy sorts short numbers by their digits
    order = np.argsort(short, kind="stable").astype(np.uint32)
    ends = np.flatnonzero(np.diff(short[order])) + 1
    return order, np.diff([0, *ends.tolist(), len(cell)]).tolist()


def _by_key(key: Words, ids: pl.Series, rows: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The order of keys; equal ones, of which there is one in many millions of pairs, by the ids of their rows."""
    order = np.argsort(key)
    if (key[order[1:]] == key[order[:-1]]).any():
        high, low = halves(ids.gather(rows))
        order = np.lexsort((low, high, key))
    return order


def nearest(weights: NDArray[np.int64], max_epochs: NDArray[np.int32], goal: int) -> int:
    """How many copies, in the order in which `copies` gives them, weigh nearest to `goal`; of two the fewer."""
    count, before = 0, 0
    for level in range(1, int(max_epochs.max(initial=0)) + 1):
        sums = before + np.cumsum(weights[max_epochs >= level])
        past = int(np.searchsorted(sums, goal))
        if past < len(sums):
            under = int(sums[past - 1]) if past else before
            return count + past + (int(sums[past]) - goal < goal - under)
        count, before = count + len(sums), int(sums[-1]) if len(sums) else before
    return count


def copies(max_epochs: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """How many copies of each record, in key order, make `count`: all first ones, then the second of those that may."""
    given = np.zeros(len(max_epochs), np.int32)
    level = 0
    while count > 0:
        level += 1
        able = np.flatnonzero(max_epochs >= level)[:count]
        if len(able) == 0:
            raise ValueError(f"{count} copies more than the cell has")
        given[able] += 1
        count -= len(able)
    return given


def ordered(drawn: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The training rows in the mixture's order, one a copy.

    Args:
        drawn: any columns, with `id` and `epoch` (copies drawn, at least 1).
        seed: the spec's seed.

    Returns:
        The rows with `epoch` as the number of this copy, sorted by their `order` key.
    """
    most = drawn["epoch"].max() if drawn.height else 0
    blocks = []
    for copy in range(1, int(str(most or 0)) + 1):
        block = drawn.filter(pl.col("epoch") >= copy)
        key = pl.Series("order", keys("order", seed, block["id"], copy))
        blocks.append(block.with_columns(key, epoch=pl.lit(copy, pl.Int32)))
    if not blocks:
        return drawn.with_columns(order=pl.lit(0, pl.UInt64))
    return pl.concat(blocks).sort("order", "id", "epoch")
