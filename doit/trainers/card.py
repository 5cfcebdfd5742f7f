"""The model card of a run: what was trained, on what, how it went and what it cost."""

from __future__ import annotations

from typing import Any

from doit import yamlio
from doit.mixtures.manifest import Manifest
from doit.trainers.runs import Run

_MEBIBYTE = 1 << 20


def card_markdown(run: Run, manifest: Manifest) -> str:
    """The README of a run folder, with the front matter that the Hugging Face Hub reads.

    Args:
        run: its document, finished.
        manifest: of the mixture.
    """
    languages = sorted({cell["language"].partition("-")[0] for cell in run.masks["train"]} - {"und"})
    front: dict[str, Any] = {"language": languages, "tags": ["instruction-tuning", run.method]}
    if run.model.commit is not None:
        front = {"base_model": run.model.name, **front}
    if run.weights == "adapter":
        front = {"library_name": "peft", **front}
    parts = [
        f"---\n{yamlio.dump(front)}---",
        f"# {run.name}: {run.model.name} on {manifest.name}",
        _what(run, manifest),
        "## Loss\n\n" + _losses(run),
        "## Rows\n\n" + _rows(run),
        "## Cost\n\n" + _cost(run),
        "## Trainer spec\n\n```yaml\n"
        + yamlio.dump({key: value for key, value in run.spec.items() if value is not None})
        + "```",
        _licenses(manifest),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _what(run: Run, manifest: Manifest) -> str:
    commit = f" at {run.model.commit}" if run.model.commit else ""
    return (
        f"Method `{run.method}`, {run.cost.trainable:,} of {run.cost.total:,} numbers trained. Base: `{run.model.name}`"
        f"{commit}. Mixture: `{manifest.name}`, content digest `{manifest.digest}`. "
        f"{run.steps:,} steps, precision {run.precision}, packing {'on' if run.packed else 'off'}: {run.packing}. "
        f"What was trained is in `{run.weights}/`."
    )


def _losses(run: Run) -> str:
    """Cross-entropy by cell."""
    held, before, trained = (run.losses.get(kind) for kind in ("validation", "validation_before", "train"))
    rows: dict[tuple[str, str], list[str]] = {}
    for column, record in enumerate((trained, before, held)):
        entries = [] if record is None else [{"language": "all", "ability": "all", **record}, *record["cells"]]
        for cell in entries:
            row = rows.setdefault((cell["language"], cell["ability"] or "untagged"), ["", "", ""])
            row[column] = f"{cell['loss']:.4f}"
    table = [f"| {language} | {ability} | {' | '.join(row)} |" for (language, ability), row in rows.items()]
    head = "| language | ability | training, last | validation, before | validation, after |\n" + "| --- " * 5 + "|"
    return "Cross-entropy, nats a supervised token.\n\n" + "\n".join([head, *table])


def _rows(run: Run) -> str:
    counted = ("read", "rows", "dropped", "refused", "unsupervised", "tokens", "supervised")
    names = ("rows", "trained on", "too long", "not rendered", "nothing to learn", "tokens", "learned")
    head = f"| split | language | ability | {' | '.join(names)} |\n" + "| --- " * (3 + len(names)) + "|"
    lines = [
        f"| {split} | {cell['language']} | {cell['ability'] or 'untagged'} | "
        + " | ".join(f"{cell[name]:,}" for name in counted)
        + " |"
        for split, cells in run.masks.items()
        for cell in cells
    ]
    train = run.rows["train"]
    law = f"Planned over all passes: {train.planned:,} rows; trained: {train.trained:,}."
    return "\n".join([head, *lines]) + "\n\n" + law


def _cost(run: Run) -> str:
    spent = run.cost
    rate = spent.tokens / spent.seconds if spent.seconds else 0.0
    return "\n".join(
        [
            "| what | how much |",
            "| --- | --- |",
            f"| trainable / total numbers | {spent.trainable:,} / {spent.total:,} |",
            f"| seconds | {spent.seconds:,.1f} |",
            f"| tokens, without padding | {spent.tokens:,} ({rate:,.0f} a second) |",
            f"| peak memory | {spent.peak_memory / _MEBIBYTE:,.0f} MiB |",
            f"| arithmetic, estimated | {spent.flops:.3g} operations |",
            f"| device | {run.environment['device']} |",
        ]
    )


def _licenses(manifest: Manifest) -> str:
    lines = [f"| {source} | {license_} |" for source, license_ in sorted(manifest.licenses.items())]
    return "\n".join(["## Licences of the sources", "", "| source | licence |", "| --- | --- |", *lines])
