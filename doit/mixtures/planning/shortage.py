"""What a plan lacks, and how to say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from doit.errors import ShortStock
from doit.mixtures.planning.quotas import Problem, margins
from doit.mixtures.planning.targets import Table, in_words


@dataclass(frozen=True)
class Margin:
    """One value of one axis, over all its cells."""

    axis: str
    value: str
    wanted: int
    """Records in the plan for this size with unlimited data."""
    available: int
    """Different records in cells whose other values are wanted at all."""
    taken: int
    """Records in this plan, copies included."""


def reachable(problem: Problem) -> list[list[int]]:
    """The most records per axis and value that the cells can give, copies included."""
    return margins(problem, problem.most)


def empty_shares(table: Table, problem: Problem) -> list[tuple[str, str]]:
    """Axis and value of every positive share of which nothing can be taken."""
    return [
        (axis.name, value)
        for axis, most in zip(table.axes, reachable(problem), strict=True)
        for value, share, given in zip(axis.values, axis.shares, most, strict=True)
        if share and not given
    ]


def lacking(problem: Problem, taken: Sequence[Sequence[int]]) -> set[tuple[str, str]]:
    """Axis and value of everything that gets less in `taken` than in any best plan with unlimited data."""
    return {
        (axis.name, value)
        for axis, counts in zip(problem.axes, taken, strict=True)
        for value, (least, _), count in zip(axis.values, axis.ranges(problem.size), counts, strict=True)
        if count < least
    }


def refuse_empty(empty: Sequence[tuple[str, str]]) -> ShortStock:
    """The error for a positive share of which nothing is available."""
    axis = empty[0][0]
    values = in_words([value for name, value in empty if name == axis])
    return ShortStock(
        "D403",
        f"a share is asked of {values}, and nothing is available." if axis else "no record is left for training.",
        where=f"mix.{axis}" if axis else "mix",
        hint="Add a source that has it, set its share to 0, or use `shortage: redistribute`.",
    )


def refuse_short(size: int, short: Sequence[Margin], largest: int | None, *, filled: bool) -> ShortStock:
    """The error for targets that the stock cannot meet at `size`."""
    axis = short[0].axis if short else ""
    parts = [
        f"{margin.value} wants {margin.wanted:,} and has {margin.available:,}"
        if margin.available < margin.wanted
        else f"{margin.value} wants {margin.wanted:,} and gets at most {margin.taken:,} beside the other targets"
        for margin in short
        if margin.axis == axis
    ]
    others = in_words([f"{margin.axis} {margin.value}" for margin in short if margin.axis != axis], most=3)
    together = "the targets cannot all be met at once in whole numbers" if filled else "the cells hold fewer"
    what = in_words(parts) if parts else together
    what += f" (also short: {others})" if others else ""
    fits = f"The largest size that fits is {largest:,}" if largest else "No size fits"
    return ShortStock(
        "D401" if filled else "D402",
        f"not enough data for {size:,} records: {what}.",
        where=f"mix.{axis}" if axis else "size",
        hint=f"{fits}; `shortage: redistribute` comes as near as the data allows." if filled else f"{fits}.",
    )


def refuse_size(size: int, largest: int) -> ShortStock:
    """The error for a size that no plan fills."""
    return ShortStock(
        "D402",
        f"{size:,} records cannot be filled; the cells and fixed counts give at most {largest:,}.",
        where="size",
        hint=f"Set `size: {largest}`, add data, or turn a fixed count into a share.",
    )


def refuse_nothing() -> ShortStock:
    """The error for targets that no size meets."""
    return ShortStock(
        "D402",
        "there is no size at which the targets can be met: together they leave nothing to take.",
        where="size",
        hint="Add data for the cells that the targets meet in, or set `size` and `shortage: redistribute`.",
    )
