"""Separable convex costs over whole tables: HiGHS is the guide, and whole numbers are the judge.

The solver works in floating point, picks any of several equal optima, and another version picks another. So it only
proposes: a table, and a price per constraint. Any prices give a lower bound on what a table can cost, computed here in
whole numbers (Lagrange). What a cell may hold without going beyond the gap between table and bound is all that is left
to search in the next order of optimality; after the last these are the ties, and they are broken cell by cell, the
largest first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from doit.mixtures.planning.quotas import Problem, Solution, whole_multiples
from doit.mixtures.planning.steps import Cost, Floats, Limit, Model, Steps, cut, reach

SECONDS = 10.0
"""How long one integer programme may take; then its best table so far is used and called unproven."""
ROUNDS = 12
"""How often the steps near the optimum are laid anew before the prices are taken as they are."""
CORE = 300
"""Cells and values left open when a first whole table is looked for."""
FAR = 1e4
"""A price (in records per expected record) that only a search without an end reaches."""
NEAR = 1e-6
"""How far from a whole number a solver's count may be."""
LIFT = 64
"""Binary digits of a price behind the point."""
WEIGHTS = 1 << 12
"""Largest weight in a programme that breaks ties, several cells at once; squared where fractions are allowed."""


class Programme:
    """Whole counts per cell, then per value, that add up; each order of optimality narrows what is left open."""

    def __init__(self, problem: Problem, low: Sequence[int], high: Sequence[int]) -> None:
        """Bounds of the values in the order of the axes; those of the cells come from the problem."""
        self.problem, self.proven = problem, True
        cells, values = len(problem.cells), sum(len(axis.values) for axis in problem.axes)
        self.cells, self.values = cells, values
        self.low, self.high = [0] * cells + list(low), [*problem.most, *high]
        self.free = [*problem.once, *([0] * values)]
        self.limits: list[Limit] = []
        starts = np.cumsum([0, *(len(axis.values) for axis in problem.axes[:-1])])
        self.rows = np.array(problem.cells, dtype=np.int64).reshape(cells, len(problem.axes)) + starts
        self.matrix = self._matrix()
        self.right = [0] * values + [problem.size]
        self.counts: list[int] = []

    def _matrix(self) -> csr_array:
        """One row per value (its cells minus its count = 0), then the counts of the first axis = size."""
        cells, values, axes = self.cells, self.values, len(self.problem.axes)
        first = len(self.problem.axes[0].values)
        row = np.concatenate([self.rows.ravel(), np.arange(values), np.full(first, values)])
        column = np.concatenate(
            [np.repeat(np.arange(cells), axes), np.arange(cells, cells + values), np.arange(cells, cells + first)]
        )
        entry = np.concatenate([np.ones(cells * axes), -np.ones(values), np.ones(first)])
        return csr_array((entry, (row, column)), shape=(values + 1, cells + values))

    def possible(self) -> bool:
        """Look for any whole table; keep it."""
        return self._whole([Cost(0, 0, 0, free) for free in self.free], self.low, self.high)

    def relaxed(self) -> bool:
        """Whether there is a table of fractions at all: a quick way to say no."""
        ends = np.column_stack([self.low, self.high])
        return bool(
            linprog(np.zeros(len(ends)), A_eq=self.matrix, b_eq=self.right, bounds=ends, method="highs").status == 0
        )

    def cheapest(self, costs: Sequence[tuple[int, int, int]], guess: Sequence[int] | None = None) -> bool:
        """Leave only the tables with the smallest sum of costs (square, linear, extra per variable).

        Args:
            costs: per cell, then per value.
            guess: prices per constraint to start from.

        Returns:
            False if there is no table.
        """
        level = [Cost(a << LIFT, b << LIFT, c << LIFT, free) for (a, b, c), free in zip(costs, self.free, strict=True)]
        prices = [price << LIFT for price in guess] if guess else [0] * len(self.right)
        best, limits = self._priced(level, prices)
        total = list(level)
        for times, limit in zip(limits, self.limits, strict=True):
            total = [cost.plus(times, other) for cost, other in zip(total, limit.costs, strict=True)]
        reduced = self._reduced(total, best)
        least = [cost.at(cost.least(low, high)) for cost, low, high in zip(reduced, self.low, self.high, strict=True)]
        bound = sum(least) + sum(price * right for price, right in zip(best, self.right, strict=True))
        bound -= sum(times * limit.most for times, limit in zip(limits, self.limits, strict=True))
        gap = self._search(level, reduced, least, bound, self._attainable(costs, bound))
        if gap is None:
            return False
        self.low, self.high = self._window(reduced, least, gap)
        left = sum(
            max(cost.at(low), cost.at(high)) - floor
            for cost, low, high, floor in zip(reduced, self.low, self.high, least, strict=True)
        )
        if left >= gap + (1 << LIFT):
            self.limits.append(Limit(level, self._value(level)))
        return True

    def evenest(self) -> bool:
        """Leave only the tables with the smallest E; False if there is no table."""
        steps = _evening(self.problem)
        return self.cheapest([(step, 0, 0) for step in steps] + [(0, 0, 0)] * self.values, _guess(self, steps))

    def solution(self) -> Solution:
        """The table found last."""
        return Solution(tuple(self.counts[: self.cells]), self.proven)

    def _value(self, costs: Sequence[Cost]) -> int:
        return sum(cost.at(count) for cost, count in zip(costs, self.counts, strict=True))

    def _reduced(self, costs: Sequence[Cost], prices: Sequence[int]) -> list[Cost]:
        """Costs less what the constraints pay for each unit."""
        cells = self.cells
        paid = [sum(prices[row] for row in rows) for rows in self.rows.tolist()]
        first = len(self.problem.axes[0].values)
        paid += [(prices[-1] if value < first else 0) - prices[value] for value in range(self.values)]
        assert len(paid) == cells + self.values
        return [cost._replace(linear=cost.linear - gain) for cost, gain in zip(costs, paid, strict=True)]

    def _priced(self, level: list[Cost], prices: list[int]) -> tuple[list[int], list[int]]:
        """Prices of the constraints, and of the limits, at which the relaxed programme is cheapest."""
        spread = sorted(2 * cost.square or cost.extra or abs(cost.linear) for cost in level if any(cost[:3]))
        scale = max(1, spread[len(spread) // 2] if spread else 1)
        reduced = self._reduced(level, prices)
        centre = [cost.least(low, high) for cost, low, high in zip(reduced, self.low, self.high, strict=True)]
        bounds = zip(level, self.low, self.high, strict=True)
        bent = [number for number, (cost, low, high) in enumerate(bounds) if cost.bent(low, high)]
        times, wide = [0] * len(self.limits), not any(prices)
        for _ in range(ROUNDS):
            steps = self._steps([level, *(limit.costs for limit in self.limits)], centre, wide=wide)
            answer = self._relaxed(steps, reduced, scale)
            if answer is None and wide:
                break
            if answer is None:
                wide = True
                continue
            counts, change, times = answer
            prices = [price + move for price, move in zip(prices, change, strict=True)]
            reduced = self._reduced(level, prices)
            near = [round(count) for count in counts]
            if all(abs(near[number] - centre[number]) <= 1 for number in bent):
                break
            centre = near
        return prices, times

    def _steps(self, costs: Sequence[Sequence[Cost]], centre: Sequence[int], *, wide: bool) -> Steps:
        """Single steps near the centre, if `wide` growing ones beyond; one step where every cost is straight."""
        cuts = []
        for number, (low, high, middle) in enumerate(zip(self.low, self.high, centre, strict=True)):
            if not any(level[number].bent(low, high) for level in costs):
                cuts.append([low, high])
                continue
            near = set(range(max(low, middle - 2), min(high, middle + 2) + 1))
            span, free = 1, self.free[number]
            while wide and (middle - span > low or middle + span < high):
                near.update(cut for cut in (middle - 2 - span, middle + 2 + span) if low < cut < high)
                span *= 8
            near.update([low, high] if wide else [])
            near.update([free] if low < free < high else [])
            cuts.append(sorted(near))
        return cut(cuts)

    def _relaxed(self, steps: Steps, reduced: Sequence[Cost], scale: int) -> tuple[Floats, list[int], list[int]] | None:
        """Solve without whole numbers: counts, changes of the prices, prices of the limits."""
        model = Model(self.matrix, self.right, steps, self.limits)
        answer = model.fractions(steps.slopes(reduced, scale), *self._ends(self.low, self.high))
        if answer.x is None:
            return None
        change = [round(float(move) * scale) for move in answer.eqlin.marginals]
        prices = answer.ineqlin.marginals if self.limits else []
        times = [max(0, round(-float(one) * scale / size)) for one, size in zip(prices, model.scales, strict=True)]
        return model.counts(answer.x), change, times

    def _ends(self, low: Sequence[int], high: Sequence[int]) -> tuple[Floats, Floats]:
        return np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)

    def _attainable(self, costs: Sequence[tuple[int, int, int]], bound: int) -> int:
        """The least cost from `bound` on that whole counts can have at all."""
        unit = math.gcd(*(part for cost in costs for part in cost))
        if not unit:
            return bound
        if all(cost == (unit, 0, 0) for cost in costs[: self.cells]) and not any(map(any, costs[self.cells :])):
            size = self.problem.size  # equal squares: their sum is even where the sum of the counts is
            return (-((size * (unit << LIFT) - bound) // (unit << LIFT + 1)) * 2 + size) * (unit << LIFT)
        return -(-bound // (unit << LIFT)) * (unit << LIFT)

    def _search(
        self, level: list[Cost], reduced: list[Cost], least: list[int], bound: int, attainable: int
    ) -> int | None:
        """Find the best whole table; returns how far above the bound it is, None if there is no table."""
        room = sorted(
            min(
                (cost.at(count) - floor for count in (at - 1, at + 1) if low <= count <= high),
                default=0,
            )
            for cost, low, high, floor in zip(reduced, self.low, self.high, least, strict=True)
            for at in [cost.least(low, high)]
            if low < high
        )
        slack = max(1, room[min(CORE, len(room) - 1)]) if room else 0
        while True:
            low, high = self._window(reduced, least, slack)
            everything = low == self.low and high == self.high
            if self._whole(reduced, low, high):
                gap = self._value(level) - bound
                if gap <= slack or everything or gap + bound <= attainable:
                    return gap
                slack = gap
            elif everything:
                return None
            else:
                slack *= 16

    def _window(self, reduced: Sequence[Cost], least: Sequence[int], slack: int) -> tuple[list[int], list[int]]:
        """Bounds of the counts that cost at most `slack` more than the least."""
        lows, highs = [], []
        for cost, low, high, floor in zip(reduced, self.low, self.high, least, strict=True):
            at = cost.least(low, high)
            lows.append(reach(cost, at, low, floor + slack))
            highs.append(reach(cost, at, high, floor + slack))
        return lows, highs

    def _whole(self, costs: Sequence[Cost], low: list[int], high: list[int]) -> bool:
        """Look for the whole table within bounds with the smallest sum of costs; keep it in `counts`."""
        steps = self._unit_steps([costs, *(limit.costs for limit in self.limits)], low, high)
        model = Model(self.matrix, self.right, steps, self.limits)
        if not len(steps.width):
            return self._accept(model.base, low, high)
        scale = max(1, max((2 * cost.square or cost.extra or abs(cost.linear) for cost in costs), default=1))
        goal = steps.slopes(costs, scale)
        goal /= float(np.abs(goal).max(initial=0.0)) or 1.0
        bent = [number for number, cost in enumerate(costs) if cost.square or cost.extra]
        if bent and bent[0] >= self.cells and self._by_values(model, goal, low, high):
            return True
        return self._solved(model, goal, low, high)

    def _by_values(self, model: Model, goal: Floats, low: list[int], high: list[int]) -> bool:
        """Look first for whole counts of the values alone, which are few, then for any whole table that has them.

        No whole table costs less than the first: where the second exists, it is the cheapest, if cells cost nothing.
        """
        answer = model.whole(goal, *self._ends(low, high), SECONDS, self.cells)
        if answer.x is None or answer.status != 0:
            return False
        values = np.rint(model.counts(answer.x)[self.cells :]).astype(int).tolist()
        low, high = [*low[: self.cells], *values], [*high[: self.cells], *values]
        inner, steps = Programme(self.problem, values, values), _evening(self.problem)
        even = [Cost(step << LIFT, 0, 0, 0) for step in steps] + [Cost(0, 0, 0, 0)] * self.values
        reduced = inner._reduced(even, [price << LIFT for price in _guess(inner, steps)])
        for way in (1, 3):  # near the even counts there nearly always is one, and the solver sees it at once
            near = [cost.least(least, most) for cost, least, most in zip(reduced, low, high, strict=True)]
            ends = (
                [max(a, at - way) for a, at in zip(low, near, strict=True)],
                [min(b, at + way) for b, at in zip(high, near, strict=True)],
            )
            if inner._whole(reduced, *ends) and self._accept(np.array(inner.counts, dtype=np.float64), low, high):
                return True
        return False

    def _solved(self, model: Model, goal: Floats, low: Sequence[int], high: Sequence[int]) -> bool:
        answer = model.whole(goal, *self._ends(low, high), SECONDS)
        if answer.x is None:
            self.proven &= answer.status == 2
            return False
        self.proven &= answer.status == 0
        return self._accept(model.counts(answer.x), low, high)

    def _unit_steps(self, costs: Sequence[Sequence[Cost]], low: Sequence[int], high: Sequence[int]) -> Steps:
        """Single steps where any cost bends, one step over the whole range elsewhere."""
        return cut(
            [
                list(range(least, most + 1))
                if any(level[number].bent(least, most) for level in costs)
                else [least, most]
                for number, (least, most) in enumerate(zip(low, high, strict=True))
            ]
        )

    def _accept(self, counts: Floats, low: Sequence[int], high: Sequence[int]) -> bool:
        """Keep a table if it obeys every constraint in whole numbers."""
        whole = np.rint(counts).astype(np.int64)
        exact = (self.matrix @ whole.astype(np.float64)).astype(np.int64)
        fits = bool(np.array_equal(exact, np.array(self.right)))
        kept = whole.tolist()
        fits &= all(a <= count <= b for count, a, b in zip(kept, low, high, strict=True))
        for limit in self.limits:
            fits &= sum(cost.at(count) for cost, count in zip(limit.costs, kept, strict=True)) <= limit.most
        if fits:
            self.counts = kept
        return fits

    def largest(self) -> None:
        """Among the tables left, take the one that is largest on the first cell, then on the second, and so on.

        Fractions go first, as they are quick: what they say of a cell is true as soon as a whole table confirms it.
        """
        model = Model(
            self.matrix,
            self.right,
            self._unit_steps([limit.costs for limit in self.limits], self.low, self.high),
            self.limits,
        )
        cells = [cell for cell in range(self.cells) if self.low[cell] < self.high[cell]]
        patience, deadline = 32, time.monotonic() + SECONDS
        while cells:
            if time.monotonic() > deadline:
                self.proven = False
                return
            low, high = list(self.low), list(self.high)
            rest = self._largest_fractions(model, cells, low, high, patience)
            block = self._block(rest, WEIGHTS)
            if len(rest) < len(cells) and self._solved(model, self._goal(model, block), low, high):
                self.low, self.high = low, high
                patience *= 2
            else:
                rest, patience, block = cells, max(1, patience // 2), self._block(cells, WEIGHTS)
                if not self._solved(model, self._goal(model, block), self.low, self.high):
                    self.proven = False
                    return
            for cell in block:
                self.low[cell] = self.high[cell] = self.counts[cell]
            cells = rest[len(block) :]

    def _largest_fractions(
        self, model: Model, cells: list[int], low: list[int], high: list[int], patience: int
    ) -> list[int]:
        """Fix the first cells at what fractions allow, as long as they come out whole; returns the other cells."""
        point = np.array(self.counts, dtype=np.float64)
        while cells:
            cell = cells[0]
            if point[cell] > high[cell] - NEAR:
                low[cell] = high[cell]
                cells = cells[1:]
                continue
            block = self._block(cells, WEIGHTS**2)
            answer = model.fractions(self._goal(model, block), *self._ends(low, high)) if patience else None
            if answer is None or answer.x is None:
                return cells
            point, patience = model.counts(answer.x), patience - 1
            for cell in block:
                whole = round(float(point[cell]))
                if abs(point[cell] - whole) > NEAR:
                    return cells
                low[cell] = high[cell] = whole
                cells = cells[1:]
        return cells

    def _block(self, cells: Sequence[int], most: int) -> list[int]:
        """The first few of the cells: as many as can be weighted so that an earlier one outweighs all later ones."""
        block: list[int] = []
        size = 1
        for cell in cells:
            size *= self.high[cell] - self.low[cell] + 1
            if block and size > most:
                break
            block.append(cell)
        return block

    def _goal(self, model: Model, block: Sequence[int]) -> Floats:
        weights, weight = np.zeros(len(self.low)), 1.0
        for cell in reversed(block):
            weights[cell] = -weight
            weight *= self.high[cell] - self.low[cell] + 1
        goal: Floats = weights[model.steps.variable]
        return goal


def _evening(problem: Problem) -> list[int]:
    """Per cell the cost of its count squared in E, as whole numbers."""
    return whole_multiples([1 / expected for expected in problem.expected()])


def _guess(programme: Programme, steps: Sequence[int]) -> list[int]:
    """Prices near the optimum of the squares: Newton's method on the dual, in floating point."""
    cells, values = programme.cells, programme.values
    scale = max(steps)
    half = scale / np.array(steps, dtype=np.float64) / 2
    low, high = np.array(programme.low, dtype=np.float64), np.array(programme.high, dtype=np.float64)
    goal = _middle(programme, low[cells:], high[cells:])
    matrix, price = programme.matrix[:values, :cells], np.zeros(values)
    price += 2.0 / (half.sum() * 2 / programme.problem.size) / len(programme.problem.axes)

    def state(prices: Floats) -> tuple[float, Floats, Floats]:
        gain = prices[programme.rows].sum(axis=1)
        counts = np.clip(half * gain, low[:cells], high[:cells])
        value = float((counts * counts / (2 * half) - gain * counts).sum() + prices @ goal)
        return value, counts, goal - matrix @ counts

    value, counts, lack = state(price)
    for _ in range(40):
        if np.abs(lack).max(initial=0.0) < 1e-3:
            break
        inside = (counts > low[:cells]) & (counts < high[:cells])
        curve = ((matrix * np.where(inside, half, half * 1e-6)) @ matrix.T).toarray()
        move = np.linalg.solve(curve + 1e-9 * np.trace(curve) / values * np.eye(values), lack)
        length = 1.0
        while (after := state(price + length * move))[0] < value and length > 1e-6:
            length /= 2
        price, (value, counts, lack) = price + length * move, after
    if np.abs(lack).max(initial=0.0) > 1 or np.abs(price).max() > FAR:  # no fractions near these counts: even prices
        price[:] = 2.0 / len(programme.problem.axes)
    return [round(float(one) * scale) for one in price] + [0]


def _middle(programme: Programme, low: Floats, high: Floats) -> Floats:
    """Counts per value between their bounds that add up to the size on every axis."""
    goal, start = low.copy(), 0
    for axis in programme.problem.axes:
        part = slice(start, start + len(axis.values))
        width = float((high[part] - low[part]).sum())
        if width:
            goal[part] += (high[part] - low[part]) * ((programme.problem.size - float(low[part].sum())) / width)
        start += len(axis.values)
    return goal
