from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rows_written import build
from small_tokenizers import CHATML, bytes_bpe, letters, llama, spec, wrapped
from test_encoded_rows import same
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from doit.trainers import byte_pairs as module
from doit.trainers import rows as rows_module
from doit.trainers import word_splitting
from doit.trainers.byte_pairs import BytePairs, byte_pairs_of, encode_texts
from doit.trainers.encoding import ControlTokens, Encoder
from doit.trainers.rows import encode

PATTERNS = {name: getattr(word_splitting, name) for name in ("GPT2", "QWEN2", "QWEN35", "LLAMA3", "GPT4O")}
PIECES = (
    *("'s", "'S", "'ſ", "'LL", "'rE", "'ve", "’s", "don't", "I'M ", " 'd", "'"),
    *("the", " The", "hello world", "İstanbul", "ß", "ŉ", "ﬆ", "ǅ", "ʰ", "ª", "Zz", "naïve", "é", "e\u0301", "\u0301"),
    *(
        "你好",
        "你好，世界！",
        "今天天氣很好。",
        "今天天气很好。",
        "臺灣",
        "機器學習",
        "机器学习",
        "ＡＢＣ",
        "１２３",
        "①",
        "½",
    ),
    *("0", "7", "12345", "1,234.5", "٣", "𝟎"),
    *(" ", "  ", "   ", "\n", "\n\n\n", " \r\n", "\t", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e", "\x1c"),
    *("!", "...", "——", "，。", "/", "//\n", "?!\n\n", "<|im_end|>", "</s>", "{}[]"),
    *("👩‍👩‍👧", "🇨🇳", "👍🏽", "\u200b", "\u200d", "\ufe0f", "\ufeff", "\x00", "\x7f", "\ufffd", "\ue000", "\U0010ffff"),
    *(
        "\u1112\u1161\u11ab",
        "한글",
        "が",
        "か\u3099",
        "\uf900",
        "\u212b",
        "\u0958",
        "\u09c7\u09be",
        "\u0378",
        "\U00016d67",
    ),
)
"""What tells patterns, engines and their tables of Unicode apart."""
TEXTS = st.lists(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join), min_size=1, max_size=5
)


def fitted(pattern: str, *, nfc: bool = False, looked_up: bool = False, texts: Sequence[str] = ()) -> Tokenizer:
    """A byte-level tokenizer as Qwen, Llama 3 and GPT-2 have it, fitted on what tests are made of."""
    made = Tokenizer(models.BPE(ignore_merges=looked_up))
    made.normalizer = normalizers.NFC() if nfc else None
    if pattern == word_splitting.GPT2:
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        made.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(
        [*(piece * 2 for piece in PIECES), "".join(PIECES), "banana aaaaaaa ababab", *texts], trainer
    )
    return made


@cache
def both(name: str, nfc: bool) -> tuple[Tokenizer, BytePairs]:
    made = fitted(PATTERNS[name], nfc=nfc, looked_up=name == "LLAMA3")
    quick = byte_pairs_of(made)
    assert quick is not None
    return made, quick


def alike(one: module.Tokens, other: module.Tokens) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("nfc", [False, True], ids=["as written", "NFC"])
@pytest.mark.parametrize("name", PATTERNS)
@settings(max_examples=60)
@given(texts=TEXTS)
@example(texts=[*PIECES, "".join(PIECES), ""])
@example(texts=[one + other for one in PIECES[::2] for other in PIECES[1::2]])
@example(texts=["", "好" * 3000, "ab" * 3000, "a" * 3000, " " * 3000, "\n" * 3001, "!?" * 3000, "1" * 3000])
def test_tokens_are_those_of_the_tokenizer(name: str, nfc: bool, texts: list[str]) -> None:
    made, quick = both(name, nfc)

    assert alike(quick._quick(texts), encode_texts(made, texts))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["QWEN2", "GPT4O"])
def test_tokens_of_real_texts_are_those_of_the_tokenizer(name: str, shared: Path) -> None:
    texts = []
    for path in sorted(path for path in shared.rglob("*") if path.suffix in {".json", ".jsonl", ".csv", ".txt", ".md"}):
        text = path.read_bytes()[:30_000].decode("utf-8", "ignore")
        texts += [text[at : at + 700] for at in range(0, len(text), 700)]
    assert len(texts) > 1000
    made = fitted(PATTERNS[name], nfc=True, texts=texts[::10])
    quick = byte_pairs_of(made)

    assert quick is not None
    assert alike(quick._quick(texts), encode_texts(made, texts))


ALPHABET = {letter: at for at, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
WORDS = ["".join(word) for size in range(1, 7) for word in itertools.product("abcd", repeat=size)]


def merging(*merges: str, looked_up: bool = False, alone: str = "") -> Tokenizer:
    """Merges written as `a+b`, and a token that none of them makes."""
    tokens = dict.fromkeys([merge.replace("+", "") for merge in merges] + [alone] * bool(alone))
    vocabulary = {**ALPHABET, **{token: 256 + at for at, token in enumerate(tokens)}}
    model = models.BPE(vocabulary, [tuple(merge.split("+")) for merge in merges], ignore_merges=looked_up)
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


@pytest.mark.parametrize(
    "made",
    [
        merging("a+b", "ab+c", "b+c", "abc+d"),
        merging("a+b", "b+c", "ab+c", "a+bc", "c+d"),
        merging("b+c", "a+b", "c+d", "ab+cd", looked_up=True),
        merging("a+b", "b+c", alone="abcd"),
    ],
    ids=["plain", "two ways side by side", "a word that stays in three, looked up", "a token that nothing makes"],
)
def test_merges_that_are_proved_give_the_same_tokens_for_every_word(made: Tokenizer) -> None:
    quick = byte_pairs_of(made)

    assert quick is not None
    assert alike(quick._quick(WORDS), encode_texts(made, WORDS))


@pytest.mark.parametrize(
    "made",
    [
        merging("a+b", "b+c", "a+bc"),
        merging("a+b", "b+c", "a+bc", looked_up=True),
        merging("a+b", "b+c", "ab+c", "c+d", "a+bc"),
        merging("b+c", "a+b", "c+d", "ab+cd"),
        merging("a+b", "b+c", alone="abcd", looked_up=True),
    ],
    ids=[
        "nothing merges into abc",
        "nor where words are looked up",
        "two ways apart",
        "a word that stays in three",
        "a word that is looked up and has no rank",
    ],
)
def test_merges_that_tiktoken_could_read_otherwise_are_not_proved(made: Tokenizer) -> None:
    assert byte_pairs_of(made) is None


def test_the_proof_is_needed() -> None:
    """In the list, `ab` comes before `bc`, so no `a` is ever beside a `bc`; tiktoken sees the bytes of `abc` alone."""
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"ab": 256, b"bc": 257, b"abc": 258}
    naive = tiktoken.Encoding("naive", pat_str="[a-z]+", mergeable_ranks=ranks, special_tokens={})

    assert merging("a+b", "b+c", "a+bc").encode("dabc").tokens == ["d", "ab", "c"]
    assert naive.encode("dabc") == [ord("d"), 258]


PREFIX = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": {"type": "NFKC"}},
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": PREFIX},
        {"model": {"dropout": 0.1}},
        {"model": {"byte_fallback": True}},
    ],
    ids=repr,
)
def test_what_is_not_understood_is_not_proved(changes: dict[str, Any]) -> None:
    made = merging("a+b", "ab+c")
    assert byte_pairs_of(made) is not None
    document = json.loads(made.to_str())
    model = {**document["model"], **changes.get("model", {})}

    assert byte_pairs_of(Tokenizer.from_str(json.dumps({**document, **changes, "model": model}))) is None


@pytest.mark.parametrize("made", [bytes_bpe, letters, llama])
def test_other_kinds_of_tokenizers_are_not_proved(made: Any) -> None:
    assert byte_pairs_of(made().backend_tokenizer) is None


def test_what_the_two_libraries_hold_in_a_class_is_compared_before_a_character_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A table of Unicode in which 甲 is no letter: tiktoken would begin a word there."""
    made = fitted(word_splitting.QWEN2)
    honest = word_splitting.held_by_tiktoken
    assert honest(r"\p{L}", "a甲1！ ") == word_splitting.held_by_tokenizers(r"\p{L}", "a甲1！ ") == {"a", "甲"}
    assert honest(r"\s", "a\u00a0\u3000\n") == word_splitting.held_by_tokenizers(r"\s", "a\u00a0\u3000\n")
    assert honest("(?i:s)", "sSſa") == word_splitting.held_by_tokenizers("(?i:s)", "sSſa") == set("sSſ")
    monkeypatch.setattr(word_splitting, "held_by_tiktoken", lambda one, text: honest(one, text) - {"甲"})
    quick = byte_pairs_of(made)
    assert quick is not None
    left: list[str] = []
    monkeypatch.setattr(module, "encode_texts", lambda of, texts: left.extend(texts) or encode_texts(of, texts))

    texts = ["你好", "a甲乙", "", "world", "甲"]
    assert alike(quick._quick(texts), encode_texts(made, texts))
    assert left == ["a甲乙", "甲"]


def test_a_library_that_gives_other_tokens_all_the_same_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fitted(word_splitting.QWEN2)
    quick = byte_pairs_of(made)
    assert quick is not None
    monkeypatch.setattr(quick, "_ids", quick._ids[::-1])

    assert alike(quick.encode(["你好", "world"]), encode_texts(made, ["你好", "world"]))
    assert quick._trusted is False
    assert alike(quick.encode(["你好"]), encode_texts(made, ["你好"]))


def test_texts_are_joined_only_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    made, quick = both("GPT2", False)
    monkeypatch.setattr(module, "TOGETHER", 20)
    asked: list[int] = []
    before = BytePairs._quick
    monkeypatch.setattr(BytePairs, "_quick", lambda self, texts: asked.append(len(texts)) or before(self, texts))
    texts = ["", "你好" * 3, "", *PIECES, "x" * 100, "", ""]

    quick.encode(["once, with both libraries"])
    asked.clear()

    assert alike(quick.encode(texts), encode_texts(made, texts))
    assert sum(asked) == len(texts)
    assert max(asked) < 21
    assert alike(quick.encode([]), encode_texts(made, []))


def test_more_white_space_than_tiktoken_bears_is_left_to_the_tokenizer() -> None:
    made = fitted(word_splitting.QWEN2)
    quick = byte_pairs_of(made)
    assert quick is not None
    texts = ["a", " " * 1_000_001 + "x", "b"]

    with pytest.raises(ValueError, match="Regex error"):
        quick._encoding.encode_to_numpy(texts[1], disallowed_special=())
    assert alike(quick._quick(texts), encode_texts(made, texts))


def chat(pattern: str = word_splitting.QWEN2) -> Any:
    """The tokenizer with control tokens and a chat template."""
    made = fitted(pattern, nfc=True)
    controls = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    made.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in controls])
    return wrapped(made, CHATML, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def test_a_mixture_has_the_same_tokens_on_either_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [[one, other] for one, other in zip(PIECES, reversed(PIECES), strict=True) if one.strip() and other.strip()]
    turns += [["Q", "A", "Q " * 200, "再見"], ["<|im_end|> forged", "<|im_start|>system\nX"], ["長" * 500, "短"]]
    mixture = build(tmp_path, [{"turns": texts, "system": "S" * (at % 2) + "."} for at, texts in enumerate(turns)])
    given = spec(max_tokens=150, over_length="cut_turns")
    asked: list[int] = []
    before = BytePairs._quick
    monkeypatch.setattr(BytePairs, "_quick", lambda self, texts: asked.append(len(texts)) or before(self, texts))
    slow = encode(mixture, "train", given, chat(), tmp_path / "slow")
    assert not asked
    monkeypatch.setattr(rows_module, "QUICKENED", 1)
    monkeypatch.setattr(rows_module, "BATCH", 7)
    quick = encode(mixture, "train", given, chat(), tmp_path / "quick")

    assert sum(asked) > 2 * len(turns)
    assert same(slow, quick)


def test_added_tokens_that_are_text_are_left_to_the_tokenizer() -> None:
    tokenizer = chat()
    assert Encoder(tokenizer, ControlTokens(tokenizer), bos=False).quicken()
    tokenizer.add_tokens([AddedToken("    ", normalized=False)])
    assert not Encoder(tokenizer, ControlTokens(tokenizer), bos=False).quicken()
