"""The rules of the house: who may import whom, what stays light, what travels in the wheel, how long things may be."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import doit

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "doit"
YAML_FOLDERS = ("schemas", "mixtures", "trainers")

FLOORS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("errors", "yamlio", "yamlnodes", "explaining", "storage", "folderlock", "parquet", "files", "jobs")),
    (0, ("progress", "catalogue")),
    (1, ("schemas",)),
    (2, ("reading", "table")),
    (3, ("curation",)),
    (4, ("mixtures",)),
    (5, ("inspecting",)),
    (6, ("trainers", "evaluation")),
    (7, ("hub", "studies")),
    (8, ("cli", "__init__", "__main__", "json_schemas", "listing", "verbs")),
)
FLOOR = {room: floor for floor, rooms in FLOORS for room in rooms}

HEAVY = {"torch", "transformers", "datasets", "ray", "huggingface_hub", "peft", "accelerate", "sklearn"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module of ours) for every import in a file, wherever it stands."""
    names = {name_of(module) for module in MODULES}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "doit")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module and node.module.split(".")[0] == "doit":
                for alias in node.names:
                    below = f"{node.module}.{alias.name}"
                    yield node.lineno, below if below in names else node.module


def test_every_module_is_on_a_floor() -> None:
    homeless = {name_of(path) for path in MODULES if room_of(name_of(path)) not in FLOOR}
    assert not homeless


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_only_point_down(path: Path) -> None:
    room = room_of(name_of(path))
    up = []
    for line, module in imported(path):
        other = room_of(module)
        # the package itself: its name, its place and its version, which any floor may ask for
        if module == "doit" and room != "__init__":
            continue
        if other != room and FLOOR[other] > FLOOR[room]:
            up.append(f"{path.relative_to(ROOT)}:{line} imports {module}: floor {FLOOR[room]} -> {FLOOR[other]}")
    assert not up


# The floor of mixtures has rooms of its own; what lies beside them, the spec and the manifest, knows only how to plan.
MIXTURES = ("planning", "", "pools", "building", "proofs", "exporting")


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(name_of(path)) == "mixtures"], ids=name_of)
def test_rooms_of_the_mixture_floor_stand_in_order(path: Path) -> None:
    def place(module: str) -> int:
        return MIXTURES.index(module.split(".")[2] if module.count(".") == 3 else "")

    ours = [module for _, module in imported(path) if room_of(module) == "mixtures"]
    assert not [module for module in ours if place(module) > place(name_of(path))]


def test_a_floor_test_can_fail(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from doit.mixtures.planning.plan import plan\n    return plan\n", encoding="utf-8")
    assert list(imported(wrong)) == [(2, "doit.mixtures.planning.plan")]
    assert FLOOR["mixtures"] > FLOOR["reading"]


def test_only_the_training_floor_names_heavy_modules_at_its_top() -> None:
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not HEAVY & {name.split(".")[0] for name in names}, path


def command(arguments: list[str]) -> str:
    return f"from doit.cli import main; main({arguments!r})"


def loaded_by(code: str, tmp_path: Path) -> set[str]:
    """The names in `sys.modules` after some code has run in a fresh process."""
    script = (
        "import json, sys\n"
        f"try:\n    {code}\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "sys.stdout.flush()\n"
        "print('\\n' + json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "DOIT_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.rstrip().rsplit("\n", 1)[-1]))


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    out = folder / "mixture"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOIT_CACHE", str(folder / "cache"))
        doit.build(ROOT / "examples" / "demo.yaml", out)
    return out


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        ["--help"],
        ["list", "datasets"],
        ["plan", "examples/demo.yaml"],
        ["inspect", "OUT"],
        ["build", "examples/demo.yaml", "NEW"],
        ["verify", "OUT"],
    ],
    ids=lambda arguments: " ".join(arguments) if arguments else "import doit",
)
def test_commands_load_nothing_heavy(arguments: list[str] | None, mixture: Path, tmp_path: Path) -> None:
    places = {"OUT": str(mixture), "NEW": str(tmp_path / "new")}
    code = "import doit" if arguments is None else command([places.get(given, given) for given in arguments])
    found = {name.split(".")[0] for name in loaded_by(code, tmp_path / "cache")}
    assert not HEAVY & found
    assert "doit" in found


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["build", "--help"]], ids=" ".join)
def test_help_loads_no_library_of_the_core(arguments: list[str], tmp_path: Path) -> None:
    found = loaded_by(command(arguments), tmp_path)
    assert not {"polars", "pydantic", "pyarrow", "numpy", "scipy", "orjson", "yaml", "opencc"} & found
    bare = loaded_by("import cyclopts; cyclopts.App(name='bare', help='x')(['--help'], exit_on_error=False)", tmp_path)
    added = {name for name in found - bare if name.split(".")[0] not in {"doit", "cyclopts"}}
    assert not {name for name in added if name.startswith("rich")}


def test_public_names_are_sorted_and_there() -> None:
    assert doit.__all__ == sorted(doit.__all__)
    assert all(hasattr(doit, name) for name in doit.__all__)


def test_every_module_can_be_imported() -> None:
    for path in MODULES:
        if path.stem != "__main__":
            assert importlib.import_module(name_of(path)).__name__ == name_of(path)


def test_every_dependency_is_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[\[<>=!~ ;]", line, maxsplit=1)[0] for line in project["dependencies"]}
    imports = {"pyyaml": "yaml"}
    used = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module.split(".")[0])
    assert {name for name in names if imports.get(name, name) not in used} == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_wheel_has_one_top_level_name(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel if ".dist-info/" not in name}
    assert tops == {"doit"}


def test_the_wheel_carries_what_the_package_reads(wheel: list[str]) -> None:
    ours = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    missing = {path.relative_to(ROOT).as_posix() for path in ours} - set(wheel)
    assert not missing
    for folder in YAML_FOLDERS:
        here = {path.name for path in (ROOT / folder).glob("*.yaml")}
        there = {Path(name).name for name in wheel if re.fullmatch(rf"doit/_shipped/{folder}/[^/]+\.yaml", name)}
        assert here == there
        assert here, f"{folder}/ holds no YAML"
    assert any(name.endswith("/licenses/LICENSE") for name in wheel)


@pytest.mark.parametrize("folder", YAML_FOLDERS)
def test_yaml_folders_hold_no_python(folder: str) -> None:
    assert not list((ROOT / folder).rglob("*.py"))
    assert (PACKAGE / folder / "__init__.py").is_file()


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_a_place_on_one_machine() -> None:
    places = re.compile("|".join("/" + place + "/" for place in ("work", "root", "opt/pypi", "home/[a-z]+")))
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in places.finditer(text)]
    assert not found


def test_constraints_name_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    assert pins == sorted(pins, key=lambda pin: pin.split("==")[0])
    assert {"polars", "pydantic", "torch", "pytest"} <= {pin.split("==")[0] for pin in pins}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 450
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 70, f"{node.name} is too long"
