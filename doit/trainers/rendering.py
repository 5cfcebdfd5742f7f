"""A conversation as an outline: which text the template writes, where the texts of the data stand, what is learned.

An outline depends on the shape of a conversation alone: its roles, which texts are empty, its tools. So it is made once
for all rows of a shape, and what a row says has no say in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from doit.trainers.spec import TrainerSpec
from doit.trainers.templates import END, TEMPLATES, THINKING, Around, Layout, Template, end_token


class Message(NamedTuple):
    """One turn."""

    role: str
    content: str


class Conversation(NamedTuple):
    """What is rendered."""

    messages: Sequence[Message]
    reasoning: Sequence[str | None] | None = None
    """One entry a message."""
    tools: str | None = None
    """Definitions of tools as JSON text."""


class Shape(NamedTuple):
    """All of a conversation that a template may look at."""

    roles: tuple[str, ...]
    contents: tuple[bool, ...]
    """Whether each has a text."""
    thoughts: tuple[bool, ...]
    """Whether each comes with reasoning that is used."""
    tools: str | None


class Written(NamedTuple):
    """Text that the template writes; control tokens in it are control tokens."""

    text: str
    supervised: bool


class Spelled(NamedTuple):
    """Text that is the same in all conversations of the shape but comes from the data: no control token is in it."""

    text: str
    supervised: bool


class Slot(NamedTuple):
    """Where a text of the conversation stands; no control token can arise in it."""

    message: int
    thought: bool
    """Whether it is the reasoning of that turn, and not what the turn says."""
    left: str | None
    """Characters that the template cuts off before it; None = white space."""
    right: str | None
    supervised: bool


Piece = Written | Spelled | Slot
Outline = tuple[Piece, ...]


class CannotRender(ValueError):
    """A conversation that a template has no way to write; its text says why, without any of the conversation's own."""


class Renderer(Protocol):
    """A template that is ready to render."""

    bos: bool
    """Whether the tokenizer's begin token stands before the first piece."""

    def outline(self, shape: Shape) -> Outline:
        """The pieces of conversations of a shape, in order.

        Raises:
            CannotRender: the template cannot write such conversations.
        """

    def identity(self) -> str:
        """Text that differs between renderers that write different things."""

    def end_token(self) -> str:
        """The control token behind an answer."""


def shape_of(conversation: Conversation, spec: TrainerSpec) -> Shape:
    """The shape of a conversation; reasoning counts where it belongs to an answer and the spec does not drop it."""
    messages, reasoning, tools = conversation
    used = reasoning is not None and spec.reasoning != "drop"
    return Shape(
        tuple([message[0] for message in messages]),
        tuple([bool(message[1].strip()) for message in messages]),
        tuple([used and role == "assistant" and _has_text(reasoning, at) for at, (role, _) in enumerate(messages)]),
        tools,
    )


def _has_text(reasoning: Sequence[str | None] | None, at: int) -> bool:
    return bool(reasoning and (reasoning[at] or "").strip())


def filled(slot: Slot, conversation: Conversation) -> str:
    """The text that stands in a slot."""
    if slot.thought:
        assert conversation.reasoning is not None
        text = (conversation.reasoning[slot.message] or "").strip()
    else:
        text = conversation.messages[slot.message][1]
    if slot.left != "":
        text = text.lstrip(slot.left)
    return text.rstrip(slot.right) if slot.right != "" else text


def learned_turns(roles: Sequence[str], spec: TrainerSpec) -> set[int]:
    """Numbers of the messages that are learned: every answer, or the last."""
    answers = [number for number, role in enumerate(roles) if role == "assistant"]
    return set(answers if spec.supervise == "all_turns" else answers[-1:])


def prompt_of(renderer: Renderer, messages: Sequence[Message], tools: str | None = None) -> Outline:
    """What the model is given before it answers: what it was trained on, up to where the next answer would be learned.

    Args:
        renderer: the template.
        messages: the conversation so far.
        tools: definitions of tools as JSON text.

    Returns:
        Pieces without slots, none of them learned.

    Raises:
        CannotRender: the template cannot write this conversation.
    """
    conversation = Conversation([*messages, Message("assistant", "…")], None, tools)
    roles, contents = tuple(role for role, _ in conversation.messages), [bool(text.strip()) for _, text in messages]
    outline = renderer.outline(Shape(roles, (*contents, True), (False,) * len(roles), tools))
    end = len(outline)
    for learned in (False, True):  # what stands behind the last answer, and that answer
        while end and outline[end - 1].supervised == learned:
            end -= 1
    return tuple(
        Spelled(filled(piece, conversation), False) if isinstance(piece, Slot) else piece._replace(supervised=False)
        for piece in outline[:end]
    )


def thinking(message: int, *, supervised: bool) -> list[Piece]:
    """Reasoning between marks of our own, before an answer, for templates that have no place for it."""
    before, behind = THINKING
    slot = Slot(message, True, "", "", supervised)
    return [Written(before, supervised), slot, Written(behind, supervised)]


class PaperRenderer:
    """Renders one of the papers' templates."""

    def __init__(self, template: Template, tokenizer: Any, spec: TrainerSpec) -> None:
        self._template, self._spec = template, spec
        self._end = end_token(tokenizer, template)
        self.bos = template.bos and begins(tokenizer)

    def identity(self) -> str:
        """See `Renderer.identity`."""
        return repr((self._template, self._end, self.bos))

    def end_token(self) -> str:
        """See `Renderer.end_token`."""
        return self._end

    def outline(self, shape: Shape) -> Outline:
        """See `Renderer.outline`."""
        if shape.tools is not None:
            raise CannotRender(f"the template {self._template.name} has no place for tools")
        layout = self._layout(shape.roles)
        learned = learned_turns(shape.roles, self._spec)
        out = self._opening(layout, shape)
        for number, role in enumerate(shape.roles):
            if role == "assistant":
                out += self._answer(layout, number, shape, learned=number in learned)
            elif role != "system" or layout.system is not None:
                out += self._turn(layout, role, number, shape)
        return tuple(piece for piece in out if isinstance(piece, Slot) or piece.text)

    def _layout(self, roles: Sequence[str]) -> Layout:
        several = self._template.several
        return several if several is not None and roles.count("assistant") > 1 else self._template.layout

    def _opening(self, layout: Layout, shape: Shape) -> list[Piece]:
        """The system's text where the layout has no turn for it, and the header."""
        out: list[Piece] = []
        if layout.system is None:
            for number, role in enumerate(shape.roles):
                if role == "system" and shape.contents[number]:
                    out += [Slot(number, False, None, None, False), Written("\n\n", False)]
        return [*out, self._written(layout.header)]

    def _turn(self, layout: Layout, role: str, number: int, shape: Shape) -> list[Piece]:
        around: Around | None = getattr(layout, role) if role in {"user", "system", "tool"} else None
        if around is None:
            raise CannotRender(f"the template {self._template.name} has no turn for {role}")
        return [self._written(around.before), *self._text(number, shape, False), self._written(around.behind)]

    def _answer(self, layout: Layout, number: int, shape: Shape, *, learned: bool) -> list[Piece]:
        out: list[Piece] = [self._written(layout.assistant.before), Written(layout.answer.before, learned)]
        if shape.thoughts[number]:
            out += thinking(number, supervised=learned and self._spec.reasoning == "keep")
        out += self._text(number, shape, learned)
        return [*out, Written(layout.answer.behind + self._end, learned), self._written(layout.assistant.behind)]

    def _text(self, number: int, shape: Shape, supervised: bool) -> list[Piece]:
        cut = None if self._template.strip else ""
        return [Slot(number, False, cut, cut, supervised)] if shape.contents[number] else []

    def _written(self, text: str) -> Written:
        return Written(text.replace(END, self._end), False)


def begins(tokenizer: Any) -> bool:
    """Whether a tokenizer puts its begin token before a text of its own accord."""
    bos = tokenizer.bos_token_id
    return bos is not None and list(tokenizer("", add_special_tokens=True)["input_ids"])[:1] == [bos]


def end_ids(tokenizer: Any, spec: TrainerSpec) -> list[int]:
    """Ids of the tokens that end an answer, ascending: the template's, and the tokenizer's own.

    Args:
        tokenizer: of transformers, fitted with `fit_tokenizer`.
        spec: `template` is read.

    Raises:
        SpecError: as `renderer_of`.
    """
    from doit.trainers.encoding import ControlTokens  # noqa: PLC0415

    end = renderer_of(tokenizer, spec, ControlTokens(tokenizer)).end_token()
    found = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(end)}
    return sorted(one for one in found if one is not None)


def renderer_of(tokenizer: Any, spec: TrainerSpec, control: Any) -> Renderer:
    """The renderer that a spec asks for.

    Args:
        tokenizer: of transformers, fitted with `fit_tokenizer`.
        spec: `template`, `supervise` and `reasoning` are read.
        control: the tokenizer's control tokens, `encoding.ControlTokens`.

    Raises:
        SpecError: D601 the tokenizer has no end token; D602 the model has no chat template, or one whose answers
            cannot be told apart.
    """
    if spec.template != "model":
        return PaperRenderer(TEMPLATES[spec.template], tokenizer, spec)
    from doit.trainers.chat_template import ModelRenderer  # noqa: PLC0415

    return ModelRenderer(tokenizer, spec, control)
