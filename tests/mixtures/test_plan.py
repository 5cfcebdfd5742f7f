"""The planner's known answers: real recipes, edge cases, and every error that names the way out."""

from __future__ import annotations

import pickle
import subprocess
import sys
from fractions import Fraction

import pytest

from doit.errors import ShortStock, SpecError
from doit.mixtures.planning.plan import Axis, Plan, Request, Shortage, Stock, Target, plan

TRAIN = {  # records per ability in DoIT's curated set: the paper's sizes less 100 for validation and 100 for test
    "biology": 1042,
    "history": 1893,
    "code": 4968,
    "chinese": 1450,
    "understanding": 4885,
    "reasoning": 12751,
    "math": 11501,
    "ethics": 1000,
    "role_play": 1000,
    "creative_writing": 1000,
}
FLOORS = {"ethics": 64, "role_play": 64, "creative_writing": 1000}


def shares(**parts: str | int) -> dict[str, Target]:
    return {("*" if value == "rest" else value): Target(share=Fraction(part)) for value, part in parts.items()}


def counts(**parts: int) -> dict[str, Target]:
    return {value: Target(records=count) for value, count in parts.items()}


def one_axis(
    targets: dict[str, Target],
    stock: dict[str, int],
    size: int | None,
    shortage: Shortage = "error",
    name: str = "ability",
) -> Plan:
    return plan(Request((Axis(name, targets),), size, shortage), {(value,): [count] for value, count in stock.items()})


def taken(made: Plan) -> dict[str, int]:
    return {"/".join(cell.values): cell.taken for cell in made.cells}


def test_shares_of_plenty_are_exact() -> None:
    made = one_axis(shares(a="0.7", b="0.2", c="0.1"), {"a": 99, "b": 99, "c": 99}, 10)

    assert taken(made) == {"a": 7, "b": 2, "c": 1}
    assert (made.D, made.E, made.holds, made.proven, made.short) == (100, 10, True, True, ())


def test_reconstruct_gives_the_missing_biology_to_the_other_six() -> None:
    targets = {value: Target(share=Fraction(1)) for value in TRAIN} | counts(**FLOORS)

    made = one_axis(targets, TRAIN | {"biology": 1041}, 10_000, "redistribute")

    got = taken(made)
    assert {value: got[value] for value in FLOORS} == FLOORS
    assert got["biology"] == 1041
    assert sorted(got[value] for value in TRAIN if value not in FLOORS) == [1041, 1305, 1305, 1305, 1305, 1305, 1306]
    assert got["chinese"] == 1306, "the tie goes to the first name"
    assert made.size == sum(got.values()) == 10_000
    assert [(margin.value, margin.wanted, margin.available) for margin in made.short] == [("biology", 1268, 1041)]
    assert not made.holds


def test_baseline_is_a_tenth_of_each() -> None:
    made = one_axis({value: Target(share=Fraction(1)) for value in TRAIN}, dict.fromkeys(TRAIN, 1000), 10_000)

    assert set(taken(made).values()) == {1000}


def test_maximum_takes_everything_beside_the_floors() -> None:
    rest = sum(count for value, count in TRAIN.items() if value not in FLOORS)
    targets = counts(**FLOORS) | {"*": Target(all=True)}

    made = one_axis(targets, {value: TRAIN[value] for value in FLOORS} | {"*": rest}, None)

    assert made.size == 39_618
    assert taken(made) == FLOORS | {"*": rest}
    assert made.holds


def test_mix_2560_is_the_most_that_two_axes_let_through() -> None:
    ability = counts(**FLOORS) | {"*": Target(all=True)}
    source = {"full": Target(all=True), "synthetic": Target(records=2560)}
    rest = sum(count for value, count in TRAIN.items() if value not in FLOORS)
    stock: Stock = {(value, "full"): [TRAIN[value]] for value in FLOORS} | {
        ("*", "full"): [rest],
        ("*", "synthetic"): [40_960],
    }

    made = plan(Request((Axis("ability", ability), Axis("source", source)), None, "error"), stock)

    assert made.size == 39_618 + 2_560
    assert taken(made) == {f"{value}/full": count for value, count in FLOORS.items()} | {
        "*/full": rest,
        "*/synthetic": 2560,
        **{f"{value}/synthetic": 0 for value in FLOORS},
    }
    assert made.holds


def test_a_short_source_shrinks_the_mixture_or_gives_its_part_away() -> None:
    asked, stock = shares(a="0.4", b="0.4", c="0.2"), {"a": 50_000, "b": 5_000, "c": 500}

    smaller = one_axis(asked, stock, 10_000, "shrink", name="source")
    shifted = one_axis(asked, stock, 10_000, "redistribute", name="source")

    assert (smaller.size, taken(smaller), smaller.holds) == (2_500, {"a": 1000, "b": 1000, "c": 500}, True)
    assert taken(shifted) == {"a": 4750, "b": 4750, "c": 500}
    assert not shifted.holds
    for made in (smaller, shifted):
        assert [(margin.value, margin.wanted, margin.available) for margin in made.short] == [("c", 2000, 500)]
        assert made.largest == 2_500


def test_all_with_shares_is_the_largest_size_at_which_they_hold() -> None:
    made = one_axis(shares(a="0.4", b="0.4", c="0.2"), {"a": 50_000, "b": 5_000, "c": 500}, None)

    assert made.size == 2_500


def test_no_axes_are_one_cell() -> None:
    made = plan(Request((), 10, "error"), {(): [12]})

    assert (taken(made), made.margins, made.D) == ({"": 10}, (), None)
    assert plan(Request((), None, "error"), {(): [12]}).size == 12
    with pytest.raises(ShortStock, match=r"D402 .*12"):
        plan(Request((), 13, "redistribute"), {(): [12]})


def test_two_axes_hold_together_and_stay_as_independent_as_the_data_allows() -> None:
    axes = (Axis("language", shares(zh="0.7", en="0.3")), Axis("ability", shares(math="0.4", rest="0.6")))
    stock: Stock = {("zh", "math"): [100], ("en", "math"): [1000], ("zh", "*"): [1000], ("en", "*"): [1000]}

    made = plan(Request(axes, 1000, "error"), stock)

    assert taken(made) == {"en/*": 0, "en/math": 300, "zh/*": 600, "zh/math": 100}
    assert [(cell.values, cell.wanted) for cell in made.cells] == [
        (("en", "*"), 180),
        (("en", "math"), 120),
        (("zh", "*"), 420),
        (("zh", "math"), 280),
    ]
    assert [(margin.value, margin.wanted, margin.available, margin.taken) for margin in made.margins] == [
        ("en", 300, 2000, 300),
        ("zh", 700, 1100, 700),
        ("*", 600, 2000, 600),
        ("math", 400, 1100, 400),
    ]
    assert made.holds


def test_ties_go_to_the_first_names_whatever_the_order_of_the_spec() -> None:
    names = ["d", "b", "a", "c"]

    made = one_axis({name: Target(share=Fraction(1)) for name in names}, dict.fromkeys(names, 9), 6)

    assert list(taken(made).items()) == [("a", 2), ("b", 2), ("c", 1), ("d", 1)]


def test_repeat_uses_later_epochs_and_no_more_copies_than_needed() -> None:
    request = Request((Axis("ability", shares(a=1, b=1)),), 20, "repeat")

    made = plan(request, {("a",): [4, 4, 4], ("b",): [30, 30]})

    assert [(cell.taken, cell.epochs) for cell in made.cells] == [(10, 3), (10, 1)]
    with pytest.raises(ShortStock, match=r"a wants 10 and has 4"):
        plan(request, {("a",): [4, 4, 1], ("b",): [30, 30]})


def test_only_repeat_looks_beyond_the_first_epoch() -> None:
    request = Request((Axis("ability", shares(a=1, b=1)),), 20, "redistribute")

    made = plan(request, {("a",): [4, 4, 4], ("b",): [30, 30]})

    assert taken(made) == {"a": 4, "b": 16}


def test_all_is_taken_once_even_where_records_may_repeat() -> None:
    targets = {"a": Target(all=True), "b": Target(share=Fraction(1))}

    made = plan(Request((Axis("ability", targets),), 20, "repeat"), {("a",): [4, 4], ("b",): [9, 9]})

    assert taken(made) == {"a": 4, "b": 16}


@pytest.mark.parametrize("shortage", ["error", "redistribute", "shrink", "repeat"])
def test_an_empty_source_with_no_share_is_safe(shortage: Shortage) -> None:
    made = one_axis(shares(a="0.5", b="0.5", c=0), {"a": 9, "b": 9, "c": 9}, 10, shortage)

    assert taken(made) == {"a": 5, "b": 5, "c": 0}
    assert made.holds


def test_an_empty_source_with_a_share_gives_its_part_to_the_others() -> None:
    made = one_axis(shares(a=1, b=1, c=2), {"a": 9, "b": 9}, 10, "redistribute")

    assert taken(made) == {"a": 5, "b": 5, "c": 0}


def test_fixed_counts_that_are_short_are_filled_by_shares_only() -> None:
    targets = shares(a=1, b=1) | counts(c=6, d=2)

    made = one_axis(targets, {"a": 50, "b": 50, "c": 2, "d": 50}, 20, "redistribute")

    assert taken(made) == {"a": 8, "b": 8, "c": 2, "d": 2}
    assert [margin.value for margin in made.short] == ["c"]


def test_everything_is_counted_only_where_the_other_axis_wants_it() -> None:
    axes = (
        Axis("language", shares(zh=1, fr=0)),
        Axis("ability", {"math": Target(all=True), "*": Target(share=Fraction(1))}),
    )

    made = plan(Request(axes, 10, "error"), {("zh", "math"): [4], ("fr", "math"): [3], ("zh", "*"): [9]})

    assert taken(made) == {"fr/math": 0, "zh/*": 6, "zh/math": 4}


def test_ceilings_bound_a_smaller_size_of_a_series() -> None:
    request = Request((Axis("ability", shares(a=1, b=1)),), 6, "redistribute", ceilings={("a",): 2, ("b",): 8})

    made = plan(request, {("a",): [9], ("b",): [9]})

    assert taken(made) == {"a": 2, "b": 4}


def test_shrink_skips_sizes_whose_rounding_does_not_fit() -> None:
    axes = (Axis("language", shares(x=1, y=1)), Axis("ability", shares(a=1, b=1)))

    made = plan(Request(axes, 9, "shrink"), {("x", "a"): [2], ("y", "b"): [2], ("x", "b"): [0], ("y", "a"): [0]})

    assert (made.size, made.holds) == (4, True)
    assert taken(made) == {"x/a": 2, "x/b": 0, "y/a": 0, "y/b": 2}


def test_a_plan_survives_a_worker_process() -> None:
    made = one_axis(shares(a=1, b=1), {"a": 9, "b": 9}, 6)

    assert pickle.loads(pickle.dumps(made)) == made


REFUSED = {
    "counts beside another size": (
        counts(a=3, b=4),
        {"a": 9, "b": 9},
        10,
        "D207",
        ["ability", "a (3)", "b (4)", "7", "10"],
    ),
    "counts above the size": (
        counts(a=30) | shares(b=1),
        {"a": 99, "b": 9},
        10,
        "D207",
        ["a (30)", "10", "b", "above 30"],
    ),
    "all above the size": (
        {"a": Target(all=True), "b": Target(share=Fraction(1))},
        {"a": 99, "b": 9},
        10,
        "D207",
        ["a (all 99)", "10", "above 99"],
    ),
    "all below the size": (
        {"a": Target(all=True), "b": Target(records=2)},
        {"a": 5, "b": 9},
        10,
        "D402",
        ["a (all 5)", "size: 7"],
    ),
    "two kinds of target": (
        {"a": Target(share=Fraction(1), records=3)},
        {"a": 5},
        3,
        "D204",
        ["ability.a", "exactly one"],
    ),
    "a negative share": (shares(a=-1, b=2), {"a": 5, "b": 5}, 3, "D204", ["ability.a", "negative"]),
    "no records": (shares(a=1), {"a": 5}, 0, "D204", ["size"]),
    "short": (shares(a=1, b=1), {"a": 3, "b": 50}, 10, "D401", ["a wants 5 and has 3", "is 6"]),
    "short count": (counts(a=6) | shares(b=1), {"a": 3, "b": 50}, 10, "D401", ["a wants 6 and has 3", "No size fits"]),
    "too little altogether": (
        shares(a=1, b=1),
        {"a": 3, "b": 4},
        10,
        "D402",
        ["a wants 5 and has 3", "b wants 5 and has 4"],
    ),
    "nothing for a share": (shares(a=1, b=1, c=1), {"a": 50}, 10, "D403", ["b, c", "nothing is available"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_axis_the_values_the_numbers_and_a_way_out(case: str) -> None:
    targets, stock, size, code, words = REFUSED[case]

    with pytest.raises((SpecError, ShortStock)) as caught:
        one_axis(targets, stock, size)

    assert caught.value.code == code
    assert [word for word in words if word not in str(caught.value)] == []
    assert len(str(caught.value)) <= 360
    assert caught.value.hint


def test_counts_that_fix_two_sizes_contradict_each_other() -> None:
    axes = (Axis("language", counts(zh=5)), Axis("ability", counts(math=6)))

    with pytest.raises(SpecError, match=r"D207 mix\.ability: .*6 records.* language .*5"):
        plan(Request(axes, None, "error"), {("zh", "math"): [9]})


def test_a_size_that_cannot_be_filled_names_the_one_that_can() -> None:
    with pytest.raises(ShortStock, match=r"D402 size: 10 records .* at most 7"):
        one_axis(shares(a=1, b=1), {"a": 3, "b": 4}, 10, "redistribute")


def test_shrink_refuses_a_share_of_which_nothing_is_available() -> None:
    with pytest.raises(ShortStock, match="D403"):
        one_axis(shares(a=1, b=1), {"a": 50}, 10, "shrink")


def test_shrink_does_not_shrink_counts() -> None:
    with pytest.raises(ShortStock, match=r"D401 .*a wants 6 and has 3"):
        one_axis(counts(a=6) | shares(b=1), {"a": 3, "b": 50}, 10, "shrink")


def test_a_table_that_is_short_only_as_a_whole_says_so() -> None:
    axes = (Axis("language", shares(x=1, y=1)), Axis("ability", shares(a=1, b=3)))

    with pytest.raises(ShortStock, match=r"beside the other targets"):
        plan(Request(axes, 16, "error"), {("x", "a"): [99], ("y", "a"): [99], ("x", "b"): [99], ("y", "b"): [1]})


@pytest.mark.parametrize("stock", [{("a",): [1, 2]}, {("a",): [-1]}, {("a", "b"): [1]}])
def test_stock_that_makes_no_sense_is_refused(stock: Stock) -> None:
    with pytest.raises(ValueError, match="stock"):
        plan(Request((Axis("ability", shares(a=1)),), 1, "error"), stock)


def test_one_and_two_axes_do_not_import_scipy() -> None:
    code = (
        "import sys; from fractions import Fraction as F; from doit.mixtures.planning.plan import *;"
        "axes = Axis('a', {'x': Target(share=F(1))}), Axis('b', {'y': Target(share=F(1))});"
        "plan(Request(axes, 2, 'error'), {('x', 'y'): [3]});"
        "sys.exit('scipy' in sys.modules or 'numpy' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
