"""What all methods need of a model: the names of its layers, its counts, and an adapter's tensors on the disk."""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Any, NamedTuple

from doit.errors import SpecError, did_you_mean


class Base(NamedTuple):
    """What a saved adapter says of its base."""

    name: str
    """A Hub's id, or a folder."""
    revision: str | None = None


def parameters(model: Any) -> tuple[int, int]:
    """Trainable and all numbers of a model; a matrix used twice counts once."""
    counted = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trained in counted if trained), sum(size for size, _ in counted)


def check_targets(model: Any, targets: Any) -> None:
    """Refuse names that no layer has, and name those that there are.

    Raises:
        SpecError: D203.
    """
    if not isinstance(targets, list | tuple | set):
        return
    names = [name for name, _ in model.named_modules()]
    for target in sorted(targets):
        if not any(name == target or name.endswith(f".{target}") for name in names):
            known = _layers(model)
            hint = f"{did_you_mean(target, known)} It has {', '.join(known)}.".strip()
            where = "method.targets"
            raise SpecError("D203", f'the model has no layer "{target}".', where=where, hint=hint)


def _layers(model: Any) -> list[str]:
    """Short names of the layers that a method can be put on."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    found = (
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    )
    return sorted({name.rpartition(".")[2] for name, _ in found})


def embeddings_of(model: Any, tokens: tuple[int, ...]) -> dict[str, list[int]] | None:
    """Names of the matrices that hold tokens, at the input and, where it is another, at the output -> those tokens."""
    if not tokens:
        return None
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    wanted = [first] if last is None or last.weight is first.weight else [first, last]
    names = {id(module): name for name, module in model.named_modules()}
    return {names[id(module)]: list(tokens) for module in wanted}


def adapter_state(model: Any) -> dict[str, Any]:
    """A copy of an adapter's tensors, named as PEFT saves them."""
    peft: Any = importlib.import_module("peft")
    state = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def write_adapter(state: dict[str, Any], config: Any, folder: Path, base: Base) -> None:
    """Write an adapter as PEFT reads it: `adapter_model.safetensors` and `adapter_config.json`."""
    save_file: Any = importlib.import_module("safetensors.torch").save_file
    tensors = {name: tensor.contiguous().cpu() for name, tensor in state.items()}
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    config = copy.copy(config)
    config.base_model_name_or_path, config.revision = base
    config.save_pretrained(folder)


def on_meta(model: Any) -> bool:
    """Whether a model has no weights."""
    return bool(next(model.parameters()).is_meta)
