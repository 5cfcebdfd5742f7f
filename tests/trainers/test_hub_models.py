"""A model from a Hub: its safetensors and JSON are fetched, its commit is kept, nothing else of it is touched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import toys

sys.path.insert(0, str(Path(__file__).parent.parent))

from loopback_hub import Fault, LoopbackHub

from doit.errors import SpecError
from doit.trainers.dry_running import dry_run
from doit.trainers.models import ModelPlace, find_model, stated_license
from doit.trainers.runs import open_run
from doit.trainers.training import train

pytestmark = pytest.mark.usefixtures("_plain")

NAME = "owner/tiny"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    import huggingface_hub
    from huggingface_hub import constants

    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with LoopbackHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    huggingface_hub.close_session()


@pytest.fixture
def files(toy: Path, tmp_path: Path) -> dict[str, bytes]:
    """A tiny model as its publisher would have it, and what must not be fetched."""
    train(toys.trainer(method={"kind": "full"}, steps=1), toy, tmp_path / "first", beside=Path())
    kept = {path.name: path.read_bytes() for path in (tmp_path / "first" / "model").iterdir()}
    extra = ("pytorch_model.bin", "modeling_tiny.py", "original/weights.safetensors", "training_args.bin")
    return {**kept, **dict.fromkeys(extra, b"no")}


def test_a_model_of_a_hub_is_trained_and_its_commit_kept(
    hub: LoopbackHub, files: dict[str, bytes], toy: Path, tmp_path: Path
) -> None:
    page = b"---\nlicense: apache-2.0\n---\n"
    commit = hub.repository(NAME, "models").commit({**files, "README.md": page})
    given = toys.trainer(model=NAME, tokenizer=None, steps=2)
    counted = dry_run(given, None, beside=tmp_path)

    answer = train(given, toy, tmp_path / "run", beside=tmp_path)

    opened = open_run(tmp_path / "run")
    assert (opened.run.model.name, opened.run.model.commit, opened.run.model.folder) == (NAME, commit, None)
    assert opened.run.model.license == "apache-2.0"
    assert (counted.trainable, counted.total) == (answer.trainable, answer.total)
    fetched = {path.name for path in (tmp_path / "hub-cache").rglob("*") if path.is_file()}
    assert "model.safetensors" in fetched
    assert not fetched & {"pytorch_model.bin", "modeling_tiny.py", "weights.safetensors", "training_args.bin"}


def test_what_a_hub_says_is_said_in_our_words(
    hub: LoopbackHub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.repository(NAME, "models").commit({name: data for name, data in files.items() if "safetensors" not in name})

    def code(name: str, revision: str | None = None) -> str:
        with pytest.raises(SpecError) as caught:
            find_model(name, revision, Path())
        return caught.value.code

    assert code(NAME) == "D206"
    assert code("owner/other") == "D206"
    assert code(NAME, "nowhere") == "D206"
    hub.faults.append(Fault("/api/", status=500, times=-1))
    assert code("owner/third") == "D211"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert code("owner/fourth") == "D211"


@pytest.mark.parametrize(
    ("page", "license_id"),
    [
        ("---\nlicense: apache-2.0\ntags: [a]\n---\n# Tiny\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
        ("---\nlanguage: zh\n---\n", "unknown"),
        ("---\nlicense: [mit]\n---\n", "unknown"),
        ("---\nlicense: !!python/name:os.system\n---\n", "unknown"),
        ("# license: mit\n---\nlicense: mit\n---\n", "unknown"),
        ("---\nlicense: mit\n", "unknown"),
    ],
)
def test_the_licence_of_a_base_is_what_its_page_states(page: str, license_id: str, tmp_path: Path) -> None:
    assert stated_license(ModelPlace("bare", tmp_path)) == "unknown"
    (tmp_path / "README.md").write_text(page, encoding="utf-8")

    assert stated_license(ModelPlace("tiny", tmp_path)) == license_id
    assert stated_license(ModelPlace("new llama", None)) == "unknown"
