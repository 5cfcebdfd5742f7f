"""Copies from a Hub: what `publication.json` lists, and the checks of a recipe, which says which rows and no text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from polars.exceptions import PolarsError

from doit import yamlio
from doit.errors import DoitError
from doit.mixtures.manifest import Check, Manifest
from doit.mixtures.opening import Opened
from doit.mixtures.proofs.checking import ID, Broken, changed, checked, nested_check, order_law

RECEIPT = "publication.json"
"""What was published, with the SHA-256 of every file; marks a repository as ours."""

_ABOVE = 2
"""How far above a mixture the receipt may lie: of one size of a variant, two folders."""

_SPLITS = ("train", "validation", "test")
_MEMBER = {"id": pl.String, "source": pl.String, "file": pl.String, "epoch": pl.Int32}


@dataclass(frozen=True)
class Publication:
    """A receipt, and where it lies."""

    folder: Path
    files: Mapping[str, str]
    """Path below the folder -> SHA-256."""
    digests: Mapping[str, str]
    """Path of a manifest -> digest of the content as it was published, where text was masked another than built."""

    def of(self, folder: Path) -> dict[str, str]:
        """What it lists of a folder: its files, by their path from the receipt's folder."""
        place = folder.resolve().relative_to(self.folder).as_posix()
        return {name: sha256 for name, sha256 in self.files.items() if place == "." or name.startswith(f"{place}/")}

    def digest(self, folder: Path) -> str | None:
        """The published digest of the mixture in a folder."""
        return self.digests.get((folder.resolve() / "manifest.json").relative_to(self.folder).as_posix())


def publication(folder: Path) -> Publication | None:
    """The receipt that a folder of a copy was published with; None where there is none that can be read."""
    home = folder.resolve()
    for place in (home, *home.parents[:_ABOVE]):
        found = _receipt(place)
        if found is not None and (home / "manifest.json").relative_to(place).as_posix() in found.files:
            return found
    return None


def _receipt(folder: Path) -> Publication | None:
    try:
        document: Any = orjson.loads((folder / RECEIPT).read_bytes())
        files = {str(path): str(one["sha256"]) for path, one in document["files"].items()}
        mixtures = document.get("mixtures", {}).values()
        digests = {str(one["manifest"]): str(one["published_digest"]) for one in mixtures}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Publication(folder, files, digests)


def is_recipe(opened: Sequence[Opened]) -> bool:
    """Whether what was opened holds no rows: the manifest of a recipe names no files."""
    return not any(one.manifest.files for one in opened)


def recipe_checks(folder: Path, opened: Sequence[Opened]) -> list[Check]:
    """What can be proved without the sources: every digest, the spec, the places of the rows, and their order.

    Args:
        folder: what is verified.
        opened: its mixtures.
    """
    told = (
        "a recipe: which rows of which files are drawn, and none of their text. "
        "`doit rebuild RECIPE OUT --sources DIR` builds the mixture from the sources and compares its content digest."
    )
    checks = [Check(name="recipe", ok=True, detail=told), _files(folder)]
    if not checks[-1].ok:
        return checks
    ids: dict[str | None, set[str]] = {}
    for one in opened:
        found, rows = _one(one)
        checks += found
        ids[one.label] = set(rows["id"])
    for variant in dict.fromkeys(one.variant for one in opened):
        sizes = [one.label for one in opened if one.variant == variant and one.size is not None]
        if sizes:
            checks.append(nested_check(sizes, [ids[size] for size in sizes]))
    return checks


def _one(one: Opened) -> tuple[list[Check], pl.DataFrame]:
    """The checks of one mixture of a recipe, and its rows."""
    place = f"{one.label}: " if one.label else ""
    checks = [checked(f"{place}spec", lambda: _spec(one))]
    try:
        rows = _members(one.folder)
    except (PolarsError, OSError) as error:
        detail = f"D102 they cannot be read: {str(error).splitlines()[0]}."
        return [*checks, Check(name=f"{place}members", ok=False, detail=detail)], pl.DataFrame(schema=_MEMBER)
    checks.append(checked(f"{place}members", lambda: _places(rows, one.manifest)))
    if checks[-1].ok:
        checks.append(checked(f"{place}order", lambda: order_law(rows, one.manifest)))
    return checks, rows


def _files(folder: Path) -> Check:
    """Every file that the receipt lists is there, unchanged."""
    found = publication(folder)
    if found is None:
        detail = f"D102 {RECEIPT}, which lists the digests of a recipe, is missing or cannot be read."
        return Check(name="files", ok=False, detail=detail)
    listed = found.of(folder)
    for name, sha256 in listed.items():
        path = found.folder / name
        inside = path.resolve().is_relative_to(found.folder)
        if wrong := changed(path, name, sha256) if inside else f"D209 {name} leads out of the folder.":
            return Check(name="files", ok=False, detail=wrong)
    extra = {path.relative_to(found.folder).as_posix() for path in folder.resolve().rglob("*.parquet")} - listed.keys()
    if extra:
        return Check(name="files", ok=False, detail=f"D102 {min(extra)} is not in {RECEIPT}.")
    return Check(name="files", ok=True, detail=f"{len(listed)} files match the digests in {RECEIPT}.")


def _spec(one: Opened) -> str:
    try:
        written = yamlio.load(one.folder / "spec.yaml")
    except DoitError as error:
        raise Broken(f"spec.yaml cannot be read: {error}") from None
    if written != one.manifest.spec:
        raise Broken("spec.yaml is not the spec of the manifest.")
    return f"spec.yaml is the manifest's spec of {len(one.manifest.sources):,} sources."


def _members(folder: Path) -> pl.DataFrame:
    """Which rows the mixture holds, of all splits, in its order."""
    frames = [
        pl.read_parquet(path, columns=list(_MEMBER)).with_columns(split=pl.lit(split))
        for split in _SPLITS
        for path in sorted((folder / "members").glob(f"{split}-*.parquet"))
    ]
    return pl.concat(frames) if frames else pl.DataFrame(schema={**_MEMBER, "split": pl.String})


def _places(rows: pl.DataFrame, manifest: Manifest) -> str:
    """As many rows as the manifest says, all of files that it names, copies numbered, ids in the form of ids."""
    counted = dict(rows.group_by("split").len().rows())
    wanted = {"train": manifest.rows, **manifest.splits}
    if counted != {split: number for split, number in wanted.items() if number}:
        raise Broken(f"{counted} members of the splits, but the manifest says {wanted}.")
    known = {(read.source, read.file) for read in manifest.inputs}
    if foreign := set(rows.select("source", "file").unique().rows()) - known:
        source, file = min(foreign)
        raise Broken(f"{source}: `{file}` is no input of the manifest.")
    if not rows["id"].str.contains(ID).all():
        raise Broken("an id is not 32 hexadecimal digits.")
    copies = rows.group_by("split", "id").agg(pl.len(), pl.col("epoch").max())
    if copies.filter(pl.col("len") != pl.col("epoch")).height:
        raise Broken("the copies of a record are not numbered 1, 2, …")
    return f"{rows.height:,} rows of {len(known):,} files, as many as the manifest says, in every split."
