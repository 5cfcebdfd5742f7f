"""The commands that show: what a mixture holds, what a folder holds, what is shipped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from doit import verbs
from doit.cli.app import Json, app, print_json, print_value

if TYPE_CHECKING:
    import polars as pl


@app.command
def inspect(
    path: Path,
    /,
    *,
    by: Annotated[str | None, Parameter(help="Count by these columns instead, such as `language,ability`.")] = None,
    where: Annotated[
        tuple[str, ...], Parameter(negative="", help="Only rows with this value: `language=zh`; may be repeated.")
    ] = (),
    show_: Annotated[int | None, Parameter(name="--show", help="Print so many rows of every cell.")] = None,
    html: Annotated[Path | None, Parameter(help="Write the mixture's report to this file.")] = None,
    png: Annotated[Path | None, Parameter(help="Draw language by ability to this file.")] = None,
    serve: Annotated[bool, Parameter(negative="", help="Open the rows to a browser on this computer.")] = False,
    beside: Annotated[Path | None, Parameter(help="With --serve: another mixture or pool, side by side.")] = None,
    port: Annotated[int, Parameter(help="With --serve: the port; a free one if not given.")] = 0,
    json: Json = False,
) -> None:
    """Count records by language, ability, source and length.

    Parameters
    ----------
    path:
        A mixture's folder, a folder of Parquet files, or one Parquet file.
    """
    from doit.inspecting.tables import crosstab_table, inspect_table, show

    if serve:
        shown = [path] if beside is None else [path, beside]
        verbs.serve(shown, port=port, told=lambda address: print(f"{address}  (Ctrl-C ends it)", file=sys.stderr))
        return
    if html is not None:
        verbs.report(path, html)
    if png is not None:
        verbs.heatmap(path, png, where=where)
    if show_ is not None:
        _show_samples(verbs.samples(path, show_, where=where), json=json)
        return
    if by is not None:
        counted = verbs.crosstab(path, tuple(name.strip() for name in by.split(",")), where=where)
        if json:
            print_value({"by": counted.columns[:-1], "rows": counted.to_dicts()})
        else:
            show(crosstab_table(counted), file=sys.stdout)
        return
    answer = verbs.inspect(path, where=where)
    if json:
        print_value(answer.model_dump())
    else:
        show(inspect_table(answer), file=sys.stdout)


def _show_samples(rows: pl.DataFrame, *, json: bool) -> None:
    from doit.inspecting.sample_table import samples_table
    from doit.inspecting.tables import show

    if json:
        print_value(rows.to_dicts())
    else:
        show(samples_table(rows), file=sys.stdout)


@app.command
def init(
    folder: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Write the spec to this new file.")] = None,
    json: Json = False,
) -> None:
    """Look through a folder of files and write a starting spec.

    Parameters
    ----------
    folder:
        A folder of files in any format, or one file.
    """
    answer = verbs.init(folder, out=out)
    if json:
        print_json(answer)
        return
    from doit.inspecting.starting_table import init_table
    from doit.inspecting.tables import show

    show(init_table(answer), file=sys.stderr)
    if out is None:
        sys.stdout.write(answer.spec)
    else:
        print(f"The spec is in {out}.", file=sys.stderr)


@app.command(name="list")
def list_(
    kind: Literal["datasets", "mixtures", "trainers", "shapes", "rules", "methods", "abilities", "crosswalks"],
    /,
    *,
    json: Json = False,
) -> None:
    """List what is shipped: datasets, mixtures, trainers, shapes, rules, methods, abilities or crosswalks.

    Parameters
    ----------
    kind:
        What to list.
    """
    rows = verbs.listing(kind)
    if json:
        print_value(rows)
        return
    from doit.inspecting.listings import listing_table
    from doit.inspecting.tables import show

    show(listing_table(rows), file=sys.stdout)


@app.command
def show(name: str, /, *, json: Json = False) -> None:
    """Show one dataset card, mixture, trainer, shape, rule, method or ability.

    Parameters
    ----------
    name:
        A name that `doit list` shows.
    """
    found = verbs.describe(name)
    if json:
        print_value(found)
    else:
        from doit.yamlio import dump

        print(dump(found), end="")
