"""Conversations that are longer than a training row may be: shortened by whole turns, or made into several."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from doit.trainers.rendering import Conversation

T = TypeVar("T")


Fit = Callable[[Conversation], T | None]
"""A conversation as a training row, or None where it is too long."""


def answers_of(conversation: Conversation) -> int:
    """How many turns are the assistant's."""
    return sum(message.role == "assistant" for message in conversation.messages)


def part_of(conversation: Conversation, numbers: list[int]) -> Conversation:
    """The conversation of some of its messages."""
    messages, reasoning, tools = conversation
    kept = None if reasoning is None else [reasoning[number] for number in numbers]
    return Conversation([messages[number] for number in numbers], kept, tools)


def cut_turns(conversation: Conversation, fit: Fit[T]) -> tuple[T | None, int]:
    """The longest beginning that fits and ends with an answer.

    Returns:
        The row, or None where not even the first answer fits; and how many answers it has.
    """
    ends = [number + 1 for number, message in enumerate(conversation.messages) if message.role == "assistant"]
    return _most(len(ends) - 1, lambda count: fit(part_of(conversation, list(range(ends[count - 1])))))


def split_turns(conversation: Conversation, fit: Fit[T]) -> tuple[list[T], int]:
    """The conversation in parts of whole exchanges, each as long as fits, each with the system's text before it.

    Returns:
        The rows; an exchange that does not fit by itself is in none of them. And how many answers they have.
    """
    opening, exchanges = _exchanges(conversation)
    rows: list[T] = []
    answers = at = 0
    while at < len(exchanges):

        def first(count: int, start: int = at) -> T | None:
            inside = [number for exchange in exchanges[start : start + count] for number in exchange]
            return fit(part_of(conversation, [*opening, *inside]))

        row, count = _most(len(exchanges) - at, first)
        if row is not None:
            rows.append(row)
            inside = [number for exchange in exchanges[at : at + count] for number in exchange]
            answers += answers_of(part_of(conversation, inside))
        at += max(count, 1)
    return rows, answers


def _most(limit: int, made: Callable[[int], T | None]) -> tuple[T | None, int]:
    """The largest count from 1 to `limit` of which something can be made; more never fits where less does not."""
    best: T | None = None
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        row = made(middle)
        if row is None:
            high = middle - 1
        else:
            best, low = row, middle
    return best, low


def _exchanges(conversation: Conversation) -> tuple[list[int], list[list[int]]]:
    """Numbers of the messages that open a conversation, and of those of each exchange, up to the next question."""
    roles = [message.role for message in conversation.messages]
    opening: list[int] = []
    while len(opening) < len(roles) and roles[len(opening)] == "system":
        opening.append(len(opening))
    exchanges: list[list[int]] = []
    for number in range(len(opening), len(roles)):
        if roles[number] == "user" and (not exchanges or roles[number - 1] != "user"):
            exchanges.append([])
        if not exchanges:
            exchanges.append([])
        exchanges[-1].append(number)
    return opening, exchanges
