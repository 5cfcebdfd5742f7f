"""Prompts without answers: benchmarks' questions, for evaluation and contamination, never for training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from doit.schemas.shapes.base import Conversation, Shape, find, list_at, need_fields, text_at, text_or_bad


class Prompts(Shape):
    """Rows that only ask.

    {"question": "写一首关于春天的诗", "class": "generation"}
    {"turns": ["First question", "The question after your answer"]}           prompt: turns
    """

    dialogue: ClassVar[bool] = False
    kind: Literal["prompts"] = "prompts"
    prompt: str = "prompt"
    """Column with the question, or with a list of questions that are asked one after the other."""

    def conversation(self, row: Any) -> Conversation:
        """See `Shape.conversation`. All messages are the user's."""
        need_fields(row, self.prompt)
        if not isinstance(find(row, self.prompt), list):
            return Conversation([("user", text_at(row, self.prompt))])
        questions = enumerate(list_at(row, self.prompt))
        return Conversation([("user", text_or_bad(text, f"{self.prompt}[{number}]")) for number, text in questions])
