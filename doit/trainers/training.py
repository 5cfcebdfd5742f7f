"""`doit train`: from a trainer spec and a mixture to a run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from doit import storage
from doit.errors import SpecError, StorageError
from doit.folderlock import folder_lock
from doit.schemas.base import Frozen
from doit.trainers import checkpoints, cost
from doit.trainers.adapters import Base, parameters
from doit.trainers.card import card_markdown
from doit.trainers.checkpoints import Checkpoint
from doit.trainers.logs import LossLog, write_curve
from doit.trainers.loop import Loop, Work, seeded
from doit.trainers.method_base import ADAPTER, MODEL, Tuning
from doit.trainers.methods import tuning
from doit.trainers.models import need_libraries, pad_id, quiet, stated_license, stop_at
from doit.trainers.planning import Plan, plan
from doit.trainers.preparing import Prepared, base_model, identity_of, prepare
from doit.trainers.probe import check_causal, packing_allowed
from doit.trainers.rendering import end_ids
from doit.trainers.requirements import check_machine, check_rows, enough_memory, spec_notes
from doit.trainers.runs import FOLDER, RUN, Run, RunCost, RunModel, RunRows, read_run, write_run, write_weights
from doit.trainers.spec import Peft, TrainerSpec


class TrainAnswer(Frozen):
    """What `doit train` answers."""

    out: str
    method: str
    model: str
    trainable: int
    total: int
    rows: int
    """Rows trained on, those of every pass counted."""
    tokens: int
    """Their tokens."""
    steps: int
    packed: bool
    loss: float | None
    """Nats a token over the last logged steps."""
    validation: float | None = None
    """Nats a token on the held-out rows, at the end."""
    validation_before: float | None = None
    """The same before the first step."""
    seconds: float
    weights: str
    """Folder of what was trained."""


def train(
    spec: TrainerSpec,
    mixture: Path,
    out: Path,
    *,
    beside: Path,
    resume: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> TrainAnswer:
    """Tune a model on a mixture.

    Args:
        spec: the trainer spec.
        mixture: a mixture's folder.
        out: the run's folder; it must be new or empty, or hold the run that is resumed.
        beside: where relative folders of the spec start from.
        resume: go on from the newest complete checkpoint; begin where there is none.
        say: told what a person may want to know while it runs.

    Raises:
        MissingExtra: D208.
        SpecError: the spec does not fit the model or the mixture; D603, D605, D608.
        DataError: D320, D604, D606.
        StorageError: OUT holds something else, or the disk refused.
    """
    need_libraries()
    _check_out(out, resume=resume)
    check_machine(spec)
    with quiet(), seeded(spec.seed):
        prepared = prepare(spec, mixture, beside=beside)
        storage.make_parents(out)
        with folder_lock(out), enough_memory():
            return _train(spec, prepared, out, resume=resume, say=say)


def _train(
    spec: TrainerSpec, prepared: Prepared, out: Path, *, resume: bool, say: Callable[[str], None]
) -> TrainAnswer:
    identity = identity_of(spec, prepared)
    start = _start(out, identity, say) if resume else None
    if resume and start is None and (out / RUN).is_file() and read_run(out).status == "done":
        say("note: this run is done; nothing is left to do.")
        return _answer(out, read_run(out))
    model, precision, autocast = base_model(spec, prepared)
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    check_rows(spec, prepared.config, prepared.splits, vocabulary=vocabulary)
    check_causal(model, autocast=autocast)
    method = tuning(spec.method, 0)
    method.added = tuple(range(len(prepared.tokenizer) - prepared.added, len(prepared.tokenizer)))
    notes = method.notes(model)
    drawn = prepared.place.folder is None and method.folder == ADAPTER
    if drawn and (start is None or not (out / "base").is_dir()):
        write_weights(out / "base", model.save_pretrained)
    if isinstance(spec.method, Peft):  # nobody knows what such a method does to attention
        model = _applied(spec, method, model)
        check_causal(model, autocast=autocast, where="method: peft")
    packed, why = packing_allowed(spec.packing, model, method, autocast=autocast)
    say(f"packing: {'on' if packed else 'off'}, {why}")
    course = plan(prepared.rows, spec, packed=packed)
    for note in (*notes, *spec_notes(spec, course.steps)):
        say(f"note: {note}")
    method.steps = course.steps
    wrapped = model if isinstance(spec.method, Peft) else _applied(spec, method, model)
    run = _run(spec, prepared, course, told=(why, precision), wrapped=wrapped, identity=identity)
    write_run(out, run)
    work = Work(
        spec=spec,
        plan=course,
        model=wrapped,
        tuning=method,
        rows=prepared.rows,
        validation=prepared.validation,
        pad=pad_id(prepared.tokenizer),
        autocast=autocast,
        folder=out,
        identity=identity,
        say=say,
    )
    loop = Loop(work)
    log = loop.run(start)
    return _finished(out, run, loop, log, prepared)


def _finished(out: Path, run: Run, loop: Loop, log: LossLog, prepared: Prepared) -> TrainAnswer:
    """Write what was trained, then the account of it, and only then drop the checkpoints."""
    work, done = loop.work, loop.done
    base = Base("../base") if prepared.place.folder is None else Base(prepared.place.name, prepared.place.commit)

    def write(staging: Path) -> None:
        if run.weights == MODEL:
            stop_at(work.model, end_ids(prepared.tokenizer, work.spec))
        work.tuning.save(work.model, staging, base)
        prepared.tokenizer.save_pretrained(staging)

    files = write_weights(out / run.weights, write)
    missing = write_curve(out / "losses.png", log.records)
    if missing:
        work.say(f"note: {missing}")
    losses = {"train": log.last("train"), "validation": log.last("validation")}
    before = log.first("validation")
    embedding = work.model.get_input_embeddings().weight
    tied = bool(getattr(work.model.config.get_text_config(), "tie_word_embeddings", False))
    looked_up = 0 if tied else embedding.numel()
    rows = {**run.rows}
    rows["train"] = rows["train"].model_copy(update={"trained": done.rows})
    spent = RunCost(
        trainable=run.cost.trainable,
        total=run.cost.total,
        seconds=round(done.seconds, 3),
        tokens=done.tokens,
        positions=done.positions,
        peak_memory=cost.peak_memory(loop.forward.device),
        flops=cost.flops(run.cost.trainable, run.cost.total, looked_up, done.positions),
    )
    finished = run.model_copy(
        update={
            "status": "done",
            "rows": rows,
            "losses": {**losses, "validation_before": before},
            "cost": spent,
            "files": files,
        }
    )
    storage.write_text(out / "README.md", card_markdown(finished, prepared.opened.manifest))
    write_run(out, finished)
    checkpoints.remove(out / "checkpoints")
    return _answer(out, finished)


def _answer(out: Path, run: Run) -> TrainAnswer:
    def loss(kind: str) -> float | None:
        record = run.losses.get(kind)
        return None if record is None else record["loss"]

    return TrainAnswer(
        out=str(out),
        method=run.method,
        model=run.model.name,
        trainable=run.cost.trainable,
        total=run.cost.total,
        rows=run.rows["train"].trained,
        tokens=run.cost.tokens,
        steps=run.steps,
        packed=run.packed,
        loss=loss("train"),
        validation=loss("validation"),
        validation_before=loss("validation_before"),
        seconds=run.cost.seconds,
        weights=str(out / run.weights),
    )


def _check_out(out: Path, *, resume: bool) -> None:
    storage.refuse_inside_mixture(out.resolve())
    if out.exists() and not out.is_dir():
        raise StorageError("D101", "this is not a folder.", where=str(out), hint="Choose another one.")
    if not out.is_dir() or _never_began(out):
        return
    if not (out / RUN).is_file() and not (resume and (out / "checkpoints").is_dir()):
        what = f"the folder is not empty and has no `{RUN}`."
        raise StorageError("D101", what, where=str(out), hint="Choose another folder, or empty this one yourself.")
    if not resume:
        hint = "Go on with `--resume`, or choose another folder."
        raise StorageError("D101", "there is a run already.", where=str(out), hint=hint)


def _never_began(out: Path) -> bool:
    """Whether a folder is empty, or holds no more than the drawn base of a training that was refused or killed."""
    names = {path.name for path in out.iterdir()}
    drawn = {name for name in names if name == "base" or name.startswith(".base.")}
    return names == drawn and ("base" not in names or (out / "base" / FOLDER).is_file())


def _start(out: Path, identity: dict[str, str], say: Callable[[str], None]) -> Checkpoint | None:
    """The checkpoint to go on from; None where there is none.

    Raises:
        SpecError: D605 something that the training stands on is another.
    """
    found = checkpoints.newest(out / "checkpoints", say)
    known = found.facts["identity"] if found else read_run(out).identity if (out / RUN).is_file() else identity
    for name, digest in identity.items():
        if known.get(name) != digest:
            what = f"the {name} is another one: its digest was {known.get(name)}, and is now {digest}."
            hint = "Bring it back, or train into another folder."
            raise SpecError("D605", what, where=str(out), hint=hint)
    if found is not None:
        say(f"going on after step {found.step:,}")
    elif (out / RUN).is_file() and read_run(out).status == "running":
        say("note: there is no complete checkpoint; beginning at step 0")
    return found


def _applied(spec: TrainerSpec, method: Tuning[Any], model: Any) -> Any:
    """The model with the method in it, ready to train."""
    import torch

    torch.manual_seed(spec.seed)
    if spec.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    device = next(model.parameters()).device
    wrapped = method.apply(model)
    trainable, _ = parameters(wrapped)
    if not trainable:
        raise SpecError("D204", "nothing of the model would be trained.", where="method")
    return wrapped.to(device)


def _run(
    spec: TrainerSpec,
    prepared: Prepared,
    course: Plan,
    *,
    told: tuple[str, Any],
    wrapped: Any,
    identity: dict[str, str],
) -> Run:
    """The document of a run that begins."""
    place, manifest = prepared.place, prepared.opened.manifest
    trainable, total = parameters(wrapped)
    local = place.folder is not None and place.commit is None
    splits = {"train": prepared.rows, **({"validation": prepared.validation} if prepared.validation else {})}
    rows = {
        name: RunRows(mixture=sum(cell.read for cell in held.report), encoded=len(held))
        for name, held in splits.items()
    }
    rows["train"] = rows["train"].model_copy(update={"planned": course.rows})
    return Run(
        name=spec.name,
        spec=spec.model_dump(mode="json"),
        method=spec.method.kind,
        weights=tuning(spec.method, 0).folder,
        model=RunModel(
            name=place.name,
            commit=place.commit,
            folder=str(place.folder.resolve()) if local and place.folder else None,
            digest=identity["model"],
            license=stated_license(place),
            added_tokens=prepared.added,
        ),
        mixture={"name": manifest.name, "digest": manifest.digest},
        licenses=manifest.licenses,
        identity=identity,
        packed=course.packed,
        packing=told[0],
        precision=told[1],
        steps=course.steps,
        rows=rows,
        masks={name: [asdict(cell) for cell in held.report] for name, held in splits.items()},
        cost=RunCost(trainable=trainable, total=total),
        environment=cost.environment(next(wrapped.parameters()).device),
    )
