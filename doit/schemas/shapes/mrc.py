"""Reading comprehension: a passage, a question, and one or several answers, or none that the passage gives."""

from __future__ import annotations

from typing import Any, Literal

from doit.schemas.shapes.base import MISSING, BadRow, Flat, find, kind_of, text_or_bad
from doit.schemas.shapes.qa import Qa


class Mrc(Qa):
    """Rows of SQuAD (Rajpurkar et al., 2016, 2018) and of the sets that copy it.

        {"context": "…", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 7}, …], "is_impossible": false}
        {"context": "…", "question": "Who?", "answers": {"text": ["Ada", …], "answer_start": [7, …]}}
        {"context_text": "…", "query_text": "谁？", "answers": ["甲", …]}

    SQuAD's files nest these: in the card, `rows: data.*.paragraphs` and `each: qas` take them apart, and, of articles
    one a line, `each: paragraphs.*.qas`. Several answers are spellings of one, and the first is taken. A question
    without an answer needs `unanswerable`; no text is made up.
    """

    kind: Literal["mrc"] = "mrc"  # type: ignore[assignment]
    passage: str | None = "context"
    """As in `qa`; null where the set has no passages."""
    answer: str = "answers"
    unanswerable: str | None = None
    """What to reply where the passage has no answer, in the set's language (`无法回答`); null: set the row aside."""
    impossible: str | None = "is_impossible"
    """Column that is true where the passage has no answer, whatever else the row holds."""

    def flat(self) -> Flat | None:
        """See `Shape.flat`."""
        return None

    def _answer(self, row: Any) -> str:
        value = find(row, self.answer)
        if value is MISSING:
            raise BadRow("D310", self.answer, f"field `{self.answer}` is missing.")
        impossible = self.impossible is not None and find(row, self.impossible) is True
        texts = [] if impossible else [text for text in self._texts(value) if text.strip()]
        if texts:
            return texts[0]
        if self.unanswerable is None:
            reason = f"`{self.answer}` holds no answer; say under `unanswerable` of the card's shape what to reply."
            raise BadRow("D313", self.answer, reason)
        return self.unanswerable

    def _texts(self, value: Any) -> list[str]:
        if isinstance(value, dict):
            value = value.get("text")
        if value is None:
            return []
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise BadRow("D312", self.answer, f"field `{self.answer}` is {kind_of(value)}, not an answer.")
        held = [one.get("text") if isinstance(one, dict) else one for one in value]
        return [text_or_bad(one, f"{self.answer}[{number}]") for number, one in enumerate(held) if one is not None]
