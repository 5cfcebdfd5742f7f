"""What rules measure, against the same thing written down in a few lines of Python; and patterns of the owner's own."""

from __future__ import annotations

import pickle
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import orjson
import polars as pl
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_rules_table import DEFAULTS, GOOD, ROWS, decide, records

from doit.curation.rules.base import Measured
from doit.curation.rules.patterns import Pattern
from doit.curation.texts.alphanumeric import alphanumeric_share
from doit.curation.texts.copies import copied_answers
from doit.curation.texts.repetition import GRAM, highest_repeated_share, repeated_share
from doit.errors import SpecError
from doit.table import MESSAGES_POLARS

LOOPS = st.lists(
    st.sampled_from(["好的", "哈", "雪落在屋檐上", "ab ", "今天天气很好，我们去公园。", "😀", "e\u0301"]), max_size=30
)


def seen_before(text: str) -> float:
    text = text.strip()
    grams = [text[at : at + GRAM] for at in range(len(text) - GRAM + 1)]
    return (len(grams) - len(set(grams))) / len(text) if grams else 0.0


@given(st.lists(LOOPS.map("".join), max_size=8))
def test_repetition_is_the_share_of_grams_seen_before(texts: list[str]) -> None:
    assert repeated_share(pl.Series(texts, dtype=pl.String)).to_list() == [seen_before(text) for text in texts]


def test_repetition_over_many_runs_of_rows() -> None:
    texts = [f"{n} " + "雪落在屋檐上，像一封没有写完的信。" * (n % 7) for n in range(1500)]

    assert repeated_share(pl.Series(texts)).to_list() == [seen_before(text) for text in texts]


@pytest.mark.parametrize("sign", ["哈", "好的！", "呜呜呜呜呜呜呜", "1"])
def test_a_short_row_is_never_a_loop(sign: str) -> None:
    text = (sign * 25)[:24]

    assert repeated_share(pl.Series([text]))[0] < 0.6


def test_of_several_turns_the_worst_counts() -> None:
    turns = pl.Series([[GOOD, "好" * 50, GOOD], [GOOD, GOOD], []], dtype=pl.List(pl.String))

    assert highest_repeated_share(turns).to_list() == [seen_before("好" * 50), seen_before(GOOD), 0.0]


# The newest characters lie beyond: Python and Polars may know different versions of Unicode.
BASIC = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cn"]), max_size=20)


@given(st.lists(BASIC, max_size=8))
def test_alphanumeric_is_the_share_of_letters_marks_and_digits(texts: list[str]) -> None:
    shares = alphanumeric_share(pl.Series(texts, dtype=pl.String)).to_list()

    for text, share in zip(texts, shares, strict=True):
        # U+001C to U+001F are spaces for Python alone.
        written = [sign for sign in text if not sign.isspace() or "\x1c" <= sign <= "\x1f"]
        letters = [sign for sign in written if unicodedata.category(sign)[0] in "LNM"]
        assert share == pytest.approx(len(letters) / max(len(written), 1))


def test_alphanumeric_of_many_scripts() -> None:
    texts = pl.Series(["汉字ＡＢ１２", "क्षि", "e\u0301", "한국어", "日本語ー", "。，！", "😀😀", "  ", None])

    assert alphanumeric_share(texts).to_list() == [1, 1, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("turns", "copied"),
    [
        ((GOOD, GOOD), True),
        ((f"改写\n{GOOD}", f" {GOOD}\n"), True),
        ((f"改写：{GOOD}", GOOD), True),
        ((f"改写{GOOD}", GOOD), False),
        (("晚安", "晚安"), False),
        (("哪个对？\n(A) 他生于一九九零年的春天\n(B) 他从没有到过北京城", "(B) 他从没有到过北京城"), False),
        ((f"{GOOD * 3}\n断桥残雪是冬日的名景。", "断桥残雪是冬日的名景。"), False),
        (("你好", "你好！", GOOD, GOOD), True),
        (("问", GOOD, GOOD, "好的"), False),
    ],
)
def test_copies(turns: tuple[str, ...], copied: bool) -> None:
    messages = records(turns, ("问", "答"))["messages"]

    found = copied_answers(messages, 10)

    assert [value is not None for value in found] == [copied, False]


def test_a_first_turn_is_no_copy_of_the_record_before() -> None:
    rows = [[{"role": "user", "content": GOOD}], [{"role": "assistant", "content": GOOD}]]

    assert copied_answers(pl.Series(rows, dtype=MESSAGES_POLARS), 1).to_list() == [None, None]


@pytest.mark.parametrize(
    ("matches", "says"),
    [
        ("(", "unclosed group"),
        ("a(?=b)", "look-around"),
        (r"(a)\1", "backreferences"),
        ("((a{1000}){1000}){1000}", "size limit"),
        (r"\p{Hann}", "Unicode property not found"),
        ("a*", "matches the empty text"),
        ("(?i)", "matches the empty text"),
        ("[z-a]", "range"),
    ],
)
def test_a_wrong_pattern_is_refused_with_the_engine_s_reason(matches: str, says: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Pattern(matches=matches)

    (problem,) = caught.value.errors()
    error = problem["ctx"]["error"]
    assert isinstance(error, SpecError)
    assert error.code == "D204"
    assert says in str(error)


def test_a_pattern_has_a_length() -> None:
    with pytest.raises(pydantic.ValidationError):
        Pattern(matches="a" * 2001)
    with pytest.raises(pydantic.ValidationError):
        Pattern(matches="")


def test_a_pattern_with_flags_groups_and_a_speaker() -> None:
    frame = records(("foo1 问", "bar2 答"), ("x", "Foo3\n行"))

    assert decide(Pattern(matches=r"(?x) foo(\d) # a digit"), frame)[1] == ["foo1", None]
    assert decide(Pattern(matches="(?i)FOO.|行$"), frame)[1] == ["foo1", "Foo3"]
    assert decide(Pattern(matches="(?m)行$", of="prompt"), frame)[0] == [True, True]
    assert decide(Pattern(matches="(?m)^行$", of="answer"), frame)[1] == [None, "行"]


HOSTILE = [
    (pattern, text)
    for pattern in (
        "(a+)+$", "(a|aa)+$", "(a|a?)+b", "(.*)*b", "(a*)*b", "([a-zA-Z]+)*1$", "(x+x+)+y", "a{0,300}a{300}b",
        r"^(([a-z])+.)+[A-Z]([a-z])+$", "(?:(?:a?){8}){8}b", "(.+)+(.+)+b", "(?i)(a|A)+b", "(你|你你)+好", r"(\d+)+\D$",
        r"(\w+\s?)*!$",
    )
    for text in ("a", "a ", "你", "1")
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_no_pattern_runs_away(pattern: str, text: str) -> None:
    rule = Pattern(matches=pattern)

    def cost(times: int) -> float:
        frame = records(("问", text * times))

        def once() -> float:
            start = process_time()
            frame.select(rule.measure())
            return process_time() - start

        return min(once() for _ in range(2))

    # Eight times the text may take 32 times as long; were the time quadratic, it would take 64 times.
    assert cost(16_000) <= 32 * max(cost(2_000), 0.002)


def default_name(rule: Measured) -> str:
    return rule.kind  # type: ignore[no-any-return]


def test_the_page_has_a_section_for_every_rule_and_its_fields() -> None:
    page = (Path(__file__).parents[2] / "docs" / "curation.md").read_text(encoding="utf-8")
    index, *rest = re.split(r"^## ", page, flags=re.MULTILINE)
    sections = {section.split("\n", 1)[0]: section for section in rest}

    for kind, (rule, *_) in ROWS.items():
        fields = type(rule).model_fields.keys() - {"kind", "name"}
        documented = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.+?`) \|", sections[kind], re.MULTILINE))))
        assert fields <= documented, kind
        assert f"(#{kind})" in index


def test_rules_travel_to_other_processes() -> None:
    frame = records(ROWS["secrets"][1])

    for rule in DEFAULTS:
        assert decide(pickle.loads(pickle.dumps(rule)), frame) == decide(rule, frame)


@pytest.mark.shared
@pytest.mark.parametrize("rule", DEFAULTS, ids=default_name)
def test_no_default_rule_drops_over_one_percent_of_belle_s_questions(rule: Measured, shared: Path) -> None:
    lines = (shared / "belle" / "eval" / "eval_set.json").read_text(encoding="utf-8").splitlines()
    rows = [orjson.loads(line) for line in lines]
    frame = records(
        *[(row["question"], row["std_answer"]) if row["std_answer"] else (row["question"],) for row in rows]
    )

    keeps, values = decide(rule, frame)

    assert len(keeps) == 1000
    assert keeps.count(False) <= 10, [value for kept, value in zip(keeps, values, strict=True) if not kept]


@pytest.mark.shared
def test_short_chinese_rows_stay(shared: Path) -> None:
    lines = (shared / "belle" / "data" / "1.5M" / "zh_seed_tasks.json").read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, Any]] = [orjson.loads(line) for line in lines]
    first: Callable[[dict[str, Any]], dict[str, str]] = lambda row: row["instances"][0]  # noqa: E731
    frame = records(*[(f"{row['instruction']}\n{first(row)['input']}", first(row)["output"]) for row in rows])

    dropped = {rule.kind: decide(rule, frame)[0].count(False) for rule in DEFAULTS}

    assert sum(dropped.values()) <= 2, dropped
