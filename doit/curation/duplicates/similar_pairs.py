"""Pairs of sets whose Jaccard similarity may reach a threshold, by prefix filtering: none that does is missed.

Order every set by how common its members are, rarest first. Two sets of sizes a and b with similarity t or more have
at least o = t / (1 + t) * (a + b) members in common, so the first of these has at least o members of each set from it
on (Bayardo, Ma and Srikant 2007; Xiao, Wang, Lin and Yu 2008). Turned round: with that many members left, a member says
how large another set can be at most that it shows, its *reach*. Neither set can be smaller than t times the other, so a
set shows only the members that reach that far, its *prefix*; and of two sets the smaller shows the larger only those
that reach its own size, its *head*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doit.curation.duplicates.grams import Counts, Keys, Sets
from doit.curation.stretches import stretches

SLACK = 1e-6
"""Taken off before rounding up, so that a product such as 0.7 * 10 never asks for one member too many."""

ROOM, CHUNK = 1 << 15, 1 << 18
"""Meetings, and postings or keys, looked at together: what numpy makes of them stays in the processor's cache, and is
put where the last ones were. New memory takes longer to get than to fill."""

NARROWED = 4
"""Postings that a probe may meet without a closer look at their sizes."""

SIZE_BITS, PLACE_BITS = 31, 8

LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class Postings:
    """Which set has which member in its prefix: one posting a member, sorted by (token, size, set)."""

    token: NDArray[np.int32]
    """A number for the member."""
    set: NDArray[np.int32]
    size: NDArray[np.int32]
    """Members of the set."""
    reach: NDArray[np.int32]
    """Members of the largest set that can be like this one and have this member as the first in common."""

    def only(self, which: NDArray[np.bool_]) -> Postings:
        """Some of the postings, in the same order."""
        return Postings(self.token[which], self.set[which], self.size[which], self.reach[which])

    @property
    def heads(self) -> NDArray[np.bool_]:
        """Which of them stand in their set's head, not only in its prefix."""
        return self.reach >= self.size

    @property
    def starts(self) -> Counts:
        """Where the postings of each token begin."""
        new = np.ones(len(self.token), dtype=np.bool_)
        new[1:] = self.token[1:] != self.token[:-1]
        return np.flatnonzero(new)

    @property
    def begins(self) -> Counts:
        """For each posting, where those of its token begin."""
        starts = self.starts
        return np.repeat(starts, np.diff(starts, append=len(self.token)))

    def chunks(self) -> Iterator[Postings]:
        """The postings in parts, no token in two of them."""
        first = 0
        while first < len(self.token):
            last = min(first + CHUNK, len(self.token))
            last = first + int(np.searchsorted(self.token[first:], self.token[last - 1], side="right"))
            here = slice(first, last)
            yield Postings(self.token[here], self.set[here], self.size[here], self.reach[here])
            first = last

    def found_by(self, probes: Postings) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """For each probe, the first of these postings of its member, and the end of them."""
        theirs = probes.starts
        wanted, each = probes.token[theirs], np.diff(theirs, append=len(probes.token))
        first, last = (np.searchsorted(self.token, wanted, side=side).astype(np.int32) for side in ("left", "right"))
        return np.repeat(first, each), np.repeat(last, each)


class PostingsOf:
    """Gathers the prefixes of sets, run by run."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._keys: list[Keys] = []
        self._prefixes: list[Counts] = []
        self._sizes: list[Counts] = []

    def add(self, sets: Sets) -> None:
        """Take the next sets."""
        sizes = sets.sizes
        prefix = sizes - np.ceil(self._threshold * sizes - SLACK).astype(np.int64) + 1
        prefix = np.minimum(prefix, sizes)
        starts = np.repeat(sets.starts[:-1] - (np.cumsum(prefix) - prefix), prefix)
        self._keys.append(sets.keys[starts + np.arange(len(starts))])
        self._prefixes.append(prefix)
        self._sizes.append(sizes)

    def finish(self) -> Postings:
        """The postings of members that more than one set has, sets being numbered in the order in which they came."""
        sizes = _joined(self._sizes)
        # Numbered as if the smallest set had come first: one sort then orders the postings of a member by size.
        ascending = np.argsort(sizes, kind="stable").astype(np.int32)
        keys, bits, coarseness = self._numbered(ascending)
        sizes, coarseness = sizes[ascending].astype(np.int32), coarseness[ascending]
        token, owner, size, reach = (np.empty(len(keys), dtype=np.int32) for _ in range(4))
        factor, most = (1 + self._threshold) / self._threshold, np.iinfo(np.int32).max
        done = 0
        for named, number in _shared(keys, bits):
            here, rank = slice(done, done + len(number)), number >> PLACE_BITS
            token[here], owner[here], size[here] = named, ascending[rank], sizes[rank]
            left = size[here] - ((number & ((1 << PLACE_BITS) - 1)) << coarseness[rank])
            reach[here] = np.minimum(np.floor((left + SLACK) * factor) - size[here], most)
            done = here.stop
        return Postings(token[:done], owner[:done], size[:done], reach[:done])

    def _numbered(self, ascending: NDArray[np.int32]) -> tuple[Keys, int, NDArray[np.int8]]:
        """Hashes of the keys, ascending; how many of the lower bits say where each has stood; how coarsely, by set.

        Args:
            ascending: the sets by size.
        """
        prefix = _joined(self._prefixes)
        keys = np.concatenate([np.zeros(0, dtype=np.uint64), *self._keys])
        self._keys.clear()
        rank = np.empty(len(ascending), dtype=np.int64)
        rank[ascending] = np.arange(len(ascending))
        # In a long prefix places are rounded down: sets then reach a little further than need be.
        coarseness = np.maximum(np.ceil(np.log2(np.maximum(prefix, 1))).astype(np.int8) - PLACE_BITS, 0)
        # What is left of a key's hash beside its place: one plain sort then orders both. Two members that share a hash
        # cost time and lose nothing.
        bits, ends = np.uint64(len(rank).bit_length() + PLACE_BITS), np.cumsum(prefix)
        for some in stretches(prefix, CHUNK):
            first, last = int(ends[some.start] - prefix[some.start]), int(ends[some.stop - 1])
            hashes, often = keys[first:last], prefix[some]
            hashes *= np.uint64(0x9E3779B97F4A7C15)
            hashes >>= bits
            hashes <<= bits
            place = np.arange(first, last) - np.repeat(ends[some] - often, often)
            number = np.repeat(rank[some] << PLACE_BITS, often) | place >> np.repeat(coarseness[some], often)
            hashes |= number.view(np.uint64)
        keys.sort()
        return keys, int(bits), coarseness


def _shared(keys: Keys, bits: int) -> Iterator[tuple[Counts, Counts]]:
    """Of keys with the same hash, if there are several: a number for it, ascending, and their places.

    Args:
        keys: as `PostingsOf._numbered` makes them.
        bits: how many of the lower ones are the place.
    """
    first = tokens = 0
    while first < len(keys):
        last = min(first + CHUNK, len(keys))
        # A chunk ends where a hash does.
        last = int(np.searchsorted(keys, keys[last - 1] | np.uint64((1 << bits) - 1), side="right"))
        hashes = keys[first:last] >> np.uint64(bits)
        new = np.ones(len(hashes) + 1, dtype=np.bool_)
        new[1:-1] = hashes[1:] != hashes[:-1]
        shared = ~(new[1:] & new[:-1])
        places = keys[first:last][shared] & np.uint64((1 << bits) - 1)
        named = np.cumsum(new[:-1][shared]) + tokens
        yield named, places.view(np.int64)
        first, tokens = last, int(named[-1]) if len(named) else tokens


def _joined(parts: Sequence[Counts]) -> Counts:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


@dataclass(frozen=True)
class Meetings:
    """Pairs of postings that have the same member: of each probe with those of an index from its `first` to `last`."""

    index: Postings
    probes: Postings
    first: NDArray[np.int32]
    last: NDArray[np.int32]

    def __len__(self) -> int:
        return int((self.last - self.first).sum(dtype=np.int64))

    def batches(self) -> Iterator[tuple[slice, Counts, Counts, Counts]]:
        """A part of the index, some probes, and who of them meets whom: the places of both in those."""
        counts = self.last - self.first
        busy = np.flatnonzero(counts)
        for stretch in stretches(counts[busy], ROOM):
            some = busy[stretch]
            often, first = counts[some], self.first[some]
            part = slice(int(first.min()), int(self.last[some].max()))
            probe = np.repeat(np.arange(len(some)), often)
            met = np.repeat(first - part.start - (np.cumsum(often) - often), often) + np.arange(len(probe))
            yield part, some, met, probe


@dataclass(frozen=True)
class Search:
    """Which pairs of sets can reach the threshold, judged by their sizes, places and sketches."""

    sketches: Sequence[NDArray[np.uint64]]
    """As `grams.sketches` makes them, a row for each set."""
    threshold: float

    def across(self, former: Postings, latter: Postings) -> list[Meetings]:
        """All meetings of sets of some postings with sets of others."""
        index, other = former.only(former.heads), latter.only(latter.heads)
        return [
            self._narrowed(index, latter, *index.found_by(latter)),
            self._narrowed(other, former, *other.found_by(former)),
        ]

    def within(self, some: Postings, *, window: int | None = None) -> list[Meetings]:
        """All meetings of sets of the same postings.

        Args:
            some: postings.
            window: look only at so many postings before each one.
        """
        found = []
        for chunk in some.chunks():
            heads = chunk.heads
            before = np.cumsum(heads, dtype=np.int32) - heads
            met = self._narrowed(chunk.only(heads), chunk, before[chunk.begins], before)
            if window is not None:
                np.maximum(met.first, met.last - window, out=met.first)
            found.append(met)
        return found

    def _narrowed(
        self, index: Postings, probes: Postings, first: NDArray[np.int32], last: NDArray[np.int32]
    ) -> Meetings:
        """Meetings with those sets only that are not too small, and as large at most as the probe's."""
        busy = np.flatnonzero(last - first > NARROWED)
        places = _places(index.token, index.size)
        smallest = np.ceil(self.threshold * probes.size[busy] - SLACK).astype(np.int64)
        small = np.flatnonzero(index.size[first[busy]] < smallest)
        largest = np.minimum(probes.size[busy], probes.reach[busy])
        large = np.flatnonzero(index.size[last[busy] - 1] > largest)
        low, high = (probes.token[busy[some]] for some in (small, large))
        first[busy[small]] = np.searchsorted(places, _places(low, smallest[small]))
        last[busy[large]] = np.searchsorted(places, _places(high, largest[large]), side="right")
        np.maximum(first, last, out=last)
        return Meetings(index, probes, first, last)

    def pairs(self, meetings: Iterable[Meetings]) -> Iterator[NDArray[np.uint64]]:
        """The pairs of sets that may be alike.

        Yields:
            Batches of `latter << 32 | former`, each ascending; a pair may be in several batches.
        """
        for some in meetings:
            for part, probes, met, probe in some.batches():
                size = some.probes.size[probes]
                # Fair to the first member that two sets share: a pair that is alike passes there, if not later on.
                good = np.flatnonzero(some.index.reach[part].take(met) >= size.take(probe))
                one, other = met.take(good), probe.take(good)
                sizes = some.index.size[part].take(one) + size.take(other)
                yield self._promising(some.index.set[part], some.probes.set[probes], one, other, sizes)

    def _promising(
        self, ones: NDArray[np.int32], others: NDArray[np.int32], one: Counts, other: Counts, sizes: NDArray[np.int32]
    ) -> NDArray[np.uint64]:
        """The pairs whose sketches do not differ in more bits than their sets may in members."""
        may_differ = (sizes * ((1 - self.threshold) / (1 + self.threshold)) + SLACK).astype(np.int32)
        coarse, *finer = self.sketches
        # One look into the large array for each set, not for each pair.
        words = coarse.take(ones, axis=0).take(one, axis=0)
        words ^= coarse.take(others, axis=0).take(other, axis=0)
        good = _within(words, may_differ)
        first, second = ones[one[good]], others[other[good]]
        for more in finer:
            may_differ, words = may_differ[good], words.take(good, axis=0)
            half = more.take(first, axis=0) ^ more.take(second, axis=0)
            words = np.concatenate((half, words ^ half), axis=1)
            good = _within(words, may_differ)
            first, second = first[good], second[good]
        former, latter = np.minimum(first, second), np.maximum(first, second)
        pairs = latter.astype(np.uint64) << np.uint64(32) | former.astype(np.uint64)
        # Two members of one set may share a token.
        return unique(pairs[former != latter])


def _within(words: Keys, most: NDArray[np.int32]) -> Counts:
    """The rows of words that have so many bits at most."""
    bits = np.bitwise_count(words)
    count = bits[:, 0].astype(np.uint16)
    for word in range(1, words.shape[1]):
        count += bits[:, word]
    return np.flatnonzero(count <= most)


def _places(token: NDArray[np.int32], size: NDArray[np.integer]) -> Counts:
    """Numbers in the order of postings of such tokens and sizes."""
    return token.astype(np.int64) << SIZE_BITS | size


def unique(pairs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Pairs, ascending and each once."""
    pairs = np.sort(pairs)
    return pairs[np.concatenate(([True], pairs[1:] != pairs[:-1]))] if len(pairs) else pairs


def split(pairs: NDArray[np.uint64]) -> tuple[Counts, Counts]:
    """The former and the latter sets of packed pairs."""
    return (pairs & LOW).astype(np.int64), (pairs >> np.uint64(32)).astype(np.int64)
