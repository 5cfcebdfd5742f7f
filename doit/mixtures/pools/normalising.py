"""One file, or one stretch of it, to an entry of the cache: what the processes that read do.

A process is up when this module is loaded, so it stands on little. It says which code and tables a pooled record
depends on, too: what it imports, directly or not, of the rooms that decide what a record is.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa

import doit
from doit import storage
from doit.curation.language.detecting import LangId, second_opinion
from doit.curation.language.telling import languages
from doit.mixtures.pools.slim import SLIM, slim_columns, write_slim
from doit.mixtures.pools.stamps import Span, checked, unchanged
from doit.reading.records import FRESH, Reject, read_records, rejects_table
from doit.schemas.card import DatasetCard

POOLED = FRESH.append(pa.field("language", pa.string(), nullable=False))
"""What the cache keeps of a record; what follows from the card and the file's name is added when it is used."""

LEFT_OUT = pa.schema([pa.field("row", pa.int64()), pa.field("part", pa.int32())])

RECORDS = "records.arrow"
"""The file of an entry that holds its records."""

TAGGED_ROWS, TAGGED_BYTES = 32_768, 64 << 20
"""How many records are given their language, and written, at a time: enough that numpy's overhead does not count."""

ROOMS = ("schemas", "reading", "curation", "table")
"""Where the code lies that decides what a record is; the floors under it only store and report."""

_IMPORT = re.compile(r"^ *(?:from (doit[\w.]*) )?import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_TABLE = re.compile(r"\"(\w+\.(?:txt|yaml))\"")


@dataclass(frozen=True)
class Task:
    """One file to normalise, or a stretch of it."""

    path: Path
    card: DatasetCard
    folder: Path
    """Where its entry is, or is to be."""
    digest: str
    """SHA-256 of what is read."""
    span: Span = None
    """Offsets of a stretch of whole lines; None = the whole file."""
    langid: LangId = "fast"

    @property
    def size(self) -> int:
        """Bytes to read."""
        return self.path.stat().st_size if self.span is None else self.span[1] - self.span[0]


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


@cache
def code_digest() -> str:
    """Digest of every module and table that a pooled record depends on."""
    root = Path(doit.__file__).parent
    digest = hashlib.sha256()
    for name in code_files():
        digest.update(name.encode() + b"\0" + (root / name).read_bytes())
    return digest.hexdigest()


def code_files() -> list[str]:
    """What `code_digest` is of, as paths in the package: this module, what it imports in `ROOMS`, and their tables."""
    root = Path(doit.__file__).parent
    found: set[Path] = set()
    named: set[str] = set()
    waiting = [Path(__file__)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        text = path.read_text(encoding="utf-8")
        tables = (path.parent / "data" / name for name in _TABLE.findall(text))
        found.update(table for table in tables if table.is_file())
        new = set(_imported(text)) - named
        named |= new
        waiting += [module for name in new for module in _modules(root, name)]
    return sorted(path.relative_to(root).as_posix() for path in found)


def _imported(text: str) -> Iterator[str]:
    """The modules of ours that a module's text may import, as dotted names."""
    for package, names in _IMPORT.findall(text):
        listed = [name.split()[0] for name in names.strip("()").split(",") if name.strip()]
        yield from (f"{package}.{name}" for name in listed) if package else (n for n in listed if n.startswith("doit."))


def _modules(root: Path, name: str) -> Iterator[Path]:
    """The files that are run when a name is imported: the packages on its way, and its module."""
    parts = name.split(".")[1:]
    if not parts or parts[0] not in ROOMS:
        return
    for depth in range(1, len(parts) + 1):
        yield from _found(root, "/".join(parts[:depth]))


@cache
def _found(root: Path, name: str) -> tuple[Path, ...]:
    """The package or the module of that name, if there is one."""
    return tuple(path for path in (root / name / "__init__.py", root / f"{name}.py") if path.is_file())


def normalise(task: Task) -> Entry:
    """Read what a task names, and leave its entry in the cache."""
    task.folder.mkdir(parents=True, exist_ok=True)
    # Rows are trees: nothing in them can be a cycle, and looking for cycles among millions of them takes a tenth of the
    # time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _make(task, task.folder)
    finally:
        if collecting:
            gc.enable()


def load(folder: Path) -> Entry | None:
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
    slim: list[pl.DataFrame] = []
    names = (RECORDS, SLIM, "rejects.parquet", "left_out.parquet")
    with record_writer(folder / RECORDS) as writer:

        def write(tables: list[pa.Table]) -> None:
            table = with_language(pa.concat_tables(tables), task.langid)
            writer.write_table(table)
            slim.append(slim_columns(table))

        for batch in read_records(task.path, task.card, task.span):
            rejects += batch.rejects
            left_out += batch.left_out
            unknown += batch.unknown_labels
            rows = max(rows, batch.rows)
            records += batch.records.num_rows
            held.append(batch.records)
            if sum(t.num_rows for t in held) >= TAGGED_ROWS or sum(t.nbytes for t in held) >= TAGGED_BYTES:
                write(held)
                held = []
        if held:
            write(held)
    write_slim(folder, slim)
    _write(folder / "rejects.parquet", rejects_table(rejects, "", ""))
    numbers = pl.DataFrame(left_out, schema=pl.Schema(LEFT_OUT), orient="row")
    _write(folder / "left_out.parquet", numbers.to_arrow().cast(LEFT_OUT))
    entry = {
        "sha256": task.digest,
        "bytes": task.size,
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
