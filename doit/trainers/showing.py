"""Rows as the model sees them, with what is learned marked, and the report of masks: `doit train SPEC --show 3`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TextIO

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from doit.inspecting.tables import show
from doit.inspecting.visible import visible
from doit.trainers.rows import CellReport, EncodedRows

MARKS = ("⟦", "⟧")
"""Around what is learned, where there is no colour."""
PLAIN_MARKS = ("[[", "]]")
"""The same in an encoding that lacks them."""

LEARNED = "bold green"
"""Style of what is learned, where there is colour."""

LONGEST = 20_000
"""Characters of a row that are shown."""


class Run(NamedTuple):
    """Text of neighbouring tokens that are all learned, or all not."""

    text: str
    supervised: bool


def runs(rows: EncodedRows, index: int, tokenizer: Any) -> Iterator[Run]:
    """A row as text, control tokens spelled out; masks change between characters, so no character is cut in two."""
    ids, supervised = rows.row(index)
    edges = [0, *(np.flatnonzero(np.diff(supervised)) + 1).tolist(), len(ids)]
    for start, end in pairwise(edges):
        if end > start:
            text = tokenizer.decode(ids[start:end].tolist(), skip_special_tokens=False)
            yield Run(str(text), bool(supervised[start]))


def show_rows(rows: EncodedRows, tokenizer: Any, indices: Sequence[int], *, file: TextIO | None = None) -> None:
    """Print rows with what is learned in green, or between marks where there is no colour, and the report of masks.

    Args:
        rows: what `encode` gave.
        tokenizer: the one they were encoded with.
        indices: numbers of the rows.
        file: where to; standard output if None.
    """
    file = sys.stdout if file is None else file
    colour = file.isatty() and not os.environ.get("NO_COLOR")
    marks = None if colour else MARKS if (file.encoding or "utf-8").lower().startswith("utf") else PLAIN_MARKS
    parts: list[RenderableType] = []
    for index in indices:
        ids, supervised = rows.row(index)
        language, ability = rows.cells[int(rows.cell[index])]
        where = f"{visible(language)} × {visible(ability or 'untagged')}"
        counts = f"{len(ids):,} tokens, {int(supervised.sum()):,} learned"
        parts.append(Text(f"{rows.record[index]}  {where}  {counts}", "bold", overflow="fold"))
        parts.append(Padding(_row_text(runs(rows, index, tokenizer), marks), (0, 0, 1, 2)))
    legend = "Learned: green." if marks is None else f"Learned: between {marks[0]} and {marks[1]}."
    show(Group(*parts, Text(legend), mask_table(rows.report)), file=file)


def _row_text(found: Iterator[Run], marks: tuple[str, str] | None) -> Text:
    out = Text(overflow="fold")
    left = LONGEST
    for text, supervised in found:
        shown = "\n".join(visible(line, LONGEST) for line in text[:left].split("\n"))
        left -= len(text)
        if supervised and marks is not None:
            shown = marks[0] + shown + marks[1]
        out.append(shown, LEARNED if supervised else None)
        if left <= 0:
            out.append(" …")
            break
    return out


_COLUMNS = ("read", "refused", "dropped", "cut", "truncated", "split", "unsupervised", "rows", "tokens", "supervised")
_ALWAYS = {"read", "rows", "tokens", "supervised"}


def mask_table(report: Sequence[CellReport]) -> RenderableType:
    """What became of the rows of every cell; a column that is 0 everywhere is left out."""
    sums = {name: sum(getattr(cell, name) for cell in report) for name in _COLUMNS}
    names = [name for name in _COLUMNS if sums[name] or name in _ALWAYS]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("language")
    table.add_column("ability")
    for name in names:
        table.add_column("learned" if name == "supervised" else name, justify="right", no_wrap=True)
    for cell in report:
        counts = [f"{getattr(cell, name):,}" for name in names]
        table.add_row(Text(visible(cell.language)), Text(visible(cell.ability or "untagged")), *counts)
    if len(report) > 1:
        table.add_row("all", "", *(f"{sums[name]:,}" for name in names))
    return table
