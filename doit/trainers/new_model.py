"""The configuration of a new model: what a spec writes under `model.config`, checked before a model is made of it.

The configuration classes of transformers take any key and keep it, so a key that is misspelt would silently leave its
usual value in place.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from doit.errors import SpecError, did_you_mean
from doit.trainers.spec import NewModel

_OLD_ROPE = frozenset({"rope_theta", "rope_scaling", "partial_rotary_factor"})
"""Keys of published configurations that classes with `rope_parameters` read into it."""


def new_config(model: NewModel) -> Any:
    """The configuration that a spec writes.

    Raises:
        SpecError: D203 transformers has no such architecture; D202 its configuration has no such key. What else
            transformers finds wrong with a value it raises itself.
    """
    library: Any = importlib.import_module("transformers")
    keys = dict(model.config)
    kind = keys.pop("model_type")
    known = library.models.auto.configuration_auto.CONFIG_MAPPING
    if kind not in known:
        hint = did_you_mean(kind, known) or "It takes the names of transformers, such as llama."
        raise SpecError("D203", f'no architecture "{kind}".', where="model.config.model_type", hint=hint)
    _check_keys(known[kind], keys, "model.config")
    return library.AutoConfig.for_model(kind, **keys)


def _check_keys(kind: Any, keys: Mapping[str, Any], where: str) -> None:
    """Refuse keys that a configuration class, or that of a part of it, does not read."""
    known = _read_keys(kind)
    unknown = [key for key in keys if key not in known]
    if unknown:
        more = f"; nor does it know {', '.join(unknown[1:])}" if unknown[1:] else ""
        what = f"{kind.__name__} has no such key{more}."
        raise SpecError("D202", what, where=f"{where}.{unknown[0]}", hint=did_you_mean(unknown[0], known))
    for name, part in kind.sub_configs.items():
        inside = keys.get(name)
        if isinstance(inside, dict) and hasattr(part, "sub_configs"):
            found = {key: value for key, value in inside.items() if key != "model_type"}
            _check_keys(part, found, f"{where}.{name}")


def _read_keys(kind: Any) -> set[str]:
    """What a configuration class and those above it take by name, under the names of either side of `attribute_map`."""
    takes = (one for above in kind.__mro__ if "__init__" in vars(above) for one in _named(above))
    known = {"torch_dtype", *takes, *kind.attribute_map, *kind.attribute_map.values(), *kind.sub_configs}
    return known | _OLD_ROPE if "rope_parameters" in known else known


def _named(kind: Any) -> list[str]:
    """Names of the parameters of a class, without `self`, `*args` and `**kwargs`."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return [one.name for one in parameters if one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}]
