"""Tables of one or two axes as a flow: source → value of the first axis → (cell) → value of the second → sink.

Every order of optimality is one pass over the network; ties left are broken cell by cell along residual cycles.
"""

from __future__ import annotations

import math
from fractions import Fraction

from doit.mixtures.planning.network import Network
from doit.mixtures.planning.quotas import Problem, Solution, whole_multiples

SOURCE, SINK = 0, 1


class FlowTable:
    """A problem of one or two axes as a network; margins come first among its arcs, then the cells in their order."""

    def __init__(self, problem: Problem) -> None:
        if not 1 <= len(problem.axes) <= 2:
            raise AssertionError("a flow has one or two axes")
        self.problem = problem
        rows = len(problem.axes[0].values)
        nodes = 2 + sum(len(axis.values) for axis in problem.axes)
        self.margin_arcs = range(nodes - 2)
        ends = [(SOURCE, 2 + node) if node < rows else (2 + node, SINK) for node in self.margin_arcs]
        ends += [(2 + cell[0], 2 + rows + cell[1] if len(cell) == 2 else SINK) for cell in problem.cells]
        caps = [fixed for axis in problem.axes for fixed in axis.fixed]
        high = [problem.size if cap is None else min(cap, problem.size) for cap in caps] + list(problem.most)
        self.net = Network(ends, high, [problem.size, -problem.size] + [0] * (nodes - 2))

    def demand(self, size: int) -> None:
        """Bound the margins by what the targets ask for at `size`."""
        net = self.net
        net.supply[SOURCE], net.supply[SINK] = size, -size
        ranges = [bounds for axis in self.problem.axes for bounds in axis.ranges(size)]
        for arc, (low, high) in zip(self.margin_arcs, ranges, strict=True):
            net.low[arc], net.high[arc] = low, high

    def next_smaller(self, size: int) -> int | None:
        """The next size below that the cut, which `fill` has just found at `size`, does not rule out.

        With N records left for its shares, Sainte-Laguë's method keeps a value within 1/2 + share * values / 2 of
        share * N: the cut's overflow at any size lies within the sum of these bounds of a straight line.
        """
        net, inside = self.net, self.net.reached
        slope = Fraction((SOURCE in inside) - (SINK in inside))
        start, slack = Fraction(0), Fraction(0)
        shares = [(axis, i) for axis in self.problem.axes for i in range(len(axis.values))]
        for arc, (axis, value) in zip(self.margin_arcs, shares, strict=True):
            tail, head = net.ends[arc]
            sign = (head in inside) - (tail in inside)
            share = axis.shares[value]
            if not sign:
                continue
            if share is None:
                start += net.low[arc] if sign > 0 else -net.high[arc]
            else:
                slope += sign * share
                start -= sign * share * axis.reserved
                slack += Fraction(1, 2) + share * Fraction(len(axis.values), 2)
        for arc in range(len(self.margin_arcs), len(net.ends)):
            tail, head = net.ends[arc]
            if tail in inside and head not in inside:
                start -= net.high[arc]
        if slope > 0:
            return min(size - 1, math.floor((slack - start) / slope))
        return None if slope * size + start > slack else size - 1


def most_records(problem: Problem) -> int:
    """The most records that cells and fixed counts let through, whatever the size."""
    table = FlowTable(problem._replace(size=sum(problem.most)))
    return table.problem.size - table.net.fill()


def holds(problem: Problem) -> bool:
    """Whether some plan of one or two axes meets every target as well as unlimited data would."""
    table = FlowTable(problem)
    table.demand(problem.size)
    return table.net.fill() == 0


def largest_that_holds(problem: Problem, least: int) -> int | None:
    """The largest size from `least` to the problem's own at which the targets hold; None if there is none.

    To hold is not monotone in the size, so every size is looked at that the cuts found so far leave open.
    """
    table = FlowTable(problem)
    size: int | None = problem.size
    while size is not None and size >= least:
        table.demand(size)
        if table.net.fill() == 0:
            return size
        size = table.next_smaller(size)
    return None


def solve(problem: Problem, *, held: bool) -> Solution | None:
    """The one best plan of one or two axes, given whether the targets can be met.

    Returns:
        None if the size cannot be filled.
    """
    table = FlowTable(problem)
    net, cells = table.net, range(len(table.margin_arcs), len(table.net.ends))
    if held:
        table.demand(problem.size)
    if net.fill():
        return None
    if not held:
        _fewest_missing(table)
        _nearest_shares(table)
    if problem.once != problem.most:
        copies = [0] * len(table.margin_arcs)
        net.cheapest_linear(copies + [1] * len(cells), copies + list(problem.once))
    steps = whole_multiples([1 / expected for expected in problem.expected()])
    net.cheapest_square([0] * len(table.margin_arcs) + steps)
    net.largest(cells)
    return Solution(tuple(net.flow[arc] for arc in cells), proven=True)


def ideal(problem: Problem) -> Solution:
    """The plan of unlimited data."""
    solution = solve(problem, held=True)
    if solution is None:
        raise AssertionError("unlimited data meets any targets that add up")
    return solution


def _fewest_missing(table: FlowTable) -> None:
    gains = [-1 if demanded else 0 for axis in table.problem.axes for demanded in axis.demanded]
    rest = [0] * (len(table.net.ends) - len(gains))
    table.net.cheapest_linear(gains + rest, [0] * len(table.net.ends))


def _nearest_shares(table: FlowTable) -> None:
    shares = [share for axis in table.problem.axes for share in axis.shares]
    steps = iter(whole_multiples([1 / share for share in shares if share is not None]))
    cost = [0 if share is None else next(steps) for share in shares]
    if any(cost):
        table.net.cheapest_square(cost + [0] * (len(table.net.ends) - len(cost)))
