"""A numeric probe before training: can conversations that share a sequence see each other?

Models differ in whether position ids alone keep packed conversations apart, and their documentation does not say. Two
short rows of random tokens are run together and alone, and the first is exchanged: the second must not notice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from doit.errors import SpecError
from doit.trainers.losses import Forward
from doit.trainers.method_base import Tuning
from doit.trainers.models import quiet

LENGTHS = (9, 8)
"""Tokens of the two rows."""

TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 1e-2}
"""Largest difference from the row alone, as a part of the spread of its logits."""


class Probed(NamedTuple):
    """What the probe found."""

    safe: bool
    leak: float
    """Largest change of the second row's logits when the first is exchanged, as a part of their spread."""
    difference: float
    """Largest difference of them from the row alone."""
    why: str
    """In a sentence."""


def probe(model: Any, *, autocast: Any = None, seed: int = 0) -> Probed:
    """Run the probe on a model as it is; nothing of it is changed, its random state included.

    Args:
        model: a causal language model, wrapped or not.
        autocast: dtype that products are computed in.
        seed: of the random tokens.
    """
    import torch

    forward = Forward(model, autocast=autocast)
    generator = torch.Generator().manual_seed(seed)
    vocabulary = int(model.config.get_text_config().vocab_size)
    first, other = (torch.randint(vocabulary, (1, LENGTHS[0]), generator=generator) for _ in range(2))
    second = torch.randint(vocabulary, (1, LENGTHS[1]), generator=generator)
    training = model.training
    model.eval()
    try:
        with quiet():
            together, exchanged = (_packed(forward, one, second) for one in (first, other))
            alone = _packed(forward, None, second)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        return Probed(False, float("inf"), float("inf"), f"it does not take position ids ({line})")
    finally:
        model.train(training)
    spread = float(alone.std()) or 1.0
    leak = float((together - exchanged).abs().max()) / spread
    difference = float((together - alone).abs().max()) / spread
    name = str(autocast or next(model.parameters()).dtype).removeprefix("torch.")
    if leak > 1e-4:
        why = f"exchanging one conversation moves the logits of the next by {leak:.1e} of their spread"
        return Probed(False, leak, difference, why)
    if not difference <= TOLERANCE.get(name, 1e-4):
        why = f"a packed conversation's logits differ from its own alone by {difference:.1e} of their spread"
        return Probed(False, leak, difference, why)
    return Probed(True, leak, difference, "a packed conversation's logits are those that it has alone")


def _packed(forward: Forward, first: Any, second: Any) -> Any:
    """Logits of the second row's tokens, (8, vocabulary), float32."""
    import torch

    rows = [row for row in (first, second) if row is not None]
    positions = torch.cat([torch.arange(row.shape[1]) for row in rows]).unsqueeze(0)
    inputs = {"input_ids": torch.cat(rows, dim=1), "position_ids": positions}
    with torch.no_grad(), forward.context():
        out = forward.model(**{name: tensor.to(forward.device) for name, tensor in inputs.items()}, **forward.options)
    return out.logits[0, -second.shape[1] :].to(torch.float32)


def check_causal(model: Any, *, autocast: Any = None, seed: int = 0, where: str = "") -> None:
    """Exchange the last of a few random tokens: what the model says of those before it must stay.

    Encoders such as BERT have a language-model head too. Trained on the next token they read it off, and learn nothing.

    Args:
        model: as `probe` takes it.
        autocast: dtype that products are computed in.
        seed: of the random tokens.
        where: what an error is said of; the architecture if not given.

    Raises:
        SpecError: D204 a token sees later ones, or the model cannot be run at all.
    """
    import torch

    where = where or str(model.config.model_type)
    generator = torch.Generator().manual_seed(seed)
    vocabulary = int(model.config.get_text_config().vocab_size)
    row = torch.randint(vocabulary, (1, LENGTHS[0]), generator=generator)
    other = row.clone()
    other[0, -1] = (other[0, -1] + 1) % vocabulary
    training = model.training
    model.eval()
    try:
        forward = Forward(model, autocast=autocast)
        with quiet(), torch.no_grad(), forward.context():
            first, second = (
                forward.model(input_ids=one.to(forward.device), **forward.options).logits[0, :-1].to(torch.float32)
                for one in (row, other)
            )
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError, NotImplementedError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        hint = "Look at the numbers of its configuration."
        raise SpecError("D204", f"it cannot be run: {line}.", where=where, hint=hint) from None
    finally:
        model.train(training)
    moved = float((first - second).abs().max()) / (float(first.std()) or 1.0)
    if moved > (1e-3 if autocast is None else 2e-2):
        what = "its tokens see those behind them: this is no causal language model."
        raise SpecError("D204", what, where=where, hint="Choose a decoder, such as llama.")


def packing_allowed(asked: bool | str, model: Any, tuning: Tuning[Any], *, autocast: Any = None) -> tuple[bool, str]:
    """Whether conversations are packed, and why or why not.

    Args:
        asked: the spec's `packing`.
        model: a causal language model, before or after the method was applied.
        tuning: the method.
        autocast: dtype that products are computed in.

    Raises:
        SpecError: D603 packing is asked for where conversations would see each other.
    """
    if asked is False:
        return False, "not asked for"
    if tuning.prompted:
        found, why = False, f"the virtual tokens of `{tuning.method.kind}` stand before one conversation only"
    else:
        probed = probe(model, autocast=autocast)
        found, why = probed.safe, probed.why
    if asked is True and not found:
        hint = "Write `packing: auto`, or `false`."
        raise SpecError("D603", f"packed conversations would see each other: {why}.", where="packing", hint=hint)
    return found, why
