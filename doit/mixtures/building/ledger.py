"""The ledger: one slim line per record read, and the law of rows that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from doit import storage
from doit.mixtures.manifest import SourceCounts
from doit.table import LEDGER

FATES = ("drawn", "unused", "dropped", "rejected")

AT_ONCE = 1 << 17
"""Lines that are spelled out at a time, and lie in one row group: few enough that their memory is used again."""


def ledger(slim: pl.DataFrame, files: Sequence[str], left_out: pl.DataFrame, rejects: pa.Table) -> pl.DataFrame:
    """The ledger of one mixture.

    Args:
        slim: the slim table with `rule`, `value`, `cell_name`, `rank`, `epoch`, `split`, `fate` and `rewritten`.
        files: what `number` means.
        left_out: rows that a card's `where` left out.
        rejects: the rejects.

    Returns:
        Columns of `doit.table.LEDGER`, ordered by source, file, row and part; stretches without a row come last. Names
        are enumerations, which `write_ledger` spells out. Where there are other lines than those of the slim table,
        `at` is the line's place in it.
    """
    kinds = {"source": slim["source"].dtype, "file": pl.Enum(sorted(set(files))), "fate": pl.Enum(FATES)}
    names = pl.Series("file", list(files), dtype=kinds["file"])
    decided = slim.select(
        "id",
        "source",
        names.gather(slim["number"]).alias("file"),
        "row",
        "part",
        cell="cell_name",
        fate=pl.col("fate").cast(kinds["fate"]),
        rule="rule",
        value="value",
        rank="rank",
        epoch=pl.when(pl.col("epoch") > 0).then("epoch"),
        split="split",
        rewritten="rewritten",
    )
    if left_out.is_empty() and rejects.num_rows == 0:
        return decided
    decided = decided.with_row_index("at")
    where = left_out.with_columns(fate=pl.lit("dropped"), rule=pl.lit("where")).cast(kinds)  # type: ignore[arg-type]
    bad = pl.DataFrame(rejects).select(
        "source", "file", "row", "part", fate=pl.lit("rejected"), rule="code", value="field"
    )
    whole = pl.concat([decided, where, bad.cast(kinds)], how="diagonal_relaxed")  # type: ignore[arg-type]
    return whole.sort("source", "file", "row", "part", "id", nulls_last=True, maintain_order=True)


def write_ledger(path: Path, lines: pl.DataFrame, ids: pa.ChunkedArray) -> None:
    """Write a ledger with the columns of `doit.table.LEDGER`.

    Args:
        path: the file.
        lines: as `ledger` gives them.
        ids: of the slim table's records, in their order, as hexadecimal digits.

    Raises:
        StorageError: D104 when the disk refuses.
    """
    named = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [field.with_type(named) if isinstance(lines.schema[field.name], pl.Enum) else field for field in LEDGER]
    )
    starts = range(0, max(lines.height, 1), AT_ONCE)
    tables = (_spelled(lines.slice(start, AT_ONCE), schema, _ids(lines, start, ids)) for start in starts)
    storage.write_slim_parquet(path, schema, tables, counted=("row", "part", "rank", "epoch"))


def _ids(lines: pl.DataFrame, start: int, ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """The ids of the lines from `start`."""
    if "at" not in lines.columns:
        return ids.slice(start, AT_ONCE)
    return ids.take(lines["at"].slice(start, AT_ONCE).to_arrow())


def _spelled(lines: pl.DataFrame, schema: pa.Schema, ids: pa.ChunkedArray) -> pa.Table:
    """Lines in the types of a schema, where enumerations are dictionaries."""
    table = lines.select(name for name in schema.names if name != "id").to_arrow()
    columns = {name: _as(table[name].combine_chunks(), schema.field(name).type) for name in table.column_names}
    return pa.Table.from_pydict({"id": ids, **columns}, schema=schema)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return column.cast(kind)
    indices, names = column.indices.cast(kind.index_type), column.dictionary.cast(kind.value_type)
    return pa.DictionaryArray.from_arrays(indices, names)


def count(lines: pl.DataFrame, sources: Sequence[str]) -> dict[str, SourceCounts]:
    """The law of rows per source, from a ledger's `source`, `fate` and `rule`; sources that were never read too."""
    totals: dict[str, dict[str, int]] = {}
    for source, fate, number in lines.group_by("source", "fate").len().rows():
        totals.setdefault(source, {})[fate] = number
    reasons = lines.filter(pl.col("fate").is_in(["dropped", "rejected"])).group_by("source", "fate", "rule").len()
    by_rule: dict[tuple[str, str], dict[str, int]] = {}
    for source, fate, rule, number in reasons.sort("source", "fate", "rule").rows():
        by_rule.setdefault((source, fate), {})[str(rule)] = number
    return {
        source: SourceCounts(
            read=sum(totals.get(source, {}).values()),
            drawn=totals.get(source, {}).get("drawn", 0),
            unused=totals.get(source, {}).get("unused", 0),
            dropped=by_rule.get((source, "dropped"), {}),
            rejected=by_rule.get((source, "rejected"), {}),
        )
        for source in sorted({*sources, *totals})
    }


def total(counts: dict[str, SourceCounts], what: str) -> dict[str, int]:
    """`dropped` or `rejected` over all sources."""
    summed: dict[str, int] = {}
    for source in counts.values():
        for name, number in getattr(source, what).items():
            summed[name] = summed.get(name, 0) + number
    return dict(sorted(summed.items()))
