"""Answers that refuse, and answers that say which machine gave them."""

from __future__ import annotations

from typing import Literal

import polars as pl

from doit.curation.rules.base import Measured, text_of
from doit.curation.texts.phrases import first_match, phrases

HEAD = 200
"""Characters of an answer in which a refusal shows; later ones are part of a story or a quotation."""


class Refusals(Measured):
    """Drops records in which an answer begins with a refusal: 很抱歉，我无法提供…, I'm sorry, but I can't …

    An apology alone is none, nor is an answer that says that a text does not tell (无法回答). Measured is the phrase.
    """

    kind: Literal["refusals"] = "refusals"

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        message = pl.element()
        answers = message.struct.field("content").filter(message.struct.field("role") == "assistant")
        heads = answers.str.strip_chars().str.head(HEAD).str.replace_all("\n", " ", literal=True)
        return _phrase(pl.col("messages").list.eval(heads).list.join("\n"), "refusals")

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value.is_null()


class IdentityLeak(Measured):
    """Drops records in which the assistant says what it is: 作为一个AI语言模型，我…, I am ChatGPT, 由OpenAI训练.

    Only the first person counts: an answer about ChatGPT stays. Measured is the phrase.
    """

    kind: Literal["identity_leak"] = "identity_leak"

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        return _phrase(text_of("answer"), "identity_leak")

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value.is_null()


def _phrase(texts: pl.Expr, section: str) -> pl.Expr:
    pattern = f"(?im){phrases('refusals')[section]}"
    return texts.map_batches(lambda column: first_match(column, pattern), pl.String, is_elementwise=True)
