"""The verbs, the same in Python and on the command line. Each returns the object that `--json` prints."""

from __future__ import annotations

from doit.verbs.converting import convert
from doit.verbs.looking import crosstab, describe, heatmap, init, inspect, listing, report, samples, serve
from doit.verbs.mixing import build, curate, plan, rebuild
from doit.verbs.proving import diff, verify, why
from doit.verbs.sharing import publish
from doit.verbs.tagging import tag_apply, tag_eval, tag_explain, tag_fit
from doit.verbs.training import chat, merge, train, train_dry, train_rows

__all__ = [
    "build",
    "chat",
    "convert",
    "crosstab",
    "curate",
    "describe",
    "diff",
    "heatmap",
    "init",
    "inspect",
    "listing",
    "merge",
    "plan",
    "publish",
    "rebuild",
    "report",
    "samples",
    "serve",
    "tag_apply",
    "tag_eval",
    "tag_explain",
    "tag_fit",
    "train",
    "train_dry",
    "train_rows",
    "verify",
    "why",
]
