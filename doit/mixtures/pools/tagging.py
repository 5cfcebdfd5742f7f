"""Where the ability tagger meets files: records from pools, specs and mixtures; tags beside a pool; tagged copies."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from doit import storage
from doit.curation.tagging.endpoint import Costs, EndpointTagger
from doit.curation.tagging.evaluating import TagEval, evaluate
from doit.curation.tagging.explaining import Explanation, explain
from doit.curation.tagging.model import TAGS, Tagger, tag
from doit.curation.tagging.texts import texts
from doit.errors import DataError, SpecError, StorageError
from doit.mixtures.loading import load_spec
from doit.mixtures.opening import one_mixture
from doit.mixtures.pools.measuring import curation_code
from doit.mixtures.pools.pool import PoolPart, build_pool, scan_records
from doit.progress import Progress
from doit.schemas.base import Frozen
from doit.table import MESSAGES_POLARS

CHUNK = 8192
"""Records tagged at once."""
TAGGER = "tagger"
"""What `ability_from` says of a tag that is not a card's."""
NEEDED = ("id", "messages", "ability", "source")
SHORTEST_ID = 6


class FitAnswer(Frozen):
    """What `doit tag fit` made."""

    out: str
    digest: str
    """SHA-256 of the model's file."""
    records: int
    """Labelled records that were read."""
    learnt: int
    """Records that were learnt from, those written for this project among them."""
    abilities: dict[str, int]
    """Labelled records of each ability."""
    sources: list[str]
    threshold: float
    temperature: float
    left_out_rules: list[str]
    """Rules that the labels contradict."""


class ApplyAnswer(Frozen):
    """What `doit tag apply` did."""

    out: str
    records: int
    kept: int
    """Records that keep the ability of their card."""
    tagged: dict[str, int]
    """Ability -> records that the tagger gave it to."""
    unsure: int
    """Records without an ability after it."""
    rules: dict[str, int]
    """Rule -> records that it decided."""
    costs: Costs | None = None
    """Of an endpoint."""


def fit_answer(out: Path, model: Tagger) -> FitAnswer:
    """What there is to say of a fitted model."""
    known = [rule for rule, (seen, _) in model.rules.items() if seen]
    return FitAnswer(
        out=str(out),
        digest=model.digest,
        threshold=model.threshold,
        temperature=model.temperature,
        left_out_rules=[rule for rule in known if model.rule_score(rule) < 0.8],
        **{name: model.about[name] for name in ("records", "learnt", "abilities", "sources")},
    )


def records_of(path: Path) -> Iterator[pl.DataFrame]:
    """The records of a spec's sources (the pool, before curation), of a mixture, or of Parquet files, in batches.

    Raises:
        SpecError: there is nothing to read, or the spec is wrong.
        DataError: D309 a file is not Parquet, or lacks one of the columns that are needed.
    """
    if path.suffix in (".yaml", ".yml"):
        for part in build_pool(load_spec(path).sources).parts:
            frame = scan_records(part.entry.folder).collect().with_columns(source=pl.lit(part.source))
            yield from frame.iter_slices(CHUNK)
        return
    for file in _parquet(path):
        try:
            held = pl.scan_parquet(file, glob=False, hive_partitioning=False)
            _check(held.collect_schema(), file)
            yield from held.with_columns(pl.col("messages").cast(MESSAGES_POLARS)).collect().iter_slices(CHUNK)
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError("D309", f"cannot be read as Parquet: {reason}.", where=str(file)) from error


def _parquet(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if (path / "manifest.json").is_file():
        folder = one_mixture(path).folder
        files = sorted((folder / "data").glob("train-*.parquet"))
        if not files:
            raise StorageError("D102", "a mixture without training rows.", where=str(path), hint="Build it again.")
        return files
    files = sorted(file for file in path.glob("*.parquet") if file.is_file())
    if not files:
        hint = "Name a mixture spec, a mixture's folder, or Parquet files of records."
        raise SpecError("D206", "there are no records.", where=str(path), hint=hint)
    return files


def _check(held: pl.Schema, file: Path) -> None:
    missing = [f"`{column}`" for column in NEEDED if column not in held]
    if missing:
        hint = "Build a mixture, or name its spec; `doit init` looks into other files."
        raise DataError("D309", f"no column {', '.join(missing)}.", where=str(file), hint=hint)


def labelled(paths: Sequence[Path]) -> pl.DataFrame:
    """The labelled records of some inputs, for `fit` and `evaluate`: `prompt`, `answer`, `ability`, `source`.

    A tag that a tagger gave is no label.

    Raises:
        DataError: D320 none has a label.
    """
    found = []
    for path in paths:
        for batch in records_of(path):
            mine = batch.filter(pl.col("ability").is_not_null())
            if "ability_from" in mine.columns:
                mine = mine.filter(pl.col("ability_from").fill_null("card") != TAGGER)
            found.append(mine.select(*texts(), pl.col("ability", "source").cast(pl.String)))
    records = pl.concat(found) if found else pl.DataFrame()
    if records.is_empty():
        hint = "Give a card an `ability:`; see docs/cards.md."
        raise DataError("D320", "no record has an ability.", where=", ".join(map(str, paths)), hint=hint)
    return records


def evaluated(path: Path, model: Tagger, *, threshold: float | None = None) -> TagEval:
    """How a model's tags agree with the labels of an input; every record weighs the same."""
    records = labelled([path])
    tags = tag(records["prompt"], records["answer"], model, threshold=threshold)
    return evaluate(records["ability"], tags["ability"])


def apply_tags(
    path: Path, out: Path, model: Tagger | EndpointTagger, *, over: bool = False, threshold: float | None = None
) -> ApplyAnswer:
    """Write the records of an input as one Parquet file in which those without an ability have the tagger's.

    The file has the input's columns, `ability` and `ability_from` filled in, and two more: `ability_score` and
    `ability_reason` of every record that the tagger was asked about.

    Args:
        path: as for `records_of`.
        out: the file to make.
        model: the tagger, or an endpoint that is asked.
        over: ask it about records with a label too, and replace the label where it is sure.
        threshold: instead of the model's own; an endpoint has none.

    Raises:
        SpecError: D204 OUT is no `.parquet` file, or is one of the inputs.
        StorageError: the disk refused.
    """
    if out.suffix != ".parquet" or out.is_dir():
        raise SpecError("D204", "tagged records are one Parquet file.", where=str(out), hint="Name it `….parquet`.")
    if path.suffix not in (".yaml", ".yml") and out.exists() and any(out.samefile(file) for file in _parquet(path)):
        raise SpecError("D204", "OUT is the input.", where=str(out), hint="Give OUT another name.")
    counts: Counter[str] = Counter()
    tagged: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    writer: storage.ParquetTable | None = None
    with Progress("tagging", unit="records") as progress, storage.atomic_file(out) as file:
        for batch in records_of(path):
            frame = _filled(batch, model, over=over, threshold=threshold)
            _count(frame, counts, tagged, rules)
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = writer or storage.ParquetTable(file, _narrow(table.schema))
            writer.write_table(table)
            progress.advance(len(frame))
        if writer is None:
            raise DataError("D320", "there are no records.", where=str(path))
        writer.close()
    return ApplyAnswer(
        out=str(out),
        records=counts["records"],
        kept=counts["kept"],
        tagged=dict(sorted(tagged.items())),
        unsure=counts["unsure"],
        rules=dict(sorted(rules.items())),
        costs=model.costs if isinstance(model, EndpointTagger) else None,
    )


def _filled(
    batch: pl.DataFrame, model: Tagger | EndpointTagger, *, over: bool, threshold: float | None
) -> pl.DataFrame:
    asked = pl.col("ability").is_null() | pl.lit(value=over)
    if "ability_from" not in batch.columns:
        batch = batch.with_columns(ability_from=pl.when(pl.col("ability").is_not_null()).then(pl.lit("card")))
    batch = batch.with_columns(asked=asked)
    said = batch.filter("asked").select(*texts())
    if isinstance(model, EndpointTagger):
        told = model.tag(said["prompt"], said["answer"])
    else:
        told = tag(said["prompt"], said["answer"], model, threshold=threshold)
    at = batch.select(pl.when("asked").then(pl.col("asked").cum_sum() - 1)).to_series()
    tags = told.select(pl.all().gather(at))
    frame = batch.with_columns(new=tags["ability"], ability_score=tags["score"], ability_reason=tags["reason"])
    given = pl.col("asked") & pl.col("new").is_not_null()
    return frame.with_columns(
        ability=pl.when(given).then("new").otherwise(pl.col("ability").cast(pl.String)),
        ability_from=pl.when(given).then(pl.lit(TAGGER)).otherwise("ability_from"),
        ability_score=pl.when("asked").then("ability_score"),
        ability_reason=pl.when("asked").then("ability_reason"),
    ).drop("asked", "new")


def _count(frame: pl.DataFrame, counts: Counter[str], tagged: Counter[str], rules: Counter[str]) -> None:
    mine = frame.filter((pl.col("ability_from") == TAGGER) & pl.col("ability_reason").is_not_null())
    counts["records"] += len(frame)
    counts["unsure"] += frame["ability"].null_count()
    counts["kept"] += len(frame) - frame["ability"].null_count() - len(mine)
    tagged.update(mine["ability"].to_list())
    reasons = mine["ability_reason"].filter(mine["ability_reason"].str.starts_with("rule:"))
    rules.update(reason.removeprefix("rule:") for reason in reasons.to_list())


def _narrow(schema: pa.Schema) -> pa.Schema:
    """The schema with plain strings and lists, which ordinary chat data has too."""
    return pa.schema([pa.field(field.name, _plain(field.type)) for field in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return pa.string()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(kind[at].name, _plain(kind[at].type)) for at in range(kind.num_fields)])
    return pa.binary() if pa.types.is_large_binary(kind) else kind


def explained(path: Path, target: str, model: Tagger) -> Explanation:
    """Why the tagger says what it says of one record of an input.

    Args:
        path: as for `records_of`.
        target: an id, or its first digits, at least six.
        model: the tagger.

    Raises:
        SpecError: D203 no record has such an id, or several have; D204 it is too short.
    """
    if len(target) < SHORTEST_ID:
        raise SpecError("D204", f'"{target}" is too short for an id.', hint=f"Give {SHORTEST_ID} digits or more.")
    found: dict[str, tuple[str, str]] = {}
    for batch in records_of(path):
        ids = batch["id"].cast(pl.String)
        mine = batch.filter(ids.str.starts_with(target.lower())).select(pl.col("id"), *texts())
        found.update({str(one): (prompt, answer) for one, prompt, answer in mine.iter_rows()})
    if len(found) != 1:
        what = f'{"several records have" if found else "no record has"} an id that starts with "{target}".'
        raise SpecError("D203", what, where=str(path), hint="Give the whole id, as `doit inspect --show` names it.")
    return explain(*next(iter(found.values())), model)


def pool_tags(pool: Sequence[PoolPart], model: Tagger) -> pl.DataFrame:
    """The tags of every record of a pool, in the order of the slim table: `ability`, `score`, `reason`.

    They are kept beside each entry, by the model's digest and the tagger's code: a build over an unchanged pool reads
    no text for them.
    """
    wanted = sum(part.entry.records for part in pool if not _known(part.entry.folder, model))
    with Progress("tagging", total=wanted, unit="records") as progress:
        found = [_entry_tags(part.entry.folder, model, progress) for part in pool]
    return pl.concat(found) if found else pl.DataFrame(schema=TAGS)


def with_tags(slim: pl.DataFrame, tags: pl.Series) -> pl.DataFrame:
    """The slim table with a tagger's ability for records that have none, and `ability_from`: `card` or `tagger`."""
    own, given = slim["ability"].cast(pl.String), tags.cast(pl.String)
    both = pl.DataFrame({"own": own, "given": given}).select(
        ability=pl.coalesce("own", "given"),
        ability_from=pl.when(pl.col("own").is_not_null())
        .then(pl.lit("card"))
        .when(pl.col("given").is_not_null())
        .then(pl.lit(TAGGER)),
    )
    kinds = pl.Enum(sorted(both["ability"].drop_nulls().unique()))
    return slim.with_columns(both["ability"].cast(kinds), both["ability_from"].cast(pl.Enum(["card", TAGGER])))


def _path(folder: Path, model: Tagger) -> Path:
    key = hashlib.sha256(curation_code() + model.digest.encode()).hexdigest()
    return folder / "tags" / f"{key[:32]}.parquet"


def _known(folder: Path, model: Tagger) -> bool:
    """Whether tags are there and undamaged."""
    path = _path(folder, model)
    try:
        return path.with_suffix(".sha256").read_text(encoding="ascii") == storage.file_digest(path)
    except (OSError, UnicodeDecodeError):
        return False


def _entry_tags(folder: Path, model: Tagger, progress: Progress) -> pl.DataFrame:
    path = _path(folder, model)
    if not _known(folder, model):
        records = scan_records(folder).select(texts()).collect(engine="streaming")
        made = [tag(some["prompt"], some["answer"], model) for some in records.iter_slices(CHUNK) if len(some)]
        path.parent.mkdir(exist_ok=True)
        with storage.atomic_file(path) as file:
            (pl.concat(made) if made else pl.DataFrame(schema=TAGS)).write_parquet(file)
        storage.write_text(path.with_suffix(".sha256"), storage.file_digest(path))
        progress.advance(len(records))
    return pl.read_parquet(path, glob=False)
