"""The report's browser of sample rows: filters, a search, and rows that a script shows a page at a time."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from doit.inspecting.counts import UNTAGGED
from doit.inspecting.markup import Html, element, escaped, joined
from doit.inspecting.visible import visible

PER_CELL, MOST = 6, 400
MESSAGE_CHARS, MESSAGES = 1_200, 8
MOST_CHARS = 600_000
"""Characters of all rows together: a page of at most some 2 MB, whatever the rows hold."""


@cache
def script(name: str = "browser.js") -> Html:
    """A page's only script: how rows are drawn, and where they come from."""
    here = Path(__file__).parent
    return Html((here / "rows.js").read_text("utf-8") + (here / name).read_text("utf-8"))


def script_source(name: str = "browser.js") -> str:
    """What the page's policy allows to run: the script with this digest, and no other."""
    digest = hashlib.sha256(script(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def samples_section(rows: pl.DataFrame) -> Html:
    """The browser over some rows: the columns of `doit.inspecting.samples.COLUMNS`."""
    shown: list[dict[str, Any]] = []
    chars = 0
    for row in rows.iter_rows(named=True):
        made = shown_row(row)
        chars += sum(len(text) for _, text in made["messages"])
        if chars > MOST_CHARS:
            break
        shown.append(made)
    note = f"Up to {PER_CELL} rows of every cell, long texts cut; all rows are in data/. A link can search: #find=word."
    box = element("input", id="row-search", type="search", placeholder="search", aria_label="Search the rows")
    filters = [select(column, {row[column] for row in shown}) for column in ("language", "ability", "source")]
    data = Html(orjson.dumps(shown).decode().replace("<", "\\u003c").replace("\u2028", "\\u2028"))
    return joined(
        [
            element("p", note, class_="note"),
            element(
                "div",
                box,
                *filters,
                element("span", id="row-count", class_="note"),
                class_="filters",
                id="rows-browser",
            ),
            element("div", id="row-list"),
            element("button", "more", id="row-more", type="button"),
            element("noscript", element("p", "Rows are shown by a script.", class_="note")),
            Html(f'<script type="application/json" id="row-data">{data}</script>'),
        ]
    )


def shown_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the script takes it: `doit.inspecting.samples.COLUMNS`, long texts cut."""
    messages = [[turn["role"], _text(turn["content"])] for turn in row["messages"][:MESSAGES]]
    left = len(row["messages"]) - len(messages)
    if left:
        messages.append(["more", f"… and {left} more turns"])
    return {
        "id": row["id"],
        "language": visible(row["language"]),
        "ability": row["ability"] or UNTAGGED,
        "source": visible(row["source"]),
        "license": visible(row["license"]),
        "place": visible(f"{row['source']} {row['file']}:{row['row']}"),
        "tags": [visible(tag) for tag in row["tags"][:8]],
        "messages": messages,
    }


def _text(text: str) -> str:
    cut = text if len(text) <= MESSAGE_CHARS else text[:MESSAGE_CHARS] + "…"
    return "\n".join(visible(line, MESSAGE_CHARS + 1) for line in cut.splitlines())


def select(column: str, values: Iterable[str]) -> Html:
    """A choice of one value of a column, or of none."""
    every = Html(f'<option value="">{escaped(f"any {column}")}</option>')
    options = [every, *(element("option", value, value=value) for value in sorted(values))]
    return element("select", *options, data_column=column, aria_label=column)
