"""What is pushed: files with their digests, a page, and a receipt that lists them. Mixtures and runs become one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import orjson

from doit import storage
from doit.hub.answers import GateCheck, PushedFile
from doit.hub.licences import Licensing
from doit.hub.paths import refuse_local
from doit.mixtures.proofs.published import RECEIPT

NEVER = re.compile(r"(?:^|/)(?:ledger|rejects)\.parquet$|(?:^|/)report\.html$")
"""What stays at home."""


@dataclass(frozen=True)
class Outgoing:
    """One file that is pushed."""

    path: str
    """In the repository."""
    local: Path
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Package:
    """Everything that is pushed, and what was looked at before."""

    kind: Literal["mixture", "recipe", "model"]
    name: str
    digest: str
    tag: str
    card: str
    files: tuple[Outgoing, ...]
    licensing: Licensing
    checks: tuple[GateCheck, ...]
    configs: dict[str, dict[str, int]]

    @property
    def repo_type(self) -> Literal["dataset", "model"]:
        """What kind of repository it goes to."""
        return "model" if self.kind == "model" else "dataset"

    def listed(self) -> tuple[PushedFile, ...]:
        """The files as an answer shows them."""
        return tuple(PushedFile(path=one.path, bytes=one.bytes, sha256=one.sha256) for one in self.files)


@dataclass(frozen=True)
class Choices:
    """What the person who publishes decides."""

    recipe_only: bool = False
    by_ability: bool = False
    accept_license: str | None = None
    redact: bool = False
    allow_personal: str | None = None
    mixture: str | None = None
    """Of a run: the dataset repository of its mixture."""
    base_license: str | None = None
    """Of a run: the licence of its base model, where the run does not say it or says it wrongly."""


def licence_account(found: Licensing, accepted: str | None) -> dict[str, Any]:
    """The licence in the receipt, with the reason for which it was set aside."""
    account = found.model_dump(mode="json")
    return {**account, "accepted": accepted} if accepted else account


def json_text(value: Any) -> str:
    """JSON as all our files have it."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def gather(
    local: Mapping[str, Path], texts: Mapping[str, str], receipt: dict[str, Any], staging: Path, folder: Path
) -> tuple[tuple[Outgoing, ...], GateCheck]:
    """All files with sizes and digests, the receipt among them; none that names a place here or must stay at home.

    Args:
        local: path in the repository -> file that goes as it is.
        texts: path in the repository -> text that is written to `staging`.
        receipt: what it says beside its list of files.
        staging: a folder of our own.
        folder: what is published.

    Raises:
        StorageError: D102 a text names a place on this machine.
    """
    for path, text in texts.items():
        storage.write_text(staging / "pages" / path, text)
    local = {**local, **{path: staging / "pages" / path for path in texts}}
    listed = {path: _outgoing(path, file) for path, file in sorted(local.items())}
    receipt = {
        "doit": version("doit-mix"),
        **receipt,
        "files": {path: {"bytes": one.bytes, "sha256": one.sha256} for path, one in listed.items()},
    }
    texts = {**texts, RECEIPT: json_text(receipt)}
    storage.write_text(staging / "pages" / RECEIPT, texts[RECEIPT])
    listed[RECEIPT] = _outgoing(RECEIPT, staging / "pages" / RECEIPT)
    assert not any(NEVER.search(path) for path in listed)
    refuse_local(texts, folder)
    check = GateCheck(name="paths", ok=True, detail="no text names a folder of this machine.")
    return tuple(listed[path] for path in sorted(listed)), check


def _outgoing(path: str, local: Path) -> Outgoing:
    return Outgoing(path, local, local.stat().st_size, storage.file_digest(local))
