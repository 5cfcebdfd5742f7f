"""The heat map of a mixture, language by ability, as a picture for a README."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doit.errors import MissingExtra, SpecError
from doit.inspecting.counts import UNTAGGED
from doit.mixtures.manifest import InspectAnswer
from doit.schemas.abilities import ABILITIES, OTHER

FAMILIES = {
    "notosanscjk": "Noto Sans CJK SC",
    "notosanssc": "Noto Sans SC",
    "sourcehansans": "Source Han Sans SC",
    "wqy-microhei": "WenQuanYi Micro Hei",
    "wqy-zenhei": "WenQuanYi Zen Hei",
    "pingfang": "PingFang SC",
    "hiragino sans gb": "Hiragino Sans GB",
    "stheiti": "STHeiti",
    "msyh": "Microsoft YaHei",
    "simhei": "SimHei",
    "droidsansfallback": "Droid Sans Fallback",
}
"""How files of fonts with Chinese characters begin, and the families in them."""

FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    "C:/Windows/Fonts",
)
MOST_LANGUAGES = 16


def chinese_font(folders: tuple[str, ...] = FOLDERS) -> tuple[str, Path] | None:
    """A font family with Chinese characters that this system has, and its file; the most complete one first."""
    files = {path.name.casefold(): path for folder in folders for path in _fonts(Path(folder).expanduser())}
    for start, family in FAMILIES.items():
        found = next((path for name, path in sorted(files.items()) if name.startswith(start)), None)
        if found is not None:
            return family, found
    return None


def _fonts(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.lower().endswith((".ttf", ".ttc", ".otf")))


def heatmap_spec(answer: InspectAnswer, *, family: str | None) -> dict[str, Any]:
    """The picture as a Vega-Lite document.

    Args:
        answer: what was counted.
        family: a font with Chinese characters, for names in both languages; None = English alone.

    Raises:
        MissingExtra: D208, altair is not installed.
        SpecError: D204, there is nothing to draw.
    """
    if not answer.cross:
        raise SpecError("D204", "there are no records to draw.", where="--png")
    altair = _library("altair")
    counts: dict[tuple[str, str], int] = {}
    named = list(answer.by["language"])[:MOST_LANGUAGES]
    for cell in answer.cross:
        key = cell.ability or UNTAGGED, cell.language if cell.language in named else "…"
        counts[key] = counts.get(key, 0) + cell.records
    abilities = [name for name in (*ABILITIES, OTHER, UNTAGGED) if any(a == name for a, _ in counts)]
    languages = [*named, "…"] if any(b == "…" for _, b in counts) else named
    most = max(counts.values())
    rows = [
        {"ability": _title(a, family), "language": b, "records": n, "text": f"{n:,}", "dark": n > 0.55 * most}
        for (a, b), n in counts.items()
    ]
    across = altair.X("language:N", sort=languages, axis=altair.Axis(orient="top", labelAngle=0, title=None))
    down = altair.Y("ability:N", sort=[_title(a, family) for a in abilities], axis=altair.Axis(title=None))
    base = altair.Chart(altair.Data(values=rows)).encode(x=across, y=down)
    heat = altair.Scale(range=["#e6eeee", "#1e707a"])
    squares = base.mark_rect(cornerRadius=4, stroke="white", strokeWidth=3).encode(
        color=altair.Color("records:Q", scale=heat, legend=None)
    )
    ink = altair.when("datum.dark").then(altair.value("white")).otherwise(altair.value("#1f2328"))
    numbers = base.mark_text(fontSize=13).encode(text="text:N", color=ink)
    title = altair.TitleParams(f"{answer.records:,} records", anchor="start", fontSize=15, offset=12)
    size = {"width": altair.Step(92), "height": altair.Step(34)}
    drawn = altair.layer(squares, numbers).properties(title=title, background="white", padding=18, **size)
    font = f"{family}, sans-serif" if family else "sans-serif"
    quiet = drawn.configure(font=font).configure_view(strokeWidth=0)
    axes = quiet.configure_axis(domain=False, ticks=False, grid=False, labelFontSize=13, labelPadding=8, labelLimit=400)
    return dict(axes.to_dict())


def heatmap_png(answer: InspectAnswer) -> bytes:
    """The heat map as a PNG, twice the size of a screen's pixels.

    Names stand in Chinese too where the system has a font for them, else in English alone: never as empty boxes.

    Raises:
        MissingExtra: D208, altair or vl-convert-python is not installed.
        SpecError: D204, there is nothing to draw.
    """
    font = chinese_font()
    spec = heatmap_spec(answer, family=None if font is None else font[0])
    convert = _library("vl_convert")
    if font is not None:
        convert.register_font_directory(str(font[1].parent))
    return bytes(convert.vegalite_to_png(spec, scale=2))


def _title(ability: str, family: str | None) -> str:
    known = ABILITIES.get(ability)
    return ability if known is None else f"{known.zh} {known.en}" if family else known.en


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        hint = "Install it with: pip install 'doit-mix[report]'"
        raise MissingExtra("D208", f"drawing a picture needs `{name}`.", where="--png", hint=hint) from error
