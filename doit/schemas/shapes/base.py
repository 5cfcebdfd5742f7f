"""What all shapes share: the conversation they make, the rules it must obey, and how a column is found in a row."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, NamedTuple

import orjson
import polars as pl

from doit.schemas.base import Frozen
from doit.schemas.repeated_keys import repeated_key


class Conversation(NamedTuple):
    """What a shape makes of one row."""

    messages: list[tuple[str, str]]
    """(role, content) with our four roles."""
    reasoning: list[str | None] | None = None
    """One entry a message, where the format keeps thinking apart."""
    tools: str | None = None
    """Tool definitions as JSON text."""


APART = {
    "reasoning": "reasoning",
    "reasoning_content": "reasoning",
    "thinking": "reasoning",
    "tools": "tools",
    "functions": "tools",
}
"""Field in which formats keep a part of a conversation beside its turns -> which, a key of `way_back.LOSSES`."""


class Flat(NamedTuple):
    """How one round is made of text columns, for a whole batch at once.

    A row is plain if the required texts hold something, the optional ones are texts or nothing, the absent ones hold
    nothing, and the present ones are there. A plain row's conversation is one user's and one assistant's turn;
    `Shape.conversation` must agree.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    absent: tuple[str, ...]
    user: pl.Expr
    """The user's text, from columns of these names in which nothing is an empty text."""
    assistant: pl.Expr
    present: tuple[str, ...] = ()
    """Those of the optional ones that a row must have, if only as null."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All columns that it looks at."""
        return (*self.required, *self.optional, *self.absent)


class BadRow(Exception):
    """A row that cannot become a record; the caller turns it into a reject.

    Attributes:
        code: one of D305 and D310-D317.
        field: the field that is wrong, as the source spells it.
        reason: one sentence.
    """

    def __init__(self, code: str, field: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.field, self.reason = code, field, reason


class CannotHold(Exception):
    """A conversation that a format has no place for; the caller drops what is in the way, or refuses.

    Attributes:
        what: a key of `doit.schemas.shapes.way_back.LOSSES`.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Shape(Frozen):
    """One layout of a row. A subclass is drawn in its docstring and turns a row into a `Conversation`."""

    dialogue: ClassVar[bool] = True
    """Whether it makes conversations that a chat template renders (`check_order`); not so prompts and plain text."""

    def conversation(self, row: Any) -> Conversation:
        """The conversation in `row` (parsed JSON, or column -> text of a delimited file).

        Raises:
            BadRow: a field is missing, null, of the wrong type or empty, or the roles are in the wrong order.
        """
        raise BadRow("D305", "", f"{type(self).__name__} reads no rows")

    def conversations(self, row: Any) -> list[Conversation | BadRow]:
        """All conversations in `row`, where a shape makes several of one: each is a record, or says why it is none.

        Raises:
            BadRow: the row makes no conversation at all.
        """
        return [self.conversation(row)]

    def row(self, conversation: Conversation) -> Any:
        """The way back: a row of which this shape makes the same conversation.

        Raises:
            CannotHold: something of the conversation would be lost, or this shape has no way back.
        """
        raise CannotHold("row")

    def unread(self, row: Any) -> list[str]:
        """Fields of a row that hold thinking or tools by their names, and that this shape does not look at."""
        if not isinstance(row, dict) or APART.keys().isdisjoint(row):
            return []
        return [name for name in APART if row.get(name) and name not in self._columns()]

    def _columns(self) -> set[str]:
        """The columns that its fields name."""
        values = (getattr(self, name) for name in type(self).model_fields)
        named = {
            name
            for value in values
            for name in (value if isinstance(value, tuple | list) else [value])
            if isinstance(name, str)
        }
        return {name.removeprefix("json:").split(".", 1)[0] for name in named}

    def flat(self) -> Flat | None:
        """The same for many rows at once, as expressions; None where a shape must look at every row by itself."""
        return None


KIND_OF: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    kind = type(value)
    return KIND_OF.get(kind) or kind.__name__


@cache
def _steps(path: str) -> tuple[str | int, ...]:
    return tuple(int(step) if step.removeprefix("-").isdecimal() else step for step in path.split("."))


@cache
def is_key(path: str) -> bool:
    """Whether a path can only be a key of the row itself, which is what nearly all are."""
    return "." not in path and path != "*" and not path.startswith("json:")


MISSING: Any = object()
"""Stands for "this row has no such field", which is not the same as null."""


def find(row: Any, path: str) -> Any:
    """The value at `path` in a row, or `MISSING`.

    A path is a key, or keys and 0-based positions joined by dots (`meta.0.kind`, the last is `-1`); a key that holds a
    dot itself is tried first; `*` stands for every element of a list or value of an object, and makes a list of what
    is found; `.` is the row. `json:PATH` goes down PATH to the first text, parses it, and goes on inside with what is
    left of PATH; `json:` behind a dot parses a text inside that, too.

    Raises:
        BadRow: D312, there is no text on the way of `json:`, or it holds no JSON or an object with a key twice.
    """
    if isinstance(row, dict):
        value = row.get(path, MISSING)
        if value is not MISSING or is_key(path):
            return value
    if path == ".":
        return row
    if path.startswith("json:") or ".json:" in path:
        outer, again, inner = path.rpartition(".json:")
        return _through_text(find(row, outer) if again else row, inner.removeprefix("json:"))
    steps = _steps(path)
    if "*" in steps:
        every = _all_at(row, steps)
        return MISSING if MISSING in every else every
    value = row
    for step in steps:
        value = _step(value, step)
        if value is MISSING:
            return MISSING
    return value


def _step(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(str(step), MISSING)
    if isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
        return value[step]
    return MISSING


def _all_at(value: Any, steps: tuple[str | int, ...]) -> list[Any]:
    """What a path with `*` leads to; `MISSING` where it leads nowhere, so that nothing is left out unseen."""
    found = [value]
    for step in steps:
        if step != "*":
            found = [_step(one, step) for one in found]
            continue
        held = [list(one.values()) if isinstance(one, dict) else one for one in found]
        found = [inner for one in held for inner in (one if isinstance(one, list) else [MISSING])]
    return found


def _through_text(row: Any, path: str) -> Any:
    """What `json:PATH` leads to. The longest beginning of PATH that is a key of the row, dots and all, comes first."""
    if path == ".":
        return _below(row, [], ".")
    names = path.split(".")
    for count in range(len(names), 1, -1):
        key = ".".join(names[:count])
        if isinstance(row, dict) and isinstance(row.get(key), str):
            return _below(row[key], names[count:], key)
    return _below(row, names, "")


def _below(value: Any, names: list[str], where: str) -> Any:
    """What steps lead to from a value, which lies at `where`, when the first text on the way is parsed."""
    if isinstance(value, str) and where:
        held = _parse(value, where)
        return find(held, ".".join(names)) if names else held
    if not names:
        if value is MISSING or value is None:
            return value
        raise BadRow("D312", where, f"field `{where}` is {kind_of(value)}, not JSON in a text.")
    name, *later = names
    place = f"{where}.{name}".lstrip(".")
    if name != "*":
        return _below(_step(value, _steps(name)[0]), later, place)
    members = list(value.values()) if isinstance(value, dict) else value
    every = [_below(one, later, place) for one in members] if isinstance(members, list) else [MISSING]
    return MISSING if MISSING in every else every


def _parse(text: str, path: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRow("D312", path, f"field `{path}` does not hold JSON: {error}.") from None
    key = repeated_key(text.encode(), value) if isinstance(value, dict | list) else None
    if key is not None:
        reason = f"field `{path}` holds JSON in which the key {key[:64]!r} stands twice in one object."
        raise BadRow("D312", path, reason)
    return value


def need_object(row: Any) -> None:
    """Refuse a row that is not an object."""
    if not isinstance(row, dict):
        raise BadRow("D305", "", f"the row is {kind_of(row)}, not an object.")


def need_fields(row: Any, *paths: str) -> None:
    """Refuse a row in which no field can be found: what is no object, nor a list whose places any of the paths name."""
    if isinstance(row, list) and not any(map(_is_place, paths)):
        raise BadRow("D305", "", "the row is a list, not an object; its columns are places, such as `0`.")
    if not isinstance(row, list):
        need_object(row)


@cache
def _is_place(path: str) -> bool:
    """Whether a path can lead into a row that is a list."""
    first = _steps(path.removeprefix("json:"))[0]
    return path == "." or first == "*" or isinstance(first, int)


def text_at(row: Any, path: str) -> str:
    """The text at `path`, which must be there and hold more than white space."""
    value = find(row, path)
    if value is MISSING:
        raise BadRow("D310", path, f"field `{path}` is missing.")
    checked = text_or_bad(value, path)
    if not checked.strip():
        raise BadRow("D313", path, f"field `{path}` is empty.")
    return checked


def text_or_empty(row: Any, path: str | None) -> str:
    """The text at `path`; an empty one where the path is not set, the field is missing or null."""
    if path is None:
        return ""
    value = find(row, path)
    if value is MISSING or value is None:
        return ""
    return text_or_bad(value, path)


def passage_at(row: Any, path: str) -> str:
    """The text at `path`, or the lines of one: null and an empty one are nothing, but the field must be there."""
    if find(row, path) is MISSING:
        raise BadRow("D310", path, f"field `{path}` is missing.")
    return lines_or_empty(row, path)


def lines_or_empty(row: Any, path: str | None) -> str:
    """As `text_or_empty`, where the text may also be kept as a list of its lines."""
    value = MISSING if path is None else find(row, path)
    if not isinstance(value, list):
        return text_or_empty(row, path)
    return "\n".join(text_or_bad(line, f"{path}[{number}]") for number, line in enumerate(value))


def trimmed(text: str, markers: tuple[str, ...]) -> str:
    """A text without the markers at its ends; without any markers, exactly as it is."""
    for marker in markers:
        text = text.strip().removeprefix(marker).removesuffix(marker).strip()
    return text


def text_or_bad(value: Any, path: str) -> str:
    """`value` if it is a text that can be written as UTF-8."""
    if isinstance(value, str):
        return value
    if value is None:
        raise BadRow("D311", path, f"field `{path}` is null.")
    raise BadRow("D312", path, f"field `{path}` is {kind_of(value)}, not a text.")


def list_at(row: Any, path: str) -> list[Any]:
    """The list at `path`, which must be there and hold something."""
    value = find(row, path)
    if value is MISSING:
        raise BadRow("D310", path, f"field `{path}` is missing.")
    if value is None:
        raise BadRow("D311", path, f"field `{path}` is null.")
    if not isinstance(value, list):
        raise BadRow("D312", path, f"field `{path}` is {kind_of(value)}, not a list.")
    if not value:
        raise BadRow("D313", path, f"field `{path}` is an empty list.")
    return value


def json_text(row: Any, path: str | None) -> str | None:
    """The value at `path` as JSON text: a text as it is, anything else written out; null where there is none."""
    value = MISSING if path is None else find(row, path)
    if value is MISSING or value is None or value in ("", []):
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


FOLLOWS = {
    "system": ("",),
    "user": ("", "system", "assistant"),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}
"""Role -> the roles that it may follow (an empty name is the beginning)."""


def check_order(messages: list[tuple[str, str]], field: str, first: int = 0) -> None:
    """Refuse a conversation that no chat template could render.

    A system turn may come first; then user and assistant take turns, tool results between two assistant turns; the
    last turn is the assistant's.

    Args:
        messages: (role, content) pairs.
        field: the column that holds them.
        first: the place in the column of the first message; -1 where a system text from elsewhere stands before them.

    Raises:
        BadRow: D315 for the first turn out of order, D316 where the last word is not the assistant's.
    """
    before = ""
    for number, (role, _) in enumerate(messages, first):
        if before not in FOLLOWS[role]:
            after = f"after {before}" if before else "first"
            raise BadRow("D315", f"{field}[{number}]", f"turn {number} of `{field}` is {role}, {after}.")
        before = role
    if before != "assistant":
        last = f"the last turn of `{field}` is {before}" if before else f"`{field}` has no turns"
        raise BadRow("D316", field, f"{last}: there is no answer to learn.")
