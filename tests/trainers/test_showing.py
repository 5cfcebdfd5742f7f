from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rows_written import build
from small_tokenizers import bytes_bpe, letters, spec

from doit.trainers.rows import EncodedRows, encode
from doit.trainers.showing import mask_table, runs, show_rows

TEXT = "今天\x1b[31m 氣很好 \u202e!\n第二 🐼"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[EncodedRows, Path]:
    folder = tmp_path_factory.mktemp("showing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOIT_CACHE", str(folder / "cache"))
        rows = [{"turns": ["你好", TEXT], "kind": "code"}, {"turns": ["Hi", "Hello!"]}]
        mixture = build(folder, rows)
        return encode(mixture, "train", spec(template="chatml"), bytes_bpe()), mixture


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_colour_marks_stand_around_what_is_learned(shown: tuple[EncodedRows, Path]) -> None:
    rows, out = shown[0], io.StringIO()
    show_rows(rows, bytes_bpe(), range(len(rows)), file=out)
    text = out.getvalue()

    assert "<|im_start|>assistant\n  ⟦Hello!<|im_end|>⟧\n" in text
    assert "⟦今天‹U+001B›[31m 氣很好 ‹U+202E›!\n  第二 🐼<|im_end|>⟧" in text
    assert "\x1b" not in text
    assert str(rows.record[0]) in text
    assert "× code" in text


def test_on_a_terminal_what_is_learned_is_coloured(
    shown: tuple[EncodedRows, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    show_rows(shown[0], bytes_bpe(), [0, 1], file=out)

    assert "⟦" not in out.getvalue()
    assert "\x1b[1;32mHello!<|im_end|>" in out.getvalue()
    assert "\x1b[31m" not in out.getvalue()


def test_an_old_encoding_gets_marks_that_it_has(shown: tuple[EncodedRows, Path]) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    show_rows(shown[0], bytes_bpe(), [0, 1], file=out)
    out.flush()

    assert b"[[Hello!<|im_end|>]]" in raw.getvalue()


def test_the_runs_of_a_row_are_its_whole_text(shown: tuple[EncodedRows, Path]) -> None:
    rows, tokenizer = shown[0], bytes_bpe()
    for at in range(len(rows)):
        found = list(runs(rows, at, tokenizer))
        assert "".join(run.text for run in found) == tokenizer.decode(rows.row(at)[0].tolist())
        assert [run.supervised for run in found] == [False, True, False]


def test_the_report_names_cells_and_leaves_out_columns_that_are_nought(shown: tuple[EncodedRows, Path]) -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(mask_table(encode(shown[1], "train", spec(template="belle", max_tokens=34), letters()).report))
    text = console.file.getvalue()  # type: ignore[attr-defined]

    assert "dropped" in text
    assert "truncated" not in text
    assert [line.split()[:3] for line in text.splitlines() if line.startswith("all")] == [["all", "2", "1"]]
