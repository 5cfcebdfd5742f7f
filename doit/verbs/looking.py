"""The verbs that show: what a mixture holds, what a folder holds, what is shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doit.errors import SpecError
from doit.verbs.pages import looked_at

if TYPE_CHECKING:
    import polars as pl

    from doit.inspecting.starting import InitAnswer
    from doit.mixtures.manifest import InspectAnswer


def inspect(path: str | Path, *, where: Sequence[str] = ()) -> InspectAnswer:
    """Count a mixture, or Parquet files of records, by language, ability, source and construction.

    Args:
        path: a mixture's folder, a folder of Parquet files, or one file.
        where: `column=value` conditions that the counted rows meet, such as `language=zh`.

    Raises:
        SpecError: nothing to inspect there.
    """
    from doit.inspecting.counts import inspect as count
    from doit.inspecting.notebook import Inspected, shown

    return shown(count(Path(path), where), Inspected)


def samples(path: str | Path, per_cell: int = 3, *, where: Sequence[str] = ()) -> pl.DataFrame:
    """A few rows of every cell of language and ability, with their messages.

    Args:
        path: as for `inspect`.
        per_cell: rows of one cell.
        where: as for `inspect`.

    Raises:
        SpecError: nothing to inspect there.
    """
    from doit.inspecting.counts import files_of
    from doit.inspecting.samples import LOOKED_AT
    from doit.inspecting.samples import samples as take

    if per_cell < 1:
        raise SpecError("D204", f"`per_cell` is {per_cell}.", hint="Give 1 or more.")
    return take(files_of(Path(path)), per_cell=per_cell, most=LOOKED_AT, where=where)


def crosstab(path: str | Path, by: Sequence[str], *, where: Sequence[str] = ()) -> pl.DataFrame:
    """Count a mixture by any columns.

    Returns:
        The columns `by` and `records`, most first.

    Raises:
        SpecError: an unknown column, or nothing to inspect there.
    """
    from doit.inspecting.counts import crosstab as count

    return count(Path(path), by, where)


def heatmap(path: str | Path, png: str | Path, *, where: Sequence[str] = ()) -> None:
    """Draw language by ability as a PNG.

    Args:
        path: as for `inspect`.
        png: the file to write.
        where: as for `inspect`.

    Raises:
        SpecError: nothing to inspect there, or `altair` and `vl-convert-python` are missing.
    """
    from doit import storage
    from doit.inspecting.heatmap import heatmap_png

    storage.write_bytes(Path(png), heatmap_png(inspect(path, where=where)))


def serve(paths: Sequence[str | Path], *, port: int = 0, told: Callable[[str], None]) -> None:
    """Serve a page for exploring mixtures or pools, on the loopback device alone, until it is interrupted.

    Args:
        paths: one or several, side by side; each as for `inspect`.
        port: 0 = a free one.
        told: is given the page's address.

    Raises:
        SpecError: nothing to inspect there, or the port is taken.
    """
    from doit.inspecting.serving import serve as start

    start([Path(path) for path in paths], port=port, told=told)


def report(out: str | Path, html: str | Path) -> None:
    """Write the report of a mixture to another file.

    Raises:
        SpecError: there is no mixture there.
    """
    import polars as pl

    from doit import storage
    from doit.inspecting.report import report_html
    from doit.mixtures.opening import one_mixture

    folder = Path(out)
    manifest = one_mixture(folder).manifest
    columns = ["language", "ability", "source", "construction", "turns", "chars", "tokens", "epoch"]
    train = pl.scan_parquet(folder / "data" / "train-*.parquet").select(columns).collect()
    page = report_html(manifest, train, pl.read_parquet(folder / "rejects.parquet"), **looked_at(manifest, folder))
    storage.write_text(Path(html), page)


def init(folder: str | Path, *, out: str | Path | None = None) -> InitAnswer:
    """Look through a folder of files and write a starting spec: shapes with their evidence, counts, labels and doubts.

    Args:
        folder: a folder, or one file.
        out: where to write the spec; its `files` are then relative to that file's folder, else to the working folder.

    Returns:
        What was found, what mixtures are feasible, and the spec as text.

    Raises:
        SpecError: there is nothing there, or no file in it.
        StorageError: `out` is there already, or the disk refused.
    """
    from doit.inspecting.starting import start

    if out is None:
        return start(Path(folder), Path())
    from doit import storage
    from doit.errors import StorageError

    target = Path(out)
    if target.exists():
        raise StorageError("D101", "there is something already.", where=str(target), hint="Name another file.")
    answer = start(Path(folder), target.parent)
    storage.write_text(target, answer.spec)
    return answer


def listing(kind: str) -> list[dict[str, Any]]:
    """What is shipped of a kind, one row each: `name` and what is worth knowing.

    Args:
        kind: datasets, mixtures, trainers, shapes, rules, methods, abilities or crosswalks.
    """
    from doit.listing import rows

    return rows(kind)


def describe(name: str) -> dict[str, Any]:
    """Everything about one shipped thing, as plain data.

    Raises:
        SpecError: nothing has this name.
    """
    from doit.listing import one

    return one(name)
