"""From targets and stock to whole numbers of records: a pure function, exact, and the same on every machine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from types import ModuleType

from doit.errors import ShortStock, SpecError
from doit.mixtures.planning import flow
from doit.mixtures.planning.quotas import Problem, Solution, cell_cost, margins, share_cost
from doit.mixtures.planning.shortage import (
    Margin,
    empty_shares,
    lacking,
    reachable,
    refuse_empty,
    refuse_nothing,
    refuse_short,
    refuse_size,
)
from doit.mixtures.planning.targets import Axis, Request, Shortage, Stock, Table, Target, check_totals, only_records

__all__ = ["Axis", "Cell", "Margin", "Plan", "Request", "Shortage", "Stock", "Target", "plan"]


@dataclass(frozen=True)
class Cell:
    """One value per axis."""

    values: tuple[str, ...]
    wanted: int
    """Records in the plan for this size with unlimited data; over 2,000 cells on three axes or more, one such plan."""
    available: int
    """Different records."""
    taken: int
    """Records in this plan, copies included."""
    epochs: int
    """How often the most repeated record appears; 0 where nothing is taken."""


@dataclass(frozen=True)
class Plan:
    """How many records each cell gives."""

    size: int
    cells: tuple[Cell, ...]
    """Every combination of values that is wanted or that something is available for, in the order that breaks ties."""
    margins: tuple[Margin, ...]
    D: Fraction | None
    """Sum of m ** 2 / share over the share values of all axes; None without shares."""
    E: Fraction
    """Sum of x ** 2 / e over the cells, e being a cell's records if the axes were independent."""
    proven: bool
    """False where a solver ran out of time before it could show that no plan is better (three or more axes)."""
    short: tuple[Margin, ...]
    """The values whose targets could not be met at the size asked for, with what they wanted there."""
    holds: bool
    """True if every target is met as well as unlimited data would meet it."""
    largest: int | None
    """Where something is short: the largest size at which every target is met, if there is one."""


def plan(request: Request, stock: Stock) -> Plan:
    """Turn targets into whole numbers of records, the best there are.

    Plans are compared by, in this order: the size filled; records missing from fixed counts; D; repeated records; E;
    the cells' counts in the order of their values' names, the larger first. One and two axes are solved exactly, three
    and more by an integer programme.

    Args:
        request: targets per axis, size, and what to do when data runs short.
        stock: records available per cell, one value per axis, by epoch; only `repeat` uses more than the first number.

    Returns:
        A plan whose cells add up to its size, the same for the same targets and stock in any order.

    Raises:
        SpecError: D204, D207: targets that are wrong, or that contradict each other or the size.
        ShortStock: D401, D402, D403: less data than the targets need, where the request does not allow for it.
    """
    table = Table(request, stock)
    size = _size(table)
    check_totals(table, size)
    problem = table.problem(size)
    engine = _engine(table)
    solution = engine.solve(problem, held=True)
    if solution is not None:
        return _report(table, problem, solution, _Ideal(table, size), holds=True)
    if request.shortage == "redistribute":
        return _redistribute(table, problem)
    if request.shortage == "shrink":
        return _shrink(table, problem)
    raise _refusal(table, problem)


def _engine(table: Table) -> ModuleType:
    """Exact flows for one and two axes, integer programmes for more."""
    if len(table.axes) <= 2:
        return flow
    from doit.mixtures.planning import programme  # noqa: PLC0415 - scipy is slow to import and only needed here

    return programme


class _Ideal:
    """The plan of unlimited data, made when it is first asked for."""

    def __init__(self, table: Table, size: int) -> None:
        self.problem, self._engine = table.unlimited(size), _engine(table)

    @cached_property
    def counts(self) -> dict[tuple[int, ...], int]:
        """Records per cell."""
        solution: Solution = self._engine.ideal(self.problem)
        return dict(zip(self.problem.cells, solution.counts, strict=True))

    @cached_property
    def margins(self) -> list[list[int]]:
        """Records per axis and value; only ties need the cells."""
        ranges = [axis.ranges(self.problem.size) for axis in self.problem.axes]
        if all(low == high for axis in ranges for low, high in axis):
            return [[low for low, _ in axis] for axis in ranges]
        return margins(self.problem, list(self.counts.values()))


def _size(table: Table) -> int:
    """The size asked for, or the largest that the targets let through."""
    size = table.request.size
    if size is not None:
        if size < 1:
            raise SpecError(
                "D204", f"{size} records make no mixture.", where="size", hint="Ask for 1 or more, or for `all`."
            )
        return size
    fixed = only_records(table)
    if fixed is not None:
        return fixed
    largest = _largest(table, None)
    if largest:
        return largest
    empty = empty_shares(table, table.problem(1))
    raise refuse_empty(empty) if empty else refuse_nothing()


def _largest(table: Table, below: int | None) -> int | None:
    """The largest size (under `below`) at which every target is met and no quota is more than there is.

    Rounding lets a size hold by a record or two beyond that, at which a short value falls behind its share: 0.4/0.4/0.2
    with 500 of the last hold up to 2,502 records, but 2,500 is the size that the data carries.
    """
    engine, problem = _engine(table), table.problem(1)
    most: int = engine.most_records(problem)
    shared = [axis for axis in table.axes if axis.shared]
    if not shared or (below is not None and len(shared) < len(table.axes)):
        return most if below is None else None
    if empty_shares(table, problem):
        return None
    carried = [
        axis.reserved + math.floor(given / share)
        for axis, counts in zip(table.axes, reachable(problem), strict=True)
        for share, given in zip(axis.shares, counts, strict=True)
        if share is not None
    ]
    top = min([most, *carried] if below is None else [most, *carried, below - 1])
    least = 1 + max(axis.reserved for axis in shared)
    found: int | None = engine.largest_that_holds(problem._replace(size=top), least) if top >= least else None
    return found


def _redistribute(table: Table, problem: Problem) -> Plan:
    """The plan that comes as near to the targets as the stock allows."""
    engine, wanted = _engine(table), _Ideal(table, problem.size)
    solution = engine.solve(problem, held=False)
    if solution is None:
        raise refuse_size(problem.size, engine.most_records(problem))
    short = _short(table, problem, wanted, margins(problem, solution.counts))
    largest = _largest(table, problem.size)
    return _report(table, problem, solution, wanted, holds=False, short=short, largest=largest)


def _shrink(table: Table, problem: Problem) -> Plan:
    """The plan of the largest smaller size at which the targets are met."""
    largest = _largest(table, problem.size)
    if largest is None:
        raise _refusal(table, problem)
    smaller = table.problem(largest)
    solution = _engine(table).solve(smaller, held=True)
    short = _short(table, problem, _Ideal(table, problem.size), None)
    return _report(table, smaller, solution, _Ideal(table, largest), holds=True, short=short, largest=largest)


def _refusal(table: Table, problem: Problem) -> ShortStock:
    """Why the targets cannot be met, with the largest size at which they can."""
    empty = empty_shares(table, problem)
    if empty:
        return refuse_empty(empty)
    filled = _engine(table).most_records(problem) >= problem.size
    short = _short(table, problem, _Ideal(table, problem.size), None)
    largest = None if table.request.size is None else _largest(table, problem.size)
    return refuse_short(problem.size, short, largest, filled=filled)


def _short(table: Table, problem: Problem, wanted: _Ideal, taken: list[list[int]] | None) -> tuple[Margin, ...]:
    """The values that get less than they want: for want of data, or else beside the other targets."""
    given = taken
    if given is None:
        given = [[min(most, problem.size) for most in axis] for axis in reachable(problem)]
        if not lacking(problem, given):
            solution = _engine(table).solve(problem, held=False)
            given = margins(problem, solution.counts) if solution else given
    names = lacking(problem, given)
    return tuple(margin for margin in _margins(table, wanted.margins, given) if (margin.axis, margin.value) in names)


def _margins(table: Table, wanted: list[list[int]], taken: list[list[int]]) -> tuple[Margin, ...]:
    return tuple(
        Margin(axis.name, value, wanted[number][i], table.available(number, value), taken[number][i])
        for number, axis in enumerate(table.axes)
        if table.request.axes
        for i, value in enumerate(axis.values)
    )


def _report(
    table: Table,
    problem: Problem,
    solution: Solution,
    ideal: _Ideal,
    *,
    holds: bool,
    short: tuple[Margin, ...] = (),
    largest: int | None = None,
) -> Plan:
    """The plan in names: a solution beside what would be taken from unlimited data."""
    taken = dict(zip(problem.cells, solution.counts, strict=True))
    cells = []
    for index in itertools.product(*(range(len(axis.values)) for axis in table.axes)):
        names = tuple(axis.values[i] for axis, i in zip(table.axes, index, strict=True)) if table.request.axes else ()
        available = table.once(names)
        if available or index in ideal.counts:
            count = taken.get(index, 0)
            epochs = _epochs(table.stock.get(names, ()), count)
            cells.append(Cell(names, ideal.counts.get(index, 0), available, count, epochs))
    return Plan(
        size=problem.size,
        cells=tuple(cells),
        margins=_margins(table, margins(ideal.problem, list(ideal.counts.values())), margins(problem, solution.counts)),
        D=share_cost(problem, solution.counts) if table.request.axes else None,
        E=cell_cost(problem, solution.counts),
        proven=solution.proven,
        short=short,
        holds=holds,
        largest=largest,
    )


def _epochs(stock: Sequence[int], count: int) -> int:
    """How many epochs a cell needs for `count` records, each epoch being used up before the next."""
    return sum(before < count for before in itertools.accumulate(stock[:-1], initial=0)) if stock else 0
