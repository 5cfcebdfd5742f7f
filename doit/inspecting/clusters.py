"""Near duplicates as clusters: which kept records stand for the most dropped ones."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import polars as pl

from doit.inspecting.markup import Html, element, joined, table

MOST = 20
_VALUE = r"^(\d(?:\.\d+)?) ([0-9a-f]{32})$"
"""What the ledger says of a near duplicate: its similarity, and its survivor."""


_TEXT = dict.fromkeys(("id", "source", "file", "rule", "value"), pl.String)
COLUMNS = {**_TEXT, "row": pl.Int64}
"""The columns of a ledger that clusters are made of."""


def concerned(ledger: Path, rules: Collection[str]) -> pl.DataFrame:
    """The lines of a ledger that clusters are made of: near duplicates and their survivors.

    Args:
        ledger: the file, which may have many millions of lines; the others are not kept.
        rules: those that dropped a record; where there is none, no line is read.

    Returns:
        `COLUMNS`.
    """
    if not rules:
        return pl.DataFrame(schema=COLUMNS)
    lines = pl.scan_parquet(ledger, glob=False).select(*COLUMNS)
    near = pl.col("value").str.contains(_VALUE).fill_null(value=False)
    survivors = lines.filter(near).select(pl.col("value").str.slice(-32).unique()).collect(engine="streaming")
    if survivors.is_empty():
        return pl.DataFrame(schema=COLUMNS)
    return lines.filter(near | pl.col("id").is_in(survivors["value"].implode())).collect(engine="streaming")


def clusters(ledger: pl.DataFrame) -> pl.DataFrame:
    """Survivors of near duplicates by how many records they stand for.

    Args:
        ledger: `id`, `source`, `file`, `row`, `rule`, `value`.

    Returns:
        `rule`, `survivor`, `source`, `file`, `row`, `dropped`, `least` and `most` similar, `sources` of the dropped;
        largest first.
    """
    parts = pl.col("value").str.extract_groups(_VALUE)
    dropped = ledger.with_columns(
        similarity=parts.struct.field("1").cast(pl.Float64), survivor=parts.struct.field("2")
    ).filter(pl.col("survivor").is_not_null())
    counted = dropped.group_by("rule", "survivor").agg(
        dropped=pl.len(),
        least=pl.col("similarity").min(),
        most=pl.col("similarity").max(),
        sources=pl.col("source").unique().sort(),
    )
    kept = ledger.select(survivor="id", source="source", file="file", row="row").unique("survivor", keep="first")
    named = counted.join(kept, on="survivor", how="left", maintain_order="left")
    return named.sort(["dropped", "survivor"], descending=[True, False])


def clusters_section(ledger: pl.DataFrame) -> Html | None:
    """The largest clusters as a table; None where no rule looked for near duplicates, or none was found."""
    found = clusters(ledger)
    if found.is_empty():
        return None
    rows = [
        [
            joined([one["survivor"], element("span", f"{one['source']} {one['file']}:{one['row']}", class_="sub")]),
            one["rule"],
            ", ".join(one["sources"]),
            f"{one['dropped']:,}",
            f"{one['least']:.2f}–{one['most']:.2f}",
        ]
        for one in found.head(MOST).iter_rows(named=True)
    ]
    told = f"{found['dropped'].sum():,} records were dropped as near duplicates of {found.height:,} that were kept. "
    note = element("p", told, "These stand for the most; `doit why OUT ID` shows each.", class_="note")
    return joined([note, table(["kept record", "rule", "dropped from", "dropped", "similarity"], rows, text=3)])
