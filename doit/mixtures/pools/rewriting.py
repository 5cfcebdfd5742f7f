"""Pools whose texts a rule has changed, cached like any other: later rules and the mixture read the new texts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile

import orjson
import polars as pl

from doit import jobs, storage
from doit.curation.language.detecting import LangId
from doit.curation.rules.base import Rewriting
from doit.curation.rules.lengths import Tokens
from doit.mixtures.pools.measuring import WORTH_A_PROCESS, curation_code
from doit.mixtures.pools.normalising import POOLED, RECORDS, Entry, record_writer, with_language
from doit.mixtures.pools.pool import PoolPart, scan_records
from doit.mixtures.pools.shortening import split_long
from doit.mixtures.pools.slim import SLIM, slim_columns, write_slim
from doit.mixtures.pools.stamps import unchanged
from doit.mixtures.pools.tokens import load_tokenizer
from doit.progress import Progress

ORIGIN, ENTRY = "origin.parquet", "entry.json"
LEFT_BEHIND = ("rejects.parquet", "left_out.parquet")
"""What rows became that are no records."""

LAYOUT = 4
"""Number of the way in which an entry is made and kept; another one is another entry."""


@dataclass(frozen=True)
class _Task:
    """One entry, and the rule that rewrites it."""

    entry: Entry
    rule: Rewriting | Tokens
    tokenizer: Path | None
    langid: LangId

    @property
    def folder(self) -> Path:
        """Where the new entry lies: beside the old one."""
        asked = orjson.dumps(
            [LAYOUT, self.entry.folder.name, self.rule.model_dump(mode="json"), self.langid],
            option=orjson.OPT_SORT_KEYS,
        )
        told = b"" if self.tokenizer is None else self.tokenizer.read_bytes()
        name = hashlib.sha256(curation_code() + asked + hashlib.sha256(told).digest()).hexdigest()[:40]
        return self.entry.folder.parent / name


def rewritten(
    pool: Sequence[PoolPart],
    rule: Rewriting | Tokens,
    *,
    tokenizer: Path | None = None,
    langid: LangId = "fast",
    workers: int | None,
    engine: str,
) -> tuple[list[PoolPart], list[pl.Series], list[pl.Series]]:
    """The pool after a rule that changes texts.

    Args:
        pool: the entries.
        rule: what changes them: `Tokens` makes several records of one that is too long.
        tokenizer: the file of the tokenizer that `Tokens` counts with.
        langid: how languages are told, of the new texts too.
        workers: processes; None = as many as help.
        engine: local or ray.

    Returns:
        The new entries in their old places; for every record of each the position of the record that it was, and
        whether its text is another one.
    """
    tasks = [_Task(part.entry, rule, tokenizer, langid) for part in pool]
    wanted = sum(part.entry.records for part in pool)
    count = min(os.cpu_count() or 1, 1 + wanted // WORTH_A_PROCESS) if workers is None else workers
    with Progress(f"rewriting: {rule.title}", total=wanted, unit="records") as progress:
        entries = jobs.run(
            _rewrite, tasks, jobs=count, engine=engine, progress=lambda entry: progress.advance(entry.records)
        )
    parts = [replace(part, entry=entry) for part, entry in zip(pool, entries, strict=True)]
    origins = [pl.read_parquet(entry.folder / ORIGIN, glob=False) for entry in entries]
    return parts, [one["origin"] for one in origins], [one["changed"] for one in origins]


def _rewrite(task: _Task) -> Entry:
    """Make an entry's new one, or find it."""
    known = _load(task.folder)
    if known is not None:
        return known
    task.folder.mkdir(exist_ok=True)
    records = scan_records(task.entry.folder).collect()
    records = records.with_columns(origin=pl.int_range(pl.len(), dtype=pl.UInt32))
    if isinstance(task.rule, Tokens):
        kept, new = split_long(records, task.rule, load_tokenizer(str(task.tokenizer), Path()), task.entry.folder)
    else:
        kept, new = _changed(records, task.rule)
    told = with_language(new.select("messages").to_arrow(), task.langid)["language"]
    new = new.with_columns(language=pl.Series(told), changed=pl.lit(True))
    made = pl.concat([kept.with_columns(changed=pl.lit(False)), new]).sort("origin", "part", maintain_order=True)
    if isinstance(task.rule, Tokens):
        made = _numbered(made.with_columns(changed=pl.len().over("origin") > 1), task.entry.folder)
    origin = made.select("origin", "changed")
    pooled = made.drop("origin", "changed").to_arrow().cast(POOLED)
    with record_writer(task.folder / RECORDS) as writer:
        writer.write_table(pooled)
    write_slim(task.folder, [slim_columns(pooled)])
    with storage.atomic_file(task.folder / ORIGIN) as target:
        origin.write_parquet(target)
    for name in LEFT_BEHIND:
        with storage.atomic_file(task.folder / name) as target:
            copyfile(task.entry.folder / name, target)
    entry = replace(task.entry, folder=task.folder, records=made.height)
    files = {name: storage.file_digest(task.folder / name) for name in (RECORDS, SLIM, ORIGIN)}
    told = {name: value for name, value in vars(entry).items() if name != "folder"}
    storage.write_json(task.folder / ENTRY, {**told, "files": files})
    return entry


def _numbered(made: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The first piece of a record keeps its part; the others are numbered behind all parts that the row has had."""
    later = pl.int_range(pl.len()).over("origin") > 0
    made = made.with_columns(later=later, part=pl.col("part").first().over("origin"))
    others = [pl.read_parquet(folder / name, glob=False).select("row", "part") for name in LEFT_BEHIND]
    held = pl.concat([made.select("row", "part"), *others], how="vertical_relaxed").drop_nulls("row")
    highest = held.group_by("row").agg(highest=pl.col("part").max().fill_null(0))
    made = made.join(highest, on="row", how="left", maintain_order="left")
    number = pl.col("highest") + pl.col("later").cum_sum().over("row")
    part = pl.when("later").then(number).otherwise("part").cast(pl.Int32)
    return made.with_columns(part=part).drop("later", "highest")


def _load(folder: Path) -> Entry | None:
    try:
        written = orjson.loads((folder / ENTRY).read_bytes())
        files = written.pop("files")
        if unchanged(folder, files):
            return Entry(folder=folder, **written)
    except (OSError, orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return None
    return None


def _changed(records: pl.DataFrame, rule: Rewriting) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The records that a rule leaves as they are, and the others with the texts that it gives them."""
    whole = _with_thoughts(records)
    after = rule.rewrite(whole, records["language"])
    content = pl.element().struct.field("content")
    both = pl.DataFrame({"before": whole, "after": after}).select(pl.all().list.eval(content))
    changed = both.select(changed=pl.col("before") != pl.col("after"))["changed"]
    old, before, now = records.filter(changed), whole.filter(changed), after.filter(changed)
    new = _taken_apart(old, now)
    new = new.with_columns(
        chars=pl.col("messages").list.eval(content.str.len_chars()).list.sum().cast(pl.Int32),
        tags=pl.concat_list("tags", pl.lit(f"rewritten:{rule.title}"), rule.marks(before, now)),
    )
    return records.filter(~changed), new


def _with_thoughts(records: pl.DataFrame) -> pl.Series:
    """Messages, and behind them the record's thinking as turns of the assistant, an empty one for a null."""
    if records["reasoning"].null_count() == records.height:
        return records["messages"]
    thought = pl.struct(role=pl.lit("assistant"), content=pl.element().fill_null(""))
    turns = pl.col("reasoning").fill_null([]).list.eval(thought).cast(records.schema["messages"])
    return records.select(pl.concat_list("messages", turns).alias("messages")).to_series()


def _taken_apart(old: pl.DataFrame, whole: pl.Series) -> pl.DataFrame:
    """Records with the messages and the thinking that `_with_thoughts` has joined."""
    count = pl.col("messages").list.len()
    cut = old.with_columns(whole=whole).with_columns(
        messages=pl.col("whole").list.head(count), whole=pl.col("whole").list.slice(count)
    )
    new = cut.drop("whole")
    if old["reasoning"].null_count() == old.height:
        return new
    said = [[turn["content"] for turn in turns] for turns in cut["whole"].to_list()]
    thoughts = [
        None if before is None else [None if had is None else got for had, got in zip(before, now, strict=True)]
        for before, now in zip(old["reasoning"].to_list(), said, strict=True)
    ]
    return new.with_columns(reasoning=pl.Series(thoughts, dtype=old.schema["reasoning"]))
