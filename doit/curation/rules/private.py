"""Private things in texts: a record goes, or its texts are changed."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from doit.curation.private import secrets
from doit.curation.rules.base import Measured, Rewriting, text_of
from doit.table import MESSAGES_POLARS


class Secrets(Rewriting, Measured):
    """Addresses, numbers and keys (`private.secrets`): drops the records, or puts `[e-mail]`, … in their place.

    Measured is how many of each kind, and never the things themselves: `2 e-mail, 1 phone`.
    """

    kind: Literal["secrets"] = "secrets"
    action: Literal["drop", "redact"] = "drop"
    """Drop the record, or change its texts."""
    kinds: tuple[secrets.Kind, ...] = Field(default=secrets.KINDS, min_length=1)
    """What is looked for; everything by default."""

    @property
    def rewrites(self) -> bool:
        """See `Rewriting.rewrites`."""
        return self.action == "redact"

    def measure(self) -> pl.Expr:
        """See `Measured.measure`; of messages, reasoning and tools."""
        texts = pl.concat_str(
            text_of("conversation"), pl.col("reasoning").list.join("\n"), "tools", separator="\n", ignore_nulls=True
        )
        return texts.map_batches(self._counts, pl.String, is_elementwise=True)

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`; all stay where texts are changed instead."""
        return value.is_null() | pl.lit(self.rewrites)

    def _counts(self, texts: pl.Series) -> pl.Series:
        rows = secrets.screen(texts, self.kinds).arg_true()
        nothing = pl.Series(texts.name, [None], dtype=pl.String).new_from_index(0, len(texts))
        if not len(rows):
            return nothing
        return nothing.scatter(rows, pl.Series([self._said(text) for text in texts.gather(rows)], dtype=pl.String))

    def _said(self, text: str) -> str | None:
        kinds = [item.kind for item in secrets.find(text, self.kinds)]
        return ", ".join(f"{kinds.count(kind)} {kind}" for kind in secrets.KINDS if kind in kinds) or None

    def rewrite(self, messages: pl.Series, languages: pl.Series) -> pl.Series:
        """See `Rewriting.rewrite`."""
        content = pl.element().struct.field("content")
        texts = messages.to_frame("m").select(pl.col("m").list.eval(content).list.join("\n")).to_series()
        rows = secrets.screen(texts, self.kinds).arg_true()
        if not len(rows):
            return messages
        changed = [
            [{"role": turn["role"], "content": secrets.redact(turn["content"], self.kinds)} for turn in record]
            for record in messages.gather(rows)
        ]
        both = pl.concat([messages, pl.Series(messages.name, changed, dtype=MESSAGES_POLARS)])
        at = pl.Series(range(len(messages)), dtype=pl.UInt32)
        return both.gather(at.scatter(rows, pl.Series(range(len(messages), len(both)), dtype=pl.UInt32)))
