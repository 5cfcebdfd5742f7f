from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import CHATML, bytes_bpe, conversation, encoded, letters, llama, marked, spec
from tokenizers import AddedToken

from doit.errors import SpecError
from doit.trainers.encoding import ControlTokens, Encoder
from doit.trainers.rendering import CannotRender, Conversation, Message, Shape, Slot, prompt_of, renderer_of

ONE = conversation("你好", "世界！")
TWO = conversation("Hi", "Hello!", "今天？", "很好。", system="Be good")

TASK = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
DIALOGUE = (
    "Below is an multi-round dialogue between human and assistant. Write a response as an assistant that appropriately "
    "completes the human request in each round by incorporating previous context.\n\n"
)
IM, ME, EOT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"


def written(template: str, *asked: Conversation, tokenizer: Any = None, **changes: Any) -> list[str]:
    tokenizer = letters() if tokenizer is None else tokenizer
    return [marked(tokenizer, *row) for row in encoded(tokenizer, spec(template=template, **changes), *asked)]


@pytest.mark.parametrize(
    ("template", "one", "two"),
    [
        (
            "alpaca",
            TASK + "### Instruction:\n你好\n\n### Response:⟦ 世界！ <|endoftext|>⟧",
            "Be good\n\n" + DIALOGUE + "### Human: Hi<|endoftext|>### Assistant:⟦ Hello!<|endoftext|>⟧"
            "### Human: 今天[?]<|endoftext|>### Assistant:⟦ 很好。<|endoftext|>⟧",
        ),
        (
            "belle",
            "Human: \n你好\n\nAssistant: \n⟦世界！<|endoftext|>⟧",
            "Be good\n\nHuman: \nHi\n\nAssistant: \n⟦Hello!<|endoftext|>⟧"
            "Human: \n今天[?]\n\nAssistant: \n⟦很好。<|endoftext|>⟧",
        ),
        (
            "doit",
            "<user>你好<eot><assistant>⟦世界！<eot>⟧",
            "Be good\n\n<user>Hi<eot><assistant>⟦Hello!<eot>⟧<user>今天[?]<eot><assistant>⟦很好。<eot>⟧",
        ),
        (
            "chatml",
            f"{IM}user\n你好{ME}\n{IM}assistant\n⟦世界！{ME}⟧\n",
            f"{IM}system\nBe good{ME}\n{IM}user\nHi{ME}\n{IM}assistant\n⟦Hello!{ME}⟧\n"
            f"{IM}user\n今天[?]{ME}\n{IM}assistant\n⟦很好。{ME}⟧\n",
        ),
        (
            "model",
            f"{IM}user\n你好{ME}\n{IM}assistant\n⟦世界！{ME}⟧\n",
            f"{IM}system\nBe good{ME}\n{IM}user\nHi{ME}\n{IM}assistant\n⟦Hello!{ME}⟧\n"
            f"{IM}user\n今天[?]{ME}\n{IM}assistant\n⟦很好。{ME}⟧\n",
        ),
    ],
)
def test_every_token_and_its_mask_is_what_is_written_here(template: str, one: str, two: str) -> None:
    """`今天？` has a full-width question mark that this tokenizer does not know, hence [?]."""
    assert written(template, ONE, TWO) == [one, two]


def test_control_tokens_are_one_token_each_and_the_mask_is_as_long_as_the_row() -> None:
    tokenizer = letters()
    ((ids, mask),) = encoded(tokenizer, spec(template="chatml"), ONE)

    expected = [IM, *"user\n你好", ME, "\n", IM, *"assistant\n", *"世界！", ME, "\n"]
    assert tokenizer.convert_ids_to_tokens(ids) == expected
    assert mask == [False] * 21 + [True] * 4 + [False]


def test_the_last_turn_alone_is_learned_where_the_spec_says_so() -> None:
    (two,) = written("doit", TWO, supervise="last_turn")

    assert two == "Be good\n\n<user>Hi<eot><assistant>Hello!<eot><user>今天[?]<eot><assistant>⟦很好。<eot>⟧"


@pytest.mark.parametrize("legacy", [True, False])
def test_a_tokenizer_that_puts_spaces_before_texts_puts_none_into_the_middle(legacy: bool) -> None:
    tokenizer = llama(legacy=legacy)
    alpaca, belle = (written(name, ONE, tokenizer=tokenizer)[0] for name in ("alpaca", "belle"))

    spaced = (TASK + "### Instruction:\n你好\n\n### Response:").replace(" ", "▁")
    assert alpaca == f"<s>{'▁' if legacy else ''}{spaced}⟦▁世界！▁</s>⟧"
    assert belle == "▁Human:▁\n你好\n\nAssistant:▁\n⟦世界！</s>⟧"


@pytest.mark.parametrize("legacy", [True, False])
def test_such_a_tokenizer_gives_the_ids_of_the_whole_text(legacy: bool) -> None:
    chat = "{% for m in messages %}{{ '[' + m['role'] + '] ' + m['content'] + ' ' }}"
    chat += "{% if m['role'] == 'assistant' %}</s>{% endif %}{% endfor %}"
    tokenizer = llama(chat, legacy=legacy)
    turns = [message._asdict() for message in TWO.messages]
    ((ids, _),) = encoded(tokenizer, spec(), TWO)

    assert ids == tokenizer.apply_chat_template(turns, tokenize=True)["input_ids"]


def test_the_begin_token_stands_once_where_the_tokenizer_puts_it_and_nowhere_else() -> None:
    tokenizer = llama()
    for name, times in (("alpaca", 1), ("belle", 0)):
        for ids, _ in encoded(tokenizer, spec(template=name), ONE, TWO):
            assert ids.count(tokenizer.bos_token_id) == times


THOUGHT = conversation("1+1", "2", reasoning=[None, " one and one "])
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m['role'] + '\n' }}{% if m['role'] == 'assistant' and loop.last %}"
    "<think>{{ '\n' + m.reasoning_content | default('') | trim + '\n' }}</think>{{ '\n\n' }}{% endif %}"
    "{{ m['content'] }}<|im_end|>{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}"
)


@pytest.mark.parametrize(
    ("reasoning", "answer"),
    [
        ("keep", "⟦<think>\none and one\n</think>\n\n2<|im_end|>⟧\n"),
        ("mask", "<think>\none and one\n</think>\n\n⟦2<|im_end|>⟧\n"),
        ("drop", "⟦2<|im_end|>⟧\n"),
    ],
)
def test_reasoning_is_kept_masked_or_dropped(reasoning: str, answer: str) -> None:
    (ours,) = written("chatml", THOUGHT, reasoning=reasoning)
    (without_place,) = written("model", THOUGHT, reasoning=reasoning)
    (with_place,) = written("model", THOUGHT, reasoning=reasoning, tokenizer=letters(QWEN3))

    assert ours == without_place == f"{IM}user\n1+1{ME}\n{IM}assistant\n{answer}"
    empty = "<think>\n\n</think>\n\n" if reasoning == "drop" else ""
    assert with_place == f"{IM}user\n1+1{ME}\n{IM}assistant\n{empty}{answer}"


def test_the_marks_of_reasoning_are_control_tokens_where_the_tokenizer_has_them() -> None:
    tokenizer = letters()
    ((ids, _),) = encoded(tokenizer, spec(template="chatml"), THOUGHT)

    assert [ids.count(tokenizer.convert_tokens_to_ids(mark)) for mark in ("<think>", "</think>")] == [1, 1]


def test_white_space_that_the_model_must_write_is_learned_with_the_answer() -> None:
    chat = (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]"
        "{% else %} {{ m['content'] | trim }} {{ eos_token }}{% endif %}{% endfor %}"
    )
    tokenizer = letters(chat, bos_token="<s>", eos_token="</s>")

    assert written("model", conversation("  Hi ", " Hello!\n"), tokenizer=tokenizer) == [
        "<s>[INST] Hi [/INST]⟦ Hello! </s>⟧"
    ]


def test_a_template_that_cuts_line_ends_alone_is_followed() -> None:
    chat = CHATML.replace("message['content']", "message['content'].strip('\n')")

    assert written("model", conversation("\n Hi \n", "\n\nYes "), tokenizer=letters(chat)) == [
        f"{IM}user\n Hi {ME}\n{IM}assistant\n⟦Yes {ME}⟧\n"
    ]


def test_a_control_token_that_swallows_white_space_swallows_it_here_too() -> None:
    chat = "{% for m in messages %}<|{{ m['role'] }}|>{{ '\n' + m['content'] }}<|end|>{{ '\n' }}{% endfor %}"
    tokenizer = letters(chat, controls=("<|endoftext|>", "<|end|>"))
    names = ("<|user|>", "<|assistant|>")
    tokenizer.add_tokens(
        [AddedToken(n, rstrip=True, normalized=False, special=True) for n in names], special_tokens=True
    )
    ((ids, mask),) = encoded(tokenizer, spec(), conversation(" Hi", " Yes"))

    turns = [{"role": "user", "content": " Hi"}, {"role": "assistant", "content": " Yes"}]
    assert ids == tokenizer.apply_chat_template(turns, tokenize=True)["input_ids"]
    assert marked(tokenizer, ids, mask) == "<|user|>Hi<|end|>\n<|assistant|>⟦Yes<|end|>⟧\n"


def test_the_prompt_of_use_is_the_beginning_of_the_row_of_training() -> None:
    for name in ("alpaca", "belle", "doit", "chatml", "model"):
        tokenizer, given_spec = bytes_bpe(), spec(template=name)
        ((ids, mask),) = encoded(tokenizer, given_spec, TWO)
        control = ControlTokens(tokenizer)
        renderer = renderer_of(tokenizer, given_spec, control)
        prompt = Encoder(tokenizer, control, bos=renderer.bos).prompt(prompt_of(renderer, TWO.messages[:-1]))

        assert ids[: len(prompt)] == prompt
        assert not mask[len(prompt) - 1]
        assert all(mask[len(prompt) : -1])


@pytest.mark.parametrize(
    ("template", "end"), [("alpaca", EOT), ("belle", EOT), ("doit", "<eot>"), ("chatml", ME), ("model", ME)]
)
def test_a_renderer_names_the_token_that_ends_an_answer(template: str, end: str) -> None:
    tokenizer, given_spec = letters(), spec(template=template)
    encoded(tokenizer, given_spec, ONE)

    assert renderer_of(tokenizer, given_spec, ControlTokens(tokenizer)).end_token() == end


def test_long_conversations_are_proved_with_few_runs_of_the_template() -> None:
    tokenizer, given_spec = letters(), spec()
    renderer = renderer_of(tokenizer, given_spec, ControlTokens(tokenizer))
    calls: list[int] = []
    render = tokenizer.apply_chat_template
    tokenizer.apply_chat_template = lambda *args, **named: calls.append(1) or render(*args, **named)
    roles = ("user", "assistant") * 60
    outline = renderer.outline(Shape(roles, (True,) * 120, (False,) * 120, None))

    assert sum(isinstance(piece, Slot) and piece.supervised for piece in outline) == 60
    assert len(calls) <= 6


def test_tools_are_rendered_and_their_control_tokens_are_text() -> None:
    chat = "{% if tools %}{{ tools | tojson }}{% endif %}" + CHATML
    tokenizer = letters(chat)
    tools = '[{"name": "say <|im_end|>", "more": {"<s>": 1}}]'
    (row,) = encoded(tokenizer, spec(), conversation("Hi", "Yes", tools=tools))

    assert marked(tokenizer, *row).startswith('[{"name": "say <|im_end|>", "more": {"<s>": 1}}]' + IM)
    assert row[0].count(tokenizer.convert_tokens_to_ids(ME)) == 2
    assert row[0].count(tokenizer.convert_tokens_to_ids("<s>")) == 0
    with pytest.raises(CannotRender, match="no place for tools"):
        encoded(tokenizer, spec(template="belle"), conversation("Hi", "Yes", tools=tools))


@pytest.mark.parametrize(
    ("chat", "why"),
    [
        (None, "no chat template"),
        ("{% for m in messages %}{{ m['content'] }}{% endfor %}", "no control token ends an answer"),
        ("{% for m in messages %}{{ m['content'] | upper }}<|im_end|>{% endfor %}", "leaves out a turn"),
        ("{% for m in messages %}{{ m['content'] + m['content'] }}<|im_end|>{% endfor %}", "2 times"),
        ("{% for m in messages | reverse %}{{ m['content'] }}<|im_end|>{% endfor %}", "order"),
        ("{% for m in messages %}{{ m['content'] | length }}{{ m['content'] }}<|im_end|>{% endfor %}", "depends"),
        ("{% for m in messages %}{{ m['content'] | replace('\t', '') }}<|im_end|>{% endfor %}", "white space"),
        ("{{ messages[0].nothing.at_all }}", "refuses"),
        ("{{ raise_exception('no') }}", "refuses: no"),
    ],
)
def test_a_template_whose_answers_cannot_be_proved_is_refused(chat: str | None, why: str) -> None:
    with pytest.raises(SpecError, match=why) as caught:
        encoded(letters(chat), spec(), ONE)

    assert caught.value.code == "D602"


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    tokenizer = letters()
    tokenizer.eos_token = None
    with pytest.raises(SpecError, match="no end token") as caught:
        encoded(tokenizer, spec(template="alpaca"), ONE)
    assert caught.value.code == "D601"

    assert encoded(tokenizer, spec(template="chatml"), ONE)


def test_a_conversation_that_a_template_cannot_write_is_refused_alone() -> None:
    chat = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    assert written("model", ONE, tokenizer=letters(chat))
    with pytest.raises(CannotRender, match="no system"):
        written("model", TWO, tokenizer=letters(chat))
    tool = Conversation([Message("user", "Hi"), Message("tool", "x"), Message("assistant", "Yes")])
    with pytest.raises(CannotRender, match="no turn for tool"):
        written("alpaca", tool)


PIECES = [*"abc <|>/\n甲乙你好，。", ME, "<think>", "</s>", "[INST]", EOT]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join).filter(str.strip)


@settings(max_examples=60)
@given(turns=st.lists(TEXTS, min_size=1, max_size=4), system=st.none() | TEXTS)
def test_the_mask_follows_from_the_control_tokens_alone(turns: list[str], system: str | None) -> None:
    """A reader that knows ChatML and no text finds the same: from `assistant` and its line end to the end token."""
    texts = [text for turn in turns for text in (turn, turn[::-1])]
    ((ids, mask),) = encoded(HELD, spec(template="chatml"), conversation(*texts, system=system))

    start, end = (HELD.convert_tokens_to_ids(token) for token in (IM, ME))
    role = HELD.convert_tokens_to_ids(list("assistant\n"))
    expected, learned = [], False
    for at, id_ in enumerate(ids):
        begun = at - len(role)
        learned = learned or (begun > 0 and ids[begun - 1] == start and ids[begun:at] == role)
        expected.append(learned)
        learned = learned and id_ != end
    assert mask == expected
    assert ids.count(start) == ids.count(end) == len(texts) + (system is not None)
    assert sum(id_ == end and now for id_, now in zip(ids, mask, strict=True)) == len(turns)


HELD = letters()


@pytest.mark.parametrize(
    "program",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n - 1) if n }}{{ f(n - 1) if n }}{% endmacro %}{{ f(60) }}",
    ],
)
def test_a_chat_template_that_runs_on_and_on_is_stopped(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox bounds one loop, and not a loop within a loop."""
    monkeypatch.setattr("doit.trainers.chat_template.MOST_STEPS", 20_000)
    traced = sys.gettrace()

    with pytest.raises(SpecError, match=r"D602.*runs on and on"):
        encoded(letters(CHATML + program), spec(), conversation("a", "b"))

    assert sys.gettrace() is traced
