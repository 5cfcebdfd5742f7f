"""Publishing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from doit.hub.answers import PublishAnswer


def publish(
    folder: str | Path,
    repo: str,
    *,
    public: bool = False,
    revision: str = "main",
    by: Literal["ability"] | None = None,
    recipe_only: bool = False,
    accept_license: str | None = None,
    redact: bool = False,
    allow_personal: str | None = None,
    mixture: str | None = None,
    base_license: str | None = None,
    dry_run: bool = False,
) -> PublishAnswer:
    """Push a mixture, its recipe, or the adapter or model of a run to the Hugging Face Hub: one commit, then a tag.

    Args:
        folder: what `build` or a training made.
        repo: `owner/name`; it is made where it is missing.
        public: whether a new repository is for everybody; a private one is for its owner.
        revision: the branch to write to.
        by: `ability` adds one configuration an ability.
        recipe_only: publish what rebuilds the mixture, and no text.
        accept_license: the reason for which rows are published whose licence does not let them be; it is published.
        redact: mask secrets and personal data.
        allow_personal: the reason for which personal data stay in; it is published.
        mixture: of a run, the dataset repository that holds its mixture.
        base_license: of a run, the licence of its base model.
        dry_run: look at everything, answer what would be sent, and send nothing.

    Returns:
        Files, checks, card, and the commit. With `dry_run` a check may have failed: see `ok`.

    Raises:
        SpecError: the call is wrong, or the Hub cannot be reached, refuses or has changed meanwhile.
        DataError: rows may not be passed on, or hold secrets or personal data.
        StorageError: a file is not what was built, or the repository holds what is not ours.
    """
    from doit.hub.package import Choices
    from doit.hub.publishing import publish as push

    choices = Choices(
        recipe_only=recipe_only,
        by_ability=by == "ability",
        accept_license=accept_license,
        redact=redact,
        allow_personal=allow_personal,
        mixture=mixture,
        base_license=base_license,
    )
    return push(Path(folder), repo, choices=choices, public=public, branch=revision, dry_run=dry_run)
