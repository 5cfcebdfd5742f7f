"""What a plan, a build, a check and a count say, as tables for a terminal: readable at 80 columns and when piped.

Nothing is said by colour alone. Everything that comes from data goes through `visible`, nothing through rich's markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TextIO

import polars as pl
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from doit.inspecting.counts import STATISTICS, UNTAGGED
from doit.inspecting.visible import visible
from doit.mixtures.manifest import (
    BuildAnswer,
    Cell,
    FunnelStep,
    InspectAnswer,
    Margin,
    PlanAnswer,
    SourceCounts,
    VerifyAnswer,
)
from doit.schemas.abilities import ABILITIES

PIPED_WIDTH = 100
"""Columns of what is written to a file or a pipe, which have no width of their own, unless `COLUMNS` says it."""
_AXES = ("language", "ability", "construction", "source")
_BAR = 20
_MOST_ROWS = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def show(renderable: RenderableType, *, file: TextIO | None = None) -> None:
    """Print a table.

    Args:
        renderable: what a function of this module gave.
        file: where to; standard error if None. Colours and the window's width only on a terminal,
            elsewhere `COLUMNS` or 100; what the file's encoding lacks is written as a backslash escape.
    """
    file = sys.stderr if file is None else file
    terminal = file.isatty()
    width = None if terminal or os.environ.get("COLUMNS", "").strip("0").isdecimal() else PIPED_WIDTH
    console = Console(file=file, width=width, highlight=False, emoji=False, markup=False)
    with console.capture() as capture:
        console.print(renderable)
    text = capture.get()
    if not terminal:
        text = "".join(line.rstrip() + "\n" for line in text.splitlines())
    encoding = file.encoding or "utf-8"
    file.write(text.encode(encoding, "backslashreplace").decode(encoding))
    file.flush()


def plan_table(answer: PlanAnswer) -> RenderableType:
    """Wanted, available, taken and epochs per cell, then per value of an axis where there are several axes."""
    parts: list[RenderableType] = [
        _heading(f"{answer.size:,} {answer.unit}, shortage: {answer.shortage}"),
        _cells(answer.cells),
    ]
    axes = list(dict.fromkeys(margin.axis for margin in answer.margins))
    if len(axes) > 1:
        parts += [_margins(axis, [margin for margin in answer.margins if margin.axis == axis]) for axis in axes]
    parts.append(_note(_plan_note(answer)))
    return Group(*parts)


def build_table(answer: BuildAnswer) -> RenderableType:
    """What was written, the law of rows per source, what was dropped and rejected, and the cells."""
    written = f"{answer.size:,} training records in {visible(answer.out, 2000)}"
    parts: list[RenderableType] = [_heading(written), _sources(answer.sources)]
    if len(answer.funnel) > 1:
        parts.append(funnel_table(answer.funnel, answer.read))
    if answer.dropped or answer.rejected:
        parts += [_heading("Dropped and rejected"), _losses(answer.dropped, answer.rejected)]
    for one in answer.contamination:
        told = f"{one.found:,} of {one.items:,} items of {visible(one.benchmark)} are in {one.records:,} records"
        parts.append(_note(f"{one.rule}: {told}"))
    parts += [_heading("Cells"), _cells(answer.cells)]
    parts += [_note(f"! {visible(warning, 2000)}") for warning in answer.warnings]
    parts.append(_note(f"digest {visible(answer.digest)}\nreport {visible(answer.report, 2000)}"))
    return Group(*parts)


def inspect_table(answer: InspectAnswer) -> RenderableType:
    """A grid of abilities by languages with totals, a bar for every value, and the lengths."""
    parts: list[RenderableType] = [_heading(f"{answer.records:,} records")]
    if answer.records:
        parts.append(_FirstThatFits([_grid_of(answer, languages) for languages in (12, 8, 6, 5, 4, 3, 2, 1)]))
        parts += [_bars(axis, answer.by[axis]) for axis in _AXES if axis in answer.by]
        parts.append(_lengths(answer.lengths))
    return Group(*parts)


def crosstab_table(counted: pl.DataFrame) -> RenderableType:
    """What `crosstab` counted, its largest rows; the last line says how many are left out."""
    *names, records = counted.columns
    total, shown = int(counted[records].sum()), counted.head(_MOST_ROWS)

    def build(chinese: bool) -> Table:
        table = _table()
        for name in names:
            _add(table, name, number=counted.schema[name].is_numeric())
        _add(table, records, number=True)
        _add(table, "share", number=True)
        _add(table, "")
        for row in shown.iter_rows():
            cells = [_value(n, v, chinese=chinese) for n, v in zip(names, row, strict=False)]
            table.add_row(*cells, _count(row[-1]), _percent(row[-1], total), _Bar(row[-1], shown[0, records]))
        return table

    parts: list[RenderableType] = [_heading(f"{total:,} records"), _fitted(build)]
    if counted.height > shown.height:
        left = counted[_MOST_ROWS:, records].sum()
        parts.append(_note(f"… and {counted.height - shown.height:,} more rows with {left:,} records; --json has all."))
    return Group(*parts)


def verify_table(answer: VerifyAnswer) -> RenderableType:
    """Every check with `ok` or `FAILED`, the failed ones first."""
    table = _table()
    _add(table, "check")
    table.add_column("result", no_wrap=True)
    _add(table, "detail")
    for check in sorted(answer.checks, key=lambda check: check.ok):
        result = Text("ok", "green") if check.ok else Text("FAILED", "bold red")
        table.add_row(_name(check.name), result, Text(visible(check.detail, 2000), overflow="fold"))
    failed = sum(not check.ok for check in answer.checks)
    title = (
        f"{len(answer.checks):,} checks, all ok" if answer.ok else f"{failed:,} of {len(answer.checks):,} checks FAILED"
    )
    return Group(_heading(title), table)


def funnel_table(steps: Sequence[FunnelStep], read: int) -> RenderableType:
    """From the rows read, by those that made no record or that a card left out, to what each rule left."""
    table = _table()
    _add(table, "step")
    _add(table, "dropped", number=True)
    _add(table, "left", number=True)
    _add(table, "of read", number=True)
    _add(table, "")
    table.add_row(Text("read"), "", _count(read), _percent(read, read), _Bar(read, read))
    records = steps[0].left + steps[0].dropped if steps else read
    if records < read:
        bar = _Bar(records, read)
        table.add_row(Text("no records"), _count(read - records), _count(records), _percent(records, read), bar)
    for step in steps:
        left = step.left
        name = _name(step.rule)
        if step.rewritten:
            name.append(f" ({step.rewritten:,} rewritten)", "dim")
        table.add_row(name, _count(step.dropped), _count(left), _percent(left, read), _Bar(left, read))
    return Group(_heading("Funnel"), table)


class _Bar:
    """A bar of up to 20 cells: block elements, or `#` where the encoding is not UTF."""

    def __init__(self, value: float, most: float) -> None:
        self.part = min(max(value / most, 0.0), 1.0) if most else 0.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._text(min(_BAR, options.max_width), ascii_only=options.ascii_only)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(4, options.max_width), min(_BAR, options.max_width))

    def _text(self, width: int, *, ascii_only: bool) -> Text:
        eighths = max(round(self.part * width * 8), 1 if self.part else 0)
        if ascii_only:
            return Text("#" * max(round(eighths / 8), 1 if self.part else 0), "cyan")
        whole, rest = divmod(eighths, 8)
        return Text("█" * whole + (_EIGHTHS[rest] if rest else ""), "cyan")


class _FirstThatFits:
    """The first of several tables that needs no more than the width there is, else the last."""

    def __init__(self, ways: Sequence[Callable[[], Table]]) -> None:
        self.ways = ways

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.update(width=10_000)
        for way in self.ways:
            table = way()
            if Measurement.get(console, wide, table).maximum <= options.max_width:
                break
        yield table


def _fitted(build: Callable[[bool], Table]) -> RenderableType:
    """A table with Chinese names beside the keys where they fit."""
    return _FirstThatFits([partial(build, True), partial(build, False)])


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")


def _add(table: Table, title: str, *, number: bool = False) -> None:
    if number:
        table.add_column(title, justify="right", no_wrap=True)
    else:
        table.add_column(title, overflow="fold", min_width=min(8, len(title)))


def _heading(text: str) -> RenderableType:
    return Padding(Text(text, "bold"), (1, 0, 0, 0))


def _note(text: str) -> Text:
    return Text(text, overflow="fold")


def _name(value: str) -> Text:
    return Text(visible(value), overflow="fold")


def _count(number: int) -> str:
    return f"{number:,}"


def _percent(part: float, whole: float) -> str:
    if not whole:
        return ""
    return "<0.1%" if 0 < part / whole < 0.001 else f"{part / whole:.1%}"


def _value(axis: str, value: object, *, chinese: bool) -> RenderableType:
    if isinstance(value, int):
        return Text(f"{value:,}")
    text = _name(UNTAGGED if value is None else str(value))
    known = ABILITIES.get(str(value)) if axis == "ability" and chinese else None
    return text.append(f" {known.zh}", "dim") if known else text


def _cells(cells: Sequence[Cell]) -> RenderableType:
    axes = [axis for axis in _AXES if any(getattr(cell, axis) not in {None, "*"} for cell in cells)] or ["language"]
    return _fitted(lambda chinese: _cell_rows(cells, axes, chinese=chinese))


def _cell_rows(cells: Sequence[Cell], axes: Sequence[str], *, chinese: bool) -> Table:
    table = _table()
    for axis in axes:
        _add(table, axis)
    for title in ("wanted", "available", "taken", "epochs"):
        _add(table, title, number=True)
    table.add_column("", no_wrap=True)
    before: str | None = None
    for cell in cells:
        first = getattr(cell, axes[0])
        if len(axes) > 1 and before not in {None, first}:
            table.add_section()
        before = first
        names = [_value(axis, getattr(cell, axis), chinese=chinese) for axis in axes]
        numbers = [_count(cell.wanted), _count(cell.available), _count(cell.taken), _count(cell.epochs)]
        table.add_row(*names, *numbers, _short(cell))
    sums = [sum(getattr(cell, name) for cell in cells) for name in ("wanted", "available", "taken")]
    table.add_section()
    table.add_row("total", *[""] * (len(axes) - 1), *map(_count, sums), "", "", style="bold")
    return table


def _short(part: Cell | Margin) -> Text:
    missing = part.wanted - part.taken
    return Text(f"short {missing:,}", "bold red") if missing > 0 else Text()


def _margins(axis: str, margins: Sequence[Margin]) -> RenderableType:
    most = max(max(margin.wanted, margin.taken) for margin in margins)

    def build(chinese: bool) -> Table:
        table = _table()
        _add(table, axis)
        for title in ("wanted", "available", "taken"):
            _add(table, title, number=True)
        table.add_column("", no_wrap=True)
        _add(table, "")
        for margin in margins:
            numbers = [_count(margin.wanted), _count(margin.available), _count(margin.taken)]
            value = _value(axis, margin.value, chinese=chinese)
            table.add_row(value, *numbers, _short(margin), _Bar(margin.taken, most))
        return table

    return Padding(_fitted(build), (1, 0, 0, 0))


def _plan_note(answer: PlanAnswer) -> str:
    size = f" at size {answer.size:,}" if answer.shortage == "shrink" and answer.short else ""
    lines = [
        f"Every share holds{size}." if answer.holds else "The shares do not hold: there is less data than they need."
    ]
    if answer.holds and any(cell.taken < cell.wanted for cell in answer.cells):
        lines.append("What a cell is short of comes from other cells of the same values.")
    for axis in dict.fromkeys(margin.axis for margin in answer.short):
        short = [margin for margin in answer.short if margin.axis == axis]
        values = ", ".join(f"{visible(m.value)} ({m.taken:,} of {m.wanted:,})" for m in short)
        lines.append(f"Short by {axis}{' at the size asked for' if size else ''}: {values}.")
    if not answer.holds:
        lines.append(f"{'Proven' if answer.proven else 'Not proven'} to be the nearest plan there is.")
    if any("*" in {margin.value, margin.axis} for margin in answer.margins):
        lines.append("`*` is everything that is not named.")
    return "\n".join(lines)


def _sources(sources: Mapping[str, SourceCounts]) -> Table:
    table = _table()
    _add(table, "source")
    titles = ("read", "drawn", "unused", "dropped", "rejected")
    for title in titles:
        _add(table, title, number=True)
    sums = [0] * len(titles)
    for name, counts in sources.items():
        numbers = [
            counts.read,
            counts.drawn,
            counts.unused,
            sum(counts.dropped.values()),
            sum(counts.rejected.values()),
        ]
        sums = [before + more for before, more in zip(sums, numbers, strict=True)]
        table.add_row(_name(name), *map(_count, numbers))
    if len(sources) > 1:
        table.add_section()
        table.add_row("total", *map(_count, sums), style="bold")
    return table


def _losses(dropped: Mapping[str, int], rejected: Mapping[str, int]) -> Table:
    table = _table()
    _add(table, "fate")
    _add(table, "rule or code")
    _add(table, "records", number=True)
    _add(table, "")
    most = max([*dropped.values(), *rejected.values()], default=0)
    for fate, counts in (("dropped", dropped), ("rejected", rejected)):
        for name, number in counts.items():
            table.add_row(fate, _name(name), _count(number), _Bar(number, most))
    return table


def _grid_of(answer: InspectAnswer, most: int) -> Callable[[], Table]:
    """Abilities down, the `most` largest languages across, the others summed."""

    def build() -> Table:
        languages = list(answer.by["language"])
        named, rest = languages[:most], languages[most:]
        counts = {(count.ability or UNTAGGED, count.language): count.records for count in answer.cross}
        table = _table()
        _add(table, "ability")
        for name in [*map(visible, named), *([f"{len(rest)} others"] if rest else []), "total"]:
            _add(table, name, number=True)
        for ability, total in answer.by["ability"].items():
            row = [counts.get((ability, language), 0) for language in named]
            row += [total - sum(row)] if rest else []
            table.add_row(_value("ability", ability, chinese=True), *map(_count_or_dot, row), _count(total))
        sums = [answer.by["language"][language] for language in named]
        sums += [answer.records - sum(sums)] if rest else []
        table.add_section()
        table.add_row("total", *map(_count, sums), _count(answer.records), style="bold")
        return table

    return build


def _count_or_dot(number: int) -> str:
    return _count(number) if number else "."


def _bars(axis: str, counts: Mapping[str, int]) -> RenderableType:
    total, most = sum(counts.values()), max(counts.values(), default=0)
    shown = list(counts.items())[:_MOST_ROWS]

    def build(chinese: bool) -> Table:
        table = _table()
        _add(table, axis)
        _add(table, "records", number=True)
        _add(table, "share", number=True)
        _add(table, "")
        for value, number in shown:
            name = _value(axis, value, chinese=chinese)
            table.add_row(name, _count(number), _percent(number, total), _Bar(number, most))
        if len(counts) > len(shown):
            left = total - sum(number for _, number in shown)
            table.add_row(f"… {len(counts) - len(shown):,} more", _count(left), _percent(left, total), "")
        return table

    return Padding(_fitted(build), (1, 0, 0, 0))


def _lengths(lengths: Mapping[str, Mapping[str, float]]) -> RenderableType:
    table = _table()
    _add(table, "length")
    for title in STATISTICS:
        _add(table, title, number=True)
    for name, values in lengths.items():
        table.add_row(_name(name), *_statistics(values))
    return Padding(table, (1, 0, 0, 0))


def _statistics(values: Mapping[str, float]) -> Iterable[str]:
    for name in STATISTICS:
        yield f"{values[name]:,.{1 if name == 'mean' else 0}f}" if name in values else ""
