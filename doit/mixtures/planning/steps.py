"""Convex costs of whole counts, and the linear programmes that stand for them: every count is cut into steps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

Floats = NDArray[np.float64]


class Cost(NamedTuple):
    """square * z ** 2 + linear * z + extra * max(0, z - free), convex, in whole numbers."""

    square: int
    linear: int
    extra: int
    free: int

    def at(self, count: int) -> int:
        """The cost of `count`."""
        return (self.square * count + self.linear) * count + self.extra * max(0, count - self.free)

    def least(self, low: int, high: int) -> int:
        """The smallest count between the bounds with the smallest cost."""
        first = self._least(self.linear, low, high)
        return (
            first
            if first <= self.free or not self.extra
            else max(self.free, self._least(self.linear + self.extra, low, high))
        )

    def _least(self, slope: int, low: int, high: int) -> int:
        if not self.square:
            return low if slope >= 0 else high
        return min(max(-((slope + self.square) // (2 * self.square)), low), high)

    def plus(self, times: int, other: Cost) -> Cost:
        """This cost and `times` another with the same `free`."""
        return Cost(
            self.square + times * other.square,
            self.linear + times * other.linear,
            self.extra + times * other.extra,
            self.free,
        )

    def bent(self, low: int, high: int) -> bool:
        """Whether the cost is no straight line between the bounds."""
        return high - low > 1 and (self.square > 0 or (self.extra > 0 and low < self.free < high))


class Limit(NamedTuple):
    """What an order of optimality already settled leaves: the costs together stay within `most`."""

    costs: list[Cost]
    most: int


class Steps(NamedTuple):
    """Counts cut into steps of equal cost per unit: count = base + the sum of its steps."""

    base: list[int]
    variable: NDArray[np.int64]
    start: NDArray[np.int64]
    width: NDArray[np.int64]

    def slopes(self, costs: Sequence[Cost], scale: int) -> Floats:
        """Cost per unit of each step, divided by `scale`."""
        slopes = []
        for number, start, width in zip(self.variable.tolist(), self.start.tolist(), self.width.tolist(), strict=True):
            cost = costs[number]
            slopes.append((cost.at(start + width) - cost.at(start)) / (width * scale))
        return np.array(slopes, dtype=np.float64)


def cut(cuts: Sequence[Sequence[int]]) -> Steps:
    """Steps between the ascending cuts of each variable."""
    pairs = [
        (number, one, other - one)
        for number, ordered in enumerate(cuts)
        for one, other in itertools.pairwise(ordered)
        if other > one
    ]
    table = np.array(pairs, dtype=np.int64).reshape(len(pairs), 3)
    return Steps([ordered[0] for ordered in cuts], table[:, 0], table[:, 1], table[:, 2])


def reach(cost: Cost, start: int, end: int, most: int) -> int:
    """The count furthest from `start` towards `end` whose cost is at most `most`."""
    sign = 1 if end > start else -1
    near, far = 0, abs(end - start)
    if far and cost.at(start + sign) > most:
        return start
    while near < far:
        middle = (near + far + 1) // 2
        if cost.at(start + sign * middle) <= most:
            near = middle
        else:
            far = middle - 1
    return start + sign * near


class Model:
    """What HiGHS is given: equality constraints over counts, limits, and the counts as sums of steps."""

    def __init__(self, matrix: csr_array, right: Sequence[int], steps: Steps, limits: Sequence[Limit]) -> None:
        self.steps, self.base = steps, np.array(steps.base, dtype=np.float64)
        self.columns = matrix[:, steps.variable]
        self.right = np.array(right, dtype=np.float64) - matrix @ self.base
        self.scales: list[int] = []
        rows, rights = [], []
        for limit in limits:
            used = sum(cost.at(count) for cost, count in zip(limit.costs, steps.base, strict=True))
            raw = steps.slopes(limit.costs, 1)
            scale = max(1, int(np.abs(raw).max(initial=0.0)))
            rows.append(csr_array(raw[None, :] / scale))
            rights.append((limit.most - used) / scale)
            self.scales.append(scale)
        self.rows = vstack(rows).tocsr() if rows else None
        self.rights = np.array(rights)

    def ends(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Bounds of the counts as bounds of their steps, which are used in order."""
        number, start, width = self.steps.variable, self.steps.start, self.steps.width
        return np.clip(low[number] - start, 0, width), np.clip(high[number] - start, 0, width)

    def counts(self, steps: Floats) -> Floats:
        """Counts from steps."""
        return self.base + np.bincount(self.steps.variable, weights=steps, minlength=len(self.base))

    def fractions(self, goal: Floats, low: Floats, high: Floats) -> Any:
        """The smallest goal without whole numbers; scipy's result, with `x` None if there is none."""
        return linprog(
            goal,
            A_eq=self.columns,
            b_eq=self.right,
            A_ub=self.rows,
            b_ub=None if self.rows is None else self.rights,
            bounds=np.column_stack(self.ends(low, high)),
            method="highs",
        )

    def whole(self, goal: Floats, low: Floats, high: Floats, seconds: float, first: int = 0) -> Any:
        """The smallest goal in whole numbers, from the variable `first` on; scipy's result, with `x` None if none."""
        constraints = [LinearConstraint(self.columns, self.right, self.right)]
        if self.rows is not None:
            constraints.append(LinearConstraint(self.rows, -np.inf, self.rights + 1e-9))
        return milp(
            goal,
            constraints=constraints,
            integrality=self.steps.variable >= first,
            bounds=Bounds(*self.ends(low, high)),
            options={"time_limit": seconds, "mip_rel_gap": 0.0},
        )
