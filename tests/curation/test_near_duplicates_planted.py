"""Planted pairs and hard negatives: what is found, beside the truth worked out from Python sets."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import opencc
import polars as pl
import pytest

from doit.curation.duplicates.near_duplicates import near_duplicates

SIMPLIFIED = "".join(chr(point) for point in range(0x4E00, 0x9FA5) if chr(point).encode("gb2312", "ignore"))
LETTERS = "etaoinshrdlucmfwygpbvkjxqz"
FULL_WIDTH = str.maketrans({chr(point): chr(point + 0xFEE0) for point in range(0x21, 0x7F)})
MARKS = "，。！？；：、"


class Pair(NamedTuple):
    """Two texts, and how the second was made from the first."""

    one: str
    other: str
    kind: str


def grams(text: str) -> set[str]:
    return {text[at : at + 4] for at in range(len(text) - 3)} if len(text) >= 4 else {text}


def jaccard(one: str, other: str) -> float:
    a, b = grams(one), grams(other)
    return len(a & b) / len(a | b)


def chinese(chance: random.Random, length: int) -> str:
    characters = chance.choices(SIMPLIFIED, k=length)
    for at in range(chance.randrange(6, 15), length, 17):
        characters[at] = chance.choice(MARKS)
    return "".join(characters)


def english(chance: random.Random, length: int) -> str:
    words = ["".join(chance.choices(LETTERS, k=chance.randrange(2, 9))) for _ in range(length // 6 + 1)]
    return " ".join(words).capitalize() + "."


def language(text: str) -> str:
    return "en" if text.isascii() else "zh"


def one_word_edits(chance: random.Random, text: str) -> str:
    if text.isascii():
        words = text.split(" ")
        for _ in range(1 + chance.randrange(1 + len(words) // 25)):
            words[chance.randrange(len(words))] = "".join(chance.choices(LETTERS, k=chance.randrange(2, 7)))
        return " ".join(words)
    characters = list(text)
    for _ in range(1 + chance.randrange(1 + len(text) // 40)):
        characters[chance.randrange(len(text))] = chance.choice(SIMPLIFIED)
    return "".join(characters)


def added_end(chance: random.Random, text: str) -> str:
    return text + chance.choice(["谢谢", "please", "。", "!!", "（完）"])


def other_width(chance: random.Random, text: str) -> str:
    return text.translate(FULL_WIDTH) if chance.random() < 0.5 else text.upper()


def other_punctuation(chance: random.Random, text: str) -> str:
    swapped = str.maketrans(MARKS, ",.!?;:,") if chance.random() < 0.5 else {ord(mark): None for mark in MARKS + "."}
    return text.translate(swapped)


S2T, T2S = opencc.OpenCC("s2t"), opencc.OpenCC("t2s")


def other_script(chance: random.Random, text: str) -> str:
    return str(S2T.convert(text))


KINDS: tuple[Callable[[random.Random, str], str], ...] = (
    one_word_edits,
    added_end,
    other_width,
    other_punctuation,
    other_script,
)


def compared(text: str) -> str:
    """The text as it is compared when script is ignored; one at a time, with Python's own functions."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return str(T2S.convert(text))


def planted(count: int) -> list[Pair]:
    chance = random.Random(7)
    pairs: list[Pair] = []
    while len(pairs) < count:
        make, change = chance.choice((chinese, english)), KINDS[len(pairs) % len(KINDS)]
        one = make(chance, int(chance.choice((10, 16, 24, 40, 80, 150, 400)) * chance.uniform(0.8, 1.2)))
        other = change(chance, one)
        if chance.random() < 0.3:
            other = one_word_edits(chance, other)
        if other != one and jaccard(compared(one), compared(other)) >= 0.7:
            pairs.append(Pair(one, other, change.__name__))
    return pairs


def template_rows(count: int) -> list[list[str]]:
    """Rows that share a template and differ in their numbers: most of their pairs look alike and are not."""
    chance = random.Random(11)
    groups = []
    for number in range(count):
        make = (chinese, english)[number % 2]
        pieces = [make(chance, chance.randrange(8, 30)) for _ in range(chance.randrange(3, 7))]
        rows = ["".join(f"{piece}{chance.randrange(10, 9999)}" for piece in pieces) for _ in range(12)]
        groups.append(rows)
    return groups


@pytest.fixture(scope="module")
def found() -> tuple[list[Pair], list[list[str]], dict[str, str]]:
    """The planted pairs, the groups of hard negatives, and what was dropped for what, by text."""
    pairs, groups = planted(4000), template_rows(60)
    texts = [text for pair in pairs for text in pair[:2]] + [row for group in groups for row in group]
    random.Random(3).shuffle(texts)
    ids = [f"{number:032x}" for number in random.Random(5).sample(range(1 << 62), len(texts))]
    table = near_duplicates(pl.Series(texts), pl.Series(ids), ignoring=["script"])
    dropped = {texts[at]: texts[survivor] for at, survivor in table.select("dropped", "survivor").rows()}
    return pairs, groups, dropped


def test_every_planted_pair_over_the_threshold_is_found(found: tuple[list[Pair], list[list[str]], dict[str, str]]):
    pairs, _, dropped = found
    over = [pair for pair in pairs if jaccard(compared(pair.one), compared(pair.other)) >= 0.8]
    under = len(pairs) - len(over)
    seen = [pair for pair in over if dropped.get(pair.one) == pair.other or dropped.get(pair.other) == pair.one]
    print(f"{len(over)} planted pairs at 0.8 or over, {under} from 0.7 to 0.8, {len(seen)} found")
    assert len(over) >= 2000
    assert under >= 300
    assert {(pair.kind, language(pair.one)) for pair in over} >= {
        *((kind.__name__, "zh") for kind in KINDS),
        *((kind.__name__, "en") for kind in KINDS if kind is not other_script),
    }
    for wanted in ("zh", "en"):
        lengths = [len(pair.one) for pair in over if language(pair.one) == wanted]
        assert sum(length < 30 for length in lengths) >= 50
        assert sum(length > 150 for length in lengths) >= 400
    assert len(seen) == len(over)


def test_planted_pairs_under_the_threshold_stay(found: tuple[list[Pair], list[list[str]], dict[str, str]]):
    pairs, _, dropped = found
    under = [pair for pair in pairs if jaccard(compared(pair.one), compared(pair.other)) < 0.8]
    assert not [pair for pair in under if pair.one in dropped or pair.other in dropped]


def test_nothing_is_dropped_for_a_text_that_is_not_alike(found: tuple[list[Pair], list[list[str]], dict[str, str]]):
    _, _, dropped = found
    assert all(jaccard(compared(one), compared(other)) >= 0.8 for one, other in dropped.items())


def test_hard_negatives_stay(found: tuple[list[Pair], list[list[str]], dict[str, str]]):
    _, groups, dropped = found
    hard = 0
    for group in groups:
        values = {(one, other): jaccard(compared(one), compared(other)) for one, other in combinations(group, 2)}
        alike = {text for pair, value in values.items() if value >= 0.8 for text in pair}
        hard += sum(0.5 <= value < 0.8 for value in values.values())
        assert all(text in alike for text in group if text in dropped)
    print(f"{hard} pairs of a template's rows from 0.5 to 0.8")
    assert hard >= 2000


def test_a_traditional_copy_is_a_duplicate_only_if_the_script_is_ignored():
    texts, ids = pl.Series(["头发干净，发现问题。", "頭髮乾淨，發現問題。"]), pl.Series(["a", "b"])
    assert near_duplicates(texts, ids, ignoring=["script"]).rows() == [(1, 0, 1.0)]
    assert near_duplicates(texts, ids).is_empty()


def test_one_edit_in_a_short_row_makes_no_pair():
    text = "".join(SIMPLIFIED[:30])
    edited = text[:15] + SIMPLIFIED[40] + text[16:]
    assert jaccard(text, edited) == pytest.approx(23 / 31)
    assert near_duplicates(pl.Series([text, edited]), pl.Series(["a", "b"])).is_empty()
    assert near_duplicates(pl.Series([text, edited]), pl.Series(["a", "b"]), threshold=0.74).height == 1
