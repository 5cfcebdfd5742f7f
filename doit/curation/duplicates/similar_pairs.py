"""Pairs of sets whose Jaccard similarity may reach a threshold, by prefix filtering: none that does is missed.

Order every set by how common its members are, rarest first. Two sets of sizes a and b with similarity t or more have
at least o = t / (1 + t) * (a + b) members in common, so the first of these stands among the first a - o + 1 members of
the one and the first b - o + 1 of the other (Bayardo, Ma and Srikant 2007; Xiao, Wang, Lin and Yu 2008). As neither set
can be smaller than t times the other, the larger need show only its first a - t * a + 1 members, its *prefix*, and the
smaller only its first b - 2t / (1 + t) * b + 1, its *head*. Sets are sorted into levels of size, so wide that two
alike are at most one level apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doit.curation.duplicates.grams import Counts, Keys, Sets
from doit.curation.stretches import stretches

SLACK = 1e-6
"""Taken off before rounding up, so that a product such as 0.7 * 10 never asks for one member too many."""

ROOM = 1 << 17
"""Meetings looked at together: what numpy makes of them stays in the processor's cache."""

LEVEL_BITS = 8

LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class Postings:
    """Which set has which member in its prefix: one posting a member, sorted by (token, set)."""

    token: NDArray[np.int64]
    """A number for the member, with the set's level in its lowest 8 bits: one higher is the next level's."""
    set: NDArray[np.int32]
    size: NDArray[np.int32]
    """Members of the set."""
    left: NDArray[np.int32]
    """How many members of the set come after this one, and itself."""
    head: NDArray[np.bool_]
    """Whether it stands in the set's head, not only in its prefix."""

    def only(self, which: NDArray[np.bool_]) -> Postings:
        """Some of the postings, in the same order."""
        return Postings(self.token[which], self.set[which], self.size[which], self.left[which], self.head[which])

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

    @property
    def meetings(self) -> int:
        """How many pairs of postings have the same token."""
        often = np.diff(self.starts, append=len(self.token))
        return int((often * (often - 1) // 2).sum())

    def found_by(self, probes: Postings, higher: int) -> tuple[Counts, Counts]:
        """For each probe, the first of these postings of its member, so many levels higher, and the end of them."""
        ours, theirs = self.starts, probes.starts
        if not len(ours):
            return np.zeros(len(probes.token), dtype=np.int64), np.zeros(len(probes.token), dtype=np.int64)
        wanted = probes.token[theirs] + higher
        at = np.minimum(np.searchsorted(self.token[ours], wanted), len(ours) - 1)
        often = np.where(self.token[ours[at]] == wanted, np.diff(ours, append=len(self.token))[at], 0)
        each = np.diff(theirs, append=len(probes.token))
        return np.repeat(ours[at], each), np.repeat(ours[at] + often, each)


class PostingsOf:
    """Gathers the prefixes of sets, run by run."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._keys: list[Keys] = []
        self._prefixes: list[Counts] = []
        self._heads: list[Counts] = []
        self._sizes: list[Counts] = []

    def add(self, sets: Sets) -> None:
        """Take the next sets."""
        sizes, threshold = sets.sizes, self._threshold
        prefix = sizes - np.ceil(threshold * sizes - SLACK).astype(np.int64) + 1
        head = sizes - np.ceil(2 * threshold / (1 + threshold) * sizes - SLACK).astype(np.int64) + 1
        prefix = np.minimum(prefix, sizes)
        starts = np.repeat(sets.starts[:-1] - (np.cumsum(prefix) - prefix), prefix)
        self._keys.append(sets.keys[starts + np.arange(len(starts))])
        self._prefixes.append(prefix)
        self._heads.append(np.minimum(head, sizes))
        self._sizes.append(sizes)

    def finish(self) -> Postings:
        """The postings of members that more than one set has, sets being numbered in the order in which they came."""
        prefix, head, sizes = _joined(self._prefixes), _joined(self._heads), _joined(self._sizes)
        member, number = self._shared()
        owner = np.repeat(np.arange(len(prefix), dtype=np.int32), prefix)[number]
        place = (number - (np.cumsum(prefix) - prefix)[owner]).astype(np.int32)
        del number
        token = member << LEVEL_BITS | _levels(sizes, self._threshold)[owner]
        del member
        order = _order(token)
        token, owner, place = token[order], owner[order], place[order]
        size = sizes[owner].astype(np.int32)
        return Postings(token, owner, size, size - place, place < head[owner])

    def _shared(self) -> tuple[Counts, Counts]:
        """Members that occur more than once, numbered and ascending, and which of the keys taken each of them was."""
        keys = np.concatenate([np.zeros(0, dtype=np.uint64), *self._keys])
        self._keys.clear()
        # What is left of a key's hash beside its place among the keys: one plain sort then orders both. Two members
        # that share a hash cost time and lose nothing.
        bits = np.uint64(max(1, len(keys).bit_length()))
        keys *= np.uint64(0x9E3779B97F4A7C15)
        keys >>= bits
        keys <<= bits
        keys |= np.arange(len(keys), dtype=np.uint64)
        keys.sort()
        new = np.ones(len(keys) + 1, dtype=np.bool_)
        new[1:-1] = keys[1:] >> bits != keys[:-1] >> bits
        shared = ~(new[1:] & new[:-1])
        number = (keys[shared] & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
        return np.cumsum(new[:-1][shared]), number


def _order(tokens: Counts) -> Counts:
    """The places of tokens in ascending order, equal ones in theirs."""
    bits = len(tokens).bit_length()
    if int(tokens.max(initial=0)).bit_length() + bits > 63:
        return np.argsort(tokens, kind="stable")
    # Several times faster than sorting places: a token and its place fit one number.
    packed = tokens << bits | np.arange(len(tokens))
    packed.sort()
    return packed & ((1 << bits) - 1)


def _levels(sizes: Counts, threshold: float) -> Counts:
    """Levels from 1 to 254; sets whose sizes differ by no more than a factor of the threshold are at most one apart."""
    step = max(1 / threshold, 1.1) * (1 + SLACK)
    levels: Counts = np.minimum(1 + np.floor(np.log(sizes) / np.log(step)), 254).astype(np.int64)
    return levels


def _joined(parts: Sequence[Counts]) -> Counts:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


@dataclass(frozen=True)
class Search:
    """Which pairs of sets can reach the threshold, judged by their sizes, places and sketches."""

    sketches: NDArray[np.uint64]
    """A row for each word, a column for each set."""
    threshold: float

    def across(self, former: Postings, latter: Postings) -> Iterator[NDArray[np.uint64]]:
        """Pairs of a set of some postings and a set of others, whose numbers are all higher.

        Yields:
            Batches of `latter << 32 | former`, ascending; a pair may be in several batches.
        """
        former_heads, latter_heads = former.only(former.head), latter.only(latter.head)
        yield from self._meet(former, latter_heads, *former.found_by(latter_heads, 0))
        tails = latter.only(~latter.head)
        yield from self._meet(former_heads, tails, *former_heads.found_by(tails, 0))
        yield from self._meet(former_heads, latter, *former_heads.found_by(latter, -1))
        yield from self._meet(former, latter_heads, *former.found_by(latter_heads, 1))

    def within(self, some: Postings, *, window: int | None = None) -> Iterator[NDArray[np.uint64]]:
        """Pairs of sets of the same postings. See `across`.

        Args:
            some: postings.
            window: look only at so many postings before each one, and at none of another level.
        """
        here, begins = np.arange(len(some.token)), some.begins
        if window is not None:
            begins = np.maximum(begins, here - window)
        heads_before = np.concatenate(([0], np.cumsum(some.head)))
        heads, tails = some.only(some.head), some.only(~some.head)
        yield from self._meet(some, heads, begins[some.head], here[some.head])
        yield from self._meet(heads, tails, heads_before[begins[~some.head]], heads_before[here[~some.head]])
        if window is None:
            yield from self._meet(heads, some, *heads.found_by(some, -1))

    def _meet(self, index: Postings, probes: Postings, first: Counts, last: Counts) -> Iterator[NDArray[np.uint64]]:
        """Let every probe meet the postings of the index from its `first` up to its `last`."""
        counts = last - first
        busy = np.flatnonzero(counts > 0)
        for stretch in stretches(counts[busy], ROOM):
            some = busy[stretch]
            often = counts[some]
            probe = np.repeat(some, often)
            met = np.repeat(first[some] - (np.cumsum(often) - often), often) + np.arange(len(probe))
            one, other = index.size[met], probes.size[probe]
            need = (one + other) * (self.threshold / (1 + self.threshold)) - SLACK
            # Fair to the first member that two sets share: a pair that is alike passes there, if not at its later ones.
            good = np.flatnonzero(np.minimum(index.left[met], probes.left[probe]) >= need)
            may_differ = (one + other - 2 * need)[good]
            yield self._promising(index.set[met[good]], probes.set[probe[good]], may_differ)

    def _promising(
        self, former: NDArray[np.int32], latter: NDArray[np.int32], may_differ: NDArray[np.float64]
    ) -> NDArray[np.uint64]:
        """The pairs whose sketches do not differ in more bits than their sets may in members."""
        differ = np.zeros(len(former), dtype=np.int64)
        for words in self.sketches:
            differ += np.bitwise_count(words[former] ^ words[latter])
            good = np.flatnonzero(differ <= may_differ)
            former, latter, may_differ, differ = former[good], latter[good], may_differ[good], differ[good]
            if not len(former):
                break
        former, latter = np.minimum(former, latter), np.maximum(former, latter)
        return unique(latter.astype(np.uint64) << np.uint64(32) | former.astype(np.uint64))


def unique(pairs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Pairs, ascending and each once."""
    pairs = np.sort(pairs)
    return pairs[np.concatenate(([True], pairs[1:] != pairs[:-1]))] if len(pairs) else pairs


def split(pairs: NDArray[np.uint64]) -> tuple[Counts, Counts]:
    """The former and the latter sets of packed pairs."""
    return (pairs & LOW).astype(np.int64), (pairs >> np.uint64(32)).astype(np.int64)
