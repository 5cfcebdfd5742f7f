"""The shipped cards of well-known benchmarks: what they read, and how a rule names them with their files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import doit
from doit.errors import DoitError, SpecError
from doit.mixtures.loading import load_card
from doit.reading.records import read_records
from doit.yamlio import dump

ITEM = "小明有十二个苹果，他给了小红三个，又从妈妈那里拿到了五个，请问小明现在一共有多少个苹果？"
ROWS = [{"instruction": ITEM, "output": "十四个"}, {"instruction": "写一首关于雪的短诗", "output": "雪落"}]


def write(path: Path, rows: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def build(folder: Path, *against: Any, rows: list[Any] | None = None) -> doit.verbs.BuildAnswer:
    write(folder / "a.jsonl", ROWS if rows is None else rows)
    card = {"name": "a", "shape": {"kind": "alpaca"}, "source": {"files": "a.jsonl"}}
    rule = {"kind": "contaminated", "against": list(against)}
    spec = {"name": "t", "size": "all", "sources": [{"dataset": card}], "curation": [rule]}
    (folder / "spec.yaml").write_text(dump(spec), encoding="utf-8")
    return doit.build(folder / "spec.yaml", folder / "out")


READ = {
    "gsm8k": ("gsm8k/test.jsonl", 1319, 0),
    "mgsm": ("mgsm/*.tsv", 1250, 0),
    "cmmlu": ("cmmlu/*/*.csv", 11917, 0),
    "c3": ("c3-dialog-mc/c3-d-dev.json", 1825, 0),
    "agieval": ("agieval/v1/[!g]*.jsonl", 2775, 1),
    "agieval-cloze": ("agieval/v1/gaokao-mathcloze.jsonl", 118, 0),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", READ)
def test_a_card_reads_its_benchmark(name: str, shared: Path) -> None:
    pattern, records, rejects = READ[name]
    card = load_card(name, beside=None)[0]
    batches = [batch for path in sorted(shared.glob(pattern)) for batch in read_records(path, card)]
    assert sum(batch.records.num_rows for batch in batches) == records
    assert sum(len(batch.rejects) for batch in batches) == rejects
    assert "benchmark" in str(card.about)


@pytest.mark.shared
def test_items_of_real_benchmarks_are_found_by_the_names_of_their_cards(shared: Path, tmp_path: Path) -> None:
    named = {
        "gsm8k": "gsm8k/test.jsonl",
        "mgsm": "mgsm/mgsm_zh.tsv",
        "cmmlu": "cmmlu/test/chinese_history.csv",
        "c3": "c3-dialog-mc/c3-d-dev.json",
        "agieval": "agieval/v1/logiqa-zh.jsonl",
        "agieval-cloze": "agieval/v1/gaokao-mathcloze.jsonl",
    }
    rows = []
    for name, file in named.items():
        (tmp_path / "eval" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared / file, tmp_path / "eval" / file)
        first = next(read_records(shared / file, load_card(name, beside=None)[0])).records["messages"][5].as_py()
        rows.append({"instruction": "请回答：" + first[0]["content"], "output": "好"})

    against = [{"dataset": name, "files": f"eval/{file}"} for name, file in named.items()]
    answer = build(tmp_path, *against, rows=[*rows, *ROWS])

    assert answer.dropped == {"contaminated": 6}
    assert {one.benchmark for one in answer.contamination if one.records == 1} == set(named)
    assert doit.verify(tmp_path / "out").ok


def test_a_rule_names_a_shipped_card_with_its_files(tmp_path: Path) -> None:
    write(tmp_path / "eval" / "a.jsonl", [{"question": ITEM, "answer": "14"}])
    write(tmp_path / "eval" / "b.jsonl", [{"question": "另一个题目，与此没有任何关系，请说明理由", "answer": "无"}])

    answer = build(tmp_path, {"dataset": "gsm8k", "files": ["eval/a.jsonl", "eval/b.jsonl"]})

    assert answer.dropped == {"contaminated": 1}
    values = pl.read_parquet(tmp_path / "out" / "ledger.parquet").sort("row")["value"].to_list()
    assert values == ["gsm8k eval/a.jsonl:0 1.0", None]
    document = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert [(one["of"], one["file"]) for one in document["rule_files"]] == [
        ("gsm8k", "eval/a.jsonl"),
        ("gsm8k", "eval/b.jsonl"),
    ]
    shutil.move(tmp_path / "out", tmp_path / "moved")
    again = doit.rebuild(tmp_path / "moved", tmp_path / "again", sources=tmp_path)
    assert again.digest == answer.digest


def test_a_card_file_elsewhere_is_named_with_files_relative_to_the_spec(tmp_path: Path) -> None:
    write(tmp_path / "eval" / "a.jsonl", [{"q": ITEM}])
    (tmp_path / "cards").mkdir()
    card = {"name": "house", "shape": {"kind": "prompts", "prompt": "q"}}
    (tmp_path / "cards" / "house.yaml").write_text(dump(card), encoding="utf-8")
    answer = build(tmp_path, {"dataset": "cards/house.yaml", "files": "eval/*.jsonl"})
    assert answer.dropped == {"contaminated": 1}


@pytest.mark.parametrize(
    ("against", "code", "said"),
    [
        ("gsm8k", "D204", 'curation.against: "gsm8k" names no files. Write `{dataset: gsm8k, files: …}`.'),
        ({"dataset": "gsm8", "files": "a"}, "D203", 'Did you mean "gsm8k"?'),
        ({"dataset": "gsm8k", "files": "eval/none.jsonl"}, "D206", "none.jsonl"),
        ({"dataset": "gsm8k"}, "D204", "curation.0.against.0.files: missing."),
        ({"dataset": "gsm8k", "file": "a"}, "D202", "curation.0.against.0.file: unknown key. Did you mean \"files\"?"),
        ({"dataset": "gsm8k", "files": []}, "D204", "curation.0.against.0.files: must not be empty."),
        ({"name": "x"}, "D204", "curation.0.against.0.shape: missing."),
        (3, "D204", "curation.0.against.0: must be text, not 3."),
    ],
)  # fmt: skip
def test_a_benchmark_that_is_named_wrongly_is_an_error_that_says_how(
    against: Any, code: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DoitError) as caught:
        build(tmp_path, against)
    assert isinstance(caught.value, SpecError)
    assert caught.value.code == code
    assert said in str(caught.value)
