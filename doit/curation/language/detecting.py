"""A second opinion on texts that script and function words leave undecided: the `langdetect` library, seeded.

Its answers depend on chance and on the order in which it finds its profiles; here both are fixed, so that a text has
one answer on every machine. It is slow (about a thousand texts a second), so it sees only the undecided.
"""

from __future__ import annotations

import importlib
import importlib.resources
from functools import cache
from typing import Any, Literal

import polars as pl

from doit.curation.language.prose import prose
from doit.errors import MissingExtra

LangId = Literal["fast", "langdetect"]
"""How languages are told: by script and function words alone, or with this second opinion."""

SEED = 0
WORDS = r"\p{L}{2}"
"""Only texts with two letters in a row are language."""


def second_opinion(tags: pl.Series, texts: pl.Series) -> pl.Series:
    """The tags with `und` replaced where langdetect knows better.

    Args:
        tags: what `languages` says.
        texts: the same records' texts.

    Raises:
        MissingExtra: D208, the library is not installed.
    """
    rows = (tags == "und").arg_true()
    if rows.is_empty():
        return tags
    body = prose(texts.gather(rows).fill_null(""))
    rows = rows.filter(body.str.contains(WORDS))
    body = body.filter(body.str.contains(WORDS))
    return (
        tags.clone().scatter(rows, pl.Series([_detect(text) for text in body], dtype=pl.String)) if len(rows) else tags
    )


def _detect(text: str) -> str:
    factory, error = _factory()
    detector = factory.create()
    detector.append(text)
    try:
        found: str = detector.detect()
    except error:
        return "und"
    return {"zh-cn": "zh", "zh-tw": "zh", "unknown": "und"}.get(found, found)


@cache
def _factory() -> tuple[Any, type[Exception]]:
    """A detector's factory with its profiles in the order of their names, and the error of texts without features."""
    try:
        library = importlib.import_module("langdetect.detector_factory")
    except ImportError as error:
        hint = "Install it with: pip install 'doit-mix[langid]'"
        raise MissingExtra("D208", "`langid: langdetect` needs `langdetect`.", where="langid", hint=hint) from error
    profiles = importlib.resources.files("langdetect") / "profiles"
    named = sorted(profiles.iterdir(), key=lambda profile: profile.name)
    factory = library.DetectorFactory()
    factory.load_json_profile([profile.read_text(encoding="utf-8") for profile in named if "." not in profile.name])
    factory.set_seed(SEED)
    return factory, library.LangDetectException
