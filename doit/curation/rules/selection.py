"""Rules that choose: by scores from outside, or so that what stays is as varied as it can be."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from doit.curation.rules.base import Comparing, Left, Of, Verdicts, text_of
from doit.errors import DataError, SpecError, did_you_mean
from doit.progress import Progress
from doit.schemas.base import Frozen

OWN = ("turns", "chars", "tokens")
"""Columns of every record that can serve as a score."""

NO_SCORE = "no score"
"""What the ledger says of a record that is dropped because it has none."""

Per = Literal["language", "ability", "construction", "source"]


class Count(Frozen):
    """How many records stay."""

    records: int = Field(ge=1)
    """So many, or all if there are fewer."""


Keep = Annotated[float, Field(gt=0, le=1)] | Count
"""What stays of every cell: a part of it, or a count."""


def _exact(keep: float | Count) -> int | Fraction:
    """A part exactly as it is written: 0.3 is three tenths."""
    return keep.records if isinstance(keep, Count) else Fraction(str(keep))


class Scored(Comparing):
    """A rule that goes by a score of every record."""

    by: str = Field(min_length=1)
    """The score's name: a column of `scores`; without `scores`, one of `turns`, `chars` and `tokens`."""
    scores: str | None = None
    """A file of scores, relative to the spec (`doit.reading.scores`)."""
    missing: Literal["drop", "keep", "error"] = "error"
    """What to do with records that have no score. Kept ones are beside the choice and count for nothing in it."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.scores is None and self.by not in OWN:
            hint = did_you_mean(self.by, OWN) or f"Write `scores:` with a file that has it; without: {', '.join(OWN)}."
            raise SpecError("D203", f'records have no score "{self.by}".', where="by", hint=hint)
        return self

    @property
    def outside(self) -> tuple[str, str] | None:
        """See `Comparing.outside`; None where the score is one of a record's own columns."""
        return None if self.scores is None else (self.scores, self.by)

    def scored(self, left: Left) -> NDArray[np.float64]:
        """The score of every record, NaN where there is none.

        Raises:
            SpecError: D203, the file was not read.
            DataError: D310, records without a score where that is an error.
        """
        if self.outside is None:
            column = left.rows[self.by]
        elif self.outside in left.scores:
            column = left.scores[self.outside]
        else:
            raise SpecError("D203", f'the scores "{self.by}" were not read.', where=str(self.scores))
        absent = column.null_count()
        if self.scores is None and self.by == "tokens" and absent and absent == len(column):
            hint = "Write `tokenizer:` in the spec."
            raise SpecError("D204", "no tokens were counted.", where=f"{self.title}: by", hint=hint)
        if absent and self.missing == "error":
            first = str(left.rows["id"].filter(column.is_null()).min())
            raise DataError(
                "D310",
                f'{absent:,} of {len(column):,} records have no score "{self.by}", one of them {first}.',
                where=self.scores or f"rule {self.title}",
                hint="Score them, or write `missing: drop` or `missing: keep`.",
            )
        return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def fallen(self, scores: NDArray[np.float64], stays: NDArray[np.bool_]) -> Verdicts:
        """Verdicts for records of which only some with a score stay; a value is the score."""
        absent = np.isnan(scores)
        falls = np.where(absent, self.missing == "drop", ~stays)
        value = pl.when(pl.col("score").is_nan()).then(pl.lit(NO_SCORE)).otherwise(pl.col("score").cast(pl.String))
        at = np.flatnonzero(falls).astype(np.uint32)
        return Verdicts(pl.DataFrame({"at": at, "score": scores[falls]}).select("at", value=value))


class ScoreBounds(Scored):
    """Keeps records whose score lies between two numbers, both included."""

    kind: Literal["score"] = "score"
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    at_most: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise SpecError("D204", "give `at_least`, `at_most` or both.")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise SpecError("D207", f"nothing is at least {self.at_least} and at most {self.at_most}.")
        return self

    def compare(self, left: Left) -> Verdicts:
        """See `Comparing.compare`."""
        scores = self.scored(left)
        low = -np.inf if self.at_least is None else self.at_least
        high = np.inf if self.at_most is None else self.at_most
        return self.fallen(scores, (scores >= low) & (scores <= high))


class _Chosen(Scored):
    keep: Keep
    """The part of every cell that stays (0.3; the nearest whole number of records, halves up), or `{records: n}`."""
    per: tuple[Per, ...] = ()
    """Columns whose values make a cell; without any, all records are one."""

    def first(self, left: Left, scores: NDArray[np.float64], order: NDArray[np.float64]) -> Verdicts:
        """Keep of every cell the records that come first in an order, of those with a score."""
        from doit.curation.choosing.selection import cells_of, first_of_each  # noqa: PLC0415 - only who selects needs it

        there = np.flatnonzero(~np.isnan(scores))
        stays = np.zeros(len(scores), dtype=np.bool_)
        cells = cells_of(left.rows[there], self.per)
        chosen = first_of_each(order[there], left.rows["id"].gather(there), cells, _exact(self.keep))
        stays[there] = chosen & np.isfinite(order[there])
        return self.fallen(scores, stays)


class TopScores(_Chosen):
    """Keeps the records with the best scores of every cell; of equal scores the smaller id."""

    kind: Literal["top_scores"] = "top_scores"
    best: Literal["highest", "lowest"] = "highest"
    """Which scores are best: of a perplexity or a loss, the lowest."""

    def compare(self, left: Left) -> Verdicts:
        """See `Comparing.compare`."""
        scores = self.scored(left)
        return self.first(left, scores, -scores if self.best == "highest" else scores)


class ScoreSample(_Chosen):
    """Keeps a random sample of every cell, drawn without replacement in proportion to the scores.

    A record with the score 0 is never drawn. A smaller sample of the same seed lies in every larger one.
    """

    kind: Literal["score_sample"] = "score_sample"
    seed: int = 0

    def compare(self, left: Left) -> Verdicts:
        """See `Comparing.compare`.

        Raises:
            DataError: D312, a score below 0.
        """
        from doit.curation.choosing.selection import sampling_order  # noqa: PLC0415 - only who selects needs it

        scores = self.scored(left)
        if (scores < 0).any():
            below = f'{int((scores < 0).sum()):,} scores "{self.by}" are below 0'
            hint = "Chances need scores of 0 or more: shift them, or use `top_scores`."
            raise DataError("D312", f"{below}.", where=self.scores or f"rule {self.title}", hint=hint)
        return self.first(left, scores, sampling_order(scores, left.rows["id"], self.seed))


class FarthestFirst(Comparing):
    """Keeps records of every cell that are as unlike each other as possible, judged by their character 3-grams.

    The first is the one with the smallest id; each next one is the record whose nearest chosen one is farthest
    (`doit.curation.choosing.diversity`). It is drawn to whatever is odd: put rules against noise before it.
    """

    kind: Literal["farthest_first"] = "farthest_first"
    keep: Keep
    """The part of every cell that stays (0.3; the nearest whole number of records, halves up), or `{records: n}`."""
    per: tuple[Per, ...] = ()
    """Columns whose values make a cell; without any, all records are one."""
    of: Of = "conversation"
    """All contents, the user's alone, or the assistant's alone."""

    def compare(self, left: Left) -> Verdicts:
        """See `Comparing.compare`; a value is the cosine to the nearest record that stays, and that one's id."""
        from doit.curation.choosing.diversity import farthest_first, gram_vectors, similarities  # noqa: PLC0415 - as above
        from doit.curation.choosing.selection import cells_of, counts_of  # noqa: PLC0415 - as above

        vectors, ids = gram_vectors(left.text(text_of(self.of))), left.rows["id"]
        cells = cells_of(left.rows, self.per)
        order = pl.DataFrame({"cell": cells, "id": ids}).with_row_index("at").sort("cell", "id")["at"].to_numpy()
        sizes = np.bincount(cells)
        counts, ends = counts_of(sizes, _exact(self.keep)), np.cumsum(sizes)
        nearest = np.arange(len(ids))
        wanted = int(counts[counts < sizes].sum())
        with Progress("choosing the farthest", total=wanted, unit="records") as progress:
            for size, count, end in zip(sizes.tolist(), counts.tolist(), ends.tolist(), strict=True):
                rows = order[end - size : end].astype(np.int64)
                if 0 < count < size:
                    chosen, near = farthest_first(vectors[rows], count, progress)
                    nearest[rows] = rows[chosen][near]
                elif count == 0:
                    nearest[rows] = -1
        at = np.flatnonzero(nearest != np.arange(len(ids)))
        near = nearest[at]
        value = [
            "none of its cell stays" if other < 0 else f"{cosine:.4f} {ids[other]}"
            for cosine, other in zip(similarities(vectors, at, near), near.tolist(), strict=True)
        ]
        falls = pl.DataFrame({"at": at.astype(np.uint32), "value": pl.Series(value, dtype=pl.String)})
        return Verdicts(falls)
