"""`{kind: tokens}`: too long is dropped, or made several at turns, and nothing is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import doit
from doit.schemas.record import content_id
from doit.yamlio import dump

tokenizers = pytest.importorskip("tokenizers", reason="the extra `tokens` is not installed")

SYSTEM = {"role": "system", "content": "你是老师"}


def exchange(number: int, length: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"问{number}"}, {"role": "assistant", "content": "答" * length}]


ROWS = [
    [*exchange(0, 5)],
    [SYSTEM, *exchange(1, 5), *exchange(2, 5), *exchange(3, 5)],
    [*exchange(4, 3), *exchange(5, 40), *exchange(6, 3)],
    [*exchange(7, 90)],
]


def build(folder: Path, rows: list[list[dict[str, str]]], **rule: Any) -> doit.verbs.BuildAnswer:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer.save(str(folder / "tokenizer.json"))
    lines = "".join(json.dumps({"messages": row}, ensure_ascii=False) + "\n" for row in rows)
    (folder / "a.jsonl").write_text(lines, encoding="utf-8")
    card = {"name": "a", "shape": {"kind": "messages"}, "source": {"files": "a.jsonl"}}
    rules = [{"kind": "tokens", "at_most": 20, "tokenizer": "tokenizer.json", **rule}]
    spec = {"name": "t", "size": "all", "sources": [{"dataset": card}], "curation": rules}
    (folder / "spec.yaml").write_text(dump(spec), encoding="utf-8")
    return doit.build(folder / "spec.yaml", folder / "out")


def mixture(folder: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(folder / "out" / "data" / "train-*.parquet").sort("row", "part").to_dicts()


def test_the_long_are_dropped(tmp_path: Path) -> None:
    answer = build(tmp_path, ROWS, over="drop")

    assert (answer.drawn, answer.dropped) == (1, {"tokens": 3})
    ledger = pl.read_parquet(tmp_path / "out" / "ledger.parquet").sort("row")
    assert ledger["value"].to_list() == [None, str(4 + 3 * 7), str(5 + 42 + 5), "92"]


def test_the_long_are_split_at_turns(tmp_path: Path) -> None:
    answer = build(tmp_path, ROWS, over="split")

    # The second row makes two pieces under its system turn, the third three, of which the middle one stays too long.
    assert (answer.read, answer.drawn, answer.dropped) == (7, 5, {"tokens": 2})
    rows = mixture(tmp_path)
    assert [(row["row"], row["part"], [m["content"] for m in row["messages"]]) for row in rows] == [
        (0, 0, ["问0", "答" * 5]),
        (1, 0, ["你是老师", "问1", "答" * 5, "问2", "答" * 5]),
        (1, 1, ["你是老师", "问3", "答" * 5]),
        (2, 0, ["问4", "答" * 3]),
        (2, 2, ["问6", "答" * 3]),
    ]
    assert [row["turns"] for row in rows] == [1, 2, 1, 1, 1]
    assert all(row["chars"] == sum(len(m["content"]) for m in row["messages"]) for row in rows)
    assert [row["tags"] for row in rows] == [[], *[["rewritten:tokens"]] * 4]
    assert all(row["id"] == content_id((m["role"], m["content"]) for m in row["messages"]) for row in rows)
    assert doit.verify(tmp_path / "out").ok


def test_the_pieces_of_a_conversation_stay_in_one_split(tmp_path: Path) -> None:
    build(tmp_path, ROWS, over="split")

    groups = {row["row"]: set() for row in mixture(tmp_path)}
    for row in mixture(tmp_path):
        groups[row["row"]].add(row["group"])
    whole = content_id((m["role"], m["content"]) for m in ROWS[1])
    assert groups[0] == {None}
    assert groups[1] == {whole}
    assert len(groups[2]) == 1


def test_pieces_that_are_there_already_are_one_record(tmp_path: Path) -> None:
    answer = build(tmp_path, [*ROWS[:2], [SYSTEM, *exchange(3, 5)]], over="split")

    assert answer.dropped == {"exact_duplicates": 1}
    assert answer.drawn == 3
    assert doit.verify(tmp_path / "out").ok


def test_a_changed_limit_counts_no_token_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, ROWS, over="drop")
    monkeypatch.setattr("doit.mixtures.pools.tokens._counted", lambda *of: pytest.fail("the tokens were counted again"))

    assert build(tmp_path, ROWS, over="drop", at_most=30).drawn == 2


def test_without_a_tokenizer_the_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(doit.SpecError, match=r"D204.*tokenizer"):
        build(tmp_path, ROWS, tokenizer=None)
