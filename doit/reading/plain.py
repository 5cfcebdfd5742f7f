"""Plain rows: one question and one answer in text columns, made into conversations a batch at a time.

Nearly every row of a flat format is plain. What is not plain in every respect (a wrong type, an empty text, earlier
rounds, white space at an end, a carriage return) is left to `Shape.conversation`, which finds the reason. The two ways
agree on every row that both can read; tests hold them to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from doit.reading.cut_lines import CutRows
from doit.schemas.shapes.base import MISSING, BadRow, Conversation, Flat, Shape
from doit.table import MESSAGES

ODD_ENDS = "\x1c\x1d\x1e\x1f"
"""Separators that Python strips from a text and Polars does not."""

Empties = frozenset[type]
"""Types of which the one empty value counts as nothing."""
_NOTHING: Empties = frozenset((type(None), str))
_EMPTY_VALUES: tuple[Any, ...] = (None, "", [], {}, False, 0, 0.0)


class PlainRows(NamedTuple):
    """The plain rows of a batch."""

    mask: NDArray[np.bool_]
    """Which rows of the batch are plain."""
    ids: pa.Array
    written: pa.Array
    messages: pa.Array
    chars: pa.Array


def plain_rows(values: Sequence[Any], flat: Flat, empties: Mapping[str, Empties] | None = None) -> PlainRows | None:
    """The conversations of the plain rows among `values`.

    Args:
        values: parsed rows.
        flat: how the shape makes one round of columns.
        empties: `empties_of` the shape; without it, null and an empty text are what an absent column may hold.

    Returns:
        The plain rows, or None where there is none.
    """
    mask = np.fromiter((type(value) is dict for value in values), bool, len(values))
    if not mask.any():
        return None
    rows = values if mask.all() else [value if type(value) is dict else {} for value in values]
    columns = {}
    for key in dict.fromkeys((*flat.required, *flat.optional)):
        column, fits = _texts([row.get(key) for row in rows], needed=key in flat.required)
        columns[key] = column
        mask &= fits
    for key in flat.present:
        mask &= np.fromiter((key in row for row in rows), bool, len(rows))
    for key in flat.absent:
        kinds = _NOTHING if empties is None else empties[key]
        mask &= np.fromiter((_is_nothing(row.get(key), kinds) for row in rows), bool, len(rows))
    return _conversations(columns, mask, flat)


def plain_cut(cut: CutRows, flat: Flat, empties: Mapping[str, Empties] | None = None) -> PlainRows | None:
    """The same of rows that are columns already."""
    mask = np.ones(len(cut.numbers), bool)
    columns = {}
    for key in dict.fromkeys((*flat.required, *flat.optional)):
        if key in cut.columns:
            columns[key] = cut.columns[key]
        elif key in flat.required or cut.pattern.get(key, MISSING if key in flat.present else None) is not None:
            return None
        else:
            columns[key] = pl.repeat("", len(mask), dtype=pl.String, eager=True)
    for key in flat.absent:
        kinds = _NOTHING if empties is None else empties[key]
        if key in cut.columns:
            mask &= (cut.columns[key] == "").to_numpy() & (str in kinds)
        elif not _is_nothing(cut.pattern.get(key), kinds):
            return None
    return _conversations(columns, mask, flat)


def _is_nothing(value: Any, kinds: Empties) -> bool:
    return not value and type(value) in kinds


def empties_of(shape: Shape, flat: Flat) -> dict[str, Empties]:
    """For each absent column, the types whose empty value is nothing to the shape: it is asked, row by row."""
    row = dict.fromkeys((*flat.required, *flat.present), "x")
    plain = shape.conversation(row)
    found = {}
    for key in flat.absent:
        kinds = {type(value) for value in _EMPTY_VALUES if _makes(shape, {**row, key: value}) == plain}
        found[key] = frozenset(kinds)
    return found


def _makes(shape: Shape, row: dict[str, Any]) -> Conversation | None:
    try:
        return shape.conversation(row)
    except BadRow:
        return None


def _texts(values: list[Any], *, needed: bool) -> tuple[pl.Series, NDArray[np.bool_]]:
    """A column as texts, empty where a row has none, and where it is what a plain row may have."""
    try:
        # Polars takes a minute to find that lists in lists in lists are no text, so their types are asked for first.
        if not set(map(type, values)) <= {str, type(None)}:
            raise TypeError
        series = pl.Series(values, dtype=pl.String)
    except (TypeError, UnicodeEncodeError):
        series = pl.Series([value if _writable(value) else None for value in values], dtype=pl.String)
        fits = np.fromiter((_writable(value) or value is None for value in values), bool, len(values))
    else:
        fits = np.ones(len(values), bool)
    if needed:
        fits &= series.is_not_null().to_numpy()
    return series.fill_null(""), fits


def _writable(value: Any) -> bool:
    """Whether a value is a text that UTF-8 can hold."""
    if type(value) is not str:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _conversations(columns: dict[str, pl.Series], mask: NDArray[np.bool_], flat: Flat) -> PlainRows | None:
    """One round of every row that the mask has and whose identity counts all of it but white space at the ends."""
    sides, inner = pl.col("user", "assistant"), pl.col("user inner", "assistant inner")
    rounds = (
        pl.DataFrame(columns)
        .select(
            filled=pl.all_horizontal(pl.col(key).str.strip_chars() != "" for key in flat.required),
            user=flat.user,
            assistant=flat.assistant,
        )
        .with_columns(sides.str.strip_chars().name.suffix(" inner"))
    )
    even = inner.str.strip_chars(ODD_ENDS).str.len_bytes() == inner.str.len_bytes()
    good = pl.all_horizontal("filled", sides.str.contains("\r\n", literal=True).not_(), even)
    mask &= rounds.select(good).to_series().to_numpy()
    if not mask.any():
        return None
    rounds = rounds if mask.all() else rounds.filter(pl.Series(mask))
    digests = _digests(rounds)
    written = digests.copy()
    same = pl.all_horizontal(sides.str.len_bytes() == inner.str.len_bytes())
    others = rounds.with_row_index("row").filter(~same).select("row", sides)
    for row, user, assistant in others.iter_rows():
        written[row] = exact_digest(Conversation([("user", user), ("assistant", assistant)]))
    chars = rounds.select(pl.sum_horizontal(sides.str.len_chars()).cast(pl.Int32)).to_series()
    arrays = (hex_texts(b"".join(digests)), digests_array(b"".join(written)), _messages(rounds), chars.to_arrow())
    return PlainRows(mask, *arrays)


def _messages(rounds: pl.DataFrame) -> pa.Array:
    turn = np.arange(2 * rounds.height)
    contents = pl.concat([rounds["user"], rounds["assistant"]]).gather((turn % 2) * rounds.height + turn // 2)
    roles = pl.Series(("user", "assistant")).gather(turn % 2)
    pairs = [side.to_arrow().cast(pa.string()) for side in (roles, contents)]
    bounds = integers(np.arange(0, 2 * rounds.height + 1, 2, dtype=np.int32))
    return pa.ListArray.from_arrays(bounds, pa.StructArray.from_arrays(pairs, ["role", "content"]), type=MESSAGES)


def _digests(rounds: pl.DataFrame) -> list[bytes]:
    """`doit.schemas.record.content_id` of every row, from the bytes of all of them in one buffer."""
    parts = [
        part
        for role in ("user", "assistant")
        for text in [pl.col(f"{role} inner")]
        for part in (pl.lit(f"{role}:"), text.str.len_bytes().cast(pl.String), pl.lit(":"), text)
    ]
    counted = rounds.select(pl.concat_str(parts)).to_series().to_arrow().cast(pa.large_string())
    _, offsets, data = counted.buffers()
    bounds = np.frombuffer(offsets, np.int64)[counted.offset : counted.offset + len(counted) + 1].tolist()
    view, fresh = memoryview(data), hashlib.blake2b(digest_size=16).copy
    found = []
    for start, stop in pairwise(bounds):
        digest = fresh()
        digest.update(view[start:stop])
        found.append(digest.digest())
    return found


def exact_digest(made: Conversation) -> bytes:
    """BLAKE2b-128 of a conversation exactly as written, reasoning and tools included."""
    return hashlib.blake2b(orjson.dumps([made.messages, made.reasoning, made.tools]), digest_size=16).digest()


# Arrow's own way from Python's values to arrays imports pandas, wherever it is installed: as long as reading 20 MB.


def integers(values: NDArray[np.integer]) -> pa.Array:
    """An Arrow array over numpy's memory."""
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def digests_array(digests: bytes) -> pa.Array:
    """Digests of 16 bytes, joined, as an Arrow array."""
    return pa.Array.from_buffers(pa.binary(16), len(digests) // 16, [None, pa.py_buffer(digests)])


def hex_texts(digests: bytes) -> pa.Array:
    """The same in hexadecimal digits."""
    bounds = np.arange(0, 2 * len(digests) + 1, 32, dtype=np.int32)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(digests.hex().encode())]
    return pa.Array.from_buffers(pa.string(), len(digests) // 16, buffers)
