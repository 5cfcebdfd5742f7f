"""Names of files that others may see: nothing of this machine, and the order that decides ties."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doit.errors import StorageError
from doit.hub.paths import public_names, public_spec, refuse_local, said, without_folders


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.json", "data/b.json"], {}),
        (["../data/a.json"], {"../data/a.json": "data/a.json"}),
        (["/srv/lin/secret-project/data/a.json"], {"/srv/lin/secret-project/data/a.json": "data/a.json"}),
        (["../../../srv/lin/数据/a.json"], {"../../../srv/lin/数据/a.json": "数据/a.json"}),
        (
            ["/srv/x/a/1.json", "/srv/x/b/1.json"],
            {"/srv/x/a/1.json": "x/a/1.json", "/srv/x/b/1.json": "x/b/1.json"},
        ),
        (["/a.json"], {"/a.json": "a.json"}),
        (["C:/Users/lin/a.json"], {"C:/Users/lin/a.json": "lin/a.json"}),
        (["../x/a.json", "here.json"], {"../x/a.json": "00000/a.json", "here.json": "00001/here.json"}),
    ],
)
def test_what_leads_outside_is_renamed(files, expected):
    found = public_names(files)
    assert {old: new for old, new in found.items() if old != new} == expected


NAME = st.text("ab/.", min_size=1, max_size=6).map(lambda text: text.strip("/") or "a")


@given(st.lists(st.tuples(st.sampled_from(["", "/", "../", "../../", "/srv/lin/", "C:/x/"]), NAME), max_size=6))
def test_new_names_keep_the_order_and_stay_apart(parts):
    files = sorted({start + name for start, name in parts if ".." not in name})
    names = public_names(files)
    renamed = [names.get(file, file) for file in files]
    if any(file.startswith(("/", "..", "C:")) for file in files):
        assert renamed == sorted(set(renamed))
        assert not any(name.startswith(("/", "..", "C:")) for name in renamed)


def test_a_spec_loses_its_folders_and_nothing_else():
    spec = {
        "name": "x",
        "tokenizer": "/models/qwen/tokenizer",
        "sources": [
            {"dataset": {"name": "own", "source": {"files": ["/srv/lin/set/**/*.json", "more/*.json"]}}},
            {"dataset": "../cards/mine.yaml", "files": "~/a/b.json"},
            {"dataset": "belle", "files": "../../data/belle/*.json"},
        ],
        "curation": [{"kind": "contaminated", "against": [{"name": "t", "source": {"files": "/srv/t.json"}}]}],
        "mix": {"source": {"own": 1}},
    }
    public = public_spec(spec)
    text = str(public)
    assert "/home" not in text
    assert "/srv" not in text
    assert public["tokenizer"] == "qwen/tokenizer"
    assert public["sources"][0]["dataset"]["source"]["files"] == ["set/**/*.json", "more/*.json"]
    assert public["sources"][2]["files"] == "belle/*.json"
    assert public["mix"] == spec["mix"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D212 /srv/lin/x/spec.yaml: `main` can move", "D212 spec.yaml: `main` can move"),
        ("see https://example.org/a/b and a/b/c", "see https://example.org/a/b and a/b/c"),
        ("C:\\Users\\lin\\a.json is short", "a.json is short"),
        ("1/2 and 和/或", "1/2 and 和/或"),
    ],
)
def test_sentences_lose_the_folders_of_absolute_paths(text, expected):
    assert said(text) == expected


def test_a_model_s_folder_is_cut_from_its_configuration():
    value = {"base": "/srv/lin/models/qwen", "token": "</s>", "id": "Qwen/Qwen2.5", "list": ["~/x/y", "/"], "n": 1}
    assert without_folders(value) == {
        "base": "qwen",
        "token": "</s>",
        "id": "Qwen/Qwen2.5",
        "list": ["y", "/"],
        "n": 1,
    }


def test_a_text_that_names_a_folder_here_is_refused(tmp_path, monkeypatch):
    refuse_local({"README.md": "nothing"}, tmp_path)
    for place in (tmp_path, Path.cwd()):
        with pytest.raises(StorageError, match=r"D102 manifest\.json"):
            refuse_local({"manifest.json": f'"{place}/x"'}, tmp_path)
