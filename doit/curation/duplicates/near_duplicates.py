"""Near duplicates: texts whose sets of character 4-grams have a Jaccard similarity at or over a threshold.

Every such pair is found, however short the texts, and no other: candidates come from an index of each text's rarest
grams, which cannot miss a pair (`similar_pairs`), and every candidate is verified by its two sets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from doit.curation.duplicates.folding import folded
from doit.curation.duplicates.grams import KEY_BITS, SKETCH_WORDS, Counts, commonness, gram_sets, set_runs, sketches
from doit.curation.duplicates.similar_pairs import Postings, PostingsOf, Search, split, unique
from doit.curation.stretches import stretches
from doit.errors import SpecError

FEW_MEETINGS, MEETINGS_EACH = 1 << 20, 16
"""Meetings, in all or for each posting, up to which texts are compared all at once: fewer cost less than dividing."""

VERIFIED_GRAMS = 1 << 22
"""Grams of the pairs that are verified together, or of one pair if it has more: bounds memory."""

GATHERED = 1 << 21
"""Different candidates gathered before they are verified: a pair that shares many members is found as often."""

NEIGHBOURS = 4

DROPPED = {"dropped": pl.UInt32, "survivor": pl.UInt32, "similarity": pl.Float64}


@dataclass
class Texts:
    """Distinct folded texts, what their pairs are found by, and which of them are kept so far."""

    texts: pl.Series
    common: NDArray[np.uint8]
    sizes: Counts
    search: Search
    postings: Postings
    kept: NDArray[np.bool_] = field(init=False)
    survivor: Counts = field(init=False)
    similarity: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.kept = np.ones(len(self.texts), dtype=np.bool_)
        self.survivor = np.arange(len(self.texts))
        self.similarity = np.ones(len(self.texts))

    @classmethod
    def indexed(cls, texts: pl.Series, threshold: float) -> Texts:
        """Read every text twice: once for how common grams are, once for its rarest."""
        common = commonness(texts)
        gathering = PostingsOf(threshold)
        sizes = np.zeros(len(texts), dtype=np.int64)
        words = [np.empty((len(texts), width), dtype=np.uint64) for width in SKETCH_WORDS]
        for first, sets in set_runs(texts, common):
            gathering.add(sets)
            here = slice(first, first + len(sets.sizes))
            sizes[here] = sets.sizes
            for whole, part in zip(words, sketches(sets), strict=True):
                whole[here] = part
        return cls(texts, common, sizes, Search(words, threshold), gathering.finish())

    def alike(self, candidates: Iterable[NDArray[np.uint64]]) -> Iterator[tuple[Counts, Counts, NDArray[np.float64]]]:
        """Those candidates that reach the threshold, and their similarities; a pair may come more than once."""
        waiting, count = [np.zeros(0, dtype=np.uint64)], 0
        for batch in candidates:
            waiting.append(batch)
            count += len(batch)
            if count >= 2 * GATHERED:
                waiting = [unique(np.concatenate(waiting))]
                count = len(waiting[0])
            if count > GATHERED and len(waiting) == 1:
                yield from self._verified(waiting.pop())
                count = 0
        yield from self._verified(unique(np.concatenate([*waiting, np.zeros(0, dtype=np.uint64)])))

    def _verified(self, pairs: NDArray[np.uint64]) -> Iterator[tuple[Counts, Counts, NDArray[np.float64]]]:
        former, latter = split(pairs)
        for some in stretches(self.sizes[former] + self.sizes[latter], VERIFIED_GRAMS):
            similarity = self._jaccard(former[some], latter[some])
            good = similarity >= self.search.threshold
            yield former[some][good], latter[some][good], similarity[good]

    def _jaccard(self, former: Counts, latter: Counts) -> NDArray[np.float64]:
        """The similarity of each pair, from the sets themselves."""
        needed, at = np.unique(np.concatenate((former, latter)), return_inverse=True)
        sets = gram_sets(self.texts.gather(needed), self.common)
        ones = np.ones(len(sets.keys), dtype=np.int8)
        rows = csr_array((ones, sets.keys.astype(np.int64), sets.starts), shape=(len(needed), 1 << KEY_BITS))
        both = rows[at[: len(former)]].multiply(rows[at[len(former) :]]).tocsr()
        shared: Counts = np.diff(both.indptr)
        similarity: NDArray[np.float64] = shared / (self.sizes[former] + self.sizes[latter] - shared)
        return similarity

    def drop(self) -> None:
        """In order, drop each text that is like a kept one before it."""
        self._drop_among(self.postings)

    def _drop_among(self, some: Postings) -> None:
        """Decide on the texts of some postings, none of which is like a kept text outside them."""
        if not len(some.set):
            return
        lowest, highest = int(some.set.min()), int(some.set.max())
        if lowest == highest:
            return
        meetings = self.search.within(some)
        if sum(map(len, meetings)) <= max(FEW_MEETINGS, MEETINGS_EACH * len(some.set)):
            self._drop_one_by_one(self.search.pairs(meetings))
            return
        del meetings
        # Of a crowd of like texts nearly all are gone before most are ever compared with each other.
        middle = (lowest + highest) // 2
        left, right = some.only(some.set <= middle), some.only(some.set > middle)
        self._drop_among(left)
        left = left.only(self.kept[left.set])
        for former, latter, similarity in self.alike(self.search.pairs(self.search.across(left, right))):
            self._mark(former, latter, similarity)
        del left
        self._drop_among(right.only(self.kept[right.set]))

    def _mark(self, former: Counts, latter: Counts, similarity: NDArray[np.float64]) -> None:
        """Drop the latter ones for the kept former ones; of several, the first in order is named."""
        order = np.lexsort((former, latter))
        former, latter, similarity = former[order], latter[order], similarity[order]
        first = np.concatenate(([True], latter[1:] != latter[:-1])) if len(latter) else np.zeros(0, dtype=np.bool_)
        former, latter, similarity = former[first], latter[first], similarity[first]
        better = self.kept[latter] | (former < self.survivor[latter])
        former, latter = former[better], latter[better]
        self.kept[latter] = False
        self.survivor[latter], self.similarity[latter] = former, similarity[better]

    def _drop_one_by_one(self, candidates: Iterable[NDArray[np.uint64]]) -> None:
        pairs = list(self.alike(candidates))
        if not pairs:
            return
        former, latter, similarity = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        order = np.lexsort((former, latter))
        for one, other, value in zip(
            former[order].tolist(), latter[order].tolist(), similarity[order].tolist(), strict=True
        ):
            if self.kept[one] and self.kept[other]:
                self.kept[other] = False
                self.survivor[other], self.similarity[other] = one, value

    def connect(self) -> Counts:
        """For each text the first of those that a chain of like texts joins it to."""
        label = np.arange(len(self.texts))
        some = self.postings
        for window in (1, NEIGHBOURS, None):
            # Most of a crowd is joined through neighbours; tokens that only one crowd has need no closer look.
            candidates = self.search.pairs(self.search.within(some, window=window))
            label = self._joined(label, self._unjoined(candidates, label))
            some = some.only(_of_several(some, label))
        return label

    @staticmethod
    def _unjoined(candidates: Iterable[NDArray[np.uint64]], label: Counts) -> Iterator[NDArray[np.uint64]]:
        for batch in candidates:
            former, latter = split(batch)
            yield batch[label[former] != label[latter]]

    def _joined(self, label: Counts, candidates: Iterable[NDArray[np.uint64]]) -> Counts:
        count = len(label)
        for former, latter, _ in self.alike(candidates):
            edges = csr_array((np.ones(len(former), dtype=np.int8), (label[former], label[latter])), (count, count))
            _, component = connected_components(edges, directed=False)
            first = np.full(count, count)
            np.minimum.at(first, component, np.arange(count))
            label = first[component][label]
        return label


def _of_several(some: Postings, label: Counts) -> NDArray[np.bool_]:
    """Postings of the members whose texts have more than one label."""
    begins = some.begins
    differs = label[some.set] != label[some.set[begins]]
    mixed = np.zeros(len(begins), dtype=np.bool_)
    mixed[begins[differs]] = True
    return mixed[begins]


def _in_order(
    texts: pl.Series, ids: pl.Series, threshold: float, ignoring: Collection[str], best: pl.Series | None
) -> tuple[pl.Series, Counts, Counts, pl.Series]:
    """Rows in the order in which they are decided, and their distinct folded texts.

    Returns:
        The rows' positions, nulls left out; for each the number of its distinct text; for each distinct text the place
        of its first row among the positions; and the distinct texts.
    """
    if not 0 < threshold <= 1:
        raise SpecError("D204", f"{threshold} is not above 0 and at most 1.", where="near_duplicates.threshold")
    texts = texts.cast(pl.String)
    scores = pl.repeat(0, len(ids), dtype=pl.Int8, eager=True) if best is None else best.fill_nan(None)
    ranked = pl.DataFrame({"best": scores, "id": ids}).with_row_index("at").filter(texts.is_not_null())
    ranked = ranked.sort("best", "id", "at", descending=[True, False, False], nulls_last=True)
    text = folded(texts.gather(ranked["at"]), ignoring=ignoring).alias("text")
    first = pl.DataFrame(text).with_row_index("place").select(pl.col("place").min().over("text")).to_series().to_numpy()
    own = first == np.arange(len(first))
    number = (np.cumsum(own) - 1)[first]
    return ranked["at"], number, np.flatnonzero(own), text.filter(pl.Series(own))


def near_duplicates(
    texts: pl.Series,
    ids: pl.Series,
    *,
    threshold: float = 0.8,
    ignoring: Collection[str] = (),
    best: pl.Series | None = None,
) -> pl.DataFrame:
    """Which rows to drop so that no two that are left are near duplicates, without closure.

    Rows are decided in ascending id; one is dropped only if a row kept before it is at or over the threshold. So a row
    that is like a dropped one alone stays. The answer depends on neither the order of the rows nor the machine.

    Args:
        texts: what is compared, folded as `folding.folded` does. A null is like nothing and stays.
        ids: of the same rows; rows of equal id are decided in their order.
        threshold: Jaccard similarity of the sets of character 4-grams, above 0 and at most 1. A text of fewer than four
            characters is its own only gram.
        ignoring: further differences to ignore, `script` and `punctuation`.
        best: numbers of the same rows; higher ones are decided first, nulls last, and the id decides between equals.

    Returns:
        One row for each dropped row, by position: `dropped`; `survivor`, the position of the first row kept that is at
        or over the threshold; and their `similarity`.

    Raises:
        SpecError: D204, the threshold is out of range; D203, `ignoring` names an unknown difference.
    """
    at, number, places, distinct = _in_order(texts, ids, threshold, ignoring, best)
    found = Texts.indexed(distinct, threshold)
    found.drop()
    survivor = places[found.survivor[number]]
    dropped = np.flatnonzero(survivor != np.arange(len(survivor)))
    rows = at.to_numpy()
    columns = {
        "dropped": rows[dropped],
        "survivor": rows[survivor[dropped]],
        "similarity": found.similarity[number[dropped]],
    }
    return pl.DataFrame(columns, schema=DROPPED).sort("dropped")


def clusters(texts: pl.Series, ids: pl.Series, *, threshold: float = 0.8, ignoring: Collection[str] = ()) -> pl.Series:
    """For each row the smallest id of those that a chain of near duplicates joins it to; its own if there are none.

    Rows of one cluster in one split keep near duplicates from standing in two. Arguments and errors as in
    `near_duplicates`.
    """
    at, number, places, distinct = _in_order(texts, ids, threshold, ignoring, None)
    first = places[Texts.indexed(distinct, threshold).connect()[number]]
    rows = at.to_numpy()
    label = np.arange(len(ids))
    label[rows] = rows[first]
    return ids.gather(label).alias("cluster")
