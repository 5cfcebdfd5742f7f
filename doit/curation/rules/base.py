"""What a rule is. Most measure one value a record and keep or drop by it; some compare records, some rewrite them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, Self

import orjson
import polars as pl
from pydantic import Field, field_validator, model_validator

from doit.errors import SpecError
from doit.schemas.base import Frozen

Of = Literal["conversation", "prompt", "answer"]
"""Which texts of a record: all contents, the user's alone, or the assistant's alone."""

_SPEAKER = {"prompt": "user", "answer": "assistant"}

RESERVED = ("exact_duplicates", "where", "keep", "no target")
"""What the ledger says of records that no rule of a spec decided: no rule is called so by its owner."""


def text_of(of: Of) -> pl.Expr:
    """The contents of a record, or of one speaker, joined by newlines: a string a record, from `messages`."""
    message = pl.element()
    content = message.struct.field("content")
    if of != "conversation":
        content = content.filter(message.struct.field("role") == _SPEAKER[of])
    return pl.col("messages").list.eval(content).list.join("\n")


class Rule(Frozen):
    """One step of curation. Its name in the funnel and the ledger is its `kind`, or its `name` if that is given."""

    kind: str
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """How the rule is called in the funnel and the ledger; its kind if not given."""

    @field_validator("name")
    @classmethod
    def _free(cls, name: str | None) -> str | None:
        if name in RESERVED:
            what = f'"{name}" is what the ledger says of records that no rule of yours decided.'
            raise SpecError("D207", what, hint="Choose another name.")
        return name

    @property
    def title(self) -> str:
        """The rule's name in reports."""
        return self.name or self.kind

    def called(self, title: str) -> Self:
        """The same rule under another title."""
        return self.model_copy(update={"name": title})


def told_apart(rules: Sequence[Rule], taken: Iterable[str] = ()) -> list[Rule]:
    """The rules, each with a title of its own: `pattern`, then `pattern-2`.

    Args:
        rules: in the order in which they apply.
        taken: titles that none of them may have.
    """
    titles, apart = set(taken), []
    for rule in rules:
        title, number = rule.title, 1
        while title in titles:
            number += 1
            title = f"{rule.title}-{number}"
        titles.add(title)
        apart.append(rule if title == rule.title else rule.called(title))
    return apart


class Measured(Rule):
    """A named measurement with a threshold. What is measured is cached, so a new threshold reads no text."""

    decides: ClassVar[frozenset[str]] = frozenset({"name"})
    """Fields that only `keeps` reads: a change of them measures nothing anew."""

    def measure(self) -> pl.Expr:
        """What the rule reads: one value a record, from the columns of `doit.table.RECORD`."""
        raise TypeError(f"{type(self).__name__} measures nothing")

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """Whether a record with this value stays."""
        raise TypeError(f"{type(self).__name__} decides nothing")

    def measurement(self) -> bytes:
        """What tells this measurement from others: the rule's kind and the fields that `measure` reads."""
        return orjson.dumps(self.model_dump(mode="json", exclude=set(self.decides)), option=orjson.OPT_SORT_KEYS)


class Bounds(Measured):
    """A rule that keeps what lies between two numbers, both included."""

    decides: ClassVar[frozenset[str]] = frozenset({"name", "at_least", "at_most"})

    at_least: int | None = Field(default=None, ge=0)
    at_most: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise SpecError("D204", "give `at_least`, `at_most` or both.")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise SpecError("D207", f"nothing is at least {self.at_least} and at most {self.at_most}.")
        return self

    def keeps(self, value: pl.Expr) -> pl.Expr:
        """See `Measured.keeps`."""
        low = value >= (0 if self.at_least is None else self.at_least)
        return low if self.at_most is None else low & (value <= self.at_most)


@dataclass(frozen=True)
class Benchmark:
    """A set that a mixture must not hold."""

    name: str
    """Its card's name."""
    items: pl.DataFrame
    """`file`, `row`, `part`, `prompt`, `answer`: the user's and the assistant's texts of each item."""


@dataclass(frozen=True)
class Left:
    """The records that earlier rules have left, for a rule that looks at all of them at once."""

    rows: pl.DataFrame
    """`id`, `language`, `ability`, `source`, `construction`, `turns`, `chars`, `tokens`, a row a record."""
    text: Callable[[pl.Expr], pl.Series]
    """Reads a text of every record, in the order of `rows`, by an expression over `doit.table.RECORD`."""
    benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    """What a rule's `against` names, by the card's name."""
    scores: Mapping[tuple[str, str], pl.Series] = field(default_factory=dict)
    """(file, column) -> a score from outside of every row, null where it has none: what the rule's `outside` names."""
    vectors: pl.Series | None = None
    """A list of numbers of every row, null where it has none: those of the file that the rule's `vectors` names."""


@dataclass(frozen=True)
class Verdicts:
    """What a comparing rule found."""

    falls: pl.DataFrame
    """`at` (row of `Left.rows`) and `value` (what the ledger says): the records that are dropped."""
    marks: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"at": pl.UInt32, "mark": pl.String}))
    """`at` and `mark`: tags for records, which stay or not."""
    details: pl.DataFrame | None = None
    """A table for people: pairs of near duplicates, spans of benchmark items."""


class Comparing(Rule):
    """A rule that looks at all records at once."""

    @property
    def outside(self) -> tuple[str, str] | None:
        """The file of scores that the rule goes by, and the column in it."""
        return None

    @property
    def vectors(self) -> str | None:
        """The file of vectors that the rule goes by."""
        return None

    def compare(self, left: Left) -> Verdicts:
        """Which of the records that are left fall, and why."""
        raise TypeError(f"{type(self).__name__} compares nothing")


class Rewriting(Rule):
    """A rule that changes texts. Later rules see the new ones; `id` stays, `tags` get `rewritten:<title>`."""

    @property
    def rewrites(self) -> bool:
        """Whether this rule changes texts, as it is written in the spec."""
        return True

    def rewrite(self, messages: pl.Series, languages: pl.Series) -> pl.Series:
        """New messages for some records.

        Args:
            messages: `doit.table.MESSAGES_POLARS`, one list a record. Behind its turns may stand its thinking, as more
                turns of the assistant.
            languages: the language tag of each record.

        Returns:
            The same type, lengths and roles; a record whose contents are equal to those before was not rewritten.
        """
        raise TypeError(f"{type(self).__name__} rewrites nothing")

    def marks(self, before: pl.Series, after: pl.Series) -> pl.Series:
        """Tags for records that were rewritten, beside `rewritten:<title>`.

        Args:
            before: messages of the rewritten records as they were.
            after: as they are now.

        Returns:
            A list of strings a record.
        """
        return pl.Series("marks", [[]], dtype=pl.List(pl.String)).new_from_index(0, len(after))
