"""What a pooled record depends on is what the processes that read import and open, no more and no less."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import doit
from doit.mixtures.pools.normalising import ROOMS, code_files

ROOT = Path(doit.__file__).parent


def names_in(path: Path) -> Iterator[str]:
    """Every dotted name of ours that a file imports, wherever it stands, with the packages on its way."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(2, len(parts) + 1) if parts[0] == "doit")


def closure(start: Path) -> set[Path]:
    """The files of `ROOMS` that a file imports, directly or not, and the file itself."""
    found, waiting = set[Path](), [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in names_in(path):
            place = ROOT.joinpath(*name.split(".")[1:])
            if name.split(".")[1] in ROOMS:
                waiting += [p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()]
    return found


def watched(code: str, folder: Path) -> dict[str, list[str]]:
    """The modules of ours that some code loads in a fresh process, and the files of the package that it opens."""
    script = (
        "import json, sys\nopened = []\n"
        "sys.addaudithook(lambda event, given: event == 'open' and opened.append(str(given[0])))\n"
        f"{code}\n"
        "loaded = [module.__file__ for name, module in sys.modules.items() if name.partition('.')[0] == 'doit']\n"
        "print(json.dumps({'loaded': loaded, 'opened': opened}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "DOIT_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_code_of_a_pool_is_the_closure_of_what_reads_it() -> None:
    files = code_files()
    modules = {path.relative_to(ROOT).as_posix() for path in closure(ROOT / "mixtures" / "pools" / "normalising.py")}
    assert {name for name in files if name.endswith(".py")} == modules
    tables = {"curation/language/data/characters.txt", "schemas/data/abilities.yaml"}
    assert {"curation/language/telling.py", *tables} <= set(files)


def test_a_change_to_a_rule_is_no_change_of_the_pool() -> None:
    rules = ("curation/rules/", "curation/duplicates/", "mixtures/planning/")
    assert not [name for name in code_files() if name.startswith(rules)]


def test_what_a_process_that_reads_loads_and_opens_is_in_the_digest(tmp_path: Path) -> None:
    rows = [{"instruction": "What is this and where is it?", "output": "It is the house."}, {"instruction": "软体"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = watched(
        "from pathlib import Path\n"
        "from doit.mixtures.pools.normalising import Task, normalise\n"
        "from doit.schemas.card import DatasetCard\n"
        "card = DatasetCard.model_validate({'name': 'a', 'shape': {'kind': 'alpaca'}, 'source': {'files': 'a.jsonl'},\n"
        "    'ability': {'field': 'kind'}})\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "assert normalise(Task(folder / 'a.jsonl', card, folder / 'entry', 'x')).records == 1\n",
        tmp_path,
    )
    known = {str(ROOT / name) for name in code_files()}
    rooms = tuple(str(ROOT / room) for room in ROOMS)
    used = {file for file in (*found["loaded"], *found["opened"]) if file.startswith(rooms) and "pycache" not in file}
    assert {file for file in used if file.endswith((".py", ".txt", ".yaml"))} <= known
    assert str(ROOT / "curation" / "language" / "data" / "function_words.txt") in used
    unneeded = ("doit/mixtures/loading", "doit/mixtures/manifest", "doit/curation/rules", "doit/cli")
    assert not [file for file in found["loaded"] if any(f"/{name}" in file for name in unneeded)]
