"""The command line as a person meets it, right and wrong: exit status, one coded message, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doit.cli import main

Write = Callable[[str, Any], Path]

GOOD = [{"instruction": f"问题{n}", "output": f"回答{n}"} for n in range(20)]
SPEC = """\
name: t
size: 10
sources:
  - dataset: {name: a, shape: {kind: alpaca}, source: {files: a.jsonl}}
"""


class Ran:
    """What a command did."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def _run(*arguments: str | Path) -> Ran:
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capfd.readouterr()
        return Ran(status, out, err)

    return _run


def test_a_build_loads_only_what_it_uses(write: Write, tmp_path: Path) -> None:
    """Most of a rebuild's time is that of imports: tables for a terminal and the tagger are not among them."""
    write("a.jsonl", GOOD)
    code = (
        "import gc, os, sys\nfrom doit.cli import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n"
        "    print(*sys.modules, gc.get_threshold()[0], os.environ['OPENBLAS_THREAD_TIMEOUT'], file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "build", str(write("spec.yaml", SPEC)), str(tmp_path / "out"), "--json"]

    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)

    *loaded, seldom, timeout = done.stderr.split()
    unused = {"rich.console", "rich.table", "doit.reading.sniffing", "doit.curation.tagging.model", "scipy", "opencc"}
    assert "doit.mixtures.building.build" in loaded
    assert not unused & set(loaded)
    assert int(seldom) > 100_000
    assert timeout == "4"


def test_build_inspect_verify(run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    write("a.jsonl", GOOD)
    spec = write("spec.yaml", SPEC)

    built = run("build", spec, tmp_path / "out", "--json")

    assert built.status == 0, built.err
    answer = json.loads(built.out)
    assert {"out", "digest", "read", "drawn", "unused", "dropped", "rejected", "sources", "cells"} <= set(answer)
    assert (answer["read"], answer["drawn"], answer["unused"]) == (20, 10, 10)
    assert set(answer["sources"]["a"]) == {"read", "drawn", "unused", "dropped", "rejected"}
    assert answer["cells"] == [
        {"language": "*", "ability": "*", "wanted": 10, "available": 20, "taken": 10, "epochs": 1}
    ]
    for name in ("manifest.json", "ledger.parquet", "rejects.parquet", "report.html", "README.md"):
        assert (tmp_path / "out" / name).is_file()
    assert (tmp_path / "out" / "data" / "train-00000-of-00001.parquet").is_file()

    inspected = json.loads(run("inspect", tmp_path / "out", "--json").out)
    assert inspected["records"] == 10
    assert set(inspected["by"]) == {"language", "ability", "source", "construction"}
    assert sum(cell["records"] for cell in inspected["cross"]) == 10

    verified = run("verify", tmp_path / "out", "--json")
    assert verified.status == 0
    assert json.loads(verified.out)["ok"] is True
    assert {"name", "ok", "detail"} == set(json.loads(verified.out)["checks"][0])

    planned = json.loads(run("plan", spec, "--json").out)
    assert {"size", "unit", "cells", "short"} <= set(planned)


def test_people_get_tables(run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    write("a.jsonl", GOOD)
    spec = write("spec.yaml", SPEC)

    built = run("build", spec, tmp_path / "out")
    inspected = run("inspect", tmp_path / "out")

    assert built.status == inspected.status == 0
    assert built.out == ""
    assert "report.html" in built.err
    assert "zh" in inspected.out
    assert "\x1b" not in inspected.out + built.err


def test_verify_finds_a_changed_file(run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    write("a.jsonl", GOOD)
    run("build", write("spec.yaml", SPEC), tmp_path / "out")
    ledger = tmp_path / "out" / "ledger.parquet"
    ledger.write_bytes(ledger.read_bytes()[:-1] + b"!")

    verified = run("verify", tmp_path / "out", "--json")

    assert verified.status == 3
    assert not json.loads(verified.out)["ok"]
    assert "ledger.parquet" in verified.out


def test_set_changes_the_spec(run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    write("a.jsonl", GOOD)

    ran = run("build", write("spec.yaml", SPEC), tmp_path / "out", "--json", "--set", "size=4", "--set", "seed=3")

    assert json.loads(ran.out)["drawn"] == 4


WRONG_SPECS = {
    "unknown key": (SPEC + "shortages: shrink\n", "D202", "shortage"),
    "unknown shape": (SPEC.replace("alpaca", "alpacca"), "D203", "alpaca"),
    "unknown ability": (SPEC + "mix: {ability: {maths: 1}}\n", "D203", '"math"'),
    "unknown ability in a map": (
        SPEC.replace("source:", "ability: {field: k, map: {数学: maths}}, source:"),
        "D203",
        '"math"',
    ),
    "negative share": (SPEC + "mix: {language: {zh: -1, en: 2}}\n", "D204", "negative"),
    "NaN share": (SPEC + "mix: {language: {zh: .nan, en: 2}}\n", "D204", "finite"),
    "infinite share": (SPEC + "mix: {language: {zh: .inf}}\n", "D204", "finite"),
    "all shares 0": (SPEC + "mix: {language: {zh: 0, en: 0}}\n", "D204", "0"),
    "a share that is a text": (SPEC + "mix: {language: {zh: many}}\n", "D204", "many"),
    "repeated key": (SPEC + "size: 20\n", "D205", "size"),
    "an unquoted no": (SPEC + "mix: {language: {no: 1}}\n", "D201", "quote"),
    "an unknown source": (SPEC + "mix: {source: {b: 1}}\n", "D203", "b"),
    "an unknown axis": (SPEC + "mix: {langauge: {zh: 1}}\n", "D2", "language"),
    "no language": (SPEC + "mix: {language: {chinese_: 1}}\n", "D203", "BCP 47"),
    "no size": (SPEC.replace("size: 10\n", ""), "D207", "size"),
    "size 0": (SPEC.replace("10", "0"), "D204", "size"),
    "a size that is a text": (SPEC.replace("10", "many"), "D204", "size"),
    "no sources": ("name: t\nsize: 1\n", "D204", "sources"),
    "a missing file": (SPEC.replace("a.jsonl", "b.jsonl"), "D206", "b.jsonl"),
    "a glob without matches": (SPEC.replace("a.jsonl", "'*.json'"), "D206", "*.json"),
    "no YAML": ("name: [", "D201", "spec.yaml"),
    "a tag": (SPEC + "about: !!python/object:os.system x\n", "D201", "spec.yaml"),
    "a list": ("- a\n", "D204", "mapping"),
    "empty": ("", "D20", "spec.yaml"),
    "a source twice": (
        SPEC + "  - dataset: {name: a, shape: {kind: alpaca}, source: {files: a.jsonl}}\n",
        "D207",
        "twice",
    ),
    "two of field and constant": (
        SPEC.replace("source:", "ability: {field: k, constant: math}, source:"),
        "D204",
        "exactly one",
    ),
    "keep over 1": (SPEC + "    keep: 2\n", "D204", "keep"),
    "records that contradict the size": (SPEC + "mix: {language: {zh: {records: 3}}}\n", "D207", "3"),
    "prompts": (SPEC.replace("alpaca", "prompts"), "D204", "prompts"),
    "an unknown dataset": (
        "name: t\nsize: 1\nsources: [{dataset: no-such-set}]\n",
        "D203",
        "no-such-set",
    ),
}


@pytest.mark.parametrize("case", WRONG_SPECS)
def test_a_wrong_spec_is_one_coded_message(case: str, run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    text, code, names = WRONG_SPECS[case]
    write("a.jsonl", GOOD)

    ran = run("build", write("spec.yaml", text), tmp_path / "out")

    assert ran.status == 2, ran.err
    assert ran.err.startswith(code), ran.err
    assert names in ran.err
    assert "Traceback" not in ran.err
    assert ran.err.count("\n") <= 3
    assert "spec.yaml" in ran.err
    assert not (tmp_path / "out").exists()


def test_too_little_data_is_status_3(run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    write("a.jsonl", GOOD)

    ran = run("build", write("spec.yaml", SPEC.replace("10", "21")), tmp_path / "out")

    assert ran.status == 3
    assert ran.err.startswith("D40")
    assert "20" in ran.err


def test_an_output_folder_of_somebody_else_is_refused(run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    write("a.jsonl", GOOD)
    spec = write("spec.yaml", SPEC)
    kept = write("out/thesis.txt", "three years of work")

    ran = run("build", spec, tmp_path / "out")

    assert ran.status == 2
    assert ran.err.startswith("D101")
    assert kept.read_text(encoding="utf-8") == "three years of work"


ROWS = {
    "missing output": ('{"instruction": "x"}', "D310", 2, "output"),
    "null": ('{"instruction": "x", "output": null}', "D311", 2, "output"),
    "a number": ('{"instruction": "x", "output": 4}', "D312", 2, "output"),
    "empty": ('{"instruction": "x", "output": " "}', "D313", 2, "output"),
    "not JSON": ('{"instruction": "x", "output": }', "D302", 2, None),
    "truncated": ('{"instruction": "x", "outp', "D302", 2, None),
    "Python": ("{'instruction': 'x', 'output': 'y'}", "D302", 2, None),
    "NaN": ('{"instruction": "x", "output": NaN}', "D302", 2, None),
    "a list": ('["x"]', "D305", 2, ""),
    "a lone surrogate": ('{"instruction": "x", "output": "\\ud83d"}', "D304", 2, None),
    "invalid UTF-8": (b'{"instruction": "x", "output": "\xff\xfe"}', "D303", 2, None),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_is_a_reject(case: str, run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    import polars as pl

    text, code, row, field = ROWS[case]
    bad = text if isinstance(text, bytes) else text.encode()
    good = [json.dumps(line, ensure_ascii=False).encode() for line in GOOD]
    write("a.jsonl", b"\n".join([*good[:2], bad, *good[2:]]) + b"\n")

    ran = run("build", write("spec.yaml", SPEC), tmp_path / "out", "--json")

    assert ran.status == 0, ran.err
    answer = json.loads(ran.out)
    assert (answer["read"], answer["rejected"]) == (21, {code: 1})
    (reject,) = pl.read_parquet(tmp_path / "out" / "rejects.parquet").to_dicts()
    assert (reject["file"], reject["row"], reject["code"]) == ("a.jsonl", row, code)
    assert field is None or reject["field"] == field
    assert reject["reason"]
    assert reject["raw"]


def test_an_empty_file_is_noticed(run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    write("a.jsonl", GOOD)
    write("b.jsonl", "")

    ran = run("build", write("spec.yaml", SPEC.replace("a.jsonl", "'*.jsonl'")), tmp_path / "out")

    assert ran.status == 0
    assert "D320 b.jsonl" in ran.err


def test_an_array_in_a_jsonl_file_is_read(run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    write("a.jsonl", json.dumps(GOOD, ensure_ascii=False, indent=1))

    ran = run("build", write("spec.yaml", SPEC), tmp_path / "out", "--json")

    assert json.loads(ran.out)["read"] == 20


def test_two_and_four_columns_of_a_tsv_are_rejects(run: Callable[..., Ran], write: Write, tmp_path: Path) -> None:
    import polars as pl

    lines = [f'问{n}\t{n}\t因为 6" 的管' for n in range(12)]
    write("c.tsv", "\n".join([*lines[:3], "两\t列", *lines[3:6], "四\t列\t在\t此", *lines[6:]]) + "\n")
    spec = """\
name: t
size: all
sources:
  - dataset: {name: cot, shape: {kind: cot}, source: {files: c.tsv, columns: [question, answer, rationale]}}
"""

    ran = run("build", write("spec.yaml", spec), tmp_path / "out", "--json")

    answer = json.loads(ran.out)
    assert (answer["read"], answer["drawn"], answer["rejected"]) == (14, 12, {"D306": 2})
    assert pl.read_parquet(tmp_path / "out" / "rejects.parquet")["row"].to_list() == [3, 7]


WRONG_CALLS = {
    "no command of ours": (["bild", "a", "b"], "D204"),
    "no OUT": (["build", "spec.yaml"], "D204"),
    "an unknown flag": (["plan", "spec.yaml", "--fast"], "D204"),
    "no jobs": (["plan", "spec.yaml", "--jobs", "0"], "D204"),
    "jobs that are a text": (["plan", "spec.yaml", "--jobs", "two"], "D204"),
    "no spec": (["plan", "nowhere.yaml"], "D206"),
    "no mixture": (["verify", "nowhere"], "D206"),
    "nothing to inspect": (["inspect", "nowhere"], "D206"),
    "an unknown kind": (["list", "colours"], "D204"),
    "an unknown name": (["show", "alpcaca"], "D203"),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_wrong_call_is_status_2(
    case: str, run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, code = WRONG_CALLS[case]
    monkeypatch.chdir(tmp_path)

    ran = run(*arguments)

    assert ran.status == 2, ran.err
    assert ran.err.startswith(code), ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("kind", ["datasets", "mixtures", "trainers", "shapes", "rules", "methods", "abilities"])
def test_list_and_show(kind: str, run: Callable[..., Ran]) -> None:
    listed = run("list", kind, "--json")
    rows = json.loads(listed.out)

    assert listed.status == 0
    assert rows
    for row in rows:
        assert row["name"]
    assert run("list", kind).status == 0
    assert run("show", rows[0]["name"]).status == 0


def test_what_a_rule_must_be_given_is_said(run: Callable[..., Ran]) -> None:
    shown = run("show", "tokens", "--json")

    fields = json.loads(shown.out)["fields"]
    assert fields["at_most"]["required"] is True
    assert fields["over"]["default"] == "drop"
    assert "Undefined" not in run("show", "contaminated").out
    abouts = {row["name"]: row["about"] for row in json.loads(run("list", "rules", "--json").out)}
    assert all(about.endswith((".", "…")) for about in abouts.values()), abouts


def test_a_table_in_a_pipe_is_as_wide_as_it_is_told(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    widths = {}
    for told in ("", "0", "60"):
        monkeypatch.setenv("COLUMNS", told)
        widths[told] = max(map(len, run("list", "rules").out.splitlines()))

    assert widths[""] == widths["0"] == 100
    assert widths["60"] <= 60
