from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence
from itertools import combinations
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doit.curation import stretches
from doit.curation.duplicates import folding, grams, near_duplicates, similar_pairs
from doit.curation.duplicates.folding import folded, mapped, reduced
from doit.curation.duplicates.near_duplicates import clusters
from doit.curation.duplicates.near_duplicates import near_duplicates as found
from doit.errors import SpecError

THRESHOLDS = (0.2, 0.5, 2 / 3, 0.7, 0.75, 0.8, 0.9, 1.0)


def gram_set(text: str) -> set[str]:
    return {text[at : at + 4] for at in range(len(text) - 3)} if len(text) >= 4 else {text}


def jaccard(one: str, other: str) -> float:
    a, b = gram_set(one), gram_set(other)
    return len(a & b) / len(a | b)


def greedy(texts: Sequence[str | None], ids: Sequence[str], threshold: float) -> list[tuple[int, int, float]]:
    """The rule, word by word: in ascending id, dropped if a kept one is at or over the threshold, which is named."""
    kept: list[int] = []
    dropped = []
    for at in sorted(range(len(texts)), key=lambda at: (ids[at], at)):
        text = texts[at]
        if text is None:
            continue
        like = [(one, jaccard(text, texts[one] or "")) for one in kept]
        over = [(at, one, value) for one, value in like if value >= threshold]
        if over:
            dropped.append(over[0])
        else:
            kept.append(at)
    return sorted(dropped)


def chained(texts: Sequence[str], ids: Sequence[str], threshold: float) -> list[str]:
    """The smallest id that each text is joined to, by following pairs until nothing changes."""
    label = list(ids)
    changed = True
    while changed:
        changed = False
        for one in range(len(texts)):
            for other in range(len(texts)):
                if label[other] < label[one] and jaccard(texts[one], texts[other]) >= threshold:
                    label[one], changed = label[other], True
    return label


def series(texts: Sequence[str | None]) -> pl.Series:
    return pl.Series(texts, dtype=pl.String)


def numbered(count: int, seed: int = 0) -> list[str]:
    return [f"{number:032x}" for number in random.Random(seed).sample(range(1 << 62), count)]


@st.composite
def alike_texts(draw: st.DrawFn) -> list[str]:
    """A few texts over a small alphabet, and edits of them: pairs on both sides of any threshold."""
    letters = draw(st.sampled_from(["ab", "abc", "的一是在", "ab的一xyz😀"]))
    bases = draw(st.lists(st.text(letters, max_size=40), min_size=1, max_size=4))
    texts = []
    for base, cut, put in draw(
        st.lists(
            st.tuples(st.sampled_from(bases), st.integers(0, 40), st.text(letters, max_size=2)),
            max_size=25,
        )
    ):
        texts.append(base[:cut] + put + base[cut + len(put) :])
    return texts


@settings(max_examples=400)
@given(alike_texts(), st.sampled_from(THRESHOLDS), st.integers(0, 3), st.sampled_from([(1, 0), (20, 0), (1 << 20, 16)]))
def test_the_rule_is_kept_to_the_letter(
    texts: list[str], threshold: float, seed: int, dividing: tuple[int, int]
) -> None:
    ids = numbered(len(texts), seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "FEW_MEETINGS", dividing[0])
        patch.setattr(near_duplicates, "MEETINGS_EACH", dividing[1])
        table = found(series(texts), series(ids), threshold=threshold)
    assert table.rows() == greedy(texts, ids, threshold)


@settings(max_examples=200)
@given(alike_texts(), st.sampled_from(THRESHOLDS))
def test_clusters_are_chains_of_pairs(texts: list[str], threshold: float) -> None:
    ids = numbered(len(texts))
    assert clusters(series(texts), series(ids), threshold=threshold).to_list() == chained(texts, ids, threshold)


FILTERS = {
    "few texts judge how common grams are": [(grams, "SAMPLED", 1), (grams, "BUCKET_BITS", 8)],
    "many members share a token": [(similar_pairs, "PLACE_BITS", 58)],
    "places are rounded down": [(similar_pairs, "PLACE_BITS", 1)],
    "every range of sizes is narrowed": [(similar_pairs, "NARROWED", 0)],
    "chunks of a posting": [(similar_pairs, "CHUNK", 1), (similar_pairs, "ROOM", 1)],
    "a candidate waits for no other": [(near_duplicates, "GATHERED", 1), (near_duplicates, "FEW_MEETINGS", 1)],
}
"""What only long texts or many rows bring about."""


@settings(max_examples=60)
@given(alike_texts(), st.sampled_from(THRESHOLDS), st.booleans())
@pytest.mark.parametrize("changes", FILTERS.values(), ids=FILTERS)
def test_no_filter_loses_a_pair(
    changes: list[tuple[ModuleType, str, int]], texts: list[str], threshold: float, divided: bool
) -> None:
    ids = numbered(len(texts))
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in changes:
            patch.setattr(module, name, value)
        if divided:
            patch.setattr(near_duplicates, "FEW_MEETINGS", 1)
            patch.setattr(near_duplicates, "MEETINGS_EACH", 0)
        table = found(series(texts), series(ids), threshold=threshold)
        labels = clusters(series(texts), series(ids), threshold=threshold).to_list()
    assert table.rows() == greedy(texts, ids, threshold)
    assert labels == chained(texts, ids, threshold)


@given(st.lists(st.text("的一是在ab😀", max_size=30), min_size=2, max_size=12))
def test_sketches_differ_in_no_more_bits_than_sets_in_members(texts: list[str]) -> None:
    sets = grams.gram_sets(series(texts), grams.commonness(series(texts)))
    members = [set(sets.keys[sets.starts[at] : sets.starts[at + 1]].tolist()) for at in range(len(texts))]
    coarse, *finer = grams.sketches(sets)
    sketches = [coarse]
    for half in finer:
        sketches.append(np.concatenate((half, sketches[-1] ^ half), axis=1))
    assert [sketch.shape[1] for sketch in sketches] == [2, 4, 8, 16]
    for one, other in combinations(range(len(texts)), 2):
        bits = [int(np.bitwise_count(sketch[one] ^ sketch[other]).sum()) for sketch in sketches]
        # Finer sketches tell more apart.
        assert bits == sorted(bits)
        assert bits[-1] <= len(members[one] ^ members[other])
        assert bits[-1] % 2 == len(members[one] ^ members[other]) % 2


def test_only_sets_of_like_sizes_meet() -> None:
    sizes = [size for size in range(10, 100) for _ in range(3)]
    random.Random(0).shuffle(sizes)
    gathering = similar_pairs.PostingsOf(0.8)
    # The rarest member of all sets is the same; no other is in two of them.
    keys = [[1, *range(1000 * at, 1000 * at + size - 1)] for at, size in enumerate(sizes, start=1)]
    gathering.add(grams.Sets(np.concatenate(keys).astype(np.uint64), np.cumsum([0, *sizes])))
    postings = gathering.finish()
    words = [np.zeros((len(sizes), width), dtype=np.uint64) for width in grams.SKETCH_WORDS]
    met = []
    for meetings in similar_pairs.Search(words, 0.8).within(postings):
        for part, probes, one, other in meetings.batches():
            pairs = zip(
                meetings.index.set[part][one].tolist(), meetings.probes.set[probes][other].tolist(), strict=True
            )
            met += [tuple(sorted(pair)) for pair in pairs]
    like = [(a, b) for a, b in combinations(range(len(sizes)), 2) if 0.8 <= sizes[a] / sizes[b] <= 1.25]
    assert sorted(met) == like


def test_a_pair_is_verified_once_however_often_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)
    letters = [chr(0x4E00 + at) for at in range(2000)]
    texts = []
    for _ in range(20):
        text = "".join(chance.choices(letters, k=200))
        texts += [text, text[:100] + "改" + text[101:]]
    verified = []
    jaccard_of = near_duplicates.Texts._jaccard

    def counted(self: near_duplicates.Texts, former: grams.Counts, latter: grams.Counts) -> np.ndarray:
        verified.extend(zip(former.tolist(), latter.tolist(), strict=True))
        return jaccard_of(self, former, latter)

    monkeypatch.setattr(near_duplicates.Texts, "_jaccard", counted)
    monkeypatch.setattr(similar_pairs, "ROOM", 1)
    assert found(series(texts), series(numbered(len(texts)))).height == 20
    assert len(verified) == len(set(verified)) == 20


@settings(max_examples=50)
@given(alike_texts(), st.randoms(use_true_random=False))
def test_neither_order_nor_chunks_matter(texts: list[str], chance: random.Random) -> None:
    ids = numbered(len(texts))
    table = found(series(texts), series(ids))
    places = list(range(len(texts)))
    chance.shuffle(places)
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (grams, "RUN_ROWS", 2),
            (similar_pairs, "ROOM", 3),
            (similar_pairs, "CHUNK", 4),
            (near_duplicates, "VERIFIED_GRAMS", 5),
            (near_duplicates, "GATHERED", 2),
        ):
            patch.setattr(module, name, value)
        again = found(series([texts[at] for at in places]), series([ids[at] for at in places]))
    named = [(places[dropped], places[survivor], value) for dropped, survivor, value in again.rows()]
    assert sorted(named) == table.rows()


def test_a_row_like_a_dropped_one_alone_stays() -> None:
    base = "".join(chr(0x4E00 + at) for at in range(100))
    middle, far = base[6:] + "甲乙丙丁戊己", base[12:] + "甲乙丙丁戊己子丑寅卯辰巳"
    assert jaccard(base, middle) > 0.8
    assert jaccard(middle, far) > 0.8
    assert jaccard(base, far) < 0.8
    texts = series([base, middle, far])
    assert found(texts, series(["a", "b", "c"])).select("dropped", "survivor").rows() == [(1, 0)]
    assert clusters(texts, series(["a", "b", "c"])).to_list() == ["a", "a", "a"]


def test_the_best_survives_and_ids_decide_between_equals() -> None:
    texts = series(["春天来了，万物复苏"] * 4)
    ids = series(["a", "b", "c", "d"])
    kept = found(texts, ids, best=pl.Series([0.1, None, 0.9, 0.9]))["survivor"].to_list()
    assert kept == [2, 2, 2]
    assert found(texts, ids, best=pl.Series([float("nan"), 1.0, 2.0, 0.0]))["survivor"].unique().to_list() == [2]
    assert found(texts, ids, best=pl.Series([1, 2, 3, 4]))["survivor"].unique().to_list() == [3]


@pytest.mark.parametrize("texts", [[], [None], [None, None], ["一"], [""]], ids=str)
def test_columns_without_pairs(texts: list[str | None]) -> None:
    ids = numbered(len(texts))
    table = found(series(texts), series(ids))
    assert table.is_empty()
    assert table.schema == near_duplicates.DROPPED
    assert clusters(series(texts), series(ids)).to_list() == ids


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("", "", True),
        ("", " ", False),
        ("是", "是", True),
        ("是", "否", False),
        ("abc", "ABC", True),
        ("abc", "abc\0", False),
        ("ab", "ab\0\0", False),
        ("", "\0\0\0\0", False),
        ("a\0b", "a\0b", True),
        ("😀😁😂🤣😃", "😀😁😂🤣😃", True),
        ("😀😁😂🤣😃", "😀😁😂🤣😄", False),
        ("𠮷野家𠮷野家", "𠮷野家𠮷野家", True),
        ("ｈｅｌｌｏ　ｗｏｒｌｄ", "Hello world", True),
        ("Straße nach Süden", "STRASSE NACH SÜDEN", True),
        ("aaaa", "aaaaaaaaaaaa", True),
        ("\uffff\uffffabc", "\uffff\uffffABC", True),
        ("北京", "北京市", False),
    ],
)
def test_pairs_of_odd_texts(one: str, other: str, *, alike: bool) -> None:
    assert found(series([one, other]), series(["a", "b"])).rows() == ([(1, 0, 1.0)] if alike else [])


def test_nulls_are_like_nothing() -> None:
    texts = series([None, "", None, "", "四个字的", "四个字的"])
    assert found(texts, series(list("abcdef"))).rows() == [(3, 1, 1.0), (5, 4, 1.0)]
    assert clusters(texts, series(list("abcdef"))).to_list() == list("abcbee")


def test_all_rows_equal() -> None:
    texts, ids = series(["同样的一句话，一个字也不差。"] * 5000), numbered(5000)
    table = found(texts, series(ids))
    assert table.height == 4999
    assert table["survivor"].unique().to_list() == [ids.index(min(ids))]


def test_a_crowd_of_like_rows_costs_little() -> None:
    base = "请计算下面这道题，写出每一步的过程，并检查结果是否正确，最后用一句话回答：小明一共买了多少个苹果呢"
    texts = [f"{base}{number:04}" for number in range(4000)]
    ids = numbered(len(texts))
    table = found(series(texts), series(ids))
    first = ids.index(min(ids))
    assert all(value >= 0.8 for value in table["similarity"])
    assert table.height == 3999
    assert table["survivor"].unique().to_list() == [first]
    assert clusters(series(texts), series(ids)).n_unique() == 1


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(SpecError, match="D204"):
        found(series(["a"]), series(["a"]), threshold=threshold)


def test_long_texts_divide_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grams, "RUN_CHARS", 1000)
    chance = random.Random(1)
    long = "".join(chance.choices("的一是在不了有和人这中大为上个国我以要他", k=5000))
    texts = [long, "短的一句话", long[:4800] + "结尾不同", "短的一句话", long[:2500]]
    ids = list("abcde")
    assert found(series(texts), series(ids)).rows() == greedy(texts, ids, 0.8)


@given(st.lists(st.text(max_size=12), max_size=30))
def test_folding_is_pythons(texts: list[str]) -> None:
    expected = [unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()) for text in texts]
    assert folded(series(texts)).to_list() == expected


def plainly_folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@settings(max_examples=200)
@given(
    st.lists(
        st.text(
            st.sampled_from("aÅé가각ㄱ\u1100\u1161\u11a8\u0301\u0327ﬁ…，Ａｱﾞﾟ的㎡😀ẞǰ\u09c7\u09be\uffff")
            | st.characters()
        )
    )
)
def test_the_table_folds_as_python_does(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "MANY_BYTES", -1)
        assert folded(series(texts)).to_list() == [plainly_folded(text) for text in texts]


def test_characters_of_the_table_have_nothing_to_do_with_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    table = folding._folds()
    alone = [chr(point) for point in np.flatnonzero(table != folding.SEVERAL).tolist() if point != 0xFFFF]
    assert len(alone) > 60_000
    assert set("，Ａｱé的가☆\0") <= set(alone)
    assert not set("\u0301\u1161\u11a8\u09beﾞ…㎡ẞ") & set(alone)
    # What one decomposes to begins with nothing that composes with what stands before it.
    latter = {
        unicodedata.normalize("NFD", letter)[1]
        for letter in map(chr, range(0xC0, 0x10000))
        if len(unicodedata.normalize("NFD", letter)) == 2
    }
    for letter in alone:
        first = unicodedata.normalize("NFKD", letter)[0]
        assert not unicodedata.combining(first)
        assert first not in latter
    random.Random(0).shuffle(alone)
    whole = "".join(alone)
    assert folding._looked_up(whole) == plainly_folded(whole)
    monkeypatch.setattr(folding, "_compatible", None)
    folding._looked_up(whole)


def test_a_step_that_takes_marks_out_moves_no_text_to_another_row() -> None:
    texts = series(["a\uffff", None, "b", ""])
    for step in (lambda text: text.replace("\uffff", ""), lambda text: text.split("\uffff")[0], str.upper):
        assert mapped(texts[2:], [step]).to_list() == [step("b"), ""]
        assert mapped(texts, [step]).to_list() == [step("a\uffff"), None, step("b"), ""]


def test_every_letter_folds_alone_as_in_a_column() -> None:
    letters = [chr(point) for point in (*range(0xD800), *range(0xE000, 0x3FFFF))]
    expected = [unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", letter).casefold()) for letter in letters]
    assert folded(series(letters)).to_list() == expected


@pytest.mark.parametrize(
    ("text", "ignoring", "expected"),
    [
        ("頭髮\0乾淨", ("script",), "头发干净"),
        ("“你好”，　世界 —— a_b！", ("punctuation",), "你好 世界 ab"),
        ("Ａ－Ｂ", ("punctuation",), "ab"),
        (None, ("script", "punctuation"), None),
        ("頭髮", (), "頭髮"),
    ],
)
def test_further_differences_are_ignored(text: str | None, ignoring: tuple[str, ...], expected: str | None) -> None:
    assert folded(series([text]), ignoring=ignoring).to_list() == [expected]


@pytest.mark.parametrize(
    ("text", "ignoring", "expected"),
    [
        ("ＡＢｃ，ﾊﾟ x²", ("width",), "ABc,パ x²"),
        ("ＡＢｃ", ("case",), "ａｂｃ"),
        ("ＡＢｃ", ("width", "case"), "abc"),
        ("頭髮 Ａ", ("script",), "头发 Ａ"),
        ("ＡＢｃ", (), "ＡＢｃ"),
    ],
)
def test_reduction_takes_what_is_named_and_no_more(text: str, ignoring: tuple[str, ...], expected: str) -> None:
    assert reduced(series([text]), ignoring=ignoring).to_list() == [expected]


def test_an_unknown_difference_is_refused() -> None:
    with pytest.raises(SpecError, match=r'D203.*"widht".*Did you mean "width"'):
        folded(series(["a"]), ignoring=["widht"])


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(0, 20), st.none() | st.integers(1, 5))
def test_stretches_cover_everything_once(sizes: list[int], room: int, most: int | None) -> None:
    parts = list(stretches.stretches(np.array(sizes, dtype=np.int64), room, most))
    assert [at for part in parts for at in range(part.start, part.stop)] == list(range(len(sizes)))
    assert all(part.stop - part.start == 1 or sum(sizes[part]) <= room for part in parts)
    assert most is None or all(part.stop - part.start <= most for part in parts)
