"""The labels that a row brings: its ability by the card's rule, and the set's own labels, kept as tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from doit.reading.plain import integers
from doit.reading.rows import Row
from doit.schemas.abilities import ABILITIES, OTHER, clean_label, fold_label
from doit.schemas.card import AbilityRule, DatasetCard
from doit.schemas.shapes.base import MISSING, find


class Labels:
    """A record's ability and native labels, by the card's rule.

    Args:
        card: the set's card.
        stem: of the file's name, which may be the label.
    """

    def __init__(self, card: DatasetCard, stem: str) -> None:
        self.rule: AbilityRule | None = card.ability
        self.scheme = (self.rule.scheme if self.rule else None) or card.name
        self.stem = stem.rsplit("_", 1)[0]
        plain = {fold_label(key): key for key in (*ABILITIES, OTHER)}
        given = None if self.rule is None else self.rule.map
        self.map = plain if given is None else {fold_label(label): key for label, key in given.items()}
        self.seen: dict[str, tuple[str | None, str]] = {}

    @property
    def may_refuse(self) -> bool:
        """Whether looking for a label can find a row to be wrong, so that it must be taken by itself."""
        return self.rule is not None and self.rule.field is not None and "json:" in self.rule.field

    def columns(self, count: int, rows: Iterable[Row], unknown: Counter[str]) -> tuple[pa.Array, pa.Array]:
        """`of` for many rows, as Arrow columns; looks at the rows only where the rule does."""
        if self.rule is None or self.rule.constant is not None:
            constant = None if self.rule is None else self.rule.constant
            nothing = pa.ListArray.from_arrays(integers(np.zeros(count + 1, np.int32)), text_array([]))
            return pl.repeat(constant, count, dtype=pl.String, eager=True).to_arrow().cast(pa.string()), nothing
        found = [self.of(row.value, unknown) for row in rows]
        return text_array([ability for ability, _ in found]), list_array([tags for _, tags in found])

    def of(self, row: Any, unknown: Counter[str]) -> tuple[str | None, list[str]]:
        """(ability, tags) of a row; counts a label that the map lacks.

        Raises:
            BadRow: the rule's field lies in JSON in a text, which is broken.
        """
        if self.rule is None:
            return None, []
        if self.rule.constant is not None:
            return self.rule.constant, []
        value = self.stem if self.rule.field is None else find(row, self.rule.field)
        if value is MISSING or value is None or value == "":
            return None, []
        labels = value if isinstance(value, list) else [value]
        found = [self._one(str(label)) for label in labels]
        for ability, label in found:
            if ability is None:
                unknown[label] += 1
        first = next((ability for ability, _ in found if ability is not None), None)
        if self.rule.field is None or self.rule.map is None:
            found = [pair for pair in found if pair[0] is None]
        return first, [f"{self.scheme}:{label}" for _, label in found]

    def _one(self, label: str) -> tuple[str | None, str]:
        known = self.seen.get(label)
        if known is None:
            known = self.seen[label] = (self.map.get(fold_label(label)), clean_label(label))
        return known


def text_array(values: Sequence[str | None]) -> pa.Array:
    """Texts as an Arrow array."""
    return pl.Series(values, dtype=pl.String).to_arrow().cast(pa.string())


def list_array(values: Sequence[Sequence[str | None] | None]) -> pa.Array:
    """Lists of texts as an Arrow array."""
    return pl.Series(values, dtype=pl.List(pl.String)).to_arrow().cast(pa.list_(pa.string()))
