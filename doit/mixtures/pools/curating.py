"""Curation of a pool: identical conversations first, then the spec's rules in their order.

Nothing is removed from the slim table; every record is given a fate, and a dropped one the rule and the value that
dropped it. A rule that rewrites texts gives a pool of its own, and the slim table is read anew from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import polars as pl
import polars.selectors as cs

from doit.curation.keys import hexadecimal
from doit.curation.language.detecting import LangId
from doit.curation.rules.base import Benchmark, Comparing, Left, Measured, Rewriting, Rule, Verdicts, text_of
from doit.curation.rules.contamination import Contaminated, contamination_report
from doit.curation.rules.duplicates import applied
from doit.curation.rules.lengths import Tokens
from doit.curation.rules.script import Script
from doit.curation.rules.selection import Scored
from doit.mixtures.manifest import Contamination, FunnelStep
from doit.mixtures.pools.identical import EXACT, Written, copies
from doit.mixtures.pools.measuring import measured
from doit.mixtures.pools.pool import Pool, PoolPart, scan_records, written
from doit.mixtures.pools.rewriting import rewritten
from doit.mixtures.pools.tokens import count_tokens, load_tokenizer
from doit.progress import Progress
from doit.reading.scores import matched, read_scores, scores_of
from doit.reading.vectors import read_vectors, vectors_of

LEFT = ("id", "source", "construction", "language", "ability", "row", "part", "turns", "chars", "tokens")
"""The columns that a comparing rule sees of the records that are left."""


@dataclass(frozen=True)
class Means:
    """What rules need beside the pool."""

    table: Callable[[Sequence[PoolPart]], pl.DataFrame]
    """The slim table of a pool."""
    folder: Path = Path()
    """Where paths in rules start from."""
    tokenizer: str | None = None
    """The spec's own."""
    benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    langid: LangId = "fast"
    workers: int | None = None
    engine: str = "local"
    written: Written = written
    """Of the texts that a pool's records were read from."""


@dataclass(frozen=True)
class Curated:
    """A pool whose records all have a fate."""

    parts: tuple[PoolPart, ...]
    """The entries that `number` points to: those of the last rule that rewrote texts."""
    slim: pl.DataFrame
    """The slim table with `rule` (null = stays), `value`, `marks`, tags to be added, and `rewritten`, the rules that
    changed the text."""
    funnel: tuple[FunnelStep, ...]
    details: Mapping[str, pl.DataFrame]
    """Rule -> what it found, for people: pairs of near duplicates, items of benchmarks."""
    contamination: tuple[Contamination, ...] = ()
    warnings: tuple[str, ...] = ()
    """What files from outside lack."""

    def pool(self, before: Pool) -> Pool:
        """The pool with the entries that rules have made; a file of which records were split has read more."""
        read = Counter[tuple[str, str]]()
        for part in self.parts:
            read[part.source, part.file] += part.entry.read
        inputs = tuple(file.model_copy(update={"read": read[file.source, file.file]}) for file in before.inputs)
        return replace(before, parts=self.parts, inputs=inputs)

    def losses(self) -> list[str]:
        """A warning for every source that lost more than half of its records to the rules."""
        held = Counter[str]()
        for part in self.parts:
            held[part.source] += part.entry.records
        warnings = []
        for source, records in sorted(held.items()):
            by = {step.rule: step.sources.get(source, 0) for step in self.funnel}
            lost = sum(by.values())
            if 2 * lost > records:
                most = max(by, key=lambda rule: by[rule])
                what = f"curation drops {lost:,} of {records:,} records, {by[most]:,} of them by {most}."
                warnings.append(f"D322 {source}: {what}")
        return warnings


def curate(parts: Sequence[PoolPart], rules: Sequence[Rule], means: Means) -> Curated:
    """Decide for every record whether a rule drops it.

    Args:
        parts: the entries of the pool.
        rules: in the order in which they apply.
        means: what they need.
    """
    course = _Course(tuple(parts), means)
    course.drop_copies()
    in_course = applied(rules)
    for together, group in groupby(in_course, key=_only_measured):
        if together:
            course.measure([rule for rule in group if isinstance(rule, Measured)])
            continue
        for rule in group:
            course.apply(rule)
    return course.finished([EXACT, *(rule.title for rule in in_course)])


def _only_measured(rule: Rule) -> bool:
    """Whether a rule can be measured together with its neighbours."""
    return isinstance(rule, Measured) and not (isinstance(rule, Rewriting) and rule.rewrites)


class _Course:
    """The pool and its slim table on their way through the rules."""

    def __init__(self, parts: tuple[PoolPart, ...], means: Means) -> None:
        self.parts, self.means = parts, means
        self.details: dict[str, pl.DataFrame] = {}
        self.contamination: list[Contamination] = []
        self.warnings: list[str] = []
        self.rewritten: dict[str, int] = {}
        nothing = pl.lit(None, pl.String)
        marks = pl.lit(None, pl.List(pl.String))
        self.changed = pl.Series("changed", dtype=pl.Boolean)
        self.slim = means.table(parts).with_columns(rule=nothing, value=nothing, marks=marks, rewritten=nothing)

    def apply(self, rule: Rule) -> None:
        """One rule that is not measured with its neighbours."""
        if isinstance(rule, Tokens):
            self._limit_tokens(rule)
        elif isinstance(rule, Rewriting):
            self._rewrite(rule.with_names(self.means.folder) if isinstance(rule, Script) else rule, None)
            self._count_rewritten(rule.title)
        elif isinstance(rule, Comparing):
            self._compare(rule)
        else:
            raise TypeError(f"{type(rule).__name__} is no rule that can be applied")

    def measure(self, rules: Sequence[Measured]) -> None:
        """Several rules that look at one record at a time, in their order."""
        found = measured(self.parts, rules, workers=self.means.workers, engine=self.means.engine)
        for rule, value in zip(rules, found.get_columns(), strict=True):
            keeps = value.to_frame("v").select(rule.keeps(pl.col("v")).fill_null(value=False)).to_series()
            self._drop(rule.title, ~keeps, value)

    def drop_copies(self) -> None:
        """Of identical conversations that are left, all but one."""
        copied = copies(self._left_rows(), self.parts, self.means.written)
        self._drop_at(EXACT, copied["at"], copied["value"])

    def _limit_tokens(self, rule: Tokens) -> None:
        named = rule.tokenizer or self.means.tokenizer
        tokenizer = load_tokenizer(str(named), self.means.folder)
        if rule.over == "split":
            self._rewrite(rule, tokenizer.path)
            self.drop_copies()
        size = count_tokens(self.parts, tokenizer)["tokens"]
        self._drop(rule.title, size > rule.at_most, size)
        if rule.over == "split":
            self._count_rewritten(rule.title)

    def _rewrite(self, rule: Rewriting | Tokens, tokenizer: Path | None) -> None:
        """Read the slim table anew from the pool that a rule makes; records keep their fate, pieces their whole's."""
        workers, engine = self.means.workers, self.means.engine
        parts, origins, changed = rewritten(
            self.parts, rule, tokenizer=tokenizer, langid=self.means.langid, workers=workers, engine=engine
        )
        starts = [0]
        for part in self.parts:
            starts.append(starts[-1] + part.entry.records)
        at = pl.concat([origin.cast(pl.UInt32) + start for origin, start in zip(origins, starts, strict=False)])
        fates = self.slim.select("rule", "value", "marks", "rewritten")[at]
        told = pl.concat_str("rewritten", pl.lit(rule.title), separator=", ", ignore_nulls=True)
        fates = fates.with_columns(rewritten=pl.when(pl.concat(changed)).then(told).otherwise("rewritten"))
        self.parts = tuple(parts)
        self.slim = self.means.table(self.parts).hstack(fates)
        self.changed = pl.concat(changed)

    def _count_rewritten(self, title: str) -> None:
        """How many of the records that are left have another text by the rule that was just applied."""
        self.rewritten[title] = int((self.slim["rule"].is_null() & self.changed).sum())

    def _compare(self, rule: Comparing) -> None:
        rows = self._left_rows()
        columns = [name for name in LEFT if name in rows.columns]
        spelled = rows.select(columns).with_columns(cs.enum().cast(pl.String), hexadecimal(rows["id"]))
        files = pl.Series("file", [part.file for part in self.parts], dtype=pl.String).gather(rows["number"])
        left = Left(
            spelled,
            lambda text: self._texts(rows, text),
            self.means.benchmarks,
            self._scores(rule, spelled.with_columns(files)),
            self._vectors(rule, spelled["id"]),
        )
        found = rule.compare(left)
        at = rows["at"]
        self._drop_at(rule.title, at.gather(found.falls["at"]), found.falls["value"])
        self._mark(at, found)
        if found.details is not None:
            self.details[rule.title] = found.details
        if isinstance(rule, Contaminated) and found.details is not None:
            mine = {name: self.means.benchmarks[name] for name in rule.references}
            counted = contamination_report(found.details, mine).iter_rows(named=True)
            self.contamination += [Contamination(rule=rule.title, **row) for row in counted]

    def _scores(self, rule: Comparing, rows: pl.DataFrame) -> dict[tuple[str, str], pl.Series]:
        """The scores from outside that a rule goes by."""
        if rule.outside is None:
            return {}
        path, column = rule.outside
        found = scores_of(rows, read_scores(self.means.folder / path, column))
        said = matched(found, path, f'a score "{column}"')
        self.warnings += [said] if said and not isinstance(rule, Scored) else []
        return {rule.outside: found}

    def _vectors(self, rule: Comparing, ids: pl.Series) -> pl.Series | None:
        """The vectors from outside that a rule goes by."""
        if rule.vectors is None:
            return None
        found = vectors_of(ids, read_vectors(self.means.folder / rule.vectors))
        said = matched(found, rule.vectors, "a vector")
        self.warnings += [said] if said else []
        return found

    def _mark(self, at: pl.Series, found: Verdicts) -> None:
        if found.marks.is_empty():
            return
        marked = found.marks.group_by("at", maintain_order=True).agg("mark")
        new = pl.DataFrame({"at": at.gather(marked["at"]), "new": marked["mark"]})
        joined = self.slim.with_row_index("at").join(new, on="at", how="left", maintain_order="left")
        empty = pl.lit([], pl.List(pl.String))
        marks = pl.concat_list(pl.col("marks").fill_null(empty), pl.col("new"))
        self.slim = joined.with_columns(marks=pl.when(pl.col("new").is_null()).then("marks").otherwise(marks)).drop(
            "at", "new"
        )

    def _drop(self, title: str, falls: pl.Series, value: pl.Series) -> None:
        """Drop those records that are left and fall."""
        falls = self.slim["rule"].is_null() & falls
        self.slim = self.slim.with_columns(
            rule=pl.when(falls).then(pl.lit(title)).otherwise("rule"),
            value=pl.when(falls).then(value.cast(pl.String)).otherwise("value"),
        )

    def _drop_at(self, title: str, at: pl.Series, value: pl.Series) -> None:
        if at.is_empty():
            return
        falls = spread(at, pl.repeat(True, len(at), eager=True), self.slim.height).fill_null(value=False)
        self._drop(title, falls, spread(at, value, self.slim.height))

    def _left_rows(self) -> pl.DataFrame:
        """The records that no rule has dropped, and where they stand in the slim table."""
        rows = self.slim.with_row_index("at")
        return rows.filter(pl.col("rule").is_null()) if self._dropped() else rows

    def _dropped(self) -> bool:
        """Whether a rule has dropped any record: where none has, millions of rows need not be filtered."""
        return self.slim["rule"].null_count() < self.slim.height

    def _texts(self, rows: pl.DataFrame, text: pl.Expr) -> pl.Series:
        return texts_of(rows, self.parts, text)

    def finished(self, titles: Sequence[str]) -> Curated:
        """The end of the course: how many records each rule dropped and left, counted from their fates."""
        fates = self.slim.select("rule", "source") if self._dropped() else self.slim.select("rule", "source").clear()
        by_source = fates.filter(pl.col("rule").is_not_null()).group_by("rule", "source").len()
        dropped = dict(by_source.group_by("rule").agg(pl.col("len").sum()).rows())
        left, steps = self.slim.height, []
        for title in dict.fromkeys(titles):
            left -= dropped.get(title, 0)
            mine = by_source.filter(pl.col("rule") == title).sort("source")
            sources = dict(mine.select("source", "len").rows())
            told = {"dropped": dropped.get(title, 0), "left": left, "rewritten": self.rewritten.get(title, 0)}
            steps.append(FunnelStep(rule=title, sources=sources, **told))
        warnings = tuple(dict.fromkeys(self.warnings))
        return Curated(self.parts, self.slim, tuple(steps), self.details, tuple(self.contamination), warnings)


def near_clusters(slim: pl.DataFrame, parts: Sequence[PoolPart]) -> pl.Series:
    """A label for every record that is left, equal for near duplicates of whole conversations; null for the others."""
    from doit.curation.duplicates.near_duplicates import clusters  # noqa: PLC0415 - loads scipy, which few specs need

    rows = slim.with_row_index("at").filter(pl.col("rule").is_null())
    labels = clusters(texts_of(rows, parts, text_of("conversation")), rows["id"])
    return spread(rows["at"], labels, slim.height)


def texts_of(rows: pl.DataFrame, parts: Sequence[PoolPart], text: pl.Expr) -> pl.Series:
    """A text of some records, in their order, which is that of the pool."""
    frames = []
    with Progress("reading texts", total=len(parts), unit="files") as progress:
        for number, part in enumerate(parts):
            mine = rows.filter(pl.col("number") == number)["position"]
            records = scan_records(part.entry.folder).select(text=text).collect()
            frames.append(records["text"].gather(mine))
            progress.advance(1)
    return pl.concat(frames).rename("text")


def spread(at: pl.Series, value: pl.Series, height: int) -> pl.Series:
    """Values at some rows, null at all others."""
    some = pl.DataFrame({"at": at, "value": value}, schema_overrides={"at": pl.UInt32})
    whole = pl.select(at=pl.int_range(height, dtype=pl.UInt32))
    return whole.join(some, on="at", how="left", maintain_order="left")["value"]
