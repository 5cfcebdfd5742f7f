"""Models on the disk: one file in the format of safetensors, which holds numbers and text and nothing that runs.

The format: the length of the header (8 bytes, little-endian), the header (JSON: name -> type, shape, place), and the
numbers. Origin: https://github.com/huggingface/safetensors; the three types here are all that a tagger needs.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from doit import storage
from doit.errors import DataError, SpecError

TYPES: dict[str, np.dtype[Any]] = {"I16": np.dtype("<i2"), "U32": np.dtype("<u4"), "F64": np.dtype("<f8")}
MOST_BYTES = 1 << 28
"""A larger file is none of ours."""


def written(arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, str]) -> bytes:
    """A file's bytes: arrays of the types in `TYPES`, and texts by name."""
    kinds = {dtype: kind for kind, dtype in TYPES.items()}
    header: dict[str, Any] = {"__metadata__": dict(notes)}
    place = 0
    for name, array in arrays.items():
        kind = kinds[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    text = orjson.dumps(header)
    text += b" " * (-len(text) % 8)
    numbers = b"".join(
        np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes() for array in arrays.values()
    )
    return struct.pack("<Q", len(text)) + text + numbers


def save(path: Path, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, str]) -> None:
    """Write a file, whole or not at all.

    Raises:
        StorageError: the disk refused.
    """
    storage.write_bytes(path, written(arrays, notes))


def load(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays and texts of a file.

    Raises:
        SpecError: D206 when there is no such file.
        DataError: D309 when it is not such a file.
    """
    if not path.is_file():
        raise SpecError("D206", "there is no model.", where=str(path), hint="Make one: `doit tag fit`.")
    if path.stat().st_size > MOST_BYTES:
        raise _unknown(path, "it is larger than any tagger")
    try:
        return _read(path.read_bytes())
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise _unknown(path, str(error)) from error


def _read(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    (size,) = struct.unpack("<Q", data[:8])
    if size > len(data) - 8:
        raise ValueError("its header is longer than the file")
    header = orjson.loads(data[8 : 8 + size])
    body = memoryview(data)[8 + size :]
    notes = {str(name): str(value) for name, value in header.pop("__metadata__", {}).items()}
    arrays = {}
    for name, told in header.items():
        first, last = told["data_offsets"]
        dtype, shape = TYPES[told["dtype"]], tuple(int(length) for length in told["shape"])
        if not 0 <= first <= last <= len(body) or min(shape, default=0) < 0:
            raise ValueError(f"the place of {name} is outside the file")
        arrays[name] = np.frombuffer(body[first:last], dtype).reshape(shape)
    return arrays, notes


def _unknown(path: Path, why: str) -> DataError:
    return DataError("D309", f"this is not a tagger's model: {why}.", where=str(path), hint="Make one: `doit tag fit`.")
