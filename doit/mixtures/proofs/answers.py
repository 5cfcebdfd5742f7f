"""What `why`, `diff` and `rebuild` answer: the objects that Python functions return and that `--json` prints."""

from __future__ import annotations

from typing import Any, Literal

from doit.mixtures.manifest import InputFile
from doit.schemas.base import Frozen

Fate = Literal["drawn", "unused", "dropped", "rejected"]


class Place(Frozen):
    """Where a record stands, and what became of it."""

    source: str
    file: str
    row: int | None = None
    """0-based; null for a stretch of a file in which no rows can be told apart."""
    part: int | None = None
    """The record's number within a row that makes several."""
    fate: Fate
    rule: str | None = None


class Rank(Frozen):
    """The place of a record's key in its cell."""

    rank: int
    """0-based, as in the ledger."""
    of: int
    """Records of the cell that the training split draws from."""
    drawn: int
    """Records drawn of them: those with a rank below this number, each at least once."""


class WhyLine(Frozen):
    """One line of a ledger, explained."""

    mixture: str | None = None
    """Of a series or of variants: whose ledger, such as `640` or `zh/640`."""
    id: str | None = None
    """Null where the row made no record."""
    source: str
    file: str
    row: int | None = None
    part: int | None = None
    fate: Fate
    rule: str | None = None
    """The rule that dropped it, `keep` or `no target` where it is unused, or the code of a reject."""
    value: str | None = None
    """What the rule measured; of a duplicate, its survivor."""
    asks: dict[str, Any] | None = None
    """The rule's fields as the spec gives them."""
    rewritten: tuple[str, ...] = ()
    """The rules that changed its text, in their order."""
    holds: tuple[str, ...] = ()
    """Items of benchmarks that it holds, as `benchmark file:row coverage`."""
    survivor: Place | None = None
    """Of a duplicate: the record that was kept instead."""
    cell: str | None = None
    key: Rank | None = None
    epochs: int | None = None
    """How many copies were drawn."""
    split: str | None = None
    byte: int | None = None
    """Of a reject: where its row begins in the file."""
    field: str | None = None
    reason: str | None = None
    raw: str | None = None
    """Of a reject: how the row begins."""
    facts: tuple[str, ...]
    """The same in sentences."""


class WhyAnswer(Frozen):
    """What `doit why` answers."""

    out: str
    target: str
    lines: tuple[WhyLine, ...]
    """In the order of the ledger; of a series or of variants one mixture after the other, the largest size first."""


class Difference(Frozen):
    """A value that is not the same on both sides; absent where a side has none."""

    key: str
    a: Any = None
    b: Any = None


class CellDifference(Frozen):
    """Distinct records of one cell on both sides."""

    cell: str
    """As the ledger writes it, or by `language` and `ability` where the two specs have other targets; `validation` or
    `test` where it was held out."""
    a: int
    b: int
    both: int
    only_a: int
    only_b: int


class InputDifference(Frozen):
    """A file that only one side read, or that has other bytes or another name there."""

    what: Literal["added", "removed", "changed", "moved"]
    """From A to B. `moved`: the same bytes under another name or source."""
    a: InputFile | None = None
    b: InputFile | None = None


class Side(Frozen):
    """One of the two mixtures."""

    out: str
    name: str
    digest: str
    rows: int
    """Rows of all splits, copies included."""
    records: int
    """Distinct records."""


class DiffAnswer(Frozen):
    """What `doit diff` answers."""

    equal: bool
    """Whether the content digests are equal."""
    a: Side
    b: Side
    both: int
    """Distinct records in both, by id."""
    only_a: int
    only_b: int
    only_a_in_b: dict[str, int]
    """What became in B of the records that only A has: fate and rule -> records. `not read` = not in B's ledger."""
    only_b_in_a: dict[str, int]
    cells: tuple[CellDifference, ...]
    """Only those that do not hold the same records."""
    changed: dict[str, int]
    """Column -> records in both whose value is not the same. `text` is what was said; `copies` how often."""
    reordered: bool
    """Whether the digests differ by nothing but the order of the rows."""
    spec: tuple[Difference, ...]
    """Keys of the resolved specs, as `--set` writes them; a source's number is its dataset's name here."""
    inputs: tuple[InputDifference, ...]
    versions: tuple[Difference, ...]
    ids_a: tuple[str, ...] | None = None
    """The first ids, in ascending order, that only A has; where they were asked for."""
    ids_b: tuple[str, ...] | None = None


class RebuildAnswer(Frozen):
    """What `doit rebuild` answers."""

    out: str
    digest: str
    """The content digest, equal to the manifest's; of a series that of its largest size, of variants the first."""
    inputs: int
    """Files whose digests were checked before they were read."""
    bytes: int
    versions: tuple[Difference, ...]
    """Versions that are not the manifest's (`a`: the manifest's, `b`: here); they made no difference."""
    mixtures: dict[str, str] | None = None
    """Of a series or of variants: folder below `out` -> digest, of those that were compared."""
