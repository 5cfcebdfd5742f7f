"""Exports as ms-swift reads them: its own loader, preprocessor and template.

    python read_swift.py SCRATCH EXPORT...

Prints a line of JSON for every row and split: the messages, the tools, the channel, and as texts its tokens and labels.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from toy_model import learnt, toy_model


def main(scratch: Path, exports: list[Path]) -> None:
    os.environ["MODELSCOPE_CACHE"] = str(scratch / "cache")
    from swift.dataset import load_dataset
    from swift.model import get_processor
    from swift.template import get_template

    tokenizer = get_processor(toy_model(scratch / "model"), model_type="qwen2")
    template = get_template(tokenizer, template_type="qwen2_5", max_length=1_000_000)
    template.set_mode("train")
    for export in exports:
        for split in ("train", "validation"):
            file = export / f"{split}.jsonl"
            if not file.is_file():
                continue
            rows, _ = load_dataset([str(file)], load_from_cache_file=False)
            for row in rows:
                tokens = template.encode(dict(row))
                found = {
                    "export": str(export),
                    "split": split,
                    "messages": [[turn["role"], turn["content"]] for turn in row["messages"]],
                    "tools": row.get("tools"),
                    "channel": tokens["channel"],
                    "whole": tokenizer.decode(tokens["input_ids"]),
                    "learnt": tokenizer.decode(learnt(tokens)),
                }
                print("ROW " + json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
