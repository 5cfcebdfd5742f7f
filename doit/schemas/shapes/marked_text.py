"""Marked text: a whole conversation in one text, each turn after a marker such as `Human:`."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from doit.schemas.base import Frozen, Several
from doit.schemas.shapes.base import BadRow, CannotHold, Conversation, Shape, check_order, need_fields, text_at
from doit.schemas.shapes.way_back import put, rounds_of


class Markers(Frozen):
    """What each role's turns begin with, and what may close a turn."""

    user: str = "Human:"
    assistant: str = "Assistant:"
    system: str | None = None
    end: str | tuple[Annotated[str, StringConstraints(min_length=1)], ...] | None = None
    """What closes a turn; of several, any of them, and they may follow one another."""

    anywhere: bool = False
    """Whether a marker counts inside a line too: for sets that write turns without line breaks, and so cannot quote."""

    @property
    def ends(self) -> tuple[str, ...]:
        """The end markers, in the order in which they are tried."""
        return () if not self.end else (self.end,) if isinstance(self.end, str) else self.end


class MarkedText(Shape):
    r"""Rows with role markers in the text.

        {"text": "Human: Hi\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant: See you"}
        {"instruction": "Human: Hi\nAssistant:", "output": "Hello"}        text: [instruction, output]

        {"text": "### Human: Hi### Assistant: Hello"}                          markers: {…, anywhere: true}

    A marker counts only where a turn can begin: at the start of the text or of a line, or right after an end marker.
    Roles must alternate. With several columns, a row whose first column does not begin with a marker is one plain
    round: the first column asks, the others answer (Alpaca-CoT keeps its multi-turn rows beside such rows).
    """

    kind: Literal["marked_text"] = "marked_text"
    text: str | Several = "text"
    """Column with the text, or several columns that together make it."""
    markers: Markers = Markers()

    def conversation(self, row: Any) -> Conversation:
        """See `Shape.conversation`."""
        columns = (self.text,) if isinstance(self.text, str) else self.text
        need_fields(row, *columns)
        texts = [text_at(row, column) for column in columns]
        if len(texts) > 1 and not self._begins(texts[0]):
            return Conversation([("user", texts[0]), ("assistant", "".join(texts[1:]))])
        messages = self._split("".join(texts), columns[0])
        check_order(messages, columns[0])
        return Conversation(messages)

    def row(self, conversation: Conversation) -> dict[str, Any]:
        """See `Shape.row`. White space around a text is not kept, nor does it count for a conversation's identity."""
        system, rounds = rounds_of(conversation)
        columns = (self.text,) if isinstance(self.text, str) else self.text
        if len(columns) > 2:
            raise CannotHold("row")
        if system and not self.markers.system:
            raise CannotHold("system")
        names = {"system": self.markers.system, "user": self.markers.user, "assistant": self.markers.assistant}
        end = "".join(self.markers.ends[:1])
        texts = [f"{names[role]} {content.strip()}{end}" for role, content in conversation.messages]
        made: dict[str, Any] = {}
        if len(columns) == 1:
            put(made, columns[0], "\n\n".join(texts), "row")
        else:
            put(made, columns[0], "\n".join([*texts[:-1], self.markers.assistant]), "row")
            put(made, columns[1], rounds[-1][1], "row")
        if not self._reads_back(made, conversation):
            raise CannotHold("markers")
        return made

    def _reads_back(self, row: dict[str, Any], conversation: Conversation) -> bool:
        try:
            found = self.conversation(row).messages
        except BadRow:
            return False
        return found == [(role, content.strip()) for role, content in conversation.messages]

    def _begins(self, text: str) -> bool:
        match = _opening(self.markers).match(text.lstrip())
        return match is not None

    def _split(self, text: str, field: str) -> list[tuple[str, str]]:
        found = list(_opening(self.markers).finditer(text))
        if not found or text[: found[0].start()].strip():
            raise BadRow("D317", field, f"`{field}` does not begin with a role marker.")
        messages: list[tuple[str, str]] = []
        for number, match in enumerate(found):
            role = str(match.lastgroup)
            stop = found[number + 1].start() if number + 1 < len(found) else len(text)
            content = text[match.end() : stop].strip()
            content = _without_ends(content, self.markers.ends)
            if messages and messages[-1][0] == role:
                raise BadRow("D317", field, f"turn {number} of `{field}` is {role} again: markers must alternate.")
            if not content:
                raise BadRow("D313", field, f"turn {number} of `{field}` ({role}) is empty.")
            messages.append((role, content))
        return messages


def _without_ends(content: str, ends: tuple[str, ...]) -> str:
    """A turn without the end markers that close it."""
    stop = len(content)
    while end := next((end for end in ends if content.endswith(end, 0, stop)), None):
        stop -= len(end)
        while stop and content[stop - 1].isspace():
            stop -= 1
    return content[:stop]


@cache
def _opening(markers: Markers) -> re.Pattern[str]:
    """Finds a marker where a turn can begin. Markers are literal text, so the pattern is linear in the text."""
    named = {"user": markers.user, "assistant": markers.assistant, "system": markers.system}
    choices = "|".join(f"(?P<{role}>{re.escape(text)})" for role, text in named.items() if text)
    if markers.anywhere:
        return re.compile(choices)
    before = "|".join(["^", *(f"(?<={re.escape(end)})" for end in markers.ends)])
    return re.compile(rf"(?:{before})[ \t]*(?:{choices})", re.MULTILINE)
