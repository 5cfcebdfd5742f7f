"""Which languages a record is written in."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from doit.curation.language.ranges import canonical_range
from doit.curation.rules.base import Measured, text_of
from doit.curation.texts.mismatch import languages_apart
from doit.schemas.card import check_language_range


class Languages(Measured):
    """Keeps only records whose language lies in one of these BCP 47 ranges."""

    decides: ClassVar[frozenset[str]] = frozenset({"name", "keep"})

    kind: Literal["languages"] = "languages"
    keep: tuple[str, ...] = Field(min_length=1)
    """Ranges such as `zh` or `en`; `zh` covers `zh-Hans` and `zh-Hant`."""

    @field_validator("keep")
    @classmethod
    def _tags(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        for wanted in keep:
            check_language_range(wanted)
        return tuple(dict.fromkeys(canonical_range(wanted) for wanted in keep))

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        return pl.col("language")

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        tag = value.str.to_lowercase() + "-"
        return pl.any_horizontal([tag.str.starts_with(f"{wanted.lower()}-") for wanted in self.keep])


class LanguageMismatch(Measured):
    """Drops records that answer in another language than they were asked in.

    Requests that speak of a language, a translation or a program may be answered in any, and answers without a language
    of their own (code, formulas, numbers, fewer than eight letters) fit all. Measured is both tags: `zh-Hans → en`.
    """

    kind: Literal["language_mismatch"] = "language_mismatch"
    scripts: bool = False
    """Whether Simplified and Traditional Chinese are two languages."""

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        scripts = self.scripts
        return pl.struct(prompt=text_of("prompt"), answer=text_of("answer")).map_batches(
            lambda both: languages_apart(both.struct.field("prompt"), both.struct.field("answer"), scripts=scripts),
            pl.String,
            is_elementwise=True,
        )

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value.is_null()
