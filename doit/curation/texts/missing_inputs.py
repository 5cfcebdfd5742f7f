"""Requests that point at a text which is not there, and answers that say so."""

from __future__ import annotations

import polars as pl

from doit.curation.texts.phrases import first_match, phrases

HOLDS = (
    r"\n|[“”\"「」『』《》【】\[\]{}()（）<>`=]",
    # something behind a colon or a line of dots, several sentences, or two that ran together
    r"[:：].*[^\s:：_…\.]|[。！？]\s*[^\s。！？]|[.!?;]\s*\p{L}|\\n|\p{Ll}\p{Lu}",
    # options, addresses, numbers in a row
    r"[A-D][.、．]|https?://|[0-9].*[,，、].*[0-9]",
    # a program's own arguments: Write a function that sorts the given list.
    r"(?i)\b(?:function|program|script|algorithm|method|query|class|regex|command)\b|函[数數]|程序|程式|算法|脚本|[编編][写寫]",
)
"""Signs that a request holds its text, or needs none."""
SAID = ("提供", "给出", "給出", "输入", "輸入", "provide", "given", "include", "share", "input")
"""Words of which every answer that misses something has one."""
LONGEST, LONGEST_LATIN = 60, 180
"""Characters from which one sentence may well hold its text. A word of Latin script has three for one of Han script."""


def missing_input(requests: pl.Series) -> pl.Series:
    """What each request points at in vain.

    Args:
        requests: a column of strings.

    Returns:
        The phrase, such as `以下句子`; null where nothing is missing.
    """
    asked = requests.str.strip_chars()
    found = pl.Series(requests.name, [None], dtype=pl.String).new_from_index(0, len(requests))
    length = asked.str.len_chars()
    short = (length < LONGEST_LATIN) & ((length < LONGEST) | ~asked.str.contains(r"\p{Han}"))
    rows = (short & ~asked.str.contains("|".join(f"(?:{sign})" for sign in HOLDS))).fill_null(value=False).arg_true()
    if not len(rows):
        return found
    return found.scatter(rows, first_match(asked.gather(rows), f"(?i){phrases('missing_inputs')['asks']}"))


def says_missing(answers: pl.Series, characters: int = 120) -> pl.Series:
    """Where each answer says, in its first characters, that something was not given; null elsewhere."""
    return first_match(answers.str.head(characters), f"(?i){phrases('missing_inputs')['misses']}", SAID)
