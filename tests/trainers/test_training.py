"""Every method learns, saves what it learned, and leaves the rest of the model alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import toys

from doit.trainers import spec
from doit.trainers.logs import read_losses
from doit.trainers.losses import Forward, evaluate
from doit.trainers.methods import tuning
from doit.trainers.models import ModelPlace, fitted_tokenizer, load_config, load_model, need_libraries, pad_id, quiet
from doit.trainers.packing import batches, collate
from doit.trainers.preparing import sized
from doit.trainers.rows import encode
from doit.trainers.runs import load_base, open_run, read_run
from doit.trainers.training import train

pytestmark = pytest.mark.usefixtures("_plain")

NAMES = {
    "llama": {"linear": ["q_proj", "v_proj", "down_proj"], "ia3": (["k_proj", "v_proj", "down_proj"], ["down_proj"])},
    "bloom": {
        "linear": ["query_key_value", "dense_4h_to_h"],
        "ia3": (["query_key_value", "dense_4h_to_h"], ["dense_4h_to_h"]),
    },
}
NAMES["qwen2"] = NAMES["llama"]
METHODS = [
    "full",
    "lora",
    "rslora",
    "dora",
    "pissa",
    "adalora",
    "ia3",
    "prefix",
    "prompt",
    "p_tuning",
    "embeddings",
    "peft",
]
RATES = {"full": 3e-3, "embeddings": 1e-2, "ia3": 0.1, "prefix": 0.1, "prompt": 0.3, "p_tuning": 0.02}


def method(name: str, kind: str) -> dict[str, Any]:
    """A method with the names of an architecture's layers."""
    targets = NAMES[kind]["linear"]
    lora = {"kind": "lora", "rank": 4, "dropout": 0.0, "targets": targets}
    scaled, fed = NAMES[kind]["ia3"]
    found: dict[str, dict[str, Any]] = {
        "lora": lora,
        "rslora": {**lora, "rslora": True},
        "dora": {**lora, "dora": True},
        "pissa": {**lora, "pissa": True},
        "adalora": {
            "kind": "adalora",
            "init_rank": 4,
            "rank": 2,
            "start": 5,
            "end": 10,
            "every": 2,
            "dropout": 0.0,
            "targets": targets,
        },
        "ia3": {"kind": "ia3", "targets": scaled, "feedforward": fed},
        "prefix": {"kind": "prefix", "tokens": 4},
        "prompt": {"kind": "prompt", "tokens": 4},
        "p_tuning": {"kind": "p_tuning", "tokens": 4, "hidden": 32},
        "peft": {"kind": "peft", "config": {"peft_type": "LOHA", "r": 4, "alpha": 16, "target_modules": targets}},
    }
    return found.get(name, {"kind": name})


def weights(model: Any) -> dict[str, Any]:
    return {name: one.detach().clone() for name, one in model.named_parameters()}


def held_out(model: Any, tokenizer: Any, given: spec.TrainerSpec, toy: Path) -> float:
    """Loss on the validation rows, one batch a row."""
    rows = encode(toy, "validation", given, tokenizer)
    arrays = (
        collate(rows, part, packed=False, pad_id=pad_id(tokenizer))
        for update in batches(rows, given, 0, packed=False)
        for part in update
    )
    return evaluate(Forward(model), arrays, len(rows.cells), packed=False).mean() or 0.0


@pytest.mark.parametrize("kind", ["llama", "qwen2", "bloom"])
@pytest.mark.parametrize("name", METHODS)
def test_thirty_steps_learn_and_the_folder_holds_what_they_learned(
    name: str, kind: str, toy: Path, tmp_path: Path
) -> None:
    rate = {"lr": RATES.get(name, 0.02), "schedule": "constant", "warmup": 0}
    given = toys.trainer(
        model={"config": toys.MODELS[kind]}, method=method(name, kind), steps=30, batch_records=8, optimizer=rate
    )

    answer = train(given, toy, tmp_path / "run", beside=Path())

    assert answer.validation is not None
    assert answer.validation_before is not None
    assert answer.validation < answer.validation_before - 0.05
    assert answer.packed == (kind != "bloom" and name not in {"prefix", "prompt", "p_tuning"})
    opened = open_run(tmp_path / "run")
    assert held_out(opened.model, opened.tokenizer, given, toy) == pytest.approx(answer.validation, rel=2e-4)
    if opened.run.weights == "adapter":
        drawn = _drawn(given, opened.tokenizer)
        base = load_base(tmp_path / "run", opened.run)
        kept = weights(base)
        assert all(bool((one == kept[key]).all()) for key, one in weights(drawn).items())
        assert answer.trainable < answer.total / 4


def _drawn(given: spec.TrainerSpec, tokenizer: Any) -> Any:
    import torch

    need_libraries()
    place = ModelPlace("new", None)
    with quiet():
        config = sized(load_config(place, given.model), given, tokenizer)
        return load_model(place, config, seed=given.seed, dtype=torch.float32)


def test_only_embeddings_move_where_only_they_are_trained(toy: Path, tmp_path: Path) -> None:
    given = toys.trainer(method={"kind": "embeddings"}, steps=3)
    train(given, toy, tmp_path / "run", beside=Path())

    opened = open_run(tmp_path / "run")
    before = weights(_drawn(given, opened.tokenizer))
    moved = {name for name, one in weights(opened.model).items() if not bool((one == before[name]).all())}

    assert moved == {"model.embed_tokens.weight", "lm_head.weight"}


def test_adalora_ends_with_the_ranks_that_the_spec_asks_for(toy: Path, tmp_path: Path) -> None:
    """Numbers of ranks that fell are zero in what is saved; before the fall each layer had four."""
    from safetensors.torch import load_file

    given = toys.trainer(method=method("adalora", "llama"), steps=30)
    train(given, toy, tmp_path / "run", beside=Path())

    saved = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    ranks = [one for name, one in saved.items() if "lora_E" in name]
    assert sum(one.numel() for one in ranks) == 4 * len(ranks) == 4 * 6
    assert sum(int(one.count_nonzero()) for one in ranks) == 2 * len(ranks)


def test_lora_starts_as_its_base() -> None:
    import torch

    from doit.trainers.probe import LENGTHS  # any short row

    given = toys.trainer()
    base = _drawn(given, fitted_tokenizer(["a"], 300))
    tokens = torch.arange(sum(LENGTHS)).unsqueeze(0)
    with torch.no_grad():
        before = base(input_ids=tokens).logits
        for settings in ({}, {"dora": True}, {"rslora": True}):
            torch.manual_seed(0)
            after = (
                tuning(spec.Lora(rank=4, **settings), 0)
                .apply(_drawn(given, fitted_tokenizer(["a"], 300)))
                .eval()(input_ids=tokens)
                .logits
            )
            assert float((after - before).abs().max()) < 1e-6


def test_the_run_folder_accounts_for_every_row(toy: Path, tmp_path: Path) -> None:
    given = toys.trainer(steps=None, epochs=1.5, batch_records=5, evaluate_every=7, accumulate=5)

    answer = train(given, toy, tmp_path / "run", beside=Path())

    run = read_run(tmp_path / "run")
    written = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    manifest = json.loads((toy / "manifest.json").read_text(encoding="utf-8"))
    assert run.status == "done"
    assert answer.steps == 15 + 8
    assert (
        run.rows["train"].mixture == run.rows["train"].encoded == pl.read_parquet(toy / "data/train-*.parquet").height
    )
    assert run.rows["train"].planned == run.rows["train"].trained == 72 + 8 * 5
    assert written["mixture"] == {"name": "toy", "digest": manifest["digest"]}
    assert spec.TrainerSpec.model_validate(written["spec"]) == given
    records = read_losses(tmp_path / "run" / "losses.jsonl")
    assert [one["step"] for one in records if one["kind"] == "validation"] == [0, 7, 14, 21, 23]
    trained = [one for one in records if one["kind"] == "train"]
    supervised = sum(cell["supervised"] for cell in run.masks["train"])
    assert supervised < sum(one["tokens"] for one in trained) < 2 * supervised
    assert {(cell["language"], cell["ability"]) for cell in records[-1]["cells"]} == {
        ("en", "code"),
        ("zh-Hans", "math"),
    }
    for one in records:
        mean = sum(cell["loss"] * cell["tokens"] for cell in one["cells"]) / one["tokens"]
        assert mean == pytest.approx(one["loss"])
    assert run.cost.flops > 0
    assert run.cost.peak_memory > 1 << 20
    tokens = sum(cell["tokens"] for cell in run.masks["train"])
    assert tokens < run.cost.tokens < 2 * tokens
    assert run.cost.tokens <= run.cost.positions
    assert answer.tokens == run.cost.tokens
    assert not (tmp_path / "run" / "checkpoints").exists()
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "library_name: peft" in card
    assert "| zh-Hans | math |" in card
    assert str(tmp_path) not in card + json.dumps(written) + (tmp_path / "run/adapter/adapter_config.json").read_text()


def test_two_trainings_of_one_spec_are_bit_identical(toy: Path, tmp_path: Path) -> None:
    given = toys.trainer(steps=4)

    for name in ("a", "b"):
        train(given, toy, tmp_path / name, beside=Path())

    assert read_run(tmp_path / "a").files == read_run(tmp_path / "b").files


def test_a_local_model_with_a_tokenizer_of_its_own_is_trained_on(toy: Path, tmp_path: Path) -> None:
    """Control tokens that the template adds get embeddings, and LoRA trains those."""
    first = toys.trainer(method={"kind": "full"}, steps=2)
    train(first, toy, tmp_path / "first", beside=Path())
    (tmp_path / "first" / "model").rename(tmp_path / "base")
    given = toys.trainer(model="base", tokenizer=None, template="doit", steps=10)

    answer = train(given, toy, tmp_path / "run", beside=tmp_path)

    opened = open_run(tmp_path / "run")
    assert opened.run.model.added_tokens == 3
    all_linear = 4 * 2 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))
    assert answer.trainable == all_linear + 2 * 3 * 32
    assert held_out(opened.model, opened.tokenizer, given, toy) == pytest.approx(answer.validation, rel=1e-4)
    (tmp_path / "base" / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(OSError, match="D102"):
        open_run(tmp_path / "run")


@pytest.mark.parametrize(("kind", "tied"), [("llama", True), ("bloom", True), ("qwen2", False)])
def test_added_control_tokens_are_trained_and_come_back(kind: str, tied: bool, toy: Path, tmp_path: Path) -> None:
    """Where input and output share a matrix, and where they do not."""
    keys = {**toys.MODELS[kind], "tie_word_embeddings": tied}
    train(
        toys.trainer(model={"config": keys}, method={"kind": "full"}, steps=1), toy, tmp_path / "first", beside=Path()
    )
    base = str(tmp_path / "first" / "model")
    given = toys.trainer(model=base, tokenizer=None, template="chatml", steps=10, method=method("lora", kind))

    answer = train(given, toy, tmp_path / "run", beside=Path())

    opened = open_run(tmp_path / "run")
    assert answer.validation is not None
    assert answer.validation_before is not None
    assert answer.validation < answer.validation_before
    assert held_out(opened.model, opened.tokenizer, given, toy) == pytest.approx(answer.validation, rel=1e-4)
