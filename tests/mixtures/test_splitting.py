from __future__ import annotations

import hashlib
import json
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


def two_languages(folder: Path, *, alike: bool, **more: Any) -> Path:
    """Sixty Chinese records, and sixty English ones, which are all alike but for a number if asked for."""
    thing = "the water cycle of the earth and why it matters to people, animals and plants everywhere"
    answer = "Water rises from the sea as vapour, becomes clouds, falls as rain upon the land, and runs back."
    english = [(f"Explain {thing} {n}" if alike else f"Explain {keyed('q', n)}", answer) for n in range(60)]
    english = english if alike else [(question, f"It is {keyed('a', n)}.") for n, (question, _) in enumerate(english)]
    signs = [(chr(0x4E00 + 37 * n), chr(0x5000 + 53 * n), chr(0x6000 + 71 * n)) for n in range(60)]
    chinese = [(f"请说明{one}{other}", f"这是{third}。") for one, other, third in signs]
    rows = [{"instruction": question, "output": answer} for question, answer in english + chinese]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "a.jsonl").write_text(lines, encoding="utf-8")
    source = {"name": "a", "shape": {"kind": "alpaca"}, "source": {"files": "a.jsonl"}, "languages": ["en", "zh"]}
    mix = {"language": {"en": 0.5, "zh": 0.5}}
    document = {"name": "t", "size": 20, "sources": [{"dataset": source}], "mix": mix, **more}
    (folder / "spec.yaml").write_text(dump(document), encoding="utf-8")
    return folder / "spec.yaml"


def keyed(*parts: object) -> str:
    """Eight words that no other parts give."""
    digits = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
    return " ".join("".join(chr(ord("a") + int(d, 16)) for d in digits[at : at + 4]) for at in range(0, 32, 4))


def test_a_split_that_took_a_whole_cluster_is_named(tmp_path: Path) -> None:
    path = two_languages(tmp_path, alike=True, splits={"validation": {"records": 5, "per": "language"}})

    with pytest.raises(ShortStock) as refused:
        doit.build(path, tmp_path / "out")

    assert (refused.value.code, refused.value.where) == ("D403", f"{path}: mix.language")
    assert refused.value.what == (
        "a share is asked of en, and nothing is available. Of 60 records of en, the split validation took 60 (it asks "
        "for 5): records of one group and near duplicates of each other stay together, and these are one such set."
    )
    assert refused.value.hint.startswith("Leave out `splits.validation`. ")
    assert "the split validation took 60" in (doit.plan(path).refused or "")


def test_splits_that_took_as_many_as_they_ask_for_can_be_made_smaller(tmp_path: Path) -> None:
    splits = {"validation": {"records": 40, "per": "language"}, "test": {"records": 15, "per": "language"}}
    path = two_languages(tmp_path, alike=False, splits=splits)

    with pytest.raises(ShortStock) as refused:
        doit.build(path, tmp_path / "out")

    took = "the split validation took 40 (it asks for 40), the split test took 15 (it asks for 15)."
    assert f"en wants 10 and has 5, zh wants 10 and has 5. Of 60 records of en, {took}" in refused.value.what
    assert "stay together" not in refused.value.what
    leave_out = "Leave out `splits.validation` and `splits.test`, or ask for fewer records there. "
    assert refused.value.hint == f"{leave_out}The largest size that fits is 10."
    doit.build(path, tmp_path / "out", overrides=["size=10"])


def test_a_split_that_leaves_nothing_without_targets_is_named(tmp_path: Path) -> None:
    path = two_languages(tmp_path, alike=False, splits={"test": {"records": 120}}, mix={})

    with pytest.raises(ShortStock, match=r"D403 .*no record is left for training\. Of 120 records, the split test "):
        doit.build(path, tmp_path / "out")


def test_a_shortage_that_no_split_made_names_none(tmp_path: Path) -> None:
    mix = {"language": {"fr": 0.5, "zh": 0.5}}
    path = two_languages(tmp_path, alike=False, splits={"test": {"records": 5}}, mix=mix)

    with pytest.raises(ShortStock) as refused:
        doit.build(path, tmp_path / "out")

    assert refused.value.what == "a share is asked of fr, and nothing is available."
    assert refused.value.hint.startswith("Add a source")
