"""Question and answer, perhaps with a passage before and a rationale beside the answer."""

from __future__ import annotations

from typing import Any, Literal

import polars as pl

from doit.schemas.base import Several
from doit.schemas.shapes.base import (
    CannotHold,
    Conversation,
    Flat,
    Shape,
    need_fields,
    passage_at,
    text_at,
    text_or_empty,
)
from doit.schemas.shapes.way_back import has_reasoning, put, rounds_of


class Qa(Shape):
    """Rows of one question and one answer.

    {"question": "What is 2 + 2?", "answer": "4"}
    {"title": "感冒", "ask": "怎么办？", "answer": "多休息。"}                   prompt: [title, ask]
    {"question": …, "rationale": "Two and two make four.", "answer": "4"}       rationale: rationale
    """

    kind: Literal["qa"] = "qa"
    prompt: str | Several = "question"
    """Column with the question, or several joined by newlines; an empty one of several is left out."""
    passage: str | None = None
    """Column with a text (or a list of its lines) that the question is about; it stands before the question. Every row
    must have it, if only as null or empty."""
    rationale: str | None = None
    """Column with the way to the answer."""
    answer: str = "answer"
    """Column with the answer."""
    system: str | None = None
    """Column with the system text."""
    rationale_in: Literal["answer", "reasoning", "nowhere"] = "answer"
    """Where the rationale goes: before the answer, into the record's `reasoning`, or nowhere."""

    def conversation(self, row: Any) -> Conversation:
        """See `Shape.conversation`."""
        need_fields(row, *self._prompts(), self.answer)
        system = text_or_empty(row, self.system)
        messages = [("system", system)] if system.strip() else []
        messages.append(("user", self._question(row)))
        answer = self._answer(row)
        rationale = text_or_empty(row, self.rationale)
        if not rationale.strip() or self.rationale_in == "nowhere":
            return Conversation([*messages, ("assistant", answer)])
        if self.rationale_in == "answer":
            return Conversation([*messages, ("assistant", f"{rationale}\n{answer}")])
        return Conversation([*messages, ("assistant", answer)], [*([None] * len(messages)), rationale])

    def flat(self) -> Flat | None:
        """See `Shape.flat`."""
        if not isinstance(self.prompt, str) or self.rationale_in == "reasoning":
            return None
        user, assistant = pl.col(self.prompt), pl.col(self.answer)
        if self.passage is not None:
            user = _below(pl.col(self.passage), user)
        if self.rationale is not None and self.rationale_in == "answer":
            assistant = _below(pl.col(self.rationale), assistant)
        extra = tuple(column for column in (self.passage, self.rationale) if column is not None)
        absent = () if self.system is None else (self.system,)
        present = () if self.passage is None else (self.passage,)
        return Flat((self.prompt, self.answer), extra, absent, user, assistant, present)

    def row(self, conversation: Conversation) -> dict[str, Any]:
        """See `Shape.row`. The whole question is one column, and a rationale only what `reasoning` keeps apart."""
        system, rounds = rounds_of(conversation, reasoning=True)
        if len(rounds) > 1:
            raise CannotHold("earlier_turns")
        question, answer = rounds[0]
        first, *others = self._prompts()
        made: dict[str, Any] = {}
        if self.passage is not None:
            put(made, self.passage, "", "row")
        put(made, first, question, "row")
        for column in others:
            put(made, column, "", "row")
        put(made, self.answer, answer, "row")
        if has_reasoning(conversation):
            rationale = (conversation.reasoning or [None])[-1]
            if not rationale or self.rationale_in != "reasoning":
                raise CannotHold("reasoning")
            put(made, self.rationale, rationale, "reasoning")
        if system:
            put(made, self.system, system, "system")
        return made

    def _prompts(self) -> tuple[str, ...]:
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt

    def _answer(self, row: Any) -> str:
        return text_at(row, self.answer)

    def _question(self, row: Any) -> str:
        passage = "" if self.passage is None else passage_at(row, self.passage)
        before = f"{passage}\n" if passage.strip() else ""
        if isinstance(self.prompt, str):
            return before + text_at(row, self.prompt)
        texts = [text for column in self.prompt if (text := text_or_empty(row, column)).strip()]
        return before + ("\n".join(texts) if texts else text_at(row, self.prompt[0]))


def _below(above: pl.Expr, text: pl.Expr) -> pl.Expr:
    """`text` on a new line below `above`, where there is one."""
    return pl.when(above.str.strip_chars() == "").then(text).otherwise(pl.concat_str(above, pl.lit("\n"), text))


class Cot(Qa):
    """Chain of thought: the rationale first, then the answer. FLAN's files are TSV of these columns, headerless.

    question <TAB> answer <TAB> rationale
    """

    kind: Literal["cot"] = "cot"  # type: ignore[assignment]
    rationale: str | None = "rationale"

    def row(self, conversation: Conversation) -> dict[str, Any]:
        """See `Shape.row`. A joined answer cannot be taken apart: only what `reasoning` holds is a rationale."""
        made = super().row(conversation)
        if not has_reasoning(conversation):
            raise CannotHold("rationale")
        return made
