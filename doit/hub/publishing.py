"""`doit publish`: look, stop or push, and say what was done."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from doit.errors import SpecError
from doit.hub import gates
from doit.hub.answers import PublishAnswer
from doit.hub.connection import Connection, check_repository, guarded
from doit.hub.package import Choices, Package
from doit.hub.packing_mixtures import pack_mixture
from doit.hub.packing_runs import pack_run
from doit.hub.pushing import Pushed, Remote, push
from doit.hub.run_folder import is_run

_BRANCH = re.compile(r"(?!.*(?:\.\.|//|\.lock$|/$))[A-Za-z0-9_][\w./-]*", re.ASCII)


def publish(
    folder: Path,
    repo: str,
    *,
    choices: Choices,
    public: bool = False,
    branch: str = "main",
    dry_run: bool = False,
    waits: tuple[float, ...] | None = None,
) -> PublishAnswer:
    """Push a mixture, its recipe, or the adapter or model of a run.

    Args:
        folder: what a build or a training made.
        repo: `owner/name`.
        choices: of the person who publishes.
        public: whether a new repository is for everybody.
        branch: the branch to write to; it is made where it is missing.
        dry_run: look at everything and send nothing.
        waits: seconds before each further try of a request.

    Raises:
        SpecError: D204 the call is wrong; D206 there is nothing to publish; D211 and D703 the Hub.
        DataError: D701 rows may not be passed on; D702 there are secrets or personal data in rows.
        StorageError: D101 the repository holds what is not ours; D102 a file is not what was built.
    """
    check_repository(repo)
    if not _BRANCH.fullmatch(branch):
        raise SpecError("D204", "it is not the name of a branch.", where="--revision")
    with tempfile.TemporaryDirectory(prefix="doit-publish-") as staging:
        package = _pack(folder, repo, Path(staging), choices)
        pushed = None
        if not dry_run:
            gates.refuse(package.checks, str(folder), kind=package.kind)
            connection = Connection(repo, waits)
            with guarded(connection):
                connection.logged_in()
                remote = Remote(connection, repo, package.repo_type, branch)
                pushed = push(package, remote, private=not public)
            url = f"{connection.endpoint}/{'datasets/' if package.repo_type == 'dataset' else ''}{repo}"
        return _answer(package, repo, pushed, None if pushed is None else url, public=public, branch=branch)


def _pack(folder: Path, repo: str, staging: Path, choices: Choices) -> Package:
    for flag, reason in (("--accept-license", choices.accept_license), ("--allow-personal", choices.allow_personal)):
        if reason is not None and not reason.strip():
            raise SpecError("D204", "the reason is empty.", where=flag, hint="Say why; it is published.")
    if not folder.is_dir():
        raise SpecError("D206", "no such folder.", where=str(folder), hint="Name what `doit build` made.")
    if not is_run(folder):
        for flag, given in (("--mixture", choices.mixture), ("--base-license", choices.base_license)):
            if given is not None:
                raise SpecError("D204", "it is for runs, and this is a mixture.", where=flag)
        if choices.recipe_only:
            _no_rows(choices)
        return pack_mixture(folder, repo, staging, choices)
    for_mixtures = {
        "--recipe-only": choices.recipe_only,
        "--by": choices.by_ability,
        "--redact": choices.redact,
        "--allow-personal": choices.allow_personal is not None,
    }
    wrong = [flag for flag, given in for_mixtures.items() if given]
    if wrong:
        raise SpecError("D204", "it is for mixtures, and this is a run.", where=wrong[0])
    if choices.mixture is not None:
        check_repository(choices.mixture, "--mixture")
    if choices.base_license is not None and not choices.base_license.strip():
        hint = "Give an SPDX identifier, such as Apache-2.0."
        raise SpecError("D204", "it is empty.", where="--base-license", hint=hint)
    return pack_run(folder, repo, staging, choices)


def _no_rows(choices: Choices) -> None:
    """Refuse what is said of rows where none are published."""
    for_rows = {
        "--by": choices.by_ability,
        "--redact": choices.redact,
        "--allow-personal": choices.allow_personal is not None,
        "--accept-license": choices.accept_license is not None,
    }
    wrong = [flag for flag, given in for_rows.items() if given]
    if wrong:
        raise SpecError("D204", "it is for rows, and `--recipe-only` publishes none.", where=wrong[0])


def _answer(
    package: Package, repo: str, pushed: Pushed | None, url: str | None, *, public: bool, branch: str
) -> PublishAnswer:
    return PublishAnswer(
        repo=repo,
        kind=package.kind,
        private=not public,
        revision=branch,
        tag=package.tag,
        digest=package.digest,
        files=package.listed(),
        configs=package.configs,
        licensing=package.licensing,
        checks=package.checks,
        card=package.card,
        dry_run=pushed is None,
        committed=pushed is not None and pushed.committed,
        commit=pushed.commit if pushed else None,
        changed=pushed.changed if pushed else (),
        deleted=pushed.deleted if pushed else (),
        url=url,
    )
