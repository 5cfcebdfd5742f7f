"""How long the conversations of a mixture are: a histogram per language as inline SVG, and the quantiles beside it."""

from __future__ import annotations

import math
from collections.abc import Callable

import polars as pl

from doit.inspecting.counts import STATISTICS, count
from doit.inspecting.markup import Html, element, joined, table

_EDGES = sorted({math.ceil(10 ** (step / 8)) for step in range(8 * 10)})
_WIDTH, _HEIGHT, _FLOOR, _LEFT = 560, 170, 146, 8
_MOST_PANELS = 4

_DRAWN = {"chars": "characters", "tokens": "tokens"}
"""Columns of lengths that spread over powers of ten, and what they count."""


def lengths_section(mixture: pl.DataFrame) -> Html:
    """Histograms and quantiles of the columns `language`, `chars`, `turns` and, where they were counted, `tokens`.

    Args:
        mixture: at least one row.
    """
    panels = _panels(mixture)
    counted = {name: count(rows.lazy()).lengths for name, rows in panels.items()}
    charts, tables = [], []
    for column in counted["all"]:
        held = {name: rows[column] for name, rows in panels.items() if column in counted[name]}
        if column in _DRAWN:
            span = _span(mixture[column])
            charts += [_histogram(name, lengths, span, _DRAWN[column]) for name, lengths in held.items()]
        lines = [[name, *(_number(counted[name][column][each]) for each in STATISTICS)] for name in held]
        tables.append(table([f"{column}, language", *STATISTICS], lines))
    return joined([element("div", *charts, class_="charts"), *tables])


def _panels(mixture: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """All rows, then those of the most frequent primary languages where there are several."""
    rows = mixture.with_columns(primary=pl.col("language").str.split("-").list.first())
    counted = rows["primary"].value_counts().sort(["count", "primary"], descending=[True, False])
    panels = {"all": rows}
    if counted.height > 1:
        for name in counted["primary"].head(_MOST_PANELS - 1):
            panels[str(name)] = rows.filter(pl.col("primary") == name)
    return panels


def _span(lengths: pl.Series) -> tuple[int, int]:
    """The first and the last bin that any panel needs: one scale for all."""
    bins = _bins(lengths)
    low, high = bins.min(), bins.max()
    return (low, high) if isinstance(low, int) and isinstance(high, int) else (0, 1)


def _bins(lengths: pl.Series) -> pl.Series:
    edges = pl.Series(_EDGES, dtype=pl.Int64)
    found = edges.search_sorted(lengths.drop_nulls().cast(pl.Int64).clip(1), side="right")
    return pl.Series("bin", found, dtype=pl.Int64) - 1


def _histogram(name: str, lengths: pl.Series, span: tuple[int, int], unit: str) -> Html:
    """Columns over a logarithmic axis of characters or tokens, the median as a dashed line."""
    low, high = math.log10(_EDGES[span[0]]), math.log10(_EDGES[span[1] + 1])

    def across(value: float) -> float:
        return _LEFT + (math.log10(max(value, 1)) - low) / (high - low) * (_WIDTH - 2 * _LEFT)

    counts = {int(at): int(number) for at, number in _bins(lengths).value_counts().iter_rows()}
    most = max(counts.values(), default=1)
    drawn = []
    for at, number in sorted(counts.items()):
        first, after = _EDGES[at], _EDGES[at + 1]
        height = number / most * (_FLOOR - 24)
        title = element("title", f"{first:,} to {after - 1:,} {unit}: {number:,} rows")
        place = {"x": f"{across(first) + 0.5:.1f}", "y": f"{_FLOOR - height:.1f}", "height": f"{height:.1f}"}
        drawn.append(element("rect", title, width=f"{max(across(after) - across(first) - 1, 1):.1f}", **place))
    drawn += [*_axis(across, low, high), *_median(lengths, across)]
    told = f"{name}: {unit} per row, {len(lengths):,} rows"
    picture = element(
        "svg", *drawn, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=f"Histogram of {name}: {told}"
    )
    return element("figure", element("figcaption", told), picture)


def _axis(across: Callable[[float], float], low: float, high: float) -> list[Html]:
    y = str(_FLOOR)
    drawn = [element("line", x1=str(_LEFT), x2=str(_WIDTH - _LEFT), y1=y, y2=y)]
    for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1):
        x = f"{across(10.0**power):.1f}"
        anchor = "start" if power - low < 0.05 else "end" if high - power < 0.05 else "middle"
        drawn.append(element("line", x1=x, x2=x, y1=y, y2=str(_FLOOR + 4)))
        drawn.append(element("text", f"{10**power:,}", x=x, y=str(_FLOOR + 18), text_anchor=anchor))
    return drawn


def _median(lengths: pl.Series, across: Callable[[float], float]) -> list[Html]:
    middle = lengths.median()
    if not isinstance(middle, float):
        return []
    x = across(middle)
    anchor = "end" if x > _WIDTH * 0.8 else "start"
    line = element("line", class_="middle", x1=f"{x:.1f}", x2=f"{x:.1f}", y1="4", y2=str(_FLOOR))
    words = element(
        "text", f"median {middle:,.0f}", x=f"{x + (5 if anchor == 'start' else -5):.1f}", y="13", text_anchor=anchor
    )
    return [line, words]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:,.1f}"
