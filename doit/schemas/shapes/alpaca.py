"""Alpaca: an instruction, perhaps an input, an output, perhaps earlier rounds."""

from __future__ import annotations

from typing import Any, Literal

import polars as pl

from doit.schemas.shapes.base import (
    MISSING,
    BadRow,
    Conversation,
    Flat,
    Shape,
    find,
    kind_of,
    need_fields,
    text_at,
    text_or_bad,
    text_or_empty,
)
from doit.schemas.shapes.way_back import put, rounds_of


class Alpaca(Shape):
    """Rows of Stanford Alpaca (2023) and of the many sets that copy it.

        {"instruction": "把下句译成英文", "input": "早上好", "output": "Good morning"}
        {"instruction": …, "output": …, "history": [["first question", "first answer"], …]}
        {"instruction": …, "output": …, "history": ["first question", "first answer", …], "system": …}

    The user's turn is the instruction, and below it the input where there is one.
    """

    kind: Literal["alpaca"] = "alpaca"
    instruction: str = "instruction"
    """Column with the request."""
    input: str | None = "input"
    """Column that is added to the request, where a row has it."""
    output: str = "output"
    """Column with the answer."""
    history: str | None = "history"
    """Column with earlier rounds: pairs, or a flat list of user and assistant in turn."""
    system: str | None = "system"
    """Column with the system text."""
    join: str = "\n"
    """What stands between instruction and input."""

    def conversation(self, row: Any) -> Conversation:
        """See `Shape.conversation`."""
        need_fields(row, self.instruction, self.output)
        system = text_or_empty(row, self.system)
        messages = [("system", system)] if system.strip() else []
        messages += self._history(row)
        messages.append(("user", self._request(row)))
        messages.append(("assistant", text_at(row, self.output)))
        return Conversation(messages)

    def flat(self) -> Flat:
        """See `Shape.flat`."""
        absent = [column for column in (self.history, self.system) if column is not None]
        user = pl.col(self.instruction)
        if self.input is not None:
            joined = pl.concat_str(user, pl.lit(self.join), pl.col(self.input))
            user = pl.when(pl.col(self.input).str.strip_chars() == "").then(user).otherwise(joined)
        extra = () if self.input is None else (self.input,)
        return Flat((self.instruction, self.output), extra, tuple(absent), user, pl.col(self.output))

    def row(self, conversation: Conversation) -> dict[str, Any]:
        """See `Shape.row`. The whole question is the instruction; where an input began, nobody can tell."""
        system, rounds = rounds_of(conversation)
        *past, (question, answer) = rounds
        made: dict[str, Any] = {}
        put(made, self.instruction, question, "row")
        if self.input is not None:
            put(made, self.input, "", "row")
        put(made, self.output, answer, "row")
        if past:
            put(made, self.history, [list(pair) for pair in past], "earlier_turns")
        if system:
            put(made, self.system, system, "system")
        return made

    def _request(self, row: Any) -> str:
        extra = text_or_empty(row, self.input)
        if not extra.strip():
            return text_at(row, self.instruction)
        request = find(row, self.instruction)
        if request is MISSING:
            raise BadRow("D310", self.instruction, f"field `{self.instruction}` is missing.")
        request = text_or_bad(request, self.instruction)
        return f"{request}{self.join}{extra}" if request.strip() else extra

    def _history(self, row: Any) -> list[tuple[str, str]]:
        past = None if self.history is None else find(row, self.history)
        if past is None or past is MISSING or past in ([], ""):
            return []
        if not isinstance(past, list):
            raise BadRow("D312", str(self.history), f"field `{self.history}` is {kind_of(past)}, not a list.")
        return rounds(past, str(self.history))


def rounds(past: list[Any], field: str) -> list[tuple[str, str]]:
    """Earlier rounds as messages, from pairs or from a flat list of user and assistant in turn."""
    flat: list[Any] = []
    for number, turn in enumerate(past):
        if isinstance(turn, list):
            if len(turn) != 2:
                raise BadRow("D315", f"{field}[{number}]", f"round {number} of `{field}` has {len(turn)} turns, not 2.")
            flat += turn
        else:
            flat.append(turn)
    if len(flat) % 2:
        raise BadRow("D315", field, f"`{field}` ends on a question: {len(flat)} turns.")
    messages = []
    for number, turn in enumerate(flat):
        content = text_or_bad(turn, f"{field}[{number}]")
        if not content.strip():
            raise BadRow("D313", f"{field}[{number}]", f"turn {number} of `{field}` is empty.")
        messages.append(("assistant" if number % 2 else "user", content))
    return messages
