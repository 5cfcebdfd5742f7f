"""Splits: validation and test records, taken from the curated pool before any training record, and the same for every
size of a series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.keys import keys
from doit.errors import ShortStock
from doit.mixtures.planning import cells as cellular
from doit.mixtures.planning.plan import Axis
from doit.mixtures.spec import Split

SPLITS = ("validation", "test")
"""In the order in which they choose; what is left is for training."""

UNTAGGED = "untagged"


def split(
    slim: pl.DataFrame, splits: Mapping[str, Split], axes: Sequence[Axis], seed: int, clusters: pl.Series | None = None
) -> pl.Series:
    """Which split a record belongs to.

    Whole units are taken: records of one `group`, joined with the near duplicates of its records. Units come in the
    order of the smallest `split` key among their records, until the count of a value is reached.

    Args:
        slim: columns `id`, `group`, `cell` and those that a split's `per` names; only records with a cell may be taken.
        splits: as in the spec.
        axes: the targets; a `per` that is an axis counts by its targets, another column by its own values.
        seed: the spec's seed.
        clusters: a label for every row, equal for near duplicates; None where nothing is known of them.

    Returns:
        The split's name, null for what training may use.

    Raises:
        ShortStock: D401, a value has fewer records than a split needs.
    """
    able = np.flatnonzero((slim["cell"] != cellular.NOWHERE).to_numpy())
    pool = slim[able]
    choice = _Choice(pool, None if clusters is None else clusters.gather(able), seed)
    for name in SPLITS:
        if name in splits:
            values, named = values_of(pool, splits[name].per, axes)
            for value in np.argsort(named):
                choice.take(name, values == value, splits[name].records, named[value])
    names = pl.Series([None, *SPLITS], dtype=pl.String)
    chosen = np.zeros(slim.height, np.uint32)
    chosen[able] = choice.taken
    return names.gather(chosen).alias("split")


class _Choice:
    """The records of a pool while splits take units of them."""

    def __init__(self, pool: pl.DataFrame, clusters: pl.Series | None, seed: int) -> None:
        self.taken = np.zeros(pool.height, np.uint32)
        """0 = free, else one more than the split's place in `SPLITS`."""
        self._unit = units(pool, clusters)
        self._order = _unit_order(pool, self._unit, seed)
        by_unit = np.argsort(self._unit, kind="stable")
        self._members = np.split(by_unit, np.flatnonzero(np.diff(self._unit[by_unit])) + 1)

    def take(self, split: str, mine: NDArray[np.bool_], count: int, value: str) -> None:
        """Take whole units until `count` of the records `mine` are in the split."""
        number = SPLITS.index(split) + 1
        have = int((self.taken[mine] == number).sum())
        for row in self._order[mine[self._order]]:
            if have >= count:
                return
            if not self.taken[row]:
                whole = self._members[self._unit[row]]
                self.taken[whole] = number
                have += int(mine[whole].sum())
        if have < count:
            what = f"{split} asks for {count:,} records of {value}, and there are {have:,}."
            raise ShortStock("D401", what, where=f"splits.{split}", hint=f"Ask for {have} or fewer, or add sources.")


def units(pool: pl.DataFrame, clusters: pl.Series | None) -> NDArray[np.int64]:
    """The number of every record's unit: the connected components of sharing a group or a cluster."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - slow to import, and only splits need it
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    rows, labels, width = [], [], pool.height
    for column in (pool["group"], clusters):
        if column is not None and column.null_count() < pool.height:
            codes = (column.rank("dense").cast(pl.Int64).fill_null(0) - 1).to_numpy()
            rows.append(np.flatnonzero(codes >= 0))
            labels.append(codes[rows[-1]] + width)
            width = int(labels[-1].max()) + 1
    if not rows:
        return np.arange(pool.height)
    ends = np.concatenate(rows), np.concatenate(labels)
    graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(width, width))
    found: NDArray[np.int64] = connected_components(graph, directed=False)[1][: pool.height]
    return np.unique(found, return_inverse=True)[1]


def _unit_order(pool: pl.DataFrame, unit: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The records in the order of their units' smallest keys."""
    own = keys("split", seed, pool["id"])
    least = np.full(pool.height, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, unit, own)
    frame = pl.DataFrame({"least": least[unit], "own": own, "id": pool["id"]}).with_row_index("at")
    return frame.sort("least", "own", "id")["at"].to_numpy().astype(np.int64)


def values_of(pool: pl.DataFrame, per: str | None, axes: Sequence[Axis]) -> tuple[NDArray[np.int64], list[str]]:
    """The value of `per` of every record as a number, and the values: its targets where it is an axis."""
    if per is None:
        return np.zeros(pool.height, np.int64), ["any kind"]
    axis = next((axis for axis in axes if axis.name == per), None)
    found = pool[per].unique().to_list()
    if axis is None:
        named = {value: UNTAGGED if value is None else str(value) for value in found}
    else:
        named = {value: cellular.target_of(axis, value) or UNTAGGED for value in found}
    names = sorted(set(named.values()))
    place = {value: names.index(name) for value, name in named.items()}
    table = pl.DataFrame({per: found, "place": list(place.values())}, schema_overrides={per: pool[per].dtype})
    joined = pool.select(per).join(table, on=per, how="left", nulls_equal=True, maintain_order="left")
    return joined["place"].to_numpy().astype(np.int64), names
