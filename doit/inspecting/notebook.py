"""Answers that show themselves: a table in a notebook and with rich, where a plain answer would be a line of fields.

The verbs give these in place of the answers whose fields they have.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from doit.mixtures.manifest import BuildAnswer, InspectAnswer, PlanAnswer, VerifyAnswer

if TYPE_CHECKING:
    from rich.console import RenderableType

# The tables and rich are imported where one is shown: most answers are not.

WIDTH = 110
"""Columns of a table in a notebook."""
_PAGE = '<pre style="line-height:1.3;font-family:ui-monospace,Menlo,Consolas,monospace">{code}</pre>'

A = TypeVar("A", bound=BaseModel)


class _Shown:
    """What makes a table of an answer."""

    def __rich__(self) -> RenderableType:
        raise TypeError(f"{type(self).__name__} has no table")

    def _repr_html_(self) -> str:
        """The table as a notebook shows it; everything from data is escaped."""
        from rich.console import Console  # noqa: PLC0415

        console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, emoji=False, markup=False)
        console.print(self.__rich__())
        return console.export_html(inline_styles=True, code_format=_PAGE)


class Built(_Shown, BuildAnswer):
    """What `doit build` answers."""

    def __rich__(self) -> RenderableType:
        """The table that the command line prints."""
        from doit.inspecting.tables import build_table  # noqa: PLC0415

        return build_table(self)


class Planned(_Shown, PlanAnswer):
    """What `doit plan` answers."""

    def __rich__(self) -> RenderableType:
        """The table that the command line prints."""
        from doit.inspecting.tables import plan_table  # noqa: PLC0415

        return plan_table(self)


class Inspected(_Shown, InspectAnswer):
    """What `doit inspect` answers."""

    def __rich__(self) -> RenderableType:
        """The table that the command line prints."""
        from doit.inspecting.tables import inspect_table  # noqa: PLC0415

        return inspect_table(self)


class Verified(_Shown, VerifyAnswer):
    """What `doit verify` answers."""

    def __rich__(self) -> RenderableType:
        """The table that the command line prints."""
        from doit.inspecting.tables import verify_table  # noqa: PLC0415

        return verify_table(self)


def shown(answer: BaseModel, kind: type[A]) -> A:
    """An answer as one that shows itself; its fields are not checked again."""
    return kind.model_construct(_fields_set=answer.model_fields_set, **dict(answer))
