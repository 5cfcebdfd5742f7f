"""What the tagger reads of a record."""

from __future__ import annotations

import polars as pl

PROMPT, ANSWER = "prompt", "answer"


def said_by(role: str, most: int = 4000) -> pl.Expr:
    """What one side of the column `messages` says, turns joined by line breaks.

    Args:
        role: user or assistant.
        most: a text of more than twice as many characters is cut to so many from its beginning and from its end.
    """
    turns = pl.col("messages").list.eval(
        pl.element().filter(pl.element().struct.field("role") == role).struct.field("content")
    )
    text = turns.list.join("\n").fill_null("")
    cut = pl.concat_str([text.str.head(most), text.str.tail(most)], separator="\n")
    return pl.when(text.str.len_chars() > 2 * most).then(cut).otherwise(text)


def texts() -> list[pl.Expr]:
    """`prompt` and `answer` of records that have the column `messages`."""
    return [said_by("user").alias(PROMPT), said_by("assistant").alias(ANSWER)]
