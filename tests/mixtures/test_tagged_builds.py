"""`tagger:` in a spec: records without an ability get one, those with one keep it, and targets see both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import doit

ROWS = [
    {
        "instruction": "用 Python 写一个函数，返回列表里最大的数",
        "output": "def largest(items):\n    return max(items)",
        "kind": None,
    },
    {
        "instruction": "请你扮演一位古代的店小二，招呼客人进店吃饭",
        "output": "客官里边请！小店有上好的酒菜。",
        "kind": None,
    },
    {"instruction": "计算：12 乘以 15 再加 8 等于多少？", "output": "12×15=180，180+8=188。", "kind": "ethics"},
    {"instruction": "嗯", "output": "好", "kind": None},
]


def build(folder: Path, **more: Any) -> doit.verbs.mixing.BuildAnswer:
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    card = {"name": "a", "shape": {"kind": "alpaca"}, "ability": {"field": "kind"}, "source": {"files": "a.jsonl"}}
    spec = {"name": "t", "size": "all", "sources": [{"dataset": card}], **more}
    (folder / "spec.yaml").write_text(json.dumps(spec), encoding="utf-8")
    return doit.build(folder / "spec.yaml", folder / "out")


def abilities(folder: Path) -> list[tuple[str | None, str | None]]:
    rows = pl.read_parquet(folder / "out" / "data" / "train-*.parquet").sort("row")
    return list(rows.select("ability", "ability_from").rows())


def test_records_without_an_ability_get_the_taggers(tmp_path: Path) -> None:
    build(tmp_path, tagger="default")

    assert abilities(tmp_path)[:3] == [("code", "tagger"), ("role_play", "tagger"), ("ethics", "card")]
    assert doit.verify(tmp_path / "out").ok


def test_without_a_tagger_nothing_is_guessed(tmp_path: Path) -> None:
    build(tmp_path)

    assert abilities(tmp_path) == [(None, None), (None, None), ("ethics", "card"), (None, None)]


def test_targets_see_the_taggers_abilities(tmp_path: Path) -> None:
    answer = build(tmp_path, tagger="default", mix={"ability": {"code": {"all": True}}})

    assert answer.drawn == 1
    assert abilities(tmp_path) == [("code", "tagger")]


def test_a_rebuild_gives_the_same_tags(tmp_path: Path) -> None:
    digest = build(tmp_path, tagger="default").digest

    assert doit.rebuild(tmp_path / "out", tmp_path / "again", sources=tmp_path).digest == digest
    assert doit.verify(tmp_path / "again").ok


def test_a_tagger_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(doit.SpecError, match="D206"):
        build(tmp_path, tagger="mine.safetensors")
