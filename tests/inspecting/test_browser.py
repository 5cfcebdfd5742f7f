"""The report in a real browser: Chromium without a window, where one is installed."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from test_report import PAYLOADS

import doit

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
WORD = "独一无二的词"


class Listener(BaseHTTPRequestHandler):
    """Counts what a page asks for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(404)
        self.end_headers()

    def log_message(self, *of: object) -> None:
        pass


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Counting", (Listener,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def payloads(server: str) -> list[str]:
    """At least 150 strings that a careless page would run or fetch."""
    plain = [text.encode("utf-8", "replace").decode() for text in PAYLOADS]
    fetching = [
        f"<img src={server}/a>",
        f"<iframe src={server}/b></iframe>",
        f"<style>@import '{server}/c'</style>",
        f"<script src={server}/d></script>",
        f"<link rel=stylesheet href={server}/e>",
    ]
    around = ["{}", "</script>{}", "<!-- {}", "</textarea></title>{}", "&quot;>{}"]
    return [frame.format(text) for frame in around for text in (*plain, *fetching)]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, listener: tuple[str, list[str]]) -> Path:
    folder = tmp_path_factory.mktemp("page")
    attacks = payloads(listener[0])
    assert len(set(attacks)) >= 150
    rows = [
        {"instruction": f"{n} {text}", "output": f"{text} 好的", "kind": f"k{n % 30}"} for n, text in enumerate(attacks)
    ]
    rows.append({"instruction": f"请解释{WORD}", "output": "这样就可以了", "kind": "math"})
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    names = {"math": "math", **{f"k{n}": "code" if n % 2 else "ethics" for n in range(30)}}
    card = {"name": "a", "shape": {"kind": "alpaca"}, "ability": {"field": "kind", "map": names}}
    source = {"dataset": card, "files": str(folder / "a.jsonl")}
    mix = {"ability": {name: {"all": True} for name in ("code", "ethics", "math")}}
    doit.build({"name": "attacked", "size": "all", "sources": [source], "mix": mix}, folder / "out")
    return folder / "out"


def opened(page: Path, find: str | None = None) -> tuple[str, str]:
    """The page's elements once its script has run, and what the console says."""
    address = page.resolve().as_uri() + ("" if find is None else f"#find={quote(find)}")
    command = [CHROMIUM, *FLAGS, "--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom", address]
    run = subprocess.run(command, capture_output=True, timeout=120, check=True)
    said = [line for line in run.stderr.decode("utf-8", "replace").splitlines() if "CONSOLE" in line]
    return run.stdout.decode("utf-8", "replace"), "\n".join(said)


def test_the_page_runs_without_errors_and_asks_for_nothing(out: Path, listener: tuple[str, list[str]]) -> None:
    dom, console = opened(out / "report.html")

    assert console == ""
    assert listener[1] == []
    assert len(re.findall(r'<article class="row">', dom)) == 10
    assert len(re.findall("<script", dom)) == 2, "the data and the page's own script"
    assert not re.findall(r"<(?:iframe|object|embed|base|form)\b", dom)


def test_texts_stay_texts(out: Path, listener: tuple[str, list[str]]) -> None:
    dom, console = opened(out / "report.html", "好的")

    rows = dom.split('<article class="row">')[1:]
    assert len(rows) == 10
    for row in rows:
        for text in re.findall(r'<div class="text"[^>]*>(.*?)</div>', row, re.DOTALL):
            assert "<" not in text, "markup inside a text"
    assert (console, listener[1]) == ("", [])


def test_the_search_finds_a_row(out: Path) -> None:
    dom, _ = opened(out / "report.html", WORD)

    (row,) = dom.split('<article class="row">')[1:]
    assert f"请解释{WORD}" in html.unescape(row)
    assert "1 of 1 found" in dom
    assert "0 of 0 found" in opened(out / "report.html", "没有这样的行")[0]


def test_cells_are_those_of_the_manifest(out: Path) -> None:
    dom, _ = opened(out / "report.html")
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))

    (heat,) = re.findall(r'<table class="heat">.*?</table>', dom.split('id="contents"')[0], re.DOTALL)
    lines = re.findall(r'<th scope="row">(\w+).*?</th>.*?<b>([\d,]+)</b>', heat, re.DOTALL)
    assert {name: int(number.replace(",", "")) for name, number in lines} == {
        cell["ability"]: cell["taken"] for cell in manifest["plan"]["cells"]
    }
    assert len(lines) == 3
