"""Records that hold items of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import Discriminator, Field, Tag, model_validator

from doit.curation.rules.base import Benchmark, Comparing, Left, Of, Verdicts, text_of
from doit.errors import SpecError
from doit.schemas.base import Frozen, Several
from doit.schemas.card import DatasetCard

EXCERPT = 200
"""Characters of a matched text that the report shows."""

ITEM = ("benchmark", "file", "row", "part")
"""What names an item."""


class Ngram(Frozen):
    """How many tokens make an n-gram."""

    words: int = Field(default=8, ge=1, le=64)
    """In scripts that put spaces between words."""
    characters: int = Field(default=8, ge=1, le=64)
    """In Chinese, Japanese, Thai and other scripts without spaces."""


class BenchmarkFiles(Frozen):
    """A benchmark whose card lies elsewhere, and its files."""

    dataset: Annotated[str, Field(min_length=1)]
    """Name of a shipped card, or path of a card file."""
    files: Annotated[str, Field(min_length=1)] | Several
    """Paths or globs, relative to the spec."""


def _form(given: Any) -> str:
    """Which of its forms a benchmark is given in."""
    if isinstance(given, BenchmarkFiles) or (isinstance(given, dict) and "dataset" in given):
        return "files"
    return "card" if isinstance(given, dict | DatasetCard) else "name"


Against = Annotated[
    Annotated[str, Tag("name")] | Annotated[BenchmarkFiles, Tag("files")] | Annotated[DatasetCard, Tag("card")],
    Discriminator(_form),
]


class Contaminated(Comparing):
    """Records that hold an item of a benchmark: at least `coverage` of its n-grams.

    Every such record gets the tag `contaminated:<benchmark>`; the report names the item and the stretch of the record.
    """

    kind: Literal["contaminated"] = "contaminated"
    against: tuple[Against, ...] = Field(min_length=1)
    """Benchmarks: `{dataset: gsm8k, files: …}` with the name of a shipped card or the path of a card file, such a path
    alone where the card names its files, or a card written in place."""
    ngram: Annotated[int, Field(ge=1, le=64)] | Ngram = 8
    """Tokens of an n-gram: of words, and of characters in scripts without spaces; or `{words: 13, characters: 8}`."""
    coverage: float = Field(default=0.7, gt=0, le=1)
    """The share of an item's n-grams that is enough; 0.3 finds items of which one clause in three was rewritten."""
    of: Of = "conversation"
    """Where items are looked for: their prompts in all contents or in the user's alone, or their answers in the
    assistant's. Answers of fewer than n tokens are in too many records to say anything, and are not looked for."""
    ignoring: tuple[Literal["script"], ...] = ()
    """`script`: a Traditional copy of a Simplified item is a copy, and the other way round."""
    action: Literal["drop", "mark"] = "drop"
    """Drop the records, or only tag them."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        names = self.references
        for name in names:
            if names.count(name) > 1:
                raise SpecError("D207", f'"{name}" is named twice in `against`.', hint="Name each benchmark once.")
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """What each benchmark is called: its name where the card is written here, else as `against` refers to it."""
        return tuple(map(_reference, self.against))

    @property
    def lengths(self) -> Ngram:
        """`ngram`, for words and for characters."""
        return self.ngram if isinstance(self.ngram, Ngram) else Ngram(words=self.ngram, characters=self.ngram)

    def compare(self, left: Left) -> Verdicts:
        """See `Comparing.compare`.

        A value is the item with the highest coverage, as `benchmark file:row coverage`. Details are the columns of
        `ITEM`, then `id`, `coverage`, `start`, `end` (characters in the text that was searched) and `text`, a row for
        every record and item.
        """
        from doit.curation.contamination.finding import contaminated  # noqa: PLC0415 - its tables take time to make

        items = self._items(left.benchmarks)
        texts = left.text(text_of(self.of))
        answers = self.of == "answer"
        found = contaminated(
            texts,
            items["answer" if answers else "prompt"],
            words=self.lengths.words,
            characters=self.lengths.characters,
            coverage=self.coverage,
            short=np.zeros(items.height, dtype=np.bool_) if answers else None,
            ignore_script="script" in self.ignoring,
        )
        named = pl.concat([found, items.select(ITEM)[found["item"]]], how="horizontal")
        marks = named.select("at", mark=pl.format("contaminated:{}", "benchmark")).unique().sort("at", "mark")
        details = (
            named.with_columns(left.rows["id"].gather(found["at"]), text=texts.gather(found["at"]))
            .with_columns(
                pl.col("text").str.slice("start", pl.min_horizontal(pl.col("end") - pl.col("start"), EXCERPT))
            )
            .select(*ITEM, "id", "coverage", "start", "end", "text")
            .sort("id", *ITEM)
        )
        falls = pl.DataFrame(schema={"at": pl.UInt32, "value": pl.String}) if self.action == "mark" else _best(named)
        return Verdicts(falls, marks, details)

    def _items(self, benchmarks: Mapping[str, Benchmark]) -> pl.DataFrame:
        """The items of all benchmarks, with the benchmark's name; in an order that does not depend on the files'."""
        frames = []
        for name in self.references:
            if name not in benchmarks:
                raise SpecError("D203", f'benchmark "{name}" was not read.', where="against")
            items = benchmarks[name].items.select(*ITEM[1:], "prompt", "answer")
            frames.append(items.select(pl.lit(benchmarks[name].name).alias("benchmark"), pl.all()))
        return pl.concat(frames).sort(ITEM)


def _reference(given: str | BenchmarkFiles | DatasetCard) -> str:
    if isinstance(given, str):
        return given
    return given.dataset if isinstance(given, BenchmarkFiles) else given.name


def _best(named: pl.DataFrame) -> pl.DataFrame:
    """For each record the item that it holds most of; of equals the first by name, file and row."""
    order = named.sort("at", "coverage", *ITEM, descending=[False, True, *(False for _ in ITEM)])
    value = pl.format("{} {}:{} {}", "benchmark", "file", "row", pl.col("coverage").round(4))
    return order.unique("at", keep="first", maintain_order=True).select("at", value=value)


def contamination_report(details: pl.DataFrame, benchmarks: Mapping[str, Benchmark]) -> pl.DataFrame:
    """What each benchmark has lost to a mixture.

    Args:
        details: of the verdicts of `Contaminated`.
        benchmarks: those that it was compared against.

    Returns:
        `benchmark`, `items` (how many it has), `found` (items that some record holds) and `records` (that hold one); a
        row a benchmark, sorted by name.
    """
    found = details.group_by("benchmark").agg(found=pl.struct(ITEM[1:]).n_unique(), records=pl.col("id").n_unique())
    sizes = pl.DataFrame(
        {"benchmark": [b.name for b in benchmarks.values()], "items": [b.items.height for b in benchmarks.values()]},
        schema={"benchmark": pl.String, "items": pl.UInt32},
    )
    return sizes.join(found, on="benchmark", how="left").sort("benchmark").fill_null(0)
