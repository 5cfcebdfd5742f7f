"""Hub sources: which files, which commit, whose bytes; and every way in which a Hub can fail."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from doit import storage
from doit.errors import DataError, DoitError, MissingExtra, SpecError, StorageError
from doit.mixtures.loading import load_spec
from doit.reading import hub_repository
from doit.reading.fetching import MOVABLE, Fetched, fetch, matches
from doit.reading.hub_repository import CHANGED, UNREACHABLE, HubFile, digest_of
from doit.schemas.card import Source
from doit.verbs import build, verify
from tests.loopback_hub import Fault, LoopbackHub, blob_id

hub_library = pytest.importorskip("huggingface_hub")
hub_constants = pytest.importorskip("huggingface_hub.constants")

ROOT = Path(__file__).resolve().parent.parent
REPO = "desk/questions"
TOKEN = "hf_canaryCANARYcanaryCANARYcanary00"
NOWHERE = "0" * 40
Write = Callable[[str, Any], Path]


def rows(start: int, stop: int) -> bytes:
    """JSON Lines of Alpaca rows."""
    lines = ({"instruction": f"第{n}个问题？", "input": "", "output": f"第{n}个回答。"} for n in range(start, stop))
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


FILES = {
    "README.md": "# 问题\n".encode(),
    "data/a.jsonl": rows(0, 40),
    "data/deep/b.jsonl": rows(40, 60),
    "extra/c.json": rows(60, 70),
}


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh home for huggingface_hub, in this process and for children."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "hf"
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("DOIT_CACHE", str(tmp_path / "doit-cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(hub_constants, "HF_TOKEN_PATH", str(home / "token"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    hub_library.close_session()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def get(files: str | tuple[str, ...] | None = None, revision: str | None = None, repo: str = REPO) -> Fetched:
    return fetch(Source(hub=repo, revision=revision, files=files), name="desk")


def names(fetched: Fetched) -> list[str]:
    return [name for name, _ in fetched.files]


def downloads(hub: LoopbackHub) -> list[str]:
    return [request.path for request in hub.requests if request.method == "GET" and "/api/" not in request.path]


def refused(code: str, *words: str) -> Any:
    """Expect an error of ours with this code whose text holds these words."""
    return pytest.raises(DoitError, match="(?s)^" + code + "".join(f"(?=.*{re.escape(word)})" for word in words))


# Which files


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (None, ["data/a.jsonl", "data/deep/b.jsonl", "extra/c.json"]),
        ("data/*.jsonl", ["data/a.jsonl"]),
        ("data/**/*.jsonl", ["data/a.jsonl", "data/deep/b.jsonl"]),
        ("**/*.json*", ["data/a.jsonl", "data/deep/b.jsonl", "extra/c.json"]),
        ("./extra/[a-c].json", ["extra/c.json"]),
        (("extra/c.json", "data/*.jsonl", "data/a.jsonl"), ["data/a.jsonl", "extra/c.json"]),
    ],
)
def test_only_the_files_that_match_are_fetched(
    hub: LoopbackHub, files: str | tuple[str, ...] | None, wanted: list[str]
) -> None:
    hub.commit(REPO, FILES)

    fetched = get(files)

    assert names(fetched) == wanted
    assert [path.read_bytes() for _, path in fetched.files] == [FILES[name] for name in wanted]
    assert [path.name for _, path in fetched.files] == [name.rpartition("/")[2] for name in wanted]
    assert len(downloads(hub)) == len(wanted)


def test_without_patterns_every_suffix_of_data_is_taken_and_nothing_else(hub: LoopbackHub) -> None:
    data = ["a.json", "b.jsonl", "c.CSV", "d.tsv", "e.parquet", "f.json.gz", "g/h.jsonl.zst"]
    other = ["README.md", ".gitattributes", "dataset_infos.json", "run.py", "x.json.bin", "images.zip"]
    hub.commit(REPO, {name: name.encode() for name in (*data, *other)})

    assert names(get()) == sorted(data)


def test_without_patterns_a_published_mixture_gives_its_rows_once(hub: LoopbackHub) -> None:
    rows_of = ["10/data/train-00000-of-00001.parquet", "20/data/test-00000-of-00001.parquet"]
    other = ["manifest.json", "publication.json", "10/manifest.json", "20/by_ability/math/train-00000-of-00001.parquet"]
    hub.commit(REPO, {name: name.encode() for name in (*rows_of, *other)})
    assert names(get()) == rows_of

    hub.commit("desk/recipe", {name: name.encode() for name in (*other[:2], "members/train-00000-of-00001.parquet")})
    with refused("D206", "holds no data files", "manifest.json"):
        get(repo="desk/recipe")
    assert not [path for path in downloads(hub) if "/desk/recipe/" in path]

    hub.commit("desk/papers", {"publication.json": b"[]", "b.json": b"[]"})
    assert names(get(repo="desk/papers")) == ["b.json", "publication.json"]


@pytest.mark.parametrize("address", ["notaurl", "ftp://example.org", "http://", "someone:word@host"])
def test_an_endpoint_that_is_no_address_is_said(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with refused(UNREACHABLE, "HF_ENDPOINT is not the address of a Hub", "`files:` beside") as caught:
        get()
    assert address not in str(caught.value)
    assert not hub.requests


@pytest.mark.parametrize("pattern", ["*", "**", "**/*", "a/**", "a/*/c", "**/c", "?", "[ab]", ".*", "a/**/c", "*/b/**"])
def test_patterns_mean_what_they_mean_on_the_disk(tmp_path: Path, pattern: str) -> None:
    import glob

    paths = ["a/b/c", "a/b/d", "a/c", "b", "c", ".h", "a/.h/c", "a/b/.h", "x/y/z", "x/b/c/d"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = glob.glob(pattern, root_dir=tmp_path, recursive=True)  # noqa: PTH207
    local = {path for path in found if (tmp_path / path).is_file()}

    assert {path for path in paths if matches(path, pattern)} == local


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    started = time.monotonic()
    assert not matches("/".join(["a"] * 200) + "/b", "/".join(["**", "a"] * 40) + "/c")
    assert not matches("a" * 5000, "*a" * 30 + "b")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "pattern", ["../x.json", "data/../../x", "/etc/passwd", "~/x.json", "C:\\x.json", "file:///x", "a\0b", "\\\\h\\x"]
)
def test_a_pattern_cannot_leave_the_repository(hub: LoopbackHub, pattern: str) -> None:
    hub.commit(REPO, FILES)
    with refused("D209", "leads out of the repository"):
        get(pattern)
    assert not hub.requests


@pytest.mark.parametrize("path", ["../../../evil.jsonl", "/tmp/evil.jsonl", "a/../../evil.jsonl", "C:/evil.jsonl"])
def test_a_hub_cannot_name_a_file_elsewhere(hub: LoopbackHub, path: str, tmp_path: Path) -> None:
    hub.commit(REPO, {path: rows(0, 1), "a.jsonl": rows(1, 2)})
    with refused("D209", "leads out of the repository"):
        get()
    assert not downloads(hub)
    assert not list(tmp_path.rglob("evil.jsonl"))


def test_a_pattern_that_matches_nothing_says_what_there_is(hub: LoopbackHub) -> None:
    hub.commit(REPO, FILES)
    with refused("D206", 'no file matches "data/*.josnl"', "README.md", "data/a.jsonl"):
        get("data/*.josnl")
    with refused("D206", 'Did you mean "data/a.jsonl"?'):
        get("data/aa.jsonl")
    assert downloads(hub) == []


def test_a_long_tree_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackHub(page=7) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.commit(REPO, {f"{n:03}.jsonl": rows(n, n + 1) for n in range(40)})
        assert len(get().files) == 40


@pytest.mark.parametrize("repo", ["", "a/b/c", "https://huggingface.co/a/b", "../x", "a--b/c", "a/b.git", "a b/c"])
def test_what_is_not_a_repository_is_refused_unasked(hub: LoopbackHub, repo: str) -> None:
    with refused("D204", "hub: owner/name"):
        get(repo=repo)
    assert not hub.requests


# Which commit


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "refs/convert/parquet"])
def test_a_name_that_can_move_is_fixed_and_said(hub: LoopbackHub, revision: str | None) -> None:
    commit = hub.commit(REPO, FILES)
    hub.repository(REPO).tags |= {"v1.0": commit, "refs/convert/parquet": commit}

    fetched = get("data/*.jsonl", revision)

    assert fetched.commit == commit
    (warning,) = fetched.warnings
    assert warning.startswith(f"{MOVABLE} desk: hub {REPO}: ")
    assert f"revision: {commit}" in warning
    assert not fetched.notes


def test_a_pinned_commit_stays_when_the_branch_moves_and_the_move_is_said(hub: LoopbackHub) -> None:
    first = hub.commit(REPO, FILES)
    assert get(revision=first).notes == ()
    second = hub.commit(REPO, {"data/a.jsonl": rows(0, 3)})

    fetched = get(revision=first)

    assert fetched.files == get(revision=first).files
    assert fetched.files[0][1].read_bytes() == FILES["data/a.jsonl"]
    assert fetched.warnings == ()
    assert len(fetched.notes) == 1
    assert second in fetched.notes[0]
    assert first in fetched.notes[0]


def test_a_branch_that_moved_since_last_time_is_said(hub: LoopbackHub) -> None:
    first = hub.commit(REPO, FILES)
    get()
    second = hub.commit(REPO, {"data/a.jsonl": rows(0, 3)})

    fetched = get()

    assert fetched.commit == second
    assert fetched.files[0][1].read_bytes() == rows(0, 3)
    assert f"moved from {first} to {second}" in fetched.notes[0]
    assert get().notes == ()


def test_a_pinned_commit_that_is_gone_says_what_there_is(hub: LoopbackHub) -> None:
    commit = hub.commit(REPO, FILES)
    hub.repository(REPO).tags["v1"] = commit
    with refused("D206", f'no commit "{NOWHERE}"', "`main`", "`v1`", commit) as caught:
        get(revision=NOWHERE)
    assert "Did you mean" not in str(caught.value)
    assert downloads(hub) == []


def test_a_misspelt_branch_says_which_was_meant(hub: LoopbackHub) -> None:
    hub.commit(REPO, FILES)
    with refused("D206", "mian", 'Did you mean "main"?'):
        get(revision="mian")
    assert downloads(hub) == []
    assert names(get(revision="main")) == ["data/a.jsonl", "data/deep/b.jsonl", "extra/c.json"]


def test_a_hub_that_answers_another_commit_than_the_pinned_is_refused(hub: LoopbackHub, tmp_path: Path) -> None:
    commit = hub.commit(REPO, FILES)
    told = json.dumps({"id": REPO, "sha": commit, "siblings": []}).encode()
    hub.faults.append(Fault(f"/revision/{NOWHERE}", body=told, times=-1))
    with refused(UNREACHABLE, NOWHERE):
        get(revision=NOWHERE)
    assert downloads(hub) == []
    assert not list((tmp_path / "doit-cache").rglob("*.json"))


@pytest.mark.parametrize("sha", ["../../../evil", "main", "", None, "A" * 40])
def test_a_commit_that_is_none_is_refused(hub: LoopbackHub, sha: str | None, tmp_path: Path) -> None:
    hub.commit(REPO, FILES)
    hub.faults.append(Fault("/revision/main", body=json.dumps({"id": REPO, "sha": sha}).encode(), times=-1))
    with refused(UNREACHABLE, "names no commit"):
        get()
    assert not list((tmp_path / "doit-cache").rglob("*.json"))


# Whose bytes


def cut_in(path: Path, at: int = 5) -> None:
    """Change one byte of a file, behind a link too."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.resolve().chmod(0o644)
    path.resolve().write_bytes(bytes(content))


@pytest.mark.parametrize("lfs", [(), ("data/a.jsonl",)], ids=["plain", "large"])
def test_a_second_fetch_downloads_nothing(hub: LoopbackHub, lfs: tuple[str, ...]) -> None:
    commit = hub.commit(REPO, FILES, lfs=lfs)
    first = get(revision=commit)
    hub.requests.clear()

    assert get(revision=commit) == first
    assert [request.path for request in hub.requests] == [f"/api/datasets/{REPO}/revision/main"]


@pytest.mark.parametrize("lfs", [(), ("data/a.jsonl",)], ids=["plain", "large"])
@pytest.mark.parametrize("damage", ["a changed byte", "a missing end", "an empty file"])
def test_a_damaged_cache_is_mended_once(hub: LoopbackHub, lfs: tuple[str, ...], damage: str) -> None:
    hub.commit(REPO, FILES, lfs=lfs)
    ((_, path),) = get("data/a.jsonl").files
    if damage == "a changed byte":
        cut_in(path)
    else:
        path.resolve().write_bytes(b"" if damage == "an empty file" else FILES["data/a.jsonl"][:-10])
    hub.requests.clear()

    ((_, path),) = get("data/a.jsonl").files

    assert path.read_bytes() == FILES["data/a.jsonl"]
    assert len(downloads(hub)) == 1


@pytest.mark.parametrize("lfs", [(), ("data/a.jsonl",)], ids=["plain", "large"])
def test_bytes_that_the_list_does_not_name_are_refused_after_two_tries(hub: LoopbackHub, lfs: tuple[str, ...]) -> None:
    hub.commit(REPO, FILES, lfs=lfs)
    honest = bytearray(FILES["data/a.jsonl"])
    honest[5] ^= 1
    hub.repository(REPO).told["data/a.jsonl"] = bytes(honest)

    with refused(CHANGED, "data/a.jsonl", "but the Hub lists") as caught:
        get("data/*.jsonl")

    assert isinstance(caught.value, DataError)
    assert len(set(re.findall(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b", str(caught.value)))) == 3
    assert len(downloads(hub)) == 2


def test_content_that_changes_under_a_pinned_commit_is_noticed(hub: LoopbackHub, tmp_path: Path) -> None:
    commit = hub.commit(REPO, FILES)
    get("data/a.jsonl", commit)
    hub.repository(REPO).commits[commit]["data/deep/b.jsonl"] = rows(0, 20)

    with refused(CHANGED, "data/deep/b.jsonl") as caught:
        get("data/**/*.jsonl", commit)
    assert isinstance(caught.value, DataError)
    assert names(get("data/a.jsonl", commit)) == ["data/a.jsonl"]


def test_a_damaged_list_of_files_is_asked_again(hub: LoopbackHub, tmp_path: Path) -> None:
    commit = hub.commit(REPO, FILES)
    first = get()
    kept = tmp_path / "doit-cache" / "hub" / REPO.replace("/", "--") / f"{commit}.json"
    for content in (b"", b"{}", b'{"files": [{}]}', b"\xff", b"[]", b'{"files": 3}'):
        kept.write_bytes(content)
        (kept.parent / "revisions.json").write_bytes(content)
        assert get().files == first.files


@pytest.mark.parametrize("content", [b"", b"abc", "中文\n".encode() * 70_000])
def test_digests_are_git_s_and_sha256(tmp_path: Path, content: bytes) -> None:
    import hashlib

    path = tmp_path / "x"
    path.write_bytes(content)
    assert digest_of(path, HubFile("x", len(content), "", None)) == blob_id(content)
    assert digest_of(path, HubFile("x", 0, "", "…")) == hashlib.sha256(content).hexdigest()


# What a Hub can do to us


@pytest.mark.parametrize(("lfs", "place"), [((), "/resolve/"), (("data/a.jsonl",), "/large/")], ids=["plain", "large"])
def test_a_download_that_breaks_off_once_goes_on_where_it_was(
    hub: LoopbackHub, no_waiting: None, monkeypatch: pytest.MonkeyPatch, lfs: tuple[str, ...], place: str
) -> None:
    monkeypatch.setattr(hub_constants, "DOWNLOAD_CHUNK_SIZE", 300)  # a piece of 10 MB otherwise
    hub.commit(REPO, FILES, lfs=lfs)
    hub.faults.append(Fault(place, method="GET", cut=1000))

    ((_, path),) = get("data/a.jsonl").files

    assert path.read_bytes() == FILES["data/a.jsonl"]
    ranges = [request.headers.get("range") for request in hub.requests if place in request.path]
    assert ranges[-2:] == [None, "bytes=900-"]


@pytest.mark.parametrize("cut", [0, 100])
def test_a_download_that_always_breaks_off_is_an_error(hub: LoopbackHub, no_waiting: None, cut: int) -> None:
    hub.commit(REPO, FILES)
    hub.faults.append(Fault("/resolve/", method="GET", cut=cut, times=20))
    hub.faults.append(Fault("/resolve/", method="GET", status=500, times=-1))
    with refused(UNREACHABLE, "data/a.jsonl", "Try again later", "`files:`"):
        get("data/a.jsonl")
    assert 1 < len(downloads(hub)) <= 20
    hub.faults.clear()
    ((_, path),) = get("data/a.jsonl").files
    assert path.read_bytes() == FILES["data/a.jsonl"]


def test_finished_files_stay_when_a_later_one_fails(hub: LoopbackHub) -> None:
    hub.commit(REPO, FILES)
    hub.faults.append(Fault("b.jsonl", status=500, times=-1, method="GET"))
    with refused(UNREACHABLE, "b.jsonl", "500"):
        get("data/**/*.jsonl")
    hub.faults.clear()
    hub.requests.clear()

    get("data/**/*.jsonl")

    assert [path.rpartition("/")[2] for path in downloads(hub)] == ["b.jsonl"]


FAULTS = {
    "a repository that is not there": ([], "D206", ["no such dataset", "hub desk/nothing"]),
    "a fault of the Hub": ([Fault("/api/", status=503, times=-1)], UNREACHABLE, ["503", "`files:`"]),
    "too many requests": ([Fault("/api/", status=429, times=-1)], UNREACHABLE, ["429"]),
    "no rights": ([Fault("/api/", status=403, times=-1)], UNREACHABLE, ["403", "HF_TOKEN"]),
    "not logged in": ([Fault("/api/", status=401, times=-1)], UNREACHABLE, ["401", "hf auth login"]),
    "a page for people": ([Fault("/api/", body=b"<html>log in</html>", times=-1)], UNREACHABLE, ["HF_ENDPOINT"]),
    "an empty answer": ([Fault("/api/", body=b"", times=-1)], UNREACHABLE, ["HF_ENDPOINT"]),
    "a list": ([Fault("/api/", body=b"[1]", times=-1)], UNREACHABLE, ["HF_ENDPOINT"]),
    "a tree of nonsense": ([Fault("/tree/", body=b'[{"type": "file"}]', times=-1)], UNREACHABLE, ["HF_ENDPOINT"]),
    "a file that is listed but gone": (
        [Fault("/resolve/", status=404, times=-1, headers={"X-Error-Code": "EntryNotFound"})],
        "D206",
        ["data/a.jsonl", "listed but not there"],
    ),
    "no header with a commit": ([Fault("/resolve/", body=b"x", times=-1)], UNREACHABLE, ["HF_ENDPOINT"]),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_goes_wrong_is_said_without_a_traceback(hub: LoopbackHub, no_waiting: None, case: str) -> None:
    faults, code, words = FAULTS[case]
    hub.commit(REPO, FILES)
    hub.faults += [Fault(**vars(fault)) for fault in faults]
    with refused(code, "desk: hub", *words) as caught:
        get("data/a.jsonl", repo="desk/nothing" if "repository" in case else REPO)
    assert str(caught.value).count("\n") <= 2
    assert caught.value.__suppress_context__


def test_a_gated_set_says_that_terms_wait(hub: LoopbackHub) -> None:
    hub.commit(REPO, FILES)
    hub.repository(REPO).gated = True
    with refused(UNREACHABLE, "accept terms", "hf auth login", "`files:` beside `dataset: desk`"):
        get()
    hub.repository(REPO).gated = False
    assert len(get().files) == 3


def test_nobody_there_is_said_at_once(hub: LoopbackHub) -> None:
    hub.stop()
    started = time.monotonic()
    with refused(UNREACHABLE, f"127.0.0.1:{hub.port} cannot be reached", "`files:` beside `dataset: desk`"):
        get()
    with refused(UNREACHABLE, "cannot be reached"):
        get(revision=NOWHERE)
    assert time.monotonic() - started < 5


def test_a_hub_that_went_away_leaves_what_was_fetched(hub: LoopbackHub) -> None:
    commit = hub.commit(REPO, FILES)
    first = get()
    hub.stop()
    hub_library.close_session()

    pinned, named = get(revision=commit), get()

    assert pinned.files == named.files == first.files
    assert (pinned.warnings, pinned.notes) == ((), ())
    assert named.warnings == first.warnings
    assert "cannot be reached" in named.notes[0]
    assert ".." not in named.notes[0]
    assert commit in named.notes[0]


def test_offline_uses_what_is_there_and_asks_nobody(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.commit(REPO, FILES)
    first = get("data/*.jsonl")
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    assert get("data/*.jsonl").files == first.files
    assert get("data/*.jsonl", commit).files == first.files
    with refused(UNREACHABLE, "data/deep/b.jsonl", "not in the cache", "HF_HUB_OFFLINE"):
        get("**/*.json*")
    with refused(UNREACHABLE, "not in the cache", "`files:` beside `dataset: desk`"):
        get(revision=NOWHERE)
    with refused(UNREACHABLE, "`main`", "not in the cache"):
        get(repo="desk/other")
    cut_in(first.files[0][1])
    with refused(CHANGED, "data/a.jsonl", "HF_HUB_OFFLINE"):
        get("data/*.jsonl")
    assert not hub.requests


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with refused("D208", "pip install 'doit-mix[hub]'", "`files:`") as caught:
        get()
    assert isinstance(caught.value, MissingExtra)


def test_a_full_disk_is_said_as_such(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(REPO, FILES)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "blobs/x")

    monkeypatch.setattr(hub_library, "hf_hub_download", full)
    with refused("D104", "No space left on device") as caught:
        get()
    assert isinstance(caught.value, StorageError)
    assert "Try again later" not in str(caught.value)


# The token


def everything(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("place", ["environment", "file"])
def test_the_token_opens_a_private_set_and_shows_nowhere(
    hub: LoopbackHub, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    hub.commit(REPO, FILES, lfs={"data/a.jsonl"})
    hub.repository(REPO).token = TOKEN
    with refused("D206", "does not show it to you", "HF_TOKEN"):
        get()
    if place == "environment":
        monkeypatch.setenv("HF_TOKEN", TOKEN)
    else:
        (tmp_path / "hf").mkdir(exist_ok=True)
        (tmp_path / "hf" / "token").write_text(TOKEN, encoding="utf-8")
    spec = write("spec.yaml", {"name": "t", "size": 50, "sources": [{"dataset": card()}]})

    build(spec, tmp_path / "out")

    assert TOKEN.encode() not in everything(tmp_path / "out") + everything(tmp_path / "doit-cache")
    elsewhere = [request for request in hub.requests if request.host.startswith("localhost")]
    assert elsewhere
    assert not [request for request in elsewhere if "authorization" in request.headers]
    assert any(request.headers.get("authorization") == f"Bearer {TOKEN}" for request in hub.requests)


@pytest.mark.parametrize("case", FAULTS)
def test_no_error_or_log_holds_the_token_or_a_signed_address(
    hub: LoopbackHub,
    no_waiting: None,
    case: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("//", "//someone:secret-word@"))
    hub.commit(REPO, FILES, lfs={"data/a.jsonl"})
    hub.faults += [Fault(**vars(fault)) for fault in FAULTS[case][0]]
    hub.faults.append(Fault("/large/", method="GET", cut=100))
    with caplog.at_level(logging.INFO):
        try:
            get("data/a.jsonl", repo="desk/nothing" if "repository" in case else REPO)
        except DoitError as error:
            caplog.handler.stream.write(f"{error} {error.__dict__}")
    told = caplog.handler.stream.getvalue() + "".join(capfd.readouterr())
    assert UNREACHABLE in told or "D206" in told
    assert not [word for word in (TOKEN, "secret-word", "signature", "Bearer") if word in told]


# Whole builds


def card(files: str | None = "**/*.json*", **more: Any) -> dict[str, Any]:
    source = {"hub": REPO, **({"files": files} if files else {}), **more}
    return {"name": "desk", "shape": {"kind": "alpaca"}, "source": source}


def test_the_same_files_here_and_from_a_hub_make_the_same_mixture(
    hub: LoopbackHub, tmp_path: Path, write: Write
) -> None:
    commit = hub.commit(REPO, FILES, lfs={"data/a.jsonl"})
    for name, content in FILES.items():
        write(name, content)
    local = {"name": "desk", "shape": {"kind": "alpaca"}, "source": {"files": "**/*.json*"}}
    here = build(write("here.yaml", {"name": "t", "size": 50, "sources": [{"dataset": local}]}), tmp_path / "here")

    there = build(write("there.yaml", {"name": "t", "size": 50, "sources": [{"dataset": card()}]}), tmp_path / "there")

    assert there.digest == here.digest
    assert there.read == here.read == 70
    manifests = [json.loads((tmp_path / name / "manifest.json").read_bytes()) for name in ("here", "there")]
    assert manifests[0]["inputs"] == manifests[1]["inputs"]
    assert [entry["file"] for entry in manifests[1]["inputs"]] == ["data/a.jsonl", "data/deep/b.jsonl", "extra/c.json"]
    assert manifests[1]["spec"]["sources"][0]["dataset"]["source"]["revision"] == commit
    assert len(there.warnings) == 1
    assert commit in there.warnings[0]
    assert str(tmp_path).encode() not in everything(tmp_path / "there")
    assert verify(tmp_path / "there").ok


def test_a_manifest_s_spec_builds_the_same_again_without_a_hub(hub: LoopbackHub, tmp_path: Path, write: Write) -> None:
    hub.commit(REPO, FILES)
    first = build(write("s.yaml", {"name": "t", "size": 50, "sources": [{"dataset": card()}]}), tmp_path / "a")
    hub.commit(REPO, {"data/a.jsonl": rows(100, 200)})
    spec = json.loads((tmp_path / "a" / "manifest.json").read_bytes())["spec"]

    online = build(write("again.yaml", spec), tmp_path / "b")
    hub.stop()
    hub_library.close_session()
    alone = build(write("again.yaml", spec), tmp_path / "c")

    assert first.digest == online.digest == alone.digest
    assert "is now commit" in online.warnings[0]
    assert alone.warnings == ()
    manifests = [(tmp_path / name / "manifest.json").read_bytes() for name in "bc"]
    assert manifests[0] == manifests[1]


def test_strict_allows_a_source_that_is_not_pinned(hub: LoopbackHub, tmp_path: Path, write: Write) -> None:
    hub.commit(REPO, FILES)
    spec = write("s.yaml", {"name": "t", "size": 50, "sources": [{"dataset": card()}]})
    assert build(spec, tmp_path / "out", strict=True).warnings


def test_packed_files_are_read(hub: LoopbackHub, tmp_path: Path, write: Write) -> None:
    hub.commit(REPO, {"a.jsonl.gz": gzip.compress(rows(0, 30), mtime=0)})
    spec = write("s.yaml", {"name": "t", "size": "all", "sources": [{"dataset": card(None)}]})
    assert build(spec, tmp_path / "out").read == 30


def test_files_beside_the_card_ask_no_hub(hub: LoopbackHub, tmp_path: Path, write: Write) -> None:
    write("mine.jsonl", rows(0, 30))
    spec = write("s.yaml", {"name": "t", "size": 20, "sources": [{"dataset": card(), "files": "mine.jsonl"}]})
    assert build(spec, tmp_path / "out").read == 30
    assert not hub.requests


@pytest.mark.parametrize(
    "wrong",
    [
        {"sources": [{"dataset": card()}, {"dataset": card()}]},
        {"sources": [{"dataset": card()}], "mix": {"source": {"desks": 1}}},
        {"sources": [{"dataset": card()}, {"dataset": {**card(), "name": "b"}, "files": "missing.jsonl"}]},
    ],
    ids=["twice", "unknown", "missing"],
)
def test_a_wrong_spec_is_refused_before_anything_is_fetched(hub: LoopbackHub, write: Write, wrong: Any) -> None:
    hub.commit(REPO, FILES)
    with pytest.raises(SpecError):
        load_spec(write("s.yaml", {"name": "t", "size": 20, **wrong}))
    assert not hub.requests


def test_a_card_without_files_or_hub_says_so(write: Write) -> None:
    bare = {"name": "bare", "shape": {"kind": "alpaca"}}
    with refused("D204", '"bare" names no files', "`files:` beside `dataset: bare`") as caught:
        load_spec(write("s.yaml", {"name": "t", "size": 20, "sources": [{"dataset": bare}]}))
    assert caught.value.exit_status == 2


def command(arguments: list[str], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "doit", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_the_command_fetches_with_everything_from_the_environment(
    hub: LoopbackHub, tmp_path: Path, write: Write
) -> None:
    commit = hub.commit("BelleGroup/train_1M_CN", {"Belle_open_source_1M.json": rows(0, 50)})
    write("s.yaml", {"name": "t", "size": 20, "sources": [{"dataset": "belle-1m"}]})

    done = command(["build", "s.yaml", "out", "--json"], tmp_path)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["read"] == 50
    assert done.stderr == ""
    assert commit in done.stdout
    assert (tmp_path / "hf" / "hub" / "datasets--BelleGroup--train_1M_CN").is_dir()


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_shipped_card_without_a_hub_says_what_to_do(tmp_path: Path, write: Write, offline: str) -> None:
    write("s.yaml", {"name": "t", "size": 20, "sources": [{"dataset": "belle-1m"}]})

    done = command(
        ["build", "s.yaml", "out"], tmp_path, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE=offline, HF_TOKEN=TOKEN
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"{UNREACHABLE} s.yaml: belle-1m: hub BelleGroup/train_1M_CN: ")
    assert "write `files:` beside `dataset: belle-1m`" in done.stderr
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_cache_folder_holds_only_what_storage_wrote(hub: LoopbackHub, tmp_path: Path) -> None:
    commit = hub.commit(REPO, FILES)
    get()
    folder = tmp_path / "doit-cache" / "hub" / "desk--questions"
    assert sorted(path.name for path in folder.iterdir()) == sorted([f"{commit}.json", "revisions.json"])
    assert storage.safe_relative("revisions.json", hub_repository.cache_home() / "hub" / "desk--questions").is_file()
