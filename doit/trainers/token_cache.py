"""Rows that were tokenised before: arrays that are mapped into memory, found by what they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from doit import storage
from doit.errors import StorageError
from doit.reading.hub_repository import cache_home

ENTRY = "entry.json"

_CODE = (
    *("byte_pairs", "chat_template", "encoding", "over_length", "plain_tokenizers", "rendering", "rows", "templates"),
    *("token_cache", "word_splitting"),
)


def cache_folder() -> Path:
    """Where tokens are kept."""
    return cache_home() / "tokens"


def key(parts: Sequence[str]) -> str:
    """The name of an entry: a digest of what it is made from and of the code and libraries that make it."""
    libraries = [f"{name} {version(name)}" for name in ("tokenizers", "tiktoken", "transformers", "numpy")]
    digest = hashlib.sha256()
    for part in (*parts, *libraries, _code()):
        digest.update(len(part).to_bytes(8, "little") + part.encode())
    return digest.hexdigest()[:40]


@cache
def _code() -> str:
    digest = hashlib.sha256()
    for name in _CODE:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """SHA-256 of all of a tokenizer that decides ids: its tables, its chat template and its named tokens."""
    named = {name: str(value) for name, value in tokenizer.special_tokens_map.items()}
    parts = [tokenizer.backend_tokenizer.to_str(), str(tokenizer.chat_template), repr(sorted(named.items()))]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def load(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """The arrays and the facts of an entry, or None where there is none that is whole."""
    try:
        entry = orjson.loads((folder / ENTRY).read_bytes())
        arrays = {}
        for name, digest in entry["arrays"].items():
            path = storage.safe_relative(f"{name}.npy", folder)
            if storage.file_digest(path) != digest:
                return None
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        return arrays, entry["facts"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(folder: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write an entry; another process that writes the same one at this time is left to it.

    Raises:
        StorageError: D101 something that is not ours lies there, D104 the disk refuses.
    """
    try:
        with storage.replacing(folder, manifest=ENTRY) as staging:
            digests = {}
            for name, array in arrays.items():
                path = staging / f"{name}.npy"
                np.save(path, array, allow_pickle=False)
                digests[name] = storage.file_digest(path)
            files: dict[str, Any] = {f"{name}.npy": {} for name in arrays}
            storage.write_json(staging / ENTRY, {"doit": 1, "files": files, "arrays": digests, "facts": dict(facts)})
    except StorageError as error:
        if error.code != "D103":
            raise
