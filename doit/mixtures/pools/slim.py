"""The slim columns of an entry: what decisions are made on, in a file of their own and in the types that decide.

They are made once, where the records are read, and a build takes them as they lie: ids are 128-bit numbers in the order
of their hexadecimal digits, labels are enumerations in the order of their strings. A group is kept only where a record
has one.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from doit import storage

SLIM = "slim.arrow"
"""The file of an entry that holds its slim columns."""

COLUMNS = {
    "id": pl.UInt128(),
    "language": pl.String(),
    "ability": pl.String(),
    "row": pl.Int64(),
    "part": pl.Int32(),
    "group": pl.String(),
    "turns": pl.Int32(),
    "chars": pl.Int32(),
}
"""The pooled columns that decisions read, and their types before the labels of all records are known."""

LABELS = ("language", "ability")


def slim_columns(records: pa.Table) -> pl.DataFrame:
    """`COLUMNS` of some pooled records, ids as numbers, labels still as strings."""
    digits = b"".join(binascii.unhexlify(_characters(chunk)) for chunk in records["id"].chunks)
    wide = pa.Array.from_buffers(pa.binary(16), records.num_rows, [None, pa.py_buffer(digits)])
    ids = pl.Series("id", wide).bin.reinterpret(dtype=pl.UInt128, endianness="big")
    return pl.DataFrame([ids, *(pl.Series(name, records[name]) for name in COLUMNS if name != "id")])


def write_slim(folder: Path, columns: Sequence[pl.DataFrame]) -> None:
    """Leave the slim columns of an entry's records, in their order, beside them."""
    whole = pl.concat([pl.DataFrame(schema=COLUMNS), *columns])
    if whole["group"].null_count() == whole.height:
        whole = whole.drop("group")
    labels = [whole[name].cast(pl.Enum(sorted(whole[name].drop_nulls().unique()))) for name in LABELS]
    with storage.atomic_file(folder / SLIM) as target:
        whole.with_columns(labels).write_ipc(target, compat_level=pl.CompatLevel.newest())


def scan_slim(folder: Path) -> pl.LazyFrame:
    """The slim columns of an entry."""
    return pl.scan_ipc(folder / SLIM, glob=False)


def read_slim(folders: Sequence[Path]) -> list[pl.DataFrame]:
    """The slim columns of several entries, one frame an entry, all of the same types."""
    frames = pl.collect_all([scan_slim(folder) for folder in folders])
    if any("group" in frame.columns for frame in frames):
        nothing = pl.lit(None, pl.String).alias("group")
        frames = [frame if "group" in frame.columns else frame.with_columns(nothing) for frame in frames]
    kinds = {name: pl.Enum(sorted({one for frame in frames for one in names(frame[name])})) for name in LABELS}
    return [frame.with_columns(_labels(frame[name], kind) for name, kind in kinds.items()) for frame in frames]


def names(column: pl.Series) -> list[str]:
    """The names of an enumeration, in their order."""
    kind = column.dtype
    if not isinstance(kind, pl.Enum):
        raise TypeError(f"{column.name} is no enumeration")
    return kind.categories.to_list()


def _labels(column: pl.Series, kind: pl.Enum) -> pl.Series:
    """An enumeration as another one that has all its names."""
    if column.dtype == kind:
        return column
    return pl.Series(column.name, names(column), dtype=kind).gather(column.to_physical())


def _characters(array: pa.StringArray) -> memoryview | bytes:
    """The texts of an array without nulls, one after another."""
    if not len(array):
        return b""
    ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    return memoryview(array.buffers()[2])[int(ends[0]) : int(ends[-1])]
