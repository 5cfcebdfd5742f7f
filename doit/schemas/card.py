"""The dataset card: what `schemas/<name>.yaml` must obey. It says where a set is, how a row becomes a conversation,
and what is known of it.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from doit.errors import SpecError
from doit.schemas.abilities import Ability, fold_label
from doit.schemas.base import Frozen, Several
from doit.schemas.crosswalk import crosswalk
from doit.schemas.encodings import text_encoding
from doit.schemas.record import Construction
from doit.schemas.shapes import AnyShape
from doit.schemas.shapes.base import find

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96)]
"""A name that is also a safe file name."""

LanguageTag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
"""A BCP 47 tag or range. `mul` = many languages."""

SPELLED_OUT = {"chinese": "zh", "english": "en", "japanese": "ja", "korean": "ko", "french": "fr", "german": "de"}


def check_language_range(value: str) -> None:
    """Refuse what is no BCP 47 range of a language, such as `zh` or `zh-Hant`: its first part has two or three letters.

    Raises:
        SpecError: D203.
    """
    first, *rest = value.split("-")
    good = 2 <= len(first) <= 3 and first.isascii() and first.isalpha()
    if not good or not all(part.isascii() and part.isalnum() and len(part) <= 8 for part in rest):
        near = SPELLED_OUT.get(first.lower())
        hint = f'Did you mean "{near}"?' if near else 'Such as "en", "zh" or "zh-Hant".'
        raise SpecError("D203", f'"{value}" is not a BCP 47 language tag.', hint=hint)


TaskTag = Literal["MT", "TS", "unknown"]
"""Alpaca-CoT's Task tags: multi-task, task-specific."""


class Source(Frozen):
    """Where a set's files are and how their bytes are laid out."""

    hub: str | None = None
    """`owner/name` of the set on the Hugging Face Hub."""
    revision: str | None = None
    """Commit, branch or tag of that repository."""
    files: str | Several | None = None
    """Paths or globs, relative to the spec (or to the repository on the Hub)."""
    encoding: str | None = None
    """Encoding of the text, where it is not UTF-8. Never guessed."""
    columns: Several | None = None
    """Names of the columns of a delimited file that has no header."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Delimiter, where the suffix does not say it."""
    compression: Literal["gzip", "zstd", "zip"] | None = None
    """Compression, where the bytes do not say it."""

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            text_encoding(encoding)
        return encoding


class AbilityRule(Frozen):
    """Where a record's ability comes from: one of `field`, `constant` and `file_stem`."""

    field: str | None = None
    """Column with the set's own label."""
    constant: Ability | None = None
    """Every record has this ability."""
    file_stem: bool = False
    """The label is the file's stem without its last `_` part: `biology` of `biology_full.json` (DoIT's layout)."""
    map: dict[str, Ability] | None = None
    """The set's label -> ability. Without a map the labels are ability keys themselves."""
    crosswalk: str | None = None
    """A system of the crosswalk, such as `belle-10`, whose labels these are; `map` is filled in from it."""
    scheme: str | None = None
    """Prefix of the native labels kept in `tags`; the card's name if not given."""

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("crosswalk"), str) and data.get("map") is None:
            return {**data, "map": crosswalk().system(data["crosswalk"]).mapping()}
        return data

    @model_validator(mode="after")
    def _one_of_three(self) -> AbilityRule:
        given = [self.field is not None, self.constant is not None, self.file_stem]
        if sum(given) != 1:
            raise SpecError("D204", "give exactly one of `field`, `constant` and `file_stem`.")
        folded: dict[str, str] = {}
        for label in self.map or {}:
            twin = folded.setdefault(fold_label(label), label)
            if twin != label and (self.map or {})[twin] != (self.map or {})[label]:
                raise SpecError("D207", f"labels {twin!r} and {label!r} are the same once folded, but map apart.")
        return self


class Preference(Frozen):
    """Which of two or more columns of a row is the chosen side, where other columns say so."""

    votes: str | Several
    """Column, or columns of several judges, with the vote."""
    of: dict[str, str] = Field(min_length=2)
    """Vote, as a text -> the column that it chooses. Any other vote chooses none."""

    def chosen(self, row: Any) -> str | None:
        """The column for which more than half of the votes are; null where there is no such column.

        Args:
            row: parsed JSON.
        """
        columns = [self.votes] if isinstance(self.votes, str) else self.votes
        votes = [find(row, column) for column in columns]
        counts = Counter(self.of[vote] for value in votes if (vote := _label(value)) in self.of)
        column, most = counts.most_common(1)[0] if counts else ("", 0)
        return column if 2 * most > len(columns) else None


def _label(value: Any) -> str:
    """A vote as YAML's keys can name it: `true`, `2`, `model_a`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class DatasetCard(Frozen):
    """One dataset. `doit list datasets` shows those that are shipped."""

    name: Name
    title: str | None = None
    source: Source = Source()
    license: str = "unknown"
    """SPDX identifier where the publisher states a licence, else `unknown`."""
    cite: str | None = None
    """Where to read about the set."""
    languages: tuple[LanguageTag, ...] = ()
    """What the publisher says of its languages. Always quoted: a bare `no` is not a text in YAML 1.1."""
    task: tuple[TaskTag, ...] = ("unknown",)
    construction: Construction = "unknown"
    """How it was made: Alpaca-CoT's HG, SI, MIX and COL are human, self_instruct, mixed and collection."""
    rows: str = Field(default="auto", min_length=1)
    """Where a file keeps its rows: auto, lines, file, values (of an object) or a path such as `data.*.paragraphs`."""
    each: str | None = Field(default=None, min_length=1)
    """A path: every element of the list there becomes a record of its own, with the row's other fields around it. Of a
    row that is a list, those are called by their places: `"0"`, `"1"`. Behind a `*`, as in `paragraphs.*.qas`, lists
    are flattened, and the fields of the elements on the way, such as `context`, stay around as well."""
    where: dict[str, Any] | None = None
    """Keep only the rows with these values, or with any of a list of values; the others are counted as dropped by the
    rule `where`."""
    preference: Preference | None = None
    """Where columns say which side is preferred: the shape finds that side at `chosen`. A row without a preferred side
    is counted as dropped by the rule `where`."""
    shape: AnyShape
    ability: AbilityRule | None = None
    group: str | None = None
    """Column whose value names the group that must stay in one split; with `each`, the row's before the element's."""
    records: int | None = Field(default=None, ge=0)
    """How many the publisher counts; a difference is noticed, not fatal."""
    about: str | None = None
    """A sentence for the reader."""
