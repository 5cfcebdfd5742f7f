"""Losses as they come: `losses.jsonl`, TensorBoard's log where it is installed, and a picture at the end."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from doit import storage
from doit.errors import StorageError

FLUSH_EVERY = 5.0
"""Seconds between two writes of `losses.jsonl`; checkpoints, evaluations and the end write it too."""


class LossLog:
    """The log of one run.

    One line a record: `kind` (`train` or `validation`), `step`, `epoch`, `loss` (nats a supervised token), `tokens`,
    `cells` (language, ability, loss, tokens of each), and for training `lr` and `norm`: the gradient's, before it was
    clipped.

    Args:
        folder: of the run.
        step: where a resumed training goes on; later lines of an earlier process are dropped.
        say: told where TensorBoard's log cannot be written; the training goes on without.
    """

    def __init__(self, folder: Path, step: int, say: Callable[[str], None] = lambda text: None) -> None:
        self._path, self._say = folder / "losses.jsonl", say
        self.records = [one for one in read_losses(self._path) if one["step"] <= step] if step else []
        self._written = time.monotonic()
        self._board = _board(folder / "tensorboard", step)

    def add(self, record: dict[str, Any]) -> None:
        """Take one record."""
        self.records.append(record)
        with self._boarding():
            if self._board is not None:
                _show(self._board, record)
        if time.monotonic() - self._written >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Bring what came so far to the disk."""
        storage.write_bytes(self._path, b"".join(orjson.dumps(one) + b"\n" for one in self.records))
        self._written = time.monotonic()
        with self._boarding():
            if self._board is not None:
                self._board.flush()

    def close(self) -> None:
        """Let go of TensorBoard's file."""
        with self._boarding():
            if self._board is not None:
                self._board.close()

    @contextlib.contextmanager
    def _boarding(self) -> Iterator[None]:
        """Go on without TensorBoard where its file is refused: `losses.jsonl` has the same."""
        try:
            yield
        except OSError as error:
            self._board = None
            self._say(f"note: TensorBoard's log stops here: {error.strerror or error}.")

    def last(self, kind: str) -> dict[str, Any] | None:
        """The newest record of a kind."""
        return next((one for one in reversed(self.records) if one["kind"] == kind), None)

    def first(self, kind: str) -> dict[str, Any] | None:
        """The oldest record of a kind."""
        return next((one for one in self.records if one["kind"] == kind), None)


def _show(board: Any, record: dict[str, Any]) -> None:
    """Hand a record to TensorBoard."""
    kind, step = record["kind"], record["step"]
    board.add_scalar(f"loss/{kind}", record["loss"], step)
    for cell in record["cells"]:
        name = f"{cell['language']}/{cell['ability'] or 'untagged'}"
        board.add_scalar(f"cells/{kind}/{name}", cell["loss"], step)
    if kind == "train":
        board.add_scalar("optimizer/lr", record["lr"], step)


def read_losses(path: Path) -> list[dict[str, Any]]:
    """The records of a `losses.jsonl`; none where there is no such file."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.is_file() else []


def _board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where it is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    # what an earlier process wrote of later steps is dropped; that of the checkpoint's own step stays
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def write_curve(path: Path, records: list[dict[str, Any]]) -> str | None:
    """Draw the losses over the steps: all cells together, and validation by cell.

    Args:
        path: a `.png` to write.
        records: of a `losses.jsonl`.

    Returns:
        Why there is no picture; None where there is one.
    """
    if importlib.util.find_spec("altair") is None or importlib.util.find_spec("vl_convert") is None:
        return "no picture of the losses: it needs altair and vl-convert-python (pip install 'doit-mix[report]')"
    alt: Any = importlib.import_module("altair")
    vl_convert: Any = importlib.import_module("vl_convert")

    points = [{"step": one["step"], "loss": one["loss"], "curve": one["kind"]} for one in records]
    for one in records:
        if one["kind"] == "validation":
            points += [
                {
                    "step": one["step"],
                    "loss": cell["loss"],
                    "curve": f"{cell['language']} {cell['ability'] or 'untagged'}",
                }
                for cell in one["cells"]
            ]
    chart = (
        alt.Chart(alt.Data(values=points), width=640, height=360, title="Loss by step")
        .mark_line(point=len(points) < 200)
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("loss:Q", title="nats a supervised token", scale=alt.Scale(zero=False)),
            color=alt.Color("curve:N", title=None),
        )
    )
    try:
        storage.write_bytes(path, vl_convert.vegalite_to_png(chart.to_json(), scale=2))
    except StorageError as error:  # the weights are worth more than their picture
        return f"no picture of the losses: {error.what}"
    return None
