"""Pairs: rounds of one question and one answer."""

from __future__ import annotations

from typing import Any, Literal

from doit.schemas.shapes.base import (
    MISSING,
    BadRow,
    Conversation,
    Shape,
    find,
    kind_of,
    list_at,
    need_fields,
    text_or_bad,
    text_or_empty,
    trimmed,
)
from doit.schemas.shapes.way_back import put, rounds_of


class Pairs(Shape):
    """Rounds that hold both sides.

    {"turns": [{"user": "Hi", "assistant": "Hello"}, …]}
    {"turns": [["Hi", "Hello"], …]}
    {"user": ["Hi", …], "assistant": ["Hello", …]}                              turns: null
    {"chat": {"turn_1": {"Human": "Hi", "MOSS": "Hello"}, "turn_2": {…}}}        an object, in numeric key order
    {"turns": [{"user": "3 * 7?", "thought": "…", "call": "Calc(3 * 7)", "result": "21", "assistant": "21"}, …]}

    A round may hold a tool call and its result between question and answer: they become an assistant's and a tool's
    turn, verbatim. Its thinking goes into `reasoning`, beside the first thing that the assistant then says.
    """

    kind: Literal["pairs"] = "pairs"
    turns: str | None = "turns"
    """Column with the rounds; null where `user` and `assistant` are two parallel list columns."""
    user: str = "user"
    """Field of a round (or column) with the question."""
    assistant: str = "assistant"
    """Field of a round (or column) with the answer."""
    thinking: str | None = None
    """Field of a round with what the assistant thinks first. Here and in the next two, `None` in words is nothing."""
    call: str | None = None
    """Field of a round with a tool call."""
    result: str | None = None
    """Field of a round with what the tool gave back; a round with a call needs one."""
    trim: tuple[str, ...] = ()
    """Markers to cut from both ends of every text."""
    system: str | None = "system"
    """Column with the system text."""

    def conversation(self, row: Any) -> Conversation:
        """See `Shape.conversation`."""
        need_fields(row, *((self.user, self.assistant) if self.turns is None else (self.turns,)))
        system = text_or_empty(row, self.system)
        messages = [("system", system)] if system.strip() else []
        reasoning: list[str | None] = [None] * len(messages)
        for number, (question, answer, between) in enumerate(self._rounds(row)):
            place = f"{self.turns}[{number}]"
            asked, answered = (
                f"{place}.{side}" if self.turns else f"{side}[{number}]" for side in (self.user, self.assistant)
            )
            messages.append(("user", self._text(question, asked)))
            thought, made = self._between(between, place)
            messages += [*made, ("assistant", self._text(answer, answered))]
            reasoning += [None, thought, *([None] * len(made))]
        return Conversation(messages, reasoning if any(reasoning) else None)

    def _between(self, turn: dict[str, Any], place: str) -> tuple[str | None, list[tuple[str, str]]]:
        """What the assistant thinks in a round, and the tool call with its result."""
        thought, call = self._optional(turn, self.thinking), self._optional(turn, self.call)
        if call is None:
            return thought, []
        result = self._optional(turn, self.result)
        if result is None:
            raise BadRow("D313", f"{place}.{self.result}", f"a tool is called in `{place}`, and there is no result.")
        return thought, [("assistant", call), ("tool", result)]

    def _optional(self, turn: dict[str, Any], field: str | None) -> str | None:
        text = trimmed(text_or_empty(turn, field), self.trim)
        return None if text.strip() in ("", "None") else text

    def _text(self, value: Any, field: str) -> str:
        if value is MISSING:
            raise BadRow("D310", field, f"field `{field}` is missing.")
        content = trimmed(text_or_bad(value, field), self.trim)
        if not content.strip():
            raise BadRow("D313", field, f"field `{field}` is empty.")
        return content

    def row(self, conversation: Conversation) -> dict[str, Any]:
        """See `Shape.row`. Rounds are written as objects, or as two lists where `turns` is null."""
        system, rounds = rounds_of(conversation)
        made: dict[str, Any] = {}
        if self.turns is None:
            put(made, self.user, [question for question, _ in rounds], "row")
            put(made, self.assistant, [answer for _, answer in rounds], "row")
        else:
            put(made, self.turns, [self._pair(question, answer) for question, answer in rounds], "row")
        if system:
            put(made, self.system, system, "system")
        return made

    def _pair(self, question: str, answer: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        put(made, self.user, question, "row")
        put(made, self.assistant, answer, "row")
        return made

    def _rounds(self, row: Any) -> list[tuple[Any, Any, dict[str, Any]]]:
        """Question, answer and (of an object) the whole round, for every round."""
        if self.turns is None:
            users, assistants = list_at(row, self.user), list_at(row, self.assistant)
            if len(users) != len(assistants):
                counts = f"{len(users)} in `{self.user}`, {len(assistants)} in `{self.assistant}`"
                raise BadRow("D315", self.assistant, f"the two lists differ in length: {counts}.")
            return [(user, assistant, {}) for user, assistant in zip(users, assistants, strict=True)]
        return [self._round(turn, number) for number, turn in enumerate(self._turns(row))]

    def _turns(self, row: Any) -> list[Any]:
        value = find(row, str(self.turns))
        if isinstance(value, dict) and value:
            return [value[key] for key in sorted(value, key=_number)]
        return list_at(row, str(self.turns))

    def _round(self, turn: Any, number: int) -> tuple[Any, Any, dict[str, Any]]:
        if isinstance(turn, dict):
            return find(turn, self.user), find(turn, self.assistant), turn
        if isinstance(turn, list) and len(turn) == 2:
            return turn[0], turn[1], {}
        raise BadRow("D312", f"{self.turns}[{number}]", f"round {number} is {kind_of(turn)}, not a pair.")


def _number(key: str) -> tuple[int, str]:
    """Sorts `turn_2` before `turn_10`; keys without a number come last, by name."""
    digits = "".join(character for character in key if character.isascii() and character.isdigit())
    return (int(digits) if digits else 1 << 62, key)
