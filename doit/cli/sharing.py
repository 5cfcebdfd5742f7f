"""Publishing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from doit import verbs
from doit.cli.app import Json, app, print_json


@app.command
def publish(
    folder: Path,
    repo: str,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Show everything, make no request.")] = False,
    public: Annotated[
        bool, Parameter(negative="--private", help="Whether a new repository is for everybody; private if not said.")
    ] = False,
    revision: Annotated[str, Parameter(help="Branch to write to.")] = "main",
    by: Annotated[Literal["ability"] | None, Parameter(help="Add one configuration an ability.")] = None,
    recipe_only: Annotated[bool, Parameter(negative="", help="Publish what rebuilds the mixture, no text.")] = False,
    accept_license: Annotated[str | None, Parameter(help="Why rows may be published all the same.")] = None,
    redact: Annotated[bool, Parameter(negative="", help="Mask secrets and personal data.")] = False,
    allow_personal: Annotated[str | None, Parameter(help="Why personal data may stay in.")] = None,
    mixture: Annotated[str | None, Parameter(help="Of a run: the dataset repository of its mixture.")] = None,
    base_license: Annotated[str | None, Parameter(help="Of a run: the licence of its base model.")] = None,
    json: Json = False,
) -> None:
    """Push a mixture, its recipe, an adapter or a model to the Hugging Face Hub.

    Parameters
    ----------
    folder:
        What `doit build` or a training made.
    repo:
        owner/name.
    """
    answer = verbs.publish(
        folder,
        repo,
        public=public,
        revision=revision,
        by=by,
        recipe_only=recipe_only,
        accept_license=accept_license,
        redact=redact,
        allow_personal=allow_personal,
        mixture=mixture,
        base_license=base_license,
        dry_run=dry_run,
    )
    if json:
        print_json(answer)
    else:
        from doit.hub.telling import publish_table
        from doit.inspecting.tables import show

        show(publish_table(answer), file=sys.stdout if dry_run else sys.stderr)
    if not answer.ok:
        raise SystemExit(3)
