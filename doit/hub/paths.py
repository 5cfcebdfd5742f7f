"""Names of files as others may see them: nothing that tells where a mixture was built."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doit.errors import StorageError
from doit.mixtures.manifest import BuiltFile, Manifest

_OUTSIDE = re.compile(r"(?:[A-Za-z]:)?[/\\]|\.\.(?:/|$)|~")
"""How a path begins that is absolute or leads upwards: what follows may be anything on the machine."""

_ABSOLUTE = re.compile(r"(?<![\w.:/\\<~])(?:[A-Za-z]:[\\/]|~?/)(?:[^\s/\\\"'`<>|]+[\\/])+")
"""The folders of an absolute path inside a sentence; addresses such as `https://…` are left alone."""


def public_names(files: Sequence[str]) -> dict[str, str]:
    """New names for the files of one source, where an old one is absolute or leads upwards.

    What is left is the last folder that all such files share and what lies below it, so that `doit rebuild` still
    finds them. The order of the names is kept, because it decides which of two equal rows is the first.
    """
    outside = [file for file in files if _OUTSIDE.match(file)]
    if not outside:
        return {}
    names = _from_shared_folder(outside)
    renamed = [names.get(file, file) for file in sorted(files)]
    if renamed != sorted(set(renamed)) or any(_OUTSIDE.match(name) for name in renamed):
        names = {file: f"{n:05}/{posixpath.basename(_slashes(file))}" for n, file in enumerate(sorted(files))}
    return names


def _from_shared_folder(files: Sequence[str]) -> dict[str, str]:
    """File -> the last folder that all share, and what lies below it; nothing new where there is no such folder."""
    try:
        folder = posixpath.commonpath([posixpath.dirname(_slashes(file)) for file in files])
    except ValueError:  # some from a root, some upwards
        return {}
    keep = posixpath.basename(folder)
    keep = "" if keep in {"", ".", ".."} or keep.endswith(":") else f"{keep}/"
    return {file: keep + posixpath.relpath(_slashes(file), folder or ".") for file in files}


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


def sources_names(manifest: Manifest) -> dict[tuple[str, str], str]:
    """(source, file) -> its public name, for every input of a mixture that needs one."""
    found: dict[str, list[str]] = {}
    for read in manifest.inputs:
        found.setdefault(read.source, []).append(read.file)
    return {(source, old): new for source, files in found.items() for old, new in public_names(files).items()}


def public_manifest(manifest: Manifest, files: Mapping[str, BuiltFile]) -> Manifest:
    """The manifest as it is published: public names, and only the files that go with it.

    `doit rebuild` reads it as it reads the original: the spec, the inputs' digests and the content digest are the same.

    Args:
        manifest: of a build.
        files: path beside it -> the data files as they are published.
    """
    names = sources_names(manifest)
    inputs = tuple(
        read.model_copy(update={"file": names.get((read.source, read.file), read.file)}) for read in manifest.inputs
    )
    plan = manifest.plan.model_copy(
        update={"lost": said(manifest.plan.lost), "warnings": tuple(map(said, manifest.plan.warnings))}
    )
    return manifest.model_copy(
        update={
            "inputs": inputs,
            "rule_files": tuple(
                one.model_copy(update={"file": public_spec(one.file, "files")}) for one in manifest.rule_files
            ),
            "spec": public_spec(manifest.spec),
            "plan": plan,
            "warnings": tuple(map(said, manifest.warnings)),
            "files": dict(files),
        }
    )


def said(text: str) -> str:
    """A sentence without the folders of absolute paths."""
    return _ABSOLUTE.sub("", text)


def public_spec(value: Any, key: str = "") -> Any:
    """A spec with its paths made public: globs and a tokenizer keep what lies below the folder that they start from."""
    if isinstance(value, Mapping):
        return {name: public_spec(inner, name) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [public_spec(inner, key) for inner in value]
    if (
        isinstance(value, str)
        and key in {"files", "tokenizer", "tagger", "dataset", "extends", "scores", "embeddings", "file"}
        and _OUTSIDE.match(value)
    ):
        return _below(_slashes(value))
    return value


def _below(pattern: str) -> str:
    """A path or glob from the last folder before its first magic character."""
    parts = [part for part in pattern.split("/") if part not in {"", ".", "..", "~"} and not part.endswith(":")]
    magic = next((n for n, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts) - 1)
    return "/".join(parts[max(magic - 1, 0) :])


_WHOLE = re.compile(r"(?:[A-Za-z]:[\\/]|~?/)[^\s/\\]+[/\\][^\s]+")


def without_folders(value: Any) -> Any:
    """JSON data in which every string that is an absolute path is cut to its last part, as a model's folder is."""
    if isinstance(value, Mapping):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_folders(inner) for inner in value]
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return posixpath.basename(_slashes(value).rstrip("/"))
    return value


def refuse_local(texts: Mapping[str, str], folder: Path) -> None:
    """Stop if a text that is to be published names a place on this machine.

    Args:
        texts: path in the repository -> text.
        folder: what is published.

    Raises:
        StorageError: D102 a text holds the folder, the working folder or the home folder.
    """
    places = {os.path.realpath(folder), str(folder.absolute()), str(Path.cwd()), str(Path.home())}
    for name, text in texts.items():
        for place in places:
            if len(Path(place).parts) > 1 and re.search(re.escape(place) + r"[/\\]", text):
                hint = "Build it again with paths relative to the spec."
                raise StorageError("D102", "it names a folder of this machine.", where=name, hint=hint)
