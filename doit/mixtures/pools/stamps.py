"""Whether a file is still the one whose bytes were read: a stamp that any write to it changes.

A stamp is what the file system says of a file without reading it: size, both times, inode and device. The time of the
last change of the inode is part of it, and no program can set that one back. Stamps are coarser than processors are
fast: a file that was written just before it was read could be written again without a new stamp, so what was read of it
is not noted until its times lie back (Git treats its index in the same way).
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from doit import storage

SETTLED = 2_000_000_000
"""Nanoseconds after which a further write must change a stamp: the coarsest file systems count in 2 seconds."""

CHECKED = "checked.json"

Span = tuple[int, int] | None
"""Offsets of a stretch; None = the whole file."""


def stamp(path: Path) -> list[int]:
    """Size, times of modification and of change in nanoseconds, inode and device."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


class Note:
    """The SHA-256 of one file and of stretches of it, and where it is cut, noted for as long as its stamp stays.

    Args:
        file: the file.
        folder: where the cache keeps its notes.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        self._file = file
        name = os.fsencode(os.path.realpath(file))
        self._path = folder / f"{hashlib.sha256(name).hexdigest()[:40]}.json"
        self._stamp = stamp(file)
        self._settled = time.time_ns() - max(self._stamp[1:3]) > SETTLED
        self._lock = threading.Lock()
        known = _read(self._path)
        same = known.get("stamp") == self._stamp
        self._digests: dict[str, str] = known["digests"] if same else {}
        self._cuts: dict[str, list[list[int]]] = known.get("cuts", {}) if same else {}
        self._noted = len(self._digests) + len(self._cuts)

    def digest(self, span: Span = None) -> str:
        """The SHA-256 of the file or of a stretch, read if it is not known; any number of threads may ask."""
        name = "whole" if span is None else f"{span[0]}-{span[1]}"
        found = self._digests.get(name)
        if found is None:
            found = storage.file_digest(self._file) if span is None else _span_digest(self._file, *span)
            with self._lock:
                self._digests[name] = found
        return found

    def spans(self, how: str, cut: Callable[[], Sequence[tuple[int, int]]]) -> Sequence[tuple[int, int]]:
        """The stretches of the file, looked for if they are not known.

        Args:
            how: all that they depend on beside the file.
            cut: finds them.
        """
        if how not in self._cuts:
            self._cuts[how] = [[start, stop] for start, stop in cut()]
        return [(start, stop) for start, stop in self._cuts[how]]

    def keep(self) -> None:
        """Note what was read, unless the file may have changed meanwhile."""
        more = len(self._digests) + len(self._cuts) > self._noted
        if more and self._settled and stamp(self._file) == self._stamp:
            storage.write_json(self._path, {"stamp": self._stamp, "digests": self._digests, "cuts": self._cuts})


def unchanged(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether the files of a cache entry have the digests that it names.

    They are read once, and again when a stamp changes. Entries are written whole and never again, so their stamps need
    not settle.

    Args:
        folder: the entry.
        files: name -> SHA-256.
    """
    stamps = {name: stamp(folder / name) for name in files}
    if _read(folder / CHECKED).get("stamps") == stamps:
        return True
    if any(storage.file_digest(folder / name) != sha256 for name, sha256 in files.items()):
        return False
    checked(folder, files)
    return True


def checked(folder: Path, files: Mapping[str, str]) -> None:
    """Note that the files of a cache entry are as it names them."""
    storage.write_json(folder / CHECKED, {"stamps": {name: stamp(folder / name) for name in files}})


def _read(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _span_digest(path: Path, start: int, stop: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        for at in range(start, stop, 1 << 20):
            digest.update(file.read(min(1 << 20, stop - at)))
    return digest.hexdigest()
