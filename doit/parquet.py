"""Parquet bytes that depend on the rows alone, not on the batches in which they came."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doit.files import atomic_file

GROUP_ROWS = 10_000
"""The most rows of a row group."""

GROUP_BYTES = 16 << 20
"""A row group is closed by the row that brings its values to this many bytes."""


def _arrow(part: str = "") -> Any:
    """Pyarrow or a module of it, when it is first needed: most commands do without its slow import."""
    return importlib.import_module(f"pyarrow.{part}" if part else "pyarrow")


class ParquetTable:
    """A Parquet file that is being written, with a bounded buffer and fixed row groups.

    Row groups are cut by the rows' own number and size, pages carry checksums, and page limits follow the content, so
    that a store that splits files by content keeps what two versions share. The bytes are the same for the same rows
    under one version of pyarrow, whatever the tables that are passed in and the number of threads.

    Args:
        path: the file to write; it is made at once.
        schema: a pyarrow schema, the columns and types of the file, in their order.
    """

    def __init__(self, path: Path, schema: Any) -> None:
        self._schema = schema
        self._waiting: list[Any] = []
        self._rows = self._bytes = 0
        self.rows_written = 0
        self._writer: Any = _arrow("parquet").ParquetWriter(
            path,
            schema,
            version="2.6",
            compression="zstd",
            compression_level=3,
            write_page_checksum=True,
            use_content_defined_chunking=True,
        )

    def write_table(self, table: Any) -> None:
        """Add rows.

        Args:
            table: a pyarrow table with (at least) the columns of the schema, in types that cast to it without loss;
                `large_string`, `large_list` and views are narrowed.
        """
        table = table.select(self._schema.names).cast(self._schema)
        sizes = _row_bytes(table)
        start = 0
        while start < table.num_rows:
            ends = np.cumsum(sizes[start : start + GROUP_ROWS - self._rows])
            full = int(np.searchsorted(ends, GROUP_BYTES - self._bytes)) + 1
            count = min(full, len(ends))
            self._waiting.append(table.slice(start, count))
            self._rows += count
            self._bytes += int(ends[count - 1])
            start += count
            if self._rows == GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self._flush()

    def _flush(self) -> None:
        group = _arrow().concat_tables(self._waiting).combine_chunks()
        self._writer.write_table(group, row_group_size=GROUP_ROWS)
        self.rows_written += self._rows
        self._waiting, self._rows, self._bytes = [], 0, 0

    def close(self) -> None:
        """Write the last rows and the footer."""
        if self._waiting:
            self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Let go of the file without the rows that wait."""
        self._waiting = []
        self._writer.close()


def write_slim_parquet(path: Path, schema: Any, tables: Iterable[Any], counted: Sequence[str] = ()) -> None:
    """Write a Parquet file of short values atomically, with little work: for what stays at home.

    Args:
        path: the file to make or replace.
        schema: a pyarrow schema. A dictionary of strings is written, and read again, as plain strings, whose pages are
            made from the dictionary at once; only such columns get one.
        tables: pyarrow tables of these types; each is a row group.
        counted: columns of whole numbers that go up by little, or are smaller than their type: only what they differ by
            is kept.

    Raises:
        StorageError: D104 when the disk refuses.
    """
    types = _arrow("types")
    with (
        atomic_file(path) as temporary,
        _arrow("parquet").ParquetWriter(
            temporary,
            schema,
            version="2.6",
            # Digits of a hash are not worth compressing: it takes longer than all else, for half of their bytes.
            compression={field.name: "none" if field.name == "id" else "zstd" for field in schema},
            use_dictionary=[field.name for field in schema if types.is_dictionary(field.type)],
            column_encoding=dict.fromkeys(counted, "DELTA_BINARY_PACKED") or None,
            write_statistics=[*counted],
            write_page_checksum=True,
            # The schema would be kept beside the file's own types only to make dictionaries of their columns again.
            store_schema=False,
        ) as writer,
    ):
        for table in tables:
            writer.write_table(table)


@contextlib.contextmanager
def parquet_writer(path: Path, schema: Any) -> Iterator[ParquetTable]:
    """Write a Parquet file atomically.

    Args:
        path: the file to make or replace.
        schema: a pyarrow schema, the columns and types of the file.

    Yields:
        A table to which any number of batches are written. When the block raises, nothing is left.

    Raises:
        StorageError: D104 when the disk refuses.
    """
    with atomic_file(path) as temporary:
        table = ParquetTable(temporary, schema)
        try:
            yield table
            table.close()
        except BaseException:
            with contextlib.suppress(OSError):
                table.abandon()
            raise


def _row_bytes(table: Any) -> NDArray[np.int64]:
    """Bytes of the values of each row."""
    total = np.zeros(table.num_rows, dtype=np.int64)
    for column in table.columns:
        start = 0
        for chunk in column.chunks:
            total[start : start + len(chunk)] += _value_bytes(chunk)
            start += len(chunk)
    return total


def _value_bytes(array: Any) -> NDArray[np.int64]:
    """Bytes of each value of an Arrow array, from its content alone: what lies under a null counts nothing."""
    types, pc = _arrow("types"), _arrow("compute")
    kind = array.type
    if types.is_struct(kind):
        fields = [_value_bytes(field) for field in array.flatten()]
        return np.sum(fields, axis=0, dtype=np.int64) if fields else np.zeros(len(array), dtype=np.int64)
    if types.is_list(kind) or types.is_large_list(kind):
        lengths = _numbers(pc.list_value_length(array))
        before = np.concatenate([[0], np.cumsum(_value_bytes(array.flatten()), dtype=np.int64)])
        ends = np.cumsum(lengths)
        return np.asarray(before[ends] - before[ends - lengths] + 4, dtype=np.int64)
    if types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind):
        return np.asarray(_numbers(pc.binary_length(array)) + 4, dtype=np.int64)
    return np.full(len(array), 8, dtype=np.int64)


def _numbers(array: Any) -> NDArray[np.int64]:
    """Whole numbers, 0 for null; by way of Polars, because `to_numpy` would load pandas where it is installed."""
    series = importlib.import_module("polars").Series(array)
    return np.asarray(series.fill_null(0).to_numpy(), dtype=np.int64)
