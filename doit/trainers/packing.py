"""Which rows one update sees, how they are put into sequences, and the arrays that a model is given.

An update is computed in parts (`accumulate`), a part is a few sequences, a sequence is one conversation or, packed,
several end to end. All of it follows from the lengths, the spec, the seed and the epoch; no worker count enters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from doit.trainers.rows import EncodedRows
from doit.trainers.spec import TrainerSpec

Part = tuple[tuple[int, ...], ...]
"""Sequences that go through the model together; each names its rows."""
Update = tuple[Part, ...]
"""What one step of the optimiser sees, in `accumulate` parts or fewer."""

IGNORED = -100
"""Label of a token that is not learned, as the loss of PyTorch and transformers have it."""

WINDOW = 64
"""Updates whose rows are sorted by length together; more leave less padding, fewer mix the rows better."""


def pack(lengths: NDArray[np.int64], max_tokens: int, seed: int) -> list[list[int]]:
    """Put rows into sequences by best-fit decreasing: the longest row first, each where it leaves the least room.

    Args:
        lengths: (N,) tokens of each row, each from 1 to `max_tokens`.
        max_tokens: longest sequence.
        seed: orders rows of equal length, and the sequences.

    Returns:
        Row numbers of every sequence; every row is in one of them.
    """
    order = np.lexsort((_keys(len(lengths), seed), -np.asarray(lengths)))
    sequences: list[list[int]] = []
    room: list[list[int]] = [[] for _ in range(max_tokens + 1)]
    """Room left -> sequences that have it."""
    filled = 0
    """Bit r is set where some sequence has room r: the smallest room that is enough is one shift away."""
    for row, length in zip(order.tolist(), np.asarray(lengths)[order].tolist(), strict=True):
        enough = filled >> length
        if enough:
            left = length + (enough & -enough).bit_length() - 1
            number = room[left].pop()
            if not room[left]:
                filled ^= 1 << left
        else:
            number, left = len(sequences), max_tokens
            sequences.append([])
        sequences[number].append(row)
        left -= length
        if left:
            if not room[left]:
                filled |= 1 << left
            room[left].append(number)
    return [sequences[number] for number in np.argsort(_keys(len(sequences), seed + 1), kind="stable").tolist()]


def batches(rows: EncodedRows, spec: TrainerSpec, epoch: int, *, packed: bool) -> Iterator[Update]:
    """The updates of one pass over the rows, every row once; `list(...)` has as many entries as the pass has steps.

    With `batch_records` an update has that many rows, the last one perhaps fewer; packed, they share sequences of at
    most `max_tokens`. With `batch_tokens` it has as many sequences as hold so many tokens, padding included. Not
    packed, rows of like lengths come together.

    Args:
        rows: what `encode` gave.
        spec: `batch_records`, `batch_tokens`, `accumulate` and `seed` are read.
        epoch: number of the pass, from 0; each has an order of its own.
        packed: whether conversations share sequences.
    """
    lengths = np.asarray(rows.lengths)
    seed = spec.seed * 1_000_003 + epoch
    if spec.batch_records is not None:
        yield from _by_records(lengths, spec.batch_records, spec.accumulate, rows.max_tokens, seed, packed=packed)
    elif spec.batch_tokens is not None:
        yield from _by_tokens(lengths, spec.batch_tokens, spec.accumulate, rows.max_tokens, seed, packed=packed)


def _by_records(
    lengths: NDArray[np.int64], count: int, accumulate: int, max_tokens: int, seed: int, *, packed: bool
) -> Iterator[Update]:
    order = _shuffled(len(lengths), seed)
    if not packed:
        order = _grouped(order, lengths, count, seed)
    for start in range(0, len(order), count):
        inside = order[start : start + count]
        inside = inside[np.lexsort((inside, lengths[inside]))]
        parts = []
        for part in np.array_split(inside, accumulate):
            if not len(part):
                continue
            parts.append(
                _balanced(part, lengths, max_tokens, seed) if packed else tuple((row,) for row in part.tolist())
            )
        yield tuple(parts)


def _by_tokens(
    lengths: NDArray[np.int64], tokens: int, accumulate: int, max_tokens: int, seed: int, *, packed: bool
) -> Iterator[Update]:
    share = max(1, tokens // accumulate)
    if packed:
        sequences = [tuple(rows) for rows in pack(lengths, max_tokens, seed)]
        count = max(1, share // max_tokens)
        parts: list[Part] = [tuple(sequences[start : start + count]) for start in range(0, len(sequences), count)]
    else:
        parts = _padded_parts(lengths, share, accumulate, seed)
    for start in range(0, len(parts), accumulate):
        yield tuple(parts[start : start + accumulate])


def _padded_parts(lengths: NDArray[np.int64], tokens: int, accumulate: int, seed: int) -> list[Part]:
    """Parts of rows of like lengths that hold at most so many tokens with their padding, in a random order."""
    order = _shuffled(len(lengths), seed)
    mean = max(1.0, float(lengths.mean())) if len(lengths) else 1.0
    order = _sorted_in_windows(order, lengths, int(WINDOW * accumulate * max(1.0, tokens / mean)))
    parts: list[Part] = []
    open_part: list[int] = []
    longest = 0
    for row, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        if open_part and max(longest, length) * (len(open_part) + 1) > tokens:
            parts.append(tuple((each,) for each in open_part))
            open_part, longest = [], 0
        open_part.append(row)
        longest = max(longest, length)
    if open_part:
        parts.append(tuple((each,) for each in open_part))
    return [parts[number] for number in _shuffled(len(parts), seed + 1).tolist()]


def _balanced(part: NDArray[np.int64], lengths: NDArray[np.int64], max_tokens: int, seed: int) -> Part:
    """As few sequences as best-fit decreasing finds, of lengths as even as can be, so that little is padded."""
    inside = lengths[part]
    found = pack(inside, max_tokens, seed)
    sums = [0] * len(found)
    even: list[list[int]] = [[] for _ in found]
    for at in np.argsort(-inside, kind="stable").tolist():
        least = min(range(len(sums)), key=sums.__getitem__)
        sums[least] += int(inside[at])
        even[least].append(at)
    chosen = even if max(sums) <= max_tokens else found
    return tuple(tuple(part[sequence].tolist()) for sequence in chosen)


def _grouped(order: NDArray[np.int64], lengths: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """The rows so that each update has like lengths; the updates in a random order, the short one last."""
    order = _sorted_in_windows(order, lengths, WINDOW * count)
    whole = len(order) // count
    updates = order[: whole * count].reshape(whole, count)[_shuffled(whole, seed + 1)]
    return np.concatenate([updates.reshape(-1), order[whole * count :]])


def _sorted_in_windows(order: NDArray[np.int64], lengths: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    at = np.arange(len(order)) // max(1, window)
    return order[np.lexsort((lengths[order], at))]


def _shuffled(count: int, seed: int) -> NDArray[np.int64]:
    return np.argsort(_keys(count, seed), kind="stable")


def _keys(count: int, seed: int) -> NDArray[np.uint64]:
    """A fixed hash of (seed, number) for every number: splitmix64, the same with every version of every library."""
    value = np.arange(count, dtype=np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
    value ^= value >> np.uint64(31)
    return value


def collate(
    rows: EncodedRows,
    part: Sequence[Sequence[int]],
    *,
    packed: bool,
    pad_id: int,
    pad_side: Literal["left", "right"] = "right",
    multiple_of: int = 1,
) -> dict[str, NDArray[np.int64]]:
    """The arrays of one part, each (sequences, longest).

    Args:
        rows: what `encode` gave.
        part: row numbers of each sequence.
        packed: leave `attention_mask` out, so that position ids alone keep conversations apart.
        pad_id: token that fills up; its label is -100.
        pad_side: where.
        multiple_of: the width is rounded up to a multiple of it.

    Returns:
        `input_ids`; `labels`, not shifted, -100 where nothing is learned and at the first token of every conversation;
        `position_ids`, from 0 in every conversation (and in the padding of a packed sequence); `cells`, index into
        `rows.cells` or -1 in padding; `attention_mask` where not packed.
    """
    width = max(sum(int(rows.offsets[row + 1] - rows.offsets[row]) for row in sequence) for sequence in part)
    width = -(-width // multiple_of) * multiple_of
    shape = (len(part), width)
    ids, labels = np.full(shape, pad_id, np.int64), np.full(shape, IGNORED, np.int64)
    positions, cells = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
    for line, sequence in enumerate(part):
        size = sum(int(rows.offsets[row + 1] - rows.offsets[row]) for row in sequence)
        at = 0 if pad_side == "right" else width - size
        if packed:
            padding = slice(size, width) if pad_side == "right" else slice(0, at)
            positions[line, padding] = np.arange(width - size)
        for row in sequence:
            tokens, supervised = rows.row(row)
            here = slice(at, at + len(tokens))
            ids[line, here] = tokens
            labels[line, here] = np.where(supervised, tokens, IGNORED)
            labels[line, at] = IGNORED
            positions[line, here] = np.arange(len(tokens))
            cells[line, here] = rows.cell[row]
            at += len(tokens)
    made = {"input_ids": ids, "labels": labels, "position_ids": positions, "cells": cells}
    return made if packed else {**made, "attention_mask": (cells >= 0).astype(np.int64)}
