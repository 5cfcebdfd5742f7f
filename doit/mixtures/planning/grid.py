"""The constraints of a table: every value's cells add up to its count, and the counts of the first axis to the size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from doit.mixtures.planning.quotas import Problem

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Marks = NDArray[np.bool_]


class Grid(NamedTuple):
    """Few entries per variable (cells, then values): `row` and `entry` have shape (variables, entries)."""

    row: Whole
    entry: Floats
    rows: int

    @classmethod
    def of(cls, problem: Problem) -> Grid:
        """One row per value (its cells minus its count = 0), then the counts of the first axis = size."""
        cells, axes = len(problem.cells), len(problem.axes)
        lengths = [len(axis.values) for axis in problem.axes]
        values, wide = sum(lengths), max(axes, 2)
        row = np.zeros((cells + values, wide), dtype=np.int64)
        entry = np.zeros((cells + values, wide))
        starts = np.cumsum([0, *lengths[:-1]])
        row[:cells, :axes] = np.array(problem.cells, dtype=np.int64).reshape(cells, axes) + starts
        entry[:cells, :axes] = 1.0
        row[cells:, 0], entry[cells:, 0] = np.arange(values), -1.0
        row[cells : cells + lengths[0], 1], entry[cells : cells + lengths[0], 1] = values, 1.0
        return cls(row, entry, values + 1)

    def sums(self, counts: Floats) -> Floats:
        """What the counts of all variables add up to, per row."""
        weights = (self.entry * counts[:, None]).ravel()
        return np.bincount(self.row.ravel(), weights=weights, minlength=self.rows).astype(np.float64)

    def paid(self, prices: Floats) -> Floats:
        """What a unit of each variable is paid at prices per row."""
        paid: Floats = (self.entry * prices[self.row]).sum(axis=1)
        return paid

    def normal(self, weights: Floats) -> Floats:
        """The rows' products with each other, weighted per variable."""
        place = self.row[:, :, None] * self.rows + self.row[:, None, :]
        value = self.entry[:, :, None] * self.entry[:, None, :] * weights[:, None, None]
        found = np.bincount(place.ravel(), weights=value.ravel(), minlength=self.rows * self.rows)
        return found.astype(np.float64).reshape(self.rows, self.rows)
