"""What HiGHS is asked: whole counts where no quicker way finds them, and how much there can be at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, eye_array, hstack, vstack

from doit.mixtures.planning.grid import Floats, Grid, Whole
from doit.mixtures.planning.steps import Steps

SECONDS = 10.0
"""How long one integer programme may take; then its best table so far is used and called unproven."""


def matrix(grid: Grid) -> csr_array:
    """The constraints as scipy wants them."""
    count, wide = grid.row.shape
    place = np.repeat(np.arange(count), wide)
    found = csr_array((grid.entry.ravel(), (grid.row.ravel(), place)), shape=(grid.rows, count))
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def feasible(grid: Grid, right: Floats, low: Floats, high: Floats) -> bool:
    """Whether there are counts of fractions between bounds that add up."""
    ends = np.column_stack([low, high])
    return bool(linprog(np.zeros(len(low)), A_eq=matrix(grid), b_eq=right, bounds=ends, method="highs").status == 0)


def lacking(grid: Grid, cells: Floats, low: Floats, high: Floats) -> Floats:
    """What one record more of each value would add to the records that values lack or have too many of, at the least.

    Args:
        grid: the constraints.
        cells: the most that each cell may have.
        low: the least that each value should have.
        high: the most that each value should have.

    Returns:
        Per value from -1 to 1, positive where the value lacks records; nothing but zeros if it was not found.
    """
    rows = matrix(grid)[: len(low), : len(cells)]
    lack, count = eye_array(len(low)), len(low)
    answer = linprog(
        np.concatenate([np.zeros(len(cells)), np.ones(2 * count)]),
        A_ub=vstack([hstack([-rows, -lack, 0 * lack]), hstack([rows, 0 * lack, -lack])]),
        b_ub=np.concatenate([-low, high]),
        bounds=np.column_stack([np.zeros(len(cells) + 2 * count), np.append(cells, np.full(2 * count, np.inf))]),
        method="highs",
    )
    if answer.x is None:
        return np.zeros(count)
    prices = -np.asarray(answer.ineqlin.marginals, dtype=np.float64)
    found: Floats = prices[:count] - prices[count:]
    return found


def most(grid: Grid, cells: Floats, values: Floats) -> int:
    """The largest sum of whole counts of the cells, given the most that each cell and each value may have."""
    answer = milp(
        -np.ones(len(cells)),
        constraints=LinearConstraint(matrix(grid)[: len(values), : len(cells)], -np.inf, values),
        integrality=np.ones(len(cells)),
        bounds=Bounds(np.zeros(len(cells)), cells),
        options={"time_limit": SECONDS, "mip_rel_gap": 0.0},
    )
    return 0 if answer.x is None else round(-answer.fun)


def longest(grid: Grid, cells: Floats, parts: Floats, ends: tuple[Floats, Floats], sizes: tuple[int, int]) -> float:
    """The largest size between `sizes` at which fractions meet the values; below the first if there is none.

    Args:
        grid: the constraints.
        cells: the most that each cell may have.
        parts: what one record more in the size adds to each value.
        ends: bounds of what a value has beyond that.
        sizes: the smallest and the largest.
    """
    slack = 1e-6
    rows = matrix(grid).toarray()[: len(parts), : len(cells)]
    rows = np.vstack([np.column_stack([rows, -parts]), np.append(np.ones(len(cells)), -1.0)])
    answer = linprog(
        np.append(np.zeros(len(cells)), -1.0),
        A_ub=np.vstack([rows, -rows]),
        b_ub=np.concatenate([ends[1], [slack], -ends[0], [slack]]),
        bounds=np.column_stack([np.append(np.zeros(len(cells)), sizes[0]), np.append(cells, sizes[1])]),
        method="highs",
    )
    return sizes[0] - 1.0 if answer.x is None else -float(answer.fun) + slack * sizes[1]


class Model:
    """Equality constraints over counts, extra rows that hold at most so much, and the counts as sums of steps."""

    def __init__(self, grid: Grid, right: Floats, steps: Steps, extra: Floats, most: Floats) -> None:
        constraints = matrix(grid)
        self.steps, self.columns, self.right = steps, constraints[:, steps.variable], right - constraints @ steps.base
        self.extra, self.most = extra, most

    def fractions(self, goal: Floats) -> tuple[Floats, Floats, Floats] | None:
        """The smallest goal with fractions: what is used of each step, prices of constraints and of extra rows."""
        answer = linprog(
            goal,
            A_eq=self.columns,
            b_eq=self.right,
            A_ub=self.extra if len(self.most) else None,
            b_ub=self.most if len(self.most) else None,
            bounds=np.column_stack([np.zeros(len(goal)), self.steps.width]),
            method="highs",
        )
        if answer.x is None:
            return None
        return answer.x, answer.eqlin.marginals, -answer.ineqlin.marginals if len(self.most) else self.most

    def whole(self, goal: Floats, low: Whole, high: Whole, *, first: int = 0, apart: float = 0.0) -> Any:
        """The smallest goal in whole numbers.

        Args:
            goal: cost per unit of each step, at most about one.
            low: the least that each variable may be.
            high: the most that each variable may be.
            first: variables before it may be fractions.
            apart: what whole tables' costs differ by at least, if known.

        Returns:
            scipy's result, with `x` (per step) None if there is none.
        """
        # all that can be set is a gap in parts of the cost: what is added to each cost makes it one in units
        start = 1e3 * apart - float((np.minimum(goal, 0.0) * self.steps.width).sum())
        ends = [np.append(self.steps.used(end.astype(np.float64)), 1.0) for end in (low, high)]
        constraints = [LinearConstraint(_widened(self.columns), self.right, self.right)]
        if len(self.most):
            constraints.append(LinearConstraint(_widened(csr_array(self.extra)), -np.inf, self.most + 1e-9))
        answer = milp(
            np.append(goal, start if apart else 0.0),
            constraints=constraints,
            integrality=np.append(self.steps.variable >= first, False),
            bounds=Bounds(*ends),
            options={"time_limit": SECONDS, "mip_rel_gap": 5e-4 if apart else 0.0},
        )
        if answer.x is None:
            return answer
        if apart and answer.fun > 1.9e3 * apart:  # so far above nothing the gap is more than `apart`
            return self.whole(goal, low, high, first=first)
        answer.x = answer.x[:-1]
        return answer


def _widened(rows: csr_array) -> csr_array:
    return hstack([rows, csr_array((rows.shape[0], 1))]).tocsr()
