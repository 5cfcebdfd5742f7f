"""A list of rules in a file of its own, and the spec that applies it to some files and takes all that is left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doit import yamlio
from doit.errors import SpecError
from doit.mixtures.manifest import spelled_out
from doit.reading.converting import Input
from doit.reading.sniffing import safe_name


def rules_of(path: Path) -> list[Any]:
    """The rules in a YAML file: a list, or the list under `curation` of a mixture spec.

    Raises:
        SpecError: D206 no such file, D201 no YAML, D204 no list of rules.
    """
    document = yamlio.load(path)
    rules = document.get("curation") if isinstance(document, dict) else document
    if not isinstance(rules, list) or not rules:
        hint = "Write a list such as `- {kind: assistant_chars, at_least: 2}`; see `doit list rules`."
        raise SpecError("D204", "this file holds no list of rules.", where=str(path), hint=hint)
    return rules


def sources_of(inputs: Sequence[Input], folder: Path) -> list[dict[str, Any]]:
    """The sources of a spec that reads some files, each by its card; files of one card are one source.

    Args:
        inputs: files with their cards.
        folder: where the spec's paths start from.
    """
    files: dict[str, list[str]] = {}
    cards: dict[str, dict[str, Any]] = {}
    for one in inputs:
        card = spelled_out(one.card)
        name = one.card.name if one.because.startswith("dataset ") else safe_name(one.file.stem)
        while name in cards and {**cards[name], "name": ""} != {**card, "name": ""}:
            name += "-2"
        cards[name] = {**card, "name": name}
        files.setdefault(name, []).append(_from(one.file, folder))
    return [{"dataset": card, "files": files[name]} for name, card in cards.items()]


def _from(file: Path, folder: Path) -> str:
    try:
        return file.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return file.resolve().as_posix()
