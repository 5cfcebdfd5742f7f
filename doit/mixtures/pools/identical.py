"""Identical conversations are one record: which copy survives, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from doit.curation.keys import halves
from doit.mixtures.pools.pool import PoolPart

Written = Callable[[pl.DataFrame, Sequence[PoolPart]], pl.Series]
"""(rows of the slim table, the entries) -> a digest of each one's text as written; see `pools.pool.written`."""

EXACT = "exact_duplicates"

SURVIVES = ("source", "ability", "construction", "license", "written", "number", "row", "part")
"""Of identical conversations the smallest by these columns survives; a null ability comes last. `written` stands before
the file so that the survivor's text does not depend on what files are called; `number` orders files by name."""


def copies(slim: pl.DataFrame, parts: Sequence[PoolPart], written: Written) -> pl.DataFrame:
    """Every copy of a conversation but the one that survives.

    Args:
        slim: rows of the slim table, with `at`, their place in it.
        parts: the entries that `number` points to.
        written: tells the texts of copies apart.

    Returns:
        `at` and `value`, where the survivor stands: `source file:row`.
    """
    several = _several(slim)
    several = several.with_columns(written(several, parts).alias("written")).sort("id", *SURVIVES, nulls_last=True)
    kept = {f"kept_{name}": pl.col(name).first().over("id") for name in ("at", "number", "row")}
    several = several.with_columns(**kept).filter(pl.col("at") != pl.col("kept_at"))
    files = pl.Series("file", [f"{part.source} {part.file}" for part in parts], dtype=pl.String)
    file = files.gather(several["kept_number"])
    return several.select("at", value=pl.concat_str(file, pl.lit(":"), pl.col("kept_row")))


def _several(slim: pl.DataFrame) -> pl.DataFrame:
    """The rows whose id another row has too."""
    low = halves(slim["id"])[1]
    ordered = np.sort(low)  # to sort words is quicker than to group them
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    alike = slim.filter(pl.Series(low).is_in(pl.Series(again).implode())) if len(again) else slim.clear()
    return alike.filter(pl.col("id").is_duplicated())
