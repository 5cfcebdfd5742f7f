"""`README.md` of a mixture: the dataset card that the Hub shows and that `datasets.load_dataset` reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from doit.errors import CODES
from doit.inspecting.counts import UNTAGGED, count
from doit.inspecting.visible import visible
from doit.mixtures.manifest import InspectAnswer, Manifest
from doit.schemas.abilities import ABILITIES
from doit.yamlio import dump

UNKNOWN = "unknown"

_HUB_LICENSES = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd-2-clause bsd-3-clause bsl-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0
cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0
epl-2.0 eupl-1.2 gpl-2.0 gpl-3.0 isc lgpl-2.1 lgpl-3.0 mit mpl-2.0 ms-pl odbl odc-by ofl-1.1 pddl unlicense wtfpl zlib
"""
_HUB_NAMES = {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl"}
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_SPLITS = ("train", "validation", "test")
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$:@=^'\"])")


def card_markdown(manifest: Manifest, mixture: pl.DataFrame) -> str:
    """The dataset card of a mixture: YAML front matter as the Hub wants it, then a page for people.

    Args:
        manifest: what the build wrote down, its `files` included.
        mixture: the training rows, the columns of `report_html`.

    Returns:
        Markdown. `license` is the sources' common licence, or `other` where they differ or the Hub has no name for it;
        it is left out where one is unknown.
    """
    answer = count(mixture.lazy())
    parts = [
        f"---\n{dump(_front(manifest, answer))}---",
        f"# {plain(manifest.name)}",
        f"An instruction mixture of {answer.records:,} training rows from {len(answer.by['source']):,} sources. "
        f"{shares_held(manifest)}",
        "Every row is a conversation in `messages` (`role`, `content`); `source`, `file` and `row` say where it is "
        "from, `language`, `ability` and `construction` what it is, and `license` how its source is licensed.",
        f"## What is in it\n\n{grid(answer)}",
        f"## Sources\n\n{_sources(manifest, answer)}",
        f"## What was left out\n\n{left_out(manifest)}",
        f"## Contamination\n\n{contamination(manifest)}",
        f"## Load it\n\n{_loading()}",
        f"## Build it again\n\n{_rebuilding(manifest)}",
    ]
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line: no markup, no HTML, no automatic links."""
    escaped = _PUNCTUATION.sub(r"\\\1", visible(text))
    escaped = re.sub(r"(?i)(www)\.", r"\1\\.", escaped)
    return re.sub(r"^(\d*)([-.])", r"\1\\\2", escaped)


def _front(manifest: Manifest, answer: InspectAnswer) -> dict[str, Any]:
    front: dict[str, Any] = {"pretty_name": visible(manifest.name)}
    license_id = _license(manifest, answer)
    if license_id:
        front["license"] = license_id
    if known := language_codes(answer.by["language"]):
        front["language"] = known
    front["size_categories"] = [size_category(answer.records)]
    front["task_categories"] = ["text-generation"]
    front["tags"] = ["instruction-tuning", "doit-mix"]
    held = [split for split in _SPLITS if split == "train" or _has(manifest, split)]
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in held]
    # `datasets` takes a folder for one that it has read before where name and card are the same, whatever the rows are.
    described = f"content digest {visible(manifest.digest)}"
    front["configs"] = [{"config_name": "default", "description": described, "data_files": files}]
    return front


def language_codes(tags: Iterable[str]) -> list[str]:
    """The primary tags of BCP 47 tags, each once, in their order: what the Hub takes as languages."""
    primary = dict.fromkeys(tag.split("-")[0].lower() for tag in tags)
    return [tag for tag in primary if re.fullmatch("[a-z]{2,3}", tag) and tag not in {"und", "mul", "zxx"}]


def _has(manifest: Manifest, split: str) -> bool:
    return any(path.startswith(f"data/{split}-") and path.endswith(".parquet") for path in manifest.files)


def _license(manifest: Manifest, answer: InspectAnswer) -> str | None:
    used = answer.by["source"] or manifest.licenses
    found = {manifest.licenses.get(source, UNKNOWN).lower() for source in used}
    if not found or found & {UNKNOWN, ""}:
        return None
    (first, *others) = sorted(re.sub("-(only|or-later)$", "", name) for name in found)
    name = _HUB_NAMES.get(first, first)
    return name if not others and name in _HUB_LICENSES.split() else "other"


def size_category(records: int) -> str:
    """The Hub's word for a number of rows, such as `1K<n<10K`."""
    for power, name in enumerate(_SIZES):
        if records < 1000 * 10**power:
            return f"{_SIZES[power - 1]}<n<{name}" if power else "n<1K"
    return "n>1T"


def shares_held(manifest: Manifest) -> str:
    """Whether the shares of the plan hold, as a sentence in Markdown."""
    if manifest.plan.holds:
        return "Every share of the plan holds."
    short = ", ".join(f"{margin.axis} {plain(margin.value)}" for margin in manifest.plan.short)
    return f"Short of what was asked: {short}." if short else "The data was less than the shares asked for."


def grid(answer: InspectAnswer) -> str:
    """The cross table of abilities and languages, as Markdown."""
    counts = {(each.ability or UNTAGGED, each.language): each.records for each in answer.cross}
    languages = list(answer.by["language"])
    rows = [
        [_ability(ability), *(f"{counts.get((ability, language), 0):,}" for language in languages), f"{total:,}"]
        for ability, total in answer.by["ability"].items()
    ]
    rows.append(["all", *(f"{number:,}" for number in answer.by["language"].values()), f"{answer.records:,}"])
    return table(["ability", *map(plain, languages), "all"], rows)


def _ability(name: str) -> str:
    known = ABILITIES.get(name)
    return f"{plain(name)} {known.zh}" if known else plain(name)


def _sources(manifest: Manifest, answer: InspectAnswer) -> str:
    rows = []
    for name, number in answer.by["source"].items():
        share = f"{number / answer.records:.1%}"
        rows.append([plain(name), plain(manifest.licenses.get(name, UNKNOWN)), f"{number:,}", share])
    note = "Each row keeps the licence of its source; using the mixture means keeping to all of them."
    return f"{table(['source', 'licence', 'rows', 'share'], rows, text=2)}\n\n{note}"


def left_out(manifest: Manifest) -> str:
    """What was read and is not in the mixture, and why: two tables that add up, as Markdown."""
    dropped = {step.rule: step.dropped for step in manifest.funnel}
    dropped |= {rule: number for rule, number in manifest.dropped.items() if rule not in dropped}
    lines = [["rows read", f"{manifest.read:,}"]]
    lines += [
        [f"rejected, {plain(code)} {plain(CODES.get(code, ''))}".rstrip(), f"{n:,}"]
        for code, n in manifest.rejected.items()
    ]
    lines += [[f"dropped by {plain(rule)}", f"{number:,}"] for rule, number in dropped.items()]
    lines += [["left unused", f"{manifest.unused:,}"], ["records in the mixture", f"{manifest.drawn:,}"]]
    sources = [
        [
            plain(name),
            *(f"{number:,}" for number in (one.read, one.drawn, one.unused)),
            f"{sum(one.dropped.values()):,}",
            f"{sum(one.rejected.values()):,}",
        ]
        for name, one in manifest.sources.items()
    ]
    head = ["source", "read", "drawn", "unused", "dropped", "rejected"]
    note = "Of every source, read = drawn + unused + dropped + rejected."
    return f"{table(['step', 'rows'], lines)}\n\n{note}\n\n{table(head, sources)}"


def contamination(manifest: Manifest) -> str:
    """What was done against test items among the training rows, as Markdown."""
    rules = [rule for rule in manifest.spec.get("curation") or () if rule.get("kind") == "contaminated"]
    if not rules:
        return "The rows were not compared with any benchmark."
    asked = {rule.get("name") or "contaminated": rule for rule in rules}
    lines = []
    for one in manifest.contamination:
        rule = asked.get(one.rule, {})
        ngram = rule.get("ngram", "")
        length = ", ".join(f"{n} {unit}" for unit, n in ngram.items()) if isinstance(ngram, dict) else str(ngram)
        fate = "marked" if rule.get("action") == "mark" else "dropped"
        found = f"{one.found:,} of {one.items:,}"
        lines.append(
            [plain(one.benchmark), plain(length), plain(str(rule.get("coverage", ""))), found, f"{one.records:,}", fate]
        )
    return table(["benchmark", "n-gram", "coverage", "items found", "records with one", "those are"], lines, text=2)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, text: int = 1) -> str:
    """A table in Markdown; the first `text` columns are words, the others numbers. Cells are Markdown already."""
    rule = ["---" if at < text else "---:" for at in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def _loading() -> str:
    load = 'mixture = load_dataset("PATH_OR_REPOSITORY", split="train")'
    return f'```python\nfrom datasets import load_dataset\n\n{load}\nprint(mixture[0]["messages"])\n```'


def _rebuilding(manifest: Manifest) -> str:
    digest = re.sub("[^0-9A-Za-z:]", "", manifest.digest)
    return (
        f"Built with `doit-mix` {plain(manifest.doit)}. `manifest.json` holds the resolved spec, the digest of every "
        "input and the plan. With the same inputs,\n\n```bash\ndoit rebuild manifest.json OUT --sources DIR\n"
        "doit verify OUT\n```\n\n"
        f"gives the content digest `{digest}` on any machine."
    )
