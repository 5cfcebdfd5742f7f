"""The commands that prove and explain a mixture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from doit import verbs
from doit.cli.app import Json, app, print_json


@app.command
def verify(out: Path, /, *, json: Json = False) -> None:
    """Check every digest and law of a mixture.

    Parameters
    ----------
    out:
        A mixture's folder.
    """
    answer = verbs.verify(out)
    if json:
        print_json(answer)
    else:
        from doit.inspecting.tables import show, verify_table

        show(verify_table(answer), file=sys.stdout)
    if not answer.ok:
        raise SystemExit(3)


@app.command
def why(out: Path, target: str, /, *, json: Json = False) -> None:
    """Say why a record or row was drawn, left, dropped or rejected.

    Parameters
    ----------
    out:
        A mixture's folder; of a series or of variants, every one answers.
    target:
        An id or its first digits, at least 6; or FILE:ROW or SOURCE:FILE:ROW, rows counted from 0.
    """
    answer = verbs.why(out, target)
    if json:
        print_json(answer)
        return
    from doit.inspecting.explaining_tables import why_table
    from doit.inspecting.tables import show

    show(why_table(answer), file=sys.stdout)


@app.command
def diff(
    a: Path,
    b: Path,
    /,
    *,
    ids: Annotated[int, Parameter(help="List so many ids that only one of them has.")] = 0,
    json: Json = False,
) -> None:
    """Show what differs between two mixtures.

    Parameters
    ----------
    a:
        A mixture's folder.
    b:
        Another one.
    """
    answer = verbs.diff(a, b, ids=ids)
    if json:
        print_json(answer)
        return
    from doit.inspecting.explaining_tables import diff_table
    from doit.inspecting.tables import show

    show(diff_table(answer), file=sys.stdout)
