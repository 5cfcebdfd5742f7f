"""Exports as LLaMA-Factory reads them: its own arguments, loader, converter and template.

    python read_llamafactory.py SCRATCH EXPORT:NAME[:EVALUATION]...

Prints a line of JSON for every row and split: the aligned messages, the tools, and as texts its tokens and labels.
"""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types
from pathlib import Path

from toy_model import learnt, toy_model

try:
    import torchaudio  # noqa: F401
except (ImportError, OSError):  # made for another build of PyTorch, or not there; only sound is read with it
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]
    stand_in = types.ModuleType("torchaudio")
    stand_in.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = stand_in

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.data.loader import _get_merged_dataset
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer


def read(scratch: Path, model: str, export: str, name: str, evaluation: str | None) -> None:
    options = {
        "model_name_or_path": model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "template": "qwen",
        "dataset_dir": export,
        "dataset": name,
        **({"eval_dataset": evaluation} if evaluation else {}),
        "cutoff_len": 1_000_000,
        "output_dir": str(scratch / "run"),
        "cache_dir": str(scratch / "cache"),
        "overwrite_cache": True,
        "report_to": "none",
        "use_cpu": True,
    }
    model_args, data_args, training_args, _, _ = get_train_args(options)
    training_args.log_level = "error"
    training_args.local_process_index  # noqa: B018
    tokenizer = load_tokenizer(model_args)["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    given = (model_args, data_args, training_args)
    encoded = get_dataset(template, *given, stage="sft", tokenizer=tokenizer)
    for split, names in (("train", data_args.dataset), ("eval", data_args.eval_dataset)):
        aligned = _get_merged_dataset(names, *given, "sft") or []
        rows = encoded.get(f"{split}_dataset") or []
        assert len(aligned) == len(rows), f"{len(aligned)} rows were aligned and {len(rows)} kept"
        for row, tokens in zip(aligned, rows, strict=True):
            said = [{"role": "system", "content": row["_system"]}] if row["_system"] else []
            found = {
                "export": export,
                "split": split,
                "messages": [[turn["role"], turn["content"]] for turn in [*said, *row["_prompt"], *row["_response"]]],
                "tools": row["_tools"],
                "whole": tokenizer.decode(tokens["input_ids"]),
                "learnt": tokenizer.decode(learnt(tokens)),
            }
            print("ROW " + json.dumps(found))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    toy = toy_model(place / "model")
    for each in sys.argv[2:]:
        folder, mixture, *more = each.split("::")
        read(place, toy, folder, mixture, more[0] if more else None)
