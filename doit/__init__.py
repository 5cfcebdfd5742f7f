"""Doit: build an instruction mixture from scattered files, exactly and reproducibly, and see what is in it."""

from __future__ import annotations

from doit.errors import DataError, DoitError, MissingExtra, ShortStock, SpecError, StorageError
from doit.verbs import (
    build,
    chat,
    convert,
    curate,
    diff,
    init,
    inspect,
    merge,
    plan,
    publish,
    rebuild,
    train,
    verify,
    why,
)

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "DoitError",
    "MissingExtra",
    "ShortStock",
    "SpecError",
    "StorageError",
    "__version__",
    "build",
    "chat",
    "convert",
    "curate",
    "diff",
    "init",
    "inspect",
    "merge",
    "plan",
    "publish",
    "rebuild",
    "train",
    "verify",
    "why",
]
