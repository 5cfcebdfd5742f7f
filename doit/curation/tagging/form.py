"""The form of a request and its answer, as features with names: how long, of which letters, of which shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.tagging.words import latin_words, word_lists, words_of
from doit.curation.texts.phrases import phrases

READ = 1200
"""Characters of a request or an answer in which shapes are looked for."""

SHAPES = "ability_shapes"
"""The list of patterns."""


def meant() -> list[str]:
    """All that the form features of a text depend on besides this code: the patterns, and the words of the lists."""
    shapes = [f"{name}={pattern}" for name, pattern in phrases(SHAPES).items()]
    words = [f"{name}={' '.join(sorted(words))}" for name, words in sorted(word_lists().items())]
    return [*shapes, *words, *(f"{word}={abilities}" for word, abilities in sorted(latin_words().items()))]


class Named(NamedTuple):
    """Features by name: `codes` are places in `categories`."""

    codes: NDArray[np.int64]
    categories: list[str]


def form_names(prompts: pl.Series, answers: pl.Series) -> tuple[NDArray[np.int64], Named]:
    """The form features of records.

    Args:
        prompts: requests, no nulls.
        answers: no nulls, maybe empty.

    Returns:
        The row of each feature that a record has, and its name.
    """
    asked, told = prompts.str.head(READ), answers.str.head(READ)
    rows: list[NDArray[np.int64]] = []
    codes: list[NDArray[np.int64]] = []
    names: list[str] = []

    def has(name: str, flags: NDArray[np.bool_]) -> None:
        at = np.flatnonzero(flags)
        rows.append(at)
        codes.append(np.full(len(at), len(names)))
        names.append(name)

    def buckets(name: str, values: NDArray[np.int64], most: int) -> None:
        for value in range(most + 1):
            has(f"{name} {value}{'+' if value == most else ''}", np.minimum(values, most) == value)

    for text, texts in (("request", asked), ("answer", told)):
        shapes = {name: shape for name, shape in phrases(SHAPES).items() if name.startswith(text)}
        flags = texts.to_frame(text).select(
            pl.col(text).str.contains(shape).alias(name) for name, shape in shapes.items()
        )
        for flag in flags:
            has(flag.name.replace("__", ": ").replace("_", " "), flag.to_numpy())
    for ability, counts in words_of(asked).items():
        for least in (1, 2, 3, 5):
            has(f"words of {ability}: {least}+", counts >= least)
    _measures(prompts, answers, buckets)
    _relations(asked, told, has)
    return np.concatenate(rows), Named(np.concatenate(codes), names)


def _measures(prompts: pl.Series, answers: pl.Series, buckets: Callable[[str, NDArray[np.int64], int], None]) -> None:
    size, answer = (texts.str.len_chars().to_numpy().astype(np.int64) for texts in (prompts, answers))
    buckets("request length 2^", np.log2(size + 1).astype(np.int64), 11)
    buckets("answer length 2^", np.log2(answer + 1).astype(np.int64), 10)
    lines = prompts.str.strip_chars().str.count_matches("\n", literal=True).to_numpy().astype(np.int64)
    buckets("request lines 2^", np.log2(lines + 1).astype(np.int64), 4)
    latin = prompts.str.count_matches("[A-Za-z]").to_numpy().astype(np.int64)
    digits = prompts.str.count_matches("[0-9]").to_numpy().astype(np.int64)
    buckets("Latin letters in fifths:", 5 * latin // np.maximum(size, 1), 4)
    buckets("digits in twentieths:", 20 * digits // np.maximum(size, 1), 4)


def _relations(asked: pl.Series, told: pl.Series, has: Callable[[str, NDArray[np.bool_]], None]) -> None:
    pair = pl.DataFrame({"asked": asked, "told": told.str.strip_chars()})
    inside = pair.select(
        pl.col("told").str.len_chars().is_between(2, 120) & pl.col("asked").str.contains(pl.col("told"), literal=True)
    ).to_series()
    size = asked.str.len_chars()
    has("answer stands in a long request", (inside & (size >= 120)).to_numpy())
    has("answer stands in a short request", (inside & (size < 120)).to_numpy())
