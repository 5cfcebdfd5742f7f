"""Records brought to one Chinese script."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import Field

from doit.curation.conversion import Kept, Part, convert, convert_back, to_convert
from doit.curation.rules.base import Rewriting
from doit.errors import SpecError
from doit.reading.names import read_names
from doit.schemas.base import Frozen

KeepOrConvert = Literal["keep", "convert"]
IRREVERSIBLE = "script:irreversible"
Name = Annotated[str, Field(min_length=1)]


class NameFiles(Frozen):
    """Names that are kept in files of their own (`doit.reading.names`)."""

    file: Name | Annotated[tuple[Name, ...], Field(min_length=1)]
    """A text file or several, relative to the spec: UTF-8, one name a line."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files, in order."""
        return (self.file,) if isinstance(self.file, str) else self.file


class Script(Rewriting):
    """Chinese records in one script, by OpenCC; texts of other languages stay (`doit.curation.conversion`).

    A record whose old text cannot be had back from the new one gets the tag `script:irreversible`.
    """

    kind: Literal["script"] = "script"
    to: Literal["zh-Hans", "zh-Hant", "zh-Hant-TW", "keep"]
    """Simplified; Traditional; Traditional with Taiwan's words; or every record as it is."""
    code: KeepOrConvert = "keep"
    """Fenced and inline code."""
    urls: KeepOrConvert = "keep"
    quotes: KeepOrConvert = "convert"
    """What stands in 「」, 『』, “”, ‘’ or straight double quotes on one line, and lines that begin with `>`."""
    names: tuple[Name, ...] | NameFiles = ()
    """Words that stay as they are, such as names of people and places: a list, or `{file: names.txt}`."""

    @property
    def rewrites(self) -> bool:
        """See `Rewriting.rewrites`."""
        return self.to != "keep"

    @property
    def name_files(self) -> tuple[str, ...]:
        """The files of names that the rule reads."""
        return self.names.files if isinstance(self.names, NameFiles) else ()

    def with_names(self, folder: Path) -> Self:
        """The rule with the names of its files written out, so that it is known by them and not by their paths.

        Args:
            folder: where the paths start from.
        """
        if not isinstance(self.names, NameFiles):
            return self
        names = dict.fromkeys(name for file in self.name_files for name in read_names(folder / file))
        return self.model_copy(update={"names": tuple(names)})

    def rewrite(self, messages: pl.Series, languages: pl.Series) -> pl.Series:
        """See `Rewriting.rewrite`."""
        if self.to == "keep":
            return messages
        flat = _flat(messages)
        old = flat["content"]
        chosen = to_convert(old, languages.gather(flat["at"]), self.to)
        new = old.clone().scatter(chosen.arg_true(), convert(old.filter(chosen), self.to, self._kept))
        changed = (
            flat.with_columns(content=new, changed=new != old)
            .filter(pl.col("changed").any().over("at"))
            .group_by("at", maintain_order=True)
            .agg(after=pl.struct("role", "content"))
        )
        rows = pl.DataFrame({"before": messages}).with_row_index("at")
        rows = rows.join(changed, on="at", how="left", maintain_order="left")
        return rows.select(pl.coalesce("after", "before").alias(messages.name)).to_series()

    def marks(self, before: pl.Series, after: pl.Series) -> pl.Series:
        """See `Rewriting.marks`."""
        flat, now = _flat(before), _flat(after)["content"]
        changed = flat["content"] != now
        lost = pl.repeat(value=False, n=flat.height, eager=True)
        if self.to != "keep":
            back = convert_back(now.filter(changed), self.to, self._kept)
            lost = lost.scatter(changed.arg_true(), back != flat["content"].filter(changed))
        rows = set(flat["at"].filter(lost).unique())
        marks = [[IRREVERSIBLE] if at in rows else [] for at in range(len(before))]
        return pl.Series("marks", marks, dtype=pl.List(pl.String))

    @property
    def _kept(self) -> Kept:
        if isinstance(self.names, NameFiles):
            raise SpecError("D203", "the names were not read.", where=f"rule {self.title}: names")
        parts: dict[Part, KeepOrConvert] = {"code": self.code, "urls": self.urls, "quotes": self.quotes}
        return Kept(frozenset(part for part, what in parts.items() if what == "keep"), self.names)


def _flat(messages: pl.Series) -> pl.DataFrame:
    """`at` (the record's place), `role` and `content`, a row a message."""
    rows = pl.DataFrame({"messages": messages}).with_row_index("at").filter(pl.col("messages").list.len() > 0)
    return rows.explode("messages").unnest("messages")
