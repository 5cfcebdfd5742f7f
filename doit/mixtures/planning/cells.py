"""Cells: which target value of each axis a record belongs to, and how much stock every cell has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from doit.mixtures.planning.plan import Axis

NOWHERE = -1
"""The cell of a record whose value is neither named nor under `"*"`: it stays unused."""


def language_range(tag: str, ranges: Sequence[str]) -> str | None:
    """The longest range that takes a tag by BCP 47's basic filtering (RFC 4647 §3.3.1), `"*"` if none does.

    Returns:
        The range as the spec spells it, or None where nothing takes the tag.
    """
    parts = tag.lower().split("-")
    best = None
    for wanted in ranges:
        named = wanted.lower().split("-")
        longer = best is None or len(named) > len(best.split("-"))
        if wanted != "*" and parts[: len(named)] == named and longer:
            best = wanted
    return best if best is not None else ("*" if "*" in ranges else None)


def target_of(axis: Axis, value: str | None) -> str | None:
    """The target of `axis` that a column's value falls under, or None."""
    if axis.name == "language":
        return language_range(value or "und", list(axis.targets))
    if value is not None and value in axis.targets:
        return value
    return "*" if "*" in axis.targets else None


def assign(slim: pl.DataFrame, axes: Sequence[Axis]) -> tuple[pl.Series, list[tuple[str, ...]]]:
    """Give every record its cell.

    Args:
        slim: has a column of each axis's name.
        axes: the targets.

    Returns:
        `cell` (Int32: an index into the list, or `NOWHERE`) and the cells that occur, sorted.
    """
    if not axes:
        return pl.Series("cell", [0], pl.Int32).new_from_index(0, slim.height), [()]
    names = [axis.name for axis in axes]
    combos = slim.select(names).unique()
    placed = {
        row: tuple(target_of(axis, value) for axis, value in zip(axes, row, strict=True)) for row in combos.rows()
    }
    cells = sorted({cell for cell in placed.values() if None not in cell})
    number = {cell: index for index, cell in enumerate(cells)}
    combos = combos.with_columns(
        cell=pl.Series([number.get(placed[row], NOWHERE) for row in combos.rows()], dtype=pl.Int32)
    )
    found = slim.select(names).join(combos, on=names, how="left", nulls_equal=True, maintain_order="left")
    return found["cell"], [tuple(str(value) for value in cell) for cell in cells]


def stock(
    slim: pl.DataFrame, cells: Sequence[tuple[str, ...]], weight: str | None = None
) -> dict[tuple[str, ...], Sequence[int]]:
    """Records (or their tokens) available in each cell at epoch 1, 2, …

    Args:
        slim: columns `cell`, `max_epochs` and the weight.
        cells: what the numbers mean.
        weight: a column of tokens, where those are counted.
    """
    amount = pl.len() if weight is None else pl.col(weight).cast(pl.Int64).sum()
    grouped = slim.filter(pl.col("cell") != NOWHERE).group_by("cell", "max_epochs")
    counts = grouped.agg(amount.alias("amount")).sort("cell", "max_epochs")
    levels: dict[tuple[str, ...], list[int]] = {cell: [0] for cell in cells}
    for number, most, count in counts.rows():
        column = levels[cells[number]]
        column.extend([0] * (most - len(column)))
        for level in range(most):
            column[level] += count
    return dict(levels)


def cell_name(axes: Sequence[Axis], cell: Sequence[str]) -> str:
    """A cell as the ledger writes it: `language=zh ability=math`."""
    return " ".join(f"{axis.name}={value}" for axis, value in zip(axes, cell, strict=True)) or "everything"


def fields(axes: Sequence[Axis], cell: Sequence[str]) -> Mapping[str, str]:
    """A cell's values by column; language and ability are `*` where they carry no target."""
    return {"language": "*", "ability": "*", **{a.name: v for a, v in zip(axes, cell, strict=True)}}
