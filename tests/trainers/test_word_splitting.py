from __future__ import annotations

import inspect
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, normalizers, pre_tokenizers

from doit.trainers.word_splitting import GPT2, LLAMA3, PATTERNS, QWEN2, QWEN35, pattern_of, stays

LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def cut(pattern: str, behavior: str = "Isolated", invert: bool = False) -> dict[str, object]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}
    return {"type": "Sequence", "pretokenizers": [split, LEVEL]}


def test_known_patterns_are_found_in_every_spelling_and_nothing_else_is() -> None:
    assert {pattern_of(cut(pattern)) for pattern in PATTERNS} == PATTERNS
    assert pattern_of(cut(LLAMA3, "Removed", True)) == LLAMA3
    assert pattern_of({**LEVEL, "use_regex": True}) == GPT2
    assert pattern_of({**LEVEL, "use_regex": True, "add_prefix_space": True}) is None
    assert pattern_of(LEVEL) is None
    assert pattern_of(cut(QWEN2, "Removed")) is None
    assert pattern_of(cut(QWEN2, "Contiguous")) is None
    assert pattern_of(cut(QWEN2 + "|x")) is None
    assert pattern_of({**cut(QWEN2), "pretokenizers": cut(QWEN2)["pretokenizers"][:1]}) is None
    assert pattern_of({"type": "Metaspace"}) is None
    assert pattern_of(None) is None


def test_patterns_are_those_of_transformers() -> None:
    from transformers.convert_slow_tokenizer import TikTokenConverter
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as OF_QWEN2
    from transformers.models.qwen3_5.tokenization_qwen3_5 import PRETOKENIZE_REGEX as OF_QWEN35

    assert OF_QWEN2 == QWEN2
    assert OF_QWEN35 == QWEN35
    assert inspect.signature(TikTokenConverter).parameters["pattern"].default == LLAMA3


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@given(text=st.text(max_size=30))
def test_a_pattern_leaves_no_character_out(pattern: str, text: str) -> None:
    words = pre_tokenizers.Split(Regex(pattern), "removed", invert=True).pre_tokenize_str(text)
    assert "".join(word for word, _ in words) == text


STAYING = st.characters(exclude_categories=("Cs",)).filter(stays)


@given(text=st.text(STAYING, max_size=40))
def test_characters_that_stay_are_left_alone_by_nfc_together(text: str) -> None:
    assert unicodedata.normalize("NFC", text) == text
    assert normalizers.NFC().normalize_str(text) == text


def test_no_half_of_a_composition_stays_but_the_first() -> None:
    pairs = [unicodedata.decomposition(chr(point)).split() for point in range(0x110000)]
    composed = [
        (chr(int(a, 16)), chr(int(b, 16))) for a, b in (pair for pair in pairs if len(pair) == 2 and "<" not in pair[0])
    ]
    assert len(composed) > 900
    assert not [pair for pair in composed if stays(pair[1])]
    changing = "\u0301\u1161\u11ab\u212b\uf900\u0958\u09be\u0378\u0344"
    assert not [one for one in changing if stays(one)]
    assert all(map(stays, "aé你臺，　。！👍\u200d\ufe0f한が１\ue000\n"))
