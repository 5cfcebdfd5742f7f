"""The commands that need torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from doit import verbs
from doit.cli.app import Json, Sets, app
from doit.errors import SpecError

if TYPE_CHECKING:
    from doit.trainers.chatting import ChatAnswer
    from doit.trainers.training import TrainAnswer


@app.command
def train(
    trainer: str,
    /,
    *,
    mixture: Annotated[Path | None, Parameter(help="Folder of the mixture to train on.")] = None,
    out: Annotated[Path | None, Parameter(help="Folder of the run, new or empty.")] = None,
    resume: Annotated[bool, Parameter(negative="", help="Go on from the newest complete checkpoint.")] = False,
    show: Annotated[int, Parameter(help="Print so many rows, trained tokens coloured, and train nothing.")] = 0,
    dry_run: Annotated[
        bool, Parameter(name="--dry-run", negative="", help="Count parameters, rows and steps; train nothing.")
    ] = False,
    set_: Sets = (),
    json: Json = False,
) -> None:
    """Tune a model on a mixture.

    Parameters
    ----------
    trainer:
        Path of a trainer spec, or the name of a shipped one.
    """
    if show < 0:
        raise SpecError("D204", f"--show is {show}.", hint="Give 0 or more.")
    if show and (dry_run or json):
        other = "--dry-run" if dry_run else "--json"
        raise SpecError(
            "D207", f"--show prints rows for a reader, and {other} does not go with it.", hint="Leave one out."
        )
    if dry_run:
        _counted(trainer, mixture, set_, json=json)
        return
    if mixture is None or (out is None and not show):
        missing = "--mixture" if mixture is None else "--out"
        raise SpecError("D204", f"{missing} is not given.", hint="Or count only: `--dry-run`.")
    if show or out is None:
        _shown(trainer, mixture, set_, show)
        return
    try:
        answer = verbs.train(trainer, mixture, out, resume=resume, overrides=set_, say=_say)
    except KeyboardInterrupt:
        _say("stopped; go on from the newest checkpoint with --resume.")
        raise SystemExit(130) from None
    if json:
        sys.stdout.write(answer.model_dump_json(indent=2) + "\n")
    else:
        _told(answer)


def _counted(trainer: str, mixture: Path | None, overrides: tuple[str, ...], *, json: bool) -> None:
    answer = verbs.train_dry(trainer, mixture, overrides=overrides)
    for note in answer.notes:
        _say(f"note: {note}")
    if answer.refused is not None:
        _say(f"note: the training itself would be refused here: {answer.refused}")
    if json:
        sys.stdout.write(answer.model_dump_json(indent=2) + "\n")
        return
    share = answer.trainable / answer.total
    sys.stdout.write(f"trainable  {answer.trainable:,} of {answer.total:,} ({share:.3%})\n")
    if answer.rows is not None:
        sys.stdout.write(f"rows       {answer.rows:,} a pass\ntokens     {answer.tokens:,} a pass\n")
        sys.stdout.write(f"steps      {answer.steps:,}\n")


def _shown(trainer: str, mixture: Path, overrides: tuple[str, ...], count: int) -> None:
    from doit.trainers.showing import show_rows

    rows, tokenizer, chosen = verbs.train_rows(trainer, mixture, count, overrides=overrides)
    show_rows(rows, tokenizer, chosen)


def _told(answer: TrainAnswer) -> None:
    lines = [
        f"trained    {answer.trainable:,} of {answer.total:,} numbers, {answer.steps:,} steps",
        f"rows       {answer.rows:,}, {answer.tokens:,} tokens, {answer.seconds:,.1f} s",
    ]
    if answer.loss is not None:
        lines.append(f"loss       {answer.loss:.4f} in the last steps")
    if answer.validation is not None and answer.validation_before is not None:
        lines.append(f"validation {answer.validation_before:.4f} before, {answer.validation:.4f} after")
    lines.append(f"weights    {answer.weights}")
    sys.stderr.write("\n".join(lines) + "\n")


@app.command
def merge(run: Path, out: Path, /, *, json: Json = False) -> None:
    """Add a run's adapter to its base's weights.

    Parameters
    ----------
    run:
        A run's folder.
    out:
        Folder to make, or to replace if it holds a merged model.
    """
    answer = verbs.merge(run, out)
    if json:
        sys.stdout.write(answer.model_dump_json(indent=2) + "\n")
    else:
        sys.stderr.write(f"merged     {answer.parameters:,} numbers in {answer.out}\n")


@app.command
def chat(
    run: Path,
    /,
    *,
    prompt: Annotated[
        tuple[str, ...], Parameter(negative="", help="A message; may be repeated. Without one, lines are read.")
    ] = (),
    system: Annotated[str | None, Parameter(help="Text of a system turn.")] = None,
    tokens: Annotated[int, Parameter(help="At most so many tokens in an answer.")] = 256,
    temperature: Annotated[float, Parameter(help="0 takes the likeliest token; above it draws.")] = 0.0,
    seed: Annotated[int, Parameter(help="Of the draws.")] = 0,
    json: Json = False,
) -> None:
    """Look at what a run answers.

    Parameters
    ----------
    run:
        A run's folder.
    """
    how = {"system": system, "tokens": tokens, "temperature": temperature, "seed": seed}
    shown = (lambda answer: None) if json else _answered
    answers = verbs.chat(run, prompt or _lines(), told=shown, **how)  # type: ignore[arg-type]
    if json:
        import orjson

        found = [answer.model_dump() for answer in answers]
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")


def _lines() -> Iterator[str]:
    """Messages that a person types, until the input ends."""
    while True:
        if sys.stdin.isatty():
            sys.stderr.write("> ")
            sys.stderr.flush()
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError as error:
            hint = "Give the message with `--prompt`, or convert what is piped in."
            raise SpecError("D204", f"a line is not {error.encoding}.", where="standard input", hint=hint) from None
        if not line:
            return
        if line.strip():
            yield line.strip()


def _answered(answer: ChatAnswer) -> None:
    text = "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in answer.answer)
    sys.stdout.write(text + ("" if answer.ended else " …") + "\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
