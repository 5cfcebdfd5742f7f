from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from doit.errors import DataError, SpecError, StorageError
from doit.inspecting.counts import GROUPS, count, crosstab, inspect

ROWS = pl.DataFrame(
    {
        "language": ["zh-Hans", "zh-Hans", "zh-Hans", "en", "en", "zh-Hant"],
        "ability": ["math", "math", None, "math", "code", None],
        "source": ["甲", "甲", "乙", "a", "a", "乙"],
        "construction": ["human", "human", "human", "mixed", "mixed", "human"],
        "license": ["MIT", "MIT", "unknown", "MIT", "MIT", "unknown"],
        "file": ["一.json"] * 3 + ["b.json"] * 3,
        "turns": pl.Series([1, 1, 2, 3, 1, 1], dtype=pl.Int32),
        "chars": pl.Series([10, 20, 30, 40, 50, 1000], dtype=pl.Int32),
        "messages": [[{"role": "user", "content": "不读"}]] * 6,
    }
)


def write_mixture(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "manifest.json").write_text('{"doit": "0.1.0"}', "utf-8")
    ROWS.head(4).write_parquet(folder / "data" / "train-00000-of-00002.parquet")
    ROWS.tail(2).write_parquet(folder / "data" / "train-00001-of-00002.parquet")
    ROWS.write_parquet(folder / "data" / "validation-00000-of-00001.parquet")
    ROWS.select("source").write_parquet(folder / "ledger.parquet")
    return folder


def write_file(folder: Path) -> Path:
    ROWS.write_parquet(folder / "pool.parquet")
    return folder / "pool.parquet"


def write_folder(folder: Path) -> Path:
    ROWS.head(1).write_parquet(folder / "a.parquet")
    ROWS.tail(5).write_parquet(folder / "b.parquet")
    return folder


@pytest.mark.parametrize("write", [write_mixture, write_file, write_folder])
def test_counts_are_the_same_from_a_mixture_a_folder_and_a_file(tmp_path, write):
    answer = inspect(write(tmp_path))

    assert answer.records == 6
    assert answer.by == {
        "language": {"zh-Hans": 3, "en": 2, "zh-Hant": 1},
        "ability": {"math": 3, "untagged": 2, "code": 1},
        "source": {"甲": 2, "a": 2, "乙": 2},
        "construction": {"human": 4, "mixed": 2},
    }
    assert list(answer.by["source"]) == ["a", "乙", "甲"]
    assert [(c.language, c.ability, c.records) for c in answer.cross] == [
        ("zh-Hans", "math", 2),
        ("en", "code", 1),
        ("en", "math", 1),
        ("zh-Hans", None, 1),
        ("zh-Hant", None, 1),
    ]
    assert answer.lengths["chars"] == {
        "min": 10, "p25": 22.5, "median": 35, "mean": pytest.approx(1150 / 6), "p75": 47.5, "p95": 762.5, "max": 1000,
    }  # fmt: skip
    assert answer.lengths["turns"]["max"] == 3


def test_tokens_are_counted_where_there_are_some(tmp_path):
    ROWS.with_columns(tokens=pl.col("chars") * 2).write_parquet(tmp_path / "a.parquet")
    ROWS.write_parquet(tmp_path / "b.parquet")

    both = inspect(tmp_path).lengths["tokens"]
    assert (both["min"], both["max"]) == (20, 2000)
    assert "tokens" not in inspect(tmp_path / "b.parquet").lengths


def test_nothing_is_counted_as_nothing():
    answer = count(ROWS.head(0).lazy())

    assert answer.records == 0
    assert answer.cross == ()
    assert answer.lengths == {"chars": {}, "turns": {}}


def test_a_name_with_glob_characters_is_a_name(tmp_path):
    folder = tmp_path / "a[1]*?{x}"
    folder.mkdir()

    assert inspect(write_file(folder)).records == 6
    assert inspect(folder).records == 6


def test_hive_folders_and_other_integer_types_change_nothing(tmp_path):
    folder = tmp_path / "language=xx"
    folder.mkdir()
    ROWS.head(2).with_columns(pl.col("turns", "chars").cast(pl.Int64)).write_parquet(folder / "a.parquet")
    ROWS.tail(4).with_columns(pl.col("language").cast(pl.Categorical)).write_parquet(folder / "b.parquet")

    assert inspect(folder).by["language"] == {"zh-Hans": 3, "en": 2, "zh-Hant": 1}


def test_abilities_that_are_all_null_are_untagged(tmp_path):
    ROWS.with_columns(ability=pl.lit(None)).write_parquet(tmp_path / "a.parquet")

    assert inspect(tmp_path).by["ability"] == {"untagged": 6}


def test_only_training_rows_of_a_mixture_are_needed(tmp_path):
    folder = write_mixture(tmp_path)
    for path in (folder / "data").glob("train-*"):
        path.unlink()

    with pytest.raises(StorageError) as caught:
        inspect(folder)
    assert caught.value.code == "D102"


def test_a_missing_path_names_the_nearest(tmp_path):
    (tmp_path / "mixture").mkdir()

    with pytest.raises(SpecError) as caught:
        inspect(tmp_path / "mixtrue")
    assert caught.value.code == "D206"
    assert 'Did you mean "mixture"?' in str(caught.value)


def test_a_folder_of_mixtures_says_so(tmp_path):
    write_mixture(tmp_path / "640")

    with pytest.raises(SpecError, match="There are mixtures in it: 640") as caught:
        inspect(tmp_path)
    assert caught.value.code == "D206"


def test_missing_columns_are_named(tmp_path):
    ROWS.drop("chars", "ability").write_parquet(tmp_path / "a.parquet")

    with pytest.raises(DataError, match="no column `ability`, `chars`") as caught:
        inspect(tmp_path)
    assert caught.value.code == "D309"


def test_columns_of_another_type_are_named(tmp_path):
    ROWS.with_columns(turns=pl.lit("two")).write_parquet(tmp_path / "a.parquet")

    with pytest.raises(DataError, match="`turns` is String, not Int64") as caught:
        inspect(tmp_path)
    assert caught.value.code == "D309"


@pytest.mark.parametrize("content", [b"", b"PAR1", b'{"a": 1}\n', b"PAR1" + b"\x00" * 64 + b"PAR1"])
def test_what_is_not_parquet_is_an_error_with_a_code(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)

    with pytest.raises(DataError) as caught:
        inspect(path)
    assert caught.value.code == "D309"


def test_crosstab_counts_every_combination(tmp_path):
    counted = crosstab(write_file(tmp_path), ["ability", "language"])

    assert counted.rows() == [
        ("math", "zh-Hans", 2),
        ("code", "en", 1),
        ("math", "en", 1),
        ("untagged", "zh-Hans", 1),
        ("untagged", "zh-Hant", 1),
    ]
    assert counted.columns == ["ability", "language", "records"]


@pytest.mark.parametrize("column", GROUPS)
def test_crosstab_takes_every_column(tmp_path, column):
    counted = crosstab(write_mixture(tmp_path), [column])

    assert counted["records"].sum() == 6
    assert counted["records"].is_sorted(descending=True)


@pytest.mark.parametrize(
    ("by", "code", "words"),
    [
        (["langauge"], "D203", 'Did you mean "language"?'),
        (["messages"], "D203", "Columns: language"),
        ([], "D204", "no column is named"),
        (["file", "file"], "D204", "named twice"),
    ],
)
def test_crosstab_refuses_other_columns(tmp_path, by, code, words):
    with pytest.raises(SpecError) as caught:
        crosstab(write_file(tmp_path), by)
    assert caught.value.code == code
    assert words in str(caught.value)
