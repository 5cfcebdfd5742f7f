"""What pages, templates and tokenizers leave behind in texts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import polars as pl

from doit.curation.texts.phrases import first_match, phrases

Kind = Literal["entities", "tags", "tokens", "templates", "replacement", "controls", "invisible"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""HTML entities, HTML tags, special tokens, template marks, U+FFFD, control and private-use characters, and characters
of no width. The patterns are in `data/leftovers.txt`."""
MARKUP = ("entities", "tags")
"""What is a subject, and no leftover, where a text is about pages or programs."""


def first_leftover(texts: pl.Series, kinds: Collection[str] = KINDS) -> pl.Series:
    """The first kind of leftover that a text has, and what it looks like there.

    Args:
        texts: a column of strings.
        kinds: of `KINDS`.

    Returns:
        A column of strings such as `entities &nbsp;`, with code points for what nobody sees; null for clean texts.
    """
    patterns = phrases("leftovers")
    found = pl.Series(texts.name, [None], dtype=pl.String).new_from_index(0, len(texts))
    for kind in KINDS:
        if kind not in kinds:
            continue
        match = first_match(texts, patterns[kind])
        if kind in MARKUP:
            match = _without_programs(match, texts)
        shown = _code_points(match) if kind in ("replacement", "controls", "invisible") else match
        found = found.zip_with(found.is_not_null(), f"{kind} " + shown)
    return found


def _without_programs(match: pl.Series, texts: pl.Series) -> pl.Series:
    rows = match.is_not_null().arg_true()
    if not len(rows):
        return match
    about = texts.gather(rows).str.contains(f"(?i){phrases('leftovers')['programs']}")
    return match.scatter(rows.filter(about), None)


def _code_points(match: pl.Series) -> pl.Series:
    rows = match.is_not_null().arg_true()
    if not len(rows):
        return match
    return match.scatter(rows, pl.Series([f"U+{ord(sign):04X}" for sign in match.gather(rows)], dtype=pl.String))
