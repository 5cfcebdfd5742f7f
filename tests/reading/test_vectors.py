from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from doit.errors import DataError, SpecError
from doit.reading.vectors import read_vectors, vectors_of


def test_vectors_come_to_their_records(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": ["b", "a"], "embedding": [[1.0, 0.0], [0.5, 2.0]], "more": [1, 2]})
    rows.write_parquet(tmp_path / "v.parquet")

    read = read_vectors(tmp_path / "v.parquet")

    assert vectors_of(pl.Series(["a", "c", "b"]), read).to_list() == [[0.5, 2.0], None, [1.0, 0.0]]


def test_arrays_of_whole_numbers_are_vectors_too(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": ["a"], "embedding": pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2))})
    rows.write_parquet(tmp_path / "v.parquet")

    assert read_vectors(tmp_path / "v.parquet")["embedding"].to_list() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("columns", "kind", "code"),
    [
        ({"id": ["a"]}, DataError, "D310"),
        ({"embedding": [[1.0]]}, DataError, "D310"),
        ({"id": ["a"], "embedding": ["x"]}, DataError, "D312"),
        ({"id": ["a", "a"], "embedding": [[1.0], [2.0]]}, SpecError, "D207"),
    ],
)
def test_a_file_that_holds_no_vectors_is_refused(tmp_path: Path, columns: dict, kind: type, code: str) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "v.parquet")

    with pytest.raises(kind) as caught:
        read_vectors(tmp_path / "v.parquet")

    assert caught.value.code == code


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.parquet").write_text("not it")

    with pytest.raises(DataError, match="D309"):
        read_vectors(tmp_path / "v.parquet")
    with pytest.raises(SpecError, match="D206"):
        read_vectors(tmp_path / "w.parquet")
