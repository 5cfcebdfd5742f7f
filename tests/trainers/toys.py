"""Toy mixtures, models and specs, made on the spot: a task that a tiny model learns in thirty steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from doit.mixtures.building.build import build_mixture
from doit.mixtures.loading import resolve
from doit.trainers.spec import TrainerSpec

HANZI = "甲乙丙丁戊己庚辛壬癸"
SHAPE = {"hidden_size": 32, "num_attention_heads": 4, "initializer_range": 0.2}
"""Large random weights: what a frozen base computes is then worth adapting."""
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    **SHAPE,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
QWEN2: dict[str, Any] = {**LLAMA, "model_type": "qwen2"}
BLOOM: dict[str, Any] = {"model_type": "bloom", "hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}
MODELS = {"llama": LLAMA, "qwen2": QWEN2, "bloom": BLOOM}


def records(count: int) -> list[dict[str, str]]:
    """Half Chinese, half English; the answer repeats what the question names."""
    made = []
    for number in range(count):
        a, b = number // 2 % 10, number // 20 % 10
        if number % 2:
            text = {
                "instruction": f"第{number}题：请重复{HANZI[a]}{HANZI[b]}。",
                "output": f"好的：{HANZI[a]}{HANZI[b]}",
            }
            made.append({**text, "kind": "math"})
        else:
            text = {"instruction": f"Question {number}: say {a} {b}.", "output": f"Sure: {a} {b}"}
            made.append({**text, "kind": "code"})
    return made


def mixture(folder: Path, count: int = 80, held: int = 4) -> Path:
    """Build a mixture of `count` records in two cells, `held` of each kept for validation."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records(count))
    (folder / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    card = {
        "name": "toy",
        "shape": {"kind": "alpaca"},
        "source": {"files": str(folder / "rows.jsonl")},
        "license": "CC0-1.0",
        "ability": {"field": "kind", "map": {"math": "math", "code": "code"}},
    }
    spec: dict[str, Any] = {"name": "toy", "size": "all", "sources": [{"dataset": card}]}
    if held:
        spec["splits"] = {"validation": {"records": held, "per": "ability"}}
    resolved = resolve(spec, folder=folder, where="toy")
    build_mixture(resolved, folder / "mixture", pages=lambda *_: {}, workers=1, engine="local", strict=True)
    return folder / "mixture"


def trainer(**changes: Any) -> TrainerSpec:
    """A spec of thirty steps or so over a tiny new model."""
    document: dict[str, Any] = {
        "name": "tiny",
        "model": {"config": LLAMA},
        "tokenizer": {"fit": 400},
        "method": {"kind": "lora", "rank": 4, "alpha": 16, "dropout": 0.1},
        "template": "belle",
        "max_tokens": 128,
        "steps": 12,
        "batch_records": 8,
        "optimizer": {"lr": 0.01, "schedule": "constant", "warmup": 0},
    }
    return TrainerSpec.model_validate({**document, **changes})
