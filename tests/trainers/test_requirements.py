"""What stops a training is said before it begins, and by a dry run beside its counts."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import toys

from doit.errors import SpecError
from doit.trainers import requirements
from doit.trainers.adapters import check_targets
from doit.trainers.dry_running import dry_run
from doit.trainers.loop import Loop
from doit.trainers.method_base import AdapterTuning, Tuning
from doit.trainers.methods import tuning
from doit.trainers.models import ModelPlace, load_config, meta_model, need_libraries, quiet
from doit.trainers.runs import read_run
from doit.trainers.spec import AdaLora, Lora, NewModel, TrainerSpec
from doit.trainers.training import train

pytestmark = pytest.mark.usefixtures("_plain")

GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 24}
MPT = {"model_type": "mpt", "d_model": 32, "n_layers": 1, "n_heads": 2, "max_seq_len": 24}
FULL = {"kind": "full"}
PROMPT = {"kind": "prompt", "tokens": 20}


def empty(keys: dict[str, Any]) -> Any:
    need_libraries()
    with quiet():
        return meta_model(load_config(ModelPlace("new", None), NewModel(config=keys)))


def refusal(given: TrainerSpec, toy: Path, tmp_path: Path) -> SpecError:
    with pytest.raises(SpecError) as caught:
        train(given, toy, tmp_path / "run", beside=tmp_path)
    return caught.value


@pytest.fixture
def _no_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "bitsandbytes" else find(name, *more)
    )


@pytest.mark.usefixtures("_no_bitsandbytes")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": {"kind": "qlora", "rank": 4}}, "D208"),
        ({"precision": "fp16"}, "D204"),
        ({"packing": True, "method": PROMPT}, "D603"),
        ({"recompute": True, "method": PROMPT}, "D207"),
        ({"model": {"config": GPT2}, "method": FULL}, "D204"),
        ({"model": {"config": MPT}, "method": FULL}, "D204"),
    ],
)
def test_a_dry_run_counts_and_says_what_the_training_would_say(
    changes: dict[str, Any], code: str, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    given = toys.trainer(**changes)

    counted = dry_run(given, toy, beside=tmp_path)

    assert counted.trainable > 0
    assert counted.steps == 12
    assert counted.refused is not None
    assert counted.refused.startswith(code)
    assert counted.refused == str(refusal(given, toy, tmp_path))
    assert not (tmp_path / "run").exists()


def test_a_new_model_is_not_quantised(monkeypatch: pytest.MonkeyPatch, toy: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(requirements, "need_libraries", lambda *names: None)

    error = refusal(toys.trainer(method={"kind": "qlora", "rank": 4}), toy, tmp_path)

    assert error.code == "D207"
    assert "those of a new model are drawn" in error.what


def test_rows_longer_than_the_model_are_refused_with_the_length_that_fits(toy: Path, tmp_path: Path) -> None:
    given = toys.trainer(model={"config": GPT2}, method=FULL, steps=1)

    assert "the model was made for 24. Give `max_tokens: 24`." in str(refusal(given, toy, tmp_path))
    prompted = given.model_copy(
        update={"method": TrainerSpec.model_validate({**given.model_dump(), "method": PROMPT}).method}
    )
    assert "behind 20 virtual ones, and the model was made for 24. Give `max_tokens: 4`." in str(
        refusal(prompted, toy, tmp_path)
    )
    wider = {"config": {**GPT2, "n_positions": 40}}
    fits = toys.trainer(model=wider, method=FULL, steps=1, max_tokens=40, over_length="truncate")
    assert train(fits, toy, tmp_path / "run", beside=tmp_path).steps == 1


def test_a_token_that_the_model_does_not_embed_is_refused(toy: Path, tmp_path: Path) -> None:
    train(toys.trainer(steps=1, method=FULL), toy, tmp_path / "first", beside=tmp_path)
    train(toys.trainer(steps=1, method=FULL, tokenizer={"fit": 700}), toy, tmp_path / "second", beside=tmp_path)
    given = toys.trainer(model="first/model", tokenizer="second/model")

    error = refusal(given, toy, tmp_path)

    assert error.code == "D601"
    assert "Use the model's own tokenizer." in error.hint


def test_a_rank_that_no_layer_can_use_is_an_error_and_one_that_some_cannot_a_note(toy: Path) -> None:
    """The toy's keys and values are 16 wide, everything else 32 or more."""
    with pytest.raises(SpecError, match=r"method\.rank: it is 99,999, .*Give 32 at most") as caught:
        dry_run(toys.trainer(method={"kind": "lora", "rank": 99_999}), None, beside=Path())
    assert caught.value.code == "D204"
    with pytest.raises(SpecError, match=r"method\.init_rank: it is 33"):
        dry_run(toys.trainer(method={"kind": "adalora", "init_rank": 33}), None, beside=Path())
    with pytest.raises(
        SpecError, match=r"it is 17, more than the smaller side of k_proj \(16\), v_proj \(16\)\. Give 16"
    ):
        dry_run(toys.trainer(method={"kind": "lora", "rank": 17, "pissa": True}), None, beside=Path())

    noted = dry_run(toys.trainer(method={"kind": "lora", "rank": 17}), toy, beside=Path())

    assert noted.refused is None
    assert noted.notes == ("rank 17 is more than the smaller side of k_proj (16), v_proj (16): there it only costs.",)
    assert dry_run(toys.trainer(method={"kind": "lora", "rank": 16}), toy, beside=Path()).notes == ()


def test_the_sides_of_every_kind_of_layer_are_known() -> None:
    assert tuning(Lora(rank=33, targets=("c_attn", "c_fc")), 0).notes(empty(GPT2 | {"n_embd": 64})) == []
    with pytest.raises(SpecError, match=r"c_attn \(32\)"):
        tuning(Lora(rank=33, targets=("c_attn",)), 0).notes(empty(GPT2))
    with pytest.raises(SpecError, match="no linear layer to adapt"):
        tuning(AdaLora(), 0).apply(empty({**toys.LLAMA, "num_hidden_layers": 0}))


def test_what_is_hardly_meant_is_noted_in_training_too(toy: Path, tmp_path: Path) -> None:
    """A rise of the rate that takes all steps; a tokenizer that is not that of the model."""
    lines: list[str] = []
    train(toys.trainer(steps=1, optimizer={"warmup": 0.03}), toy, tmp_path / "a", beside=tmp_path, say=lines.append)
    train(toys.trainer(steps=1, method=FULL), toy, tmp_path / "first", beside=tmp_path)
    shutil.move(tmp_path / "first" / "model", tmp_path / "base")
    fitted = dry_run(toys.trainer(model="base"), toy, beside=tmp_path)

    assert "note: the learning rate rises from 0 for 1 steps, and there are 1: nothing is learned." in lines
    assert fitted.notes == ("the tokenizer is fitted anew, and the model's embeddings belong to its own.",)
    assert (
        dry_run(toys.trainer(steps=5, optimizer={"warmup": 9}), toy, beside=tmp_path)
        .notes[0]
        .endswith("for 9 steps, and there are 5: it never comes to `lr`.")
    )


def test_a_block_of_layers_and_half_of_a_tied_matrix_are_no_targets() -> None:
    tied = {**toys.LLAMA, "tie_word_embeddings": True}
    with pytest.raises(SpecError, match=r'"self_attn" is a block of layers, not a layer\. It has down_proj'):
        check_targets(empty(toys.LLAMA), ["self_attn"])
    for targets in (["lm_head"], ["q_proj", "embed_tokens"], ".*lm_head"):
        with pytest.raises(SpecError, match="input and output of the model in one matrix") as caught:
            check_targets(empty(tied), targets)
        assert caught.value.code == "D207"
        check_targets(empty(toys.LLAMA), targets)
    check_targets(empty(tied), "all-linear")
    with pytest.raises(SpecError, match="is no pattern"):
        check_targets(empty(tied), "(q_proj")


def test_adalora_needs_a_step_before_the_one_in_which_ranks_fall(toy: Path, tmp_path: Path) -> None:
    short = {"kind": "adalora", "init_rank": 4, "rank": 2, "start": 0, "end": 1, "every": 1}

    error = refusal(toys.trainer(method=short, steps=2), toy, tmp_path)

    assert error.code == "D207"
    assert "ranks can fall from the second step on" in error.what
    assert train(toys.trainer(method=short, steps=3), toy, tmp_path / "run", beside=tmp_path).steps == 3


@pytest.mark.parametrize("config", [{"peft_type": "POLY", "target_modules": ["q_proj"]}, {"peft_type": "XLORA"}])
def test_a_method_of_peft_that_cannot_be_run_is_refused(config: dict[str, Any], toy: Path, tmp_path: Path) -> None:
    error = refusal(toys.trainer(method={"kind": "peft", "config": config}), toy, tmp_path)

    assert error.code == "D204"
    assert error.where == "method: peft"


def test_a_model_that_cannot_be_run_is_refused(toy: Path, tmp_path: Path) -> None:
    error = refusal(toys.trainer(model={"config": {**toys.LLAMA, "num_key_value_heads": 3}}), toy, tmp_path)

    assert error.code == "D204"
    assert error.what.startswith("it cannot be run: ")


def test_too_little_memory_is_said_in_our_words(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for raised, where in (
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."), "the GPU"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"), "this machine"),
    ):

        def starved(self: Loop, batch: Any, step: int, raised: Exception = raised) -> int:
            raise raised

        monkeypatch.setattr(Loop, "_update", starved)
        error = refusal(toys.trainer(steps=1), toy, tmp_path / where.replace(" ", ""))
        assert (error.code, error.where) == ("D608", where)
    monkeypatch.setattr(Loop, "_update", lambda *_: (_ for _ in ()).throw(RuntimeError("a fault of ours")))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        train(toys.trainer(steps=1), toy, tmp_path / "run", beside=tmp_path)


def test_what_a_refused_training_left_does_not_stop_the_next(toy: Path, tmp_path: Path) -> None:
    refusal(toys.trainer(method={"kind": "lora", "targets": ["q_prj"]}), toy, tmp_path)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["base"]

    train(toys.trainer(steps=1, seed=1), toy, tmp_path / "run", beside=tmp_path)
    train(toys.trainer(steps=1, seed=1), toy, tmp_path / "anew", beside=tmp_path)

    assert read_run(tmp_path / "run").status == "done"
    assert (tmp_path / "run/base/doit.json").read_bytes() == (tmp_path / "anew/base/doit.json").read_bytes()


def test_a_run_does_not_lie_in_a_mixture(tmp_path: Path) -> None:
    mixture = toys.mixture(tmp_path / "made", count=20, held=0)

    with pytest.raises(OSError, match=r"D101 .*it lies inside the mixture"):
        train(toys.trainer(steps=1, method=FULL), mixture, mixture / "run", beside=tmp_path)

    assert not (mixture / "run").exists()


def test_a_method_without_its_parts_cannot_be_made() -> None:
    class Unfinished(AdapterTuning[Lora]):
        """It says nothing of its configuration."""

    with pytest.raises(TypeError, match="abstract"):
        Unfinished(Lora(), 0)  # type: ignore[abstract]
    with pytest.raises(TypeError, match="abstract"):
        Tuning(Lora(), 0)  # type: ignore[abstract]
