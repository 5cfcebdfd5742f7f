"""From one format to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from doit.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from doit.mixtures.exporting.export import ExportAnswer
    from doit.reading.converting import ConvertAnswer
    from doit.schemas.card import DatasetCard


def convert(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    to: str,
    dataset: str | None = None,
    shape: str | None = None,
    lossy: bool = False,
    overwrite: bool = False,
    strict: bool = False,
) -> ConvertAnswer | ExportAnswer:
    """Write files of one format as one file of another; or a mixture as the files of a trainer.

    Args:
        inputs: one file, or several that are written one after the other; or the folder of one mixture.
        out: the file to make; its suffix decides the container: .jsonl, .json, .csv, .tsv or .parquet. Of a mixture,
            the folder to make.
        to: messages, alpaca, sharegpt, belle, doit, cot, pairs, marked_text or qa; or the name or path of a dataset
            card, whose shape is written. Of a mixture: llamafactory, axolotl, ms-swift, trl, openai, alpaca, belle or
            doit.
        dataset: name or path of the card to read the inputs by.
        shape: kind of the inputs' shape, where there is no card. Neither: what their content shows.
        lossy: drop what the target cannot hold, and count it, instead of refusing.
        overwrite: replace `out`.
        strict: any bad row is an error.

    Returns:
        Counts of what was read, written, rejected and lost.

    Raises:
        SpecError: the call is wrong, or the target would lose something.
        DataError: nothing could be written, or, with `strict`, a row is bad.
        StorageError: `out` is there already, or the disk refused.
    """
    from doit.mixtures.loading import load_card
    from doit.reading.converting import TARGETS, convert_files, described_input

    if dataset is not None and shape is not None:
        raise SpecError("D204", "both `dataset` and `shape` are given.", hint="A card has a shape: leave `shape` out.")
    paths = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(path) for path in inputs]
    if any(path.is_dir() for path in paths):
        return _export(paths, Path(out), to, dataset or shape, lossy=lossy, overwrite=overwrite)
    target = TARGETS.get(to) or _target_card(to).shape
    card = None if dataset is None else load_card(dataset, beside=Path())[0]
    described = [described_input(path, card, shape) for path in paths]
    return convert_files(described, Path(out), target, to, lossy=lossy, overwrite=overwrite, strict=strict)


def _export(
    paths: Sequence[Path], out: Path, to: str, read_as: str | None, *, lossy: bool, overwrite: bool
) -> ExportAnswer:
    """`convert` of a mixture."""
    from doit.mixtures.exporting.export import export_mixture

    for path in paths:
        if path.is_dir() and not (path / "manifest.json").exists():
            hint = "Name the files in the folder, or the folder of one mixture."
            raise SpecError("D206", "no mixture here: manifest.json is missing.", where=str(path), hint=hint)
    if len(paths) > 1:
        folder = next(path for path in paths if path.is_dir())
        raise SpecError("D204", "a mixture is converted alone.", where=str(folder), hint="Name one folder.")
    if read_as is not None:
        hint = "Leave `dataset` and `shape` out."
        raise SpecError("D204", "the records of a mixture have a shape already.", where=str(paths[0]), hint=hint)
    return export_mixture(paths[0], out, to, lossy=lossy, overwrite=overwrite)


def _target_card(name: str) -> DatasetCard:
    """The card that `convert` is to write like."""
    from doit import catalogue
    from doit.mixtures.exporting.trainer_formats import FORMATS
    from doit.mixtures.loading import load_card
    from doit.reading.converting import TARGETS

    if name in FORMATS:
        told = f'"{name}" is made of a mixture, and no input is the folder of one.'
        hint = "Name the folder of one mixture; of files, doit build makes a mixture."
        raise SpecError("D203", told, where="--to", hint=hint)
    if not catalogue.is_path(name) and name not in catalogue.names("schemas"):
        known = ", ".join(TARGETS)
        hint = f"{did_you_mean(name, TARGETS)} Known: {known}; or a dataset card.".strip()
        raise SpecError("D203", f'no format "{name}".', where="--to", hint=hint)
    return load_card(name, beside=Path())[0]
