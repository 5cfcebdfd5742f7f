"""Scores from outside: every container, every way to name a record, and every way to get it wrong."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from doit.errors import DataError, DoitError, SpecError
from doit.reading.scores import read_scores, scores_of

A, B, C = ("a" * 32, "b" * 32, "0123456789abcdef" * 2)
ROWS = [{"id": A, "quality": 4.5, "note": "好"}, {"id": B, "quality": 2, "note": ""}, {"id": C, "quality": None}]
Write = Callable[[str, Any], Path]


def test_the_same_scores_from_every_container(tmp_path: Path, write: Write) -> None:
    lines = write("q.jsonl", ROWS)
    frame = pl.DataFrame(ROWS)
    frame.write_csv(tmp_path / "q.csv")
    frame.write_csv(tmp_path / "q.tsv", separator="\t", quote_style="never")
    frame.write_parquet(tmp_path / "q.parquet")
    (tmp_path / "q.json").write_text(frame.write_json(), encoding="utf-8")
    (tmp_path / "q.jsonl.gz").write_bytes(gzip.compress(lines.read_bytes()))
    for name in ("q.jsonl", "q.csv", "q.tsv", "q.parquet", "q.json", "q.jsonl.gz"):
        found = read_scores(tmp_path / name, "quality")
        assert found.schema == {"id": pl.String, "score": pl.Float64}
        assert found.rows() == [(A, 4.5), (B, 2.0), (C, None)], name


def records() -> pl.DataFrame:
    rows = [
        (C, "s", "d/a.jsonl", 0, 0),
        (A, "s", "d/a.jsonl", 1, 0),
        (B, "s", "d/a.jsonl", 1, 1),
        (A, "t", "b.csv", 1, 0),
    ]
    return pl.DataFrame(rows, ["id", "source", "file", "row", "part"], orient="row")


def test_records_get_their_scores_by_id_or_by_place(write: Write) -> None:
    assert scores_of(records(), read_scores(write("q.jsonl", ROWS), "quality")).to_list() == [None, 4.5, 2.0, 4.5]
    places = [
        {"file": "d/a.jsonl", "row": 1, "x": 7},
        {"file": "b.csv", "row": 1, "x": 8},
        {"file": "no", "row": 1, "x": 9},
    ]
    assert scores_of(records(), read_scores(write("x.jsonl", places), "x")).to_list() == [None, 7.0, 7.0, 8.0]
    text = "x,source,file,row,part\n1.5,s,d/a.jsonl,1,1\n,s,d/a.jsonl,1,0\n"
    assert scores_of(records(), read_scores(write("x.csv", text), "x")).to_list() == [None, None, 1.5, None]


def test_the_order_of_the_file_changes_nothing(write: Write) -> None:
    one, other = read_scores(write("q.jsonl", ROWS), "quality"), read_scores(write("r.jsonl", ROWS[::-1]), "quality")
    assert scores_of(records(), one).to_list() == scores_of(records(), other).to_list()


def test_a_record_may_be_there_twice_with_one_score(write: Write) -> None:
    assert read_scores(write("q.jsonl", [*ROWS, ROWS[0]]), "quality").height == 3


def test_an_empty_file_scores_nothing(write: Write) -> None:
    empty = read_scores(write("q.jsonl", ""), "quality")
    assert scores_of(records(), empty).to_list() == [None] * 4


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([{"id": A, "qualty": 1}], SpecError, 'D203 .*no column "quality". Did you mean "qualty"'),
        ([{"id": A}], SpecError, "D203 .*It has: id"),
        ([{"quality": 1}], DataError, "D310 .*`id`, or `file` and `row`"),
        ([{"file": "a", "quality": 1}], DataError, "D310"),
        ([{"id": A, "quality": 1}, {"quality": 1}], DataError, "D310 .*row 1: `id` is missing"),
        ([{"id": A, "quality": 1}, {"id": A, "quality": 2}], SpecError, "D207 .*row 1: id a+ has two different scores"),
        ([{"id": A, "quality": None}, {"id": A, "quality": 2}], SpecError, "D207"),
        ([{"id": 12, "quality": 1}], DataError, "D312 .*row 0: `id` is '12', not 32 small hex digits"),
        ([{"id": A.upper(), "quality": 1}], DataError, "D312"),
        ([{"id": A, "quality": "good"}], DataError, "D312 .*`quality` is 'good'"),
        ([{"id": A, "quality": True}], DataError, "D312"),
        ([{"id": A, "quality": [1]}], DataError, "D312"),
        ([{"id": A, "quality": "nan"}], DataError, "D312"),
        ([{"id": A, "quality": "1e999"}], DataError, "D312"),
        ([{"file": "a", "row": -1, "quality": 1}], DataError, "D312"),
        ([{"file": "a", "row": 0.5, "quality": 1}], DataError, "D312"),
        ([{"file": "a", "row": 1 << 70, "quality": 1}], DataError, "D312"),
        ([{"file": 3, "row": 1, "quality": 1}], DataError, "D312 .*not text"),
        (["text"], DataError, "D305"),
        ("{", DataError, "D30"),
        (b"PAR1\x00\x01\x02", DataError, "D30"),
    ],
)
def test_what_is_wrong_is_named(write: Write, rows: Any, error: type[DoitError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        read_scores(write("q.jsonl", rows), "quality")
    assert "q.jsonl" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="D206"):
        read_scores(tmp_path / "none.parquet", "quality")
