"""What `why`, `diff` and `rebuild` say, for a terminal: readable at 80 columns and when piped.

Nothing is said by colour alone. Everything that comes from data goes through `visible`, nothing through rich's markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from doit.inspecting.visible import visible
from doit.mixtures.manifest import InputFile
from doit.mixtures.proofs.answers import (
    DiffAnswer,
    Difference,
    InputDifference,
    RebuildAnswer,
    Side,
    WhyAnswer,
    WhyLine,
)

_MOST = 40
"""Rows of a table, and lines of a ledger, that are shown; `--json` has all."""


def why_table(answer: WhyAnswer) -> RenderableType:
    """Every line of the ledger that was asked for, in sentences."""
    parts: list[RenderableType] = []
    for line in answer.lines[:_MOST]:
        parts += [_heading(_title(line)), *(_note(f"  {visible(fact, 2000)}") for fact in line.facts)]
    if len(answer.lines) > _MOST:
        parts.append(_note(f"\n… and {len(answer.lines) - _MOST:,} more lines; --json has all."))
    return Group(*parts)


def diff_table(answer: DiffAnswer) -> RenderableType:
    """Whether two mixtures are the same, and where they are not."""
    title = "The two mixtures are equal" if answer.equal else "The two mixtures differ"
    parts: list[RenderableType] = [_heading(title), _sides(answer), *_records_note(answer)]
    if answer.cells:
        counts = [(cell.cell, cell.a, cell.b, cell.both, cell.only_a, cell.only_b) for cell in answer.cells]
        parts += [_heading("Cells that differ"), _numbers(("cell", "A", "B", "both", "only A", "only B"), counts)]
    if answer.changed:
        parts += [_heading("Records in both, with another"), _numbers(("column", "records"), answer.changed.items())]
    for heading, changes in (("Spec", answer.spec), ("Versions", answer.versions)):
        if changes:
            parts += [_heading(heading), _changes(changes)]
    if answer.inputs:
        parts += [_heading("Inputs, from A to B"), _inputs(answer.inputs)]
    for name, ids in (("A", answer.ids_a), ("B", answer.ids_b)):
        if ids:
            parts += [_heading(f"Only in {name}"), *(_note(one) for one in ids)]
    return Group(*parts)


def rebuild_table(answer: RebuildAnswer) -> RenderableType:
    """That the digest was reproduced, and from what."""
    read = f"{answer.inputs:,} input files, {answer.bytes:,} bytes, all as the manifest has them"
    parts: list[RenderableType] = [
        _heading(f"Reproduced in {visible(answer.out, 2000)}"),
        _note(f"{read}\ndigest {visible(answer.digest)}"),
    ]
    if answer.mixtures is not None:
        parts.append(_note("compared: " + ", ".join(map(visible, answer.mixtures))))
    if answer.versions:
        parts += [_heading("Versions that made no difference (manifest, here)"), _changes(answer.versions)]
    return Group(*parts)


def _title(line: WhyLine) -> str:
    mixture = f"{visible(line.mixture)}: " if line.mixture is not None else ""
    row = "" if line.row is None else f" row {line.row:,}"
    part = f" part {line.part}" if line.part else ""
    return f"{mixture}{visible(line.file)}{row}{part}: {line.fate}"


def _sides(answer: DiffAnswer) -> Table:
    table = _table("", "A", "B")
    rows: list[tuple[str, Any]] = [
        ("folder", lambda side: visible(side.out, 2000)),
        ("name", lambda side: visible(side.name)),
        ("digest", lambda side: f"{visible(side.digest)[:16]}…"),
        ("rows", lambda side: f"{side.rows:,}"),
        ("records", lambda side: f"{side.records:,}"),
    ]
    for name, shown in rows:
        table.add_row(name, *(Text(shown(side), overflow="fold") for side in _both(answer)))
    return table


def _both(answer: DiffAnswer) -> tuple[Side, Side]:
    return answer.a, answer.b


def _records_note(answer: DiffAnswer) -> list[RenderableType]:
    told = [f"{answer.both:,} records in both, {answer.only_a:,} only in A, {answer.only_b:,} only in B."]
    for here, there, fates in (("A", "B", answer.only_a_in_b), ("B", "A", answer.only_b_in_a)):
        if fates:
            became = ", ".join(f"{count:,} {visible(fate)}" for fate, count in fates.items())
            told.append(f"Of those only in {here}, {there} has: {became}.")
    if answer.reordered:
        told.append("The records are the same; they stand in another order.")
    return [_note("\n" + "\n".join(told))]


def _numbers(titles: Sequence[str], rows: Any) -> RenderableType:
    """A name and its counts, one row each."""
    listed = list(rows)
    table = _table(*titles[:1], numbers=titles[1:])
    for name, *counts in listed[:_MOST]:
        table.add_row(Text(visible(name), overflow="fold"), *(f"{count:,}" for count in counts))
    return Group(table, *_rest(len(listed)))


def _changes(changes: Sequence[Difference]) -> RenderableType:
    table = _table("key", "A", "B")
    for change in changes[:_MOST]:
        table.add_row(*(Text(shown, overflow="fold") for shown in (visible(change.key), *map(_plain, _values(change)))))
    return Group(table, *_rest(len(changes)))


def _values(change: Difference) -> tuple[Any, Any]:
    return change.a, change.b


def _plain(value: Any) -> str:
    if value is None:
        return "—"
    return visible(value if isinstance(value, str) else orjson.dumps(value).decode())


def _inputs(inputs: Sequence[InputDifference]) -> RenderableType:
    table = _table("", "file", "SHA-256")
    for one in inputs[:_MOST]:
        sides = [side for side in (one.a, one.b) if side is not None]
        digests = dict.fromkeys(f"{visible(side.sha256)[:16]}…" for side in sides)
        names = dict.fromkeys(_named(side) for side in sides)
        arrow = "\n-> "
        table.add_row(one.what, *(Text(arrow.join(texts), overflow="fold") for texts in (names, digests)))
    return Group(table, *_rest(len(inputs)))


def _named(file: InputFile) -> str:
    return f"{visible(file.file, 2000)} ({visible(file.source)})"


def _rest(count: int) -> list[RenderableType]:
    return [_note(f"… and {count - _MOST:,} more; --json has all.")] if count > _MOST else []


def _table(*texts: str, numbers: Sequence[str] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for title in texts:
        table.add_column(title, overflow="fold", min_width=min(8, len(title)))
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _heading(text: str) -> RenderableType:
    return Padding(Text(text, "bold"), (1, 0, 0, 0))


def _note(text: str) -> Text:
    return Text(text, overflow="fold")
