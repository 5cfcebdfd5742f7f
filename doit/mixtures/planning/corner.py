"""The largest corner of the tables of fractions, cell by cell: a simplex method whose goals come one after the other.

Once no column can raise a goal, the columns that would lower it are set aside: what is left is the face on which the
next goal is looked for, so that all goals together take little more than one. A goal that ends between two whole
numbers is capped at the lower one, for no whole table with the same cells before it has more.

Method: the revised simplex method with bounds, and Bland's rule where it stalls (Chvátal, Linear Programming, 1983,
chapters 3, 7 and 8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from doit.mixtures.planning.grid import Floats, Grid, Whole
from doit.mixtures.planning.interior import Columns

EPSILON = 1e-7
"""How small a gain, a pivot or a move is taken for nothing."""
NEAR = 1e-6
"""How far from a whole number a count may be."""
STALL = 50
"""Moves in a row that change nothing, after which Bland's rule takes over."""
RENEW = 60
"""Pivots after which the basis is reckoned anew."""
PIVOTS = 20_000
"""Pivots after which the walk is given up."""


class Lost(Exception):
    """No corner of whole numbers was found."""


class Corner:
    """A walk along corners: columns in the basis (one per row) take what the others, which are at a bound, leave."""

    def __init__(self, grid: Grid, columns: Columns, right: Floats, point: Floats) -> None:
        """Start at the table of fractions that uses `point` of each column; what extra rows leave is a column too."""
        extras, steps = len(columns.most), len(columns.variable)
        self.base, self.rows, self.count = grid.rows, grid.rows + extras, steps + extras
        total = self.count + self.rows  # at first, one column per row that may hold nothing is the basis
        self.row, self.entry = (
            np.zeros((total, grid.row.shape[1]), dtype=np.int64),
            np.zeros((total, grid.row.shape[1])),
        )
        self.row[:steps], self.entry[:steps] = grid.row[columns.variable], grid.entry[columns.variable]
        self.row[steps : self.count, 0] = grid.rows + np.arange(extras)
        self.row[self.count :, 0] = np.arange(self.rows)
        self.entry[steps:, 0] = 1.0
        self.extra = np.zeros((extras, total))
        self.extra[:, :steps] = columns.extra
        self.width = np.concatenate([columns.width, np.full(extras, np.inf), np.zeros(self.rows)])
        left = np.maximum(columns.most - columns.extra @ point, 0.0)
        self.value = np.concatenate([point, left, np.zeros(self.rows)])
        self.right = np.append(right, columns.most)
        self.inside = np.arange(self.count, total)
        self.place = np.append(np.full(self.count, -1), np.arange(self.rows))
        self.open = np.append(self.width[: self.count] > 0, np.zeros(self.rows, dtype=bool))
        self.live = np.flatnonzero(self.open)
        self.inverse = np.eye(self.rows)
        self.pivots = self.age = 0
        for number in np.flatnonzero((self.value > EPSILON) & (self.value < self.width - EPSILON)).tolist():
            if self.place[number] < 0:
                self._move(number, 1, careful=False)

    def largest(self, goal: Sequence[int]) -> None:
        """Raise the sum of some columns as far as whole numbers go, and stay on the face where it is.

        Args:
            goal: columns, which are used in this order.

        Raises:
            Lost: no corner was found at which it is whole.
        """
        if all(self.place[number] < 0 and self.value[number] >= self.width[number] - EPSILON for number in goal):
            self.open[list(goal)] = False
            return
        idle, capped = 0, False
        while True:
            gain, live = self._gain(goal)
            better = self._better(gain, live)
            if len(better):
                idle = self._step(gain, live, better, idle)
                continue
            part = self.value[list(goal)]
            if np.abs(part - np.rint(part)).max() < NEAR:
                self.open[live[np.abs(gain) > EPSILON]] = False
                return
            if capped:
                raise Lost
            capped = True
            self._cap(goal, float(np.floor(part.sum() + NEAR)))

    def _cap(self, goal: Sequence[int], most: float) -> None:
        """Keep the sum of columns at `most`, with the first columns used first."""
        for number in goal:
            room = min(most, float(self.width[number]))
            most -= room
            idle, self.width[number] = 0, room
            while self.value[number] > room + EPSILON:
                gain, live = self._gain([number])
                better = self._better(-gain, live)
                if not len(better):
                    raise Lost
                idle = self._step(-gain, live, better, idle)

    def _gain(self, goal: Sequence[int]) -> tuple[Floats, Whole]:
        """What a unit of each column outside the basis adds to the goal, and these columns."""
        still = self.open[self.live] & (self.place[self.live] < 0)
        if still.sum() * 4 < len(self.live) * 3:
            self.live = self.live[self.open[self.live]]
            still = self.place[self.live] < 0
        live = self.live[still]
        prices = np.zeros(self.rows)
        for number in goal:
            if self.place[number] >= 0:
                prices += self.inverse[self.place[number]]
        gain: Floats = -(self.entry[live] * prices[self.row[live]]).sum(axis=1)
        if len(self.extra):
            gain -= prices[self.base :] @ self.extra[:, live]
        for number in goal:
            if self.place[number] < 0:
                gain[live == number] += 1.0
        return gain, live

    def _better(self, gain: Floats, live: Whole) -> Whole:
        """Where in `live` a column is that can move the way that gains."""
        at = self.value[live]
        up = (gain > EPSILON) & (at < self.width[live] - EPSILON)
        down = (gain < -EPSILON) & (at > EPSILON)
        return np.flatnonzero(up | down)

    def _step(self, gain: Floats, live: Whole, better: Whole, idle: int) -> int:
        """Move the column that gains most; returns how many moves in a row have changed nothing."""
        careful = idle > STALL
        where = better[0] if careful else better[np.argmax(np.abs(gain[better]))]
        moved = self._move(int(live[where]), 1 if gain[where] > 0 else -1, careful=careful)
        return 0 if moved else idle + 1

    def _move(self, number: int, sign: int, *, careful: bool) -> bool:
        """Move a column outside the basis one way until something stops it; whether anything moved."""
        column = self.inverse[:, self.row[number]] @ self.entry[number]
        if len(self.extra):
            column += self.inverse[:, self.base :] @ self.extra[:, number]
        value, width, change = self.value[self.inside], self.width[self.inside], -sign * column
        # a column that was capped may be above its width, and is on its way down to it
        bound = np.where((change > 0) | ((change < 0) & (value > width + EPSILON)), width, 0.0)
        steep = np.abs(change) > EPSILON
        room = np.full(self.rows, np.inf)
        room[steep] = np.maximum((bound[steep] - value[steep]) / change[steep], 0.0)
        least = float(room.min())
        own = float(self.width[number] - self.value[number] if sign > 0 else self.value[number])
        if math.isnan(least) or math.isnan(own):
            raise Lost
        if own <= least:
            self.value[self.inside] = value + change * own
            self.value[number] = self.width[number] if sign > 0 else 0.0
            return own > EPSILON
        near = np.flatnonzero(room <= least + EPSILON)
        first = self.inside[near] >= self.count
        row = int(near[np.argmin(self.inside[near]) if careful else np.argmax(np.abs(change[near]) + 10.0 * first)])
        self.value[self.inside] = value + change * least
        self.value[number] += sign * least
        self.value[self.inside[row]] = bound[row]
        self._pivot(row, number, column)
        return least > EPSILON

    def _pivot(self, row: int, number: int, column: Floats) -> None:
        self.pivots += 1
        self.age += 1
        if self.pivots > PIVOTS:
            raise Lost
        self.place[self.inside[row]], self.place[number] = -1, row
        self.inside[row] = number
        if self.age >= RENEW:
            self._renew()
            return
        across = self.inverse[row] / column[row]
        self.inverse -= column[:, None] * across
        self.inverse[row] = across

    def _renew(self) -> None:
        """The basis and its values from the constraints themselves, against errors that add up."""
        self.age, basis = 0, np.zeros((self.rows, self.rows))
        for entry in range(self.row.shape[1]):
            np.add.at(basis, (self.row[self.inside, entry], np.arange(self.rows)), self.entry[self.inside, entry])
        basis[self.base :] += self.extra[:, self.inside]
        try:
            self.inverse = np.asarray(np.linalg.inv(basis), dtype=np.float64)
        except np.linalg.LinAlgError as error:
            raise Lost from error
        rest = self.value.copy()
        rest[self.inside] = 0.0
        sums = np.bincount(self.row.ravel(), weights=(self.entry * rest[:, None]).ravel(), minlength=self.rows)
        sums[self.base :] += self.extra @ rest
        self.value[self.inside] = self.inverse @ (self.right - sums)
