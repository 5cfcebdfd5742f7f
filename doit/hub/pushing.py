"""The transfer: one commit on the branch that we saw, then a tag. The remote is the old version or the new one.

A commit names its parent, so that it cannot land on anything but what was looked at. When an answer is lost, the branch
is read again: if it holds our files, the commit is there, and is not made twice.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import Any

import orjson

from doit.errors import DataError, DoitError, SpecError, StorageError
from doit.hub.connection import Connection, Passing, Stale
from doit.hub.package import Outgoing, Package
from doit.mixtures.proofs.published import RECEIPT
from doit.reading.hub_repository import CHANGED, COMMIT, HubFile, digest_of

MOVED = "D703"
"""A repository that somebody else changed while it was written to."""

_THEIRS = {".gitattributes", ".gitignore", "README.md", "LICENSE", "LICENSE.md", "LICENSE.txt"}
"""Files that a new repository may have; the README is replaced, the others stay."""


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    commit: str
    committed: bool
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    tagged: bool = False


@dataclass(frozen=True)
class _Changes:
    add: tuple[str, ...]
    delete: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.add or self.delete)


class Remote:
    """One repository, as it is now.

    Args:
        connection: the Hub.
        repo: `owner/name`.
        kind: `dataset` or `model`.
        branch: the branch that is written to.
    """

    def __init__(self, connection: Connection, repo: str, kind: str, branch: str) -> None:
        self.connection, self.repo, self.kind, self.branch = connection, repo, kind, branch
        self._named: dict[str, Any] = {"repo_id": repo, "repo_type": kind}

    def open(self, *, private: bool) -> str:
        """The commit of the branch; the repository and the branch are made where they are missing.

        Raises:
            SpecError: D204 it is public, and private was asked for.
        """
        connection, api = self.connection, self.connection.api
        missing = (connection.errors.RepositoryNotFoundError,)
        try:
            info = connection.ask("its state", lambda: api.repo_info(**self._named, timeout=30.0), also=missing)
        except missing:
            connection.ask("the new repository", lambda: api.create_repo(**self._named, private=private, exist_ok=True))
        else:
            if private and info.private is False:
                hint = "Publish with `--public`, or make it private in its settings."
                raise SpecError("D204", "the repository is public.", where=self.repo, hint=hint)
        return self.head(make=True)

    def head(self, *, make: bool = False) -> str:
        """The commit of the branch."""
        connection, api = self.connection, self.connection.api
        missing = (connection.errors.RevisionNotFoundError,)

        def ask() -> Any:
            return api.repo_info(**self._named, revision=self.branch, timeout=30.0)

        try:
            info = connection.ask("the branch", ask, also=missing if make else ())
        except missing:
            connection.ask(
                "the new branch", lambda: api.create_branch(**self._named, branch=self.branch, exist_ok=True)
            )
            info = connection.ask("the branch", ask)
        commit = str(info.sha)
        if not COMMIT.fullmatch(commit):
            raise connection.error(f"{connection.host} names no commit for `{self.branch}`.", "Look at HF_ENDPOINT.")
        return commit

    def listing(self, commit: str) -> dict[str, HubFile]:
        """Path -> file, of a commit."""
        from huggingface_hub.hf_api import RepoFile

        def ask() -> dict[str, HubFile]:
            entries = self.connection.api.list_repo_tree(**self._named, recursive=True, revision=commit)
            return {
                one.path: HubFile(one.path, one.size, one.blob_id, one.lfs.sha256 if one.lfs else None)
                for one in entries
                if isinstance(one, RepoFile)
            }

        return self.connection.ask("the list of files", ask)

    def receipt(self, commit: str) -> set[str] | None:
        """The paths that an earlier publication of ours listed; None where there is none."""
        with tempfile.TemporaryDirectory(prefix="doit-publish-") as folder:
            path = self.connection.ask(
                f"`{RECEIPT}`",
                lambda: self.connection.api.hf_hub_download(
                    **self._named, filename=RECEIPT, revision=commit, cache_dir=folder
                ),
            )
            try:
                with open(path, "rb") as file:  # noqa: PTH123
                    document = orjson.loads(file.read())
            except (OSError, ValueError):
                return None
        files = document.get("files") if isinstance(document, dict) and "doit" in document else None
        return {*files, RECEIPT} if isinstance(files, dict) else None

    def commit(self, package: Package, changes: _Changes, parent: str) -> str:
        """Make the one commit.

        Raises:
            Stale: the branch is no longer at `parent`.
            Passing: the answer was lost, or none came; the commit may be there.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        local = {one.path: one.local for one in package.files}
        wanted = set(changes.add)
        operations: list[Any] = [
            CommitOperationAdd(path_in_repo=path, path_or_fileobj=str(local[path])) for path in sorted(wanted)
        ]
        operations += [CommitOperationDelete(path_in_repo=path, is_folder=False) for path in changes.delete]
        info = self.connection.once(
            "the commit",
            lambda: self.connection.api.create_commit(
                **self._named,
                operations=operations,
                commit_message=f"{package.kind} {package.name}".strip() + f", {package.digest[:12]}",
                revision=self.branch,
                parent_commit=parent,
            ),
        )
        return str(info.oid)

    def tag(self, name: str, commit: str) -> bool:
        """Add the tag where there is none of its name; whether it was added."""
        api = self.connection.api
        refs = self.connection.ask("the tags", lambda: api.list_repo_refs(**self._named))
        if any(ref.name == name for ref in refs.tags):
            return False
        self.connection.ask("the tag", lambda: api.create_tag(**self._named, tag=name, revision=commit, exist_ok=True))
        return True


def push(package: Package, remote: Remote, *, private: bool) -> Pushed:
    """Bring a package to its repository.

    Returns:
        The commit that holds it, and whether that is a new one.

    Raises:
        SpecError: D211 the Hub does not answer, refuses or breaks off; D703 somebody else wrote meanwhile.
        StorageError: D101 the repository holds what is not ours.
        DataError: D321 the Hub lists other bytes than were sent.
    """
    started = remote.open(private=private)
    pushed = _committed(package, remote, started)
    tagged = remote.tag(package.tag, pushed.commit)
    return Pushed(pushed.commit, pushed.committed, pushed.changed, pushed.deleted, tagged)


def _committed(package: Package, remote: Remote, started: str) -> Pushed:
    """The commit, made in as few tries as it takes; the last look is for one whose answer was lost."""
    waits = remote.connection.waits
    first: _Changes | None = None
    error: DoitError | None = None
    for attempt in range(len(waits) + 2):
        head = remote.head() if attempt else started
        changes = _changes(package, remote, head)
        if not changes:
            made = first or changes
            return Pushed(head, head != started, made.add, made.delete)
        if head != started:
            raise _moved(remote)
        if error is not None and attempt > len(waits):
            raise error
        first = changes
        try:
            commit = remote.commit(package, changes, head)
        except Stale:
            error = _moved(remote)
        except Passing as passing:
            error = passing.error
            if attempt < len(waits):
                remote.connection.wait(waits[attempt], passing)
        else:
            _verify(package, remote, commit)
            return Pushed(commit, True, changes.add, changes.delete)
    raise _moved(remote)


def _moved(remote: Remote) -> SpecError:
    what = f"somebody else wrote to `{remote.branch}` in the meantime."
    return SpecError(MOVED, what, where=remote.repo, hint="Look at what is there, and run the same command again.")


def _changes(package: Package, remote: Remote, commit: str) -> _Changes:
    """What a commit on top of another would have to do."""
    there = remote.listing(commit)
    ours = {one.path for one in package.files}
    foreign = set(there) - ours - _THEIRS
    delete: set[str] = set()
    if foreign or RECEIPT not in there:
        known = remote.receipt(commit) if RECEIPT in there else None
        if known is None and (foreign or (set(there) - _THEIRS)):
            named = min(foreign or set(there) - _THEIRS)
            what = f"the repository holds `{named}`, which no publication of ours has put there."
            raise StorageError("D101", what, where=remote.repo, hint="Choose another repository, or empty this one.")
        delete = foreign & (known or set())
    add = [one.path for one in package.files if not _same(one, there.get(one.path))]
    return _Changes(tuple(add), tuple(sorted(delete)))


def _same(local: Outgoing, remote: HubFile | None) -> bool:
    """Whether the Hub has a file already, by its digest."""
    if remote is None or remote.size != local.bytes:
        return False
    if remote.sha256 is not None:
        return remote.sha256 == local.sha256
    return digest_of(local.local, remote) == remote.oid


def _verify(package: Package, remote: Remote, commit: str) -> None:
    """Hold what the Hub lists of the new commit against what was sent."""
    there = remote.listing(commit)
    wrong = [one.path for one in package.files if not _same(one, there.get(one.path))]
    if wrong:
        what = f"`{wrong[0]}` at {commit} is not what was sent."
        raise DataError(CHANGED, what, where=remote.repo, hint="Run the same command again.")
