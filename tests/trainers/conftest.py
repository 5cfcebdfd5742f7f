from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import toys


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture of 72 training records in two cells, and 4 of each cell held out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOIT_CACHE", str(tmp_path_factory.getbasetemp() / "doit-cache"))
        return toys.mixture(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """Torch on one core, as the tests beside it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def _plain(monkeypatch: pytest.MonkeyPatch, _one_thread: None) -> None:
    """No picture and no TensorBoard: they take longer than a tiny training."""
    monkeypatch.setattr("doit.trainers.training.write_curve", lambda path, records: None)
    monkeypatch.setattr("doit.trainers.logs._board", lambda folder, step: None)
