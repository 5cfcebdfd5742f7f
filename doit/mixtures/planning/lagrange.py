"""Separable convex costs over whole tables: fractions are the guide, and whole numbers are the judge.

Fractions are reckoned in floating point. So they only propose: a table, and a price per constraint. Any prices give a
lower bound on what a table can cost, computed here in whole numbers (Lagrange). What a cell may hold without going
beyond the gap between table and bound is all that is left to search in the next order of optimality; after the last
these are the ties, and they are broken cell by cell, the largest first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from doit.mixtures.planning.grid import Floats, Marks, Whole
from doit.mixtures.planning.interior import Centre
from doit.mixtures.planning.quotas import Problem, Solution, whole_multiples
from doit.mixtures.planning.steps import Cost, Limit, cut, reach, scaled
from doit.mixtures.planning.tables import Tables

ROUNDS = 8
"""How often steps are added near the optimum before the prices are taken as they are."""
CORE = 300
"""Cells and values left open when the solver looks for a first whole table."""
FINE = 1000
"""How many times what the best table costs above the bound the solver may let in."""
LIFT = 64
"""Binary digits of a price behind the point."""
WIDE = 4000
"""Cells and values left open beyond which corners are too many to walk along."""


class Programme:
    """Whole counts per cell, then per value, that add up; each order of optimality narrows what is left open."""

    def __init__(self, problem: Problem, low: Sequence[int], high: Sequence[int]) -> None:
        """Bounds of the values in the order of the axes; those of the cells come from the problem."""
        cells, values = len(problem.cells), sum(len(axis.values) for axis in problem.axes)
        self.problem, self.cells, self.values = problem, cells, values
        self.low, self.high = [0] * cells + list(low), [*problem.most, *high]
        self.free = [*problem.once, *([0] * values)]
        self.beside = 2 if cells + values < WIDE else 1  # how far from the guess counts may be without another one
        self.limits: list[Limit] = []
        self.tables = Tables(problem)

    @property
    def counts(self) -> list[int]:
        """The table found last."""
        return self.tables.counts

    def solution(self) -> Solution:
        """The table found last."""
        return Solution(tuple(self.counts[: self.cells]), self.tables.proven)

    def met(self) -> bool:
        """Whether there is any whole table."""
        if not self.tables.enough(self.low, self.high):
            return False
        middle = self._middle(self._lifted(_evening(self.problem)))
        if middle is None:
            return self.tables.possible(self.low, self.high) and self.evenest()
        return self.tables.near(middle, self.low, self.high) or self.evenest()

    def evenest(self, *, ties: bool = False, quick: bool = False) -> bool:
        """Find a table with the smallest E.

        Args:
            ties: the one that is largest on the first cell, then on the second, and so on.
            quick: give up where only the solver could find it.

        Returns:
            False if there is no table, or if it was given up.
        """
        steps = _evening(self.problem)
        order = self._order([(step, 0, 0) for step in steps] + [(0, 0, 0)] * self.values)
        if self._quick(order, ties=ties):
            return True
        if quick:
            return False
        gap = self._search(order)
        if gap is not None and ties:
            self._narrow(order, gap, self._value(order.level))
            self.tables.largest(self.low, self.high, self.limits)
        return gap is not None

    def cheapest(self, costs: Sequence[tuple[int, int, int]], *, quick: bool = False) -> bool:
        """Leave only the tables with the smallest sum of costs (square, linear, extra per variable).

        Args:
            costs: per cell, then per value.
            quick: take the least that whole counts could cost for granted; a table that is found later proves it.

        Returns:
            False if there is no table.
        """
        order = self._order(costs)
        slack = order.attainable - order.bound
        if not quick:
            gap = slack if self._quick(order, ties=False) else self._search(order)
            if gap is None:
                return False
            slack = self._value(order.level) - order.bound
        self._narrow(order, slack, order.bound + slack)
        return True

    def _order(self, costs: Sequence[tuple[int, int, int]]) -> _Order:
        """Prices for an order of optimality, and what they show."""
        level = [Cost(a << LIFT, b << LIFT, c << LIFT, free) for (a, b, c), free in zip(costs, self.free, strict=True)]
        prices, limits, point = self._priced(level)
        reduced = self._reduced(self._with_limits(level, limits), prices)
        best = [cost.least(low, high) for cost, low, high in zip(reduced, self.low, self.high, strict=True)]
        least = [cost.at(count) for cost, count in zip(reduced, best, strict=True)]
        bound = sum(least) + prices[-1] * self.problem.size
        bound -= sum(times * limit.most for times, limit in zip(limits, self.limits, strict=True))
        unit, start = self._lattice(costs)
        attainable = bound + (start - bound) % unit if unit else bound
        return _Order(level, reduced, best, least, bound, attainable, unit, point)

    def _narrow(self, order: _Order, slack: int, most: int) -> None:
        """Leave only the tables that cost at most `most`, which is `slack` above the bound."""
        self.low, self.high = self._window(order, slack)
        left = sum(
            max(cost.at(low), cost.at(high)) - floor
            for cost, low, high, floor in zip(order.reduced, self.low, self.high, order.least, strict=True)
        )
        if left >= slack + (order.unit or 1):
            self.limits.append(Limit(order.level, most))

    def _value(self, costs: Sequence[Cost]) -> int:
        return sum(cost.at(count) for cost, count in zip(costs, self.counts, strict=True))

    def _lifted(self, steps: Sequence[int]) -> list[Cost]:
        return [Cost(step << LIFT, 0, 0, 0) for step in steps] + [Cost(0, 0, 0, 0)] * self.values

    def _reduced(self, costs: Sequence[Cost], prices: Sequence[int]) -> list[Cost]:
        """Costs less what the constraints pay for each unit."""
        paid = [sum([prices[row] for row in rows]) for rows in self.tables.cell_rows]
        first = len(self.problem.axes[0].values)
        paid += [(prices[-1] if value < first else 0) - prices[value] for value in range(self.values)]
        return [
            Cost(square, linear - gain, extra, free)
            for (square, linear, extra, free), gain in zip(costs, paid, strict=True)
        ]

    def _priced(self, level: list[Cost]) -> tuple[list[int], list[int], Floats | None]:
        """Prices of the constraints and of the limits at which fractions are cheapest, and these fractions.

        The squares alone show where about that is; single steps around it, under the limits, where exactly.
        """
        spread = sorted(2 * cost.square or cost.extra or abs(cost.linear) for cost in level if any(cost[:3]))
        scale = max(1, spread[len(spread) // 2] if spread else 1)
        prices, times, point = [0] * (self.values + 1), [0] * len(self.limits), None
        low, high, bent = np.array(self.low), np.array(self.high), self._bent(level)
        middle = self._middle(level) if any(cost.square for cost in level) else None
        near, wide = low, middle is None
        if middle is not None:
            prices, point = [scaled(price, scale) for price in middle.prices], middle.used
            near = np.clip(np.rint(point), low, high).astype(np.int64)
        best = self._bound(level, prices, times)[0], prices, times
        cuts = self._cuts(near, bent, wide=wide)
        for _ in range(ROUNDS):
            found = self.tables.cheapest_steps(cut(cuts), self._reduced(level, prices), scale, self.limits)
            if found is None and wide:
                break
            if found is None:
                wide = True
                cuts = np.sort(np.column_stack([cuts, self._cuts(near, bent, wide=True)]), axis=1)
                continue
            point, moves, times = found
            prices = [price + scaled(move, scale) for price, move in zip(prices, moves, strict=True)]
            bound, near = self._bound(level, prices, times)
            # steps that turn out to be missing make prices worse than those before
            best = max(best, (bound, prices, times), key=lambda one: one[0])
            if (cuts == near[:, None]).any(axis=1)[bent].all():
                break
            cuts = np.sort(np.column_stack([cuts, self._cuts(near, bent, wide=False)]), axis=1)
        return best[1], best[2], point

    def _bound(self, level: list[Cost], prices: Sequence[int], times: Sequence[int]) -> tuple[int, Whole]:
        """What every table costs at least, as prices of constraints and limits show; the counts that cost that."""
        reduced = self._reduced(self._with_limits(level, times), prices)
        best = [cost.least(low, high) for cost, low, high in zip(reduced, self.low, self.high, strict=True)]
        bound = sum(cost.at(count) for cost, count in zip(reduced, best, strict=True)) + prices[-1] * self.problem.size
        bound -= sum(price * limit.most for price, limit in zip(times, self.limits, strict=True))
        return bound, np.array(best)

    def _bent(self, level: list[Cost]) -> Marks:
        """Per variable whether a cost or a limit is no straight line between its bounds."""
        levels = [level, *(limit.costs for limit in self.limits)]
        ends = zip(self.low, self.high, strict=True)
        return np.array([any(costs[number].bent(*end) for costs in levels) for number, end in enumerate(ends)])

    def _with_limits(self, level: list[Cost], prices: Sequence[int]) -> list[Cost]:
        """Costs with what the limits cost at their prices."""
        for times, limit in zip(prices, self.limits, strict=True):
            if times:
                level = [cost.plus(times, other) for cost, other in zip(level, limit.costs, strict=True)]
        return level

    def _middle(self, level: Sequence[Cost]) -> Centre | None:
        """The counts of fractions at which the squares of `level` are smallest, the limits left aside."""
        curves = sorted(2 * cost.square for cost in level if cost.square)
        return self.tables.middle(level, curves[len(curves) // 2], self.low, self.high)

    def _cuts(self, middle: Whole, bent: Marks, *, wide: bool) -> Whole:
        """Ends of single steps beside the middle, if `wide` of growing ones beyond; one step for a straight cost."""
        low, high = np.array(self.low), np.array(self.high)
        spans, longest = [*range(self.beside + 2)], int((high - low).max(initial=1))
        while wide and spans[-1] < longest:
            spans.append(spans[-1] * 8)
        free = np.clip(np.array([min(one, 1 << 62) for one in self.free]), low, high)
        ends = [low, high] if wide else []
        beside = [middle + sign * span for span in spans for sign in (-1, 1)]
        cuts = np.clip(np.column_stack([*beside, *ends]), low[:, None], high[:, None])
        cuts = np.column_stack([cuts, np.where((free > low) & (free < high), free, cuts[:, 0])])
        cuts[~bent, 0] = low[~bent]
        cuts[~bent, 1:] = high[~bent, None]
        return np.sort(cuts, axis=1)

    def _lattice(self, costs: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
        """What costs of whole tables differ by, and one of them: squares are odd or even as their roots."""
        unit = start = 0
        ends = [0, self.cells]
        for axis in self.problem.axes:
            ends.append(ends[-1] + len(axis.values))
        for first, last in pairwise(ends):
            kinds = {cost for cost in costs[first:last] if any(cost)}
            idle = [number for number in range(first, last) if not any(costs[number])]
            if len(kinds) == 1 and all(self.low[number] == self.high[number] for number in idle):
                square, linear, extra = next(iter(kinds))
                total = self.problem.size - sum(self.low[number] for number in idle)
                if not extra:
                    unit, start = math.gcd(unit, 2 * square), start + (square + linear) * total
                    continue
            unit = math.gcd(unit, *(part for cost in kinds for part in cost))
        return unit << LIFT, start << LIFT

    def _search(self, order: _Order) -> int | None:
        """Find the best whole table by the solver; how far above the bound it is, None if there is no table."""
        if not self.tables.possible(self.low, self.high):
            return None
        room = sorted(
            min((cost.at(count) - floor for count in (at - 1, at + 1) if low <= count <= high), default=0)
            for cost, low, high, floor, at in zip(
                order.reduced, self.low, self.high, order.least, order.best, strict=True
            )
            if low < high
        )
        slack = max(order.attainable - order.bound, 1, room[min(CORE, len(room) // 2)]) if room else 0
        before: object = None
        best: tuple[int, list[int]] | None = None
        while True:
            low, high = self._window(order, slack)
            everything = low == self.low and high == self.high
            if (low, high) != before and self._cheapest_between(order, low, high):
                gap = self._value(order.level) - order.bound
                if best is not None and gap >= best[0]:
                    gap, self.tables.counts = best
                    return gap
                best = gap, self.counts
                # where far dearer tables were let in, the solver may not have seen the differences that count
                if gap + order.bound <= order.attainable or gap <= slack <= FINE * gap:
                    return gap
                slack = gap
            elif best is not None:
                gap, self.tables.counts = best
                return gap
            elif everything:
                return None
            else:
                slack *= 16
            before = low, high

    def _cheapest_between(self, order: _Order, low: list[int], high: list[int]) -> bool:
        """Look for the cheapest whole table between bounds.

        Where cells cost nothing, the solver is first asked for whole counts of the values alone, which are few: no
        whole table costs less than these, so that any whole table that has them is the cheapest.
        """
        if not any(map(any, (cost[:3] for cost in order.level[: self.cells]))):
            values = self.tables.values(order.reduced, low, high, self.limits)
            if values is not None:
                inner = Programme(self.problem, values, values)
                inner.low[: self.cells], inner.high[: self.cells] = low[: self.cells], high[: self.cells]
                if inner.met() and self.tables.keep(inner.counts[: self.cells], low, high, self.limits):
                    return True
        return self.tables.cheapest(order.reduced, low, high, self.limits, order.unit)

    def _quick(self, order: _Order, *, ties: bool) -> bool:
        """Look without the solver for a table that costs the least there can be; with `ties`, the largest."""
        if order.point is None:
            return False
        low, high = self._window(order, order.attainable - order.bound)
        limits = [*self.limits, Limit(order.level, order.attainable)]
        if not ties and self.tables.spread(low, high, limits):
            return True
        number = sum(a < b for a, b in zip(low, high, strict=True))
        return number <= WIDE and self.tables.corner(low, high, limits, order.point)

    def _window(self, order: _Order, slack: int) -> tuple[list[int], list[int]]:
        """Bounds of the counts that cost at most `slack` more than the least."""
        lows, highs = [], []
        for cost, low, high, floor, at in zip(order.reduced, self.low, self.high, order.least, order.best, strict=True):
            lows.append(reach(cost, at, low, floor + slack) if low < at else at)
            highs.append(reach(cost, at, high, floor + slack) if at < high else at)
        return lows, highs


class _Order(NamedTuple):
    """One order of optimality: its costs, and what the prices found for it say of every table."""

    level: list[Cost]
    reduced: list[Cost]
    """Costs less what the constraints pay."""
    best: list[int]
    """The cheapest count of each variable by itself, at reduced costs."""
    least: list[int]
    """What it costs."""
    bound: int
    """No table costs less."""
    attainable: int
    """No whole table costs less."""
    unit: int
    """What the costs of whole tables differ by; 0 if there are none."""
    point: Floats | None
    """The cheapest counts of fractions, where they were found."""


def _evening(problem: Problem) -> list[int]:
    """Per cell the cost of its count squared in E, as whole numbers."""
    parts = [whole_multiples([part or Fraction(1) for part in axis.quotas(problem.size)]) for axis in problem.axes]
    sizes = [math.prod([part[value] for part, value in zip(parts, cell, strict=True)]) for cell in problem.cells]
    scale = math.lcm(*set(sizes))
    steps = [scale // size for size in sizes]
    common = math.gcd(*set(steps))
    return [step // common for step in steps]
