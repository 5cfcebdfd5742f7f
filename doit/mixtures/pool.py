"""The pool: every source normalised once, and the slim table on which all decisions are made.

One input file becomes one cache entry, or several where it is large and made of lines: each is keyed by its bytes, the
part of the card that reading depends on, and the code that reads. A changed spec over unchanged files reads no text at
all. Entries are complete when their `entry.json` exists, and are checked against its digests unless nothing has
written to them since (`doit.mixtures.stamps`); the cache may be deleted at any time.

Records are kept as an uncompressed Arrow file that is mapped into memory: only the chosen rows of the texts are read,
and of the other columns only those that decisions are made on.
"""

from __future__ import annotations

import binascii
import gc
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

import doit
from doit import jobs, storage
from doit.curation.detecting import LangId, second_opinion
from doit.curation.language import languages
from doit.mixtures.loading import SourceFiles
from doit.mixtures.manifest import InputFile
from doit.mixtures.stamps import Note, Span, checked, unchanged
from doit.progress import Progress
from doit.reading.hub_repository import cache_home
from doit.reading.records import FRESH, Reject, layout_of, read_records, rejects_table
from doit.reading.rows import spans
from doit.schemas.card import DatasetCard
from doit.table import REJECTS

POOLED = FRESH.append(pa.field("language", pa.string(), nullable=False))
"""What the cache keeps of a record; what follows from the card and the file's name is added when it is used."""

LEFT_OUT = pa.schema([pa.field("row", pa.int64()), pa.field("part", pa.int32())])

SLIM = ("id", "written", "language", "ability", "row", "part", "group", "turns", "chars")
"""The pooled columns that decisions read."""

RECORDS = "records.arrow"
"""The file of an entry that holds its records."""

LAYOUT = 2
"""Number of the way in which an entry is kept; another one is another entry."""

WORD = pl.lit(1 << 64, pl.UInt128)

SPAN_BYTES = 32 << 20
"""Bytes of one stretch of a large file: a fraction of a second's reading, and the grain of resuming and of progress."""

TAGGED_ROWS, TAGGED_BYTES = 32_768, 64 << 20
"""How many records are given their language, and written, at a time: enough that numpy's overhead does not count."""


@dataclass(frozen=True)
class Task:
    """One file to normalise, or a stretch of it."""

    path: Path
    card: DatasetCard
    folder: Path
    """The cache."""
    code: str
    """Digest of the code that reads."""
    langid: LangId = "fast"
    """How languages are told."""
    span: tuple[int, int] | None = None
    """Offsets of a stretch of whole lines; None = the whole file."""
    digest: str = ""
    """SHA-256 of what is read."""


@dataclass(frozen=True)
class Entry:
    """What is cached of one file or stretch."""

    folder: Path
    sha256: str
    """Of the bytes that were read."""
    bytes: int
    rows: int
    """Rows, good and bad."""
    records: int
    rejects: int
    left_out: int
    unknown_labels: dict[str, int]

    @property
    def read(self) -> int:
        """Records made, plus the rows that made none."""
        return self.records + self.rejects + self.left_out


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


@cache
def code_digest() -> str:
    """Digest of every module and table that a pooled record depends on."""
    root = Path(doit.__file__).parent
    digest = hashlib.sha256()
    rooms = [path for room in ("schemas", "reading", "curation") for path in (root / room).rglob("*")]
    for path in sorted(path for path in (root / "table.py", *rooms) if path.is_file() and path.suffix != ".pyc"):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


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
    folder, code = cache_folder(), code_digest()
    tasks = [[Task(path, card, folder, code, langid, span) for span in _spans(path, card)] for card, _, path in placed]
    # Hashing leaves the interpreter alone, so threads share the processors.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        notes = [Note(path, folder.parent / "files") for _, _, path in placed]
        of_tasks = [
            [threads.submit(note.digest, task.span) for task in of] for note, of in zip(notes, tasks, strict=True)
        ]
        whole = [threads.submit(note.digest) for note in notes]
        read = [
            [replace(t, digest=d.result()) for t, d in zip(*of, strict=True)]
            for of in zip(tasks, of_tasks, strict=True)
        ]
        digests = [digest.result() for digest in whole]
    for note in notes:
        note.keep()
    flat = [task for of_file in read for task in of_file]
    with Progress("reading", total=sum(map(_size, flat)) // 1000, unit="kB") as progress:
        entries = iter(_entries(flat, workers, engine, partial(_tell, progress)))
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
        looked = list(threads.map(lambda task: _load(task.folder / _key(task, task.digest)), tasks))
    missing = [task for task, entry in zip(tasks, looked, strict=True) if not entry]
    for entry in looked:
        if entry:
            tell(entry)
    count = _helpful([_size(task) for task in missing]) if workers is None else workers
    # What reads a damaged Parquet file may die of it, and then it should not be this process.
    takes_part = all(task.span is not None for task in missing)
    made = iter(jobs.run(normalise, missing, jobs=count, engine=engine, progress=tell, takes_part=takes_part))
    return [entry or next(made) for entry in looked]


def _size(task: Task) -> int:
    return task.path.stat().st_size if task.span is None else task.span[1] - task.span[0]


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


def normalise(task: Task) -> Entry:
    """Read what a task names, and leave its entry in the cache."""
    folder = task.folder / _key(task, task.digest)
    folder.mkdir(parents=True, exist_ok=True)
    # Rows are trees: nothing in them can be a cycle, and looking for cycles among millions of them takes a tenth of the
    # time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _make(task, folder)
    finally:
        if collecting:
            gc.enable()


def _key(task: Task, digest: str) -> str:
    about = {"title", "license", "cite", "languages", "task", "construction", "records", "about"}
    card = task.card.model_dump(mode="json", exclude=about)
    card["source"] = {k: card["source"][k] for k in ("encoding", "columns", "delimiter", "compression")}
    stem = task.path.stem if task.card.ability is not None and task.card.ability.file_stem else ""
    suffix = "".join(task.path.suffixes[-2:]).lower()
    begins = None if task.span is None else task.span[0] == 0
    payload = orjson.dumps([LAYOUT, digest, card, stem, suffix, begins, task.langid, task.code])
    return hashlib.sha256(payload).hexdigest()[:40]


def _load(folder: Path) -> Entry | None:
    """A complete and undamaged entry, or None."""
    try:
        written = orjson.loads((folder / "entry.json").read_bytes())
        files = written.pop("files")
        if unchanged(folder, files):
            return Entry(folder=folder, **written)
    except (OSError, orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return None
    return None


def _make(task: Task, folder: Path) -> Entry:
    rejects: list[Reject] = []
    left_out: list[tuple[int, int]] = []
    unknown: Counter[str] = Counter()
    records = rows = 0
    held: list[pa.Table] = []
    names = (RECORDS, "rejects.parquet", "left_out.parquet")
    with record_writer(folder / names[0]) as writer:
        for batch in read_records(task.path, task.card, task.span):
            rejects += batch.rejects
            left_out += batch.left_out
            unknown += batch.unknown_labels
            rows = max(rows, batch.rows)
            records += batch.records.num_rows
            held.append(batch.records)
            if sum(t.num_rows for t in held) >= TAGGED_ROWS or sum(t.nbytes for t in held) >= TAGGED_BYTES:
                writer.write_table(with_language(pa.concat_tables(held), task.langid))
                held = []
        if held:
            writer.write_table(with_language(pa.concat_tables(held), task.langid))
    _write(folder / names[1], rejects_table(rejects, "", ""))
    numbers = pl.DataFrame(left_out, schema=pl.Schema(LEFT_OUT), orient="row")
    _write(folder / names[2], numbers.to_arrow().cast(LEFT_OUT))
    entry = {
        "sha256": task.digest,
        "bytes": _size(task),
        "rows": rows,
        "records": records,
        "rejects": len(rejects),
        "left_out": len(left_out),
        "unknown_labels": dict(unknown),
    }
    files = {name: storage.file_digest(folder / name) for name in names}
    storage.write_json(folder / "entry.json", {**entry, "files": files})
    checked(folder, files)
    return Entry(folder=folder, **entry)  # type: ignore[arg-type]


def _write(path: Path, table: pa.Table) -> None:
    with storage.atomic_file(path) as target, storage.parquet_writer(target, table.schema) as writer:
        writer.write_table(table)


def with_language(table: pa.Table, langid: LangId = "fast") -> pa.Table:
    """Add the column `language`, of the user's and assistant's texts together."""
    messages = pl.Series("messages", table["messages"])
    turns = messages.explode().struct.unnest()
    if len(turns) == 2 * len(messages) and (messages.list.len() == 2).all() and _alternate(turns["role"]):
        # Nearly all tables hold one question and one answer a row, which need no lists to be joined.
        first, answers = turns["content"].gather_every(2), turns["content"].gather_every(2, 1)
        texts = pl.select(pl.concat_str(first, answers, separator="\n")).to_series()
    else:
        spoken = pl.element().struct.field("role").is_in(["user", "assistant"])
        asked = pl.element().struct.field("role") == "user"
        content = pl.element().struct.field("content")
        frame = messages.to_frame().select(
            all=pl.col("messages").list.eval(content.filter(spoken)).list.join("\n"),
            first=pl.col("messages").list.eval(content.filter(asked)).list.first(),
        )
        texts, first = frame["all"], frame["first"]
    found = languages(texts, first)
    if langid == "langdetect":
        found = second_opinion(found, texts)
    return table.append_column(POOLED.field("language"), found.to_arrow().cast(pa.string()))


def _alternate(roles: pl.Series) -> bool:
    return bool((roles.gather_every(2) == "user").all() and (roles.gather_every(2, 1) == "assistant").all())


@contextmanager
def record_writer(path: Path) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """Write the records of an entry, columns `POOLED`; the file is there when the block ends well."""
    with storage.atomic_file(path) as target, pa.ipc.new_file(str(target), POOLED) as writer:
        yield writer


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
    frames = []
    for number, member in enumerate(pool):
        source = by_name[member.source]
        frames.append(
            _slim(member.entry.folder).with_columns(
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
            columns.append(wide_numbers(name, binascii.unhexlify(b"".join(map(_bytes, column.chunks)))))
        elif name == "written":
            columns.append(wide_numbers(name, b"".join(map(_bytes, column.chunks))))
        elif name in ("language", "ability"):
            columns.append(pl.Series(name, pc.dictionary_encode(column), dtype=pl.Categorical))
        else:
            columns.append(pl.Series(name, column))
    return pl.DataFrame(columns)


def _bytes(array: pa.Array) -> memoryview | bytes:
    """The values of an array without nulls, all of 16 bytes or all of 32 digits, one after another."""
    if not len(array):
        return b""
    if pa.types.is_string(array.type):
        ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
        return memoryview(array.buffers()[2])[int(ends[0]) : int(ends[-1])]
    return memoryview(array.buffers()[1])[16 * array.offset : 16 * (array.offset + len(array))]


def wide_numbers(name: str, data: bytes) -> pl.Series:
    """A column of 128-bit numbers from their bytes, the highest first."""
    words = np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, 2)
    halves = pl.DataFrame({"high": words[:, 0], "low": words[:, 1]})
    return halves.select((pl.col("high").cast(pl.UInt128) * WORD + pl.col("low")).alias(name)).to_series()


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
