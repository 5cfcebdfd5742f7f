"""What a check is, and the laws that hold of a mixture and of its recipe alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.exceptions import PanicException, PolarsError

from doit import storage
from doit.mixtures.building.draw import ordered
from doit.mixtures.manifest import Check, Manifest
from doit.mixtures.spec import MixtureSpec

ID = "^[0-9a-f]{32}$"


class Broken(Exception):
    """A law that does not hold, with what was found."""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Call a Parquet file that cannot be read, or of which not all can, a broken law."""
    try:
        yield
    except (PolarsError, PanicException, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # of some damaged pages Polars panics instead of raising
        first = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise Broken(f"{name} cannot be read: {first}.") from None


def checked(name: str, law: Callable[[], str]) -> Check:
    """A law, tried: its text where it holds, what was found where it does not."""
    try:
        return Check(name=name, ok=True, detail=law())
    except Broken as broken:
        return Check(name=name, ok=False, detail=f"D501 {broken}")


def columns_law(path: Path, name: str, schema: pa.Schema) -> None:
    """Refuse a Parquet file whose columns are not those of a schema: names in order, types, and which may be null.

    Texts may lie in a dictionary. A column that may not hold nulls cannot, for Parquet has no place for them there.

    Args:
        path: the file.
        name: what it is called.
        schema: one of `doit.table`.

    Raises:
        Broken: with the first difference.
    """
    with reading(name):
        found = pq.read_schema(path)
    if missing := [column for column in schema.names if column not in found.names]:
        raise Broken(f"{name} has no column `{missing[0]}`.")
    if more := [column for column in found.names if column not in schema.names]:
        raise Broken(f"{name} has a column `{more[0]}`, which is none of its own.")
    if found.names != schema.names:
        raise Broken(f"{name} does not have its columns once and in their order.")
    for wanted, field in zip(schema, found, strict=True):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if kind != wanted.type:
            raise Broken(f"{name}: the column `{wanted.name}` is {kind}, not {wanted.type}.")
        if field.nullable and not wanted.nullable:
            raise Broken(f"{name}: the column `{wanted.name}` may hold nulls.")


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
    if not train["id"].str.contains(ID).all():
        raise Broken("an id is not 32 hexadecimal digits.")
    copies = train.group_by("id").agg(pl.col("epoch").max().cast(pl.Int64))
    if (copies["epoch"] < 1).any() or copies["epoch"].sum() != train.height:
        raise Broken("the copies of a record are not numbered 1, 2, …")
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
