"""The rows of a mixture as token ids with their masks: what training reads, and what the token cache holds."""

from __future__ import annotations

import gc
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from doit.errors import DataError, SpecError, StorageError
from doit.mixtures.opening import Opened, one_mixture
from doit.progress import Progress
from doit.trainers import token_cache
from doit.trainers.encoding import ControlTokens, Encoded, Encoder, Recipe, Row
from doit.trainers.over_length import answers_of, cut_turns, split_turns
from doit.trainers.rendering import CannotRender, Conversation, Message, Renderer, Shape, renderer_of, shape_of
from doit.trainers.spec import TrainerSpec

BATCH = 2048
"""Rows that are rendered while those before them are tokenised."""

KNOWN_SHAPES = 4096
"""How many shapes of conversations are remembered."""

QUICKENED = 5000
"""From so many rows on it pays to prove a quicker way to the same tokens first."""

_COLUMNS = ["id", "messages", "reasoning", "tools", "language", "ability"]
_MOST_REASONS = 20
"""Reasons of refusal that a report names; the rest are counted together."""


@dataclass(frozen=True)
class CellReport:
    """What became of the rows of one cell.

    `read` rows of the mixture are those refused, dropped or unsupervised, and those that are trained on; of the last,
    each gives one row, but one that was split gives one or more.
    """

    language: str
    ability: str | None
    read: int = 0
    """Rows of the mixture, copies included."""
    rows: int = 0
    """Rows that are trained on."""
    refused: int = 0
    """Rows that cannot be rendered; `EncodedRows.refusals` says why."""
    dropped: int = 0
    """Rows left out because they are too long."""
    cut: int = 0
    """Rows that lost whole turns at their end."""
    truncated: int = 0
    """Rows that were cut at the limit."""
    split: int = 0
    """Rows that were taken apart."""
    answers_left_out: int = 0
    """Answers that rows lost when they were cut or split."""
    unsupervised: int = 0
    """Rows left out because no token of theirs would be learned."""
    tokens: int = 0
    """Tokens of the rows that are trained on."""
    supervised: int = 0
    """Those of them that are learned."""


@dataclass(frozen=True)
class EncodedRows:
    """N training rows, T tokens, end to end."""

    ids: NDArray[np.int32]
    """(T,) token ids of all rows, one after another."""
    supervised: NDArray[np.bool_]
    """(T,) whether a token is learned."""
    offsets: NDArray[np.int64]
    """(N + 1,) row i is `ids[offsets[i]:offsets[i + 1]]`."""
    cell: NDArray[np.int32]
    """(N,) index into `cells`."""
    record: NDArray[np.str_]
    """(N,) id of the record, 32 hexadecimal digits; copies and the parts of a split record share theirs."""
    cells: tuple[tuple[str, str | None], ...]
    """(language, ability), sorted."""
    report: tuple[CellReport, ...]
    """One for each of `cells`, in their order."""
    refusals: dict[str, int]
    """Why rows could not be rendered -> how many."""
    max_tokens: int
    """The limit that no row exceeds."""

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) tokens of each row."""
        return np.diff(self.offsets)

    def row(self, index: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Token ids and mask of a row, each (length,)."""
        part = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.ids[part], self.supervised[part]


def encode(mixture: Path, split: str, spec: TrainerSpec, tokenizer: Any, cache: Path | None = None) -> EncodedRows:
    """Render, tokenise and mask every row of a split, or find them in the token cache.

    Args:
        mixture: folder of a mixture.
        split: `train`, `validation` or `test`.
        spec: `template`, `supervise`, `reasoning`, `max_tokens` and `over_length` are read.
        tokenizer: a fast tokenizer of transformers that has the template's tokens, see `templates.fit_tokenizer`.
        cache: folder of the token cache; None = `tokens` in the library's cache folder.

    Raises:
        SpecError: D206 no such mixture or split; D601 the tokenizer cannot be used; D602 its chat template cannot.
        StorageError: D102 the mixture is damaged.
        DataError: D320 no row is left to train on.
    """
    opened = one_mixture(mixture)
    files = _files(opened, split)
    control = ControlTokens(tokenizer)
    renderer = renderer_of(tokenizer, spec, control)
    settings = (spec.template, spec.supervise, spec.reasoning, str(spec.max_tokens), spec.over_length)
    named = (opened.manifest.digest, split, token_cache.tokenizer_digest(tokenizer), renderer.identity(), *settings)
    folder = (token_cache.cache_folder() if cache is None else cache) / token_cache.key(named)
    found = token_cache.load(folder)
    if found is None:
        encoder = Encoder(tokenizer, control, bos=renderer.bos)
        rows = _Encoding(spec, renderer, encoder).all(files)
        if len(rows):
            arrays, facts = _taken_apart(rows)
            token_cache.save(folder, arrays, facts)
            found = token_cache.load(folder)
    rows = rows if found is None else _put_together(*found)
    if not len(rows):
        raise _nothing_left(rows, opened, split)
    return rows


def _files(opened: Opened, split: str) -> list[Path]:
    """The split's files, each of the size that the manifest says."""
    named = sorted(name for name in opened.manifest.files if name.startswith(f"data/{split}-"))
    if not named:
        have = sorted({name[5:].partition("-")[0] for name in opened.manifest.files if name.startswith("data/")})
        hint = f"It has {', '.join(have)}." if have else ""
        raise SpecError("D206", f"the mixture has no split {split!r}.", where=str(opened.folder), hint=hint)
    for name in named:
        path = opened.folder / name
        if not path.is_file() or path.stat().st_size != opened.manifest.files[name].bytes:
            what = "it is missing or is not what the manifest says."
            raise StorageError("D102", what, where=str(path), hint="See `doit verify`.")
    return [opened.folder / name for name in named]


def _nothing_left(rows: EncodedRows, opened: Opened, split: str) -> DataError:
    counts = {
        "cannot be rendered": sum(cell.refused for cell in rows.report),
        "are too long": sum(cell.dropped for cell in rows.report),
        "have nothing to learn": sum(cell.unsupervised for cell in rows.report),
    }
    why = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "it is empty"
    reason = max(rows.refusals, key=lambda each: rows.refusals[each], default="")
    hint = f"Most often: {reason}." if reason else "Raise `max_tokens`, or choose another `over_length`."
    return DataError("D320", f"no row of {split} is left to train on: {why}.", where=str(opened.folder), hint=hint)


class _Batch(NamedTuple):
    """Rows of the mixture."""

    conversations: list[Conversation]
    record: list[str]
    cell: list[int]


class _Rows(NamedTuple):
    """Encoded rows, and the record and the cell that each is of."""

    ids: NDArray[np.int32]
    supervised: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    learned: NDArray[np.int64]
    """Tokens of each that are learned."""
    record: list[str]
    cell: list[int]


class _Encoding:
    """Encodes a split and keeps account of every row."""

    def __init__(self, spec: TrainerSpec, renderer: Renderer, encoder: Encoder) -> None:
        self._spec, self._renderer, self._encoder = spec, renderer, encoder
        self._cells: dict[tuple[str, str | None], int] = {}
        self._counts: Counter[tuple[int, str]] = Counter()
        self._refusals: Counter[str] = Counter()
        self._recipes: dict[Shape, Recipe | str] = {}
        """Shape -> how its rows are encoded, or why they cannot be."""

    def all(self, files: Sequence[Path]) -> EncodedRows:
        """Every row of the files."""
        # Nothing here can be a cycle, and looking for cycles among so many rows takes a fifth of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._joined(self._all(files))
        finally:
            if collecting:
                gc.enable()

    def _all(self, files: Sequence[Path]) -> list[_Rows]:
        """Rows of all batches. Tokenising leaves the interpreter free, so the next rows are rendered meanwhile."""
        total = sum(pq.read_metadata(path).num_rows for path in files)
        threads = (os.cpu_count() or 1) if total >= QUICKENED and self._encoder.quicken() else 1
        done: list[_Rows] = []
        waiting: deque[tuple[_Batch, list[int], Future[Encoded]]] = deque()
        with Progress("tokenising", total=total, unit="rows") as progress, ThreadPoolExecutor(threads) as pool:

            def finish() -> None:
                batch, sources, future = waiting.popleft()
                done.append(self._checked(batch, sources, future.result()))
                progress.advance(len(batch.record))

            for batch in self._batches(files):
                sources, rows = self._rendered(batch)
                waiting.append((batch, sources, pool.submit(self._encoder.encode, rows)))
                if len(waiting) > threads:
                    finish()
            while waiting:
                finish()
        return done

    def _batches(self, files: Sequence[Path]) -> Iterator[_Batch]:
        for path in files:
            try:
                for table in pq.ParquetFile(path).iter_batches(BATCH, columns=_COLUMNS):
                    yield self._batch(table)
            except (OSError, pa.ArrowException) as error:
                what = f"it cannot be read: {str(error).splitlines()[0]}."
                raise StorageError("D102", what, where=str(path), hint="See `doit verify`.") from None

    def _batch(self, table: Any) -> _Batch:
        turns = table.column("messages").flatten()
        messages = list(map(Message, _values(turns.field("role")), _values(turns.field("content"))))
        bounds = table.column("messages").offsets
        bounds = (bounds.to_numpy() - bounds[0].as_py()).tolist()
        rows = zip(bounds, bounds[1:], _values(table.column("reasoning")), _values(table.column("tools")), strict=False)
        conversations = [Conversation(messages[start:end], thoughts, tools) for start, end, thoughts, tools in rows]
        names = zip(_values(table.column("language")), _values(table.column("ability")), strict=True)
        cell = [self._cells.setdefault(name, len(self._cells)) for name in names]
        return _Batch(conversations, _values(table.column("id")), cell)

    def _rendered(self, batch: _Batch) -> tuple[list[int], list[Row]]:
        """Numbers of the rows that can be rendered, and what the tokenizer is given of them."""
        sources, rows = [], []
        for cell, count in Counter(batch.cell).items():
            self._counts[cell, "read"] += count
        for number, conversation in enumerate(batch.conversations):
            try:
                rows.append(self._row(conversation))
                sources.append(number)
            except CannotRender as refusal:
                self._refuse(batch.cell[number], str(refusal))
        return sources, rows

    def _row(self, conversation: Conversation) -> Row:
        shape = shape_of(conversation, self._spec)
        recipe = self._recipes.get(shape)
        if recipe is None:
            if len(self._recipes) >= KNOWN_SHAPES:
                self._recipes.clear()
            try:
                recipe = self._encoder.recipe(self._renderer.outline(shape))
            except CannotRender as refusal:
                recipe = str(refusal)
            self._recipes[shape] = recipe
        if isinstance(recipe, str):
            raise CannotRender(recipe)
        return self._encoder.row(recipe, conversation)

    def _refuse(self, cell: int, why: str) -> None:
        self._counts[cell, "refused"] += 1
        known = why in self._refusals or len(self._refusals) < _MOST_REASONS
        self._refusals[why if known else "other reasons"] += 1

    def _checked(self, batch: _Batch, sources: list[int], encoded: Encoded) -> _Rows:
        """The rows of a batch that may be trained on; too long ones are seen to, those without a lesson left out."""
        ends = np.cumsum(encoded.lengths, dtype=np.int64)
        starts = ends - encoded.lengths
        learned = _learned(encoded.supervised, encoded.lengths)
        bad = (encoded.lengths > self._spec.max_tokens) | (learned == 0)
        bad[list(encoded.unsafe)] = True
        if not bad.any():
            return _rows_of(batch, sources, encoded.ids, encoded.supervised, encoded.lengths)
        kept: list[tuple[NDArray[np.int32], NDArray[np.bool_], int]] = []
        for at, number in enumerate(sources):
            one = slice(int(starts[at]), int(ends[at]))
            row = encoded.ids[one], encoded.supervised[one]
            if not bad[at]:
                kept.append((*row, number))
            elif at in encoded.unsafe:
                self._refuse(batch.cell[number], encoded.unsafe[at])
            else:
                kept += [(*each, number) for each in self._mended(row, batch, number)]
        if not kept:
            return _Rows(encoded.ids[:0], encoded.supervised[:0], ends[:0], ends[:0], [], [])
        ids, masks, numbers = zip(*kept, strict=True)
        lengths = np.array([len(each) for each in ids], dtype=np.int64)
        return _rows_of(batch, numbers, np.concatenate(ids), np.concatenate(masks), lengths)

    def _mended(
        self, row: tuple[NDArray[np.int32], NDArray[np.bool_]], batch: _Batch, number: int
    ) -> list[tuple[NDArray[np.int32], NDArray[np.bool_]]]:
        """The rows that a row of the mixture becomes that is too long or has nothing to learn."""
        cell, conversation, limit = batch.cell[number], batch.conversations[number], self._spec.max_tokens
        rows, answers, fate = [row], answers_of(conversation), ""
        if len(row[0]) > limit:
            if self._spec.over_length == "drop":
                rows = []
            elif self._spec.over_length == "truncate":
                rows, fate = [(row[0][:limit], row[1][:limit])], "truncated"
            elif self._spec.over_length == "cut_turns":
                shorter, answers = cut_turns(conversation, self._fit)
                rows, fate = [shorter] if shorter else [], "cut"
            else:
                rows, answers = split_turns(conversation, self._fit)
                fate = "split"
            if not rows:
                self._counts[cell, "dropped"] += 1
                return []
        taught = [each for each in rows if each[1].any()]
        if not taught:
            self._counts[cell, "unsupervised"] += 1
        elif fate:
            self._counts[cell, fate] += 1
            self._counts[cell, "answers_left_out"] += answers_of(conversation) - answers
        return taught

    def _fit(self, conversation: Conversation) -> tuple[NDArray[np.int32], NDArray[np.bool_]] | None:
        try:
            encoded = self._encoder.encode([self._row(conversation)])
        except CannotRender:
            return None
        fits = not encoded.unsafe and len(encoded.ids) <= self._spec.max_tokens
        return (encoded.ids, encoded.supervised) if fits else None

    def _joined(self, done: Sequence[_Rows]) -> EncodedRows:
        names = sorted(self._cells, key=lambda name: (name[0], name[1] is not None, name[1] or ""))
        place = np.zeros(len(names), dtype=np.int32)
        for at, name in enumerate(names):
            place[self._cells[name]] = at
        cell = place[np.array([number for rows in done for number in rows.cell], dtype=np.int64)]
        record = [id_ for rows in done for id_ in rows.record]
        offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *(rows.lengths for rows in done)]))
        supervised = np.concatenate([np.zeros(0, np.bool_), *(rows.supervised for rows in done)])
        taught = np.concatenate([np.zeros(0, np.int64), *(rows.learned for rows in done)])
        size = len(names)
        sums = {
            "rows": np.bincount(cell, minlength=size),
            "tokens": np.bincount(cell, np.diff(offsets), minlength=size),
            "supervised": np.bincount(cell, taught, minlength=size),
        }
        counted: dict[tuple[str, str | None], dict[str, Any]]
        counted = {name: {what: int(values[at]) for what, values in sums.items()} for at, name in enumerate(names)}
        for (number, what), count in self._counts.items():
            counted[names[int(place[number])]][what] = count
        return EncodedRows(
            ids=np.concatenate([np.zeros(0, np.int32), *(rows.ids for rows in done)]),
            supervised=supervised,
            offsets=offsets,
            cell=cell.astype(np.int32),
            record=np.array(record, dtype="U32"),
            cells=tuple(names),
            report=tuple(CellReport(*name, **counted[name]) for name in names),
            refusals=dict(self._refusals.most_common()),
            max_tokens=self._spec.max_tokens,
        )


def _rows_of(
    batch: _Batch,
    numbers: Sequence[int],
    ids: NDArray[np.int32],
    supervised: NDArray[np.bool_],
    lengths: NDArray[np.int64],
) -> _Rows:
    """Encoded rows that come of some rows of a batch."""
    cell, record = [batch.cell[number] for number in numbers], [batch.record[number] for number in numbers]
    return _Rows(ids, supervised, lengths, _learned(supervised, lengths), record, cell)


def _learned(supervised: NDArray[np.bool_], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many tokens of each row are learned."""
    upto = np.concatenate([[0], np.cumsum(supervised, dtype=np.int64)])
    return np.diff(upto[np.cumsum(lengths)], prepend=0)


def _values(column: Any) -> list[Any]:
    """The values of an Arrow array; Polars makes Python's strings of them several times as fast."""
    return pl.Series(values=column).to_list()


_ARRAYS = ("ids", "supervised", "offsets", "cell", "record")


def _taken_apart(rows: EncodedRows) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    facts = {
        "cells": rows.cells,
        "report": [asdict(cell) for cell in rows.report],
        "refusals": rows.refusals,
        "max_tokens": rows.max_tokens,
    }
    return {name: getattr(rows, name) for name in _ARRAYS}, facts


def _put_together(arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> EncodedRows:
    assert {field.name for field in fields(EncodedRows)} == {*_ARRAYS, *facts}
    return EncodedRows(
        **arrays,
        cells=tuple((language, ability) for language, ability in facts["cells"]),
        report=tuple(CellReport(**cell) for cell in facts["report"]),
        refusals=facts["refusals"],
        max_tokens=facts["max_tokens"],
    )
