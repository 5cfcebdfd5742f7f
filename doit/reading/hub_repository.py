"""One dataset repository on the Hugging Face Hub: which commit a name means, which files it has, and the files.

huggingface_hub does the transfers and keeps the files in its own cache. What it leaves open is added here: which files
a commit has is written down on first sight, so that a build without a network knows whether its files are all there;
every file is checked against that list whenever it is used; and whatever goes wrong is said in our words, which never
hold a token, a signed address or an answer of the server.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from doit import storage
from doit.errors import DataError, DoitError, MissingExtra, SpecError, StorageError, did_you_mean

UNREACHABLE = "D211"
"""A Hub that does not answer, refuses, or breaks off."""

CHANGED = "D321"
"""A file whose bytes are not those that the Hub lists."""

COMMIT = re.compile(r"[0-9a-f]{40}")

ASK_SECONDS = 10.0
"""How long a question about a repository may take."""

GLANCE_SECONDS = 3.0
"""How long we wait for an answer that a build can do without."""

TRIES = 3
"""How often a download that breaks off is begun; huggingface_hub itself goes on within each, in its newer versions."""

_REPOSITORY = re.compile(r"(?!.*(?:--|\.\.))(?!.*\.git$)[A-Za-z0-9_][\w.-]*(?:/[A-Za-z0-9_][\w.-]*)?", re.ASCII)


@dataclass(frozen=True)
class HubFile:
    """One file of a commit, as the Hub lists it."""

    path: str
    """Within the repository, with `/`."""
    size: int
    """Bytes."""
    oid: str
    """Git's name of the content: SHA-1 of `blob <size>`, a zero byte and the bytes. Of a large file, its pointer's."""
    sha256: str | None
    """Of the bytes; only large files have it."""


def cache_home() -> Path:
    """Where this library keeps what it can make again: `DOIT_CACHE`, or `doit` in the user's cache folder."""
    given = os.environ.get("DOIT_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "doit"


class Repository:
    """One dataset repository: what the Hub says of it, and its files."""

    def __init__(self, repo_id: str, card: str) -> None:
        self.id, self.card = repo_id, card
        self.where = f"{card}: hub {repo_id}"
        if not _REPOSITORY.fullmatch(repo_id) or len(repo_id) > 96:
            raise SpecError("D204", f'"{repo_id}" is not a repository.', where=card, hint="Write `hub: owner/name`.")
        try:
            import huggingface_hub as hub
            from huggingface_hub import constants, errors
            from huggingface_hub.hf_api import RepoFile
        except ImportError:
            hint = f"`pip install 'doit-mix[hub]'`, or {self._own_files()}."
            raise MissingExtra("D208", "needs huggingface_hub.", where=self.where, hint=hint) from None
        # read now, not at import: a program may set it after it has imported huggingface_hub
        self.endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        told = os.environ.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES
        self.offline = told or constants.HF_HUB_OFFLINE
        address = urlsplit(self.endpoint)
        if not self.offline and (address.scheme not in {"http", "https"} or not address.hostname):
            hint = f"Write https:// and a host, or unset it, or {self._own_files()}."
            raise self.error(UNREACHABLE, "HF_ENDPOINT is not the address of a Hub.", hint)
        self._hub, self._errors, self._api = hub, errors, hub.HfApi(endpoint=self.endpoint)
        self._file_type = RepoFile
        # the base of all errors of the HTTP library that this version of huggingface_hub uses
        self._transport: Any = errors.HfHubHTTPError.__mro__[1]
        self._folder = cache_home() / "hub" / repo_id.replace("/", "--")

    def error(self, code: str, what: str, hint: str = "") -> SpecError:
        """An error about this repository."""
        return SpecError(code, what, where=self.where, hint=hint)

    def inside(self, path: str) -> None:
        """Refuse a path or pattern that could leave the repository's folder."""
        try:
            storage.safe_relative(path, self._folder)
            if path.startswith("/"):
                raise self.error("D209", "an absolute path.")
        except SpecError:
            shown = path if path.isprintable() else ascii(path)
            raise self.error("D209", f'"{shown}" leads out of the repository.') from None

    def commit_of(self, revision: str, seconds: float = ASK_SECONDS) -> str:
        """The commit that a revision means now."""
        with self._plainly(f"`{revision}`"):
            try:
                info = self._api.dataset_info(self.id, revision=revision, timeout=seconds)
            except self._errors.RevisionNotFoundError:
                raise self._no_revision(revision) from None
            commit = str(info.sha)
            if not COMMIT.fullmatch(commit) or (COMMIT.fullmatch(revision) and commit != revision):
                raise self.error(UNREACHABLE, f"{self._host()} names no commit for `{revision}`.", self._way_out())
            return commit

    def glance(self) -> str | None:
        """The commit of the default branch; None if that cannot be told at once."""
        if not self.offline:
            with contextlib.suppress(SpecError, StorageError):
                return self.commit_of("main", GLANCE_SECONDS)
        return None

    def seen(self) -> dict[str, str]:
        """Revision -> the commit that it was when this machine last asked."""
        try:
            read = orjson.loads((self._folder / "revisions.json").read_bytes())
            return {str(name): str(sha) for name, sha in read.items() if COMMIT.fullmatch(str(sha))}
        except (OSError, ValueError, AttributeError):
            return {}

    def remember(self, seen: Mapping[str, str]) -> None:
        """Write down what revisions are now."""
        if dict(seen) != self.seen():
            storage.write_json(self._folder / "revisions.json", dict(sorted(seen.items())))

    def listing(self, commit: str) -> tuple[HubFile, ...]:
        """Every file of a commit; asked once, then kept."""
        kept = self._folder / f"{commit}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return tuple(HubFile(**entry) for entry in orjson.loads(kept.read_bytes())["files"])
        self.commit_of(commit)  # answers at once where the listing would wait and try again
        with self._plainly(f"the list of files at {commit}"):
            entries = self._api.list_repo_tree(self.id, recursive=True, revision=commit, repo_type="dataset")
            files = tuple(
                HubFile(entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
                for entry in entries
                if isinstance(entry, self._file_type)
            )
        storage.write_json(kept, {"repository": self.id, "commit": commit, "files": [asdict(file) for file in files]})
        return files

    def cached(self, commit: str, file: HubFile) -> Path | None:
        """Where huggingface_hub keeps a file, if it has it."""
        found = self._hub.try_to_load_from_cache(self.id, file.path, revision=commit, repo_type="dataset")
        return Path(found) if isinstance(found, str) else None

    def file(self, commit: str, file: HubFile, bar: type) -> Path:
        """A file of a commit on this machine, its bytes checked."""
        path = self.cached(commit, file) or self._download(commit, file, bar)
        if digest_of(path, file) == (file.sha256 or file.oid):
            return path
        if not self.offline:
            path.unlink(missing_ok=True)  # a link or copy in the snapshot folder would outlive the forced download
            path = self._download(commit, file, bar, force=True)
        found, listed = digest_of(path, file), file.sha256 or file.oid
        if found == listed:
            return path
        what = f"`{file.path}` at {commit} has the digest {found}, but the Hub lists {listed}."
        hint = (
            "The file was fetched twice."
            if not self.offline
            else "Build once without HF_HUB_OFFLINE to fetch it again."
        )
        raise DataError(CHANGED, what, where=self.where, hint=hint)

    def _download(self, commit: str, file: HubFile, bar: type, *, force: bool = False) -> Path:
        def once() -> Path:
            found = self._hub.hf_hub_download(
                self.id,
                file.path,
                revision=commit,
                repo_type="dataset",
                endpoint=self.endpoint,
                force_download=force,
                local_files_only=self.offline,
                tqdm_class=bar,
            )
            return Path(found)

        with self._plainly(f"`{file.path}`", asks=False):  # it knows itself what to do without a network
            for _ in range(TRIES - 1):
                try:
                    return once()
                except self._transport as error:
                    if isinstance(error, self._errors.HfHubHTTPError):
                        raise
                time.sleep(1)
            return once()

    @contextlib.contextmanager
    def _plainly(self, subject: str, *, asks: bool = True) -> Iterator[None]:
        """Say in our words what huggingface_hub raises; the server's words and addresses stay out."""
        errors = self._errors
        try:
            if self.offline and asks:
                raise errors.OfflineModeIsEnabled
            yield
        except DoitError:
            raise
        except (
            self._transport,
            errors.EntryNotFoundError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
        ) as error:
            raise self._said(error, subject) from None

    def _said(self, error: Exception, subject: str) -> DoitError:
        errors = self._errors
        wrapped = isinstance(error, errors.LocalEntryNotFoundError) or type(error) is ValueError
        if wrapped and isinstance(error.__cause__, Exception):
            return self._said(error.__cause__, subject)
        network = isinstance(error, errors.HfHubHTTPError | ConnectionError | TimeoutError)
        if isinstance(error, OSError) and error.errno and not network:
            return StorageError("D104", f"{error.strerror}.", where=str(error.filename or self.where))
        return self._explained(error, subject)

    def _explained(self, error: Exception, subject: str) -> DoitError:
        errors, host, own = self._errors, self._host(), self._own_files()
        status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
        cases: tuple[tuple[type | tuple[type, ...], str, str, str], ...] = (
            (
                (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError),
                UNREACHABLE,
                f"{subject} is not in the cache, and HF_HUB_OFFLINE is set.",
                f"Unset it for one build, or {own}.",
            ),
            (
                errors.GatedRepoError,
                UNREACHABLE,
                "its owner wants you to accept terms first.",
                f"Accept them on its page and {self._log_in()}.",
            ),
            (
                errors.RepositoryNotFoundError,
                "D206",
                f"{host} has no such dataset, or does not show it to you.",
                f"Look at the name; for a private one {self._log_in()}.",
            ),
            (errors.EntryNotFoundError, "D206", f"{subject} is listed but not there.", self._way_out()),
            (
                errors.HfHubHTTPError,
                UNREACHABLE,
                f"{host} answers {subject} with status {status}.",
                f"Perhaps {self._log_in()}." if status in {401, 403} else self._way_out(),
            ),
            (
                (errors.FileMetadataError, ValueError, KeyError, TypeError),
                UNREACHABLE,
                f"{host} does not answer as a Hub does.",
                f"Look at HF_ENDPOINT and at proxies, or {own}.",
            ),
        )
        for kinds, code, what, hint in cases:
            if isinstance(error, kinds):
                return self.error(code, what, hint)
        what = f"{host} cannot be reached, or broke off, for {subject} ({type(error).__name__})."
        return self.error(UNREACHABLE, what, self._way_out())

    def _no_revision(self, revision: str) -> SpecError:
        """D206 with what there is instead."""
        names: dict[str, str] = {}
        with contextlib.suppress(DoitError), self._plainly("the list of branches and tags"):
            refs = self._api.list_repo_refs(self.id, repo_type="dataset")
            names = {ref.name: ref.target_commit for ref in (*refs.branches, *refs.tags)}
        kind = "commit" if COMMIT.fullmatch(revision) else "branch, tag or commit"
        near = "" if kind == "commit" else did_you_mean(revision, names)
        known = ", ".join(f"`{name}` ({sha})" for name, sha in list(names.items())[:5])
        return self.error("D206", f'no {kind} "{revision}".', f"{near} {f'There is {known}.' if known else ''}".strip())

    def _host(self) -> str:
        """The Hub's name for messages: no user, no password, no path."""
        parts = urlsplit(self.endpoint)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def _own_files(self) -> str:
        return f"write `files:` beside `dataset: {self.card}` to read your own copy"

    def _way_out(self) -> str:
        return f"Try again later (what has come is kept), or {self._own_files()}."

    def _log_in(self) -> str:
        return f"log in with `hf auth login` or set HF_TOKEN, or {self._own_files()}"


def digest_of(path: Path, file: HubFile) -> str:
    """The digest by which the Hub lists a file, of the bytes that are here: SHA-256, or git's SHA-1 of a blob."""
    with path.open("rb") as handle:
        if file.sha256 is not None:
            return hashlib.file_digest(handle, "sha256").hexdigest()
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        while piece := handle.read(1 << 20):
            digest.update(piece)
        return digest.hexdigest()
