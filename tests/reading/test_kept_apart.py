"""Thinking and tools stand beside the turns: they are read where formats keep them, and never lost unsaid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import doit
from doit.errors import SpecError
from doit.reading.records import read_records
from doit.reading.rows import Layout, read_rows
from doit.reading.sniffing import sniff
from doit.schemas.card import DatasetCard
from doit.schemas.shapes import SHAPES

Write = Callable[[str, Any], Path]

ASK, TELL = {"role": "user", "content": "鸡兔同笼？"}, {"role": "assistant", "content": "十二隻。"}
THOUGHT = "先想：腿有 34 条 🐔"
TOOLS = '[{"name":"查询"}]'


def rows_of(path: Path) -> list[Any]:
    return [row.value for batch in read_rows(path, Layout()) for row in batch]


def reasoning_of(path: Path, shape: dict[str, Any]) -> list[Any]:
    (batch,) = read_records(path, DatasetCard(name="x", shape=shape))
    return [*batch.records.column("reasoning").to_pylist(), *((bad.code, bad.field) for bad in batch.rejects)]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_a_turn_keeps_its_thinking_under_any_of_three_names(name: str, write: Write, tmp_path: Path) -> None:
    path = write("a.jsonl", [{"messages": [ASK, {**TELL, name: THOUGHT}]}])
    doit.convert(path, tmp_path / "out.jsonl", to="messages")
    assert rows_of(tmp_path / "out.jsonl") == [{"messages": [ASK, {**TELL, "reasoning_content": THOUGHT}]}]


def test_a_field_of_a_turn_that_is_no_text_is_no_thinking(write: Write) -> None:
    path = write("a.jsonl", [{"messages": [ASK, {**TELL, "thinking": True, "reasoning": THOUGHT}]}])
    assert reasoning_of(path, {"kind": "messages"}) == [[None, THOUGHT]]


def test_a_mixtures_own_rows_keep_their_thinking_and_tools(write: Write, tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "慢慢想"}, ASK, TELL]
    mixed = pl.DataFrame({
        "messages": [turns, [ASK, TELL]],
        "reasoning": [[None, None, THOUGHT], None],
        "tools": [TOOLS, None],
    })  # fmt: skip
    mixed.write_parquet(tmp_path / "train.parquet")

    answer = doit.convert(tmp_path / "train.parquet", tmp_path / "out.jsonl", to="messages")

    thinking = {**TELL, "reasoning_content": THOUGHT}
    assert rows_of(tmp_path / "out.jsonl") == [
        {"messages": [*turns[:2], thinking], "tools": TOOLS},
        {"messages": [ASK, TELL]},
    ]
    assert not answer.lost


@pytest.mark.parametrize(
    ("held", "found"),
    [
        ([None, THOUGHT], [[None, THOUGHT]]),
        ([None, ""], [None]),
        ([], [None]),
        (None, [None]),
        ("on", [None]),
        ([THOUGHT], [("D312", "reasoning")]),
        ([None, 7], [("D312", "reasoning[1]")]),
    ],
)
def test_a_column_of_thinking_has_an_entry_for_each_turn(held: Any, found: list[Any], write: Write) -> None:
    path = write("a.jsonl", [{"messages": [ASK, TELL], "reasoning": held}])
    assert reasoning_of(path, {"kind": "messages"}) == found


def test_a_turns_own_thinking_goes_before_that_of_the_column(write: Write) -> None:
    row = {"messages": [ASK, {**TELL, "thinking": "own"}], "reasoning": [None, THOUGHT]}
    assert reasoning_of(write("a.jsonl", [row]), {"kind": "messages"}) == [[None, "own"]]


PLAIN = {"instruction": "你好", "input": "", "output": "好"}
BESIDE = {
    "tools of alpaca": ({**PLAIN, "tools": TOOLS}, "tools", "tools"),
    "thinking of alpaca": ({**PLAIN, "thinking": THOUGHT}, "thinking", "reasoning"),
    "reasoning of alpaca": ({**PLAIN, "reasoning": [None, THOUGHT]}, "reasoning", "reasoning"),
    "functions of messages": ({"messages": [ASK, TELL], "functions": [{"name": "f"}]}, "functions", "tools"),
    "a word at reasoning": ({"messages": [ASK, TELL], "reasoning": "on"}, "reasoning", "reasoning"),
    "thinking beside turns": ({"messages": [ASK, TELL], "thinking": THOUGHT}, "thinking", "reasoning"),
}  # fmt: skip


@pytest.mark.parametrize("case", BESIDE)
def test_what_a_shape_does_not_read_is_refused_by_name_or_counted(case: str, write: Write, tmp_path: Path) -> None:
    row, name, lost = BESIDE[case]
    plain = {key: value for key, value in row.items() if key != name}
    path, out = write("a.jsonl", [plain, row]), tmp_path / "out.jsonl"

    with pytest.raises(SpecError, match=f"^D213 .*row 1: field `{name}` would be lost"):
        doit.convert(path, out, to="messages")
    assert not out.exists()

    answer = doit.convert(path, out, to="messages", lossy=True)
    assert (answer.written, answer.lost) == (2, {lost: 1})
    assert name in next(doubt for doubt in sniff(path).doubts if doubt.startswith("Columns that would be ignored"))


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_an_empty_field_is_nothing_to_lose(nothing: Any, write: Write, tmp_path: Path) -> None:
    path = write("a.jsonl", [{**PLAIN, "tools": nothing, "reasoning": nothing}])
    assert doit.convert(path, tmp_path / "out.jsonl", to="messages", shape="alpaca").written == 1


def test_a_rationale_in_a_column_of_that_name_is_read(write: Write, tmp_path: Path) -> None:
    path = write("a.jsonl", [{"question": "1+1?", "reasoning": THOUGHT, "answer": "2"}])
    card = write("card.yaml", "name: mine\nshape: {kind: cot, rationale: reasoning, rationale_in: reasoning}\n")
    doit.convert(path, tmp_path / "out.jsonl", to="messages", dataset=str(card))
    assert rows_of(tmp_path / "out.jsonl")[0]["messages"][1]["reasoning_content"] == THOUGHT


def test_every_shape_can_be_asked_what_it_leaves_out() -> None:
    row = {"reasoning_content": THOUGHT, "tools": TOOLS, "x": 1}
    for kind, shape in SHAPES.items():
        made = shape.model_validate({"kind": kind, **({"turns": "x"} if "turns" in shape.model_fields else {})})
        assert "reasoning_content" in made.unread(row), kind
        assert made.unread([]) == made.unread("x") == made.unread({}) == []
