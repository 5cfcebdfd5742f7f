"""What a training will do before it does it: passes, updates, rows, tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doit.trainers.packing import Update, batches
from doit.trainers.rows import EncodedRows
from doit.trainers.spec import TrainerSpec


@dataclass(frozen=True)
class Plan:
    """The course of a training. Trained rows must come out equal to it."""

    packed: bool
    updates: tuple[int, ...]
    """Updates of every pass; the last may stop early."""
    rows: int
    """Rows that will be seen, those of every pass counted."""
    tokens: int
    """Tokens of these rows."""
    cells: tuple[int, ...]
    """Rows of each cell that will be seen."""

    @property
    def steps(self) -> int:
        """Updates of all passes."""
        return sum(self.updates)

    def position(self, step: int) -> tuple[int, int]:
        """Pass, from 0, and update in it at which a training goes on after `step` steps."""
        for number, updates in enumerate(self.updates):
            if step < updates:
                return number, step
            step -= updates
        return len(self.updates), 0

    def ends_pass(self, step: int) -> bool:
        """Whether step `step`, from 1, is the last of a pass."""
        return self.position(step)[1] == 0


def plan(rows: EncodedRows, spec: TrainerSpec, *, packed: bool) -> Plan:
    """Count what the spec asks for on these rows.

    Args:
        rows: what `rows.encode` gave.
        spec: `epochs`, `steps` and what `packing.batches` reads.
        packed: whether conversations share sequences.
    """
    lengths = rows.lengths
    updates, seen, tokens = [], 0, 0
    cells = np.zeros(len(rows.cells), dtype=np.int64)
    left = spec.steps
    for number in range(math.ceil(spec.epochs) if spec.epochs else spec.steps or 0):
        chosen = _taken(list(batches(rows, spec, number, packed=packed)), spec, number, left)
        visited = rows_of(chosen)
        updates.append(len(chosen))
        seen, tokens = seen + len(visited), tokens + int(lengths[visited].sum())
        cells += np.bincount(rows.cell[visited], minlength=len(cells))
        if left is not None:
            left -= len(chosen)
            if left <= 0:
                break
    return Plan(packed, tuple(updates), seen, tokens, tuple(int(count) for count in cells))


def _taken(updates: list[Update], spec: TrainerSpec, number: int, left: int | None) -> list[Update]:
    """The updates of one pass that are done."""
    if left is not None:
        return updates[:left]
    part = (spec.epochs or 0.0) - number
    return updates if part >= 1 else updates[: math.ceil(part * len(updates))]


def rows_of(updates: list[Update]) -> NDArray[np.int64]:
    """Numbers of the rows of updates, one after another."""
    return np.array([row for update in updates for part in update for one in part for row in one], dtype=np.int64)
