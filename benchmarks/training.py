"""What our loop costs beside a bare PyTorch loop, transformers' Trainer and TRL's SFTTrainer; and the papers' shapes.

    python benchmarks/training.py [overhead] [shapes]

All engines of one table run in one process, on one core, over the same rows, taking turns. Seconds are the processor's,
so that what else the machine does counts little; figures are the median of the rounds and the least. TRL is measured
where it is installed.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from doit.mixtures.building.build import build_mixture
from doit.mixtures.loading import resolve
from doit.trainers import logs
from doit.trainers import spec as specs
from doit.trainers.loop import Loop, Work
from doit.trainers.methods import tuning
from doit.trainers.models import ModelPlace, load_config, load_model, need_libraries, quiet
from doit.trainers.optimizing import adamw
from doit.trainers.packing import Update, batches, collate
from doit.trainers.planning import plan
from doit.trainers.rows import CellReport, EncodedRows
from doit.trainers.training import train

VOCABULARY = 4000
QWEN2 = {
    "model_type": "qwen2",
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
WIDE = {**QWEN2, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4}
ROUNDS, STEPS = 3, 8
SIZES = ((4, 128, QWEN2, 0.6), (8, 512, QWEN2, 0.6), (8, 512, QWEN2, 1.0), (8, 512, WIDE, 0.6))
"""Rows of a step, tokens of a row, model, share of the tokens that is learned: three fifths in chat data."""


def model(keys: dict[str, Any]) -> Any:
    import torch

    new = specs.NewModel(config=keys)
    place = ModelPlace("new", None)
    with quiet():
        return load_model(place, load_config(place, new), seed=0, dtype=torch.float32)


def rows(count: int, tokens: int, share: float) -> EncodedRows:
    """Random rows of one length, the last part of each learned."""
    generator = np.random.default_rng(0)
    ids = generator.integers(2, VOCABULARY, count * tokens, dtype=np.int32)
    learned = np.tile(np.arange(tokens) >= round(tokens * (1 - share)), count)
    cells = (("en", "code"), ("zh-Hans", "math"))
    return EncodedRows(
        ids=ids,
        supervised=learned,
        offsets=np.arange(count + 1, dtype=np.int64) * tokens,
        cell=np.arange(count, dtype=np.int32) % 2,
        record=np.array([f"{number:032x}" for number in range(count)]),
        cells=cells,
        report=tuple(CellReport(*cell) for cell in cells),
        refusals={},
        max_tokens=tokens,
    )


def given(batch: int, tokens: int) -> specs.TrainerSpec:
    return specs.TrainerSpec.model_validate(
        {
            "name": "bench",
            "model": "none",
            "method": {"kind": "full"},
            "steps": STEPS,
            "batch_records": batch,
            "max_tokens": tokens,
            "save_every": 10**6,
            "optimizer": {"lr": 1e-3, "schedule": "constant", "warmup": 0},
        }
    )


def ours(keys: dict[str, Any], held: EncodedRows, settings: specs.TrainerSpec, folder: Path) -> float:
    """Seconds a step: batches, collation, losses by cell, the log and its file, all as in `doit train`."""
    tiny = model(keys)
    method = tuning(specs.Full(), STEPS)
    work = Work(
        spec=settings,
        plan=plan(held, settings, packed=False),
        model=method.apply(tiny),
        tuning=method,
        rows=held,
        validation=None,
        pad=0,
        autocast=None,
        folder=folder,
        identity={},
        say=lambda text: None,
    )
    loop = Timed(work)
    loop.run(None)
    return loop.took / STEPS


class Timed(Loop):
    """Notes the processor's seconds from the first batch to the end of the last step."""

    def _updates(self, step: int) -> Iterator[tuple[int, Update]]:
        began = time.process_time()
        yield from super()._updates(step)
        self.took = time.process_time() - began


def bare(keys: dict[str, Any], held: EncodedRows, settings: specs.TrainerSpec, folder: Path) -> float:
    """Seconds a step of what any loop must do, over batches that were made before."""
    import torch

    tiny = model(keys).train()
    updates = [update for number in range(STEPS) for update in batches(held, settings, number, packed=False)][:STEPS]
    made = []
    for update in updates:
        arrays = collate(held, update[0], packed=False, pad_id=0)
        made.append({name: torch.from_numpy(arrays[name]) for name in ("input_ids", "labels")})
    for one in tiny.parameters():
        one.requires_grad_(True)
    optimizer = adamw(tiny, settings.optimizer)
    began = time.process_time()
    for arrays in made:
        loss = tiny(**arrays, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tiny.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return (time.process_time() - began) / STEPS


def dataset(held: EncodedRows) -> Any:
    import datasets

    made = []
    for number in range(len(held)):
        ids, learned = held.row(number)
        labels = np.where(learned, ids, -100)
        made.append({"input_ids": ids.tolist(), "labels": labels.tolist()})
    return datasets.Dataset.from_list(made)


def common(settings: specs.TrainerSpec, folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "max_steps": STEPS,
        "per_device_train_batch_size": settings.batch_records,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def timed(trainer: Any) -> float:
    """Seconds a step, from the first step's begin to the last one's end."""
    from transformers import PrinterCallback, TrainerCallback

    class Clock(TrainerCallback):
        """Notes when training begins and ends."""

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.process_time()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.took = time.process_time() - self.began

    clock = Clock()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)
    trainer.train()
    return clock.took / STEPS


def trainer(keys: dict[str, Any], held: EncodedRows, settings: specs.TrainerSpec, folder: Path) -> float:
    """transformers' Trainer over the same ids and labels."""
    import torch
    from transformers import Trainer, TrainingArguments

    def collated(batch: list[dict[str, Any]]) -> dict[str, Any]:
        return {name: torch.tensor([row[name] for row in batch]) for name in ("input_ids", "labels")}

    arguments = TrainingArguments(**common(settings, folder))
    return timed(Trainer(model(keys), arguments, data_collator=collated, train_dataset=dataset(held)))


def trl(keys: dict[str, Any], held: EncodedRows, settings: specs.TrainerSpec, folder: Path) -> float:
    """TRL's SFTTrainer over the same ids and labels, its preparation left out."""
    from trl import SFTConfig, SFTTrainer

    from doit.trainers.models import fitted_tokenizer

    arguments = SFTConfig(
        **common(settings, folder),
        max_length=None,
        gradient_checkpointing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    tokenizer = fitted_tokenizer(["a"], 300)
    return timed(SFTTrainer(model(keys), arguments, train_dataset=dataset(held), processing_class=tokenizer))


def overhead() -> dict[str, Any]:
    engines: dict[str, Callable[..., float]] = {"bare loop": bare, "doit": ours, "transformers Trainer": trainer}
    if importlib.util.find_spec("trl"):
        engines["TRL SFTTrainer"] = trl
    found: dict[str, Any] = {}
    for batch, tokens, keys, share in SIZES:
        held, settings = rows(batch * STEPS, tokens, share), given(batch, tokens)
        took: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(ROUNDS):
            for name, engine in engines.items():
                with tempfile.TemporaryDirectory() as folder:
                    took[name].append(engine(keys, held, settings, Path(folder)))
        shape = f"hidden {keys['hidden_size']}, {keys['num_hidden_layers']} layers"
        size = f"{batch} x {tokens} tokens, {shape}, {share:.0%} learned"
        median = {name: statistics.median(one) for name, one in took.items()}
        least = {name: min(one) for name, one in took.items()}
        found[size] = {"median": median, "least": least}
        print(f"\n{size}\n{'':24}{'ms a step':>10}{'x bare':>8}{'+ ms':>8}   least: ms{'x bare':>8}")
        for name, seconds in median.items():
            base, low = median["bare loop"], least["bare loop"]
            print(
                f"{name:24}{seconds * 1e3:10.2f}{seconds / base:8.3f}{(seconds - base) * 1e3:8.2f}"
                f"{least[name] * 1e3:12.2f}{least[name] / low:8.3f}"
            )
    return found


THINGS = [chr(0x4E8C + 61 * number) for number in range(50)]
ANSWERS = "甲乙丙丁戊己庚辛壬癸"


def mixture(folder: Path, count: int, seed: int) -> Path:
    """Rows of a learnable ability: each of fifty things belongs to one of ten groups; 100 other rows are held out."""
    generator = np.random.default_rng(seed)
    group = generator.integers(len(ANSWERS), size=len(THINGS))
    chosen = generator.permutation(1000)[: count + 100]
    folder.mkdir(parents=True)
    lines = []
    for number in chosen.tolist():
        thing, list_ = number % 50, number // 50
        text = {
            "instruction": f"名单{list_}：{THINGS[thing]}属于哪一组？",
            "output": ANSWERS[group[thing]],
            "kind": "math",
        }
        lines.append(json.dumps(text, ensure_ascii=False))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = {
        "name": "groups",
        "shape": {"kind": "alpaca"},
        "source": {"files": str(folder / "rows.jsonl")},
        "ability": {"constant": "math"},
    }
    spec = {
        "name": "groups",
        "size": "all",
        "sources": [{"dataset": card}],
        "splits": {"validation": {"records": 100, "per": "ability"}},
    }
    resolved = resolve(spec, folder=folder, where="bench")
    build_mixture(resolved, folder / "mixture", pages=lambda *_: {}, workers=1, engine="local", strict=True)
    return folder / "mixture"


def one(folder: Path, data: Path, seed: int, method: dict[str, Any], lr: float, steps: int, model: Any) -> Any:
    document = {
        "name": "shape",
        "model": model,
        "tokenizer": {"fit": 400} if isinstance(model, dict) else None,
        "method": method,
        "template": "belle",
        "steps": steps,
        "batch_records": 16,
        "optimizer": {"lr": lr, "schedule": "linear", "warmup": 0.03},
        "seed": seed,
    }
    return train(specs.TrainerSpec.model_validate(document), data, folder, beside=Path())


SMALL = {"config": {**QWEN2, "max_position_embeddings": 128}}
LORA = {"kind": "lora", "rank": 8, "alpha": 16, "dropout": 0.0}


def shapes() -> dict[str, Any]:
    """Full tuning against LoRA, and held-out loss over the number of rows, three seeds each."""
    found: dict[str, Any] = {"full": [], "lora": [], "rows": {}}
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        print("\nfull and LoRA from one base, 100 steps, each at the best of its rates: training loss of the last step")
        for seed in (0, 1, 2):
            first = mixture(top / f"base-{seed}", 300, seed + 100)
            one(top / f"start-{seed}", first, seed, {"kind": "full"}, 3e-3, 60, SMALL)
            base = str(top / f"start-{seed}" / "model")
            data = mixture(top / f"data-{seed}", 640, seed)
            for kind, method, rates in (
                ("full", {"kind": "full"}, (1e-3, 3e-3, 1e-2)),
                ("lora", LORA, (3e-3, 1e-2, 3e-2)),
            ):
                losses = {
                    rate: one(top / f"{kind}-{seed}-{rate}", data, seed, method, rate, 100, base).loss for rate in rates
                }
                best = min(losses, key=lambda rate: losses[rate])
                found[kind].append(losses[best])
                print(f"  seed {seed} {kind:5} best rate {best:g}: {losses[best]:.4f}")
        print("held-out loss over rows, 500 steps")
        for count in (10, 40, 160, 640):
            losses = []
            for seed in (0, 1, 2):
                data = mixture(top / f"rows-{count}-{seed}", count, seed)
                losses.append(
                    one(top / f"run-{count}-{seed}", data, seed, {"kind": "full"}, 3e-3, 500, SMALL).validation
                )
            found["rows"][count] = losses
            print(
                f"  {count:5} rows: mean {statistics.mean(losses):.4f}  ({', '.join(f'{loss:.4f}' for loss in losses)})"
            )
    pairs = zip(found["full"], found["lora"], strict=True)
    found["full is never above LoRA"] = all(full <= lora for full, lora in pairs)
    means = [statistics.mean(losses) for losses in found["rows"].values()]
    found["held-out loss falls"] = means == sorted(means, reverse=True)
    return found


def main(parts: list[str]) -> None:
    import torch

    warnings.simplefilter("ignore")
    logs._board = lambda folder, step: None  # its first import is slow, and the others write no log either
    torch.set_num_threads(1)
    need_libraries()
    chosen = {"overhead": overhead, "shapes": shapes}
    found = {name: run() for name, run in chosen.items() if name in parts or not parts}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
