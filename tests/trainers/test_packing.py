from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import spec

from doit.trainers.packing import IGNORED, Update, batches, collate, pack
from doit.trainers.rows import EncodedRows


def rows_of(lengths: list[int], max_tokens: int = 64) -> EncodedRows:
    """Rows whose tokens count up from 100 × the row's number; the last half of each is learned."""
    offsets = np.concatenate([[0], np.cumsum(np.array(lengths, dtype=np.int64))]).astype(np.int64)
    ids = [np.arange(length) + 100 * at for at, length in enumerate(lengths)]
    learned = [np.arange(length) >= length // 2 for length in lengths]
    return EncodedRows(
        ids=np.concatenate(ids).astype(np.int32),
        supervised=np.concatenate(learned),
        offsets=offsets,
        cell=np.array([at % 2 for at in range(len(lengths))], dtype=np.int32),
        record=np.array([f"{at:032x}" for at in range(len(lengths))]),
        cells=(("en", "math"), ("zh", None)),
        report=(),
        refusals={},
        max_tokens=max_tokens,
    )


def flat(updates: list[Update]) -> list[int]:
    return [row for update in updates for part in update for sequence in part for row in sequence]


LENGTHS = st.lists(st.integers(1, 64), min_size=1, max_size=60)


@settings(max_examples=80)
@given(lengths=LENGTHS, seed=st.integers(0, 5))
def test_every_row_is_in_one_sequence_and_no_sequence_is_too_long(lengths: list[int], seed: int) -> None:
    sequences = pack(np.array(lengths), 64, seed)

    assert sorted(itertools.chain(*sequences)) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in sequence) <= 64 for sequence in sequences)
    assert pack(np.array(lengths), 64, seed) == sequences


def naive(lengths: list[int], limit: int) -> int:
    """Sequences that best-fit decreasing needs, the slow way."""
    room: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [left for left in room if left >= length]
        if fitting:
            room.remove(min(fitting))
            room.append(min(fitting) - length)
        else:
            room.append(limit - length)
    return len(room)


@settings(max_examples=80)
@given(lengths=LENGTHS)
def test_as_many_sequences_as_best_fit_decreasing_needs(lengths: list[int]) -> None:
    assert len(pack(np.array(lengths), 64, 0)) == naive(lengths, 64)


def test_nearly_everything_is_filled_and_the_seed_counts() -> None:
    lengths = np.random.default_rng(0).lognormal(5, 0.7, 20_000).astype(np.int64).clip(8, 2048)
    one, other = pack(lengths, 2048, 1), pack(lengths, 2048, 2)

    assert lengths.sum() / (len(one) * 2048) > 0.99
    assert one != other
    assert len(one) == len(other)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"batch_records": 8},
        {"batch_records": 8, "accumulate": 4},
        {"batch_tokens": 256},
        {"batch_tokens": 256, "accumulate": 2},
    ],
)
def test_a_pass_sees_every_row_once_in_an_order_of_its_own(packed: bool, changes: dict[str, Any]) -> None:
    lengths = [int(n) for n in np.random.default_rng(1).integers(1, 65, 101)]
    rows, given_spec = rows_of(lengths), spec(**changes)
    first, again, second = (list(batches(rows, given_spec, epoch, packed=packed)) for epoch in (0, 0, 1))

    assert first == again != second
    assert sorted(flat(first)) == sorted(flat(second)) == list(range(101))
    assert all(1 <= len(update) <= given_spec.accumulate for update in first)
    for sequence in itertools.chain.from_iterable(part for update in first for part in update):
        assert packed or len(sequence) == 1
        assert sum(lengths[row] for row in sequence) <= 64
    if given_spec.batch_records:
        assert [len(flat([update])) for update in first] == [8] * 12 + [5]
    else:
        padded = [sum(len(part) * width(part, lengths) for part in update) for update in first]
        assert max(padded) <= 256
        assert sum(padded) / len(padded) > 128


def width(part: Any, lengths: list[int]) -> int:
    return max(sum(lengths[row] for row in sequence) for sequence in part)


def test_rows_of_like_lengths_come_together_where_they_are_not_packed() -> None:
    lengths = [int(n) for n in np.random.default_rng(2).lognormal(4, 0.8, 2000).clip(4, 512)]
    rows = rows_of(lengths, 512)
    padded = sum(
        len(part) * width(part, lengths)
        for update in batches(rows, spec(batch_records=16), 0, packed=False)
        for part in update
    )

    assert sum(lengths) / padded > 0.9


def test_packed_rows_of_one_update_fill_even_sequences() -> None:
    lengths = [int(n) for n in np.random.default_rng(3).integers(10, 120, 640)]
    rows = rows_of(lengths, 512)
    padded = sum(
        len(part) * width(part, lengths)
        for update in batches(rows, spec(batch_records=64), 0, packed=True)
        for part in update
    )

    assert sum(lengths) / padded > 0.95


def test_what_a_model_is_given_packed() -> None:
    made = collate(rows_of([3, 2, 4]), [(0, 1), (2,)], packed=True, pad_id=9)

    assert made["input_ids"].tolist() == [[0, 1, 2, 100, 101], [200, 201, 202, 203, 9]]
    assert made["labels"].tolist() == [[IGNORED, 1, 2, IGNORED, 101], [IGNORED, IGNORED, 202, 203, IGNORED]]
    assert made["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 1, 2, 3, 0]]
    assert made["cells"].tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 0, -1]]
    assert "attention_mask" not in made


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_a_model_is_given_with_padding(side: Any) -> None:
    made = collate(rows_of([3, 2]), [(0,), (1,)], packed=False, pad_id=9, pad_side=side, multiple_of=4)

    def placed(row: list[int], filler: int) -> list[int]:
        filling = [filler] * (4 - len(row))
        return filling + row if side == "left" else row + filling

    assert made["input_ids"].tolist() == [placed([0, 1, 2], 9), placed([100, 101], 9)]
    assert made["labels"].tolist() == [placed([IGNORED, 1, 2], IGNORED), placed([IGNORED, 101], IGNORED)]
    assert made["attention_mask"].tolist() == [placed([1, 1, 1], 0), placed([1, 1], 0)]
    assert made["position_ids"].tolist() == [placed([0, 1, 2], 0), placed([0, 1], 0)]
    assert made["cells"].tolist() == [placed([0, 0, 0], -1), placed([1, 1], -1)]


def test_no_conversation_predicts_the_first_token_of_the_next() -> None:
    """A row whose very first token is learned: its label would be the answer to the token before, of another row."""
    rows = rows_of([1, 1, 2])
    made = collate(rows, [(0, 1, 2)], packed=True, pad_id=0)

    assert rows.supervised.tolist() == [True, True, False, True]
    assert made["labels"].tolist() == [[IGNORED, IGNORED, IGNORED, 201]]
