"""AdamW and the course of its learning rate, as the papers' trainers have them."""

from __future__ import annotations

import math
from typing import Any

from doit.trainers.spec import Optimizer


def warmup_steps(settings: Optimizer, steps: int) -> int:
    """Steps in which the rate rises: given, or a part of all of them, rounded up as transformers does."""
    return int(settings.warmup) if settings.warmup >= 1 else math.ceil(settings.warmup * steps)


def learning_rate(settings: Optimizer, step: int, steps: int) -> float:
    """The learning rate of one update, in closed form; nothing of it needs to be kept in a checkpoint.

    The forms are those of transformers' schedulers: the rise begins at 0, and a fall would reach `final_lr` one step
    behind the last.

    Args:
        settings: of the spec.
        step: which update, from 0.
        steps: of the whole training.
    """
    warmup = warmup_steps(settings, steps)
    if step < warmup:
        return settings.lr * step / warmup
    if settings.schedule == "constant":
        return settings.lr
    passed = min((step - warmup) / max(steps - warmup, 1), 1.0)
    left = 1 - passed if settings.schedule == "linear" else (1 + math.cos(math.pi * passed)) / 2
    return settings.final_lr + (settings.lr - settings.final_lr) * left


def adamw(model: Any, settings: Optimizer) -> Any:
    """AdamW over what is trainable; biases, norms and other vectors do not decay."""
    import torch

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trained if one.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=settings.lr, betas=settings.betas, fused=True
    )


def clip(parameters: list[Any], limit: float) -> Any:
    """Scale gradients down to a norm, where they are longer; their norm before, a tensor.

    Args:
        parameters: the trained ones.
        limit: largest norm; 0 = none, and nothing is scaled.
    """
    import torch

    return torch.nn.utils.clip_grad_norm_(parameters, limit or math.inf)


def optimizer_tensors(optimizer: Any, names: dict[int, str]) -> dict[str, Any]:
    """The optimiser's state as named tensors.

    Args:
        optimizer: from `adamw`.
        names: `id(parameter)` -> its name.
    """
    return {
        f"{key}.{names[id(parameter)]}": value
        for parameter, held in optimizer.state.items()
        for key, value in held.items()
    }


def restore_optimizer(optimizer: Any, names: dict[int, str], tensors: dict[str, Any]) -> None:
    """Take back what `optimizer_tensors` gave."""
    by_name: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        part, _, name = key.partition(".")
        by_name.setdefault(name, {})[part] = tensor
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            held = by_name.get(names[id(parameter)])
            if held:
                moved = {key: tensor.to(parameter.device) for key, tensor in held.items()}
                optimizer.state[parameter] = moved
