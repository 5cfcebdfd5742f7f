"""The lists of words that speak of an ability, as they are written: `doit/curation/texts/data/ability_words.txt`."""

from __future__ import annotations

import re
from functools import cache

from doit.curation.texts.phrases import FOLDER


@cache
def sections(script: str) -> dict[str, tuple[str, ...]]:
    """Ability -> its words, in the order of the file.

    Args:
        script: `zh` for the Chinese words, in Simplified characters; `en` for those of Latin letters.
    """
    found: dict[str, list[str]] = {}
    words: list[str] = []
    for line in (FOLDER / "ability_words.txt").read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            words = found.setdefault(heading[1], [])
        elif not line.startswith("#"):
            words.extend(line.split())
    ending = f"_{script}"
    return {name.removesuffix(ending): tuple(words) for name, words in found.items() if name.endswith(ending)}
