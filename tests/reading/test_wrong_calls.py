"""Wrong calls of `init`, `convert` and `curate`: what is said to whoever makes them, and that no file is harmed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import doit
from doit.errors import DataError, DoitError, SpecError, StorageError

Write = Callable[[str, Any], Path]

ROWS = [{"instruction": "问", "output": "答"}, {"instruction": "問二", "output": "答二"}]


@pytest.fixture
def rows(write: Write) -> Path:
    return write("a.jsonl", ROWS)


def test_an_input_is_not_replaced_where_rows_of_it_would_be_gone(write: Write, tmp_path: Path) -> None:
    rows = write("a.jsonl", [*ROWS, {"instruction": "問三"}])
    before = rows.read_bytes()
    (tmp_path / "same.jsonl").symlink_to(rows)
    for out in (rows, tmp_path / "same.jsonl", tmp_path / "." / "a.jsonl"):
        with pytest.raises(StorageError, match=r"^D101 .*one of the inputs, and 1 of its rows would be gone"):
            doit.convert([rows], out, to="qa", shape="alpaca", overwrite=True)
    talk = write("b.jsonl", [{**ROWS[0], "history": [["一", "二"]]}])
    with pytest.raises(StorageError, match=r"^D101 .*in whole or in part"):
        doit.convert([rows, talk], talk, to="qa", shape="alpaca", overwrite=True, lossy=True)
    assert rows.read_bytes() == before


SEEN = {
    "a field of another name": (
        [{"instruction": "问4", "output": ["答4", "答5"]}, {"Instruction": "问6", "Output": "答6"}],
        "none fits: D310 field `Output` is missing.",
    ),
    "semicolons": (
        "instruction;output\n问;答\n",
        "The only column is called 'instruction;output': if `;` parts columns, declare `delimiter`",
    ),
}


@pytest.mark.parametrize("case", SEEN)
def test_a_file_that_no_shape_reads_says_what_is_in_the_way(case: str, write: Write) -> None:
    rows, said = SEEN[case]
    path = write("a.csv" if isinstance(rows, str) else "a.jsonl", rows)
    with pytest.raises(SpecError) as caught:
        doit.convert(path, path.parent / "out.jsonl", to="messages")
    assert caught.value.code == "D204"
    assert said in str(caught.value)


def test_thinking_that_is_no_text_is_a_reject_and_not_left_out(write: Write, tmp_path: Path) -> None:
    ask, tell = {"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}
    rows = [{"messages": [ask, {**tell, "reasoning_content": thought}]} for thought in (["想"], None)]
    answer = doit.convert(write("a.jsonl", rows), tmp_path / "out.jsonl", to="messages", shape="messages")
    assert (answer.rejected, answer.written) == ({"D312": 1}, 1)
    assert "messages[1].reasoning_content" in answer.first_rejects[0]


@pytest.mark.parametrize(
    ("rows", "shape", "said"),
    [
        ([{"x": 1}, {}], "alpaca", r"\(2 D310\)\. The first: D310 .* row 0 .*: field `instruction` is missing"),
        ('{"instruction": "a", "output":\n', "alpaca", r"\(1 D302\)\. The first: D302 .* row 0 .*ends too early"),
        (b"PK\x03\x04rubbish", "alpaca", r"\(1 D309\)\. The first: D309 .*zip archive cannot be opened"),
        ("", "alpaca", r"\(no rows\)\.$"),
    ],
)
def test_a_file_of_which_nothing_can_be_read_says_why(rows: Any, shape: str, said: str, write: Write) -> None:
    path = write("a.jsonl", rows)
    with pytest.raises(DataError, match=rf"^D320 .*nothing to write {said}"):
        doit.convert(path, path.parent / "out.jsonl", to="messages", shape=shape)


@pytest.mark.parametrize("to", ["messages", "alpaca", "llamafactory"])
def test_a_folder_that_is_no_mixture_is_not_taken_for_one(to: str, rows: Path, tmp_path: Path) -> None:
    for inputs in ([tmp_path], [rows, tmp_path]):
        with pytest.raises(SpecError, match=r"^D206 .*no mixture here.* Name the files in the folder"):
            doit.convert(inputs, tmp_path / "out", to=to)


def test_curate_makes_a_folder_and_says_so_of_the_name_of_a_file(rows: Path, write: Write, tmp_path: Path) -> None:
    rules = write("r.yaml", "- {kind: turns, at_least: 1}\n")
    for name in ("out.jsonl", "out.PARQUET"):
        with pytest.raises(SpecError, match=r"^D204 .*a folder is made\. Name a folder"):
            doit.curate(rows, tmp_path / name, rules=rules)
        assert not (tmp_path / name).exists()


def test_a_link_to_itself_is_not_told_to_be_named_so(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SpecError) as caught:
        doit.init(tmp_path / "loop")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("card", "key"),
    [
        ("shape: {kind: qa, prompt: []}", "shape.prompt"),
        ("shape: {kind: choice, options: []}", "shape.options"),
        ("shape: {kind: marked_text, text: []}", "shape.text"),
        ("shape: {kind: alpaca}\nsource: {columns: []}", "source.columns"),
        ("shape: {kind: alpaca}\nsource: {files: []}", "source.files"),
        ("shape: {kind: alpaca}\nrows: ''", "rows"),
        ("shape: {kind: alpaca}\neach: ''", "each"),
        ("shape: {kind: alpaca}\npreference: {votes: [], of: {a: b, c: d}}", "preference.votes"),
    ],
)
def test_a_card_that_would_read_nothing_is_refused_with_its_key(
    card: str, key: str, rows: Path, write: Write, tmp_path: Path
) -> None:
    path = write("card.yaml", f"name: c\n{card}\n")
    with pytest.raises(DoitError, match=rf"^D204 .*: {key}: must not be empty\.$"):
        doit.convert(rows, tmp_path / "out.jsonl", to="messages", dataset=str(path))


def test_a_source_without_files_is_refused(rows: Path, write: Write, tmp_path: Path) -> None:
    spec = {"name": "t", "size": "all", "sources": [{"dataset": "alpaca", "files": []}]}
    with pytest.raises(SpecError, match=r"^D204 .*sources\.0\.files: must not be empty"):
        doit.build(write("s.yaml", json.dumps(spec)), tmp_path / "out")
