from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from doit.curation import keys as keying
from doit.curation.keys import hexadecimal, keys, mix
from doit.mixtures.building import draw as drawing
from doit.mixtures.building.draw import copies, draw, kept, ordered

IDS = pl.Series("id", [hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest() for n in range(1000)])
ZERO = pl.Series("id", ["0" * 32, "0123456789abcdef" * 2])


def key_by_hand(purpose: str, seed: int, identity: str, copy: int) -> int:
    """The key as the module's docstring writes it down, in plain integers."""

    def finalise(z: int) -> int:
        z = (z + 0x9E3779B97F4A7C15) % 2**64
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    salt = int.from_bytes(hashlib.blake2b(f"{purpose}:{seed}:{copy}".encode(), digest_size=8).digest(), "little")
    return finalise(finalise(int(identity[:16], 16) ^ salt) ^ int(identity[16:], 16))


def test_mix_is_splitmix64() -> None:
    # The first outputs of SplitMix64 from state 0 are the finaliser of its gamma's multiples.
    assert [hex(word) for word in mix(np.array([0, 0x9E3779B97F4A7C15], np.uint64))] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
    ]


@pytest.mark.parametrize(
    ("purpose", "seed", "copy", "golden"),
    [
        ("draw", 0, 1, [5844774408875296498, 16694855511081380412]),
        ("order", 0, 1, [15383173648690507383, 3411589491628572684]),
        ("keep", 0, 1, [4324856645269679295, 12059542490538498836]),
        ("split", 0, 1, [7574420755367843323, 13718717616352499090]),
        ("draw", 1, 1, [3933740149309871115, 10408467978114494600]),
        ("order", 0, 2, [11940474096785762026, 5282179843067648860]),
    ],
)
def test_golden_keys(purpose: str, seed: int, copy: int, golden: list[int]) -> None:
    assert keys(purpose, seed, ZERO, copy).tolist() == golden


def test_keys_are_what_is_written_down() -> None:
    assert keys("draw", 7, IDS).tolist() == [key_by_hand("draw", 7, identity, 1) for identity in IDS]


def test_purposes_are_independent() -> None:
    ranks = np.argsort(np.argsort(keys("draw", 0, IDS))), np.argsort(np.argsort(keys("keep", 0, IDS)))
    assert abs(np.corrcoef(*ranks)[0, 1]) < 0.1


def slim(cells: list[int], most: int = 1) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": IDS[: len(cells)], "cell": pl.Series(cells, dtype=pl.Int32)},
    ).with_columns(max_epochs=pl.lit(most, pl.Int32))


def test_a_cell_takes_its_smallest_keys() -> None:
    table = slim([n % 2 for n in range(100)])

    drawn = draw(table, {0: 10, 1: 3}, 0)

    for cell, count in ((0, 10), (1, 3)):
        inside = table["cell"] == cell
        smallest = sorted(keys("draw", 0, table["id"]).tolist()[cell::2])[:count]
        taken = table.filter(inside & (drawn["epoch"] > 0))
        assert sorted(keys("draw", 0, taken["id"]).tolist()) == smallest


def test_the_order_of_the_input_does_not_matter() -> None:
    table = slim([n % 3 for n in range(300)])
    shuffled = table.sample(fraction=1, shuffle=True, seed=5)
    taken = {0: 20, 1: 5, 2: 0}

    one = table.filter(draw(table, taken, 3)["epoch"] > 0)["id"]
    other = shuffled.filter(draw(shuffled, taken, 3)["epoch"] > 0)["id"]

    assert sorted(one) == sorted(other)


def test_a_smaller_draw_lies_in_a_larger_one() -> None:
    table = slim([0] * 500)
    drawn = [set(table.filter(draw(table, {0: count}, 0)["epoch"] > 0)["id"]) for count in (4, 16, 64, 500)]

    assert all(small < large for small, large in pairwise(drawn))


@pytest.mark.parametrize(
    ("most", "count", "given"),
    [
        ([1, 1, 1], 2, [1, 1, 0]),
        ([3, 3, 3], 4, [2, 1, 1]),
        ([1, 3, 2], 6, [1, 3, 2]),
        ([1, 3, 2], 5, [1, 2, 2]),
        ([2, 2], 0, [0, 0]),
    ],
)
def test_copies_rank_by_epoch_then_key(most: list[int], count: int, given: list[int]) -> None:
    assert copies(np.array(most, np.int32), count).tolist() == given


def test_more_copies_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="more than the cell has"):
        copies(np.array([1, 2], np.int32), 4)


@pytest.mark.parametrize(("part", "count"), [((1, 2), 50), ((1, 3), 33), ((2, 3), 67), ((1, 1), 100), ((0, 1), 0)])
def test_keep_leaves_an_exact_part_of_a_source(part: tuple[int, int], count: int) -> None:
    table = pl.DataFrame({"id": IDS[:200], "source": ["a"] * 100 + ["b"] * 100})

    stays = kept(table, {"a": part, "b": (1, 1)}, 0)

    assert (stays[:100].sum(), stays[100:].sum()) == (count, 100)


def test_the_mixture_is_ordered_by_key_and_every_copy_has_its_own_place() -> None:
    table = pl.DataFrame({"id": IDS[:50], "epoch": pl.Series([1 + n % 3 for n in range(50)], dtype=pl.Int32)})

    rows = ordered(table, 0)

    assert rows.height == table["epoch"].sum()
    assert rows["order"].is_sorted()
    assert (
        rows.group_by("id")
        .agg(pl.col("epoch").sort())
        .filter(pl.col("epoch").list.max() != pl.col("epoch").list.len())
        .is_empty()
    )


def wide(ids: pl.Series) -> pl.Series:
    return pl.Series("id", [int(one, 16) for one in ids], dtype=pl.UInt128)


def test_ids_are_numbers_or_digits() -> None:
    for ids in (IDS, ZERO):
        assert keys("order", 3, wide(ids), 2).tolist() == keys("order", 3, ids, 2).tolist()
        assert hexadecimal(wide(ids)).equals(ids)
    assert hexadecimal(pl.Series("id", [None, 10], dtype=pl.UInt128)).to_list() == [None, "0" * 31 + "a"]


def test_many_keys_are_those_of_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = keys("draw", 0, IDS).tolist()
    monkeypatch.setattr(keying, "AT_ONCE", 7)
    assert keys("draw", 0, wide(IDS)).tolist() == whole


def test_equal_keys_go_by_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "keys", lambda *_: np.zeros(6, np.uint64))
    table = pl.DataFrame({"id": wide(IDS[:6]), "cell": pl.Series([0, 1, 0, 1, 0, 1], dtype=pl.Int32)})

    drawn = draw(table.with_columns(max_epochs=pl.lit(1, pl.Int32)), {0: 1, 1: 2}, 0)

    for cell in (0, 1):
        ranked = table.with_columns(drawn["rank"]).filter(pl.col("cell") == cell).sort("rank")
        assert ranked["id"].is_sorted()
    assert drawn["epoch"].sum() == 3
