from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import doit
from doit.errors import SpecError
from doit.mixtures.building.draw import copies, nearest
from doit.yamlio import dump

tokenizers = pytest.importorskip("tokenizers", reason="the extra `tokens` is not installed")


@given(
    records=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), min_size=1, max_size=12),
    goal=st.integers(0, 400),
)
def test_the_nearest_prefix_is_taken_and_of_two_the_shorter(records: list[tuple[int, int]], goal: int) -> None:
    weights, most = np.array([w for w, _ in records]), np.array([m for _, m in records], np.int32)
    order = [weight for level in range(1, 4) for weight, epochs in records if epochs >= level]
    sums = [sum(order[:count]) for count in range(len(order) + 1)]

    count = nearest(weights, most, goal)

    best = min(abs(total - goal) for total in sums)
    assert abs(sums[count] - goal) == best
    assert (
        count == next(n for n, total in enumerate(sums) if abs(total - goal) == best) or sums[count] == sums[count - 1]
    )
    assert copies(most, count).sum() == count


def test_a_first_record_over_twice_the_budget_leaves_the_cell_empty() -> None:
    once = np.ones(2, np.int32)

    assert nearest(np.array([21, 1]), once, 10) == 0
    assert nearest(np.array([20, 1]), once, 10) == 0
    assert nearest(np.array([19, 1]), once, 10) == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """400 records of known lengths, and a tokenizer for which every character is a token."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    rows = [
        {
            "instruction": f"问{n:03d}" if n % 2 else f"What is {n:03d}?",
            "output": ("答" if n % 2 else "is ") * (1 + n % 7),
        }
        for n in range(400)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


def build(folder: Path, **more: Any) -> doit.verbs.BuildAnswer:
    document = {
        "name": "t",
        "unit": "tokens",
        "tokenizer": "tokenizer.json",
        "size": 1000,
        "sources": [{"dataset": {"name": "a", "shape": {"kind": "alpaca"}, "source": {"files": "a.jsonl"}}}],
        "mix": {"language": {"zh": 0.25, "en": 0.75}},
        **more,
    }
    (folder / "spec.yaml").write_text(dump(document), encoding="utf-8")
    return doit.build(folder / "spec.yaml", folder / "out")


def rows(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "out" / "data" / "train-*.parquet")


def test_cells_end_as_near_their_budget_as_whole_records_allow(folder: Path) -> None:
    answer = build(folder)

    table = rows(folder)
    contents = table["messages"].list.eval(pl.element().struct.field("content").str.len_chars()).list.sum()
    assert table["tokens"].to_list() == contents.to_list()
    for cell in answer.cells:
        mine = table.filter(pl.col("language").str.starts_with(cell.language))
        assert (cell.taken, cell.records) == (mine["tokens"].sum(), mine.height)
        assert abs(cell.taken - cell.wanted) <= table["tokens"].max() / 2
    assert [cell.wanted for cell in answer.cells] == [750, 250]
    assert answer.size == table.height
    assert doit.verify(folder / "out").ok
    assert doit.plan(folder / "spec.yaml").cells == answer.cells


def test_supervised_tokens_are_those_of_the_answers(folder: Path) -> None:
    answer = build(folder, count="supervised", size=200)

    table = rows(folder)
    assistant = table["messages"].list.last().struct.field("content").str.len_chars()
    assert sum(cell.taken for cell in answer.cells) == assistant.sum()
    assert doit.verify(folder / "out").ok


def test_a_smaller_budget_lies_in_a_larger_one(folder: Path) -> None:
    build(folder, size=400)
    small = set(rows(folder)["id"])
    build(folder, size=1500)

    assert small < set(rows(folder)["id"])


def test_a_count_of_tokens(folder: Path) -> None:
    answer = build(folder, mix={"language": {"zh": {"tokens": 100}, "en": 1}})

    assert {cell.language: cell.wanted for cell in answer.cells} == {"zh": 100, "en": 900}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokenizer": None}, "needs a tokenizer"),
        ({"tokenizer": "nowhere"}, "no tokenizer at"),
        ({"tokenizer": "a.jsonl"}, "cannot be read"),
        ({"mix": {"language": {"zh": {"records": 3}, "en": 1}}}, "does not go with"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build(folder, **change)


def test_a_tokenizer_fills_the_column_of_a_mixture_of_records(folder: Path) -> None:
    build(folder, unit="records", size=20)

    assert rows(folder)["tokens"].null_count() == 0
