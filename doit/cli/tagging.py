"""The commands of the ability tagger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from doit.cli.app import Json, app, print_json
from doit.errors import SpecError
from doit.verbs import tagging as verbs

if TYPE_CHECKING:
    from doit.curation.tagging.endpoint import Endpoint
    from doit.curation.tagging.evaluating import TagEval
    from doit.curation.tagging.explaining import Explanation
    from doit.mixtures.pools.tagging import ApplyAnswer

tag = App(name="tag", help="Tell abilities: fit a tagger, apply it, measure it, explain it.")
app.command(tag)

Model = Annotated[str, Parameter(help="`default`, or the file of a fitted model.")]
Threshold = Annotated[float | None, Parameter(help="Least score of a tag, instead of the model's own.")]


@tag.command
def fit(
    *inputs: Path,
    out: Annotated[Path, Parameter(help="The model's file, ….safetensors.")],
    alone: Annotated[
        bool, Parameter(negative="", help="Do not learn from the requests that come with this project.")
    ] = False,
    strength: Annotated[float, Parameter(help="Inverse of the regularisation.")] = 0.5,
    abstain: Annotated[float, Parameter(help="Share of unseen records that get no tag.")] = 0.1,
    json: Json = False,
) -> None:
    """Fit a tagger to labelled records.

    Parameters
    ----------
    inputs:
        Mixture specs (their sources' records), mixtures' folders, or Parquet files of records.
    """
    if not inputs:
        raise SpecError("D204", "there is nothing to learn from.", hint="Name a spec, a mixture or Parquet files.")
    answer = verbs.tag_fit(inputs, out, base=not alone, strength=strength, abstain=abstain)
    if json:
        print_json(answer)
        return
    print(f"fitted {answer.out}: {answer.records:,} labelled records, {answer.learnt:,} learnt from", file=sys.stderr)
    print(f"no tag under a score of {answer.threshold}", file=sys.stderr)
    for rule in answer.left_out_rules:
        print(f"note: the labels contradict the rule {rule}, which is left out", file=sys.stderr)


@tag.command
def apply(
    path: Path,
    out: Path,
    /,
    *,
    model: Model = "default",
    over: Annotated[bool, Parameter(negative="", help="Ask about labelled records, too.")] = False,
    threshold: Threshold = None,
    endpoint: Annotated[str | None, Parameter(help="Ask an OpenAI-compatible endpoint, `http…/v1`, instead.")] = None,
    ask: Annotated[str | None, Parameter(help="Name of the endpoint's model.")] = None,
    key_env: Annotated[str | None, Parameter(name="--key-env", help="Environment variable with its key.")] = None,
    price: Annotated[
        tuple[float, float] | None, Parameter(negative="", help="Its price of a million tokens read, and written.")
    ] = None,
    json: Json = False,
) -> None:
    """Write records with the tagger's abilities where they have none.

    Parameters
    ----------
    path:
        A mixture spec, a mixture's folder, or Parquet files of records.
    out:
        The .parquet file to make.
    """
    asked = _endpoint(endpoint, ask, key_env, price)
    answer = verbs.tag_apply(path, out, model=model, over=over, threshold=threshold, endpoint=asked)
    if json:
        print_json(answer)
        return
    print(_applied(answer), file=sys.stderr)


@tag.command(name="eval")
def eval_(path: Path, /, *, model: Model = "default", threshold: Threshold = None, json: Json = False) -> None:
    """Compare the tagger with labels: precision, recall and F1 of each ability, and what is taken for what.

    Parameters
    ----------
    path:
        A mixture spec, a mixture's folder, or Parquet files of records.
    """
    answer = verbs.tag_eval(path, model=model, threshold=threshold)
    if json:
        print_json(answer)
        return
    print(_measured(answer))


@tag.command
def explain(
    text: str,
    id: str | None = None,  # noqa: A002 - the record's own name for it
    /,
    *,
    answer: Annotated[str, Parameter(help="The answer to the text.")] = "",
    model: Model = "default",
    json: Json = False,
) -> None:
    """Say why a text or a record gets its tag: the rule, or the n-grams that weigh most.

    Parameters
    ----------
    text:
        A request; or, with an id, a mixture spec, a mixture's folder or Parquet files of records.
    id:
        A record's id, or its first digits.
    """
    if id is None:
        said = verbs.tag_explain(text, answer=answer, model=model)
    else:
        said = verbs.tag_explain(path=text, id=id, model=model)
    if json:
        print_json(said)
    else:
        print(_told(said))


def _told(said: Explanation) -> str:
    lines = [f"{said.ability or 'no tag'}  score {said.score:.4f}  by {said.reason}"]
    if said.matched is not None:
        lines.append(f"the rule matched: {said.matched}")
    lines.append("the model: " + ", ".join(f"{name} {chance:.1%}" for name, chance in said.chances.items()))
    lines += [f"  {one.weight:+.3f}  {one.feature!r}, {one.where}" for one in said.features]
    return "\n".join(lines)


def _endpoint(
    url: str | None, model: str | None, key_env: str | None, price: tuple[float, float] | None
) -> Endpoint | None:
    if url is None:
        if (model, key_env, price) != (None, None, None):
            raise SpecError("D204", "there is no endpoint to ask.", hint="Give `--endpoint` too.")
        return None
    from doit.curation.tagging.endpoint import Endpoint

    if model is None or not url.startswith(("http://", "https://")):
        hint = "Give `--endpoint http…/v1 --ask MODEL`."
        raise SpecError("D204", f'the endpoint "{url}" cannot be asked.', where="--endpoint", hint=hint)
    return Endpoint(url=url, model=model, key_env=key_env, price=price)


def _applied(answer: ApplyAnswer) -> str:
    lines = [
        f"{answer.records:,} records in {answer.out}: {answer.kept:,} keep their label, {answer.unsure:,} have none"
    ]
    lines += [f"  {ability:18}{count:>9,}" for ability, count in answer.tagged.items()]
    lines += [f"  by rule {rule}: {count:,}" for rule, count in answer.rules.items()]
    if answer.costs is not None:
        cost = "" if answer.costs.cost is None else f", cost {answer.costs.cost:.4f}"
        read, written = answer.costs.tokens_read, answer.costs.tokens_written
        told = f"{answer.costs.asked:,} records asked about, {answer.costs.cached:,} known"
        lines.append(f"{told}; {read:,} tokens read, {written:,} written{cost}")
    return "\n".join(lines)


def _measured(answer: TagEval) -> str:
    lines = [
        f"{answer.records:,} labelled records, {answer.abstained:.1%} left without a tag",
        f"accuracy {answer.accuracy:.3f}, macro F1 {answer.macro_f1:.3f} ({answer.macro_f1_of_all:.3f} of all)",
        f"\n{'ability':18}{'records':>9}{'tagged':>9}{'precision':>11}{'recall':>8}{'F1':>7}{'of all':>8}",
    ]
    for ability, one in answer.abilities.items():
        shares = f"{one.precision:>11.2f}{one.recall:>8.2f}{one.f1:>7.2f}{one.f1_of_all:>8.2f}"
        lines.append(f"{ability:18}{one.records:>9,}{one.tagged:>9,}{shares}")
    lines.append("\nlabel -> what it was taken for")
    for label, tags in answer.confusion.items():
        told = ", ".join(f"{name} {count:,}" for name, count in sorted(tags.items(), key=lambda pair: -pair[1]))
        lines.append(f"{label:18}{told}")
    return "\n".join(lines)
