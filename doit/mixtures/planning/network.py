"""A small network whose arcs have convex costs, solved in whole numbers and without rounding anywhere.

Every pass keeps only the flows that are best so far: the prices that prove a flow optimal leave each arc a range, and
all flows within these ranges are equally good (complementary slackness).

Method: capacity scaling for convex costs, Ahuja, Magnanti & Orlin, Network Flows (1993), section 14.5.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence


class Network:
    """A small directed graph whose arcs carry whole numbers between two bounds.

    Attributes:
        low, high: bounds per arc.
        flow: what each arc carries now.
        supply: what each node sends out (positive) or takes in (negative); sums to 0.
    """

    def __init__(self, ends: Sequence[tuple[int, int]], high: Sequence[int], supply: Sequence[int]) -> None:
        self.ends = list(ends)
        self.low = [0] * len(ends)
        self.high = list(high)
        self.flow = [0] * len(ends)
        self.supply = list(supply)
        self.reached: set[int] = set()
        self.leaving: list[list[int]] = [[] for _ in supply]
        self.entering: list[list[int]] = [[] for _ in supply]
        for arc, (tail, head) in enumerate(ends):
            self.leaving[tail].append(arc)
            self.entering[head].append(arc)

    def excess(self) -> list[int]:
        """What each node holds too much (positive) or too little (negative) under the present flow."""
        left = list(self.supply)
        for (tail, head), amount in zip(self.ends, self.flow, strict=True):
            left[tail] -= amount
            left[head] += amount
        return left

    def fill(self) -> int:
        """Change the flow as little as shortest paths do until it obeys bounds and supplies.

        Returns:
            What cannot be placed, 0 if the bounds allow a flow; else `reached` is the side of a cut that has too much.
        """
        for arc, amount in enumerate(self.flow):
            self.flow[arc] = min(max(amount, self.low[arc]), self.high[arc])
        left = self.excess()
        while any(amount > 0 for amount in left):
            path = self.path(
                [node for node, amount in enumerate(left) if amount > 0], {n for n, a in enumerate(left) if a < 0}
            )
            if not path:
                break
            first, last = _start(self.ends, path[0]), _stop(self.ends, path[-1])
            amount = min(left[first], -left[last], *(self.room(step) for step in path))
            self.push(path, amount)
            left[first] -= amount
            left[last] += amount
        return sum(amount for amount in left if amount > 0)

    def room(self, step: int) -> int:
        """What more can go along an arc, or, for `~arc`, against it."""
        return self.high[step] - self.flow[step] if step >= 0 else self.flow[~step] - self.low[~step]

    def push(self, path: Sequence[int], amount: int) -> None:
        """Send `amount` along the steps of a path (`~arc` = against the arc)."""
        for step in path:
            if step >= 0:
                self.flow[step] += amount
            else:
                self.flow[~step] -= amount

    def path(self, starts: Sequence[int], stops: set[int]) -> list[int]:
        """The steps of a shortest path with room from one of `starts` to one of `stops`; empty if there is none."""
        low, high, flow, ends = self.low, self.high, self.flow, self.ends
        came: dict[int, int | None] = dict.fromkeys(starts)
        queue = deque(starts)
        while queue:
            node = queue.popleft()
            if node in stops:
                return _steps(ends, came, node)
            for arc in self.leaving[node]:
                head = ends[arc][1]
                if head not in came and flow[arc] < high[arc]:
                    came[head] = arc
                    queue.append(head)
            for arc in self.entering[node]:
                tail = ends[arc][0]
                if tail not in came and flow[arc] > low[arc]:
                    came[tail] = ~arc
                    queue.append(tail)
        self.reached = set(came)
        return []

    def cheapest_linear(self, cost: Sequence[int], free: Sequence[int]) -> None:
        """Keep only the flows with the smallest sum of cost * max(0, flow - free); the present flow must be allowed."""
        _Prices(self, [0] * len(self.ends), cost, free).settle()

    def cheapest_square(self, cost: Sequence[int]) -> None:
        """Keep only the flows with the smallest sum of cost * flow ** 2; the present flow must be allowed."""
        nothing = [0] * len(self.ends)
        _Prices(self, cost, nothing, nothing).settle()

    def largest(self, arcs: Sequence[int]) -> None:
        """Among the allowed flows take the one that is largest on the first of `arcs`, then the second, and so on."""
        for arc in arcs:
            tail, head = self.ends[arc]
            while self.flow[arc] < self.high[arc]:
                below, self.low[arc] = self.low[arc], self.flow[arc]  # the way round must not undo the arc itself
                path = self.path([head], {tail})
                self.low[arc] = below
                if not path:
                    break
                amount = min(self.room(step) for step in [arc, *path])
                self.push([arc, *path], amount)
            self.low[arc] = self.high[arc] = self.flow[arc]


class _Prices:
    """One pass: find prices per node that prove a flow cheapest, then narrow the bounds to what they leave open."""

    def __init__(self, net: Network, square: Sequence[int], extra: Sequence[int], free: Sequence[int]) -> None:
        self.net, self.square, self.extra, self.free = net, square, extra, free
        self.linear = not any(square)
        self.price = [0] * len(net.supply)

    def range(self, arc: int) -> tuple[int, int]:
        """The flows of an arc that are cheapest at the present prices: from, to."""
        tail, head = self.net.ends[arc]
        gain = self.price[tail] - self.price[head]
        low, high = self.net.low[arc], self.net.high[arc]
        cost, extra, free = self.square[arc], self.extra[arc], self.free[arc]
        if cost:
            first, last = -((cost - gain) // (2 * cost)), (gain + cost) // (2 * cost)
        else:
            start = 0 if low < free else extra
            first = low if gain <= start else free if gain <= extra else high
            last = high if gain >= extra else free if gain >= 0 and free else low
        return min(max(first, low), high), min(max(last, low), high)

    def settle(self) -> None:
        """Reach the optimum and narrow the network's bounds to all flows that share it."""
        net = self.net
        for arc, amount in enumerate(net.flow):
            first, last = self.range(arc)
            net.flow[arc] = min(max(amount, first), last)
        left = net.excess()
        biggest = max(left)
        step = 1 if self.linear or biggest <= 0 else 1 << (biggest.bit_length() - 1)
        while step:
            self._correct(step, left)
            while self._augment(step, left):
                pass
            step //= 2
        if any(left):
            raise AssertionError("a flow that was possible before a pass must stay possible")
        for arc in range(len(net.ends)):
            net.low[arc], net.high[arc] = self.range(arc)

    def _up(self, arc: int, step: int) -> int:
        """Cost per unit of `step` more on an arc."""
        amount = self.net.flow[arc]
        return self.square[arc] * (2 * amount + step) + (self.extra[arc] if amount >= self.free[arc] else 0)

    def _down(self, arc: int, step: int) -> int:
        """Cost per unit of `step` less on an arc."""
        amount = self.net.flow[arc]
        return self.square[arc] * (step - 2 * amount) - (self.extra[arc] if amount > self.free[arc] else 0)

    def _correct(self, step: int, left: list[int]) -> None:
        """After the step was halved, move the arcs by one step that gain from it at the present prices."""
        if self.linear:
            return
        net, price = self.net, self.price
        for arc, (tail, head) in enumerate(net.ends):
            gain = price[tail] - price[head]
            if net.high[arc] - net.flow[arc] >= step and self._up(arc, step) < gain:
                change = step
            elif net.flow[arc] - net.low[arc] >= step and self._down(arc, step) < -gain:
                change = -step
            else:
                continue
            net.flow[arc] += change
            left[tail] -= change
            left[head] += change

    def _augment(self, step: int, left: list[int]) -> bool:
        """Send one step along a cheapest path from a node with too much to one with too little; False if none."""
        starts = [node for node, amount in enumerate(left) if amount >= step]
        if not starts or min(left) > -step:
            return False
        path = self._cheapest_path(starts, step, left)
        if not path:
            return False
        first, last = _start(self.net.ends, path[0]), _stop(self.net.ends, path[-1])
        amount = step
        if self.linear:
            amount = min(left[first], -left[last], *(self._room(arc) for arc in path))
        self.net.push(path, amount)
        left[first] -= amount
        left[last] += amount
        return True

    def _room(self, step: int) -> int:
        """What can go along a step at one and the same cost per unit."""
        room = self.net.room(step)
        amount, free = self.net.flow[max(step, ~step)], self.free[max(step, ~step)]
        if step >= 0 and amount < free:
            return min(room, free - amount)
        if step < 0 and amount > free:
            return min(room, amount - free)
        return room

    def _cheapest_path(self, starts: Sequence[int], step: int, left: Sequence[int]) -> list[int]:
        """Dijkstra over costs reduced by the prices; the prices follow, so that they stay free of gains."""
        net, price = self.net, self.price
        low, high, flow, ends = net.low, net.high, net.flow, net.ends
        distance = dict.fromkeys(starts, 0)
        came: dict[int, int | None] = dict.fromkeys(starts)
        done: dict[int, int] = {}
        queue = [(0, node) for node in starts]
        while queue:
            far, node = heapq.heappop(queue)
            if node in done:
                continue
            done[node] = far
            if left[node] <= -step:
                for other, near in done.items():
                    price[other] += far - near
                return _steps(ends, came, node)
            base = far - price[node]
            for arc in net.leaving[node]:
                if high[arc] - flow[arc] >= step:
                    other = ends[arc][1]
                    cost = base + self._up(arc, step) + price[other]
                    if other not in distance or cost < distance[other]:
                        distance[other], came[other] = cost, arc
                        heapq.heappush(queue, (cost, other))
            for arc in net.entering[node]:
                if flow[arc] - low[arc] >= step:
                    other = ends[arc][0]
                    cost = base + self._down(arc, step) + price[other]
                    if other not in distance or cost < distance[other]:
                        distance[other], came[other] = cost, ~arc
                        heapq.heappush(queue, (cost, other))
        return []


def _start(ends: Sequence[tuple[int, int]], step: int) -> int:
    return ends[step][0] if step >= 0 else ends[~step][1]


def _stop(ends: Sequence[tuple[int, int]], step: int) -> int:
    return ends[step][1] if step >= 0 else ends[~step][0]


def _steps(ends: Sequence[tuple[int, int]], came: dict[int, int | None], node: int) -> list[int]:
    """Walk back to a start, and return the steps in the order of travel."""
    steps = []
    step = came[node]
    while step is not None:
        steps.append(step)
        step = came[_start(ends, step)]
    return steps[::-1]
