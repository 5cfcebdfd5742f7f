"""The verbs that prove and explain a mixture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from doit.errors import SpecError

if TYPE_CHECKING:
    from doit.mixtures.manifest import VerifyAnswer
    from doit.mixtures.proofs.answers import DiffAnswer, WhyAnswer


def verify(out: str | Path) -> VerifyAnswer:
    """Check every digest and law of a mixture.

    Raises:
        SpecError: there is no mixture there.
    """
    from doit.inspecting.notebook import Verified, shown
    from doit.mixtures.proofs.verifying import verify as check

    return shown(check(Path(out)), Verified)


def why(out: str | Path, target: str) -> WhyAnswer:
    """Why a record or row was drawn, left, dropped or rejected, with the numbers behind it.

    Args:
        out: a mixture's folder; of a series or of variants, every one answers.
        target: an id or its first digits, at least 6; or `FILE:ROW` or `SOURCE:FILE:ROW`, the row counted from 0.

    Raises:
        SpecError: there is no mixture, or nothing of that name in it.
        StorageError: a file of the mixture is damaged.
    """
    from doit.mixtures.proofs.why import why as explain

    return explain(Path(out), target)


def diff(a: str | Path, b: str | Path, *, ids: int = 0) -> DiffAnswer:
    """What differs between two mixtures: by cell, id and column, and in their specs, inputs and versions.

    Args:
        a: a mixture's folder.
        b: another one.
        ids: how many ids to list that only one of them has.

    Raises:
        SpecError: there is no mixture there, or `ids` is negative.
        StorageError: a file of a mixture is damaged.
    """
    from doit.mixtures.proofs.diffing import diff as compare

    if ids < 0:
        raise SpecError("D204", f"`ids` is {ids}.", hint="Give 0 or more.")
    return compare(Path(a), Path(b), ids=ids)
