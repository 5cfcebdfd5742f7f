"""A mixture of rows that a test writes down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from doit.mixtures.building.build import build_mixture
from doit.mixtures.loading import resolve


def build(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> Path:
    lines = []
    for row in rows:
        turns = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(row["turns"])]
        turns = [{"role": "system", "content": row["system"]}, *turns] if "system" in row else turns
        lines.append(json.dumps({"messages": turns, "kind": row.get("kind", "math")}, ensure_ascii=False) + "\n")
    (folder / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    card = {
        "name": "toy",
        "shape": {"kind": "messages"},
        "source": {"files": str(folder / "rows.jsonl")},
        "license": "CC0-1.0",
        "ability": {"field": "kind", "map": {"math": "math", "code": "code", "other": "other"}},
    }
    document = {"name": "toy", "size": "all", "sources": [{"dataset": card, "max_epochs": 3}], **changes}
    resolved = resolve(document, folder=folder, where="toy")
    build_mixture(resolved, folder / "mixture", pages=lambda *_: {}, workers=1, engine="local", strict=True)
    return folder / "mixture"
