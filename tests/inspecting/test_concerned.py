"""Which lines of a ledger the report's near duplicates are made of."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from doit.inspecting.clusters import COLUMNS, clusters, concerned

A, B, C, D = (letter * 32 for letter in "abcd")
LEDGER = pl.DataFrame(
    {
        "id": [A, A, B, C, D],
        "source": ["s", "t", "s", "s", "s"],
        "file": ["一.jsonl", "二.jsonl", "一.jsonl", "一.jsonl", "一.jsonl"],
        "row": [0, 0, 1, 2, 3],
        "rule": [None, "exact_duplicates", "near", "near", None],
        "value": [None, "s 一.jsonl:0", f"0.9 {A}", f"1.0 {A}", None],
    },
    schema=COLUMNS,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    LEDGER.write_parquet(tmp_path / "ledger.parquet")
    return tmp_path / "ledger.parquet"


def test_near_duplicates_and_their_survivors_are_taken_and_nothing_else(file: Path) -> None:
    found = concerned(file, ["near", "exact_duplicates"])
    assert found["id"].to_list() == [A, A, B, C]
    assert clusters(found).equals(clusters(LEDGER))
    assert clusters(found).select("survivor", "file", "dropped").rows() == [(A, "一.jsonl", 2)]


def test_a_ledger_without_near_duplicates_gives_no_lines(file: Path, tmp_path: Path) -> None:
    LEDGER.filter(pl.col("rule").ne_missing("near")).write_parquet(file)
    found = concerned(file, ["exact_duplicates"])
    assert found.is_empty()
    assert found.schema == pl.Schema(COLUMNS)


def test_where_no_rule_dropped_anything_the_ledger_is_not_even_opened(tmp_path: Path) -> None:
    assert concerned(tmp_path / "none.parquet", []).is_empty()
