"""The verbs that need torch: `train`, `merge`, `chat`. Each returns the object that `--json` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doit.errors import SpecError

if TYPE_CHECKING:
    from doit.trainers.chatting import ChatAnswer
    from doit.trainers.dry_running import DryAnswer
    from doit.trainers.merging import MergeAnswer
    from doit.trainers.rows import EncodedRows
    from doit.trainers.training import TrainAnswer

Trainer = str | Path | Mapping[str, Any]
"""Path of a trainer spec; name of a shipped one, or a spec as plain data, whose paths start from the working folder."""


def train(
    spec: Trainer,
    mixture: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    overrides: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> TrainAnswer:
    """Tune a model on a mixture.

    Args:
        spec: the trainer spec.
        mixture: a mixture's folder.
        out: the run's folder; it must be new or empty, or hold the run that is resumed.
        resume: go on from the newest complete checkpoint, or begin where there is none.
        overrides: `a.b=v` assignments on top of the spec.
        say: told what a person may want to know while it runs.

    Returns:
        Counts, losses and where the weights are.

    Raises:
        SpecError: the spec or the call is wrong.
        DataError: there is nothing to train on, or the loss is not a number.
        StorageError: OUT holds something else, or the disk refused.
    """
    from doit.trainers.loading import load_trainer
    from doit.trainers.training import train as run

    given, beside = load_trainer(spec, overrides)
    return run(given, Path(mixture), Path(out), beside=beside, resume=resume, say=say)


def train_dry(spec: Trainer, mixture: str | Path | None = None, *, overrides: Sequence[str] = ()) -> DryAnswer:
    """Count what `train` would do: trainable and total numbers, and with a mixture its rows, tokens and steps.

    Args:
        spec: the trainer spec.
        mixture: a mixture's folder; without one no tokenizer is needed.
        overrides: `a.b=v` assignments on top of the spec.

    Raises:
        SpecError: the spec or the call is wrong.
        DataError: there is nothing to train on.
    """
    from doit.trainers.dry_running import dry_run
    from doit.trainers.loading import load_trainer

    given, beside = load_trainer(spec, overrides)
    return dry_run(given, None if mixture is None else Path(mixture), beside=beside)


def train_rows(
    spec: Trainer, mixture: str | Path, count: int, *, overrides: Sequence[str] = ()
) -> tuple[EncodedRows, Any, list[int]]:
    """The rows that `train` would train on, their tokenizer, and a few numbers of rows, taken from all cells in turn.

    `doit.trainers.showing.show_rows` prints them.

    Args:
        spec: the trainer spec.
        mixture: a mixture's folder.
        count: how many numbers of rows.
        overrides: `a.b=v` assignments on top of the spec.

    Raises:
        SpecError: the spec or the call is wrong.
        DataError: there is nothing to train on.
    """
    from doit.trainers.loading import load_trainer
    from doit.trainers.models import need_libraries
    from doit.trainers.preparing import prepare, spread

    need_libraries()
    given, beside = load_trainer(spec, overrides)
    prepared = prepare(given, Path(mixture), beside=beside, files="tokenizer")
    return prepared.rows, prepared.tokenizer, spread(prepared.rows, count)


def merge(run: str | Path, out: str | Path) -> MergeAnswer:
    """Add a run's adapter to its base's weights: a model like any other.

    Args:
        run: a run's folder.
        out: the folder to make, or to replace if it holds a merged model.

    Raises:
        SpecError: there is no finished run, or its method cannot be merged.
        StorageError: OUT holds something else, or a file is not what was written.
    """
    from doit.trainers.merging import merge as merge_run

    return merge_run(Path(run), Path(out))


def chat(
    run: str | Path,
    prompts: Iterable[str],
    *,
    system: str | None = None,
    tokens: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
    told: Callable[[ChatAnswer], None] = lambda answer: None,
) -> list[ChatAnswer]:
    """Ask what a run trained; the messages are one conversation.

    Args:
        run: a run's folder.
        prompts: the messages.
        system: text of a system turn.
        tokens: at most so many in an answer.
        temperature: 0 takes the likeliest token.
        seed: of the draws, where the temperature is above 0.
        told: called with each answer as it comes.

    Raises:
        SpecError: the call is wrong, or there is no finished run.
    """
    from doit.trainers.chatting import chat as talk

    if tokens < 1:
        raise SpecError("D204", f"`tokens` is {tokens}.", hint="Give 1 or more.")
    if temperature != 0 and not 0.001 <= temperature < float("inf"):
        raise SpecError("D204", f"`temperature` is {temperature}.", hint="Give 0, or 0.001 or more.")
    if not -(2**63) <= seed < 2**63:
        raise SpecError("D204", f"`seed` is {seed}.", hint="Give a number of at most 63 bits.")
    how = {"system": system, "tokens": tokens, "temperature": temperature, "seed": seed}
    return talk(Path(run), prompts, told=told, **how)
