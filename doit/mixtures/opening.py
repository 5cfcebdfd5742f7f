"""Opening what a build left behind: one mixture, or every size of a series, or every variant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from polars.exceptions import PolarsError
from pydantic import ValidationError

from doit import storage, yamlio
from doit.errors import SpecError, StorageError
from doit.mixtures.manifest import Manifest
from doit.mixtures.spec import MixtureSpec

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAMED = 5
"""How many mixtures an error names."""


@dataclass(frozen=True)
class Opened:
    """One mixture on the disk."""

    folder: Path
    manifest: Manifest
    variant: str | None = None
    """Its name, where the spec had variants."""
    size: str | None = None
    """Its size, where the spec had a series."""

    @property
    def label(self) -> str | None:
        """Where it is below the folder that was opened, such as `zh/640`; None = it is that folder."""
        return "/".join(part for part in (self.variant, self.size) if part is not None) or None

    def spec(self) -> MixtureSpec:
        """The resolved spec.

        Raises:
            SpecError: it does not obey the model, as one of another version may not.
        """
        try:
            return MixtureSpec.model_validate(self.manifest.spec)
        except ValidationError as error:
            where = f"{self.folder / 'manifest.json'}: spec"
            raise yamlio.explain(error, model=MixtureSpec, where=where) from None


def open_mixtures(out: Path) -> list[Opened]:
    """The mixture of a folder, or every one of a series or of variants: sizes from the largest down.

    Args:
        out: a folder that a build made, or the manifest file in it.

    Raises:
        SpecError: D206 there is no manifest.
        StorageError: D102 a manifest cannot be read.
    """
    if not out.is_file():
        storage.recover(out)
    elif out.suffix.lower() != ".json":
        raise _no_folder(out)
    path = out if out.is_file() else out / "manifest.json"
    document = _document(path)
    if "variants" not in document:
        return _sizes(path, document, None)
    opened = []
    for name in _folders(document["variants"], path):
        inner = path.parent / name / "manifest.json"
        opened += _sizes(inner, _document(inner), name)
    return opened


def one_mixture(out: Path) -> Opened:
    """The mixture of a folder.

    Raises:
        SpecError: D206 there is none, or several.
        StorageError: D102 its manifest cannot be read.
    """
    found = open_mixtures(out)
    if found[0].label is None:
        return found[0]
    named = ", ".join(str(one.label) for one in found[:_NAMED]) + (" …" if len(found) > _NAMED else "")
    hint = f"Name one of them, such as {found[0].folder}."
    raise SpecError("D206", f"several mixtures: {named}.", where=str(out), hint=hint)


def _sizes(path: Path, document: dict[str, Any], variant: str | None) -> list[Opened]:
    if "series" not in document:
        return [Opened(path.parent, _checked(document, path), variant)]
    sizes = _folders(document["series"], path)
    if not all(size.isdigit() for size in sizes):
        raise StorageError("D102", "a size is not a number.", where=str(path))
    opened = []
    for size in sorted(sizes, key=int, reverse=True):
        inner = path.parent / size / "manifest.json"
        opened.append(Opened(inner.parent, _checked(_document(inner), inner), variant, size))
    return opened


def _no_folder(file: Path) -> SpecError:
    """The error for a file that is not even a manifest, such as the spec that a mixture is built from."""
    hint = "Name the folder that `doit build` made."
    if file.suffix.lower() in (".yaml", ".yml"):
        hint = f"If it is a mixture's spec: `doit build {file} OUT`, then name OUT."
    return SpecError("D206", "this is a file, not a mixture's folder.", where=str(file), hint=hint)


def _folders(named: Any, path: Path) -> list[str]:
    """Names of folders beside a manifest, none of which leads elsewhere."""
    if not isinstance(named, dict) or not named or not all(_FOLDER.fullmatch(name) for name in named):
        raise StorageError("D102", "the manifest does not name its mixtures.", where=str(path), hint="Build it again.")
    return list(named)


def _document(path: Path) -> dict[str, Any]:
    if not path.is_file():
        place = path if path.name != "manifest.json" else path.parent
        raise SpecError("D206", f"no mixture here: {path.name} is missing.", where=str(place), hint="See `doit build`.")
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise StorageError("D102", f"the manifest cannot be read: {error}.", where=str(path)) from None
    if not isinstance(document, dict) or "doit" not in document:
        raise StorageError("D102", "this is not the manifest of a mixture.", where=str(path))
    return document


def _checked(document: dict[str, Any], path: Path) -> Manifest:
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = f"the manifest cannot be read: {key}: {first['msg']}."
        raise StorageError("D102", what, where=str(path), hint="Another version of doit may have written it.") from None


def scan_table(folder: Path, name: str) -> pl.LazyFrame:
    """A Parquet file of a mixture, `ledger.parquet` or `rejects.parquet`.

    Raises:
        SpecError: D206 it is not there, as in a mixture that was published.
    """
    path = folder / name
    if not path.is_file():
        hint = "A published mixture has none: ask where it was built, or rebuild it from its manifest."
        raise SpecError("D206", f"{name} is missing.", where=str(folder), hint=hint)
    return pl.scan_parquet(path, glob=False)


def collected(frame: pl.LazyFrame, where: Path) -> pl.DataFrame:
    """The rows of a file of a mixture.

    Raises:
        StorageError: D102 the file is damaged.
    """
    try:
        return frame.collect(engine="streaming")
    except (PolarsError, OSError) as error:
        what = f"a file of the mixture cannot be read: {str(error).splitlines()[0]}."
        raise StorageError("D102", what, where=str(where), hint="See `doit verify`.") from None
