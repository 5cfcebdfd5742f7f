"""Answers that only say the request again."""

from __future__ import annotations

import polars as pl

from doit.curation.texts.phrases import SHOWN

OPTION = r"^[(（]?[A-Za-z][)）.．、:：]"
WHOLE_LINES = r"\A\z|[\n:：]\z"
"""What may stand before the copied part: nothing, whole lines, or a colon where no line end parts input and request."""


def copied_answers(messages: pl.Series, at_least: int) -> pl.Series:
    """The first answer of each record that is its request, or the last lines of it, word for word.

    Args:
        messages: `doit.table.MESSAGES_POLARS`, one list a record.
        at_least: characters from which an answer counts.

    Returns:
        A column of strings, at most `SHOWN` characters of the answer; null where nothing is copied. An answer is no
        copy if it makes up less than half of the request, or begins with the letter of an option: the last of several
        options may be the right one.
    """
    record = pl.int_range(pl.len(), dtype=pl.UInt32).alias("record")
    turns = messages.alias("turn").to_frame().with_columns(record).explode("turn").unnest("turn")
    said = pl.col("content").str.strip_chars()
    found = (
        turns.with_columns(said.alias("said"))
        .with_columns(pl.col("said", "role", "record").shift(1).name.prefix("last_"))
        .filter(
            (pl.col("role") == "assistant")
            & (pl.col("last_role") == "user")
            & (pl.col("record") == pl.col("last_record"))
            & (pl.col("said").str.len_chars() >= at_least)
            & (2 * pl.col("said").str.len_chars() >= pl.col("last_said").str.len_chars())
            & pl.col("last_said").str.ends_with(pl.col("said"))
        )
        .with_columns(rest=pl.col("last_said").str.strip_suffix(pl.col("said")).str.strip_chars_end(" "))
        .filter(pl.col("rest").str.contains(WHOLE_LINES) & ~pl.col("said").str.contains(OPTION))
        .unique("record", keep="first", maintain_order=True)
    )
    nothing = pl.Series(messages.name, [None], dtype=pl.String).new_from_index(0, len(messages))
    return nothing.scatter(found["record"], found["said"].str.head(SHOWN)) if found.height else nothing
