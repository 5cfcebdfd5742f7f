from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import doit
from doit.errors import SpecError
from doit.inspecting.serving import Shelf, answer, handler, serve

ATTACK = "</script><img src=x onerror=alert(1)>"
ROWS = [
    *({"instruction": f"{n} 加 {n} 等于几", "output": f"这样算来是 {2 * n} 个", "kind": "math"} for n in range(14)),
    {"instruction": f"Explain {ATTACK} to me, please", "output": "It is a Test of the page.", "kind": "code"},
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    card = {"name": "a", "shape": {"kind": "alpaca"}, "ability": {"field": "kind"}}
    source = {"dataset": card, "files": str(folder / "a.jsonl")}
    doit.build({"name": "t", "size": "all", "sources": [source]}, folder / "out")
    return folder / "out"


@pytest.fixture
def server(out: Path) -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler([Shelf(out), Shelf(out)])) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def asked(server: ThreadingHTTPServer, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def rows(server: ThreadingHTTPServer, query: str) -> dict[str, Any]:
    return dict(json.loads(asked(server, f"/rows?{query}")[1]))


def test_rows_come_a_page_at_a_time(server: ThreadingHTTPServer) -> None:
    first, second = rows(server, "pool=0"), rows(server, "pool=1&offset=10")

    assert (first["found"], len(first["rows"]), len(second["rows"])) == (15, 10, 5)
    assert not {row["id"] for row in first["rows"]} & {row["id"] for row in second["rows"]}


def test_every_word_of_a_search_and_every_condition_holds(server: ThreadingHTTPServer) -> None:
    assert rows(server, f"search={quote('等于')}")["found"] == 14
    assert rows(server, f"search={quote('等于 13')}")["found"] == 1
    assert rows(server, "search=tEST")["found"] == 1
    assert rows(server, "where=language%3Den")["found"] == 1
    assert rows(server, "where=language%3Den&where=ability%3Dmath")["found"] == 0
    (row,) = rows(server, "search=test")["rows"]
    assert rows(server, f"search={row['id'][:12]}")["found"] == 1


@pytest.mark.parametrize("query", ["pool=7", "pool=x", "offset=-1", "where=nothing", "where=colour%3Dred", "pool=-1"])
def test_a_wrong_question_is_answered_with_what_is_wrong(server: ThreadingHTTPServer, query: str) -> None:
    told = rows(server, query)

    assert told["rows"] == []
    assert told["error"]


def test_only_this_computer_may_ask(server: ThreadingHTTPServer) -> None:
    assert asked(server, "/")[0] == 200
    assert asked(server, "/", "evil.example")[0] == 403
    assert asked(server, "/rows", f"evil.example:{server.server_port}")[0] == 403
    assert asked(server, "/../manifest.json")[0] == 404
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_refused(out: Path, server: ThreadingHTTPServer) -> None:
    with pytest.raises(SpecError, match="D204"):
        serve([out], port=server.server_port, told=print)


def test_a_shelf_without_an_answer(out: Path) -> None:
    assert answer([], {})["error"].startswith("D204")


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_shows_two_pools_side_by_side(server: ThreadingHTTPServer) -> None:
    address = f"http://127.0.0.1:{server.server_port}/"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    command = [CHROMIUM, *flags, "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", address]
    run = subprocess.run(command, capture_output=True, timeout=120, check=True)
    dom, said = run.stdout.decode("utf-8", "replace"), run.stderr.decode("utf-8", "replace")

    assert not [line for line in said.splitlines() if "CONSOLE" in line and "favicon" not in line]
    assert len(re.findall('<article class="row">', dom)) == 20
    assert dom.count("10 of 15 found") == 2
    assert "<img" not in dom
