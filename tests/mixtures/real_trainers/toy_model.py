"""A model's folder whose tokenizer has a token for every byte, so that decoding gives a text back."""

from __future__ import annotations

from pathlib import Path

END, START, PADDING = "<|im_end|>", "<|im_start|>", "<|endoftext|>"

CHAT = """\
{%- if tools %}<|im_start|>tools
{{ tools | tojson }}<|im_end|>
{% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.reasoning_content %}<think>
{{ message.reasoning_content }}
</think>

{% endif %}{{ message.content }}<|im_end|>
{% endfor %}"""


def toy_model(folder: Path) -> str:
    """Write it, and name it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([PADDING, START, END, *alphabet])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=END, pad_token=PADDING, additional_special_tokens=[START]
    )
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = Qwen2Config(vocab_size=len(vocabulary), num_key_value_heads=1, **size)
    config.architectures = ["Qwen2ForCausalLM"]
    config.save_pretrained(folder)
    return str(folder)


def learnt(row: dict[str, list[int]]) -> list[int]:
    """The tokens that have a loss."""
    return [label for label in row["labels"] if label != -100]
