"""Verify a mixture: recompute every digest, every law of rows, the plan's counts and the draw, from what lies there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from doit.curation.keys import keys
from doit.mixtures.building.digest import ContentDigest
from doit.mixtures.building.ledger import count, total
from doit.mixtures.manifest import Check, Manifest, VerifyAnswer
from doit.mixtures.opening import Opened, open_mixtures
from doit.mixtures.planning import cells as cellular
from doit.mixtures.proofs.checking import ID, Broken, changed, checked, columns_law, nested_check, order_law, reading
from doit.mixtures.proofs.published import is_recipe, publication, recipe_checks
from doit.mixtures.spec import MixtureSpec
from doit.progress import Progress
from doit.schemas.record import content_id
from doit.table import LEDGER, MIXTURE, REJECTS

SPLITS = ("train", "validation", "test")
HEAVY = ("messages", "reasoning", "tools")

LEDGER_FILE, REJECTS_FILE = "ledger.parquet", "rejects.parquet"


def verify(out: Path) -> VerifyAnswer:
    """Check everything that a mixture, a series, a set of variants or the recipe of one claims about itself.

    Returns:
        Every check with what it found; `ok` is true if all are.

    Raises:
        SpecError: D206 there is no mixture, or another code: the spec in its manifest is none of this version.
        StorageError: D102 its manifest cannot be read.
    """
    opened = open_mixtures(out)
    for one in opened:
        one.spec()
    if is_recipe(opened):
        found = recipe_checks(out if out.is_dir() else out.parent, opened)
        return VerifyAnswer(ok=all(check.ok for check in found), checks=tuple(found))
    checks = []
    for one in opened:
        place = f"{one.label}: " if one.label else ""
        checks += [check.model_copy(update={"name": place + check.name}) for check in _checks(one.folder, one.manifest)]
    for variant in dict.fromkeys(one.variant for one in opened):
        sizes = [one for one in opened if one.variant == variant and one.size is not None]
        if sizes and all(check.ok for check in checks if check.name.endswith(("files", "columns"))):
            checks.append(_nested(sizes))
    return VerifyAnswer(ok=all(check.ok for check in checks), checks=tuple(checks))


def _checks(folder: Path, manifest: Manifest) -> list[Check]:
    checks = [_files(folder, manifest)]
    if not checks[0].ok:
        return checks
    try:
        columns = _columns(folder, manifest)
        rows, lines = _slim(folder, manifest), _lines(folder, manifest)
    except Broken as broken:
        return [*checks, Check(name="columns", ok=False, detail=f"D501 {broken}")]
    checks.append(Check(name="columns", ok=True, detail=columns))
    if lines is None:
        kept: list[tuple[str, Callable[[], str]]] = [
            ("content digest", lambda: _content(folder, manifest)),
            ("identities", lambda: _identities(folder, manifest)),
            ("order", lambda: order_law(rows, manifest)),
        ]
        return checks + [checked(name, law) for name, law in kept]
    laws: list[tuple[str, Callable[[], str]]] = [
        ("content digest", lambda: _content(folder, manifest)),
        ("identities", lambda: _identities(folder, manifest)),
        ("law of rows", lambda: _law(lines, manifest)),
        ("rejects", lambda: _rejects(folder, lines)),
        ("membership", lambda: _membership(lines, rows)),
        ("plan", lambda: _plan(lines, rows, manifest)),
        ("draw", lambda: _draw(lines, manifest)),
        ("order", lambda: order_law(rows, manifest)),
    ]
    return checks + [checked(name, law) for name, law in laws]


def _files(folder: Path, manifest: Manifest) -> Check:
    """Every file that the manifest names is there, unchanged, and no Parquet file has come on top."""
    for name, built in manifest.files.items():
        if wrong := changed(folder / name, name, built.sha256):
            return Check(name="files", ok=False, detail=wrong)
    extra = {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")} - set(manifest.files)
    if extra:
        return Check(name="files", ok=False, detail=f"D102 {min(extra)} is not in the manifest.")
    return Check(name="files", ok=True, detail=f"{len(manifest.files)} files match their digests.")


def _columns(folder: Path, manifest: Manifest) -> str:
    """Every table has the columns that a build writes."""
    data = _data(folder, manifest)
    if not data:
        raise Broken("the manifest names no file in data/.")
    tables = [(path, MIXTURE) for _, path in data]
    if LEDGER_FILE in manifest.files:
        if REJECTS_FILE not in manifest.files:
            raise Broken(f"the manifest names {LEDGER_FILE}, but not {REJECTS_FILE}.")
        tables += [(folder / LEDGER_FILE, LEDGER), (folder / REJECTS_FILE, REJECTS)]
    for path, schema in tables:
        columns_law(path, path.relative_to(folder).as_posix(), schema)
    return f"{len(tables)} tables have their columns and types."


def _data(folder: Path, manifest: Manifest) -> list[tuple[str, Path]]:
    """(split, file) of all data files, in the mixture's order."""
    names = sorted(name for name in manifest.files if name.startswith("data/"))
    return [(split, folder / name) for split in SPLITS for name in names if name.startswith(f"data/{split}-")]


def _slim(folder: Path, manifest: Manifest) -> pl.DataFrame:
    with reading("data"):
        frames = [
            pl.scan_parquet(path, glob=False).drop(HEAVY).with_columns(split=pl.lit(split)).collect()
            for split, path in _data(folder, manifest)
        ]
    return pl.concat(frames)


def _lines(folder: Path, manifest: Manifest) -> pl.DataFrame | None:
    """The ledger; None of a published mixture, whose ledger and rejects have stayed at home."""
    if LEDGER_FILE not in manifest.files:
        return None
    with reading(LEDGER_FILE):
        return pl.read_parquet(folder / LEDGER_FILE, glob=False)


def _content(folder: Path, manifest: Manifest) -> str:
    digest = ContentDigest()
    for split, path in _data(folder, manifest):
        with reading(path.name):
            rows = pq.read_table(path)
        digest.update(split, rows)
    copied = publication(folder)
    wanted = (copied and copied.digest(folder)) or manifest.digest
    if digest.hexdigest() != wanted:
        raise Broken(f"the content's digest is {digest.hexdigest()}, not {wanted}.")
    masked = f", of the rows as they were published: some are masked, so it is not that of the build, {manifest.digest}"
    return wanted if wanted == manifest.digest else f"{wanted}{masked}."


def _identities(folder: Path, manifest: Manifest) -> str:
    seen = 0
    with Progress("checking ids", total=manifest.rows + sum(manifest.splits.values()), unit="records") as progress:
        for name, rows in _messages(folder, manifest):
            for row in rows:
                if None in row["tags"] or any(turn is None or None in turn.values() for turn in row["messages"]):
                    raise Broken(f"{name}: {row['id']} has a message, a text or a tag that is null.")
                rewritten = any(tag.startswith("rewritten:") for tag in row["tags"])
                pairs = [(message["role"], message["content"]) for message in row["messages"]]
                if not rewritten and content_id(pairs) != row["id"]:
                    raise Broken(f"{name}: {row['id']} is not the id of its messages.")
            seen += len(rows)
            progress.advance(len(rows))
    return f"{seen:,} ids follow from their messages."


def _messages(folder: Path, manifest: Manifest) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Ids, messages and tags of all rows, a batch at a time, with the name of their file."""
    for _, path in _data(folder, manifest):
        with reading(path.name), pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(columns=["id", "messages", "tags"]):
                yield path.name, batch.to_pylist()


def _law(lines: pl.DataFrame, manifest: Manifest) -> str:
    counts = count(lines, list(manifest.sources))
    for source, found in counts.items():
        if found != manifest.sources.get(source):
            raise Broken(f"{source}: the ledger counts {found}, the manifest says {manifest.sources.get(source)}.")
        if found.read != found.drawn + found.unused + sum(found.dropped.values()) + sum(found.rejected.values()):
            raise Broken(f"{source}: read is not drawn + unused + dropped + rejected.")
    totals = (manifest.read, manifest.drawn, manifest.unused, manifest.dropped, manifest.rejected)
    sums = tuple(sum(getattr(c, what) for c in counts.values()) for what in ("read", "drawn", "unused"))
    if totals != (*sums, total(counts, "dropped"), total(counts, "rejected")):
        raise Broken("the manifest's totals are not the sums over its sources.")
    known = lines["id"].drop_nulls()
    alive = lines.filter(pl.col("fate").is_in(["drawn", "unused"]))["id"]
    if alive.n_unique() != alive.len():
        raise Broken("a conversation is in the ledger twice without being dropped as a duplicate.")
    for read in manifest.inputs:
        if lines.filter((pl.col("source") == read.source) & (pl.col("file") == read.file)).height != read.read:
            raise Broken(f"{read.file}: the ledger has other rows than were read.")
    return f"read {manifest.read:,} = drawn + unused + dropped + rejected, per source; {known.n_unique():,} ids."


def _rejects(folder: Path, lines: pl.DataFrame) -> str:
    with reading(REJECTS_FILE):
        rejects = pl.read_parquet(folder / REJECTS_FILE, glob=False)
    place = ["source", "file", "row", "part", "rule"]
    inside = lines.filter(pl.col("fate") == "rejected").select(place).sort(place)
    if not inside.equals(rejects.rename({"code": "rule"}).select(place).sort(place)):
        raise Broken("rejects.parquet and the ledger name other rows.")
    return f"{rejects.height:,} rejects, all in the ledger."


def _membership(lines: pl.DataFrame, rows: pl.DataFrame) -> str:
    drawn = lines.filter(pl.col("fate") == "drawn").select("id", "source", "file", "row", "part", "split", "epoch")
    keys_of = ["id", "source", "file", "row", "part", "split"]
    there = rows.group_by(keys_of).agg(epoch=pl.len().cast(pl.Int32), highest=pl.col("epoch").max())
    if there.filter(pl.col("epoch") != pl.col("highest")).height:
        raise Broken("the copies of a record are not numbered 1, 2, …")
    if not drawn.sort(keys_of).equals(there.drop("highest").select(drawn.columns).sort(keys_of)):
        raise Broken("the rows are not those that the ledger calls drawn.")
    return f"{rows.height:,} rows are the ledger's {drawn.height:,} drawn records."


def _plan(lines: pl.DataFrame, rows: pl.DataFrame, manifest: Manifest) -> str:
    axes = MixtureSpec.model_validate(manifest.spec).axes()
    train = rows.filter(pl.col("split") == "train")
    if train.height != manifest.rows:
        raise Broken(f"{train.height:,} training rows, but the manifest says {manifest.rows:,}.")
    if manifest.plan.unit == "records" and train.height != manifest.plan.size:
        raise Broken(f"{train.height:,} training rows, but the plan says {manifest.plan.size:,}.")
    placed, named = cellular.assign(train, axes)
    taken = dict(pl.DataFrame({"cell": placed}).group_by("cell").len().rows())
    available = dict(
        lines.filter((pl.col("fate") != "dropped") & (pl.col("split").is_null() | (pl.col("split") == "train")))
        .drop_nulls("cell")
        .group_by("cell")
        .len()
        .rows()
    )
    found = {cellular.cell_name(axes, cell): taken.get(number, 0) for number, cell in enumerate(named)}
    for cell in manifest.plan.cells:
        name = cellular.cell_name(axes, [getattr(cell, axis.name) for axis in axes])
        planned = cell.taken if cell.records is None else cell.records
        if found.pop(name, 0) != planned:
            raise Broken(f"{name}: the rows are not the {planned:,} of the plan.")
        if cell.records is None and available.get(name, 0) != cell.available:
            raise Broken(f"{name}: the ledger has {available.get(name, 0):,} records, the plan {cell.available:,}.")
    if any(found.values()):
        raise Broken("there are rows in a cell that the plan does not have.")
    return f"{len(manifest.plan.cells)} cells have the plan's counts, {train.height:,} rows in all."


def _draw(lines: pl.DataFrame, manifest: Manifest) -> str:
    """In every cell the drawn records are those with the smallest keys."""
    spec = MixtureSpec.model_validate(manifest.spec)
    inside = lines.drop_nulls("cell")
    if not inside["id"].fill_null("").str.contains(ID).all():
        raise Broken("a line of the ledger has a cell, but no id of 32 hexadecimal digits.")
    keyed = inside.with_columns(pl.Series("key", keys("draw", spec.seed, inside["id"])), pl.col("epoch").fill_null(0))
    keyed = keyed.sort("cell", "key", "id").with_columns(place=pl.int_range(pl.len()).over("cell"))
    if keyed["place"].ne_missing(keyed["rank"]).any():
        raise Broken("a rank in the ledger is not the place of the record's key.")
    if spec.shortage != "repeat":
        later = keyed.with_columns(before=pl.col("epoch").shift(1).over("cell"))
        if later.filter(pl.col("epoch") > pl.col("before")).height:
            raise Broken("a record was drawn although one with a smaller key was not.")
    return f"{inside['cell'].n_unique()} cells hold the smallest keys of seed {spec.seed}."


def _nested(opened: Sequence[Opened]) -> Check:
    # of the rows, not of the ledger: a published one has none
    return nested_check([one.label for one in opened], [set(_slim(one.folder, one.manifest)["id"]) for one in opened])
