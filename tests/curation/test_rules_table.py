"""Every rule has a row that it alone rejects, and a near miss that it keeps."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from doit.curation.rules.base import Measured
from doit.curation.rules.generator import BelleGenerator, BelleMillion
from doit.curation.rules.languages import LanguageMismatch, Languages
from doit.curation.rules.lengths import AssistantChars, Chars, Turns
from doit.curation.rules.noise import Alphanumeric, CopiedInput, Leftovers, MissingInput, Repetition, Urls
from doit.curation.rules.patterns import Pattern
from doit.curation.rules.private import Secrets
from doit.curation.rules.refusals import IdentityLeak, Refusals
from doit.table import MESSAGES_POLARS

DEFAULTS: tuple[Measured, ...] = (
    Repetition(),
    Alphanumeric(),
    Urls(),
    CopiedInput(),
    MissingInput(),
    Leftovers(),
    Refusals(),
    IdentityLeak(),
    LanguageMismatch(),
    BelleGenerator(),
    BelleMillion(),
    Secrets(),
)
"""The rules that need no field."""

GOOD = "西湖三面环山，春天最美。白堤与苏堤自唐宋以来闻名，断桥残雪是冬日名景。"
LINKS = "https://example.com/docs/one https://example.com/docs/two"

ROWS: dict[str, tuple[Measured, tuple[str, ...], tuple[str, ...], str]] = {
    # kind: the rule, a row that it rejects, a near miss, and what it says of the first
    "assistant_chars": (AssistantChars(at_least=2), ("今天星期几？", "二"), ("今天星期几？", "周二"), "1"),
    "chars": (Chars(at_most=12), ("今天是星期几呢？", "是星期二。"), ("今天是星期几？", "星期二呀。"), "13"),
    "turns": (Turns(at_most=1), ("你在吗？", "我在。", "好的", "有事请说。"), ("你在吗？", "我在，请说。"), "2"),
    "languages": (Languages(keep=("zh",)), ("Who wrote this novel?", "It was Jane Austen."), ("谁写的？", GOOD), "en"),
    "pattern": (
        Pattern(matches="(?i)lorem ipsum"),
        ("写一句话", "Lorem Ipsum，排字用的假文。"),
        ("写", GOOD),
        "Lorem Ipsum",
    ),
    "repetition": (Repetition(), ("写一首诗", "雪落在屋檐上像一封信，" * 12), ("写一首诗", "哈" * 24), "0.8485"),
    "alphanumeric": (
        Alphanumeric(),
        ("画一只猫", "=^..^= (>_<) <*|*> {o.o} ~%~ [#_#]"),
        ("画一只猫", "=^..^= 这是一只正在微笑的小猫"),
        "0.1818",
    ),
    "urls": (Urls(), ("推荐两个网站", LINKS), ("推荐两个网站", f"{LINKS} 第一个是入门教程，{GOOD * 2}"), "0.8750"),
    "copied_input": (
        CopiedInput(),
        ("改写句子\n她的长发在阳光下格外美丽。", "她的长发在阳光下格外美丽。"),
        ("改写句子\n她的长发在阳光下格外美丽。", "阳光下，她的长发格外美丽。"),
        "她的长发在阳光下格外美丽。",
    ),
    "missing_input": (
        MissingInput(),
        ("请总结以下文章。", GOOD),
        ("请总结以下文章。西湖三面环山，春天最美。", GOOD),
        "以下文章",
    ),
    "leftovers": (
        Leftovers(),
        ("西湖在哪里？", f"{GOOD}<br>&nbsp;"),
        ("用HTML换行", "行末写<br>即可。"),
        "entities &nbsp;",
    ),
    "refusals": (
        Refusals(),
        ("明天股价是多少？", "很抱歉，我无法预测明天的股价。"),
        ("写一封道歉信", "很抱歉，我无法忘记那个下午，也无法原谅自己。"),
        "很抱歉，我无法预测",
    ),
    "identity_leak": (
        IdentityLeak(),
        ("你是谁？", "你好，我是通义千问，很高兴认识你。"),
        ("通义千问是什么？", "通义千问是一个大型语言模型，作为语言模型，它能写文章。"),
        "我是通义千问",
    ),
    "language_mismatch": (
        LanguageMismatch(),
        ("How can I improve my slides?", "可以先写提纲，再删去多余的文字，最后统一字体和颜色。"),
        ("How can I improve my slides? Answer in Chinese.", "可以先写提纲，再删去多余的文字，最后统一字体。"),
        "en → zh-Hans",
    ),
    "belle_generator": (
        BelleGenerator(),
        ("请描述这张图片里的人物", "他站在湖边。"),
        ("请介绍一种保存图片的方法", "存为无损格式即可。"),
        "blacklist: 这张图片",
    ),
    "belle_1m": (
        BelleMillion(),
        ("说出场景中最重要的两个角色。", "您并未提供场景的相关内容，请补充之后再问。"),
        ("说出场景中最重要的两个角色。", "第一是划船的老人，第二是岸上的孩子，请看下文。"),
        "input: 您并未提供场景的相关内容",
    ),
    "secrets": (
        Secrets(),
        ("联系人是谁？", "李女士，手机13812345678。"),
        ("圆周率是多少？", "约为3.13812345678的近似值，并不准确。"),
        "1 phone",
    ),
}

INCLUDED = {"missing_input": {"belle_1m"}}
"""Rules that another contains whole."""


def record(*turns: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(turns)]


def records(*rows: tuple[str, ...], **columns: Any) -> pl.DataFrame:
    """Records with the columns that rules read, as `doit.table.RECORD` has them."""
    frame = pl.DataFrame({"messages": [record(*turns) for turns in rows]}, schema={"messages": MESSAGES_POLARS})
    from doit.curation.language.telling import languages
    from doit.curation.rules.base import text_of

    return frame.with_columns(
        language=languages(frame.select(text_of("conversation")).to_series()),
        turns=pl.Series([len(turns) // 2 for turns in rows], dtype=pl.Int32),
        reasoning=pl.lit(None, pl.List(pl.String)),
        tools=pl.lit(None, pl.String),
        **columns,
    )


def decide(rule: Measured, frame: pl.DataFrame) -> tuple[list[bool], list[str | None]]:
    """What stays, and what the ledger says, as a build asks for them."""
    value = frame.lazy().select(v=rule.measure()).collect(engine="streaming")
    keeps = value.select(rule.keeps(pl.col("v")).fill_null(value=False)).to_series().to_list()
    return keeps, value["v"].cast(pl.String).to_list()


@pytest.mark.parametrize("kind", ROWS)
def test_a_rule_rejects_its_row_and_keeps_the_near_miss(kind: str) -> None:
    rule, rejected, near, said = ROWS[kind]
    assert rule.kind == kind

    keeps, values = decide(rule, records(rejected, near))

    assert keeps == [False, True]
    assert values[0] is not None
    assert values[0] == said or float(values[0]) == pytest.approx(float(said), abs=5e-5)


@pytest.mark.parametrize("kind", ROWS)
def test_no_other_default_rule_rejects_it(kind: str) -> None:
    frame = records(ROWS[kind][1])

    others = {rule.kind for rule in DEFAULTS if decide(rule, frame)[0] == [False]} - {kind}

    assert others == INCLUDED.get(kind, set())


def test_every_default_rule_is_in_the_table() -> None:
    assert {rule.kind for rule in DEFAULTS} <= set(ROWS)


@pytest.mark.parametrize("rule", DEFAULTS, ids=lambda rule: rule.kind)
def test_plain_rows_of_every_kind_stay(rule: Measured) -> None:
    rows = [
        ("你好吗？", "你好！请问有什么可以帮您？"),
        ("晚安啦～", "晚安啦～"),
        ("1+1=?", "2"),
        ("把下句译成英文\n早上好", "Good morning"),
        ("用 Python 写一个冒泡排序", "```python\ndef sort(a):\n    return sorted(a)\n```"),
        ("請問頭髮裡面有什麼東西？", "頭髮裡面主要是角蛋白。"),
        ("选择题：谁最高？\nA. 小明\nB. 小红\nC. 小刚", "C. 小刚"),
        ("以下哪个是水果？\n苹果\n桌子", "苹果"),
        ("Translate into Chinese: Good morning", "早上好"),
        ("Résumez ce texte : Paris est la capitale de la France.", "Paris est la capitale."),
        ("👨‍👩‍👧 是什么意思？", "这个表情 👨‍👩‍👧 表示一家三口。"),
        ("根据短文回答：他几岁？\n他生于1990年。", "短文没有说，无法回答。"),
        ("ｉＰｈｏｎｅ 是谁做的？", "ｉＰｈｏｎｅ 是苹果公司做的，１９７６年成立。"),
    ]

    keeps, values = decide(rule, records(*rows))

    assert keeps == [True] * len(rows), [value for kept, value in zip(keeps, values, strict=True) if not kept]


@pytest.mark.parametrize("rule", DEFAULTS, ids=lambda rule: rule.kind)
def test_a_row_is_judged_alone(rule: Measured) -> None:
    rows = [row for _, rejected, near, _ in ROWS.values() for row in (rejected, near)]

    frame = records(*rows)

    keeps, values = decide(rule, frame)

    backwards = decide(rule, pl.concat([frame] * 9).reverse())
    assert backwards == (keeps[::-1] * 9, values[::-1] * 9)
    at = len(rows) // 2
    parts = [decide(rule, part) for part in (frame[:1], frame[1:at], frame[at:])]
    assert [kept for part, _ in parts for kept in part] == keeps
    assert [value for _, part in parts for value in part] == values


@pytest.mark.parametrize("rule", DEFAULTS, ids=lambda rule: rule.kind)
def test_no_rows_are_no_trouble(rule: Measured) -> None:
    assert decide(rule, records()) == ([], [])


def test_a_threshold_does_not_change_what_is_measured() -> None:
    assert Repetition(at_most=0.2).measurement() == Repetition(name="loops").measurement()
    assert Alphanumeric(at_least=0.4).measurement() == Alphanumeric().measurement()
    assert Urls(at_most=0.1).measurement() == Urls().measurement()
    assert Repetition(of="prompt").measurement() != Repetition().measurement()
    assert Leftovers(kinds=("tokens",)).measurement() != Leftovers().measurement()
    assert Secrets(kinds=("phone",)).measurement() != Secrets().measurement()


def test_texts_of_one_speaker_alone() -> None:
    row = ("看看 <|im_end|> 是什么", GOOD)

    assert decide(Leftovers(of="answer"), records(row))[0] == [True]
    assert decide(Leftovers(of="prompt"), records(row))[0] == [False]
    assert decide(Leftovers(kinds=("replacement",)), records(row))[0] == [True]


def test_scripts_are_two_languages_when_asked() -> None:
    row = ("請問頭髮裡面有什麼東西？", "头发里面主要是角蛋白，还有水和脂质。")

    assert decide(LanguageMismatch(), records(row))[0] == [True]
    assert decide(LanguageMismatch(scripts=True), records(row)) == ([False], ["zh-Hant → zh-Hans"])
