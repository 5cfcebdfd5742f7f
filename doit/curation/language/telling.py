"""The language of a text: its script, then function words where the script is Latin, as a BCP 47 tag.

    zh-Hans zh-Hant      Han text, by the characters that only one of the two scripts has; the first turn breaks a tie
    zh                   Han text in which no character decides: 春天 is the same in both
    ja ko                Han text with kana, or with hangul
    ru ar th el he hi …  other scripts, by the script; uk, fa and ur by letters of their own
    en fr de es vi …     Latin script, by function words
    und                  code, formulas, numbers, or Latin letters that no list of words knows

Code in backticks or fences, URLs, e-mail addresses and LaTeX do not count. A text in several scripts or languages has
that of the first user turn, so a request in Chinese that is answered in English is Chinese.

Known limits: Japanese or Korean written in Han characters alone reads as Chinese; few words tell Danish from Norwegian;
an English title at the start of a Chinese request (`How I Met Your Mother 好看吗`) reads as an English request;
a script that several languages share has the largest one's tag (Bulgarian reads as `ru`, Marathi as `hi`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.language import function_words
from doit.curation.language.prose import prose
from doit.curation.language.scripts import Script, count_letters

Ints = NDArray[np.int64]

OTHER_SCRIPTS = {
    Script.CYRILLIC: "ru", Script.UKRAINIAN: "uk", Script.ARABIC: "ar", Script.PERSIAN: "fa", Script.URDU: "ur",
    Script.THAI: "th", Script.GREEK: "el", Script.HEBREW: "he", Script.DEVANAGARI: "hi", Script.BENGALI: "bn",
    Script.TAMIL: "ta", Script.TELUGU: "te", Script.GUJARATI: "gu", Script.GURMUKHI: "pa", Script.KANNADA: "kn",
    Script.MALAYALAM: "ml", Script.SINHALA: "si", Script.KHMER: "km", Script.LAO: "lo", Script.BURMESE: "my",
    Script.TIBETAN: "bo", Script.GEORGIAN: "ka", Script.ARMENIAN: "hy", Script.ETHIOPIC: "am", Script.MONGOLIAN: "mn",
}  # fmt: skip
"""The largest language of each script that has one."""
MARKS = (
    (Script.CYRILLIC, Script.UKRAINIAN, 0.01),
    (Script.ARABIC, Script.URDU, 0.02),
    (Script.ARABIC, Script.PERSIAN, 0.05),
)
"""A script, the letters that set another language of it apart, and the share of the letters from which they do."""

UND, ZH, HANS, HANT, JA, KO, OTHER = range(7)
LATIN = OTHER + len(OTHER_SCRIPTS)
"""Codes: `OTHER` is that of the first of OTHER_SCRIPTS, `LATIN` that of the first language of `function_words`."""
GREEK = OTHER + list(OTHER_SCRIPTS).index(Script.GREEK)
"""Only from two letters in a row: one is mathematics."""
WORDS = -1
"""In place of a code: the letters are Latin, so the words decide."""
LINE = r"[^\n]*\p{L}[^\n]*"
EAST_LETTERS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}"
SIMPLIFIED_WORDS = "[什怎那要多甚]么"
"""Traditional text has 么 too (老么), but never in these words."""
CLEAR_HAN = 8
"""A Japanese or Korean request of this many Han characters has others between them, so without them it is Chinese."""


class _Families(NamedTuple):
    """Letters of n texts, by what decides their language."""

    han: Ints
    kana: Ints
    hangul: Ints
    east: Ints
    """The three before, together."""
    latin: Ints
    other: Ints
    """Every script of OTHER_SCRIPTS, together."""

    @classmethod
    def of(cls, counts: Ints) -> _Families:
        han, kana, hangul = (
            counts[:, Script.HAN : Script.KANA].sum(axis=1),
            counts[:, Script.KANA],
            counts[:, Script.HANGUL],
        )
        return cls(
            han, kana, hangul, han + kana + hangul, counts[:, Script.LATIN], counts[:, Script.CYRILLIC :].sum(axis=1)
        )

    def several(self) -> Ints:
        """The rows with letters of more than one script."""
        kinds = [part > 0 for part in (self.han, self.kana, self.hangul, self.latin, self.other)]
        return np.flatnonzero(np.sum(kinds, axis=0) > 1)


def languages(texts: pl.Series, first: pl.Series | None = None) -> pl.Series:
    """The language of each record.

    Args:
        texts: what the user and the assistant say in each record, joined by newlines; null counts as empty.
        first: the first user turn of each record, which decides mixed texts. Where it is missing, null or without a
            letter, the text's own first line with a letter takes its place.

    Returns:
        A column `language` of BCP 47 tags, as long as `texts` and without nulls. A row's tag depends on this row alone.
    """
    body = prose(texts.cast(pl.String).fill_null(""))
    opening = _Opening(body, first)
    counts = count_letters(body)
    codes = _by_script(counts)
    _settle_mixed(codes, _Families.of(counts).several(), opening)
    _settle_latin(codes, opening)
    _settle_chinese(codes, counts, opening)
    greek = np.flatnonzero(codes == GREEK)
    codes[greek[~body.gather(greek).str.contains(r"\p{Greek}{2}").to_numpy()]] = UND
    names = function_words.vocabulary().languages
    tags = pl.Series(["und", "zh", "zh-Hans", "zh-Hant", "ja", "ko", *OTHER_SCRIPTS.values(), *names])
    return tags.gather(codes).alias("language")


class _Opening(NamedTuple):
    """Where a text that is mixed looks for its language."""

    body: pl.Series
    first: pl.Series | None

    def of(self, rows: Ints) -> pl.Series:
        """The prose of the first user turn, else the text's first line with a letter, else nothing."""
        line = self.body.gather(rows).str.extract(LINE, 0).fill_null("")
        if self.first is None:
            return line
        turn = prose(self.first.gather(rows).cast(pl.String).fill_null(""))
        return line.zip_with(~turn.str.contains(r"\p{L}"), turn)


def _by_script(counts: Ints) -> Ints:
    """The code that each text's larger part asks for; `WORDS` where that is Latin."""
    part = _Families.of(counts)
    is_east = (part.east > 0) & (8 * part.east >= part.latin) & (3 * part.east >= part.other)
    by_letters = np.where(part.latin > 0, WORDS, UND)
    codes = np.where(is_east, _east(part), by_letters)
    rest = np.flatnonzero(~is_east & (part.other > part.latin))
    codes[rest] = _other(counts[rest])
    return codes


def _east(part: _Families) -> Ints:
    """`ko` from 30 % hangul, `ja` from 8 % kana, else `zh`, so that Chinese may quote either."""
    japanese = np.where(100 * part.kana > 8 * (part.han + part.kana), JA, ZH)
    return np.where((part.hangul > 0) & (10 * part.hangul >= 3 * part.east), KO, japanese)


def _other(counts: Ints) -> Ints:
    """By the largest of the other scripts, whose language its marks may change;"""
    letters = counts.copy()
    for script, mark, share in MARKS:
        marked = letters[:, mark] >= share * (letters[:, script] + letters[:, mark])
        both = letters[:, script] + letters[:, mark]
        letters[:, script], letters[:, mark] = np.where(marked, 0, both), np.where(marked, both, 0)
    largest: Ints = np.argmax(letters[:, Script.CYRILLIC :], axis=1)
    return OTHER + largest


def _settle_mixed(codes: Ints, rows: Ints, opening: _Opening) -> None:
    """Give texts in several scripts the language of their opening, or of their larger part where that has none."""
    texts = opening.of(rows)
    counts = count_letters(texts)
    part = _Families.of(counts)
    begun = _by_script(counts)
    whole = codes[rows]
    unclear = (begun == ZH) & (part.han < CLEAR_HAN) & (counts[:, Script.HANS] == 0) & np.isin(whole, (JA, KO))
    begun[unclear] = whole[unclear]
    foreign = np.flatnonzero((part.east > 0) & (part.latin > 0))
    begun[foreign] = _request(texts.gather(foreign), begun[foreign], _east(part)[foreign])
    latin = np.flatnonzero(begun == WORDS)
    begun[latin] = _code(function_words.identify(texts.gather(latin)).language)
    names = (begun == UND) & (part.east > 0)
    begun[names] = _east(part)[names]
    codes[rows] = np.where(begun == UND, whole, begun)


def _request(texts: pl.Series, larger: Ints, east: Ints) -> Ints:
    """Codes of openings that mix Latin letters with Han, kana or hangul, by what they begin with.

    `翻译：Good morning` is Chinese and `Translate 早上好` English, whichever part is larger. `Python 怎么读文件` begins
    with a name, which is of no language (nor is `WHO`), and goes by its larger part, as does a
    quotation.
    """
    codes = np.where(texts.str.contains(rf"^\P{{L}}*[{EAST_LETTERS}]").to_numpy(), east, larger)
    rest = np.flatnonzero(texts.str.contains(r"^[^\p{L}\"'“‘「『«]*\p{Latin}").to_numpy())
    start = texts.gather(rest).str.extract(rf"^[^{EAST_LETTERS}]*", 0)
    verdict = function_words.identify(start, strict=True)
    sure = (verdict.language >= 0) & (verdict.top >= function_words.UNIQUE)
    clear = sure & (2 * verdict.top >= verdict.words) & start.str.contains(r"\p{Ll}").to_numpy()
    codes[rest[clear]] = LATIN + verdict.language[clear]
    return codes


def _code(language: Ints) -> Ints:
    return np.where(language >= 0, LATIN + language, UND)


def _settle_latin(codes: Ints, opening: _Opening) -> None:
    """Put languages for `WORDS`; where a second one is a fair part of the text, its opening chooses between the two."""
    rows = np.flatnonzero(codes == WORDS)
    whole = function_words.identify(opening.body.gather(rows))
    codes[rows] = _code(whole.language)
    close = np.flatnonzero(whole.fair.sum(axis=1) > 1)
    begun = function_words.identify(opening.of(rows[close]).str.extract(LINE, 0).fill_null("")).language
    chosen = (begun >= 0) & whole.fair[close, begun]
    codes[rows[close[chosen]]] = LATIN + begun[chosen]


def _settle_chinese(codes: Ints, counts: Ints, opening: _Opening) -> None:
    """Put the Chinese script for `ZH` where one has more characters of its own.

    Where both have as many, or where kana are near, whose Han characters are of both kinds, the opening decides; where
    that does not either, 什么 and its like.
    """
    hans, hant = counts[:, Script.HANS], counts[:, Script.HANT]
    chinese = codes == ZH
    codes[chinese & (hans > hant)] = HANS
    codes[chinese & (hant > hans)] = HANT
    rows = np.flatnonzero(chinese & (((hans == hant) & (hans > 0)) | (counts[:, Script.KANA] > 0)))
    begun = count_letters(opening.of(rows))
    codes[rows[begun[:, Script.HANS] > begun[:, Script.HANT]]] = HANS
    codes[rows[begun[:, Script.HANT] > begun[:, Script.HANS]]] = HANT
    undecided = np.flatnonzero(codes == ZH)
    codes[undecided[opening.body.gather(undecided).str.contains(SIMPLIFIED_WORDS).to_numpy()]] = HANS
