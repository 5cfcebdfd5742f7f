from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doit.curation.duplicates import near_embeddings
from doit.curation.duplicates.near_embeddings import near_embeddings as found
from doit.errors import SpecError

VECTOR = st.lists(st.integers(-2, 2), min_size=3, max_size=3)


def cosine(one: list[int], other: list[int]) -> float:
    a, b = np.array(one, dtype=float), np.array(other, dtype=float)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def greedy(vectors: list[list[int] | None], ids: list[str], threshold: float) -> list[tuple[int, int]]:
    kept: list[tuple[int, list[int]]] = []
    dropped = []
    for at in sorted(range(len(ids)), key=lambda at: (ids[at], at)):
        vector = vectors[at]
        if vector is None or not any(vector):
            continue
        near = [other for other, kept_vector in kept if cosine(vector, kept_vector) >= threshold - 1e-9]
        if near:
            dropped.append((at, near[0]))
        else:
            kept.append((at, vector))
    return sorted(dropped)


@settings(max_examples=200)
@given(
    st.lists(st.one_of(st.none(), VECTOR), max_size=12),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
    st.randoms(use_true_random=False),
)
def test_the_rule_is_kept_to_the_letter(vectors: list[list[int] | None], threshold: float, chance) -> None:  # type: ignore[no-untyped-def]
    ids = [f"{number:02}" for number in chance.sample(range(99), len(vectors))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_embeddings, "BLOCK", 3)
        table = found(
            pl.Series(vectors, dtype=pl.List(pl.Float32)), pl.Series(ids, dtype=pl.String), threshold=threshold
        )
    assert table.select("dropped", "survivor").rows() == greedy(vectors, ids, threshold)


def test_planted_copies_are_found_among_thousands() -> None:
    chance = np.random.default_rng(1)
    vectors = chance.normal(size=(3000, 64)).astype(np.float32)
    vectors[2000:] = vectors[:1000] + 0.05 * chance.normal(size=(1000, 64)).astype(np.float32)
    ids = pl.Series([f"{number:05}" for number in range(3000)])
    table = found(pl.Series(vectors, dtype=pl.Array(pl.Float32, 64)), ids, threshold=0.95)
    assert table.select("dropped", "survivor").rows() == [(2000 + at, at) for at in range(1000)]
    assert table["similarity"].min() > 0.95  # type: ignore[operator]


def test_the_best_survives() -> None:
    vectors = pl.Series([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    table = found(vectors, pl.Series(["a", "b", "c"]), threshold=1.0, best=pl.Series([1, 2, None]))
    assert table.rows() == [(0, 1, 1.0)]


@pytest.mark.parametrize(
    "vectors",
    [
        pl.Series([[1.0], [1.0, 2.0]]),
        pl.Series([[], []], dtype=pl.List(pl.Float32)),
        pl.Series([[1.0, float("nan")]]),
        pl.Series([[1.0, None]]),
        pl.Series([1.0]),
        pl.Series([["a"]]),
    ],
    ids=["ragged", "empty", "nan", "null", "numbers", "words"],
)
def test_what_is_no_vector_is_refused(vectors: pl.Series) -> None:
    with pytest.raises(SpecError, match="D204"):
        found(vectors, pl.Series(["a"] * len(vectors)), threshold=0.9)


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(SpecError, match="D204"):
        found(pl.Series([[1.0]]), pl.Series(["a"]), threshold=threshold)


def test_nothing_is_near_nothing() -> None:
    for vectors in ([], [None, None], [[0.0, 0.0]]):
        ids = [str(at) for at in range(len(vectors))]
        assert found(
            pl.Series(vectors, dtype=pl.List(pl.Float32)), pl.Series(ids, dtype=pl.String), threshold=0.9
        ).is_empty()
