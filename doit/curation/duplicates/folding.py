"""Texts brought to one form, so that differences nobody means do not count: width, case, script, punctuation."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.stretches import stretches
from doit.errors import SpecError, did_you_mean

DIFFERENCES = ("width", "punctuation", "case", "script")
"""What a comparison can be told to ignore."""

BETWEEN = "\uffff"
"""Stands between texts that are worked on together. A noncharacter: no normalisation composes with it, and no
dictionary has it."""

CHUNK_CHARS = 1 << 18
"""Characters worked on together."""

MANY_BYTES = 1 << 23
"""Text from which on a table of what characters fold to is sooner made and used than every text folded."""

SEVERAL = 0x110000
"""Stands in the table where a character does not fold to one character alone, or where it depends on its neighbours."""


def folded(texts: pl.Series, *, ignoring: Collection[str] = ()) -> pl.Series:
    """Texts as near duplicates are compared: NFKC, then full case folding, then NFKC of what that made.

    Args:
        texts: a column of strings; nulls stay null.
        ignoring: of `DIFFERENCES`. `script` turns Traditional characters into Simplified ones (OpenCC's t2s, NULs taken
            out first); `punctuation` takes out the characters of Unicode's categories P and makes one space of every
            run of white space; `width` and `case` are ignored anyway.

    Raises:
        SpecError: D203, `ignoring` names something else.
    """
    steps: list[Callable[[str], str]] = [_looked_up if int(texts.str.len_bytes().sum()) > MANY_BYTES else _compatible]
    if "script" in _known(ignoring):
        steps.append(_simplified)
    return _finished(mapped(texts, steps), ignoring)


def reduced(texts: pl.Series, *, ignoring: Collection[str]) -> pl.Series:
    """Texts without the differences that are named, and no others: what exact duplicates are compared by.

    Args:
        texts: a column of strings; nulls stay null.
        ignoring: of `DIFFERENCES`, as in `folded`; `width` makes full-width and half-width forms usual ones and
            composes (NFC), so that x² stays apart from x2.

    Raises:
        SpecError: D203, `ignoring` names something else.
    """
    known = _known(ignoring)
    named = {"width": _of_usual_width, "case": str.casefold, "script": _simplified}
    return _finished(mapped(texts, [step for name, step in named.items() if name in known]), ignoring)


def _known(ignoring: Collection[str]) -> Collection[str]:
    for name in ignoring:
        if name not in DIFFERENCES:
            hint = did_you_mean(name, DIFFERENCES) or f"Known: {', '.join(DIFFERENCES)}."
            raise SpecError("D203", f'nothing called "{name}" can be ignored.', where="ignoring", hint=hint)
    return ignoring


def _finished(texts: pl.Series, ignoring: Collection[str]) -> pl.Series:
    if "punctuation" not in ignoring:
        return texts
    return texts.str.replace_all(r"\p{P}+", "").str.replace_all(r"\s+", " ").str.strip_chars()


def mapped(texts: pl.Series, steps: Sequence[Callable[[str], str]]) -> pl.Series:
    """Every text after the steps, many at a time: a call a row would cost more than the work.

    Args:
        texts: a column of strings; nulls stay null.
        steps: functions that do with `BETWEEN` and what stands on its two sides what they do with each side alone.
    """
    if not steps or texts.is_empty():
        return texts
    lengths = texts.str.len_chars().fill_null(0).to_numpy()
    return pl.concat([_mapped_chunk(texts[chunk], steps) for chunk in stretches(lengths, CHUNK_CHARS)], rechunk=False)


def _mapped_chunk(texts: pl.Series, steps: Sequence[Callable[[str], str]]) -> pl.Series:
    rows = texts.fill_null("").to_list()
    whole = BETWEEN.join(rows)
    together = whole.count(BETWEEN) == len(rows) - 1
    for step in steps if together else ():
        whole = step(whole)
    # A step that lost a mark has moved text from row to row: then each goes alone.
    if together and whole.count(BETWEEN) == len(rows) - 1:
        rows = whole.split(BETWEEN)
    else:
        for step in steps:
            rows = [step(row) for row in rows]
    return pl.Series(texts.name, rows, dtype=pl.String).set(texts.is_null(), None)


def _compatible(text: str) -> str:
    # Case folding can leave a letter beside a mark that composes with it: ǰ becomes j and a caron.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@cache
def _folds() -> NDArray[np.uint32]:
    """What `_compatible` makes of each character of the basic plane, and `SEVERAL` for all others.

    Left to it are characters that are or become several, and all that can take part in what stands before them:
    combining marks, and the latter ones of those that compose, such as the vowels of Hangul.
    """
    points = [point for point in range(0x10000) if not 0xD800 <= point < 0xE000]
    letters = [chr(point) for point in points]
    forms = [letters]
    for step in (partial(unicodedata.normalize, "NFKC"), str.casefold, partial(unicodedata.normalize, "NFKC")):
        forms.append([*step(BETWEEN.join(forms[-1][:-1])).split(BETWEEN), BETWEEN])
    parts = [unicodedata.decomposition(letter).split() for letter in letters]
    latter = {chr(int(part[1], 16)) for part in parts if len(part) == 2 and part[0][0] != "<"}
    latter |= {chr(point) for point in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    joining = {letter for letter in letters if letter in latter or unicodedata.combining(letter)}
    table = np.full(0x10001, SEVERAL, dtype=np.uint32)
    for point, stages in zip(points, zip(*forms, strict=True), strict=True):
        if all(len(form) == 1 and form not in joining for form in stages):
            table[point] = ord(stages[-1])
    return table


def _looked_up(text: str) -> str:
    """What `_compatible` makes of a text, by a table where one will do."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    folds = _folds().take(points, mode="clip")
    several = np.flatnonzero(folds == SEVERAL)
    folds[several] = 0
    done = folds.astype("<u4").tobytes().decode("utf-32-le")
    marks = np.concatenate(([-1], np.flatnonzero(points == ord(BETWEEN)), [len(points)]))
    pieces, last = [], 0
    for row in np.unique(np.searchsorted(marks, several)).tolist():
        first, end = int(marks[row - 1]) + 1, int(marks[row])
        pieces += [done[last:first], _compatible(text[first:end])]
        last = end
    return "".join([*pieces, done[last:]])


@cache
def _usual_forms() -> dict[int, str]:
    """Full-width and half-width characters, and what they are forms of."""
    forms = {point: unicodedata.decomposition(chr(point)).split() for point in range(0x10000)}
    return {
        point: "".join(chr(int(part, 16)) for part in form[1:])
        for point, form in forms.items()
        if form and form[0] in {"<wide>", "<narrow>"}
    }


def _of_usual_width(text: str) -> str:
    return unicodedata.normalize("NFC", text.translate(_usual_forms()))


@cache
def converter(config: str) -> Any:
    """An OpenCC converter, one a process for each of its configurations: their tables take time to load.

    Text must hold no U+0000: configurations of more than one stage cut it off there.
    """
    import opencc  # noqa: PLC0415 - only who ignores or converts the script needs it

    return opencc.OpenCC(config)


def _simplified(text: str) -> str:
    text = text.replace("\0", "")
    return text if text.isascii() else converter("t2s").convert(text)
