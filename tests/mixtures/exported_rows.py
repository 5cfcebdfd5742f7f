"""Mixtures that are exported in tests: plain conversations, and one with each of what only some formats hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

import doit
from doit import yamlio

Row = dict[str, Any]
Turns = list[tuple[str, str]]

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "天气",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = json.dumps({"name": "weather", "arguments": {"city": "杭州"}}, ensure_ascii=False)


def turn(role: str, content: str, **more: str) -> Row:
    return {"role": role, "content": content, **more}


def plain(number: int) -> Row:
    """Users and assistants alone, which every format holds."""
    if number % 2:
        messages = [
            turn("user", f"请计算第 {number} 题：３＋{number}＝？"),
            turn("assistant", f"答案是 {number + 3}。😀"),
        ]
    else:
        messages = [turn("user", f"Write programme {number}\u2028"), turn("assistant", f"print({number})\r\n")]
    if number % 5 == 0:
        messages += [turn("user", " 再来一次\n\n"), turn("assistant", "<b>好</b>\\n\t&amp; 完")]
    return {"messages": messages, "kind": "math" if number % 2 else "code"}


def rich() -> list[Row]:
    """What only some formats hold, one of each."""
    asked = turn("user", "杭州的天气怎么样？")
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    nested = {"role": "assistant", "content": None, "tool_calls": [call]}
    return [
        {"messages": [turn("system", "你是助手。"), turn("user", "你好"), turn("assistant", "你好！")]},
        {"messages": [turn("user", "二加二？"), turn("assistant", "四", reasoning_content="2+2=4\n\n所以是四")]},
        {"messages": [turn("user", "想一想"), turn("assistant", "<think>\n本来就在这里\n</think>\n\n好")]},
        {
            "messages": [asked, turn("assistant", CALL), turn("tool", "晴"), turn("assistant", "今天晴。")],
            "tools": json.dumps([TOOL], ensure_ascii=False),
        },
        {"messages": [turn("user", "Weather?"), nested, turn("tool", "sunny"), turn("assistant", "Sunny.")]},
        {"messages": [asked, turn("assistant", "我查一下"), turn("tool", "雨"), turn("assistant", "有雨。")]},
    ]


def written(path: Path, rows: list[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def built(folder: Path, rows: list[Row], **spec: Any) -> Path:
    written(folder / "rows.jsonl", rows)
    card = {
        "name": "mine",
        "license": "CC-BY-4.0",
        "shape": {"kind": "messages"},
        "ability": {"field": "kind"},
        "source": {"files": "rows.jsonl"},
    }
    document = {"name": "small", "sources": [{"dataset": card, "max_epochs": 2}], **spec}
    (folder / "spec.yaml").write_text(yamlio.dump(document), encoding="utf-8")
    doit.build(folder / "spec.yaml", folder / "mixture")
    return folder / "mixture"


def records(mixture: Path, split: str) -> list[Row]:
    files = sorted((mixture / "data").glob(f"{split}-*.parquet"))
    return [row for file in files for row in pl.read_parquet(file).to_dicts()]


def messages_of(record: Row) -> Turns:
    return [(message["role"], message["content"]) for message in record["messages"]]
