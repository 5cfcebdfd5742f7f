"""How long it takes to render, tokenise, mask and pack 100,000 rows, beside TRL and LLaMA-Factory.

    python benchmarks/tokens.py [--rows 100000] [--rounds 2] [--llamafactory PYTHON]

Every case runs in a process of its own, the cases in turn, round after round, on the same rows, the same tokenizer and
the same chat template; what counts is the median. TRL and LLaMA-Factory use two processes, their caches are empty, and
their time is that of their own preparation of a data set, imports and the model apart. The tokenizer is of a kind that
we encode with tiktoken. TRL needs `trl`; LLaMA-Factory wants an older transformers, hence an environment of its own,
whose interpreter is named.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}{% else %}"
    "{{ message['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LETTERS = "etaoinshrdlucmfwygpbvk"
MAX_TOKENS = 2048


Measured = tuple[tuple[float, float], int, int]
"""(Seconds, seconds of processors), tokens, learned tokens."""


class Clock:
    """Seconds that pass, and those that the processors work, in this process and its finished children."""

    def __init__(self) -> None:
        self._began, self._worked = time.perf_counter(), self._work()

    def stop(self) -> tuple[float, float]:
        return time.perf_counter() - self._began, self._work() - self._worked

    def _work(self) -> float:
        used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in used)


def words(chance: random.Random) -> tuple[list[str], list[str], list[float]]:
    """Made-up words of both languages, and how common the first n are, after Zipf's law."""
    han = [chr(0x4E00 + at) for at in range(3000)]
    chinese = ["".join(chance.choices(han, k=chance.choice((1, 2, 2, 2, 3)))) for _ in range(20_000)]
    english = ["".join(chance.choices(LETTERS, k=chance.choice((2, 3, 4, 4, 5, 6, 7, 9)))) for _ in range(20_000)]
    return chinese, english, list(itertools.accumulate(1 / (at + 2) for at in range(20_000)))


def text(chance: random.Random, kinds: tuple[list[str], list[str], list[float]], count: int) -> str:
    """Clauses of three to nine words, three texts in five Chinese."""
    chinese, english, common = kinds
    words, between, comma, stop = (chinese, "", "，", "。") if chance.random() < 0.6 else (english, " ", ", ", ". ")
    out = []
    while count > 0:
        size = min(count, chance.randrange(3, 10))
        out.append(between.join(chance.choices(words, cum_weights=common, k=size)))
        out.append(comma if chance.random() < 0.6 else stop)
        count -= size
    return "".join(out[:-1]) + stop.strip()


def make(folder: Path, rows: int) -> None:
    """Rows as JSON Lines, a mixture of them, and a tokenizer."""
    chance = random.Random(0)
    kinds = words(chance)
    lines = []
    for number in range(rows):
        turns = []
        for _ in range(1 if chance.random() < 0.8 else chance.randrange(2, 5)):
            turns.append({"role": "user", "content": f"{number} " + text(chance, kinds, 18)})
            turns.append(
                {"role": "assistant", "content": text(chance, kinds, max(4, int(chance.lognormvariate(4.2, 0.7))))}
            )
        lines.append(json.dumps({"messages": turns}, ensure_ascii=False))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer(folder, [json.loads(line)["messages"][1]["content"] for line in lines[:8000]])
    import doit

    card = {"name": "made", "shape": {"kind": "messages"}, "source": {"files": "rows.jsonl"}, "license": "unknown"}
    spec = {"name": "made", "size": "all", "sources": [{"dataset": card}]}
    (folder / "spec.yaml").write_text(json.dumps(spec), encoding="utf-8")
    os.environ["DOIT_CACHE"] = str(folder / "pool")
    doit.build(folder / "spec.yaml", folder / "mixture")


def tokenizer(folder: Path, texts: list[str]) -> None:
    """A byte-level tokenizer of 32,000 entries with the markers of ChatML."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=32_000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder / "tokenizer")


def ours(folder: Path, scratch: Path) -> Measured:
    from transformers import AutoTokenizer

    from doit.trainers.packing import pack
    from doit.trainers.rows import encode
    from doit.trainers.spec import TrainerSpec

    loaded = AutoTokenizer.from_pretrained(folder / "tokenizer")
    document = {"name": "bench", "model": "none", "method": {"kind": "full"}, "max_tokens": MAX_TOKENS}
    clock = Clock()
    rows = encode(folder / "mixture", "train", TrainerSpec.model_validate(document), loaded, scratch)
    pack(rows.lengths, MAX_TOKENS, 0)
    return clock.stop(), int(rows.offsets[-1]), int(rows.supervised.sum())


def trl(folder: Path, scratch: Path) -> Measured:
    from datasets import load_dataset
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM
    from trl import SFTConfig, SFTTrainer

    loaded = AutoTokenizer.from_pretrained(folder / "tokenizer")
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(loaded), num_key_value_heads=1, **shape))
    data = load_dataset("json", data_files=str(folder / "rows.jsonl"), split="train", cache_dir=str(scratch))
    options = SFTConfig(
        output_dir=str(scratch / "out"),
        packing=True,
        max_length=MAX_TOKENS,
        assistant_only_loss=True,
        dataset_num_proc=2,
        report_to="none",
        use_cpu=True,
        bf16=False,
    )
    seconds: list[tuple[float, float]] = []
    prepare = SFTTrainer._prepare_dataset

    def timed(*given: object, **named: object) -> object:
        clock = Clock()
        prepared = prepare(*given, **named)
        seconds.append(clock.stop())
        return prepared

    SFTTrainer._prepare_dataset = timed
    trainer = SFTTrainer(model=model, args=options, train_dataset=data, processing_class=loaded)
    tokens = learned = 0
    for batch in trainer.train_dataset.select_columns(["labels"]).with_format("numpy").iter(1000):
        for labels in batch["labels"]:
            tokens, learned = tokens + len(labels), learned + int((labels != -100).sum())
    return seconds[0], tokens, learned


def llamafactory(folder: Path, scratch: Path) -> Measured:
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from transformers import AutoTokenizer

    columns = {"messages": "messages"}
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    about = {"file_name": str(folder / "rows.jsonl"), "formatting": "sharegpt", "columns": columns, "tags": tags}
    (scratch / "dataset_info.json").write_text(json.dumps({"made": about}), encoding="utf-8")
    model, data, training, _, _ = get_train_args(
        {
            "model_name_or_path": str(folder / "tokenizer"),
            "stage": "sft",
            "do_train": True,
            "dataset": "made",
            "dataset_dir": str(scratch),
            "template": "chatml",
            "cutoff_len": MAX_TOKENS,
            "packing": True,
            "neat_packing": True,
            "preprocessing_num_workers": 2,
            "output_dir": str(scratch / "out"),
            "overwrite_cache": True,
            "cache_dir": str(scratch / "cache"),
            "report_to": "none",
            "use_cpu": True,
        }
    )
    loaded = AutoTokenizer.from_pretrained(folder / "tokenizer")
    template = get_template_and_fix_tokenizer(loaded, data)
    clock = Clock()
    made = get_dataset(template, model, data, training, stage="sft", tokenizer=loaded)["train_dataset"]
    seconds = clock.stop()
    tokens = learned = 0
    for batch in made.select_columns(["labels", "position_ids"]).iter(1000):
        for labels in batch["labels"]:
            tokens, learned = tokens + len(labels), learned + len(labels) - labels.count(-100)
    return seconds, tokens, learned


CASES = {"doit": ours, "trl": trl, "llamafactory": llamafactory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--llamafactory", metavar="PYTHON")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
            print(json.dumps(CASES[given.case](given.folder, Path(scratch))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, given.rows)
        cases = {"doit": sys.executable, "trl": sys.executable}
        cases |= {"llamafactory": given.llamafactory} if given.llamafactory else {}
        taken: dict[str, list[tuple[float, float]]] = {case: [] for case in cases}
        for _ in range(given.rounds):
            for case, python in cases.items():
                arguments = [python, __file__, "--case", case, "--folder", name]
                offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "CUDA_VISIBLE_DEVICES": ""}
                quiet = {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
                done = subprocess.run(
                    arguments, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **offline, **quiet}
                )
                (wall, work), tokens, learned = json.loads(done.stdout.strip().splitlines()[-1])
                taken[case].append((wall, work))
                print(f"{case:>13} {wall:7.1f} s, {work:7.1f} of processors, {tokens:,} tokens, {learned:,} learned")
        medians = {case: [statistics.median(each) for each in zip(*of, strict=True)] for case, of in taken.items()}
        for case, (wall, work) in medians.items():
            times, more = (value / own for value, own in zip((wall, work), medians["doit"], strict=True))
            print(f"{case:>13} {wall:7.1f} s = {times:.2f} × doit, {work:7.1f} of processors = {more:.2f} × doit")


if __name__ == "__main__":
    main()
