"""What `doit publish` answers: the objects that the Python function returns and that `--json` prints."""

from __future__ import annotations

from typing import Literal

from doit.hub.licences import Licensing
from doit.schemas.base import Frozen


class PushedFile(Frozen):
    """One file of the repository."""

    path: str
    """In the repository."""
    bytes: int
    sha256: str


class GateCheck(Frozen):
    """Something that is looked at before anything is sent."""

    name: Literal["files", "licence", "personal data", "paths"]
    ok: bool
    detail: str


class PublishAnswer(Frozen):
    """What `doit publish` answers."""

    repo: str
    kind: Literal["mixture", "recipe", "model"]
    private: bool
    """What was asked for; a repository that is there already keeps what it is."""
    revision: str
    """The branch."""
    tag: str
    """Names the content: `content-<digest>`, `recipe-<digest>` or `model-<digest>`."""
    digest: str
    files: tuple[PushedFile, ...]
    configs: dict[str, dict[str, int]]
    """Configuration -> split -> rows."""
    licensing: Licensing
    checks: tuple[GateCheck, ...]
    card: str
    """The README."""
    dry_run: bool
    committed: bool = False
    """Whether there is a new commit; false where the Hub had it all."""
    commit: str | None = None
    changed: tuple[str, ...] = ()
    """Paths that the commit adds or replaces."""
    deleted: tuple[str, ...] = ()
    """Paths that it takes away: of an earlier publication, and no longer part of this one."""
    url: str | None = None

    @property
    def ok(self) -> bool:
        """Whether all checks pass."""
        return all(check.ok for check in self.checks)
