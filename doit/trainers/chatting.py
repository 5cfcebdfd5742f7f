"""`doit chat`: a quick look at what a run answers, its prompt rendered as in training up to where the answer begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from doit.errors import SpecError
from doit.schemas.base import Frozen
from doit.trainers.encoding import ControlTokens, Encoder
from doit.trainers.models import pad_id, positions, quiet
from doit.trainers.rendering import CannotRender, Message, end_ids, prompt_of, renderer_of
from doit.trainers.runs import OpenRun, open_run


class ChatAnswer(Frozen):
    """What `doit chat --prompt` answers."""

    prompt: str
    answer: str
    tokens: int
    """Tokens of the answer, its end token included."""
    ended: bool
    """Whether the model ended it, and not the limit."""


class Chat:
    """A conversation with what a run trained.

    Args:
        opened: the run.
        system: text of a system turn; None = there is none.
        tokens: at most so many in an answer.
        temperature: 0 takes the likeliest token; above it draws, the more evenly the higher.
        seed: of the draws.
    """

    def __init__(
        self, opened: OpenRun, *, system: str | None = None, tokens: int = 256, temperature: float = 0.0, seed: int = 0
    ) -> None:
        self._opened, self._limit, self._temperature, self._seed = opened, tokens, temperature, seed
        control = ControlTokens(opened.tokenizer)
        self._renderer = renderer_of(opened.tokenizer, opened.spec, control)
        self._encoder = Encoder(opened.tokenizer, control, bos=self._renderer.bos)
        self._ends = end_ids(opened.tokenizer, opened.spec)
        if system:
            _check_text(system, "the system text")
        self._messages = [Message("system", system)] if system else []

    def ask(self, text: str) -> ChatAnswer:
        """Answer one message; it and the answer stay part of the conversation.

        Raises:
            SpecError: D204 the message is empty or no text; D602 the template cannot write this conversation.
        """
        _check_text(text, "a message")
        messages = [*self._messages, Message("user", text)]
        try:
            prompt = self._encoder.prompt(prompt_of(self._renderer, messages))
        except CannotRender as error:
            raise SpecError("D602", f"{error}.", where=self._opened.spec.template) from None
        new, ended = self._generate(prompt)
        shown = new[:-1] if ended else new
        answer = str(self._opened.tokenizer.decode(shown, skip_special_tokens=False)).strip()
        self._messages = [*messages, Message("assistant", answer)]
        return ChatAnswer(prompt=text, answer=answer, tokens=len(new), ended=ended)

    def _generate(self, prompt: Sequence[int]) -> tuple[list[int], bool]:
        """New token ids, and whether an end token is the last of them."""
        import torch

        tokenizer, model = self._opened.tokenizer, self._opened.model
        ends = self._ends
        device = next(model.parameters()).device
        given = torch.tensor([list(prompt)], device=device)
        how: dict[str, Any] = {"do_sample": self._temperature > 0}
        if self._temperature > 0:
            how["temperature"] = self._temperature
        torch.manual_seed(self._seed)
        with torch.no_grad(), quiet():
            out = model.generate(
                input_ids=given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=self._room(len(prompt)),
                eos_token_id=ends,
                pad_token_id=pad_id(tokenizer),
                **how,
            )
        new = [int(one) for one in out[0].tolist()]
        new = new[len(prompt) :] if new[: len(prompt)] == list(prompt) else new
        return new, bool(new) and new[-1] in ends

    def _room(self, taken: int) -> int:
        """How many tokens may follow so many: no more than the model has positions for.

        Raises:
            SpecError: D204 there is no room for an answer.
        """
        most = positions(self._opened.model.config)
        if most is None:
            return self._limit
        virtual = getattr(getattr(self._opened.model, "active_peft_config", None), "num_virtual_tokens", None) or 0
        if taken + virtual >= most:
            what = f"the conversation has {taken:,} tokens, and the model was made for {most:,}."
            raise SpecError("D204", what, where=self._opened.run.name, hint="Begin a new conversation.")
        return min(self._limit, most - taken - virtual)


def _check_text(text: str, what: str) -> None:
    """Refuse white space alone, and half of a surrogate pair, which stands for a byte that is not UTF-8."""
    if not text.strip():
        raise SpecError("D204", f"{what} is empty.", hint="Give it some text.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SpecError("D204", f"{what} is not UTF-8 at character {error.start + 1:,}.", hint="Convert it.") from None


def chat(
    folder: Path, prompts: Iterable[str], *, told: Callable[[ChatAnswer], None] = lambda answer: None, **how: Any
) -> list[ChatAnswer]:
    """Answer messages one after another, as one conversation.

    Args:
        folder: of a finished run.
        prompts: the messages.
        told: called with each answer as it comes.
        **how: see `Chat`.

    Raises:
        SpecError: there is no finished run, or its template cannot write the conversation.
    """
    if isinstance(prompts, Sequence):  # before the weights are read
        for text in prompts:
            _check_text(text, "a message")
    conversation = Chat(open_run(folder), **how)
    answers = []
    for text in prompts:
        answers.append(conversation.ask(text))
        told(answers[-1])
    return answers
