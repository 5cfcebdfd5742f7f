"""Tables of three axes that are large, skewed or awkward in their numbers."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from doit.mixtures.planning.corner import Corner
from doit.mixtures.planning.grid import Floats, Grid, Whole
from doit.mixtures.planning.interior import Columns, centre
from doit.mixtures.planning.lagrange import Programme
from doit.mixtures.planning.plan import Axis, Plan, Request, Stock, Target, plan
from doit.mixtures.planning.quotas import AxisQuotas, Problem

NAMES = ("language", "ability", "source")


def axes(*shares: list[str]) -> tuple[Axis, ...]:
    return tuple(
        Axis(name, {f"{name[0]}{i}": Target(share=Fraction(share)) for i, share in enumerate(mine)})
        for name, mine in zip(NAMES, shares, strict=True)
    )


def stock_of(asked: tuple[Axis, ...], seed: int) -> Stock:
    chance = random.Random(seed)
    cells = itertools.product(*(axis.targets for axis in asked))
    return {cell: [int(chance.lognormvariate(3, 1))] for cell in cells if chance.random() < 0.7}


def evenness(made: Plan, asked: tuple[Axis, ...], counts: dict[tuple[str, ...], int]) -> Fraction:
    parts = [
        {
            value: target.share / sum(t.share or 0 for t in axis.targets.values())
            for value, target in axis.targets.items()
        }
        for axis in asked
    ]
    return sum(
        (
            Fraction(count * count) / (made.size * parts[0][cell[0]] * parts[1][cell[1]] * parts[2][cell[2]])
            for cell, count in counts.items()
        ),
        Fraction(0),
    )


def test_shares_with_many_decimals_are_planned() -> None:
    chance = random.Random(3)
    asked = axes(*([f"0.{chance.randint(1, 10**6):06d}1" for _ in range(n)] for n in (6, 8, 30)))

    made = plan(Request(asked, 2_000, "redistribute"), stock_of(asked, 3))

    assert made.proven
    assert sum(cell.taken for cell in made.cells) == made.size == 2_000


def test_dear_cells_do_not_hide_small_differences_between_the_others() -> None:
    asked = axes(["13", "8", "5", "22", "73", "60", "6", "60"], ["35", "0.6"], ["79", "35", "47", "30", "13", "1"])
    plenty: Stock = {cell: [3] for cell in itertools.product(*(axis.targets for axis in asked))}

    made = plan(Request(asked, 3, "error"), plenty)

    taken = {cell.values: cell.taken for cell in made.cells if cell.taken}
    best = evenness(made, asked, taken)
    assert best == made.E
    for one, other in itertools.combinations(
        taken, 2
    ):  # no two records can change a value and make the table more even
        for place in range(3):
            left, right = list(one), list(other)
            left[place], right[place] = other[place], one[place]
            moved = dict(taken)
            for cell, step in ((one, -1), (other, -1), (tuple(left), 1), (tuple(right), 1)):
                moved[cell] = moved.get(cell, 0) + step
            assert evenness(made, asked, moved) >= best


def test_equal_shares_that_hold_need_no_solver() -> None:
    code = (
        "import sys; from tests.mixtures.test_plan_three_axes import *;"
        "asked = axes(['1'] * 3, ['1'] * 4, ['1'] * 6);"
        "made = plan(Request(asked, 200, 'error'), {cell: [20] for cell in stock_of(asked, 1)});"
        "sys.exit('scipy' in sys.modules or not made.proven)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def a_grid() -> Grid:
    half = Fraction(1, 2)
    two = [AxisQuotas(name, ("a", "b"), (half, half), (None, None), (False, False)) for name in NAMES]
    cells = tuple(itertools.product(range(2), repeat=3))
    return Grid.of(Problem(4, tuple(two), cells, (2,) * 8, (2,) * 8))


def columns_of(width: list[float], curve: float) -> Columns:
    count = len(width)
    nothing = np.zeros(count)
    return Columns(np.arange(count), np.array(width), nothing + curve, nothing, np.zeros((0, count)), np.zeros(0))


def test_the_centre_of_equal_squares_is_even_and_there_is_none_without_room() -> None:
    grid, right = a_grid(), np.array([-2.0] * 6 + [0.0])

    found = centre(grid, columns_of([2.0] * 8, 2.0), right * -1)
    none = centre(grid, columns_of([0.2] * 8, 2.0), right * -1)

    assert found is not None
    assert np.abs(found.used - 0.5).max() < 1e-6
    assert none is None


def test_the_largest_corner_takes_the_first_cells_first() -> None:
    grid, right = a_grid(), np.array([2.0] * 6 + [0.0])

    walk = Corner(grid, columns_of([2.0] * 8, 0.0), right, np.full(8, 0.5))
    for cell in range(8):
        walk.largest([cell])

    assert walk.value[:8].round(6).tolist() == [2, 0, 0, 0, 0, 0, 0, 2]


def falling(length: int) -> list[str]:
    return [f"1/{i + 1}" for i in range(length)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each whole programme leaves open."""
    from doit.mixtures.planning.highs import Model  # scipy, which another test must not find imported

    found: list[int] = []
    whole = Model.whole

    def counted(model: Model, goal: Floats, low: Whole, high: Whole, **options: Any) -> Any:
        found.append(len(goal))
        return whole(model, goal, low, high, **options)

    monkeypatch.setattr(Model, "whole", counted)
    return found


def test_prices_at_skewed_shares_leave_the_solver_little(opened: list[int]) -> None:
    asked = axes(falling(10), falling(12), falling(60))
    plenty: Stock = {cell: [10_000] for cell in itertools.product(*(axis.targets for axis in asked))}

    made = plan(Request(asked, 10_000, "redistribute"), plenty)

    assert made.proven
    assert made.holds
    assert sum(opened) < 2_000  # about 96,000 for each plan if prices are taken before they have settled


def test_a_limit_does_not_make_prices_worse(opened: list[int]) -> None:
    asked, chance = axes(falling(5), falling(8), falling(20)), random.Random(2)
    cells = itertools.product(*(axis.targets for axis in asked))
    stock: Stock = {cell: [int(chance.lognormvariate(2, 1.2)) + 1] for cell in cells if chance.random() < 0.3}

    made = plan(Request(asked, 1_108, "redistribute"), stock)

    assert made.proven
    assert (made.holds, made.largest) == (False, 41)
    assert sum(opened) < 6_000  # 10,874 if the last prices are taken where others show more


def test_most_sizes_that_do_not_hold_are_known_from_a_larger_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    met = Programme.met

    def counted(programme: Programme) -> bool:
        tried.append(programme.problem.size)
        return met(programme)

    monkeypatch.setattr(Programme, "met", counted)
    asked = axes(falling(4), falling(6), falling(12))
    stock = stock_of(asked, 0)

    made = plan(Request(asked, sum(count for (count,) in stock.values()) // 3, "redistribute"), stock)

    assert made.largest == 1_566
    assert len(tried) < 5  # of the 18 sizes from the largest one for tables of fractions
