"""Variants: one spec, many mixtures over one pool. Named changes are written out as whole specs.

variants:
  no-belle: {leave_out: {source: belle}}              # without one source
  without: {leave_out: {ability: "*"}}                # without-math, without-code, …: one for each named ability
  zh: {sweep: {mix.language.zh: [0.5, 0.7, 0.9]}}     # zh-0.5, zh-0.7, zh-0.9
  larger: {size: 20000, mix.ability.math: 0.4}        # any keys, by dotted path
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from doit import yamlio
from doit.errors import SpecError, did_you_mean
from doit.mixtures.spec import AXES, language_key, language_path


def expand(document: Mapping[str, Any], sources: Sequence[str]) -> dict[str, Any]:
    """The specs that a spec's `variants` stand for.

    Args:
        document: the spec as plain data.
        sources: the names of its sources, in its order.

    Returns:
        Name -> a spec without variants, in the order written.

    Raises:
        SpecError: a variant that changes what is not there, or two of one name.
    """
    base = {key: value for key, value in document.items() if key != "variants"}
    expanded: dict[str, Any] = {}
    for name, changes in (document.get("variants") or {}).items():
        for full, variant in _expand(name, changes or {}, base, sources):
            if full in expanded:
                raise SpecError("D207", f'two variants are called "{full}".', where=f"variants.{name}")
            expanded[full] = {**variant, "name": f"{base['name']}-{full}"}
    return expanded


def _expand(
    name: str, changes: Mapping[str, Any], base: Mapping[str, Any], sources: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    plain = {path: value for path, value in changes.items() if path not in ("leave_out", "sweep")}
    document = copy.deepcopy(dict(base))
    for path, value in plain.items():
        document = _set(document, path, value)
    if "leave_out" in changes:
        yield from _left_out(name, changes["leave_out"], document, sources)
    elif "sweep" in changes:
        (path, values) = _only(name, "sweep", changes["sweep"])
        for value in values if isinstance(values, list) else [values]:
            yield f"{name}-{value}", _set(document, path, value)
    else:
        yield name, document


def _set(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    place = language_path(document, path)
    changed: dict[str, Any] = yamlio.apply_override(document, f"{place}={orjson.dumps(value).decode()}")
    return changed


def _only(name: str, key: str, value: Any) -> tuple[str, Any]:
    if not isinstance(value, dict) or len(value) != 1:
        raise SpecError("D204", f"`{key}` takes one key and its value.", where=f"variants.{name}.{key}")
    return next(iter(value.items()))


def _left_out(
    name: str, what: Any, document: dict[str, Any], sources: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    axis, value = _only(name, "leave_out", what)
    if axis not in AXES:
        hint = did_you_mean(str(axis), AXES)
        raise SpecError("D203", f'no axis "{axis}".', where=f"variants.{name}.leave_out", hint=hint)
    named = list(sources) if axis == "source" else [v for v in document.get("mix", {}).get(axis, {}) if v != "*"]
    if value == "*":
        for one in named:
            yield f"{name}-{one}", _without(document, axis, one, sources)
        return
    if axis == "source" and value not in named:
        hint = did_you_mean(str(value), named)
        raise SpecError("D203", f'no source "{value}".', where=f"variants.{name}.leave_out.source", hint=hint)
    yield name, _without(document, axis, value, sources)


def _without(document: dict[str, Any], axis: str, value: str, sources: Sequence[str]) -> dict[str, Any]:
    """The spec without a source, or with nothing of a value."""
    changed = copy.deepcopy(document)
    targets = changed.get("mix", {}).get(axis)
    if axis == "source":
        at = list(sources).index(value)
        changed["sources"] = [*changed["sources"][:at], *changed["sources"][at + 1 :]]
        if targets:
            targets.pop(value, None)
        return changed
    key = language_key(targets or {}, value) if axis == "language" else value
    changed.setdefault("mix", {})[axis] = {**(targets or {"*": 1}), key: 0}
    return changed
