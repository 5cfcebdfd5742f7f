"""What a row says is never read as structure: the marks of twenty-five families of models, in every place and role."""

from __future__ import annotations

from typing import Any

import pytest
from small_tokenizers import CHATML, bytes_bpe, conversation, encoded, letters, spec, wrapped
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from doit.trainers.encoding import ControlTokens
from doit.trainers.rendering import CannotRender
from doit.trainers.templates import fit_tokenizer

FAMILIES = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "qwen3": ("<think>", "</think>", "<tool_call>"),
    "llama2": ("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>"),
    "llama3": ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"),
    "llama4": ("<|header_start|>", "<|header_end|>", "<|eot|>"),
    "gemma": ("<bos>", "<start_of_turn>", "<end_of_turn>"),
    "gemma4": ("<|turn>", "<turn|>", "<|channel>"),
    "phi3": ("<|user|>", "<|assistant|>", "<|end|>"),
    "phi4": ("<|im_sep|>",),
    "mistral": ("[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[SYSTEM_PROMPT]"),
    "deepseek": ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    "glm": ("[gMASK]", "<sop>", "<|observation|>"),
    "command": ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    "gpt-oss": ("<|start|>", "<|message|>", "<|channel|>", "<|return|>"),
    "gpt2": ("<|endoftext|>",),
    "internlm": ("<|action_start|>", "<eoh>", "<eoa>"),
    "baichuan": ("<reserved_106>", "<reserved_107>"),
    "yi": ("<|Human|>",),
    "doit": ("<user>", "<assistant>", "<eot>"),
    "vicuna": ("USER:", "ASSISTANT:"),
    "alpaca": ("### Instruction:", "### Response:"),
    "belle": ("Human: \n", "Assistant: \n"),
    "t5": ("<pad>", "<extra_id_0>"),
    "bert": ("[CLS]", "[SEP]", "[MASK]"),
    "full-width": ("＜|im_end|＞", "<｜im_end｜>", "＜/s＞", "［INST］"),
}
ALL = sorted({mark for marks in FAMILIES.values() for mark in marks})
PLACES = ("{}", "{} a", "a {}", "a{}b\n{}user\n")
ROLES = (("system", 0), ("user", 1), ("assistant", 2))


def controls_of(tokenizer: Any, ids: list[int]) -> list[int]:
    steering = set(ControlTokens(tokenizer).ids.values())
    return [id_ for id_ in ids if id_ in steering]


def knowing(made: Any) -> Any:
    """A tokenizer that knows every mark as a control token, half of them as tokens that are not special."""
    marks = [mark for mark in ALL if not mark.endswith((":", "\n"))]
    made.add_tokens([AddedToken(mark, normalized=False, special=at % 2 == 0) for at, mark in enumerate(marks)])
    made.chat_template = CHATML
    return made


@pytest.mark.parametrize(
    ("template", "tokenizer"),
    [("model", letters), ("alpaca", letters), ("belle", bytes_bpe), ("doit", letters), ("chatml", bytes_bpe)],
)
def test_no_control_token_arises_from_what_a_row_says(template: str, tokenizer: Any) -> None:
    tokenizer, given = knowing(tokenizer()), spec(template=template)
    fit_tokenizer(tokenizer, given)
    said = [(place.format(mark, mark), role) for mark in ALL for place in PLACES for _, role in ROLES]
    rows = []
    for text, role in said:
        texts = ["S", "Q", "A"]
        texts[role] = text
        rows.append(conversation(texts[1], texts[2], system=texts[0]))
    plain, *found = encoded(tokenizer, given, conversation("Q", "A", system="S"), *rows)

    expected = controls_of(tokenizer, plain[0])
    assert len(said) == len(ALL) * 12
    for (text, role), (ids, mask) in zip(said, found, strict=True):
        assert controls_of(tokenizer, ids) == expected, (text, role)
        learned = tokenizer.decode([id_ for id_, now in zip(ids, mask, strict=True) if now])
        answer = text if role == 2 else "A"
        if "[?]" not in learned:
            assert answer.strip() in learned, (text, role)


def test_a_mark_cannot_be_put_together_from_two_messages_or_from_template_and_message() -> None:
    chat = (
        "{% for m in messages %}{% if m['role'] == 'user' %}<|{{ m['content'] }}|>{% else %}"
        "{{ m['content'] }}<|im_end|>{% endif %}{% endfor %}"
    )
    tokenizer = letters(chat)
    rows = [conversation("Q", "A"), conversation("im_end", "A"), conversation("Q<|im_e", "nd|>A")]
    (plain, _), *others = encoded(tokenizer, spec(), *rows)

    for ids, _ in others:
        assert controls_of(tokenizer, ids) == controls_of(tokenizer, plain)


def test_a_vocabulary_that_spells_a_control_token_as_one_word_does_not_matter() -> None:
    """Unigram and word-level vocabularies hold `</s>` themselves: there the text is cut inside it."""
    vocabulary = {"[?]": 0, "</s>": 1, "a": 2, "<": 3, "/s>": 4, "Human:": 5, "Assistant:": 6, "</": 7}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[?]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([AddedToken("</s>", normalized=False, special=True)])
    tokenizer = wrapped(made, eos_token="</s>", unk_token="[?]")
    ((ids, mask),) = encoded(tokenizer, spec(template="belle"), conversation("a </s> a", "</s> a"))

    assert tokenizer.convert_ids_to_tokens(ids) == [
        "Human:",
        "a",
        "<",
        "/s>",
        "a",
        "Assistant:",
        "<",
        "/s>",
        "a",
        "</s>",
    ]
    assert mask == [False] * 6 + [True] * 4


def test_a_normaliser_that_makes_look_alikes_alike_does_not_matter() -> None:
    made = Tokenizer(
        models.Unigram([("[?]", 0.0), ("</s>", -1.0), ("<", -2.0), ("/", -2.0), ("s", -2.0), (">", -2.0)], 0)
    )
    made.normalizer = normalizers.NFKC()
    made.add_special_tokens([AddedToken("</s>", normalized=False, special=True)])
    tokenizer = wrapped(made, eos_token="</s>", unk_token="[?]")
    ((ids, _),) = encoded(tokenizer, spec(template="belle"), conversation("s", "＜／s＞"))

    assert controls_of(tokenizer, ids).count(1) == 1
    assert tokenizer.convert_ids_to_tokens(ids)[-5:] == ["<", "/", "s", ">", "</s>"]


def test_an_unknown_character_that_reads_as_the_end_token_refuses_the_row() -> None:
    made = Tokenizer(models.WordLevel({"</s>": 0, "a": 1, "Human:": 2, "Assistant:": 3}, unk_token="</s>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([AddedToken("</s>", normalized=False, special=True)])
    tokenizer = wrapped(made, eos_token="</s>", unk_token="</s>")

    assert encoded(tokenizer, spec(template="belle"), conversation("a", "a"))
    with pytest.raises((AssertionError, CannotRender)):
        encoded(tokenizer, spec(template="belle"), conversation("a", "b"))


def test_added_tokens_that_are_text_stay_text() -> None:
    """Runs of spaces, tags of HTML and words that a user added are no control tokens: they keep their ids."""
    tokenizer = bytes_bpe()
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("    ", "<td>", "機器學習")])
    control = ControlTokens(tokenizer)
    assert not {"    ", "<td>", "機器學習"} & set(control.ids)
    assert {"<think>", "<|im_end|>", "[INST]"} <= set(control.ids)

    ((ids, _),) = encoded(tokenizer, spec(template="chatml"), conversation("    <td>", "學機器學習"))
    for text in ("    ", "<td>", "機器學習"):
        assert ids.count(tokenizer.convert_tokens_to_ids(text)) == 1
