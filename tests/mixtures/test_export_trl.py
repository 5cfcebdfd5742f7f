"""The TRL export as TRL's own trainer prepares it: loaded, rendered, tokenised, masked."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import doit
from doit import yamlio

Row = dict[str, Any]

# A model of one tiny layer and a tokenizer of single bytes, so that decoding gives the text back to the last character.
PREPARE = r"""
import json, sys
from datasets import disable_progress_bars, load_dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

disable_progress_bars()
source, folder = sys.argv[1:]
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {piece: number for number, piece in enumerate(["<end>", "<start>", *alphabet])}
bytes_alone = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
bytes_alone.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=bytes_alone, eos_token="<end>", pad_token="<end>", additional_special_tokens=["<start>"]
)
tokenizer.chat_template = (
    "{% for m in messages %}<start>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<end>{% endgeneration %}"
    "{% else %}{{ m.content }}<end>{% endif %}{% endfor %}"
)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
))
train = load_dataset(source, split="train", cache_dir=folder + "/cache")
options = SFTConfig(
    output_dir=folder + "/run", max_length=None, assistant_only_loss=True, use_cpu=True, report_to="none", bf16=False,
    dataset_num_proc=None,
)
trainer = SFTTrainer(model=model, args=options, train_dataset=train, processing_class=tokenizer)
for row in trainer.train_dataset:
    learnt = [one for one, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100]
    print(json.dumps([tokenizer.decode(row["input_ids"]), tokenizer.decode(learnt)]))
"""


def prepared(source: Path, folder: Path) -> list[list[str]]:
    """Of every training row what TRL makes of it: the whole text, and what of it is learnt."""
    for library in ("trl", "torch", "transformers"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    command = [sys.executable, "-W", "ignore", "-c", PREPARE, str(source), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, cwd=folder.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    rows: list[Row] = [
        {"messages": [{"role": "user", "content": "一加一？"}, {"role": "assistant", "content": "二。😀"}]},
        {
            "messages": [
                {"role": "user", "content": "Name: e\u0301\r\n"},
                {"role": "assistant", "content": "  two\n\nlines"},
            ]
        },
        {
            "messages": [
                {"role": "system", "content": "你是助手。"},
                {"role": "user", "content": "繁體字"},
                {"role": "assistant", "content": "第一"},
                {"role": "user", "content": "再來"},
                {"role": "assistant", "content": "第二"},
            ]
        },
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    card = {"name": "mine", "license": "CC-BY-4.0", "shape": {"kind": "messages"}, "source": {"files": "rows.jsonl"}}
    document = {"name": "small", "size": "all", "sources": [{"dataset": card}]}
    (tmp_path / "spec.yaml").write_text(yamlio.dump(document), encoding="utf-8")
    doit.build(tmp_path / "spec.yaml", tmp_path / "mixture")
    return tmp_path / "mixture"


@pytest.mark.slow
def test_trl_prepares_the_export(mixture: Path, tmp_path: Path) -> None:
    doit.convert(mixture, tmp_path / "export", to="trl")
    lines = (tmp_path / "export" / "train.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    conversations = [json.loads(line)["messages"] for line in lines]
    assert len(conversations) == 3

    found = prepared(tmp_path / "export", tmp_path / "trl")

    whole = ["".join(f"<start>{turn['role']}\n{turn['content']}<end>" for turn in turns) for turns in conversations]
    learnt = [
        "".join(f"{turn['content']}<end>" for turn in turns if turn["role"] == "assistant") for turns in conversations
    ]
    assert found == [list(pair) for pair in zip(whole, learnt, strict=True)]
