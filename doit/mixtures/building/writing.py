"""Fetching the chosen rows and writing them: the one time that a mixture's text is read from the pool and written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa
from numpy.typing import NDArray

from doit import storage
from doit.curation.keys import hexadecimal
from doit.mixtures.building.digest import ContentDigest
from doit.mixtures.pools.pool import PoolPart, open_records
from doit.progress import Progress
from doit.table import MIXTURE

TAGS = MIXTURE.field("tags").type

SHARD_CHARS = 200_000_000
"""Characters of text in one Parquet file, about: a number of the content alone, so that the files are reproducible."""

FETCHED = ("messages", "reasoning", "tools", "tags")
"""What is read of the pool's records; the slim table has the rest."""

SLIM = ("language", "ability", "ability_from", "construction", "source", "license", "group")
"""Labels of the slim table."""


def write_split(
    split: str, rows: pl.DataFrame, pool: Sequence[PoolPart], folder: Path, digest: ContentDigest
) -> list[Path]:
    """Write one split as `folder/<split>-00000-of-0000n.parquet`.

    Args:
        split: train, validation or test.
        rows: of the slim table, in the split's order, with `epoch`, and with ids and labels spelled out.
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
    if rows.is_empty():
        return pa.Table.from_batches([], MIXTURE)
    indexed = rows.select("number", "position").with_row_index("place").sort("number", "position")
    wanted = {int(str(number)): of["position"].to_numpy() for (number,), of in indexed.group_by("number")}
    folders = {number: pool[number].entry.folder for number in sorted(wanted)}
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # to wait for pages of files leaves the interpreter alone
        taken = threads.map(lambda number: list(_take(folders[number], wanted[number])), folders)
        tables = [pa.Table.from_batches(batches) for batches in taken]
    gathered = pa.concat_tables(tables).take(_numbers(np.argsort(indexed["place"].to_numpy())))
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
    if "ability_from" not in rows.columns:  # no tagger gave any
        rows = rows.with_columns(ability_from=pl.when(pl.col("ability").is_not_null()).then(pl.lit("card")))
    slim = rows.select(
        hexadecimal(rows["id"]),
        cs.by_name(SLIM).cast(pl.String),
        "row",
        "part",
        "turns",
        "chars",
        "tokens",
        "epoch",
        file=pl.Series(files, dtype=pl.String).gather(rows["number"]),
    ).to_arrow()
    for name in slim.column_names:
        table = table.append_column(name, slim[name])
    return _marked(table, rows["marks"]).select(MIXTURE.names).cast(MIXTURE)


def _marked(table: pa.Table, marks: pl.Series) -> pa.Table:
    """The rows with the tags that rules have given them."""
    if marks.null_count() == len(marks):
        return table
    both = pl.DataFrame({"tags": pl.Series(table["tags"]), "marks": marks.fill_null([])})
    tags = both.select(pl.concat_list("tags", "marks")).to_series()
    return table.set_column(table.column_names.index("tags"), MIXTURE.field("tags"), tags.to_arrow().cast(TAGS))
