"""Chinese text from one script to the other, by OpenCC, with what must not change left where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Literal

import polars as pl

from doit.curation.duplicates.folding import converter, mapped
from doit.curation.language.characters import one_script_only

Target = Literal["zh-Hans", "zh-Hant", "zh-Hant-TW"]
Part = Literal["code", "urls", "quotes"]

CONFIGS: dict[Target, str] = {"zh-Hans": "tw2s", "zh-Hant": "s2tw", "zh-Hant-TW": "s2twp"}
"""OpenCC's configuration for each target. `tw2s` and not `t2s`, which leaves 看著 as it is; `s2tw` and not `s2t`, which
writes 裏, 麪 and 爲."""

BACK: dict[Target, str] = {"zh-Hans": "s2tw", "zh-Hant": "tw2s", "zh-Hant-TW": "tw2sp"}

DATA = Path(__file__).parent / "data" / "conversions.txt"

HOLE, WORD = "\ufffe", "\ufdd0"
"""Stand for what a conversion leaves out, and for words that it does not decide: noncharacters, which no dictionary
has."""

ALWAYS = r"[\x00\x{FFFE}\x{FFFF}\x{FDD0}]+"
"""What OpenCC would cut text off at, and the marks themselves."""

PARTS: dict[Part, tuple[str, ...]] = {
    "code": (
        # Fences, the long ones first, for they may hold short ones; one that is never closed runs to the end.
        r"(?s:````+.*?(?:````+|\z))",
        r"(?s:```.*?(?:```|\z))",
        r"(?ms:^ {0,3}~~~+[ \t]*[\w+#.-]*[ \t]*\r?$.*?(?:^ {0,3}~~~+[ \t]*\r?$|\z))",
        r"``(?:[^`\n]|`[^`\n])+``",
        r"`[^`\n]+`",
    ),
    # Han characters belong to an address behind one of these signs; elsewhere the sentence goes on without a space.
    "urls": (r"(?i:(?:https?|ftps?|file)://|www\.)(?:[/=_#-]\p{Han}+|[!-~])+",),
    "quotes": (
        r"「[^」\n]*」", r"『[^』\n]*』", r"“[^”\n]*”", r"‘[^’\n]*’", r'"[^"\n]*"', r"(?m:^ {0,3}>[^\n]*)",
    ),
}  # fmt: skip
"""Patterns of the linear-time engine for what can be kept as it is."""


@dataclass(frozen=True)
class Kept:
    """What a conversion leaves as it is."""

    parts: frozenset[Part] = frozenset({"code", "urls"})
    names: tuple[str, ...] = ()
    """Words, as they stand in the text."""


@cache
def exceptions(target: Target) -> dict[str, str]:
    """Words that OpenCC's tables do not convert as they should, and what they become."""
    rows = [line.split(" ") for line in DATA.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return {before: after for to, before, after in rows if f"{target}-".startswith(f"{to}-")}


def convert(texts: pl.Series, target: Target, kept: Kept = Kept(), *, config: str | None = None) -> pl.Series:
    """Every text in the characters of another script, whatever script it is in.

    Args:
        texts: a column of strings; nulls stay null.
        target: `zh-Hans`; `zh-Hant`, in the forms that Taiwan's standard has; or `zh-Hant-TW`, with Taiwan's words too.
        kept: what stays as it is. U+0000 and noncharacters always do.
        config: the configuration of OpenCC, if not the target's own.
    """
    pattern = "|".join((ALWAYS, *chain.from_iterable(PARTS[part] for part in PARTS if part in kept.parts)))
    words = {**exceptions(target), **{name: name for name in kept.names}}
    to = partial(_opencc, config or CONFIGS[target])
    left_out = texts.str.contains(pattern).fill_null(value=False)
    some = texts.filter(left_out)
    made = _with_words(texts.set(left_out, ""), words, to)
    if some.is_empty():
        return made
    around = _with_words(some.str.replace_all(pattern, HOLE), words, to)
    return made.scatter(left_out.arg_true(), _filled(around, HOLE, some.str.extract_all(pattern)))


def _with_words(texts: pl.Series, words: Mapping[str, str], to: Callable[[str], str]) -> pl.Series:
    """Every text converted, but words by the table: of those that start first, the longest."""
    known = sorted(words, key=len, reverse=True)
    has = texts.str.contains_any(known).fill_null(value=False)
    some = texts.filter(has)
    made = mapped(texts.set(has, ""), [to])
    if some.is_empty():
        return made
    around = mapped(some.str.replace_many(known, [WORD], leftmost=True), [to])
    found = some.str.extract_many(known, leftmost=True).list.eval(pl.element().replace(words))
    return made.scatter(has.arg_true(), _filled(around, WORD, found))


def _opencc(config: str, text: str) -> str:
    return text if text.isascii() else str(converter(config).convert(text))


def _filled(texts: pl.Series, mark: str, spans: pl.Series) -> pl.Series:
    """Texts with their marks replaced, one after the other."""
    pieces = zip(texts.str.split(mark).to_list(), spans.to_list(), strict=True)
    filled = ["".join(chain.from_iterable(zip_longest(around, found, fillvalue=""))) for around, found in pieces]
    return pl.Series(filled, dtype=pl.String)


def convert_back(texts: pl.Series, target: Target, kept: Kept = Kept()) -> pl.Series:
    """Texts that `convert` made, in the script that they had. See `convert`."""
    return convert(texts, "zh-Hant" if target == "zh-Hans" else "zh-Hans", kept, config=BACK[target])


def to_convert(texts: pl.Series, languages: pl.Series, target: Target) -> pl.Series:
    """Which texts are Chinese and not in the target's script yet.

    A text is left if it has characters that only the target's script has and none that only the other has; a text
    without either goes by its record's language, and counts as Simplified if that does not tell.

    Args:
        texts: a column of strings.
        languages: the language tag of the record that each is of.
        target: as in `convert`.
    """
    hans, hant = (texts.str.contains(f"[{letters}]") for letters in one_script_only())
    tags = languages.str.to_lowercase() + "-"
    chinese, traditional = tags.str.starts_with("zh-"), tags.str.starts_with("zh-hant-")
    wanted = hant | (~hans & traditional) if target == "zh-Hans" else hans | (~hant & ~traditional)
    return (chinese & wanted).fill_null(value=False)
