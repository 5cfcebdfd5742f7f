"""The cross table of a mixture as a picture: one SVG file with no script, no font and no reference in it."""

from __future__ import annotations

from html import escape

from doit.inspecting.counts import UNTAGGED
from doit.inspecting.visible import visible
from doit.mixtures.manifest import InspectAnswer
from doit.schemas.abilities import ABILITIES

_LEFT, _TOP, _WIDE, _HIGH = 190, 34, 92, 28
_COLUMNS, _ROWS = 12, 24
"""The most that are drawn."""


def cross_picture(answer: InspectAnswer) -> str:
    """Abilities down, languages across; the darker a cell, the more rows. Every cell says its number."""
    languages = list(answer.by["language"])[:_COLUMNS]
    abilities = list(answer.by["ability"])[:_ROWS]
    counts = {(one.ability or UNTAGGED, one.language): one.records for one in answer.cross}
    most = max(counts.values(), default=1)
    width, height = _LEFT + _WIDE * len(languages) + 10, _TOP + _HIGH * len(abilities) + 10
    title = f"{answer.records:,} rows by ability and language"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13" role="img">',
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for column, language in enumerate(languages):
        parts.append(_text(_LEFT + _WIDE * (column + 0.5), _TOP - 12, language, "middle"))
    for row, ability in enumerate(abilities):
        middle = _TOP + _HIGH * row + 19
        known = ABILITIES.get(ability)
        parts.append(_text(_LEFT - 10, middle, f"{ability} {known.zh}" if known else ability, "end"))
        for column, language in enumerate(languages):
            number = counts.get((ability, language), 0)
            parts += _cell(_LEFT + _WIDE * column, _TOP + _HIGH * row, number, number / most)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _cell(x: int, y: int, number: int, share: float) -> list[str]:
    depth = 0.0 if not number else 0.12 + 0.78 * share**0.5
    box = f'<rect x="{x + 1}" y="{y + 1}" width="{_WIDE - 2}" height="{_HIGH - 2}" fill="#1f5fa8" '
    colour = "#ffffff" if depth > 0.5 else "#222222"
    return [
        f'{box}fill-opacity="{depth:.3f}" stroke="#c9d4e0"/>',
        _text(x + _WIDE / 2, y + 19, f"{number:,}", "middle", colour),
    ]


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#222222") -> str:
    shown = escape(visible(text, 24))
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{shown}</text>'
