"""Words that speak of an ability: how many different ones a text has."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.tagging.lists import sections
from doit.curation.tagging.tables import traditional_words


@cache
def word_lists() -> dict[str, tuple[str, ...]]:
    """Ability -> its Chinese words in both scripts."""
    forms = traditional_words()
    return {ability: tuple(sorted({*words, *forms[ability]})) for ability, words in sections("zh").items()}


@cache
def latin_words() -> dict[str, str]:
    """Word of Latin letters, lower case -> the abilities that it speaks of, joined by blanks."""
    found: dict[str, list[str]] = {}
    for ability, words in sections("en").items():
        for word in words:
            found.setdefault(word, []).append(ability)
    return {word: " ".join(abilities) for word, abilities in found.items()}


def words_of(texts: pl.Series) -> dict[str, NDArray[np.int64]]:
    """For each ability how many different words of its list each text has.

    Args:
        texts: a column without nulls.
    """
    found = _found(texts)
    counts = {}
    for ability, words in _lists().items():
        rows = found["row"].filter(found["word"].is_in(words)).to_numpy()
        counts[ability] = np.bincount(rows, minlength=len(texts))
    return counts


def words_in(text: str) -> dict[str, list[str]]:
    """The words of each ability's list that a text has."""
    found = _found(pl.Series([text]))["word"]
    return {ability: found.filter(found.is_in(words)).sort().to_list() for ability, words in _lists().items()}


@cache
def _lists() -> dict[str, list[str]]:
    """Ability -> its words in all forms, those of Latin letters in lower case."""
    table = latin_words()
    return {
        ability: [*words, *(word for word, abilities in table.items() if ability in abilities.split())]
        for ability, words in word_lists().items()
    }


def _found(texts: pl.Series) -> pl.DataFrame:
    """`row` and `word`: every word of any list that a text has, once."""
    every = sorted(set().union(*word_lists().values()))
    han = (
        texts.str.extract_many(every, overlapping=True)
        .to_frame("word")
        .lazy()
        .with_row_index("row")
        .explode("word", empty_as_null=False)
    )
    known = list(latin_words())
    latin = (
        texts.to_frame("text")
        .lazy()
        .with_row_index("row")
        .filter(pl.col("text").str.contains("[A-Za-z]{2}"))
        .select("row", word=pl.col("text").str.to_lowercase().str.extract_all("[a-z]{2,}"))
        .explode("word", empty_as_null=False)
        .with_columns(
            word=pl.when(pl.col("word").is_in(known)).then("word").otherwise(pl.col("word").str.strip_suffix("s"))
        )
        .filter(pl.col("word").is_in(known))
    )
    return pl.concat([han, latin]).unique().collect()
