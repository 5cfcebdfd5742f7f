"""The rows that are to be published: one reading that counts them, looks for secrets, and writes what must differ."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from doit import storage
from doit.curation.private import secrets
from doit.errors import StorageError
from doit.hub.paths import sources_names
from doit.inspecting.counts import UNTAGGED
from doit.mixtures.building.digest import ContentDigest
from doit.mixtures.opening import Opened
from doit.progress import Progress
from doit.table import MIXTURE

SPLITS = ("train", "validation", "test")
REDACTED = "rewritten:secrets"
"""The tag of a row in which something was masked."""

MEMBERS = pa.schema(
    [MIXTURE.field(name) for name in ("id", "source", "file", "row", "part", "language", "ability", "license", "epoch")]
)
"""What a recipe says of a row: which one it is, not what it says."""

_SLIM = ("language", "ability", "construction", "source", "license", "turns", "chars", "tokens")
_TEXTS = ("messages", "reasoning", "tools")
_SHARD = r"\d{5}-of-\d{5}\.parquet"
_NAMED = 5
_BATCH = 4096


@dataclass
class Split:
    """One split of one mixture, as it is published."""

    rows: int = 0
    bytes: int = 0
    """Of the rows in memory, as `datasets` counts them."""
    files: list[tuple[str, Path]] = field(default_factory=list)
    """(path in the repository, file here)."""


@dataclass
class Findings:
    """Secrets and personal data in rows."""

    kinds: Counter[str] = field(default_factory=Counter)
    """Kind -> how often."""
    rows: int = 0
    named: list[str] = field(default_factory=list)
    """The first rows, each with its kinds; never the text."""

    def add(self, place: str, kinds: Sequence[str]) -> None:
        """Count one row in which there is something."""
        self.rows += 1
        self.kinds.update(kinds)
        if len(self.named) < _NAMED:
            self.named.append(f"{place} ({', '.join(dict.fromkeys(kinds))})")

    def told(self) -> str:
        """Kinds with their numbers."""
        return ", ".join(f"{kind}: {number:,}" for kind, number in self.kinds.most_common())


@dataclass
class Content:
    """A mixture as it is published."""

    mixture: Opened
    config: str
    """Its configuration."""
    splits: dict[str, Split]
    slim: pl.DataFrame
    """The labels of the training rows."""
    licences: Counter[tuple[str, str]]
    """(source, licence) -> rows of all splits."""
    places: dict[tuple[str, str], list[str]]
    """(source, licence) -> where its first rows are from."""
    found: Findings
    digest: str
    """Of the content as published: another one than the manifest's only where something was masked."""
    masked: int = 0
    """Rows in which something was masked."""
    extra: dict[str, dict[str, Split]] = field(default_factory=dict)
    """Further configurations, one an ability."""


def data_files(mixture: Opened) -> list[tuple[str, str]]:
    """(split, path in the mixture's folder) of its data, in order; every file proved by its digest.

    Raises:
        StorageError: D102 a file is missing, or is not what was built.
    """
    listed = sorted(mixture.manifest.files)
    found = [(split, name) for split in SPLITS for name in listed if re.fullmatch(rf"data/{split}-{_SHARD}", name)]
    for _, name in found:
        path = mixture.folder / name
        wanted = mixture.manifest.files[name].sha256
        if not path.is_file() or storage.file_digest(path) != wanted:
            what = "it is missing, or not the file that was built."
            raise StorageError("D102", what, where=str(path), hint="Build the mixture again; see `doit verify`.")
    if not any(split == "train" for split, _ in found):
        raise StorageError("D102", "the mixture has no data.", where=str(mixture.folder), hint="Build it again.")
    return found


def read_content(
    mixture: Opened, config: str, staging: Path, *, mask: Set[str], by_ability: bool, text: bool = True
) -> Content:
    """Read a mixture, and write into `staging` the files that must differ from those in its folder.

    Args:
        mixture: what was built.
        config: the name of its configuration.
        staging: a folder of our own.
        mask: kinds of `doit.curation.private.secrets` that are masked where they are found.
        by_ability: write one more file an ability and split.
        text: publish the rows; otherwise only which they are (`MEMBERS`), and nothing is looked for in them.

    Raises:
        StorageError: D102 a file is missing, damaged or not what was built.
    """
    content = Content(mixture, config, {}, pl.DataFrame(), Counter(), {}, Findings(), mixture.manifest.digest)
    names = sources_names(mixture.manifest)
    place = f"{mixture.label}/" if mixture.label else ""
    slim: list[pl.DataFrame] = []
    total = mixture.manifest.rows + sum(mixture.manifest.splits.values())
    with Progress("looking through the rows", total=total, unit="rows") as progress:
        for split, name in data_files(mixture):
            source = mixture.folder / name
            looked = _look(
                content, split, source, shown=f"{place}{name}", progress=progress, mask=mask if text else None
            )
            slim += looked.slim
            shown = place + (name if text else name.replace("data/", "members/", 1))
            path = source
            if not text or looked.files & names.keys() or looked.masked:
                path = staging / shown
                schema = MIXTURE if text else MEMBERS
                _write(source, path, schema=schema, names=names, masked=looked.masked, mask=mask)
                content.masked += len(looked.masked)
            content.splits[split].files.append((shown, path))
            content.splits[split].bytes += looked.bytes if path is source else _memory(path)
    content.slim = pl.concat(slim)
    if content.masked:
        content.digest = _digest(content)
    if by_ability:
        content.extra = _by_ability(content, staging, place)
    return content


@dataclass(frozen=True)
class _Looked:
    """What one file holds."""

    masked: Set[int]
    """Numbers of the rows in which something is to be masked."""
    files: Set[tuple[str, str]]
    """(source, file) of its rows."""
    slim: list[pl.DataFrame]
    """Labels, of training rows only."""
    bytes: int
    """Of the rows in memory."""


def _look(
    content: Content, split: str, path: Path, *, shown: str, progress: Progress, mask: Set[str] | None
) -> _Looked:
    """Count one file's rows, and look for secrets in their text; `mask` is None where the text is not published."""
    held = content.splits.setdefault(split, Split())
    masked: set[int] = set()
    files: set[tuple[str, str]] = set()
    slim = []
    start = size = 0
    for batch in _batches(
        path, MIXTURE.names if mask is not None else [*MEMBERS.names, "construction", "turns", "chars", "tokens"]
    ):
        rows = pl.DataFrame(pl.from_arrow(batch.drop_columns([n for n in _TEXTS if n in batch.column_names])))
        if mask is not None:
            masked |= {start + at for at, kinds in _guard(batch, rows, content.found, shown, start) if kinds & mask}
        files |= set(rows.select("source", "file").unique().rows())
        _count(content, rows)
        if split == "train":
            slim.append(rows.select(_SLIM))
        held.rows += batch.num_rows
        start += batch.num_rows
        progress.advance(batch.num_rows)
        size += batch.nbytes
    return _Looked(masked, files, slim, size)


def _batches(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of a data file, some thousands at a time."""
    try:
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(batch_size=_BATCH, columns=list(columns)):
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        what = f"it cannot be read: {str(error).splitlines()[0]}."
        raise StorageError("D102", what, where=str(path), hint="See `doit verify`.") from None


def _memory(path: Path) -> int:
    """Bytes of a file's rows in memory."""
    return sum(batch.nbytes for batch in _batches(path, pq.read_schema(path).names))


def _guard(
    batch: pa.Table, rows: pl.DataFrame, found: Findings, shown: str, start: int
) -> Iterator[tuple[int, set[str]]]:
    """The rows of a batch in which there is something, with its kinds; told to `found`."""
    suspects = secrets.screen(_texts(batch)).fill_null(value=False).arg_true().to_list()
    for at, row in zip(suspects, batch.select(_TEXTS).take(pa.array(suspects, pa.int64())).to_pylist(), strict=True):
        parts = [message["content"] for message in row["messages"]] + (row["reasoning"] or []) + [row["tools"]]
        kinds = [one.kind for part in parts if part for one in secrets.find(part)]
        if kinds:
            found.add(f"{shown} row {start + at}, from {rows['file'][at]}:{rows['row'][at]}", kinds)
            yield at, set(kinds)


def _texts(batch: pa.Table) -> pl.Series:
    """All text of each row, in one string."""
    frame = pl.DataFrame(pl.from_arrow(batch.select(_TEXTS)))
    contents = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n")
    parts = [contents, pl.col("reasoning").list.join("\n", ignore_nulls=True), pl.col("tools")]
    return frame.select(pl.concat_str(parts, separator="\n", ignore_nulls=True).alias("text"))["text"]


def _count(content: Content, rows: pl.DataFrame) -> None:
    for source, name, number in rows.group_by("source", "license").len().rows():
        content.licences[source, name] += number
        places = content.places.setdefault((source, name), [])
        if len(places) < _NAMED:
            first = rows.filter((pl.col("source") == source) & (pl.col("license") == name)).head(_NAMED - len(places))
            places += [f"{file}:{row}" for file, row in first.select("file", "row").rows()]


def _write(
    source: Path,
    target: Path,
    *,
    schema: pa.Schema,
    names: Mapping[tuple[str, str], str],
    masked: Set[int],
    mask: Set[str],
) -> None:
    """A data file once more: with public names of files, and with text masked in some rows."""
    with storage.parquet_writer(target, schema) as writer:
        start = 0
        for batch in _batches(source, schema.names):
            inside = [at for at in range(batch.num_rows) if start + at in masked]
            writer.write_table(_renamed(_masked(batch, inside, mask) if inside else batch, names))
            start += batch.num_rows


def _renamed(batch: pa.Table, names: Mapping[tuple[str, str], str]) -> pa.Table:
    if not names:
        return batch
    pairs = zip(batch["source"].to_pylist(), batch["file"].to_pylist(), strict=True)
    files = pa.array([names.get(pair, pair[1]) for pair in pairs], pa.string())
    return batch.set_column(batch.column_names.index("file"), batch.schema.field("file"), files)


def _masked(batch: pa.Table, inside: Sequence[int], mask: Set[str]) -> pa.Table:
    """The batch with what was found masked in some rows. `tokens` stays what was counted."""
    rows = [_mask(row, mask) for row in batch.take(pa.array(inside)).to_pylist()]
    joined = pa.concat_tables([batch, pa.Table.from_pylist(rows, schema=batch.schema)])
    order = list(range(batch.num_rows))
    for new, at in enumerate(inside):
        order[at] = batch.num_rows + new
    return joined.take(pa.array(order))


def _mask(row: dict[str, Any], mask: Set[str]) -> dict[str, Any]:
    def without(text: str) -> str:
        return secrets.redact(text, mask)

    messages = [{**message, "content": without(message["content"])} for message in row["messages"]]
    reasoning = row["reasoning"]
    return {
        **row,
        "messages": messages,
        "reasoning": reasoning and [one if one is None else without(one) for one in reasoning],
        "tools": row["tools"] and without(row["tools"]),
        "chars": sum(len(message["content"]) for message in messages),
        "tags": sorted({*row["tags"], REDACTED}),
    }


def _digest(content: Content) -> str:
    """The content digest of what is published."""
    digest = ContentDigest()
    for split, held in content.splits.items():
        for _, path in held.files:
            for batch in _batches(path, MIXTURE.names):
                digest.update(split, batch)
    return digest.hexdigest()


def _by_ability(content: Content, staging: Path, place: str) -> dict[str, dict[str, Split]]:
    """The rows once more, one file an ability and split."""
    made: dict[str, dict[str, Split]] = {}
    for split, held in content.splits.items():
        with contextlib.ExitStack() as stack:
            writers: dict[str, storage.ParquetTable] = {}
            for _, path in held.files:
                for batch in _batches(path, MIXTURE.names):
                    named = pc.fill_null(batch["ability"], UNTAGGED)
                    for ability in sorted(pc.unique(named).to_pylist()):
                        rows = batch.filter(pc.equal(named, ability))
                        shown = f"{place}by_ability/{ability}/{split}-00000-of-00001.parquet"
                        if ability not in writers:
                            target = storage.safe_relative(shown, staging)
                            writers[ability] = stack.enter_context(storage.parquet_writer(target, MIXTURE))
                            part = made.setdefault(ability, {}).setdefault(split, Split())
                            part.files.append((shown, target))
                        writers[ability].write_table(rows)
                        made[ability][split].rows += rows.num_rows
                        made[ability][split].bytes += rows.nbytes
    return dict(sorted(made.items()))
