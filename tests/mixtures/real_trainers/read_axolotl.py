"""Exports as axolotl reads them: `axolotl.yaml` through its own schema, then its loader and prompt strategy.

    python read_axolotl.py SCRATCH EXPORT...

Prints a line of JSON for every row and split: the messages, and as texts its tokens and labels.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from toy_model import learnt, toy_model


def main(scratch: Path, exports: list[Path]) -> None:
    os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
    import yaml
    from axolotl.loaders import load_tokenizer
    from axolotl.utils.config import normalize_cfg_datasets, normalize_config, validate_config
    from axolotl.utils.data.sft import prepare_datasets
    from axolotl.utils.data.shared import load_dataset_with_config
    from axolotl.utils.dict import DictDefault

    model = toy_model(scratch / "model")
    for number, export in enumerate(exports):
        settings = yaml.safe_load((export / "axolotl.yaml").read_text(encoding="utf-8"))
        for each in [*settings.get("datasets", []), *settings.get("test_datasets", [])]:
            assert each["path"] == "."
            each["path"] = str(export)
        settings |= {
            "base_model": model,
            "sequence_len": 1_000_000,
            "excess_length_strategy": "raise",
            "shuffle_merged_datasets": False,
            "micro_batch_size": 1,
            "gradient_accumulation_steps": 1,
            "num_epochs": 1,
            "learning_rate": 1e-4,
            "dataset_num_proc": 1,
            "dataset_prepared_path": str(scratch / f"prepared-{number}"),
            "output_dir": str(scratch / "run"),
        }
        (scratch / f"prepared-{number}").mkdir()
        config = validate_config(DictDefault(settings))
        normalize_config(config)
        normalize_cfg_datasets(config)
        tokenizer = load_tokenizer(config)
        train, held, _, _ = prepare_datasets(config, tokenizer)
        for named, rows in ((config.datasets, train), (config.test_datasets, held)):
            if not named:
                continue
            loaded = load_dataset_with_config(DictDefault(named[0]), use_auth_token=False)
            assert len(loaded) == len(rows)
            for source, row in zip(loaded, rows, strict=True):
                found = {
                    "export": str(export),
                    "split": named[0]["split"],
                    "messages": [[turn["role"], turn["content"]] for turn in source["messages"]],
                    "whole": tokenizer.decode(row["input_ids"]),
                    "learnt": tokenizer.decode(learnt(row)),
                }
                print("ROW " + json.dumps(found))


if __name__ == "__main__":  # `datasets` starts processes that import this file
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
