"""The requests written for this project, filled in: what the shipped model learns from, and a base for any other."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import polars as pl

from doit import yamlio

DATA = Path(__file__).parent / "data"
EACH = 10
"""Records that are made of one line; fewer where it has fewer different fillings."""


def own_requests() -> pl.DataFrame:
    """Columns `prompt`, `answer`, `ability`, `source`; the same rows always, none twice."""
    document = yamlio.load(DATA / "requests.yaml")
    slots = document["slots"]
    rows = [
        {"prompt": prompt, "answer": answer, "ability": ability, "source": f"requests/{_language(line)}"}
        for ability, lines in document.items()
        if ability not in ("version", "slots")
        for line in lines
        for prompt, answer in _filled(line, slots)
    ]
    return pl.DataFrame(rows, orient="row").unique("prompt", maintain_order=True)


def _language(line: str) -> str:
    return "zh" if re.search("[\u4e00-\u9fff]", line) else "en"


def _filled(line: str, slots: dict[str, Any]) -> list[tuple[str, str]]:
    """A line with `EACH` choices for its slots."""
    made = []
    for copy in range(EACH if "{" in line else 1):
        place = iter(range(100))

        def choice(found: re.Match[str], copy: int = copy, place: Any = place) -> str:
            if found[1] not in slots:
                return found[0]
            seed = f"{line}|{found[1]}|{next(place)}".encode()
            first = int.from_bytes(hashlib.blake2b(seed, digest_size=4).digest(), "big")
            return str(slots[found[1]][(first + copy) % len(slots[found[1]])])

        text = re.sub(r"\{([a-z]+)\}", choice, line).replace("\\n", "\n")
        prompt, _, answer = text.partition(" ||| ")
        made.append((prompt, answer))
    return made
