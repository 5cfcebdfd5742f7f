"""The loop: batches in, updates out, with losses by cell, evaluations and checkpoints on the way.

It is our own and not transformers' Trainer: docs/decisions.md has the measurements.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from doit.errors import DataError
from doit.progress import Progress
from doit.trainers import checkpoints
from doit.trainers.checkpoints import Checkpoint
from doit.trainers.logs import LossLog
from doit.trainers.losses import Arrays, CellLosses, CellSums, Forward, evaluate
from doit.trainers.method_base import Tuning
from doit.trainers.optimizing import adamw, clip, learning_rate, optimizer_tensors, restore_optimizer
from doit.trainers.packing import Update, batches, collate
from doit.trainers.planning import Plan, rows_of
from doit.trainers.rows import EncodedRows
from doit.trainers.spec import TrainerSpec

LOGGED = 100
"""Training losses that a run logs, if it has as many steps."""


@dataclass(frozen=True)
class Work:
    """Everything that a training stands on."""

    spec: TrainerSpec
    plan: Plan
    model: Any
    """On its device, the method applied."""
    tuning: Tuning[Any]
    rows: EncodedRows
    validation: EncodedRows | None
    pad: int
    """Token that fills up sequences."""
    autocast: Any
    """dtype that products are computed in; None = that of the weights."""
    folder: Path
    """Of the run."""
    identity: dict[str, Any]
    """What must be the same for a training to go on from a checkpoint."""
    say: Callable[[str], None]


@dataclass
class Done:
    """Counts of what was done, over all processes of a run."""

    rows: int = 0
    tokens: int = 0
    """Real ones."""
    positions: int = 0
    """Tokens that went through the model, padding included."""
    seconds: float = 0.0
    cells: list[int] = field(default_factory=list)
    """Rows of each cell."""


class Loop:
    """One training.

    Args:
        work: what it stands on.
    """

    def __init__(self, work: Work) -> None:
        import torch

        self.work = work
        self.forward = Forward(work.model, autocast=work.autocast)
        named = [(name, one) for name, one in work.model.named_parameters() if one.requires_grad]
        self._trained = dict(named)
        self._names = {id(one): name for name, one in named}
        self._parameters = [one for _, one in named]
        self._optimizer = adamw(work.model, work.spec.optimizer)
        self._scaler = torch.amp.GradScaler(
            self.forward.device.type, enabled=work.autocast is torch.float16 and self.forward.device.type == "cuda"
        )
        self._sums = CellSums(len(work.rows.cells), self.forward.device)
        self._lengths = work.rows.lengths
        self._norm = 0.0
        self.done = Done(cells=[0] * len(work.rows.cells))

    def run(self, start: Checkpoint | None) -> LossLog:
        """Train to the end.

        Args:
            start: where to go on, or None.

        Raises:
            DataError: D604 the loss is not a number.
            StorageError: D104 the disk refused.
        """
        work, step = self.work, 0
        if start is not None:
            self._restore(start)
            step = start.step
        log = LossLog(work.folder, step, work.say)
        began, before = time.monotonic(), self.done.seconds
        try:
            if step == 0:
                self._evaluate(log, 0)
            work.model.train()
            left = work.plan.tokens - self.done.tokens
            with Progress("training", total=left, unit="tokens") as progress:
                for number, update in self._updates(step):
                    progress.advance(self._update(update, number))
                    self.done.seconds = before + time.monotonic() - began
                    self._after(log, number)
            self.done.seconds = before + time.monotonic() - began
            log.flush()
        finally:
            log.close()
        assert self.done.rows == work.plan.rows, "trained rows are not the planned ones"
        assert self.done.tokens == work.plan.tokens
        assert tuple(self.done.cells) == work.plan.cells
        return log

    def _updates(self, step: int) -> Iterator[tuple[int, Update]]:
        """(step, from 1; update) of everything that is left to do."""
        plan = self.work.plan
        first, skipped = plan.position(step)
        for number in range(first, len(plan.updates)):
            updates = list(batches(self.work.rows, self.work.spec, number, packed=plan.packed))[: plan.updates[number]]
            for update in updates[skipped:]:
                step += 1
                yield step, update
            skipped = 0

    def _arrays(self, rows: EncodedRows, update: Update) -> list[Arrays]:
        return [collate(rows, part, packed=self.work.plan.packed, pad_id=self.work.pad) for part in update]

    def _update(self, update: Update, step: int) -> int:
        """One step of the optimiser; the tokens that it saw."""
        work, settings = self.work, self.work.spec.optimizer
        parts = [self.forward.part(arrays, packed=work.plan.packed) for arrays in self._arrays(work.rows, update)]
        supervised = sum(part.supervised for part in parts)
        total = 0.0
        for part in parts:
            losses = self.forward.losses(part)
            loss = losses.sum() / supervised
            self._scaler.scale(loss).backward()
            self._sums.add(part, losses)
            total = total + loss.detach()
        penalty = work.tuning.penalty(work.model)
        if penalty is not None:
            self._scaler.scale(penalty).backward()
        self._scaler.unscale_(self._optimizer)
        norm = clip(self._parameters, settings.clip)
        self._check(total, "loss", step)
        if not self._scaler.is_enabled():  # a scaler looks at fp16 gradients itself
            self._check(norm, "gradient", step)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(settings, step - 1, work.plan.steps)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        work.tuning.after_step(work.model, step)
        self._optimizer.zero_grad(set_to_none=True)
        self._norm = norm
        visited = rows_of([update])
        self.done.rows += len(visited)
        for cell, count in zip(*np.unique(work.rows.cell[visited], return_counts=True), strict=True):
            self.done.cells[cell] += int(count)
        tokens = int(self._lengths[visited].sum())
        self.done.tokens += tokens
        self.done.positions += sum(part.inputs["input_ids"].numel() for part in parts)
        return tokens

    def _check(self, value: Any, what: str, step: int) -> None:
        """Stop before what is not a number gets into weights, a checkpoint or the run's account."""
        if not math.isfinite(float(value)):
            hint = "Train into another folder with a lower `optimizer.lr`, or `precision: bf16` in place of `fp16`."
            where = f"step {step} of {self.work.plan.steps}"
            raise DataError("D604", f"the {what} is not a number.", where=where, hint=hint)

    def _check_weights(self, step: int) -> None:
        """The same of what was trained: the last update may have made it what the next loss would show."""
        import torch

        largest = torch.stack([one.detach().abs().amax().to(torch.float32) for one in self._parameters if one.numel()])
        self._check(largest.sum(), "largest trained weight", step)

    def _after(self, log: LossLog, step: int) -> None:
        """Log, evaluate and save, when it is time."""
        work = self.work
        steps, spec = work.plan.steps, work.spec
        evaluates = step == steps or (spec.evaluate_every is not None and step % spec.evaluate_every == 0)
        saves = step % spec.save_every == 0 if spec.save_every else work.plan.ends_pass(step)
        if step % max(1, steps // LOGGED) == 0 or evaluates:
            counted = self._sums.take()
            rate = self._optimizer.param_groups[0]["lr"]
            more = {"lr": rate, "norm": float(self._norm)}
            log.add(self._record("train", step, counted, work.rows) | more)
        if evaluates:
            self._evaluate(log, step)
        if step == steps:
            self._check_weights(step)
        elif saves:
            log.flush()
            self._check_weights(step)
            self._save(step)

    def _evaluate(self, log: LossLog, step: int) -> None:
        """One pass over the held-out rows."""
        work, held = self.work, self.work.validation
        if held is None:
            return
        updates = batches(held, work.spec, 0, packed=work.plan.packed)
        arrays = (one for update in updates for one in self._arrays(held, update))
        counted = evaluate(self.forward, arrays, len(held.cells), packed=work.plan.packed)
        self._check(counted.mean() or 0.0, "validation loss", step)
        log.add(self._record("validation", step, counted, held))
        log.flush()

    def _record(self, kind: str, step: int, counted: CellLosses, rows: EncodedRows) -> dict[str, Any]:
        number, index = self.work.plan.position(step)
        passed = number + (index / self.work.plan.updates[number] if index else 0)
        return {
            "kind": kind,
            "step": step,
            "epoch": round(passed, 4),
            "loss": counted.mean(),
            "tokens": int(counted.tokens.sum()),
            "cells": counted.by_cell(rows.cells),
        }

    def _save(self, step: int) -> None:
        import torch

        work = self.work
        tensors, data = work.tuning.state(work.model)
        state = {f"method.{name}": tensor for name, tensor in tensors.items()}
        state["random.cpu"] = torch.get_rng_state()
        if self.forward.device.type == "cuda":
            state["random.cuda"] = torch.cuda.get_rng_state(self.forward.device)
        window = self._sums.take()
        self._sums.put(window)
        facts = {
            "identity": work.identity,
            "done": vars(self.done),
            "window": {"loss": window.loss.tolist(), "tokens": window.tokens.tolist()},
            "method": data,
            "scaler": self._scaler.state_dict(),
        }
        moments = optimizer_tensors(self._optimizer, self._names)
        checkpoints.save(work.folder / "checkpoints", Checkpoint(step, self._trained, moments, state, facts))

    def _restore(self, start: Checkpoint) -> None:
        """Make everything as it was after the checkpoint's step."""
        import torch

        facts = start.facts
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(start.trained[name])
        restore_optimizer(self._optimizer, self._names, start.optimizer)
        kept = {name.removeprefix("method."): one for name, one in start.state.items() if name.startswith("method.")}
        self.work.tuning.restore(self.work.model, kept, facts["method"])
        self._scaler.load_state_dict(facts["scaler"])
        loss, tokens = np.array(facts["window"]["loss"]), np.array(facts["window"]["tokens"], dtype=np.int64)
        self._sums.put(CellLosses(loss, tokens))
        self.done = Done(**facts["done"])
        torch.set_rng_state(start.state["random.cpu"])
        if self.forward.device.type == "cuda" and "random.cuda" in start.state:
            torch.cuda.set_rng_state(start.state["random.cuda"], self.forward.device)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's generators with a seed, and give the caller's random state back."""
    import torch

    state = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
