"""Stock: a spec's records, read and curated, each with its cell, its split, or the reason why it has none."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from doit.curation.rules.base import Benchmark, text_of
from doit.errors import DataError, DoitError, ShortStock
from doit.mixtures.building.draw import kept
from doit.mixtures.building.splitting import split
from doit.mixtures.loading import Resolved, SourceFiles
from doit.mixtures.planning import cells as cellular
from doit.mixtures.planning.plan import Axis
from doit.mixtures.pools.curating import Curated, Means, curate, near_clusters
from doit.mixtures.pools.pool import Pool, PoolPart, all_rejects, build_pool, scan_records, slim_table
from doit.mixtures.pools.slim import names, scan_slim
from doit.mixtures.pools.tokens import Tokenizer, count_tokens, load_tokenizer

if TYPE_CHECKING:
    from doit.curation.tagging.model import Tagger

MOST_KINDS = 1 << 20
"""Combinations of the axes' labels for which a table of cells is made."""


@dataclass(frozen=True)
class Stocked:
    """A curated pool: every record with its cell, or the reason why it has none."""

    pool: Pool
    slim: pl.DataFrame
    """The slim table with `rule`, `value` (why a record is out) and `cell`."""
    axes: tuple[Axis, ...]
    cells: list[tuple[str, ...]]
    curated: Curated
    """The funnel, and what rules found."""
    warnings: tuple[str, ...]
    weight: str | None = None
    """The column that counts, where the unit is tokens."""
    tokenizer: str | None = None
    """SHA-256 of the tokenizer."""


def stocked(
    resolved: Resolved,
    *,
    workers: int | None = None,
    engine: str = "local",
    strict: bool = False,
    beside: Callable[[], None] | None = None,
) -> Stocked:
    """Read and curate what a spec names.

    Args:
        resolved: the spec with its cards and files.
        workers: processes that read; None = as many as help.
        engine: local or ray.
        strict: any reject or unknown label is an error.
        beside: done in a thread of its own while records are looked through, which leaves the interpreter alone.

    Raises:
        DataError: under `strict`, for the first reject, unknown label or differing count.
    """
    pool = build_pool(resolved.sources, langid=resolved.spec.langid, workers=workers, engine=engine)
    warnings = _noticed(pool, resolved)
    if strict:
        _refuse_rejects(pool.parts)
        if warnings:
            raise DataError(warnings[0][:4], warnings[0][5:])
    spec = resolved.spec
    if beside is not None:
        threading.Thread(target=beside, daemon=True).start()
    curated, tokenizer, unread = _curated(pool, resolved, workers, engine)
    if strict and unread:
        raise DataError(unread[0][:4], unread[0][5:])
    pool = curated.pool(pool)
    warnings += [*unread, *curated.warnings, *curated.losses()]
    slim = _keep(curated.slim, resolved)
    axes = spec.axes()
    usable = slim["rule"].is_null()
    placed, named = _placed(slim, axes)
    cell = pl.select(pl.when(usable).then(placed).otherwise(cellular.NOWHERE)).to_series().rename("cell")
    aimless = usable & (placed == cellular.NOWHERE)
    slim = slim.with_columns(cell, rule=pl.when(aimless).then(pl.lit("no target")).otherwise("rule"))
    if (slim["cell"] == cellular.NOWHERE).all():
        raise ShortStock("D401", f"no record is left. {lost(pool, slim)}", where=resolved.where)
    slim = _hold_out(slim, pool, resolved, axes)
    fetched = [warning for source in resolved.sources if source.fetched for warning in source.fetched.warnings]
    weight = None if spec.unit == "records" else ("tokens" if spec.count == "all" else "supervised")
    return Stocked(pool, slim, axes, named, curated, (*fetched, *warnings), weight, tokenizer)


def _placed(slim: pl.DataFrame, axes: Sequence[Axis]) -> tuple[pl.Series, list[tuple[str, ...]]]:
    """The cell of every record, as `cellular.assign` gives it: asked for once a kind of record, not once a record."""
    labels = [slim[axis.name] for axis in axes]
    values = [[*names(one), None] if isinstance(one.dtype, pl.Enum) else [] for one in labels]
    shape = tuple(len(of) for of in values)
    if not axes or not 0 < prod(shape) < MOST_KINDS:
        return cellular.assign(slim, axes)
    places = [
        one.to_physical().cast(pl.UInt32).fill_null(len(of) - 1).to_numpy()
        for one, of in zip(labels, values, strict=True)
    ]
    kind = np.ravel_multi_index(places, shape)
    there = np.flatnonzero(np.bincount(kind))
    kinds = zip(axes, values, np.unravel_index(there, shape), strict=True)
    found, cells = cellular.assign(pl.DataFrame({axis.name: [of[at] for at in ats] for axis, of, ats in kinds}), axes)
    cell = np.full(prod(shape), cellular.NOWHERE, np.int32)
    cell[there] = found.to_numpy()
    return pl.Series("cell", cell[kind]), cells


def _curated(pool: Pool, resolved: Resolved, workers: int | None, engine: str) -> tuple[Curated, str | None, list[str]]:
    """The pool after the spec's rules, the SHA-256 of the tokenizer that fills `tokens` and `supervised`, and a warning
    for every benchmark of which not all rows could be read.
    """
    spec = resolved.spec
    try:
        tokenizer = None if spec.tokenizer is None else load_tokenizer(spec.tokenizer, resolved.folder)
        tagger = _tagger(spec.tagger, resolved.folder)
        table = partial(_table, resolved=resolved, tokenizer=tokenizer, tagger=tagger)
        read = [_benchmark(one, workers, engine) for one in resolved.benchmarks]
        benchmarks = {benchmark.name: benchmark for benchmark, _ in read}
        means = Means(table, resolved.folder, spec.tokenizer, benchmarks, spec.langid, workers, engine)
        curated = curate(pool.parts, spec.curation, means)
    except DoitError as error:
        raise error.within(resolved.where) from None
    return curated, None if tokenizer is None else tokenizer.sha256, [said for _, said in read if said]


def _benchmark(source: SourceFiles, workers: int | None, engine: str) -> tuple[Benchmark, str]:
    """The items of a benchmark, read as any source is, and what to say of the rows that make none.

    Raises:
        DataError: it has no item, so that everything would pass for clean: D320, or the code of its first row.
    """
    pool = build_pool([source], workers=workers, engine=engine)
    place = {"file": pl.String, "row": pl.Int64, "part": pl.Int32, "prompt": pl.String, "answer": pl.String}
    frames = [pl.DataFrame(schema=place)]
    for part in pool.parts:
        texts = {"prompt": text_of("prompt"), "answer": text_of("answer")}
        items = scan_records(part.entry.folder).select(
            pl.lit(part.file).alias("file"), pl.col("row") + part.first_row, "part", **texts
        )
        frames.append(items.collect())
    held, rejects = pl.concat(frames, how="vertical_relaxed"), all_rejects(pool.parts)
    if not rejects.num_rows and held.height:
        return Benchmark(source.card.name, held), ""
    where = f"benchmark {source.card.name}"
    if not rejects.num_rows:
        raise DataError("D320", "it has no rows.", where=where, hint="Look whether its files are the right ones.")
    first = rejects.slice(0, 1).to_pylist()[0]
    what = f"{rejects.num_rows:,} of its rows are no items, the first: {first['reason']}"
    if not held.height:
        raise DataError(first["code"], f"all {what}", where=where, hint="Look at the fields of its card's shape.")
    return Benchmark(source.card.name, held), f"{first['code']} {where}: {what}"


def _tagger(name: str | None, folder: Path) -> Tagger | None:
    """The tagger that a spec names."""
    if name is None:
        return None
    from doit.curation.tagging.model import DEFAULT, load_tagger  # noqa: PLC0415 - few specs name one

    return load_tagger(name if name == DEFAULT else str(folder / name))


def _table(
    parts: Sequence[PoolPart], *, resolved: Resolved, tokenizer: Tokenizer | None, tagger: Tagger | None
) -> pl.DataFrame:
    """The slim table of a pool with `tokens` and `supervised`, null where the spec names no tokenizer.

    Where it names a tagger, records without an ability have the tagger's, and `ability_from` says which.
    """
    slim = slim_table(parts, resolved.sources)
    if tagger is not None:
        from doit.mixtures.pools.tagging import pool_tags, with_tags  # noqa: PLC0415 - few specs name one

        slim = with_tags(slim, pool_tags(parts, tagger)["ability"])
    if tokenizer is None:
        return slim.with_columns(tokens=pl.lit(None, pl.Int32), supervised=pl.lit(None, pl.Int32))
    return pl.concat([slim, count_tokens(parts, tokenizer)], how="horizontal")


def lost(pool: Pool, slim: pl.DataFrame) -> str:
    """What became of the rows of each source that lost some: how many, and the most frequent reason."""
    said = []
    for source in sorted({part.source for part in pool.parts}):
        mine = [part for part in pool.parts if part.source == source]
        read, rejected = sum(part.entry.read for part in mine), sum(part.entry.rejects for part in mine)
        told = [] if read else ["no rows"]
        if rejected:
            first = all_rejects(mine).slice(0, 1).to_pylist()[0]
            told.append(
                f"{rejected:,} of {read:,} rows rejected, the first with {first['code']}: {first['reason'].rstrip('.')}"
            )
        dropped = slim.filter((pl.col("source") == source) & pl.col("rule").is_not_null())
        rules = dropped.group_by("rule").len().sort("len", "rule", descending=[True, False]).rows()
        told += [f"{count:,} of {read:,} by {rule}" for rule, count in rules[:2]]
        left_out = sum(part.entry.left_out for part in mine)
        told += [f"{left_out:,} of {read:,} by where"] if left_out else []
        said += [f"{source}: {'; '.join(told)}"] if told else []
    return " ".join(one if one.endswith(".") else f"{one}." for one in said)


def _hold_out(slim: pl.DataFrame, pool: Pool, resolved: Resolved, axes: Sequence[Axis]) -> pl.DataFrame:
    """Take the splits out of the cells."""
    spec = resolved.spec
    if not spec.splits:
        return slim.with_columns(split=pl.lit(None, pl.String))
    try:
        wanted = {str(name): of for name, of in spec.splits.items()}
        held = split(slim, wanted, axes, spec.seed, near_clusters(slim, pool.parts))
    except DoitError as error:
        raise error.within(resolved.where) from None
    slim = slim.with_columns(held)
    return slim.with_columns(cell=pl.when(held.is_null()).then("cell").otherwise(cellular.NOWHERE))


def _keep(slim: pl.DataFrame, resolved: Resolved) -> pl.DataFrame:
    """Set aside what a source's `keep` leaves out, among the records that curation left."""
    part = {source.card.name: (source.mix.keep.numerator, source.mix.keep.denominator) for source in resolved.sources}
    if all(top == bottom for top, bottom in part.values()):
        return slim
    left = slim.with_row_index("at").filter(pl.col("rule").is_null())
    out = left.filter(~kept(left, part, resolved.spec.seed)).select("at", aside=pl.lit("keep"))
    joined = slim.with_row_index("at").join(out, on="at", how="left", maintain_order="left")
    return joined.with_columns(rule=pl.coalesce("rule", "aside")).drop("at", "aside")


def _noticed(pool: Pool, resolved: Resolved) -> list[str]:
    """What a reader should know although it stops nothing; each begins with its code."""
    warnings = [f"D320 {file.file}: the file holds no rows." for file in pool.inputs if not file.read]
    unknown: dict[str, Counter[str]] = {}
    for part in pool.parts:
        unknown.setdefault(part.file, Counter()).update(part.entry.unknown_labels)
    for file, labels in unknown.items():
        for label, number in sorted(labels.items(), key=lambda item: (-item[1], item[0]))[:5]:
            warnings.append(f"D318 {file}: {number} rows have the label {label!r}, which the map lacks.")
    for source in resolved.sources:
        rule = source.card.ability
        mine = [part for part in pool.parts if part.source == source.card.name]
        if rule is not None and rule.field is not None and any(part.entry.records for part in mine):
            tagged = any(part.entry.unknown_labels or _tagged(part) for part in mine)
            if not tagged:
                what = f"no row has a label in the column `{rule.field}`, so no record has an ability."
                warnings.append(f"D318 {source.card.name}: {what}")
        expected = source.card.records
        read = sum(file.read for file in pool.inputs if file.source == source.card.name)
        if expected is not None and read != expected:
            warnings.append(f"D319 {source.card.name}: {read:,} rows, but its card counts {expected:,}.")
    return warnings


def _tagged(part: PoolPart) -> bool:
    abilities = scan_slim(part.entry.folder).select("ability")
    return bool(abilities.select(pl.col("ability").is_not_null().any()).collect().item())


def _refuse_rejects(pool: Sequence[PoolPart]) -> None:
    rejects = all_rejects(pool)
    if rejects.num_rows:
        first = rejects.slice(0, 1).to_pylist()[0]
        row = "" if first["row"] is None else f" row {first['row']}"
        what = f"{first['reason']} {rejects.num_rows} rows cannot be read."
        raise DataError(first["code"], what, where=f"{first['file']}{row}", hint="Without --strict they are set aside.")
