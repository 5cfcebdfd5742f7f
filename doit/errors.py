"""The one tree of errors, and the stable codes that people search for.

    DoitError
    ├── SpecError(ValueError)       a YAML file, a path or an argument is wrong        exit 2
    │   └── MissingExtra            … an optional dependency is not installed          exit 2
    ├── DataError(ValueError)       what a source holds is wrong                       exit 3
    │   └── ShortStock              … or too little                                    exit 3
    └── StorageError(OSError)       the disk, or what lies in the output folder        exit 2

Every error says what is wrong, where, and what to do, in at most three lines; its code never changes meaning.
Rows that cannot be read raise nothing: they become rejects (`doit.reading`), which carry codes of the same table.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CODES: dict[str, str] = {
    "D101": "the output folder holds something that is not ours",
    "D102": "a file of a mixture is missing or does not match its digest",
    "D103": "another build is writing to this folder",
    "D104": "the disk refused a write",
    "D105": "a worker process died",
    "D201": "not valid YAML",
    "D202": "an unknown key",
    "D203": "an unknown name",
    "D204": "a value of the wrong type or out of range",
    "D205": "a repeated YAML key",
    "D206": "a file or folder that does not exist",
    "D207": "targets that contradict each other",
    "D208": "an optional dependency is missing",
    "D209": "a path that leaves the folder it may read",
    "D210": "a part of the design that this version does not have yet",
    "D211": "a Hub or an endpoint that cannot be reached, refuses or breaks off",
    "D212": "a revision on a Hub that can move, or has moved",
    "D213": "a format that cannot hold what the input has",
    "D301": "a file that cannot be read as text in its encoding",
    "D302": "a line or element that is not JSON",
    "D303": "a row with bytes that are not UTF-8",
    "D304": "a row with half a surrogate pair",
    "D305": "a row that is not of the kind its shape reads",
    "D306": "a row with too few or too many columns",
    "D307": "a quote that is never closed",
    "D308": "a stretch of a file in which no rows can be told apart",
    "D309": "a file whose container is not known",
    "D310": "a missing field",
    "D311": "a null field",
    "D312": "a field of the wrong type",
    "D313": "a text that is empty",
    "D314": "an unknown role",
    "D315": "roles in the wrong order",
    "D316": "a conversation without an answer",
    "D317": "role markers that do not alternate",
    "D318": "a label that the card's map lacks",
    "D319": "a count that differs from what the card says",
    "D320": "an input without rows",
    "D321": "a file whose bytes are not those that the Hub lists",
    "D322": "a source that loses more than half of its records to the rules",
    "D323": "a file of a folder that was left out",
    "D401": "less data than the targets need",
    "D402": "a size that cannot be filled",
    "D403": "a positive share of which nothing is available",
    "D501": "a mixture that breaks one of its laws",
    "D601": "a tokenizer that cannot be trained with",
    "D602": "a chat template that cannot be trained with",
    "D603": "packing where conversations would see each other",
    "D604": "a loss that is not a number",
    "D605": "a training that cannot go on from its checkpoint",
    "D606": "held-out records that are trained on too",
    "D607": "a run that cannot be merged",
    "D608": "less memory than a training needs",
    "D701": "rows whose licence does not let them be published",
    "D702": "secrets or personal data in rows that are to be published",
    "D703": "a repository that somebody else changed while it was written to",
}
"""Code -> what it means, in a few words. `docs/errors.md` is checked against this table."""


class DoitError(Exception):
    """Anything that we say to a person instead of showing a traceback.

    Attributes:
        code: one of `CODES`.
        where: file, key, row or field; may be empty.
        what: what is wrong there.
        hint: what to do about it; may be empty.
    """

    exit_status = 1

    def __init__(self, code: str, what: str, *, where: str = "", hint: str = "") -> None:
        self.code, self.what, self.where, self.hint = code, what, where, hint
        place = f"{where}: " if where else ""
        advice = f" {hint}" if hint else ""
        super().__init__(f"{code} {place}{what}{advice}")

    def within(self, place: str) -> DoitError:
        """The same error, said of something in `place`: the file that holds the key, the spec that names the card."""
        inside = place if not self.where else f"{place}: {self.where}"
        return self if self.where.startswith(place) else _rebuild(type(self), self.code, self.what, inside, self.hint)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep every part when a worker process hands an error to its parent."""
        return (_rebuild, (type(self), self.code, self.what, self.where, self.hint))


def _rebuild(kind: type[DoitError], code: str, what: str, where: str, hint: str) -> DoitError:
    return kind(code, what, where=where, hint=hint)


class SpecError(DoitError, ValueError):
    """A YAML file, a path or an argument is wrong."""

    exit_status = 2


class MissingExtra(SpecError, ImportError):
    """An optional dependency is not installed."""


class DataError(DoitError, ValueError):
    """What a source holds is wrong."""

    exit_status = 3


class ShortStock(DataError):
    """There is less data than the targets need."""


class StorageError(DoitError, OSError):
    """The disk, or what lies in the output folder, is in the way."""

    exit_status = 2


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint `Did you mean "x"?` for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else ""
