"""Rows of a Parquet file.

A few hundred bytes of Parquet can hold gigabytes: one long text in a dictionary, and thousands of rows that point to
it. So texts are read as places in a dictionary, rows are measured, and only as many become Python's at once as fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from doit.reading.raw import (
    BATCH_ROWS,
    CHUNK_BYTES,
    LINE_BYTES,
    RAW_BYTES,
    Bad,
    Batch,
    Batches,
    Row,
    most_unpacked,
    too_long,
    unpacks_to_more,
)

_STEP_ROWS = 1024
"""The most rows that are decoded at once."""


def parquet_rows(path: Path) -> Batches:
    """Rows of a Parquet file as dicts from column to Python value; a damaged file ends in one `Bad`."""
    batch: Batch = []
    size = row = total = 0
    most = most_unpacked(path.stat().st_size)
    try:
        for step, width in _steps(path):
            batch += _step_rows(step, width, row)
            row += step.num_rows
            size += width
            total += width
            if total > most:
                reason = unpacks_to_more(most)
                batch.append(Bad(None, None, "D308", f"{reason[:-1]}: row {row:,} and all after it.", None, ""))
                break
            if len(batch) >= BATCH_ROWS or size >= CHUNK_BYTES:
                yield batch
                batch, size = [], 0
    except (pa.ArrowException, OSError, ValueError) as error:
        message = " ".join(str(error).split())[:300]
        batch.append(Bad(None, None, "D309", f"the Parquet file is damaged after row {row:,}: {message}.", None, ""))
    if batch:
        yield batch


def _steps(path: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    """All rows, a few at a time. Texts stay in their dictionaries until it is known how long the rows are."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import, and most files are text

    with pq.ParquetFile(path) as file:
        leaves = [file.schema.column(number) for number in range(len(file.schema.names))]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        for group in range(file.num_row_groups):
            for step in file.iter_batches(batch_size=_STEP_ROWS, row_groups=[group], use_threads=False):
                for part, width in _cut(step):
                    yield (_without_dictionaries(part) if width <= LINE_BYTES else part), width


def _without_dictionaries(part: pa.RecordBatch) -> pa.RecordBatch:
    """Texts out of their dictionaries, from which Python would take them one by one and slowly."""
    return part.cast(pa.schema([field.with_type(_plain(field.type)) for field in part.schema]))


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type without dictionaries; list views, which Arrow cannot cast, keep theirs."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), kind.item_field.with_type(_plain(kind.item_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_plain(kind.value_type)))
    return kind


def _cut(step: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, int]]:
    """A step in parts of at most about `CHUNK_BYTES`, as far as rows can be parted, and how wide each is."""
    width = _width(step)
    if step.num_rows > 1 and width > CHUNK_BYTES:
        middle = step.num_rows // 2
        yield from _cut(step.slice(0, middle))
        yield from _cut(step.slice(middle))
    else:
        yield step, width


def _width(step: pa.RecordBatch) -> int:
    """Bytes of a step's values, each text counted as often as it occurs."""
    return sum(_column_width(column) for column in step.columns)


def _column_width(column: pa.Array) -> int:
    kind = column.type
    if pa.types.is_dictionary(kind):
        import pyarrow.compute as pc  # noqa: PLC0415 - as above

        lengths = pc.binary_length(column.dictionary)
        return pc.sum(lengths.take(column.indices).cast(pa.int64())).as_py() or 0
    if pa.types.is_struct(kind):
        return sum(_column_width(field) for field in column.flatten())
    if pa.types.is_map(kind):
        start, stop = column.offsets[0].as_py(), column.offsets[-1].as_py()
        return sum(_column_width(held.slice(start, stop - start)) for held in (column.keys, column.items))
    if pa.types.is_nested(kind):
        return _column_width(column.flatten())
    return int(column.nbytes)


def _holds_map(kind: pa.DataType) -> bool:
    if pa.types.is_map(kind):
        return True
    return pa.types.is_nested(kind) and any(_holds_map(kind.field(at).type) for at in range(kind.num_fields))


def _mapped(value: Any, kind: pa.DataType) -> Any:
    """A value with its maps as objects; one whose keys are no texts, or repeat, as a list of two-element lists."""
    if value is None or not _holds_map(kind):
        return value
    if pa.types.is_struct(kind):
        return {field.name: _mapped(value[field.name], field.type) for field in kind}
    if not pa.types.is_map(kind):
        return [_mapped(element, kind.value_type) for element in value]
    pairs = [[_mapped(key, kind.key_type), _mapped(item, kind.item_type)] for key, item in value]
    named = {key: item for key, item in pairs if isinstance(key, str)}
    return named if len(named) == len(pairs) else pairs


def _values(step: pa.RecordBatch) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = step.to_pylist()
    for field in step.schema:
        if _holds_map(field.type):
            for value in values:
                value[field.name] = _mapped(value[field.name], field.type)
    return values


def _step_rows(step: pa.RecordBatch, width: int, row: int) -> Iterator[Row | Bad]:
    """The rows of a step: together, or one by one where a text among them is not UTF-8."""
    if width > LINE_BYTES:
        yield Bad(row, None, "D308", too_long("row", width), None, "")
        return
    try:
        values = _values(step)
    except UnicodeDecodeError:
        for index in range(step.num_rows):
            yield _one_row(step.slice(index, 1), row + index)
        return
    for index, value in enumerate(values):
        yield Row(row + index, None, value)


def _one_row(step: pa.RecordBatch, row: int) -> Row | Bad:
    try:
        return Row(row, None, _values(step)[0])
    except UnicodeDecodeError as error:
        shown = error.object.decode("utf-8", "backslashreplace")
        return Bad(row, None, "D303", "a text of the row is not UTF-8.", None, shown[:RAW_BYTES])
