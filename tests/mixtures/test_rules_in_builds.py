"""Rules of every kind inside builds: what they drop, rewrite and mark, and that the funnel and the ledger agree."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import doit
from doit.schemas.record import content_id
from doit.yamlio import dump

ITEM = "小明有十二个苹果，他给了小红三个，又从妈妈那里拿到了五个，请问小明现在一共有多少个苹果？"
OTHER = "请用三句话介绍一下杭州西湖的风景和历史，并说明什么季节去最合适，再推荐两处不太拥挤的地方"


def build(folder: Path, rows: list[dict[str, Any]], *rules: dict[str, Any], **more: Any) -> doit.verbs.BuildAnswer:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "a.jsonl").write_text(lines, encoding="utf-8")
    card = {"name": "a", "shape": {"kind": "alpaca"}, "source": {"files": "a.jsonl"}}
    spec = {"name": "t", "size": "all", "sources": [{"dataset": card}], "curation": list(rules), **more}
    (folder / "spec.yaml").write_text(dump(spec), encoding="utf-8")
    return doit.build(folder / "spec.yaml", folder / "out")


def mixture(folder: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(folder / "out" / "data" / "train-*.parquet").sort("row").to_dicts()


def benchmark(folder: Path, *prompts: str, **more: Any) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps({"q": prompt}, ensure_ascii=False) + "\n" for prompt in prompts)
    (folder / "bench.jsonl").write_text(lines, encoding="utf-8")
    card = {"name": "bench", "shape": {"kind": "prompts", "prompt": "q"}, "source": {"files": "bench.jsonl"}, **more}
    return {"kind": "contaminated", "against": [card]}


def test_a_benchmark_item_is_dropped_with_its_place(tmp_path: Path) -> None:
    rule = benchmark(tmp_path, OTHER[:20], ITEM)
    rows = [{"instruction": f"解答：{ITEM}", "output": "十四个"}, {"instruction": OTHER, "output": "好"}]

    answer = build(tmp_path, [*rows, {"instruction": "写一首关于雪的短诗", "output": "雪落"}], rule)

    assert answer.dropped == {"contaminated": 2}
    assert [(c.benchmark, c.items, c.found, c.records) for c in answer.contamination] == [("bench", 2, 2, 2)]
    values = pl.read_parquet(tmp_path / "out" / "ledger.parquet").sort("row")["value"].to_list()
    assert values == ["bench bench.jsonl:1 1.0", "bench bench.jsonl:0 1.0", None]
    found = pl.read_parquet(tmp_path / "out" / "found" / "contaminated.parquet")
    assert ITEM[:-1] in found.filter(pl.col("row") == 1)["text"].item()
    assert doit.verify(tmp_path / "out").ok


def test_a_marked_record_stays_and_carries_the_benchmark(tmp_path: Path) -> None:
    rule = benchmark(tmp_path, ITEM)

    answer = build(tmp_path, [{"instruction": ITEM, "output": "十四个"}], {**rule, "action": "mark"})

    assert (answer.drawn, answer.dropped) == (1, {})
    assert [row["tags"] for row in mixture(tmp_path)] == [["contaminated:bench"]]
    assert doit.verify(tmp_path / "out").ok


def test_a_benchmark_may_be_a_card_file_beside_its_data(tmp_path: Path) -> None:
    rule = benchmark(tmp_path / "benchmarks", ITEM)
    (tmp_path / "benchmarks" / "card.yaml").write_text(dump(rule["against"][0]), encoding="utf-8")

    rule = {"kind": "contaminated", "against": ["benchmarks/card.yaml"]}
    answer = build(tmp_path, [{"instruction": ITEM, "output": "十四个"}, {"instruction": OTHER, "output": "好"}], rule)

    assert answer.dropped == {"contaminated": 1}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["spec"]["curation"][0]["against"][0]["source"]["files"] == ["benchmarks/bench.jsonl"]


@pytest.mark.parametrize(
    ("against", "said"),
    [
        ("nowhere.yaml", "D206"),
        ("gsm8k", "D204"),
        ("no-such-benchmark", "D203"),
        ({"name": "b", "shape": {"kind": "prompts"}}, "D204 .*names no files"),
        ({"name": "b", "shape": {"kind": "prompts"}, "source": {"files": "no.jsonl"}}, "D206"),
    ],
)
def test_a_benchmark_that_is_not_there_is_refused(tmp_path: Path, against: Any, said: str) -> None:
    with pytest.raises(doit.SpecError, match=said):
        build(tmp_path, [{"instruction": ITEM, "output": "好"}], {"kind": "contaminated", "against": [against]})


def test_scores_from_a_file_choose_inside_every_cell(tmp_path: Path) -> None:
    rows = [{"instruction": f"第{n}个问题是什么意思", "output": f"这是答案{n}"} for n in range(6)]
    rows += [
        {"instruction": f"What is the answer to number {n}?", "output": f"It is {n}, of course."} for n in range(6)
    ]
    lines = "".join(json.dumps({"file": "a.jsonl", "row": n, "quality": (n * 5) % 12}) + "\n" for n in range(12))
    (tmp_path / "scores.jsonl").write_text(lines, encoding="utf-8")

    rule = {
        "kind": "top_scores",
        "by": "quality",
        "scores": "scores.jsonl",
        "keep": {"records": 2},
        "per": ["language"],
    }
    build(tmp_path, rows, rule)

    assert [row["row"] for row in mixture(tmp_path)] == [2, 4, 7, 9]


def test_scripts_and_secrets_are_rewritten_and_later_rules_see_it(tmp_path: Path) -> None:
    rows = [
        {"instruction": "請問頭髮裡面有什麼", "output": "頭髮裡面主要是角蛋白，來信 li.lei@sina.cn"},
        {"instruction": "请问头发里面有什么", "output": "头发里面主要是角蛋白，来信 hanmeimei@163.com"},
        {"instruction": "What is hair made of?", "output": "Keratin, for the most part."},
    ]
    rules = [
        {"kind": "script", "to": "zh-Hans"},
        {"kind": "secrets", "action": "redact"},
        {"kind": "exact_duplicates", "of": "conversation", "ignoring": ["punctuation"]},
    ]

    answer = build(tmp_path, rows, *rules)

    assert answer.drawn == 2
    kept = mixture(tmp_path)
    (chinese,) = [row for row in kept if row["language"] == "zh-Hans"]
    assert chinese["messages"][1]["content"] == "头发里面主要是角蛋白，来信 [e-mail]"
    assert "rewritten:secrets" in chinese["tags"]
    ids = {content_id([("user", row["instruction"]), ("assistant", row["output"])]) for row in rows}
    assert {row["id"] for row in kept} < ids, "an id is that of the texts as they were read"
    assert doit.verify(tmp_path / "out").ok


def test_a_changed_threshold_reads_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"instruction": f"问题{n}", "output": "答" * (n + 1)} for n in range(9)]
    assert build(tmp_path, rows, {"kind": "assistant_chars", "at_least": 3}).drawn == 7

    monkeypatch.setattr("doit.mixtures.pools.measuring._measure", lambda task: pytest.fail("measured again"))

    assert build(tmp_path, rows, {"kind": "assistant_chars", "at_least": 5}).drawn == 5


def test_a_source_that_loses_more_than_half_is_named(tmp_path: Path) -> None:
    rows = [{"instruction": f"问题{n}", "output": "答" * (n + 1)} for n in range(9)]

    assert not build(tmp_path, rows, {"kind": "assistant_chars", "at_least": 5}).warnings
    (warning,) = build(tmp_path, rows, {"kind": "assistant_chars", "at_least": 6}).warnings

    assert warning.startswith("D322 a: curation drops 5 of 9 records, 5 of them by assistant_chars")


texts = st.sampled_from(
    ["好", "好的", "作为一个AI语言模型，我不能这样做", OTHER, OTHER + "！", ITEM, "&nbsp;见下", "哈哈" * 20, "1+1"]
)
rules = st.lists(
    st.sampled_from(
        [
            {"kind": "assistant_chars", "at_least": 2},
            {"kind": "turns", "at_most": 1},
            {"kind": "leftovers"},
            {"kind": "identity_leak"},
            {"kind": "repetition"},
            {"kind": "script", "to": "zh-Hant"},
            {"kind": "exact_duplicates", "of": "answer"},
            {"kind": "near_duplicates", "of": "prompt", "name": "twins"},
            {"kind": "top_scores", "by": "chars", "keep": 0.5},
        ]
    ),
    max_size=4,
    unique_by=lambda rule: rule["kind"],
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=12), rules)
def test_the_funnel_is_the_ledger(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], chosen: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("funnel")
    rows = [{"instruction": prompt, "output": answer} for prompt, answer in pairs]
    try:
        build(folder, rows, *chosen)
    except doit.ShortStock:
        return

    manifest = json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))
    lines = pl.read_parquet(folder / "out" / "ledger.parquet")
    dropped = Counter(lines.filter(pl.col("fate") == "dropped")["rule"])
    left = lines.height
    assert len(manifest["funnel"]) == 1 + len(chosen)
    for step in manifest["funnel"]:
        left -= step["dropped"]
        assert step["dropped"] == dropped.pop(step["rule"], 0) == sum(step.get("sources", {}).values())
        assert step["left"] == left
    assert not dropped
    assert left == lines.filter(pl.col("fate").is_in(["drawn", "unused"])).height
