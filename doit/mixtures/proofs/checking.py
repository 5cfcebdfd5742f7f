"""What a check is, and the laws that hold of a mixture and of its recipe alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from doit import storage
from doit.mixtures.building.draw import ordered
from doit.mixtures.manifest import Check, Manifest
from doit.mixtures.spec import MixtureSpec


class Broken(Exception):
    """A law that does not hold, with what was found."""


def checked(name: str, law: Callable[[], str]) -> Check:
    """A law, tried: its text where it holds, what was found where it does not."""
    try:
        return Check(name=name, ok=True, detail=law())
    except Broken as broken:
        return Check(name=name, ok=False, detail=f"D501 {broken}")


def changed(path: Path, name: str, sha256: str) -> str | None:
    """What is wrong with a file that should have a digest; None where it has it."""
    if not path.is_file():
        return f"D102 {name} is missing."
    found = storage.file_digest(path)
    return None if found == sha256 else f"D102 {name}: SHA-256 is {found}, not {sha256}."


def order_law(rows: pl.DataFrame, manifest: Manifest) -> str:
    """The training rows stand in the order of their keys; `rows` has the columns `id`, `epoch` and `split`."""
    seed = MixtureSpec.model_validate(manifest.spec).seed
    train = rows.filter(pl.col("split") == "train")
    copies = train.group_by("id").agg(pl.col("epoch").max())
    expected = ordered(copies, seed)
    if not np.array_equal(train["id"].to_numpy(), expected["id"].to_numpy()):
        raise Broken("the rows are not in the order of their keys.")
    return "the rows stand in the order of their keys."


def nested_check(labels: Sequence[str | None], ids: Sequence[set[str]]) -> Check:
    """Every size of a series holds the next smaller one.

    Args:
        labels: of the sizes, the largest first.
        ids: of their rows.
    """
    for label, (large, small) in zip(labels[1:], pairwise(ids), strict=True):
        if not small <= large:
            return Check(name="series", ok=False, detail=f"D501 size {label} is not inside the next larger one.")
    return Check(name="series", ok=True, detail=f"{len(labels)} sizes, each inside the next.")
