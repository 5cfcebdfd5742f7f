"""Tables of three or more axes as integer programmes (`doit.mixtures.planning.lagrange` solves them)."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from doit.mixtures.planning.lagrange import NEAR, SECONDS, Programme
from doit.mixtures.planning.quotas import Problem, Solution, whole_multiples

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
    programme = _open(problem._replace(size=total))
    if not problem.cells:
        return 0
    matrix = programme.matrix[: programme.values, : programme.cells]
    answer = milp(
        -np.ones(programme.cells),
        constraints=LinearConstraint(matrix, -np.inf, np.array(programme.high[programme.cells :], dtype=np.float64)),
        integrality=np.ones(programme.cells),
        bounds=Bounds(np.zeros(programme.cells), np.array(problem.most, dtype=np.float64)),
        options={"time_limit": SECONDS, "mip_rel_gap": 0.0},
    )
    return 0 if answer.x is None else round(-answer.fun)


def holds(problem: Problem) -> bool:
    """Whether some plan meets every target as well as unlimited data would."""
    programme = _asked(problem)
    return programme.relaxed() and programme.evenest()


def largest_that_holds(problem: Problem, least: int) -> int | None:
    """The largest size from `least` to the problem's own at which the targets hold; None if there is none."""
    for size in range(min(problem.size, _carried(problem, least)), least - 1, -1):
        if holds(problem._replace(size=size)):
            return size
    return None


def _carried(problem: Problem, least: int) -> int:
    """A size that no size at which the targets hold is above: the largest one for tables of fractions.

    Sainte-Laguë's method keeps a value within 1/2 + share * values / 2 of its part of what the fixed counts leave.
    """
    parts, low, high = [], [], []
    for axis in problem.axes:
        for share, fixed, demanded in zip(axis.shares, axis.fixed, axis.demanded, strict=True):
            part, slack = float(share or 0), 0.5 + float(share or 0) * len(axis.values) / 2
            parts.append(-part)
            low.append(float(fixed or 0) * demanded if share is None else -part * axis.reserved - slack)
            high.append(float(fixed or 0) if share is None else -part * axis.reserved + slack)
    cells, values = len(problem.cells), len(parts)
    matrix = _asked(problem).matrix.toarray()[:values, :cells]
    rows = np.vstack([np.column_stack([matrix, parts]), np.append(np.ones(cells), -1.0)])
    answer = milp(
        np.append(np.zeros(cells), -1.0),
        constraints=LinearConstraint(rows, np.array([*low, -NEAR]), np.array([*high, NEAR])),
        bounds=Bounds(np.append(np.zeros(cells), least), np.array([*problem.most, problem.size], dtype=np.float64)),
    )
    return least - 1 if answer.x is None else math.floor(-answer.fun + NEAR * problem.size)


def solve(problem: Problem, *, held: bool) -> Solution | None:
    """The best plan of three or more axes, given whether the targets can be met.

    Returns:
        None if the size cannot be filled.
    """
    programme = _asked(problem) if held else _open(problem)
    if not programme.relaxed() or (not held and not programme.possible()):
        return None
    cells = [(0, 0, 0)] * programme.cells
    if not held:
        demanded = [known for axis in problem.axes for known in axis.demanded]
        if any(demanded):
            programme.cheapest(cells + [(0, -int(known), 0) for known in demanded])
        shares = [share for axis in problem.axes for share in axis.shares]
        if any(shares):
            steps = iter(whole_multiples([1 / share for share in shares if share is not None]))
            programme.cheapest(cells + [(0 if share is None else next(steps), 0, 0) for share in shares])
    if problem.once != problem.most and not programme.cheapest(
        [(0, 0, 1)] * programme.cells + [(0, 0, 0)] * programme.values
    ):
        return None
    if not programme.evenest():
        return None
    programme.largest()
    return programme.solution()


def ideal(problem: Problem) -> Solution:
    """The plan of unlimited data; with more than `TIES` cells any of the equally good ones."""
    programme = _asked(problem)
    if not programme.evenest():
        raise AssertionError("unlimited data meets any targets that add up")
    if programme.cells <= TIES:
        programme.largest()
    return programme.solution()
