"""The folder that a training leaves behind, and how it is opened again.

RUN/run.json          everything below, digests included; `status` is `running` until all else is there
RUN/adapter/ or model/  what was trained, in safetensors, with the tokenizer
RUN/base/             the base's weights, where they were drawn and not read
RUN/losses.jsonl      every logged loss; losses.png, tensorboard/ where the libraries are installed
RUN/checkpoints/      until the run is done
RUN/README.md         the model card
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import Field, ValidationError

from doit import __version__, storage, yamlio
from doit.errors import DoitError, SpecError, StorageError
from doit.schemas.base import Frozen
from doit.trainers.checkpoints import saving
from doit.trainers.method_base import ADAPTER, MODEL
from doit.trainers.methods import tuning
from doit.trainers.models import (
    ModelPlace,
    find_model,
    load_config,
    load_model,
    need_libraries,
    quiet,
    read_tokenizer,
    resize,
)
from doit.trainers.spec import TrainerSpec

RUN = "run.json"
FOLDER = "doit.json"
"""Marks a folder of weights as ours, with the digests of its files."""


class RunModel(Frozen):
    """The model that a run started from."""

    name: str
    """As the spec has it, or `new` and its architecture."""
    commit: str | None = None
    """Of the Hub's repository."""
    folder: str | None = None
    """Of a local model."""
    digest: str
    """SHA-256 over its configuration and weights, or its commit."""
    license: str = "unknown"
    """As the model's own page states it."""
    added_tokens: int = 0
    """Control tokens that the template added to the vocabulary."""


class RunRows(Frozen):
    """The law of training rows: every planned row is trained on, in every pass, and nothing else is."""

    mixture: int
    """Rows of the mixture's split, copies included."""
    encoded: int
    """Rows after the over-long were dealt with."""
    planned: int = 0
    """Rows that all passes together were to see."""
    trained: int = 0
    """Rows that they saw; equal to `planned` in a finished run."""


class RunCost(Frozen):
    """What a run cost, so that methods can be compared."""

    trainable: int
    """Numbers that were trained."""
    total: int
    """Numbers of the model with them."""
    seconds: float = 0.0
    """Of the loop, evaluations and checkpoints included, over all resumptions."""
    tokens: int = 0
    """Tokens trained on, padding not counted."""
    positions: int = 0
    """Tokens that went through the model in training, padding included."""
    peak_memory: int = 0
    """Bytes: of the GPU, or of the process where there is none."""
    flops: float = 0.0
    """Estimate, `doit.trainers.cost.flops`."""


class Run(Frozen):
    """`run.json`."""

    doit: str = __version__
    """Version of the library; the key that marks a folder as ours."""
    status: Literal["running", "done"] = "running"
    name: str
    """Of the trainer spec."""
    spec: dict[str, Any]
    """The trainer spec, resolved."""
    method: str
    weights: Literal["adapter", "model"]
    """Folder that holds what was trained."""
    model: RunModel
    mixture: dict[str, str]
    """`name` and content `digest` of the mixture."""
    licenses: dict[str, str] = Field(default_factory=dict)
    """Source of the mixture -> its licence, from which that of the weights follows."""
    identity: dict[str, str]
    """Digests that must be the same for a training to go on from a checkpoint."""
    packed: bool
    packing: str
    """Why conversations share sequences, or not."""
    precision: Literal["fp32", "bf16", "fp16"]
    steps: int
    rows: dict[str, RunRows]
    """Split -> its rows."""
    masks: dict[str, list[dict[str, Any]]]
    """Split -> for each cell what became of its rows, tokens, and tokens that are learned."""
    losses: dict[str, Any] = Field(default_factory=dict)
    """`train`, `validation`: the last record of `losses.jsonl`; `validation_before`: that of step 0."""
    cost: RunCost
    environment: dict[str, Any]
    files: dict[str, str] = Field(default_factory=dict)
    """Path -> SHA-256 of what was trained."""


def read_run(folder: Path) -> Run:
    """The document of a run.

    Raises:
        SpecError: D206 there is none.
        StorageError: D102 it cannot be read.
    """
    path = folder / RUN
    if not path.is_file():
        raise SpecError("D206", f"no run here: {RUN} is missing.", where=str(folder), hint="See `doit train`.")
    try:
        return Run.model_validate(orjson.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise StorageError("D102", f"it cannot be read: {_first(error, Run)}", where=str(path)) from None


def spec_of(run: Run, folder: Path) -> TrainerSpec:
    """The trainer spec that a run was made by.

    Raises:
        StorageError: D102 it does not obey its model.
    """
    try:
        return TrainerSpec.model_validate(run.spec)
    except ValueError as error:
        what = f"its `spec` cannot be read: {_first(error, TrainerSpec)}"
        raise StorageError("D102", what, where=str(folder / RUN)) from None


def _first(error: Exception, model: type[Frozen]) -> str:
    """What is wrong with a document, in a sentence, with its key."""
    found = yamlio.explain(error, where="", model=model) if isinstance(error, ValidationError) else error
    where = f"`{found.where}`: " if isinstance(found, DoitError) and found.where else ""
    text = found.what if isinstance(found, DoitError) else str(found)
    return where + text + ("" if text.endswith(".") else ".")


def write_run(folder: Path, run: Run) -> None:
    """Write the document of a run."""
    storage.write_json(folder / RUN, run.model_dump(mode="json"))


def write_weights(folder: Path, write: Callable[[Path], None]) -> dict[str, str]:
    """Make a folder of weights, complete or not at all.

    Args:
        folder: the folder; one of ours is replaced.
        write: puts files into a staging folder.

    Returns:
        Path, from the folder above -> SHA-256.

    Raises:
        StorageError: D104 the disk refused.
    """
    with storage.replacing(folder, manifest=FOLDER) as staging, saving(folder):
        write(staging)
        files = sorted(path for path in staging.rglob("*") if path.is_file())
        digests = {path.relative_to(staging).as_posix(): storage.file_digest(path) for path in files}
        storage.write_json(staging / FOLDER, {"doit": __version__, "sha256": digests})
    return {f"{folder.name}/{name}": digest for name, digest in digests.items()}


def check_weights(folder: Path) -> None:
    """Look whether a folder of weights is as `write_weights` left it.

    Raises:
        StorageError: D102.
    """
    try:
        digests = dict(orjson.loads((folder / FOLDER).read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        what = f"`{FOLDER}` is missing or damaged, and with it the digests of the weights."
        raise StorageError("D102", what, where=str(folder), hint="Bring the folder back.") from None
    _check_digests(digests, folder)


def _check_digests(digests: dict[str, str], folder: Path) -> None:
    for name, digest in digests.items():
        path = storage.safe_relative(name, folder)
        if not path.is_file() or storage.file_digest(path) != digest:
            what = f"`{name}` is {'not what was written' if path.is_file() else 'gone'}."
            raise StorageError("D102", what, where=str(folder), hint="Bring it back, or train again.")


@dataclass(frozen=True)
class OpenRun:
    """A finished run, its model on the CPU and ready to answer."""

    run: Run
    spec: TrainerSpec
    model: Any
    tokenizer: Any


def open_run(folder: Path) -> OpenRun:
    """Load what a run trained.

    Raises:
        MissingExtra: D208.
        SpecError: D206 there is no run, it is not done, or its base is gone.
        StorageError: D102 its files, or its base, are not those that were written.
    """
    need_libraries()
    run = read_run(folder)
    if run.status != "done":
        hint = "Go on with `doit train … --resume`."
        raise SpecError("D206", "this run is not done.", where=str(folder), hint=hint)
    _check_digests(run.files, folder)
    weights = folder / run.weights
    spec = spec_of(run, folder)
    tokenizer = read_tokenizer(weights, run.name)
    with quiet():
        if run.weights == MODEL:
            model = _whole(ModelPlace(run.name, weights))
        else:
            import peft

            base = load_base(folder, run)
            resize(base, tokenizer, run.model.added_tokens)
            model = peft.PeftModel.from_pretrained(base, weights, is_trainable=False)
    return OpenRun(run, spec, model.eval(), tokenizer)


def load_base(folder: Path, run: Run) -> Any:
    """The model that a run started from, its weights unchanged.

    Raises:
        SpecError: D206 it is not where it was.
        StorageError: D102 it is another one.
    """
    if run.model.folder is None and run.model.commit is None:
        check_weights(folder / "base")
        return _whole(ModelPlace(run.model.name, folder / "base"))
    if run.model.folder is not None and not Path(run.model.folder).is_dir():
        what = f"the base model was in {run.model.folder}, and is not there."
        raise SpecError("D206", what, where=str(folder), hint="Bring it back.")
    if run.model.folder is not None:
        place = find_model(run.model.folder, None, Path())
    else:
        place = find_model(run.model.name, run.model.commit, Path())
    if place.digest() != run.model.digest:
        what = "the base model is not the one that the run started from."
        raise StorageError("D102", what, where=str(place.folder), hint="Bring its files back.")
    return _whole(place)


def _whole(place: ModelPlace) -> Any:
    import torch

    config = load_config(place, "")
    return load_model(place, config, seed=0, dtype=torch.float32)


def refuse_merge(run: Run, folder: Path) -> None:
    """Say why a run has nothing that can be merged, by the name of its method.

    Raises:
        SpecError: D607.
    """
    if run.weights == MODEL:
        hint = f"Use {folder / MODEL} as it is."
        raise SpecError("D607", f"`{run.method}` trains the model itself.", where=str(folder), hint=hint)
    method = tuning(spec_of(run, folder).method, 0)
    if method.prompted or not method.merges:
        hint = f"Load the base with {folder / ADAPTER} by PEFT."
        what = f"`{run.method}` adds virtual tokens, which no weight can hold."
        raise SpecError("D607", what, where=str(folder), hint=hint)
