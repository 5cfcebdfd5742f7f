"""Identical conversations are one record: which copy survives, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from doit.mixtures.pools.pool import PoolPart

EXACT = "exact_duplicates"

SURVIVES = ("source", "ability", "construction", "license", "written", "number", "row", "part")
"""Of identical conversations the smallest by these columns survives; a null ability comes last. `written` stands before
the file so that the survivor's text does not depend on what files are called; `number` orders files by name."""


def copies(slim: pl.DataFrame, parts: Sequence[PoolPart]) -> pl.DataFrame:
    """Every copy of a conversation but the one that survives.

    Args:
        slim: rows of the slim table, with `at`, their place in it.
        parts: the entries that `number` points to.

    Returns:
        `at` and `value`, where the survivor stands: `source file:row`.
    """
    ordered = slim["id"].sort()
    again = ordered.filter(ordered == ordered.shift(1)).unique()  # to sort whole numbers is quicker than to group them
    several = slim.filter(pl.col("id").is_in(again.implode())).sort("id", *SURVIVES, nulls_last=True)
    kept = {f"kept_{name}": pl.col(name).first().over("id") for name in ("at", "number", "row")}
    several = several.with_columns(**kept).filter(pl.col("at") != pl.col("kept_at"))
    files = pl.Series("file", [f"{part.source} {part.file}" for part in parts], dtype=pl.String)
    file = files.gather(several["kept_number"])
    return several.select("at", value=pl.concat_str(file, pl.lit(":"), pl.col("kept_row")))
