"""A merged model computes what its adapter did; what cannot be merged says why; answers come from the template."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
import toys

import doit
from doit.errors import SpecError, StorageError
from doit.trainers.models import ModelPlace, load_config, load_model
from doit.trainers.runs import open_run
from doit.trainers.training import train

pytestmark = pytest.mark.usefixtures("_plain")

LINEAR = ["q_proj", "down_proj"]
LORA = {"kind": "lora", "rank": 4, "targets": LINEAR}
MERGED: dict[str, dict[str, Any]] = {
    "lora": LORA,
    "rslora": {**LORA, "rslora": True},
    "dora": {**LORA, "dora": True},
    "pissa": {**LORA, "pissa": True},
    "adalora": {"kind": "adalora", "init_rank": 4, "rank": 2, "start": 1, "end": 1, "every": 1, "targets": LINEAR},
    "ia3": {"kind": "ia3", "targets": LINEAR, "feedforward": ["down_proj"]},
    "loha": {"kind": "peft", "config": {"peft_type": "LOHA", "r": 4, "target_modules": LINEAR}},
    "lokr": {"kind": "peft", "config": {"peft_type": "LOKR", "r": 4, "target_modules": LINEAR}},
    "vera": {"kind": "peft", "config": {"peft_type": "VERA", "r": 4, "target_modules": ["q_proj"]}},
    "norms": {"kind": "peft", "config": {"peft_type": "LN_TUNING"}},
    "oft": {"kind": "peft", "config": {"peft_type": "OFT", "target_modules": ["q_proj"]}},
}
KEPT: dict[str, dict[str, Any]] = {
    "prefix": {"kind": "prefix", "tokens": 2},
    "prompt": {"kind": "prompt", "tokens": 2},
    "p_tuning": {"kind": "p_tuning", "tokens": 2, "hidden": 8},
    "full": {"kind": "full"},
    "embeddings": {"kind": "embeddings"},
}


def run(method: dict[str, Any], toy: Path, out: Path, **more: Any) -> Path:
    train(toys.trainer(method=method, **{"steps": 5, **more}), toy, out, beside=Path())
    return out


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(input_ids=torch.arange(40).unsqueeze(0)).logits


@pytest.mark.parametrize("name", MERGED)
def test_a_merged_model_is_its_adapter(name: str, toy: Path, tmp_path: Path) -> None:
    import torch

    folder = run(MERGED[name], toy, tmp_path / "run")
    before = logits(open_run(folder).model)

    answer = doit.merge(folder, tmp_path / "merged")

    place = ModelPlace("merged", tmp_path / "merged")
    merged = load_model(place, load_config(place, ""), seed=0, dtype=torch.float32)
    assert float((logits(merged) - before).abs().max()) < 1e-4
    assert float((logits(merged) - logits(_base(folder))).abs().max()) > 1e-4
    assert answer.parameters == sum(one.numel() for one in merged.parameters())
    assert (tmp_path / "merged" / "tokenizer.json").is_file()
    assert doit.merge(folder, tmp_path / "merged").files == answer.files


def _base(folder: Path) -> Any:
    import torch

    place = ModelPlace("base", folder / "base")
    return load_model(place, load_config(place, ""), seed=0, dtype=torch.float32)


@pytest.mark.parametrize("name", KEPT)
def test_what_cannot_be_merged_is_refused_by_name(name: str, toy: Path, tmp_path: Path) -> None:
    folder = run(KEPT[name], toy, tmp_path / "run")

    with pytest.raises(SpecError, match=f"`{name}`") as caught:
        doit.merge(folder, tmp_path / "merged")

    assert caught.value.code == "D607"
    assert not (tmp_path / "merged").exists()


def test_a_run_that_is_not_whole_is_not_merged(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no run here") as caught:
        doit.merge(tmp_path, tmp_path / "merged")
    assert caught.value.code == "D206"
    folder = run(LORA, toy, tmp_path / "run")
    with pytest.raises(SpecError, match="inside the run"):
        doit.merge(folder, folder / "merged")
    weights = folder / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"1234")
    with pytest.raises(StorageError, match=r"adapter_model\.safetensors") as damaged:
        doit.merge(folder, tmp_path / "merged")
    assert damaged.value.code == "D102"


@pytest.mark.parametrize("damage", ["flipped", "gone", "no digests", "no folder"])
def test_a_base_that_was_damaged_is_not_answered_with(damage: str, toy: Path, tmp_path: Path) -> None:
    folder = run(LORA, toy, tmp_path / "run")
    weights = folder / "base" / "model.safetensors"
    if damage == "flipped":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    elif damage == "gone":
        weights.unlink()
    elif damage == "no digests":
        (folder / "base" / "doit.json").unlink()
    else:
        shutil.rmtree(folder / "base")

    for verb in (lambda: doit.merge(folder, tmp_path / "merged"), lambda: doit.chat(folder, ["?"])):
        with pytest.raises(StorageError) as caught:
            verb()
        assert caught.value.code == "D102"
        assert caught.value.where == str(folder / "base")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spec": {"name": "x"}}, "its `spec` cannot be read: `model`: missing"),
        ({"cost": {"trainable": 1}}, "it cannot be read: `cost.total`: missing"),
        ({"foo": 1}, "it cannot be read: `foo`: unknown key"),
        ({"files": {"adapter/none.safetensors": "0"}}, "`adapter/none.safetensors` is gone"),
    ],
)
def test_a_document_of_a_run_that_is_wrong_is_named_with_its_key(
    change: dict[str, Any], said: str, toy: Path, tmp_path: Path
) -> None:
    folder = run(LORA, toy, tmp_path / "run")
    document = orjson.loads((folder / "run.json").read_bytes())
    (folder / "run.json").write_bytes(orjson.dumps({**document, **change}))

    with pytest.raises(StorageError, match=re.escape(said)) as caught:
        doit.chat(folder, ["?"])

    assert caught.value.code == "D102"


def test_a_local_base_that_was_moved_is_asked_for(toy: Path, tmp_path: Path) -> None:
    base = run({"kind": "full"}, toy, tmp_path / "first") / "model"
    given = toys.trainer(model=str(base), tokenizer=None, steps=1)
    train(given, toy, tmp_path / "run", beside=Path())
    base.rename(tmp_path / "elsewhere")

    with pytest.raises(SpecError, match=r"the base model was in .*first/model, and is not there") as caught:
        doit.chat(tmp_path / "run", ["?"])

    assert caught.value.code == "D206"


def test_a_method_that_peft_cannot_merge_is_refused(toy: Path, tmp_path: Path) -> None:
    config = {"peft_type": "ADAPTION_PROMPT", "adapter_len": 4, "adapter_layers": 1}
    folder = run({"kind": "peft", "config": config}, toy, tmp_path / "run")

    with pytest.raises(SpecError, match="PEFT has no way to merge this kind of `peft`") as caught:
        doit.merge(folder, tmp_path / "merged")

    assert caught.value.code == "D607"


def test_answers_are_rendered_as_in_training(toy: Path, tmp_path: Path) -> None:
    """A model that has learned the rows by heart begins its answer as they do, and ends it."""
    folder = run(
        {"kind": "full"}, toy, tmp_path / "run", epochs=20, steps=None, optimizer={"lr": 0.01, "schedule": "linear"}
    )
    told: list[str] = []

    answers = doit.chat(
        folder,
        ["Question 4: say 2 0.", "第5题：请重复丙甲。"],
        tokens=24,
        told=lambda answer: told.append(answer.answer),
    )

    assert [answer.answer for answer in answers] == told
    assert answers[0].answer.startswith("Sure: ")
    assert answers[0].ended
    assert answers[0].tokens < 24
    again = doit.chat(folder, ["Question 4: say 2 0."], tokens=24, temperature=1.5, seed=1)
    assert again == doit.chat(folder, ["Question 4: say 2 0."], tokens=24, temperature=1.5, seed=1)
    with pytest.raises(SpecError, match="`tokens` is 0"):
        doit.chat(folder, ["?"], tokens=0)


@pytest.mark.parametrize("method", [KEPT["prompt"], KEPT["prefix"], LORA])
def test_adapters_answer_too(method: dict[str, Any], toy: Path, tmp_path: Path) -> None:
    folder = run(method, toy, tmp_path / "run")

    (answer,) = doit.chat(folder, ["你好"], tokens=5)

    assert 1 <= answer.tokens <= 5


def test_an_answer_ends_where_the_model_has_no_more_positions(toy: Path, tmp_path: Path) -> None:
    """GPT-2 learns its positions: one more than it has is an index out of range."""
    model = {"config": {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 96}}
    folder = run(LORA | {"targets": ["c_attn"]}, toy, tmp_path / "run", model=model, steps=1, max_tokens=96)

    (answer,) = doit.chat(folder, ["你好"], tokens=100_000)

    assert answer.tokens < 96
    with pytest.raises(SpecError, match=r"D204 .*made for 96") as caught:
        doit.chat(folder, ["你好" * 100], tokens=4)
    assert caught.value.code == "D204"
    with pytest.raises(SpecError, match="`seed` is"):
        doit.chat(folder, ["你好"], seed=2**70)


@pytest.mark.parametrize("method", [KEPT["full"], LORA])
def test_a_saved_model_ends_where_its_template_does(method: dict[str, Any], toy: Path, tmp_path: Path) -> None:
    """Whoever generates without `doit chat` reads the end tokens from generation_config.json."""
    folder = run(method, toy, tmp_path / "run", template="chatml", steps=1)
    saved = folder / "model"
    if method is LORA:
        doit.merge(folder, tmp_path / "merged")
        saved = tmp_path / "merged"
    tokenizer = open_run(folder).tokenizer

    ends = json.loads((saved / "generation_config.json").read_text("utf-8"))["eos_token_id"]

    assert set(ends) == {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")}
