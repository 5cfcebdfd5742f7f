"""Choice: a question, some options, and a key that says which of them is right."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Literal

from doit.schemas.base import Several
from doit.schemas.shapes.base import (
    MISSING,
    BadRow,
    Conversation,
    Shape,
    find,
    lines_or_empty,
    list_at,
    need_fields,
    passage_at,
    text_at,
    text_or_bad,
    text_or_empty,
)

_LABEL = re.compile(r"[(\[](?P<held>[A-Z])[)\]]|(?P<bare>[A-Z])[).,:?、。\s]")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Choice(Shape):
    r"""Rows of one multiple-choice question.

        {"question": "2 + 2?", "options": ["3", "4"], "answer": "B"}
        {"Question": "2 + 2?", "A": "3", "B": "4", "Answer": "B"}          options: [A, B]
        {"query": "2 + 2?", "choices": ["3", "4"], "gold": 1}              key: index
        {"query": "2 + 2?", "choices": ["3", "4"], "gold": 2}              key: number
        {"question": "2 + 2?", "choice": ["3", "4"], "answer": "4"}        key: text
        {"question": "2 + 2?\nA. 3\nB. 4", "answer": ["B"]}                options: null

    The user's turn is the passage, the question, and the options, one a line, each behind its letter (`A. 3`); letters
    that the options bring along, such as `(A)`, stay as they are. The assistant's turn is the line of the right option,
    or of each right option, letter and text. Where the question's text holds the options already (`options: null`),
    the assistant's turn is the key as it stands, several one a line.
    """

    kind: Literal["choice"] = "choice"
    question: str = "question"
    """Column with the question."""
    options: str | Several | None = "options"
    """Column with the options: a list, or an object of letter and text; or one column for each option, of
    which the last may be empty."""
    answer: str = "answer"
    """Column with the key to the right option, or with a list of keys where several are right."""
    key: Literal["letter", "index", "number", "text"] = "letter"
    """What the key is: `letter` (`B`, `(b)`; `AC` for two), `index` (a place from 0), `number` (a place from 1), or
    `text` (that of the option)."""
    passage: str | None = "passage"
    """Column with a text (or a list of its lines) that the question is about. A column of another name than `passage`
    must be in every row, if only as null or empty."""
    system: str | None = None
    """Column with the system text."""

    def conversation(self, row: Any) -> Conversation:
        """See `Shape.conversation`."""
        need_fields(row, self.question, self.answer)
        system = text_or_empty(row, self.system)
        messages = [("system", system)] if system.strip() else []
        passage = self._passage(row)
        asked = [passage] if passage.strip() else []
        asked.append(text_at(row, self.question))
        if self.options is None:
            answer = self._keys(row)
        else:
            options = self._options(row)
            letters, lines = labelled(options)
            asked += lines
            answer = [lines[place] for place in self._places(row, options, letters)]
        return Conversation([*messages, ("user", "\n".join(asked)), ("assistant", "\n".join(answer))])

    def _passage(self, row: Any) -> str:
        if self.passage is None or self.passage == type(self).model_fields["passage"].default:
            return lines_or_empty(row, self.passage)
        return passage_at(row, self.passage)

    def _options(self, row: Any) -> list[str]:
        if isinstance(self.options, tuple):
            filled = [bool(text_or_empty(row, column).strip()) for column in self.options]
            count = max((number for number, is_filled in enumerate(filled, start=1) if is_filled), default=1)
            return [text_at(row, column) for column in self.options[:count]]
        field = str(self.options)
        value = find(row, field)
        value = [value[key] for key in sorted(value)] if isinstance(value, dict) and value else list_at(row, field)
        if len(value) > len(LETTERS):
            raise BadRow("D312", field, f"`{field}` holds {len(value)} options, and there are 26 letters.")
        texts = [text_or_bad(option, f"{field}[{number}]") for number, option in enumerate(value)]
        for number, text in enumerate(texts):
            if not text.strip():
                raise BadRow("D313", f"{field}[{number}]", f"option {number} of `{field}` is empty.")
        return texts

    def _keys(self, row: Any) -> list[str]:
        """The keys as texts, numbers written out."""
        value = find(row, self.answer)
        if value is MISSING:
            raise BadRow("D310", self.answer, f"field `{self.answer}` is missing.")
        keys = []
        for key in value if isinstance(value, list) else [value]:
            number = isinstance(key, int) and not isinstance(key, bool)
            keys.append(str(key) if number else text_or_bad(key, self.answer))
        if not keys or not all(key.strip() for key in keys):
            raise BadRow("D313", self.answer, f"field `{self.answer}` holds no key.")
        return keys

    def _places(self, row: Any, options: list[str], letters: str) -> list[int]:
        """Places of the right options, in their order, without repeats."""
        places: set[int] = set()
        for key in self._keys(row):
            found = self._place(key, options, letters)
            if not found or not all(0 <= place < len(options) for place in found):
                reason = f"the key {key[:40]!r} in `{self.answer}` is no {self.key} of the {len(options)} options."
                raise BadRow("D312", self.answer, reason)
            places.update(found)
        return sorted(places)

    def _place(self, key: str, options: list[str], letters: str) -> list[int]:
        if self.key == "text":
            texts = [option.strip() for option in options]
            return [texts.index(key.strip())] if key.strip() in texts else []
        plain = unicodedata.normalize("NFKC", key).strip(" .,:;()[]、。")
        if self.key == "letter":
            given = re.sub(r"[\s,;、/&]+", "", plain.upper())
            return [letters.find(letter) for letter in given] if len(given) <= len(options) else []
        if not re.fullmatch(r"[0-9]{1,3}", plain):
            return []
        return [int(plain) - (self.key == "number")]


def labelled(options: list[str]) -> tuple[str, list[str]]:
    """Options as lines that begin with their letters, and those letters.

    Args:
        options: texts, at most 26.

    Returns:
        The options as they are if each brings a letter along (`(A)…`, `A. …`, `Ａ．…`, `A …`) and these are the first
        letters in any order (real sets list A, C, B, D); else each behind `A. `, `B. ` and so on.
    """
    own = "".join(_own_letter(option) for option in options)
    letters = LETTERS[: len(options)]
    if sorted(own) == list(letters):
        return own, options
    return letters, [f"{letter}. {option}" for letter, option in zip(letters, options, strict=True)]


def _own_letter(option: str) -> str:
    """The letter that an option brings along, or nothing."""
    found = _LABEL.match(unicodedata.normalize("NFKC", option[:16]).lstrip())
    return "" if found is None else found["bare"] or found["held"]
