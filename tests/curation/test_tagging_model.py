from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from doit.curation.tagging import fitting, model, rules, weights
from doit.curation.tagging.evaluating import evaluate
from doit.curation.tagging.explaining import explain
from doit.curation.tagging.model import Tagger, load_tagger, tag
from doit.errors import DataError, MissingExtra, SpecError

pytest.importorskip("sklearn", reason="fitting needs the extra `tag`")

PLANTS = ["叶子", "根", "花", "茎", "种子", "果实", "树皮", "花粉"]
SUMS = ["三加五", "七乘八", "九减二", "十除五", "一加一", "六乘六", "八减三", "四加九"]


def records(source: str = "s", copies: int = 6) -> pl.DataFrame:
    rows = [(f"{what}有什么作用，第{at}问", "它很重要", "biology", source) for what in PLANTS for at in range(copies)]
    rows += [(f"{what}是多少，第{at}题", "是十", "math", source) for what in SUMS for at in range(copies)]
    return pl.DataFrame(rows, schema=fitting.COLUMNS, orient="row")


@pytest.fixture(scope="module")
def small() -> Tagger:
    return fitting.fit(pl.concat([records(name) for name in "abc"]), base=False)


def test_a_fitted_model_tells_its_abilities_apart(small: Tagger) -> None:
    tags = tag(pl.Series(["树叶有什么作用", "二加二是多少"]), pl.Series(["它很重要", "是四"]), small)
    assert tags["ability"].to_list() == ["biology", "math"]
    assert tags["reason"].to_list() == ["model", "model"]
    assert tags.schema == model.TAGS
    assert tags["score"].is_between(0.5, 1).all()


def test_the_order_of_records_changes_nothing(small: Tagger) -> None:
    shuffled = pl.concat([records(name) for name in "cab"]).sample(fraction=1, shuffle=True, seed=3)
    assert fitting.fit(shuffled, base=False).digest == small.digest


def test_a_model_comes_back_from_its_file_as_it_was(small: Tagger, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    small.save(path)
    back = load_tagger(str(path))
    assert back.digest == small.digest
    asked, told = pl.Series(["花有什么作用"]), pl.Series([""])
    assert tag(asked, told, back).equals(tag(asked, told, small))


def test_the_file_is_what_safetensors_reads(small: Tagger, tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy", reason="the library safetensors is not installed")
    path = tmp_path / "m.safetensors"
    small.save(path)
    read = numpy.load_file(path)
    ours, _ = weights.load(path)
    assert all(np.array_equal(read[name], ours[name]) for name in ours)
    assert set(read) == {"buckets", "weights", "bias"}


def _broken() -> dict[str, bytes]:
    header = json.dumps({"a": {"dtype": "I16", "shape": [9], "data_offsets": [0, 18]}}).encode()
    other = json.dumps({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 2]}}).encode()
    return {
        "empty": b"",
        "text": b"not a model at all",
        "long header": struct.pack("<Q", 1 << 40) + b"{}",
        "outside": struct.pack("<Q", len(header)) + header + b"\0\0",
        "type": struct.pack("<Q", len(other)) + other + b"\0\0",
        "list": struct.pack("<Q", 2) + b"[]",
        "nothing": struct.pack("<Q", 2) + b"{}",
    }


@pytest.mark.parametrize("name", _broken())
def test_a_broken_file_is_an_error_with_a_code(name: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(_broken()[name])
    with pytest.raises(DataError) as raised:
        load_tagger(str(path))
    assert raised.value.code == "D309"


def test_a_model_of_other_features_is_refused(small: Tagger, tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    arrays, notes = small._parts()
    weights.save(path, arrays, {**notes, "features": "0" * 64})
    with pytest.raises(DataError, match="other features"):
        load_tagger(str(path))


def test_a_missing_model_is_named() -> None:
    with pytest.raises(SpecError, match="D206"):
        load_tagger("nowhere/m.safetensors")


def test_under_the_threshold_there_is_no_tag(small: Tagger) -> None:
    asked = pl.Series(["天气怎么样", "", None, "花有什么作用"])
    told = pl.Series(["晴", "", None, "它很重要"])
    tags = tag(asked, told, small, threshold=0.9999)
    assert tags["ability"][:3].null_count() == 3
    assert tags["reason"][:3].to_list() == ["unsure"] * 3
    assert tag(asked[1:3], told[1:3], small, threshold=1e-9)["ability"].null_count() == 2, "nothing is said: no tag"


def test_a_threshold_is_a_share(small: Tagger) -> None:
    with pytest.raises(SpecError, match="D204"):
        tag(pl.Series(["花"]), pl.Series([""]), small, threshold=2)


def test_no_records_make_no_tags(small: Tagger) -> None:
    empty = pl.Series([], dtype=pl.String)
    assert tag(empty, empty, small).schema == model.TAGS


def test_a_rule_that_the_labels_contradict_is_left_out() -> None:
    asked = [f"请扮演{role}，第{at}次" for role in ("老师", "医生", "导游") for at in range(12)]
    wrong = pl.DataFrame({"prompt": asked, "answer": "", "ability": "math", "source": "s"}, orient="row")
    stubborn = fitting.fit(pl.concat([records(), wrong.select(fitting.COLUMNS)]), base=True)
    assert stubborn.rule_score("role_play__part_given") < 0.8
    assert not tag(pl.Series(["请扮演老师"]), pl.Series([""]), stubborn)["reason"][0].startswith("rule:role_play")
    trusting = fitting.fit(records(), base=True)
    assert tag(pl.Series(["请扮演老师"]), pl.Series([""]), trusting).row(0)[::2] == (
        "role_play",
        "rule:role_play__part_given",
    )


def test_where_rules_disagree_none_decides() -> None:
    found = rules.hits(pl.Series(["请扮演老师，写一首关于秋天的诗", "请扮演老师", "天气"]))
    told = rules.decided(found, np.ones(len(rules.rule_names()), dtype=bool)).tolist()
    assert told[0] == -1
    assert rules.rule_names()[told[1]] == "role_play__part_given"
    assert told[2] == -1


@pytest.mark.parametrize(
    ("prompt", "rule"),
    [
        ("用Python写一个快速排序函数", "code__program_asked_for"),
        ("請用 Python 寫一支程式", "code__program_asked_for"),
        ("Write a SQL query that counts rows", "code__program_asked_for"),
        ("#include <stdio.h>\nint main() {}", "code__program_text"),
        ("３＋５＝？", "math__digits_and_signs"),
        ("计算：(3+5)×2=", "math__digits_and_signs"),
        ("下列词语中加点字的读音正确的是", "chinese__reading_of_marked_characters"),
        ("男：走吗？\n女：不走。\n女的什么意思？", "understanding__man_and_woman_talk"),
        ("请概括下面的新闻", "understanding__sum_up_what_follows"),
        ("以下哪项如果为真，最能削弱上述结论？", "reasoning__argument"),
        ("Let's role-play.", "role_play__part_given"),
        ("寫一首關於雨的詩", "creative_writing__poem_or_story"),
        ("把这句话翻译成英文", "other__translation"),
    ],
)
def test_rules_say_what_they_say(prompt: str, rule: str) -> None:
    found = rules.hits(pl.Series([prompt]))[0]
    assert [name for name, hit in zip(rules.rule_names(), found, strict=True) if hit] == [rule]


@pytest.mark.parametrize("prompt", ["我喜欢Python这门语言的名字", "导演扮相很好", "三月五日", "翻译家傅雷", "男女平等"])
def test_rules_leave_alone_what_only_looks_alike(prompt: str) -> None:
    assert not rules.hits(pl.Series([prompt])).any()


def test_every_rule_gives_a_known_ability() -> None:
    from doit.schemas.abilities import ABILITIES, OTHER

    assert {rules.ability_of(rule) for rule in rules.rule_names()} <= {*ABILITIES, OTHER}


def test_an_explanation_names_the_rule_and_what_it_matched() -> None:
    said = explain("请扮演一位导游", "", load_tagger())
    assert (said.ability, said.reason, said.matched) == ("role_play", "rule:role_play__part_given", "请扮演")


def test_an_explanation_names_the_grams_that_weigh_most(small: Tagger) -> None:
    said = explain("花有什么作用", "它很重要", small, most=40)
    assert said.reason == "model"
    assert any("作用" in one.feature or "什么" in one.feature for one in said.features)
    weights_ = [one.weight for one in said.features]
    assert weights_ == sorted(weights_, reverse=True)
    assert min(weights_) > 0
    assert next(iter(said.chances)) == "biology"


def test_an_explanation_names_words_of_a_list() -> None:
    said = explain("唐朝與鴉片戰爭相隔多久？", "", load_tagger())
    assert said.ability == "history"
    assert any("鴉片戰爭" in one.feature for one in said.features)


def test_sources_weigh_alike_and_so_do_their_abilities() -> None:
    labels = np.array(["math"] * 90 + ["code"] * 10 + ["math"] * 5 + ["code"] * 5)
    sources = np.array(["big"] * 100 + ["small"] * 10)
    found = fitting.weights_of(labels, sources)
    for label in ("math", "code"):
        big, little = (found[(labels == label) & (sources == source)].sum() for source in ("big", "small"))
        assert big == pytest.approx(little)


def test_unknown_abilities_and_too_few_are_errors() -> None:
    with pytest.raises(SpecError, match="D203"):
        fitting.fit(records().with_columns(ability=pl.lit("cooking")))
    with pytest.raises(DataError, match="D401"):
        fitting.fit(records().filter(pl.col("ability") == "math"), base=False)
    with pytest.raises(SpecError, match="D204"):
        fitting.fit(records(), abstain=1.0)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.svm", None)
    with pytest.raises(MissingExtra, match=r"doit-mix\[tag\]"):
        fitting.fit(records(), base=False)


def test_scores_count_precision_recall_and_abstention() -> None:
    labels = pl.Series(["math", "math", "math", "code", "code"])
    told = evaluate(labels, pl.Series(["math", "code", None, "code", "code"]))
    assert (told.records, told.abstained, told.accuracy) == (5, 0.2, 0.75)
    assert (told.abilities["math"].precision, told.abilities["math"].recall) == (1.0, 0.5)
    assert (told.abilities["code"].precision, told.abilities["code"].recall) == (round(2 / 3, 4), 1.0)
    assert told.abilities["math"].f1_of_all == 0.5
    assert told.confusion == {"code": {"code": 2}, "math": {"math": 1, "code": 1, "none": 1}}
    heavy = evaluate(labels, pl.Series(["math", "code", None, "code", "code"]), [1, 0, 0, 1, 1])
    assert heavy.accuracy == 1.0
