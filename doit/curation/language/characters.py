"""Han characters that exist in only one of the two Chinese scripts, from OpenCC's character tables.

The tables are data (`data/characters.txt`), so that telling the scripts apart needs no OpenCC. Written anew with

    python -m doit.curation.language.characters > doit/curation/language/data/characters.txt

A character is Simplified only if OpenCC's Simplified-to-Traditional table never keeps it: `后` stays `后` in 皇后,
so it is in neither table. Two national standards then take out what OpenCC's own standard form hides: the common
characters of Taiwan (level 1 of Big5: 群, 峰, 床) are no mark of Simplified text, and those of the mainland
(GB 2312: 摺, 捱) none of Traditional text.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data" / "characters.txt"
BIG5_LEVEL_1_END = b"\xc6\x7e"
KEPT_AS_TRADITIONAL = "後於"
"""Marks of Traditional text that the rules above lose: GB 2312 has 後, which no Simplified text uses, and OpenCC keeps
於, which Simplified text has in a surname and a name of tigers alone."""


@cache
def one_script_only() -> tuple[str, str]:
    """The characters of Simplified text only, and those of Traditional text only, each sorted by code point."""
    lines = DATA.read_text(encoding="utf-8").splitlines()
    tables = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    return tables["hans"], tables["hant"]


def _opencc_table(name: str) -> dict[str, list[str]]:
    """One of OpenCC's dictionaries: character -> what it may become, best first."""
    import opencc  # noqa: PLC0415 - only who makes the tables anew needs it

    clib = Path(opencc.__file__).parent / "clib"
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "table.txt"
        arguments = ["-i", str(clib / "share/opencc" / f"{name}.ocd2"), "-f", "ocd2", "-o", str(text), "-t", "text"]
        subprocess.run([str(clib / "bin/opencc_dict"), *arguments], check=True, capture_output=True)  # noqa: S603
        rows = (line.split("\t") for line in text.read_text(encoding="utf-8").splitlines())
        return {character: forms.split(" ") for character, forms in rows}


def _never_kept(table: dict[str, list[str]]) -> set[str]:
    return {character for character, becomes in table.items() if character not in becomes}


def _encoded(character: str, encoding: str) -> bytes | None:
    try:
        return character.encode(encoding)
    except UnicodeEncodeError:
        return None


def _common_in_taiwan(character: str) -> bool:
    code = _encoded(character, "big5")
    return code is not None and code <= BIG5_LEVEL_1_END


def generate() -> tuple[str, str]:
    """The two tables, worked out from the OpenCC that is installed. Needs `opencc_dict`, which its wheels hold."""
    simplified = _never_kept(_opencc_table("STCharacters"))
    traditional = _never_kept(_opencc_table("TSCharacters"))
    variants = [forms for name in ("HKVariants", "TWVariants") for forms in _opencc_table(name).values()]
    regional = {form for forms in variants for form in forms}
    hans = {c for c in simplified - traditional - regional if not _common_in_taiwan(c)}
    hant = {c for c in traditional - simplified if _encoded(c, "gb2312") is None}
    return "".join(sorted(hans)), "".join(sorted(hant | set(KEPT_AS_TRADITIONAL)))


def _main() -> None:
    import opencc  # noqa: PLC0415 - as above

    hans, hant = generate()
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(
        "# Made by `python -m doit.curation.language.characters` from the character tables of OpenCC "
        f"{opencc.__version__} (Apache-2.0, https://github.com/BYVoid/OpenCC).\n"
        f"# {len(hans)} characters of Simplified text only, {len(hant)} of Traditional text only.\n"
        f"hans {hans}\nhant {hant}\n"
    )


if __name__ == "__main__":
    _main()
