"""The page of a published mixture: what the Hub and `datasets` read, and what a careful reader asks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from doit.hub.contents import MEMBERS, Content, Split
from doit.hub.licences import Licensing
from doit.inspecting.card import contamination, grid, language_codes, left_out, plain, size_category, table
from doit.inspecting.counts import count
from doit.inspecting.visible import visible
from doit.mixtures.manifest import InspectAnswer
from doit.table import MIXTURE
from doit.yamlio import dump

HUB = "https://huggingface.co"

_SHOWN = 4
"""Mixtures whose tables are on the page; every manifest has its own."""
_LINK = re.compile(r"https://[A-Za-z0-9._~/%:@+,;=&?#-]+")


def configs(contents: Sequence[Content]) -> dict[str, dict[str, Split]]:
    """Configuration -> its splits: every mixture, then every ability of every mixture."""
    whole = {content.config: content.splits for content in contents}
    alone = len(contents) == 1
    parts = {
        ability if alone else f"{content.config}-{ability}": splits
        for content in contents
        for ability, splits in content.extra.items()
    }
    return {**whole, **parts}


def main_contents(contents: Sequence[Content]) -> list[Content]:
    """The largest mixture of every variant, the first few."""
    first: dict[str | None, Content] = {}
    for content in contents:
        first.setdefault(content.mixture.variant, content)
    return list(first.values())[:_SHOWN]


def dataset_page(
    contents: Sequence[Content],
    licensing: Licensing,
    *,
    repo: str,
    tag: str,
    accepted: str | None,
    allowed: str | None,
    recipe: bool,
) -> str:
    """The README of a dataset repository.

    Args:
        contents: every mixture, the first one is loaded by default.
        licensing: what follows from the licences of all rows.
        repo: `owner/name`.
        tag: names this content.
        accepted: why rows are published whose licence does not let them be.
        allowed: why personal data stay in.
        recipe: only which rows, not their text.
    """
    main = main_contents(contents)
    first = contents[0]
    manifest = first.mixture.manifest
    kind = "The recipe of an instruction mixture" if recipe else "An instruction mixture"
    parts = [
        f"---\n{dump(_front(contents, licensing, recipe=recipe))}---",
        f"# {plain(manifest.name)}",
        f"{kind} of {manifest.rows:,} training rows from {len(manifest.sources):,} sources, built with "
        f"`doit-mix` {plain(manifest.doit)}. {_about(recipe=recipe)}",
        f"## Load it\n\n{_loading(repo, tag, contents)}",
        f"## What is in it\n\n{_inside(main)}",
        f"## Configurations and splits\n\n{_configurations(contents)}",
        f"## Sources and licences\n\n{_sources(contents, licensing, accepted)}",
        "## What was left out\n\n" + _each(main, lambda content: left_out(content.mixture.manifest)),
        "## Contamination\n\n" + _each(main, lambda content: contamination(content.mixture.manifest)),
    ]
    if not recipe:
        parts.append(f"## Secrets and personal data\n\n{_personal(contents, allowed)}")
    parts.append(f"## Rebuild it\n\n{_rebuilding(repo, tag, contents, recipe=recipe)}")
    return "\n\n".join(parts) + "\n"


def answer_of(content: Content) -> InspectAnswer:
    """The counts of the training rows."""
    return count(content.slim.lazy())


def picture_path(content: Content) -> str:
    """Where the picture of a mixture lies in the repository."""
    return f"images/{content.config}.svg"


# -- what machines read


def _front(contents: Sequence[Content], licensing: Licensing, *, recipe: bool) -> dict[str, Any]:
    manifest = contents[0].mixture.manifest
    front: dict[str, Any] = {"pretty_name": visible(manifest.name), **license_keys(licensing)}
    tags = dict.fromkeys(tag for content in contents for tag in answer_of(content).by["language"])
    if known := language_codes(tags):
        front["language"] = known
    front["size_categories"] = [size_category(manifest.rows)]
    if not recipe:
        front["task_categories"] = ["text-generation"]
    front["tags"] = ["instruction-tuning", "doit-mix", *(["recipe"] if recipe else [])]
    named = configs(contents)
    front["configs"] = [_config(name, splits, first=n == 0) for n, (name, splits) in enumerate(named.items())]
    schema = MEMBERS if recipe else MIXTURE
    front["dataset_info"] = [_info(name, splits, schema) for name, splits in named.items()]
    return front


def license_keys(licensing: Licensing) -> dict[str, str]:
    """`license` as the Hub takes it; of `other`, its name and where the terms are."""
    if licensing.hub != "other":
        return {"license": licensing.hub}
    name = "mixed" if licensing.effective == "other" else licensing.effective
    name = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-") or "mixed"
    return {"license": "other", "license_name": name, "license_link": "README.md"}


def _config(name: str, splits: Mapping[str, Split], *, first: bool) -> dict[str, Any]:
    files = [
        {"split": split, "path": re.sub(r"-\d{5}-of-\d{5}\.parquet$", "-*.parquet", held.files[0][0])}
        for split, held in splits.items()
    ]
    default = {"default": True} if first and name != "default" else {}
    return {"config_name": name, **default, "data_files": files}


def _info(name: str, splits: Mapping[str, Split], schema: pa.Schema) -> dict[str, Any]:
    return {
        "config_name": name,
        "features": [{"name": field.name, **_feature(field.type)} for field in schema],
        "splits": [
            {"name": split, "num_bytes": held.bytes, "num_examples": held.rows} for split, held in splits.items()
        ],
        "download_size": sum(path.stat().st_size for held in splits.values() for _, path in held.files),
        "dataset_size": sum(held.bytes for held in splits.values()),
    }


def _feature(kind: pa.DataType) -> dict[str, Any]:
    """A column's type as `dataset_info` writes it."""
    if pa.types.is_list(kind):
        inner = kind.value_type
        if pa.types.is_struct(inner):
            return {"list": [{"name": field.name, **_feature(field.type)} for field in inner]}
        return {"list": str(inner)}
    return {"dtype": str(kind)}


# -- what people read


def _about(*, recipe: bool) -> str:
    if recipe:
        return (
            "It says which rows of which files, and how they are drawn, but holds none of their text: "
            "whoever has the sources builds the same mixture from it, to the last byte of content."
        )
    return (
        "Every row is a conversation in `messages` (`role`, `content`); `source`, `file` and `row` say where it is "
        "from, `language`, `ability` and `construction` what it is, and `license` how its source is licensed."
    )


def _loading(repo: str, tag: str, contents: Sequence[Content]) -> str:
    chosen = "" if len(contents) == 1 else f'"{contents[0].config}", '
    lines = [
        "from datasets import load_dataset",
        f'mixture = load_dataset("{repo}", {chosen}split="train")',
        "print(mixture[0])",
    ]
    note = f'`revision="{tag}"` loads this very content, whatever is published here later.'
    return "```python\n" + "\n".join(lines) + f"\n```\n\n{note}"


def _each(main: Sequence[Content], page: Any) -> str:
    """One text for every mixture on the page, under its name where there are several."""
    if len(main) == 1:
        return str(page(main[0]))
    return "\n\n".join(f"### {plain(content.config)}\n\n{page(content)}" for content in main)


def _inside(main: Sequence[Content]) -> str:
    def one(content: Content) -> str:
        answer = answer_of(content)
        length = answer.lengths.get("chars")
        about = ""
        if length:
            about = (
                f"\n\nThe median row has {length['median']:,.0f} characters, one in twenty over {length['p95']:,.0f}; "
            )
            about += f"{answer.lengths['turns']['mean']:.2f} answers a row on average."
        return f"![Rows by ability and language]({picture_path(content)})\n\n{grid(answer)}{about}"

    return _each(main, one)


def _configurations(contents: Sequence[Content]) -> str:
    digests = {content.config: content.digest for content in contents}
    rows = [
        [f"`{name}`", f"`{split}`", f"`{digests[name][:16]}…`" if name in digests else "", f"{held.rows:,}"]
        for name, splits in configs(contents).items()
        for split, held in splits.items()
    ]
    note = ""
    if any(content.extra for content in contents):
        note = "\n\nThe configurations named after an ability hold the same rows once more, one ability each."
    if any(content.mixture.size for content in contents):
        note += "\n\nOf a series, every smaller mixture lies inside the next larger one."
    return table(["configuration", "split", "content digest", "rows"], rows, text=3) + note


def _sources(contents: Sequence[Content], licensing: Licensing, accepted: str | None) -> str:
    first = contents[0]
    answer = answer_of(first)
    spec = {_card(one).get("name", ""): _card(one) for one in first.mixture.manifest.spec.get("sources", [])}
    licences = first.mixture.manifest.licenses
    rows = []
    for name, number in answer.by["source"].items():
        share = f"{number / max(answer.records, 1):.1%}"
        rows.append(
            [plain(name), plain(licences.get(name, "unknown")), _origin(spec.get(name, {})), f"{number:,}", share]
        )
    parts = [table(["source", "licence", "from", "rows", "share"], rows, text=3)]
    parts.append(f"**Licence of the whole: {plain(licensing.effective)}.** {' '.join(map(plain, licensing.reasons))}")
    parts.append("Using the mixture means keeping to every line:")
    parts.append("\n".join(f"- {plain(line)}" for line in licensing.asks))
    if licensing.refused and accepted:
        named = ", ".join(f"{one.source} ({one.license}, {one.rows:,} rows)" for one in licensing.refused)
        parts.append(
            f"Published although their licences do not allow it: {plain(named)}. Reason given: {plain(accepted)}"
        )
    return "\n\n".join(parts)


def _card(source: Any) -> dict[str, Any]:
    dataset = source.get("dataset") if isinstance(source, dict) else None
    return dataset if isinstance(dataset, dict) else {}


def _origin(card: Mapping[str, Any]) -> str:
    """Where a source is from, as a link: its commit on a Hub, or the address that its card names."""
    source = card.get("source") or {}
    hub, revision = source.get("hub"), source.get("revision")
    cite = card.get("cite")
    if isinstance(hub, str) and re.fullmatch(r"[\w.-]+(?:/[\w.-]+)?", hub, re.ASCII):
        at = f"/tree/{revision}" if isinstance(revision, str) and re.fullmatch(r"[\w.-]+", revision) else ""
        return f"[{plain(hub)}](<{HUB}/datasets/{hub}{at}>)"
    if isinstance(cite, str) and _LINK.fullmatch(cite):
        return f"[{plain(cite.removeprefix('https://'))}](<{cite}>)"
    return ""


def _personal(contents: Sequence[Content], allowed: str | None) -> str:
    found = sum(content.found.rows for content in contents)
    masked = sum(content.masked for content in contents)
    text = "Every row was searched for keys, passwords, addresses, telephone, identity and card numbers"
    if not found:
        return f"{text}; nothing was found."
    kinds = "; ".join(dict.fromkeys(content.found.told() for content in contents if content.found.rows))
    text += f"; something was found in {found:,} rows of all configurations ({plain(kinds)})."
    if masked:
        text += f" It was masked in {masked:,} rows, which carry the tag `rewritten:secrets`."
    if allowed:
        text += f" Personal data stay in, for this reason: {plain(allowed)}"
    return text


def _rebuilding(repo: str, tag: str, contents: Sequence[Content], *, recipe: bool) -> str:
    fetch = f'hf download {repo} --repo-type dataset --revision {tag} --include "*.json" --local-dir recipe'
    digests = {content.config: content.mixture.manifest.digest for content in contents}
    lines = "\n".join(f"- `{name}`: `{digest}`" for name, digest in digests.items())
    text = (
        f"```bash\n{fetch}\ndoit rebuild recipe OUT --sources DIR\n```\n\n"
        "`DIR` holds the source files; their SHA-256 are in `manifest.json` and are checked before a byte is read. "
        f"The same sources give these content digests on any machine:\n\n{lines}"
    )
    if any(content.masked for content in contents):
        text += "\n\nThe rows published here differ from that where text was masked."
    where = "members" if recipe else "data"
    return (
        f"{text}\n\n`spec.yaml` is the specification with its dataset cards written out, `publication.json` lists "
        f"every file of this page with its SHA-256, and `{where}` holds the rows."
    )
