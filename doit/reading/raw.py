"""A raw row, or why there is none: what every reader of files hands on, before any shape gives it a meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

CHUNK_BYTES = 4 << 20
"""How much of a file is looked at in one go, and so the size of a batch, in bytes."""
BATCH_ROWS = 4096
"""The most rows that one batch holds."""
LINE_BYTES = 64 << 20
"""The longest line or array element, after decompression; a longer one is a bad row."""
DOCUMENT_BYTES = 1 << 30
"""The largest file that must be parsed as a whole: `rows: file`, a path, or one object spread over lines."""
RAW_BYTES = 64 << 10
"""How much of a bad row's text is kept."""
FILE_BYTES = 64 << 30
"""The most that one packed file (compressed, an archive with all its members, or Parquet) is unpacked to."""
SMALL_BYTES = 1 << 30
"""What any packed file may unpack to, however small it is."""
UNPACKED_RATIO = 1000
"""Over `SMALL_BYTES`, how many times its own size a packed file may unpack to. Text packs at 3 to 30."""


class Row(NamedTuple):
    """One row as its file holds it."""

    row: int
    """0-based, over good and bad rows alike; blank lines are not rows."""
    byte: int | None
    """Offset of its first byte in the decompressed file; None where the file was re-encoded or has no such place."""
    value: Any
    """Parsed JSON; of a delimited file, a dict from column to text."""


class Bad(NamedTuple):
    """A row that could not be read, or a stretch of a file in which none could."""

    row: int | None
    """The number that the row would have had; None for a stretch or a whole file."""
    byte: int | None
    code: str
    """D301 to D309 of `doit.errors.CODES`."""
    reason: str
    """What is wrong, and where in the row: one sentence."""
    field: str | None
    raw: str
    """The text as it stands, undecodable bytes as `\\xNN`; what is over `RAW_BYTES` is cut off, and said to be."""


Batch = list[Row | Bad]
Batches = Iterator[Batch]


@dataclass(frozen=True)
class Layout:
    """Where a file keeps its rows, and what its name and content cannot tell; the words are those of a dataset card.

    Attributes:
        rows: `auto`, `lines` (one JSON value a line), `concatenated` (values one behind the other), `file` (one row),
            `values` (of one object), or a path of keys, integers and `*`, such as `data.*.paragraphs`. Where a path
            ends at a list, its elements are the rows.
        encoding: of the decompressed text; None means UTF-8. Never guessed.
        columns: names for a delimited file without a header. A first row equal to them is taken for a header.
        delimiter: between columns; a tab means that nothing is quoted. None: a tab for .tsv and .tab, else a comma.
        compression: `gzip`, `bz2`, `xz`, `zstd` or `zip`; None means by the first bytes.
    """

    rows: str = "auto"
    encoding: str | None = None
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    compression: str | None = None


def cut_raw(text: str, kept: int, total: int) -> str:
    """The text of a bad row, with a note where only `kept` of its `total` bytes are there."""
    return text if kept >= total else f"{text}… [cut here: {total:,} bytes in all]"


def most_unpacked(packed: int) -> int:
    """How many bytes a packed file of `packed` bytes may unpack to."""
    return min(FILE_BYTES, max(SMALL_BYTES, UNPACKED_RATIO * packed))


def unpacks_to_more(most: int) -> str:
    """Why the rest of a packed file is not read."""
    return f"the file unpacks to more than {most:,} bytes, the most that is read of it; from here on it is left out."


def too_long(what: str, length: int) -> str:
    """Why a line or a row is not read."""
    return f"the {what} is {length:,} bytes long, and {LINE_BYTES:,} is the most that is read."
