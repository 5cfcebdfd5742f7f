"""Chat: a list of turns, each with a role and a content. ShareGPT, BELLE, OpenAI messages and DoIT are this shape."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

import orjson
from pydantic import Field

from doit.schemas.record import Role
from doit.schemas.shapes.base import (
    MISSING,
    BadRow,
    CannotHold,
    Conversation,
    Shape,
    check_order,
    find,
    json_text,
    kind_of,
    list_at,
    text_at,
    text_or_bad,
    text_or_empty,
    trimmed,
)
from doit.schemas.shapes.way_back import has_reasoning, put

ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}
"""Role names that public sets use -> ours. A card's `roles` adds to them."""

THINKING = ("reasoning", "thinking")
"""Types of a content's part that are thinking."""
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Fields of a turn that hold its thinking, the first that a turn has."""


class _Turn(NamedTuple):
    role: str
    content: str
    reasoning: str | None


class Chat(Shape):
    """A list of turns.

        {"conversations": [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "你好！"}]}
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}], "tools": "[…]"}
        [["user", "Hi"], ["assistant", "Hello"]]            turns: .
        {"query": ["Hi", "Hello", "How are you?", "Fine"]}   starts: user
        {"history": ["[Client] Hi", "[Lawyer] Hello"]}       roles: {"[Client]": user, "[Lawyer]": assistant}
        {"prompt": [{…}], "chosen": {…}, "rejected": {…}}    turns: prompt, answer: chosen

    A turn is an object, a two-element list (role, content) or a bare text, whose role is its place (`starts`) or the
    name that it begins with (`roles`); a content is a text or a list of typed text parts.
    """

    kind: Literal["chat"] = "chat"
    turns: str = "messages"
    """Column with the list of turns; `.` = the row itself is the list."""
    role: str = "role"
    """Field of a turn with its role."""
    content: str = "content"
    """Field of a turn with its text."""
    roles: dict[str, Role] = Field(default_factory=dict)
    """Their role name -> ours, on top of the usual names."""
    starts: Literal["user", "assistant"] | None = None
    """Who speaks first, where turns have no role and take turns."""
    trim: tuple[str, ...] = ()
    """Markers to cut from both ends of a content."""
    answer: str | None = None
    """Column with what follows the turns, where it stands apart: a text, a turn or a list of turns. In a set of
    preferences, the chosen side."""
    unanswered: Literal["reject", "cut"] = "reject"
    """What to do where the user has the last word: set the row aside, or cut the turns that nobody answers."""
    system: str | None = "system"
    """Column with the system text, where it is not a turn."""
    tools: str | None = "tools"
    """Column with tool definitions: JSON text, or JSON."""
    reasoning: str | None = "reasoning"
    """Column with the turns' thinking: a list of one text or null a turn, as a mixture's rows have it. A turn may also
    hold its own, at `reasoning_content`, `reasoning` or `thinking`."""

    def conversation(self, row: Any) -> Conversation:
        """See `Shape.conversation`."""
        system = "" if isinstance(row, list) else text_or_empty(row, self.system)
        turns = [_Turn("system", system, None)] if system.strip() else []
        written = self._written_turns(row)
        thoughts = self._thoughts(row, len(written))
        for (column, number, turn), thought in zip(written, thoughts, strict=True):
            read = self._turn(turn, number, column)
            if thought and not read.reasoning:
                read = read._replace(reasoning=thought)
            if read.role != "system" or read.content.strip():
                turns.append(read)
        while self.unanswered == "cut" and turns and turns[-1].role == "user":
            turns.pop()
        messages = [(turn.role, turn.content) for turn in turns]
        check_order(messages, self.turns, -1 if system.strip() else 0)
        reasoning = [turn.reasoning for turn in turns] if any(turn.reasoning for turn in turns) else None
        tools = None if isinstance(row, list) else json_text(row, self.tools)
        return Conversation(messages, reasoning, tools)

    def unread(self, row: Any) -> list[str]:
        """See `Shape.unread`. What stands at `reasoning` and is no list, such as `on`, is nobody's thinking."""
        found = super().unread(row)
        held = find(row, self.reasoning) if self.reasoning is not None and isinstance(row, dict) else None
        return found if held is MISSING or not held or isinstance(held, list) else [*found, str(self.reasoning)]

    written: ClassVar[dict[str, str]] = {role: role for role in ("system", "user", "assistant", "tool")}
    """Our role -> the name that the format's own users write."""
    call: ClassVar[str] = "assistant"
    """The name for an assistant's turn that is a tool call."""
    thinks: ClassVar[bool] = True
    """Whether a turn may carry `reasoning_content`."""

    def row(self, conversation: Conversation) -> Any:
        """See `Shape.row`. With `roles` of its own, a shape has no turns but the user's, the assistant's and those."""
        if has_reasoning(conversation) and not self.thinks:
            raise CannotHold("reasoning")
        messages, names = conversation.messages, self._names()
        made: dict[str, Any] = {}
        apart = messages[0][0] == "system" and "system" not in names
        turns = [self._made(conversation, number, names) for number in range(apart, len(messages))]
        if self.answer is not None:
            put(made, None if self.turns == "." else self.answer, turns.pop(), "row")
        if self.turns != ".":
            put(made, self.turns, turns, "row")
        if apart:
            put(made, self.system if self.turns != "." else None, messages[0][1], "system")
        if conversation.tools is not None:
            put(made, self.tools if self.turns != "." else None, conversation.tools, "tools")
        return made if self.turns != "." else turns

    def _names(self) -> dict[str, str]:
        if self.starts is not None:
            return {"user": "", "assistant": ""}
        if not self.roles:
            return self.written
        spoken = {role: self.written[role] for role in ("user", "assistant")}
        return spoken | {role: name for name, role in reversed(self.roles.items())}

    def _made(self, conversation: Conversation, number: int, names: dict[str, str]) -> Any:
        role, content = conversation.messages[number]
        if role not in names:
            raise CannotHold("system" if role == "system" else "tool_turns")
        thought = conversation.reasoning[number] if conversation.reasoning else None
        if self.starts is not None:
            if thought:
                raise CannotHold("reasoning")
            return content
        after = conversation.messages[number + 1 : number + 2]
        is_call = bool(after) and after[0][0] == "tool" and content.lstrip()[:1] in ("{", "[")
        name = self.call if is_call and names is self.written else names[role]
        turn = {self.role: name, self.content: content}
        return {**turn, "reasoning_content": thought} if thought else turn

    def _written_turns(self, row: Any) -> list[tuple[str, int, Any]]:
        """Column, number in it, and value of every turn."""
        turns = [(self.turns, number, turn) for number, turn in enumerate(list_at(row, self.turns))]
        if self.answer is None:
            return turns
        answer = find(row, self.answer)
        if isinstance(answer, list | dict):
            more = answer if isinstance(answer, list) else [answer]
        else:
            more = [{self.role: "assistant", self.content: text_at(row, self.answer)}]
        return turns + [(self.answer, number, turn) for number, turn in enumerate(more)]

    def _thoughts(self, row: Any, turns: int) -> list[str | None]:
        """The thinking of every turn that stands in a column of its own."""
        held = find(row, self.reasoning) if self.reasoning is not None and isinstance(row, dict) else None
        if not held or not isinstance(held, list):
            return [None] * turns
        name = str(self.reasoning)
        if len(held) != turns:
            raise BadRow("D312", name, f"field `{name}` has {len(held)} entries for {turns} turns.")
        for number, thought in enumerate(held):
            if thought is not None and not isinstance(thought, str):
                place = f"{name}[{number}]"
                raise BadRow("D312", place, f"field `{place}` is {kind_of(thought)}, not a text.")
        return held

    def _turn(self, turn: Any, number: int, column: str) -> _Turn:
        place = f"{column}[{number}]"
        if isinstance(turn, dict):
            role = self._role(turn, number, column)
            content, reasoning = self._content(turn, place)
        elif isinstance(turn, list) and len(turn) == 2 and self.starts is None:
            role = self._named(turn[0], f"{place}[0]")
            content, reasoning = text_or_bad(turn[1], f"{place}[1]"), None
        elif isinstance(turn, str) and self.starts is not None:
            role, content, reasoning = self._alternate(number), turn, None
        elif isinstance(turn, str) and self.roles:
            role, content, reasoning = *self._marked(turn, place), None
        else:
            raise BadRow("D312", place, f"turn {number} of `{column}` is {kind_of(turn)}, not a turn.")
        content = trimmed(content, self.trim)
        if role in ("user", "assistant") and not content.strip():
            raise BadRow("D313", f"{place}.{self.content}", f"turn {number} of `{column}` is empty.")
        return _Turn(role, content, reasoning)

    def _marked(self, turn: str, place: str) -> tuple[str, str]:
        """Role and content of a bare text that begins with the name of its role."""
        for name in sorted(self.roles, key=len, reverse=True):
            if turn.startswith(name):
                return self.roles[name], turn.removeprefix(name).strip()
        raise BadRow("D314", place, f"`{place}` begins with none of the names under `roles` of the card's shape.")

    def _alternate(self, number: int) -> str:
        first_is_user = self.starts == "user"
        return "user" if (number % 2 == 0) == first_is_user else "assistant"

    def _role(self, turn: dict[str, Any], number: int, column: str) -> str:
        field = f"{column}[{number}].{self.role}"
        name = find(turn, self.role)
        if name is not MISSING:
            return self._named(name, field)
        if self.starts is not None:
            return self._alternate(number)
        raise BadRow("D310", field, f"turn {number} of `{column}` has no `{self.role}`.")

    def _named(self, name: Any, field: str) -> str:
        name = text_or_bad(name, field)
        role = role_of(name, self.roles)
        if role is None:
            raise BadRow("D314", field, f"role {name!r} is unknown; name it under `roles` of the card's shape.")
        return role

    def _content(self, turn: dict[str, Any], place: str) -> tuple[str, str | None]:
        field = f"{place}.{self.content}"
        calls = turn.get("tool_calls") or turn.get("function_call")
        content = find(turn, self.content)
        apart = turn.get(THOUGHTS[0])
        if apart is not None and not isinstance(apart, str):
            name = f"{place}.{THOUGHTS[0]}"
            raise BadRow("D312", name, f"field `{name}` is {kind_of(apart)}, not a text.")
        texts = (turn.get(name) for name in THOUGHTS if name != self.content)
        thought = next((text for text in texts if isinstance(text, str) and text), None)
        if content is MISSING and not calls:
            raise BadRow("D310", field, f"field `{field}` is missing.")
        if isinstance(content, list):
            content, among = _parts(content, field)
            thought = among or thought
        if calls:
            written = calls if isinstance(calls, str) else orjson.dumps(calls).decode()
            content = written if content in (MISSING, None, "") else f"{text_or_bad(content, field)}\n{written}"
        return text_or_bad(content, field), thought


def role_of(name: str, roles: dict[str, Role]) -> Role | None:
    """Our role for a set's name of it: by the card's `roles`, else by the usual names."""
    return roles.get(name) or ROLES.get(name) or ROLES.get(name.strip().casefold())


def _parts(parts: list[Any], field: str) -> tuple[str, str | None]:
    """Typed parts as one text, and the thinking among them."""
    texts: list[str] = []
    thoughts: list[str] = []
    for number, part in enumerate(parts):
        place = f"{field}[{number}]"
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, dict):
            raise BadRow("D312", place, f"part `{place}` is {kind_of(part)}, not a typed part.")
        kind = part.get("type", "text")
        if not isinstance(kind, str) or kind not in ("text", "tool_call", "tools", *THINKING):
            raise BadRow("D312", place, f"part `{place}` is of type {kind!r}, and only text can be read.")
        value = next((part[key] for key in ("text", "value", "content", kind) if key in part), None)
        (thoughts if kind in THINKING else texts).append(text_or_bad(value, place))
    return "".join(texts), "\n".join(thoughts) or None


class ShareGpt(Chat):
    """ShareGPT and BELLE 3.5M: `conversations` of `from` (human, gpt, assistant …) and `value`."""

    kind: Literal["sharegpt"] = "sharegpt"  # type: ignore[assignment]
    turns: str = "conversations"
    role: str = "from"
    content: str = "value"

    written: ClassVar[dict[str, str]] = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
    call: ClassVar[str] = "function_call"
    thinks: ClassVar[bool] = False


class Messages(Chat):
    """OpenAI's and TRL's `messages` of `role` and `content`."""

    kind: Literal["messages"] = "messages"  # type: ignore[assignment]


class DoitChat(Chat):
    """DoIT's `messages` of `role` and `content`, one ability a file."""

    kind: Literal["doit"] = "doit"  # type: ignore[assignment]

    written: ClassVar[dict[str, str]] = {"user": "user", "assistant": "assistant"}
    thinks: ClassVar[bool] = False
