"""Rows that say little or say it wrongly: loops, signs, addresses, copies, requests without their text, leftovers."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from doit.curation.rules.base import Measured, Of, text_of
from doit.curation.texts import leftovers
from doit.curation.texts.alphanumeric import alphanumeric_share
from doit.curation.texts.copies import copied_answers
from doit.curation.texts.missing_inputs import missing_input
from doit.curation.texts.repetition import highest_repeated_share

URL = r"(?i)(?:https?|ftp)://[!-~]+|(?-u:\b)www\.[!-~]+"
"""An address is ASCII here: in Chinese the sentence goes on before and behind it without a space."""
ROLES = {"prompt": ("user",), "answer": ("assistant",), "conversation": ("system", "user", "assistant", "tool")}


class AtMost(Measured):
    """A rule that keeps what lies at or under a share."""

    decides: ClassVar[frozenset[str]] = frozenset({"name", "at_most"})

    at_most: float = Field(default=1.0, ge=0, le=1)

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value <= self.at_most


class Repetition(AtMost):
    """Drops records with a turn that goes in circles.

    Measured is the share of a turn's characters that start a run of ten which the turn had before; of several turns,
    the highest. A turn of fewer than 25 characters stays under the default, so short Chinese rows are safe.
    """

    kind: Literal["repetition"] = "repetition"
    at_most: float = Field(default=0.6, ge=0, le=1)
    of: Of = "answer"
    """Whose turns."""

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        message = pl.element()
        said = message.struct.field("content").filter(message.struct.field("role").is_in(ROLES[self.of]))
        turns = pl.col("messages").list.eval(said)
        return turns.map_batches(highest_repeated_share, pl.Float64, is_elementwise=True).round(4)


class Alphanumeric(Measured):
    """Keeps records of which at least this share is letters and digits of any script, spaces not counted."""

    decides: ClassVar[frozenset[str]] = frozenset({"name", "at_least"})

    kind: Literal["alphanumeric"] = "alphanumeric"
    at_least: float = Field(default=0.2, ge=0, le=1)
    of: Of = "conversation"
    """All contents, the user's alone, or the assistant's alone."""

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        return text_of(self.of).map_batches(alphanumeric_share, pl.Float64, is_elementwise=True).round(4)

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value >= self.at_least


class Urls(AtMost):
    """Drops records that are little but addresses: measured is the share of the characters that stand in URLs."""

    kind: Literal["urls"] = "urls"
    at_most: float = Field(default=0.5, ge=0, le=1)
    of: Of = "conversation"
    """All contents, the user's alone, or the assistant's alone."""

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        text = text_of(self.of)
        rest = text.str.replace_all(URL, "").str.len_chars()
        return (1 - rest / text.str.len_chars()).fill_nan(0.0).round(4)


class CopiedInput(Measured):
    """Drops records in which an answer is its request, or the last lines of it, word for word.

    Measured is the copied text. Answers of fewer than `at_least` characters are no copies: a greeting is answered by a
    greeting. Nor are those that make up less than half of the request, or that begin with an option's letter: the last
    of several options may be the right one.
    """

    kind: Literal["copied_input"] = "copied_input"
    at_least: int = Field(default=10, ge=1)
    """Characters from which an answer counts as a copy."""

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        at_least = self.at_least
        return pl.col("messages").map_batches(
            lambda messages: copied_answers(messages, at_least), pl.String, is_elementwise=True
        )

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value.is_null()


class MissingInput(Measured):
    """Drops records whose request points at a text that is not there: 请翻译以下句子。, Summarize the following text.

    Only requests of one line count, with nothing behind a colon and nothing in quotation marks. Measured is the phrase.
    """

    kind: Literal["missing_input"] = "missing_input"

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        return missing_input_of()

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value.is_null()


def missing_input_of() -> pl.Expr:
    """What the first request points at in vain; null where nothing is missing."""
    message = pl.element()
    asked = message.struct.field("content").filter(message.struct.field("role") == "user")
    first = pl.col("messages").list.eval(asked).list.first()
    return first.map_batches(missing_input, pl.String, is_elementwise=True)


class Leftovers(Measured):
    """Drops records with what pages, templates and tokenizers leave behind: `&nbsp;`, `<br>`, `<|im_end|>`, U+FFFD, …

    Entities and tags in texts about pages or programs are their subject and stay. Measured is the first one.
    """

    kind: Literal["leftovers"] = "leftovers"
    kinds: tuple[leftovers.Kind, ...] = Field(default=leftovers.KINDS, min_length=1)
    """Which: entities, tags, tokens, templates, replacement, controls, invisible."""
    of: Of = "conversation"
    """All contents, the user's alone, or the assistant's alone."""

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        kinds = self.kinds
        return text_of(self.of).map_batches(
            lambda texts: leftovers.first_leftover(texts, kinds), pl.String, is_elementwise=True
        )

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value.is_null()
