"""The configuration of a new model: keys that its architecture does not know are refused, not kept and ignored."""

from __future__ import annotations

from typing import Any

import pytest
import toys

from doit.errors import SpecError
from doit.trainers.models import ModelPlace, load_config
from doit.trainers.spec import NewModel


def loaded(config: dict[str, Any]) -> Any:
    return load_config(ModelPlace("new", None), NewModel(config=config))


@pytest.mark.parametrize(
    ("config", "code", "said"),
    [
        ({**toys.LLAMA, "hiden_size": 64}, "D202", r"model\.config\.hiden_size: .*Did you mean \"hidden_size\"\?"),
        ({**toys.LLAMA, "n_layre": 1, "foo": 2}, "D202", r"LlamaConfig has no such key; nor does it know foo\."),
        ({**toys.BLOOM, "num_key_value_heads": 2}, "D202", r"model\.config\.num_key_value_heads"),
        ({"model_type": "lama"}, "D203", r'no architecture "lama"\. Did you mean "llama"\?'),
        ({"model_type": "模型"}, "D203", r"It takes the names of transformers, such as llama\."),
        (
            {"model_type": "gemma3", "text_config": {"hiden_size": 8}},
            "D202",
            r"model\.config\.text_config\.hiden_size: Gemma3TextConfig",
        ),
        ({**toys.LLAMA, "hidden_size": "abc"}, "D204", "hidden_size"),
    ],
)
def test_a_key_or_an_architecture_that_nobody_knows_is_named(config: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        loaded(config)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        ({**toys.BLOOM, "num_hidden_layers": 3, "model_type": "bloom"}, "n_layer", 3),
        ({"model_type": "gpt2", "n_positions": 64}, "max_position_embeddings", 64),
        ({"model_type": "llama", "attention_bias": True, "torch_dtype": "float32"}, "attention_bias", True),
        ({"model_type": "bert", "is_decoder": True}, "is_decoder", True),
        (
            {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 8}},
            "model_type",
            "gemma3",
        ),
    ],
)
def test_both_names_of_a_key_and_those_of_published_files_are_read(
    config: dict[str, Any], key: str, value: Any
) -> None:
    config = {name: one for name, one in config.items() if name != "n_layer" or key != "n_layer"}

    assert getattr(loaded(config), key) == value


def test_the_old_name_of_a_rotary_base_is_still_read() -> None:
    read = loaded({**toys.LLAMA, "rope_theta": 1234.0})

    assert read.rope_parameters["rope_theta"] == 1234.0
