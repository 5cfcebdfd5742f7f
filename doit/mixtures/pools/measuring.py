"""Measurements of a pool's records, cached beside it: a changed threshold reads no text."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

import doit
from doit import jobs, storage
from doit.curation.rules.base import Measured
from doit.mixtures.pools.pool import PoolPart, scan_records
from doit.progress import Progress

WORTH_A_PROCESS = 200_000
"""Records for which one more process is started: fewer are measured sooner than it is up."""


@cache
def curation_code() -> bytes:
    """Digest of the code and the tables by which records are measured and rewritten."""
    root = Path(doit.__file__).parent / "curation"
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.digest()


@dataclass(frozen=True)
class _Task:
    """One entry of the pool, and what is to be measured there."""

    folder: Path
    records: int
    rules: tuple[Measured, ...]


def measured(pool: Sequence[PoolPart], rules: Sequence[Measured], *, workers: int | None, engine: str) -> pl.DataFrame:
    """What each rule reads, one column a rule (`0`, `1`, …), in the order of the slim table.

    Args:
        pool: the entries.
        rules: the rules.
        workers: processes at most; None = as many as help.
        engine: local or ray.
    """
    tasks = [_Task(part.entry.folder, part.entry.records, tuple(rules)) for part in pool]
    missing = [task for task in tasks if not all(_known(task, rule) for rule in rules)]
    wanted = sum(task.records for task in missing)
    most = (os.cpu_count() or 1) if workers is None else workers
    count = min(most, 1 + wanted // WORTH_A_PROCESS)
    with Progress("measuring", total=wanted, unit="records") as progress:
        jobs.run(_measure, missing, jobs=count, engine=engine, progress=progress.advance)
    columns = [pl.concat([_read(task, rule) for task in tasks]).alias(str(at)) for at, rule in enumerate(rules)]
    return pl.DataFrame(columns)


def _measure(task: _Task) -> int:
    """Measure an entry, and leave every column beside it."""
    rules = [rule for rule in task.rules if not _known(task, rule)]
    wanted = [rule.measure().alias(str(at)) for at, rule in enumerate(rules)]
    found = scan_records(task.folder).select(wanted).collect(engine="streaming")
    for at, rule in enumerate(rules):
        column = found.select(value=pl.col(str(at)))
        target = _path(task, rule)
        target.parent.mkdir(exist_ok=True)
        with storage.atomic_file(target) as file:
            column.write_parquet(file)
        storage.write_text(target.with_suffix(".sha256"), storage.file_digest(target))
    return task.records


def _path(task: _Task, rule: Measured) -> Path:
    name = hashlib.sha256(curation_code() + rule.measurement()).hexdigest()[:32]
    return task.folder / "measured" / f"{name}.parquet"


def _known(task: _Task, rule: Measured) -> bool:
    """Whether a measurement is there and undamaged."""
    path = _path(task, rule)
    try:
        return path.with_suffix(".sha256").read_text(encoding="ascii") == storage.file_digest(path)
    except (OSError, UnicodeDecodeError):
        return False


def _read(task: _Task, rule: Measured) -> pl.Series:
    return pl.read_parquet(_path(task, rule), glob=False)["value"]
