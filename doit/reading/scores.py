"""Scores from outside: a file with one row a record, which names the record and gives it numbers.

A record is named by its `id`, or by where it was read: `file` and `row` (and `source`, and `part`, where they are
given) as the ledger writes them. The file is JSON Lines, JSON, CSV, TSV or Parquet, packed or not.

    {"id": "5d41402abc4b2a76b9719d911017c592", "quality": 4.5, "complexity": 2}
    {"file": "data/a.jsonl", "row": 0, "quality": 4.5}
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import polars as pl

from doit.errors import DataError, SpecError, did_you_mean
from doit.reading.rows import Bad, Layout, Row, read_rows

PLACES = {"source": pl.String, "file": pl.String, "row": pl.Int64, "part": pl.Int32}
"""Columns that say where a record was read; `file` and `row` at least."""

_ID = re.compile(r"[0-9a-f]{32}")


def read_scores(path: Path, by: str) -> pl.DataFrame:
    """Read one score of every record.

    Args:
        path: a file.
        by: the column with the score. A number written as text is a number, as it must be in CSV; null or an empty text
            is no score.

    Returns:
        The columns that name a record (`id`, or those of `PLACES`), and `score` (float, null where there is none); a
        row a record.

    Raises:
        SpecError: there is no such file (D206) or no such column (D203), or a record has two scores (D207).
        DataError: a row cannot be read, is no object, lacks its record's name (D310), or its score is no number (D312).
    """
    names: tuple[str, ...] = ()
    known: dict[tuple[Any, ...], float | None] = {}
    columns: dict[str, None] = {}
    for batch in read_rows(path, Layout()):
        for row in batch:
            values = _values(row, path)
            columns.update(dict.fromkeys(values))
            names = names or _names(values, path)
            record = tuple(_name(values, name, path, row) for name in names)
            score = _score(values, by, path, row)
            if known.setdefault(record, score) != score:
                shown = ", ".join(f"{name} {value}" for name, value in zip(names, record, strict=True))
                where = _where(path, row)
                raise SpecError("D207", f"{shown} has two different scores.", where=where, hint="Keep one of them.")
    if known and by not in columns:
        hint = did_you_mean(by, columns) or f"It has: {', '.join(list(columns)[:12])}."
        raise SpecError("D203", f'there is no column "{by}".', where=str(path), hint=hint)
    types = {"id": pl.String, **PLACES}
    schema = {name: types[name] for name in names or ("id",)}
    return pl.DataFrame(
        [(*name, score) for name, score in known.items()], {**schema, "score": pl.Float64}, orient="row"
    )


def scores_of(records: pl.DataFrame, scores: pl.DataFrame) -> pl.Series:
    """The score of every record; null where it has none.

    Args:
        records: a row a record, with `id` and the columns of `PLACES`.
        scores: what `read_scores` gave.
    """
    names = [name for name in scores.columns if name != "score"]
    wanted = records.select(pl.col(name).cast(scores.schema[name]) for name in names)
    return wanted.join(scores, on=names, how="left", maintain_order="left")["score"]


def matched(found: pl.Series, path: str, what: str) -> str:
    """What to say where a file from outside has nothing for some records; empty where it has something for all.

    Args:
        found: of every record what the file has for it, null where that is nothing.
        path: of the file, as the spec names it.
        what: what the file should have, such as `a vector`.

    Raises:
        DataError: D310, it has nothing for any record, so that the rule would do nothing.
    """
    absent = found.null_count()
    if absent and absent == len(found):
        what = f"none of {absent:,} records has {what} here."
        raise DataError("D310", what, where=path, hint="Its rows must name records as the mixture's ledger does.")
    there = len(found) - absent
    return f"D310 {path}: only {there:,} of {len(found):,} records have {what} here." if absent else ""


def _where(path: Path, row: Row | Bad) -> str:
    return str(path) if row.row is None else f"{path}: row {row.row}"


def _values(row: Row | Bad, path: Path) -> dict[str, Any]:
    if isinstance(row, Bad):
        raise DataError(row.code, row.reason, where=_where(path, row))
    if not isinstance(row.value, dict):
        raise DataError("D305", "a row of scores is an object of column and value.", where=_where(path, row))
    return row.value


def _names(values: dict[str, Any], path: Path) -> tuple[str, ...]:
    """The columns that name a record, of the first row."""
    if "id" in values:
        return ("id",)
    if "file" in values and "row" in values:
        return tuple(name for name in PLACES if name in values)
    hint = "Give the columns `id`, or `file` and `row`, as the ledger has them."
    raise DataError("D310", "no column names the record.", where=str(path), hint=hint)


def _name(values: dict[str, Any], name: str, path: Path, row: Row | Bad) -> str | int:
    value = values.get(name)
    if value is None:
        raise DataError("D310", f"`{name}` is missing.", where=_where(path, row), hint="Every row names its record.")
    if name in ("row", "part"):
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else value
        if (
            isinstance(number, int)
            and not isinstance(number, bool)
            and 0 <= number < (1 << 63 if name == "row" else 1 << 31)
        ):
            return number
        raise DataError("D312", f"`{name}` is {str(value)[:40]!r}, no number from 0.", where=_where(path, row))
    if isinstance(value, str) and (name != "id" or _ID.fullmatch(value)):
        return value
    wanted = "32 small hex digits" if name == "id" else "text"
    raise DataError("D312", f"`{name}` is {str(value)[:40]!r}, not {wanted}.", where=_where(path, row))


def _score(values: dict[str, Any], by: str, path: Path, row: Row | Bad) -> float | None:
    value = values.get(by)
    if value is None or value == "":
        return None
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not math.isfinite(number):
        raise DataError("D312", f"`{by}` is {str(value)[:40]!r}, which is no finite number.", where=_where(path, row))
    return number
