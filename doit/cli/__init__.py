"""The command line: words and commands, no logic. A command calls one function of `doit.verbs` and prints its answer.

Exit status: 0 done; 2 the spec or the call is wrong; 3 the data is wrong or too little; 1 a fault of ours, with a
traceback. `--json` prints one JSON document on standard output and nothing else there.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from doit.cli import converting, looking, mixing, proving, sharing, tagging, training
from doit.cli.app import app
from doit.errors import DoitError

__all__ = ["app", "converting", "looking", "main", "mixing", "proving", "sharing", "tagging", "training"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    # Threads of numpy's linear algebra wait in a loop for work that seldom comes; so they sleep at once.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)  # what is left at the end is not looked through for cycles, which takes a while
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app(sys.argv[1:] if arguments is None else arguments, exit_on_error=False, print_error=False)
    except DoitError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    except CycloptsError as error:
        print(f"D204 {error} See `doit --help`.", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("stopped; the output folder is as it was.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(
            f"D104 {place}{error.strerror or error}. Look at the path, its rights and the space left.", file=sys.stderr
        )
        raise SystemExit(2) from None
