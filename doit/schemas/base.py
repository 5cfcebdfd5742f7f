"""What every YAML model has in common."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler

Several = Annotated[tuple[str, ...], Field(min_length=1)]
"""Columns or paths, where a field takes one or several: an empty list would read nothing."""


class Frozen(BaseModel):
    """A closed, immutable model: an unknown key is an error, and what a field means is written under it.

    A model is made ready when it is first used, and what is written under its fields is read when it is asked for:
    every command imports all models, and most use few.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, defer_build=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The JSON Schema, with what is written under the fields as their descriptions."""
        made = handler(core_schema)
        properties = handler.resolve_ref_schema(made).get("properties", {})
        for name, said in written_under(cls).items():
            schema = properties.get(cls.model_fields[name].alias or name)
            if schema is not None:
                schema.setdefault("description", said)
        return made


@cache
def written_under(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the text that stands under it in the source of its class, or of the base class that it comes from."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or base in (BaseModel, Frozen):
            continue
        body = _body(base)
        for at, statement in enumerate(body):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            after = body[at + 1] if at + 1 < len(body) else None
            said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
            found.pop(statement.target.id, None)
            if isinstance(said, str) and statement.target.id in model.model_fields:
                found[statement.target.id] = inspect.cleandoc(said)
    return found


def _body(model: type[BaseModel]) -> list[ast.stmt]:
    """The statements of a class."""
    module = inspect.getmodule(model)
    tree = ast.parse(inspect.getsource(module)) if module else ast.Module([], [])
    named = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == model.__name__)
    return next((node.body for node in named), [])
