r"""How tokenizers cut a text into words, and for which characters tiktoken is known to cut it alike.

`tokenizers` and tiktoken find words with two engines of regular expressions. Both try alternatives in their order and
repeat as often as they can, so with the patterns below they can differ in one thing alone: which characters a class
such as `\p{L}` holds, since each engine has a Unicode table of its own. So each character is looked up in the classes
of both before the first text that has it is cut, and a text with one that they do not hold alike is left to
`tokenizers`.

NFC, which some tokenizers apply first, is treated in the same way. It leaves a text alone if each of its characters is
a starter, equal to its own NFC, never the second half of a composition, and begins with none that is. Unicode does not
change any of this for a character once it is assigned, so it matters not whose table is the newer.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHORT = r"'s|'t|'re|'ve|'m|'ll|'d"
_SPACE = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_HEAD = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

GPT2 = rf"{_SHORT}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+"
"""The pattern that `ByteLevel` has of its own."""
QWEN2 = rf"(?i:{_SHORT})|{_HEAD}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACE}"
QWEN35 = rf"(?i:{_SHORT})|{_HEAD}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACE}"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
"""Also that of GPT-4 and of GLM 4."""
GPT4O = (
    rf"{_HEAD}{_UPPER}*{_LOWER}+(?i:{_SHORT})?|{_HEAD}{_UPPER}+{_LOWER}*(?i:{_SHORT})?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACE}"
)
"""Also that of gpt-oss."""

PATTERNS = frozenset((GPT2, QWEN2, QWEN35, LLAMA3, GPT4O))
"""Every character is in a word of each of them: tiktoken leaves out what is in none, `tokenizers` does not."""

_UNKNOWN, _ALIKE, _DOUBTFUL = 0, 1, 2


def pattern_of(pre_tokenizer: dict[str, Any] | None) -> str | None:
    """The one of `PATTERNS` that a tokenizer cuts texts with before it takes them for bytes, or None.

    Args:
        pre_tokenizer: what a `tokenizer.json` says of it.
    """
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return GPT2
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": how, "invert": inverted},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        } if pattern in PATTERNS and (how, inverted) in (("Isolated", False), ("Removed", True)):
            return pattern
    return None


class Characters:
    """Which characters two libraries treat alike; it learns them as they come. Several threads may ask.

    Args:
        pattern: one of `PATTERNS`.
        composed: whether texts are brought to NFC before they are cut.
    """

    def __init__(self, pattern: str, *, composed: bool) -> None:
        self._classes = sorted({*re.findall(r"\\p\{\w+\}|\\s", pattern), *(f"(?i:{one})" for one in "stremvld")})
        self._composed = composed
        self._states = np.zeros(0x110000, dtype=np.uint8)
        self._lock = threading.Lock()

    def doubtful(self, points: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which code points may be treated otherwise by one of the two; any shape."""
        states = self._states.take(points)
        new = states == _UNKNOWN
        if new.any():
            with self._lock:
                self._learn(np.unique(points[new]).tolist())
            states = self._states.take(points)
        return np.equal(states, _DOUBTFUL)

    def _learn(self, points: Iterable[int]) -> None:
        text = "".join(map(chr, points))
        doubtful = {one for one in text if not stays(one)} if self._composed else set()
        for one in self._classes:
            doubtful |= held_by_tokenizers(one, text) ^ held_by_tiktoken(one, text)
        for one in text:
            self._states[ord(one)] = _DOUBTFUL if one in doubtful else _ALIKE


def held_by_tokenizers(pattern: str, text: str) -> set[str]:
    """The characters of a text that a pattern of one character matches in `tokenizers`."""
    from tokenizers import Regex, pre_tokenizers  # noqa: PLC0415 - of an extra

    found = pre_tokenizers.Split(Regex(pattern), "removed", invert=True).pre_tokenize_str(text)
    return {piece for piece, _ in found}


def held_by_tiktoken(pattern: str, text: str) -> set[str]:
    """The same in tiktoken."""
    found = _engine(pattern).encode_to_numpy(text, disallowed_special=())
    return set(found.astype(np.uint8).tobytes().decode())


@cache
def _engine(pattern: str) -> Any:
    import tiktoken  # noqa: PLC0415 - of an extra

    bytes_ = {bytes([byte]): byte for byte in range(256)}
    return tiktoken.Encoding("bytes", pat_str=pattern, mergeable_ranks=bytes_, special_tokens={})


def stays(character: str) -> bool:
    """Whether NFC leaves a character alone between any others of which this is true, in every version of Unicode."""
    return (
        unicodedata.category(character) != "Cn"
        and not unicodedata.combining(character)
        and unicodedata.is_normalized("NFC", character)
        and unicodedata.normalize("NFD", character)[0] not in _seconds()
    )


@cache
def _seconds() -> frozenset[str]:
    """Characters that may be composed with one before them."""
    halves = (unicodedata.decomposition(chr(point)).split() for point in range(0x110000))
    pairs = (half for half in halves if len(half) == 2 and not half[0].startswith("<"))
    jamo = (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))
    return frozenset((*(chr(int(second, 16)) for _, second in pairs), *map(chr, jamo)))
