"""The ten abilities of DoIT, and how a label of another set is compared with a card's map.

The keys are those of DoIT's own file names (arXiv 2310.19651v1, Table 1). `other` is for records that a map places
outside the ten on purpose; a record that nobody has tagged has no ability at all (null).
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator

from doit import yamlio
from doit.errors import SpecError, did_you_mean


class AbilityName(NamedTuple):
    """How an ability is called and what it is, in English and Chinese."""

    en: str
    zh: str
    about: str
    about_zh: str
    belongs: tuple[str, ...] = ()
    """Requests that belong to it."""
    not_: tuple[str, ...] = ()
    """Requests that look like it and do not, with what they are."""


def _described(document: dict[str, Any]) -> AbilityName:
    belongs, outside = tuple(document.get("belongs", ())), tuple(document.get("not", ()))
    return AbilityName(document["en"], document["zh"], document["about"], document["about_zh"], belongs, outside)


_TAXONOMY = yamlio.load(Path(__file__).parent / "data" / "abilities.yaml")

ABILITIES: dict[str, AbilityName] = {key: _described(of) for key, of in _TAXONOMY["abilities"].items()}
"""Ability key -> its names in English and Chinese, and what belongs to it."""

OTHER = "other"

OTHER_NAME = _described(_TAXONOMY["other"])


def _known_ability(name: str) -> str:
    if name in ABILITIES or name == OTHER:
        return name
    hint = did_you_mean(name, [*ABILITIES, OTHER])
    raise SpecError("D203", f'no ability "{name}".', hint=f"{hint} See `doit list abilities`.".strip())


Ability = Annotated[str, AfterValidator(_known_ability)]
"""One of the keys of `ABILITIES`, or `other`."""


def clean_label(label: str) -> str:
    """A label as it is kept in `tags`: width folded, every run of white space (no-break too) one space."""
    return " ".join(unicodedata.normalize("NFKC", label).split())


def fold_label(label: str) -> str:
    """A label as it is compared: `clean_label`, without case."""
    return clean_label(label).casefold()
