"""How many letters of each script a text has, counted over Arrow's UTF-8 bytes without making a Python string."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from unicodedata import normalize

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.language.characters import one_script_only

CHUNK_BYTES = 1 << 18
"""So many bytes, and what is worked out of them, stay in a processor's own cache."""


class Script(IntEnum):
    """A column of `count_letters`. A script's own name, or letters that set one language of a script apart."""

    NONE = 0
    HAN = 1  # of both Chinese scripts, 々 and bopomofo among them
    HANS = 2
    HANT = 3
    KANA = 4
    HANGUL = 5
    LATIN = 6
    CYRILLIC = 7
    UKRAINIAN = 8
    ARABIC = 9
    PERSIAN = 10
    URDU = 11
    THAI = 12
    GREEK = 13
    HEBREW = 14
    DEVANAGARI = 15
    BENGALI = 16
    TAMIL = 17
    TELUGU = 18
    GUJARATI = 19
    GURMUKHI = 20
    KANNADA = 21
    MALAYALAM = 22
    SINHALA = 23
    KHMER = 24
    LAO = 25
    BURMESE = 26
    TIBETAN = 27
    GEORGIAN = 28
    ARMENIAN = 29
    ETHIOPIC = 30
    MONGOLIAN = 31


WIDTH = len(Script)

BLOCKS: tuple[tuple[int, int, Script], ...] = (
    (0x00AA, 0x00AA, Script.LATIN), (0x00BA, 0x00BA, Script.LATIN), (0x00C0, 0x00D6, Script.LATIN),
    (0x00D8, 0x00F6, Script.LATIN), (0x00F8, 0x024F, Script.LATIN), (0x1E00, 0x1EFF, Script.LATIN),
    (0xFF21, 0xFF3A, Script.LATIN), (0xFF41, 0xFF5A, Script.LATIN),
    (0x0370, 0x0373, Script.GREEK), (0x0376, 0x0377, Script.GREEK), (0x037B, 0x037D, Script.GREEK),
    (0x0386, 0x0386, Script.GREEK), (0x0388, 0x03FF, Script.GREEK), (0x1F00, 0x1FBC, Script.GREEK),
    (0x1FC2, 0x1FFC, Script.GREEK),
    (0x0400, 0x0481, Script.CYRILLIC), (0x048A, 0x052F, Script.CYRILLIC),
    (0x0531, 0x0556, Script.ARMENIAN), (0x0561, 0x0587, Script.ARMENIAN),
    (0x05D0, 0x05F2, Script.HEBREW), (0x0620, 0x064A, Script.ARABIC), (0x066E, 0x06D3, Script.ARABIC),
    (0xFB50, 0xFDFB, Script.ARABIC), (0xFE70, 0xFEFC, Script.ARABIC),
    (0x0904, 0x0939, Script.DEVANAGARI), (0x0958, 0x0961, Script.DEVANAGARI),
    (0x0985, 0x09B9, Script.BENGALI), (0x0A05, 0x0A39, Script.GURMUKHI), (0x0A85, 0x0AB9, Script.GUJARATI),
    (0x0B85, 0x0BB9, Script.TAMIL), (0x0C05, 0x0C39, Script.TELUGU), (0x0C85, 0x0CB9, Script.KANNADA),
    (0x0D05, 0x0D3A, Script.MALAYALAM), (0x0D85, 0x0DC6, Script.SINHALA),
    (0x0E01, 0x0E3A, Script.THAI), (0x0E40, 0x0E4E, Script.THAI), (0x0E81, 0x0EC6, Script.LAO),
    (0x0F40, 0x0FBC, Script.TIBETAN), (0x1000, 0x103F, Script.BURMESE), (0x10A0, 0x10FF, Script.GEORGIAN),
    (0x1200, 0x135A, Script.ETHIOPIC), (0x1780, 0x17D3, Script.KHMER), (0x1820, 0x18AA, Script.MONGOLIAN),
    (0x1100, 0x11FF, Script.HANGUL), (0x3131, 0x318E, Script.HANGUL), (0xA960, 0xA97C, Script.HANGUL),
    (0xAC00, 0xD7FB, Script.HANGUL), (0xFFA0, 0xFFDC, Script.HANGUL),
    (0x3041, 0x3096, Script.KANA), (0x309D, 0x309F, Script.KANA), (0x30A1, 0x30FA, Script.KANA),
    (0x30FD, 0x30FF, Script.KANA), (0x31F0, 0x31FF, Script.KANA), (0xFF66, 0xFF9D, Script.KANA),
    (0x1B000, 0x1B16F, Script.KANA), (0x2E80, 0x2EF3, Script.HAN),
    (0x3005, 0x3007, Script.HAN), (0x3105, 0x312F, Script.HAN), (0x31A0, 0x31BF, Script.HAN),
    (0x3400, 0x4DBF, Script.HAN), (0x4E00, 0x9FFF, Script.HAN), (0xF900, 0xFAFF, Script.HAN),
    (0x20000, 0x3FFFD, Script.HAN),
)  # fmt: skip
"""First and last code point of each run of letters.

Of no script are marks, digits, punctuation, emoji, and the kana signs ・ and ー, which Chinese text borrows.
"""

LETTERS = {
    Script.UKRAINIAN: "ІЇЄҐіїєґ",
    Script.PERSIAN: "پچژگکی",
    Script.URDU: "ٹڈڑںےہ",
}
"""Letters of a script that its largest language does not use."""


@cache
def _script_of() -> NDArray[np.uint8]:
    """The script of every code point, a compatibility form like its usual one: a megabyte, mostly unread."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for first, last, script in BLOCKS:
        table[first : last + 1] = script
    hans, hant = one_script_only()
    for script, letters in {**LETTERS, Script.HANS: hans, Script.HANT: hant}.items():
        table[[ord(letter) for letter in letters]] = script
    for point in (*range(0x2F00, 0x2FD6), *range(0xF900, 0xFB00), *range(0x2F800, 0x2FA1E)):
        table[point] = table[ord(normalize("NFKC", chr(point))[0])]
    return table


def byte_chunks(texts: pl.Series) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.int64]]]:
    """The UTF-8 bytes of a column without nulls, in runs of rows that stay in the processor's cache.

    Yields:
        The run's first row; its bytes, followed by eight zeros, so that a read past the last letter stays inside; and
        where each of its rows starts, with the end of the last one: one more than it has rows.
    """
    ends = np.cumsum(texts.str.len_bytes().to_numpy(), dtype=np.int64)
    first = 0
    while first < len(texts):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + CHUNK_BYTES, side="right")))
        array = texts.slice(first, last - first).to_arrow()
        _, offsets, data = array.buffers()
        starts = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + last - first + 1]
        letters = np.empty(int(starts[-1] - starts[0]) + 8, dtype=np.uint8)
        letters[-8:] = 0
        if len(letters) > 8:
            letters[:-8] = np.frombuffer(data, dtype=np.uint8)[starts[0] : starts[-1]]
        yield first, letters, starts - starts[0]
        first = last


def _code_points(data: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.integer]:
    """The characters of two to four bytes that start at the given places."""
    lead, second, third = (data[at + i].astype(np.int32) for i in range(3))
    points = (lead & 0x0F) << 12 | (second & 0x3F) << 6 | (third & 0x3F)
    short = np.flatnonzero(lead < 0xE0)
    points[short] = (lead[short] & 0x1F) << 6 | (second[short] & 0x3F)
    long = np.flatnonzero(lead >= 0xF0)
    fourth = data[at[long] + 3].astype(np.int32)
    points[long] = points[long] << 6 | (fourth & 0x3F)
    return points


def _sums(flags: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Flags set in each row. Empty rows stay out of `reduceat`, which gives them their neighbour's first flag."""
    sums = np.zeros(len(starts) - 1, dtype=np.int64)
    filled = np.flatnonzero(starts[1:] > starts[:-1])
    if len(filled):
        sums[filled] = np.add.reduceat(flags[: starts[-1]], starts[filled], dtype=np.uint32)
    return sums


def count_letters(texts: pl.Series) -> NDArray[np.int64]:
    """Letters of each script in each text.

    Args:
        texts: a column of strings without nulls, n rows.

    Returns:
        An array of n rows and one column for each member of `Script`; column `NONE` counts other non-ASCII characters.
    """
    table = _script_of()
    counts = np.zeros((len(texts), WIDTH), dtype=np.int64)
    for first, data, starts in byte_chunks(texts):
        rows = len(starts) - 1
        latin = _sums(((data | np.uint8(0x20)) - np.uint8(ord("a"))) < 26, starts)
        at = np.flatnonzero(data >= 0xC0)
        if len(at):
            row = np.repeat(np.arange(rows), np.diff(np.searchsorted(at, starts)))
            keys = row * WIDTH + table[_code_points(data, at)]
            counts[first : first + rows] = np.bincount(keys, minlength=rows * WIDTH).reshape(rows, WIDTH)
        counts[first : first + rows, Script.LATIN] += latin
    return counts
