"""Texts that hold a whole conversation, each turn after a marker such as `Human:`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from doit.reading.candidate import SPECIAL_END, Candidate
from doit.reading.evidence import Column, hints_at, share
from doit.schemas.shapes.chat import ROLES

_MARKER = re.compile(
    r"(?:^|(?<=\n))[ \t]*((?:#{1,4} ?)?[^\W\d_]{1,14}(?: [^\W\d_]{1,12})?[:：]|\[[^\]\n]{1,12}\][:：]?)"
    r"|(<\|[^|<>\n]{1,16}\|>[:：]?)"
)


_SEEN = 200
"""Texts of a column that are looked into."""


def marked_texts(column: Column, columns: dict[str, Column]) -> Iterator[Candidate]:
    """One text that holds a whole conversation, each turn after a marker."""
    texts = column.texts[:_SEEN]
    orders = [[a or b for a, b in _MARKER.findall(text)] for text in texts]
    user = _opening(texts, orders)
    if user is None:
        return
    alone = sum(other.wordy() for other in columns.values()) == 1
    if not (alone or hints_at(_plain(user), "user") or _plain(user).casefold() in ROLES):
        return
    assistant = next((marker for marker in _answering(user, texts, orders) if _alternates(orders, user, marker)), None)
    if assistant is None:
        return
    markers: dict[str, Any] = {"user": user, "assistant": assistant}
    if ends := [end for end in _ends(texts, assistant) if end not in markers.values()]:
        markers["end"] = ends if len(ends) > 1 else ends[0]
    why = (f"`{column.path}` begins with `{user}` and goes on with `{assistant}`, in turn.",)
    chosen = hints_at(column.path, "chosen")
    doubts = ("Preference data: only the better side is read.",) if chosen else ()
    shape = {"kind": "marked_text", "text": column.path, "markers": markers}
    yield Candidate(shape, 78.0 if chosen else 68.0, why, doubts)


def _plain(marker: str) -> str:
    return marker.strip("<|>[]#:： ")


def _opening(texts: Sequence[str], orders: Sequence[list[str]]) -> str | None:
    """The marker that most texts begin with."""
    starts = Counter(order[0] for order, text in zip(orders, texts, strict=True) if _begins(order, text))
    marker, number = starts.most_common(1)[0] if starts else (None, 0)
    return marker if number >= 0.7 * len(orders) else None


def _answering(user: str, texts: Sequence[str], orders: Sequence[list[str]]) -> list[str]:
    """Other markers that most texts have, with something behind them; those named like an assistant come first."""
    counts = Counter(marker for order in orders for marker in set(order))
    others = [marker for marker, n in counts.most_common(8) if marker != user and n >= 0.7 * len(orders)]
    followed = [marker for marker in others if _is_followed(marker, texts)]
    return sorted(followed, key=lambda marker: not hints_at(_plain(marker), "assistant"))


def _alternates(orders: Sequence[list[str]], user: str, assistant: str) -> bool:
    """Whether two markers take turns in most texts."""
    turns = [[marker for marker in order if marker in (user, assistant)] for order in orders]
    return share(all(a != b for a, b in pairwise(order)) and len(order) >= 2 for order in turns) >= 0.6


def _is_followed(marker: str, texts: Sequence[str]) -> bool:
    """Whether something stands after a marker, as it does after a speaker's name and not after an end of text."""
    held = [text for text in texts if marker in text]
    return share(bool(text.rsplit(marker, 1)[1].strip()) for text in held) >= 0.8


def _begins(order: list[str], text: str) -> bool:
    return bool(order) and text.lstrip().startswith(order[0])


def _ends(texts: Sequence[str], before: str) -> list[str]:
    """The special tokens that stand right before a marker, and at the end of the text."""
    first = Counter(m[1] for t in texts if before in t and (m := SPECIAL_END.search(t.split(before, 1)[0])))
    last = Counter(m[1] for text in texts if (m := SPECIAL_END.search(text)))
    common = [ends.most_common(1)[0] for ends in (first, last) if ends]
    return list(dict.fromkeys(end for end, count in common if count >= 0.6 * len(texts)))


_ASKS = re.compile(r"^\s*(Human|User|用户|问|Q|Question)\s?[:：]")
_AWAITS = re.compile(r"(?:^|\n)\s*((?:Assistant|Bot|AI|助手|答|A|Answer)\s?[:：])\s*$")


def marked_requests(columns: dict[str, Column]) -> Iterator[Candidate]:
    """A request that ends with the assistant's marker, and the answer in another column."""
    for asking in columns.values():
        if not hints_at(asking.path, "question") or not asking.is_text():
            continue
        awaiting = [m[1] for text in asking.texts if _ASKS.match(text) and (m := _AWAITS.search(text))]
        answer = next((c for c in columns.values() if hints_at(c.path, "answer") and c.is_text()), None)
        if answer is None or len(awaiting) < 0.3 * len(asking.texts):
            continue
        user = next(m[0].strip() for text in asking.texts if (m := _ASKS.match(text)))
        shape = {
            "kind": "marked_text",
            "text": [asking.path, answer.path],
            "markers": {"user": user, "assistant": awaiting[0]},
        }
        many = f"{len(awaiting):,} of {len(asking.texts):,}"
        yield Candidate(shape, 74.0, (f"`{asking.path}` ends with `{awaiting[0]}` in {many} rows.",))
        return
