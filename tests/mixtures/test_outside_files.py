"""Files from outside that rules go by: names that stay, scores, vectors; and thinking, which is rewritten too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import doit
from doit.errors import DataError, SpecError
from doit.schemas.record import content_id
from doit.yamlio import dump

ASK = [{"role": "user", "content": "後来怎样？钟南山和发哥的头发"}, {"role": "assistant", "content": "关于头发"}]
ROWS = [{"messages": ASK}, {"messages": [{**ASK[0], "content": "请写一首关于面条的诗"}, ASK[1]]}]
IDS = [content_id((turn["role"], turn["content"]) for turn in row["messages"]) for row in ROWS]


def build(folder: Path, rows: list[dict[str, Any]], *rules: dict[str, Any]) -> doit.verbs.BuildAnswer:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "a.jsonl").write_text(lines, encoding="utf-8")
    card = {"name": "a", "shape": {"kind": "messages"}, "source": {"files": "a.jsonl"}}
    spec = {"name": "t", "size": "all", "sources": [{"dataset": card}], "curation": list(rules)}
    (folder / "spec.yaml").write_text(dump(spec), encoding="utf-8")
    return doit.build(folder / "spec.yaml", folder / "out")


def mixture(folder: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(folder / "out" / "data" / "train-*.parquet").sort("row").to_dicts()


def first_text(folder: Path) -> str:
    return str(mixture(folder)[0]["messages"][0]["content"])


def named(*files: str) -> dict[str, Any]:
    return {"kind": "script", "to": "zh-Hant", "names": {"file": files[0] if len(files) == 1 else list(files)}}


def test_names_of_files_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "one.txt").write_bytes("\ufeff钟南山\r\n\r\n  \n".encode())
    (tmp_path / "two.txt").write_text("发哥\n钟南山\n", encoding="utf-8")

    build(tmp_path, ROWS, named("people/one.txt"))
    assert first_text(tmp_path) == "後來怎樣？钟南山和發哥的頭髮"
    build(tmp_path, ROWS, named("people/one.txt", "two.txt"))
    assert first_text(tmp_path) == "後來怎樣？钟南山和发哥的頭髮"

    (tmp_path / "two.txt").write_text("头发\n", encoding="utf-8")
    build(tmp_path, ROWS, named("two.txt"))
    assert first_text(tmp_path) == "後來怎樣？鍾南山和發哥的头发"
    assert doit.verify(tmp_path / "out").ok


def test_files_of_names_are_in_the_manifest_and_a_rebuild_finds_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "names").mkdir(parents=True)
    (home / "names" / "a.txt").write_text("钟南山\n", encoding="utf-8")
    (home / "names" / "b.txt").write_text("发哥\n", encoding="utf-8")
    answer = build(home, ROWS, named("names/a.txt", "names/b.txt"))
    document = json.loads((home / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert [(one["of"], one["file"]) for one in document["rule_files"]] == [
        ("names", "names/a.txt"),
        ("names", "names/b.txt"),
    ]

    shutil.copytree(home, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("out", "spec.yaml"))
    again = doit.rebuild(home / "out", tmp_path / "again", sources=tmp_path / "elsewhere")
    assert again.digest == answer.digest

    (tmp_path / "elsewhere" / "names" / "b.txt").write_text("头发\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"^D102 .*b\.txt"):
        doit.rebuild(home / "out", tmp_path / "other", sources=tmp_path / "elsewhere")


def test_a_file_of_names_that_is_missing_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^D206 .*nobody\.txt: there is no such file of names"):
        build(tmp_path, ROWS, named("nobody.txt"))


def test_thinking_is_converted_with_its_messages(tmp_path: Path) -> None:
    thinking = [
        {**ROWS[0], "reasoning": [None, "先想头发"], "tools": '[{"name":"头发"}]'},
        {**ROWS[1], "reasoning": [None, "乾燥"]},
        {"messages": [{"role": "user", "content": "好"}, {"role": "assistant", "content": "好"}],
         "reasoning": [None, "头发"]},
        {"messages": [{"role": "user", "content": "Hair?"}, {"role": "assistant", "content": "Yes"}]},
    ]  # fmt: skip
    answer = build(tmp_path, thinking, {"kind": "script", "to": "zh-Hant"})

    rows = mixture(tmp_path)
    assert [row["reasoning"] for row in rows] == [[None, "先想頭髮"], [None, "乾燥"], [None, "頭髮"], None]
    assert [row["tools"] for row in rows] == ['[{"name":"头发"}]', None, None, None]
    assert rows[0]["messages"][0]["content"] == "後來怎樣？鍾南山和發哥的頭髮"
    assert [len(row["messages"]) for row in rows] == [2, 2, 2, 2]
    assert ["rewritten:script" in row["tags"] for row in rows] == [True, True, True, False]
    assert [row["chars"] for row in rows] == [sum(len(turn["content"]) for turn in row["messages"]) for row in rows]
    assert answer.funnel[-1].rewritten == 3


def test_secrets_in_thinking_are_redacted_too(tmp_path: Path) -> None:
    row = {**ROWS[0], "reasoning": [None, "写信到 wang.li@qq.com 问问"]}
    build(tmp_path, [row, ROWS[1]], {"kind": "secrets", "action": "redact"})
    assert [row["reasoning"] for row in mixture(tmp_path)] == [[None, "写信到 [e-mail] 问问"], None]


NEAR = {"kind": "near_embeddings", "embeddings": "v.parquet"}
BEST = {"kind": "near_duplicates", "best": "q", "scores": "s.jsonl"}


def test_vectors_and_scores_that_some_records_lack_are_told_of(tmp_path: Path) -> None:
    pl.DataFrame({"id": [IDS[0], "0" * 32], "embedding": [[1.0, 0.0]] * 2}).write_parquet(tmp_path / "v.parquet")
    (tmp_path / "s.jsonl").write_text(json.dumps({"id": IDS[1], "q": 1}) + "\n", encoding="utf-8")

    warnings = build(tmp_path, ROWS, NEAR, BEST, {**NEAR, "threshold": 0.9}).warnings

    assert list(warnings) == [
        "D310 v.parquet: only 1 of 2 records have a vector here.",
        'D310 s.jsonl: only 1 of 2 records have a score "q" here.',
    ]


def test_vectors_and_scores_of_all_records_are_no_matter(tmp_path: Path) -> None:
    pl.DataFrame({"id": IDS, "embedding": [[1.0, 0.0], [0.0, 1.0]]}).write_parquet(tmp_path / "v.parquet")
    lines = "".join(json.dumps({"id": one, "q": 1}) + "\n" for one in IDS)
    (tmp_path / "s.jsonl").write_text(lines, encoding="utf-8")
    assert not build(tmp_path, ROWS, NEAR, BEST).warnings


SCORE = {"kind": "score", "by": "q", "scores": "s.jsonl", "at_least": 1}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (NEAR, "v.parquet: none of 2 records has a vector here"),
        (BEST, 's.jsonl: none of 2 records has a score "q" here'),
        ({**SCORE, "missing": "keep"}, 's.jsonl: none of 2 records has a score "q" here'),
        ({**SCORE, "missing": "drop"}, 's.jsonl: none of 2 records has a score "q" here'),
    ],
)
def test_a_file_that_names_no_record_is_an_error(rule: dict[str, Any], said: str, tmp_path: Path) -> None:
    pl.DataFrame({"id": ["0" * 32], "embedding": [[1.0, 0.0]]}).write_parquet(tmp_path / "v.parquet")
    (tmp_path / "s.jsonl").write_text(json.dumps({"id": "f" * 32, "q": 1}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"^D310 .*{said}"):
        build(tmp_path, ROWS, rule)
