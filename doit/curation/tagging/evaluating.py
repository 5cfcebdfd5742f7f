"""How good tags are: precision, recall and F1 of each ability, the confusion matrix, abstentions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from doit.schemas.base import Frozen

NONE = "none"
"""The column of the confusion matrix for records left without a tag."""


class ClassScore(Frozen):
    """One ability."""

    records: int
    """Records that have it, by their label."""
    tagged: int
    """Records that the tagger gives it to."""
    precision: float
    recall: float
    """Of the records with this label that got any tag."""
    f1: float
    f1_of_all: float
    """With every record left without a tag counted as missed."""


class TagEval(Frozen):
    """How tags agree with labels. Shares are of weights where weights were given, counts are of records."""

    records: int
    abstained: float
    """The share left without a tag."""
    accuracy: float
    """Of those that got one."""
    macro_f1: float
    """The mean over the abilities that labels have."""
    macro_f1_of_all: float
    abilities: dict[str, ClassScore]
    confusion: dict[str, dict[str, int]]
    """Label -> tag -> records; the tag `none` stands for no tag."""


def evaluate(labels: pl.Series, tags: pl.Series, weights: Sequence[float] | None = None) -> TagEval:
    """Compare tags with labels.

    Args:
        labels: the ability that each record has, no nulls, at least one row.
        tags: what the tagger says, null where it does not know.
        weights: what each record weighs; none: all the same.
    """
    frame = pl.DataFrame({"label": labels.cast(pl.String), "tag": tags.cast(pl.String).fill_null(NONE)})
    frame = frame.with_columns(weight=pl.Series(np.ones(len(frame)) if weights is None else np.asarray(weights, float)))
    cells = frame.group_by("label", "tag").agg(pl.len().alias("records"), pl.col("weight").sum()).sort("label", "tag")
    heavy = {(label, tag): weight for label, tag, _, weight in cells.iter_rows()}
    names = sorted(set(frame["label"]))
    everything, known = sum(heavy.values()), sorted({*names, *frame["tag"]} - {NONE})
    scores = {name: _score(name, heavy, cells) for name in known}
    answered = sum(weight for (_, tag), weight in heavy.items() if tag != NONE)
    right = sum(heavy.get((name, name), 0.0) for name in names)
    confusion: dict[str, dict[str, int]] = {}
    for label, tag, records, _ in cells.iter_rows():
        confusion.setdefault(label, {})[tag] = records
    return TagEval(
        records=len(frame),
        abstained=round(1 - answered / everything, 4),
        accuracy=round(right / answered, 4) if answered else 0.0,
        macro_f1=round(float(np.mean([scores[name].f1 for name in names])), 4),
        macro_f1_of_all=round(float(np.mean([scores[name].f1_of_all for name in names])), 4),
        abilities=scores,
        confusion=confusion,
    )


def _score(name: str, heavy: dict[tuple[str, str], float], cells: pl.DataFrame) -> ClassScore:
    right = heavy.get((name, name), 0.0)
    given = sum(weight for (_, tag), weight in heavy.items() if tag == name)
    had = sum(weight for (label, _), weight in heavy.items() if label == name)
    missed = heavy.get((name, NONE), 0.0)
    return ClassScore(
        records=int(cells.filter(pl.col("label") == name)["records"].sum()),
        tagged=int(cells.filter(pl.col("tag") == name)["records"].sum()),
        precision=_share(right, given),
        recall=_share(right, had - missed),
        f1=_share(2 * right, given + had - missed),
        f1_of_all=_share(2 * right, given + had),
    )


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole > 0 else 0.0
