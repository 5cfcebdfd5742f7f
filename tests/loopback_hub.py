"""A Hub on the loopback device: the part of the protocol that downloads and uploads use, in the standard library.

    with LoopbackHub() as hub:
        first = hub.commit("owner/name", {"data/a.jsonl": b"..."}, lfs={"data/a.jsonl"})
        ... huggingface_hub with endpoint=hub.url ...

A repository is a list of commits, each a whole tree, and names (branches, tags) that point to them. Files in `lfs` are
answered as the Hub answers large files: the tree names their SHA-256, and `resolve` redirects to another host. Every
request is kept in `hub.requests`; `hub.faults` makes the next ones fail. A new request of the protocol is one more
method of `_Handler` and one more line in `ROUTES`; those that write are in `tests.loopback_uploads`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.loopback_uploads import Uploads


def blob_id(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class Repository:
    """A repository of any kind: its commits in order, and the names that point to them."""

    id: str
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lfs: set[str] = field(default_factory=set)
    """Paths that are kept as large files."""
    gated: bool = False
    token: str | None = None
    """A token without which the repository is not there."""
    private: bool = False
    messages: dict[str, str] = field(default_factory=dict)
    """Commit -> the first line of its message, of those that were uploaded."""
    told: dict[str, bytes] = field(default_factory=dict)
    """Path -> the content by which trees and headers name it, where that is not the content which is sent."""

    def commit(self, files: Mapping[str, bytes], *, branch: str = "main") -> str:
        parent = self.branches.get(branch, "")
        told = json.dumps([parent, len(self.commits), sorted((path, blob_id(data)) for path, data in files.items())])
        sha = hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        return sha

    def find(self, revision: str) -> str | None:
        """The commit that a revision names."""
        if revision in self.commits:
            return revision
        return self.branches.get(revision) or self.tags.get(revision)

    def etag(self, path: str, content: bytes) -> str:
        named = self.told.get(path, content)
        return hashlib.sha256(named).hexdigest() if path in self.lfs else blob_id(named)


@dataclass
class Fault:
    """What goes wrong with the next requests whose path has `match`."""

    match: str
    times: int = 1
    """How many requests fail; -1 is all of them."""
    method: str | None = None
    status: int | None = None
    """Answer with this status."""
    cut: int | None = None
    """Close the connection after so many bytes of the body."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Answer with this body, status 200."""
    skip: int = 0
    """How many matching requests pass before the first that fails."""
    drop: bool = False
    """Close the connection without doing anything."""
    late: bool = False
    """Do what is asked, and only then answer with `status`, as a gateway does that lost the reply."""
    twice: bool = False
    """Do what is asked twice, as if the request had been sent again on the way; the second answer is sent."""
    echo: bool = False
    """Send the answer twice."""
    delay: float = 0.0
    """Wait so many seconds before answering."""
    before: Callable[[], object] | None = None
    """Done before the request is looked at: somebody else writes."""


@dataclass
class Request:
    """One request as it came in."""

    method: str
    path: str
    host: str
    headers: dict[str, str]
    body: bytes = b""


class LoopbackHub:
    """The server; a context manager. `url` is what HF_ENDPOINT would be."""

    def __init__(self, *, page: int = 1000) -> None:
        self.page = page
        """Entries of a tree in one answer."""
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.blobs: dict[str, bytes] = {}
        """SHA-256 -> large file."""
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self  # type: ignore[attr-defined]
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.elsewhere = f"http://localhost:{self.port}"
        """Where large files lie: for a client this is another host."""
        self.verify_at = self.url
        """Where an upload is verified."""
        self.token: str | None = None
        """The token that may write; None = anybody may."""

    def __enter__(self) -> LoopbackHub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse every connection from now on."""
        self._server.shutdown()
        self._server.server_close()

    def repository(self, name: str, kind: str = "datasets") -> Repository:
        return self.repositories.setdefault((kind, name), Repository(name))

    def commit(self, name: str, files: Mapping[str, bytes], *, lfs: Iterable[str] = (), branch: str = "main") -> str:
        """Make a commit of a whole tree of a dataset repository; returns its 40 digits."""
        repository = self.repository(name)
        repository.lfs |= set(lfs)
        self.blobs.update({hashlib.sha256(data).hexdigest(): data for data in files.values()})
        return repository.commit(files, branch=branch)

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault of this request, counted down."""
        for fault in self.faults:
            if fault.match in path and fault.method in (None, method) and fault.times:
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None


class _Handler(Uploads, BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits for a delayed acknowledgement
    ROUTES: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("GET", r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/revision/([^/]+))?", "info"),
        ("GET", r"/api/(models|datasets|spaces)/([^/]+/[^/]+)/refs", "refs"),
        ("GET", r"/api/(models|datasets|spaces)/([^/]+/[^/]+)/tree/([^/]+)(?:/(.+))?", "tree"),
        ("GET HEAD", r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve"),
        ("GET HEAD", r"/large/([0-9a-f]{64})", "large"),
        *Uploads.UPLOADS,
    )
    muted = False
    """Whether answers are held back."""

    @property
    def hub(self) -> LoopbackHub:
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        self.body = body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.requests.append(Request(self.command, url.path, headers.get("host", ""), headers, body))
        self.faulty = fault = self.hub.fault(self.command, unquote(url.path))
        if fault is not None:
            if fault.before is not None:
                fault.before()
            if fault.delay:
                threading.Event().wait(fault.delay)
            if fault.drop:
                self.close_connection = True
                return
            if fault.late or fault.twice:
                self.muted = True
                self.route(url.path)
                self.muted = False
            if fault.status or fault.body is not None:
                self.answer(fault.status or 200, fault.body or b"{}", **fault.headers)
                return
        self.route(url.path)

    def route(self, path: str) -> None:
        for methods, pattern, name in self.ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in methods.split():
                getattr(self, name)(*(part if part is None else unquote(part) for part in found.groups()))
                return
        self.refuse(404, "")

    def given(self) -> str:
        """The token that came with the request."""
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def info(self, kind: str, name: str, revision: str | None) -> None:
        self.with_commit(kind, name, revision or "main", self.send_info)

    def send_info(self, repository: Repository, sha: str) -> None:
        files = [{"rfilename": path} for path in sorted(repository.commits[sha])]
        self.json(
            {
                "id": repository.id,
                "sha": sha,
                "private": repository.private,
                "gated": False,
                "siblings": files,
                "tags": [],
            }
        )

    def refs(self, kind: str, name: str) -> None:
        repository = self.admitted(kind, name)
        if repository is not None:
            listed = {
                key: [{"name": ref, "ref": f"refs/{folder}/{ref}", "targetCommit": sha} for ref, sha in names.items()]
                for key, folder, names in (
                    ("branches", "heads", repository.branches),
                    ("tags", "tags", repository.tags),
                )
            }
            self.json({**listed, "converts": []})

    def tree(self, kind: str, name: str, revision: str, folder: str | None) -> None:
        recursive = self.query.get("recursive", "").lower() == "true"

        def send(repository: Repository, sha: str) -> None:
            entries = self.entries(repository, sha, f"{folder}/" if folder else "", recursive)
            if folder and not entries:
                self.refuse(404, "EntryNotFound")
                return
            start = int(self.query.get("cursor", 0))
            rest = {}
            if start + self.hub.page < len(entries):
                path = urlsplit(self.path).path
                asked = f"recursive={recursive}&cursor={start + self.hub.page}"
                rest = {"Link": f'<{self.hub.url}{path}?{asked}>; rel="next"'}
            self.json(entries[start : start + self.hub.page], **rest)

        self.with_commit(kind, name, revision, send)

    @staticmethod
    def entries(repository: Repository, sha: str, prefix: str, recursive: bool) -> list[dict[str, Any]]:
        """What a tree lists: its files, and the folders that they lie in."""
        found: dict[str, dict[str, Any]] = {}
        for path, content in sorted(repository.commits[sha].items()):
            if not path.startswith(prefix):
                continue
            parts = path.removeprefix(prefix).split("/")
            for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
                folder = prefix + "/".join(parts[:depth])
                found[folder] = {"type": "directory", "path": folder, "oid": blob_id(folder.encode()), "size": 0}
            if recursive or len(parts) == 1:
                named = repository.told.get(path, content)
                entry = {"type": "file", "path": path, "oid": blob_id(named), "size": len(named)}
                if path in repository.lfs:
                    entry["lfs"] = {"oid": repository.etag(path, content), "size": len(named), "pointerSize": 130}
                found[path] = entry
        return list(found.values())

    def resolve(self, kind: str | None, name: str, revision: str, path: str) -> None:
        def send(repository: Repository, sha: str) -> None:
            content = repository.commits[sha].get(path)
            if content is None:
                self.refuse(404, "EntryNotFound", **{"X-Repo-Commit": sha})
                return
            etag = repository.etag(path, content)
            told = {"X-Repo-Commit": sha, "ETag": f'"{etag}"'}
            if path in repository.lfs:
                told |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
                sent = hashlib.sha256(content).hexdigest()
                self.answer(302, b"", Location=f"{self.hub.elsewhere}/large/{sent}?signature=canary", **told)
            else:
                self.send_file(content, **told)

        self.with_commit(kind or "models", name, revision, send)

    def large(self, sha256: str) -> None:
        self.send_file(self.hub.blobs[sha256], ETag=f'"{sha256}"')

    def with_commit(self, kind: str, name: str, revision: str, send: Callable[[Repository, str], None]) -> None:
        """Answer about a commit, or say what is not there."""
        repository = self.admitted(kind, name)
        if repository is None:
            return
        sha = repository.find(revision)
        if sha is None:
            self.refuse(404, "RevisionNotFound")
        else:
            send(repository, sha)

    def admitted(self, kind: str, name: str) -> Repository | None:
        """The repository, if it is there and the caller may see it; otherwise it has been refused."""
        repository = self.hub.repositories.get((kind, name))
        given = self.given()
        if repository is None or (repository.token and not given):
            self.refuse(404 if given else 401, "RepoNotFound")
        elif repository.gated and "/resolve/" in self.path:
            self.refuse(403 if given else 401, "GatedRepo")
        elif repository.token and given != repository.token:
            self.refuse(403, "")
        else:
            return repository
        return None

    def send_file(self, content: bytes, **headers: str) -> None:
        """A whole file, or the end of it that `Range` asks for."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked and int(asked[1]) < len(content):
            start = int(asked[1])
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[start:], **{"Content-Range": span, **headers})
        else:
            self.answer(200, content, **headers)

    def json(self, value: Any, **headers: str) -> None:
        self.answer(200, json.dumps(value).encode(), **{"Content-Type": "application/json", **headers})

    def refuse(self, status: int, code: str, **headers: str) -> None:
        told = {"X-Error-Code": code} if code else {}
        self.answer(status, json.dumps({"error": quote(code or "refused")}).encode(), **told, **headers)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        if self.muted:
            return
        self._send(status, body, **headers)
        if self.faulty is not None and self.faulty.echo:
            self._send(status, body, **headers)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), "Accept-Ranges": "bytes", **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        cut = self.faulty.cut if self.faulty else None
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: tests read `hub.requests`."""
