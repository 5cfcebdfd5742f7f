"""What a demanding owner of rules met: names that clash, files that rules read, texts that rules change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import doit
from doit.errors import DataError, DoitError, SpecError
from doit.inspecting.tables import funnel_table, show
from doit.mixtures.building.evidence import evidence_names
from doit.schemas.record import content_id
from doit.yamlio import dump

ITEM = "小明有十二个苹果，他给了小红三个，又从妈妈那里拿到了五个，请问小明现在一共有多少个苹果？"
ROWS = [{"instruction": f"请介绍第{n}个城市", "output": "春天去最好" + "，人不多" * (n % 3)} for n in range(12)]


def write(path: Path, rows: list[Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path.name


def build(folder: Path, rows: list[dict[str, Any]], *rules: dict[str, Any], **more: Any) -> doit.verbs.BuildAnswer:
    write(folder / "a.jsonl", rows)
    card = {"name": "a", "shape": {"kind": "alpaca"}, "source": {"files": "a.jsonl"}}
    spec = {"name": "t", "size": "all", "sources": [{"dataset": card}], "curation": list(rules), **more}
    (folder / "spec.yaml").write_text(dump(spec), encoding="utf-8")
    return doit.build(folder / "spec.yaml", folder / "out")


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [content_id([("user", row["instruction"]), ("assistant", row["output"])]) for row in rows]


def bench(shape: dict[str, Any] | None = None) -> dict[str, Any]:
    card = {"name": "b", "shape": shape or {"kind": "prompts", "prompt": "q"}, "source": {"files": "b.jsonl"}}
    return {"kind": "contaminated", "against": [card]}


@pytest.mark.parametrize("name", ["keep", "no target", "where", "exact_duplicates"])
def test_no_rule_is_called_what_the_ledger_says_of_other_records(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"D207.*curation\.0.*Choose another name"):
        build(tmp_path, ROWS, {"kind": "assistant_chars", "at_least": 8, "name": name})


def test_rules_of_one_kind_are_steps_of_their_own(tmp_path: Path) -> None:
    rules = [{"kind": "pattern", "matches": "第1个"}, {"kind": "turns", "at_least": 1}]
    answer = build(tmp_path, ROWS, *rules, {"kind": "pattern", "matches": "第[23]个"})

    assert answer.dropped == {"pattern": 1, "pattern-2": 2}
    assert [(step.rule, step.left) for step in answer.funnel][1:] == [("pattern", 11), ("turns", 11), ("pattern-2", 9)]
    (line,) = doit.why(tmp_path / "out", "a.jsonl:2").lines
    assert (line.rule, (line.asks or {})["matches"]) == ("pattern-2", "第[23]个")
    assert doit.verify(tmp_path / "out").ok


def test_rules_whose_names_make_one_file_name_keep_both_findings(tmp_path: Path) -> None:
    rules = [{"kind": "near_duplicates", "name": name, "threshold": t} for name, t in (("近一", 0.95), ("近二", 0.5))]
    rows = [*ROWS, {"instruction": "请介绍第０个城市", "output": ROWS[0]["output"]}]
    answer = build(tmp_path, rows, *rules)

    assert answer.dropped["近一"] == 1
    names = evidence_names([step.rule for step in answer.funnel])
    found = {rule: pl.read_parquet(tmp_path / "out" / "found" / names[rule]).height for rule in ("近一", "近二")}
    assert found == {rule: answer.dropped[rule] for rule in found}
    assert len({name.casefold() for name in evidence_names(["a b", "a/b", "A-B", "a-b-2"]).values()}) == 4


def test_a_benchmark_without_items_is_refused_and_lost_items_are_told(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", [{"question": ITEM}])
    with pytest.raises(DataError, match=r"D310.*benchmark b: all 1 of its rows are no items.*`q`"):
        build(tmp_path, ROWS, bench())
    write(tmp_path / "b.jsonl", [])
    with pytest.raises(DataError, match=r"D320.*benchmark b: it has no rows"):
        build(tmp_path, ROWS, bench())
    write(tmp_path / "b.jsonl", [{"q": ITEM}, {"question": ITEM}])
    answer = build(tmp_path, [*ROWS, {"instruction": ITEM, "output": "十四个"}], bench())
    assert answer.dropped == {"contaminated": 1}
    assert any(told.startswith("D310 benchmark b: 1 of its rows") for told in answer.warnings)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"kind": "near_duplicates", "best": "tokens"}, "D204.*no tokens were counted"),
        ({"kind": "top_scores", "by": "tokens", "keep": 0.5}, "D204.*no tokens were counted"),
        ({"kind": "near_duplicates", "scores": "s.jsonl"}, "D204.*no column of it"),
        ({"kind": "near_embeddings", "embeddings": "numbers.parquet"}, "D312.*`id` is Int64"),
    ],
)
def test_what_would_do_nothing_is_refused(tmp_path: Path, rule: dict[str, Any], said: str) -> None:
    pl.DataFrame({"id": [1, 2], "embedding": [[0.0, 1.0], [1.0, 0.0]]}).write_parquet(tmp_path / "numbers.parquet")
    with pytest.raises(DoitError, match=said):
        build(tmp_path, ROWS, rule)


def test_what_a_rule_rewrote_is_counted_and_explained(tmp_path: Path) -> None:
    rows = [
        {"instruction": "請介紹這個城市", "output": "電話13812345678"},
        {"instruction": "请说", "output": "电话13812345678"},
        {"instruction": "這個呢", "output": "x"},
        {"instruction": "你好", "output": "你好啊"},
    ]
    rules = [{"kind": "assistant_chars", "at_least": 2}, {"kind": "script", "to": "zh-Hans"}]
    answer = build(tmp_path, rows, *rules, {"kind": "secrets", "action": "redact", "name": "private"})

    told = {step.rule: (step.dropped, step.rewritten) for step in answer.funnel}
    assert told == {
        "exact_duplicates": (0, 0),
        "assistant_chars": (1, 0),
        "script": (0, 1),  # the short one was dropped before, and is not counted
        "private": (0, 2),
    }
    lines = pl.read_parquet(tmp_path / "out" / "ledger.parquet").sort("row")
    assert lines["rewritten"].to_list() == ["script, private", "private", "script", None]
    (line,) = doit.why(tmp_path / "out", "a.jsonl:0").lines
    assert line.rewritten == ("script", "private")
    assert any("script changed its text (to: zh-Hans" in fact for fact in line.facts)
    assert "1 rewritten" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert doit.verify(tmp_path / "out").ok


def test_the_funnel_table_adds_up_and_says_what_was_rewritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"instruction": "請介紹這個城市", "output": "好"}, {"instruction": "", "output": "好"}]
    answer = build(tmp_path, rows, {"kind": "script", "to": "zh-Hans"})
    show(funnel_table(answer.funnel, answer.read))
    told = capsys.readouterr().err
    assert "script (1 rewritten)" in told
    assert [line.split()[2:4] for line in told.splitlines() if line.startswith("no records")] == [["1", "1"]]


def test_why_names_the_benchmark_item_that_a_marked_record_holds(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", [{"q": "别的题目，与此无关，请回答它是什么"}, {"q": ITEM}])
    build(tmp_path, [{"instruction": ITEM, "output": "十四个"}, *ROWS], {**bench(), "action": "mark"})

    (line,) = doit.why(tmp_path / "out", "a.jsonl:0").lines
    assert (line.fate, line.holds) == ("drawn", ("b b.jsonl:1 1.0",))
    assert doit.why(tmp_path / "out", "a.jsonl:1").lines[0].holds == ()


def test_why_says_how_alike_the_kept_record_is(tmp_path: Path) -> None:
    long = "今天天气很好，我们一起去公园散步，看花看水看山，然后去吃饭，晚上回家休息。"
    rows = [{"instruction": "写一句话", "output": long}, {"instruction": "写一句话", "output": long[:-1] + "！"}]
    answer = build(tmp_path, [*rows, *ROWS], {"kind": "near_duplicates", "threshold": 0.8})
    assert answer.dropped["near_duplicates"] >= 1
    told = [line for row in (0, 1) for line in doit.why(tmp_path / "out", f"a.jsonl:{row}").lines]
    (dropped,) = [line for line in told if line.fate == "dropped"]
    assert any("similarity 0." in fact and "threshold 0.8" in fact for fact in dropped.facts)


def test_pieces_of_a_split_conversation_have_parts_of_their_own(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="the extra `tokens` is not installed")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    made.save(str(tmp_path / "tokenizer.json"))

    def chat(*lengths: int) -> dict[str, Any]:
        turns = []
        for number, length in enumerate(lengths):
            turns += [{"role": "user", "content": f"问{number}"}, {"role": "assistant", "content": "答" * length}]
        return {"messages": turns}

    write(tmp_path / "a.jsonl", [{"all": [chat(3), {"messages": []}, chat(9, 8, 7), chat(4)]}])
    card = {"name": "a", "shape": {"kind": "messages"}, "source": {"files": "a.jsonl"}, "each": "all"}
    rule = {"kind": "tokens", "at_most": 12, "tokenizer": "tokenizer.json", "over": "split"}
    spec = {"name": "t", "size": "all", "sources": [{"dataset": card}], "curation": [rule]}
    (tmp_path / "spec.yaml").write_text(dump(spec), encoding="utf-8")
    answer = doit.build(tmp_path / "spec.yaml", tmp_path / "out")

    assert answer.funnel[-1].rewritten == 3
    lines = pl.read_parquet(tmp_path / "out" / "ledger.parquet").sort("part")
    assert lines["part"].to_list() == [0, 1, 2, 3, 4, 5]
    assert lines.filter(pl.col("fate") == "rejected")["part"].to_list() == [1]
    assert lines.filter(pl.col("rewritten") == "tokens")["part"].to_list() == [2, 4, 5]
    piece = next(line for line in doit.why(tmp_path / "out", "a.jsonl:0").lines if line.part == 4)
    assert any("conversation that tokens split at 12" in fact for fact in piece.facts)
    assert doit.verify(tmp_path / "out").ok


def test_a_mixture_with_rules_that_read_files_is_rebuilt_elsewhere(tmp_path: Path) -> None:
    home = tmp_path / "home" / "specs"
    write(home / "b.jsonl", [{"q": ITEM}])
    rows = [*ROWS, {"instruction": ITEM, "output": "十四个"}]
    write(home / "scores" / "s.jsonl", [{"id": one, "q": at} for at, one in enumerate(ids(rows))])
    vectors = {"id": ids(rows), "embedding": [[1.0, float(min(at, 8))] for at in range(len(rows))]}
    pl.DataFrame(vectors).write_parquet(home / "v.parquet")
    rules = [
        bench(),
        {"kind": "score", "by": "q", "scores": "scores/s.jsonl", "at_least": 3},
        {"kind": "near_embeddings", "embeddings": "v.parquet", "threshold": 0.9999},
    ]
    answer = build(home, rows, *rules)
    assert answer.dropped == {"contaminated": 1, "score": 3, "near_embeddings": 3}
    document = json.loads((home / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert {one["file"] for one in document["rule_files"]} == {"b.jsonl", "scores/s.jsonl", "v.parquet"}

    shutil.copytree(home, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("out", "spec.yaml"))
    shutil.move(home / "out", tmp_path / "out")
    shutil.rmtree(tmp_path / "home")
    again = doit.rebuild(tmp_path / "out", tmp_path / "again", sources=tmp_path / "elsewhere")
    assert again.digest == answer.digest
    difference = doit.diff(tmp_path / "out", tmp_path / "again")
    assert not difference.inputs
    scores = tmp_path / "elsewhere" / "scores" / "s.jsonl"
    whole = scores.read_bytes()
    scores.write_bytes(whole + b"\n")
    with pytest.raises(DataError, match=r"D102.*s\.jsonl changed"):
        doit.rebuild(tmp_path / "out", tmp_path / "third", sources=tmp_path / "elsewhere")
    scores.write_bytes(whole)
    (tmp_path / "elsewhere" / "b.jsonl").unlink()
    with pytest.raises(SpecError, match=r"D206.*b\.jsonl \(b\) is not here"):
        doit.rebuild(tmp_path / "out", tmp_path / "third", sources=tmp_path / "elsewhere")


def test_a_changed_file_of_scores_is_a_changed_input(tmp_path: Path) -> None:
    rule = {"kind": "score", "by": "q", "scores": "s.jsonl", "at_least": 3}
    for name, bonus in (("one", 0), ("two", 1)):
        write(tmp_path / name / "s.jsonl", [{"id": one, "q": at + bonus} for at, one in enumerate(ids(ROWS))])
        build(tmp_path / name, ROWS, rule)
    (changed,) = doit.diff(tmp_path / "one" / "out", tmp_path / "two" / "out").inputs
    assert changed.what == "changed"
    assert (changed.a.source, changed.a.file) == ("scores", "s.jsonl")  # type: ignore[union-attr]


def test_copies_that_a_rewriting_makes_are_a_step_of_their_own(tmp_path: Path) -> None:
    rows = [
        {"instruction": "請介紹這個城市", "output": "風景優美"},
        {"instruction": "请介绍这个城市", "output": "风景优美"},
    ]
    rules = [{"kind": "exact_duplicates"}, {"kind": "script", "to": "zh-Hans"}, {"kind": "exact_duplicates"}]
    answer = build(tmp_path, rows, *rules)
    assert [(step.rule, step.dropped, step.left) for step in answer.funnel] == [
        ("exact_duplicates", 0, 2),
        ("script", 0, 2),
        ("exact_duplicates:conversation", 1, 1),
    ]


def test_a_manifest_with_shortened_paths_still_finds_what_rules_read(tmp_path: Path) -> None:
    write(tmp_path / "here" / "scores" / "s.jsonl", [{"id": one, "q": at} for at, one in enumerate(ids(ROWS))])
    rule = {"kind": "score", "by": "q", "scores": "../here/scores/s.jsonl", "at_least": 3}
    answer = build(tmp_path / "here", ROWS, rule)
    path = tmp_path / "here" / "out" / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["spec"]["curation"][0]["scores"] = "scores/s.jsonl"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert doit.rebuild(path, tmp_path / "again", sources=tmp_path / "here").digest == answer.digest
