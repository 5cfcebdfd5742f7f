"""Convex costs of whole counts, and the steps of equal cost per unit that every count is cut into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from doit.mixtures.planning.grid import Floats, Marks, Whole


class Cost(NamedTuple):
    """square * z ** 2 + linear * z + extra * max(0, z - free), convex, in whole numbers."""

    square: int
    linear: int
    extra: int
    free: int

    def at(self, count: int) -> int:
        """The cost of `count`."""
        plain = (self.square * count + self.linear) * count
        return plain + self.extra * (count - self.free) if self.extra and count > self.free else plain

    def least(self, low: int, high: int) -> int:
        """The smallest count between the bounds with the smallest cost."""
        first = self._least(self.linear, low, high)
        return (
            first
            if not self.extra or first <= self.free
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

    base: Whole
    variable: Whole
    start: Whole
    width: Whole

    def slopes(self, costs: Sequence[Cost], scale: int) -> Floats:
        """Cost per unit of each step, divided by `scale`."""
        parts = np.array([(cost.square / scale, cost.linear / scale) for cost in costs])
        slopes: Floats = parts[self.variable, 0] * (2 * self.start + self.width) + parts[self.variable, 1]
        if any(cost.extra for cost in costs):
            extra = np.array([cost.extra / scale for cost in costs])[self.variable]
            free = np.array([min(cost.free, 1 << 62) for cost in costs])[self.variable]
            end = self.start + self.width
            slopes += extra * (np.maximum(end - free, 0) - np.maximum(self.start - free, 0)) / self.width
        return slopes

    def counts(self, used: Floats) -> Floats:
        """Counts from what is used of each step."""
        counts = self.base + np.bincount(self.variable, weights=used, minlength=len(self.base))
        return counts.astype(np.float64)

    def used(self, counts: Floats) -> Floats:
        """What counts use of each step, the steps being used in order."""
        return np.clip(counts[self.variable] - self.start, 0, self.width)


def cut(cuts: Whole) -> Steps:
    """Steps between the ascending cuts of each variable (one row each; equal neighbours make no step)."""
    width = np.diff(cuts, axis=1)
    variable, place = np.nonzero(width)
    return Steps(cuts[:, 0].copy(), variable, cuts[variable, place], width[variable, place])


def units(low: Whole, high: Whole, bent: Marks) -> Steps:
    """Single steps where `bent`, one step over the whole range elsewhere."""
    number = np.where(bent, high - low, (high > low).astype(np.int64))
    variable = np.repeat(np.arange(len(low)), number)
    place = np.arange(len(variable)) - np.repeat(np.cumsum(number) - number, number)
    width = np.where(bent, 1, high - low)[variable]
    return Steps(low.copy(), variable, low[variable] + place, width)


def scaled(number: float, scale: int) -> int:
    """A multiple of a scale, rounded down; scales may be too large for floating point."""
    above, below = float(number).as_integer_ratio()
    return above * scale // below


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
