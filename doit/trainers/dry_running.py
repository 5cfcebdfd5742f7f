"""`doit train --dry-run`: what a training would do, counted on a model without weights."""

from __future__ import annotations

from pathlib import Path

from doit.errors import SpecError
from doit.schemas.base import Frozen
from doit.trainers.adapters import parameters
from doit.trainers.methods import tuning
from doit.trainers.models import find_model, load_config, meta_model, need_libraries, quiet, resize
from doit.trainers.planning import plan
from doit.trainers.preparing import Prepared, prepare, sized
from doit.trainers.requirements import check_machine, check_rows, spec_notes
from doit.trainers.spec import NewModel, TrainerSpec


class DryAnswer(Frozen):
    """What `doit train --dry-run` answers; rows, tokens and steps are null without a mixture."""

    trainable: int
    """Numbers that would be trained."""
    total: int
    """All numbers of the model with them."""
    rows: int | None = None
    """Rows of one pass."""
    tokens: int | None = None
    """Their tokens."""
    steps: int | None = None
    """Updates of all passes."""
    refused: str | None = None
    """Why the training itself would be refused here, as far as that is known without the weights."""
    notes: tuple[str, ...] = ()
    """What is allowed, and hardly meant."""


def dry_run(spec: TrainerSpec, mixture: Path | None, *, beside: Path) -> DryAnswer:
    """Count what a training would do; the model is built without weights.

    Args:
        spec: the trainer spec.
        mixture: a mixture's folder, or None: then no tokenizer is needed either.
        beside: where relative folders of the spec start from.

    Raises:
        MissingExtra: D208.
        SpecError: the spec does not fit the model or the mixture.
        DataError: no row is left to train on.
    """
    need_libraries()
    if mixture is None:
        place = find_model(spec.model, spec.revision, beside, files="config")
        config, prepared = load_config(place, spec.model), None
    else:
        prepared = prepare(spec, mixture, beside=beside, files="tokenizer")
        config = prepared.config
    steps = 0 if prepared is None else _steps(spec, prepared)
    method = tuning(spec.method, steps)
    with quiet():
        model = meta_model(sized(config, spec, prepared and prepared.tokenizer))
        if prepared is not None and not isinstance(spec.model, NewModel):
            resize(model, prepared.tokenizer, prepared.added)
        notes = method.notes(model)
        vocabulary = model.get_input_embeddings().weight.shape[0]
        trainable, total = parameters(method.apply(model))
    refused = _refused(spec, prepared, vocabulary, beside)
    if prepared is None:
        return DryAnswer(trainable=trainable, total=total, refused=refused, notes=tuple(notes))
    return DryAnswer(
        trainable=trainable,
        total=total,
        rows=len(prepared.rows),
        tokens=len(prepared.rows.ids),
        steps=steps,
        refused=refused,
        notes=(*notes, *spec_notes(spec, steps)),
    )


def _steps(spec: TrainerSpec, prepared: Prepared) -> int:
    packed = spec.packing is True or (spec.packing == "auto" and not tuning(spec.method, 0).prompted)
    return plan(prepared.rows, spec, packed=packed).steps


def _refused(spec: TrainerSpec, prepared: Prepared | None, vocabulary: int, beside: Path) -> str | None:
    """What the training itself would say, at the first thing that stops it."""
    try:
        check_machine(spec)
        if isinstance(spec.model, str) and (beside / spec.model).is_dir():
            find_model(spec.model, spec.revision, beside)
        if prepared is not None:
            check_rows(spec, prepared.config, prepared.splits, vocabulary=vocabulary)
    except SpecError as error:
        return str(error)
    return None
