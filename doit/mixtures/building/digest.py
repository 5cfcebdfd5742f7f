"""The content digest: one number for what a mixture says, whatever file, row or Parquet version it came from."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

CONTENT = (
    "id",
    "messages",
    "reasoning",
    "tools",
    "language",
    "ability",
    "ability_from",
    "tags",
    "construction",
    "source",
    "license",
    "group",
    "turns",
    "chars",
    "tokens",
    "epoch",
)
"""The columns that count. `file`, `row` and `part` do not: a renamed or split input is the same mixture."""

EMPTY = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(bytes(8)), pa.py_buffer(b"")])[0]
"""The empty text; `pa.scalar` would load pandas where it is installed, and so would an array's `to_numpy`."""


def _numbers(array: pa.Array) -> NDArray[Any]:
    return pl.Series(array).fill_null(0).to_numpy()


class ContentDigest:
    """SHA-256 over the columns `CONTENT` of rows in order, split by split; batch boundaries leave no trace.

    Every column is hashed on its own: one byte a value for null or not, the lengths of texts and lists as 64-bit
    little-endian numbers, and the values' bytes. The digest is over those hashes with the columns' and splits' names.
    """

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def update(self, split: str, table: pa.Table) -> None:
        """Add the next rows of a split."""
        for name in CONTENT:
            for chunk in table[name].chunks:
                self._array(f"{split}/{name}", chunk)

    def hexdigest(self) -> str:
        """64 hex digits."""
        whole = hashlib.sha256()
        for name in sorted(self._parts):
            whole.update(name.encode() + b"\0" + self._parts[name].digest())
        return whole.hexdigest()

    def _feed(self, name: str, data: bytes | memoryview) -> None:
        self._parts.setdefault(name, hashlib.sha256()).update(data)

    def _array(self, name: str, array: pa.Array) -> None:
        import pyarrow.compute as pc  # noqa: PLC0415 - slow to import, which is done while records are looked through

        self._feed(f"{name}?", _numbers(array.is_valid()).astype(np.uint8).tobytes())
        kind = array.type
        if pa.types.is_list(kind):
            self._feed(f"{name}#", _numbers(pc.list_value_length(array)).astype("<i8").tobytes())
            self._array(f"{name}[]", array.flatten())
        elif pa.types.is_struct(kind):
            for field in kind:
                self._array(f"{name}.{field.name}", pc.struct_field(array, field.name))
        elif pa.types.is_string(kind):
            self._strings(name, array)
        else:
            self._feed(name, _numbers(array).astype("<i8").tobytes())

    def _strings(self, name: str, array: pa.Array) -> None:
        import pyarrow.compute as pc  # noqa: PLC0415 - as above

        filled = pc.fill_null(array, EMPTY) if array.null_count else array
        self._feed(f"{name}#", _numbers(pc.binary_length(filled)).astype("<i8").tobytes())
        _, offsets, data = filled.buffers()
        if len(filled) and data is not None:
            bounds = np.frombuffer(offsets, np.int32)[filled.offset : filled.offset + len(filled) + 1]
            self._feed(name, memoryview(data)[int(bounds[0]) : int(bounds[-1])])
