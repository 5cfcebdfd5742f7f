"""Adapters and models: what is pushed of a run, and that others load it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import doit
from doit.errors import DataError, DoitError, SpecError, StorageError
from tests.hub.conftest import tree
from tests.hub.test_reading_back import run as run_python

REPO = "desk/lora"


def header(text: str) -> bytes:
    """A safetensors file of one number, its name being `text`."""
    described = json.dumps({text: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(described).to_bytes(8, "little") + described + b"\0\0\0\0"


def make_run(folder: Path, weights: str = "adapter", **changes: Any) -> Path:
    """A run folder as training leaves it, with what must stay at home beside."""
    home = folder / weights
    home.mkdir(parents=True)
    name = "adapter_model.safetensors" if weights == "adapter" else "model.safetensors"
    files = {
        home / name: header("w"),
        home / "doit.json": b"{}",
        home / "tokenizer.json": b'{"model": {}}',
        home / "tokenizer_config.json": b'{"pad_token": "</s>"}',
        home / "training_args.bin": b"pickle",
        folder / "losses.jsonl": b"{}\n",
        folder / "README.md": b"# theirs\n",
    }
    if weights == "adapter":
        config = {"base_model_name_or_path": str(folder / "models" / "qwen"), "peft_type": "LORA"}
        files[home / "adapter_config.json"] = json.dumps(config).encode()
    (folder / "checkpoints" / "10").mkdir(parents=True)
    files[folder / "checkpoints" / "10" / "optimizer.safetensors"] = header("o")
    for path, content in files.items():
        path.write_bytes(content)
    run = {
        "name": "lora-zh",
        "doit": "0.1.0",
        "status": "done",
        "model": {"name": "Qwen/Qwen2.5-0.5B", "commit": "c" * 40, "license": "Apache-2.0", "folder": None},
        "spec": {"name": "lora-zh", "model": str(folder / "models" / "qwen"), "method": {"kind": "lora", "rank": 8}},
        "mixture": {"name": "zh-mix", "digest": "ab" * 32},
        "licenses": {"set-a": "MIT"},
        "files": {f"{weights}/{name}": hashlib.sha256(header("w")).hexdigest()},
        **changes,
    }
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder


def test_only_weights_and_what_explains_them_are_pushed(hub, tmp_path):
    folder = make_run(tmp_path / "run")
    answer = doit.publish(folder, REPO, mixture="desk/mix")
    there = tree(hub, REPO, "models")
    assert set(there) - {".gitattributes"} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "publication.json",
        "run.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "trainer.yaml",
    }
    assert not any(str(tmp_path).encode() in content for content in there.values())
    assert json.loads(there["adapter_config.json"])["base_model_name_or_path"] == "Qwen/Qwen2.5-0.5B"
    assert b"model: qwen" in there["trainer.yaml"]
    assert there["adapter_model.safetensors"] == header("w")
    card = there["README.md"].decode()
    assert "ab" * 32 in card
    assert "[desk/mix](<https://huggingface.co/datasets/desk/mix>)" in card
    assert hub.repositories["models", REPO].tags == {answer.tag: answer.commit}
    assert not doit.publish(folder, REPO, mixture="desk/mix").committed


def test_one_changed_weight_is_one_commit(hub, tmp_path):
    first = doit.publish(make_run(tmp_path / "one"), REPO)
    other = make_run(tmp_path / "two", files={})
    (other / "adapter" / "adapter_model.safetensors").write_bytes(header("other"))
    second = doit.publish(other, REPO)
    assert second.committed
    assert second.digest != first.digest
    assert "adapter_model.safetensors" in second.changed


@pytest.mark.parametrize(
    ("weights", "base", "data", "option", "expected"),
    [
        ("adapter", "Apache-2.0", {"a": "MIT"}, None, "Apache-2.0"),
        ("adapter", "Apache-2.0", {"a": "CC-BY-NC-4.0"}, None, "CC-BY-NC-4.0"),
        ("adapter", "llama3", {"a": "MIT"}, None, "llama3"),
        ("adapter", "llama3", {"a": "Apache-2.0"}, None, "other"),
        ("adapter", "Apache-2.0", {"a": "unknown"}, None, "unknown"),
        ("adapter", "unknown", {"a": "MIT"}, None, "unknown"),
        ("adapter", "unknown", {"a": "MIT"}, "Apache-2.0", "Apache-2.0"),
        ("adapter", "Apache-2.0", {}, None, "unknown"),
        ("model", "Apache-2.0", {"a": "unknown"}, None, "unknown"),
        ("model", "Apache-2.0", {"a": "GPL-3.0-only"}, None, "GPL-3.0-only"),
        ("model", "unknown", {"a": "MIT"}, None, None),
        ("model", "unknown", {"a": "MIT"}, "MIT", "MIT"),
        ("model", "proprietary", {"a": "MIT"}, None, None),
        ("model", "CC-BY-NC-ND-4.0", {"a": "MIT"}, None, None),
    ],
)
def test_the_licence_follows_from_base_and_data(hub, tmp_path, weights, base, data, option, expected):
    model = {"name": "Qwen/Qwen2.5-0.5B", "commit": "c" * 40, "license": base}
    folder = make_run(tmp_path / "run", weights, model=model, licenses=data)
    if expected is None:
        with pytest.raises(DataError, match="D701"):
            doit.publish(folder, REPO, base_license=option)
        assert hub.requests == []
        answer = doit.publish(folder, REPO, base_license=option, accept_license="we own it", dry_run=True)
        assert "we own it" in answer.card
    else:
        answer = doit.publish(folder, REPO, base_license=option, dry_run=True)
        assert answer.ok
        assert answer.licensing.effective == expected


def test_a_base_that_was_drawn_asks_nothing(hub, tmp_path):
    """`tiny-cpu` trains a new model: there is nobody whose licence it could be under."""
    new = {"model": {"name": "new llama"}, "spec": {"model": {"config": {"model_type": "llama"}}}}
    answer = doit.publish(make_run(tmp_path / "drawn", "model", **new), REPO, dry_run=True)
    assert answer.ok
    assert answer.licensing.effective == "MIT"
    assert "were drawn for this run" in answer.card
    stated = doit.publish(tmp_path / "drawn", REPO, base_license="CC-BY-NC-4.0", dry_run=True)
    assert stated.licensing.effective == "CC-BY-NC-4.0"


def test_a_refused_run_is_told_what_runs_can_do(hub, tmp_path):
    folder = make_run(tmp_path / "run", "model", model={"name": "base", "license": "unknown"})
    with pytest.raises(DataError, match=r"D701.*--base-license") as caught:
        doit.publish(folder, REPO)
    assert "0 rows" not in str(caught.value)
    assert "--recipe-only" not in str(caught.value)
    with pytest.raises(SpecError, match="D204 --base-license"):
        doit.publish(folder, REPO, base_license=" ")
    with pytest.raises(SpecError, match="D204 --mixture"):
        doit.publish(folder, REPO, mixture="bad")


def test_a_merged_model_is_published_with_the_record_of_its_run(hub, tmp_path):
    """`doit merge` writes weights and their digests; what the run was is in the run's `run.json`."""
    whole = make_run(tmp_path / "run", "model") / "model"
    sealed = {name: hashlib.sha256((whole / name).read_bytes()).hexdigest() for name in ("model.safetensors",)}
    (whole / "doit.json").write_text(json.dumps({"doit": "0.1.0", "sha256": sealed}), encoding="utf-8")
    with pytest.raises(SpecError, match=r"D206.*run\.json is missing.*merged"):
        doit.publish(whole, REPO)
    assert hub.requests == []
    (whole / "run.json").write_bytes((tmp_path / "run" / "run.json").read_bytes())
    card = doit.publish(whole, REPO).card
    assert "A model tuned from [Qwen/Qwen2.5-0.5B]" in card
    assert 'tokenizer = AutoTokenizer.from_pretrained("desk/lora")' in card
    assert "model.safetensors" in tree(hub, REPO, "models")
    for damage, words in ((b'{"doit": "0.1.0"}', "lists no digests"), (b"[", "lists no digests")):
        (whole / "doit.json").write_bytes(damage)
        with pytest.raises(StorageError, match=f"D102.*{words}"):
            doit.publish(whole, REPO)
    (whole / "doit.json").write_text(json.dumps({"sha256": sealed}), encoding="utf-8")
    (whole / "model.safetensors").write_bytes(header("other"))
    with pytest.raises(StorageError, match=r"D102.*not what was written"):
        doit.publish(whole, REPO)


def test_bad_runs_are_refused(hub, tmp_path):
    cases: list[tuple[dict[str, Any], type[DoitError], str]] = [
        ({"status": "running"}, SpecError, "D206.*not done"),
        ({"files": {"adapter/adapter_model.safetensors": "0" * 64}}, StorageError, "D102.*not what was written"),
        ({"files": {"adapter/gone.safetensors": "0" * 64}}, StorageError, "D102.*not what was written"),
        ({"files": {"../../etc/passwd": "0" * 64}}, SpecError, "D209"),
        ({"model": None}, StorageError, "D102"),
        ({"losses": {"validation": {"loss": "much"}}}, StorageError, "D102"),
    ]
    for number, (changes, kind, words) in enumerate(cases):
        with pytest.raises(kind, match=words):
            doit.publish(make_run(tmp_path / str(number), **changes), REPO)
    broken = make_run(tmp_path / "broken")
    (broken / "run.json").write_bytes(b"{")
    with pytest.raises(StorageError, match="D102"):
        doit.publish(broken, REPO)
    empty = make_run(tmp_path / "empty", files={})
    (empty / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(SpecError, match=r"D206.*safetensors"):
        doit.publish(empty, REPO)
    for option in ({"redact": True}, {"recipe_only": True}, {"by": "ability"}, {"allow_personal": "x"}):
        with pytest.raises(SpecError, match="D204"):
            doit.publish(make_run(tmp_path / next(iter(option))), REPO, **option)
    assert hub.requests == []


TRAIN = """
import json, os, sys
import torch
torch.set_num_threads(1)
from huggingface_hub import snapshot_download
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
import doit

def write(folder, **run):
    with open(folder + "/run.json", "w") as file:
        json.dump({"licenses": {"own": "MIT"}, **run}, file)

full, adapted, drawn = sys.argv[1:4]
torch.manual_seed(0)
size = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32)
model = LlamaForCausalLM(LlamaConfig(**size))
model.save_pretrained(full + "/model")
model.save_pretrained(drawn + "/base")
write(full, name="full", model={"name": "new: llama", "license": "MIT"})
base = doit.publish(full, "desk/base")
tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
for folder in (adapted, drawn):
    tuned.save_pretrained(folder + "/adapter")
write(adapted, name="a", model={"name": "desk/base", "commit": base.commit, "license": "MIT"})
write(drawn, name="b", model={"name": "new: llama", "license": "MIT"})
pages = [base.card, doit.publish(adapted, "desk/lora").card, doit.publish(drawn, "desk/own").card]
ids = torch.arange(8)[None]
with torch.no_grad():
    plain = AutoModelForCausalLM.from_pretrained("desk/base")(ids).logits
    wanted = tuned(ids).logits
    found = [AutoPeftModelForCausalLM.from_pretrained("desk/lora")(ids).logits]
    for page in pages:
        names = {}
        exec(page.split("```python\\n")[1].split("```")[0], names)  # what the page tells its readers to do
        found.append(names["model"](ids).logits)
print(json.dumps([torch.equal(one, wanted) for one in found] + [torch.equal(found[1], plain)]))
"""


@pytest.mark.slow
def test_what_the_pages_say_loads_the_published_weights(hub, tmp_path):
    """`PeftModel.from_pretrained`, over a base on the Hub and over one that was published beside the adapter."""
    pytest.importorskip("peft")
    pytest.importorskip("torch")
    folders = [tmp_path / name for name in ("full", "adapted", "drawn")]
    for folder in folders:
        folder.mkdir()
    found = run_python(TRAIN, *map(str, folders), hub_url=hub.url, home=tmp_path / "reader")
    assert found == [True, False, True, True, True]
    assert "base/model.safetensors" in tree(hub, "desk/own", "models")
    assert "model.safetensors" in tree(hub, "desk/base", "models")
