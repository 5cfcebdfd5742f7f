"""What decides on millions of records at once says the same as what asks for each; the ledger is written piecewise."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doit.mixtures.building import ledger as ledgers
from doit.mixtures.building import stocking
from doit.mixtures.building.draw import draw
from doit.mixtures.building.ledger import count, ledger, write_ledger
from doit.mixtures.planning import cells as cellular
from doit.mixtures.planning.plan import Axis, Target
from doit.mixtures.pools.identical import copies
from doit.table import LEDGER, REJECTS

LANGUAGES = ("en", "ja", "zh-Hans", "zh-Hant")
ABILITIES = ("code", "math")


def axis(name: str, values: list[str]) -> Axis:
    return Axis(name, {value: Target(share=Fraction(1)) for value in values})


@given(
    rows=st.lists(st.tuples(st.sampled_from(LANGUAGES), st.sampled_from((*ABILITIES, None))), min_size=1),
    languages=st.lists(st.sampled_from(["zh", "zh-Hant", "en", "*", "ko"]), min_size=1, unique=True),
    abilities=st.lists(st.sampled_from([*ABILITIES, "*"]), unique=True),
    most=st.sampled_from([0, 1 << 20]),
)
def test_a_cell_is_the_same_whether_asked_for_a_record_or_a_kind(
    rows: list[Any], languages: list[str], abilities: list[str], most: int
) -> None:
    axes = [axis("language", languages), *([axis("ability", abilities)] if abilities else [])]
    kinds = {"language": pl.Enum(LANGUAGES), "ability": pl.Enum(ABILITIES)}
    slim = pl.DataFrame(rows, schema=kinds, orient="row")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stocking, "MOST_KINDS", most)
        cell, cells = stocking._placed(slim, axes)
    wanted, named = cellular.assign(slim.cast(pl.String), axes)

    assert cell.to_list() == wanted.to_list()
    assert cells == named


@given(st.lists(st.integers(0, 3).map(lambda n: (n % 2) << 64 | n // 2), max_size=12))
def test_only_equal_ids_are_copies(ids: list[int]) -> None:
    """Ids that share one half are not."""
    schema = {"id": pl.UInt128, "source": pl.String, "number": pl.UInt32, "row": pl.Int64, "at": pl.UInt32}
    slim = pl.DataFrame([(one, "s", 0, at, at) for at, one in enumerate(ids)], schema=schema, orient="row")
    same = {"ability": None, "construction": "human", "license": "MIT", "part": 0}
    slim = slim.with_columns(pl.lit(value).alias(name) for name, value in same.items())
    part: Any = type("Part", (), {"source": "s", "file": "f"})()

    found = copies(slim, [part], lambda rows, parts: rows["id"].cast(pl.String))

    first = {one: ids.index(one) for one in ids}
    assert dict(found.sort("at").select("at", "value").rows()) == {
        at: f"s f:{first[one]}" for at, one in enumerate(ids) if at != first[one]
    }


def slim_of(height: int) -> pl.DataFrame:
    """A slim table that has been drawn from: every third record is in, every fifth is dropped."""
    at = pl.int_range(pl.len())
    fate = (
        pl.when(at % 5 == 0).then(pl.lit("dropped")).when(at % 3 == 0).then(pl.lit("drawn")).otherwise(pl.lit("unused"))
    )
    return pl.DataFrame({"id": pl.Series(range(height), dtype=pl.UInt128)}).with_columns(
        source=pl.lit("s", pl.Enum(["s"])),
        number=at.cast(pl.UInt32) % 2,
        row=at // 2,
        part=pl.lit(0, pl.Int32),
        cell_name=pl.lit("language=zh", pl.Enum(["language=zh"])),
        fate=fate,
        rule=pl.when(at % 5 == 0).then(pl.lit("turns")),
        value=pl.when(at % 5 == 0).then(pl.lit("7")),
        rank=at.cast(pl.UInt32),
        epoch=(at % 3 == 0).cast(pl.Int32),
        split=pl.lit("train", pl.Enum(["train"])),
        rewritten=pl.lit(None, pl.String),
    )


REJECT = {"source": "s", "file": "b", "row": 2, "stage": "reading", "code": "D302", "field": "x", "reason": "?"}


@pytest.mark.parametrize("rejected", [0, 3])
def test_a_ledger_is_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rejected: int) -> None:
    monkeypatch.setattr(ledgers, "AT_ONCE", 7)
    slim = slim_of(40).sort("number", "row", maintain_order=True)
    rejects = pa.Table.from_pylist([{**REJECT, "row": 2 + at} for at in range(rejected)], schema=REJECTS)
    left_out = pl.DataFrame({"source": "s", "file": "a", "row": [100], "part": [0]}).head(rejected)
    lines = ledger(slim, ["a", "b"], left_out.cast({"part": pl.Int32}), rejects)
    ids = pa.chunked_array(
        [[f"{one:032x}" for one in part] for part in (slim["id"][:11], slim["id"][11:])], pa.string()
    )

    write_ledger(tmp_path / "ledger.parquet", lines, ids)

    assert pq.read_schema(tmp_path / "ledger.parquet").equals(LEDGER)
    read = pl.read_parquet(tmp_path / "ledger.parquet")
    assert read.height == 40 + rejected + min(rejected, 1)
    spelled = {int(one, 16) for one in read["id"].drop_nulls()}
    assert spelled == set(range(40))
    for line in read.filter(pl.col("id").is_not_null()).iter_rows(named=True):
        number = int(line["id"], 16)
        assert (line["file"], line["row"], line["rank"]) == ("ab"[number % 2], number // 2, number)
        assert line["epoch"] == (1 if number % 3 == 0 else None)
        assert (line["rule"], line["value"]) == (("turns", "7") if number % 5 == 0 else (None, None))
    assert read.select("file", "row").equals(read.select("file", "row").sort("file", "row"))
    counts = count(lines.select("source", "fate", "rule"), ["s", "never read"])
    assert counts == count(read.select("source", "fate", "rule"), ["s", "never read"])
    assert counts["s"].rejected == ({"D302": rejected} if rejected else {})
    assert counts["s"].dropped == ({"turns": 8, "where": 1} if rejected else {"turns": 8})
    assert counts["never read"].read == 0


@given(most=st.lists(st.integers(1, 3), min_size=1, max_size=20), goal=st.integers(0, 60))
def test_a_draw_of_first_copies_is_that_of_all(most: list[int], goal: int) -> None:
    goal = min(goal, sum(most))
    ids = pl.Series(range(len(most)), dtype=pl.UInt128)
    slim = pl.DataFrame({"id": ids, "cell": 0, "max_epochs": most}).cast({"cell": pl.Int32, "max_epochs": pl.Int32})

    drawn = draw(slim, {0: goal}, 0).with_columns(most=pl.Series(most)).sort("rank")

    assert drawn["epoch"].sum() == goal
    for level in (1, 2, 3):
        may = drawn.filter(pl.col("most") >= level)["epoch"] >= level
        assert may.to_list() == sorted(may, reverse=True), "by rank"
        later = (drawn["epoch"] > level).any()
        assert not later or may.all(), "a second copy comes after every first"
