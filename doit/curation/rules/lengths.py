"""How long a record is."""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from doit.curation.rules.base import Bounds, Rule


class AssistantChars(Bounds):
    """Unicode characters of all the assistant's turns."""

    kind: Literal["assistant_chars"] = "assistant_chars"

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        message = pl.element()
        length = (
            pl.when(message.struct.field("role") == "assistant")
            .then(message.struct.field("content").str.len_chars())
            .otherwise(0)
        )
        return pl.col("messages").list.eval(length).list.sum()


class Chars(Bounds):
    """Unicode characters of all contents."""

    kind: Literal["chars"] = "chars"

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        return pl.col("messages").list.eval(pl.element().struct.field("content").str.len_chars()).list.sum()


class Turns(Bounds):
    """Assistant turns."""

    kind: Literal["turns"] = "turns"

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        return pl.col("turns")


class Tokens(Rule):
    """Tokens of all contents, without the marks that a chat template adds."""

    kind: Literal["tokens"] = "tokens"
    at_most: Annotated[int, Field(ge=1)]
    tokenizer: str | None = None
    """A `tokenizer.json` or a folder with one, relative to the spec; the spec's own if not given."""
    over: Literal["drop", "split"] = "drop"
    """A longer conversation is dropped, or made several at turns; an exchange that alone is too long is dropped."""
