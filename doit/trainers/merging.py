"""`doit merge`: an adapter added to its base's weights, so that the result is a model like any other."""

from __future__ import annotations

from pathlib import Path

from doit.errors import SpecError
from doit.schemas.base import Frozen
from doit.trainers.models import stop_at
from doit.trainers.rendering import end_ids
from doit.trainers.runs import open_run, read_run, refuse_merge, write_weights


class MergeAnswer(Frozen):
    """What `doit merge` answers."""

    out: str
    method: str
    parameters: int
    """Numbers of the merged model."""
    files: dict[str, str]
    """File -> SHA-256."""


def merge(folder: Path, out: Path) -> MergeAnswer:
    """Write a whole model: the base's weights with what the run trained added to them, and the tokenizer.

    Args:
        folder: of a finished run.
        out: the folder to make, or to replace if it holds a merged model already.

    Raises:
        SpecError: D206 there is no finished run; D607 its method cannot be merged.
        StorageError: D101 OUT holds something else; D102 a file is not what was written; D104 the disk refused.
    """
    refuse_merge(read_run(folder), folder)
    if out.resolve().is_relative_to(folder.resolve()):
        raise SpecError("D207", "it lies inside the run.", where=str(out), hint="Choose a folder beside it.")
    opened = open_run(folder)
    try:
        merged = opened.model.merge_and_unload(safe_merge=True)
    except AttributeError:
        what = f"PEFT has no way to merge this kind of `{opened.run.method}`."
        raise SpecError("D607", what, where=str(folder)) from None
    except (NotImplementedError, ValueError, TypeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise SpecError("D607", f"`{opened.run.method}` cannot be merged: {line}.", where=str(folder)) from None

    def write(staging: Path) -> None:
        stop_at(merged, end_ids(opened.tokenizer, opened.spec))
        merged.save_pretrained(staging)
        opened.tokenizer.save_pretrained(staging)

    files = write_weights(out, write)
    size = sum(parameter.numel() for parameter in merged.parameters())
    return MergeAnswer(out=str(out), method=opened.run.method, parameters=size, files=files)
