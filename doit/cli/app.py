"""The application, the options that several commands share, and how answers are printed as JSON."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from doit import __version__
from doit.errors import SpecError

if TYPE_CHECKING:
    from pydantic import BaseModel

app = App(
    name="doit",
    version=__version__,
    help="Build instruction mixtures from scattered files, exactly and reproducibly, and see what is in them.",
    help_flags=["--help", "-h"],
    suppress_keyboard_interrupt=False,
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document on standard output.")]
Jobs = Annotated[
    int | None, Parameter(name=["--jobs", "-j"], help="Processes that read; as many as help if not given.")
]
Strict = Annotated[bool, Parameter(negative="", help="Any bad row or unknown label is an error.")]
Sets = Annotated[
    tuple[str, ...], Parameter(name="--set", negative="", help="Change the spec: `a.b=value`; may be repeated.")
]
Engine = Annotated[Literal["local", "ray"], Parameter(help="Where the processes run.")]


def collect_seldom() -> None:
    """Look for cycles among the objects of this process only now and then: modules and tables leave none behind, and
    looking through them at the usual rate is a tenth of a command's time.
    """
    gc.set_threshold(200_000, 20, 20)


def positive(jobs: int | None) -> None:
    """Refuse a number of jobs below 1."""
    if jobs is not None and jobs < 1:
        raise SpecError("D204", f"--jobs is {jobs}.", hint="Give a number of 1 or more.")


def print_json(answer: BaseModel) -> None:
    """Print an answer as one JSON document."""
    sys.stdout.write(answer.model_dump_json(indent=2, exclude_none=True) + "\n")


def print_value(value: Any) -> None:
    """Print plain data as one JSON document."""
    import orjson

    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
