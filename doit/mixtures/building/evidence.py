"""Where a mixture keeps what its rules found, for people: `found/<rule>.parquet`."""

from __future__ import annotations

from collections.abc import Sequence

FOLDER = "found"


def evidence_names(titles: Sequence[str]) -> dict[str, str]:
    """Title of a rule -> the name of its file; no two are the same, small and capital letters alike.

    Args:
        titles: of all rules, in the order of the funnel.
    """
    from doit.reading.sniffing import safe_name  # noqa: PLC0415 - slow to import, and few mixtures have evidence

    taken: set[str] = set()
    names = {}
    for title in titles:
        name, number = safe_name(title), 1
        while name.casefold() in taken:
            number += 1
            name = f"{safe_name(title)}-{number}"
        taken.add(name.casefold())
        names[title] = f"{name}.parquet"
    return names
