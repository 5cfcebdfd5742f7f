"""What the tagger knows of the two Chinese scripts: tables made with OpenCC, kept as data.

They are data, so that a model means the same under every version of OpenCC, and tagging needs none. Written anew with

    python -m doit.curation.tagging.tables > doit/curation/tagging/data/scripts.txt
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from doit.curation.tagging.lists import sections

DATA = Path(__file__).parent / "data" / "scripts.txt"
HEADING = (
    "# Made by `python -m doit.curation.tagging.tables` from OpenCC (Apache-2.0, https://github.com/BYVoid/OpenCC)."
)


@cache
def _tables() -> dict[str, list[str]]:
    lines = DATA.read_text(encoding="utf-8").splitlines()
    return {line.split(" ")[0]: line.split(" ")[1:] for line in lines if line and not line.startswith("#")}


def simplified() -> dict[str, str]:
    """Traditional character -> the Simplified one that stands for it."""
    before, after = _tables()["characters"]
    return dict(zip(before, after, strict=True))


def traditional_words() -> dict[str, list[str]]:
    """Ability -> the Traditional forms of its Chinese words, where they differ."""
    return {name.removeprefix("words:"): words for name, words in _tables().items() if name.startswith("words:")}


def generate() -> str:
    """The file's text, by the OpenCC that is installed."""
    from doit.curation.duplicates.folding import converter  # noqa: PLC0415 - only who makes the tables anew needs it

    plane = [chr(point) for point in range(0x3400, 0xA000)]
    become = converter("t2s").convert("\n".join(plane)).split("\n")
    pairs = [(was, one) for was, one in zip(plane, become, strict=True) if len(one) == 1 and one != was]
    lines = [HEADING, "characters " + "".join(was for was, _ in pairs) + " " + "".join(one for _, one in pairs)]
    for ability, words in sections("zh").items():
        whole = "\n".join(words)
        forms = {form for config in ("s2t", "s2tw") for form in converter(config).convert(whole).split("\n")}
        lines.append(" ".join([f"words:{ability}", *sorted(forms - set(words))]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(generate())
