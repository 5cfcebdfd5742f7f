"""The way back, from a conversation to a row: what formats share when they have no place for all of it."""

from __future__ import annotations

from typing import Any

import orjson

from doit.schemas.shapes.base import CannotHold, Conversation

LOSSES: dict[str, str] = {
    "system": "a system text",
    "tools": "tool definitions",
    "tool_turns": "tool calls and their results",
    "reasoning": "thinking that is kept apart",
    "earlier_turns": "turns before the last question",
    "rationale": "an answer whose rationale is not kept apart",
    "markers": "a text in which its own role markers begin a line",
    "cells": "a text with line breaks, tabs or other characters that a cell cannot hold",
    "text": "this text as it is",
    "row": "this row",
}
"""What a format may have no place for, and how a message says it."""


def without(conversation: Conversation, what: str) -> Conversation | None:
    """The conversation without what a format cannot hold.

    Args:
        conversation: one that `Shape.row` refused.
        what: the reason it gave, a key of `LOSSES`.

    Returns:
        What is left, still in a good order; None where nothing less would help.
    """
    messages, reasoning = conversation.messages, conversation.reasoning
    if what == "tools":
        left = conversation._replace(tools=None)
    elif what == "reasoning":
        left = conversation._replace(reasoning=None)
    else:
        kept = _kept([role for role, _ in messages], what)
        thoughts = None if reasoning is None else [reasoning[number] for number in kept]
        left = Conversation(
            [messages[number] for number in kept], thoughts if any(thoughts or ()) else None, conversation.tools
        )
    return None if left == conversation else left


def _kept(roles: list[str], what: str) -> list[int]:
    """Positions of the messages that stay."""
    everything = range(len(roles))
    if what == "system":
        return [number for number in everything if roles[number] != "system"]
    if what == "tool_turns":
        after = [*roles[1:], ""]
        return [number for number in everything if roles[number] != "tool" and after[number] != "tool"]
    if what == "earlier_turns" and "user" in roles:
        last = max(number for number in everything if roles[number] == "user")
        return [number for number in everything if number >= last or roles[number] == "system"]
    return list(everything)


def rounds_of(conversation: Conversation, *, reasoning: bool = False) -> tuple[str, list[tuple[str, str]]]:
    """The system text (empty if there is none), and every question with its answer.

    Args:
        conversation: in a good order.
        reasoning: whether the format has a place for thinking.

    Raises:
        CannotHold: there are tools or tool turns, or thinking without a place for it.
    """
    if conversation.tools is not None:
        raise CannotHold("tools")
    if not reasoning and has_reasoning(conversation):
        raise CannotHold("reasoning")
    messages = conversation.messages
    if any(role == "tool" for role, _ in messages):
        raise CannotHold("tool_turns")
    begins = bool(messages) and messages[0][0] == "system"
    system, spoken = (messages[0][1], messages[1:]) if begins else ("", messages)
    questions, answers = spoken[::2], spoken[1::2]
    if [role for role, _ in spoken] != ["user", "assistant"] * len(answers) or not answers:
        raise CannotHold("row")
    return system, [(question[1], answer[1]) for question, answer in zip(questions, answers, strict=True)]


def has_reasoning(conversation: Conversation) -> bool:
    """Whether any turn has thinking that is kept apart."""
    return any(conversation.reasoning or ())


def put(row: dict[str, Any], path: str | None, value: Any, what: str) -> None:
    """Set the field at `path`, so that `find` finds it there.

    Args:
        row: the row that is being made.
        path: a key, keys joined by dots, or `json:` and a key; None where the format has no such field.
        value: JSON.
        what: what is lost where there is no such field.

    Raises:
        CannotHold: there is no place for the value.
    """
    if path is None:
        raise CannotHold(what)
    if path.startswith("json:"):
        path, value = path[5:], orjson.dumps(value).decode()
    *folders, last = path.split(".")
    if not last or "json:" in path or (folders and any(step.isdigit() for step in (*folders, last))):
        raise CannotHold("row")
    for step in folders:
        row = row.setdefault(step, {})
    row[last] = value
