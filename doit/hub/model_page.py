"""The page of a published adapter or model: base, mixture, method, cost, losses and scores."""

from __future__ import annotations

import re
from typing import Any

import orjson

from doit.hub.dataset_page import HUB, license_keys
from doit.hub.licences import Licensing
from doit.hub.run_folder import BASE, Run
from doit.inspecting.card import language_codes, plain, table
from doit.inspecting.counts import UNTAGGED
from doit.inspecting.visible import visible
from doit.yamlio import dump

_COSTS = {
    "trainable": "trainable parameters",
    "total": "parameters in all",
    "steps": "steps",
    "tokens": "tokens seen",
    "seconds": "seconds",
    "peak_memory": "peak memory, bytes",
    "flops": "floating-point operations, estimated",
}


def model_page(
    run: Run,
    licensing: Licensing,
    *,
    repo: str,
    tag: str,
    adapter: bool,
    own_base: bool = False,
    tokenizer: bool = False,
    mixture: str | None,
    accepted: str | None,
) -> str:
    """The README of a model repository.

    Args:
        run: what `run.json` says.
        licensing: what follows from the licences of base and data.
        repo: `owner/name`.
        tag: names this content.
        adapter: whether the weights are an adapter's, to be laid over the base.
        own_base: whether the base lies beside the adapter.
        tokenizer: whether a tokenizer lies beside the weights.
        mixture: the dataset repository that holds the mixture.
        accepted: why it is published although a licence does not let it be.
    """
    name = run.name or repo.partition("/")[2]
    base = _link(run.model.repository) if run.model.repository else plain(run.model.name)
    at = f" at `{_revision(run)}`" if _revision(run) else ""
    kind = "An adapter for" if adapter else "A model tuned from"
    built = f" with `doit-mix` {plain(run.doit)}" if run.doit else ""
    parts = [
        f"---\n{dump(_front(run, licensing, name, adapter=adapter, mixture=mixture))}---",
        f"# {plain(name)}",
        f"{kind} {base}{at}, trained{built}.",
        f"## Use it\n\n{_using(run, repo, tag, adapter=adapter, own_base=own_base, tokenizer=tokenizer)}",
        f"## What it was trained on\n\n{_mixture(run, mixture)}",
        f"## Method\n\n{_method(run)}",
    ]
    if run.cost:
        parts.append(f"## Cost\n\n{_cost(run)}")
    if run.measured():
        parts.append(f"## Loss by ability and language\n\n{_losses(run)}")
    if run.scores:
        parts.append(f"## Scores\n\n{_scores(run)}")
    parts.append(f"## Licence\n\n{_licence(licensing, accepted)}")
    return "\n\n".join(parts) + "\n"


def _link(repository: str) -> str:
    return f"[{plain(repository)}](<{HUB}/{repository}>)"


def _revision(run: Run) -> str:
    """The base's revision, where it can be one."""
    revision = run.model.commit or ""
    return revision if re.fullmatch(r"[\w./-]+", revision, re.ASCII) else ""


def _front(run: Run, licensing: Licensing, name: str, *, adapter: bool, mixture: str | None) -> dict[str, Any]:
    front: dict[str, Any] = {}
    if run.model.repository:
        front["base_model"] = run.model.repository
        front["base_model_relation"] = "adapter" if adapter else "finetune"
    if mixture:
        front["datasets"] = [mixture]
    if known := language_codes(run.languages):
        front["language"] = known
    front["library_name"] = "peft" if adapter else "transformers"
    front |= license_keys(licensing)
    front["pipeline_tag"] = "text-generation"
    method = run.method.get("kind")
    front["tags"] = ["doit-mix", *([visible(method)] if isinstance(method, str) else [])]
    if results := _results(run, mixture):
        front["model-index"] = [{"name": visible(name), "results": results}]
    return front


def _results(run: Run, mixture: str | None) -> list[dict[str, Any]]:
    """Losses and scores as the Hub's evaluation results."""
    trained = {"type": mixture or "custom", "name": visible(run.mixture.name or mixture or "the mixture")}
    found = [
        (
            {**trained, "split": split},
            {"type": "loss", "value": one.loss, "name": visible(f"Loss, {one.label}")},
        )
        for split, one in run.measured()
    ]
    found += [
        (
            {"type": visible(one.dataset), "name": visible(one.dataset), "split": visible(one.split)},
            {
                "type": visible(one.metric),
                "value": one.value,
                "name": visible(one.metric if one.ability == "*" else f"{one.metric}, {one.ability}"),
            },
        )
        for one in run.scores
    ]
    task = {"type": "text-generation", "name": "Text generation"}
    # one entry a data set and split, as the Hub writes them
    grouped: dict[tuple[str, str], dict[str, Any]] = {}
    for dataset, metric in found:
        entry = grouped.setdefault(
            (dataset["type"], dataset["split"]), {"task": task, "dataset": dataset, "metrics": []}
        )
        entry["metrics"].append(metric)
    return list(grouped.values())


def _using(run: Run, repo: str, tag: str, *, adapter: bool, own_base: bool, tokenizer: bool) -> str:
    at = f', revision="{_revision(run)}"' if _revision(run) else ""
    base = orjson.dumps(run.model.name).decode().replace("`", "")
    where = f'"{repo}"'
    lines = [f"from transformers import AutoModelForCausalLM{', AutoTokenizer' if tokenizer else ''}"]
    if adapter:
        lines.insert(0, "from peft import PeftModel")
        if own_base:
            # by its repository, transformers would find the adapter first, and look for its base elsewhere
            lines.insert(0, "from huggingface_hub import snapshot_download")
            lines.append(f"folder = snapshot_download({where})")
            base, at, where = f'folder + "/{BASE}"', "", "folder"
        lines.append(f"base = AutoModelForCausalLM.from_pretrained({base}{at})")
        lines.append(f"model = PeftModel.from_pretrained(base, {where})")
    else:
        lines.append(f"model = AutoModelForCausalLM.from_pretrained({where})")
    if tokenizer:
        lines.append(f"tokenizer = AutoTokenizer.from_pretrained({where})")
    code = "\n".join(lines)
    text = f'```python\n{code}\n```\n\n`revision="{tag}"` loads these very weights, whatever is published here later.'
    if adapter and run.model.added_tokens:
        text += (
            f" The tokenizer has {run.model.added_tokens} control tokens more than the base: where the base has no "
            "room for them, resize its embeddings first, and give each of them the mean of the others."
        )
    return text


def _mixture(run: Run, mixture: str | None) -> str:
    if not (run.mixture.digest or mixture):
        return "The run does not say which mixture it was trained on."
    name = plain(run.mixture.name) if run.mixture.name else "A mixture"
    where = f" in [{plain(mixture)}](<{HUB}/datasets/{mixture}>)" if mixture else ""
    text = f"{name}{where}."
    if run.mixture.digest:
        text += f" Its content digest is `{_hex(run.mixture.digest)}`."
        if mixture:
            tag = f"content-{_hex(run.mixture.digest)}"
            text += f' `load_dataset("{mixture}", revision="{tag}")` loads it where it was published alone.'
    return text


def _hex(digest: str) -> str:
    return "".join(character for character in digest if character in "0123456789abcdef")


def _method(run: Run) -> str:
    rows = [[plain(str(key)), plain(_value(value))] for key, value in run.method.items()]
    told = table(["setting", "value"], rows, text=2) if rows else "The run does not say."
    return f"{told}\n\n`trainer.yaml` has every setting of the run." if run.spec else told


def _value(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"


def _cost(run: Run) -> str:
    rows = [[said, _number(run.cost[key])] for key, said in _COSTS.items() if key in run.cost]
    total, trainable = run.cost.get("total"), run.cost.get("trainable")
    if total and trainable is not None:
        rows.append(["trainable share", f"{trainable / total:.4%}"])
    return table(["what", "how much"], rows)


def _cell(value: str) -> str:
    """An ability or a language in a table; `*` is all of them."""
    return "all" if value == "*" else plain(value)


def _losses(run: Run) -> str:
    rows = []
    for split, one in run.measured():
        tokens = f"{one.tokens:,}" if one.tokens is not None else ""
        rows.append(
            [
                _cell(UNTAGGED if one.ability is None else one.ability),
                _cell(one.language),
                split,
                f"{one.loss:.4f}",
                tokens,
            ]
        )
    return table(["ability", "language", "split", "loss, nats a token", "tokens"], rows, text=3)


def _scores(run: Run) -> str:
    rows = [
        [_cell(one.ability), plain(one.dataset), plain(one.split), plain(one.metric), f"{one.value:.4g}"]
        for one in run.scores
    ]
    return table(["ability", "data set", "split", "metric", "value"], rows, text=4)


def _licence(licensing: Licensing, accepted: str | None) -> str:
    parts = [f"**{plain(licensing.effective)}.** {' '.join(map(plain, licensing.reasons))}"]
    parts.append("\n".join(f"- {plain(line)}" for line in licensing.asks))
    parts.append(
        "Whether weights are adapted from the data that they were tuned on is not settled everywhere; this is the "
        "strict reading, in which the terms of base and data all hold."
    )
    if accepted:
        parts.append(f"Published on this ground: {plain(accepted)}")
    return "\n\n".join(parts)
