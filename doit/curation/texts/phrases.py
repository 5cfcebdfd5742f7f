r"""Lists of phrases, kept as data, and the search for the first of them in a column of texts.

A list is a text file in `data/`: `# …` is a comment, `[name]` begins a section, and every other line is one regular
expression in Polars' syntax (Rust's `regex`, which takes time linear in the text and knows no look-around). A word in
braces, such as `{cannot}`, stands for the alternatives of the section of that name, which must come earlier; an
apostrophe stands for the curved one too, and `\b` is the edge of an ASCII word: in 用HTML写 no space parts words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parent / "data"
SHOWN = 80
"""Characters of a match that a ledger shows."""


@cache
def phrases(name: str) -> dict[str, str]:
    """The sections of `data/<name>.txt`, each as one pattern: the alternatives of its lines."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("# "):
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            lines = sections.setdefault(heading[1], [])
        else:
            filled = re.sub(r"\{([a-z]\w*)\}", lambda word: _joined(sections[word[1]]), line)
            lines.append(filled)
    return {
        section: _joined(patterns).replace("'", "['’]").replace(r"\b", r"(?-u:\b)")
        for section, patterns in sections.items()
    }


def _joined(patterns: list[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


def first_match(texts: pl.Series, pattern: str, hints: Sequence[str] = ()) -> pl.Series:
    """What a pattern first matches in each text, at most `SHOWN` characters of it.

    Args:
        texts: a column of strings.
        pattern: of Polars' syntax.
        hints: words of which every match has one, upper and lower case of ASCII letters alike; they are looked for
            first, because finding words costs a tenth of what a long pattern does.

    Returns:
        A column of strings, null where nothing matches and where the text is null.
    """
    nothing = pl.Series(texts.name, [None], dtype=pl.String).new_from_index(0, len(texts))
    rows = pl.select(pl.int_range(len(texts), dtype=pl.UInt32)).to_series()
    if hints:
        rows = texts.str.contains_any(list(hints), ascii_case_insensitive=True).fill_null(value=False).arg_true()
    rows = rows.filter(texts.gather(rows).str.contains(pattern).fill_null(value=False)) if len(rows) else rows
    if not len(rows):
        return nothing
    # Taking matches out costs several times as much as telling whether there are any, so only these rows pay for it.
    found = texts.gather(rows).str.extract(pattern, 0)
    return nothing.scatter(rows, found.str.strip_chars().str.head(SHOWN))
