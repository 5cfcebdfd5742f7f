"""From a name, a file or plain data to a trainer spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from doit import catalogue, yamlio
from doit.errors import SpecError
from doit.trainers.spec import TrainerSpec


def load_trainer(spec: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> tuple[TrainerSpec, Path]:
    """A trainer spec, and the folder that its relative paths start from.

    Args:
        spec: path of a file, whose own folder paths start from; name of a shipped one, or plain data, whose paths start
            from the working folder.
        overrides: `a.b=value` assignments, applied last.

    Raises:
        SpecError: there is no such spec, or it does not obey its model.
    """
    text, beside = None, Path()
    if isinstance(spec, Mapping):
        document, where = dict(spec), "spec"
    else:
        path = Path(spec)
        if path.is_dir():
            raise SpecError("D206", "this is a folder, not a spec.", where=str(path), hint="Name a YAML file in it.")
        if isinstance(spec, Path) or catalogue.is_path(spec) or path.is_file():
            beside = path.parent
        else:
            path = catalogue.find("trainers", spec)
        document, where = yamlio.load(path), str(path)
        text = None if overrides else path.read_text(encoding="utf-8")
    for override in overrides:
        document = yamlio.apply_override(document, override)
    try:
        return TrainerSpec.model_validate(document), beside
    except pydantic.ValidationError as error:
        raise yamlio.explain(error, where=where, text=text, model=TrainerSpec) from None
    except SpecError as error:
        raise error.within(where) from None
