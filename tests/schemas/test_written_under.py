"""What is written under a field is found when it is asked for, and is in the JSON Schema."""

from __future__ import annotations

from pydantic import Field

from doit.schemas.base import Frozen, written_under


class Base(Frozen):
    """A base."""

    kept: int = 1
    """说明一."""
    again: int = 1
    """Of the base."""


class Below(Base):
    """Below it."""

    again: int = 2
    named: str = Field(default="", alias="as")
    """Two
    lines."""
    bare: int = 0
    own: Base | None = None
    """Another model."""


def test_a_field_has_the_text_under_it_in_the_class_that_declares_it_last() -> None:
    assert written_under(Base) == {"kept": "说明一.", "again": "Of the base."}
    assert written_under(Below) == {"kept": "说明一.", "named": "Two\nlines.", "own": "Another model."}


def test_the_json_schema_describes_fields_by_their_alias_and_nested_models_too() -> None:
    made = Below.model_json_schema()
    said = {name: field.get("description") for name, field in made["properties"].items()}
    assert said == {"kept": "说明一.", "again": None, "as": "Two\nlines.", "bare": None, "own": "Another model."}
    assert made["$defs"]["Base"]["properties"]["again"]["description"] == "Of the base."
    assert made["description"] == "Below it."
