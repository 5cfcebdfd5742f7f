"""A run folder as publishing reads it: the weights, and what `run.json` says of the run.

`doit.trainers.runs` writes it. Of its keys only `model.name` must be there, so that a run of an earlier version, or one
that somebody put together, can be published too:

    name, doit, status      of the run; one that is `running` is refused
    model                   name, commit, added_tokens, license (SPDX; `unknown` where it is absent)
    spec                    the trainer spec; its `method` is shown
    mixture                 name and content digest
    licenses                source of the mixture -> licence
    cost                    trainable, total, steps, tokens, seconds, peak_memory, flops
    losses                  validation, train: `loss` and `cells` of language, ability, loss and tokens
    masks                   train: cells of the training rows; their languages are those of the model
    scores                  a list of ability, metric, value, dataset, split
    files                   path -> SHA-256 of what was trained
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from doit import storage
from doit.errors import SpecError, StorageError
from doit.inspecting.counts import UNTAGGED

REPOSITORY = re.compile(r"(?!.*(?:--|\.\.))(?!.*\.git$)[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
"""`owner/name` on a Hub."""

ADAPTER = "adapter_model.safetensors"
_WEIGHTS = re.compile(r"model(?:-\d{5}-of-\d{5})?\.safetensors")
_BESIDE = {
    *("adapter_config.json", "config.json", "generation_config.json", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model"),
    *("vocab.json", "merges.txt", "chat_template.jinja"),
}
"""What goes with the weights. Nothing else of a run is published: no checkpoint, no log, no pickle."""

_PLACES = ("", "adapter", "model")
"""Where in a run folder the weights may lie."""

SEAL = "doit.json"
"""Beside weights: their digests."""

BASE = "base"
"""The folder of a base whose weights were drawn: nobody else has them, so they go too."""


class _Tolerant(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Base(_Tolerant):
    """The model that was tuned."""

    name: str
    """A repository on a Hub, a folder, or `new` and an architecture."""
    commit: str | None = None
    license: str = "unknown"
    added_tokens: int = 0
    """Control tokens that the template added to the vocabulary."""

    @property
    def repository(self) -> str | None:
        """Its repository, or None where it is not from a Hub."""
        return self.name if self.commit is not None and REPOSITORY.fullmatch(self.name) else None


class Trained(_Tolerant):
    """The mixture that it was tuned on."""

    digest: str = ""
    name: str = ""


class Cell(_Tolerant):
    """Cross-entropy of one cell, in nats a token that is learned."""

    language: str = "*"
    ability: str | None = "*"
    loss: float | None = None
    tokens: int | None = None

    @property
    def label(self) -> str:
        """What it is the loss of, for a name: its ability and language, or all of them."""
        ability = UNTAGGED if self.ability is None else self.ability
        return "all" if (ability, self.language) == ("*", "*") else f"{_all(ability)}, {_all(self.language)}"


def _all(value: str) -> str:
    return "all" if value == "*" else value


class Record(_Tolerant):
    """Losses at one step."""

    loss: float | None = None
    cells: tuple[Cell, ...] = ()


class Score(_Tolerant):
    """What the model reached on a benchmark."""

    ability: str = "*"
    metric: str
    value: float
    dataset: str
    split: str = "test"


class Run(_Tolerant):
    """`run.json`."""

    name: str = ""
    doit: str = ""
    status: str = "done"
    model: Base
    spec: dict[str, Any] = Field(default_factory=dict)
    mixture: Trained = Trained()
    licenses: dict[str, str] = Field(default_factory=dict)
    cost: dict[str, float] = Field(default_factory=dict)
    losses: dict[str, Record] = Field(default_factory=dict)
    masks: dict[str, tuple[Cell, ...]] = Field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    files: dict[str, str] = Field(default_factory=dict)

    @field_validator("cost", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        """Only what is a number: a cost that could not be measured is null."""
        if not isinstance(value, Mapping):
            return value
        numbers = {key: one for key, one in value.items() if isinstance(one, int | float) and not isinstance(one, bool)}
        return {key: one for key, one in numbers.items() if math.isfinite(one)}

    @field_validator("losses", mode="before")
    @classmethod
    def _measured(cls, value: Any) -> Any:
        """Without records that are null: there was nothing to measure on."""
        return {key: one for key, one in value.items() if one is not None} if isinstance(value, Mapping) else value

    @property
    def method(self) -> dict[str, Any]:
        """The settings of the method."""
        method = self.spec.get("method")
        return method if isinstance(method, dict) else {}

    @property
    def languages(self) -> list[str]:
        """BCP 47 tags of the training rows."""
        return [cell.language for cell in self.masks.get("train", ())]

    def measured(self) -> list[tuple[str, Cell]]:
        """(split, cell) of all losses; the whole of a split first, as a cell of all languages and abilities."""
        found = []
        for split in ("validation", "train"):
            record = self.losses.get(split)
            if record is not None:
                found += [(split, Cell(loss=record.loss)), *((split, cell) for cell in record.cells)]
        return [(split, cell) for split, cell in found if cell.loss is not None and math.isfinite(cell.loss)]


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run or an adapter."""
    return (folder / "run.json").is_file() or _weights_folder(folder) is not None


def read_run(folder: Path) -> Run:
    """What `run.json` of a run folder says.

    Raises:
        SpecError: D206 there is none, or it is not done.
        StorageError: D102 it cannot be read, or a file is not the one that it names.
    """
    path = folder / "run.json"
    if not path.is_file():
        hint = "Name the folder that training made; beside a merged model, put the `run.json` of its run."
        raise SpecError("D206", "run.json is missing.", where=str(folder), hint=hint)
    try:
        run = Run.model_validate(orjson.loads(path.read_bytes()))
    except (orjson.JSONDecodeError, OSError) as error:
        raise StorageError("D102", f"it cannot be read: {error}.", where=str(path)) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise StorageError("D102", f"{key}: {first['msg']}.", where=str(path)) from None
    if run.status != "done":
        raise SpecError("D206", "this run is not done.", where=str(folder), hint="Go on with `doit train … --resume`.")
    for name, sha256 in _digests(run, folder).items():
        written = storage.safe_relative(name, folder)
        if not written.is_file() or storage.file_digest(written) != sha256:
            raise StorageError("D102", f"`{name}` is not what was written.", where=str(folder), hint="Train again.")
    return run


def _digests(run: Run, folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of what lies here: of a run what it says, of a merged model what was written with it."""
    try:
        sealed = orjson.loads((folder / SEAL).read_bytes())["sha256"]
        return {str(name): str(sha256) for name, sha256 in sealed.items()}
    except FileNotFoundError:
        return run.files
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise StorageError("D102", "it lists no digests.", where=str(folder / SEAL), hint="Merge again.") from None


def run_files(folder: Path) -> dict[str, Path]:
    """Path in the repository -> file, of all that is published of a run.

    Raises:
        SpecError: D206 there are no weights in safetensors.
    """
    home = _weights_folder(folder)
    if home is None:
        hint = "Train again, or save the weights as safetensors."
        raise SpecError("D206", "no weights in safetensors are here.", where=str(folder), hint=hint)
    found = {path.name: path for path in _published(home)}
    base = folder / BASE
    if base.is_dir():
        found |= {f"{BASE}/{path.name}": path for path in _published(base)}
    return found


def _published(home: Path) -> list[Path]:
    """The files of a folder of weights that are published."""
    return [
        path
        for path in sorted(home.iterdir())
        if path.is_file()
        and not path.is_symlink()
        and (path.name in _BESIDE or path.name == ADAPTER or _WEIGHTS.fullmatch(path.name))
    ]


def _weights_folder(folder: Path) -> Path | None:
    for place in _PLACES:
        home = folder / place
        if home.is_dir() and any(one.name == ADAPTER or _WEIGHTS.fullmatch(one.name) for one in home.iterdir()):
            return home
    return None
