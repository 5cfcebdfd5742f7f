"""The crosswalk: which of the ten abilities the labels of other sets speak of. Versioned data, not code."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field, model_validator

from doit import yamlio
from doit.errors import SpecError, did_you_mean
from doit.schemas.abilities import OTHER, Ability, fold_label
from doit.schemas.base import Frozen


class System(Frozen):
    """The labels of one publisher."""

    about: str
    cite: str
    labels: dict[str, tuple[Ability, ...]]
    """Label -> abilities, the first of them the record's; none is `other`."""

    @model_validator(mode="after")
    def _once(self) -> System:
        folded = [fold_label(label) for label in self.labels]
        for label in folded:
            if folded.count(label) > 1:
                raise SpecError("D207", f"the label {label!r} stands twice.")
        return self

    def abilities(self, label: str) -> tuple[str, ...]:
        """All abilities that a label speaks of; `other` alone where it is none of the ten.

        Raises:
            SpecError: D203, the system has no such label.
        """
        for known, found in self.labels.items():
            if fold_label(known) == fold_label(label):
                return tuple(found) or (OTHER,)
        raise SpecError("D203", f"no label {label!r}.", hint=did_you_mean(label, self.labels))

    def mapping(self) -> dict[str, str]:
        """Label -> the ability that a record with it gets: the `map` of a card."""
        return {label: next(iter(found), OTHER) for label, found in self.labels.items()}

    def native(self, ability: str) -> tuple[str, ...]:
        """The labels that speak of an ability, those of which it is the first before the others."""
        among = [(found.index(ability), label) for label, found in self.labels.items() if ability in found]
        return tuple(label for _, label in sorted(among, key=lambda pair: pair[0]))


class Crosswalk(Frozen):
    """All systems."""

    version: int = Field(ge=1)
    systems: dict[str, System]

    def system(self, name: str) -> System:
        """One publisher's labels.

        Raises:
            SpecError: D203, no such system.
        """
        if name in self.systems:
            return self.systems[name]
        hint = f"{did_you_mean(name, self.systems)} See `doit list crosswalks`.".strip()
        raise SpecError("D203", f'no label system "{name}".', hint=hint)


@cache
def crosswalk() -> Crosswalk:
    """The table that this version ships."""
    return Crosswalk.model_validate(yamlio.load(Path(__file__).parent / "data" / "crosswalk.yaml"))
