from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import doit

pytest.importorskip("langdetect", reason="the extra `langid` is not installed")

ROWS = [
    ("Tere hommikust kallid sõbrad ja naabrid", "Tere tulemast meie külla"),
    ("今天天气怎么样", "今天很晴朗"),
    ("3 + 4 =", "7"),
]


def languages(folder: Path, **more: Any) -> dict[str, int]:
    lines = [json.dumps({"instruction": a, "output": b}) + "\n" for a, b in ROWS]
    (folder / "a.jsonl").write_text("".join(lines), encoding="utf-8")
    card = {"name": "a", "shape": {"kind": "alpaca"}}
    source = {"dataset": card, "files": str(folder / "a.jsonl")}
    doit.build({"name": "t", "size": "all", "sources": [source], **more}, folder / "out")
    return doit.inspect(folder / "out").by["language"]


def test_langdetect_looks_at_the_undecided_alone(tmp_path: Path) -> None:
    fast = languages(tmp_path)
    slow = languages(tmp_path, langid="langdetect")

    assert fast == {"und": 2, "zh-Hans": 1}
    assert slow == {"et": 1, "und": 1, "zh-Hans": 1}, "a formula is of no language"
    assert languages(tmp_path) == fast, "the two ways have pools of their own"


def test_another_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(doit.SpecError, match=r"D203.*langid.*langdetect"):
        languages(tmp_path, langid="lingua")
