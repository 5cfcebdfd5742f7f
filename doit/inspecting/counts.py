"""How many records of what there are: the counts behind `doit inspect`, from slim columns alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from doit.errors import DataError, SpecError, StorageError, did_you_mean
from doit.mixtures.manifest import CrossCount, InspectAnswer

UNTAGGED = "untagged"
"""What a record without an ability is called in counts."""

LENGTHS = ("chars", "turns", "tokens")
"""Columns of lengths; tokens are there only where somebody counted them."""

MARGINS = ("language", "ability", "source", "construction")
STATISTICS = ("min", "p25", "median", "mean", "p75", "p95", "max")

_TYPES: dict[str, type[pl.DataType]] = {
    "language": pl.String,
    "ability": pl.String,
    "construction": pl.String,
    "source": pl.String,
    "license": pl.String,
    "file": pl.String,
    "turns": pl.Int64,
    "chars": pl.Int64,
    "tokens": pl.Int64,
}
GROUPS = ("language", "ability", "construction", "source", "license", "turns", "file")
"""The columns that `--by` takes."""


def inspect(path: Path, where: Sequence[str] = ()) -> InspectAnswer:
    """Count what a mixture or pool holds.

    Args:
        path: a mixture's folder (its training rows are counted, copies too), a folder of Parquet files, or one file.
        where: `column=value` conditions, all of which hold; see `conditions`.

    Returns:
        Counts, most first and equal ones by name, and the lengths: `chars` are Unicode characters of all contents,
        `turns` assistant turns, `tokens` there only where they were counted; quantiles are interpolated. The lengths
        of nothing are empty.

    Raises:
        SpecError: D206 when there is nothing at `path`, or no Parquet file in it.
        DataError: D309 when a file is not Parquet, or lacks one of our columns.
        StorageError: D102 when a mixture's training rows are gone.
    """
    rows = _scan(path, (*MARGINS, *LENGTHS), where)
    try:
        return count(rows)
    except pl.exceptions.PolarsError as error:
        raise _unreadable(path, error) from error


def count(rows: pl.LazyFrame) -> InspectAnswer:
    """Count rows that are at hand: the columns of `MARGINS`, and those of `LENGTHS` that there are; see `inspect`."""
    held = [column for column in LENGTHS if column in rows.collect_schema()]
    cells, lengths = pl.collect_all([rows.group_by(MARGINS).len("records"), rows.select(_statistics(held))])
    return InspectAnswer(
        records=int(cells["records"].sum()),
        by={axis: _margin(cells, axis) for axis in MARGINS},
        cross=_cross(cells),
        lengths={column: found for column in held if (found := _named(lengths, column)) or column != "tokens"},
    )


def crosstab(path: Path, by: Sequence[str], where: Sequence[str] = ()) -> pl.DataFrame:
    """Count the records of every combination of values of some columns.

    Args:
        path: as for `inspect`.
        by: one or more of `GROUPS`, each once.
        where: as for `inspect`.

    Returns:
        The columns of `by` in their order and `records`; most first, equal ones by value. No ability is `untagged`.

    Raises:
        SpecError: D203 for an unknown column, D204 for none or a repeated one; and as `inspect`.
    """
    for column in by:
        if column not in GROUPS:
            hint = f"{did_you_mean(column, GROUPS)} Columns: {', '.join(GROUPS)}.".strip()
            raise SpecError("D203", f'no column "{column}" to count by.', where="--by", hint=hint)
    if not by or len(set(by)) < len(by):
        what = "a column is named twice." if by else "no column is named."
        raise SpecError("D204", what, where="--by", hint="For example `--by language,ability`.")
    counted = _scan(path, by, where).group_by(by).len("records")
    if "ability" in by:
        counted = counted.with_columns(pl.col("ability").fill_null(UNTAGGED))
    order = counted.sort(["records", *by], descending=[True, *(False for _ in by)])
    try:
        return order.with_columns(pl.col("records").cast(pl.Int64)).collect()
    except pl.exceptions.PolarsError as error:
        raise _unreadable(path, error) from error


def conditions(asked: Sequence[str]) -> pl.Expr:
    """The rows that `column=value` conditions ask for, all of them together.

    Args:
        asked: conditions on the columns of `GROUPS`; `language=zh` means the range, `ability=untagged` no ability.

    Raises:
        SpecError: D203 an unknown column, D204 no condition.
    """
    kept = pl.lit(value=True)
    for condition in asked:
        column, equals, value = condition.partition("=")
        if not equals or not value:
            raise SpecError("D204", f"{condition!r} is no condition.", where="--where", hint="Such as `language=zh`.")
        if column not in GROUPS:
            hint = f"{did_you_mean(column, GROUPS)} Columns: {', '.join(GROUPS)}.".strip()
            raise SpecError("D203", f'no column "{column}".', where="--where", hint=hint)
        kept = kept & _condition(column, value)
    return kept


def _condition(column: str, value: str) -> pl.Expr:
    if column == "language":
        return (pl.col(column).str.to_lowercase() + "-").str.starts_with(f"{value.lower()}-")
    if column == "ability" and value == UNTAGGED:
        return pl.col(column).is_null()
    return pl.col(column).cast(pl.String) == value


def _scan(path: Path, columns: Sequence[str], where: Sequence[str]) -> pl.LazyFrame:
    kept = conditions(where)
    asked = [condition.partition("=")[0] for condition in where]
    read = list(dict.fromkeys([*columns, *asked]))
    return pl.concat([_slim(file, read) for file in files_of(path)]).filter(kept).select(columns)


def natural(name: str) -> tuple[int, str]:
    """Sorts sizes as numbers, and other names after them."""
    return (int(name) if name.isdecimal() else 1 << 62, name)


def files_of(path: Path) -> list[Path]:
    """The Parquet files that `inspect` reads of a path; see there."""
    if not path.exists():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, siblings) or "Name a mixture's folder, or a Parquet file or a folder of them."
        raise SpecError("D206", "no such file or folder.", where=str(path), hint=hint)
    if not path.is_dir():
        return [path]
    if (path / "manifest.json").is_file():
        files = sorted((path / "data").glob("train-*.parquet"))
        sizes = sorted((entry.name for entry in path.glob("*") if (entry / "manifest.json").is_file()), key=natural)
        if not files and sizes:
            what = f"a series of mixtures: {', '.join(sizes)}."
            raise SpecError("D206", what, where=str(path), hint=f"Name one of them, such as {path / sizes[-1]}.")
        if not files:
            what = "a mixture without training rows (`data/train-*.parquet`)."
            raise StorageError("D102", what, where=str(path), hint="Build it again.")
        return files
    files = sorted(file for file in path.glob("*.parquet") if file.is_file())
    if not files:
        below = sorted(entry.name for entry in path.iterdir() if (entry / "manifest.json").is_file())
        hint = f"There are mixtures in it: {', '.join(below[:8])}." if below else "`doit init` looks into other files."
        raise SpecError("D206", "no Parquet file in this folder.", where=str(path), hint=hint)
    return files


def _slim(file: Path, columns: Sequence[str]) -> pl.LazyFrame:
    """Some of our columns of one file, in the same types whatever wrote it."""
    rows = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    try:
        held = rows.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(file, error) from error
    missing = [column for column in columns if column not in held]
    if missing == ["tokens"]:
        rows, missing = rows.with_columns(tokens=pl.lit(None, pl.Int64)), []
    if missing:
        hint = "`doit inspect` reads pools and mixtures; `doit init` looks into other files."
        raise DataError("D309", f"no column {_quoted(missing)}.", where=str(file), hint=hint)
    wrong = [column for column in columns if column in held and not _fits(held[column], _TYPES[column])]
    if wrong:
        types = ", ".join(f"`{column}` is {held[column]}, not {_TYPES[column]}" for column in wrong)
        raise DataError("D309", f"{types}.", where=str(file))
    return rows.select(pl.col(column).cast(_TYPES[column]) for column in columns)


def _fits(held: pl.DataType, ours: type[pl.DataType]) -> bool:
    if held == pl.Null:
        return True
    return held.is_integer() if ours == pl.Int64 else held.base_type() in {pl.String, pl.Categorical, pl.Enum}


def _unreadable(file: Path, error: Exception) -> DataError:
    reason = str(error).partition("\n")[0]
    return DataError("D309", f"cannot be read as Parquet: {reason}.", where=str(file))


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _statistics(columns: Sequence[str]) -> list[pl.Expr]:
    made = []
    for column in columns:
        values = pl.col(column)
        quantiles = [values.quantile(at, "linear") for at in (0.25, 0.5, 0.75, 0.95)]
        low, middle, high, top = quantiles
        ordered = (values.min(), low, middle, values.mean(), high, top, values.max())
        made += [value.alias(f"{column} {name}") for name, value in zip(STATISTICS, ordered, strict=True)]
    return made


def _named(row: pl.DataFrame, column: str) -> dict[str, float]:
    values = {name: row.item(0, f"{column} {name}") for name in STATISTICS}
    return {name: float(value) for name, value in values.items() if value is not None}


def _margin(cells: pl.DataFrame, axis: str) -> dict[str, int]:
    counted = cells.group_by(pl.col(axis).fill_null(UNTAGGED)).agg(pl.col("records").sum())
    return dict(counted.sort(["records", axis], descending=[True, False]).select(axis, "records").iter_rows())


def _cross(cells: pl.DataFrame) -> tuple[CrossCount, ...]:
    axes = ["language", "ability"]
    counted = cells.group_by(axes).agg(pl.col("records").sum())
    ordered = counted.sort(["records", *axes], descending=[True, False, False], nulls_last=True)
    return tuple(CrossCount(language=a, ability=b, records=n) for a, b, n in ordered.iter_rows())
