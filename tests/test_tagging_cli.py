from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import doit.cli.tagging  # noqa: F401 - the command stands there
from doit.cli import main

DEMO = Path(__file__).parent.parent / "examples" / "demo.yaml"


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["tag", *map(str, arguments)])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_a_model_is_fitted_measured_applied_and_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="fitting needs the extra `tag`")
    model, out = tmp_path / "m.safetensors", tmp_path / "tagged.parquet"
    status, said, _ = run(capsys, "fit", DEMO, "--out", model, "--json")
    fitted = json.loads(said)
    assert status == 0
    assert fitted["records"] == sum(fitted["abilities"].values()) == 385
    assert len(fitted["digest"]) == 64

    status, said, _ = run(capsys, "eval", DEMO, "--model", model, "--json")
    assert status == 0
    assert json.loads(said)["accuracy"] > 0.95
    status, said, _ = run(capsys, "eval", DEMO, "--model", model)
    assert "label -> what it was taken for" in said

    status, said, _ = run(capsys, "apply", DEMO, out, "--model", model, "--json")
    told = json.loads(said)
    assert (status, told["records"], told["kept"]) == (0, 452, 385)
    assert sum(told["tagged"].values()) + told["unsure"] == 67
    first = pl.read_parquet(out).filter(pl.col("ability_from") == "tagger")["id"][0]

    status, said, _ = run(capsys, "explain", out, first, "--model", model, "--json")
    assert status == 0
    assert json.loads(said)["features"]


def test_a_text_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, err = run(capsys, "explain", "請你扮演一位店小二")
    assert (status, err) == (0, "")
    assert said.startswith("role_play")
    assert "the rule matched: 請你扮演" in said


def test_apply_tells_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said, err = run(capsys, "apply", DEMO, tmp_path / "o.parquet")
    assert (status, said) == (0, "")
    assert "385 keep their label" in err


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["fit", "--out", "m"], 2, "D204"),
        (["fit", "nowhere.yaml", "--out", "m"], 2, "D206"),
        (["apply", DEMO, "o.json"], 2, "D204"),
        (["apply", DEMO, "o.parquet", "--model", DEMO], 3, "D309"),
        (["apply", DEMO, "o.parquet", "--threshold", "2"], 2, "D204"),
        (["apply", DEMO, "o.parquet", "--ask", "m"], 2, "D204"),
        (["apply", DEMO, "o.parquet", "--endpoint", "file:///etc/passwd", "--ask", "m"], 2, "D204"),
        (["eval", "nowhere"], 2, "D206"),
        (["explain", DEMO, "abc"], 2, "D204"),
        (["explain", DEMO, "ffffffffffff"], 2, "D203"),
    ],
    ids=lambda value: " ".join(map(str, value))[:40].replace(str(DEMO), "DEMO") if isinstance(value, list) else None,
)
def test_a_wrong_call_ends_with_a_code(
    arguments: list[str | Path],
    status: int,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    ended, said, err = run(capsys, *arguments)
    assert (ended, said) == (status, "")
    assert err.startswith(code)
    assert not list(tmp_path.iterdir()), "nothing is left behind"
