from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from doit_files import card, write_doit
from hypothesis import given
from hypothesis import strategies as st

import doit
from doit.errors import ShortStock
from doit.mixtures.building.splitting import split
from doit.mixtures.spec import Split
from doit.schemas.abilities import ABILITIES
from doit.yamlio import dump


def pool(groups: list[str | None], abilities: list[str] | None = None) -> pl.DataFrame:
    ids = [hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest() for n in range(len(groups))]
    return pl.DataFrame(
        {
            "id": ids,
            "group": pl.Series(groups, dtype=pl.String),
            "cell": pl.Series([0] * len(groups), dtype=pl.Int32),
            "ability": abilities or ["math"] * len(groups),
        }
    )


def held(table: pl.DataFrame, seed: int = 0, clusters: pl.Series | None = None, **counts: int) -> pl.Series:
    wanted = {name: Split(records=count, per="ability") for name, count in counts.items()}
    return split(table, wanted, (), seed, clusters)


def test_each_value_gets_its_records() -> None:
    table = pool([None] * 300, ["math", "code", "ethics"] * 100)

    names = held(table, validation=10, test=20)

    got = Counter(zip(table["ability"], names, strict=True))
    for ability in ("math", "code", "ethics"):
        assert (got[ability, "validation"], got[ability, "test"], got[ability, None]) == (10, 20, 70)


def test_the_order_of_the_input_does_not_matter() -> None:
    table = pool([None] * 200)
    shuffled = table.sample(fraction=1, shuffle=True, seed=3)

    one = dict(zip(table["id"], held(table, validation=10, test=10), strict=True))
    other = dict(zip(shuffled["id"], held(shuffled, validation=10, test=10), strict=True))

    assert one == other


@given(
    groups=st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=20, max_size=60),
    clusters=st.lists(st.sampled_from([0, 1, 2, None]), min_size=60, max_size=60),
    seed=st.integers(0, 9),
)
def test_groups_and_clusters_stay_whole(groups: list[str | None], clusters: list[int | None], seed: int) -> None:
    table = pool(groups)
    labels = pl.Series(clusters[: len(groups)], dtype=pl.Int64)

    try:
        names = held(table, seed=seed, clusters=labels, validation=2, test=2)
    except ShortStock:
        return

    for column in (table["group"], labels):
        for value in column.drop_nulls().unique():
            assert names.filter(column == value).n_unique() == 1


def test_too_few_records_are_an_error_that_says_how_many() -> None:
    with pytest.raises(ShortStock, match=r"test asks for 8 records of math, and there are 5"):
        held(pool([None] * 10), validation=5, test=8)


def spec(folder: Path, **more: Any) -> Path:
    write_doit(folder, dict.fromkeys(ABILITIES, 60), "full")
    document = {
        "name": "t",
        "sources": [{"dataset": card("doit", "*_full.json")}],
        "mix": {"ability": dict.fromkeys(ABILITIES, 1)},
        "splits": {"validation": {"records": 5, "per": "ability"}, "test": {"records": 7, "per": "ability"}},
        **more,
    }
    (folder / "spec.yaml").write_text(dump(document), encoding="utf-8")
    return folder / "spec.yaml"


def rows(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "data" / f"{name}-*.parquet")


def test_splits_come_on_top_of_size(tmp_path: Path) -> None:
    answer = doit.build(spec(tmp_path, size=400), tmp_path / "out")

    assert (answer.size, answer.drawn, answer.splits) == (400, 520, {"test": 70, "validation": 50})
    for name, count in (("train", 40), ("validation", 5), ("test", 7)):
        assert Counter(rows(tmp_path / "out", name)["ability"]) == dict.fromkeys(ABILITIES, count)
    ids = [set(rows(tmp_path / "out", name)["id"]) for name in ("train", "validation", "test")]
    assert sum(map(len, ids)) == len(set.union(*ids))
    assert all(cell.available == 48 for cell in answer.cells)
    assert doit.verify(tmp_path / "out").ok


def test_all_sizes_of_a_series_share_them(tmp_path: Path) -> None:
    doit.build(spec(tmp_path, series=[10, 40, 160]), tmp_path / "out")

    for name in ("validation", "test"):
        held_out = [rows(tmp_path / "out" / size, name)["id"].to_list() for size in ("10", "40", "160")]
        assert held_out[0] == held_out[1] == held_out[2]
    assert doit.verify(tmp_path / "out").ok
