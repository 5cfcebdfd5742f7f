"""`report.html`: one page that explains a mixture, from its plan to its digests, offline and without a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

import polars as pl

from doit.errors import CODES
from doit.inspecting.browsing import samples_section, script, script_source
from doit.inspecting.card import card_markdown
from doit.inspecting.clusters import clusters_section
from doit.inspecting.counts import UNTAGGED, count
from doit.inspecting.lengths import lengths_section
from doit.inspecting.markup import Html, bar, element, escaped, joined, table
from doit.mixtures.manifest import Manifest, PlanAnswer, SourceCounts
from doit.schemas.abilities import ABILITIES, OTHER
from doit.yamlio import dump

__all__ = ["card_markdown", "report_html"]

_MOST_REJECTS = 50
_MOST_FILES = 200
_SPEC_CHARS = 100_000
_ABILITY_ORDER = {name: at for at, name in enumerate([*ABILITIES, OTHER, "*", UNTAGGED])}


def report_html(
    manifest: Manifest,
    mixture: pl.DataFrame,
    rejects: pl.DataFrame,
    *,
    samples: pl.DataFrame | None = None,
    ledger: pl.DataFrame | None = None,
) -> str:
    """The report of a mixture as one self-contained page.

    Args:
        manifest: what the build wrote down.
        mixture: the training rows: `language`, `ability`, `source`, `construction`, `turns`, `chars`, `epoch`.
        rejects: `source`, `file`, `row`, `field`, `code`, `reason`.
        samples: rows to browse in, `doit.inspecting.samples.COLUMNS`.
        ledger: the lines of records dropped as near duplicates and of their survivors.

    Returns:
        HTML with nothing to fetch; everything from data is escaped, and its policy lets no script run but its own.
    """
    near = None if ledger is None else clusters_section(ledger)
    sections = {
        "plan": ("Plan", _plan(manifest.plan)),
        "contents": ("Contents", _contents(mixture)),
        "lengths": ("Lengths", lengths_section(mixture) if mixture.height else _note("There are no rows.")),
        "funnel": ("Funnel", _funnel(manifest)),
        "sources": ("Sources", _sources(manifest, mixture)),
        **({} if not manifest.contamination else {"contamination": ("Contamination", _contamination(manifest))}),
        **({} if near is None else {"near-duplicates": ("Near duplicates", near)}),
        "rejects": ("Rejects", _rejects(manifest, rejects)),
        **({} if samples is None else {"rows": ("Rows", samples_section(samples))}),
        "provenance": ("Provenance", _provenance(manifest)),
    }
    page = Template(Path(__file__).with_name("template.html").read_text("utf-8"))
    return page.substitute(
        title=escaped(f"{manifest.name}: report of a mixture"),
        header=_header(manifest, mixture),
        navigation=joined(element("li", element("a", title, href=f"#{key}")) for key, (title, _) in sections.items()),
        sections=joined(
            [
                element(
                    "section", element("h2", title, id=f"{key}-title"), body, id=key, aria_labelledby=f"{key}-title"
                )
                for key, (title, body) in sections.items()
            ],
            Html("\n"),
        ),
        script="" if samples is None else f"<script>{script()}</script>",
        script_source=script_source(),
        connect_source="'none'",
        footer=element("footer", f"Written by doit {manifest.doit}. This page needs no network."),
    )


def _header(manifest: Manifest, mixture: pl.DataFrame) -> Html:
    distinct = mixture.filter(pl.col("epoch") == 1).height
    short = len(manifest.plan.short)
    figures = {
        "training rows": f"{mixture.height:,}",
        "distinct records": f"{distinct:,}",
        "records read": f"{manifest.read:,}",
        "sources": f"{len(manifest.sources):,}",
        "rows rejected": f"{sum(manifest.rejected.values()):,}",
        "short values": f"{short:,}",
    }
    holds = "Every share holds." if manifest.plan.holds else "There is less data than the shares need."
    lead = f"{_counted(mixture.height, 'training row')} from {_counted(len(manifest.sources), 'source')}. {holds}"
    parts = [
        element("p", "Instruction mixture", class_="eyebrow"),
        element("h1", manifest.name),
        element("p", lead, class_="lead"),
        element("p", "Content digest ", element("code", manifest.digest), class_="note"),
        element(
            "dl",
            *(element("div", element("dt", key), element("dd", value)) for key, value in figures.items()),
            class_="figures",
        ),
    ]
    if manifest.warnings:
        shown = [element("li", escaped(warning, 600)) for warning in manifest.warnings[:_MOST_FILES]]
        parts.append(element("ul", *shown, class_="warnings", aria_label="Warnings"))
    return element("header", *parts)


def _plan(plan: PlanAnswer) -> Html:
    axes = list(dict.fromkeys(margin.axis for margin in plan.margins))
    parts = [
        element(
            "p",
            f"Size {plan.size:,} {plan.unit}; shortage: {plan.shortage}. Each cell shows the rows taken, and under ",
            "them the rows wanted / the records available. A cell that gets less than wanted is framed and says how ",
            Html("much is missing. <code>*</code> is everything that is not named."),
            class_="note",
        ),
        _plan_grid(plan),
    ]
    for axis in axes:
        parts += [element("h3", f"Asked and reached by {axis}"), _margins(plan, axis)]
    distance = "" if plan.d is None or plan.holds else f"Distance from the shares D = {plan.d:,.3f}; "
    if plan.holds and any(cell.taken < cell.wanted for cell in plan.cells):
        parts.insert(2, _note("Every share holds: what a cell is short of comes from other cells of the same values."))
    proven = "proven to be the best plan" if plan.proven else "not proven to be the best plan"
    parts.append(_note(f"{distance}distance from the same mix inside every value E = {plan.e:,.3f}; {proven}."))
    return joined(parts)


def _plan_grid(plan: PlanAnswer) -> Html:
    sums: dict[tuple[str, str], list[int]] = {}
    for cell in plan.cells:
        total = sums.setdefault((cell.ability, cell.language), [0, 0, 0, 0])
        missing = max(cell.wanted - cell.taken, 0)
        for at, number in enumerate((cell.wanted, cell.available, cell.taken, missing)):
            total[at] += number
    most = max((total[2] for total in sums.values()), default=0)
    cells = {key: _plan_cell(total, most) for key, total in sums.items()}
    return _grid(cells, {key: total[2] for key, total in sums.items()})


def _plan_cell(total: Sequence[int], most: int) -> Html:
    wanted, available, taken, missing = total
    below = element("span", f"{wanted:,} wanted / {available:,}", _hidden(" available"), class_="sub")
    mark = element("span", f"short {missing:,}", class_="tag") if missing else Html("")
    return element(
        "td", mark, element("b", f"{taken:,}"), below, class_="short" if missing else "", style=_shade(taken, most)
    )


def _grid(cells: Mapping[tuple[str, str], Html], counts: Mapping[tuple[str, str], int]) -> Html:
    """Abilities down, languages across, with the sums of `counts` at the ends."""
    abilities = sorted({ability for ability, _ in cells}, key=_ability_order)
    by_language: dict[str, int] = {}
    for (_, language), number in counts.items():
        by_language[language] = by_language.get(language, 0) + number
    languages = sorted(by_language, key=lambda name: (-by_language[name], name))
    nothing = element("td", "·", class_="none")
    rows = []
    for ability in abilities:
        total = sum(counts.get((ability, language), 0) for language in languages)
        shown = [cells.get((ability, language), nothing) for language in languages]
        rows.append([_ability(ability), *shown, element("td", element("b", f"{total:,}"), class_="sum")])
    foot = ["all", *(f"{by_language[language]:,}" for language in languages), f"{sum(counts.values()):,}"]
    return table(["ability", *languages, "all"], rows, foot=foot, class_="heat")


def _margins(plan: PlanAnswer, axis: str) -> Html:
    margins = [margin for margin in plan.margins if margin.axis == axis]
    if axis == "ability":
        margins.sort(key=lambda margin: _ability_order(margin.value))
    most = max((max(margin.wanted, margin.taken) for margin in margins), default=0)
    rows = []
    for margin in margins:
        name = _ability(margin.value) if axis == "ability" else escaped(margin.value)
        missing = margin.wanted - margin.taken
        mark = element("span", f"short {missing:,}", class_="tag") if missing > 0 else Html("")
        asked, reached = _percent(margin.wanted, plan.size), _percent(margin.taken, plan.size)
        picture = element("td", bar(_part(margin.taken, most), mark=_part(margin.wanted, most)), class_="wide")
        numbers = [f"{margin.wanted:,}", asked, f"{margin.available:,}", f"{margin.taken:,}", reached]
        rows.append([name, *numbers, mark, picture])
    head = [axis, "wanted", "asked", "available", "taken", "reached", "", element("span", "bar: taken, line: wanted")]
    return table(head, rows)


def _contents(mixture: pl.DataFrame) -> Html:
    answer = count(mixture.lazy())
    counts = {(each.ability or UNTAGGED, each.language): each.records for each in answer.cross}
    most = max(counts.values(), default=0)
    cells = {
        key: element(
            "td",
            element("b", f"{number:,}"),
            element("span", _percent(number, mixture.height), class_="sub"),
            style=_shade(number, most),
        )
        for key, number in counts.items()
    }
    turns = mixture.group_by(pl.col("turns").clip(upper_bound=10)).len().sort("turns").iter_rows()
    by_turns = {"10 and more" if turn == 10 else str(turn): number for turn, number in turns}
    sides = [
        element("div", _shares("construction", answer.by["construction"])),
        element("div", _shares("assistant turns", by_turns)),
    ]
    return joined(
        [
            _note("The training rows as written, copies included, by the language of their text."),
            _grid(cells, counts),
            element("div", *sides, class_="pair"),
        ]
    )


def _shares(title: str, counts: Mapping[str, int]) -> Html:
    total, most = sum(counts.values()), max(counts.values(), default=0)
    rows = [
        [name, f"{number:,}", _percent(number, total), element("td", bar(_part(number, most)), class_="wide")]
        for name, number in counts.items()
    ]
    return table([title, "rows", "share", ""], rows)


def _funnel(manifest: Manifest) -> Html:
    read = manifest.read
    left = read - sum(manifest.rejected.values())
    steps: list[tuple[str, str, int, int]] = [("read", "what the inputs hold", 0, read)]
    steps.append(("rejected", "rows that are not records", read - left, left))
    curated = {step.rule for step in manifest.funnel}
    for rule, dropped in manifest.dropped.items():
        if rule not in curated:
            left -= dropped
            steps.append((rule, "left out by the card", dropped, left))
    for step in manifest.funnel:
        left = step.left
        steps.append((step.rule, f"{step.rewritten:,} rewritten" if step.rewritten else "", step.dropped, left))
    steps.append(("unused", "more than the plan takes", manifest.unused, left - manifest.unused))
    steps.append(("drawn", "in the mixture, splits included", 0, manifest.drawn))
    rows = []
    for name, reason, lost, now in steps:
        picture = element("td", bar(_part(now, read)), class_="wide")
        label = joined([escaped(name), element("span", reason, class_="sub") if reason else Html("")])
        rows.append([label, f"−{lost:,}" if lost else "", f"{now:,}", _percent(now, read), picture])
    return table(["step", "lost", "left", "of read", ""], rows)


def _contamination(manifest: Manifest) -> Html:
    rows = [
        [
            one.benchmark,
            one.rule,
            f"{one.items:,}",
            f"{one.found:,}",
            _percent(one.found, one.items),
            f"{one.records:,}",
        ]
        for one in manifest.contamination
    ]
    note = (
        "Items whose n-grams, as many as the rule asks for, are in a record; found/ has every item, record and stretch."
    )
    return joined(
        [_note(note), table(["benchmark", "rule", "items", "found", "of them", "records with one"], rows, text=2)]
    )


def _sources(manifest: Manifest, mixture: pl.DataFrame) -> Html:
    taken = dict(mixture.group_by("source").len().iter_rows())
    most = max(taken.values(), default=0)
    rows, sums = [], [0] * 6
    for name, counts in manifest.sources.items():
        numbers = [*_law(counts), taken.get(name, 0)]
        sums = [before + more for before, more in zip(sums, numbers, strict=True)]
        share = joined([_percent(numbers[-1], mixture.height), bar(_part(numbers[-1], most))])
        shown = [f"{number:,}" for number in numbers]
        shown[3], shown[4] = _reasons(counts.dropped), _reasons(counts.rejected)
        licensed = element("span", manifest.licenses.get(name, "unknown"), class_="sub")
        rows.append([joined([name, licensed]), *shown, share])
    head = ["source, licence", "read", "drawn", "unused", "dropped", "rejected", "training rows", "share"]
    foot = ["all", *(f"{number:,}" for number in sums), ""]
    law = "For every source, read = drawn + unused + dropped + rejected."
    words = "Training rows count copies; drawn counts distinct records, splits included."
    return joined([_note(f"{law} {words}"), table(head, rows, foot=foot)])


def _law(counts: SourceCounts) -> list[int]:
    lost = [sum(counts.dropped.values()), sum(counts.rejected.values())]
    return [counts.read, counts.drawn, counts.unused, *lost]


def _reasons(counts: Mapping[str, int]) -> Html:
    lines = [element("span", f"{name} {number:,}", class_="sub") for name, number in counts.items() if number]
    return joined([f"{sum(counts.values()):,}", *lines])


def _rejects(manifest: Manifest, rejects: pl.DataFrame) -> Html:
    if not manifest.rejected and not rejects.height:
        return _note("Every row became a record.")
    most = max(manifest.rejected.values(), default=0)
    codes = [
        [code, CODES.get(code, ""), f"{number:,}", element("td", bar(_part(number, most)), class_="wide")]
        for code, number in manifest.rejected.items()
    ]
    columns = ["source", "file", "row", "field", "code", "reason"]
    rows = [[*(_cell(value) for value in row)] for row in rejects.select(columns).head(_MOST_REJECTS).iter_rows()]
    parts = [table(["code", "meaning", "rows", ""], codes, text=2)]
    if rows:
        title = f"The first {len(rows):,} of {rejects.height:,}" if rejects.height > len(rows) else "All of them"
        parts += [element("h3", title), table(columns, rows, text=6)]
    parts.append(
        _note(Html("All of them, with what they held, are in <code>rejects.parquet</code>, which is never published."))
    )
    return joined(parts)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _provenance(manifest: Manifest) -> Html:
    inputs = [
        [each.file, each.source, f"{each.bytes:,}", f"{each.read:,}", _digest(each.sha256)]
        for each in manifest.inputs[:_MOST_FILES]
    ]
    files = [
        [path, f"{each.bytes:,}", _digest(each.sha256)] for path, each in list(manifest.files.items())[:_MOST_FILES]
    ]
    spec = dump(manifest.spec)
    lines = [escaped(line, 2000) for line in spec[:_SPEC_CHARS].splitlines()]
    if len(spec) > _SPEC_CHARS:
        lines.append(Html("… the rest is in manifest.json"))
    versions = [[name, version] for name, version in manifest.versions.items()]
    return joined(
        [
            element("h3", "Build it again"),
            _note(
                "Save the spec below as spec.yaml beside the inputs. The same inputs give the same content digest "
                "on any machine."
            ),
            element("pre", "doit build spec.yaml OUT", Html("\n"), "doit verify OUT"),
            element("p", "Content digest ", element("code", manifest.digest), class_="note"),
            element("details", element("summary", "The spec, resolved"), element("pre", joined(lines, Html("\n")))),
            element("h3", "Inputs"),
            table(["file", "source", "bytes", "read", "SHA-256"], inputs, text=2),
            _more(len(manifest.inputs), "inputs"),
            element("h3", "Files of this mixture"),
            table(["file", "bytes", "SHA-256"], files),
            _more(len(manifest.files), "files"),
            element("h3", "Versions"),
            table(["library", "version"], versions),
        ]
    )


def _digest(digest: str) -> Html:
    return element("code", digest)


def _more(number: int, what: str) -> Html:
    return (
        _note(f"… and {number - _MOST_FILES:,} more {what}, all in manifest.json.")
        if number > _MOST_FILES
        else Html("")
    )


def _ability_order(name: str) -> tuple[int, str]:
    return _ABILITY_ORDER.get(name, len(_ABILITY_ORDER)), name


def _ability(name: str) -> Html:
    known = ABILITIES.get(name)
    chinese = element("span", known.zh, class_="zh", lang="zh-Hans") if known else Html("")
    return joined([name, chinese])


def _note(text: str) -> Html:
    return element("p", escaped(text, 2000), class_="note")


def _hidden(text: str) -> Html:
    return element("span", text, class_="hidden")


def _shade(number: int, most: int) -> str:
    return f"--v:{_part(number, most):.3f}"


def _part(number: float, most: float) -> float:
    return number / most if most else 0.0


def _percent(number: float, total: float) -> str:
    part = _part(number, total)
    return "<0.1%" if 0 < part < 0.001 else f"{part:.1%}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
