"""`doit train`, `merge` and `chat` from the command line, tried right and tried wrong."""

from __future__ import annotations

import importlib.util
import io
import json
import re
from pathlib import Path

import pytest
import toys

from doit import yamlio
from doit.cli import main
from doit.trainers.training import train

BERT = "{model_type: bert, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 2, intermediate_size: 64}"

pytestmark = pytest.mark.usefixtures("_plain")


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    written = toys.trainer(steps=4).model_dump(mode="json", exclude_defaults=True)
    written["method"] = {"kind": "lora", "rank": 4}
    path.write_text(yamlio.dump(written), encoding="utf-8")
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert (end.value.code or 0) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_train_merge_and_chat(spec: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")

    answer = json.loads(run(capsys, "train", spec, "--mixture", str(toy), "--out", out, "--json")[0])
    again, told = run(capsys, "train", spec, "--mixture", str(toy), "--out", out, "--resume")
    merged = json.loads(run(capsys, "merge", out, str(tmp_path / "merged"), "--json")[0])
    said = json.loads(run(capsys, "chat", out, "--prompt", "你好", "--tokens", "3", "--json")[0])

    assert (answer["steps"], answer["method"], answer["packed"]) == (4, "lora", True)
    assert again == ""
    assert "nothing is left to do" in told
    assert merged["parameters"] == answer["total"] - answer["trainable"]
    assert [one["prompt"] for one in said] == ["你好"]


def test_a_dry_run_prints_its_five_counts(spec: str, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = json.loads(run(capsys, "train", spec, "--dry-run", "--json")[0])
    counted = json.loads(run(capsys, "train", spec, "--dry-run", "--mixture", str(toy), "--json")[0])

    assert list(alone) == list(counted) == ["trainable", "total", "rows", "tokens", "steps", "refused", "notes"]
    assert (alone["rows"], alone["tokens"], alone["steps"]) == (None, None, None)
    assert (counted["rows"], counted["steps"]) == (72, 4)


def test_a_dry_run_says_beside_its_counts_that_the_training_would_be_refused(
    spec: str, toy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "bitsandbytes" else find(name, *more)
    )
    sets = ("--set", "method={kind: qlora, rank: 17}", "--set", "optimizer.warmup=9")

    out, told = run(capsys, "train", spec, "--dry-run", "--mixture", str(toy), *sets)
    document = json.loads(run(capsys, "train", spec, "--dry-run", "--mixture", str(toy), *sets, "--json")[0])

    assert "trainable  " in out
    assert "note: the training itself would be refused here: D208 " in told
    assert "note: rank 17 is more than the smaller side of k_proj (16), v_proj (16)" in told
    assert document["refused"].endswith("pip install bitsandbytes")
    assert len(document["notes"]) == 2


def test_a_line_that_is_not_utf_8_is_said_to_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, toy: Path, tmp_path: Path
) -> None:
    """As a pipe from a program that writes GBK gives it."""
    train(toys.trainer(steps=1, method={"kind": "full"}), toy, tmp_path / "run", beside=tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("你好\n".encode("gbk")), encoding="utf-8"))

    _, told = run(capsys, "chat", str(tmp_path / "run"), "--tokens", "2", status=2)

    assert "D204 standard input: a line is not utf-8." in told


def test_show_prints_rows_of_every_cell_with_what_is_learned(
    spec: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capsys, "train", spec, "--mixture", str(toy), "--show", "2")

    assert "en × code" in out
    assert "zh-Hans × math" in out
    assert "⟦Sure: " in out
    assert "⟦好的：" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "tiny-cpi", "--dry-run"), 'D203 no trainer "tiny-cpi". Did you mean "tiny-cpu"?'),
        (("train", "tiny-cpu"), "D204 --mixture is not given"),
        (("train", "tiny-cpu", "--mixture", "."), "D204 --out is not given"),
        (("train", "tiny-cpu", "--dry-run", "--mixture", "no/such"), "D206"),
        (("train", "tiny-cpu", "--dry-run", "--set", "method={kind: lora, rank: 0}"), "method.rank: must be 1 or more"),
        (("train", "tiny-cpu", "--dry-run", "--set", "tokenizer=null"), "D207"),
        (("train", "tiny-cpu", "--show", "-1"), "D204 --show is -1"),
        (
            ("train", "tiny-cpu", "--mixture", ".", "--show", "1", "--json"),
            "D207 --show prints rows for a reader, and --json",
        ),
        (("train", "tiny-cpu", "--mixture", ".", "--show", "1", "--dry-run"), "D207 --show"),
        (("train", "tiny-cpu", "--dry-run", "--set", "model.config.hiden_size=3"), 'Did you mean "hidden_size"?'),
        (
            ("train", "tiny-cpu", "--dry-run", "--set", "method={kind: lora, rank: 99999}"),
            "D204 method.rank: it is 99,999",
        ),
        (("train", "tiny-cpu", "--dry-run", "--set", "method={kind: lora, rank: true}"), "must be a number, not true"),
        (("train", "tiny-cpu", "--dry-run", "--set", "optimizer.lr=.nan"), "optimizer.lr: must be a finite number"),
        (("train", "tiny-cpu", "--dry-run", "--set", "tokenizer=''"), "tokenizer: must "),
        (("chat", ".", "--prompt", ""), "D204 a message is empty."),
        (("chat", ".", "--prompt", "你好", "--prompt", " \n\u3000"), "D204 a message is empty."),
        (("chat", ".", "--prompt", "caf\udce9"), "D204 a message is not UTF-8 at character 4."),
        (("chat", ".", "--prompt", "?", "--temperature", "1e-300"), "D204 `temperature` is 1e-300."),
        (("merge", "no/such", "out"), "D206 no/such: no run here"),
        (("chat", "no/such", "--prompt", "?"), "D206 no/such: no run here"),
    ],
)
def test_a_wrong_call_is_one_coded_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = run(capsys, *arguments, status=2)

    assert out == ""
    assert said in err
    assert len(err.strip().splitlines()) <= 3


def test_folders_above_the_run_are_made(
    spec: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs" / "of today" / "first"

    run(capsys, "train", spec, "--mixture", str(toy), "--out", str(out), "--set", "steps=1")

    assert (out / "run.json").is_file()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("seed=99999999999999999999999",), "D204 .*seed: must be"),
        (("steps=3", "epochs=2"), "D207 .*--set epochs=null"),
        ((f"model.config={BERT}",), "D204 bert: its tokens see those behind them"),
        (("model.config.model_type=bert",), "D202 model.config.num_key_value_heads: BertConfig has no such key"),
        (("model.config.hidden_size=33",), "D204 new llama: .*33"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    changes: tuple[str, ...], words: str, spec: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for change in changes for word in ("--set", change)]

    _, told = run(capsys, "train", spec, "--mixture", str(toy), "--out", str(tmp_path / "run"), *sets, status=2)

    assert re.search(words, told)
    assert "Traceback" not in told


def test_a_folder_without_a_tokenizer_is_said_to_have_none(
    spec: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bare").mkdir()
    _, told = run(
        capsys, "train", spec, "--mixture", str(toy), "--show", "1", "--set", f"tokenizer={tmp_path}/bare", status=2
    )
    assert "there is no tokenizer" in told
