"""From one format to another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from doit import verbs
from doit.cli.app import Json, app, print_json
from doit.errors import SpecError


@app.command
def convert(
    *paths: Path,
    to: Annotated[
        str,
        Parameter(
            help="Format: messages, alpaca, sharegpt, belle, doit, cot, pairs, marked_text, qa; of a mixture's folder: "
            "llamafactory, axolotl, ms-swift, trl, openai, alpaca, belle, doit."
        ),
    ],
    dataset: Annotated[str | None, Parameter(help="Name or path of the card to read the inputs by.")] = None,
    shape: Annotated[str | None, Parameter(help="Kind of the inputs' shape, if not told by their content.")] = None,
    lossy: Annotated[bool, Parameter(negative="", help="Drop what the format cannot hold, and count it.")] = False,
    overwrite: Annotated[bool, Parameter(negative="", help="Replace OUT if it is there.")] = False,
    strict: Annotated[bool, Parameter(negative="", help="Any bad row is an error.")] = False,
    json: Json = False,
) -> None:
    """Write files of one format as one file of another: INPUT... OUT.

    Parameters
    ----------
    paths:
        The files to read, and last the file to make: .jsonl, .json, .csv, .tsv or .parquet.
    """
    if len(paths) < 2:
        raise SpecError("D204", "there is no file to make.", hint="Name the inputs, then the output.")
    *inputs, out = paths
    options = {"lossy": lossy, "overwrite": overwrite, "strict": strict}
    answer = verbs.convert(inputs, out, to=to, dataset=dataset, shape=shape, **options)
    for line in answer.lines():
        print(line, file=sys.stderr)
    if json:
        print_json(answer)
