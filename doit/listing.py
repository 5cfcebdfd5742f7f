"""`doit list` and `doit show`: what is shipped, and what a name means."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from doit import catalogue, yamlio
from doit.curation.rules import RULES
from doit.errors import SpecError, did_you_mean
from doit.schemas.abilities import ABILITIES, OTHER, OTHER_NAME
from doit.schemas.base import written_under
from doit.schemas.crosswalk import crosswalk
from doit.schemas.shapes import SHAPES
from doit.trainers.spec import METHODS


def rows(kind: str) -> list[dict[str, Any]]:
    """The rows of `doit list KIND`, by name."""
    return _KINDS[kind]()


def one(name: str) -> dict[str, Any]:
    """What `doit show NAME` prints: the thing itself, or each by its kind where several kinds use the name."""
    found = {kind: document for kind, look in _SHOWN.items() if (document := look(name)) is not None}
    if not found:
        known = [row["name"] for kind in _KINDS for row in rows(kind)]
        hint = f"{did_you_mean(name, known)} See `doit list`.".strip()
        raise SpecError("D203", f'nothing is called "{name}".', hint=hint)
    return next(iter(found.values())) if len(found) == 1 else found


def _shipped(folder: catalogue.Kind) -> Callable[[str], dict[str, Any] | None]:
    def look(name: str) -> dict[str, Any] | None:
        return dict(yamlio.load(catalogue.find(folder, name))) if name in catalogue.names(folder) else None

    return look


def _modelled(models: Mapping[str, type[Any]]) -> Callable[[str], dict[str, Any] | None]:
    return lambda name: _fields(models[name]) if name in models else None


def _ability(name: str) -> dict[str, Any] | None:
    if name not in ABILITIES:
        return None
    known = ABILITIES[name]
    named = {f"{system}: {label}" for system, of in crosswalk().systems.items() for label in of.native(name)}
    told = {**known._asdict(), "belongs": list(known.belongs), "not": list(known.not_), "labels": sorted(named)}
    return {"name": name, **{key: value for key, value in told.items() if key != "not_"}}


def _datasets() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "languages": " ".join(card.get("languages", [])),
            "construction": card.get("construction", "unknown"),
            "shape": card["shape"]["kind"],
            "records": card.get("records"),
            "license": card.get("license", "unknown"),
        }
        for name, card in _documents("schemas")
    ]


def _mixtures() -> list[dict[str, Any]]:
    return [{"name": name, "about": spec.get("about", "")} for name, spec in _documents("mixtures")]


def _trainers() -> list[dict[str, Any]]:
    return [
        {"name": name, "method": spec["method"]["kind"], "model": _base(spec["model"])}
        for name, spec in _documents("trainers")
    ]


def _base(model: str | dict[str, Any]) -> str:
    """A model in a word: its name, or the architecture of a new one."""
    return model if isinstance(model, str) else f"new {model['config']['model_type']}"


def _abilities() -> list[dict[str, Any]]:
    known = {**ABILITIES, OTHER: OTHER_NAME}
    return [
        {"name": key, "en": of.en, "zh": of.zh, "about": of.about, "about_zh": of.about_zh} for key, of in known.items()
    ]


def _crosswalks() -> list[dict[str, Any]]:
    return [
        {"name": name, "labels": len(system.labels), "about": system.about}
        for name, system in crosswalk().systems.items()
    ]


def _crosswalk(name: str) -> dict[str, Any] | None:
    table = crosswalk()
    if name not in table.systems:
        return None
    return {"name": name, "version": table.version, **table.systems[name].model_dump(mode="json")}


def _documents(folder: catalogue.Kind) -> list[tuple[str, dict[str, Any]]]:
    return [(name, yamlio.load(catalogue.find(folder, name))) for name in catalogue.names(folder)]


def _about(models: dict[str, type[Any]]) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [{"name": kind, "about": _first_sentence(model)} for kind, model in sorted(models.items())]


def _first_sentence(model: type[Any]) -> str:
    paragraph = inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0]
    sentence, stop, _ = " ".join(paragraph.split()).partition(". ")
    return sentence + stop.rstrip()


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    said = written_under(model)
    described = {
        name: {**_default(field), "about": said.get(name, "")}
        for name, field in model.model_fields.items()
        if name != "kind"
    }
    about = inspect.cleandoc(model.__doc__ or "")
    about += "\n" if "\n" in about else ""
    return {"kind": model.model_fields["kind"].default, "about": about, "fields": described}


def _default(field: FieldInfo) -> dict[str, Any]:
    if field.is_required():
        return {"required": True}
    return {"default": _plain(field.get_default(call_default_factory=True))}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)


_KINDS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "datasets": _datasets,
    "mixtures": _mixtures,
    "trainers": _trainers,
    "shapes": _about(dict(SHAPES)),
    "rules": _about(dict(RULES)),
    "methods": _about(dict(METHODS)),
    "abilities": _abilities,
    "crosswalks": _crosswalks,
}

_SHOWN: dict[str, Callable[[str], dict[str, Any] | None]] = {
    "dataset": _shipped("schemas"),
    "mixture": _shipped("mixtures"),
    "trainer": _shipped("trainers"),
    "shape": _modelled(SHAPES),
    "rule": _modelled(RULES),
    "method": _modelled(METHODS),
    "ability": _ability,
    "crosswalk": _crosswalk,
}
