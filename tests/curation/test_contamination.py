"""Contamination: what counts as a token, what coverage is, and where an item is found."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from doit.curation.contamination import benchmark_index, word_runs
from doit.curation.contamination import finding as module
from doit.curation.contamination.finding import contaminated
from doit.curation.rules.base import Benchmark, Left, Verdicts
from doit.curation.rules.contamination import Contaminated, contamination_report
from doit.errors import SpecError

QUESTION = "小明有3个苹果，他又买了5个苹果，然后送给小红2个苹果。请问小明现在一共有多少个苹果？"
EGGS = "Janet's ducks lay 16 eggs per day. She eats three for breakfast and sells the rest at the market for $2 each."


ITEMS = {"file": pl.String, "row": pl.Int64, "part": pl.Int32, "prompt": pl.String, "answer": pl.String}


def cut(text: str) -> list[list[str]]:
    """The tokens of each line, by the rule word by word."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    lines = []
    for line in text.split("\n"):
        words, open_word = [], False
        for character in line:
            if unicodedata.category(character) == "Cf":
                continue
            if "\u4e00" <= character <= "\u9fff" or ("\u3041" <= character <= "\u30ff" and character != "・"):
                words.append(character)
                open_word = False
            elif unicodedata.category(character)[0] in "LMN":
                words[len(words) - open_word :] = [words[-1] + character if open_word else character]
                open_word = True
            else:
                open_word = False
        lines.append(words)
    return lines


def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


def held(text: str, item: str, n: int, coverage: float) -> float | None:
    """The rule, word by word, with one n for words and characters."""
    lines = cut(text)
    words = [word for line in lines for word in line]
    ends = [at for at, line in enumerate(lines) for _ in line]
    sought = [word for line in cut(item) for word in line]
    if not sought:
        return None
    if len(sought) >= n:
        wanted = set(grams(sought, n))
        share = len(wanted & set(grams(words, n))) / len(wanted)
        return share if share >= coverage - 1e-9 else None
    size = len(sought)
    for at in range(len(words) - size + 1):
        lone = (at == 0 or ends[at - 1] != ends[at]) and (
            at + size == len(words) or ends[at + size] != ends[at + size - 1]
        )
        if words[at : at + size] == sought and (lone or 2 * size > n):
            return 1.0
    return None


def found(texts: list[str], items: list[str], n: int = 8, coverage: float = 0.7, **more: bool) -> list[tuple[int, int]]:
    table = contaminated(
        pl.Series(texts),
        pl.Series(items),
        words=n,
        characters=n,
        coverage=coverage,
        **more,  # type: ignore[arg-type]
    )
    return list(zip(table["at"].to_list(), table["item"].to_list(), strict=True))


pieces = st.sampled_from(
    [*"苹果香蕉在东", "egg", "Egg", "３", "3", "cafe\u0301", "café", "ｶﾞ", "ガ", "½", "ﬁn", "x\u200by"]
)
gaps = st.sampled_from(["", " ", "，", "\n", "…", "-", "\r\n", "🙂", "、\n"])
strings = st.lists(st.tuples(pieces, gaps), max_size=24).map(lambda parts: "".join(a + b for a, b in parts))


@settings(max_examples=150)
@given(
    st.lists(strings, max_size=4), st.lists(strings, max_size=4), st.integers(1, 6), st.sampled_from([0.3, 0.5, 0.7, 1])
)
def test_finds_what_the_rule_says_and_nothing_else(texts: list[str], items: list[str], n: int, coverage: float) -> None:
    texts += items[:1]
    answer = {
        (at, item): share
        for at, text in enumerate(texts)
        for item, sought in enumerate(items)
        if (share := held(text, sought, n, coverage)) is not None
    }
    table = contaminated(
        pl.Series(texts, dtype=pl.String), pl.Series(items, dtype=pl.String), words=n, characters=n, coverage=coverage
    )
    assert {(row["at"], row["item"]): row["coverage"] for row in table.iter_rows(named=True)} == pytest.approx(answer)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)
    items = ["".join(chance.choices("天地玄黄宇宙洪荒日月", k=chance.randrange(2, 40))) for _ in range(60)]
    texts = ["".join(chance.choices("天地玄黄宇宙洪荒日月", k=30)) + chance.choice(items) for _ in range(200)]
    whole = found(texts, items, n=4, coverage=0.5)
    assert len(whole) > 200
    monkeypatch.setattr(word_runs, "CHUNK_CHARS", 64)
    monkeypatch.setattr(module, "COUNTED_GRAMS", 10)
    assert found(texts, items, n=4, coverage=0.5) == whole


def test_no_text_is_accused_by_a_hash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(4)
    items = ["".join(chance.sample([chr(0x4E00 + 37 * at * at) for at in range(23)], k=size)) for size in (3, 9, 20)]
    # With a factor of 1 a hash is the sum of a run's characters, and a text read backwards has the hashes of the text.
    monkeypatch.setattr(word_runs, "FACTOR", 1)
    assert found([item[::-1] for item in items], items) == []
    assert found(items, items) == [(0, 0), (1, 1), (2, 2)]


def test_the_order_of_texts_and_items_changes_nothing() -> None:
    texts, items = [EGGS, QUESTION, "無關", EGGS + QUESTION], [QUESTION, EGGS, "別的問題"]
    there = {(texts[at], items[item]) for at, item in found(texts, items)}
    back = {(texts[::-1][at], items[::-1][item]) for at, item in found(texts[::-1], items[::-1])}
    assert there == back
    assert len(there) == 4


@pytest.mark.parametrize(
    "text",
    [
        QUESTION.replace("，", ",").replace("。", " "),
        QUESTION.translate({ord("3"): "３", ord("5"): "５"}),
        "请回答下面的问题：\n" + "\u200b".join(QUESTION) + "\n回答：9个",
        EGGS.upper(),
        EGGS.replace("'", "’").replace("$", "＄"),
        "Q: " + EGGS.replace(" ", "\u00a0\n"),
    ],
)
def test_width_case_punctuation_and_invisible_characters_do_not_count(text: str) -> None:
    assert len(found([text], [QUESTION, EGGS])) == 1


def test_numbers_count() -> None:
    other = QUESTION.replace("3", "13").replace("5", "7").replace("2", "4")
    assert not found([other], [QUESTION])
    assert found([other], [QUESTION], coverage=0.2)


def test_script_counts_unless_told_otherwise() -> None:
    traditional = "小明有3個蘋果，他又買了5個蘋果，然後送給小紅2個蘋果。請問小明現在一共有多少個蘋果？"
    assert not found([traditional], [QUESTION])
    assert found([traditional], [QUESTION], ignore_script=True) == [(0, 0)]
    assert found([QUESTION], [traditional], ignore_script=True) == [(0, 0)]


def test_an_item_that_mixes_scripts_has_the_n_of_most_of_its_tokens() -> None:
    mostly_characters, mostly_words = "用Python写一个函数", "please use the word 你好 in one sentence"
    texts = pl.Series([mostly_characters, mostly_words, "用Python写一个函件", "please use the word 你好 in two"])
    table = contaminated(texts, pl.Series([mostly_characters, mostly_words]), words=3, characters=5, coverage=0.5)
    pairs = table.select("at", "item", pl.col("coverage").round(3)).rows()
    # Of three runs of 5 tokens the third text has two; of seven runs of 3 words the fourth has five.
    assert pairs == [(0, 0, 1.0), (1, 1, 1.0), (2, 0, 0.667), (3, 1, 0.714)]


def test_short_items_match_as_wholes_and_very_short_ones_as_lines() -> None:
    items = ["What is the meaning of life?", "输尿管", "!?"]
    assert found(["Tell me: what is the meaning of life now"], items) == [(0, 0)]
    assert found(["What is the true meaning of life?"], items) == []
    assert found(["检查了输尿管和膀胱", "问：输尿管\n答", "问\n输尿管。\n答"], items) == [(2, 1)]
    table = contaminated(
        pl.Series(["so what is the meaning of life"]),
        pl.Series(items),
        words=8,
        characters=8,
        coverage=0.7,
        short=pl.Series([False] * 3).to_numpy(),
    )
    assert table.is_empty()


@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("天气 ", "！"), ("ﬁ½ ", " …"), ("e\u0301…㎏ ", " e\u0301"), ("ｶﾞ；", "；ｶﾞ")]
)
def test_the_span_is_the_items_own_place_in_the_text(before: str, after: str) -> None:
    for item in ("床前明月光疑是地上霜", "the cafe\u0301 on the ﬁrst floor is always closed on Mondays"):
        text = before + item + after
        row = contaminated(pl.Series([text]), pl.Series([item]), words=8, characters=8, coverage=0.7).row(0, named=True)
        assert (row["coverage"], text[row["start"] : row["end"]]) == (1.0, item)


def test_the_span_is_the_shortest_stretch_with_all_that_was_found() -> None:
    item = "床前明月光疑是地上霜"
    text = f"床前明月光疑是地。别的话。{item}，{item}"
    row = contaminated(pl.Series([text]), pl.Series([item]), words=8, characters=8, coverage=0.7).row(0, named=True)
    assert text[row["start"] : row["end"]] == item
    assert row["start"] == text.index(item)


def test_empty_columns_and_nulls() -> None:
    none = pl.Series([], dtype=pl.String)
    for texts, items in ((none, none), (none, pl.Series([EGGS])), (pl.Series([EGGS, None, ""]), none)):
        assert contaminated(texts, items, words=8, characters=8, coverage=0.7).is_empty()
    nulls = pl.Series([None, "", EGGS])
    assert contaminated(nulls, nulls, words=8, characters=8, coverage=0.7).select("at", "item").rows() == [(2, 2)]


def test_only_rare_runs_are_looked_up() -> None:
    topics = ["".join(chr(0x4E00 + 70 * at + step) for step in range(60)) for at in range(50)]
    items = pl.Series([f"下列关于{topic}的说法正确的是" for topic in topics])
    index = benchmark_index.BenchmarkIndex.of(items, words=4, characters=4, coverage=0.7)
    assert sum(len(runs.keys) for runs in index.lookups) < 0.4 * len(index.grams)
    everywhere = index.grams[index.first == index.chunks[0][1].rows[:-1][np.arange(50).repeat(np.diff(index.starts))]]
    assert len(set(everywhere.tolist())) == 1
    assert not any(np.isin(everywhere, runs.keys).any() for runs in index.lookups)


def benchmark(name: str, prompts: list[str], answers: list[str] | None = None) -> Benchmark:
    rows = range(len(prompts))
    answer = answers or [""] * len(prompts)
    items = {"file": [f"{name}.jsonl" for _ in rows], "row": rows, "part": [0 for _ in rows], "prompt": prompts}
    return Benchmark(name, pl.DataFrame({**items, "answer": answer}, schema=ITEMS))


def left(turns: list[tuple[str, str]], *benchmarks: Benchmark) -> Left:
    messages = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in turns]
    frame = pl.DataFrame({"messages": messages})
    rows = pl.DataFrame({"id": [f"{at:032x}" for at in range(len(turns))]})
    return Left(rows, lambda text: frame.select(text).to_series(), {one.name: one for one in benchmarks})


def rule(**fields: object) -> Contaminated:
    return Contaminated.model_validate({"kind": "contaminated", **fields})


TURNS = [(EGGS, "18"), ("写一首诗", "春眠不觉晓"), ("背诵", QUESTION), (EGGS + "\n" + QUESTION, "?")]


def verdicts(**fields: object) -> Verdicts:
    sums = benchmark("sums", ["unheard of", EGGS], ["none of it", "春眠不觉晓处处闻啼鸟"])
    return rule(against=["sums", "zh"], **fields).compare(left(TURNS, sums, benchmark("zh", [QUESTION])))


def test_the_rule_drops_marks_and_reports() -> None:
    whole = verdicts()
    assert whole.falls["at"].to_list() == [0, 2, 3]
    assert whole.falls["value"].to_list() == ["sums sums.jsonl:1 1.0", "zh zh.jsonl:0 1.0", "sums sums.jsonl:1 1.0"]
    assert whole.marks.rows() == [
        (0, "contaminated:sums"),
        (2, "contaminated:zh"),
        (3, "contaminated:sums"),
        (3, "contaminated:zh"),
    ]
    assert whole.details is not None
    assert whole.details.columns == ["benchmark", "file", "row", "part", "id", "coverage", "start", "end", "text"]
    assert whole.details.row(1) == ("zh", "zh.jsonl", 0, 0, f"{2:032x}", 1.0, 3, 45, QUESTION[:-1])
    sizes = {"sums": benchmark("sums", ["", ""]), "zh": benchmark("zh", [""]), "calm": benchmark("calm", ["x"])}
    assert contamination_report(whole.details, sizes).rows() == [("calm", 1, 0, 0), ("sums", 2, 1, 2), ("zh", 1, 1, 2)]


def test_the_order_of_records_and_items_changes_nothing_in_the_report() -> None:
    items = benchmark("sums", [EGGS, QUESTION])
    turned = Benchmark("sums", items.items.reverse())
    there, back = left(TURNS, items), left(TURNS[::-1], turned)
    names = back.rows["id"].reverse()
    back = Left(pl.DataFrame({"id": names}), back.text, back.benchmarks)
    one, other = (rule(against=["sums"]).compare(records) for records in (there, back))
    assert one.details is not None
    assert other.details is not None
    assert one.details.equals(other.details)
    ids = [dict(zip(names.gather(found.falls["at"]), found.falls["value"], strict=True)) for found in (other,)]
    assert ids == [dict(zip(there.rows["id"].gather(one.falls["at"]), one.falls["value"], strict=True))]


def test_where_nothing_is_found_the_tables_are_empty_and_typed() -> None:
    for items in (["unheard of"], []):
        calm = rule(against=["calm"]).compare(left(TURNS, benchmark("calm", items)))
        assert calm.falls.is_empty()
        assert calm.falls.schema == {"at": pl.UInt32, "value": pl.String}
        assert calm.marks.is_empty()
        assert calm.marks.schema == {"at": pl.UInt32, "mark": pl.String}
        assert calm.details is not None
        assert contamination_report(calm.details, {"calm": benchmark("calm", items)}).rows() == [
            ("calm", len(items), 0, 0)
        ]


def test_marking_drops_nothing() -> None:
    marked = verdicts(action="mark")
    assert marked.falls.is_empty()
    assert marked.falls.schema == {"at": pl.UInt32, "value": pl.String}
    assert marked.marks["at"].to_list() == [0, 2, 3, 3]


def test_prompts_and_answers_are_searched_apart() -> None:
    assert verdicts(of="prompt").falls["at"].to_list() == [0, 3]
    poem = "春眠不觉晓，处处闻啼鸟。夜来风雨声"
    sums = benchmark("sums", [EGGS, "18?"], [poem, "18"])
    found_there = rule(against=["sums"], of="answer").compare(left([("背诗", poem), (poem, "18"), (EGGS, "18")], sums))
    assert found_there.falls["at"].to_list() == [0]  # 18 is too short to say anything


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"against": []}, None),
        ({"against": ["a", "a"]}, "D207"),
        ({"against": ["a", {"name": "a", "shape": {"kind": "qa"}}]}, "D207"),
        ({"against": ["a"], "coverage": 0}, None),
        ({"against": ["a"], "coverage": 1.1}, None),
        ({"against": ["a"], "ngram": 0}, None),
        ({"against": ["a"], "ngram": {"words": 99}}, None),
        ({"against": ["a"], "action": "keep"}, None),
        ({"against": ["a"], "of": "everything"}, None),
        ({"against": ["a"], "ignoring": ["case"]}, None),
    ],
)
def test_impossible_rules_are_refused(fields: dict[str, object], code: str | None) -> None:
    with pytest.raises((ValidationError, SpecError)) as caught:
        rule(**fields)
    assert code is None or code in str(caught.value)


def test_cards_in_place_are_called_by_their_names() -> None:
    card = {"name": "mine", "source": {"files": "mine.jsonl"}, "shape": {"kind": "prompts", "prompt": "q"}}
    made = TypeAdapter(Contaminated).validate_python({"against": ["gsm8k", card], "ngram": {"words": 13}})
    assert made.references == ("gsm8k", "mine")
    assert (made.lengths.words, made.lengths.characters) == (13, 8)
    with pytest.raises(SpecError, match="D203"):
        made.compare(left([("a", "b")]))
