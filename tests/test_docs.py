"""The documents say what is so: commands, flags, codes, specs, outputs and links."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from _pytest.mark import ParameterSet
from pydantic import BaseModel

from doit import catalogue, yamlio
from doit.curation.rules import RULES
from doit.errors import CODES
from doit.mixtures.spec import MixtureSpec
from doit.schemas.abilities import ABILITIES
from doit.schemas.card import DatasetCard
from doit.schemas.shapes import SHAPES
from doit.trainers.spec import TrainerSpec

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
FOLDERS = ("schemas", "mixtures", "trainers", "examples", "benchmarks")
PAGES = [*sorted(ROOT.glob("*.md")), *DOCS, *(path for name in FOLDERS for path in sorted((ROOT / name).glob("*.md")))]


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


class Answer(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str


def blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def commands(path: Path) -> list[str]:
    """The `doit` lines of a page's shell blocks."""
    lines = [line for block in blocks(path) if block.language == "sh" for line in block.text.splitlines()]
    return [line for line in lines if line.startswith("doit ")]


def run(arguments: list[str], *, cwd: Path = ROOT, cache: Path | None = None) -> Answer:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    if cache is not None:
        env["DOIT_CACHE"] = str(cache)
    done = subprocess.run(
        [sys.executable, "-m", "doit", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def verbs() -> dict[str, set[str]]:
    """Command -> its flags, as `--help` shows them."""
    names = re.findall(r"^│ ([a-z]+) ", run(["--help"]).out, re.MULTILINE)
    shown = {name: run([name, "--help"]).out for name in names}
    for name, text in shown.items():
        if f"Usage: doit {name} COMMAND" in text:
            parts = re.findall(r"^│ ([a-z]+) ", text, re.MULTILINE)
            shown[name] += "".join(run([name, part, "--help"]).out for part in parts)
    return {name: set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)) for name, text in shown.items()}


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    found = verbs()
    assert {"build", "plan", "inspect", "verify", "list", "show"} <= set(found)
    assert {"--jobs", "-j", "--set", "--json"} <= found["build"]
    return found


def test_every_command_in_the_documents_exists(known: dict[str, set[str]]) -> None:
    seen = 0
    for path in PAGES:
        for line in commands(path):
            verb, *rest = shlex.split(line, comments=True)[1:]
            assert verb in known, f"{path.name}: {line}"
            flags = {part.split("=")[0] for part in rest if part.startswith("-")}
            assert flags <= known[verb] | {"--help"}, f"{path.name}: {line}"
            seen += 1
    assert seen >= 10


def test_commands_named_in_running_text_exist(known: dict[str, set[str]]) -> None:
    for path in PAGES:
        for verb in re.findall(r"`doit ([a-z]+)", path.read_text(encoding="utf-8")):
            assert verb in known, f"{path.name}: doit {verb}"


def test_every_command_and_flag_is_documented(known: dict[str, set[str]]) -> None:
    for verb, flags in known.items():
        page = ROOT / "docs" / ("list-show.md" if verb in ("list", "show") else f"{verb}.md")
        text = page.read_text(encoding="utf-8")
        assert f"doit {verb}" in text
        assert not {flag for flag in flags if f"`{flag}`" not in text} - {"-h", "--help"}, page.name


def test_the_kinds_that_list_takes_are_documented() -> None:
    kinds = re.search(r"\[choices: ([^\]]+)\]", re.sub(r"\s*│\n│\s*", " ", run(["list", "--help"]).out))
    assert kinds
    text = (ROOT / "docs" / "list-show.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| ([a-z]+) \|", text, re.MULTILINE)[1:] == re.split(r",\s*", kinds[1])


def test_errors_page_is_the_table_of_codes() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (D\d{3}) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert {code: meaning for code, meaning, _ in rows} == CODES
    assert [code for code, _, _ in rows] == sorted(CODES)


def test_shapes_rules_and_abilities_are_documented() -> None:
    cards = (ROOT / "docs" / "cards.md").read_text(encoding="utf-8")
    assert set(SHAPES) == set(re.findall(r"^\| `(\w+)` \|", cards.split("## Shapes")[1], re.MULTILINE))
    assert all(f"`{key}`" in cards for key in (*ABILITIES, "other"))
    spec = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
    rules = spec.split("## Curation")[1].split("## ")[0]
    assert set(RULES) == set(re.findall(r"^\| `(\w+)` \|", rules, re.MULTILINE))


@pytest.mark.parametrize(
    ("page", "heading", "model"),
    [("spec.md", "# The mixture spec", MixtureSpec), ("cards.md", "# Dataset cards", DatasetCard)],
)
def test_every_key_of_a_model_is_documented(
    page: str, heading: str, model: type[MixtureSpec] | type[DatasetCard]
) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    table = text.split(heading)[1].split("\n## ")[0]
    keys = {key for cell in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", cell)}
    assert keys == set(model.model_fields)


def yaml_blocks() -> list[ParameterSet]:
    return [
        pytest.param(block.text, id=f"{path.name}-{number}")
        for path in PAGES
        for number, block in enumerate(blocks(path))
        if block.language == "yaml"
    ]


@pytest.mark.parametrize("text", yaml_blocks())
def test_yaml_in_the_documents_obeys_its_model(text: str) -> None:
    document = yamlio.loads(text, "a block")
    models: dict[str, type[BaseModel]] = {"sources": MixtureSpec, "shape": DatasetCard, "method": TrainerSpec}
    model = next((model for key, model in models.items() if key in document), None)
    if model is None or "name" not in document:
        pytest.skip("a part of a document")
    read = model.model_validate(document)
    named = [source.dataset for source in read.sources] if isinstance(read, MixtureSpec) else []
    for name in named:
        assert not isinstance(name, str) or catalogue.is_path(name) or name in catalogue.names("schemas")


def test_python_in_the_documents_compiles() -> None:
    python = [(path, block) for path in PAGES for block in blocks(path) if block.language == "python"]
    assert python
    for path, block in python:
        assert compile(block.text, path.name, "exec").co_filename == path.name


def test_relative_links_resolve() -> None:
    broken = []
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)} -> {target}")
    assert not broken


def test_the_two_readmes_are_in_step() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh-CN.md"
    assert blocks(english) == blocks(chinese)
    levels = [
        re.findall(r"^(#+) ", re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S), re.M)
        for path in (english, chinese)
    ]
    assert levels[0] == levels[1]


def test_the_first_command_in_the_readme_is_the_demo() -> None:
    first = blocks(ROOT / "README.md")[0]
    assert [line.split("#")[0].strip() for line in first.text.splitlines()] == ["make demo", "make test"]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [line for lines in project["optional-dependencies"].values() for line in lines] + project["dependencies"]
    names = {re.split(r"[\[<>=!~ ;]", line, maxsplit=1)[0] for line in wanted} - {"doit-mix"}
    table = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8").split("## Decisions so far")[0]
    assert {name for name in names if not re.search(rf"(?m)^\|[^|]*\b{re.escape(name)}\b", table)} == set()


def test_examples_page_lists_the_rows_that_are_set_aside(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    answer = run(["build", "examples/demo.yaml", str(tmp_path / "out"), "--json"], cache=tmp_path / "cache")
    assert answer.status == 0, answer.err
    counts = json.loads(answer.out)
    assert sum(counts["rejected"].values()) == 8
    assert counts["drawn"] == 240
    assert all(cell["taken"] == cell["wanted"] for cell in counts["cells"])
    rows = re.findall(r"^\| ([\w./*-]+) \|.*?\| (\d+) \|", text.split("## Broken")[0], re.MULTILINE)
    assert sum(int(number) for _, number in rows) == counts["read"]
    import polars as pl

    lost = pl.read_parquet(tmp_path / "out" / "rejects.parquet").select("file", "row", "code").rows()
    listed = re.findall(r"^\| (\S+) \| (\d+) \| (D\d+) \|", text.split("## Broken")[1], re.MULTILINE)
    assert sorted(lost) == sorted((file, int(row), code) for file, row, code in listed)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which the guide can be followed."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def test_the_guide_can_be_followed(checkout: Path) -> None:
    """Every file it shows is saved, every command run, and every output it shows is what the command says."""
    ran = 0
    answer = Answer(0, "", "")
    for block in blocks(ROOT / "docs" / "guide.md"):
        if block.language == "yaml":
            (checkout / block.text.splitlines()[0].removeprefix("# ")).write_text(block.text, encoding="utf-8")
        elif block.language == "text":
            assert block.text.strip() in answer.out + answer.err
        elif block.language == "python":
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", block.text],
                cwd=checkout,
                env={**os.environ, "PYTHONPATH": str(ROOT), "DOIT_CACHE": str(checkout / "cache"), "PYTHONUTF8": "1"},
                capture_output=True,
                text=True,
                encoding="utf-8",
                check=False,
            )
            assert done.returncode == 0, done.stderr
        for line in block.text.splitlines() if block.language == "sh" else ():
            if line.startswith("doit "):
                answer = run(shlex.split(line, comments=True)[1:], cwd=checkout, cache=checkout / "cache")
                wanted = re.search(r"# ends with (\d)", line)
                assert answer.status == (int(wanted[1]) if wanted else 0), f"{line}\n{answer.err}"
                ran += 1
    assert ran >= 6
