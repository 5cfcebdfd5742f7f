"""Tokens of records, counted once per file and tokenizer with the `tokenizers` library, and kept beside the pool."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from doit import storage
from doit.errors import MissingExtra, SpecError
from doit.mixtures.pools.pool import PoolPart, scan_records
from doit.progress import Progress

BATCH = 8192
"""Texts handed to the tokenizer at a time."""


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer, and what tells it from any other."""

    name: str
    path: Path
    sha256: str
    counts: Any
    """`tokenizers.Tokenizer`."""


def load_tokenizer(name: str, folder: Path) -> Tokenizer:
    """Load a fast tokenizer.

    Args:
        name: a `tokenizer.json`, or a folder that holds one, such as a model's; relative to `folder`.
        folder: the spec's folder.

    Raises:
        MissingExtra: D208, the library is not installed.
        SpecError: D206, there is no such file; D204, it cannot be read.
    """
    path = folder / name
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        hint = "Give a model's folder with its tokenizer.json, or that file."
        raise SpecError("D206", f'no tokenizer at "{name}".', where="tokenizer", hint=hint)
    try:
        library = importlib.import_module("tokenizers")
    except ImportError as error:
        hint = "Install it with: pip install 'doit-mix[tokens]'"
        raise MissingExtra("D208", "counting tokens needs `tokenizers`.", where="tokenizer", hint=hint) from error
    try:
        counts = library.Tokenizer.from_file(str(path))
    except Exception as error:
        raise SpecError("D204", f"the tokenizer cannot be read: {error}.", where=str(path)) from error
    counts.no_truncation()
    counts.no_padding()
    return Tokenizer(name, path, hashlib.sha256(path.read_bytes()).hexdigest(), counts)


def count_tokens(pool: Sequence[PoolPart], tokenizer: Tokenizer) -> pl.DataFrame:
    """Tokens of every record of a pool, without the marks that a chat template adds.

    Returns:
        Columns `tokens` (all contents) and `supervised` (the assistant's), in the order of the slim table.
    """
    frames = []
    with Progress("counting tokens", total=sum(part.entry.records for part in pool), unit="records") as progress:
        for part in pool:
            frames.append(entry_tokens(part.entry.folder, tokenizer))
            progress.advance(part.entry.records)
    return pl.concat(frames)


def entry_tokens(folder: Path, tokenizer: Tokenizer) -> pl.DataFrame:
    """`tokens` and `supervised` of every record of one entry, kept beside it."""
    path = folder / f"tokens-{tokenizer.sha256[:32]}.parquet"
    records = scan_records(folder).select("messages").collect()
    if path.is_file():
        known = pl.read_parquet(path)
        if known.height == records.height:
            return known
    counted = _counted(records["messages"], tokenizer)
    with storage.atomic_file(path) as target:
        counted.write_parquet(target)
    return counted


def message_sizes(messages: pl.Series, tokenizer: Tokenizer) -> list[list[int]]:
    """Tokens of every message of every record."""
    turns = _sized(messages, tokenizer)
    return turns.group_by("at", maintain_order=True).agg("size")["size"].to_list()


def _counted(messages: pl.Series, tokenizer: Tokenizer) -> pl.DataFrame:
    answers = pl.col("size").filter(pl.col("role") == "assistant").sum()
    turns = _sized(messages, tokenizer)
    return turns.group_by("at", maintain_order=True).agg(tokens=pl.col("size").sum(), supervised=answers).drop("at")


def _sized(messages: pl.Series, tokenizer: Tokenizer) -> pl.DataFrame:
    turns = messages.to_frame("messages").with_row_index("at").explode("messages").unnest("messages")
    sizes: list[int] = []
    for start in range(0, turns.height, BATCH):
        batch = turns["content"].slice(start, BATCH).to_list()
        sizes += [len(encoding) for encoding in tokenizer.counts.encode_batch(batch, add_special_tokens=False)]
    return turns.with_columns(pl.Series("size", sizes, dtype=pl.Int32))
