"""Trainable parameters of the papers' models, counted on models without weights; names that a model lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toys

from doit.errors import SpecError
from doit.trainers import spec
from doit.trainers.adapters import parameters
from doit.trainers.dry_running import dry_run
from doit.trainers.loading import load_trainer
from doit.trainers.methods import tuning
from doit.trainers.models import find_model, load_config, meta_model, need_libraries, quiet

BLOOM_7B1 = {"model_type": "bloom", "vocab_size": 250880, "hidden_size": 4096, "n_layer": 30, "n_head": 32}
LLAMA_7B = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
LLAMA_13B = {
    **LLAMA_7B,
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_hidden_layers": 40,
    "num_attention_heads": 40,
}
SIX = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
SEVEN = (*SIX, "o_proj")
FUSED = ("query_key_value",)

PUBLISHED = [
    pytest.param(BLOOM_7B1, spec.Prompt(tokens=20), 81_920, id="bloom-prompt"),
    pytest.param(BLOOM_7B1, spec.PTuning(tokens=20, hidden=128), 1_151_232, id="bloom-p-tuning"),
    pytest.param(BLOOM_7B1, spec.Prefix(tokens=20, projection=True, hidden=128), 32_309_376, id="bloom-prefix"),
    pytest.param(BLOOM_7B1, spec.Lora(rank=32, targets=FUSED), 15_728_640, id="bloom-lora"),
    pytest.param(BLOOM_7B1, spec.AdaLora(init_rank=12, targets=FUSED), 5_898_600, id="bloom-adalora"),
    pytest.param(LLAMA_7B, spec.Lora(rank=8, targets=SIX), 17_891_328, id="llama-7b-six"),
    pytest.param(LLAMA_13B, spec.Lora(rank=8, targets=SIX), 28_016_640, id="llama-13b-six"),
    pytest.param(LLAMA_7B, spec.Lora(rank=16, targets=SEVEN), 39_976_960, id="llama-belle"),
    pytest.param(LLAMA_7B, spec.Lora(rank=8, targets=("q_proj", "v_proj")), 4_194_304, id="llama-q-v"),
]
"""Alpaca-CoT's Table 4, BELLE's tables and its published LoRA file."""


SHIPPED = {
    "alpaca-cot-prompt": (BLOOM_7B1, 81_920),
    "alpaca-cot-p-tuning": (BLOOM_7B1, 1_151_232),
    "alpaca-cot-prefix": (BLOOM_7B1, 32_309_376),
    "alpaca-cot-adalora": (BLOOM_7B1, 5_898_600),
    "alpaca-cot-lora": (LLAMA_7B, 4_194_304),
    "belle-lora": (LLAMA_7B, 39_976_960),
    "belle-lora-paper": (LLAMA_7B, 17_891_328),
    "belle-full": (LLAMA_7B, 6_738_415_616),
}


def empty(keys: dict[str, Any]) -> Any:
    need_libraries()
    model = spec.NewModel(config=keys)
    with quiet():
        return meta_model(load_config(find_model(model, None, Path()), model))


@pytest.mark.parametrize(("keys", "method", "published"), PUBLISHED)
def test_a_method_trains_as_many_numbers_as_its_paper_says(
    keys: dict[str, Any], method: spec.Method, published: int
) -> None:
    model = tuning(method, 0).apply(empty(keys))

    assert parameters(model)[0] == published
    assert all(one.is_meta for name, one in model.named_parameters() if "prompt_encoder" not in name)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_specs_train_as_many(name: str) -> None:
    keys, published = SHIPPED[name]
    given, _ = load_trainer(name)

    assert parameters(tuning(given.method, 0).apply(empty(keys)))[0] == published


def test_a_matrix_that_is_input_and_output_counts_once() -> None:
    tied, apart = (
        parameters(empty({**LLAMA_7B, "num_hidden_layers": 1, "tie_word_embeddings": value}))[1]
        for value in (True, False)
    )

    assert apart - tied == 32000 * 4096


def test_the_names_of_layers_are_told_where_a_target_is_none() -> None:
    with pytest.raises(SpecError) as caught:
        tuning(spec.Lora(targets=("q_prj",)), 0).apply(empty(toys.LLAMA))

    assert caught.value.code == "D203"
    assert 'Did you mean "q_proj"?' in caught.value.hint
    assert "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj" in caught.value.hint
    with pytest.raises(SpecError, match="It has dense, dense_4h_to_h, dense_h_to_4h, query_key_value"):
        tuning(spec.Ia3(), 0).apply(empty(toys.BLOOM))


@pytest.mark.parametrize(
    ("config", "code", "said"),
    [
        ({"peft_type": "LOHHA"}, "D203", 'Did you mean "LOHA"'),
        ({"peft_type": "ADALORA"}, "D203", "`kind` of its own"),
        ({"peft_type": "LOHA", "rank": 4}, "D202", "method.config.rank"),
        ({"peft_type": "LOHA", "base_model_name_or_path": "x/y"}, "D202", "unknown key"),
        ({"peft_type": "LOHA", "r": 0, "target_modules": ["q_proj"]}, "D204", "PEFT refuses it"),
        ({"peft_type": "LOHA", "target_modules": ["w"]}, "D203", 'no layer "w"'),
    ],
)
def test_a_configuration_of_peft_is_checked(config: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        tuning(spec.Peft(config=config), 0).apply(empty(toys.LLAMA))
    assert caught.value.code == code


def test_methods_that_contradict_themselves_or_are_not_there_yet_are_refused() -> None:
    with pytest.raises(SpecError, match=r"pissa.*dora") as caught:
        tuning(spec.Lora(pissa=True, dora=True), 0).apply(empty(toys.LLAMA))
    assert caught.value.code == "D207"
    with pytest.raises(SpecError, match="cannot be trained yet") as caught:
        tuning(spec.Adapter(), 0)
    assert caught.value.code == "D210"
    with pytest.raises(SpecError, match=r"start 200 and end 1000 leave none of the training's 50 steps") as caught:
        tuning(spec.AdaLora(), 50).apply(empty(toys.LLAMA))
    assert caught.value.code == "D207"


def test_a_dry_run_counts_without_weights_and_needs_no_tokenizer(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    config = empty(LLAMA_7B).config
    config.save_pretrained(tmp_path / "base")
    with_rows = toys.trainer()

    alone = dry_run(toys.trainer(model="base", tokenizer=None), None, beside=tmp_path)
    counted = dry_run(with_rows, toy, beside=tmp_path)

    assert (alone.trainable, alone.total) == (9_994_240, 6_738_415_616 + 9_994_240)
    assert alone.model_dump() == {
        "trainable": 9_994_240,
        "total": 6_748_409_856,
        "rows": None,
        "tokens": None,
        "steps": None,
        "refused": alone.refused,
        "notes": (),
    }
    assert "D206" in (alone.refused or "")
    assert "no weights in safetensors" in (alone.refused or "")
    assert (counted.refused, counted.notes) == (None, ())
    assert (counted.rows, counted.steps) == (72, 12)
    assert counted.tokens is not None
    assert counted.tokens > 72 * 10
