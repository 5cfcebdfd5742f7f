"""What a file holds, by its content: the card that would read it, why, how many rows fit, and what is doubtful.

    views of the file        its rows as they come, at a path, as one row, without a header      file_views
    candidates per view      shapes that the structure of a sample suggests                      turn_…, question_…
    a trial of each          the share of the sampled rows of which the shape makes a record
    the best                 by that share and by how much structure speaks for it

Column names are hints. Encodings are never guessed: such a file has a `proposal`, but no `card`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from doit.errors import SpecError
from doit.reading.benchmarks import benchmark_signs
from doit.reading.candidate import Candidate
from doit.reading.evidence import columns_of, fold_name, hints_at, quoted, share
from doit.reading.file_views import View, views
from doit.reading.question_candidates import question_candidates
from doit.reading.turn_candidates import turn_candidates
from doit.schemas.card import DatasetCard
from doit.schemas.shapes import SHAPES, BadRow, Conversation
from doit.schemas.shapes.base import check_order, find, list_at

Use = Literal["training", "preference", "benchmark", "prompts", "text", "config", "unreadable", "unknown"]
"""What a file is good for. Only the first two belong into a training mixture."""

CONFIG_NAMES = (
    "dataset_info",
    "dataset_infos",
    "config",
    "manifest",
    "package",
    "metadata",
    "index",
    "schema",
    "settings",
)
_WEIGHT_OF_FIT = 50.0
_STRUCTURE_ENOUGH = 60.0
"""A candidate with this much structure is believed although it reads no row of the sample."""


@dataclass(frozen=True)
class Sniffed:
    """What a look into one file says."""

    card: DatasetCard | None
    """Reads the file: named after it, without `files`. None where nothing does, or only in an undeclared encoding."""
    kind: str | None
    """The kind of shape, known even where no card can read it."""
    evidence: tuple[str, ...]
    """Sentences that say why."""
    fit: float
    """The share of the sampled records that the card reads."""
    doubts: tuple[str, ...]
    """Sentences that say what is not certain, and what would be lost."""
    use: Use = "unknown"
    proposal: DatasetCard | None = None
    """The `card`, or the one that would read the file if its encoding were declared so."""
    columns: tuple[str, ...] = ()
    """Top-level columns of the rows, sorted."""


def sniff(path: Path, *, shown: str | None = None) -> Sniffed:
    """Look into a file and say what it holds.

    Args:
        path: the file.
        shown: its path as its owner sees it, whose words count as hints; the file's name if not given.

    Raises:
        SpecError: there is no such file.
        StorageError: the disk does not give it.
    """
    if not path.is_file():
        raise SpecError("D206", "there is no such file.", where=str(path))
    shown = shown or path.name
    seen = list(views(path))
    if not any(view.rows for view in seen):
        return _without_rows(path, seen)
    tried = [trial for view in seen for trial in _tried(view, path.stem)]
    believed = [each for each in tried if each.fit > 0 or each.candidate.strength >= _STRUCTURE_ENOUGH]
    if _is_config(path, seen, believed):
        why = "One object of settings or names of files, no rows of text."
        return Sniffed(None, None, (why,), 0.0, ("A configuration or index file, not data.",), "config")
    if not believed:
        return _unknown(seen[0], max(tried, key=_Trial.score, default=None))
    return _told(max(believed, key=_Trial.score), shown)


class _Trial(NamedTuple):
    view: View
    candidate: Candidate
    card: DatasetCard | None
    fit: float
    reasons: tuple[tuple[str, int], ...]
    lacks: tuple[str, ...]

    def score(self) -> float:
        """The order of preference: rows read, then structure."""
        return self.candidate.strength + _WEIGHT_OF_FIT * self.fit


def _tried(view: View, stem: str) -> Iterator[_Trial]:
    candidates = [_within(view, each) for each in (*turn_candidates(view.rows), *question_candidates(view.rows))]
    for candidate in [*candidates, *_kept_by_a_flag(view, candidates)]:
        trial = _trial(view, candidate, stem)
        yield trial
        open_ends = sum(count for reason, count in trial.reasons if reason.startswith("D316"))
        if open_ends >= 0.3 * len(view.rows) and trial.card is not None and "turns" in candidate.shape:
            doubt = "Where the user has the last word, the turns that nobody answers are cut off."
            shape = {**candidate.shape, "unanswered": "cut"}
            yield _trial(view, candidate._replace(shape=shape, doubts=(*candidate.doubts, doubt)), stem)


def _trial(view: View, candidate: Candidate, stem: str) -> _Trial:
    card, lacks = _card(view, candidate, stem)
    fit, reasons = (0.0, ()) if card is None else _read(card, view.rows)
    bad = sum(row.row is not None for row in view.bad)
    fit *= (view.seen - bad) / view.seen if view.seen else 0.0
    return _Trial(view, candidate, card, fit, reasons, lacks)


def _within(view: View, candidate: Candidate) -> Candidate:
    """A candidate as it is to be judged in its view.

    A list in a file's only object is rather its rows than one conversation, unless its turns name their speakers. A
    file that is one conversation may end with a question, and another file of the same set with an answer.
    """
    turns = candidate.shape.get("turns")
    if view.layout.get("rows") == "file" and turns == ".":
        doubt = "Where the user has the last word, the turns that nobody answers are cut off."
        shape = {**candidate.shape, "unanswered": "cut"}
        return candidate._replace(shape=shape, doubts=(*candidate.doubts, doubt))
    listed = isinstance(turns, str) and isinstance(find(view.rows[0], turns), list)
    if view.single and listed and ("." in str(turns) or "role" not in candidate.shape):
        return candidate._replace(strength=candidate.strength - 30)
    return candidate


def _kept_by_a_flag(view: View, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """Conversations beside a yes or no that judges them: only those with a yes are wanted."""
    columns = columns_of(view.rows, depth=0)
    flag = next((c for c in columns.values() if fold_name(c.path) in ("label", "desirable", "accepted", "标签")), None)
    if flag is None or not flag.mostly(bool):
        return
    for each in candidates:
        if each.shape["kind"] in ("chat", "pairs", "qa", "alpaca"):
            doubt = f"Preference data: only rows with `{flag.path}: true` are read."
            where = {flag.path: True}
            yield each._replace(
                strength=each.strength + 6, where=where, doubts=(*each.doubts, doubt), used=(flag.path,)
            )


def _card(view: View, candidate: Candidate, stem: str) -> tuple[DatasetCard | None, tuple[str, ...]]:
    """The card of a candidate, and the fields that its shape does not have."""
    kind = candidate.shape["kind"]
    if kind not in SHAPES:
        return None, (f"No shape `{kind}` reads this.",)
    fields = SHAPES[kind].model_fields
    shape = {key: value for key, value in candidate.shape.items() if key in fields}
    lacks = tuple(key for key in candidate.shape if key not in fields)
    document: dict[str, Any] = {"name": safe_name(stem), **view.layout, "shape": _usual(shape)}
    if candidate.each is not None:
        document["each"] = candidate.each
    if candidate.where is not None:
        document["where"] = candidate.where
    try:
        return DatasetCard.model_validate(document), lacks
    except ValidationError:
        return None, lacks


def _usual(shape: dict[str, Any]) -> dict[str, Any]:
    """A chat by its usual name, without the fields that go without saying."""
    if shape["kind"] != "chat":
        return shape
    for kind in ("sharegpt", "messages"):
        defaults = {name: SHAPES[kind].model_fields[name].default for name in ("turns", "role", "content")}
        if defaults == {name: shape.get(name, default) for name, default in defaults.items()}:
            return {**{key: value for key, value in shape.items() if key not in defaults}, "kind": kind}
    if (shape.get("role"), shape.get("content")) == ("from", "value"):
        return {**{key: value for key, value in shape.items() if key not in ("role", "content")}, "kind": "sharegpt"}
    return shape


def safe_name(text: str) -> str:
    """A text as a name that a card may have: ASCII letters, digits, `.`, `_` and `-`."""
    kept = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("._-")
    return kept[:96] or "data"


def _read(card: DatasetCard, rows: Sequence[Any]) -> tuple[float, tuple[tuple[str, int], ...]]:
    """The share of records that a card's shape makes, and the reasons for the others, most frequent first."""
    good = 0
    reasons: Counter[str] = Counter()
    for row in rows:
        try:
            parts = [row] if card.each is None else list(_elements(row, card.each))
        except BadRow as bad:
            reasons[f"{bad.code} {bad.reason}"] += 1
            continue
        for part in parts:
            if card.where is not None and any(find(part, key) != value for key, value in card.where.items()):
                continue
            for wrong in _made(card, part):
                if wrong is None:
                    good += 1
                else:
                    reasons[f"{wrong.code} {wrong.reason}"] += 1
    total = good + sum(reasons.values())
    return (good / total if total else 0.0), tuple(reasons.most_common(3))


def _made(card: DatasetCard, part: Any) -> list[BadRow | None]:
    """For each conversation of a part: None, or why it is none."""
    try:
        return [_checked(made, card) for made in card.shape.conversations(part)]
    except BadRow as bad:
        return [bad]


def _checked(made: Conversation | BadRow, card: DatasetCard) -> BadRow | None:
    if isinstance(made, BadRow):
        return made
    try:
        if card.shape.dialogue:
            check_order(made.messages, "messages")
    except BadRow as bad:
        return bad
    return None


def _elements(row: Any, path: str) -> Iterator[Any]:
    """The parts of a row, as `doit.reading.records` makes them."""
    elements = list_at(row, path)
    fields = dict(enumerate(row)) if isinstance(row, list) else row
    rest = {str(key): kept for key, kept in fields.items() if str(key) != path}
    for element in elements:
        yield {**rest, **element} if isinstance(element, dict) else {**rest, path: element}


def _told(best: _Trial, shown: str) -> Sniffed:
    view, candidate = best.view, best.candidate
    kind = best.card.shape.kind if best.card is not None else str(candidate.shape["kind"])
    columns = tuple(sorted(columns_of(view.rows, depth=0)))
    signs = benchmark_signs(shown, columns, kind, view.rows)
    doubts = [*view.doubts, *candidate.doubts, *(f"Likely a benchmark: {sign}" for sign in signs)]
    doubts += _lacking(best)
    if best.fit < 1:
        said = "; ".join(reason.rstrip(".") for reason, _ in best.reasons[:2])
        part = "Less than 1%" if best.fit > 0.99 else f"{1 - best.fit:.0%}"
        doubts.append(f"{part} of the sampled records do not fit" + (f": {said}." if said else "."))
    if ignored := _ignored(best, columns):
        doubts.append(f"Columns that would be ignored: {quoted(ignored, 12)}.")
    if view.bad:
        rows = "1 broken row" if len(view.bad) == 1 else f"{len(view.bad):,} broken rows"
        doubts.append(f"{rows} in the sample, such as {view.bad[0].code}: {view.bad[0].reason}")
    worse = [name for name in columns if hints_at(name, "rejected")]
    if worse and not any("Preference data" in doubt for doubt in doubts):
        doubts.append(f"Preference data: {quoted(worse)} is left out.")
    use = _use(kind, doubts, bool(signs))
    if kind == "text":
        doubts.append("Raw text teaches no answers: it is for secondary pre-training.")
    card = None if view.undeclared else best.card
    evidence = (*view.why, *candidate.why)
    return Sniffed(card, kind, evidence, best.fit, tuple(doubts), use, best.card, columns)


def _lacking(best: _Trial) -> list[str]:
    if best.card is None:
        return list(best.lacks) or ["No card could be made for it."]
    return [f"Shape `{best.card.shape.kind}` has no field `{name}`, so that is left out." for name in best.lacks]


def _use(kind: str, doubts: Sequence[str], benchmark: bool) -> Use:
    if benchmark:
        return "benchmark"
    if kind in ("prompts", "text"):
        return "prompts" if kind == "prompts" else "text"
    return "preference" if any("Preference data" in doubt for doubt in doubts) else "training"


def _ignored(best: _Trial, columns: Sequence[str]) -> list[str]:
    """Columns that neither the shape nor the card uses."""
    used = {name.split(".", 1)[0] for name in best.candidate.used if name}
    if best.card is not None:
        for value in best.card.shape.model_dump().values():
            named = value if isinstance(value, (tuple, list)) else [value]
            used |= {str(name).removeprefix("json:").split(".", 1)[0] for name in named if isinstance(name, str)}
            used |= {name for name in named if isinstance(name, str)}
        used -= {name for row in best.view.rows for name in best.card.shape.unread(row)}
    used.add((best.candidate.each or "").split(".", 1)[0])
    return [name for name in columns if name not in used]


def _is_config(path: Path, seen: Sequence[View], believed: Sequence[_Trial]) -> bool:
    """Whether the only row is an object that describes files rather than holding rows."""
    rows = seen[0].rows
    if len(rows) != 1 or not isinstance(rows[0], dict):
        return False
    named = any(path.stem.lower().startswith(name) for name in CONFIG_NAMES)
    best = max(believed, key=_Trial.score, default=None)
    strong = best is not None and best.candidate.strength >= _STRUCTURE_ENOUGH and best.fit > 0
    inner = [value for value in rows[0].values() if isinstance(value, dict)]
    files = share(any("file" in str(key) or "url" in str(key) for key in value) for value in inner)
    return not strong and (named or (len(inner) >= 2 and files >= 0.5))


def _without_rows(path: Path, seen: Sequence[View]) -> Sniffed:
    bad = next((view.bad[0] for view in seen if view.bad), None)
    if bad is None:
        return Sniffed(None, None, ("The file is empty.",), 0.0, ("There is nothing in it.",), "unreadable")
    if bad.code == "D302" and not path.name.lower().endswith((".json", ".jsonl", ".ndjson")):
        why = "Lines of text that are neither JSON nor columns."
        hint = "A document, or raw text; `columns: [text]` with a delimiter that it lacks would read its lines."
        return Sniffed(None, None, (why,), 0.0, (hint,), "unknown")
    return Sniffed(None, None, (), 0.0, (f"Cannot be read: {bad.code} {bad.reason}",), "unreadable")


def _unknown(view: View, nearest: _Trial | None) -> Sniffed:
    """A file that no card reads, with what is in the way of the most likely one."""
    columns = columns_of(view.rows, depth=0)
    answers = [c.path for c in columns.values() if c.wordy() and (hints_at(c.path, "answer"))]
    why = f"{len(view.rows):,} sampled rows with {quoted(columns)}." if columns else "Rows of no known structure."
    doubts = ["No shape that is known reads these rows."]
    if nearest is not None and nearest.card is not None and nearest.reasons:
        doubts.append(f"As `{nearest.card.shape.kind}` none fits: {nearest.reasons[0][0]}")
    alone = next(iter(columns)) if len(columns) == 1 else ""
    if sign := next((sign for sign in ";|\t" if sign in alone), ""):
        doubts.append(
            f"The only column is called {alone!r}: if `{sign}` parts columns, declare `delimiter` under `source`."
        )
    if answers or any("answer" in name or "generated" in name for name in columns):
        doubts.append("They look like answers whose questions are in another file.")
    return Sniffed(None, None, (why,), 0.0, tuple(doubts), "unknown", columns=tuple(sorted(columns)))


__all__ = ["Sniffed", "Use", "safe_name", "sniff"]
