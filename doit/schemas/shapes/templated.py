"""Formatted chain of thought: question, rationale and answer inside the fixed words of a template."""

from __future__ import annotations

from typing import Any, Literal

from doit.errors import DataError
from doit.schemas.shapes.base import BadRow, Conversation, Shape, need_fields, text_at
from doit.schemas.shapes.qa import Cot
from doit.schemas.templates import Template, take_apart


class Templated(Shape):
    """Rows whose prompt and response were made from templates; they become what the `cot` table made of the same parts.

    {"instruction": "Q: 1 + 1? Think.", "output": "One and one make two. So: 2."}
        templates: [{prompt: "Q: {question} Think.", response: "{rationale} So: {answer}."}]
    """

    kind: Literal["templated"] = "templated"
    instruction: str = "instruction"
    """Column with the formatted question."""
    output: str = "output"
    """Column with the formatted rationale and answer."""
    templates: tuple[Template, ...] = ()
    """The set's templates; none are shipped, and without any no row can be read. Where several fit a row, the one with
    the most fixed characters counts.
    """
    rationale_in: Literal["answer", "reasoning", "nowhere"] = "answer"
    """Where the rationale goes: before the answer, into the record's `reasoning`, or nowhere."""

    def conversation(self, row: Any) -> Conversation:
        """See `Shape.conversation`."""
        need_fields(row, self.instruction, self.output)
        if not self.templates:
            raise BadRow("D305", self.instruction, "the card names no `templates`, so the row cannot be taken apart.")
        instruction, output = text_at(row, self.instruction), text_at(row, self.output)
        try:
            parts = take_apart(self.templates, instruction, output)
        except DataError as error:
            raise BadRow(error.code, self.instruction, error.what) from None
        for field, name, part in (
            (self.instruction, "question", parts.question),
            (self.output, "answer", parts.answer),
        ):
            if not part.strip():
                raise BadRow("D313", field, f"field `{field}` holds a template with an empty {name}.")
        return _PLAIN[self.rationale_in].conversation(parts._asdict())


_PLAIN = {place: Cot(rationale_in=place) for place in ("answer", "reasoning", "nowhere")}
"""The shape of the same parts in columns of their own, so that both make one record."""
