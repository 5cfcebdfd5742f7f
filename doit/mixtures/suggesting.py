"""Where data runs short: the nearest specs that can be built, as YAML to paste."""

from __future__ import annotations

from typing import Any

from doit import yamlio
from doit.mixtures.planning.plan import Plan
from doit.mixtures.spec import Amount, MixtureSpec


def suggest(spec: MixtureSpec, reached: Plan) -> str:
    """Changes to a spec that the data allow.

    Args:
        spec: the spec that is refused.
        reached: the plan nearest to it, as under `redistribute`.

    Returns:
        YAML with comments: a smaller size at which every target holds, if there is one; then the same size with the
        targets that the nearest plan reaches.
    """
    parts = []
    if reached.largest:
        parts.append(f"# the largest size at which every target is met\nsize: {reached.largest}\n")
    mix = {name: _targets(spec, name, reached) for name in spec.mix}
    if mix:
        nearest: dict[str, Any] = {"mix": mix}
        if reached.size != spec.size:
            nearest = {"size": reached.size, **nearest}
        either = "# or " if parts else "# "
        parts.append(f"{either}the targets that the nearest mixture of this size reaches\n{yamlio.dump(nearest)}")
    return "\n".join(parts)


def _targets(spec: MixtureSpec, axis: str, reached: Plan) -> dict[str, Any]:
    """Shares in proportion to what is reached; counts as far as they are met."""
    taken = {margin.value: margin.taken for margin in reached.margins if margin.axis == axis}
    targets: dict[str, Any] = {}
    for value, target in spec.mix[axis].items():  # type: ignore[index]
        if isinstance(target, Amount) and not target.all:
            targets[value] = {"records" if target.tokens is None else "tokens": taken.get(value, 0)}
        else:
            targets[value] = {"all": True} if isinstance(target, Amount) else taken.get(value, 0)
    return targets
