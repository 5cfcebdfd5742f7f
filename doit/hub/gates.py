"""What stops a publication: rows that may not be passed on, and secrets or personal data in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from doit.curation.private.secrets import KINDS
from doit.errors import DataError
from doit.hub.answers import GateCheck
from doit.hub.contents import Content
from doit.hub.licences import Licensing
from doit.hub.wording import counted

PERSONAL = frozenset({"e-mail", "id-card", "bank-card", "phone", "ip"})
"""Kinds that name a person or a machine; all others of `doit.curation.private.secrets` open something."""

SECRET = frozenset(KINDS) - PERSONAL
_NAMED = 3


def kinds_to_mask(*, redact: bool, allow_personal: str | None) -> frozenset[str]:
    """What is masked: everything, or only what opens something where personal data may stay."""
    if not redact:
        return frozenset()
    return SECRET if allow_personal else frozenset(KINDS)


def licence_check(
    licensing: Licensing, places: Mapping[tuple[str, str], Sequence[str]], accepted: str | None, *, recipe: bool = False
) -> GateCheck:
    """Whether all licences let the rows be passed on.

    Args:
        licensing: of all rows.
        places: (source, licence) -> where its first rows are from.
        accepted: the reason for which somebody publishes them all the same.
        recipe: no text is published, so nothing is passed on.
    """
    stated = f"{licensing.effective}. {' '.join(licensing.reasons)}"
    if not licensing.refused:
        return GateCheck(name="licence", ok=True, detail=stated)
    named = "; ".join(
        f"{one.source} ({one.license}){_rows(one.rows, places.get((one.source, one.license), ()))}: {one.why}"
        for one in licensing.refused
    )
    if recipe:
        detail = f"{stated} No text is published, so these rows are not passed on: {named}."
        return GateCheck(name="licence", ok=True, detail=detail)
    if accepted:
        return GateCheck(name="licence", ok=True, detail=f"accepted ({accepted}): {named}.")
    return GateCheck(name="licence", ok=False, detail=f"{named}.")


def _rows(number: int, places: Sequence[str]) -> str:
    """How many rows of a source, and where the first are from; nothing of a model's base, which has none."""
    first = f" (first {', '.join(places[:_NAMED])})" if places else ""
    return f", {counted(number, 'row')}{first}" if number else ""


def personal_check(contents: Iterable[Content], mask: frozenset[str], allowed: str | None) -> GateCheck:
    """Whether what was found in the rows is masked, or may stay."""
    kinds: Counter[str] = Counter()
    rows, named, masked = 0, [], 0
    for content in contents:
        kinds.update(content.found.kinds)
        rows += content.found.rows
        named += content.found.named
        masked += content.masked
    if not rows:
        return GateCheck(name="personal data", ok=True, detail="nothing found.")
    told = ", ".join(f"{kind}: {number:,}" for kind, number in kinds.most_common())
    left = {kind for kind in kinds if kind not in mask and not (allowed and kind in PERSONAL)}
    detail = f"{told}; in {counted(rows, 'row')}: {'; '.join(named[:_NAMED])}{' …' if rows > _NAMED else ''}."
    if masked:
        detail += f" Masked in {counted(masked, 'row')}."
    if allowed:
        detail += f" Personal data may stay ({allowed})."
    return GateCheck(name="personal data", ok=not left, detail=detail)


def refuse(checks: Sequence[GateCheck], where: str, *, kind: str = "mixture") -> None:
    """Stop at the first check that fails; `kind` is what is published, as `Package.kind` has it.

    Raises:
        DataError: D701 a licence does not let rows be passed on; D702 secrets or personal data in rows.
    """
    for check in checks:
        if check.ok:
            continue
        if check.name == "licence":
            ways = "Leave the sources out, push with `--recipe-only`, or"
            if kind == "model":
                ways = "State the base's licence with `--base-license`, or push with"
            hint = f'{ways} `--accept-license "reason"`.'
            raise DataError("D701", check.detail, where=where, hint=hint)
        hint = 'Mask them with `--redact`; personal data may stay with `--allow-personal "reason"`, keys may not.'
        raise DataError("D702", check.detail, where=where, hint=hint)
