"""The pool and its cache: what is read once, what is noticed, and the slim table that decisions are made on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from doit import storage
from doit.curation.keys import hexadecimal
from doit.mixtures.building.writing import fetch
from doit.mixtures.loading import SourceFiles, resolve
from doit.mixtures.pools import stamps
from doit.mixtures.pools.pool import Pool, build_pool, scan_records, slim_table, written
from doit.mixtures.pools.slim import COLUMNS, LABELS, names, read_slim, write_slim
from doit.mixtures.pools.stamps import Note, unchanged


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read for their digest."""
    names: list[str] = []
    digest = storage.file_digest

    def counted(path: Path) -> str:
        names.append(path.name)
        return digest(path)

    monkeypatch.setattr(storage, "file_digest", counted)
    return names


def rows(count: int, start: int = 0) -> list[dict[str, str]]:
    kinds = ("math", "code", "none")
    return [
        {"instruction": f"第{n}题", "output": f"答案{n}", "kind": kinds[n % 3]} for n in range(start, start + count)
    ]


def sources(folder: Path, **files: list[dict[str, str]]) -> tuple[SourceFiles, ...]:
    """One source a file, each of its own name."""
    listed: list[dict[str, Any]] = []
    for name, of in files.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in of)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        ability = {"field": "kind", "map": {"math": "math", "code": "code"}}
        card = {"name": name, "shape": {"kind": "alpaca"}, "source": {"files": f"{name}.jsonl"}, "ability": ability}
        listed.append({"dataset": {**card, "license": "MIT" if name == "b" else "Apache-2.0"}})
    return resolve({"name": "m", "size": "all", "sources": listed}, folder=folder, where="m").sources


def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written just now count as old."""
    monkeypatch.setattr(stamps, "SETTLED", -(10**15))


def digests(pool: Pool) -> list[str]:
    return [file.sha256 for file in pool.inputs]


def test_unchanged_files_are_not_read_again(tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    settled(monkeypatch)
    of = sources(tmp_path, a=rows(30))
    first = build_pool(of, workers=1)
    assert "a.jsonl" in hashed
    hashed.clear()

    assert build_pool(of, workers=1) == first
    assert hashed == []


def test_a_file_written_a_moment_ago_is_read_again(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stamps.SETTLED == 2 * 10**9
    monkeypatch.setattr(stamps, "SETTLED", 10**15)  # so that a slow machine's moment is one too
    of = sources(tmp_path, a=rows(3))
    build_pool(of, workers=1)
    hashed.clear()

    build_pool(of, workers=1)

    assert set(hashed) == {"a.jsonl"}, "its times could hide a second write; the cache's own files are written once"


def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(monkeypatch)
    of = sources(tmp_path, a=rows(30))
    before = build_pool(of, workers=1)
    path = tmp_path / "a.jsonl"
    was = path.stat()
    path.write_bytes(path.read_bytes().replace("答案7".encode(), "答案九".encode()[:6] + b"8"))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)

    after = build_pool(of, workers=1)

    assert digests(after) != digests(before)
    assert after.parts[0].entry.folder != before.parts[0].entry.folder


def test_a_file_that_changes_while_it_is_read_is_not_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(monkeypatch)
    path = tmp_path / "a"
    path.write_bytes(b"one")
    note = Note(path, tmp_path / "notes")
    note.digest()
    path.write_bytes(b"longer")
    note.keep()

    assert not (tmp_path / "notes").exists()


def test_stretches_and_the_whole_are_noted_together(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    note = Note(path, tmp_path / "notes")
    found = [note.digest(span) for span in (None, (0, 5), (5, 10))]
    note.keep()
    hashed.clear()

    again = Note(path, tmp_path / "notes")

    assert [again.digest(span) for span in (None, (0, 5), (5, 10))] == found
    assert len(set(found)) == 3
    assert hashed == []


def test_a_file_is_cut_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(monkeypatch)
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    cut: list[str] = []

    def halves(how: str) -> list[tuple[int, int]]:
        cut.append(how)
        return [(0, 5), (5, 10)]

    note = Note(path, tmp_path / "notes")
    assert note.spans("lines", lambda: halves("lines")) == [(0, 5), (5, 10)]
    note.keep()
    again = Note(path, tmp_path / "notes")
    assert again.spans("lines", lambda: halves("lines")) == [(0, 5), (5, 10)]
    assert again.spans("whole", lambda: []) == []
    assert cut == ["lines"]

    path.write_bytes(b"0123456789abc")
    Note(path, tmp_path / "notes").spans("lines", lambda: halves("lines"))
    assert cut == ["lines", "lines"], "another file is cut anew"


def test_slim_columns_of_several_entries_have_the_same_labels(tmp_path: Path) -> None:
    shape = {"row": [0, 1], "part": [0, 0], "turns": [1, 1], "chars": [5, 6]}
    labels = [
        {"id": [1, 1 << 100], "language": ["zh-Hant", "en"], "ability": ["math", None], "group": [None, None]},
        {"id": [3, 2], "language": ["ja", "en"], "ability": [None, None], "group": ["棵", None]},
    ]
    frames = [pl.DataFrame({**of, **shape}, schema=COLUMNS) for of in labels]
    folders = [tmp_path / name for name in ("a", "b", "none")]
    for folder, frame in zip(folders, frames, strict=False):
        write_slim(folder, [frame.head(1), frame.tail(1)])
    write_slim(folders[2], [])

    read = read_slim(folders)

    assert [frame.height for frame in read] == [2, 2, 0]
    assert names(read[0]["language"]) == names(read[1]["language"]) == ["en", "ja", "zh-Hant"]
    assert names(read[1]["ability"]) == ["math"]
    whole = pl.concat(read, how="diagonal").select(*COLUMNS).with_columns(pl.col(*LABELS).cast(pl.String))
    assert whole.equals(pl.concat(frames))
    assert "group" not in read_slim(folders[:1])[0].columns


@pytest.mark.parametrize("damage", ["a changed byte", "no file", "a damaged note"])
@pytest.mark.parametrize("file", ["records.arrow", "slim.arrow"])
def test_a_damaged_entry_is_made_anew(tmp_path: Path, damage: str, file: str) -> None:
    of = sources(tmp_path, a=rows(30))
    entry = build_pool(of, workers=1).parts[0].entry
    whole = scan_records(entry.folder).collect()
    path = entry.folder / file
    if damage == "a changed byte":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    elif damage == "no file":
        path.unlink()
    else:
        (entry.folder / stamps.CHECKED).write_bytes(b"[")

    assert scan_records(build_pool(of, workers=1).parts[0].entry.folder).collect().equals(whole)
    assert slim_table(build_pool(of, workers=1).parts, of)["id"].to_list() == [int(one, 16) for one in whole["id"]]


def test_files_whose_stamps_change_are_read_once_more(tmp_path: Path, hashed: list[str]) -> None:
    (tmp_path / "x").write_bytes(b"x")
    files = {"x": storage.file_digest(tmp_path / "x")}
    hashed.clear()

    assert unchanged(tmp_path, files)
    assert unchanged(tmp_path, files)
    os.utime(tmp_path / "x")
    assert unchanged(tmp_path, files)

    assert hashed == ["x", "x"]


def test_the_slim_table_orders_as_strings_do(tmp_path: Path) -> None:
    of = sources(tmp_path, b=rows(40), a=rows(40, start=20))
    pool = build_pool(of, workers=1)
    slim = slim_table(pool.parts, of)
    whole = pl.concat([scan_records(part.entry.folder).collect() for part in pool.parts])

    assert slim["id"].dtype == pl.UInt128, "two words an id"
    assert all(isinstance(slim[name].dtype, pl.Enum) for name in ("language", "ability", "source", "license"))
    assert hexadecimal(slim["id"]).equals(whole["id"])
    spelled = slim.with_columns(hexadecimal(slim["id"]), pl.col("ability", "source", "license").cast(pl.String))
    for columns in (["id"], ["source", "ability", "license", "id"]):
        keyed = slim.sort(*columns, "number", "position", nulls_last=True).select("number", "position")
        assert keyed.equals(spelled.sort(*columns, "number", "position", nulls_last=True).select("number", "position"))
    chosen = slim[[70, 3, 41, 3]]
    assert written(chosen, pool.parts).to_list() == whole["written"].gather([70, 3, 41, 3]).to_list()
    assert written(slim.clear(), pool.parts).is_empty()


def test_only_the_chosen_rows_are_fetched_and_in_their_order(tmp_path: Path) -> None:
    of = sources(tmp_path, a=rows(50), b=rows(50, start=100))
    pool = build_pool(of, workers=1)
    nothing = {"tokens": pl.lit(None, pl.Int32), "marks": pl.lit(None, pl.List(pl.String))}
    slim = slim_table(pool.parts, of).with_columns(epoch=pl.lit(1, pl.Int32), **nothing)
    chosen = slim[[77, 3, 50, 49, 3]]

    table = fetch(chosen, pool.parts)

    assert table["id"].to_pylist() == hexadecimal(chosen["id"]).to_list()
    assert table["file"].to_pylist() == ["b.jsonl", "a.jsonl", "b.jsonl", "a.jsonl", "a.jsonl"]
    assert [row[0]["content"] for row in table["messages"].to_pylist()] == [f"第{n}题" for n in (127, 3, 100, 49, 3)]
