"""A page for exploring big pools, served on the loopback device alone: cells, a search, mixtures side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import polars as pl

from doit.errors import DoitError, SpecError
from doit.inspecting.browsing import script, script_source, select, shown_row
from doit.inspecting.counts import conditions, files_of, inspect
from doit.inspecting.markup import Html, element, escaped
from doit.inspecting.samples import COLUMNS
from doit.mixtures.manifest import InspectAnswer

HOST = "127.0.0.1"
PAGE = 10
"""Rows of one answer."""
FILTERS = ("language", "ability", "source", "construction")


class Shelf:
    """A mixture or a pool that can be looked into.

    Args:
        path: as for `doit.inspecting.counts.inspect`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: InspectAnswer = inspect(path)
        self._rows = pl.concat([pl.scan_parquet(file, glob=False) for file in files_of(path)], how="diagonal_relaxed")

    def rows(self, search: str, where: Sequence[str], offset: int) -> dict[str, Any]:
        """One page of the rows that hold every word of a search, in their order, and how many there are.

        Raises:
            SpecError: a wrong condition.
        """
        kept = self._rows.filter(conditions(where), *(_holds(word) for word in search.lower().split()))
        found, page = pl.collect_all([kept.select(pl.len()), kept.slice(offset, PAGE).select(COLUMNS)])
        return {"found": int(found.item()), "rows": [shown_row(row) for row in page.iter_rows(named=True)]}


def _holds(word: str) -> pl.Expr:
    content = pl.element().struct.field("content").str.to_lowercase()
    inside = pl.col("messages").list.eval(content.str.contains(word, literal=True)).list.any()
    return inside | pl.col("id").str.starts_with(word)


def page_html(shelves: Sequence[Shelf]) -> str:
    """The page over some shelves, side by side; its rows are asked for by its script."""
    sides = [_side(number, shelf) for number, shelf in enumerate(shelves)]
    box = element("input", id="row-search", type="search", placeholder="search", aria_label="Search the rows")
    page = Template(Path(__file__).with_name("template.html").read_text("utf-8"))
    return page.substitute(
        title=escaped(" beside ".join(shelf.path.name for shelf in shelves)),
        header=element("header", element("h1", "Rows"), element("div", box, class_="filters")),
        navigation="",
        sections=element("div", *sides, class_="sides"),
        script=f"<script>{script('explorer.js')}</script>",
        script_source=script_source("explorer.js"),
        connect_source="'self'",
        footer=element("footer", "Only this computer can see this page."),
    )


def _side(number: int, shelf: Shelf) -> Html:
    filters = [select(column, shelf.counts.by[column]) for column in FILTERS]
    return element(
        "section",
        element("h2", str(shelf.path)),
        element("p", f"{shelf.counts.records:,} records", class_="note"),
        element("div", *filters, element("span", class_="row-count note"), class_="filters"),
        element("div", class_="row-list"),
        element("button", "more", type="button"),
        class_="side",
        data_pool=str(number),
    )


def answer(shelves: Sequence[Shelf], query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What `/rows` answers: a page of rows, or why there is none."""
    try:
        number, offset = (int(query.get(name, ["0"])[0]) for name in ("pool", "offset"))
        if not 0 <= number < len(shelves) or offset < 0:
            raise SpecError("D204", "there is no such pool or page.")
        return shelves[number].rows(query.get("search", [""])[0], query.get("where", []), offset)
    except (DoitError, ValueError) as error:
        return {"found": 0, "rows": [], "error": str(error)}


def serve(paths: Sequence[Path], *, port: int, told: Callable[[str], None]) -> None:
    """Serve the page until the process is interrupted.

    Args:
        paths: what to look into.
        port: of the loopback device; 0 = a free one.
        told: is given the address.

    Raises:
        SpecError: there is nothing to look into; D204, the port is taken.
    """
    shelves = [Shelf(path) for path in paths]
    try:
        server = ThreadingHTTPServer((HOST, port), handler(shelves))
    except (OSError, OverflowError) as error:
        raise SpecError(
            "D204", f"port {port} cannot be used: {error}.", where="--serve", hint="Give another."
        ) from None
    with server:
        told(f"http://{HOST}:{server.server_port}")
        server.serve_forever()


def handler(shelves: Sequence[Shelf]) -> type[BaseHTTPRequestHandler]:
    """What answers requests over some shelves."""
    page = page_html(shelves).encode()

    class Answering(BaseHTTPRequestHandler):
        """`/` and `/rows`, for a browser on this computer."""

        def do_GET(self) -> None:
            """Answer a request."""
            assert isinstance(self.server, ThreadingHTTPServer)
            port = self.server.server_port
            # A page elsewhere can point a name of its own at this address; it cannot send this name.
            if self.headers.get("Host") not in {f"{HOST}:{port}", f"localhost:{port}"}:
                self._send(403, "text/plain", b"Only this computer may ask.")
                return
            asked = urlsplit(self.path)
            if asked.path == "/":
                self._send(200, "text/html; charset=utf-8", page)
            elif asked.path == "/rows":
                query = parse_qs(asked.query, max_num_fields=50)
                self._send(200, "application/json", orjson.dumps(answer(shelves, query)))
            else:
                self._send(404, "text/plain", b"There is no such page.")

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *of: object) -> None:
            """Say nothing: requests are a person's own."""

    return Answering
