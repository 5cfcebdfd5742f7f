"""What every method of training has in common: it is put on a model, steers the updates, and saves what was trained."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from doit.errors import SpecError
from doit.trainers import spec
from doit.trainers.adapters import Base, adapter_state, check_targets, write_adapter
from doit.trainers.models import quiet

ADAPTER, MODEL = "adapter", "model"
"""Folder of a run that holds what was trained: a PEFT adapter, or a whole model."""

M = TypeVar("M", bound=spec.Method)


class Tuning(ABC, Generic[M]):
    """One method at work on one model.

    Args:
        method: its settings.
        steps: updates of the training; 0 where nobody knows yet.
    """

    folder: ClassVar[str] = ADAPTER
    merges: ClassVar[bool] = True
    """Whether what was trained can be added to the model's weights."""

    def __init__(self, method: M, steps: int) -> None:
        self.method, self.steps = method, steps
        self.added: tuple[int, ...] = ()
        """Ids of control tokens that the template added; the embeddings of these are trained where the method can."""

    @property
    def prompted(self) -> bool:
        """Whether virtual tokens stand before a sequence, and so before the first of packed conversations only."""
        return False

    @property
    def virtual(self) -> int:
        """How many virtual tokens take places before a sequence."""
        return 0

    @abstractmethod
    def apply(self, model: Any) -> Any:
        """The model with what is trained in it, and nothing else, marked as trainable.

        Raises:
            SpecError: D203 a layer that the model lacks; D204, D207 settings that do not fit it.
        """

    @abstractmethod
    def save(self, model: Any, folder: Path, base: Base) -> None:
        """Write what was trained to a folder that is there, as safetensors and JSON."""

    def notes(self, model: Any) -> list[str]:
        """What a person should know of these settings on this model, a sentence each.

        Args:
            model: before the method was applied.

        Raises:
            SpecError: D204 settings that cannot be meant.
        """
        return []

    def penalty(self, model: Any) -> Any:
        """What the method adds to the loss of an update, a scalar; None for most. It is never reported as loss."""
        return None

    def after_step(self, model: Any, step: int) -> None:
        """Called when step `step`, from 1, has changed the weights, and before the gradients are cleared."""

    def state(self, model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tensors and plain data that a resumed training needs beside the trained weights and the optimiser."""
        return {}, {}

    def restore(self, model: Any, tensors: dict[str, Any], data: dict[str, Any]) -> None:
        """Take back what `state` gave."""


class AdapterTuning(Tuning[M]):
    """A method of the PEFT library: the model's own weights stay as they are."""

    @abstractmethod
    def config(self, model: Any) -> Any:
        """PEFT's configuration of it for a model."""

    def apply(self, model: Any) -> Any:
        """Wrapped by PEFT."""
        peft: Any = importlib.import_module("peft")
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        try:
            with quiet():
                config = self.config(model)
                check_targets(model, getattr(config, "target_modules", None))
                return peft.get_peft_model(model, config)
        except SpecError:
            raise
        except (TypeError, ValueError, KeyError, AssertionError, AttributeError, NotImplementedError) as error:
            raise SpecError("D204", refusal(error), where=f"method: {self.method.kind}") from None

    def save(self, model: Any, folder: Path, base: Base) -> None:
        """The adapter alone."""
        write_adapter(adapter_state(model), model.peft_config["default"], folder, base)


def refusal(error: Exception) -> str:
    """What PEFT says of settings that it does not take, in one sentence."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return f"PEFT refuses it: {line}" + ("" if line.endswith(".") else ".")
