"""A mixture as the files of a trainer that people already use: every row again, copies too, in the mixture's order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson
import polars as pl
import pyarrow.parquet as pq

from doit import storage
from doit.errors import DataError, SpecError, StorageError, did_you_mean
from doit.mixtures.exporting.trainer_formats import FORMATS, Present, TrainerFormat
from doit.mixtures.manifest import BuiltFile, Manifest
from doit.mixtures.opening import one_mixture
from doit.mixtures.planning.cells import target_of
from doit.mixtures.proofs.verifying import SPLITS
from doit.mixtures.spec import MixtureSpec
from doit.progress import Progress
from doit.schemas.base import Frozen
from doit.schemas.shapes.base import CannotHold, Conversation
from doit.schemas.shapes.way_back import LOSSES, without
from doit.yamlio import dump

RECEIPT = "export.json"
"""What marks a folder as an export of ours, and says of which mixture."""

BATCH_ROWS = 1024
LABELS = ("language", "ability", "construction", "source")


class ExportAnswer(Frozen):
    """What an export did, and what `export.json` says: read = written + left_out."""

    out: str
    to: str
    mixture: str
    """The mixture's name."""
    digest: str
    """The mixture's content digest."""
    read: int
    """Rows of the mixture, copies and all splits included."""
    written: dict[str, int]
    """Split -> rows."""
    left_out: dict[str, int]
    """Under `--lossy`: key of `LOSSES` -> rows of which nothing could be kept."""
    lost: dict[str, int]
    """Under `--lossy`: key of `LOSSES` -> written rows that lost it."""
    files: dict[str, BuiltFile]
    """Path in the folder -> its size and digest; every file but `export.json`."""

    def lines(self) -> list[str]:
        """The answer for a person, a line each."""
        told = [f"{self.out}: {self.read:,} rows of {self.mixture} read, {sum(self.written.values()):,} written"]
        told += [f"  {split}: {count:,}" for split, count in self.written.items()]
        told += [f"  {count:,} left out: {LOSSES[what]}" for what, count in self.left_out.items()]
        return told + [f"  {count:,} written without {LOSSES[what]}" for what, count in self.lost.items()]


class _Row(NamedTuple):
    """One row of a mixture."""

    split: str
    id: str
    conversation: Conversation
    ability: str | None
    channel: str


def export_mixture(mixture: Path, out: Path, to: str, *, lossy: bool = False, overwrite: bool = False) -> ExportAnswer:
    """Write a mixture as a trainer's files.

    Args:
        mixture: a folder that `build` made.
        out: the folder to make.
        to: a key of `FORMATS`.
        lossy: drop what the trainer's files cannot hold, and count it, instead of refusing.
        overwrite: replace an earlier export.

    Returns:
        Counts of what was read, written and lost.

    Raises:
        SpecError: D203 for an unknown format, D206 where there is no mixture, D213 where something would be lost.
        DataError: D320 where no row is left.
        StorageError: D101 where OUT is in use, D102 where a file of the mixture is not what its manifest says.
    """
    chosen = _format(to)
    storage.recover(mixture)
    manifest = one_mixture(mixture).manifest
    _check_out(mixture, out, overwrite=overwrite)
    parts = _parts(mixture, manifest)
    present = _present([path for _, path in parts])
    with storage.replacing(out, RECEIPT) as staging:
        work = _Export(chosen, present, staging, lossy)
        with work.opened, Progress("exporting", unit="rows") as progress:
            for row in _rows(parts, manifest):
                work.take(row)
                progress.advance()
        if not work.written:
            raise DataError("D320", "no row of the mixture is left to write.", where=str(mixture))
        _write_pages(work, manifest)
        answer = _answer(work, manifest, out)
        receipt = {"doit": version("doit-mix"), **answer.model_dump(exclude={"out"}), "lossy": lossy}
        storage.write_json(staging / RECEIPT, receipt)
    return answer


def _format(to: str) -> TrainerFormat:
    if to not in FORMATS:
        hint = f"{did_you_mean(to.lower(), FORMATS)} A mixture can be written for {', '.join(FORMATS)}.".strip()
        raise SpecError("D203", f'no format "{to}" for a mixture.', where="--to", hint=hint)
    return FORMATS[to]


def _check_out(mixture: Path, out: Path, *, overwrite: bool) -> None:
    if out.resolve().is_relative_to(mixture.resolve()):
        what = "this lies in the mixture, which is replaced whole when it is built again."
        raise StorageError("D101", what, where=str(out), hint="Choose a folder beside it.")
    if (out / RECEIPT).exists() and not overwrite:
        hint = "Choose another folder, or add --overwrite to replace it."
        raise StorageError("D101", "there is an export already.", where=str(out), hint=hint)


def _parts(mixture: Path, manifest: Manifest) -> list[tuple[str, Path]]:
    """(split, file) of all data files in the mixture's order, each with the bytes that the manifest names."""
    parts = []
    for split in SPLITS:
        for name in sorted(name for name in manifest.files if name.startswith(f"data/{split}-")):
            path = storage.safe_relative(name, mixture)
            if not path.is_file():
                raise StorageError("D102", "the file is missing.", where=str(path), hint="Build the mixture again.")
            found = storage.file_digest(path)
            if found != manifest.files[name].sha256:
                what = f"SHA-256 is {found}, not {manifest.files[name].sha256}."
                raise StorageError("D102", what, where=str(path), hint="Build the mixture again.")
            parts.append((split, path))
    return parts


def _present(paths: list[Path]) -> Present:
    """What occurs anywhere in the mixture."""
    role = pl.col("messages").list.first().struct.field("role")
    thought = pl.col("reasoning").list.eval(pl.element().fill_null("") != "").list.any()
    found = (
        pl.scan_parquet(paths)
        .select(
            tools=pl.col("tools").is_not_null().any(),
            reasoning=thought.fill_null(False).any(),
            system=(role == "system").any(),
            earlier_turns=(pl.col("turns") > 1).any(),
        )
        .collect(engine="streaming")
    )
    return Present(*found.row(0))


def _rows(parts: list[tuple[str, Path]], manifest: Manifest) -> Iterator[_Row]:
    axes = MixtureSpec.model_validate(manifest.spec).axes()

    @cache
    def channel(*values: str | None) -> str:
        """The plan's cell, such as `zh/math`; language and ability as they are where the plan has no cell for it."""
        labels = dict(zip(LABELS, values, strict=True))
        cell = [target_of(axis, labels[axis.name]) for axis in axes]
        if not cell or None in cell:
            return f"{labels['language']}/{labels['ability'] or 'untagged'}"
        return "/".join(str(value) for value in cell)

    for split, path in parts:
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(BATCH_ROWS, columns=["id", "messages", "reasoning", "tools", *LABELS]):
                for row in batch.to_pylist():
                    messages = [(message["role"], message["content"]) for message in row["messages"]]
                    conversation = Conversation(messages, row["reasoning"], row["tools"])
                    yield _Row(split, row["id"], conversation, row["ability"], channel(*(row[n] for n in LABELS)))


@dataclass
class _Export:
    """One export while it goes on."""

    to: TrainerFormat
    present: Present
    staging: Path
    lossy: bool
    read: int = 0
    written: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    files: dict[str, IO[bytes]] = field(default_factory=dict)
    opened: ExitStack = field(default_factory=ExitStack)

    def take(self, row: _Row) -> None:
        """Write one row, or count it."""
        self.read += 1
        made = self._made(row)
        if made is None:
            return
        name = self.to.file(row.split, row.ability)
        if name not in self.files:
            path = self.staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self.files[name] = self.opened.enter_context(path.open("wb"))
        self.files[name].write(orjson.dumps(made) + b"\n")
        self.written[row.split] += 1

    def digest(self) -> str:
        """SHA-256 over the names and digests of the files with rows, in hex."""
        named = "".join(f"{name}:{storage.file_digest(self.staging / name)}\n" for name in sorted(self.files))
        return hashlib.sha256(named.encode()).hexdigest()

    def _made(self, row: _Row) -> dict[str, Any] | None:
        lost: set[str] = set()
        conversation = row.conversation
        while True:
            try:
                made = self.to.row(conversation, self.present, row.channel)
            except CannotHold as cannot:
                if not self.lossy:
                    held = self.to.holds.get(cannot.what)
                    told = f'"{self.to.name}" cannot hold {LOSSES[cannot.what]}{" as they are here" if held else ""}.'
                    told += f" {held}" if held else ""
                    hint = "Choose another --to, or add --lossy: what is lost is counted."
                    raise SpecError("D213", told, where=f"{row.split} {row.id}", hint=hint) from None
                less = without(conversation, cannot.what)
                if less is None:
                    self.left_out[cannot.what] += 1
                    return None
                lost.add(cannot.what)
                conversation = less
            else:
                self.lost.update(lost)
                return made


def _write_pages(work: _Export, manifest: Manifest) -> None:
    splits = [split for split in SPLITS if work.written[split]]
    pages = work.to.pages(manifest.name, splits, work.present)
    for name, text in (*pages.items(), ("README.md", _readme(work, manifest, splits))):
        storage.write_text(work.staging / name, text)


def _readme(work: _Export, manifest: Manifest, splits: list[str]) -> str:
    """The dataset card, which gives `datasets` the columns' types, and a person the way to train on the files.

    `datasets` takes a folder for one that it has read before where name and card are the same, whatever the files hold;
    so the card names what they hold.
    """
    to, count = work.to, sum(work.written.values())
    files = [{"split": split, "path": to.pattern(split)} for split in splits]
    config = {"config_name": "default", "description": f"SHA-256 of the rows: {work.digest()}", "data_files": files}
    front: dict[str, Any] = {"configs": [config]}
    features = to.features(work.present)
    if features:
        front["dataset_info"] = {"config_name": "default", "features": features}
    losses = [f"- {number:,} left out: {LOSSES[what]}" for what, number in sorted(work.left_out.items())]
    losses += [f"- {number:,} written without {LOSSES[what]}" for what, number in sorted(work.lost.items())]
    parts = [
        f"---\n{dump(front)}---\n\n# {manifest.name} for {to.name}",
        f"{count:,} rows ({', '.join(f'{split} {work.written[split]:,}' for split in splits)}) of the mixture "
        f"`{manifest.name}`, in its order, copies included.",
        *(["What these files cannot hold:\n\n" + "\n".join(losses)] if losses else []),
        to.usage(manifest.name, splits),
        f"Rows keep the licences of their sources: {_licenses(manifest)}.",
        f"Written by `doit-mix` {version('doit-mix')} with `doit convert MIXTURE OUT --to {to.name}`. The mixture's "
        f"content digest is `{manifest.digest}`; `{RECEIPT}` names it too, with the digest of every file here.",
    ]
    return "\n\n".join(parts) + "\n"


def _licenses(manifest: Manifest) -> str:
    used = {name: manifest.licenses.get(name, "unknown") for name, counts in manifest.sources.items() if counts.drawn}
    return ", ".join(f"{name} `{license_.replace('`', '')}`" for name, license_ in used.items())


def _answer(work: _Export, manifest: Manifest, out: Path) -> ExportAnswer:
    names = sorted(path.relative_to(work.staging).as_posix() for path in work.staging.rglob("*") if path.is_file())
    return ExportAnswer(
        out=str(out),
        to=work.to.name,
        mixture=manifest.name,
        digest=manifest.digest,
        read=work.read,
        written={split: work.written[split] for split in SPLITS if work.written[split]},
        left_out=dict(sorted(work.left_out.items())),
        lost=dict(sorted(work.lost.items())),
        files={
            name: BuiltFile(bytes=(work.staging / name).stat().st_size, sha256=storage.file_digest(work.staging / name))
            for name in names
        },
    )
