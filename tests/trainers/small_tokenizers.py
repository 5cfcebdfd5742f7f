"""Tokenizers made on the spot, whose tokens can be written down by hand, and a conversation encoded with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from doit.trainers.encoding import ControlTokens, Encoder
from doit.trainers.rendering import Conversation, Message, renderer_of, shape_of
from doit.trainers.spec import TrainerSpec
from doit.trainers.templates import fit_tokenizer

CONTROLS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
)
LETTERS = sorted({*map(chr, range(32, 127)), "\n", "\t", *"甲乙丙丁你好世界！，。今天氣很臺灣⟦⟧＜｜＞／［］▁é"})

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] + '\n' + message['content'] }}<|im_end|>{{ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}"
)


def spec(**changes: Any) -> TrainerSpec:
    return TrainerSpec.model_validate({"name": "toy", "model": "none", "method": {"kind": "full"}, **changes})


def wrapped(made: Tokenizer, chat: str | None = None, **named: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **named)
    tokenizer.chat_template = chat
    return tokenizer


def letters(chat: str | None = CHATML, *, controls: Sequence[str] = CONTROLS, **named: str) -> Any:
    """Every character is a token; `<think>` and `</think>` are added, but not special."""
    made = Tokenizer(models.WordLevel({"[?]": 0} | {c: n for n, c in enumerate(LETTERS, 1)}, unk_token="[?]"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in controls])
    made.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "</think>")])
    return wrapped(
        made, chat, **{"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "[?]", **named}
    )


def llama(chat: str | None = None, *, legacy: bool = True) -> Any:
    """Like Llama 2's: characters, spaces written as ▁ and one put before every text, `<s>` before that."""
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2} | {c: n for n, c in enumerate(LETTERS, 3)}
    made = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    if legacy:
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    made.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in ("<unk>", "<s>", "</s>")])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return wrapped(made, chat, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def bytes_bpe(chat: str | None = CHATML) -> Any:
    """Byte-level BPE with merges across what people write, its words split as those of Qwen and Llama 3."""
    made = Tokenizer(models.BPE())
    words = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(words, "isolated"), level])
    made.decoder = decoders.ByteLevel()
    texts = ["Hello world, how are you today? 你好，世界！今天天氣很好。 assistant user system response\n\n"] * 20
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(CONTROLS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    made.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "</think>")])
    return wrapped(made, chat, bos_token="<s>", eos_token="<|endoftext|>", pad_token="<|endoftext|>")


def conversation(*turns: str, system: str | None = None, **more: Any) -> Conversation:
    """Turns of user and assistant."""
    messages = [Message("system", system)] if system is not None else []
    messages += [Message(("user", "assistant")[number % 2], text) for number, text in enumerate(turns)]
    return Conversation(messages, **more)


def encoded(tokenizer: Any, given: TrainerSpec, *asked: Conversation) -> list[tuple[list[int], list[bool]]]:
    """Token ids and masks of conversations."""
    fit_tokenizer(tokenizer, given)
    control = ControlTokens(tokenizer)
    renderer = renderer_of(tokenizer, given, control)
    encoder = Encoder(tokenizer, control, bos=renderer.bos)
    rows = [encoder.row(encoder.recipe(renderer.outline(shape_of(one, given))), one) for one in asked]
    found = encoder.encode(rows)
    assert not found.unsafe
    out, at = [], 0
    for length in found.lengths:
        out.append((found.ids[at : at + length].tolist(), found.supervised[at : at + length].tolist()))
        at += length
    return out


def marked(tokenizer: Any, ids: Sequence[int], mask: Sequence[bool]) -> str:
    """The tokens joined, with ⟦ and ⟧ where learning begins and ends."""
    out, learned = "", False
    for token, now in zip(tokenizer.convert_ids_to_tokens(list(ids)), mask, strict=True):
        out += ("⟦" if now else "⟧") if now != learned else ""
        out += token
        learned = now
    return out + ("⟧" if learned else "")
