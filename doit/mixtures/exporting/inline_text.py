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
    """The calls that a turn is: one or several objects of `name` and `arguments`, and nothing else in the text.

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


def named_tools(text: str) -> list[dict[str, Any]]:
    """Tool definitions of which each has a name, as it is or under `function`: what shows a tool to a model reads it.

    Raises:
        CannotHold: one has none.
    """
    tools = tool_list(text)
    functions = (tool.get("function", tool) for tool in tools)
    if not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in functions):
        raise CannotHold("tools")
    return tools


def function_tools(text: str) -> list[dict[str, Any]]:
    """Tool definitions of which each is `{"type": "function", "function": {"name": ...}}`, as OpenAI's guide has it.

    One that is a function alone, of name, description and parameters, is put in there.

    Raises:
        CannotHold: one is something else.
    """
    alone = {"name", "description", "parameters"}
    tools = [
        {"type": "function", "function": tool} if "name" in tool and tool.keys() <= alone else tool
        for tool in named_tools(text)
    ]
    if not all(tool == {"type": "function", "function": tool.get("function")} for tool in tools):
        raise CannotHold("tools")
    return tools


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _is_call(value: Any) -> bool:
    kinds = {key: type(part) for key, part in value.items()} if isinstance(value, dict) else {}
    return kinds == {"name": str, "arguments": dict}
