"""Near duplicates by meaning: records whose vectors, made elsewhere, have a cosine at or over a threshold.

Every pair is looked at, by products of blocks of the matrix, so none is missed; the time grows with the square of the
rows that are kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.errors import SpecError

BLOCK = 1024
"""Rows that are compared with so many others at once: what a product makes of them takes 4 MB."""

SLACK = 1e-4
"""What a product in single precision may be wrong by; pairs that come so near are worked out in double precision."""

Vectors = NDArray[np.float32]


def near_embeddings(
    vectors: pl.Series, ids: pl.Series, *, threshold: float, best: pl.Series | None = None
) -> pl.DataFrame:
    """Which rows to drop so that no two that are left have vectors so near, without closure.

    Rows are decided in ascending id, or by `best` first, as `doit.curation.duplicates.near_duplicates` does.

    Args:
        vectors: a list of numbers a row, all of the same length. A null, or a vector of zeros, is like nothing.
        ids: of the same rows.
        threshold: cosine, above 0 and at most 1.
        best: numbers of the same rows; higher ones are decided first, nulls last, and the id decides between equals.

    Returns:
        One row for each dropped row, by position: `dropped`, `survivor` and `similarity`.

    Raises:
        SpecError: D204, the threshold is out of range, or the vectors are none.
    """
    if not 0 < threshold <= 1:
        raise SpecError("D204", f"{threshold} is not above 0 and at most 1.", where="near_embeddings.threshold")
    scores = pl.repeat(0, len(ids), dtype=pl.Int8, eager=True) if best is None else best.fill_nan(None)
    ranked = pl.DataFrame({"best": scores, "id": ids}).with_row_index("at").filter(vectors.is_not_null())
    rows = ranked.sort("best", "id", "at", descending=[True, False, False], nulls_last=True)["at"].to_numpy()
    whole = _matrix(vectors.gather(rows))
    length = np.linalg.norm(whole.astype(np.float64), axis=1)
    rows, whole, length = rows[length > 0], whole[length > 0], length[length > 0]
    dropped, survivor, similarity = _decide((whole / length[:, None]).astype(np.float32), threshold)
    columns = {"dropped": rows[dropped], "survivor": rows[survivor], "similarity": similarity}
    schema = {"dropped": pl.UInt32, "survivor": pl.UInt32, "similarity": pl.Float64}
    return pl.DataFrame(columns, schema=schema).sort("dropped")


def _matrix(vectors: pl.Series) -> Vectors:
    """A row a vector."""
    listed = vectors.arr.to_list() if isinstance(vectors.dtype, pl.Array) else vectors
    if not isinstance(listed.dtype, pl.List) or not listed.dtype.inner.is_numeric():
        raise SpecError("D204", f"a column of {vectors.dtype} holds no vectors.", where="near_embeddings.embeddings")
    widths = listed.list.len().unique()
    if len(widths) > 1 or 0 in widths:
        hint = "Make them all with one model."
        raise SpecError(
            "D204", "vectors differ in length, or have none.", where="near_embeddings.embeddings", hint=hint
        )
    flat = listed.explode().cast(pl.Float32)
    if flat.null_count() or not bool(flat.is_finite().all()):
        raise SpecError("D204", "a vector holds no number, or no finite one.", where="near_embeddings.embeddings")
    return flat.to_numpy().reshape(len(vectors), widths[0] if len(widths) else 1)


def _decide(unit: Vectors, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """In order, which row falls for which earlier one that is kept, the first of them, and how near it is."""
    kept = np.zeros(0, dtype=np.int64)
    falls: list[tuple[int, int, float]] = []
    for start in range(0, len(unit), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(unit)))
        found: dict[int, tuple[int, float]] = {}
        for first in range(0, len(kept), BLOCK):
            rest = np.array([row for row in block.tolist() if row not in found], dtype=np.int64)
            for row, other, cosine in _near(unit, rest, kept[first : first + BLOCK], threshold):
                found.setdefault(row, (other, cosine))
        rest = np.array([row for row in block.tolist() if row not in found], dtype=np.int64)
        for row, other, cosine in _near(unit, rest, rest, threshold):
            if other < row and other not in found:
                found.setdefault(row, (other, cosine))
        falls += [(row, *found[row]) for row in sorted(found)]
        kept = np.concatenate((kept, block[[row not in found for row in block.tolist()]]))
    dropped, survivor, cosines = zip(*falls, strict=True) if falls else ((), (), ())
    return np.array(dropped, dtype=np.int64), np.array(survivor, dtype=np.int64), np.array(cosines, dtype=np.float64)


def _near(
    unit: Vectors, rows: NDArray[np.int64], others: NDArray[np.int64], threshold: float
) -> Iterator[tuple[int, int, float]]:
    """Pairs that reach the threshold, in ascending (row, other)."""
    one, other = np.nonzero(unit[rows] @ unit[others].T >= threshold - SLACK)
    one, other = rows[one], others[other]
    for some in range(0, len(one), BLOCK):
        a, b = unit[one[some : some + BLOCK]].astype(np.float64), unit[other[some : some + BLOCK]].astype(np.float64)
        cosine = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        cosine = np.minimum(cosine, 1.0)
        # A cosine of equal vectors may come out a last bit under 1.
        good = np.flatnonzero(cosine >= threshold - 1e-12)
        yield from zip(
            one[some : some + BLOCK][good].tolist(),
            other[some : some + BLOCK][good].tolist(),
            cosine[good].tolist(),
            strict=True,
        )
