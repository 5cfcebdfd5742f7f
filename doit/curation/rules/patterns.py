"""A rule of the owner's own: a pattern that no text may match."""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl
from pydantic import AfterValidator, Field

from doit.curation.rules.base import Measured, Of, text_of
from doit.curation.texts.phrases import first_match
from doit.errors import SpecError

LONGEST = 2000
"""Characters of a pattern: lists of words fit, and nothing takes long to compile."""


def _checked(pattern: str) -> str:
    """Refuse what the engine refuses, in its own words, and what would drop every row."""
    try:
        empty = pl.Series([""]).str.contains(pattern)[0]
    except pl.exceptions.ComputeError as error:
        reason = " ".join(str(error).split("This error occurred")[0].rpartition("error: ")[2].split())
        what = f"not a regular expression of Polars: {reason[:300].rstrip('.')}."
        raise SpecError("D204", what, hint="It knows no look-around and no \\1.") from None
    if empty:
        raise SpecError("D204", f"the pattern {pattern[:80]!r} matches the empty text, so it would drop every record.")
    return pattern


class Pattern(Measured):
    """Drops records whose text matches a regular expression.

    It runs on Polars' engine alone, whose time is linear in the text; `^` and `$` stand for the whole text unless it
    begins with `(?m)`. Measured is the first match.
    """

    kind: Literal["pattern"] = "pattern"
    matches: Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_checked)]
    """The expression, in the syntax of Rust's `regex`."""
    of: Of = "conversation"
    """All contents, the user's alone, or the assistant's alone."""

    def measure(self) -> pl.Expr:
        """See `Measured.measure`."""
        pattern = self.matches
        return text_of(self.of).map_batches(lambda texts: first_match(texts, pattern), pl.String, is_elementwise=True)

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        return value.is_null()
