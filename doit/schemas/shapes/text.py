"""Plain text, for secondary pre-training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from doit.schemas.shapes.base import CannotHold, Conversation, Shape, need_fields, text_at


class Text(Shape):
    """Rows of one text that nobody asked for.

        {"text": "春眠不觉晓，处处闻啼鸟。"}

    The text is the assistant's only turn: this is the one shape whose records have no question, so that all of the
    text is learned and nothing is made up around it.
    """

    dialogue: ClassVar[bool] = False
    kind: Literal["text"] = "text"
    text: str = "text"
    """Column with the text."""

    def conversation(self, row: Any) -> Conversation:
        """See `Shape.conversation`. The only message is the assistant's."""
        need_fields(row, self.text)
        return Conversation([("assistant", text_at(row, self.text))])

    def row(self, conversation: Conversation) -> dict[str, Any]:
        """See `Shape.row`."""
        if [role for role, _ in conversation.messages] != ["assistant"] or self.text in (".", ""):
            raise CannotHold("row")
        if conversation.tools is not None:
            raise CannotHold("tools")
        if any(conversation.reasoning or ()):
            raise CannotHold("reasoning")
        return {self.text: conversation.messages[0][1]}
