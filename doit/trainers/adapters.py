"""What all methods need of a model: the names of its layers, its counts, and an adapter's tensors on the disk."""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Iterator
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
    """Refuse names that no layer has, and name those that there are; blocks of layers; one half of a tied matrix.

    Args:
        model: a causal language model.
        targets: names, or a pattern as PEFT takes it; anything else is let pass.

    Raises:
        SpecError: D203 no such layer; D207 the input and output embeddings are one matrix.
    """
    where = "method.targets"
    for target in sorted(targets) if isinstance(targets, list | tuple | set) else ():
        found = [module for name, module in model.named_modules() if _is_named(name, target)]
        if not found or all(any(True for _ in module.children()) for module in found):
            known = _layers(model)
            what = f'"{target}" is a block of layers, not a layer.'
            what = what if found else f'the model has no layer "{target}".'
            hint = f"{did_you_mean(target, known)} It has {', '.join(known)}.".strip()
            raise SpecError("D203", what, where=where, hint=hint)
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    if last is None or last is first or last.weight is not first.weight:
        return
    for name, module in adapted(model, targets):
        if module in (first, last):
            what = f"`{name}` is input and output of the model in one matrix: an adapter on one side cannot be merged."
            hint = "Leave it out, or train it whole: `kind: embeddings`."
            raise SpecError("D207", what, where=where, hint=hint)


def adapted(model: Any, targets: Any) -> list[tuple[str, Any]]:
    """Name and module of what targets choose, as PEFT does: names, a pattern, or every linear layer but the head."""
    if targets == "all-linear":
        return list(_linear(model))
    modules = model.named_modules()
    if isinstance(targets, str):
        try:
            return [(name, module) for name, module in modules if re.fullmatch(targets, name)]
        except re.error as error:
            raise SpecError("D204", f"{targets!r} is no pattern: {error}.", where="method.targets") from None
    names = targets if isinstance(targets, list | tuple | set) else ()
    return [(name, module) for name, module in modules if any(_is_named(name, target) for target in names)]


def _is_named(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def smaller_sides(layers: list[tuple[str, Any]]) -> dict[str, int]:
    """Short name of each matrix -> the smaller of its sides, which no rank can usefully pass."""
    found: dict[str, int] = {}
    for name, module in layers:
        weight = getattr(module, "weight", None)
        if hasattr(module, "in_features"):  # the weight may be quantised, and of another shape
            side = min(int(module.in_features), int(module.out_features))
        elif weight is not None and weight.ndim == 2:
            side = min(weight.shape)
        else:
            continue
        short = name.rpartition(".")[2]
        found[short] = min(found.get(short, side), side)
    return found


def _layers(model: Any) -> list[str]:
    """Short names of the layers that a method can be put on."""
    return sorted({name.rpartition(".")[2] for name, _ in _linear(model)})


def _linear(model: Any) -> Iterator[tuple[str, Any]]:
    """Name and module of every linear layer but the output head."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | Conv1D) and module is not head:
            yield name, module


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
