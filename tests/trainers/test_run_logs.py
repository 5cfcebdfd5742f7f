"""What a run writes while it trains: the log, TensorBoard's, the picture, progress; and what its account adds up to."""

from __future__ import annotations

import errno
import functools
import importlib.util
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import toys

from doit import storage
from doit.errors import StorageError
from doit.progress import Progress
from doit.trainers import cost, loop
from doit.trainers.logs import read_losses, write_curve
from doit.trainers.runs import read_run
from doit.trainers.training import train

pytestmark = pytest.mark.usefixtures("_one_thread")


@pytest.fixture(scope="module")
def logged(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of six steps with all its logs."""
    out = tmp_path_factory.mktemp("logged") / "run"
    train(toys.trainer(steps=6, evaluate_every=3), toy, out, beside=Path())
    return out


def test_tensorboard_has_the_losses_of_the_log(logged: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(logged / "tensorboard"))
    board.Reload()

    for kind in ("train", "validation"):
        records = [one for one in read_losses(logged / "losses.jsonl") if one["kind"] == kind]
        written = [(one.step, one.value) for one in board.Scalars(f"loss/{kind}")]
        assert written == [(one["step"], pytest.approx(one["loss"])) for one in records]
        math = [next(cell["loss"] for cell in one["cells"] if cell["ability"] == "math") for one in records]
        assert [one.value for one in board.Scalars(f"cells/{kind}/zh-Hans/math")] == pytest.approx(math)
    assert [one.step for one in board.Scalars("optimizer/lr")] == [1, 2, 3, 4, 5, 6]


def test_a_resumed_run_goes_on_in_the_same_logs(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    given = toys.trainer(steps=6, evaluate_every=3, save_every=2)
    update = loop.Loop._update

    def stopped(self: loop.Loop, batch: Any, step: int) -> int:
        if step == 4:
            raise KeyboardInterrupt
        return update(self, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_update", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(given, toy, tmp_path / "run", beside=Path())
    train(given, toy, tmp_path / "run", beside=Path(), resume=True)

    board = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    board.Reload()
    assert [one.step for one in board.Scalars("loss/train")] == [1, 2, 3, 4, 5, 6]
    records = read_losses(tmp_path / "run" / "losses.jsonl")
    assert [one["step"] for one in records if one["kind"] == "train"] == [1, 2, 3, 4, 5, 6]


def test_the_picture_shows_the_log_and_its_absence_is_said(
    logged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("altair")
    drawn = (logged / "losses.png").read_bytes()
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(drawn[16:20]) > 1000  # pixels across
    records = read_losses(logged / "losses.jsonl")
    assert write_curve(tmp_path / "again.png", records) is None
    half = tmp_path / "half.png"
    assert write_curve(half, records[:2]) is None
    assert half.read_bytes() != (tmp_path / "again.png").read_bytes()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    assert "doit-mix[report]" in str(write_curve(tmp_path / "none.png", records))
    assert not (tmp_path / "none.png").exists()


def test_a_run_is_done_without_the_logs_that_the_disk_refused(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was trained is worth more than TensorBoard's log and the picture."""
    pytest.importorskip("altair")
    refused = OSError(errno.ENOSPC, "No space left on device")

    class Full:
        def add_scalar(self, *_: Any) -> None:
            """As long as its buffer has room."""

        def flush(self) -> None:
            raise refused

    def write(path: Path, data: bytes) -> None:
        if path.name == "losses.png":
            raise StorageError("D104", "No space left on device.", where=str(path))
        written(path, data)

    written = storage.write_bytes
    monkeypatch.setattr("doit.trainers.logs._board", lambda folder, step: Full())
    monkeypatch.setattr(storage, "write_bytes", write)
    lines: list[str] = []

    train(toys.trainer(steps=2), toy, tmp_path / "run", beside=Path(), say=lines.append)

    assert read_run(tmp_path / "run").status == "done"
    assert "note: TensorBoard's log stops here: No space left on device." in lines
    assert "note: no picture of the losses: No space left on device." in lines


@pytest.mark.usefixtures("_plain")
def test_progress_tells_tokens_a_second_and_the_time_left(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clock on which every look takes eleven seconds."""
    seconds = itertools.count(0.0, 11.0)
    monkeypatch.setattr(loop, "Progress", functools.partial(Progress, clock=lambda: next(seconds)))

    answer = train(toys.trainer(steps=4), toy, tmp_path / "run", beside=Path())

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training: ")]
    assert len(lines) >= 3
    assert f" of {answer.tokens:,} tokens, " in lines[0]
    assert " a second, " in lines[0]
    assert lines[0].endswith(" left")


def test_the_account_of_a_run_says_where_it_happened_and_what_it_cost(logged: Path) -> None:
    run = read_run(logged)

    assert run.environment["threads"] >= 1
    assert {"torch", "transformers", "peft"} <= set(run.environment["libraries"])
    vocabulary = json.loads((logged / "base" / "config.json").read_bytes())["vocab_size"]
    assert run.cost.flops == cost.flops(run.cost.trainable, run.cost.total, vocabulary * 32, run.cost.positions)
    for name, cells in run.masks.items():
        assert run.rows[name].encoded == sum(cell["rows"] for cell in cells)
        assert all(0 < cell["supervised"] < cell["tokens"] for cell in cells)


@pytest.mark.parametrize(("trainable", "a_weight"), [(1000, 6), (0, 4), (10, 4.02)])
def test_arithmetic_is_six_operations_a_weight_in_full_tuning_and_four_with_an_adapter(
    trainable: int, a_weight: float
) -> None:
    assert cost.flops(trainable, 1000, 0, 7) == pytest.approx(a_weight * 1000 * 7)
    assert cost.flops(trainable, 1200, 200, 7) == pytest.approx(a_weight * 1000 * 7)
