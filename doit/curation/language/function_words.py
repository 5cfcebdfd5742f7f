"""Function words of the common Latin-script languages, counted over UTF-8 bytes: a word is one number to look up."""

from __future__ import annotations

from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.language.scripts import byte_chunks

DATA = Path(__file__).parent / "data" / "function_words.txt"
CODE, GREETING = "en-code", "en-greeting"
SLOT_BITS = 18
GOLDEN = 0x9E3779B97F4A7C15
"""2⁶⁴ over the golden ratio, an odd number whose multiples spread evenly."""
UNIQUE, SHARED = 2, 1
"""What a word weighs that one language has, and one that several have."""
HEAD_CHARACTERS = 256
"""How much of a text is looked at first; the rest only where this decides nothing."""
WORDS_PER_WEIGHT = 8
"""A text with fewer function words than this has none of the listed languages: a list of names, or code."""
FAIR_PART = 8
"""A second language counts from an eighth of the first one's own words."""
CODE_SIGNS = r"[{}()\[\];=<>_]"
PROGRAM = (
    r"(?i)^\P{L}*(?:(?:and|as|break|case|def|del|do|elif|else|end|false|for|from|if|import|in|int|is|lambda|let|none|not"
    r"|null|of|or|pass|print|return|select|then|true|var|where|while|yield|\p{L})(?:\P{L}+|\z))+\z"
)
"""Nothing but words of programs and lone letters."""
VARIABLE = r"(?i)(?:^|[^\p{L}\p{N}_'’])[b-hj-z](?:[^\p{L}\p{N}_'’]|$)"
"""A lone letter that is no English word: beside such words alone it makes a program, `if a in b: return a`."""
LOOSE = r"(?i)(?:^|[^\p{L}\p{N}_'’])[b-df-hj-np-rtx](?:[^\p{L}\p{N}_'’]|$)"
"""A lone letter that is a word in none of the languages listed, so a variable; an elided one (l'amore) is none."""
FORMULA = r"[{}\[\];=<>_+*/^|\\~#∂∫√∑∏≤≥≠≈→←×÷·∈]|\p{L}\("
"""Signs beside which a letter is a variable: `y = ax + b`."""
WORD = r"\p{L}{3}|[\p{L}&&[^\x00-\x7F]]"
"""Beside a lone letter that is a function word, what makes both of them a text: `Pan y vino`, `Y tú`."""
COMPATIBLE = r"[\x{300}-\x{36F}\x{FF21}-\x{FF5A}]"
"""Letters in full width, and accents apart from their letters, which NFKC puts together."""


class Vocabulary(NamedTuple):
    """The word lists as arrays; words that the same languages share are one kind, and kind 0 is every other word.

    Words of a single ASCII letter are kinds of their own.
    """

    languages: tuple[str, ...]
    weights: NDArray[np.int64]
    """Kinds × (languages, code words, greetings): what a word of this kind adds to each."""
    factor: np.uint64
    """Multiplying a key by it leaves the key's slot in the top bits, different for each word listed."""
    keys: NDArray[np.uint64]
    """Slots: the key of the word that has this slot, or 0."""
    kinds: NDArray[np.int64]
    """Slots: the kind of the word that has this slot."""
    lone: NDArray[np.int64]
    """The kinds of words of a single ASCII letter."""


class Hits(NamedTuple):
    """What the words of n texts say."""

    scores: NDArray[np.int64]
    """n × languages: weights of the function words found, greetings and code words not included."""
    own: NDArray[np.int64]
    """n × languages: how many of those words no other language has."""
    lone: NDArray[np.int64]
    """n × languages: the part of the scores that words of a single ASCII letter have, such as Spanish `y`."""
    code: NDArray[np.int64]
    """n: weights of English words that programs also use."""
    greetings: NDArray[np.int64]
    """n: weights of English greetings and interjections."""
    words: NDArray[np.int64]
    """n: words and numbers of any kind."""


def _read() -> dict[str, list[str]]:
    lines = DATA.read_text(encoding="utf-8").splitlines()
    rows = (line.split() for line in lines if line and not line.startswith("#"))
    return {row[0]: row[1:] for row in rows}


def _keys(data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Words as numbers: their first eight bytes, mixed with their length in bytes."""
    heads = np.ndarray(len(data) - 7, dtype="<u8", buffer=data, strides=(1,))[starts]
    spare = np.uint64(64) - np.minimum(lengths, 8).astype(np.uint64) * np.uint64(8)
    keys: NDArray[np.uint64] = (heads << spare) ^ (lengths.astype(np.uint64) * np.uint64(GOLDEN))
    return keys


def _slots(keys: NDArray[np.uint64], factor: np.uint64) -> NDArray[np.int64]:
    return (keys * factor >> np.uint64(64 - SLOT_BITS)).view(np.int64)


@cache
def vocabulary() -> Vocabulary:
    """The shipped word lists, with a factor that sends no two of their words to one slot."""
    lists = _read()
    names = list(lists)
    owners: dict[str, set[str]] = {}
    for name, words in lists.items():
        for word in words:
            owners.setdefault(word, set()).add(name)
    kind_of = {word: (len(word.encode()) == 1, tuple(sorted(group))) for word, group in owners.items()}
    groups = sorted(set(kind_of.values()))
    weights = np.zeros((len(groups) + 1, len(names)), dtype=np.int64)
    for kind, (_, group) in enumerate(groups, start=1):
        weights[kind, [names.index(name) for name in group]] = UNIQUE if len(group) == 1 else SHARED
    encoded = [word.encode() for word in owners]
    lengths = np.array([len(word) for word in encoded])
    starts = np.cumsum(lengths) - lengths
    keys = _keys(np.frombuffer(b"".join(encoded) + bytes(8), dtype=np.uint8), starts, lengths)
    factors = (np.uint64(GOLDEN * 5**i % 2**64) for i in count(0))
    factor, slots = next((f, s) for f in factors if len(np.unique(s := _slots(keys, f))) == len(keys))
    table = np.zeros(1 << SLOT_BITS, dtype=np.uint64)
    table[slots] = keys
    kinds = np.zeros(1 << SLOT_BITS, dtype=np.int64)
    kinds[slots] = [groups.index(kind_of[word]) + 1 for word in owners]
    lone = np.array([kind for kind, (alone, _) in enumerate(groups, start=1) if alone], dtype=np.int64)
    languages = tuple(name for name in names if name not in {CODE, GREETING})
    return Vocabulary(languages, weights[:, _order(names)], factor, table, kinds, lone)


def _order(names: list[str]) -> list[int]:
    """Columns of the weights: the languages, then code words, then greetings."""
    last = [names.index(CODE), names.index(GREETING)]
    return [i for i in range(len(names)) if i not in last] + last


@cache
def _letters() -> NDArray[np.uint8]:
    """Every ASCII byte that a word or a name is made of, in lower case; 0 for every other byte."""
    table = np.zeros(256, dtype=np.uint8)
    for letter in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_":
        table[letter] = ord(chr(letter).lower())
    return table


def _word_bytes(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes of words, else 0: ASCII as above, U+00C0 to U+01BF and U+1E00 to U+1EFF with their accents."""
    found = _letters()[data]
    lead = np.flatnonzero(data >= 0xC3)
    two = lead[data[lead] <= 0xC6]
    three = lead[(data[lead] == 0xE1) & (data[lead + 1] >= 0xB8) & (data[lead + 1] <= 0xBB)]
    for at, size in ((two, 2), (three, 3)):
        for i in range(size):
            found[at + i] = data[at + i]
    return found


def count_words(texts: pl.Series) -> Hits:
    """Function words of each language in each text, whatever their case.

    Args:
        texts: a column of strings without nulls, n rows.
    """
    known = vocabulary()
    kinds = [(np.flatnonzero(column == UNIQUE), np.flatnonzero(column == SHARED)) for column in known.weights.T]
    scores = np.zeros((len(kinds), len(texts)), dtype=np.int64)
    own, lone = np.zeros_like(scores), np.zeros_like(scores)
    totals = np.zeros(len(texts), dtype=np.int64)
    for first, data, rows in byte_chunks(texts + "\n"):
        letters = _word_bytes(data)
        inside = letters != 0
        edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
        edges = np.concatenate(([0], edges)) if inside[0] else edges
        starts, ends = edges[::2], edges[1::2]
        keys = _keys(letters, starts, ends - starts)
        slots = _slots(keys, known.factor)
        hits = np.flatnonzero(known.keys[slots] == keys)
        words = np.diff(np.searchsorted(starts, rows))
        n, width = len(words), len(known.weights)
        row = np.repeat(np.arange(n), words)[hits]
        # One row a kind, so that sums over kinds run along the memory. A matrix product would start threads of its own.
        found = np.bincount(known.kinds[slots[hits]] * n + row, minlength=n * width).reshape(width, n)
        part = slice(first, first + n)
        totals[part] = words
        for language, (alone, shared) in enumerate(kinds):
            own[language, part] = found[alone].sum(axis=0)
            scores[language, part] = UNIQUE * own[language, part] + SHARED * found[shared].sum(axis=0)
        lone[:, part] = sum(np.outer(known.weights[kind], found[kind]) for kind in known.lone)
    return Hits(scores[:-2].T, own[:-2].T, lone[:-2].T, scores[-2], scores[-1], totals)


class Verdict(NamedTuple):
    """The language of n texts by their function words."""

    language: NDArray[np.int64]
    """n: a place in `Vocabulary.languages`, or -1."""
    top: NDArray[np.int64]
    """n: the best language's score."""
    words: NDArray[np.int64]
    """n: words of any kind."""
    fair: NDArray[np.bool_]
    """n × languages: which have a fair part of the text to themselves, or may have, where no language is sure."""


def identify(texts: pl.Series, *, strict: bool = False) -> Verdict:
    """The language of Latin-script texts.

    Args:
        texts: a column of strings without nulls, n rows.
        strict: whether a greeting, or words that programs also use, are too little to make a text English.
    """
    verdict = _judge(texts.str.head(HEAD_CHARACTERS), strict=strict)
    unread = np.flatnonzero((verdict.language < 0) & (texts.str.len_chars() > HEAD_CHARACTERS).to_numpy())
    if len(unread):
        for part, rest in zip(verdict, _judge(texts.gather(unread), strict=strict), strict=True):
            part[unread] = rest
    return verdict


def _judge(texts: pl.Series, *, strict: bool) -> Verdict:
    apart = (texts.str.len_bytes() > texts.str.len_chars()).arg_true()
    apart = apart.filter(texts.gather(apart).str.contains(COMPATIBLE))
    if len(apart):
        texts = texts.clone().scatter(apart, texts.gather(apart).str.normalize("NFKC"))
    hits = count_words(texts)
    english = vocabulary().languages.index("en")
    scores = hits.scores
    extra = hits.code if strict else hits.code + hits.greetings
    plain = np.full(len(texts), not strict) & (extra >= 2 * SHARED) & (extra > scores.max(axis=1))
    plain[plain] = ~_is_program(texts.filter(plain))
    scores[:, english] += np.where(plain | (scores[:, english] > 0), extra, 0)
    ranked = np.sort(scores, axis=1)
    top, second = ranked[:, -1], ranked[:, -2]
    # Of equal scores English, which is first, wins; between others one shared word is too little to go by.
    language = np.argmax(scores, axis=1)
    sure = (top > second) | (language == english) | (top >= 2 * UNIQUE)
    sure &= (language == english) | (top > extra)
    language[(top == 0) | (WORDS_PER_WEIGHT * top < hits.words) | ~sure] = -1
    bare = np.flatnonzero((language >= 0) & (top == hits.lone[np.arange(len(texts)), language]))
    language[bare[~_is_prose(texts.gather(bare))]] = -1
    fair = (hits.own > 0) & (FAIR_PART * hits.own >= hits.own.max(axis=1, keepdims=True))
    fair[language < 0] = True
    return Verdict(language, top, hits.words, fair)


def _is_program(texts: pl.Series) -> NDArray[np.bool_]:
    """Whether texts of words that programs also use are a program."""
    signs, words = texts.str.contains(CODE_SIGNS), texts.str.contains(PROGRAM)
    return (signs | (words & texts.str.contains(VARIABLE))).to_numpy()


def _is_prose(texts: pl.Series) -> NDArray[np.bool_]:
    """Whether texts whose only function words are lone letters are more than formulas or code."""
    formula = texts.str.contains(FORMULA) | texts.str.contains(LOOSE)
    return (texts.str.contains(WORD) & ~formula).to_numpy()
