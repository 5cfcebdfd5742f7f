"""What a plan, a build and a check answer: the objects that Python functions return and that `--json` prints."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from doit.schemas.base import Frozen


class Cell(Frozen):
    """One cell of the plan. An axis without targets is `*`; construction and source appear only with targets."""

    language: str
    """The spec's range, such as `zh`, or `*`."""
    ability: str
    construction: str | None = None
    source: str | None = None
    wanted: int
    """Its count if there were data without end."""
    available: int
    """Distinct records after curation, `keep` and splits."""
    taken: int
    """Training records, copies included."""
    records: int | None = None
    """Training records, where the unit is tokens and the other counts are of tokens."""
    epochs: int
    """The highest epoch used: 1, or more under `shortage: repeat`; 0 where nothing is taken."""


class Margin(Frozen):
    """One value of an axis: the sum of its cells."""

    axis: str
    value: str
    wanted: int
    available: int
    taken: int


class PlanAnswer(Frozen):
    """What `doit plan` answers."""

    size: int
    unit: Literal["records", "tokens"] = "records"
    cells: tuple[Cell, ...]
    margins: tuple[Margin, ...]
    short: tuple[Margin, ...]
    """Values that get less than wanted."""
    shortage: str
    holds: bool
    """Whether every share is what it would be with data without end."""
    d: float | None = None
    """Distance from the shares, DESIGN's D; null without shares."""
    e: float
    """Distance from independence inside every value, DESIGN's E."""
    proven: bool
    """Whether the plan is proven to be the best."""
    lost: str = ""
    """Which sources lost rows, how many, and why."""
    warnings: tuple[str, ...] = ()
    refused: str | None = None
    """Why a build would refuse; the cells are then those of the nearest plan."""
    patch: str | None = None
    """The nearest specs that can be built, as YAML."""
    variants: dict[str, PlanAnswer] | None = None
    """Name -> its plan, where the spec asks for variants."""


class SourceCounts(Frozen):
    """The law of rows of one source: read = drawn + unused + dropped + rejected."""

    read: int
    drawn: int
    unused: int
    dropped: dict[str, int]
    """Rule -> records."""
    rejected: dict[str, int]
    """Code -> rows."""


class FunnelStep(Frozen):
    """How many records a rule dropped, and how many it left."""

    rule: str
    dropped: int
    left: int
    sources: dict[str, int] = Field(default_factory=dict)
    """Source -> records of it that the rule dropped."""
    rewritten: int = 0
    """Records that it left with another text than before; of a rule that splits, the pieces."""


class Contamination(Frozen):
    """What a benchmark has lost to the sources, as one rule sees it."""

    rule: str
    benchmark: str
    items: int
    """Items of the benchmark."""
    found: int
    """Items that some record holds."""
    records: int
    """Records that hold one."""


class InputFile(Frozen):
    """One file that was read."""

    source: str
    file: str
    bytes: int
    sha256: str
    read: int


class RuleFile(Frozen):
    """One file that a rule read beside the sources."""

    of: str
    """A benchmark's name, or the rule's field that names it: `scores`, `embeddings`, `names` or `tokenizer`."""
    file: str
    """As the spec's folder sees it."""
    bytes: int
    sha256: str


class BuiltFile(Frozen):
    """One file of the output folder."""

    bytes: int
    sha256: str


class Manifest(Frozen):
    """`manifest.json`: everything that explains a mixture, and what proves it whole."""

    doit: str
    """Version of the library; the key that marks a folder as ours."""
    name: str
    digest: str
    """SHA-256 of the content: ids, texts as written, labels, epochs and splits, in the mixture's order."""
    spec: dict[str, Any]
    """The resolved spec, its cards written out."""
    rows: int
    """Training records written, copies included."""
    read: int
    drawn: int
    unused: int
    dropped: dict[str, int]
    rejected: dict[str, int]
    sources: dict[str, SourceCounts]
    licenses: dict[str, str]
    """Source -> licence."""
    plan: PlanAnswer
    splits: dict[str, int] = Field(default_factory=dict)
    """Held-out split -> records."""
    funnel: tuple[FunnelStep, ...]
    contamination: tuple[Contamination, ...] = ()
    """Benchmarks that the rules `contaminated` looked for."""
    inputs: tuple[InputFile, ...]
    rule_files: tuple[RuleFile, ...] = ()
    """What rules read beside them."""
    warnings: tuple[str, ...] = ()
    versions: dict[str, str]
    tokenizer: str | None = None
    """SHA-256 of the tokenizer that counted tokens."""
    files: dict[str, BuiltFile] = Field(default_factory=dict)
    """Path in the folder -> its digest; every file but this one."""

    def document(self) -> dict[str, Any]:
        """What `manifest.json` holds: no empty fields, but the spec as it is, where a null can mean something."""
        return {**self.model_dump(mode="json", exclude_none=True), "spec": self.spec}


def spelled_out(model: BaseModel) -> dict[str, Any]:
    """A model as plain JSON data that reads back as the same model: defaults written out, empty fields left out.

    A null stays where the default is something else: `input: null` of a shape says that there is no such column.
    """
    full: dict[str, Any] = _merged(
        model.model_dump(mode="json", exclude_none=True), model.model_dump(mode="json", exclude_defaults=True)
    )
    return full


def _merged(full: Any, given: Any) -> Any:
    if isinstance(full, dict) and isinstance(given, dict):
        return {**full, **{key: _merged(full.get(key), value) for key, value in given.items()}}
    if isinstance(full, list) and isinstance(given, list) and len(full) == len(given):
        return [_merged(*pair) for pair in zip(full, given, strict=True)]
    return given if full is None else full


class BuildAnswer(Frozen):
    """What `doit build` answers."""

    out: str
    digest: str
    read: int
    drawn: int
    unused: int
    dropped: dict[str, int]
    rejected: dict[str, int]
    sources: dict[str, SourceCounts]
    cells: tuple[Cell, ...]
    size: int
    """Training records written, copies included."""
    splits: dict[str, int] = Field(default_factory=dict)
    """Held-out split -> records."""
    report: str
    """Path of the HTML report."""
    funnel: tuple[FunnelStep, ...] = ()
    """What each rule dropped and left, in their order."""
    contamination: tuple[Contamination, ...] = ()
    warnings: tuple[str, ...] = ()
    series: dict[str, str] | None = None
    """Size -> folder, where the spec asks for a series."""
    variants: dict[str, str] | None = None
    """Name -> folder, where the spec asks for variants."""


class Check(Frozen):
    """One law or digest, checked."""

    name: str
    ok: bool
    detail: str


class VerifyAnswer(Frozen):
    """What `doit verify` answers."""

    ok: bool
    checks: tuple[Check, ...]


class CrossCount(Frozen):
    """Records of one language and ability."""

    language: str
    ability: str | None
    records: int


class InspectAnswer(Frozen):
    """What `doit inspect` answers."""

    records: int
    by: dict[str, dict[str, int]]
    """Column -> value -> records, most first. A null is `untagged`."""
    cross: tuple[CrossCount, ...]
    lengths: dict[str, dict[str, float]]
    """`chars` and `turns` -> min, p25, median, mean, p75, p95, max."""
