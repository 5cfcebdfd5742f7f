"""The laws of the draw (DESIGN §5) on generated pools: order-free, nested, local.

`DOIT_LAW_CASES` raises the number of cases of each law.
"""

from __future__ import annotations

import hashlib
import os
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from doit.errors import DoitError
from doit.mixtures.building.draw import draw, ordered
from doit.mixtures.planning import cells as cellular
from doit.mixtures.planning.plan import Axis, Plan, Request, Target, plan
from doit.mixtures.pools.curating import Means, curate

CASES = settings(max_examples=int(os.environ.get("DOIT_LAW_CASES", "100")), deadline=None)
LANGUAGES = ("zh-Hans", "zh-Hant", "en", "ja")
ABILITIES = ("math", "code", "ethics", None)

records = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(LANGUAGES), st.sampled_from(ABILITIES), st.sampled_from("ab")),
    min_size=5,
    max_size=120,
)
languages = st.sampled_from([{"zh": 2, "en": 1}, {"zh": 1, "zh-Hant": 1, "en": 2}, {"zh": 1, "*": 1}, {"*": 1}])
abilities = st.sampled_from([{"math": 1, "code": 1, "*": 1}, {"math": 3, "*": 1}, {"ethics": 1, "math": 1}, {"*": 1}])
sizes = st.integers(1, 30)
seeds = st.integers(0, 5)


def table(rows: list[tuple[int, str, Any, str]]) -> pl.DataFrame:
    """A slim table: a text has one language and ability wherever it stands, as real ones do."""
    said: dict[int, tuple[str, Any]] = {}
    for text, language, ability, _ in rows:
        said.setdefault(text, (language, ability))
    ids = [hashlib.blake2b(str(text).encode(), digest_size=16).hexdigest() for text, *_ in rows]
    return pl.DataFrame(
        {
            "id": ids,
            "language": [said[text][0] for text, *_ in rows],
            "ability": pl.Series([said[text][1] for text, *_ in rows], dtype=pl.String),
            "source": [source for *_, source in rows],
            "construction": "unknown",
            "license": "unknown",
            "number": pl.Series(range(len(rows)), dtype=pl.UInt32),
            "row": range(len(rows)),
            "part": 0,
            "max_epochs": pl.Series([1] * len(rows), dtype=pl.Int32),
        }
    )


def axes_of(**targets: dict[str, int]) -> tuple[Axis, ...]:
    return tuple(Axis(name, {v: Target(share=Fraction(s)) for v, s in of.items()}) for name, of in targets.items())


def mixture(slim: pl.DataFrame, axes: tuple[Axis, ...], size: int, seed: int) -> tuple[Plan, pl.DataFrame] | None:
    """The plan and the rows of a mixture, in order; None where the data do not allow it."""
    files = [SimpleNamespace(source="s", file=str(number)) for number in range(1 + slim["number"].max())]
    slim = curate(files, [], Means(lambda parts: slim, written=lambda rows, parts: rows["id"])).slim
    slim = slim.filter(pl.col("rule").is_null())
    placed, cells = cellular.assign(slim, axes)
    slim = slim.with_columns(placed)
    try:
        made = plan(Request(axes, size, "redistribute"), cellular.stock(slim, cells))
    except DoitError:
        return None
    inside = slim.filter(pl.col("cell") != cellular.NOWHERE)
    taken = {cells.index(cell.values): cell.taken for cell in made.cells if cell.taken}
    drawn = pl.concat([inside, draw(inside, taken, seed)], how="horizontal").filter(pl.col("epoch") > 0)
    return made, ordered(drawn, seed)


def ids_of(found: tuple[Plan, pl.DataFrame] | None) -> list[str] | None:
    return None if found is None else found[1]["id"].to_list()


@CASES
@given(rows=records, language=languages, ability=abilities, size=sizes, seed=seeds, shuffle=st.randoms())
def test_permuting_splitting_and_renaming_change_nothing(
    rows: list[Any], language: Any, ability: Any, size: int, seed: int, shuffle: Any
) -> None:
    axes = axes_of(language=language, ability=ability)
    slim = table(rows)
    order = list(range(slim.height))
    shuffle.shuffle(order)
    moved = slim[order].with_columns(number=pl.Series(range(slim.height), dtype=pl.UInt32), row=pl.lit(0))

    assert ids_of(mixture(slim, axes, size, seed)) == ids_of(mixture(moved, axes, size, seed))


@CASES
@given(rows=records, language=languages, ability=abilities, size=sizes, seed=seeds)
def test_a_duplicated_source_changes_nothing(
    rows: list[Any], language: Any, ability: Any, size: int, seed: int
) -> None:
    axes = axes_of(language=language, ability=ability)
    twice = [*rows, *[(text, language_, ability_, "z") for text, language_, ability_, _ in rows]]

    assert ids_of(mixture(table(rows), axes, size, seed)) == ids_of(mixture(table(twice), axes, size, seed))


@CASES
@given(rows=records, more=records, language=languages, size=sizes, seed=seeds)
def test_a_source_with_a_share_of_zero_changes_nothing(
    rows: list[Any], more: list[Any], language: Any, size: int, seed: int
) -> None:
    extra = [(text + 1000, language_, ability, "z") for text, language_, ability, _ in more]
    without = axes_of(language=language, source={"a": 1, "b": 1})
    with_zero = axes_of(language=language, source={"a": 1, "b": 1, "z": 0})

    one, other = mixture(table(rows), without, size, seed), mixture(table([*rows, *extra]), with_zero, size, seed)

    assert ids_of(one) == ids_of(other)


@CASES
@given(rows=records, ability=abilities, size=sizes, more=st.integers(0, 30), seed=seeds)
def test_on_one_axis_any_two_sizes_nest(rows: list[Any], ability: Any, size: int, more: int, seed: int) -> None:
    axes = axes_of(ability=ability)
    small, large = (mixture(table(rows), axes, n, seed) for n in (size, size + more))

    if small is not None and large is not None:
        assert set(ids_of(small) or []) <= set(ids_of(large) or [])


@CASES
@given(rows=records, language=languages, ability=abilities, size=sizes, seed=seeds, raised=st.integers(2, 5))
def test_a_cell_whose_count_stays_keeps_its_records(
    rows: list[Any], language: Any, ability: Any, size: int, seed: int, raised: int
) -> None:
    first = next(iter(ability))
    before = mixture(table(rows), axes_of(language=language, ability=ability), size, seed)
    after = mixture(table(rows), axes_of(language=language, ability={**ability, first: raised * 3}), size, seed)
    if before is None or after is None:
        return

    for cell in {cell.values for cell in before[0].cells}:
        counts = [next((c.taken for c in made.cells if c.values == cell), 0) for made, _ in (before, after)]
        drawn = [rows_of(found, cell) for found in (before, after)]
        small, large = sorted(drawn, key=len)
        assert small <= large, "a cell's draw for n lies in its draw for any larger n"
        if counts[0] == counts[1]:
            assert drawn[0] == drawn[1]


def rows_of(found: tuple[Plan, pl.DataFrame], cell: tuple[str, ...]) -> set[str]:
    made, rows = found
    axes = axes_of(language={c.values[0]: 1 for c in made.cells}, ability={c.values[1]: 1 for c in made.cells})
    placed, cells = cellular.assign(rows, axes)
    return set() if cell not in cells else set(rows.filter(placed == cells.index(cell))["id"])
