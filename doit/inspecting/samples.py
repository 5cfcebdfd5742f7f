"""A few rows of every cell of a mixture, to be looked at: in the report's browser, or in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from doit.inspecting.counts import conditions

COLUMNS = ("id", "messages", "language", "ability", "tags", "source", "file", "row", "license", "turns", "chars")
LOOKED_AT = 50_000
"""Rows from which samples are taken: the first ones. A mixture's order is that of a hash, so they are a fair draw."""


def samples(files: Sequence[Path], *, per_cell: int, most: int, where: Sequence[str] = ()) -> pl.DataFrame:
    """The first rows of each cell of language and ability.

    Args:
        files: Parquet files of a mixture or a pool, in its order.
        per_cell: rows of one cell.
        most: rows in all; each cell gives its first before any gives its second.
        where: `column=value` conditions that the rows meet.

    Returns:
        `COLUMNS`, ordered by language and ability.
    """
    rows = pl.concat([pl.scan_parquet(file, glob=False) for file in files], how="diagonal_relaxed")
    rows = rows.filter(conditions(where)).head(LOOKED_AT)
    number = pl.int_range(pl.len()).over("language", "ability")
    numbered = rows.select("language", "ability").with_row_index("at").with_columns(number=number)
    chosen = numbered.filter(pl.col("number") < per_cell).sort("number", "at").head(most).sort("at").collect()
    if chosen.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.String))
    last = int(str(chosen["at"].max())) + 1
    held = rows.head(last).select(COLUMNS).with_row_index("at").filter(pl.col("at").is_in(chosen["at"].to_list()))
    return held.drop("at").sort("language", "ability", nulls_last=True, maintain_order=True).collect()
