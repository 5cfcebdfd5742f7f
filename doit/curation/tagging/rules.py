"""Transparent rules: what a request plainly asks for. The patterns are data, `texts/data/ability_rules.txt`."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.texts.phrases import phrases

READ = 2000
"""Characters of a request in which rules look."""


@cache
def rule_names() -> tuple[str, ...]:
    """`<ability>__<name>` of every rule, in the order of the file."""
    return tuple(phrases("ability_rules"))


def ability_of(rule: str) -> str:
    """The ability that a rule gives."""
    return rule.partition("__")[0]


def hits(prompts: pl.Series) -> NDArray[np.bool_]:
    """Which rules match which requests: n rows, one column for each of `rule_names`.

    Args:
        prompts: a column without nulls.
    """
    read = prompts.str.head(READ)
    patterns = phrases("ability_rules").values()
    return np.column_stack([read.str.contains(pattern).to_numpy() for pattern in patterns])


def decided(found: NDArray[np.bool_], trusted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rule that decides each request: the first that matches, where all that match agree; -1 where none does.

    Args:
        found: as from `hits`.
        trusted: the rules that count, one flag each.
    """
    found = found & trusted
    names = rule_names()
    groups = np.array([[ability_of(one) == ability_of(other) for other in names] for one in names])
    first = found.argmax(axis=1)
    agreed = (found & ~groups[first]).sum(axis=1) == 0
    return np.where(found.any(axis=1) & agreed, first, -1)
