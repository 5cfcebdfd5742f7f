from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import doit
from doit.hub import connection
from tests.loopback_hub import LoopbackHub

hub_library = pytest.importorskip("huggingface_hub")
hub_constants = pytest.importorskip("huggingface_hub.constants")

REPO = "desk/mix"
TOKEN = "hf_canaryCANARYcanaryCANARYcanary00"
Build = Callable[..., Path]


def rows(start: int, stop: int, *, kind: str = "数学", extra: str = "") -> list[dict[str, str]]:
    return [
        {"instruction": f"第{n}道{kind}题：{n}＋{n}＝？", "output": f"答案是{2 * n}。{extra}", "kind": kind}
        for n in range(start, stop)
    ]


def card(name: str, files: str, license_id: str = "MIT") -> dict[str, Any]:
    return {
        "name": name,
        "license": license_id,
        "shape": {"kind": "alpaca"},
        "source": {"files": files},
        "cite": f"https://example.org/{name}",
        "ability": {"field": "kind", "map": {"数学": "math", "代码": "code"}},
    }


def build_mixture(
    where: Path,
    name: str = "out",
    *,
    licenses: tuple[str, str] = ("MIT", "CC-BY-4.0"),
    first: list[dict[str, str]] | None = None,
    **options: Any,
) -> Path:
    """Build a mixture of two sources in a folder; options of the spec by name."""
    folder = where / f"{name}-sources"
    folder.mkdir(exist_ok=True)
    for file, lines in (("a.jsonl", first or rows(0, 40)), ("b.jsonl", rows(100, 130, kind="代码"))):
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / file).write_text(text, encoding="utf-8")
    sources = [
        {"dataset": card(f"set-{file}", str(folder / f"{file}.jsonl"), license_id)}
        for file, license_id in zip("ab", licenses, strict=True)
    ]
    mix = {"ability": {"math": 0.5, "code": 0.5}}
    doit.build({"name": "zh-mix", "size": 30, "sources": sources, "mix": mix, **options}, where / name)
    return where / name


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build a mixture of two sources below `tmp_path`."""
    return partial(build_mixture, tmp_path)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh home for huggingface_hub, in this process and for children."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "hf"
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr(hub_constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(hub_constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(hub_constants, "HF_TOKEN_PATH", str(home / "token"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub that wants a token, and a machine that is logged in to it. Nobody waits."""
    with LoopbackHub() as server:
        server.token = TOKEN
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(connection.time, "sleep", lambda _seconds: None)
        yield server
    hub_library.close_session()


def writes(server: LoopbackHub) -> list[str]:
    """The requests that change something, as `METHOD last-words`."""
    changing = ("/create", "/commit/", "/tag/", "/branch/", "/upload/")
    return [f"{one.method} {one.path}" for one in server.requests if any(part in one.path for part in changing)]


def tree(server: LoopbackHub, repo: str = REPO, kind: str = "datasets") -> dict[str, bytes]:
    repository = server.repositories[kind, repo]
    return repository.commits[repository.branches["main"]]
