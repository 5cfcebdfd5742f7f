"""Counts of fractions that cost least, and the prices that show it: the guide to where the best whole counts are.

Method: Mehrotra's predictor and corrector for separable convex quadratic programmes with bounds (Nocedal & Wright,
Numerical Optimization, 2nd edition, 2006, algorithm 16.4). The equations solved are as many as there are constraints,
a few dozen, so that thousands of cells take milliseconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from doit.mixtures.planning.grid import Floats, Grid, Whole

ROUNDS = 50
CLOSE = 1e-9
"""Error of prices and cost, in parts of the steepest slope and the longest column, at which counts are taken."""
ROUGH = 1e-6
"""The same for the constraints."""
ENDLESS = 100.0
"""A gap, in parts of the first one, that only a search without an end reaches."""
SHORT = 0.995
"""Part of the way to the nearest bound that one round goes."""


class Columns(NamedTuple):
    """What may be used: each column is a stretch of one variable, from nothing to its width."""

    variable: Whole
    width: Floats
    curve: Floats
    """Twice the cost of the square."""
    slope: Floats
    extra: Floats
    """Extra rows, shape (rows, columns): together at most `most`."""
    most: Floats


class Centre(NamedTuple):
    """The middle of all counts that cost least."""

    used: Floats
    """Per column."""
    prices: Floats
    """Per row of the grid."""
    times: Floats
    """Per extra row: what one unit of room there would save."""


def centre(grid: Grid, columns: Columns, right: Floats) -> Centre | None:
    """The cheapest use of the columns that makes up `right`.

    Returns:
        None if it was not found, or if there is none.
    """
    extras = len(columns.most)
    span = np.maximum(columns.most - np.minimum(columns.extra, 0.0) @ columns.width, 0.0) if extras else np.zeros(0)
    width = np.append(columns.width, span)
    if not len(width) or width.min() <= 0:
        return None
    longest = max(1.0, float(width.max()))
    curve = np.append(columns.curve, np.zeros(extras)) * longest
    slope = np.append(columns.slope, np.zeros(extras))
    steepest = max(float(np.abs(slope).max()), float((curve * width).max()) / longest) or 1.0
    search = _Search(grid, columns, width / longest, curve / steepest, slope / steepest)
    with np.errstate(all="ignore"):  # where there is nothing to find, the numbers grow without end
        found = search.run(np.append(right, columns.most) / longest)
    if found is None:
        return None
    used, prices = found
    prices = prices * steepest
    return Centre(used[: len(columns.width)] * longest, prices[: grid.rows], -prices[grid.rows :])


class _Search:
    """One programme in units of its longest column and steepest slope; what extra rows leave is a column too."""

    def __init__(self, grid: Grid, columns: Columns, width: Floats, curve: Floats, slope: Floats) -> None:
        self.grid, self.variable, self.extra = grid, columns.variable, columns.extra
        self.width, self.curve, self.slope = width, curve, slope
        self.rows, self.count = grid.rows + len(columns.most), len(columns.variable)

    def run(self, right: Floats) -> tuple[Floats, Floats] | None:
        """What is used of each column, and the prices per row."""
        used, prices = self.width / 2, np.zeros(self.rows)
        below, above = np.ones(len(used)), np.ones(len(used))
        most = ENDLESS * float(self.width.sum())
        for _ in range(ROUNDS):
            room = self.width - used
            lack = right - self._sums(used)
            wrong = self.curve * used + self.slope - self._paid(prices) - below + above
            # sums of products, and no dot products, which some libraries give to threads that cost more than they do
            gap = float((below * used + above * room).sum())
            if not gap < most:
                return None
            if np.abs(lack).max() < ROUGH and np.abs(wrong).max() < CLOSE and gap < CLOSE:
                return used, prices
            weight = 1.0 / (self.curve + below / used + above / room)
            try:
                moves = _Moves(self, _Point(used, room, below, above, lack, wrong), weight)
            except np.linalg.LinAlgError:
                return None
            change, _, low, high = moves.toward(-below * used, -above * room)
            one, two = _longest(used, change, room, -change), _longest(below, low, above, high)
            after = (below + two * low) * (used + one * change) + (above + two * high) * (room - one * change)
            middle = gap / (2 * len(used)) * (float(after.sum()) / gap) ** 3
            change, price, low, high = moves.toward(
                middle - below * used - change * low, middle - above * room + change * high
            )
            one = min(1.0, SHORT * _longest(used, change, room, -change))
            two = min(1.0, SHORT * _longest(below, low, above, high))
            if self.curve.any():
                one = two = min(one, two)
            used, prices = used + one * change, prices + two * price
            below, above = below + two * low, above + two * high
        return None

    def _sums(self, used: Floats) -> Floats:
        sums = self.grid.sums(self._per_variable(used[: self.count]))
        return np.append(sums, self.extra @ used[: self.count] + used[self.count :]) if len(self.extra) else sums

    def _per_variable(self, used: Floats) -> Floats:
        return np.bincount(self.variable, weights=used, minlength=len(self.grid.row)).astype(np.float64)

    def _paid(self, prices: Floats) -> Floats:
        paid: Floats = self.grid.paid(prices)[self.variable]
        if not len(self.extra):
            return paid
        more = prices[self.grid.rows :]
        return np.append(paid + more @ self.extra, more)

    def _normal(self, weight: Floats) -> Floats:
        """The rows' products with each other, weighted per column."""
        own = weight[: self.count]
        corner = self.grid.normal(self._per_variable(own))
        if not len(self.extra):
            return corner
        still = np.zeros(len(self.extra))
        across = np.array([self._sums(np.append(own * row, still))[: self.grid.rows] for row in self.extra])
        inner = (self.extra * own) @ self.extra.T + np.diag(weight[self.count :])
        return np.block([[corner, across.T], [across, inner]])


class _Point(NamedTuple):
    """Where a search is, and what is still wrong there."""

    used: Floats
    room: Floats
    below: Floats
    """What the lower bounds cost."""
    above: Floats
    """What the upper bounds cost."""
    lack: Floats
    """Per row what is not made up yet."""
    wrong: Floats
    """Per column how far its cost is from what the rows pay and the bounds cost."""


class _Moves:
    """Newton's steps from one point, which share their equations."""

    def __init__(self, search: _Search, point: _Point, weight: Floats) -> None:
        self.search, self.point, self.weight = search, point, weight
        self.normal = search._normal(weight)
        across = np.diagonal(self.normal)
        scale = 1.0 / np.sqrt(np.where(across > 0, across, 1.0))
        # a little on the diagonal, for rows may follow from others; what it adds is taken off again below
        inverse = np.linalg.inv(self.normal * scale[:, None] * scale + 1e-11 * np.eye(search.rows))
        self.inverse = inverse * scale[:, None] * scale

    def toward(self, first: Floats, second: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Changes of what is used, of the prices, and of what the lower and the upper bounds cost."""
        search, weight, point = self.search, self.weight, self.point
        pulled = first / point.used - second / point.room - point.wrong
        goal = point.lack - search._sums(weight * pulled)
        price = self.inverse @ goal
        for _ in range(3):
            price += self.inverse @ (goal - self.normal @ price)
        change = weight * (pulled + search._paid(price))
        low, high = (first - point.below * change) / point.used, (second + point.above * change) / point.room
        return change, price, low, high


def _longest(first: Floats, one: Floats, second: Floats, two: Floats) -> float:
    """How far both can go along their moves before something falls to nothing."""
    fall = float(np.concatenate([-one / first, -two / second]).max(initial=0.0))
    return 1.0 / SHORT if fall <= SHORT else 1.0 / fall
