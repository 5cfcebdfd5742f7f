"""Names from files: UTF-8 text, one name a line."""

from __future__ import annotations

from pathlib import Path

from doit.errors import DataError, SpecError

NAMES_BYTES = 64 << 20
"""The most that a file of names may hold."""


def read_names(path: Path) -> tuple[str, ...]:
    """The names in a file, each once, in the file's order.

    Args:
        path: of a text in UTF-8, with or without a byte order mark. White space around a name is no part of it, and a
            blank line no name.

    Raises:
        SpecError: D206, there is no such file.
        DataError: D301, it is no UTF-8 or over `NAMES_BYTES`; D320, it names nobody.
    """
    if not path.is_file():
        what = "this is a folder, not a file." if path.is_dir() else "there is no such file of names."
        raise SpecError("D206", what, where=str(path))
    with path.open("rb") as file:
        data = file.read(NAMES_BYTES + 1)
    if len(data) > NAMES_BYTES:
        raise DataError("D301", f"a file of names may have {NAMES_BYTES:,} bytes, and this has more.", where=str(path))
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"line {line:,} is not UTF-8 (byte {error.start:,})."
        raise DataError("D301", what, where=str(path), hint="Save the file as UTF-8.") from None
    names = tuple(dict.fromkeys(name for line in lines if (name := line.strip())))
    if not names:
        raise DataError("D320", "there is no name in this file.", where=str(path), hint="Write one name a line.")
    return names
