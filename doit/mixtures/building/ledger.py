"""The ledger: one slim line per record read, and the law of rows that follows from it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from doit.curation.keys import hexadecimal
from doit.mixtures.manifest import SourceCounts
from doit.table import LEDGER

FATES = ("drawn", "unused", "dropped", "rejected")


def ledger(slim: pl.DataFrame, files: Sequence[str], left_out: pl.DataFrame, rejects: pa.Table) -> pl.DataFrame:
    """The ledger of one mixture.

    Args:
        slim: the slim table with `rule`, `value`, `cell_name`, `rank`, `epoch`, `split`, `fate` and `rewritten`.
        files: what `number` means.
        left_out: rows that a card's `where` left out.
        rejects: the rejects.

    Returns:
        Columns of `doit.table.LEDGER`, ordered by source, file, row and part; stretches without a row come last. Names
        are enumerations, which `as_arrow` spells out.
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
    where = left_out.with_columns(fate=pl.lit("dropped"), rule=pl.lit("where")).cast(kinds)  # type: ignore[arg-type]
    bad = pl.DataFrame(rejects).select(
        "source", "file", "row", "part", fate=pl.lit("rejected"), rule="code", value="field"
    )
    whole = pl.concat([decided, where, bad.cast(kinds)], how="diagonal_relaxed")  # type: ignore[arg-type]
    return whole.sort("source", "file", "row", "part", "id", nulls_last=True, maintain_order=True)


def as_arrow(lines: pl.DataFrame) -> pa.Table:
    """A ledger as it is written: `doit.table.LEDGER`, but names stay dictionaries, which are not spelled out."""
    table = lines.with_columns(hexadecimal(lines["id"])).select(LEDGER.names).to_arrow()
    columns, fields = [], []
    for field, column in zip(LEDGER, table.columns, strict=True):
        named = pa.types.is_dictionary(column.type)
        kind = pa.dictionary(pa.int32(), pa.string()) if named else field.type
        chunks = [_named(chunk) for chunk in column.chunks] if named else column.cast(kind).chunks
        columns.append(pa.chunked_array(chunks, kind))
        fields.append(field.with_type(kind))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, LEDGER.metadata))


def _named(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
    """A dictionary with the types that Parquet's writer takes."""
    return pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int32()), chunk.dictionary.cast(pa.string()))


def count(lines: pl.DataFrame, sources: Sequence[str]) -> dict[str, SourceCounts]:
    """The law of rows per source, from a ledger's `source`, `fate` and `rule`; sources that were never read too."""
    counted = lines.group_by("source", "fate", "rule").len().sort("source", "fate", "rule")
    found: dict[str, SourceCounts] = {}
    for source in sorted({*sources, *lines["source"].unique()}):
        rows = counted.filter(pl.col("source") == source)
        total = {fate: int(rows.filter(pl.col("fate") == fate)["len"].sum()) for fate in FATES}
        found[source] = SourceCounts(
            read=int(rows["len"].sum()),
            drawn=total["drawn"],
            unused=total["unused"],
            dropped=_by_rule(rows, "dropped"),
            rejected=_by_rule(rows, "rejected"),
        )
    return found


def _by_rule(rows: pl.DataFrame, fate: str) -> dict[str, int]:
    chosen = rows.filter(pl.col("fate") == fate)
    return {str(rule): int(number) for rule, number in chosen.select("rule", "len").rows()}


def total(counts: dict[str, SourceCounts], what: str) -> dict[str, int]:
    """`dropped` or `rejected` over all sources."""
    summed: dict[str, int] = {}
    for source in counts.values():
        for name, number in getattr(source, what).items():
            summed[name] = summed.get(name, 0) + number
    return dict(sorted(summed.items()))
