"""The filters of BELLE's generator, and the rules by which its set of a million rows was cleaned."""

from __future__ import annotations

from typing import Literal

import polars as pl

from doit.curation.rules.base import Measured, text_of
from doit.curation.texts.mismatch import languages_apart
from doit.curation.texts.missing_inputs import missing_input, says_missing
from doit.curation.texts.phrases import SHOWN, first_match, phrases

TOO_SHORT, TOO_LONG, TOO_LONG_WITH_EXAMPLE = 3, 100, 150
EXAMPLE = "示例|例子"
LETTERS_PER_CHARACTER = 3
"""BELLE's limits are for Chinese; an instruction without Han characters may be three times as long."""
NO_INPUT = r"\A(?:|<?(?:无输入|無輸入|(?i:no ?input))>?)\z"
QUESTION = r"[?？]\s*\z|\A[(（]?[A-D][)）.．、:：]|(?m)^[(（]?B[)）.．、:：]"
"""Below a passage stands a question or its options: then the first line is no instruction."""
THINGS = (
    *(
        "图",
        "圖",
        "照片",
        "相片",
        "视频",
        "視頻",
        "影片",
        "音频",
        "音頻",
        "录音",
        "錄音",
        "文件",
        "文档",
        "文檔",
        "档",
        "檔",
    ),
    *("链接", "連接", "連結", "链结", "附件", "网址", "網址", "海报", "海報", "openai", "open ai", "picture", "image"),
    *("photo", "screenshot", "chart", "graph", "figure", "video", "audio", "file", "link", "url", "attachment"),
)
"""Words of which every request on the blacklist has one."""
GPT = r"(?i)(?:chat)?gpt(?:-?[0-9](?:\.[0-9])?)?"

WORDS = "[A-Za-z]+[ ,]+[A-Za-z]+[ ,]+[A-Za-z]+"
MACHINES = ("ai", "gpt", "language model", "模型", "人工智", "机器人", "機器人", "助手", "助理", "系统", "系統", "程")
"""Words of which every answer that names its machine has one."""


def _first(role: str) -> pl.Expr:
    message = pl.element()
    said = message.struct.field("content").filter(message.struct.field("role") == role)
    return pl.col("messages").list.eval(said).list.first().str.strip_chars()


class BelleGenerator(Measured):
    """BELLE's generator filters (`data/1.5M/generate_instruction.py` of its repository), on the first request.

    Dropped are requests for what a text model cannot see or open (a picture, a file, a link) or that name its maker;
    that still say GPT after phrases which only address the model are taken out; whose instruction has at most 3
    characters; or, with an input, at least 100 (150 if it holds 示例 or 例子; three times as many in other scripts).
    A record does not tell instruction and input apart, so the instruction is the first line, unless that is a heading
    (题目：), and an input what stands below; 无输入 is none, nor is a question below a passage. BELLE's last filter,
    likeness to the seeds by BM25, is the work of `near_duplicates`. Measured is the filter and what it found.
    """

    kind: Literal["belle_generator"] = "belle_generator"

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        return _first("user").map_batches(_generator_filter, pl.String, is_elementwise=True)

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value.is_null()


def _generator_filter(requests: pl.Series) -> pl.Series:
    lists = phrases("belle_generator")
    halves = requests.str.splitn("\n", 2).struct.rename_fields(["instruction", "input"]).struct.unnest()
    parts = halves.with_columns(
        pl.col("instruction").str.strip_chars(),
        pl.col("input").str.strip_chars().fill_null(""),
        blacklist=first_match(requests, f"(?i){lists['blacklist']}", THINGS),
        gpt=_named(requests, lists["asks_the_model"]),
    )
    length = pl.col("instruction").str.len_chars()
    han = pl.col("instruction").str.contains(r"\p{Han}")
    limit = pl.when(pl.col("instruction").str.contains(EXAMPLE)).then(TOO_LONG_WITH_EXAMPLE).otherwise(TOO_LONG)
    limit = limit * pl.when(han).then(1).otherwise(LETTERS_PER_CHARACTER)
    long = (length >= limit) & ~pl.col("input").str.contains(NO_INPUT) & ~pl.col("input").str.contains(QUESTION)
    return parts.select(
        pl.when(pl.col("blacklist").is_not_null())
        .then("blacklist: " + pl.col("blacklist"))
        .when(pl.col("gpt").is_not_null())
        .then("names: " + pl.col("gpt"))
        .when((length <= TOO_SHORT) & ~pl.col("instruction").str.contains("[:：]$"))
        .then("short: " + pl.col("instruction"))
        .when(long)
        .then("long: " + length.cast(pl.String) + " characters before an input")
    ).to_series()


def _named(requests: pl.Series, addresses: str) -> pl.Series:
    """GPT by name, but for phrases that only address it."""
    nothing = pl.Series(requests.name, [None], dtype=pl.String).new_from_index(0, len(requests))
    rows = requests.str.contains_any(["gpt"], ascii_case_insensitive=True).fill_null(value=False).arg_true()
    if not len(rows):
        return nothing
    return nothing.scatter(rows, first_match(requests.gather(rows).str.replace_all(f"(?i){addresses}", ""), GPT))


class BelleMillion(Measured):
    """The rules by which BELLE's set of a million rows was cleaned (its data page), on the whole record.

    Dropped are records whose answers name themselves a GPT model; whose request points at an input that is not there,
    or whose answer says so; and whose request is Chinese, but its input or its answer English, unless English, a
    translation or a program is asked for. Measured is the rule and what it found.
    """

    kind: Literal["belle_1m"] = "belle_1m"

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        return pl.struct(
            request=_first("user"), first_answer=_first("assistant"), answer=text_of("answer")
        ).map_batches(_million_rule, pl.String, is_elementwise=True)

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value.is_null()


def _million_rule(parts: pl.Series) -> pl.Series:
    request, answer = parts.struct.field("request"), parts.struct.field("first_answer")
    names = first_match(parts.struct.field("answer"), f"(?im){phrases('refusals')['gpt_itself']}", MACHINES)
    missing, said = missing_input(request), says_missing(answer)
    apart = _answered_in_english(request, answer)
    return (
        pl.select(
            pl.when(names.is_not_null())
            .then("names: " + names)
            .when(said.is_not_null())
            .then("input: " + said)
            .when(missing.is_not_null())
            .then("input: " + missing)
            .when(apart.is_not_null())
            .then("language: " + apart)
        )
        .to_series()
        .str.head(SHOWN)
    )


def _answered_in_english(requests: pl.Series, answers: pl.Series) -> pl.Series:
    """Both languages where a Chinese request has an English answer; only answers with a few words in a row are read."""
    nothing = pl.Series(requests.name, [None], dtype=pl.String).new_from_index(0, len(requests))
    rows = answers.str.contains(WORDS).fill_null(value=False).arg_true()
    if not len(rows):
        return nothing
    apart = languages_apart(requests.gather(rows), answers.gather(rows))
    found = apart.str.contains("^zh.* → en$").fill_null(value=False)
    return nothing.scatter(rows.filter(found), apart.filter(found))
