"""The pool: every source normalised once, and the slim table on which all decisions are made.

One input file becomes one cache entry, or several where it is large and made of lines: each is keyed by its bytes, the
part of the card that reading depends on, and the code that reads. A changed spec over unchanged files reads no text at
all. Entries are complete when their `entry.json` exists, and are checked against its digests unless nothing has
written to them since (`doit.mixtures.pools.stamps`); the cache may be deleted at any time.

Records are kept as an uncompressed Arrow file that is mapped into memory: only the chosen rows of the texts are read,
and of the other columns only those that decisions are made on.
"""

from __future__ import annotations

import binascii
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from doit import jobs
from doit.curation.language.detecting import LangId
from doit.mixtures.loading import SourceFiles
from doit.mixtures.manifest import InputFile
from doit.mixtures.pools.normalising import POOLED, RECORDS, Entry, Task, code_digest, load, normalise
from doit.mixtures.pools.stamps import Note, Span
from doit.progress import Progress
from doit.reading.hub_repository import cache_home
from doit.reading.records import layout_of
from doit.reading.rows import spans
from doit.schemas.card import DatasetCard
from doit.table import REJECTS

SLIM = ("id", "written", "language", "ability", "row", "part", "group", "turns", "chars")
"""The pooled columns that decisions read."""

LAYOUT = 2
"""Number of the way in which an entry is kept; another one is another entry."""

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
    spanned = [_spans(path, card) for card, _, path in placed]
    # Hashing leaves the interpreter alone, so threads share the processors. Only the stretches' digests are waited for.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        notes = [Note(path, cache_folder().parent / "files") for _, _, path in placed]
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


def _spans(path: Path, card: DatasetCard) -> Sequence[Span]:
    return spans(path, layout_of(card), SPAN_BYTES) or [None]


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
    """Columns of an entry's records, mapped into memory: only what is touched is read."""
    with pa.memory_map(str(folder / RECORDS)) as source, pa.ipc.open_file(source) as file:
        return file.read_all().select(columns)  # to name the columns to the reader would make it copy them


def scan_records(folder: Path) -> pl.LazyFrame:
    """The records of an entry, columns `POOLED`, for Polars."""
    return pl.scan_ipc(folder / RECORDS, glob=False)


def slim_table(pool: Sequence[PoolPart], sources: Sequence[SourceFiles]) -> pl.DataFrame:
    """The columns that decisions read, of all records, in the order of (source, file, row, part).

    Labels are enumerations in the order of their strings; ids and `written` are 128-bit numbers, in the order of the
    hexadecimal digits.

    Returns:
        `SLIM`, and `number` (index into `pool`), `position` (row of the entry's records), `source`, `construction`,
        `license`, `max_epochs`.
    """
    by_name = {source.card.name: source for source in sources}
    kinds = {
        "source": pl.Enum(sorted(by_name)),
        "construction": pl.Enum(sorted({source.card.construction for source in sources})),
        "license": pl.Enum(sorted({source.card.license for source in sources})),
    }
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        read = list(threads.map(_slim, [member.entry.folder for member in pool]))
    frames = []
    for number, (member, columns) in enumerate(zip(pool, read, strict=True)):
        source = by_name[member.source]
        frames.append(
            columns.with_columns(
                row=pl.col("row") + member.first_row,
                number=pl.lit(number, pl.UInt32),
                position=pl.int_range(pl.len(), dtype=pl.UInt32),
                source=pl.lit(member.source, kinds["source"]),
                construction=pl.lit(source.card.construction, kinds["construction"]),
                license=pl.lit(source.card.license, kinds["license"]),
                max_epochs=pl.lit(source.mix.max_epochs, pl.Int32),
            )
        )
    slim = pl.concat(frames)
    labels = (slim[name] for name in ("language", "ability"))
    return slim.with_columns(one.cast(pl.Enum(sorted(one.drop_nulls().unique().cast(pl.String)))) for one in labels)


def _slim(folder: Path) -> pl.DataFrame:
    """`SLIM` of one entry, labels as categories."""
    table = open_records(folder, SLIM)
    columns = []
    for name in SLIM:
        column = table[name]
        if name == "id":
            digits = b"".join(binascii.unhexlify(_characters(chunk)) for chunk in column.chunks)
            columns.append(_wide(name, pa.Array.from_buffers(pa.binary(16), len(column), [None, pa.py_buffer(digits)])))
        elif name == "written":
            columns.append(_wide(name, column))
        elif name in ("language", "ability"):
            columns.append(pl.Series(name, pc.dictionary_encode(column), dtype=pl.Categorical))
        else:
            columns.append(pl.Series(name, column))
    return pl.DataFrame(columns)


def _characters(array: pa.StringArray) -> memoryview | bytes:
    """The texts of an array without nulls, one after another."""
    if not len(array):
        return b""
    ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    return memoryview(array.buffers()[2])[int(ends[0]) : int(ends[-1])]


def _wide(name: str, column: pa.Array | pa.ChunkedArray) -> pl.Series:
    """A column of 128-bit numbers from 16 bytes each, the highest first."""
    return pl.Series(name, column).bin.reinterpret(dtype=pl.UInt128, endianness="big")


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
