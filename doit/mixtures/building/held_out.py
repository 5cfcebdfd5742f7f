"""Where a plan lacks records that are held out: the same error, with the splits that took them, and why so many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.errors import ShortStock
from doit.mixtures.building.splitting import SPLITS, units, values_of
from doit.mixtures.building.stocking import Stocked
from doit.mixtures.planning import cells as cellular
from doit.mixtures.planning.plan import Axis
from doit.mixtures.planning.targets import in_words
from doit.mixtures.pools.curating import near_clusters
from doit.mixtures.spec import Split


class _Value(NamedTuple):
    """A value of an axis; of no axis where the spec has none."""

    axis: str | None
    name: str
    mine: NDArray[np.bool_]
    """Which records have it, among those that may be used at all."""


class _Taken(NamedTuple):
    """What a split took of a value."""

    split: str
    asked: int
    took: int
    units: int
    """Groups, clusters of near duplicates and records by themselves, of which it has some."""


def with_splits(error: ShortStock, found: Stocked, splits: Mapping[Any, Split]) -> ShortStock:
    """The error of a plan; where splits took the records that it lacks, it says so.

    Args:
        error: what the planner says.
        found: the stock that it planned with.
        splits: as in the spec.

    Returns:
        The error itself where no split is to blame.
    """
    if not splits:
        return error
    usable = found.slim.select((pl.col("cell") != cellular.NOWHERE) | pl.col("split").is_not_null()).to_series()
    able = found.slim.filter(usable)
    short = [value for value in _values(error, found, able) if _blamed(error, able, value)]
    if not short:
        return error
    unit = units(able, near_clusters(found.slim, found.pool.parts).filter(usable))
    told, smaller, blamed = [], False, dict[str, None]()
    for value in short:
        taken = list(_taken(able, value, unit, splits, found.axes))
        told.append(_sentence(value, taken))
        smaller = smaller or any(one.units > 1 for one in taken)
        blamed.update(dict.fromkeys(f"`splits.{one.split}`" for one in taken))
    hint = f"Leave out {' and '.join(blamed)}{', or ask for fewer records there' if smaller else ''}."
    return ShortStock(error.code, f"{error.what} {' '.join(told)}", where=error.where, hint=f"{hint} {error.hint}")


def _values(error: ShortStock, found: Stocked, able: pl.DataFrame) -> Iterator[_Value]:
    """The values that the error may be about."""
    for axis in found.axes:
        if error.where in (f"mix.{axis.name}", "mix", "size"):
            number, names = values_of(able, axis.name, found.axes)
            wanted = {value for value, of in axis.targets.items() if of.share or of.records or of.all}
            yield from (_Value(axis.name, name, number == at) for at, name in enumerate(names) if name in wanted)
    if not found.axes:
        yield _Value(None, "", np.ones(able.height, np.bool_))


def _blamed(error: ShortStock, able: pl.DataFrame, value: _Value) -> bool:
    """Whether splits took all of a value, or some of one that the error says is short."""
    held = int(able["split"].is_not_null().to_numpy()[value.mine].sum())
    return bool(held) and (held == int(value.mine.sum()) or f"{value.name} wants " in error.what)


def _taken(
    able: pl.DataFrame,
    value: _Value,
    unit: NDArray[np.int64],
    splits: Mapping[Any, Split],
    axes: Sequence[Axis],
) -> Iterator[_Taken]:
    for name in SPLITS:
        inside = value.mine & (able["split"] == name).fill_null(value=False).to_numpy()
        if name in splits and inside.any():
            split = splits[name]
            times = 1 if split.per in (None, value.axis) else len(values_of(able, split.per, axes)[1])
            yield _Taken(name, times * split.records, int(inside.sum()), len(np.unique(unit[inside])))


def _sentence(value: _Value, taken: Sequence[_Taken]) -> str:
    """What the splits took of a value, and why it is more than they ask for."""
    of = f" of {value.name}" if value.name else ""
    took = in_words([f"the split {one.split} took {one.took:,} (it asks for {one.asked:,})" for one in taken])
    why = ""
    if any(one.took > one.asked for one in taken):
        sets = sum(one.units for one in taken)
        these = "these are one such set" if sets == 1 else f"these are {sets:,} such sets"
        why = f": records of one group and near duplicates of each other stay together, and {these}"
    return f"Of {int(value.mine.sum()):,} records{of}, {took}{why}."
