"""What `doit list` says, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from doit.inspecting.visible import visible


def listing_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One line a thing; numbers stand right, and long sentences wrap in their own column."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in rows[0]:
        number = any(isinstance(row[name], int) for row in rows)
        table.add_column(name, justify="right" if number else "left", no_wrap=name == "name" or number, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row.values()))
    return table


def _shown(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else visible(str(value))
