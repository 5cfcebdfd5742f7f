"""What the targets ask for in numbers: shares made exact, fixed counts, and the count per value with unlimited data."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple


class AxisQuotas(NamedTuple):
    """The targets of one axis, with its values in the order of their names.

    A share of zero is a fixed count of zero. `fixed[i]` is None exactly where `shares[i]` is not.
    """

    name: str
    values: tuple[str, ...]
    shares: tuple[Fraction | None, ...]
    """Part of what the fixed counts leave, summing to 1 over the axis; None = a fixed count."""
    fixed: tuple[int | None, ...]
    """Records asked for, exactly."""
    ceiling: tuple[bool, ...]
    """True where missing the fixed count does no harm: `all: true` beside `size: all`, on an axis without shares."""

    @property
    def reserved(self) -> int:
        """Records that the fixed counts take from the size."""
        return sum(count for count in self.fixed if count is not None)

    @property
    def shared(self) -> bool:
        """True where some value has a positive share."""
        return any(share is not None for share in self.shares)

    def quotas(self, size: int) -> tuple[Fraction, ...]:
        """Records asked for per value at `size`, as exact fractions."""
        left = size - self.reserved
        return tuple(
            Fraction(fixed or 0) if share is None else share * left
            for fixed, share in zip(self.fixed, self.shares, strict=True)
        )

    def ranges(self, size: int) -> list[tuple[int, int]]:
        """Fewest and most records per value in the best plans with unlimited data; equal but for ties and ceilings."""
        parts = iter(apportion([share for share in self.shares if share is not None], size - self.reserved))
        return [
            next(parts) if fixed is None else (0 if loose else fixed, fixed)
            for fixed, loose in zip(self.fixed, self.ceiling, strict=True)
        ]

    @property
    def demanded(self) -> tuple[bool, ...]:
        """True where a fixed count must be met."""
        return tuple(fixed is not None and not loose for fixed, loose in zip(self.fixed, self.ceiling, strict=True))


class Problem(NamedTuple):
    """One table to fill: `size` records over cells that hold something, under the targets of the axes."""

    size: int
    axes: tuple[AxisQuotas, ...]
    cells: tuple[tuple[int, ...], ...]
    """One index into each axis's values per cell, ascending: the order in which ties are broken."""
    most: tuple[int, ...]
    """Records that a cell may give at most, copies included; at least 1."""
    once: tuple[int, ...]
    """Records that a cell may give without a copy."""

    def expected(self) -> list[Fraction]:
        """e_j: records per cell in the chi-square table of the quotas; positive."""
        parts = [[quota / self.size for quota in axis.quotas(self.size)] for axis in self.axes]
        return [
            self.size * math.prod((part[value] for part, value in zip(parts, cell, strict=True)), start=Fraction(1))
            for cell in self.cells
        ]


class Solution(NamedTuple):
    """A way to fill a `Problem`."""

    counts: tuple[int, ...]
    proven: bool
    """False where a solver gave up before it could show that nothing better exists."""


def apportion(shares: Sequence[Fraction], total: int) -> list[tuple[int, int]]:
    """Divide `total` by Sainte-Laguë's method: each next unit goes to the smallest (2m + 1) / share.

    Args:
        shares: positive parts that sum to 1.
        total: units to give; not negative.

    Returns:
        Per share the fewest and the most units over all ways to break ties: equal, or one apart.
    """
    if not shares or total <= 0:
        return [(0, 0)] * len(shares)
    steps = whole_multiples([1 / share for share in shares])
    # m is within 1/2 of share * divisor, and the divisor within half the number of values of the total.
    floor = [max(0, math.ceil(share * (total - Fraction(len(shares), 2)) - Fraction(1, 2))) for share in shares]
    counts = list(floor)
    queue = [((2 * count + 1) * step, i) for i, (count, step) in enumerate(zip(counts, steps, strict=True))]
    heapq.heapify(queue)
    last = max((2 * count - 1) * step for count, step in zip(counts, steps, strict=True))
    for _ in range(total - sum(floor)):
        last, i = queue[0]
        counts[i] += 1
        heapq.heapreplace(queue, ((2 * counts[i] + 1) * steps[i], i))
    if queue[0][0] != last:
        return [(count, count) for count in counts]
    return [
        (count - ((2 * count - 1) * step == last), count + ((2 * count + 1) * step == last))
        for count, step in zip(counts, steps, strict=True)
    ]


def whole_multiples(fractions: Iterable[Fraction]) -> list[int]:
    """The smallest whole numbers in the same proportions as positive `fractions`."""
    parts = list(fractions)
    if not parts:
        return []
    scale = math.lcm(*(part.denominator for part in parts))
    numbers = [part.numerator * (scale // part.denominator) for part in parts]
    common = math.gcd(*numbers)
    return [number // common for number in numbers]


def share_cost(problem: Problem, counts: Sequence[int]) -> Fraction | None:
    """D, the sum of m_v ** 2 / s_v over the share values of all axes; None without shares."""
    if not any(axis.shared for axis in problem.axes):
        return None
    return sum(
        (
            sum(
                (Fraction(count * count) / share for count, share in zip(margin, axis.shares, strict=True) if share),
                Fraction(0),
            )
            for axis, margin in zip(problem.axes, margins(problem, counts), strict=True)
        ),
        Fraction(0),
    )


def cell_cost(problem: Problem, counts: Sequence[int]) -> Fraction:
    """E, the sum of x_j ** 2 / e_j over the cells."""
    used = [(count, cell) for count, cell in zip(counts, problem.expected(), strict=True) if count]
    if not used:
        return Fraction(0)
    scale = math.lcm(*(cell.numerator for _, cell in used))
    return Fraction(sum(count * count * cell.denominator * (scale // cell.numerator) for count, cell in used), scale)


def margins(problem: Problem, counts: Sequence[int]) -> list[list[int]]:
    """Records per axis and value."""
    sums = [[0] * len(axis.values) for axis in problem.axes]
    for cell, count in zip(problem.cells, counts, strict=True):
        for axis, value in zip(sums, cell, strict=True):
            axis[value] += count
    return sums


def missing(problem: Problem, counts: Sequence[int]) -> int:
    """Records that the fixed counts of all axes lack."""
    return sum(
        fixed - count
        for axis, margin in zip(problem.axes, margins(problem, counts), strict=True)
        for fixed, demanded, count in zip(axis.fixed, axis.demanded, margin, strict=True)
        if fixed is not None and demanded
    )
