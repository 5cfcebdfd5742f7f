"""Cross-entropy of supervised tokens, and its sums for each cell (language x ability): one forward pass for both.

What is reported is cross-entropy in nats a token, without any method's regulariser. Virtual tokens stand before the
real ones, so positions are counted from behind them.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doit.trainers.packing import IGNORED

Arrays = dict[str, NDArray[np.int64]]


@dataclass
class CellLosses:
    """Sums over supervised tokens, one entry a cell."""

    loss: NDArray[np.float64]
    tokens: NDArray[np.int64]

    @classmethod
    def none(cls, cells: int) -> CellLosses:
        """No token yet."""
        return cls(np.zeros(cells), np.zeros(cells, dtype=np.int64))

    def add(self, other: CellLosses) -> None:
        """Add another count to this one."""
        self.loss += other.loss
        self.tokens += other.tokens

    def mean(self) -> float | None:
        """Nats a token over all cells; None without a token."""
        tokens = int(self.tokens.sum())
        return float(self.loss.sum() / tokens) if tokens else None

    def by_cell(self, cells: tuple[tuple[str, str | None], ...]) -> list[dict[str, Any]]:
        """One entry for each cell that has tokens: language, ability, loss, tokens."""
        return [
            {"language": language, "ability": ability, "loss": float(loss / tokens), "tokens": int(tokens)}
            for (language, ability), loss, tokens in zip(cells, self.loss, self.tokens, strict=True)
            if tokens
        ]


@dataclass(frozen=True)
class Part:
    """Sequences that go through the model together, on its device: B sequences of T tokens, U places that predict."""

    inputs: dict[str, Any]
    """`input_ids` (B, T), and `position_ids` or `attention_mask` where the model is to get them."""
    places: Any
    """(U,) the places of a sequence that predict a supervised token in any of them."""
    targets: Any
    """(B, U) the tokens to be predicted there; -100 where a sequence has none."""
    cells: Any
    """(B, U) cell of each; 0 where there is no target."""
    supervised: int
    """Targets."""


class Forward:
    """How one model is asked for the losses of its tokens.

    Args:
        model: a causal language model, wrapped or not.
        autocast: dtype that products are computed in; None = that of the weights.
    """

    def __init__(self, model: Any, *, autocast: Any = None) -> None:
        self.model, self.autocast = model, autocast
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        takes = inspect.signature(base.forward).parameters
        self._keeps = "logits_to_keep" in takes
        prompted = bool(getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False))
        self._positions = "position_ids" in takes and not prompted
        self.options: dict[str, Any] = {"use_cache": False} if "use_cache" in takes else {}
        """What every call gets: with a cache, packed conversations would see each other."""
        self.device = next(model.parameters()).device
        self.virtual = self._virtual() if prompted else 0
        """Virtual tokens whose logits come before those of the real ones."""

    def _virtual(self) -> int:
        """Counted, since methods differ in whether theirs have logits."""
        import torch

        state = torch.get_rng_state()
        with torch.no_grad(), self.context():
            logits = self.model(
                input_ids=torch.zeros(1, 2, dtype=torch.int64, device=self.device), **self.options
            ).logits
        torch.set_rng_state(state)
        return int(logits.shape[1]) - 2

    def part(self, arrays: Arrays, *, packed: bool) -> Part:
        """Bring the arrays of `packing.collate` to the device.

        The mask of sequences that are padded at their right is left out: no real token looks at what follows it, and
        without a mask attention is faster.
        """
        import torch

        labels = arrays["labels"][:, 1:]
        learned = labels != IGNORED
        places = np.flatnonzero(learned.any(axis=0))
        cells = np.where(learned, arrays["cells"][:, 1:], 0)[:, places]
        mask = arrays.get("attention_mask")
        inputs = {"input_ids": arrays["input_ids"]}
        if packed:
            inputs["position_ids"] = arrays["position_ids"]
        elif mask is not None and not mask[:, 0].all():
            inputs["attention_mask"] = mask
            if self._positions:
                inputs["position_ids"] = arrays["position_ids"]

        def on_device(array: NDArray[Any]) -> Any:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)

        return Part(
            {name: on_device(array) for name, array in inputs.items()},
            on_device(places + self.virtual),
            on_device(labels[:, places]),
            on_device(cells),
            int(learned.sum()),
        )

    def losses(self, part: Part) -> Any:
        """Cross-entropy of every target, (B, U), float32; 0 where there is none."""
        import torch
        from torch.nn import functional

        kept = {"logits_to_keep": part.places} if self._keeps else {}
        with self.context():
            logits = self.model(**part.inputs, **kept, **self.options).logits
        if not self._keeps:
            logits = logits.index_select(1, part.places)
        flat = functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]).to(torch.float32),
            part.targets.reshape(-1),
            ignore_index=IGNORED,
            reduction="none",
        )
        return flat.reshape(part.targets.shape)

    def context(self) -> contextlib.AbstractContextManager[Any]:
        """Where products are computed in the dtype of `autocast`."""
        import torch

        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast)


class CellSums:
    """Sums on the device, so that counting waits for nothing; one entry a cell.

    Args:
        cells: how many there are.
        device: where losses are.
    """

    def __init__(self, cells: int, device: Any) -> None:
        import torch

        self._loss = torch.zeros(cells, dtype=torch.float64, device=device)
        self._tokens = torch.zeros(cells, dtype=torch.int64, device=device)

    def add(self, part: Part, losses: Any) -> None:
        """Count the losses of a part, (B, U)."""
        import torch

        cells = part.cells.reshape(-1)
        self._loss.index_add_(0, cells, losses.detach().reshape(-1).to(torch.float64))
        self._tokens.index_add_(0, cells, (part.targets.reshape(-1) != IGNORED).to(torch.int64))

    def take(self) -> CellLosses:
        """What was counted since the last call."""
        taken = CellLosses(self._loss.cpu().numpy().copy(), self._tokens.cpu().numpy().copy())
        self._loss.zero_()
        self._tokens.zero_()
        return taken

    def put(self, counted: CellLosses) -> None:
        """Begin with what an earlier process had counted."""
        import torch

        self._loss.copy_(torch.from_numpy(counted.loss))
        self._tokens.copy_(torch.from_numpy(counted.tokens))


def evaluate(forward: Forward, parts: Iterable[Arrays], cells: int, *, packed: bool) -> CellLosses:
    """One pass over held-out rows, without dropout: the loss of every cell at once.

    Args:
        forward: the model.
        parts: arrays of `packing.collate`.
        cells: how many there are.
        packed: whether sequences hold several conversations.
    """
    import torch

    sums = CellSums(cells, forward.device)
    training = forward.model.training
    forward.model.eval()
    try:
        with torch.no_grad():
            for arrays in parts:
                part = forward.part(arrays, packed=packed)
                if part.supervised:
                    sums.add(part, forward.losses(part))
    finally:
        forward.model.train(training)
    return sums.take()
