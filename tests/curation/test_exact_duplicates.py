from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doit.curation.duplicates.folding import reduced
from doit.curation.rules.base import Left
from doit.curation.rules.duplicates import ExactDuplicates, NearDuplicates, NearEmbeddings
from doit.errors import SpecError
from doit.table import MESSAGES_POLARS

Turn = tuple[str, str]


def left(*records: list[Turn], ids: list[str] | None = None, **columns: list[Any]) -> Left:
    """Records of (u or a or s, content) turns; ids a, b, … unless given."""
    roles = {"u": "user", "a": "assistant", "s": "system"}
    rows = [[{"role": roles[role], "content": content} for role, content in record] for record in records]
    table = pl.DataFrame({"messages": pl.Series(rows, dtype=MESSAGES_POLARS)})
    named = pl.DataFrame(
        {"id": ids or [chr(97 + at) for at in range(len(rows))], **columns}, schema_overrides={"id": pl.String}
    )
    return Left(named, lambda text: table.select(text=text)["text"])


def fallen(given_left: Left, **fields: Any) -> list[tuple[int, str]]:
    return ExactDuplicates.model_validate(fields).compare(given_left).falls.rows()


def said(prompt: str, answer: str) -> list[Turn]:
    return [("u", prompt), ("a", answer)]


def test_the_smallest_id_survives_and_is_named() -> None:
    records = left(
        said("春天", "来了"), said("春天", "来了"), said("夏天", "来了"), said("春天", "来了"), ids=["c", "b", "a", "d"]
    )
    assert fallen(records) == [(0, "b"), (3, "b")]


def test_nothing_falls_where_nothing_is_equal() -> None:
    for empty in (left(), left(said("春", "天"))):
        verdicts = ExactDuplicates(ignoring=("script", "width")).compare(empty)
        assert verdicts.falls.is_empty()
        assert verdicts.falls.columns == ["at", "value"]
        assert verdicts.marks.is_empty()


def test_who_said_it_and_in_which_turn_counts() -> None:
    records = left(
        [("u", "一"), ("a", "二")],
        [("a", "一"), ("u", "二")],
        [("s", "一"), ("u", "二")],
        [("u", "一\n二")],
        [("u", "一"), ("a", "二"), ("u", "")],
        [("u", "一"), ("a", "二\x02user\x02")],
        [("u", "一\x02assistant\x02二")],
        [("u", "一\x1b1assistant\x1b1二")],
        [("u", "一\x1b0")],
        [("u", "一\x1b")],
    )
    assert fallen(records) == []
    assert fallen(records, ignoring=["width", "case", "script"]) == []
    assert fallen(left([("u", "a"), ("u", "b")], [("u", "a\nb")]), of="prompt") == []


def test_prompts_and_answers_are_compared_alone() -> None:
    records = left(said("问", "甲"), said("问", "乙"), said("别的", "甲"), [("s", "系统"), *said("问", "丙")])
    assert fallen(records, of="prompt") == [(1, "a"), (3, "a")]
    assert fallen(records, of="answer") == [(2, "a")]
    assert fallen(records) == []


def test_records_without_the_speaker_are_like_nothing() -> None:
    records = left([("a", "甲")], [("a", "乙")], [("u", "甲")], [("u", "丙")], [("u", "")], [("u", "")])
    assert fallen(records, of="prompt") == [(5, "e")]
    assert fallen(records, of="answer") == []


@pytest.mark.parametrize(
    ("one", "other", "ignoring"),
    [
        ("头发干净，发现问题。", "頭髮乾淨，發現問題。", "script"),
        ("ＡＢＣ１２３", "ABC123", "width"),
        ("ｶﾞｷﾞ", "ガギ", "width"),
        ("Hello Straße", "hello STRASSE", "case"),
        ("你好，世界！", "你好世界", "punctuation"),
        ("你好  \n世界 ！", "“你好” 世界", "punctuation"),
    ],
)
def test_only_what_is_named_is_ignored(one: str, other: str, ignoring: str) -> None:
    records = left(said(one, "答"), said(other, "答"))
    names = ["width", "punctuation", "case", "script"]
    for name in names:
        assert fallen(records, ignoring=[name]) == ([(1, "a")] if name == ignoring else [])
    assert fallen(records, ignoring=names) == [(1, "a")]
    assert fallen(records) == []


@pytest.mark.parametrize(
    ("one", "other"), [("x²", "x2"), ("头发", "头髪"), ("1.5", "15a"), ("é", "e"), ("㈠", "一"), ("👍", "👍🏽")]
)
def test_what_differs_otherwise_stays(one: str, other: str) -> None:
    records = left(said(one, "答"), said(other, "答"))
    assert fallen(records, ignoring=["width", "case", "script"]) == []


def test_only_the_plain_form_repeats_the_first() -> None:
    assert ExactDuplicates().repeats_the_first
    assert not ExactDuplicates(of="prompt").repeats_the_first
    assert not ExactDuplicates(ignoring=("case",)).repeats_the_first
    titles = [ExactDuplicates(), ExactDuplicates(of="prompt"), ExactDuplicates(ignoring=("case",), name="copies")]
    assert [rule.title for rule in titles] == ["exact_duplicates", "exact_duplicates:prompt", "copies"]


CONTENT = st.text(st.sampled_from("ab Ａ，。头頭发\x02\x1b0"), max_size=4)
RECORD = st.lists(st.tuples(st.sampled_from("ua"), CONTENT), min_size=1, max_size=3)


@settings(max_examples=200)
@given(
    st.lists(RECORD, max_size=8),
    st.sets(st.sampled_from(["width", "punctuation", "case", "script"])),
    st.sampled_from(["conversation", "prompt", "answer"]),
    st.integers(0, 99),
)
def test_records_fall_exactly_where_all_their_turns_are_equal(
    records: list[list[Turn]], ignoring: set[str], of: str, seed: int
) -> None:
    ids = random.Random(seed).sample("abcdefgh", len(records))
    role = {"prompt": "u", "answer": "a"}.get(of)
    keys = []
    for record in records:
        some = [(who, what) for who, what in record if role is None or who == role]
        texts = reduced(pl.Series([what for _, what in some], dtype=pl.String), ignoring=ignoring).to_list()
        keys.append(tuple(zip((who for who, _ in some), texts, strict=True)))
    expected = []
    for at, key in enumerate(keys):
        same = sorted(ids[other] for other in range(len(keys)) if keys[other] == key)
        if key and same[0] != ids[at]:
            expected.append((at, same[0]))
    assert fallen(left(*records, ids=ids), of=of, ignoring=sorted(ignoring)) == expected


BASE = "今天天气很好，我们一起去公园散步吧，顺便看看湖边的花开了没有，再喝一杯热茶。"


def near(given_left: Left, **fields: Any) -> list[tuple[int, str]]:
    return NearDuplicates.model_validate(fields).compare(given_left).falls.rows()


def test_near_duplicates_of_prompts_answers_and_conversations() -> None:
    other = "从前有一座山，山上有一座庙，庙里有一个老和尚在讲故事，讲的是什么故事呢，谁也不知道。"
    records = left(
        said(BASE, other), said(BASE + "！", "不知道。"), said("你说呢？", other + "！"), said(BASE, other + "？")
    )
    assert [at for at, _ in near(records, of="prompt")] == [1, 3]
    assert [at for at, _ in near(records, of="answer")] == [2, 3]
    assert [at for at, _ in near(records)] == [3]


def test_near_duplicates_say_their_pairs() -> None:
    records = left(
        said(BASE, "好"), said("毫不相干的另一句话在这里", "好"), said(BASE + "！", "好"), ids=["b", "a", "c"]
    )
    verdicts = NearDuplicates().compare(records)
    assert verdicts.details is not None
    (dropped, survivor, similarity), *none = verdicts.details.rows()
    assert (dropped, survivor, none) == ("c", "b", [])
    assert 0.8 <= similarity < 1
    assert verdicts.falls.rows() == [(2, f"{round(similarity, 4)} b")]
    empty = NearDuplicates().compare(left(said("a", "b"))).details
    assert empty is not None
    assert empty.schema == {"dropped": pl.String, "survivor": pl.String, "similarity": pl.Float64}


def test_near_duplicates_of_nobody_are_none() -> None:
    records = left([("a", "甲的话")], [("a", "乙的话")], [("u", "丙的话")])
    assert near(records, of="prompt") == []
    assert near(records, of="answer") == []


def test_the_best_by_a_named_column_survives() -> None:
    three = [said(BASE + "！" * count, "好") for count in range(3)]
    records = left(*three, chars=[41, 42, 43], turns=[1, 1, 1], tokens=[9, None, 30])
    assert near(records)[0][1].endswith(" a")
    assert [at for at, _ in near(records, best="chars")] == [0, 1]
    assert [at for at, _ in near(records, best="tokens")] == [0, 1]
    assert [at for at, _ in near(records, best="turns")] == [1, 2], "between equals the smallest id"
    quality = {("q.csv", "quality"): pl.Series([0.1, 0.9, float("nan")])}
    scored = Left(records.rows, records.text, scores=quality)
    assert [at for at, _ in near(scored, best="quality", scores="q.csv")] == [0, 2]


@pytest.mark.parametrize("best", ["qualty", "id", "char"])
def test_a_column_that_cannot_rank_is_refused(best: str) -> None:
    with pytest.raises(SpecError, match="D203"):
        near(left(said(BASE, "好"), chars=[41]), best=best)


def test_every_copy_of_a_crowd_goes_but_one() -> None:
    records = left(
        *[said("头发" if at % 2 else "頭髮", "答") for at in range(100)], ids=[f"{at:03}" for at in range(100)]
    )
    falls = fallen(records, ignoring=["script"])
    assert len(falls) == 99
    assert {value for _, value in falls} == {"000"}
    assert all(one < other for (one, _), (other, _) in pairwise(falls))


def test_records_with_near_vectors_fall() -> None:
    records = left(said("一", "二"), said("三", "四"), said("五", "六"), ids=["c", "a", "b"])
    vectors = pl.Series([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]])
    scored = Left(records.rows, records.text, vectors=vectors)
    verdicts = NearEmbeddings(embeddings="e.parquet").compare(scored)
    assert verdicts.falls.rows() == [(0, "0.995 b")]
    assert verdicts.details is not None
    assert verdicts.details.select("dropped", "survivor").rows() == [("c", "b")]
    quality = {("q.csv", "quality"): pl.Series([2.0, 0.0, 1.0])}
    ranked = Left(records.rows, records.text, scores=quality, vectors=vectors)
    rule = NearEmbeddings(embeddings="e.parquet", best="quality", scores="q.csv")
    assert rule.compare(ranked).falls["at"].to_list() == [2]
    with pytest.raises(SpecError, match="D203"):
        NearEmbeddings(embeddings="f").compare(Left(records.rows, records.text))
