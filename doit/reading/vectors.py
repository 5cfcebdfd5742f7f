"""Vectors from outside: a Parquet file with one row a record, its `id` and a list of numbers."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from doit.errors import DataError, SpecError

COLUMNS = ("id", "embedding")


def read_vectors(path: Path) -> pl.DataFrame:
    """Read the vectors of records.

    Args:
        path: a Parquet file with the columns `id` (as the ledger has it) and `embedding` (lists or arrays of numbers).

    Returns:
        Those columns, `embedding` as a list of 32-bit floats.

    Raises:
        SpecError: D206 there is no such file; D207 a record has two rows.
        DataError: D309 it is not Parquet; D310 a column is missing; D312 a column has another type.
    """
    if not path.is_file():
        raise SpecError("D206", "there is no such file.", where=str(path))
    try:
        rows = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError("D309", f"vectors are read from Parquet, and this is not: {reason}.", where=str(path)) from None
    for name in COLUMNS:
        if name not in rows.columns:
            hint = "It needs the columns `id` and `embedding`."
            raise DataError("D310", f"there is no column `{name}`.", where=str(path), hint=hint)
    if rows.schema["id"] not in (pl.String, pl.Categorical, pl.Null):
        what = f"`id` is {rows.schema['id']}, not text of 32 hex digits as the ledger has it."
        raise DataError("D312", what, where=str(path))
    try:
        read = rows.select(pl.col("id").cast(pl.String), pl.col("embedding").cast(pl.List(pl.Float32)))
    except pl.exceptions.PolarsError:
        kind = rows.schema["embedding"]
        raise DataError("D312", f"`embedding` is {kind}, not a list of numbers.", where=str(path)) from None
    if read["id"].is_duplicated().any():
        twice = read.filter(pl.col("id").is_duplicated())["id"].sort()[0]
        raise SpecError("D207", f"the record {twice} has two vectors.", where=str(path), hint="Keep one of them.")
    return read


def vectors_of(ids: pl.Series, vectors: pl.DataFrame) -> pl.Series:
    """The vector of every record; null where it has none."""
    return ids.alias("id").to_frame().join(vectors, on="id", how="left", maintain_order="left")["embedding"]
