"""Turn what pydantic says about a document into one error that names the line, the key and the repair.

`doit.yamlio.explain` is what other modules call; the walk through a model's annotations is kept here.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic
from pydantic import BaseModel, RootModel

from doit.errors import DoitError, SpecError, did_you_mean

_LISTED = {"shape": ("shape", "shapes"), "curation": ("rule", "rules"), "method": ("method", "methods")}
"""Field that holds a choice -> what one choice is called, and the `doit list` that shows them all."""

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "dict": "a mapping of `key: value`",
    "model": "a mapping of `key: value`",
    "mapping": "a mapping of `key: value`",
    "none": "empty",
}
"""The first word of pydantic's error type -> what should stand there."""

_MISFITS = ("_type", "_parsing", "_from_float", "_required", "_size")
"""How pydantic's error types end that say a value is of another type."""

_COMPARED = {
    "greater_than": "greater than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "finite_number": "a finite number",
    "multiple_of": "a multiple of {multiple_of}",
}

_SIZED = {
    "string_too_short": ("min_length", "more", "character"),
    "string_too_long": ("max_length", "fewer", "character"),
    "too_short": ("min_length", "more", "entry"),
    "too_long": ("max_length", "fewer", "entry"),
}
"""Pydantic's error type -> where it says the limit, on which side of it a value may be, and what is counted."""

PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, `.`, `_` and `-` that begin with a letter or digit",
    r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$": "a language tag such as `zh`, `zh-Hant` or `en`",
    r"^https?://\S+$": "an address that begins with `http://` or `https://`",
}
"""A model's pattern for a text -> what such a text is."""


def explained(error: pydantic.ValidationError, model: Any, place_of: Callable[[Sequence[str | int]], str]) -> SpecError:
    """The error that `doit.yamlio.explain` describes.

    Args:
        error: what validating a document raised.
        model: the annotation that the document was checked against, or None.
        place_of: names a path of the document, with its file and line.
    """
    problem, path, owner, beside = _foremost(error, model)
    ours = problem.get("ctx", {}).get("error")
    if isinstance(ours, DoitError) and ours.where:
        named = place_of(())
        return _as_spec_error(ours, ours.where if ours.where.startswith(named) else f"{named}: {ours.where}")
    kind = problem["type"]
    if kind.startswith("union_tag"):
        path = (*path, problem["ctx"]["discriminator"].strip("'"))
    place = place_of(path)
    if isinstance(ours, DoitError):
        return _as_spec_error(ours, place)
    if kind == "extra_forbidden":
        known = _keys(owner)
        hint = did_you_mean(str(path[-1]), known) or (f"Known: {_few(known)}." if known else "")
        return SpecError("D202", "unknown key.", where=place, hint=hint)
    if kind == "union_tag_invalid":
        return _unknown_choice(problem, path, place)
    unknown = kind in {"literal_error", "enum"} and isinstance(problem["input"], str)
    if unknown and len(beside) == 1:
        expected = _choices(problem)
        hint = did_you_mean(problem["input"], expected)
        rest = "" if hint and len(expected) > 8 else f"One of {_few(expected)}."
        return SpecError("D203", f"no choice {_shown(problem['input'])}.", where=place, hint=f"{hint} {rest}".strip())
    return SpecError("D203" if unknown else "D204", _complaint(beside), where=place, hint=_wrapped(problem, beside))


def _as_spec_error(error: DoitError, where: str) -> SpecError:
    kind = type(error) if isinstance(error, SpecError) else SpecError
    return kind(error.code, error.what, where=where, hint=error.hint)


def _foremost(error: pydantic.ValidationError, model: Any) -> tuple[Any, tuple[str | int, ...], Any, list[Any]]:
    """The problem to report, its path in the document, the annotation that holds the path's last part, and all problems
    with the same value.

    Members of a union complain one by one: the complaint that got furthest came from the member that was meant. A
    misspelt key makes two problems, a missing one and an unknown one, and the unknown one says more.
    """
    problems = [(problem, *_located(model, problem["loc"])) for problem in error.errors(include_url=False)]
    chosen = problems[0]
    for other in problems[1:]:
        inside = other[1][: len(chosen[1])] == chosen[1]
        beside = other[1][:-1] == chosen[1][:-1]
        misspelt = beside and (chosen[0]["type"], other[0]["type"]) == ("missing", "extra_forbidden")
        if misspelt or (inside and len(other[1]) > len(chosen[1])):
            chosen = other
    same = [problem for problem, path, _ in problems if path == chosen[1]]
    fitting = [problem for problem in same if problem["type"] in {*_COMPARED, *_SIZED, "string_pattern_mismatch"}]
    # Where one member of a union takes values of this type, the others' complaints say nothing.
    if fitting and (chosen[0] in fitting or _wanted(chosen[0])):
        return fitting[0], *chosen[1:], fitting[:1]
    misfits = [problem for problem in same if _wanted(problem)]
    return *chosen, misfits if chosen[0] in misfits else [chosen[0]]


def _unknown_choice(problem: Any, path: tuple[str | int, ...], place: str) -> SpecError:
    given = problem["input"].get(path[-1]) if isinstance(problem["input"], dict) else ""
    if not isinstance(given, str):
        return SpecError("D204", f"must be text, not {_shown(given)}.", where=place)
    tags = re.findall(r"'([^']*)'", problem["ctx"]["expected_tags"])
    tag = str(problem["ctx"]["tag"])
    field = next((part for part in reversed(path[:-1]) if isinstance(part, str)), "")
    noun, listed = _LISTED.get(field, (str(path[-1]), ""))
    hint = did_you_mean(tag, tags) or f"One of {_few(tags)}."
    see = f" See `doit list {listed}`." if listed else ""
    return SpecError("D203", f"no {noun} {_shown(tag)}.", where=place, hint=hint + see)


def _complaint(problems: Sequence[Any]) -> str:
    """What is wrong with one value: several problems where no member of a union takes it."""
    problem = problems[0]
    kind = problem["type"]
    if kind in {"missing", "union_tag_not_found"}:
        return "missing."
    if kind in {"value_error", "assertion_error"}:
        return re.sub(r"^(Value|Assertion) error, ", "", problem["msg"]).rstrip(".").replace("\n", " ") + "."
    return _size(problem) if kind in _SIZED else f"{_must(problems)}, not {_shown(problem['input'])}."


def _must(problems: Sequence[Any]) -> str:
    """What a value must be."""
    problem = problems[0]
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in _COMPARED:
        limits = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in context.items()}
        return f"must be {_COMPARED[kind].format(**limits)}"
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return f"must be {PATTERNS.get(pattern, f'text that matches {pattern}')}"
    if wanted := list(dict.fromkeys(filter(None, map(_wanted, problems)))):
        return f"must be {_either(wanted)}"
    return str(problem["msg"]).replace("Input should be", "must be").replace("\n", " ")


def _wanted(problem: Any) -> str:
    """What a problem of type says should stand there; empty for a problem of another kind."""
    kind = problem["type"]
    if kind == "literal_error":
        return _either([f'"{choice}"' for choice in _choices(problem)])
    return _WANTED.get(kind.split("_")[0], "") if kind.endswith(_MISFITS) else ""


def _choices(problem: Any) -> list[str]:
    return re.findall(r"'((?:[^'\\]|\\.)*)'", problem["ctx"]["expected"])


def _either(words: Sequence[str]) -> str:
    return " or ".join((", ".join(words[:-1]), words[-1]) if len(words) > 1 else words)


def _size(problem: Any) -> str:
    """How long a text, a list or a mapping must be, and how long it is."""
    limit, side, unit = _SIZED[problem["type"]]
    most, given = problem["ctx"][limit], problem["input"]
    if most == 1 and side == "more":
        return "must not be empty."
    units = unit if most == 1 else {"character": "characters", "entry": "entries"}[unit]
    has = f"not {_shown(given)}" if isinstance(given, str) else f"and this has {len(given):,}"
    return f"must have {most:,} {units} or {side}, {has}."


def _wrapped(problem: Any, beside: Sequence[Any]) -> str:
    """How a bare text is written where a list or a choice is wanted."""
    given = problem["input"]
    if not isinstance(given, str) or not re.fullmatch(r"[\w./*-]{1,40}", given):
        return ""
    if problem["type"] == "model_attributes_type":
        return f"Write `{{kind: {given}}}`."
    lists = {"list_type", "tuple_type", "set_type", "frozen_set_type"}
    return f"Write `[{given}]`." if {one["type"] for one in beside} <= lists else ""


def _shown(value: Any) -> str:
    """A value in a few characters, as a person would write it in YAML; control and direction characters escaped."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return "a list"
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in str(value)[:60])
    text += "…" if len(str(value)) > 60 else ""
    return f'"{text}"' if isinstance(value, str) else text


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return f"{shown}, …" if len(names) > 12 else shown


def _keys(annotation: Any) -> list[str]:
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return []
    return [field.alias or name for name, field in annotation.model_fields.items()]


def _located(annotation: Any, loc: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], Any]:
    """Take the names of union members out of pydantic's `loc`, by walking the annotations beside it."""
    path: list[str | int] = []
    owner: Any = None
    for part in loc:
        members = _members(annotation)
        if len(members) > 1:
            annotation = _member_named(members, str(part))
            continue
        if part == "[key]":
            continue
        owner = members[0] if members else None
        annotation = _below(owner, part)
        path.append(part)
    return tuple(path), owner


def _members(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, None left out; one entry where there is no choice."""
    while True:
        origin = get_origin(annotation)
        if hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        elif isinstance(annotation, type) and issubclass(annotation, RootModel):
            annotation = annotation.model_fields["root"].annotation
        elif origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, types.UnionType}:
            members = [member for member in get_args(annotation) if member is not type(None)]
            if len(members) > 1:
                return members
            annotation = members[0]
        else:
            return [] if annotation is None else [annotation]


def _member_named(members: list[Any], label: str) -> Any:
    """The member of a union that pydantic calls `label`: by its tag, or by its kind of type."""
    for member in members:
        inner = _members(member)
        if len(inner) > 1:
            if "union[" in label:
                return member
            continue
        if label in _tags(member, inner[0]):
            return member
        name = (
            (get_origin(inner[0]) or inner[0]).__name__ if hasattr(get_origin(inner[0]) or inner[0], "__name__") else ""
        )
        if name and re.search(rf"\b{re.escape(name)}\b", label):
            return member
    return None


def _tags(member: Any, model: Any) -> list[str]:
    tags = [str(extra.tag) for extra in getattr(member, "__metadata__", ()) if isinstance(extra, pydantic.Tag)]
    if isinstance(model, type) and issubclass(model, BaseModel):
        for field in model.model_fields.values():
            if get_origin(field.annotation) is Literal:
                tags += [str(value) for value in get_args(field.annotation)]
    return tags


def _below(annotation: Any, part: str | int) -> Any:
    """The annotation of one field, item or value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if part in {name, field.alias}:
                return field.annotation
        return None
    arguments = get_args(annotation)
    if not arguments:
        return None
    origin = get_origin(annotation)
    if origin is tuple and Ellipsis not in arguments:
        return arguments[part] if isinstance(part, int) and part < len(arguments) else None
    return arguments[1] if isinstance(origin, type) and issubclass(origin, Mapping) else arguments[0]
