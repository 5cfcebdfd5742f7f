"""The page of a published mixture: what the Hub and `datasets` read, and what a careful reader asks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from doit.hub.contents import MEMBERS, SPLITS, Content, Split
from doit.hub.licences import Licensing
from doit.hub.paths import sources_names
from doit.hub.wording import counted
from doit.inspecting.card import (
    contamination,
    grid,
    language_codes,
    left_out,
    plain,
    shares_held,
    size_category,
    table,
)
from doit.inspecting.counts import count
from doit.inspecting.visible import visible
from doit.mixtures.manifest import InspectAnswer
from doit.table import MIXTURE
from doit.yamlio import dump

HUB = "https://huggingface.co"

_SHOWN = 4
"""Mixtures whose tables are on the page; every manifest has its own."""
_FILES = 3
"""Source files that are named a source."""
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
    parts = [
        f"---\n{dump(_front(contents, licensing, recipe=recipe))}---",
        f"# {plain(title(contents))}",
        f"{_opening(contents, recipe=recipe)} {_about(recipe=recipe)}",
        f"## Load it\n\n{_loading(repo, tag, contents, recipe=recipe)}",
        f"## What is in it\n\n{_inside(main, contents)}",
        f"## Configurations and splits\n\n{_configurations(contents)}",
        f"## Sources and licences\n\n{_terms(licensing, accepted, recipe=recipe)}\n\n{_each(main, _sources)}",
        "## What was left out\n\n" + _each(main, lambda content: left_out(content.mixture.manifest)),
        "## Contamination\n\n" + _each(main, lambda content: contamination(content.mixture.manifest)),
    ]
    if not recipe:
        parts.append(f"## Secrets and personal data\n\n{_personal(contents, allowed)}")
    parts.append(f"## Rebuild it\n\n{_rebuilding(repo, tag, contents, recipe=recipe)}")
    return "\n\n".join(parts) + "\n"


def title(contents: Sequence[Content]) -> str:
    """The name of the spec: of variants, what stands before the variant in the name of each."""
    first = contents[0].mixture
    return first.manifest.name.removesuffix(f"-{first.variant}") if first.variant else first.manifest.name


def answer_of(content: Content) -> InspectAnswer:
    """The counts of the training rows."""
    return count(content.slim.lazy())


def picture_path(content: Content) -> str:
    """Where the picture of a mixture lies in the repository."""
    return f"images/{content.config}.svg"


# -- what machines read


def _front(contents: Sequence[Content], licensing: Licensing, *, recipe: bool) -> dict[str, Any]:
    manifest = contents[0].mixture.manifest
    front: dict[str, Any] = {"pretty_name": visible(title(contents)), **license_keys(licensing)}
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


def _opening(contents: Sequence[Content], *, recipe: bool) -> str:
    """How many rows of how many sources, and what built them."""
    first = contents[0].mixture.manifest
    held = [f"{first.splits[split]:,} {split}" for split in SPLITS if first.splits.get(split)]
    rows = f"{first.rows:,} training, {' and '.join(held)} rows" if held else counted(first.rows, "training row")
    sources = counted(len({source for content in contents for source in content.mixture.manifest.sources}), "source")
    if len(contents) == 1:
        kind = "The recipe of an instruction mixture" if recipe else "An instruction mixture"
        what = f"{kind} of {rows}"
    else:
        kind = "The recipe of" if recipe else "A set of"
        what = f"{kind} {len(contents)} instruction mixtures, the first of {rows}"
    return f"{what} from {sources}, built with `doit-mix` {plain(first.doit)}."


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


def _loading(repo: str, tag: str, contents: Sequence[Content], *, recipe: bool) -> str:
    chosen = "" if len(contents) == 1 else f'"{contents[0].config}", '
    lines = [
        "from datasets import load_dataset",
        f'{"places" if recipe else "mixture"} = load_dataset("{repo}", {chosen}split="train")',
        f"print({'places' if recipe else 'mixture'}[0])",
    ]
    note = f'`revision="{tag}"` loads this very content, whatever is published here later.'
    if recipe:
        note = f"This loads where the rows are, not what they say: for their text, rebuild the mixture as below. {note}"
    return "```python\n" + "\n".join(lines) + f"\n```\n\n{note}"


def _each(main: Sequence[Content], page: Any) -> str:
    """One text for every mixture on the page, under its name where there are several that differ."""
    told = {content.config: str(page(content)) for content in main}
    if len(set(told.values())) == 1:
        return told[main[0].config]
    return "\n\n".join(f"### {plain(config)}\n\n{text}" for config, text in told.items())


def _inside(main: Sequence[Content], contents: Sequence[Content]) -> str:
    def one(content: Content) -> str:
        answer = answer_of(content)
        length = answer.lengths.get("chars")
        about = ""
        if length:
            about = (
                f"\n\nThe median row has {length['median']:,.0f} characters, one in twenty over {length['p95']:,.0f}; "
            )
            about += f"{answer.lengths['turns']['mean']:.2f} answers a row on average."
        held = shares_held(content.mixture.manifest)
        return f"![Rows by ability and language]({picture_path(content)})\n\n{grid(answer)}{about} {held}"

    text = _each(main, one)
    if len(main) < len(contents):
        shown = ", ".join(f"`{content.config}`" for content in main)
        text = f"The tables of this page are those of {shown}; of the others see their `manifest.json`.\n\n{text}"
    return text


def _configurations(contents: Sequence[Content]) -> str:
    digests = {content.config: f"`{content.digest[:16]}…`" for content in contents}
    rows = [
        [f"`{name}`" if first else "", f"`{split}`", digests.get(name, "") if first else "", f"{held.rows:,}"]
        for name, splits in configs(contents).items()
        for first, (split, held) in zip([True, False, False], splits.items(), strict=False)
    ]
    note = ""
    if any(content.extra for content in contents):
        note = "\n\nThe configurations named after an ability hold the same rows once more, one ability each."
    if any(content.mixture.size for content in contents):
        note += "\n\nOf a series, every smaller mixture lies inside the next larger one."
    return table(["configuration", "split", "content digest", "rows"], rows, text=3) + note


def _sources(content: Content) -> str:
    """Every source that gives a row to any split, with its licence and its share of the training rows."""
    cards = {_card(one).get("name", ""): _card(one) for one in content.mixture.manifest.spec.get("sources", [])}
    train = {(source, name): number for source, name, number in content.slim.group_by("source", "license").len().rows()}
    held_out = any(split != "train" for split in content.splits)
    rows = []
    for (source, name), number in sorted(content.licences.items(), key=lambda one: (-train.get(one[0], 0), one[0])):
        inside = train.get((source, name), 0)
        row = [plain(source), plain(name), _origin(cards.get(source, {})), f"{inside:,}"]
        row.append(f"{inside / max(content.slim.height, 1):.1%}")
        rows.append([*row, f"{number - inside:,}"] if held_out else row)
    head = ["source", "licence", "from", "training rows", "share", *(["held out"] if held_out else [])]
    return table(head, rows, text=3)


def _terms(licensing: Licensing, accepted: str | None, *, recipe: bool) -> str:
    """The licence of the whole, how it follows, and what it asks."""
    parts = [f"**Licence of the whole: {plain(licensing.effective)}.** {' '.join(map(plain, licensing.reasons))}"]
    parts.append("Using the mixture means keeping to every line:")
    parts.append("\n".join(f"- {plain(line)}" for line in licensing.asks))
    if licensing.refused and recipe:
        parts.append("No text is published here, so no row is passed on.")
    elif licensing.refused and accepted:
        named = ", ".join(f"{one.source} ({one.license}, {counted(one.rows, 'row')})" for one in licensing.refused)
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
    text = "Every row was searched for keys, passwords, e-mail and IP addresses, telephone, identity and card numbers"
    if not found:
        return f"{text}; nothing was found."
    kinds = "; ".join(dict.fromkeys(content.found.told() for content in contents if content.found.rows))
    several = " of all configurations" if len(contents) > 1 else ""
    text += f"; something was found in {counted(found, 'row')}{several} ({plain(kinds)})."
    if masked:
        text += f" It was masked in {counted(masked, 'row')}; the tag `rewritten:secrets` marks them."
    if allowed:
        text += f" Personal data stay in, for this reason: {plain(allowed)}"
    return text


def _inputs(contents: Sequence[Content]) -> str:
    """Which files every source was read from, as they are called where they are published."""
    found: dict[str, dict[str, int]] = {}
    for content in contents:
        names = sources_names(content.mixture.manifest)
        for read in content.mixture.manifest.inputs:
            found.setdefault(read.source, {})[names.get((read.source, read.file), read.file)] = read.bytes
    rows = []
    for source, files in found.items():
        more = f" and {len(files) - _FILES:,} more" if len(files) > _FILES else ""
        rows.append([plain(source), ", ".join(map(plain, [*files][:_FILES])) + more, f"{sum(files.values()):,}"])
    return table(["source", "files", "bytes"], rows, text=2)


def _rebuilding(repo: str, tag: str, contents: Sequence[Content], *, recipe: bool) -> str:
    fetch = f'hf download {repo} --repo-type dataset --revision {tag} --include "*.json" --local-dir recipe'
    digests = {content.config: content.mixture.manifest.digest for content in contents}
    lines = "\n".join(f"- `{name}`: `{digest}`" for name, digest in digests.items())
    text = (
        f"```bash\n{fetch}\ndoit rebuild recipe OUT --sources DIR\n```\n\n"
        "`DIR` holds the source files, under these paths or without the folders in front; their SHA-256 are in "
        f"`manifest.json` and are checked before a byte is read.\n\n{_inputs(contents)}\n\n"
        f"The same sources give these content digests on any machine:\n\n{lines}"
    )
    if any(content.masked for content in contents):
        text += "\n\nThe rows published here differ from that where text was masked."
    where = "`members` holds which rows they are" if recipe else "`data` holds the rows"
    each = ", in the folder of each mixture" if len(contents) > 1 else ""
    return (
        f"{text}\n\n`spec.yaml` is the specification with its dataset cards written out, and {where}{each}. "
        "`publication.json` lists every file with its SHA-256; `doit verify` checks a copy."
    )
