"""The one place that writes: single files, Parquet tables, and a whole output folder that is replaced at once.

A folder is built in a staging folder beside it and swapped in. Every step of the swap can be finished or undone from a
journal by whoever comes next, so that a kill or a power cut leaves the complete old folder or the complete new one:

    .OUT.lock       held by the builder; only there to say early that another one is at work
    .OUT.staging-…  what is being built; removed by the next start when its process is gone
    .OUT.journal    written when staging is complete and on the disk; names the two folders of the swap
    .OUT.old-…      the old folder, until the new one is in its place
    .OUT.trash-…    what is being deleted: a folder is moved here first, so that no other name ever holds half of one

Nothing of this remains beside OUT after a success.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from doit.errors import StorageError
from doit.files import (
    atomic_file,
    disk_errors,
    file_digest,
    publish_file,
    safe_relative,
    sync_file,
    write_bytes,
    write_json,
    write_text,
)
from doit.folderlock import folder_lock, process_mark, still_running
from doit.parquet import ParquetTable, parquet_writer, write_slim_parquet

__all__ = [
    "ParquetTable",
    "atomic_file",
    "file_digest",
    "make_parents",
    "parquet_writer",
    "publish_file",
    "recover",
    "replacing",
    "safe_relative",
    "write_bytes",
    "write_json",
    "write_slim_parquet",
    "write_text",
]

DESKTOP = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""Files that a desktop leaves in every folder it shows, and that nobody misses."""

_live: set[str] = set()
"""Names of the staging folders that this process is filling now."""


@contextlib.contextmanager
def replacing(out: Path, manifest: str = "manifest.json") -> Iterator[Path]:
    """Build a folder beside OUT and put it in OUT's place when the block ends well.

    Args:
        out: the folder to make or to replace; its parents are made where they are missing.
        manifest: the file that the block must write, a JSON object with the key `doit`; a folder that has one is ours
            to replace.

    Yields:
        An empty staging folder on the same file system. When the block raises, it is deleted and OUT stays as it was.

    Raises:
        StorageError: D101 when OUT holds what is not ours, D102 when the block left no manifest, D103 when another
            process builds to OUT, D104 when the disk refuses.
    """
    out = Path(os.path.realpath(out))
    with disk_errors(out):
        _refuse_foreign(out, manifest)
        out.parent.mkdir(parents=True, exist_ok=True)
    with folder_lock(out), disk_errors(out, ours_only=True):
        _settle(out)
        _sweep(out)
        _refuse_foreign(out, manifest)
        staging = out.with_name(f".{out.name}.staging-{process_mark()}-{secrets.token_hex(4)}")
        _live.add(staging.name)
        try:
            staging.mkdir()
            yield staging
            _sync_tree(staging)
            if not _is_ours(staging, manifest):
                raise StorageError("D102", f"the build left no `{manifest}` of ours.", where=str(out))
            _refuse_foreign(out, manifest)
            _swap(out, staging)
        finally:
            _live.discard(staging.name)
            if staging.exists():
                _trash(staging)


def make_parents(out: Path) -> None:
    """Make the folders above OUT where they are missing.

    Raises:
        StorageError: D104 when the disk refuses.
    """
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)


def recover(out: Path) -> None:
    """Finish or undo the swap that a killed build left behind; does nothing, and writes nothing, where there is none.

    Args:
        out: an output folder that is about to be read.

    Raises:
        StorageError: D103 while another process is in the middle of its swap, D104 when the disk refuses.
    """
    out = Path(os.path.realpath(out))
    if not _journal(out).exists():
        return
    with folder_lock(out, patience=10.0), disk_errors(out):
        _settle(out)
        _sweep(out)


def _journal(out: Path) -> Path:
    return out.with_name(f".{out.name}.journal")


def _swap(out: Path, staging: Path) -> None:
    """The numbered steps; a kill between any two of them is settled by `_settle`."""
    aside = out.with_name(f".{out.name}.old-{secrets.token_hex(4)}")
    entry = {"doit": 1, "staging": staging.name, "aside": aside.name, "owner": process_mark()}
    try:
        file = _journal(out).open("xb")  # 1: exclusive, so that two builders cannot both swap even without locks
    except FileExistsError as error:
        raise StorageError("D103", "another build is replacing this folder now.", where=str(out)) from error
    try:
        with file:
            file.write(orjson.dumps(entry))
            file.flush()
            os.fsync(file.fileno())  # 2
        sync_file(out.parent)  # 3
        if out.exists():
            out.rename(aside)  # 4
        staging.rename(out)  # 5
        sync_file(out.parent)  # 6
    except BaseException:
        _undo(out, staging, aside)
        raise
    with contextlib.suppress(OSError):  # the new folder is in place for good; the next start can tidy up
        _finish(out, aside)


def _finish(out: Path, aside: Path) -> None:
    if aside.exists():
        _trash(aside)  # 7
    _journal(out).unlink(missing_ok=True)  # 8
    sync_file(out.parent)  # 9


def _undo(out: Path, staging: Path, aside: Path) -> None:
    """Go back to the old folder in this process; where even that fails, the journal stays for the next start."""
    with contextlib.suppress(OSError):
        if out.exists() and not staging.exists():
            out.rename(staging)
        if aside.exists():
            aside.rename(out)
        if staging.exists():
            _trash(staging)
        _journal(out).unlink(missing_ok=True)
        sync_file(out.parent)


def _settle(out: Path) -> None:
    """Bring a swap that was cut short to its end.

    The journal is written only when staging is complete and on the disk, so going forward is always safe; the old
    folder comes back only where staging is gone and OUT is missing.
    """
    journal = _journal(out)
    try:
        entry: Any = orjson.loads(journal.read_bytes())
        staging, aside = (out.with_name(Path(entry[key]).name) for key in ("staging", "aside"))
        owner = str(entry["owner"])
    except FileNotFoundError:
        return
    except (ValueError, TypeError, KeyError):
        journal.unlink(missing_ok=True)  # torn: nothing is moved before the journal is whole and on the disk
        return
    if staging.name in _live or (owner != process_mark() and still_running(owner)):
        raise StorageError("D103", "another build is replacing this folder now.", where=str(out))
    if staging.exists():
        if out.exists() and aside.exists():
            hint = f"The old one is {aside.name}, the new one {staging.name}, both beside it; move this folder away."
            raise StorageError("D101", "a folder was put here while a build was cut short.", where=str(out), hint=hint)
        if out.exists():
            out.rename(aside)
        staging.rename(out)
    elif aside.exists() and not out.exists():
        aside.rename(out)
    sync_file(out.parent)
    _finish(out, aside)


def _sweep(out: Path) -> None:
    """Delete the staging folders of dead processes, and what a killed process had begun to delete."""
    for entry in sorted(out.parent.iterdir()):
        if entry.name.startswith(f".{out.name}.trash-"):
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name.startswith(f".{out.name}.staging-") and entry.name not in _live:
            mark = entry.name.removeprefix(f".{out.name}.staging-").rpartition("-")[0]
            if mark == process_mark() or not still_running(mark):
                _trash(entry)


def _trash(folder: Path) -> None:
    """Delete a folder under a name that means nothing to anyone; the rename is what counts."""
    base = folder.name[1:].partition(".staging-")[0].partition(".old-")[0]
    doomed = folder.with_name(f".{base}.trash-{secrets.token_hex(4)}")
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return  # a process without a working lock was faster
    shutil.rmtree(doomed, ignore_errors=True)


def _is_ours(folder: Path, manifest: str) -> bool:
    return _manifest(folder, manifest) is not None


def _manifest(folder: Path, manifest: str) -> dict[str, Any] | None:
    """The manifest of a folder of ours, or None."""
    try:
        value = orjson.loads((folder / manifest).read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and "doit" in value else None


def _strangers(folder: Path, manifest: str) -> list[str]:
    """Files in a folder of ours that no manifest in it names; none where the manifest says nothing of files."""
    known = _known(folder, manifest)
    if known is None:
        return []
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    found = (path for path in found if path.name not in DESKTOP)
    return sorted({path.relative_to(folder).as_posix() for path in found} - known)


def _known(folder: Path, manifest: str) -> set[str] | None:
    document = _manifest(folder, manifest)
    if document is None:
        return set()
    parts = {**(document.get("series") or {}), **(document.get("variants") or {})}
    if not parts:
        return None if "files" not in document else {manifest, *document["files"]}
    below = {name: _known(folder / name, manifest) or set() for name in parts}
    return {manifest, *(f"{name}/{file}" for name, files in below.items() for file in files)}


def _refuse_foreign(out: Path, manifest: str) -> None:
    if out.parent == out or (out.exists() and not out.is_dir()):
        raise StorageError("D101", "this is not a folder of its own.", where=str(out), hint="Choose another folder.")
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out, manifest):
        what = f"the folder is not empty and has no `{manifest}` of ours."
        raise StorageError("D101", what, where=str(out), hint="Choose another folder, or empty this one yourself.")
    if strangers := _strangers(out, manifest):
        what = f"`{strangers[0]}` is not ours" + (f", nor are {len(strangers) - 1} more." if strangers[1:] else ".")
        raise StorageError("D101", what, where=str(out), hint="Move it elsewhere, or choose another folder.")
    refuse_inside_mixture(out)


def refuse_inside_mixture(out: Path) -> None:
    """Refuse a folder to be written that lies in a mixture: its files would be strangers there.

    Args:
        out: the folder, resolved.

    Raises:
        StorageError: D101.
    """
    for parent in out.parents:
        if _is_ours(parent, "manifest.json"):
            what = f"it lies inside the mixture {parent}."
            raise StorageError("D101", what, where=str(out), hint="Choose a folder beside it.")


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                sync_file(path)
        sync_file(Path(parent))
