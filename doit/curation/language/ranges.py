"""The one spelling of a BCP 47 range: `zh-hant-tw` is the range `zh-Hant-TW`, written otherwise."""

from __future__ import annotations

from doit.errors import SpecError
from doit.schemas.card import check_language_range


def canonical_range(value: str) -> str:
    """A range in the case that RFC 5646 §2.1.1 recommends; what is no range is left as it is.

    All is in lower case, but between the first subtag and a single letter or digit, subtags of two letters are in upper
    case and those of four begin with a capital: `zh-Hant-TW`, `en-CA-x-ca`.
    """
    try:
        check_language_range(value)
    except SpecError:
        return value
    parts = value.lower().split("-")
    plain = next((at for at, part in enumerate(parts) if len(part) == 1), len(parts))
    spelled = [part.upper() if len(part) == 2 else part.capitalize() if len(part) == 4 else part for part in parts]
    return "-".join([parts[0], *spelled[1:plain], *parts[plain:]])
