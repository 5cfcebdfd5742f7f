"""Fetching the chosen rows and writing them: the one time that a mixture's text is read from the pool and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from doit import storage
from doit.mixtures.building.digest import ContentDigest
from doit.mixtures.pools.pool import PoolPart, open_records
from doit.progress import Progress
from doit.table import MIXTURE

TAGS = MIXTURE.field("tags").type

SHARD_CHARS = 200_000_000
"""Characters of text in one Parquet file, about: a number of the content alone, so that the files are reproducible."""

FETCHED = (
    "id",
    "messages",
    "reasoning",
    "tools",
    "language",
    "ability",
    "tags",
    "group",
    "turns",
    "chars",
)


def write_split(
    split: str, rows: pl.DataFrame, pool: Sequence[PoolPart], folder: Path, digest: ContentDigest
) -> list[Path]:
    """Write one split as `folder/<split>-00000-of-0000n.parquet`.

    Args:
        split: train, validation or test.
        rows: in the split's order: `number`, `position`, `source`, `construction`, `license`, `epoch`, `chars`.
        pool: the files that `number` points to.
        folder: the mixture's data folder.
        digest: is given every row.

    Returns:
        The files written.
    """
    shards = max(1, -(-int(rows["chars"].sum()) // SHARD_CHARS))
    per_shard = max(1, -(-rows.height // shards))
    shards = max(1, -(-rows.height // per_shard))
    paths = []
    with Progress("writing", total=rows.height, unit="records") as progress:
        for shard in range(shards):
            chosen = rows.slice(shard * per_shard, per_shard)
            table = fetch(chosen, pool)
            digest.update(split, table)
            paths.append(folder / f"{split}-{shard:05d}-of-{shards:05d}.parquet")
            with storage.parquet_writer(paths[-1], MIXTURE) as writer:
                writer.write_table(table)
            progress.advance(chosen.height)
    return paths


def fetch(rows: pl.DataFrame, pool: Sequence[PoolPart]) -> pa.Table:
    """The full records of some rows, in their order, with the columns of `doit.table.MIXTURE`."""
    tables, places = [], []
    indexed = rows.with_row_index("place")
    for (number,), wanted in indexed.sort("number", "position").group_by("number", maintain_order=True):
        member = pool[int(str(number))]
        tables.append(pa.Table.from_batches(_take(member.entry.folder, wanted["position"].to_numpy())))
        places.append(wanted["place"].to_numpy())
    if not tables:
        return pa.Table.from_batches([], MIXTURE)
    gathered = pa.concat_tables(tables).take(_numbers(np.argsort(np.concatenate(places))))
    return _finish(gathered, rows, [member.file for member in pool])


def _take(folder: Path, positions: NDArray[np.uint32]) -> Iterator[pa.RecordBatch]:
    """The rows at sorted positions, batch by batch: of the others no byte is read."""
    start = 0
    for batch in open_records(folder, FETCHED).to_batches():
        stop = start + batch.num_rows
        inside = positions[np.searchsorted(positions, start) : np.searchsorted(positions, stop)]
        if len(inside):
            yield batch.take(_numbers(inside.astype(np.int64) - start))
        start = stop


def _numbers(values: NDArray[np.int64]) -> pa.Array:
    """An Arrow array over numpy's bytes; `pa.array` would load pandas to ask whether it is one of its own."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def _finish(table: pa.Table, rows: pl.DataFrame, files: Sequence[str]) -> pa.Table:
    """Add what follows from the card and the draw, in the order and types of a mixture."""
    columns = {
        **_abilities(table, rows),
        "file": pl.Series(files, dtype=pl.String).gather(rows["number"]).to_arrow(),
        "row": rows["row"].to_arrow(),
        "part": rows["part"].to_arrow(),
        **{name: rows[name].cast(pl.String).to_arrow() for name in ("construction", "source", "license")},
        "tokens": rows["tokens"].to_arrow(),
        "epoch": rows["epoch"].to_arrow(),
    }
    for name, column in columns.items():
        table = table.drop_columns(name) if name in table.column_names else table
        table = table.append_column(name, column)
    return _marked(table, rows["marks"]).select(MIXTURE.names).cast(MIXTURE)


def _abilities(table: pa.Table, rows: pl.DataFrame) -> dict[str, pa.Array]:
    """Where abilities are from; and, where a tagger gave some, the abilities themselves."""
    if "ability_from" in rows.columns:
        return {name: rows[name].cast(pl.String).to_arrow() for name in ("ability", "ability_from")}
    tagged = pl.DataFrame({"tagged": pl.Series(table["ability"].is_valid())})
    return {"ability_from": tagged.select(pl.when("tagged").then(pl.lit("card"))).to_series().to_arrow()}


def _marked(table: pa.Table, marks: pl.Series) -> pa.Table:
    """The rows with the tags that rules have given them."""
    if marks.null_count() == len(marks):
        return table
    both = pl.DataFrame({"tags": pl.Series(table["tags"]), "marks": marks.fill_null([])})
    tags = both.select(pl.concat_list("tags", "marks")).to_series()
    return table.set_column(table.column_names.index("tags"), MIXTURE.field("tags"), tags.to_arrow().cast(TAGS))
