"""A row's loss is its own: packed or not, whatever stands beside it, on whatever side it is filled up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toys

from doit.errors import SpecError
from doit.trainers import spec
from doit.trainers.losses import Forward, evaluate
from doit.trainers.methods import tuning
from doit.trainers.models import ModelPlace, load_config, load_model, need_libraries, quiet
from doit.trainers.packing import collate
from doit.trainers.probe import packing_allowed, probe
from doit.trainers.rows import CellReport, EncodedRows

VOCABULARY = 300
SMALL: dict[str, dict[str, Any]] = {
    "mpt": {"model_type": "mpt", "d_model": 32, "n_layers": 2, "n_heads": 4},
    "falcon": {"model_type": "falcon", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "opt": {
        "model_type": "opt",
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
    "mamba": {"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 2, "pad_token_id": 0},
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 0, "eos_token_id": 0},
    **toys.MODELS,
}

pytestmark = pytest.mark.usefixtures("_one_thread")


def model(kind: str, attention: str | None = None) -> Any:
    import torch

    need_libraries()
    new = spec.NewModel(config={**SMALL[kind], "vocab_size": VOCABULARY})
    place = ModelPlace(kind, None)
    with quiet():
        return load_model(place, load_config(place, new), seed=0, dtype=torch.float32, attention=attention)


def rows(lengths: tuple[int, ...] = (9, 4, 17, 6)) -> EncodedRows:
    """Random tokens; every second one is learned, and every other row is of another cell."""
    generator = np.random.default_rng(0)
    total = sum(lengths)
    cells = (("en", "code"), ("zh-Hans", None))
    return EncodedRows(
        ids=generator.integers(1, VOCABULARY, total, dtype=np.int32),
        supervised=np.arange(total) % 2 == 1,
        offsets=np.cumsum([0, *lengths], dtype=np.int64),
        cell=np.arange(len(lengths), dtype=np.int32) % 2,
        record=np.array([f"{number:032x}" for number in range(len(lengths))]),
        cells=cells,
        report=tuple(CellReport(*cell) for cell in cells),
        refusals={},
        max_tokens=64,
    )


def sums(forward: Forward, held: EncodedRows, parts: list[list[list[int]]], **how: Any) -> np.ndarray[Any, Any]:
    """Loss and tokens of both cells, (2, 2)."""
    packed = how.pop("packed", False)
    arrays = [collate(held, part, packed=packed, pad_id=0, **how) for part in parts]
    counted = evaluate(forward, arrays, len(held.cells), packed=packed)
    return np.stack([counted.loss, counted.tokens])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_packed_loss_is_unpacked_loss(kind: str, attention: str) -> None:
    forward, held = Forward(model(kind, attention)), rows()

    alone = sums(forward, held, [[[0]], [[1]], [[2]], [[3]]])
    packed = sums(forward, held, [[[0, 1, 2], [3]]], packed=True)

    np.testing.assert_allclose(packed, alone, rtol=1e-5)
    assert alone[1].sum() == sum(int(held.row(number)[1][1:].sum()) for number in range(4))


def test_with_a_cache_packed_conversations_would_see_each_other() -> None:
    """So that the test above could fail: the library's own default leaks."""
    forward, held = Forward(model("llama")), rows()
    alone = sums(forward, held, [[[0]], [[1]], [[2]], [[3]]])
    forward.options = {"use_cache": True}

    assert abs(sums(forward, held, [[[0, 1, 2, 3]]], packed=True)[0] - alone[0]).max() > 5e-3


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2", "bloom", "opt", "falcon", "mpt"])
def test_padding_and_company_do_not_change_a_rows_loss(kind: str) -> None:
    forward, held = Forward(model(kind)), rows()
    alone = sums(forward, held, [[[0]], [[1]], [[2]], [[3]]])

    together = sums(forward, held, [[[0], [1], [2], [3]]])
    left = sums(forward, held, [[[0], [1], [2], [3]]], pad_side="left")
    wide = sums(forward, held, [[[3], [0]], [[2], [1]]], multiple_of=32)

    for other in (together, left, wide):
        np.testing.assert_allclose(other, alone, rtol=1e-5)


def test_losses_are_those_of_the_library() -> None:
    """Mean over the supervised tokens, as the model itself computes it from unshifted labels."""
    import torch

    tiny, held = model("llama"), rows()
    arrays = collate(held, [[0], [1], [2], [3]], packed=False, pad_id=0)
    given = {name: torch.from_numpy(arrays[name]) for name in ("input_ids", "labels", "attention_mask")}
    with torch.no_grad():
        theirs = float(tiny(**given).loss)

    ours = sums(Forward(tiny), held, [[[0], [1], [2], [3]]])

    assert ours[0].sum() / ours[1].sum() == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("method", [spec.Prompt(tokens=5), spec.PTuning(tokens=5), spec.Prefix(tokens=5)])
def test_virtual_tokens_shift_nothing(method: spec.Method) -> None:
    """The library's own loss, which pads the labels itself, is ours."""
    import torch

    wrapped = tuning(method, 0).apply(model("llama")).eval()
    held = rows()
    arrays = collate(held, [[0]], packed=False, pad_id=0)
    with torch.no_grad():
        given = {name: torch.from_numpy(arrays[name]) for name in ("input_ids", "labels")}
        theirs = float(wrapped(**given, use_cache=False).loss)

    ours = sums(Forward(wrapped), held, [[[0]]])

    assert ours[0].sum() / ours[1].sum() == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_the_probe_lets_those_pass_that_keep_conversations_apart(kind: str) -> None:
    for attention in ("sdpa", "eager"):
        found = probe(model(kind, attention))
        assert found.safe, found
        assert found.leak == 0
        assert found.difference < 1e-5


@pytest.mark.parametrize("kind", ["bloom", "mpt", "falcon", "opt", "mamba"])
def test_the_probe_refuses_those_that_leak(kind: str) -> None:
    import torch

    tiny = model(kind)
    state = torch.get_rng_state()

    found = probe(tiny)

    assert not found.safe
    assert "of their spread" in found.why
    assert torch.equal(state, torch.get_rng_state())
    plain = tuning(spec.Full(), 0)
    assert packing_allowed("auto", tiny, plain)[0] is False
    with pytest.raises(SpecError, match="would see each other") as caught:
        packing_allowed(True, tiny, plain)
    assert caught.value.code == "D603"


@pytest.mark.parametrize(
    "method",
    [
        spec.Prompt(),
        spec.PTuning(),
        spec.Prefix(),
        spec.Peft(config={"peft_type": "MULTITASK_PROMPT_TUNING", "num_virtual_tokens": 4}),
    ],
)
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_the_probe_refuses_virtual_tokens_on_any_model(kind: str, method: spec.Method) -> None:
    found, why = packing_allowed("auto", model(kind), tuning(method, 0))

    assert not found
    assert "stand before one conversation only" in why


def test_virtual_tokens_would_leak_in_fact() -> None:
    wrapped = tuning(spec.Prefix(), 0).apply(model("llama"))

    assert not probe(wrapped).safe
