"""Before a training: the model found, the tokenizer read, the mixture encoded, and all of it checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq

from doit import storage
from doit.errors import DataError, StorageError
from doit.mixtures.opening import Opened, one_mixture
from doit.trainers.methods import QLoraTuning, tuning
from doit.trainers.models import ModelPlace, find_model, load_config, load_model, load_tokenizer, resize
from doit.trainers.requirements import chosen_precision
from doit.trainers.rows import EncodedRows, encode
from doit.trainers.spec import Embeddings, Full, NewModel, TrainerSpec
from doit.trainers.templates import fit_tokenizer
from doit.trainers.token_cache import tokenizer_digest

_NO_MATTER = {"name", "about", "save_every"}
"""Keys of a spec that may change before a training goes on."""

_PLACES = {"model", "revision", "tokenizer"}
"""Keys that say where something is, in words; what is there has a digest of its own."""


@dataclass(frozen=True)
class Prepared:
    """A mixture ready for one model."""

    opened: Opened
    place: ModelPlace
    config: Any
    tokenizer: Any
    added: int
    """Control tokens that the template added."""
    rows: EncodedRows
    validation: EncodedRows | None

    @property
    def splits(self) -> list[EncodedRows]:
        """The rows of both splits, or of training alone where nothing is held out."""
        return [self.rows] if self.validation is None else [self.rows, self.validation]


def prepare(spec: TrainerSpec, mixture: Path, *, beside: Path, files: Any = "all") -> Prepared:
    """Find the model, read the tokenizer, and encode the mixture's splits.

    Args:
        spec: the trainer spec.
        mixture: a mixture's folder.
        beside: where relative folders of the spec start from.
        files: what is needed of the model, see `models.find_model`.

    Raises:
        SpecError: the spec does not fit the model or the mixture.
        DataError: D320 no row is left; D606 a held-out record is in training too.
        StorageError: D102 the mixture's files are not those that were built.
    """
    opened = one_mixture(mixture)
    place = find_model(spec.model, spec.revision, beside, files=files)
    config = load_config(place, spec.model)
    _check_files(opened)
    tokenizer = load_tokenizer(spec, place, beside, _texts(opened))
    added = fit_tokenizer(tokenizer, spec)
    rows = encode(opened.folder, "train", spec, tokenizer)
    held = encode(opened.folder, "validation", spec, tokenizer) if opened.manifest.splits.get("validation") else None
    if held is not None:
        both = np.intersect1d(rows.record, held.record)
        if len(both):
            what = f"{len(both):,} validation records are in training too, such as {both[0]}."
            raise DataError("D606", what, where=str(opened.folder), hint="Build the mixture again.")
    return Prepared(opened, place, config, tokenizer, added, rows, held)


def spread(rows: EncodedRows, count: int) -> list[int]:
    """Numbers of the first rows of all cells in turn, ascending."""
    order = np.argsort(rows.cell, kind="stable")
    starts = np.searchsorted(rows.cell[order], np.arange(len(rows.cells)))
    rank = np.empty(len(rows), dtype=np.int64)
    rank[order] = np.arange(len(rows)) - starts[rows.cell[order]]
    return sorted(int(one) for one in np.lexsort((rows.cell, rank))[:count])


def _check_files(opened: Opened) -> None:
    """Refuse a mixture whose rows are not those that were built."""
    for name, built in opened.manifest.files.items():
        if name.startswith("data/") and storage.file_digest(opened.folder / name) != built.sha256:
            where = str(opened.folder / name)
            raise StorageError("D102", "it is not what was built.", where=where, hint="Build the mixture again.")


def _texts(opened: Opened) -> Iterator[str]:
    """The contents of the training records, in their order."""
    for name in sorted(opened.manifest.files):
        if name.startswith("data/train-"):
            for batch in pq.ParquetFile(opened.folder / name).iter_batches(1024, columns=["messages"]):
                yield from batch.column("messages").flatten().field("content").to_pylist()


def identity_of(spec: TrainerSpec, prepared: Prepared) -> dict[str, str]:
    """What must be the same for a training to go on: digests by what they are of."""
    rows = hashlib.sha256()
    for part in (prepared.rows.ids, prepared.rows.supervised, prepared.rows.offsets):
        rows.update(np.ascontiguousarray(part).view(np.uint8).data)
    document = {
        key: value
        for key, value in spec.model_dump(mode="json").items()
        if key not in _NO_MATTER and not (key in _PLACES and not isinstance(value, dict))
    }
    return {
        "mixture": prepared.opened.manifest.digest,
        "spec": hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        "model": prepared.place.digest(),
        "tokenizer": tokenizer_digest(prepared.tokenizer),
        "rows": rows.hexdigest(),
    }


def base_model(spec: TrainerSpec, prepared: Prepared) -> tuple[Any, Any, Any]:
    """The base model on its device, in its dtype; how precise the products are, as a word and as a dtype.

    Weights that are all trained are kept in fp32, whatever the products are computed in; frozen ones are not.

    Raises:
        MissingExtra: D208.
        SpecError: D204 the weights or the precision cannot be used.
    """
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = chosen_precision(spec)
    product = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    whole = isinstance(spec.method, Full | Embeddings)
    method = tuning(spec.method, 0)
    quantised = method.quantised(product) if isinstance(method, QLoraTuning) else None
    model = load_model(
        prepared.place,
        sized(prepared.config, spec, prepared.tokenizer),
        seed=spec.seed,
        dtype=torch.float32 if whole else product,
        attention="flash_attention_2" if precision != "fp32" and _flash(device) else None,
        quantised=quantised,
    )
    resize(model, prepared.tokenizer, prepared.added)
    model = model if quantised is not None else model.to(device)
    return model, precision, None if precision == "fp32" else product


def _flash(device: Any) -> bool:
    from transformers.utils.import_utils import is_flash_attn_2_available

    return device.type == "cuda" and bool(is_flash_attn_2_available())


def sized(config: Any, spec: TrainerSpec, tokenizer: Any) -> Any:
    """The configuration of a new model, with a vocabulary as large as its tokenizer's."""
    if isinstance(spec.model, NewModel) and tokenizer is not None:
        config.get_text_config().vocab_size = len(tokenizer)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(config, name, getattr(tokenizer, name))
    return config
