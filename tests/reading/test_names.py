from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doit.errors import DoitError
from doit.reading import names
from doit.reading.names import read_names

Write = Callable[[str, Any], Path]


def test_a_line_is_a_name(write: Write) -> None:
    text = "\ufeff范文芳\r\n 于右任 \n\n范文芳\n司马 迁\n#1\n👩‍🔬e\u0301"
    assert read_names(write("n.txt", text)) == ("范文芳", "于右任", "司马 迁", "#1", "👩‍🔬e\u0301")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "D320 .*there is no name in this file"),
        (b"\xef\xbb\xbf \n\r\n", "D320 "),
        ("张三\n李四".encode("gb18030"), r"D301 .*line 1 is not UTF-8 \(byte 0\).* Save the file as UTF-8"),
        ("张三\n".encode() + b"\xff", r"D301 .*line 2 is not UTF-8 \(byte 7\)"),
    ],
)
def test_a_file_without_names_is_an_error(data: bytes, said: str, write: Write) -> None:
    with pytest.raises(DoitError, match=rf"^{said}"):
        read_names(write("n.txt", data))


def test_a_file_that_is_not_there_or_is_a_folder_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.txt"):
        with pytest.raises(DoitError, match=r"^D206 "):
            read_names(path)


def test_a_file_of_names_has_a_bound(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "NAMES_BYTES", 6)
    assert read_names(write("n.txt", "张三")) == ("张三",)
    with pytest.raises(DoitError, match=r"^D301 .*may have 6 bytes"):
        read_names(write("n.txt", "张三\n"))
