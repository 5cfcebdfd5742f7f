"""Tree: a first turn, the replies to it, the replies to those. Every way down it is a conversation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from doit.schemas.record import Role
from doit.schemas.shapes.base import (
    MISSING,
    BadRow,
    Conversation,
    Shape,
    check_order,
    find,
    kind_of,
    need_fields,
    text_at,
    text_or_bad,
)
from doit.schemas.shapes.chat import role_of

Turns = list[dict[str, Any]]
"""The turns from the root down to some turn."""


class Tree(Shape):
    """Rows of one message tree, as in OpenAssistant's exports (Köpf et al., 2023).

        {"prompt": {"role": "prompter", "text": "Hi", "replies": [
            {"role": "assistant", "text": "Hello", "rank": 0, "replies": [{"role": "prompter", "text": …}, …]},
            {"role": "assistant", "text": "Yes?", "rank": 1, "replies": []}]}}

    Every assistant's turn that no later assistant's turn follows ends one conversation, which begins at the root; so
    every answer is in at least one record, and questions that nobody answers are left off. With `paths: best` the one
    conversation goes from each turn to its best reply that leads to an answer.
    """

    kind: Literal["tree"] = "tree"
    root: str = "prompt"
    """Column with the first turn; `.` = the row itself is the first turn."""
    replies: str = "replies"
    """Field of a turn with the list of its replies."""
    role: str = "role"
    """Field of a turn with its role."""
    content: str = "text"
    """Field of a turn with its text."""
    roles: dict[str, Role] = Field(default_factory=dict)
    """Their role name -> ours, on top of the usual names."""
    paths: Literal["all", "best"] = "all"
    """Every conversation of the tree, or the best alone."""
    rank: str | None = "rank"
    """Field of a turn with its place among its siblings: the least is the best, the unranked come last; the first of
    equals wins."""

    def conversations(self, row: Any) -> list[Conversation | BadRow]:
        """See `Shape.conversations`. In the order of the file, depth first."""
        ways = self._ways(row)
        if not ways:
            raise BadRow("D316", self.root, f"nobody answers in the tree at `{self.root}`.")
        if self.paths == "best":
            ways = [self._best(ways)]
        return [self._read(turns) for turns in ways]

    def conversation(self, row: Any) -> Conversation:
        """The first of `conversations`."""
        first = self.conversations(row)[0]
        if isinstance(first, BadRow):
            raise first
        return first

    def _ways(self, row: Any) -> list[Turns]:
        """The turns of every conversation."""
        need_fields(row, self.root)
        root = find(row, self.root)
        if root is MISSING:
            raise BadRow("D310", self.root, f"field `{self.root}` is missing.")
        ways: list[Turns] = []
        waiting: list[Turns] = [[self._turn(root, self.root)]]
        while waiting:
            turns = waiting.pop()
            replies = self._replies(turns[-1])
            waiting += [[*turns, reply] for reply in reversed(replies)]
            if not replies:
                ways.append(turns)
        return self._answered(ways)

    def _answered(self, ways: list[Turns]) -> list[Turns]:
        """Every way down to its last answer; once, where ways differ only after it, and whole answers only."""
        cut: list[Turns] = []
        for turns in ways:
            kept = list(turns)
            while kept and self._is_question(kept[-1]):
                kept.pop()
            if kept:
                cut.append(kept)
        passed = {id(turn) for turns in cut for turn in turns[:-1]}
        ends = {id(turns[-1]): turns for turns in cut if id(turns[-1]) not in passed}
        return list(ends.values())

    def _is_question(self, turn: dict[str, Any]) -> bool:
        name = find(turn, self.role)
        return isinstance(name, str) and role_of(name, self.roles) == "user"

    def _turn(self, value: Any, field: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BadRow("D312", field, f"`{field}` is {kind_of(value)}, not a turn.")
        return value

    def _replies(self, turn: dict[str, Any]) -> Turns:
        value = find(turn, self.replies)
        if value is MISSING or value is None:
            return []
        if not isinstance(value, list):
            raise BadRow("D312", self.replies, f"field `{self.replies}` is {kind_of(value)}, not a list.")
        return [self._turn(reply, f"{self.replies}[{number}]") for number, reply in enumerate(value)]

    def _best(self, ways: list[Turns]) -> Turns:
        """The way by the best turn at every fork; equals are taken in the order of the file."""
        depth = 1
        while len(ways) > 1:
            best = min((turns[depth] for turns in ways), key=self._rank)
            ways = [turns for turns in ways if turns[depth] is best]
            depth += 1
        return ways[0]

    def _rank(self, turn: dict[str, Any]) -> float:
        rank = find(turn, self.rank) if self.rank else None
        return rank if isinstance(rank, int | float) else float("inf")

    def _read(self, turns: Turns) -> Conversation | BadRow:
        try:
            messages = [self._message(turn, number) for number, turn in enumerate(turns)]
            check_order(messages, self.root)
        except BadRow as bad:
            return bad
        return Conversation(messages)

    def _message(self, turn: dict[str, Any], depth: int) -> tuple[str, str]:
        place = f"{self.root}[{depth}]"
        name = find(turn, self.role)
        if name is MISSING:
            raise BadRow("D310", f"{place}.{self.role}", f"turn {depth} of the tree has no `{self.role}`.")
        role = role_of(text_or_bad(name, f"{place}.{self.role}"), self.roles)
        if role is None:
            reason = f"role {name!r} is unknown; name it under `roles` of the card's shape."
            raise BadRow("D314", f"{place}.{self.role}", reason)
        return role, text_at(turn, self.content)
