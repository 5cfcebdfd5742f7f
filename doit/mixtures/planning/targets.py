"""What is asked for, checked and made exact: targets per axis, beside what the stock can give them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from doit.errors import ShortStock, SpecError
from doit.mixtures.planning.quotas import AxisQuotas, Problem

Shortage = Literal["error", "redistribute", "shrink", "repeat"]
Stock = Mapping[tuple[str, ...], Sequence[int]]
"""Cell -> how many records may appear at least once, twice, three times, …; never increasing."""


@dataclass(frozen=True)
class Target:
    """What is asked of one value: exactly one of the three."""

    share: Fraction | None = None
    """Part of what fixed counts leave on the axis; normalised over the axis. Zero = nothing."""
    records: int | None = None
    """This many records."""
    all: bool = False
    """Everything that is available, once."""


@dataclass(frozen=True)
class Axis:
    """Targets on one column; every axis adds up to the size."""

    name: str
    targets: Mapping[str, Target]
    """Value -> target; `*` stands for all values without one of their own."""


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    axes: tuple[Axis, ...]
    """In the order language, ability, construction, source: ties are broken in this order."""
    size: int | None
    """Records; None = the most that the targets let through, and with shares the largest size at which they hold."""
    shortage: Shortage
    ceilings: Mapping[tuple[str, ...], int] | None = None
    """The most that each cell may give (the plan of the next larger size of a series); a missing cell gives nothing."""


class Table:
    """A request with its stock: what every cell can give, and what every value is asked for.

    Values of which nothing is wanted (a share or a count of zero) give nothing, and neither do values without a target.
    Without axes there is one cell, asked for everything.
    """

    def __init__(self, request: Request, stock: Stock) -> None:
        self.request = request
        self.stock = {cell: tuple(counts) for cell, counts in stock.items()}
        for cell, counts in self.stock.items():
            _check_counts(cell, counts, len(request.axes))
        self._wanted = [_wanted(axis) for axis in request.axes]
        self.axes = tuple(self._quotas(number) for number in range(len(request.axes))) or (_EVERYTHING,)

    def once(self, cell: tuple[str, ...]) -> int:
        """Different records of a cell."""
        counts = self.stock.get(cell, ())
        return counts[0] if counts else 0

    def most(self, cell: tuple[str, ...]) -> int:
        """Records that a cell may give, copies included."""
        counts = self.stock.get(cell, ())
        once = any(axis.targets[value].all for axis, value in zip(self.request.axes, cell, strict=True))
        given = sum(counts if self.request.shortage == "repeat" and not once else counts[:1])
        ceilings = self.request.ceilings
        return given if ceilings is None else min(given, ceilings.get(cell, 0))

    def available(self, number: int, value: str) -> int:
        """Different records of a value of an axis, in cells whose other values are wanted at all."""
        return sum(
            self.once(cell)
            for cell in self.stock
            if cell[number] == value and all(cell[i] in wanted for i, wanted in enumerate(self._wanted) if i != number)
        )

    def problem(self, size: int) -> Problem:
        """The table to fill from the stock."""
        cells = [(cell, names) for cell, names in self._cells() if self.most(names) > 0]
        most = [self.most(names) for _, names in cells]
        once = [min(self.once(names), given) for (_, names), given in zip(cells, most, strict=True)]
        return Problem(size, self.axes, tuple(cell for cell, _ in cells), tuple(most), tuple(once))

    def unlimited(self, size: int) -> Problem:
        """The table to fill if every cell that is wanted had any number of records."""
        cells = tuple(cell for cell, _ in self._cells())
        return Problem(size, self.axes, cells, (size,) * len(cells), (size,) * len(cells))

    def _cells(self) -> Iterator[tuple[tuple[int, ...], tuple[str, ...]]]:
        """Cells of which something is wanted: indices into the axes, and the stock's key."""
        wanted = [[i for i in range(len(axis.values)) if axis.fixed[i] != 0] for axis in self.axes]
        for cell in itertools.product(*wanted):
            names = tuple(axis.values[i] for axis, i in zip(self.axes, cell, strict=True))
            yield cell, names if self.request.axes else ()

    def _quotas(self, number: int) -> AxisQuotas:
        axis = self.request.axes[number]
        values = tuple(sorted(axis.targets))
        targets = [axis.targets[value] for value in values]
        total = sum((target.share for target in targets if target.share is not None), Fraction(0))
        shares = tuple(target.share / total if target.share else None for target in targets)
        fixed = tuple(
            None if target.share else self.available(number, value) if target.all else target.records or 0
            for value, target in zip(values, targets, strict=True)
        )
        loose = self.request.size is None and not total
        return AxisQuotas(axis.name, values, shares, fixed, tuple(target.all and loose for target in targets))


_EVERYTHING = AxisQuotas("", ("",), (Fraction(1),), (None,), (False,))


def _wanted(axis: Axis) -> frozenset[str]:
    """The values of an axis of which something is wanted, after a check of its targets."""
    for value, target in axis.targets.items():
        where = f"mix.{axis.name}.{value}"
        if (target.share is not None) + (target.records is not None) + bool(target.all) != 1:
            raise SpecError(
                "D204", "a target is exactly one thing.", where=where, hint="Keep a share, `records` or `all`."
            )
        if (target.share or 0) < 0 or (target.records or 0) < 0:
            raise SpecError("D204", "a target cannot be negative.", where=where, hint="Use 0 to leave the value out.")
    if not axis.targets:
        raise SpecError("D204", "no targets.", where=f"mix.{axis.name}", hint="Name a value, or leave the axis out.")
    return frozenset(value for value, target in axis.targets.items() if target.all or target.records or target.share)


def _check_counts(cell: tuple[str, ...], counts: Sequence[int], axes: int) -> None:
    if len(cell) != axes:
        raise ValueError(f"stock {cell}: {len(cell)} values for {axes} axes")
    if any(count < 0 for count in counts) or any(later > sooner for sooner, later in itertools.pairwise(counts)):
        raise ValueError(f"stock {cell}: counts per epoch are never negative and never increase")


def check_totals(table: Table, size: int) -> None:
    """Refuse targets that cannot add up to `size`, whatever the data.

    Raises:
        SpecError: D207: fixed counts that leave no room for the shares, or that add up to another size.
        ShortStock: D402: `all` and counts that add up to less than the size.
    """
    for axis in table.axes:
        where, counts = f"mix.{axis.name}", _fixed_in_words(table, axis)
        least = sum(fixed or 0 for fixed, loose in zip(axis.fixed, axis.ceiling, strict=True) if not loose)
        if axis.shared and axis.reserved >= size:
            raise SpecError(
                "D207",
                f"{counts} take {axis.reserved:,} of {size:,} records and leave nothing for {_shares_in_words(axis)}.",
                where=where,
                hint=f"Ask for a size above {axis.reserved:,}, or for less.",
            )
        if axis.shared:
            continue
        if least > size or (axis.reserved < size and not _has_all(table, axis)):
            raise SpecError(
                "D207",
                f"{counts} add up to {least:,} records, not to the size of {size:,}.",
                where=where,
                hint=f'Set `size: {least}`, change a count, or give a value (such as "*") a share.',
            )
        if axis.reserved < size:
            raise ShortStock(
                "D402",
                f"{counts} add up to {axis.reserved:,} records; the size asks for {size:,}.",
                where=where,
                hint=f'Set `size: {axis.reserved}` or `size: all`, or give a value (such as "*") a share.',
            )


def only_records(table: Table) -> int | None:
    """The size that axes with nothing but counts fix.

    Raises:
        SpecError: D207: two such axes fix different sizes.
    """
    fixed = [axis for axis in table.axes if not axis.shared and not _has_all(table, axis)]
    for axis in fixed[1:]:
        if axis.reserved != fixed[0].reserved:
            raise SpecError(
                "D207",
                f"counts add up to {axis.reserved:,} records, but those of {fixed[0].name} to {fixed[0].reserved:,}.",
                where=f"mix.{axis.name}",
                hint='Make the sums equal, or give a value of one axis (such as "*") a share.',
            )
    return fixed[0].reserved if fixed else None


def _has_all(table: Table, axis: AxisQuotas) -> bool:
    return any(
        target.all for asked in table.request.axes if asked.name == axis.name for target in asked.targets.values()
    )


def _fixed_in_words(table: Table, axis: AxisQuotas) -> str:
    asked = next(asked for asked in table.request.axes if asked.name == axis.name) if axis.name else None
    counts = [
        f"{value} ({'all ' if asked and asked.targets[value].all else ''}{fixed:,})"
        for value, fixed in zip(axis.values, axis.fixed, strict=True)
        if fixed
    ]
    return in_words(counts) if counts else "no counts"


def _shares_in_words(axis: AxisQuotas) -> str:
    return in_words([value for value, share in zip(axis.values, axis.shares, strict=True) if share])


def in_words(parts: Sequence[str], most: int = 5) -> str:
    """The first few of a list, and how many more there are."""
    shown = ", ".join(parts[:most])
    return shown if len(parts) <= most else f"{shown} and {len(parts) - most} more"
