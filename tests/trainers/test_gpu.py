"""A smoke test on a GPU: bf16, LoRA and full tuning, packed. Skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toys

from doit.trainers.runs import read_run
from doit.trainers.training import train


@pytest.mark.usefixtures("_plain")
@pytest.mark.parametrize("method", [{"kind": "lora", "rank": 4}, {"kind": "full"}])
def test_it_learns_in_bf16_on_a_gpu(method: dict[str, Any], toy: Path, tmp_path: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    given = toys.trainer(method=method, steps=30, precision="bf16", packing=True)

    answer = train(given, toy, tmp_path / "run", beside=Path())

    assert answer.packed
    assert answer.validation is not None
    assert answer.validation_before is not None
    assert answer.validation < answer.validation_before - 0.2
    assert read_run(tmp_path / "run").environment["device"].startswith("cuda")
