"""Answers in another language than their requests."""

from __future__ import annotations

import polars as pl

from doit.curation.language.telling import languages
from doit.curation.texts.phrases import phrases

CODE = r"[{}=<>\\^_;]|\w\("
"""Signs of programs and formulas, whose few words tell no language."""
LEAST, LEAST_BETWEEN = 16, 100
"""Letters from which an answer has a language; names and lists are the same in several, so between two languages of
Latin script it takes more of them."""
EAST = r"[^\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]+"


def languages_apart(requests: pl.Series, answers: pl.Series, *, scripts: bool = False) -> pl.Series:
    """The languages of request and answer where they differ without having been asked to.

    Args:
        requests: a column of strings.
        answers: as many.
        scripts: whether Simplified and Traditional Chinese are two languages.

    Returns:
        A column of strings such as `zh-Hans → en`; null where both are the same, one is `und`, the request speaks of
        a language, a translation or a program, or the answer stands in the request or is little but names and code.
    """
    asked, given = languages(requests).alias("asked"), languages(answers).alias("given")
    rows = _differ(asked, given, scripts=scripts).arg_true()
    nothing = pl.Series(requests.name, [None], dtype=pl.String).new_from_index(0, len(requests))
    if not len(rows):
        return nothing
    some = pl.DataFrame([asked, given, requests.alias("request"), answers.alias("answer")])[rows]
    asked_for = f"(?i){phrases('languages_asked')['asked']}"
    letters = pl.col("answer").str.replace_all(r"[^\p{L}]+", "").str.len_chars()
    east = pl.col("answer").str.replace_all(EAST, "").str.len_chars()
    eastern = pl.col("asked").str.contains("^(?:zh|ja|ko)")
    chinese = pl.col("asked").str.starts_with("zh") & pl.col("given").str.starts_with("zh")
    # A single Han character says as much as three letters.
    long_enough = letters + 2 * east >= pl.when(eastern | (east > 0)).then(LEAST).otherwise(LEAST_BETWEEN)
    other = ~eastern | chinese | (east * 10 < letters) | (pl.col("given").is_in(["zh-Hans", "zh-Hant", "ja", "ko"]))
    quoted = pl.col("request").str.contains(pl.col("answer").str.strip_chars(), literal=True)
    apart = some.select(
        pl.when(~pl.col("request").str.contains(asked_for) & ~pl.col("answer").str.contains(CODE) & long_enough).then(
            pl.when(other & ~quoted).then(pl.concat_str("asked", pl.lit(" → "), "given"))
        )
    ).to_series()
    return nothing.scatter(rows, apart)


def _differ(asked: pl.Series, given: pl.Series, *, scripts: bool) -> pl.Series:
    """Where both have a language and the two are not the same; `zh` fits either script."""
    one, two = asked.str.extract(r"^(\w+)", 1), given.str.extract(r"^(\w+)", 1)
    differ = one != two
    if scripts:
        differ |= (asked != given) & (asked != "zh") & (given != "zh")
    return (differ & (one != "und") & (two != "und")).fill_null(value=False)
