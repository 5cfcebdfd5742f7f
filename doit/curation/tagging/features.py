"""What the ability model sees of a record: hashed character n-grams and words, and the form of request and answer.

A text is first brought to one form, character by character: usual width, lower case, Simplified characters, every digit
a zero. Grams go to one of `BUCKETS` columns by a hash that is the same on every machine; each kind of feature (`Space`)
has its own hash, so that a gram of the answer is not one of the request. Of a long request the beginning and the end
are read: that is where it is said what is wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.stretches import stretches
from doit.curation.tagging.form import form_names, meant
from doit.curation.tagging.tables import simplified

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BITS = 16
BUCKETS = 1 << BITS
"""Columns of the sparse matrix."""
HEAD, TAIL = 240, 120
"""Characters of a request that are read: from its beginning and, where it is longer than both, its end."""
EDGE = 24
"""Characters at either edge of a request whose grams also count as the edge's own."""
ANSWER = 100
"""Characters of an answer that are read."""
GRAMS = 4
"""The longest character n-gram."""
CHUNK_CHARS = 1 << 19
CHUNK_RECORDS = 1 << 14
STEPS = 4096
"""Values are whole multiples of one part of so many: sums of them are exact."""
_BASE = 0x9E3779B97F4A7C15
_SPREAD = 0xD6E8FEB86659FD93
_WORD = 0xA0761D6478BD642F


class Space(IntEnum):
    """A kind of feature; its number is the seed of its hash."""

    REQUEST = 1
    START = 2
    END = 3
    ANSWER = 4
    FORM = 5


WEIGHTS = {Space.REQUEST: 1.0, Space.START: 0.3, Space.END: 0.3, Space.ANSWER: 0.3, Space.FORM: 1.0}
"""Length of the part of a record's vector that a space makes."""


_STANDS_FOR = {
    letter: mark
    for mark, letters in {"0": "0123456789", " ": "\t\r", '"': "“”「」『』", "'": "‘’"}.items()
    for letter in letters
}


@cache
def _folding() -> NDArray[np.uint32]:
    """For every code point of the basic plane the one that stands for it."""
    table = np.arange(0x110000, dtype=np.uint32)
    simple = simplified()
    for point in range(0x10000):
        letter = chr(point)
        usual = normalize("NFKC", letter).casefold()
        one = usual if len(usual) == 1 else letter
        table[point] = ord(_STANDS_FOR.get(one, simple.get(one, one)))
    return table


@dataclass(frozen=True)
class Letters:
    """Texts one after another as code points, folded, each followed by a line break."""

    points: NDArray[np.uint32]
    starts: NDArray[np.int32]
    """Where each of the n texts starts, and at last the end: n + 1."""

    @property
    def rows(self) -> NDArray[np.int32]:
        """The number of the text that each point belongs to."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))


def letters(texts: pl.Series) -> Letters:
    """The folded characters of a column without nulls."""
    ended = texts + "\n"
    starts = np.concatenate([[0], np.cumsum(ended.str.len_chars().to_numpy(), dtype=np.int32)]).astype(np.int32)
    points = np.frombuffer("".join(ended.to_list()).encode("utf-32-le"), dtype="<u4")
    return Letters(_folding()[points], starts)


@dataclass(frozen=True)
class Grams:
    """Occurrences of features: which text, which hash, and the stretch of the folded text that it was made of."""

    row: NDArray[np.int32]
    hash: NDArray[np.uint64]
    first: NDArray[np.int32]
    last: NDArray[np.int32]

    def within(self, kept: NDArray[np.bool_]) -> Grams:
        """Those that a mask keeps."""
        return Grams(self.row[kept], self.hash[kept], self.first[kept], self.last[kept])


def grams(text: Letters) -> Grams:
    """Character n-grams up to `GRAMS`, and for words of Latin letters the word and its pair with the next word.

    Latin letters make no grams of one or two: those tell languages apart, not abilities.
    """
    points, row = text.points.astype(np.uint64), text.rows
    left = np.repeat(text.starts[1:], np.diff(text.starts)) - 1 - np.arange(len(points), dtype=np.int32)
    latin = (points - np.uint64(ord("a"))) < 26
    found = []
    hashes = np.zeros(len(points), dtype=np.uint64)
    ascii_run = np.ones(len(points), dtype=bool)
    for length in range(1, GRAMS + 1):
        shifted = _ahead(points, length - 1)
        hashes = hashes * np.uint64(_BASE) + shifted + np.uint64(1)
        here = left >= length
        ascii_run &= _ahead(latin, length - 1)
        if length < 3:
            here = here & ~ascii_run
        at = np.flatnonzero(here).astype(np.int32)
        found.append(Grams(row[at], hashes[at], at, at + np.int32(length)))
    found.extend(_words(points, latin, row))
    return Grams(*(np.concatenate([getattr(one, name) for one in found]) for name in ("row", "hash", "first", "last")))


def _ahead(values: NDArray[Any], places: int) -> NDArray[Any]:
    """What stands so many places further on; zero beyond the end."""
    found = np.zeros_like(values)
    if places < len(values):
        found[: len(values) - places] = values[places:]
    return found


def _words(points: NDArray[np.uint64], latin: NDArray[np.bool_], row: NDArray[np.int32]) -> list[Grams]:
    """Words of Latin letters, and pairs of words that follow each other in one text."""
    edges = np.flatnonzero(np.diff(latin, prepend=False, append=False))
    first, last = (edge.astype(np.int32) for edge in (edges[::2], edges[1::2]))
    if not len(first):
        return []
    # The hash of a stretch is the sum of its letters times falling powers; wrapping sums of 64 bits can be taken apart.
    powers = np.multiply.accumulate(np.full(len(points), _BASE, dtype=np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(points * powers, dtype=np.uint64)])
    inverse = np.multiply.accumulate(np.full(len(points), pow(_BASE, -1, 1 << 64), dtype=np.uint64))
    word = (sums[last] - sums[first]) * inverse[first] * np.uint64(_WORD) + np.uint64(_SPREAD)
    pair = np.flatnonzero(row[first[1:]] == row[first[:-1]])
    both = word[pair] * np.uint64(_BASE) + word[pair + 1]
    return [Grams(row[first], word, first, last), Grams(row[first[pair]], both, first[pair], last[pair + 1])]


def buckets(hashes: NDArray[np.uint64], space: Space) -> NDArray[np.uint32]:
    """The columns of hashes in a space."""
    mixed = (hashes ^ (hashes >> np.uint64(29))) * np.uint64(_SPREAD) + np.uint64(space * _WORD & (1 << 64) - 1)
    return (((mixed ^ (mixed >> np.uint64(32))) * np.uint64(_BASE)) >> np.uint64(64 - BITS)).astype(np.uint32)


def shortened(prompts: pl.Series) -> pl.Series:
    """What is read of requests: beginning and end."""
    long = prompts.str.len_chars() > HEAD + TAIL
    if not long.any():
        return prompts
    return (prompts.str.head(HEAD) + "\n" + prompts.str.tail(TAIL)).zip_with(long, other=prompts)


def chunks(prompts: pl.Series, answers: pl.Series) -> Iterator[slice]:
    """Runs of records whose features stay in the processor's cache: `CHUNK_CHARS` characters that are read."""
    asked, told = (texts.str.len_chars().to_numpy().astype(np.int64) for texts in (prompts, answers))
    yield from stretches(np.minimum(asked, HEAD + TAIL) + np.minimum(told, ANSWER), CHUNK_CHARS, most=CHUNK_RECORDS)


def pieces(prompts: pl.Series, answers: pl.Series) -> list[tuple[Space, Letters, Grams]]:
    """The grams of every space but `FORM`, with the texts that they are of."""
    asked, told = letters(shortened(prompts)), letters(answers.str.head(ANSWER))
    whole, answer = grams(asked), grams(told)
    return [
        (Space.REQUEST, asked, whole),
        (Space.START, asked, whole.within(whole.last <= asked.starts[whole.row] + EDGE)),
        (Space.END, asked, whole.within(whole.first >= asked.starts[whole.row + 1] - 1 - EDGE)),
        (Space.ANSWER, told, answer),
    ]


@cache
def features_digest() -> str:
    """What stands for all that a model's columns mean: a model is of use only with the features it was fitted on."""
    probe = pl.Series(
        ["用 Python 寫 3 個函式：「甲」\nA．１ B. x²", "Why did 12 cells divide?", "", "男：你好\n女：嗯"]
    )
    told = "\n".join([*meant(), *(f"{name}={value}" for name, value in _settings().items())])
    digest = hashlib.sha256(told.encode())
    for part in parts(probe, probe.reverse()):
        for array in (part.indptr.astype("<i4"), part.indices.astype("<i4"), part.data.astype("<f8")):
            digest.update(array.tobytes())
    return digest.hexdigest()


def _settings() -> dict[str, float]:
    numbers = {"head": HEAD, "tail": TAIL, "edge": EDGE, "answer": ANSWER, "grams": GRAMS}
    return {**numbers, **{space.name: weight for space, weight in WEIGHTS.items()}}


def name_hash(name: str) -> int:
    """The hash of a feature that has a name."""
    value = 0
    for byte in name.encode():
        value = (value * _BASE + byte + 1) % (1 << 64)
    return value


def parts(prompts: pl.Series, answers: pl.Series) -> list[csr_array]:
    """The features of records, one matrix for each space: n rows, `BUCKETS` columns, in parts of `STEPS`.

    In each space a record has every feature once, and the space's part of its vector has the length `WEIGHTS` says.

    Args:
        prompts: the user's turns of each record, no nulls.
        answers: the assistant's.
    """
    count = len(prompts)
    found = [_part(one.row, buckets(one.hash, space), count, space) for space, _, one in pieces(prompts, answers)]
    rows, names = form_names(prompts, answers)
    hashes = np.array([name_hash(name) for name in names.categories], dtype=np.uint64)
    return [*found, _part(rows, buckets(hashes, Space.FORM)[names.codes], count, Space.FORM)]


def matrix(prompts: pl.Series, answers: pl.Series) -> csr_array:
    """The sum of `parts`."""
    first, *others = parts(prompts, answers)
    return sum(others, start=first)


def _part(row: NDArray[np.integer], column: NDArray[np.uint32], count: int, space: Space) -> csr_array:
    """Every feature that a record has in one space, once."""
    from scipy.sparse import csr_array  # noqa: PLC0415 - few commands need it

    keys = np.sort(row.astype(np.uint32).astype(np.uint64) << np.uint64(BITS) | column)
    if len(keys):
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    starts = np.searchsorted(keys, np.arange(count + 1, dtype=np.uint64) << np.uint64(BITS))
    sizes = np.diff(starts)
    values = np.round(WEIGHTS[space] * STEPS / np.sqrt(np.maximum(sizes, 1))) / STEPS
    columns = (keys & np.uint64(BUCKETS - 1)).astype(np.int32)
    return csr_array((np.repeat(values, sizes), columns, starts.astype(np.int32)), shape=(count, BUCKETS))
