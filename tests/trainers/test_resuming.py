"""A training that was cut short goes on as if it had not been; what is damaged is passed over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import toys

from doit.errors import DataError, DoitError, SpecError, StorageError
from doit.trainers import spec
from doit.trainers.checkpoints import newest
from doit.trainers.logs import read_losses
from doit.trainers.loop import Loop
from doit.trainers.runs import read_run
from doit.trainers.training import TrainAnswer, train

pytestmark = pytest.mark.usefixtures("_plain")

LINEAR = ["q_proj", "v_proj"]
ADALORA = {
    "kind": "adalora",
    "init_rank": 4,
    "rank": 2,
    "start": 2,
    "end": 3,
    "every": 2,
    "dropout": 0.1,
    "targets": LINEAR,
}
METHODS: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"},
    "lora": {"kind": "lora", "rank": 4, "dropout": 0.1, "targets": LINEAR},
    "dora": {"kind": "lora", "rank": 4, "dropout": 0.1, "targets": LINEAR, "dora": True},
    "pissa": {"kind": "lora", "rank": 4, "dropout": 0.1, "targets": LINEAR, "pissa": True},
    "adalora": ADALORA,
    "prefix": {"kind": "prefix", "tokens": 3, "projection": True, "hidden": 8},
}


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def kill_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the next training when a step is done, its checkpoint written."""
    after = Loop._after

    def dying(self: Loop, log: Any, number: int) -> None:
        after(self, log, number)
        if number == step:
            monkeypatch.setattr(Loop, "_after", after)
            raise Killed

    monkeypatch.setattr(Loop, "_after", dying)


def told() -> tuple[list[str], Callable[[str], None]]:
    lines: list[str] = []
    return lines, lines.append


def trained(given: spec.TrainerSpec, toy: Path, out: Path, **more: Any) -> TrainAnswer:
    return train(given, toy, out, beside=Path(), **more)


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_training_is_bit_identical(
    name: str, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = toys.trainer(method=METHODS[name], steps=12, save_every=2, evaluate_every=5, batch_records=7)
    trained(given, toy, tmp_path / "whole")

    for step in (1, 5, 7, 10):
        kill_after(step, monkeypatch)
        with pytest.raises(Killed):
            trained(given, toy, tmp_path / "cut", resume=step > 1)
    answer = trained(given, toy, tmp_path / "cut", resume=True)

    whole, cut = read_run(tmp_path / "whole"), read_run(tmp_path / "cut")
    assert cut.files == whole.files
    assert read_losses(tmp_path / "cut" / "losses.jsonl") == read_losses(tmp_path / "whole" / "losses.jsonl")
    assert cut.rows == whole.rows
    assert answer.seconds > 0


def test_a_killed_process_leaves_a_checkpoint_to_go_on_from(toy: Path, tmp_path: Path) -> None:
    given = toys.trainer(steps=8, save_every=3)
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch
torch.set_num_threads(1)
from pathlib import Path
from doit.trainers import checkpoints, loop, training
from doit.trainers.spec import TrainerSpec
import doit.trainers.logs
doit.trainers.logs._board = lambda folder, step: None
update = loop.Loop._update
def dying(self, batch, step):
    if step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self, batch, step)
loop.Loop._update = dying
given = TrainerSpec.model_validate_json({given.model_dump_json()!r})
training.train(given, Path({str(toy)!r}), Path({str(tmp_path / "cut")!r}), beside=Path())
"""
    done = subprocess.run([sys.executable, "-c", script], env=os.environ, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    lines, say = told()

    trained(given, toy, tmp_path / "cut", resume=True, say=say)
    trained(given, toy, tmp_path / "whole")

    assert "going on after step 3" in lines
    assert read_run(tmp_path / "cut").files == read_run(tmp_path / "whole").files
    assert not [path for path in (tmp_path / "cut").iterdir() if path.name.startswith(".")]


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_message(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = toys.trainer(steps=8, save_every=2)
    trained(given, toy, tmp_path / "whole")
    kill_after(6, monkeypatch)
    with pytest.raises(Killed):
        trained(given, toy, tmp_path / "cut")
    last = tmp_path / "cut" / "checkpoints" / "step-00000006"
    assert sorted(path.name for path in last.parent.iterdir()) == ["step-00000004", "step-00000006"]
    optimizer = last / "optimizer.safetensors"
    optimizer.write_bytes(optimizer.read_bytes()[:-100])
    lines, say = told()

    trained(given, toy, tmp_path / "cut", resume=True, say=say)

    assert "note: checkpoint step-00000006 is passed over: optimizer.safetensors is not what was written." in lines
    assert "going on after step 4" in lines
    assert read_run(tmp_path / "cut").files == read_run(tmp_path / "whole").files


@pytest.mark.parametrize("damage", ["gone", "torn", "no tensors", "flipped"])
def test_no_kind_of_damage_is_loaded(damage: str, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = toys.trainer(steps=4, save_every=1)
    kill_after(3, monkeypatch)
    with pytest.raises(Killed):
        trained(given, toy, tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "step-00000003"
    if damage == "gone":
        (last / "checkpoint.json").unlink()
    elif damage == "torn":
        (last / "checkpoint.json").write_bytes((last / "checkpoint.json").read_bytes()[:40])
    elif damage == "no tensors":
        (last / "trained.safetensors").write_bytes(b"")
    else:
        data = bytearray((last / "state.safetensors").read_bytes())
        data[-1] ^= 1
        (last / "state.safetensors").write_bytes(data)
    lines, say = told()

    found = newest(tmp_path / "run" / "checkpoints", say)

    assert found is not None
    assert found.step == 2
    assert len(lines) == 1
    assert "step-00000003 is passed over" in lines[0]


def test_nothing_in_a_run_is_pickled(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_after(3, monkeypatch)
    with pytest.raises(Killed):
        trained(toys.trainer(steps=4, save_every=3), toy, tmp_path / "run")

    kinds = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()}

    assert kinds == {".json", ".safetensors", ".jsonl"}


def changed_mixture(toy: Path, tmp_path: Path) -> tuple[Path, spec.TrainerSpec]:
    return toys.mixture(tmp_path / "other", count=60), toys.trainer(steps=4, save_every=2)


def changed_spec(toy: Path, tmp_path: Path) -> tuple[Path, spec.TrainerSpec]:
    return toy, toys.trainer(steps=4, save_every=2, seed=1)


@pytest.mark.parametrize(("change", "what"), [(changed_mixture, "the mixture"), (changed_spec, "the spec")])
def test_a_training_does_not_go_on_over_something_else(
    change: Callable[[Path, Path], tuple[Path, spec.TrainerSpec]],
    what: str,
    toy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = toys.trainer(steps=4, save_every=2)
    kill_after(3, monkeypatch)
    with pytest.raises(Killed):
        trained(given, toy, tmp_path / "run")
    mixture, other = change(toy, tmp_path)

    with pytest.raises(SpecError, match=f"{what} is another one: its digest was .* and is now") as caught:
        trained(other, mixture, tmp_path / "run", resume=True)

    assert caught.value.code == "D605"
    renamed = given.model_copy(update={"name": "other", "save_every": 3})
    assert trained(renamed, toy, tmp_path / "run", resume=True).steps == 4


def test_a_loss_that_is_not_a_number_stops_before_the_weights(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = toys.trainer(steps=6, save_every=2)
    trained(given, toy, tmp_path / "whole")
    update = Loop._update

    def poisoned(self: Loop, batch: Any, step: int) -> int:
        if step == 5:
            next(iter(self._trained.values())).data.fill_(float("nan"))
        return update(self, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_update", poisoned)
        with pytest.raises(DataError, match="step 5 of 6: the loss is not a number") as caught:
            trained(given, toy, tmp_path / "run")

    assert caught.value.code == "D604"
    trained(given, toy, tmp_path / "run", resume=True)
    assert read_run(tmp_path / "run").files == read_run(tmp_path / "whole").files


@pytest.mark.parametrize(("bad", "what"), [(6, "validation loss"), (4, "largest trained weight")])
def test_an_update_that_spoils_the_weights_is_neither_kept_nor_finished(
    bad: int, what: str, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of the step was a number; what the step made of the weights is none."""
    given = toys.trainer(steps=6, save_every=2)
    trained(given, toy, tmp_path / "whole")
    update = Loop._update

    def spoiling(self: Loop, batch: Any, step: int) -> int:
        tokens = update(self, batch, step)
        if step == bad:
            next(iter(self._trained.values())).data.view(-1)[0] = float("inf")
        return tokens

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_update", spoiling)
        with pytest.raises(DataError, match=f"step {bad} of 6: the {what} is not a number") as caught:
            trained(given, toy, tmp_path / "run")

    assert caught.value.code == "D604"
    assert read_run(tmp_path / "run").status == "running"
    assert not (tmp_path / "run" / "adapter").exists()
    lines, say = told()
    trained(given, toy, tmp_path / "run", resume=True, say=say)
    assert f"going on after step {bad - 2}" in lines
    assert read_run(tmp_path / "run").files == read_run(tmp_path / "whole").files


def test_a_full_disk_stops_with_a_code_and_the_checkpoint_before_stays(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files stands for the disk: the kernel refuses the write in the middle of a file."""
    resource = pytest.importorskip("resource")
    given = toys.trainer(steps=6, save_every=2)
    trained(given, toy, tmp_path / "whole")
    save = Loop._save
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(self: Loop, step: int) -> None:
        if step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        save(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_save", full)
        try:
            with pytest.raises(StorageError) as caught:
                trained(given, toy, tmp_path / "run")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert caught.value.code == "D104"
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000002"]
    lines, say = told()
    trained(given, toy, tmp_path / "run", resume=True, say=say)
    assert "going on after step 2" in lines
    assert read_run(tmp_path / "run").files == read_run(tmp_path / "whole").files


def test_a_run_that_is_there_is_not_trained_over(toy: Path, tmp_path: Path) -> None:
    given = toys.trainer(steps=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    first = trained(given, toy, tmp_path / "run")

    for out, said in ((tmp_path / "mine", "not empty"), (tmp_path / "run", "a run already")):
        with pytest.raises(StorageError, match=said) as caught:
            trained(given, toy, out)
        assert caught.value.code == "D101"
    lines, say = told()
    assert trained(given, toy, tmp_path / "run", resume=True, say=say) == first
    assert lines == ["note: this run is done; nothing is left to do."]


def refused(toy: Path, tmp_path: Path, **changes: Any) -> DoitError:
    with pytest.raises(DoitError) as caught:
        trained(toys.trainer(**changes), toy, tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()
    return caught.value


def test_what_cannot_be_trained_is_refused_before_a_step(toy: Path, tmp_path: Path) -> None:
    assert refused(toy, tmp_path, max_tokens=3, over_length="drop").code == "D320"
    assert refused(toy, tmp_path, model="no/such/folder", tokenizer=None).code == "D206"
    assert refused(toy, tmp_path, precision="fp16").code == "D204"
    assert refused(toy, tmp_path, model={"config": {"model_type": "lama"}}).code == "D203"
    assert refused(toy, tmp_path, model={"config": {"model_type": "t5"}}).code == "D204"
    assert refused(toy, tmp_path, packing=True, method={"kind": "prompt"}).code == "D603"
    assert refused(toy, tmp_path, method={"kind": "adalora"}).code == "D207"
    with pytest.raises(ValueError, match="rank"):
        toys.trainer(method={"kind": "lora", "rank": 0})


def test_a_missing_library_is_named_with_its_install(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    gone = {"bitsandbytes"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in gone else find(name, *more))

    quantised = refused(toy, tmp_path, method={"kind": "qlora"})
    gone.add("peft")
    training = refused(toy, tmp_path)

    assert (quantised.code, quantised.hint) == ("D208", "Install it with: pip install bitsandbytes")
    assert (training.code, training.hint) == ("D208", "Install it with: pip install 'doit-mix[train]'")


def test_an_empty_mixture_is_refused(toy: Path, tmp_path: Path) -> None:
    """One whose only file of rows is empty, as a hand may leave it; and a folder that is none."""
    with pytest.raises(SpecError, match="no mixture here") as caught:
        trained(toys.trainer(), tmp_path, tmp_path / "run")
    assert caught.value.code == "D206"
    import shutil

    import pyarrow.parquet as pq

    from doit import storage

    broken = tmp_path / "broken"
    shutil.copytree(toy, broken)
    (path,) = broken.glob("data/train-*.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(StorageError, match="not what was built") as changed:
        trained(toys.trainer(), broken, tmp_path / "run")
    assert changed.value.code == "D102"
    manifest = orjson.loads((broken / "manifest.json").read_bytes())
    name = path.relative_to(broken).as_posix()
    manifest["files"][name] = {"bytes": path.stat().st_size, "sha256": storage.file_digest(path)}
    (broken / "manifest.json").write_bytes(orjson.dumps(manifest))
    with pytest.raises(DataError, match="it is empty") as empty:
        trained(toys.trainer(), broken, tmp_path / "run")
    assert empty.value.code == "D320"


def test_held_out_records_must_not_be_trained_on(toy: Path, tmp_path: Path) -> None:
    import shutil

    import pyarrow as pa
    import pyarrow.parquet as pq

    from doit import storage

    broken = tmp_path / "broken"
    shutil.copytree(toy, broken)
    (train_file,), (held,) = broken.glob("data/train-*.parquet"), broken.glob("data/validation-*.parquet")
    both = pa.concat_tables([pq.read_table(held), pq.read_table(train_file).slice(0, 1)])
    pq.write_table(both, held)
    manifest = orjson.loads((broken / "manifest.json").read_bytes())
    name = held.relative_to(broken).as_posix()
    manifest["files"][name] = {"bytes": held.stat().st_size, "sha256": storage.file_digest(held)}
    manifest["digest"] = "0" * 64
    (broken / "manifest.json").write_bytes(orjson.dumps(manifest))

    with pytest.raises(DataError, match="1 validation records are in training too") as caught:
        trained(toys.trainer(), broken, tmp_path / "run")
    assert caught.value.code == "D606"


def test_a_tokenizer_without_an_end_token_is_refused(toy: Path, tmp_path: Path) -> None:
    from doit.trainers.models import fitted_tokenizer

    tokenizer = fitted_tokenizer(["abc"], 300)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "endless")

    assert refused(toy, tmp_path, tokenizer=str(tmp_path / "endless")).code == "D601"


def test_weights_that_could_run_code_are_refused(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"\x80\x04.")

    error = refused(toy, tmp_path, model=str(tmp_path / "pickled"), tokenizer=None)

    assert error.code == "D206"
    assert "safetensors" in error.what


def test_a_base_that_was_moved_does_not_stop_a_training(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a model is does not matter, only what it is: another one stops it."""
    trained(toys.trainer(steps=1, method={"kind": "full"}), toy, tmp_path / "first")
    given = toys.trainer(model=str(tmp_path / "first" / "model"), tokenizer=None, steps=4, save_every=2)
    kill_after(3, monkeypatch)
    with pytest.raises(Killed):
        trained(given, toy, tmp_path / "run")
    moved = (tmp_path / "first" / "model").rename(tmp_path / "moved")
    there = given.model_copy(update={"model": str(moved)})

    assert trained(there, toy, tmp_path / "run", resume=True).steps == 4
