"""The part of a Hub's protocol that uploads use: see `tests.loopback_hub`, whose handler has these methods."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.loopback_hub import LoopbackHub, Repository

LARGE = (".parquet", ".safetensors", ".bin", ".model")
"""Suffixes that a new repository keeps as large files."""


class Uploads:
    """Requests that change something. Writing needs the hub's token, where it has one."""

    UPLOADS = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("POST", r"/api/(models|datasets|spaces)/([^/]+/[^/]+)/preupload/([^/]+)", "preupload"),
        ("POST", r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/upload/([0-9a-f]{64})", "upload"),
        ("POST", r"/verify/([0-9a-f]{64})", "verified"),
        ("POST", r"/api/(models|datasets|spaces)/([^/]+/[^/]+)/commit/([^/]+)", "commit"),
        ("POST", r"/api/(models|datasets|spaces)/([^/]+/[^/]+)/tag/([^/]+)", "tag"),
        ("POST", r"/api/(models|datasets|spaces)/([^/]+/[^/]+)/branch/([^/]+)", "branch"),
    )

    hub: LoopbackHub
    body: bytes

    def may_write(self) -> bool:
        if self.hub.token in (None, self.given()):
            return True
        self.refuse(401, "")
        return False

    def whoami(self) -> None:
        if self.may_write():
            self.json({"type": "user", "name": "desk", "orgs": [], "auth": {"type": "access_token"}})

    def create(self) -> None:
        if not self.may_write():
            return
        asked = json.loads(self.body)
        kind = f"{asked.get('type') or 'model'}s"
        name = f"{asked['organization'] or 'desk'}/{asked['name']}"
        told = {"url": f"{self.hub.url}/{kind}/{name}", "name": name, "id": name}
        if (kind, name) in self.hub.repositories:
            self.answer(409, json.dumps({"error": "You already created this repo", **told}).encode())
            return
        repository = self.hub.repository(name, kind)
        repository.private = asked.get("private") is True or asked.get("visibility") == "private"
        repository.token = self.hub.token if repository.private else None
        repository.commit({".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"})
        self.json(told)

    def validate(self) -> None:
        """As strict as we can be without the real one: YAML between two lines of dashes."""
        import yaml

        content = json.loads(self.body)["content"]
        try:
            front = yaml.safe_load(content.split("---\n")[1])
            assert isinstance(front, dict)
        except (yaml.YAMLError, AssertionError, IndexError):
            told = {"errors": [{"message": "metadata is not YAML"}], "warnings": []}
            self.answer(400, json.dumps(told).encode())
            return
        warnings = [] if "license" in front else [{"message": "no license"}]
        self.json({"errors": [], "warnings": warnings})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        asked = json.loads(self.body)["files"]

        def send(repository: Repository, sha: str) -> None:
            there = repository.commits[sha]
            files = []
            for file in asked:
                path = file["path"]
                large = path in repository.lfs or path.endswith(LARGE) or file["size"] > 10_000_000
                told = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
                if path in there:
                    told["oid"] = repository.etag(path, there[path])
                files.append(told)
            self.json({"files": files})

        if self.may_write():
            self.with_commit(kind, name, revision, send)

    def batch(self, kind: str | None, name: str) -> None:
        if not self.may_write() or self.admitted(kind or "models", name) is None:
            return
        objects = []
        for asked in json.loads(self.body)["objects"]:
            oid = asked["oid"]
            told: dict[str, Any] = {"oid": oid, "size": asked["size"]}
            if oid not in self.hub.blobs:
                told["actions"] = {
                    "upload": {"href": f"{self.hub.elsewhere}/upload/{oid}?signature=canary"},
                    "verify": {"href": f"{self.hub.verify_at}/verify/{oid}"},
                }
            objects.append(told)
        self.json({"transfer": "basic", "objects": objects, "hash_algo": "sha256"})

    def upload(self, oid: str) -> None:
        """A storage takes whole files only, under their own digest."""
        if hashlib.sha256(self.body).hexdigest() != oid:
            self.refuse(400, "")
            return
        self.hub.blobs[oid] = self.body
        self.answer(200, b"")

    def verified(self, oid: str) -> None:
        self.answer(200 if oid in self.hub.blobs else 404, b"{}")

    def commit(self, kind: str, name: str, revision: str) -> None:
        repository = self.admitted(kind, name) if self.may_write() else None
        if repository is None:
            return
        head = repository.branches.get(revision)
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        parent = header.get("parentCommit")
        if head is None:
            self.refuse(404, "RevisionNotFound")
            return
        if parent is not None and not head.startswith(parent):
            self.refuse(412, "")
            return
        tree, large = dict(repository.commits[head]), set(repository.lfs)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
                large.discard(value["path"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.blobs:
                    self.refuse(422, "")
                    return
                tree[value["path"]] = self.hub.blobs[value["oid"]]
                large.add(value["path"])
            elif line["key"] == "deletedFile":
                del tree[value["path"]]
        repository.lfs = large
        sha = repository.commit(tree, branch=revision)
        repository.messages[sha] = header["summary"]
        self.json({"success": True, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha})

    def tag(self, kind: str, name: str, revision: str) -> None:
        asked = json.loads(self.body)["tag"]

        def send(repository: Repository, sha: str) -> None:
            if asked in repository.tags:
                self.refuse(409, "")
                return
            repository.tags[asked] = sha
            self.answer(201, b"")

        if self.may_write():
            self.with_commit(kind, name, revision, send)

    def branch(self, kind: str, name: str, branch: str) -> None:
        def send(repository: Repository, sha: str) -> None:
            if branch in repository.branches:
                self.refuse(409, "")
                return
            repository.branches[branch] = sha
            self.answer(201, b"")

        if self.may_write():
            self.with_commit(kind, name, json.loads(self.body or b"{}").get("startingPoint") or "main", send)

    if TYPE_CHECKING:

        def given(self) -> str: ...
        def admitted(self, kind: str, name: str) -> Repository | None: ...
        def with_commit(self, kind: str, name: str, revision: str, send: Any) -> None: ...
        def json(self, value: Any, **headers: str) -> None: ...
        def refuse(self, status: int, code: str, **headers: str) -> None: ...
        def answer(self, status: int, body: bytes, **headers: str) -> None: ...
