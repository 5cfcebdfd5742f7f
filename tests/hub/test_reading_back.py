"""What others get: the real `datasets` reads what was published, whole, by configuration, by split and as a stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import doit
from tests.hub.conftest import REPO, TOKEN

pytest.importorskip("datasets")

ROOT = Path(__file__).resolve().parent.parent.parent

READ = """
import json, sys
import datasets
datasets.disable_progress_bars()
repo, tag, series = sys.argv[1:4]
answer = {"configs": sorted(datasets.get_dataset_config_names(repo))}
whole = datasets.load_dataset(repo)
answer["default"] = {split: rows["id"] for split, rows in whole.items()}
answer["by_split"] = list(datasets.load_dataset(repo, "20", split="validation")["id"])
answer["small"] = list(datasets.load_dataset(repo, "10", split="train")["id"])
answer["tagged"] = list(datasets.load_dataset(repo, "10", split="train", revision=tag)["id"])
answer["ability"] = list(datasets.load_dataset(repo, "20-math", split="train")["ability"])
stream = datasets.load_dataset(repo, "20", split="train", streaming=True)
answer["stream"] = [row["id"] for row in stream]
answer["first"] = next(iter(stream))["messages"]
ordinary = datasets.Dataset.from_list(
    [{"messages": [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "您好"}]}] * 3
)
joined = datasets.concatenate_datasets([whole["train"].select_columns(["messages"]), ordinary])
answer["joined"] = [len(joined), joined[len(joined) - 1]["messages"][1]["content"]]
answer["columns"] = len(datasets.concatenate_datasets([whole["train"], whole["validation"], ordinary]))
answer["recipe"] = datasets.load_dataset("desk/recipe", split="train").column_names
answer["default"] = {split: list(ids) for split, ids in answer["default"].items()}
print(json.dumps(answer))
"""


def run(code: str, *arguments: str, hub_url: str, home: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "HF_ENDPOINT": hub_url,
            "HF_HOME": str(home),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_datasets_loads_the_same_ids_and_counts(hub, build, tmp_path):
    out = build(series=[10, 20], size=20, splits={"validation": {"records": 3, "per": "ability"}})
    answer = doit.publish(out, REPO, by="ability")
    doit.publish(out, "desk/recipe", recipe_only=True)
    found = run(READ, REPO, answer.tag, "", hub_url=hub.url, home=tmp_path / "reader")

    def local(size: int, split: str) -> list[str]:
        return pl.read_parquet(out / str(size) / "data" / f"{split}-00000-of-00001.parquet")["id"].to_list()

    assert found["configs"] == sorted(answer.configs)
    assert found["default"] == {"train": local(20, "train"), "validation": local(20, "validation")}
    assert found["by_split"] == local(20, "validation")
    assert found["small"] == found["tagged"] == local(10, "train")
    assert found["stream"] == local(20, "train")
    assert found["ability"] == ["math"] * 10
    assert [message["role"] for message in found["first"]] == ["user", "assistant"]
    assert found["joined"] == [23, "您好"]
    assert found["columns"] == 20 + 6 + 3
    assert "messages" not in found["recipe"]
    assert "id" in found["recipe"]


def test_a_published_mixture_is_a_source_with_a_pinned_revision(hub, build, tmp_path):
    """Item 5: what one publishes another builds from, at the commit that was published."""
    answer = doit.publish(build(), REPO)
    source = {"hub": REPO, "revision": answer.commit, "files": "data/train-*.parquet"}
    card = {"name": "theirs", "license": "CC-BY-4.0", "shape": {"kind": "doit"}, "source": source}
    spec = {"name": "next", "size": "all", "sources": [{"dataset": card}]}
    built = doit.build(spec, tmp_path / "next")
    assert built.drawn == 30
    theirs = pl.read_parquet(tmp_path / "out" / "data" / "train-00000-of-00001.parquet")
    ours = pl.read_parquet(tmp_path / "next" / "data" / "train-00000-of-00001.parquet")
    assert sorted(ours["id"]) == sorted(theirs["id"])
    manifest = json.loads((tmp_path / "next" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["spec"]["sources"][0]["dataset"]["source"]["revision"] == answer.commit

    # the branch moves on, the pinned commit stays, and the move is said
    doit.publish(build("more", size=20), REPO)
    again = doit.build(spec, tmp_path / "again")
    assert again.digest == built.digest
    assert any("D212" in warning for warning in again.warnings)
