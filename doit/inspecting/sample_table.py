"""Sample rows for a terminal: who says what, in which cell, from where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from doit.inspecting.counts import UNTAGGED
from doit.inspecting.visible import visible
from doit.schemas.abilities import ABILITIES

MOST_CHARS = 400
"""Characters of a message that are shown."""


def samples_table(rows: pl.DataFrame) -> RenderableType:
    """The rows under their cells: the columns of `doit.inspecting.samples.COLUMNS`."""
    parts: list[RenderableType] = []
    cell: tuple[str, str] | None = None
    for row in rows.iter_rows(named=True):
        here = (row["language"], row["ability"] or UNTAGGED)
        if here != cell:
            known = ABILITIES.get(here[1])
            name = f"{here[1]} {known.zh}" if known else here[1]
            parts.append(Text(f"\n{visible(here[0])}  {visible(name)}", "bold"))
            cell = here
        parts.append(Padding(Group(*_lines(row)), (0, 0, 1, 2)))
    return Group(*parts) if parts else Text("There are no such rows.")


def _lines(row: dict[str, Any]) -> Iterator[Text]:
    place = f"{row['source']} {row['file']}:{row['row']}"
    yield Text(f"{row['id']}  {visible(place)}", "dim")
    for turn in row["messages"]:
        text = turn["content"]
        cut = text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}… ({len(text):,} characters)"
        body = "\n".join(visible(line, 2 * MOST_CHARS) for line in cut.splitlines())
        yield Text.assemble((f"{turn['role']}: ", "cyan" if turn["role"] == "assistant" else "bold"), body)
