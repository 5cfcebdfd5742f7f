"""The main job: read, curate, plan, draw, write. `plan` stops before the draw."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa

from doit import storage
from doit.curation.keys import hexadecimal
from doit.errors import DoitError, ShortStock
from doit.mixtures.building.digest import ContentDigest
from doit.mixtures.building.draw import draw, ordered
from doit.mixtures.building.evidence import FOLDER, evidence_names
from doit.mixtures.building.held_out import with_splits
from doit.mixtures.building.ledger import FATES, count, ledger, total, write_ledger
from doit.mixtures.building.splitting import SPLITS
from doit.mixtures.building.stocking import Stocked, lost, stocked
from doit.mixtures.building.writing import write_split
from doit.mixtures.loading import Resolved
from doit.mixtures.manifest import BuildAnswer, BuiltFile, Cell, Manifest, Margin, PlanAnswer, spelled_out
from doit.mixtures.planning import cells as cellular
from doit.mixtures.planning.plan import Plan, Request, plan
from doit.mixtures.pools.curating import Curated
from doit.mixtures.pools.pool import Pool, all_left_out, all_rejects, open_records
from doit.mixtures.rule_files import rule_files
from doit.mixtures.spec import AXES
from doit.mixtures.suggesting import suggest

Pages = Callable[[Manifest, pl.DataFrame, pl.DataFrame, Path], Mapping[str, str]]
"""(manifest, training rows without text, rejects, folder) -> file name -> text: the report and the dataset card."""

FATE, NAMES = pl.Enum(FATES), pl.Enum(["test", "train", "validation"])

ID = pa.string()

VERSIONED = ("polars", "pyarrow", "pydantic", "numpy", "orjson")


def plan_mixture(
    resolved: Resolved, *, workers: int | None = None, engine: str = "local", strict: bool = False
) -> PlanAnswer:
    """What a build would take, cell by cell; writes nothing but the cache.

    Where a build would refuse for lack of data, the answer is the nearest plan, with the refusal and what would work.

    Raises:
        ShortStock: not even the nearest plan fills the size.
    """
    if resolved.variants:
        options = {"workers": workers, "engine": engine, "strict": strict}
        answers = {name: plan_mixture(variant, **options) for name, variant in resolved.variants}  # type: ignore[arg-type]
        return next(iter(answers.values())).model_copy(update={"variants": answers})
    found = stocked(resolved, workers=workers, engine=engine, strict=strict)
    refused = patch = None
    try:
        made = _plans(resolved, found)[0][1]
    except ShortStock as error:
        nearest = resolved.spec.model_copy(update={"shortage": "redistribute"})
        made = _plans(replace(resolved, spec=nearest), found)[0][1]
        refused, patch = str(error), suggest(resolved.spec, made)
    drawn = None if found.weight is None else _drawn(found, made, resolved.spec.seed)
    answer = _answer(made, resolved, found, drawn)
    told = {"lost": lost(found.pool, found.slim), "warnings": found.warnings, "refused": refused, "patch": patch}
    return answer.model_copy(update=told)


def build_mixture(
    resolved: Resolved,
    out: Path,
    *,
    pages: Pages,
    workers: int | None = None,
    engine: str = "local",
    strict: bool = False,
) -> BuildAnswer:
    """Build a mixture; with `series` one a size in `OUT/<size>`, with `variants` one a variant in `OUT/<name>`.

    Args:
        resolved: the spec with its cards and files.
        out: the folder to make or replace.
        pages: writes the report and the dataset card.
        workers: processes that read; None = as many as help.
        engine: local or ray.
        strict: any reject or unknown label is an error.

    Returns:
        What was built; of a series its largest mixture, of variants the first.
    """
    answers = {}
    with storage.replacing(out) as staging:
        for name, variant in resolved.variants or (("", resolved),):
            found = stocked(variant, workers=workers, engine=engine, strict=strict, beside=_import_ahead)
            answers[name] = _build(variant, found, staging / name, out / name, pages)
        if resolved.variants:
            digests = {name: answer.digest for name, answer in answers.items()}
            storage.write_json(staging / "manifest.json", {"doit": version("doit-mix"), "variants": digests})
    first = next(iter(answers.values()))
    if not resolved.variants:
        return first
    return first.model_copy(update={"variants": {name: str(out / name) for name in answers}})


def _import_ahead() -> None:
    """Import what writes, which takes a while."""
    for name in ("pyarrow.compute", "pyarrow.parquet"):
        importlib.import_module(name)


def _build(resolved: Resolved, found: Stocked, staging: Path, out: Path, pages: Pages) -> BuildAnswer:
    """Plan, draw and write one spec's mixture, or its series."""
    plans = _plans(resolved, found)
    series = bool(resolved.spec.series)
    built = {
        size: _write(resolved, found, made, staging / str(size) if series else staging, pages) for size, made in plans
    }
    largest = built[plans[0][0]]
    if series:
        _write_series(staging, built)
    home = out / str(plans[0][0]) if series else out
    return BuildAnswer(
        out=str(home),
        digest=largest.digest,
        read=largest.read,
        drawn=largest.drawn,
        unused=largest.unused,
        dropped=largest.dropped,
        rejected=largest.rejected,
        sources=largest.sources,
        cells=largest.plan.cells,
        size=largest.rows,
        splits=largest.splits,
        report=str(home / "report.html"),
        funnel=largest.funnel,
        contamination=largest.contamination,
        warnings=(*largest.warnings, *(n for s in resolved.sources if s.fetched for n in s.fetched.notes)),
        series={str(size): str(out / str(size)) for size, _ in plans} if series else None,
    )


def _plans(resolved: Resolved, found: Stocked) -> list[tuple[int, Plan]]:
    """The plan of every size, the largest first, each under the one before."""
    spec = resolved.spec
    stock = cellular.stock(found.slim, found.cells, found.weight)
    whole = spec.size if isinstance(spec.size, int) else None
    asked: list[int | None] = [*sorted(spec.series, reverse=True)] or [whole]
    ceilings: dict[tuple[str, ...], int] | None = None
    plans = []
    for size in asked:
        try:
            made = plan(Request(found.axes, size, spec.shortage, ceilings), stock)
        except ShortStock as error:
            raise with_splits(error, found, spec.splits).within(resolved.where) from None
        except DoitError as error:
            raise error.within(resolved.where) from None
        plans.append((size or made.size, made))
        ceilings = {cell.values: cell.taken for cell in made.cells}
    return plans


def _answer(made: Plan, resolved: Resolved, found: Stocked, drawn: pl.DataFrame | None) -> PlanAnswer:
    """A plan as people read it. Of tokens, `taken` is what the drawn records hold, not what was planned."""
    cells = [
        Cell(
            **cellular.fields(found.axes, cell.values),
            wanted=cell.wanted,
            available=cell.available,
            taken=cell.taken,
            epochs=cell.epochs,
        )
        for cell in made.cells
    ]
    margins, short = [[Margin(**vars(margin)) for margin in group] for group in (made.margins, made.short)]
    if drawn is not None:
        cells = _in_tokens(cells, drawn, found)
        taken = {(a, getattr(c, a)): 0 for c in cells for a in AXES}
        for cell in cells:
            for axis in AXES:
                taken[axis, getattr(cell, axis)] += cell.taken
        margins = [m.model_copy(update={"taken": taken[m.axis, m.value]}) for m in margins]
    return PlanAnswer(
        size=made.size,
        unit=resolved.spec.unit,
        cells=tuple(cells),
        margins=tuple(margins),
        short=tuple(short),
        shortage=resolved.spec.shortage,
        holds=made.holds,
        d=None if made.D is None else float(made.D),
        e=float(made.E),
        proven=made.proven,
    )


def _in_tokens(cells: Sequence[Cell], drawn: pl.DataFrame, found: Stocked) -> list[Cell]:
    """The cells with the tokens and records that were drawn."""
    amount = (pl.col(found.weight or "tokens").cast(pl.Int64) * pl.col("epoch")).sum()
    held = drawn.filter(pl.col("split") == "train").group_by("cell_name").agg(amount, pl.col("epoch").sum())
    got = {name: (int(tokens), int(records)) for name, tokens, records in held.rows()}
    filled = []
    for cell in cells:
        name = cellular.cell_name(found.axes, [getattr(cell, axis.name) for axis in found.axes])
        tokens, records = got.get(name, (0, 0))
        filled.append(
            cell.model_copy(update={"taken": tokens, "records": records, "epochs": min(cell.epochs, records)})
        )
    return filled


def _write(resolved: Resolved, found: Stocked, made: Plan, folder: Path, pages: Pages) -> Manifest:
    """Draw one plan and write its folder, manifest last."""
    spec = resolved.spec
    slim = _drawn(found, made, spec.seed)
    rejects = all_rejects(found.pool.parts)
    lines = ledger(slim, [part.file for part in found.pool.parts], all_left_out(found.pool.parts), rejects)
    with ThreadPoolExecutor(1) as beside:
        # The ledger has every record and the texts are few: the one is written while the others are fetched.
        ledgered = beside.submit(_ledgered, folder, lines, found.pool)
        _write_table(folder / "rejects.parquet", rejects)
        evidence = _write_evidence(folder / FOLDER, found.curated)
        digest, train = ContentDigest(), _in_order(slim, "train", spec.seed)
        data = write_split("train", train, found.pool.parts, _made(folder / "data"), digest)
        held = {name: rows for name in sorted(SPLITS) if (rows := _in_order(slim, name, spec.seed)).height}
        for name in SPLITS:
            if name in held:
                data += write_split(name, held[name], found.pool.parts, folder / "data", digest)
        counts = count(lines.select("source", "fate", "rule"), [s.card.name for s in resolved.sources])
        manifest = Manifest(
            doit=version("doit-mix"),
            name=spec.name,
            digest=digest.hexdigest(),
            spec=spelled_out(spec),
            rows=train.height,
            read=sum(source.read for source in counts.values()),
            drawn=sum(source.drawn for source in counts.values()),
            unused=sum(source.unused for source in counts.values()),
            dropped=total(counts, "dropped"),
            rejected=total(counts, "rejected"),
            sources=counts,
            licenses={source.card.name: source.card.license for source in resolved.sources},
            plan=_answer(made, resolved, found, None if found.weight is None else slim),
            splits={name: rows.height for name, rows in held.items()},
            funnel=found.curated.funnel,
            contamination=found.curated.contamination,
            inputs=found.pool.inputs,
            rule_files=rule_files(resolved),
            warnings=found.warnings,
            tokenizer=found.tokenizer,
            versions={"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
        )
        files = (
            _digests(folder, [*data, *evidence]) | ledgered.result() | _digests(folder, [folder / "rejects.parquet"])
        )
    manifest = manifest.model_copy(update={"files": files})
    written = []
    for name, text in pages(manifest, train, pl.DataFrame(rejects), folder).items():
        storage.write_text(folder / name, text)
        written.append(folder / name)
    manifest = manifest.model_copy(update={"files": {**manifest.files, **_digests(folder, written)}})
    storage.write_json(folder / "manifest.json", manifest.document())
    return manifest


def _drawn(found: Stocked, made: Plan, seed: int) -> pl.DataFrame:
    """The slim table with every record's rank, copies and fate."""
    number = {cell: index for index, cell in enumerate(found.cells)}
    taken = {number[cell.values]: cell.taken for cell in made.cells if cell.taken}
    names = [cellular.cell_name(found.axes, cell) for cell in found.cells]
    slim, inside = found.slim, found.slim["cell"] != cellular.NOWHERE
    needed = ["id", "cell", "max_epochs", *([found.weight] if found.weight else [])]
    drawn = draw(slim.select(needed).filter(inside), taken, seed, found.weight)
    at = inside.arg_true().to_numpy()
    rank, epoch = np.zeros(slim.height, np.uint32), np.zeros(slim.height, np.int32)
    rank[at], epoch[at] = drawn["rank"].to_numpy(), drawn["epoch"].to_numpy()
    placed = pl.DataFrame({"rank": rank, "epoch": epoch, "inside": inside})
    cell = pl.Series(names, dtype=pl.Enum(names)).gather(slim["cell"].replace(cellular.NOWHERE, None))
    slim = slim.hstack(placed).with_columns(
        rank=pl.when("inside").then("rank"),
        cell_name=cell,
        split=pl.coalesce(pl.col("split").cast(NAMES), pl.when(pl.col("epoch") > 0).then(pl.lit("train", NAMES))),
    )
    unused = pl.col("rule").is_null() | pl.col("rule").is_in(["keep", "no target"])
    fate = pl.when(pl.col("epoch") > 0).then(pl.lit("drawn", FATE)).when(unused).then(pl.lit("unused", FATE))
    once = pl.when(pl.col("split").is_null() | (pl.col("epoch") > 0)).then("epoch").otherwise(1)
    return slim.drop("inside").with_columns(epoch=once).with_columns(fate=fate.otherwise(pl.lit("dropped", FATE)))


def _in_order(slim: pl.DataFrame, split: str, seed: int) -> pl.DataFrame:
    """The rows of a split in the mixture's order, with ids and labels spelled out."""
    rows = ordered(slim[(slim["split"] == split).arg_true()], seed)
    return rows.with_columns(cs.enum().cast(pl.String), hexadecimal(rows["id"]))


def _ledgered(folder: Path, lines: pl.DataFrame, pool: Pool) -> dict[str, BuiltFile]:
    """Write the ledger; its digest."""
    ids = [open_records(part.entry.folder, ["id"])["id"] for part in pool.parts]
    write_ledger(folder / "ledger.parquet", lines, pa.chunked_array([chunk for of in ids for chunk in of.chunks], ID))
    return _digests(folder, [folder / "ledger.parquet"])


def _write_table(path: Path, table: pa.Table) -> None:
    storage.write_slim_parquet(path, table.schema, [table])


def _write_evidence(folder: Path, curated: Curated) -> list[Path]:
    """What rules found, for people: `found/<rule>.parquet`. Like the ledger it stays at home."""
    details = curated.details
    if not details:
        return []
    names = evidence_names([step.rule for step in curated.funnel])
    paths = [_made(folder) / names[rule] for rule in details]
    for path, table in zip(paths, details.values(), strict=True):
        plain = {name: pa.string() for name, kind in table.schema.items() if kind == pl.String}
        arrow = table.to_arrow()
        schema = pa.schema([(field.name, plain.get(field.name, field.type)) for field in arrow.schema])
        _write_table(path, arrow.cast(schema))
    return paths


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digests(folder: Path, files: Sequence[Path]) -> dict[str, BuiltFile]:
    return {
        path.relative_to(folder).as_posix(): BuiltFile(bytes=path.stat().st_size, sha256=storage.file_digest(path))
        for path in files
    }


def _write_series(staging: Path, built: Mapping[int, Manifest]) -> None:
    """The manifest of a series: which sizes it has, and their digests."""
    sizes = {str(size): manifest.digest for size, manifest in built.items()}
    storage.write_json(staging / "manifest.json", {"doit": version("doit-mix"), "series": sizes})
