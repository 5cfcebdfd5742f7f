"""`doit init`: a folder in, a spec that builds out, with everything that is doubtful said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import doit
from doit.cli import main
from doit.inspecting.labels import ability_of
from doit.inspecting.starting import FoundSource
from doit.reading.sniffing import Sniffed, sniff

Write = Callable[[str, Any], Path]

ZH = [{"指令": f"请解释第{n}个成语的意思。", "输出": f"第{n}个成语的意思是这样的。"} for n in range(30)]
EN = [{"prompt": f"Where does river {n} end?", "response": f"River {n} ends in the sea."} for n in range(20)]


@pytest.fixture
def folder(write: Write, tmp_path: Path) -> Path:
    """Some sources as people keep them: training sets, a benchmark, prompts, raw text, an odd encoding, a page."""
    subjects = ["math", "代码", "Role-play chat"]
    write("in/zh/a.jsonl", [row | {"类别": subjects[n % 3]} for n, row in enumerate(ZH)])
    write("in/zh/b.jsonl", [row | {"类别": "math"} for row in ZH[:10]])
    write("in/en [1]/rivers.json", json.dumps(EN))
    write("in/bench/test.jsonl", [{"question": f"What is {n} plus {n}?", "answer": str(2 * n)} for n in range(9)])
    write("in/ask/prompts.jsonl", [{"prompt": f"写一首关于{n}的诗"} for n in range(9)])
    write("in/raw.jsonl", [{"text": f"第{n}段没有人问过的文字。"} for n in range(9)])
    write("in/old.csv", "提问,回答\n头疼怎么办？,多休息几天就好。\n咳嗽怎么办呢？,多喝一些温水。\n".encode("gb18030"))
    write("in/README.md", "# Sets\n\nWords about them.\n")
    return tmp_path / "in"


def by_name(answer: Any) -> dict[str, FoundSource]:
    return {source.name: source for source in answer.sources}


def test_the_written_spec_builds_at_once(folder: Path, tmp_path: Path) -> None:
    answer = doit.init(folder, out=tmp_path / "specs" / "start.yaml")

    built = doit.build(tmp_path / "specs" / "start.yaml", tmp_path / "out")

    assert answer.records == 60
    assert answer.distinct == built.drawn == 50
    assert set(built.sources) == {"zh", "en-1"}
    assert built.warnings == ()
    assert doit.verify(tmp_path / "out").ok


def test_sources_are_grouped_counted_and_labelled(folder: Path) -> None:
    found = by_name(doit.init(folder))

    zh = found["zh"]
    assert zh.files == ("zh/a.jsonl", "zh/b.jsonl")
    assert (zh.kind, zh.records, zh.fit, zh.languages) == ("qa", 40, 1.0, {"zh-Hans": 40})
    assert zh.labels[0].abilities == {"math": "math", "代码": "code", "Role-play chat": "role_play"}
    assert zh.abilities == {"math": 20, "code": 10, "role_play": 10}
    assert zh.card is not None
    assert zh.card["ability"]["field"] == "类别"


def test_what_is_doubtful_is_left_out_with_its_reason(folder: Path) -> None:
    answer = doit.init(folder)

    left = {source.name: source for source in answer.sources if not source.taken}
    assert {name: source.use for name, source in left.items()} == {
        "ask": "prompts",
        "bench": "benchmark",
        "old": "training",
        "raw": "text",
        "unknown-files": "unknown",
    }
    assert all(source.reasons for source in left.values())
    assert "  #       encoding: gb18030" in answer.spec
    assert "# Left out." in answer.spec


def test_feasible_mixtures_hold(folder: Path, tmp_path: Path) -> None:
    answer = doit.init(folder, out=tmp_path / "start.yaml")

    assert any("{zh: 0.5, en: 0.5}` holds up to about 40" in sentence for sentence in answer.feasible)
    asked = ["mix.language.zh=0.5", "mix.language.en=0.5"]
    assert doit.build(tmp_path / "start.yaml", tmp_path / "out", overrides=asked).drawn == 40


def test_many_files_become_a_glob_that_matches_no_others(write: Write, tmp_path: Path) -> None:
    for number in range(8):
        write(f"in/set/{number}.json", json.dumps(EN))
    write("in/set/other.jsonl", [{"prompt": f"写一首关于{n}的诗"} for n in range(9)])

    cards = {source.kind: source.card for source in doit.init(tmp_path / "in").sources}

    assert cards["qa"] is not None
    assert cards["qa"]["source"]["files"].endswith("in/**/*.json") or cards["qa"]["source"]["files"].endswith("*.json")
    assert cards["prompts"] is not None
    assert cards["prompts"]["source"]["files"].endswith("other.jsonl")


def test_doits_own_layout_takes_abilities_from_file_names(write: Write, tmp_path: Path) -> None:
    talk = [
        {"messages": [{"role": "user", "content": f"问题{n}？"}, {"role": "assistant", "content": "答。"}]}
        for n in range(9)
    ]
    for ability in ("biology", "code", "role_play"):
        write(f"in/doit/{ability}_full.json", json.dumps(talk))

    (source,) = doit.init(tmp_path / "in").sources

    assert source.card is not None
    assert source.card["ability"] == {"file_stem": True}
    assert source.abilities == {"biology": 9, "code": 9, "role_play": 9}


def test_one_file_works_like_a_folder(write: Write, tmp_path: Path) -> None:
    path = write("rivers.jsonl", EN)

    answer = doit.init(path, out=tmp_path / "start.yaml")

    assert [source.files for source in answer.sources] == [("rivers.jsonl",)]
    assert doit.build(tmp_path / "start.yaml", tmp_path / "out").drawn == 20


def test_a_mixture_of_ours_and_hidden_files_are_no_sources(write: Write, tmp_path: Path) -> None:
    write("in/a.jsonl", EN)
    write("in/.cache/b.jsonl", EN)
    doit.init(tmp_path / "in", out=tmp_path / "start.yaml")
    doit.build(tmp_path / "start.yaml", tmp_path / "in" / "built")

    assert doit.init(tmp_path / "in").files == 1


def test_nothing_to_train_on_is_said(write: Write, tmp_path: Path) -> None:
    write("in/prompts.jsonl", [{"prompt": f"写一首关于{n}的诗"} for n in range(9)])

    answer = doit.init(tmp_path / "in")

    assert answer.feasible == ("No source can be trained on as it is.",)
    assert "sources: []" in answer.spec


def test_hostile_names_stay_inside_their_comment(write: Write, tmp_path: Path) -> None:
    write("in/a.jsonl", [{**row, "x\nname: evil\u2028": "\x1b[31m"} for row in EN])

    answer = doit.init(tmp_path / "in", out=tmp_path / "start.yaml")

    assert "\x1b" not in answer.spec
    assert not any(line.startswith("name: evil") for line in answer.spec.splitlines())
    assert doit.build(tmp_path / "start.yaml", tmp_path / "out").drawn == 20


@pytest.mark.parametrize(
    ("label", "ability"), [("Math", "math"), ("代码", "code"), ("role play", "role_play"), ("闲聊", None)]
)
def test_labels_are_matched_by_key_and_name(label: str, ability: str | None) -> None:
    assert ability_of(label) == ability


@pytest.mark.parametrize("name", ["none", "empty"])
def test_wrong_use_is_one_coded_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(SystemExit) as stop:
        main(["init", str(tmp_path / name)])

    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("D206 ")


def test_a_spec_that_is_there_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    target.write_text("name: mine\n", encoding="utf-8")

    with pytest.raises(doit.StorageError, match="D101"):
        doit.init(folder, out=target)

    assert target.read_text(encoding="utf-8") == "name: mine\n"


def test_the_command_prints_the_spec_alone_or_one_json_document(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as stop:
        main(["init", str(folder)])
    assert not stop.value.code
    out, err = capfd.readouterr()
    (tmp_path / "start.yaml").write_text(out, encoding="utf-8")
    assert doit.plan(tmp_path / "start.yaml").size == 50
    assert "bench" in err
    assert "类别" in err

    with pytest.raises(SystemExit):
        main(["init", str(folder), "--json"])
    answer = json.loads(capfd.readouterr().out)
    assert {"folder", "files", "sources", "records", "languages", "abilities", "feasible", "spec"} <= set(answer)


CHAT = {"chat", "sharegpt", "messages"}
EXPECTED: dict[str, set[str | None]] = {
    "agieval/v1/LICENSE": {None},
    "agieval/v1/gaokao-mathcloze.jsonl": {"qa"},
    "agieval/": {"choice"},
    "alpaca-cleaned-extensions/": {"alpaca"},
    "alpaca-cot-flan/formatted_cot_data/": {"alpaca"},
    "alpaca-cot-flan/origin_cot_data/": {"cot"},
    "alpaca-farm/": {"alpaca"},
    "belle/eval/": {"qa"},
    "belle/": {"alpaca"},
    "c3-dialog-mc/": {"choice"},
    "chinese-squad-v2/": {"mrc"},
    "chinese-vicuna-sample/chat/": {"pairs"},
    "chinese-vicuna-sample/instruct/": {"alpaca"},
    "cmmlu/": {"choice"},
    "cmrc2018/": {"mrc"},
    "code-alpaca/": {"alpaca"},
    "crosswoz/": CHAT,
    "cvalues-prompts/": {"prompts"},
    "data-juicer-demos/demos/data/demo-dataset-annotation": {"qa"},
    "data-juicer-demos/demos/data/demo-dataset-chatml": CHAT,
    "data-juicer-demos/demos/process": {"alpaca"},
    "data-juicer-demos/": {"text"},
    "drcd-zh-hant/": {"mrc"},
    "fastchat/data/": CHAT,
    "fastchat/fastchat/": {"prompts"},
    "gaokao-bench/Objective": {"choice"},
    "gaokao-bench/Subjective": {"qa", "cot"},
    "gsm8k/": {"qa"},
    "hh-rlhf/": {"marked_text"},
    "humaneval/": {"qa"},
    "instructionwild/": {"prompts"},
    "kdconv/": CHAT,
    "lawyer-llama/": CHAT,
    "lccc-toy/toy_data.json": CHAT,
    "lccc-toy/toy_valid.txt": {"qa"},
    "llamafactory-demos/alpaca": {"alpaca"},
    "llamafactory-demos/identity": {"alpaca"},
    "llamafactory-demos/c4": {"text"},
    "llamafactory-demos/dataset_info": {None},
    "llamafactory-demos/": CHAT,
    "llm-foundry-eval/arc": {"choice"},
    "llm-foundry-eval/jeopardy": {"qa"},
    "medicalgpt-sharegpt-zh/": CHAT,
    "mgsm/": {"qa"},
    "mkqa-sample/": {"qa", "mrc"},
    "moss-003-sft-samples/conversations/": {"pairs"},
    "moss-003-sft-samples/user_prompts/": {"prompts"},
    "mt-bench-zh/": {"prompts"},
    "oasst-en100/": {"tree"},
    "oasst-zh-history/": {"alpaca"},
    "opengpt-csv/example_project_data/prepared": {"marked_text"},
    "opengpt-csv/example_project_data/raw": {None, "text"},
    "opengpt-csv/nhs": {"text"},
    "pandalm-pairwise/": {"qa", "alpaca"},
    "promptcblue-toy/dev_structured": {None},
    "promptcblue-toy/": {"qa", "alpaca"},
    "self-instruct-eval/": {"alpaca"},
    "smilechat/": CHAT,
    "stanford-alpaca-seeds/": {"alpaca"},
    "taiwan-llm-bench/zh_tw_bench/question": {"prompts"},
    "taiwan-llm-bench/": {None},
    "toolbench-example/": {"tree", *CHAT},
    "vigogne-fr/chat/": CHAT,
    "vigogne-fr/instruct/": {"alpaca"},
    "xtuner-openai/": CHAT,
    "zh-medical-gb18030/": {"qa"},
}
"""Beginning of a path -> the shapes that are right for it; the first that matches counts. Our own annotation, made from
each SOURCE.md and the files."""

BENCHMARKS = (
    *("gsm8k/", "mgsm/", "cmmlu/", "agieval/v1/a", "agieval/v1/g", "agieval/v1/j", "agieval/v1/l", "agieval/v1/s"),
    *("gaokao-bench/", "humaneval/", "self-instruct-eval/", "mt-bench-zh/", "taiwan-llm-bench/zh_tw_bench/question"),
    *("llm-foundry-eval/", "fastchat/fastchat/", "belle/eval/"),
)
"""Evaluation sets, by the README of the data."""

BROKEN = {
    "zh-medical-gb18030/": "gb18030",
    "instructionwild/data_v2/user_2": "broken rows",
    "instructionwild/data_v2/user_3": "broken rows",
    "pandalm-pairwise/": "boolean",
}


@pytest.fixture(scope="module")
def sniffed() -> dict[str, Sniffed]:
    shared = Path(__file__).parents[3] / "shared" / "data"
    if not shared.is_dir():
        pytest.skip("../shared/data is not here: the real sets are needed for this test")
    files = [
        path for path in sorted(shared.rglob("*")) if path.is_file() and path.name not in ("SOURCE.md", "README.md")
    ]
    names = [path.relative_to(shared).as_posix() for path in files]
    return {name: sniff(path, shown=name) for name, path in zip(names, files, strict=True)}


def expected(name: str) -> set[str | None]:
    return next(kinds for beginning, kinds in EXPECTED.items() if name.startswith(beginning))


@pytest.mark.shared
def test_nine_of_ten_real_files_and_sources_have_the_right_shape(sniffed: dict[str, Sniffed]) -> None:
    misses = {name: found.kind for name, found in sniffed.items() if found.kind not in expected(name)}

    sources = {name.split("/")[0] for name in sniffed}
    wrong = {name.split("/")[0] for name in misses}
    assert len(sniffed) == 639
    assert len(sources) == 44
    assert len(misses) <= 0.02 * len(sniffed), misses
    assert len(wrong) <= 0.1 * len(sources), misses


@pytest.mark.shared
def test_no_real_benchmark_or_broken_file_passes_unsaid(sniffed: dict[str, Sniffed]) -> None:
    unsaid = [name for name, found in sniffed.items() if name.startswith(BENCHMARKS) and found.use != "benchmark"]
    silent = [
        name
        for name, found in sniffed.items()
        for beginning, word in BROKEN.items()
        if name.startswith(beginning) and not any(word in doubt for doubt in found.doubts)
    ]

    assert unsaid == []
    assert silent == []


@pytest.mark.shared
@pytest.mark.slow
def test_the_spec_of_all_real_sets_builds_and_verifies(shared: Path, tmp_path: Path) -> None:
    answer = doit.init(shared, out=tmp_path / "start.yaml")

    built = doit.build(tmp_path / "start.yaml", tmp_path / "out")

    assert built.drawn == answer.distinct > 30_000
    assert doit.verify(tmp_path / "out").ok
    assert not {source.name for source in answer.sources if source.taken and source.use == "benchmark"}
