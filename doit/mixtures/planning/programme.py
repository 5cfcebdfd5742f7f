"""Tables of three or more axes as integer programmes (`doit.mixtures.planning.lagrange` solves them)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from doit.mixtures.planning.lagrange import Programme
from doit.mixtures.planning.quotas import Problem, Solution, whole_multiples

PARTS = 1 << 20
"""Parts of one in which prices are whole numbers."""
TIES = 2000
"""Cells up to which ties are broken in the plan of unlimited data, where every cell is open."""


def _open(problem: Problem) -> Programme:
    caps = [fixed for axis in problem.axes for fixed in axis.fixed]
    high = [problem.size if cap is None else min(cap, problem.size) for cap in caps]
    return Programme(problem, [0] * len(high), high)


def _asked(problem: Problem) -> Programme:
    ranges = [bounds for axis in problem.axes for bounds in axis.ranges(problem.size)]
    return Programme(problem, [low for low, _ in ranges], [high for _, high in ranges])


def most_records(problem: Problem) -> int:
    """The most records that cells and fixed counts let through, whatever the size."""
    total = sum(problem.most)
    if not problem.cells:
        return 0
    programme = _open(problem._replace(size=total))
    grid, cells = programme.tables.grid, np.array(problem.most, dtype=np.float64)
    values = np.array(programme.high[len(cells) :], dtype=np.float64)
    if (grid.sums(np.append(cells, np.zeros(len(values))))[:-1] <= values).all():
        return total
    from doit.mixtures.planning import highs  # noqa: PLC0415 - scipy is slow to import and rarely needed here

    return highs.most(grid, cells, values)


def holds(problem: Problem) -> bool:
    """Whether some plan meets every target as well as unlimited data would."""
    return _asked(problem).met()


def largest_that_holds(problem: Problem, least: int) -> int | None:
    """The largest size from `least` to the problem's own at which the targets hold; None if there is none."""
    if holds(problem):
        return problem.size
    walls: list[Wall] = []
    for size in range(min(problem.size - 1, _carried(problem, least)), least - 1, -1):
        ranges = [bounds for axis in problem.axes for bounds in axis.ranges(size)]
        if any(wall.bars(ranges) for wall in walls):
            continue
        smaller = problem._replace(size=size)
        wall = Wall.between(smaller)
        if wall.bars(ranges):
            walls.append(wall)
        elif holds(smaller):
            return size
    return None


class Wall(NamedTuple):
    """A price per value at which the cells cannot earn what the counts of the values cost: a proof in whole numbers."""

    prices: list[int]
    earned: int
    """The most that the cells earn: each has as much as it can, or nothing."""

    @classmethod
    def between(cls, problem: Problem) -> Wall:
        """The prices at which the targets at a size cost most beyond what the cells earn, even as fractions."""
        from doit.mixtures.planning import highs  # noqa: PLC0415 - scipy is slow to import and rarely needed here

        programme = _asked(problem)
        tables, cells = programme.tables, len(problem.cells)
        most = np.array(programme.high[:cells], dtype=np.float64)
        low, high = np.array([programme.low[cells:], programme.high[cells:]], dtype=np.float64)
        prices = [round(float(price) * PARTS) for price in highs.lacking(tables.grid, most, low, high)]
        paid = (sum(prices[row] for row in rows) for rows in tables.cell_rows)
        return cls(prices, sum(cap * max(0, one) for cap, one in zip(problem.most, paid, strict=True)))

    def bars(self, ranges: Sequence[tuple[int, int]]) -> bool:
        """Whether no counts per value between these bounds can be made up."""
        least = sum(
            price * (low if price > 0 else high) for price, (low, high) in zip(self.prices, ranges, strict=True)
        )
        return least > self.earned


def _carried(problem: Problem, least: int) -> int:
    """A size that no size at which the targets hold is above: the largest one for tables of fractions.

    Sainte-Laguë's method keeps a value within 1/2 + share * values / 2 of its part of what the fixed counts leave.
    """
    from doit.mixtures.planning import highs  # noqa: PLC0415 - scipy is slow to import and rarely needed here

    parts, low, high = [], [], []
    for axis in problem.axes:
        for share, fixed, demanded in zip(axis.shares, axis.fixed, axis.demanded, strict=True):
            part, slack = float(share or 0), 0.5 + float(share or 0) * len(axis.values) / 2
            parts.append(part)
            low.append(float(fixed or 0) * demanded if share is None else -part * axis.reserved - slack)
            high.append(float(fixed or 0) if share is None else -part * axis.reserved + slack)
    cells = np.array(problem.most, dtype=np.float64)
    ends = np.array(low), np.array(high)
    grid = _asked(problem).tables.grid
    return math.floor(highs.longest(grid, cells, np.array(parts), ends, (least, problem.size)))


def solve(problem: Problem, *, held: bool) -> Solution | None:
    """The best plan of three or more axes, given whether the targets can be met.

    What whole tables could cost at least is taken for granted first: the last table, if there is one, proves it.

    Returns:
        None if the size cannot be filled.
    """
    orders = _orders(problem, held=held)
    for quick in (True, False):
        programme = _asked(problem) if held else _open(problem)
        if not programme.tables.enough(programme.low, programme.high):
            return None
        settled = all(programme.cheapest(order, quick=quick) for order in orders)
        if settled and programme.evenest(ties=True, quick=quick):
            return programme.solution()
    return None


def _orders(problem: Problem, *, held: bool) -> list[list[tuple[int, int, int]]]:
    """Costs (square, linear, extra) per cell and value of the orders of optimality between size and evenness."""
    orders = []
    nothing, idle = [(0, 0, 0)] * len(problem.cells), [(0, 0, 0) for axis in problem.axes for _ in axis.values]
    demanded = [known for axis in problem.axes for known in axis.demanded]
    if not held and any(demanded):
        orders.append(nothing + [(0, -int(known), 0) for known in demanded])
    shares = [share for axis in problem.axes for share in axis.shares]
    if not held and any(shares):
        steps = iter(whole_multiples([1 / share for share in shares if share is not None]))
        orders.append(nothing + [(0 if share is None else next(steps), 0, 0) for share in shares])
    if problem.once != problem.most:
        orders.append([(0, 0, 1)] * len(problem.cells) + idle)
    return orders


def ideal(problem: Problem) -> Solution:
    """The plan of unlimited data; with more than `TIES` cells any of the equally good ones."""
    programme = _asked(problem)
    if not programme.evenest(ties=len(problem.cells) <= TIES):
        raise AssertionError("unlimited data meets any targets that add up")
    return programme.solution()
