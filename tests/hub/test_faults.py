"""Every request of a push goes wrong in every way: the remote is the old or the new version, and the next run mends it.

The token is looked for in everything that comes out: errors with their traces, logs, output, files, other hosts.
"""

from __future__ import annotations

import copy
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

import doit
from doit.cli import main
from doit.errors import DoitError
from doit.hub import connection as hub_connection
from doit.hub.connection import Connection, guarded
from doit.hub.package import Choices, Package
from doit.hub.packing_mixtures import pack_mixture
from doit.hub.pushing import Pushed, Remote, push
from tests.hub.conftest import REPO, TOKEN, build_mixture, rows, tree
from tests.loopback_hub import Fault, LoopbackHub

HTML = b"<html>Bad gateway. Authorization: Bearer " + TOKEN.encode() + b"</html>"

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "500": {"status": 500, "body": HTML},
    "503 after the work": {"status": 503, "late": True},
    "504 three times after the work": {"status": 504, "late": True, "times": 3},
    "400": {"status": 400, "body": b'{"error": "' + TOKEN.encode() + b'"}'},
    "412": {"status": 412},
    "nothing done, connection cut": {"drop": True},
    "answer cut at its start": {"cut": 0},
    "answer cut in its middle": {"cut": 9},
    "not a Hub": {"body": HTML},
    "request sent twice": {"twice": True},
    "answer sent twice": {"echo": True},
    "slow": {"delay": 0.02},
    "another writer": {"before": "writer"},
    "500 for ever": {"status": 500, "times": -1},
    "cut for ever": {"drop": True, "times": -1},
}

FIRST_TIME = ("503 after the work", "nothing done, connection cut", "answer cut at its start", "another writer")
"""What is tried on a Hub without the repository too."""
CASES = [*((name, "published") for name in FAULTS), *((name, "empty") for name in FIRST_TIME)]


class State(NamedTuple):
    """What a Hub holds."""

    repositories: dict[Any, Any]
    blobs: dict[str, bytes]


class Bench(NamedTuple):
    """An old and a new version of a mixture, and a Hub on which they can be pushed again and again."""

    hub: LoopbackHub
    old: Package
    new: Package
    remote: Remote
    empty: State
    published: State


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Package]:
    """Two versions, ready to be pushed."""
    where = tmp_path_factory.mktemp("packages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOIT_CACHE", str(where / "cache"))
        built = build_mixture(where, "old", series=[10, 20], size=20), build_mixture(where, "new", first=rows(0, 41))
    old, new = (pack_mixture(one, REPO, where / f"staging-{one.name}", Choices()) for one in built)
    return old, new


@pytest.fixture
def bench(hub: LoopbackHub, packages: tuple[Package, Package]) -> Iterator[Bench]:
    old, new = packages
    connection = Connection(REPO, (0.0, 0.0, 0.0))
    remote = Remote(connection, REPO, "dataset", "main")
    with guarded(connection):
        empty = State({}, {})
        push(old, remote, private=True)
        published = State(copy.deepcopy(hub.repositories), dict(hub.blobs))
        yield Bench(hub, old, new, remote, empty, published)


def restore(hub: LoopbackHub, state: State) -> None:
    hub.repositories.clear()
    hub.repositories.update(copy.deepcopy(state.repositories))
    hub.blobs.clear()
    hub.blobs.update(state.blobs)
    hub.faults.clear()
    hub.requests.clear()


def writer(hub: LoopbackHub) -> Callable[[], None]:
    """Somebody else, who edits the README."""

    def write() -> None:
        repository = hub.repositories.get(("datasets", REPO))
        if repository is not None:
            repository.commit({**tree(hub), "README.md": b"# mine\n"})

    return write


def content(package: Package) -> dict[str, bytes]:
    return {one.path: one.local.read_bytes() for one in package.files}


def without_attributes(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path != ".gitattributes"}


def attempt(bench: Bench) -> Pushed | DoitError:
    ended: Pushed | DoitError
    try:
        ended = push(bench.new, bench.remote, private=True)
    except DoitError as error:
        ended = error
    if isinstance(ended, DoitError):
        told = "".join(traceback.format_exception(ended)) + str(ended) + repr(ended)
        assert TOKEN not in told
        assert "signature=" not in told
        assert ended.exit_status in {2, 3}
        assert str(ended).count("\n") <= 2
    return ended


def leaks(hub: LoopbackHub) -> list[str]:
    """Requests that show the token to another host, or anywhere but in the header that is for it."""
    home = hub.url.removeprefix("http://")
    found = []
    for request in hub.requests:
        shown = [key for key, value in request.headers.items() if TOKEN in value]
        if TOKEN.encode() in request.body or TOKEN in request.path or set(shown) - {"authorization"}:
            found.append(request.path)
        if request.host != home and shown:
            found.append(f"{request.host}{request.path}")
    return found


def requests_of(bench: Bench, state: State) -> int:
    restore(bench.hub, state)
    assert isinstance(attempt(bench), Pushed)
    return len(bench.hub.requests)


@pytest.mark.parametrize(("name", "start"), CASES)
def test_a_fault_at_any_request_leaves_the_old_or_the_new_version(bench, name, start, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    state: State = getattr(bench, start)
    old = {} if start == "empty" else content(bench.old)
    new = content(bench.new)
    for at in range(requests_of(bench, state)):
        restore(bench.hub, state)
        options = dict(FAULTS[name])
        if options.get("before") == "writer":
            options["before"] = writer(bench.hub)
        bench.hub.faults.append(Fault("", skip=at, **options))
        ended = attempt(bench)

        repository = bench.hub.repositories.get(("datasets", REPO))
        there = without_attributes(tree(bench.hub)) if repository else {}
        readme = {"README.md": b"# mine\n"}
        assert there in (old, new, {**old, **readme}, {**new, **readme}), f"request {at}"
        if isinstance(ended, Pushed) and "before" not in options:
            assert there == new

        bench.hub.faults.clear()
        again = attempt(bench)
        assert isinstance(again, Pushed), f"request {at}: {again}"
        repository = bench.hub.repositories["datasets", REPO]
        assert without_attributes(tree(bench.hub)) == new
        assert without_attributes(repository.commits[repository.tags[bench.new.tag]]) in (new, {**new, **readme})
        ours = [sha for sha, message in repository.messages.items() if bench.new.digest[:12] in message]
        assert len(ours) == 1 or "before" in options
        assert leaks(bench.hub) == []
    assert TOKEN not in caplog.text
    told = capfd.readouterr()
    assert TOKEN not in told.out
    assert TOKEN not in told.err


def test_the_token_is_looked_for_on_a_hundred_ways_to_an_error(bench):
    """A refusal ends a push, wherever it comes."""
    endings, requests = 0, requests_of(bench, bench.published)
    for status in (302, 400, 401, 402, 403, 404, 410, 422, 451):
        for at in range(requests):
            restore(bench.hub, bench.published)
            headers = {"X-Error-Message": TOKEN, "Location": f"{bench.hub.elsewhere}/nowhere?{TOKEN}"}
            bench.hub.faults.append(Fault("", skip=at, status=status, body=HTML, headers=headers))
            endings += isinstance(attempt(bench), DoitError)
            others = [one for one in bench.hub.requests if one.host != bench.hub.url.removeprefix("http://")]
            assert not any("authorization" in one.headers for one in others)
    assert endings >= 100


def test_two_hundred_faults_are_injected(bench):
    """The number of requests of a push decides how many: each is met by every kind of fault."""
    both = {start: requests_of(bench, getattr(bench, start)) for start in ("published", "empty")}
    assert sum(both[start] for _, start in CASES) >= 200


def test_the_token_stays_at_its_hub_even_where_the_hub_names_another_host(hub, build):
    hub.verify_at = hub.elsewhere
    doit.publish(build(), REPO)
    sent = [one for one in hub.requests if "/verify/" in one.path]
    assert sent
    assert all("authorization" not in one.headers for one in sent)
    assert leaks(hub) == []
    assert any(TOKEN in one.headers.get("authorization", "") for one in hub.requests)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("/create", status=401), 2),
        (Fault("/preupload", status=404, times=-1), 2),
        (Fault("/validate-yaml", status=400, body=b'{"errors": [{"message": "bad"}]}', times=-1), 2),
        (Fault("/upload", drop=True, times=-1), 2),
        (Fault("/commit", status=500, body=HTML, times=-1), 2),
        (Fault("/tag", status=503, times=-1), 2),
    ],
    ids=lambda value: getattr(value, "match", None),
)
def test_the_command_ends_with_a_code_and_shows_no_token(hub, build, tmp_path, capfd, fault, status):
    hub.faults.append(fault)
    out = build()
    with pytest.raises(SystemExit) as ended:
        main(["publish", str(out), REPO])
    told = capfd.readouterr()
    assert ended.value.code == status
    assert "Traceback" not in told.err
    assert told.err.startswith("D211 desk/mix: ")
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert all(TOKEN.encode() not in text for text in (told.out.encode(), told.err.encode(), *files))
    hub.faults.clear()
    with pytest.raises(SystemExit) as ended:
        main(["publish", str(out), REPO])
    assert not ended.value.code


@pytest.mark.parametrize(
    ("told", "waited"),
    [
        (None, [1.0, 2.0, 4.0]),
        ("7", [7.0, 7.0, 7.0]),
        ("0", [0.0, 0.0, 0.0]),
        ("9999", [60.0, 60.0, 60.0]),
        ("-5", [1.0, 2.0, 4.0]),
        ("soon", [1.0, 2.0, 4.0]),
        ("７", [1.0, 2.0, 4.0]),
    ],
)
@pytest.mark.parametrize("place", ["/revision/main", "/commit/"])
def test_we_wait_as_long_as_the_hub_asks_up_to_a_minute(bench, monkeypatch, told, waited, place):
    seconds: list[float] = []
    monkeypatch.setattr(hub_connection.time, "sleep", seconds.append)
    restore(bench.hub, bench.published)
    bench.remote.connection.waits = hub_connection.WAITS
    headers = {} if told is None else {"Retry-After": told.encode().decode("latin-1")}
    bench.hub.faults.append(Fault(place, status=429, headers=headers, times=3))
    assert isinstance(attempt(bench), Pushed)
    assert seconds == waited
    assert tree(bench.hub)["manifest.json"] == content(bench.new)["manifest.json"]


def test_a_large_file_that_came_over_is_not_sent_again(hub, build):
    out = build()
    hub.faults.append(Fault("/commit", status=403))
    with pytest.raises(DoitError, match="D211"):
        doit.publish(out, REPO)
    assert [one.method for one in hub.requests if "/upload/" in one.path] == ["PUT"]
    hub.requests.clear()
    assert doit.publish(out, REPO).committed
    assert not [one for one in hub.requests if "/upload/" in one.path]


def test_a_hub_that_lists_other_bytes_than_were_sent_is_noticed(hub, build):
    out = build()
    doit.publish(out, REPO)
    repository = hub.repositories["datasets", REPO]
    repository.told["manifest.json"] = b"x" * len(tree(hub)["manifest.json"])
    with pytest.raises(DoitError, match="D321") as caught:
        doit.publish(out, REPO)
    assert caught.value.exit_status == 3
