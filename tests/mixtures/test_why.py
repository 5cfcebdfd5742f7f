"""Why a row was drawn, left, dropped or rejected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import doit
from doit.cli import main
from doit.curation.keys import keys
from doit.inspecting.explaining_tables import why_table
from doit.inspecting.tables import show

Write = Callable[[str, Any], Path]


def rows(count: int, kind: str = "math") -> list[dict[str, str]]:
    return [
        {"instruction": f"请说明第{n}个{kind}问题", "output": f"这是第{n}个回答", "kind": kind} for n in range(count)
    ]


def spec(**more: Any) -> dict[str, Any]:
    card = {
        "name": "mine",
        "shape": {"kind": "alpaca"},
        "source": {"files": ["*.jsonl"]},
        "ability": {"field": "kind"},
    }
    return {
        "name": "t",
        "size": 4,
        "sources": [{"dataset": {**card, **more.pop("card", {})}, **more.pop("source", {})}],
        **more,
    }


@pytest.fixture
def built(write: Write, tmp_path: Path) -> Path:
    """A row of every fate: the first file has ten records of math, the second what goes wrong."""
    write("a.jsonl", rows(10))
    bad = [
        rows(4)[3],
        {"instruction": "没有回答", "kind": "math"},
        {"instruction": "短", "output": "是", "kind": "math"},
    ]
    write("b.jsonl", [*bad, *rows(1, "code"), {**rows(1)[0], "kind": "left out"}])
    where = {"where": {"kind": ["math", "code"]}}
    curation = [{"kind": "assistant_chars", "name": "too_short", "at_least": 3}]
    write("spec.yaml", spec(mix={"ability": {"math": 1}}, curation=curation, card=where))
    doit.build(tmp_path / "spec.yaml", tmp_path / "out")
    return tmp_path / "out"


def only(out: Path, target: str) -> Any:
    (line,) = doit.why(out, target).lines
    return line


def test_a_drawn_record_and_an_unused_one(built: Path) -> None:
    ledger = pl.read_parquet(built / "ledger.parquet").filter(pl.col("cell").is_not_null())
    ranked = ledger.with_columns(pl.Series("key", keys("draw", 0, ledger["id"]))).sort("key", "id")

    lines = [only(built, f"{row['file']}:{row['row']}") for row in ranked.to_dicts()]

    assert [(line.key.rank, line.key.of, line.key.drawn) for line in lines] == [(n, 10, 4) for n in range(10)]
    assert [line.fate for line in lines] == ["drawn"] * 4 + ["unused"] * 6
    assert {(line.split, line.epochs) for line in lines[:4]} == {("train", 1)}
    assert lines[4].facts[-1] == "By its key it is number 5 of the cell's 10 records; the first 4 are drawn."
    assert lines[0].facts[-3:-1] == ("Drawn once, into train.", "Cell ability=math.")


def test_an_exact_duplicate_names_its_survivor_and_what_became_of_it(built: Path) -> None:
    line = only(built, "b.jsonl:0")

    survivor = only(built, "a.jsonl:3")
    assert (line.fate, line.rule, line.id) == ("dropped", "exact_duplicates", survivor.id)
    assert (line.survivor.file, line.survivor.row, line.survivor.fate) == ("a.jsonl", 3, survivor.fate)
    assert line.facts[-2] == (
        "Dropped by exact_duplicates: the same conversation was kept: a.jsonl row 3 of source mine."
    )
    assert line.facts[-1] == f"That record is {survivor.fate}."
    assert {(one.file, one.row) for one in doit.why(built, line.id).lines} == {("a.jsonl", 3), ("b.jsonl", 0)}


def test_a_reject_has_code_field_reason_and_the_row(built: Path) -> None:
    line = only(built, "b.jsonl:1")

    assert (line.fate, line.rule, line.field, line.id) == ("rejected", "D310", "output", None)
    assert line.reason == "field `output` is missing."
    assert json.loads(line.raw) == {"instruction": "没有回答", "kind": "math"}
    assert "D310, a missing field: field `output` is missing." in line.facts[1]


def test_a_rule_names_its_value_and_what_it_asks(built: Path) -> None:
    line = only(built, "b.jsonl:2")

    assert (line.fate, line.rule, line.value, line.asks) == ("dropped", "too_short", "1", {"at_least": 3})
    assert line.facts[-1] == "Dropped by too_short (at_least: 3): it has 1."


def test_a_value_without_target(built: Path) -> None:
    line = only(built, "b.jsonl:3")

    assert (line.fate, line.rule, line.cell) == ("unused", "no target", None)
    assert "(mix.ability)" in line.facts[-1]


def test_a_row_that_the_card_leaves_out(built: Path) -> None:
    line = only(built, "b.jsonl:4")

    assert (line.fate, line.rule) == ("dropped", "where")
    assert line.facts[-1] == 'Dropped: the card leaves this row out (where: {"kind":["math","code"]}).'


def test_keep(write: Write, tmp_path: Path) -> None:
    write("a.jsonl", rows(8))
    write("spec.yaml", spec(source={"keep": 0.5}))

    doit.build(tmp_path / "spec.yaml", tmp_path / "out")

    lines = [only(tmp_path / "out", f"a.jsonl:{row}") for row in range(8)]
    left = [line for line in lines if line.rule == "keep"]
    assert len(left) == 4
    assert left[0].facts[-1] == "Unused: `keep: 0.5` of source mine leaves it out."


def test_copies(write: Write, tmp_path: Path) -> None:
    write("a.jsonl", rows(2))
    write("spec.yaml", spec(size=5, shortage="repeat", source={"max_epochs": 3}))

    doit.build(tmp_path / "spec.yaml", tmp_path / "out")

    lines = [only(tmp_path / "out", f"a.jsonl:{row}") for row in range(2)]
    assert sorted(line.epochs for line in lines) == [2, 3]
    assert any("Drawn 3 times (epochs 1 to 3), into train." in line.facts for line in lines)


def test_a_row_of_several_records_is_several_lines(write: Write, tmp_path: Path) -> None:
    each = [{"kind": "math", "list": [{"instruction": f"问题{n}", "output": f"回答{n}"} for n in range(4)]}]
    write("a.jsonl", each)
    write("spec.yaml", spec(card={"each": "list"}))

    doit.build(tmp_path / "spec.yaml", tmp_path / "out")

    lines = doit.why(tmp_path / "out", "a.jsonl:0").lines
    assert [line.part for line in lines] == [0, 1, 2, 3]
    assert "part 3" in lines[3].facts[0]


def test_every_size_of_a_series_answers(write: Write, tmp_path: Path) -> None:
    write("a.jsonl", rows(10))
    document = spec(series=[2, 8])
    del document["size"]
    write("spec.yaml", document)

    doit.build(tmp_path / "spec.yaml", tmp_path / "out")

    large = doit.why(tmp_path / "out" / "8", "a.jsonl:0").lines
    both = doit.why(tmp_path / "out", "a.jsonl:0").lines
    assert [(line.mixture, line.key.drawn) for line in both if line.key] == [("8", 8), ("2", 2)]
    assert (large[0].mixture, large[0].facts) == (None, both[0].facts)


def test_a_held_out_record_has_no_rank(write: Write, tmp_path: Path) -> None:
    write("a.jsonl", rows(10))
    write("spec.yaml", spec(splits={"validation": {"records": 3}}))

    doit.build(tmp_path / "spec.yaml", tmp_path / "out")

    lines = [only(tmp_path / "out", f"a.jsonl:{row}") for row in range(10)]
    held = [line for line in lines if line.split == "validation"]
    assert len(held) == 3
    assert {(line.fate, line.key) for line in held} == {("drawn", None)}
    assert {(line.key.of, line.key.drawn) for line in lines if line.key} == {(7, 4)}


def test_two_sources_of_one_file(write: Write, tmp_path: Path) -> None:
    write("a.jsonl", rows(4))
    document = spec(mix={"source": {"*": 1}}, size=4)
    other = {**document["sources"][0]["dataset"], "name": "other"}
    document["sources"].append({"dataset": other})
    write("spec.yaml", document)

    doit.build(tmp_path / "spec.yaml", tmp_path / "out")

    assert [line.source for line in doit.why(tmp_path / "out", "a.jsonl:1").lines] == ["mine", "other"]
    assert only(tmp_path / "out", "other:a.jsonl:1").source == "other"


def test_a_shortened_id_in_capitals(built: Path) -> None:
    line = only(built, "a.jsonl:5")

    assert only(built, line.id[:8].upper()) == line


WRONG = {
    "unknown id": ("0123456789abcdef0123456789abcdef", "D203", "no record has the id"),
    "short id": ("abcd", "D204", "6"),
    "long id": ("a" * 33, "D204", "33 digits"),
    "neither": ("问题", "D204", "FILE:ROW"),
    "unknown file": ("a.json:3", "D206", 'Did you mean "a.jsonl"?'),
    "unknown row": ("a.jsonl:10", "D206", "its rows are 0 to 9"),
    "unknown source": ("min:a.jsonl:3", "D206", 'Did you mean "mine:a.jsonl"?'),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_there(case: str, built: Path) -> None:
    target, code, says = WRONG[case]

    with pytest.raises(doit.SpecError) as caught:
        doit.why(built, target)

    assert caught.value.code == code
    assert says in str(caught.value)
    assert str(caught.value).count("\n") <= 2


def test_a_beginning_of_several_ids(built: Path) -> None:
    ledger = pl.read_parquet(built / "ledger.parquet")
    twins = ledger.with_columns(id=pl.lit("abcdef") + pl.col("id").str.slice(6))
    twins.write_parquet(built / "ledger.parquet")

    with pytest.raises(doit.SpecError, match=r"D203 .*ids begin with abcdef"):
        doit.why(built, "abcdef")


def test_a_published_mixture_has_no_ledger(built: Path) -> None:
    (built / "ledger.parquet").unlink()

    with pytest.raises(doit.SpecError, match=r"D206 .*ledger\.parquet is missing"):
        doit.why(built, "a.jsonl:1")


def test_the_command(built: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main_status = 0
    try:
        main(["why", str(built), "b.jsonl:1", "--json"])
    except SystemExit as stop:
        main_status = int(stop.code or 0)

    answer = json.loads(capfd.readouterr().out)
    assert main_status == 0
    assert answer["lines"][0]["rule"] == "D310"
    assert answer["lines"][0]["facts"][0] == "Read from b.jsonl, row 1 (counted from 0), source mine."


def test_nothing_of_the_data_acts_on_the_terminal(
    write: Write, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write("a.jsonl", [*rows(4), {"instruction": "[bold]\u202e"}])
    write("spec.yaml", spec())
    doit.build(tmp_path / "spec.yaml", tmp_path / "out")
    capfd.readouterr()

    show(why_table(doit.why(tmp_path / "out", "a.jsonl:4")))

    said = capfd.readouterr().err
    assert "[bold]" in said
    assert "\u202e" not in said
