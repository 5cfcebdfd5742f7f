"""Records that are there twice, or nearly so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from doit.curation.duplicates.folding import reduced
from doit.curation.rules.base import Comparing, Left, Of, Rewriting, Rule, Verdicts, text_of, told_apart
from doit.curation.rules.lengths import Tokens
from doit.errors import SpecError, did_you_mean

Ignoring = Literal["width", "punctuation", "case", "script"]

FIRST = "exact_duplicates"
"""Title of what every build does first."""

LENGTHS = ("chars", "turns", "tokens")
"""Columns of `Left.rows` that a rule can go by, beside scores from outside."""

MARK, ESCAPE = "\x02", "\x1b"
"""What stands around roles, and what is put for it where a text has one: `reduced` changes neither."""

PAIRS = {"dropped": pl.String, "survivor": pl.String, "similarity": pl.Float64}


class ExactDuplicates(Comparing):
    """Of records with the same texts the one with the smallest id stays.

    Whole conversations, nothing ignored, come first in every build; a spec need not name that. The order
    of turns counts, and who said what. A record in which the speaker asked for says nothing is like no other.
    """

    kind: Literal["exact_duplicates"] = "exact_duplicates"
    of: Of = "conversation"
    ignoring: tuple[Ignoring, ...] = ()
    """What does not tell texts apart: full and half width, punctuation and the amount of white space, upper and lower
    case, Simplified and Traditional characters."""

    @property
    def title(self) -> str:
        """See `Rule.title`; told from what every build does first."""
        return self.name or (self.kind if self.repeats_the_first else f"{self.kind}:{self.of}")

    @property
    def repeats_the_first(self) -> bool:
        """Whether this is only what every build does first."""
        return self.of == "conversation" and not self.ignoring

    def compare(self, left: Left) -> Verdicts:
        """See `Comparing.compare`; a value is the survivor's id."""
        texts = reduced(left.text(_told(self.of)), ignoring=self.ignoring)
        if "punctuation" in self.ignoring:
            texts = texts.str.replace_all(f" ?({MARK}) ?", "$1")
        rows = pl.DataFrame({"id": left.rows["id"], "text": texts}).with_row_index("at")
        rows = rows.filter(pl.col("text").is_duplicated() & pl.col("text").is_not_null()).sort("id", "at")
        first = pl.col("at").first().over("text")
        falls = rows.with_columns(value=pl.col("id").first().over("text")).filter(pl.col("at") != first)
        return Verdicts(falls.select("at", "value").sort("at"))


def applied(rules: Sequence[Rule]) -> list[Rule]:
    """The rules of a spec that are applied, each with a title of its own.

    Left out is what every build does first, unless a rule before it has changed texts: it then is a step of its own.
    """
    chosen, changed = [], False
    for rule in rules:
        if not isinstance(rule, ExactDuplicates) or not rule.repeats_the_first or changed:
            again = isinstance(rule, ExactDuplicates) and rule.title == FIRST
            chosen.append(rule.called(f"{FIRST}:conversation") if again else rule)
        changed = changed or rewrites(rule)
    return told_apart(chosen, {FIRST})


def rewrites(rule: Rule) -> bool:
    """Whether a rule changes texts, or makes several records of one."""
    return (isinstance(rule, Rewriting) and rule.rewrites) or (isinstance(rule, Tokens) and rule.over == "split")


class Ranked(Comparing):
    """A rule that keeps one of several like records: the smallest id, or the best."""

    best: Annotated[str, Field(min_length=1)] | None = None
    """Of like records the one with the most of this stays, not the one with the smallest id: `chars`, `turns`, `tokens`
    or a column of `scores`."""
    scores: str | None = None
    """A file of scores, relative to the spec."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        _check_scores(self.best, self.scores)
        return self

    @property
    def outside(self) -> tuple[str, str] | None:
        """See `Comparing.outside`."""
        return None if self.scores is None or self.best is None else (self.scores, self.best)


class NearDuplicates(Ranked):
    """Records whose text is nearly that of a kept one: Jaccard similarity of their sets of character 4-grams.

    Records are taken in ascending id, or by `best` first; one is dropped only if a kept one is at or over the
    threshold, and names it (`doit.curation.duplicates.near_duplicates`).
    """

    kind: Literal["near_duplicates"] = "near_duplicates"
    threshold: float = Field(default=0.8, gt=0, le=1)
    of: Of = "conversation"
    """All contents, the user's alone, or the assistant's alone."""
    ignoring: tuple[Ignoring, ...] = ()
    """What does not tell texts apart; width and case never do."""

    def compare(self, left: Left) -> Verdicts:
        """See `Comparing.compare`; a value is the similarity and the survivor's id, the details are the pairs."""
        from doit.curation.duplicates.near_duplicates import near_duplicates  # noqa: PLC0415 - loads scipy, which few specs need

        ids = left.rows["id"]
        best = _numbers(left, self, self.best)
        texts = left.text(_said(self.of))
        found = near_duplicates(texts, ids, threshold=self.threshold, ignoring=self.ignoring, best=best)
        return _verdicts(found, ids)


class NearEmbeddings(Ranked):
    """Records whose vectors, made elsewhere by any model, are nearly those of a kept one: cosine similarity.

    Decided as `NearDuplicates` decides (`doit.curation.duplicates.near_embeddings`).
    """

    kind: Literal["near_embeddings"] = "near_embeddings"
    embeddings: str = Field(min_length=1)
    """A Parquet file, relative to the spec, with the columns `id` and `embedding` (lists of numbers of one length); a
    record that it lacks is like nothing."""
    threshold: float = Field(default=0.95, gt=0, le=1)

    @property
    def vectors(self) -> str | None:
        """See `Comparing.vectors`."""
        return self.embeddings

    def compare(self, left: Left) -> Verdicts:
        """See `Comparing.compare`; values and details are those of `NearDuplicates`."""
        from doit.curation.duplicates.near_embeddings import near_embeddings  # noqa: PLC0415 - few specs need it

        if left.vectors is None:
            raise SpecError(
                "D203", f'the vectors "{self.embeddings}" were not read.', where="near_embeddings.embeddings"
            )
        best = _numbers(left, self, self.best)
        ids = left.rows["id"]
        return _verdicts(near_embeddings(left.vectors, ids, threshold=self.threshold, best=best), ids)


def _verdicts(found: pl.DataFrame, ids: pl.Series) -> Verdicts:
    """What falls and for what, from the positions of both and their similarity."""
    pairs = pl.DataFrame(
        [ids.gather(found["dropped"]), ids.gather(found["survivor"]), found["similarity"]], schema=PAIRS
    )
    value = pl.concat_str(pl.col("similarity").round(4).cast(pl.String), "survivor", separator=" ")
    falls = pairs.select(at=found["dropped"], value=value)
    return Verdicts(falls, details=pairs.sort("dropped"))


def _told(of: Of) -> pl.Expr:
    """Who said what: roles and contents such that different conversations never make the same text; null if nobody."""
    message = pl.element()
    role, content = message.struct.field("role"), message.struct.field("content")
    escaped = content.str.replace_all(ESCAPE, f"{ESCAPE}0", literal=True)
    escaped = escaped.str.replace_all(MARK, f"{ESCAPE}1", literal=True)
    turn = pl.concat_str(pl.lit(MARK), role, pl.lit(MARK), escaped)
    if of != "conversation":
        turn = turn.filter(role == {"prompt": "user", "answer": "assistant"}[of])
    told = pl.col("messages").list.eval(turn)
    return pl.when(told.list.len() > 0).then(told.list.join(""))


def _said(of: Of) -> pl.Expr:
    """`text_of`, but null where nobody of those asked for says anything: such records are not alike."""
    said = text_of(of)
    roles = pl.col("messages").list.eval(pl.element().struct.field("role"))
    if of == "prompt":
        return pl.when(roles.list.contains("user")).then(said)
    return pl.when(roles.list.contains("assistant")).then(said) if of == "answer" else said


def _check_scores(best: str | None, scores: str | None) -> None:
    """A file of scores without the name of a column would be read by nobody."""
    if scores is not None and best is None:
        raise SpecError("D204", "`scores` is given, but no column of it.", hint="Name the column with `best:`.")


def _numbers(left: Left, rule: Comparing, name: str | None) -> pl.Series | None:
    """The column that ranks records, if one is named."""
    if name is None:
        return None
    if rule.outside is not None:
        return left.scores[rule.outside]
    if name in LENGTHS:
        column = left.rows[name]
        if name == "tokens" and len(column) and column.null_count() == len(column):
            hint = "Write `tokenizer:` in the spec."
            raise SpecError("D204", "no tokens were counted.", where=f"{rule.kind}.best", hint=hint)
        return column
    hint = did_you_mean(name, LENGTHS) or f"Known: {', '.join(LENGTHS)}; or name the file of `scores` that has it."
    raise SpecError("D203", f'no column "{name}".', where=f"{rule.kind}.best", hint=hint)
