"""Exports as LLaMA-Factory, axolotl and ms-swift read them themselves, each in an environment that its pins allow.

`make test-trainers` makes the environments and runs these tests; without them the tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from exported_rows import CALL, TOOL, Row, built, messages_of, plain, records, rich, turn

import doit

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TRAINERS = ROOT / ".venv-trainers"
READERS = Path(__file__).parent / "real_trainers"
SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
"""What both trainers' templates say where a conversation has no system text."""

Reader = Callable[..., dict[tuple[str, str], list[Row]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not (TRAINERS / ".made").is_file():
        pytest.skip("no environment of LLaMA-Factory, axolotl and ms-swift: `make test-trainers` makes it")
    made = tmp_path_factory.mktemp("trainers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOIT_CACHE", str(made / "cache"))
        yield made


def more() -> list[Row]:
    """What a trainer's loader could take for something of its own."""
    two = json.dumps([json.loads(CALL), {"name": "weather", "arguments": {"city": "上海"}}], ensure_ascii=False)
    marked = json.dumps({"name": "run", "arguments": {"code": "<tool_call>{}</tool_call>"}})
    question = turn("user", "再想想，然後用繁體回答。")
    thought = turn("assistant", "第一", reasoning_content="先想一\n\n再想二")
    named = json.dumps([{"type": "function", "function": {"name": "now"}}, TOOL], ensure_ascii=False)
    return [
        {"messages": [turn("user", "兩輪"), thought, question, {**thought, "content": "第二"}]},
        {"messages": [turn("user", "只有一輪想"), thought, question, turn("assistant", "沒有想")]},
        {
            "messages": [
                turn("user", "查兩個"),
                turn("assistant", two),
                turn("tool", "晴，雨"),
                turn("assistant", "好。"),
            ]
        },
        {"messages": [turn("user", "跑"), turn("assistant", marked), turn("tool", "1"), turn("assistant", "完。")]},
        {"messages": [turn("user", "<image> 与 <video>？"), turn("assistant", "<audio> {{content}} <bbox>")]},
        {
            "messages": [
                turn("user", "同じ"),
                turn("assistant", "same"),
                turn("user", "同じ"),
                turn("assistant", "same"),
            ]
        },
        {"messages": [turn("user", "ＡＢＣ e\u0301 👩‍👩‍👧‍👦"), turn("assistant", "  開頭和結尾 \n")]},
        {"messages": [turn("system", "只有工具"), turn("user", "几点？"), turn("assistant", "不知道")], "tools": named},
        {"messages": [turn("user", "没有工具"), turn("assistant", "是")], "tools": "[]"},
        {"messages": [turn("user", "NULL \u0085\u2028 \u0000"), turn("assistant", "null")]},
    ]


@pytest.fixture(scope="module")
def cells(folder: Path) -> Path:
    """40 records with copies in two languages and two abilities, and a validation split."""
    mix = {"language": {"zh": 0.5, "en": 0.5}, "ability": {"math": 0.5, "code": 0.5}}
    splits = {"validation": {"records": 4, "per": "ability"}}
    rows = [plain(number) for number in range(38)]
    return built(folder / "cells", rows, name="cells", size=40, mix=mix, shortage="repeat", splits=splits)


@pytest.fixture(scope="module")
def everything(folder: Path) -> Path:
    """One record with each of what not every format holds, and two plain ones."""
    return built(folder / "everything", [plain(1), plain(5), *rich(), *more()], name="everything", size="all")


def exported(mixture: Path, to: str) -> Path:
    out = mixture.with_name(to)
    doit.convert(mixture, out, to=to)
    return out


def read_by(environment: str, reader: str, *arguments: str, scratch: Path) -> dict[tuple[str, str], list[Row]]:
    """What the trainer read of (an export, a split), row by row."""
    scratch.mkdir()
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(scratch / "datasets"), "HF_HOME": str(scratch / "home")}
    command = [str(TRAINERS / environment / "bin" / "python"), str(READERS / reader), str(scratch), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        cwd=scratch,
        env={**os.environ, **offline, "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[tuple[str, str], list[Row]] = {}
    for line in done.stdout.split("\n"):
        if line.startswith("ROW "):
            row = json.loads(line.removeprefix("ROW "))
            found.setdefault((row["export"], row["split"]), []).append(row)
    return found


def with_thinking(record: Row) -> list[list[str]]:
    """Messages with thinking before the answer, where LLaMA-Factory and ms-swift look for it."""
    thoughts = record["reasoning"] or [None] * len(record["messages"])
    return [
        [role, f"<think>\n{thought}\n</think>\n\n{content}" if thought else content]
        for (role, content), thought in zip(messages_of(record), thoughts, strict=True)
    ]


def tools_in(record: Row) -> Any:
    return json.loads(record["tools"] or "[]")


def qwen(messages: list[list[str]], tools: Any, calls: set[int]) -> tuple[str, str]:
    """A conversation as Qwen's template shows it without tools (None with some), and what of it is learnt."""
    said = messages[0][1] if messages[0][0] == "system" else SYSTEM
    whole, learnt = f"<|im_start|>system\n{said}<|im_end|>\n", ""
    for number, (role, content) in enumerate(messages):
        if role == "assistant":
            each = json.loads(content) if number in calls else None
            shown = [json.dumps(call, ensure_ascii=False) for call in (each if isinstance(each, list) else [each])]
            text = "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in shown) if each else content
            whole += f"<|im_start|>assistant\n{text}<|im_end|>\n"
            learnt += f"{text}<|im_end|>\n"
        elif role == "user":
            whole += f"<|im_start|>user\n{content}<|im_end|>\n"
        elif role == "tool":
            whole += f"<|im_start|>user\n<tool_response>\n{content}\n</tool_response><|im_end|>\n"
    return composed(whole), composed(learnt)


def composed(text: str) -> str:
    """Qwen's tokenizers put `e` and its accent together, so the texts of tokens are compared like that."""
    return unicodedata.normalize("NFC", text)


def without_tools(whole: str) -> str:
    return re.sub(r"\n\n# Tools\n.*?<args-json-object>\}\n</tool_call>", "", whole, count=1, flags=re.DOTALL)


ROLES = {"observation": "tool", "function": "assistant", "tool_call": "assistant"}


def check_qwen(read: list[Row], wanted: list[Row]) -> int:
    """That each conversation is the mixture's, as messages and as tokens, and its answers alone are learnt.

    Returns:
        How many turns were taken for calls.
    """
    assert len(read) == len(wanted)
    count = 0
    for row, record in zip(read, wanted, strict=True):
        messages = with_thinking(record)
        assert [[ROLES.get(role, role), text] for role, text in row["messages"]] == messages
        tools = json.loads(row["tools"] or "[]") if isinstance(row["tools"] or "", str) else row["tools"]
        assert tools == tools_in(record)
        assert ("# Tools" in row["whole"]) == bool(tools)
        calls = {number for number, (role, _) in enumerate(row["messages"]) if role in ("function", "tool_call")}
        assert (composed(without_tools(row["whole"])), composed(row["learnt"])) == qwen(messages, tools, calls)
        count += len(calls)
    return count


def test_llama_factory_reads_the_mixture(cells: Path, everything: Path, folder: Path) -> None:
    small, large = exported(cells, "llamafactory"), exported(everything, "llamafactory")
    asked = [f"{small}::cells::cells_validation", f"{large}::everything"]
    read = read_by("llamafactory", "read_llamafactory.py", *asked, scratch=folder / "by-llamafactory")

    assert check_qwen(read[str(small), "train"], records(cells, "train")) == 0
    assert check_qwen(read[str(small), "eval"], records(cells, "validation")) == 0
    assert check_qwen(read[str(large), "train"], records(everything, "train")) == 2


def test_swift_reads_the_mixture(cells: Path, everything: Path, folder: Path) -> None:
    small, large = exported(cells, "ms-swift"), exported(everything, "ms-swift")
    read = read_by("axolotl-and-swift", "read_swift.py", str(small), str(large), scratch=folder / "by-swift")

    for split in ("train", "validation"):
        rows, wanted = read[str(small), split], records(cells, split)
        assert check_qwen(rows, wanted) == 0
        named = [f"{record['language'].split('-')[0]}/{record['ability']}" for record in wanted]
        assert [row["channel"] for row in rows] == named
        assert set(named) == {"zh/math", "en/code"}
    assert check_qwen(read[str(large), "train"], records(everything, "train")) == 2


def chat(record: Row) -> tuple[str, str]:
    """A conversation as the toy model's own chat template shows it, and what of it axolotl learns."""
    tools = tools_in(record)
    whole = f"<|im_start|>tools\n{json.dumps(tools, ensure_ascii=False)}<|im_end|>\n" if tools else ""
    learnt = ""
    for role, content in with_thinking(record):
        whole += f"<|im_start|>{role}\n{content}<|im_end|>\n"
        learnt += f"{content}<|im_end|>" if role == "assistant" else ""
    return composed(whole), composed(learnt)


def test_axolotl_reads_the_mixture(cells: Path, everything: Path, folder: Path) -> None:
    small, large = exported(cells, "axolotl"), exported(everything, "axolotl")
    read = read_by("axolotl-and-swift", "read_axolotl.py", str(small), str(large), scratch=folder / "by-axolotl")

    for export, split, mixture in (
        (small, "train", cells),
        (small, "validation", cells),
        (large, "train", everything),
    ):
        rows, wanted = read[str(export), split], records(mixture, split)
        assert [row["messages"] for row in rows] == [[list(each) for each in messages_of(record)] for record in wanted]
        found = [(composed(row["whole"]), composed(row["learnt"])) for row in rows]
        assert found == [chat(record) for record in wanted]
