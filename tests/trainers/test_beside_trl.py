"""The same rows in TRL: its losses on answers alone, and the chat templates of real models that it carries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rows_written import build
from small_tokenizers import CONTROLS, bytes_bpe, conversation, encoded, letters, spec

from doit.errors import SpecError
from doit.trainers.chat_template import DATE
from doit.trainers.packing import collate
from doit.trainers.rendering import CannotRender
from doit.trainers.rows import encode

trl = pytest.importorskip("trl", reason="TRL is a yardstick, not a dependency")

LLAMA3 = (
    "{%- for m in messages %}{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' }}"
    "{%- if m['role'] == 'assistant' %}{% generation %}{{- m['content'] | trim + '<|eot_id|>' }}{% endgeneration %}"
    "{%- else %}{{- m['content'] | trim + '<|eot_id|>' }}{%- endif %}{%- endfor %}"
)
ROWS = [
    {"turns": ["Hello, how are you?", "你好，世界！ Today is fine."]},
    {"turns": ["今天天氣", "很好。", "and you?", "Hello world\n\nuser"], "system": "Be good."},
    {"turns": ["x" * 30, " y "]},
    {"turns": ["一", "二三四五"]},
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(vocabulary: int) -> Any:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=vocabulary, num_key_value_heads=2, initializer_range=0.2, **shape))


@pytest.mark.slow
def test_the_loss_is_that_of_trl_on_answers_alone(tmp_path: Path) -> None:
    import torch
    from datasets import Dataset

    tokenizer = bytes_bpe(LLAMA3)
    tokenizer.eos_token = "<|eot_id|>"
    mixture = build(tmp_path, ROWS)
    rows = encode(mixture, "train", spec(), tokenizer)
    model = tiny(len(tokenizer)).eval()

    import polars as pl

    table = pl.read_parquet(mixture / "data" / "train-*.parquet")
    options = trl.SFTConfig(
        output_dir=str(tmp_path / "trl"),
        assistant_only_loss=True,
        max_length=None,
        shuffle_dataset=False,
        report_to="none",
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        disable_tqdm=True,
    )
    data = Dataset.from_dict({"messages": table["messages"].to_list()})
    trainer = trl.SFTTrainer(model=model, args=options, train_dataset=data, processing_class=tokenizer)
    prepared = list(trainer.train_dataset)

    with torch.no_grad():
        for at in [(n,) for n in range(len(rows))] + [tuple(range(len(rows)))]:
            theirs = trainer.data_collator([prepared[n] for n in at])
            arrays = collate(rows, [(n,) for n in at], packed=False, pad_id=tokenizer.pad_token_id)
            ours = {name: torch.from_numpy(arrays[name]) for name in ("input_ids", "attention_mask", "labels")}
            assert ours["input_ids"].tolist() == theirs["input_ids"].tolist()
            losses = [
                float(
                    model(
                        input_ids=batch["input_ids"], attention_mask=batch.get("attention_mask"), labels=batch["labels"]
                    ).loss
                )
                for batch in (ours, theirs)
            ]
            assert losses[0] == pytest.approx(losses[1], abs=1e-5)


TEMPLATES = sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))
MARKS = (
    *("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|END_RESPONSE|>", "<|CHATBOT_TOKEN|>", "<|begin_of_text|>"),
    *("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<turn|>", "<|turn>", "<|start|>", "<|message|>"),
    *("<|channel|>", "<|return|>", "<|eot|>"),
)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_templates_of_real_models_give_the_ids_of_transformers_and_learn_the_answers(path: Path) -> None:
    """With a token a character no cut moves a token, so the ids are those of the whole text."""
    tokenizer = letters(path.read_text(encoding="utf-8"), controls=(*CONTROLS, *MARKS), bos_token="<s>")
    asked = [
        conversation("Hi", "Hello!", "And now?", "Yes, now."),
        conversation("Hi", "Hello!", system="Be good"),
    ]
    dated = {"date_string": DATE} if "strftime_now" in tokenizer.chat_template else {}
    tried = 0
    for one in asked:
        try:
            ((ids, mask),) = encoded(tokenizer, spec(), one)
        except (CannotRender, SpecError):
            continue
        tried += 1
        turns = [message._asdict() for message in one.messages]
        assert ids == tokenizer.apply_chat_template(turns, tokenize=True, **dated)["input_ids"]
        text = tokenizer.decode([id_ for id_, now in zip(ids, mask, strict=True) if now])
        for mark in (*CONTROLS, *MARKS):
            text = text.replace(mark, "|")
        answers = [message.content for message in one.messages if message.role == "assistant"]
        assert [part.strip() for part in text.split("|") if part.strip()] == answers
    refused = {"cohere2", "glm4moe", "idefics3", "smolvlm", "gemma", "llava_next", "nemotron_3_5_lightning"}
    assert tried or any(path.stem.startswith(name) for name in refused), path.stem
