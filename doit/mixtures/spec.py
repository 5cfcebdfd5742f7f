"""The mixture spec: what `mixtures/<name>.yaml` must obey. One page that says which records make a mixture."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from doit.curation.language.detecting import LangId
from doit.curation.language.ranges import canonical_range
from doit.curation.rules import AnyRule
from doit.curation.rules.lengths import Tokens
from doit.errors import SpecError, did_you_mean
from doit.mixtures.planning.plan import Axis, Target
from doit.schemas.abilities import ABILITIES, OTHER
from doit.schemas.base import Frozen, Several
from doit.schemas.card import DatasetCard, LanguageTag, Name, check_language_range

AXES = ("language", "ability", "construction", "source")
"""The columns that may carry targets, in the order in which cells are compared."""

CONSTRUCTIONS = ("human", "self_instruct", "mixed", "collection", "unknown")


def _decimal(value: Any) -> Fraction:
    """A number exactly as it is written: 0.7 is seven tenths."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise SpecError("D204", f"{value!r} is not a number.")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise SpecError("D204", f"{value!r} is not a number.") from None
    if not number.is_finite():
        raise SpecError("D204", f"{value} is not a finite number.", hint="Give a number of 0 or more.")
    if number < 0:
        raise SpecError("D204", f"{value} is negative.", hint="Give a number of 0 or more.")
    return Fraction(number)


Exact = Annotated[Fraction, BeforeValidator(_decimal), PlainSerializer(float, return_type=float)]
"""A decimal of 0 or more, read exactly."""


class Amount(Frozen):
    """A target that is not a share: an exact count, or everything there is."""

    records: int | None = Field(default=None, ge=0)
    """So many records."""
    tokens: int | None = Field(default=None, ge=0)
    """So many tokens, where the unit is tokens."""
    all: bool = False
    """Everything available in this value, once."""

    @model_validator(mode="after")
    def _one(self) -> Amount:
        if [self.records is not None, self.tokens is not None, self.all].count(True) != 1:
            raise SpecError("D204", "give exactly one of `records: n` (or `tokens: n`) and `all: true`.")
        return self


def _share_or_amount(value: Any) -> Any:
    return value if isinstance(value, dict | Amount) else _decimal(value)


AnyTarget = Annotated[
    Amount | Exact,
    BeforeValidator(_share_or_amount, json_schema_input_type=float | Amount),
]
Targets = dict[str, AnyTarget]
"""Value of a column -> its share (any numbers, normalised) or its amount. `"*"` is everything not named."""


class MixSource(Frozen):
    """One dataset of a mixture."""

    dataset: str | DatasetCard
    """Name of a shipped card, path of a card file, or a card written in place."""
    files: str | Several | None = None
    """Paths or globs relative to the spec; they replace the card's own."""
    keep: Exact = Fraction(1)
    """The part of this source that may be used, 0 to 1."""
    max_epochs: int = Field(default=1, ge=1)
    """How often one record may appear under `shortage: repeat`."""

    @model_validator(mode="after")
    def _part(self) -> MixSource:
        if self.keep > 1:
            raise SpecError("D204", f"keep is {float(self.keep)}, more than 1.", hint="For copies use `max_epochs`.")
        return self


class Split(Frozen):
    """Records held out of training."""

    records: int = Field(ge=1)
    """How many, for each value of `per`."""
    per: Literal["language", "ability", "construction", "source"] | None = None
    """A column: every value that has a target, or every value there is, gets its own records. None = in all."""


class MixtureSpec(Frozen):
    """A whole mixture, on one page."""

    name: Name
    about: str | None = None
    """A sentence for the reader."""
    extends: str | None = None
    """Another spec: this file's keys win; a target axis is replaced whole."""
    seed: int = 0
    size: Annotated[int, Field(ge=1)] | Literal["all"] | None = None
    """Training records; `all` = the most that the targets let through. May be left out where an axis counts them."""
    unit: Literal["records", "tokens"] = "records"
    """What `size`, shares and amounts count. Tokens are met as nearly as whole records in key order allow."""
    tokenizer: str | None = None
    """A `tokenizer.json` or a folder with one, relative to the spec; fills the column `tokens`."""
    count: Literal["all", "supervised"] = "all"
    """Which tokens count where the unit is tokens: of all contents, or of the assistant's."""
    tagger: str | None = None
    """`default`, or the file of a fitted tagger, relative to the spec: gives records an ability that have none."""
    langid: LangId = "fast"
    """How the language is told: by script, then function words of the common Latin-script languages; under `langdetect`
    that library has a second look at the undecided."""
    sources: tuple[MixSource, ...] = Field(min_length=1)
    curation: tuple[AnyRule, ...] = ()
    """Rules in the order in which they are applied; identical conversations are one record before any of them."""
    mix: dict[Literal["language", "ability", "construction", "source"], Targets] = Field(default_factory=dict)
    """Targets by column."""
    shortage: Literal["error", "redistribute", "shrink", "repeat"] = "error"
    """What to do where data runs short."""
    splits: dict[Literal["validation", "test"], Split] = Field(default_factory=dict)
    """Held-out records, on top of `size`, the same in every size of a series; groups and near duplicates stay whole."""
    variants: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    """Name -> changes to this spec by dotted path, `{leave_out: {source: x}}` or `{sweep: {path: [values]}}`; each is a
    mixture of its own in `OUT/<name>`."""
    series: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Nested sizes, each a mixture of its own in `OUT/<size>`."""

    @field_validator("mix", mode="before")
    @classmethod
    def _one_spelling(cls, mix: Any) -> Any:
        if isinstance(mix, dict) and isinstance(mix.get("language"), dict):
            return {**mix, "language": _by_range(mix["language"])}
        return mix

    @model_validator(mode="after")
    def _consistent(self) -> MixtureSpec:
        for axis, targets in self.mix.items():
            _check_axis(axis, targets, self.unit)
        if self.unit == "tokens" and self.tokenizer is None:
            raise SpecError("D204", "`unit: tokens` needs a tokenizer.", hint="Write `tokenizer: path/of/a/model`.")
        if self.tokenizer is None and any(
            isinstance(rule, Tokens) and rule.tokenizer is None for rule in self.curation
        ):
            raise SpecError("D204", "the rule `tokens` needs a tokenizer.", hint="Write `tokenizer:` in it.")
        if self.series and self.size not in (None, max(self.series)):
            raise SpecError("D207", f"size is {self.size}, but the largest of `series` is {max(self.series)}.")
        if len(set(self.series)) != len(self.series):
            raise SpecError("D207", "`series` names a size twice.")
        if self.size is None and not self.series and not self._counted():
            raise SpecError("D207", "`size` is missing.", hint="Write `size: 10000`, or `size: all`.")
        return self

    def _counted(self) -> bool:
        """Whether some axis has only fixed amounts, which then give the size."""
        return any(
            all(isinstance(target, Amount) for target in targets.values()) for targets in self.mix.values() if targets
        )

    def axes(self) -> tuple[Axis, ...]:
        """The targets as the planner takes them, in the order of `AXES`."""
        return tuple(
            Axis(name, {value: _target(target) for value, target in self.mix[name].items()})
            for name in AXES
            if name in self.mix
        )


def _by_range(targets: dict[Any, Any]) -> dict[Any, Any]:
    """Targets of languages with every range in its one spelling.

    Raises:
        SpecError: D207: two keys are one range.
    """
    spelled: dict[Any, Any] = {}
    for written in targets:
        value = canonical_range(written) if isinstance(written, str) else written
        if value in spelled:
            what = f'"{spelled[value]}" and "{written}" are one range, {value}.'
            raise SpecError("D207", what, where="mix.language", hint="Keep one of them.")
        spelled[value] = written
    return {value: targets[written] for value, written in spelled.items()}


def language_path(document: Any, path: str) -> str:
    """The dotted path of a language's target, with the range spelled as the document spells it; others as they are."""
    axis, dot, written = path.partition("mix.language.")
    targets = (document.get("mix") or {}).get("language") if isinstance(document, dict) else None
    if axis or not dot or not isinstance(targets, dict):
        return path
    first, dot, more = written.partition(".")
    return f"mix.language.{language_key(targets, first)}{dot}{more}"


def language_key(targets: Any, written: str) -> str:
    """The key among targets of languages that is the same range; the range's one spelling where there is none."""
    wanted = canonical_range(written.strip())
    return next((key for key in targets if isinstance(key, str) and canonical_range(key) == wanted), wanted)


def _target(target: Amount | Fraction) -> Target:
    if isinstance(target, Fraction):
        return Target(share=target)
    return (
        Target(all=True) if target.all else Target(records=target.records if target.tokens is None else target.tokens)
    )


def _check_axis(axis: str, targets: Targets, unit: str) -> None:
    place = f"mix.{axis}"
    if not targets:
        raise SpecError("D204", "no targets.", where=place, hint="Name values with shares, or leave the axis out.")
    for value, target in targets.items():
        _check_value(axis, value, f"{place}.{value}")
        other = "tokens" if unit == "records" else "records"
        if isinstance(target, Amount) and getattr(target, other) is not None:
            hint = f"Write `{{{unit}: n}}`, or change `unit`."
            raise SpecError("D204", f"`{other}` does not go with `unit: {unit}`.", where=f"{place}.{value}", hint=hint)
    shares = [target for target in targets.values() if isinstance(target, Fraction)]
    if len(shares) == len(targets) and not any(shares):
        raise SpecError("D204", "all shares are 0.", where=place, hint="At least one value needs a positive share.")


def _check_value(axis: str, value: str, place: str) -> None:
    if value == "*":
        return
    known = {"ability": (*ABILITIES, OTHER), "construction": CONSTRUCTIONS}.get(axis)
    if known is not None and value not in known:
        hint = did_you_mean(value, known)
        listed = " See `doit list abilities`." if axis == "ability" else ""
        raise SpecError("D203", f'no {axis} "{value}".', where=place, hint=f"{hint}{listed}".strip())
    if axis == "language":
        try:
            check_language_range(value)
        except SpecError as error:
            raise error.within(place) from None


__all__ = ["AXES", "Amount", "LanguageTag", "MixSource", "MixtureSpec"]
