"""Messages that hold the replies to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from doit.reading.candidate import EXTRA_ROLES, TURNS_SEEN, Candidate, content_field
from doit.reading.evidence import columns_of, hints_at, quoted
from doit.schemas.shapes.chat import ROLES


def tree_candidates(rows: Sequence[Any]) -> Iterator[Candidate]:
    """Messages that hold the replies to them, which hold replies in turn."""
    found = [place for row in rows[:50] if isinstance(row, dict) and (place := _tree_at(row, "", 3))]
    if not found or len(found) < 0.3 * min(50, len(rows)):
        return
    (root, replies), _ = Counter(found).most_common(1)[0]
    nodes = _nodes(rows[:50], root, replies)
    fields = columns_of(nodes, depth=0)
    content = content_field(fields)
    roles = [f for f in fields.values() if f.is_text() and f.distinct <= 12 and f.mean_chars <= 24]
    role = max(roles, key=lambda f: hints_at(f.path, "role") + (f.distinct == 2), default=None)
    if content is None or role is None or role is content:
        return
    where = f"`{root}`" if root else "the row"
    why = (f"{where[0].upper()}{where[1:]} is a message with `{replies}`, which have `{replies}` in turn.",)
    names = sorted(set(role.texts))
    known = all(name.casefold() in {**ROLES, **EXTRA_ROLES} for name in names)
    doubts = () if known else (f"`{role.path}` names no speakers that are known: {quoted(names)}.",)
    shape = {"kind": "tree", "root": root or ".", "replies": replies, "role": role.path, "content": content.path}
    yield Candidate(shape, 80.0 if known else 45.0, why, doubts, used=(root,))


def _nodes(rows: Sequence[Any], root: str, replies: str) -> list[dict[str, Any]]:
    """Messages of the trees that lie at `root`, as many as are looked at."""
    nodes: list[dict[str, Any]] = []
    for row in rows:
        value = row
        for step in filter(None, root.split(".")):
            value = value.get(step) if isinstance(value, dict) else None
        stack = [value] if isinstance(value, dict) else []
        while stack and len(nodes) < TURNS_SEEN:
            node = stack.pop()
            nodes.append(node)
            held = node.get(replies)
            stack += [child for child in held if isinstance(child, dict)] if isinstance(held, list) else []
    return nodes


def _tree_at(value: dict[str, Any], path: str, depth: int) -> tuple[str, str] | None:
    for key, inner in value.items():
        children = [child for child in inner if isinstance(child, dict)] if isinstance(inner, list) else []
        if any(isinstance(child.get(key), list) and child[key] for child in children):
            return path, key
    if depth:
        for key, inner in value.items():
            found = _tree_at(inner, f"{path}.{key}".lstrip("."), depth - 1) if isinstance(inner, dict) else None
            if found:
                return found
    return None
