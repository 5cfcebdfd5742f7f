"""Checkpoints: complete or not there, tensors in safetensors and everything else in JSON, nothing pickled.

    RUN/checkpoints/step-00000040/
        checkpoint.json       step, data position, counts so far, SHA-256 of the other files
        trained.safetensors   every trained weight by its name
        optimizer.safetensors moments of AdamW
        state.safetensors     random states; what the method keeps

A checkpoint is built beside its place and swapped in when it is on the disk. `newest` reads the digests, so that one
that was damaged later is passed over too.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from doit import __version__, storage
from doit.errors import SpecError, StorageError

MANIFEST = "checkpoint.json"
PARTS = ("trained", "optimizer", "state")
KEPT = 2
"""Newest checkpoints that stay."""

_NAME = re.compile(r"step-(\d{8})")


@dataclass(frozen=True)
class Checkpoint:
    """A training after one of its steps."""

    step: int
    trained: dict[str, Any]
    """Name -> tensor of every trained weight."""
    optimizer: dict[str, Any]
    """`moment.name` -> tensor."""
    state: dict[str, Any]
    """Random states and the method's tensors."""
    facts: dict[str, Any]
    """What JSON holds: digests of spec, mixture and model, counts, the method's plain data."""


@contextlib.contextmanager
def saving(path: Path) -> Iterator[None]:
    """Say what the disk refused to safetensors, which has an error of its own.

    Raises:
        StorageError: D104.
    """
    refused: Any = importlib.import_module("safetensors").SafetensorError
    try:
        yield
    except refused as error:
        hint = "The newest complete checkpoint is as it was: make room, then `--resume`."
        raise StorageError("D104", f"{str(error).splitlines()[0][:200]}.", where=str(path), hint=hint) from None


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint and drop all but the newest.

    Args:
        folder: the run's `checkpoints`.
        checkpoint: what to write.

    Raises:
        StorageError: D104 the disk refused; the checkpoints that are there stay.
    """
    save_file: Any = importlib.import_module("safetensors.torch").save_file
    out = folder / f"step-{checkpoint.step:08}"
    with storage.replacing(out, manifest=MANIFEST) as staging, saving(out):
        files = {}
        for part in PARTS:
            path = staging / f"{part}.safetensors"
            save_file({name: one.detach().contiguous().cpu() for name, one in getattr(checkpoint, part).items()}, path)
            files[path.name] = storage.file_digest(path)
        document = {"doit": __version__, "step": checkpoint.step, **checkpoint.facts, "sha256": files}
        storage.write_json(staging / MANIFEST, document)
    for _, path in _all(folder)[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def newest(folder: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest complete checkpoint.

    Args:
        folder: the run's `checkpoints`.
        say: told of every newer one that is passed over, and why.
    """
    if not folder.is_dir():
        return None
    for path in sorted(folder.glob("step-*")):
        storage.recover(path)
    for _, path in _all(folder):
        try:
            return _read(path)
        except _Incomplete as why:
            say(f"note: checkpoint {path.name} is passed over: {why}.")
    return None


def remove(folder: Path) -> None:
    """Delete all checkpoints of a finished run."""
    shutil.rmtree(folder, ignore_errors=True)


class _Incomplete(Exception):
    """Why a checkpoint cannot be used."""


def _all(folder: Path) -> list[tuple[int, Path]]:
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir() if path.is_dir())
    return sorted(((int(found[1]), path) for found, path in named if found), reverse=True)


def _read(path: Path) -> Checkpoint:
    damaged: Any = importlib.import_module("safetensors").SafetensorError
    load_file: Any = importlib.import_module("safetensors.torch").load_file
    try:
        facts = orjson.loads((path / MANIFEST).read_bytes())
        files, step = dict(facts.pop("sha256")), int(facts.pop("step"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise _Incomplete(f"its {MANIFEST} is missing or damaged") from None
    tensors = {}
    for part in PARTS:
        file = path / f"{part}.safetensors"
        try:
            if storage.file_digest(file) != files.get(file.name):
                raise _Incomplete(f"{file.name} is not what was written")
            tensors[part] = load_file(file)
        except (SpecError, damaged, OSError):
            raise _Incomplete(f"{file.name} is missing or damaged") from None
    return Checkpoint(step, tensors["trained"], tensors["optimizer"], tensors["state"], facts)
