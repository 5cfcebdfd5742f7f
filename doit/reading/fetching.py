"""Files of a Hub source on this machine: a revision fixed to a commit, globs matched, downloads side by side."""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doit.errors import SpecError, did_you_mean
from doit.progress import Progress
from doit.reading.hub_repository import COMMIT, UNREACHABLE, HubFile, Repository
from doit.schemas.card import Source

MOVABLE = "D212"
"""A revision that can move, or has moved."""

WORKERS = 8
"""Files fetched or checked at a time."""

_DATA = re.compile(r"\.(?:json|jsonl|csv|tsv|parquet)(?:\.(?:gz|bz2|xz|zst))?$", re.IGNORECASE)
_ABOUT = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
"""Files that tools leave beside data to describe it."""
_PUBLISHED = {"publication.json", "manifest.json"}
"""What a mixture that `doit publish` pushed has at its root: of such a repository only the rows are data, once each."""
_ROWS = re.compile(r"(?:^|/)data/(?:train|validation|test)-[^/]+\.parquet$")


@dataclass(frozen=True)
class Fetched:
    """The files of one source, on this machine."""

    commit: str
    """40 hexadecimal digits."""
    files: tuple[tuple[str, Path], ...]
    """(path within the repository, path to open), sorted by the first."""
    warnings: tuple[str, ...]
    """What the manifest should say: the same for every build from this state of the Hub."""
    notes: tuple[str, ...]
    """What the person who builds should know, and what depends on this machine's past."""


def fetch(source: Source, *, name: str) -> Fetched:
    """Bring the files of a Hub source to this machine, or find them in the cache.

    Args:
        source: with `hub`; `revision` is a commit, a branch, a tag or absent (the default branch); `files` are globs
            within the repository, read as local ones are; absent, they are all files with a suffix of data.
        name: the card's, for messages.

    Raises:
        SpecError: D206 the repository, revision or file is not there; D209 a path leaves the repository; the Hub does
            not answer, refuses or breaks off (`UNREACHABLE`).
        MissingExtra: D208 huggingface_hub is not installed.
        DataError: a file's bytes are not what the Hub lists (`CHANGED`), even when fetched again.
        StorageError: D104 the disk refuses.
    """
    repository = Repository(source.hub or "", name)
    patterns = (source.files,) if isinstance(source.files, str) else source.files
    for pattern in patterns or ():
        repository.inside(pattern)
    with _quiet():
        commit, warnings, notes = _commit(repository, source.revision)
        files = _chosen(repository, patterns, repository.listing(commit))
        paths = _bring(repository, commit, files)
    placed = tuple((file.path, path) for file, path in zip(files, paths, strict=True))
    return Fetched(commit, placed, warnings, notes)


def _commit(repository: Repository, revision: str | None) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The commit that a revision means, with warnings and notes."""
    named = revision or "main"
    seen = repository.seen()
    if COMMIT.fullmatch(named):
        head = repository.glance()
        moved = f"{MOVABLE} {repository.where}: `main` is now commit {head}; the pinned {named} is used."
        return named, (), (moved,) if head not in (None, named) else ()
    notes: tuple[str, ...] = ()
    try:
        commit = repository.commit_of(named)
    except SpecError as error:
        if error.code != UNREACHABLE or named not in seen:
            raise
        commit = seen[named]
        notes = (f"{error} The commit that `{named}` was when last asked is used: {commit}.",)
    else:
        if seen.get(named, commit) != commit:
            notes = (f"{MOVABLE} {repository.where}: `{named}` has moved from {seen[named]} to {commit}.",)
        repository.remember({**seen, named: commit})
    pin = f"`revision: {commit}` in the card's source keeps to these files."
    return commit, (f"{MOVABLE} {repository.where}: `{named}` can move; it is commit {commit}. {pin}",), notes


def _chosen(repository: Repository, patterns: Sequence[str] | None, listing: Sequence[HubFile]) -> list[HubFile]:
    """The files that the patterns name, sorted by path; a pattern that names none is an error."""
    if patterns is None:
        data = _ROWS if {file.path for file in listing} >= _PUBLISHED else _DATA
        chosen = [file for file in listing if data.search(file.path) and Path(file.path).name not in _ABOUT]
        if not chosen:
            raise repository.error("D206", "the repository holds no data files that we read.", _some(listing))
    else:
        chosen = []
        for pattern in patterns:
            found = [file for file in listing if matches(file.path, pattern)]
            if not found:
                hint = did_you_mean(pattern, [file.path for file in listing])
                raise repository.error("D206", f'no file matches "{pattern}".', f"{hint} {_some(listing)}".strip())
            chosen += found
    for file in chosen:
        repository.inside(file.path)
    return sorted(dict.fromkeys(chosen), key=lambda file: file.path)


def _some(listing: Sequence[HubFile]) -> str:
    names = [file.path for file in listing if not file.path.startswith(".")]
    return f"It has {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}."


def matches(path: str, pattern: str) -> bool:
    """Whether a glob names a path, by the rules of Python's `glob`.

    `*`, `?` and `[…]` stay within a part, `**` is any number of parts, and hidden parts must be named.
    """
    return _parts_match(path.split("/"), pattern.removeprefix("./").split("/"))


def _parts_match(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    # the places in the pattern that the parts read so far can have led to
    reached = _skip({0}, patterns)
    for part in parts:
        hidden = part.startswith(".")
        following = set()
        for place in reached:
            if place == len(patterns):
                continue
            wanted = patterns[place]
            if wanted == "**" and not hidden:
                following.add(place)
            elif wanted != "**" and fnmatch.fnmatchcase(part, wanted) and (not hidden or wanted.startswith(".")):
                following.add(place + 1)
        reached = _skip(following, patterns)
    return len(patterns) in reached


def _skip(places: set[int], patterns: Sequence[str]) -> set[int]:
    """The places, and those behind any `**` that stands there, which may be no part at all."""
    found = set(places)
    for place, pattern in enumerate(patterns):
        if place in found and pattern == "**":
            found.add(place + 1)
    return found


def _bring(repository: Repository, commit: str, files: Sequence[HubFile]) -> list[Path]:
    """Every file on this machine, in order and checked; several at a time."""
    missing = sum(file.size for file in files if repository.cached(commit, file) is None)
    stop = threading.Event()
    with (
        Progress(f"fetching {repository.id}", total=missing, unit="bytes") as progress,
        ThreadPoolExecutor(min(WORKERS, len(files))) as pool,
    ):
        bar = _byte_counter(progress, stop)
        try:
            return list(pool.map(lambda file: repository.file(commit, file, bar), files))
        except BaseException:
            stop.set()  # what is under way ends with its next piece
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _byte_counter(progress: Progress, stop: threading.Event) -> type:
    """A progress bar for huggingface_hub that draws nothing and counts for ours."""
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415

    lock = threading.Lock()

    class ByteCounter(tqdm):  # type: ignore[misc, unused-ignore]
        """Counts the bytes of one file."""

        def __init__(self, *_: Any, **options: Any) -> None:
            super().__init__(total=options.get("total"), disable=True)

        def update(self, n: float | None = 1) -> None:
            if stop.is_set():
                raise InterruptedError
            with lock:
                progress.advance(int(n or 0))

    return ByteCounter


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep out the libraries' log lines about requests: they name signed addresses and an endpoint's password."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
