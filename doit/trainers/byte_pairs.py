"""Byte-level BPE with tiktoken in place of `tokenizers`, several times as fast, where it is proved to give the same.

Of a word, which is bytes to begin with, both make the leftmost of those adjacent pairs of tokens that have the least
rank into one token, and again, until there are none. For `tokenizers` pairs are those of its list of merges, for
tiktoken those whose bytes are together a token. The token of a merge gets the merge's place in the list as its rank
here, and the proof asks for two things:

1. Merges that make the same token stand next to each other in the list.
2. `tokenizers`, given nothing but the bytes of a token, gives back that token. (Where the tokenizer looks words up
   before it merges anything, as Llama 3's does, three tokens or more will do as well.)

Then the two agree on every word. For suppose that they have come to the same tokens, and that c and d, side by side
among them, are together the bytes of a token t. Each merge so far within these bytes was the leftmost of the least rank
in the word, so it was that within these bytes too; given them alone, `tokenizers` therefore makes the same merges in
the same order and comes to [c, d], two tokens. By the second condition it does not stop there, so (c, d) is in its
list. This holds for every such pair: the two choose among the same pairs. It is also the last merge of one and the same
way to t wherever t can be made, so that pairs of one token have one rank, and by the first condition tokens are ordered
alike in both. What remains is the beginning: tiktoken looks a whole word up before it merges anything, which by the
second condition gives what merging would, or is what the tokenizer does itself.
"""

from __future__ import annotations

import secrets
import threading
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from doit.trainers.word_splitting import Characters, pattern_of

TRIED = 200
"""Texts that are encoded with both libraries before one of them is trusted alone."""

TOGETHER = 4_000_000
"""Characters that are encoded with one call, the last text of a call aside."""

Tokens = tuple[NDArray[np.int32], NDArray[np.int64]]
"""(T,) ids of texts end to end, (N,) tokens of each."""


class Ranked(NamedTuple):
    """A vocabulary whose merges are those of tiktoken."""

    words: list[bytes]
    """Tokens by rank."""
    ids: NDArray[np.int32]
    """(R,) id of each."""


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> Tokens:
    """Tokens of texts by `tokenizers`, on every processor.

    Args:
        tokenizer: a `tokenizers.Tokenizer`.
        texts: N of them.
    """
    ids, lengths = array("i"), []
    for found in tokenizer.encode_batch_fast(texts, add_special_tokens=False) if texts else ():
        ids.extend(found.ids)
        lengths.append(len(found))
    return np.array(ids, dtype=np.int32), np.array(lengths, dtype=np.int64)


class BytePairs:
    """Encodes with tiktoken what it is proved for, and all else with `tokenizers`. Several threads may use it at once.

    Args:
        tokenizer: a `tokenizers.Tokenizer` without added tokens that occur in texts.
        ranked: its vocabulary.
        pattern: what it cuts words with.
        composed: whether it brings texts to NFC first.
    """

    def __init__(self, tokenizer: Any, ranked: Ranked, pattern: str, *, composed: bool) -> None:
        import tiktoken  # noqa: PLC0415 - of an extra

        self._tokenizer, self._ids = tokenizer, ranked.ids
        self._between = f"\U000f0000{secrets.token_hex(16)}"
        """Stands between two texts: one call for many texts costs less. No text can have it."""
        self._end = len(ranked.words)
        self._encoding = tiktoken.Encoding(
            "doit",
            pat_str=pattern,
            mergeable_ranks={word: rank for rank, word in enumerate(ranked.words)},
            special_tokens={self._between: self._end},
        )
        self._characters = Characters(pattern, composed=composed)
        self._trusted: bool | None = None
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Tokens of texts."""
        if not texts:
            return np.zeros(0, np.int32), np.zeros(0, np.int64)
        with self._lock:
            if self._trusted is None:
                some = texts[:TRIED]
                (ids, lengths), (own, sizes) = self._quick(some), encode_texts(self._tokenizer, some)
                self._trusted = np.array_equal(ids, own) and np.array_equal(lengths, sizes)
        if not self._trusted:
            return encode_texts(self._tokenizer, texts)
        found = [self._quick(run) for run in _runs(texts)]
        return np.concatenate([ids for ids, _ in found]), np.concatenate([lengths for _, lengths in found])

    def _quick(self, texts: Sequence[str]) -> Tokens:
        joined = self._between.join(texts)
        doubtful = self._doubtful(joined, texts)
        if doubtful:
            joined = self._between.join(["" if at in doubtful else text for at, text in enumerate(texts)])
        try:
            tokens = self._encoding.encode_to_numpy(joined, allowed_special={self._between}, disallowed_special=())
        except ValueError:  # too much white space for the engine of regular expressions
            return encode_texts(self._tokenizer, texts)
        ends = np.flatnonzero(tokens == self._end)
        assert len(ends) == len(texts) - 1
        lengths = np.diff(ends, prepend=-1, append=len(tokens)) - 1
        ids = self._ids[tokens[tokens != self._end]]
        return self._filled(ids, lengths, texts, doubtful) if doubtful else (ids, lengths)

    def _doubtful(self, joined: str, texts: Sequence[str]) -> set[int]:
        """Numbers of the texts with a character that the libraries may treat in two ways."""
        points = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
        at = np.flatnonzero(self._characters.doubtful(points))
        if not len(at):
            return set()
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + len(self._between))
        return set(np.searchsorted(ends, at, side="right").tolist())

    def _filled(
        self, ids: NDArray[np.int32], lengths: NDArray[np.int64], texts: Sequence[str], left: set[int]
    ) -> Tokens:
        """The tokens with those of the texts that were left out, which have none so far."""
        numbers = sorted(left)
        more, sizes = encode_texts(self._tokenizer, [texts[at] for at in numbers])
        lengths[numbers] = sizes
        late = np.zeros(len(texts), dtype=np.bool_)
        late[numbers] = True
        where = np.repeat(late, lengths)
        out = np.empty(len(where), dtype=np.int32)
        out[where], out[~where] = more, ids
        return out, lengths


def _runs(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts, as many together as bound the memory that joining them takes."""
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    cuts = np.flatnonzero(np.diff(ends // TOGETHER)) + 1
    for start, end in pairwise([0, *cuts.tolist(), len(texts)]):
        yield texts[start:end]


def byte_pairs_of(tokenizer: Any) -> BytePairs | None:
    """A quick way to the tokens of a tokenizer, or None where there is no proof that it would give the same.

    Args:
        tokenizer: a `tokenizers.Tokenizer` without added tokens that occur in texts.
    """
    document = orjson.loads(tokenizer.to_str())
    pattern = pattern_of(document["pre_tokenizer"])
    plain = document["normalizer"] is None
    composed = document["normalizer"] in ({"type": "NFC"}, {"type": "Sequence", "normalizers": [{"type": "NFC"}]})
    if pattern is None or not (plain or composed):
        return None
    ranked = ranked_of(document["model"], tokenizer.model)
    return None if ranked is None else BytePairs(tokenizer, ranked, pattern, composed=composed)


def ranked_of(description: dict[str, Any], model: Any) -> Ranked | None:
    """The vocabulary of a model by rank, or None where tiktoken could merge otherwise: see the proof above.

    Args:
        description: what a `tokenizer.json` says of the model.
        model: the model, of `tokenizers.models`.
    """
    awkward = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    if description["type"] != "BPE" or any(description.get(name) for name in awkward):
        return None
    vocabulary: dict[str, int] = description["vocab"]
    tokens = _by_rank(description["merges"])
    whole = bool(description.get("ignore_merges"))
    if tokens is None or not vocabulary.keys() >= set(tokens) or (whole and len(vocabulary) > len(tokens)):
        return None
    ids = [vocabulary[token] for token in tokens]
    if not _merged_into_themselves(model, tokens, ids, looked_up=whole):
        return None
    as_bytes = str.maketrans({letter: chr(byte) for letter, byte in _letters().items()})
    return Ranked([token.translate(as_bytes).encode("latin-1") for token in tokens], np.array(ids, dtype=np.int32))


def _by_rank(merges: Sequence[Sequence[str]]) -> list[str] | None:
    """Bytes, then the tokens of merges, or None where merges of one token are not next to each other."""
    tokens = dict.fromkeys(_letters())
    last = None
    for pair in merges:
        token = "".join(pair)
        if token != last and token in tokens:
            return None
        tokens[token] = None
        last = token
    return list(tokens)


def _merged_into_themselves(model: Any, tokens: list[str], ids: list[int], *, looked_up: bool) -> bool:
    """Whether merging the bytes of every token gives that token, or no pair where words are looked up before."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - of an extra

    bare = Tokenizer(model)
    before = model.ignore_merges
    model.ignore_merges = False
    try:
        found = bare.encode_batch_fast(tokens, add_special_tokens=False)
    finally:
        model.ignore_merges = before
        model._clear_cache()
    return all(one.ids == [id_] or (looked_up and len(one) > 2) for one, id_ in zip(found, ids, strict=True))


def _letters() -> dict[str, int]:
    """The letters that stand for bytes in byte-level vocabularies, since GPT-2's."""
    shown = (*range(33, 127), *range(161, 173), *range(174, 256))
    hidden = (byte for byte in range(256) if byte not in shown)
    return {**{chr(byte): byte for byte in shown}, **{chr(256 + at): byte for at, byte in enumerate(hidden)}}
