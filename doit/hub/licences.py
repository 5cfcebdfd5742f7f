"""What licences allow, as data, and what follows for a whole that is made of rows under several of them.

Only what the licence texts or their stewards say is in the tables. Where that leaves open whether rows may be joined
under one licence, the answer is `other`: every row keeps its own. This is a careful reading, not legal advice.

Sources of the facts: the SPDX licence list (names); the texts of the Creative Commons licences 2.0 to 4.0 (a later
version with the same elements may be used under share-alike; 4.0 share-alike one way into GPL version 3); the FSF's
list of licences (Apache-2.0, permissive licences and CC BY 4.0 with the GPL).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from doit.schemas.base import Frozen

Kind = Literal[
    "public domain",
    "notice",
    "apache",
    "attribution",
    "database",
    "share-alike",
    "copyleft",
    "limits",
    "noncommercial",
    "noncommercial share-alike",
    "no derivatives",
    "no redistribution",
    "unknown",
]

_STRICTNESS: tuple[Kind, ...] = (
    "public domain",
    "notice",
    "apache",
    "attribution",
    "database",
    "share-alike",
    "copyleft",
    "limits",
    "noncommercial",
    "noncommercial share-alike",
    "no derivatives",
    "no redistribution",
    "unknown",
)

_SAYS: dict[Kind, str] = {
    "public domain": "asks nothing",
    "notice": "keep its copyright notice",
    "apache": "keep its notices and say what was changed",
    "attribution": "name the author, the licence and what was changed",
    "database": "its terms for databases go with the rows",
    "share-alike": "name the author; what is adapted goes under the same licence",
    "copyleft": "what is made from it goes under the same licence",
    "limits": "its own terms, with limits on use, go with every copy",
    "noncommercial": "name the author; no commercial use",
    "noncommercial share-alike": "name the author; no commercial use; what is adapted goes under the same licence",
    "no derivatives": "only unaltered copies may be passed on",
    "no redistribution": "may not be passed on",
    "unknown": "nobody has said what is allowed, so nothing is",
}

REFUSED: frozenset[Kind] = frozenset({"no derivatives", "no redistribution", "unknown"})
"""Rows under these are not published unless somebody takes that upon themselves."""

_WHY: dict[Kind, str] = {
    "no derivatives": "only unaltered copies may be passed on, and a mixture selects, reshapes and may rewrite rows",
    "no redistribution": "its terms do not let the rows be passed on",
    "unknown": "no licence is stated; without one there is no right to pass the rows on",
}


@dataclass(frozen=True)
class Licence:
    """One licence, and what it asks."""

    id: str
    kind: Kind
    hub: str = "other"
    """What the Hub's list calls it."""
    family: str = ""
    """Licences of one family differ only in their version."""
    version: tuple[int, ...] = ()

    @property
    def says(self) -> str:
        """What it asks, in a few words."""
        if self.kind == "unknown" and self.id != UNKNOWN.id:
            return "its terms are in no table of ours; read them before any use"
        return _SAYS[self.kind]

    @property
    def strictness(self) -> int:
        """Its place among the kinds, the freest first."""
        return _STRICTNESS.index(self.kind)


UNKNOWN = Licence("unknown", "unknown", "unknown")


def _creative_commons() -> list[Licence]:
    kinds: dict[str, Kind] = {
        "BY": "attribution",
        "BY-SA": "share-alike",
        "BY-NC": "noncommercial",
        "BY-NC-SA": "noncommercial share-alike",
        "BY-ND": "no derivatives",
        "BY-NC-ND": "no derivatives",
    }
    named = {
        *("BY-2.0", "BY-2.5", "BY-3.0", "BY-4.0", "BY-SA-3.0", "BY-SA-4.0", "BY-NC-2.0", "BY-NC-3.0", "BY-NC-4.0"),
        *("BY-ND-4.0", "BY-NC-ND-3.0", "BY-NC-ND-4.0", "BY-NC-SA-2.0", "BY-NC-SA-3.0", "BY-NC-SA-4.0"),
    }
    made = []
    for elements, kind in kinds.items():
        for version in ("2.0", "2.5", "3.0", "4.0"):
            name = f"{elements}-{version}"
            hub = f"cc-{name}".lower() if name in named else "other"
            numbers = tuple(int(part) for part in version.split("."))
            made.append(Licence(f"CC-{name}", kind, hub, f"CC-{elements}", numbers))
    return made


def _plain(kind: Kind, names: str) -> list[Licence]:
    """Licences written as `id` or `id=hub`."""
    pairs = [name.partition("=") for name in names.split()]
    return [Licence(name, kind, hub or name.lower()) for name, _, hub in pairs]


_LICENCES: dict[str, Licence] = {
    one.id.lower(): one
    for one in [
        *_plain("public domain", "CC0-1.0 Unlicense PDDL-1.0=pddl WTFPL 0BSD=other MIT-0=other"),
        *_plain("notice", "MIT ISC BSL-1.0 Zlib BSD-2-Clause BSD-3-Clause"),
        *_plain("apache", "Apache-2.0"),
        *_creative_commons(),
        *_plain("database", "ODC-By-1.0=odc-by ODbL-1.0=odbl CDLA-Permissive-1.0 CDLA-Permissive-2.0 CDLA-Sharing-1.0"),
        *_plain("copyleft", "GPL-2.0-only=gpl-2.0 GPL-2.0-or-later=gpl-2.0 GPL-3.0-only=gpl-3.0"),
        *_plain("copyleft", "GPL-3.0-or-later=gpl-3.0 LGPL-2.1-only=lgpl-2.1 LGPL-2.1-or-later=lgpl-2.1"),
        *_plain("copyleft", "LGPL-3.0-only=lgpl-3.0 LGPL-3.0-or-later=lgpl-3.0 AGPL-3.0-only=agpl-3.0"),
        *_plain("copyleft", "AGPL-3.0-or-later=agpl-3.0 MPL-2.0 EPL-2.0 EUPL-1.2"),
        *_plain("limits", "llama2 llama3 llama3.1 llama3.2 llama3.3 gemma openrail"),
        *_plain("limits", "bigscience-openrail-m bigscience-bloom-rail-1.0 creativeml-openrail-m bigcode-openrail-m"),
        *_plain("no redistribution", "no-redistribution=other proprietary=other all-rights-reserved=other none=other"),
        UNKNOWN,
    ]
}

_ALIASES = {
    **{f"{family}-{version}": f"{family}-{version}-only" for family, version in
       (("gpl", "2.0"), ("gpl", "3.0"), ("lgpl", "2.1"), ("lgpl", "3.0"), ("agpl", "3.0"))},
    **{"odc-by": "odc-by-1.0", "odbl": "odbl-1.0", "pddl": "pddl-1.0", "cc0": "cc0-1.0"},
    **{"": "unknown", "noassertion": "unknown"},
}  # fmt: skip
"""Names of the Hub's list, and SPDX's words for nothing known."""

_INTO: dict[str, frozenset[str]] = {
    "GPL-2.0-or-later": frozenset({"GPL-2.0-only", "GPL-3.0-only", "GPL-3.0-or-later"}),
    "GPL-3.0-or-later": frozenset({"GPL-3.0-only"}),
    "LGPL-2.1-only": frozenset({"GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later"}),
    "LGPL-2.1-or-later": frozenset(
        {"LGPL-2.1-only", "LGPL-3.0-only", "LGPL-3.0-or-later"}
        | {"GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later"}
    ),
    "LGPL-3.0-only": frozenset({"GPL-3.0-only"}),
    "LGPL-3.0-or-later": frozenset({"LGPL-3.0-only", "GPL-3.0-only", "GPL-3.0-or-later"}),
    "AGPL-3.0-or-later": frozenset({"AGPL-3.0-only"}),
    "Apache-2.0": frozenset({"GPL-3.0-only", "GPL-3.0-or-later"}),
    "CC-BY-4.0": frozenset({"GPL-3.0-only", "GPL-3.0-or-later"}),
    "CC-BY-SA-4.0": frozenset({"GPL-3.0-only"}),
}
"""Licence -> those under which a whole may be shared that holds it; what the kinds do not say already."""


def licence(name: str) -> Licence:
    """The licence that a card's `license` names: an SPDX id, a name of the Hub's list, or `unknown`.

    A name that is in no table is a licence of unknown terms: its rows are treated as those without one.
    """
    key = re.sub(r"\+$", "-or-later", name.strip().lower())
    found = _LICENCES.get(_ALIASES.get(key, key))
    return found if found is not None else Licence(name.strip(), "unknown", "other")


def alternatives(expression: str) -> tuple[tuple[Licence, ...], ...]:
    """The licences of an SPDX expression: one group for each side of `OR`, all of a group hold (`AND`).

    Parentheses and `WITH` are not read: such an expression is one licence of unknown terms.
    """
    if re.search(r"[()]|\bWITH\b", expression):
        return ((Licence(expression.strip(), "unknown"),),)
    groups = [re.split(r"\s+AND\s+", side) for side in re.split(r"\s+OR\s+", expression.strip())]
    return tuple(tuple(licence(name) for name in group) for group in groups)


def _chosen(expression: str) -> tuple[Licence, ...]:
    """The side of an `OR` that asks least."""
    return min(alternatives(expression), key=lambda group: sorted((one.strictness for one in group), reverse=True))


def fits(part: Licence, whole: Licence) -> bool:
    """Whether rows under `part` may lie in a whole that is shared under `whole`, the notices of `part` kept."""
    if part.id == whole.id or part.kind in {"public domain", "notice"}:
        return part.kind not in REFUSED
    if whole.id in _INTO.get(part.id, ()):
        return True
    if part.kind == "apache":
        return whole.kind in {"attribution", "noncommercial"}
    later = bool(part.family and whole.family) and part.version <= whole.version
    return later and ((part.kind in _LATER and part.family == whole.family) or whole.kind in _LOOSE.get(part.kind, ()))


_LATER: frozenset[Kind] = frozenset({"attribution", "share-alike", "noncommercial", "noncommercial share-alike"})
"""Creative Commons licences that let a later version with the same elements be used."""

_LOOSE: dict[Kind, frozenset[Kind]] = {
    "attribution": frozenset({"share-alike", "noncommercial", "noncommercial share-alike"}),
    "noncommercial": frozenset({"noncommercial share-alike"}),
}
"""Creative Commons elements -> the stricter ones under which adapted material may be shared."""


class Refusal(Frozen):
    """A source whose rows may not be passed on."""

    source: str
    license: str
    rows: int
    """How many of its rows are in what is to be published."""
    why: str


class Licensing(Frozen):
    """The licence of a whole, and how it follows from its parts."""

    effective: str
    """An SPDX id; `other` where no one licence covers all rows; `unknown` where one of them has none."""
    hub: str
    """What the Hub's list calls it."""
    asks: tuple[str, ...]
    """What using the whole asks, one line a licence."""
    reasons: tuple[str, ...]
    refused: tuple[Refusal, ...] = ()


def licensing(rows: Mapping[tuple[str, str], int]) -> Licensing:
    """The most restrictive reading of all licences of a whole.

    Args:
        rows: (source, its licence) -> how many rows it gives; parts without rows count too, as a model's base does.

    Returns:
        The effective licence with the reasoning, and every source that may not be passed on.
    """
    held: dict[Licence, list[str]] = {}
    refused, reasons = [], []
    for (source, name), number in sorted(rows.items()):
        group = _chosen(name)
        if len(alternatives(name)) > 1:
            reasons.append(f"{source}: of {name} the side that asks least is taken, {_named(group)}.")
        for one in group:
            held.setdefault(one, []).append(source)
            if one.kind in REFUSED:
                refused.append(Refusal(source=source, license=name, rows=number, why=_why(one)))
    ordered = sorted(held, key=lambda one: (one.strictness, one.id))
    asks = tuple(f"{one.id} ({', '.join(held[one])}): {one.says}" for one in ordered)
    effective, hub, why = _effective(ordered)
    return Licensing(effective=effective, hub=hub, asks=asks, reasons=(*reasons, *why), refused=tuple(refused))


def _why(one: Licence) -> str:
    if one.kind == "unknown" and one.id not in {"unknown", ""}:
        return "its terms are in no table of ours, so whether the rows may be passed on is not known"
    return _WHY[one.kind]


def _effective(held: list[Licence]) -> tuple[str, str, list[str]]:
    if not held:
        return "unknown", "unknown", ["There are no rows."]
    blocking = [one for one in held if one.kind in REFUSED]
    if blocking:
        unknown = any(one.kind == "unknown" for one in blocking)
        told = [f"{one.id}: {_why(one)}." for one in blocking]
        return ("unknown", "unknown", told) if unknown else ("other", "other", told)
    if len(held) == 1:
        return held[0].id, held[0].hub, [f"All rows are under {held[0].id}."]
    covers = [whole for whole in held if all(fits(part, whole) for part in held)]
    if covers:
        whole = max(covers, key=lambda one: (one.strictness, len(one.id), one.id))
        rest = _named([one for one in held if one != whole])
        why = f"Rows under {rest} may lie in a whole under {whole.id}, which asks no less, with their notices kept."
        return whole.id, whole.hub, [why]
    apart = next((a, b) for a in reversed(held) for b in held if a != b and not fits(b, a))
    why = f"No one licence covers the whole: rows under {apart[1].id} cannot simply be shared under {apart[0].id}."
    return "other", "other", [why, "Every row keeps the licence of its source, and all of them hold together."]


def _named(group: tuple[Licence, ...] | list[Licence]) -> str:
    return " and ".join(one.id for one in group)
