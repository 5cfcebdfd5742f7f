"""The pool: every source normalised once, and the slim table on which all decisions are made.

One input file becomes one cache entry, or several where it is large and made of lines: each is keyed by its bytes, the
part of the card that reading depends on, and the code that reads. A changed spec over unchanged files reads no text at
all. Entries are complete when their `entry.json` exists, and are checked against its digests unless nothing has
written to them since (`doit.mixtures.pools.stamps`); the cache may be deleted at any time.

Records are kept as an uncompressed Arrow file that is mapped into memory: only the chosen rows of the texts are read,
and of the other columns only those that decisions are made on.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa

from doit import jobs
from doit.curation.language.detecting import LangId
from doit.mixtures.loading import SourceFiles
from doit.mixtures.manifest import InputFile
from doit.mixtures.pools.normalising import POOLED, RECORDS, Entry, Task, code_digest, load, normalise
from doit.mixtures.pools.slim import read_slim
from doit.mixtures.pools.stamps import Note, Span
from doit.progress import Progress
from doit.reading.hub_repository import cache_home
from doit.reading.records import layout_of
from doit.reading.rows import spans
from doit.schemas.card import DatasetCard
from doit.table import REJECTS

LAYOUT = 3
"""Number of the way in which an entry is kept; another one is another entry."""

MARK_BYTES = 8
"""What an Arrow file begins with: its mark and two zero bytes, and then the same stream as without a footer."""

SPAN_BYTES = 32 << 20
"""Bytes of one stretch of a large file: a fraction of a second's reading, and the grain of resuming and of progress."""


@dataclass(frozen=True)
class PoolPart:
    """An entry in the place that it has in one spec."""

    source: str
    file: str
    entry: Entry
    first_row: int
    """Number in the file of the entry's row 0."""
    first_byte: int


@dataclass(frozen=True)
class Pool:
    """All that a spec reads."""

    parts: tuple[PoolPart, ...]
    """In the order of (source, file, stretch), whatever the spec's order."""
    inputs: tuple[InputFile, ...]


def cache_folder() -> Path:
    """Where pools are kept."""
    return cache_home() / "pool"


def build_pool(
    sources: Sequence[SourceFiles], *, langid: LangId = "fast", workers: int | None = None, engine: str = "local"
) -> Pool:
    """Normalise every file of every source, or find it in the cache.

    Args:
        sources: cards and files.
        langid: how languages are told.
        workers: processes; None = as many as help.
        engine: local or ray.
    """
    placed = sorted(
        ((source.card, shown, path) for source in sources for shown, path in source.files),
        key=lambda item: (item[0].name, item[1]),
    )
    notes = [Note(path, cache_folder().parent / "files") for _, _, path in placed]
    spanned = [_spans(path, card, note) for (card, _, path), note in zip(placed, notes, strict=True)]
    # Hashing leaves the interpreter alone, so threads share the processors. Only the stretches' digests are waited for.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        asked = [[threads.submit(note.digest, span) for span in of] for note, of in zip(notes, spanned, strict=True)]
        whole = [threads.submit(note.digest) for note in notes]
        read = [
            [_task(path, card, span, digest.result(), langid) for span, digest in zip(of, digests, strict=True)]
            for (card, _, path), of, digests in zip(placed, spanned, asked, strict=True)
        ]
        flat = [task for of_file in read for task in of_file]
        with Progress("reading", total=sum(task.size for task in flat) // 1000, unit="kB") as progress:
            entries = iter(_entries(flat, workers, engine, partial(_tell, progress)))
        digests = [digest.result() for digest in whole]
    for note in notes:
        note.keep()
    parts: list[PoolPart] = []
    inputs = []
    for (card, shown, _), of_file, sha256 in zip(placed, read, digests, strict=True):
        found = _parts(card.name, shown, of_file, [next(entries) for _ in of_file])
        parts += found
        rows, size = sum(part.entry.read for part in found), sum(part.entry.bytes for part in found)
        inputs.append(InputFile(source=card.name, file=shown, bytes=size, sha256=sha256, read=rows))
    return Pool(tuple(parts), tuple(inputs))


def _entries(tasks: Sequence[Task], workers: int | None, engine: str, tell: Callable[[Entry], None]) -> list[Entry]:
    """The entry of every task: from the cache, or made. No process is started for what is there."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        looked = list(threads.map(lambda task: load(task.folder), tasks))
    missing = [task for task, entry in zip(tasks, looked, strict=True) if not entry]
    for entry in looked:
        if entry:
            tell(entry)
    count = _helpful([task.size for task in missing]) if workers is None else workers
    # What reads a damaged Parquet file may die of it, and then it should not be this process.
    takes_part = all(task.span is not None for task in missing)
    made = iter(jobs.run(normalise, missing, jobs=count, engine=engine, progress=tell, takes_part=takes_part))
    return [entry or next(made) for entry in looked]


def _tell(progress: Progress, entry: Entry) -> None:
    progress.advance(entry.bytes // 1000)


def _spans(path: Path, card: DatasetCard, note: Note) -> Sequence[Span]:
    layout = layout_of(card)
    how = hashlib.sha256(f"{code_digest()} {SPAN_BYTES} {layout}".encode()).hexdigest()
    return note.spans(how, lambda: spans(path, layout, SPAN_BYTES)) or [None]


def _helpful(sizes: Sequence[int]) -> int:
    """How many processes to start: one a CPU, unless the work is over before they are up."""
    return 1 if sum(sizes) < 2 * SPAN_BYTES else min(len(sizes), os.cpu_count() or 1)


def _parts(source: str, file: str, tasks: Sequence[Task], entries: Sequence[Entry]) -> list[PoolPart]:
    """The entries of one file, each knowing where it begins."""
    parts, row = [], 0
    for task, entry in zip(tasks, entries, strict=True):
        parts.append(PoolPart(source, file, entry, row, task.span[0] if task.span else 0))
        row += entry.rows
    return parts


def _task(path: Path, card: DatasetCard, span: Span, digest: str, langid: LangId) -> Task:
    """What is to be read, and where its entry lies: all that the records depend on decides the folder's name."""
    about = {"title", "license", "cite", "languages", "task", "construction", "records", "about"}
    read_by = card.model_dump(mode="json", exclude=about)
    read_by["source"] = {k: read_by["source"][k] for k in ("encoding", "columns", "delimiter", "compression")}
    stem = path.stem if card.ability is not None and card.ability.file_stem else ""
    suffix = "".join(path.suffixes[-2:]).lower()
    begins = None if span is None else span[0] == 0
    payload = orjson.dumps([LAYOUT, digest, read_by, stem, suffix, begins, langid, code_digest()])
    return Task(path, card, cache_folder() / hashlib.sha256(payload).hexdigest()[:40], digest, span, langid)


def open_records(folder: Path, columns: Sequence[str] = tuple(POOLED.names)) -> pa.Table:
    """Columns of an entry's records, mapped into memory: only what is touched is read.

    The file is read as the stream that it is behind its mark, because Arrow's reader of files tells the system to read
    all bytes of a batch ahead, and because to name columns to a reader makes it copy them.
    """
    with (folder / RECORDS).open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return pa.ipc.open_stream(pa.py_buffer(mapped[MARK_BYTES:])).read_all().select(columns)


def scan_records(folder: Path) -> pl.LazyFrame:
    """The records of an entry, columns `POOLED`, for Polars."""
    return pl.scan_ipc(folder / RECORDS, glob=False)


def slim_table(pool: Sequence[PoolPart], sources: Sequence[SourceFiles]) -> pl.DataFrame:
    """The columns that decisions read, of all records, in the order of (source, file, row, part).

    Labels are enumerations in the order of their strings; ids are 128-bit numbers, in the order of the hexadecimal
    digits.

    Returns:
        The columns of `doit.mixtures.pools.slim`, and `number` (index into `pool`), `position` (row of the entry's
        records), `source`, `construction`, `license`, `max_epochs`.
    """
    frames = [
        columns.with_columns(
            row=pl.col("row") + member.first_row,
            number=pl.lit(number, pl.UInt32),
            position=pl.int_range(pl.len(), dtype=pl.UInt32),
        )
        for number, (member, columns) in enumerate(zip(pool, read_slim([m.entry.folder for m in pool]), strict=True))
    ]
    slim = pl.concat(frames, how="diagonal", rechunk=True)
    if "group" not in slim.columns:
        slim = slim.with_columns(group=pl.lit(None, pl.String))
    by_name = {source.card.name: source for source in sources}
    about = [by_name[member.source] for member in pool]
    of_parts = [
        _enumeration("source", [source.card.name for source in about]),
        _enumeration("construction", [source.card.construction for source in about]),
        _enumeration("license", [source.card.license for source in about]),
        pl.Series("max_epochs", [source.mix.max_epochs for source in about], dtype=pl.Int32),
    ]
    return slim.with_columns(of_part.gather(slim["number"]) for of_part in of_parts)


def _enumeration(name: str, values: Sequence[str]) -> pl.Series:
    return pl.Series(name, values, dtype=pl.Enum(sorted(set(values))))


def written(rows: pl.DataFrame, pool: Sequence[PoolPart]) -> pl.Series:
    """The digests of some records' texts as they were written, columns `number` and `position` given: 16 bytes each."""
    parts = []
    for (number,), mine in rows.with_row_index("place").group_by("number", maintain_order=True):
        column = open_records(pool[int(str(number))].entry.folder, ["written"])["written"]
        parts.append(mine.select("place", written=pl.Series(column).gather(mine["position"])))
    if not parts:
        return pl.Series("written", dtype=pl.Binary)
    return pl.concat(parts).sort("place")["written"]


def all_rejects(pool: Sequence[PoolPart]) -> pa.Table:
    """The rejects of every file, with their source and file filled in."""
    tables = [pa.Table.from_batches([], REJECTS)]  # `empty_table` would load pandas
    for member in pool:
        if member.entry.rejects:
            frame = pl.read_parquet(member.entry.folder / "rejects.parquet")
            named = frame.with_columns(
                source=pl.lit(member.source), file=pl.lit(member.file), row=pl.col("row") + member.first_row
            )
            tables.append(named.to_arrow().cast(REJECTS))
    return pa.concat_tables(tables)


def all_left_out(pool: Sequence[PoolPart]) -> pl.DataFrame:
    """The rows that a card's `where` left out: `source`, `file`, `row`, `part`."""
    frames = [pl.DataFrame(schema={"source": pl.String, "file": pl.String, "row": pl.Int64, "part": pl.Int32})]
    for member in pool:
        if member.entry.left_out:
            frame = pl.read_parquet(member.entry.folder / "left_out.parquet")
            row = pl.col("row") + member.first_row
            frames.append(frame.select(source=pl.lit(member.source), file=pl.lit(member.file), row=row, part="part"))
    return pl.concat(frames)
