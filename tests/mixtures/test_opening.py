"""What is said of a path that is no mixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import doit
from doit.errors import StorageError

Write = Callable[[str, Any], Path]


def test_a_spec_is_not_taken_for_a_mixture(write: Write) -> None:
    path = write("some.yaml", {"name": "some", "size": 10})

    with pytest.raises(doit.SpecError) as refused:
        doit.verify(path)

    assert (refused.value.code, refused.value.where) == ("D206", str(path))
    assert refused.value.what == "this is a file, not a mixture's folder."
    assert refused.value.hint == f"If it is a mixture's spec: `doit build {path} OUT`, then name OUT."


def test_another_file_is_not_taken_for_a_mixture(write: Write) -> None:
    with pytest.raises(doit.SpecError, match=r"D206 .*\. Name the folder that `doit build` made\."):
        doit.verify(write("train-00000-of-00001.parquet", b"PAR1"))


def test_a_json_file_may_be_a_manifest_and_says_when_it_is_none(write: Write) -> None:
    with pytest.raises(StorageError, match=r"D102 .*the manifest cannot be read: "):
        doit.verify(write("manifest.json", "{"))
    with pytest.raises(StorageError, match=r"D102 .*this is not the manifest of a mixture\."):
        doit.verify(write("other.json", "[]"))
