"""Laws of the planner on generated tables, and its answers beside those of trying every table.

`DOIT_PLAN_CASES` raises the number of tables per number of axes (200 unless told).
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest

from doit.errors import DoitError, ShortStock, SpecError
from doit.mixtures.planning.plan import Axis, Plan, Request, Stock, Target, plan
from tests.mixtures.brute_force import best, unlimited_share_cost

CASES = int(os.environ.get("DOIT_PLAN_CASES", "200"))
NAMES = ("language", "ability", "construction")
SIZES = {1: 12, 2: 8, 3: 6}
WIDEST = {1: 5, 2: 3, 3: 2}


def a_target(rng: random.Random) -> Target:
    """Mostly shares, often equal, for equal shares tie all the time."""
    kind = rng.random()
    if kind < 0.8:
        return Target(share=Fraction(rng.choice([0, 1, 1, 1, 1, 2, 3]) if rng.random() < 0.7 else rng.randint(1, 10)))
    return Target(records=rng.randint(0, 3)) if kind < 0.92 else Target(all=True)


def a_table(rng: random.Random, number: int) -> tuple[Request, Stock]:
    """A request for a few records of a few values, with too little and with enough for it."""
    axes = tuple(
        Axis(
            name,
            {
                value: a_target(rng)
                for value in rng.sample(["*", "a", "b", "c", "d", "e"], rng.randint(1, WIDEST[number]))
            },
        )
        for name in NAMES[:number]
    )
    size = rng.randint(1, SIZES[number])
    cells = list(itertools.product(*(axis.targets for axis in axes)))
    stock: dict[tuple[str, ...], list[int]] = {}
    for cell in cells:
        if rng.random() < 0.85:
            stock[cell] = [rng.randint(0, 2 * size // len(cells) + 2 if rng.random() < 0.7 else size)]
            while rng.random() < 0.4:
                stock[cell].append(rng.randint(0, stock[cell][-1]))
    return Request(axes, size, rng.choice(["redistribute", "redistribute", "error", "repeat"])), stock


def tables(number: int, purpose: str, cases: int = CASES) -> Iterator[tuple[Request, Stock]]:
    """Seeded tables, so that a failure can be run again."""
    for case in range(cases):
        yield a_table(random.Random(f"{purpose}/{number}/{case}"), number)


def planned(request: Request, stock: Stock) -> Plan | None:
    try:
        return plan(request, stock)
    except DoitError:
        return None


def filled(made: Plan) -> dict[tuple[str, ...], int]:
    return {cell.values: cell.taken for cell in made.cells if cell.taken}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_plan_is_the_one_that_trying_every_table_finds(number: int) -> None:
    compared = 0
    for request, stock in tables(number, "best"):
        axes = [(axis.name, dict(axis.targets)) for axis in request.axes]
        try:
            made = plan(request, stock)
        except ShortStock:
            found = best(axes, stock, request.size, repeat=request.shortage == "repeat")
            refused = found is None or (
                request.shortage != "redistribute"
                and (found.missing > 0 or found.share_cost != unlimited_share_cost(axes, stock, request.size))
            )
            assert refused, (request, stock)
            continue
        except SpecError:
            continue
        found = best(axes, stock, request.size, repeat=request.shortage == "repeat")
        assert found is not None
        assert filled(made) == {cell: count for cell, count in found.counts.items() if count}, (request, stock)
        assert (made.D or 0, made.E) == (found.share_cost, found.cell_cost), (request, stock)
        assert made.holds == (not found.missing and found.share_cost == unlimited_share_cost(axes, stock, request.size))
        assert made.proven
        compared += 1
    assert compared > CASES // 6, "too few of the tables could be planned at all"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_wanted_is_the_plan_of_unlimited_data(number: int) -> None:
    for request, stock in tables(number, "wanted", CASES // 3):
        if any(target.all for axis in request.axes for target in axis.targets.values()):
            continue
        made = planned(request, stock)
        plenty = (
            {cell: [made.size] for cell in itertools.product(*(axis.targets for axis in request.axes))} if made else {}
        )
        if made:
            unlimited = plan(replace(request, size=made.size, shortage="error"), plenty)
            wanted = {cell.values: cell.wanted for cell in made.cells if cell.wanted}
            assert wanted == filled(unlimited), (request, stock)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_totals_and_margins_are_exact_and_no_cell_gives_more_than_it_has(number: int) -> None:
    for request, stock in tables(number, "exact"):
        made = planned(request, stock)
        if made is None:
            continue
        assert sum(cell.taken for cell in made.cells) == sum(cell.wanted for cell in made.cells) == made.size
        epochs = len if request.shortage == "repeat" else (lambda counts: min(1, len(counts)))
        for cell in made.cells:
            counts = stock.get(cell.values, [0])
            assert cell.available == (counts[0] if counts else 0)
            assert cell.taken <= sum(counts[: cell.epochs])
            assert cell.epochs == 0 or cell.taken > sum(counts[: cell.epochs - 1])
            assert cell.epochs <= epochs(counts)
        for margin in made.margins:
            place = [axis.name for axis in request.axes].index(margin.axis)
            rows = [cell for cell in made.cells if cell.values[place] == margin.value]
            assert (margin.wanted, margin.taken) == (sum(c.wanted for c in rows), sum(c.taken for c in rows))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_targets_that_some_table_meets_are_met(number: int) -> None:
    for case in range(CASES):
        rng = random.Random(f"met/{number}/{case}")
        cells = list(itertools.product(*(["a", "b", "c"][: rng.randint(1, 3)] for _ in range(number))))
        inside = {cell: rng.randint(0, 40) for cell in cells}
        size = sum(inside.values())
        if size == 0:
            continue
        axes = []
        for place, name in enumerate(NAMES[:number]):
            sums = {
                value: sum(n for cell, n in inside.items() if cell[place] == value)
                for value in {cell[place] for cell in cells}
            }
            axes.append(Axis(name, {value: Target(share=Fraction(count, 7)) for value, count in sums.items()}))
        stock = {cell: [count + rng.choice([0, 0, rng.randint(0, 9)])] for cell, count in inside.items()}

        made = plan(Request(tuple(axes), size, "error"), stock)

        assert made.holds
        for margin in made.margins:
            axis = next(axis for axis in axes if axis.name == margin.axis)
            assert margin.taken == axis.targets[margin.value].share * 7, (axes, stock)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_order_of_the_input_changes_nothing(number: int) -> None:
    for case, (request, stock) in enumerate(tables(number, "order", CASES // 3)):
        rng = random.Random(case)
        axes = tuple(
            replace(axis, targets=dict(rng.sample(list(axis.targets.items()), len(axis.targets))))
            for axis in request.axes
        )

        again = planned(replace(request, axes=axes), dict(rng.sample(list(stock.items()), len(stock))))

        assert again == planned(request, stock)


@pytest.mark.parametrize("number", [1, 2])
def test_margins_never_fall_as_the_size_grows(number: int) -> None:
    for request, stock in tables(number, "growth", CASES // 3):
        before: dict[tuple[str, str], int] = {}
        for size in range(1, 2 * SIZES[number]):
            made = planned(replace(request, size=size, shortage="redistribute"), stock)
            if made is None:
                continue
            after = {(margin.axis, margin.value): margin.taken for margin in made.margins}
            assert all(after[value] >= count for value, count in before.items()), (request, stock, size)
            before = after


@pytest.mark.parametrize("number", [1, 2, 3])
def test_more_epochs_never_fill_less_nor_worse(number: int) -> None:
    for request, stock in tables(number, "epochs", CASES // 3):
        cost: Fraction | None = None
        for epochs in range(1, 4):
            fewer = {cell: counts[:epochs] for cell, counts in stock.items()}
            made = planned(replace(request, shortage="repeat"), fewer)
            assert made is not None or cost is None, (request, stock)
            if made is not None:
                assert cost is None or (made.D or Fraction(0)) <= cost
                cost = made.D or Fraction(0)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_size_between_the_shrunk_and_the_carried_one_holds(number: int) -> None:
    for request, stock in tables(number, "shrink", CASES // 3):
        made = planned(replace(request, shortage="shrink"), stock)
        if made is None or made.size == request.size:
            continue
        assert planned(replace(request, size=made.size, shortage="error"), stock) is not None
        for size in range(made.size + 1, request.size):
            larger = planned(replace(request, size=size, shortage="error"), stock)
            if larger is not None:
                assert beyond_quota(replace(request, size=size), stock), (request, stock, made.size, size)


def beyond_quota(request: Request, stock: Stock) -> bool:
    """Whether some value's quota is more than there is, so that only its rounding holds."""
    wanted = [{v for v, t in axis.targets.items() if t.share or t.records or t.all} for axis in request.axes]
    reachable = {
        cell: counts for cell, counts in stock.items() if all(v in w for v, w in zip(cell, wanted, strict=True))
    }
    for place, axis in enumerate(request.axes):
        has = {v: sum(counts[0] for cell, counts in reachable.items() if cell[place] == v) for v in axis.targets}
        left = request.size - sum(has[v] if t.all else t.records or 0 for v, t in axis.targets.items())
        total = sum(t.share for t in axis.targets.values() if t.share)
        if any(t.share and t.share / total * left > has[v] for v, t in axis.targets.items()):
            return True
    return False
