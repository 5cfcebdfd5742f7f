"""Whole tables between bounds and under limits: by filling up, along the corners of the fractions, or by HiGHS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from doit.mixtures.planning.corner import NEAR, Corner, Lost
from doit.mixtures.planning.grid import Floats, Grid
from doit.mixtures.planning.interior import Centre, Columns, centre
from doit.mixtures.planning.quotas import Problem
from doit.mixtures.planning.steps import Cost, Limit, Steps, scaled, units

SECONDS = 10.0
"""How long ties may be broken by integer programmes; then what is found so far is used and called unproven."""
WEIGHTS = 1 << 12
"""Largest weight in an integer programme that breaks ties, several cells at once."""
SPREAD = 20_000
"""Units up to which a table is filled one by one."""
APART = 1e-3
"""What costs must differ by, in parts of the dearest step, for the solver to make use of it."""


class Tables:
    """Finds whole counts per cell, then per value, that add up; the last table found is `counts`."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.grid = problem, Grid.of(problem)
        self.cells = len(problem.cells)
        self.cell_rows: list[list[int]] = self.grid.row[: self.cells, : len(problem.axes)].tolist()
        self.right = np.zeros(self.grid.rows)
        self.right[-1] = problem.size
        self.counts: list[int] = []
        self.proven = True

    def enough(self, low: Sequence[int], high: Sequence[int]) -> bool:
        """Whether every value's cells hold as much as the value needs at least: a quick way to say no."""
        cells = np.append(np.array(high[: self.cells], dtype=np.float64), np.zeros(len(low) - self.cells))
        return bool((self.grid.sums(cells)[:-1] >= np.array(low[self.cells :])).all())

    def possible(self, low: Sequence[int], high: Sequence[int]) -> bool:
        """Whether there are fractions between bounds that add up."""
        ends = np.array([low, high], dtype=np.float64)
        return self.enough(low, high) and bool(_highs().feasible(self.grid, self.right, *ends))

    def middle(self, costs: Sequence[Cost], scale: int, low: Sequence[int], high: Sequence[int]) -> Centre | None:
        """Counts of fractions per variable with the smallest squares, and the prices there divided by `scale`."""
        bottom, top = np.array([low, high], dtype=np.float64)
        curve = np.array([2 * (cost.square / scale) for cost in costs])
        slope = np.array([cost.linear / scale for cost in costs]) + curve * bottom
        loose = np.flatnonzero(top > bottom)
        extra = np.zeros((0, len(loose)))
        columns = Columns(loose, (top - bottom)[loose], curve[loose], slope[loose], extra, np.zeros(0))
        found = centre(self.grid, columns, self.right - self.grid.sums(bottom))
        if found is None:
            return None
        bottom[loose] += found.used
        return found._replace(used=bottom)

    def cheapest_steps(
        self, steps: Steps, costs: Sequence[Cost], scale: int, limits: Sequence[Limit]
    ) -> tuple[Floats, Floats, list[int]] | None:
        """Counts of fractions that cost least under limits, prices divided by `scale`, and the prices of the limits."""
        columns, scales = self._columns(steps, limits)
        goal, right = steps.slopes(costs, scale), self._right(steps)
        found: tuple[Floats, Floats, Floats] | None = centre(self.grid, columns._replace(slope=goal), right)
        if found is None and len(goal):
            found = _highs().Model(self.grid, self.right, steps, columns.extra, columns.most).fractions(goal)
        if found is None:
            return None
        used, prices, room = found
        times = [max(0, scaled(one, scale) // size) for one, size in zip(room, scales, strict=True)]
        return steps.counts(used), prices, times

    def _right(self, steps: Steps) -> Floats:
        return self.right - self.grid.sums(steps.base.astype(np.float64))

    def _columns(self, steps: Steps, limits: Sequence[Limit]) -> tuple[Columns, list[int]]:
        """Steps as columns and limits as extra rows, whose largest entries are about one, and what a one stands for."""
        count, base = len(steps.width), steps.base.tolist()
        extra, most, scales = np.zeros((len(limits), count)), np.zeros(len(limits)), []
        for place, limit in enumerate(limits):
            used = sum(cost.at(number) for cost, number in zip(limit.costs, base, strict=True))
            first = max(1, *(2 * cost.square or cost.extra or abs(cost.linear) for cost in limit.costs))
            steepest = float(np.abs(steps.slopes(limit.costs, first)).max(initial=0.0)) or 1.0
            scale = max(1, round(steepest * (1 << 20)) * first >> 20)
            extra[place], most[place] = steps.slopes(limit.costs, scale), (limit.most - used) / scale
            scales.append(scale)
        nothing = np.zeros(count)
        return Columns(steps.variable, steps.width.astype(np.float64), nothing, nothing, extra, most), scales

    def near(self, middle: Centre, low: Sequence[int], high: Sequence[int]) -> bool:
        """Look for a table whose cells are those of `middle`, rounded down or up."""
        cells = middle.used[: self.cells]
        down = np.maximum(np.floor(cells + NEAR), low[: self.cells]).astype(np.int64).tolist()
        up = np.minimum(np.ceil(cells - NEAR), high[: self.cells]).astype(np.int64).tolist()
        low, high = [*down, *low[self.cells :]], [*up, *high[self.cells :]]
        return self.spread(low, high, []) or self.corner(low, high, [], middle.used)

    def spread(self, low: Sequence[int], high: Sequence[int], limits: Sequence[Limit]) -> bool:
        """Look for a table by giving unit after unit to the cell whose values lack most."""
        counts, room = np.array(low[: self.cells]), np.array(high[: self.cells]) - np.array(low[: self.cells])
        wanted = self._margins(low, high)
        if wanted is None:
            return False
        rows, lengths = np.array(self.cell_rows), [len(axis.values) for axis in self.problem.axes]
        need = np.array(wanted) - self.grid.sums(np.append(counts, np.zeros(len(wanted))))[:-1]
        place = int(np.argmax(lengths))
        longest = slice(sum(lengths[:place]), sum(lengths[: place + 1]))
        members = [np.flatnonzero(rows[:, place] == value) for value in range(longest.start, longest.stop)]
        left = int(need[: lengths[0]].sum())
        if need.min() < 0 or left > SPREAD:
            return False
        for _ in range(left):
            own = members[int(np.argmax(need[longest]))]
            lack = need[rows[own]]
            score = np.where((room[own] > 0) & (lack.min(axis=1) > 0), lack.sum(axis=1), -1.0)
            if score.max(initial=-1.0) < 0:
                return False
            cell = own[int(np.argmax(score))]
            counts[cell] += 1
            room[cell] -= 1
            need[rows[cell]] -= 1
        return self._accept(counts.astype(np.float64), low, high, limits)

    def _margins(self, low: Sequence[int], high: Sequence[int]) -> list[int] | None:
        """Counts per value between their bounds that add up to the size on every axis, the first values first."""
        margins, number = [], self.cells
        for axis in self.problem.axes:
            rest = self.problem.size - sum(low[number : number + len(axis.values)])
            for _ in axis.values:
                more = max(0, min(rest, high[number] - low[number]))
                margins.append(low[number] + more)
                rest -= more
                number += 1
            if rest:
                return None
        return margins

    def corner(
        self, low: Sequence[int], high: Sequence[int], limits: Sequence[Limit], point: Sequence[int] | Floats
    ) -> bool:
        """Look for the largest table between bounds and under limits, cell by cell, from a table of fractions.

        What corners say of a cell is true as soon as a whole table confirms it.
        """
        steps = self._units(low, high, [limit.costs for limit in limits])
        columns, _ = self._columns(steps, limits)
        goals: dict[int, list[int]] = {}
        for place, number in enumerate(steps.variable.tolist()):
            if number < self.cells:
                goals.setdefault(number, []).append(place)
        used = steps.used(np.clip(np.array(point, dtype=np.float64), low, high))
        used = np.where(used < NEAR, 0.0, np.where(used > columns.width - NEAR, columns.width, used))
        try:
            walk = Corner(self.grid, columns, self._right(steps), used)
            for goal in goals.values():
                walk.largest(goal)
        except Lost:
            return False
        cells = steps.counts(walk.value[: len(used)])[: self.cells]
        whole = np.rint(cells)
        return float(np.abs(cells - whole).max(initial=0.0)) < NEAR and self._accept(whole, low, high, limits)

    def _units(self, low: Sequence[int], high: Sequence[int], levels: Sequence[Sequence[Cost]]) -> Steps:
        bent = [
            any(costs[number].bent(least, most) for costs in levels)
            for number, (least, most) in enumerate(zip(low, high, strict=True))
        ]
        return units(np.array(low), np.array(high), np.array(bent, dtype=bool))

    def _accept(self, cells: Floats, low: Sequence[int], high: Sequence[int], limits: Sequence[Limit]) -> bool:
        """Keep a table if it obeys every constraint in whole numbers."""
        counts = np.append(cells, np.zeros(len(low) - self.cells))
        counts[self.cells :] = self.grid.sums(counts)[:-1]
        kept = counts.astype(np.int64).tolist()
        fits = sum(kept[: self.cells]) == self.problem.size
        fits = fits and all(a <= count <= b for count, a, b in zip(kept, low, high, strict=True))
        for limit in limits:
            fits = fits and sum(cost.at(count) for cost, count in zip(limit.costs, kept, strict=True)) <= limit.most
        if fits:
            self.counts = kept
        return fits

    def keep(self, cells: Sequence[int], low: Sequence[int], high: Sequence[int], limits: Sequence[Limit]) -> bool:
        """Take a table found elsewhere, if it obeys every constraint."""
        return self._accept(np.array(cells, dtype=np.float64), low, high, limits)

    def cheapest(
        self, costs: Sequence[Cost], low: Sequence[int], high: Sequence[int], limits: Sequence[Limit], unit: int
    ) -> bool:
        """Look for the table with the smallest sum of costs, by the solver.

        Args:
            costs: per variable; no table between the bounds costs less than the cheapest counts by themselves.
            low: the least that each variable may be.
            high: the most that each variable may be.
            limits: what the table must keep to.
            unit: what the costs of whole tables differ by.
        """
        steps = self._units(low, high, [costs, *(limit.costs for limit in limits)])
        if not len(steps.width):
            return self._accept(steps.base[: self.cells].astype(np.float64), low, high, limits)
        goal, steepest, scale = _goal(steps, costs)
        return self._solved(steps, goal, low, high, limits, apart=unit / scale / steepest)

    def values(
        self, costs: Sequence[Cost], low: Sequence[int], high: Sequence[int], limits: Sequence[Limit]
    ) -> list[int] | None:
        """Whole counts of the values alone, the cells being fractions, with the smallest sum of costs."""
        steps = self._units(low, high, [costs, *(limit.costs for limit in limits)])
        if not len(steps.width):
            return None
        columns, _ = self._columns(steps, limits)
        model = _highs().Model(self.grid, self.right, steps, columns.extra, columns.most)
        answer = model.whole(_goal(steps, costs)[0], np.array(low), np.array(high), first=self.cells)
        if answer.x is None or answer.status != 0:
            return None
        found: list[int] = np.rint(steps.counts(answer.x)[self.cells :]).astype(np.int64).tolist()
        return found

    def _solved(
        self,
        steps: Steps,
        goal: Floats,
        low: Sequence[int],
        high: Sequence[int],
        limits: Sequence[Limit],
        *,
        apart: float = 0.0,
    ) -> bool:
        columns, _ = self._columns(steps, limits)
        model = _highs().Model(self.grid, self.right, steps, columns.extra, columns.most)
        answer = model.whole(goal, np.array(low), np.array(high), apart=apart if apart > APART else 0.0)
        if answer.x is None:
            self.proven &= answer.status == 2
            return False
        self.proven &= answer.status == 0
        return self._accept(np.rint(steps.counts(answer.x)[: self.cells]), low, high, limits)

    def largest(self, low: Sequence[int], high: Sequence[int], limits: Sequence[Limit]) -> None:
        """Among the tables left, take the one that is largest on the first cell, then on the second, and so on."""
        deadline = time.monotonic() + SECONDS
        low, high = list(low), list(high)
        while not self.corner(low, high, limits, self.counts):
            block = self._block(low, high)
            weights, weight = np.zeros(len(low)), 1.0
            for cell in reversed(block):
                weights[cell] = -weight
                weight *= high[cell] - low[cell] + 1
            steps = self._units(low, high, [limit.costs for limit in limits])
            if time.monotonic() > deadline or not self._solved(steps, weights[steps.variable], low, high, limits):
                self.proven = False
                return
            for cell in block:
                low[cell] = high[cell] = self.counts[cell]

    def _block(self, low: Sequence[int], high: Sequence[int]) -> list[int]:
        """The first few cells: as many as can be weighted so that an earlier one outweighs all later ones."""
        block: list[int] = []
        size = 1
        for cell in range(self.cells):
            if low[cell] == high[cell]:
                continue
            size *= high[cell] - low[cell] + 1
            if block and size > WEIGHTS:
                break
            block.append(cell)
        return block


def _goal(steps: Steps, costs: Sequence[Cost]) -> tuple[Floats, float, int]:
    """Cost per unit of each step, in parts of the dearest; what that is, as a product of two numbers."""
    scale = max(1, *(2 * cost.square or cost.extra or abs(cost.linear) for cost in costs))
    goal = steps.slopes(costs, scale)
    steepest = float(np.abs(goal).max(initial=0.0)) or 1.0
    return goal / steepest, steepest, scale


def _highs() -> ModuleType:
    from doit.mixtures.planning import highs  # noqa: PLC0415 - scipy is slow to import and rarely needed here

    return highs
