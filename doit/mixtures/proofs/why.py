"""Why a row was drawn, left or dropped: one line of the ledger in sentences, each with the number behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from pydantic import ValidationError

from doit.curation.rules.base import Rule
from doit.curation.rules.contamination import Contaminated
from doit.curation.rules.duplicates import applied
from doit.curation.rules.lengths import Tokens
from doit.errors import CODES, SpecError, did_you_mean
from doit.mixtures.building.evidence import FOLDER, evidence_names
from doit.mixtures.manifest import Manifest, spelled_out
from doit.mixtures.opening import Opened, collected, open_mixtures, scan_table
from doit.mixtures.pools.identical import EXACT
from doit.mixtures.proofs.answers import Place, Rank, WhyAnswer, WhyLine
from doit.mixtures.spec import MixtureSpec

SHORTEST = 6
"""Hexadecimal digits that a shortened id has at least."""

EXCERPT = 300
"""Characters of a rejected row that are shown."""

_MOST_ITEMS = 5
"""Items of benchmarks that are named of one record."""

_ID = re.compile(r"[0-9a-fA-F]+")
_ALIKE = re.compile(r"(-?[0-9.]+) [0-9a-f]{32}")
"""A similarity and the survivor's id, as rules that compare records write them."""
_WHOLE_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def why(out: Path, target: str) -> WhyAnswer:
    """Explain what became of a record or of a row.

    Args:
        out: a mixture's folder; of a series or of variants, every one answers.
        target: an id of 32 hexadecimal digits or its first ones, at least `SHORTEST`; or `FILE:ROW`, the row counted
            from 0 as in the ledger and the rejects; or `SOURCE:FILE:ROW` where two sources read one file.

    Returns:
        Every line of the ledger that the target names: copies of one conversation share an id, and a row may make
        several records.

    Raises:
        SpecError: D203 no such id, or several; D206 no such file or row, or no mixture; D204 neither id nor row.
        StorageError: D102 a file of the mixture is damaged.
    """
    lines: list[WhyLine] = []
    for mixture in open_mixtures(out):
        ledger = scan_table(mixture.folder, "ledger.parquet")
        found = _found(ledger, target, mixture.folder)
        context = _Context(mixture, ledger, found)
        lines += [context.explained(line) for line in found.to_dicts()]
    return WhyAnswer(out=str(out), target=target, lines=tuple(lines))


def _found(ledger: pl.LazyFrame, target: str, folder: Path) -> pl.DataFrame:
    """The lines that a target names, at least one."""
    name, colon, row = target.rpartition(":")
    if colon and row.isascii() and row.isdigit() and name:
        return _of_row(ledger, name, int(row), folder)
    if not _ID.fullmatch(target):
        hint = "Give an id, or FILE:ROW with the row counted from 0."
        raise SpecError("D204", f"{target!r} is neither an id nor FILE:ROW.", hint=hint)
    return _of_id(ledger, target.lower(), folder)


def _of_id(ledger: pl.LazyFrame, start: str, folder: Path) -> pl.DataFrame:
    if not SHORTEST <= len(start) <= 32:
        hint = f"An id has 32 hexadecimal digits; its first {SHORTEST} are the least to give."
        raise SpecError("D204", f"{start!r} has {len(start)} digits.", hint=hint)
    found = collected(ledger.filter(pl.col("id").str.starts_with(start)), folder)
    ids = found["id"].unique().sort().to_list()
    if len(ids) > 1:
        shown = ", ".join(ids[:3]) + (" …" if len(ids) > 3 else "")
        raise SpecError("D203", f"{len(ids)} ids begin with {start}: {shown}.", where=str(folder), hint="Give more.")
    if not ids:
        near = collected(ledger.filter(pl.col("id").str.starts_with(start[:SHORTEST])).select("id").head(1), folder)
        hint = f'Did you mean "{near.item()}"?' if near.height else "Give FILE:ROW to find a row by its place."
        raise SpecError("D203", f"no record has the id {start}.", where=str(folder), hint=hint)
    return found


def _of_row(ledger: pl.LazyFrame, name: str, row: int, folder: Path) -> pl.DataFrame:
    files = collected(ledger.select("source", "file").unique().sort("source", "file"), folder)
    chosen = [pair for pair in files.rows() if name in (pair[1], f"{pair[0]}:{pair[1]}")]
    if not chosen:
        known = [*files["file"], *(f"{source}:{file}" for source, file in files.rows())]
        near = did_you_mean(name, known) or _by_last_part(name, files["file"].to_list())
        listed = ", ".join(files["file"].unique().sort().head(3))
        hint = near or f"It has {listed}{' …' if files['file'].n_unique() > 3 else ''}."
        raise SpecError("D206", f'the ledger has no file "{name}".', where=str(folder), hint=hint)
    inside = pl.any_horizontal([(pl.col("source") == source) & (pl.col("file") == file) for source, file in chosen])
    found = collected(ledger.filter(inside & (pl.col("row") == row)), folder)
    if found.is_empty():
        raise _no_row(collected(ledger.filter(inside).select("row"), folder)["row"], name, row, folder)
    return found


def _by_last_part(name: str, files: Sequence[str]) -> str:
    same = [file for file in files if file.rpartition("/")[2] == name.rpartition("/")[2]]
    return f'Did you mean "{same[0]}"?' if same else ""


def _no_row(rows: pl.Series, name: str, row: int, folder: Path) -> SpecError:
    last = rows.max()
    what = f"{name} has no row {row:,}" + ("." if last is None else f": its rows are 0 to {int(str(last)):,}.")
    broken = rows.null_count()
    hint = f"In {broken} stretches of it no rows can be told apart: see rejects.parquet." if broken else ""
    return SpecError("D206", what, where=str(folder), hint=hint or "Rows count from 0; blank lines are not rows.")


class _Context:
    """What a mixture says beside the lines themselves; read once for all of them."""

    def __init__(self, mixture: Opened, ledger: pl.LazyFrame, found: pl.DataFrame) -> None:
        self.label, self.manifest, folder = mixture.label, mixture.manifest, mixture.folder
        self.cells = _cuts(ledger, found, folder)
        self.survivors = _survivors(ledger, found, folder)
        self.rules = _rules(self.manifest)
        self.items = _items(mixture, self.rules, found)
        self.rejects: list[dict[str, Any]] = []
        bad = found.filter(pl.col("fate") == "rejected").select("source", "file").unique()
        if bad.height:
            rejects = scan_table(folder, "rejects.parquet").join(bad.lazy(), on=["source", "file"], how="semi")
            inside = pl.col("row").is_in(found["row"].drop_nulls().unique().to_list())
            self.rejects = collected(rejects.filter(inside), folder).to_dicts()

    def explained(self, line: Mapping[str, Any]) -> WhyLine:
        """A line with the numbers and sentences that belong to it."""
        facts: dict[str, Any] = {**line, "epochs": line["epoch"], "mixture": self.label}
        del facts["epoch"]
        changed = f", {line.get('rewritten') or ''}, "
        facts["rewritten"] = tuple(title for title in self.rules if f", {title}, " in changed)
        facts["holds"] = tuple(item for title, item in self.items.get(line["id"], ()) if title != line["rule"])
        rank = line["rank"]
        rejected = line["fate"] == "rejected"
        if line["cell"] is not None and rank is not None and line["split"] in (None, "train"):
            of, drawn = self.cells[line["cell"]]
            facts["key"] = Rank(rank=rank, of=of, drawn=drawn)
        del facts["rank"]
        if line["fate"] == "dropped":
            facts["asks"] = _asks(line, self.manifest, self.rules)
            kept = [self.survivors[one] for one in _may_survive(line) if one in self.survivors]
            facts["survivor"] = kept[0] if kept else None
        if rejected:
            facts |= self._reject(line)
        told = WhyLine(**facts, facts=())
        changes = [_change(title, self.rules[title]) for title in told.rewritten]
        return told.model_copy(update={"facts": tuple(_sentences(told, self.manifest, changes))})

    def _reject(self, line: Mapping[str, Any]) -> dict[str, Any]:
        same = ("source", "file", "row", "part")
        for reject in self.rejects:
            if all(reject[name] == line[name] for name in same) and reject["code"] == line["rule"]:
                return {name: reject[name] for name in ("byte", "field", "reason")} | {"raw": _excerpt(reject["raw"])}
        return {}


def _cuts(ledger: pl.LazyFrame, found: pl.DataFrame, folder: Path) -> dict[str, tuple[int, int]]:
    """Of every cell found: the records that training draws from, and how many are drawn."""
    cells = found["cell"].drop_nulls().unique().to_list()
    if not cells:
        return {}
    inside = ledger.filter(
        pl.col("cell").is_in(cells) & pl.col("rank").is_not_null() & (pl.col("split").fill_null("train") == "train")
    )
    counts = inside.group_by("cell").agg(of=pl.len(), drawn=(pl.col("fate") == "drawn").sum())
    return {cell: (of, drawn) for cell, of, drawn in collected(counts, folder).rows()}


def _may_survive(line: Mapping[str, Any]) -> list[str]:
    """Ids of the record that a dropped one may duplicate: its own, and the one that the rule's value names."""
    named = _WHOLE_ID.findall(line["value"] or "")
    return [line["id"], *named] if line["rule"] == EXACT else named


def _survivors(ledger: pl.LazyFrame, found: pl.DataFrame, folder: Path) -> dict[str, Place]:
    """Id -> the record that has it and is no exact duplicate of another."""
    dropped = found.filter(pl.col("fate") == "dropped").to_dicts()
    ids = {one for line in dropped for one in _may_survive(line)}
    if not ids:
        return {}
    original = pl.col("id").is_in(sorted(ids)) & (pl.col("rule").is_null() | (pl.col("rule") != EXACT))
    columns = ["id", *Place.model_fields]
    rows = collected(ledger.filter(original).select(columns), folder).to_dicts()
    return {row.pop("id"): Place(**row) for row in rows}


def _asks(line: Mapping[str, Any], manifest: Manifest, rules: Mapping[str, Rule]) -> dict[str, Any] | None:
    """The fields of the rule that dropped a line."""
    if line["rule"] == "where":
        card = _source(manifest, line["source"]).get("dataset", {})
        found = {key: card[key] for key in ("where", "preference") if key in card}
        return found or None
    rule = rules.get(line["rule"])
    return None if rule is None else _fields(rule)


def _fields(rule: Rule) -> dict[str, Any] | None:
    """What a rule asks: its fields, benchmarks by their names."""
    fields = {key: value for key, value in spelled_out(rule).items() if key not in ("kind", "name")}
    if isinstance(rule, Contaminated):
        fields["against"] = list(rule.references)
    return fields or None


def _rules(manifest: Manifest) -> dict[str, Rule]:
    """Title -> the rule, as the funnel names them."""
    try:
        spec = MixtureSpec.model_validate(manifest.spec)
    except ValidationError:  # another version wrote the spec: what its rules ask is then not said
        return {}
    return {rule.title: rule for rule in applied(spec.curation)}


def _items(mixture: Opened, rules: Mapping[str, Rule], found: pl.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """Id -> (rule, item of a benchmark) of the records found, from the evidence that the build left."""
    names = evidence_names([step.rule for step in mixture.manifest.funnel])
    said: dict[str, list[tuple[str, str]]] = {}
    ids = found["id"].drop_nulls().unique().to_list()
    for title, rule in rules.items():
        path = mixture.folder / FOLDER / names.get(title, "")
        if not isinstance(rule, Contaminated) or not path.is_file():
            continue
        mine = scan_table(mixture.folder, f"{FOLDER}/{names[title]}").filter(pl.col("id").is_in(ids))
        for item in collected(mine.head(_MOST_ITEMS * max(1, len(ids))), mixture.folder).iter_rows(named=True):
            told = f"{item['benchmark']} {item['file']}:{item['row']} {round(item['coverage'], 4)}"
            said.setdefault(item["id"], []).append((title, told))
    return {one: items[:_MOST_ITEMS] for one, items in said.items()}


def _source(manifest: Manifest, name: str) -> dict[str, Any]:
    """The source of the spec with this dataset."""
    for source in manifest.spec.get("sources", ()):
        if isinstance(source.get("dataset"), dict) and source["dataset"].get("name") == name:
            return dict(source)
    return {}


def _excerpt(raw: str | None) -> str | None:
    return raw if raw is None or len(raw) <= EXCERPT else raw[: EXCERPT - 1] + "…"


# -- sentences


def _sentences(line: WhyLine, manifest: Manifest, changes: Sequence[str]) -> list[str]:
    told = [_read(line)]
    if line.id is not None:
        told.append(f"Its id is {line.id}.")
    told += changes
    told += [f"It holds an item of a benchmark: {item}." for item in line.holds]
    told += {"drawn": _drawn, "unused": _unused, "dropped": _dropped, "rejected": _rejected}[line.fate](line, manifest)
    return told


def _read(line: WhyLine) -> str:
    at = "in a stretch where no rows can be told apart" if line.row is None else f"row {line.row:,} (counted from 0)"
    part = f", part {line.part}" if line.part else ""
    return f"Read from {line.file}, {at}{part}, source {line.source}."


def _change(title: str, rule: Rule) -> str:
    """What a rule did to a record's text."""
    if isinstance(rule, Tokens):
        return f"It is a piece, with an id of its own, of a conversation that {title} split at {rule.at_most:,}."
    asked = ", ".join(f"{name}: {_plain(value)}" for name, value in (_fields(rule) or {}).items())
    return f"{title} changed its text ({asked}); its id is of the text as it was."


def _drawn(line: WhyLine, manifest: Manifest) -> list[str]:
    copies = "once" if line.epochs in (None, 1) else f"{line.epochs} times (epochs 1 to {line.epochs})"
    return [f"Drawn {copies}, into {line.split}.", *_by_key(line)]


def _unused(line: WhyLine, manifest: Manifest) -> list[str]:
    if line.rule == "keep":
        keep = _source(manifest, line.source).get("keep")
        return [f"Unused: `keep: {keep}` of source {line.source} leaves it out."]
    if line.rule == "no target":
        axes = ", ".join(f"mix.{axis}" for axis in manifest.spec.get("mix", {}))
        return [f'Unused: one of its values is neither named nor under "*" in the targets ({axes}).']
    return ["Unused: nothing is wrong with it, the cell was full before its turn.", *_by_key(line)]


def _by_key(line: WhyLine) -> list[str]:
    if line.cell is None:
        return []
    cell = "It is in the one cell of a mixture without targets." if line.cell == "everything" else f"Cell {line.cell}."
    if line.key is None:
        return [cell]
    rank, of, drawn = line.key.rank + 1, line.key.of, line.key.drawn
    taken = {0: "none is drawn", 1: "the first is drawn"}.get(drawn, f"the first {drawn:,} are drawn")
    return [cell, f"By its key it is number {rank:,} of the cell's {of:,} records; {taken}."]


def _dropped(line: WhyLine, manifest: Manifest) -> list[str]:
    asked = ", ".join(f"{name}: {_plain(value)}" for name, value in (line.asks or {}).items())
    if line.rule == "where":
        return [f"Dropped: the card leaves this row out ({asked})." if asked else "Dropped: the card leaves it out."]
    if line.survivor is not None:
        place = line.survivor
        same = "the same conversation" if line.rule == EXACT else _likeness(line)
        at = f"{place.file} row {place.row:,}" if place.row is not None else place.file
        kept = f"{same} was kept: {at} of source {place.source}"
        by = "" if place.rule is None else f" by {place.rule}" if place.fate == "dropped" else f" ({place.rule})"
        kept = kept.replace(" was kept: ", ": ") if "that stays" in kept else kept
        return [f"Dropped by {line.rule}: {kept}.", f"That record is {place.fate}{by}."]
    measured = "" if line.value is None else f": it has {line.value}"
    return [f"Dropped by {line.rule}{f' ({asked})' if asked else ''}{measured}."]


def _likeness(line: WhyLine) -> str:
    """What the record that was kept is to the one that was dropped, and how like it is."""
    alike = _ALIKE.fullmatch(line.value or "")
    if alike is None:
        return "a record that it duplicates"
    asks = line.asks or {}
    if "threshold" in asks:
        return f"a record that it duplicates (similarity {alike[1]}, threshold {_plain(asks['threshold'])})"
    return f"the nearest record that stays (cosine {alike[1]})"


def _rejected(line: WhyLine, manifest: Manifest) -> list[str]:
    meaning = CODES.get(line.rule or "", "")
    told = [f"Rejected with {line.rule}{f', {meaning}' if meaning else ''}: {line.reason or 'see rejects.parquet.'}"]
    if line.byte is not None:
        told.append(f"It begins at byte {line.byte:,} of the file.")
    if line.raw:
        told.append(f"The row reads: {line.raw}")
    return told


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
