from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A run judges the change before it, so it draws the same cases each time; `make search` looks for new ones.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("house")

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache, the tests of one run share theirs; no table is as wide as a window."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("DOIT_CACHE", str(tmp_path_factory.getbasetemp() / "doit-cache"))


@pytest.fixture
def shared() -> Path:
    """The folder of real sets, or a skip where this checkout has none beside it."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here: the real sets are needed for this test")
    return SHARED


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Write a file below `tmp_path`: text and bytes as they are, a list as JSON Lines, a dict as YAML."""

    def _write(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        elif isinstance(content, list):
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")
        else:
            from doit.yamlio import dump

            path.write_text(dump(content), encoding="utf-8")
        return path

    return _write
