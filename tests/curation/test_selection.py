"""Selection: bounds, the best, samples by score, farthest-first; the same whatever the order of the records."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from doit.curation.choosing import diversity
from doit.curation.choosing.diversity import farthest_first, gram_vectors
from doit.curation.choosing.selection import sampling_order
from doit.curation.keys import keys
from doit.curation.rules.base import Left, Rule, Verdicts
from doit.curation.rules.selection import FarthestFirst, ScoreBounds, ScoreSample, TopScores
from doit.errors import DataError, SpecError
from doit.table import MESSAGES_POLARS

STRINGS = {"id": pl.String, "language": pl.String}
FILE = {"by": "quality", "scores": "q.jsonl"}


def ids(count: int) -> list[str]:
    return [f"{random.Random(at).getrandbits(128):032x}" for at in range(count)]


def left(scores: Sequence[float | None], *, names: list[str] | None = None, **columns: list[Any]) -> Left:
    rows = pl.DataFrame({"id": names or ids(len(scores)), **columns}, schema_overrides={"id": pl.String})
    column = pl.Series(scores, dtype=pl.Float64)
    return Left(rows, lambda text: pl.Series(["x"] * len(scores)), {}, {("q.jsonl", "quality"): column})


def fallen(verdicts: Verdicts) -> dict[int, str]:
    assert verdicts.falls.schema == {"at": pl.UInt32, "value": pl.String}
    return dict(verdicts.falls.rows())


def test_keys_are_those_written_down() -> None:
    some = pl.Series(["0" * 32, "0123456789abcdef0123456789abcdef", "f" * 32])
    assert keys("draw", 0, some).tolist() == [5844774408875296498, 16694855511081380412, 4698143164285458935]


def test_bounds_keep_what_lies_between_both_included() -> None:
    rule = ScoreBounds(**FILE, at_least=2, at_most=3.5)
    assert fallen(rule.compare(left([1.99, 2, 3.5, 3.51, 3]))) == {0: "1.99", 3: "3.51"}
    assert fallen(ScoreBounds(**FILE, at_most=0).compare(left([-1, 0.5]))) == {1: "0.5"}


@pytest.mark.parametrize(("missing", "falls"), [("drop", {0: "1.0", 1: "no score"}), ("keep", {0: "1.0"})])
def test_records_without_a_score_go_or_stay_as_told(missing: Any, falls: dict[int, str]) -> None:
    there = left([1, None, 3])
    assert fallen(ScoreBounds(**FILE, at_least=2, missing=missing).compare(there)) == falls
    assert fallen(TopScores(**FILE, keep={"records": 1}, missing=missing).compare(there)) == falls
    with pytest.raises(DataError, match=f"D310 q.jsonl: 1 of 3 records have no score .*{ids(3)[1]}"):
        ScoreBounds(**FILE, at_least=2).compare(there)


def test_the_best_of_every_cell_stay() -> None:
    language = ["zh-Hans", "en", "zh-Hans", "en", "zh-Hans", "zh-Hans"]
    ability = ["math", "math", None, "math", None, None]
    there = left([1, 5, 2, 4, 3, 9], language=language, ability=ability)
    best = TopScores(**FILE, keep={"records": 1}, per=["language", "ability"])
    assert fallen(best.compare(there)) == {2: "2.0", 3: "4.0", 4: "3.0"}
    assert fallen(TopScores(**FILE, keep=0.5).compare(there)) == {0: "1.0", 2: "2.0", 4: "3.0"}
    lowest = TopScores(**FILE, keep={"records": 2}, best="lowest")
    assert sorted(fallen(lowest.compare(there))) == [1, 3, 4, 5]


def test_equal_scores_are_decided_by_id() -> None:
    there = left([7.0] * 10)
    kept = set(range(10)) - set(fallen(TopScores(**FILE, keep=0.3).compare(there)))
    assert kept == set(np.argsort(ids(10))[:3].tolist())


@pytest.mark.parametrize(("part", "count"), [(0.3, 3), (0.25, 3), (0.24, 2), (0.15, 2), (0.04, 0), (1, 10)])
def test_a_part_is_the_nearest_whole_number_halves_up(part: float, count: int) -> None:
    assert len(fallen(TopScores(**FILE, keep=part).compare(left(list(range(10)))))) == 10 - count


def test_a_records_own_columns_are_scores_too() -> None:
    there = left([0, 0, 0], chars=[30, 10, 20], turns=[1, 1, 2], tokens=pl.Series([None, 4, 5]).to_list())
    assert fallen(TopScores(by="chars", keep={"records": 1}).compare(there)) == {1: "10.0", 2: "20.0"}
    assert fallen(ScoreBounds(by="turns", at_most=1).compare(there)) == {2: "2.0"}
    with pytest.raises(DataError, match="D310 rule score: 1 of 3"):
        ScoreBounds(by="tokens", at_most=1).compare(there)


def sampled(scores: Sequence[float], count: int, seed: int = 0) -> set[int]:
    rule = ScoreSample(**FILE, keep={"records": count}, seed=seed)
    return set(range(len(scores))) - set(fallen(rule.compare(left(scores))))


def test_a_sample_follows_the_scores() -> None:
    scores = [1.0] * 2000 + [3.0] * 2000 + [0.0] * 50
    drawn = [at for seed in range(5) for at in sampled(scores, 400, seed)]
    assert len(drawn) == 2000
    assert 0.70 < sum(at >= 2000 for at in drawn) / len(drawn) < 0.79
    assert max(drawn) < 4000


def test_the_first_draw_has_the_chances_of_the_scores() -> None:
    names, scores = pl.Series(ids(9000)), np.tile([1.0, 2.0, 5.0], 3000)
    firsts = sampling_order(scores, names, seed=0).reshape(3000, 3).argmin(axis=1)
    for at, chance in enumerate((1 / 8, 2 / 8, 5 / 8)):
        assert abs((firsts == at).mean() - chance) < 4 * math.sqrt(chance * (1 - chance) / 3000)


def test_samples_are_nested_and_depend_on_the_seed() -> None:
    scores = [random.Random(at).random() for at in range(300)]
    sizes = [sampled(scores, count) for count in (1, 10, 100, 299)]
    assert all(small < large for small, large in pairwise(sizes))
    assert sampled(scores, 50, 1) != sampled(scores, 50, 2)
    assert sampled(scores, 50, 1) == sampled(scores, 50, 1)


def test_records_with_the_score_0_are_never_drawn_and_scores_below_0_refused() -> None:
    assert sampled([0.0, 0.0, 1.0], 2) == {2}
    with pytest.raises(DataError, match="D312"):
        sampled([0.0, -0.1, 1.0], 2)


CHINESE = ["今天天气很好", "今天天气很好呀", "床前明月光", "疑是地上霜", "the cat sat", "THE CAT SAT", "", "？"]


def farthest(texts: list[str], names: list[str], **fields: Any) -> tuple[set[str], dict[str, str]]:
    messages = [[{"role": "user", "content": text}] for text in texts]
    frame = pl.DataFrame({"messages": messages}, schema={"messages": MESSAGES_POLARS})
    rows = pl.DataFrame({"id": names, "language": ["zh" if text > "z" else "en" for text in texts]}, STRINGS)
    found = FarthestFirst(**fields).compare(Left(rows, lambda text: frame.select(text).to_series()))
    falls = {names[at]: value for at, value in fallen(found).items()}
    return set(names) - set(falls), falls


def test_farthest_first_keeps_no_twins_and_names_the_nearest() -> None:
    names = [f"{at:032x}" for at in range(8)]
    kept, falls = farthest(CHINESE, names, keep={"records": 6})
    assert falls[names[5]] == f"1.0000 {names[4]}"  # case does not count
    assert names[1] in falls
    assert falls[names[1]].endswith(names[0])
    assert float(falls[names[1]].split()[0]) > 0.7
    assert len(kept) == 6


def test_farthest_first_works_within_cells() -> None:
    names = [f"{at:032x}" for at in range(8)]
    kept, falls = farthest(CHINESE, names, keep={"records": 2}, per=["language"])
    assert len(kept) == 4
    assert names[0] in kept
    zh = {names[at] for at, text in enumerate(CHINESE) if text > "z"}
    assert len(kept & zh) == 2
    assert all((name in zh) == (value.split()[1] in zh) for name, value in falls.items())
    kept, falls = farthest(CHINESE, names, keep=0.05)
    assert not kept
    assert set(falls.values()) == {"none of its cell stays"}


def slow(vectors: np.ndarray, count: int) -> list[int]:
    """The rule, word by word, in whole numbers."""
    chosen = [0][:count]
    while len(chosen) < count:
        gaps = [min(int(((row - vectors[one]) ** 2).sum()) for one in chosen) for row in vectors]
        chosen.append(max((at for at in range(len(vectors)) if at not in chosen), key=lambda at: (gaps[at], -at)))
    return chosen


words = st.lists(st.sampled_from([*"天地玄黄", "ab", "AB", " "]), max_size=12).map("".join)


@given(st.lists(words, min_size=1, max_size=30), st.data(), st.integers(1, 5))
def test_farthest_first_is_the_greedy_rule(texts: list[str], data: st.DataObject, together: int) -> None:
    vectors = gram_vectors(pl.Series(texts, dtype=pl.String))
    count = data.draw(st.integers(0, len(texts)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diversity, "REFRESHED", together)
        patch.setattr(diversity, "SWEPT", together)
        rows, nearest = farthest_first(vectors, count)
    whole = vectors.astype(np.int64)
    assert rows.tolist() == slow(whole, count)
    for at, near in enumerate(nearest.tolist() if count else []):
        gaps = [int(((whole[at] - whole[one]) ** 2).sum()) for one in rows]
        assert near == (rows.tolist().index(at) if at in rows else gaps.index(min(gaps)))


def test_vectors_have_one_length_and_say_how_like_texts_are() -> None:
    long = "".join(chr(0x4E00 + at * 13) for at in range(600))
    vectors = gram_vectors(pl.Series([long, long[:300], "你", "Ａ", "a", None, "x" * 100_000])).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths[5] == 0
    assert np.abs(np.delete(lengths, 5) - diversity.LENGTH).max() < 8
    assert (vectors[3] == vectors[4]).all()
    assert 0.5 < vectors[0] @ vectors[1] / diversity.LENGTH**2 < 0.9  # half of the grams of the longer: cosine 0.71
    assert (diversity.LENGTH + 8) ** 2 < 1 << 24
    assert (gram_vectors(pl.Series(["你好"] * 5000)) == gram_vectors(pl.Series(["你好"]))).all()


@given(st.permutations(range(8)))
def test_the_order_of_the_records_changes_nothing(order: list[int]) -> None:
    names, scores = ids(8), [3.0, 1.0, 3.0, 0.5, 2.0, 2.0, 2.0, 9.0]
    turned = [names[at] for at in order]
    for rule in (TopScores(**FILE, keep=0.5), ScoreSample(**FILE, keep=0.5)):
        one = {names[at] for at in fallen(rule.compare(left(scores, names=names)))}
        there = left([scores[at] for at in order], names=turned)
        assert {turned[at] for at in fallen(rule.compare(there))} == one
    assert farthest([CHINESE[at] for at in order], turned, keep=0.5) == farthest(CHINESE, names, keep=0.5)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (ScoreBounds, FILE, "D204"),
        (ScoreBounds, {**FILE, "at_least": 3, "at_most": 2}, "D207"),
        (ScoreBounds, {**FILE, "at_least": float("nan")}, "at_least"),
        (ScoreBounds, {"by": "quality", "at_least": 3}, "D203.*quality"),
        (ScoreBounds, {"by": "char", "at_least": 3}, 'Did you mean "chars"'),
        (TopScores, FILE, "keep"),
        (TopScores, {**FILE, "keep": 0}, "keep"),
        (TopScores, {**FILE, "keep": 1.5}, "keep"),
        (TopScores, {**FILE, "keep": {"records": 0}}, "keep"),
        (TopScores, {**FILE, "keep": 0.5, "per": ["row"]}, "per"),
        (ScoreSample, {**FILE, "keep": 0.5, "missing": "guess"}, "missing"),
        (FarthestFirst, {"keep": 0.5, "of": "all"}, "of"),
    ],
)
def test_impossible_rules_are_refused(kind: type[Rule], fields: dict[str, Any], message: str) -> None:
    with pytest.raises((ValidationError, SpecError), match=message):
        kind.model_validate(fields)


def test_scores_that_were_not_read_are_an_error_of_the_spec() -> None:
    with pytest.raises(SpecError, match="D203"):
        TopScores(by="other", scores="q.jsonl", keep=0.5).compare(left([1.0]))


def test_no_records_at_all() -> None:
    rules = (TopScores(**FILE, keep=0.5), ScoreSample(**FILE, keep=0.5), ScoreBounds(**FILE, at_least=1))
    for rule in rules:
        assert not fallen(rule.compare(left([])))
    assert farthest([], [], keep=0.5) == (set(), {})
