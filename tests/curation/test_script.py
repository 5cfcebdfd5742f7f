from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import opencc
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doit.curation import conversion
from doit.curation.conversion import CONFIGS, Kept, Target, convert, convert_back, to_convert
from doit.curation.duplicates import folding
from doit.curation.rules.script import IRREVERSIBLE, Script
from doit.table import MESSAGES_POLARS

TARGETS: tuple[Target, ...] = ("zh-Hans", "zh-Hant", "zh-Hant-TW")


def conversations(*records: tuple[str, ...]) -> pl.Series:
    """Records of the given contents, user and assistant by turns."""
    rows = [
        [{"role": ("user", "assistant")[place % 2], "content": content} for place, content in enumerate(record)]
        for record in records
    ]
    return pl.Series("messages", rows, dtype=MESSAGES_POLARS)


def contents(messages: pl.Series) -> list[list[str]]:
    return [[message["content"] for message in record] for record in messages.to_list()]


def one(text: str, **settings_of_rule: Any) -> str:
    rule = Script.model_validate({"to": "zh-Hant", **settings_of_rule})
    return contents(rule.rewrite(conversations((text,)), pl.Series(["zh-Hans"])))[0][0]


def test_roles_order_and_other_records_stay() -> None:
    before = conversations(("头发", "发现"), ("hair", "found"), ("皇后", "以后"))
    after = Script(to="zh-Hant").rewrite(before, pl.Series(["zh-Hans", "en", "zh"]))
    assert after.dtype == MESSAGES_POLARS
    assert contents(after) == [["頭髮", "發現"], ["hair", "found"], ["皇后", "以後"]]
    assert [m["role"] for m in after.to_list()[0]] == ["user", "assistant"]
    assert contents(before)[0] == ["头发", "发现"], "what was given is not changed"


def test_japanese_and_korean_keep_their_characters() -> None:
    before = conversations(("国語の学校で会う", "台風"), ("學校 학교",))
    for to in TARGETS:
        assert Script(to=to).rewrite(before, pl.Series(["ja", "ko"])).equals(before)


def test_keep_rewrites_nothing() -> None:
    rule, before = Script(to="keep"), conversations(("头发", "頭髮"))
    assert not rule.rewrites
    assert rule.rewrite(before, pl.Series(["zh-Hans"])).equals(before)
    assert rule.marks(before, before).to_list() == [[]]


@pytest.mark.parametrize(
    ("text", "language", "hans", "hant"),
    [
        ("这是皇后的头发", "zh-Hans", False, True),
        ("這是皇后的頭髮", "zh-Hant", True, False),
        ("皇后以后", "zh-Hans", False, True),
        ("皇后以后", "zh", False, True),
        ("乾燥", "zh-Hant", True, False),
        ("这 and 這", "zh-Hans", True, True),
        ("把它写成繁体", "zh-Hant", False, True),
        ("請寫成繁體", "zh-Hans", True, False),
        ("这是皇后的头发", "ja", False, False),
        ("hello", "zh-Hant-TW", True, False),
        (None, "zh-Hans", False, False),
    ],
)
def test_which_texts_are_converted(text: str | None, language: str, *, hans: bool, hant: bool) -> None:
    texts, languages = pl.Series([text], dtype=pl.String), pl.Series([language])
    assert to_convert(texts, languages, "zh-Hans").to_list() == [hans]
    assert to_convert(texts, languages, "zh-Hant").to_list() == [hant]


def test_text_that_is_traditional_stays_as_it_is_written() -> None:
    text = "台灣的著名舞台，裏面有羣眾。"
    before = conversations((text,))
    assert Script(to="zh-Hant").rewrite(before, pl.Series(["zh-Hant"])).equals(before)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("运行`发现`吧", "運行`发现`吧"),
        ("``发`现``发现", "``发`现``發現"),
        ("发\n```py\n# 头发\n```\n发现", "發\n```py\n# 头发\n```\n發現"),
        ("发现\n```\n没有关上的头发", "發現\n```\n没有关上的头发"),
        ("````\n```\n头发\n```\n````头发", "````\n```\n头发\n```\n````頭髮"),
        ("~~~\n头发\n~~~\n头发", "~~~\n头发\n~~~\n頭髮"),
        ("好的~~~头发", "好的~~~頭髮"),
    ],
)
def test_code_stays_or_not(text: str, expected: str) -> None:
    assert one(text) == expected
    assert "髮" in one(text, code="convert") or "發" in one(text, code="convert")
    assert one(text, code="convert") == str(opencc.OpenCC("s2tw").convert(text))


def test_addresses_stay_or_not() -> None:
    text = "见https://zh.wikipedia.org/wiki/头发?q=发现&x=1的头发，www.a.cn/后/里"
    assert one(text) == "見https://zh.wikipedia.org/wiki/头发?q=发现&x=1的頭髮，www.a.cn/后/里"
    assert one(text, urls="convert") == "見https://zh.wikipedia.org/wiki/頭髮?q=發現&x=1的頭髮，www.a.cn/後/裡"


@pytest.mark.parametrize("quoted", ["“头发”", "「头发」", "『头发』", "‘头发’", '"头发"', "\n> 头发里\n"])
def test_quoted_text_is_converted_unless_it_is_to_stay(quoted: str) -> None:
    text = f"他说：{quoted}头发"
    assert one(text, quotes="keep") == f"他說：{quoted}頭髮"
    assert "头" not in one(text)


def test_a_quote_that_is_not_closed_ends_with_its_line() -> None:
    assert one("他说「头发\n头发」", quotes="keep") == "他說「頭髮\n頭髮」"


def test_names_stay_and_the_longest_wins() -> None:
    assert one("范丞丞和范丞，云云", names=["范丞", "范丞丞", "云"]) == "范丞丞和范丞，云云"
    assert one("a.b头发", names=["a.b", ".", "(", "[头]"]) == "a.b頭髮"
    assert one("姓余的发现", names=["发现"]) == "姓余的发现"


def test_thousands_of_names_are_one_pattern() -> None:
    names = [chr(0x4E00 + number // 100) + chr(0x5E00 + number % 100) + "发" for number in range(20_000)]
    assert one(f"头发{names[777]}头发", names=names) == f"頭髮{names[777]}頭髮"


def test_no_text_is_lost_at_a_nul_or_a_noncharacter() -> None:
    for to in TARGETS:
        text = "\0头发\0里面\ufffe台\uffff\0\0頭髮\ufdd0支持\0"
        made = convert(pl.Series([text, "头发\0", "里"]), to)
        assert [len(row) for row in made] == [len(text), 3, 1]
        assert [row.count("\0") for row in made] == [5, 1, 0]
        assert [made[0].count(mark) for mark in "\ufffe\uffff\ufdd0"] == [1, 1, 1]


HAN = st.text(
    st.sampled_from(
        "头发头髮發里裡後后干乾幹面麵台臺只隻松鬆云雲著着么麼不准数据文件\0\ufffe\uffff\ufdd0`「」>\n 😀éa1"
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(
    st.lists(st.one_of(st.none(), HAN), max_size=8),
    st.sampled_from(TARGETS),
    st.sets(st.sampled_from(["code", "urls", "quotes"])),
)
def test_a_column_is_converted_as_each_text_alone(texts: list[str | None], to: Target, parts: set[Any]) -> None:
    kept = Kept(frozenset(parts), ("云云",))
    made = convert(pl.Series(texts, dtype=pl.String), to, kept).to_list()
    alone = [convert(pl.Series([text], dtype=pl.String), to, kept)[0] for text in texts]
    assert made == alone
    if to != "zh-Hant-TW":
        assert [text and len(text) for text in made] == [text and len(text) for text in texts]


@settings(max_examples=100)
@given(st.lists(st.text("头发这里面皇后干净台湾只有一条云彩。，", max_size=20), max_size=6))
def test_what_is_converted_needs_no_second_conversion(texts: list[str]) -> None:
    messages = conversations(*[(text,) for text in texts])
    languages = pl.Series(["zh-Hans"] * len(texts), dtype=pl.String)
    rule = Script(to="zh-Hant")
    after = rule.rewrite(messages, languages)
    again = rule.rewrite(after, pl.Series(["zh-Hant"] * len(texts), dtype=pl.String))
    assert contents(again) == contents(after)


def test_what_cannot_be_had_back_is_marked() -> None:
    before = conversations(("头发干净",), ("乾净的头发",), ("hello 头发", "锺馗头发"), ("English",))
    languages = pl.Series(["zh-Hans", "zh-Hans", "zh-Hans", "en"])
    rule = Script(to="zh-Hant")
    after = rule.rewrite(before, languages)
    assert contents(after)[1] == ["乾淨的頭髮"]
    assert rule.marks(before, after).to_list() == [[], [IRREVERSIBLE], [IRREVERSIBLE], []]
    assert convert_back(pl.Series(["乾淨的頭髮"]), "zh-Hant")[0] == "干净的头发"


def test_kept_words_are_kept_on_the_way_back_too() -> None:
    before, languages = conversations(("`裏面`范後里 的头发",)), pl.Series(["zh-Hans"])
    rule = Script(to="zh-Hant", names=("范後里",))
    assert rule.marks(before, rule.rewrite(before, languages)).to_list() == [[]]
    bare = Script(to="zh-Hant", code="convert")
    assert bare.marks(before, bare.rewrite(before, languages)).to_list() == [[IRREVERSIBLE]]


def test_one_converter_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = opencc.OpenCC
    monkeypatch.setattr(opencc, "OpenCC", lambda config: made.append(config) or real(config))
    folding.converter.cache_clear()
    for _ in range(3):
        convert(pl.Series(["头发", "里面`码`"]), "zh-Hant")
    assert made == ["s2tw"]


def test_many_texts_make_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = conversion._opencc
    monkeypatch.setattr(conversion, "_opencc", lambda config, text: calls.append(text) or real(config, text))
    convert(pl.Series(["头发里面"] * 5000), "zh-Hans")
    assert len(calls) == 1


def test_the_exceptions_are_needed_and_well_formed() -> None:
    for to in TARGETS:
        words = conversion.exceptions(to)
        assert words
        assert not [word for word in words if " " in word or not word]
    lines = [line for line in conversion.DATA.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert len({tuple(line.split(" ")[:2]) for line in lines}) == len(lines)
    assert {line.split(" ")[0] for line in lines} == set(CONFIGS)


@pytest.mark.shared
def test_the_round_trip_of_drcd(shared: Path) -> None:
    """Traditional to Simplified and back; `-s` prints what is lost."""
    document = json.loads((shared / "drcd-zh-hant" / "DRCD_dev.json").read_text(encoding="utf-8"))
    paragraphs = [paragraph for article in document["data"] for paragraph in article["paragraphs"]]
    for name, texts in (
        ("paragraphs", [paragraph["context"] for paragraph in paragraphs]),
        ("questions", [question["question"] for paragraph in paragraphs for question in paragraph["qas"]]),
    ):
        before = pl.Series(texts)
        after = convert_back(convert(before, "zh-Hans"), "zh-Hans")
        chars = sum(map(len, texts))
        lost = sum(
            old != new for one, other in zip(before, after, strict=True) for old, new in zip(one, other, strict=True)
        )
        same = (before == after).mean()
        print(f"DRCD {name}: {same:.4f} of {len(texts)} texts come back, {lost} of {chars} characters do not")
        assert lost / chars < 0.005
        assert same is not None
        assert same > (0.3 if name == "paragraphs" else 0.9)
