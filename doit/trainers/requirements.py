"""Whether a training could run here: what is known of it before any weights are loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from doit.errors import SpecError
from doit.trainers.methods import tuning
from doit.trainers.models import need_libraries, positions
from doit.trainers.optimizing import warmup_steps
from doit.trainers.probe import packing_allowed
from doit.trainers.rows import EncodedRows
from doit.trainers.spec import FittedTokenizer, NewModel, QLora, TrainerSpec


def check_machine(spec: TrainerSpec) -> None:
    """Refuse what this machine lacks, and parts of a spec that do not go together.

    Raises:
        MissingExtra: D208 a library that the method needs is not installed.
        SpecError: D204 the precision, D207 or D603 the method does not go with the rest.
    """
    method = tuning(spec.method, 0)
    if isinstance(spec.method, QLora):
        need_libraries("bitsandbytes")
        if isinstance(spec.model, NewModel):
            what = "`qlora` quantises weights that are there, and those of a new model are drawn."
            raise SpecError("D207", what, where="method", hint="Use `kind: lora`, or name a model.")
    chosen_precision(spec)
    if not method.prompted:
        return
    packing_allowed(spec.packing, None, method)
    if spec.recompute:
        what = f"`recompute` does not go with `{spec.method.kind}`."
        raise SpecError("D207", what, where="recompute", hint="Leave it out.")


def chosen_precision(spec: TrainerSpec) -> str:
    """What products are computed in: `fp32`, `bf16` or `fp16`.

    Raises:
        SpecError: D204 this machine does not have it.
    """
    import torch

    gpu = torch.cuda.is_available()
    if spec.precision == "auto":
        return "fp32" if not gpu else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if spec.precision == "fp16" and not gpu:
        hint = "Add `--set precision=auto`."
        raise SpecError("D204", "fp16 needs a GPU, and there is none.", where="precision", hint=hint)
    return spec.precision


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Say in our words that the GPU, or the machine, has too little memory.

    Raises:
        SpecError: D608.
    """
    import torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        gpu = isinstance(error, torch.OutOfMemoryError)
        if not gpu and not isinstance(error, MemoryError) and "allocate memory" not in str(error):
            raise
        hint = "Raise `accumulate`, lower `max_tokens`, write `recompute: true`, or train less: `kind: lora`, `qlora`."
        where = "the GPU" if gpu else "this machine"
        raise SpecError("D608", "there is too little memory for this training.", where=where, hint=hint) from None


def check_rows(spec: TrainerSpec, config: Any, splits: list[EncodedRows], *, vocabulary: int) -> None:
    """Refuse rows that the model has no places or no embeddings for.

    Args:
        spec: the trainer spec.
        config: the model's configuration.
        splits: all rows that it is to see.
        vocabulary: tokens that the model embeds, those that the template added included.

    Raises:
        SpecError: D204 a row is longer than the model has positions for; D601 a token is not in its vocabulary.
    """
    virtual, most = tuning(spec.method, 0).virtual, positions(config)
    longest = max(int(rows.lengths.max()) for rows in splits)
    if most is not None and longest + virtual > most:
        more = f" behind {virtual:,} virtual ones" if virtual else ""
        what = f"a row has {longest:,} tokens{more}, and the model was made for {most:,}."
        hint = f"Give `max_tokens: {most - virtual}`." if most > virtual else "Use fewer virtual tokens."
        raise SpecError("D204", what, where="max_tokens", hint=hint)
    highest = max(int(rows.ids.max()) for rows in splits)
    if highest >= vocabulary:
        what = f"it has a token of number {highest:,}, and the model embeds {vocabulary:,}."
        raise SpecError("D601", what, where="tokenizer", hint="Use the model's own tokenizer.")


def spec_notes(spec: TrainerSpec, steps: int) -> list[str]:
    """What is allowed and hardly meant, a sentence each.

    Args:
        spec: the trainer spec.
        steps: of the training.
    """
    notes = []
    warmup = warmup_steps(spec.optimizer, steps)
    if warmup >= steps:
        what = "nothing is learned" if steps == 1 else "it never comes to `lr`"
        notes.append(f"the learning rate rises from 0 for {warmup:,} steps, and there are {steps:,}: {what}.")
    if isinstance(spec.tokenizer, FittedTokenizer) and not isinstance(spec.model, NewModel):
        notes.append("the tokenizer is fitted anew, and the model's embeddings belong to its own.")
    return notes
