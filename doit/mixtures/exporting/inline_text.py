"""Thinking, tool calls and tool definitions as trainers read them inside a text."""

from __future__ import annotations

from typing import Any

import orjson

from doit.schemas.shapes.base import CannotHold, Conversation

THINK_START, THINK_END = "<think>\n", "\n</think>\n\n"
"""Around the thinking at the beginning of an answer, as LLaMA-Factory and ms-swift look for it."""


def with_thought(conversation: Conversation, number: int) -> str:
    """The text of a turn, after its thinking where it has some.

    Raises:
        CannotHold: the thinking holds the mark of its own end.
    """
    content = conversation.messages[number][1]
    thought = conversation.reasoning[number] if conversation.reasoning else None
    if not thought:
        return content
    if f"{thought}{THINK_END}".index(THINK_END) != len(thought):
        raise CannotHold("reasoning")
    return f"{THINK_START}{thought}{THINK_END}{content}"


def calls_in(text: str) -> list[dict[str, Any]]:
    """The calls that a turn is: one or several objects with `name` and `arguments`, and nothing else in the text.

    Returns:
        No calls where any part of it is something else.
    """
    value = _json(text)
    calls = value if isinstance(value, list) else [value]
    return calls if all(map(_is_call, calls)) else []


def tool_list(text: str) -> list[dict[str, Any]]:
    """Tool definitions, which every trainer here wants as a list of objects.

    Raises:
        CannotHold: they are none.
    """
    tools = _json(text)
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise CannotHold("tools")
    return tools


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _is_call(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("arguments"), dict)
