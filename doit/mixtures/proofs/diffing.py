"""What differs between two mixtures: by cell, by id, by column, and in the specs, inputs and versions behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from doit.errors import SpecError
from doit.mixtures.building.digest import CONTENT
from doit.mixtures.manifest import InputFile, Manifest
from doit.mixtures.opening import Opened, collected, one_mixture, scan_table
from doit.mixtures.planning import cells as cellular
from doit.mixtures.planning.plan import Axis
from doit.mixtures.pools.identical import EXACT
from doit.mixtures.proofs.answers import CellDifference, DiffAnswer, Difference, InputDifference, Side

SPLITS = ("train", "validation", "test")

_OTHERWISE = {"id", "messages", "reasoning", "tools", "epoch"}
"""Columns of the digest that are compared as `text` and `copies`, or by which records are found."""
COMPARED = (*(column for column in CONTENT if column not in _OTHERWISE), "split", "copies", "text")
"""What may differ of a record that is in both; where it was read does not count."""

ABSENT = object()


def diff(a: Path, b: Path, *, ids: int = 0) -> DiffAnswer:
    """Compare two mixtures.

    Args:
        a: a mixture's folder.
        b: another one.
        ids: how many ids to list that only one side has.

    Returns:
        Counts by cell and by id, and the keys, files and versions that are not the same.

    Raises:
        SpecError: D206 no mixture there, or several: name one.
        StorageError: D102 a file of a mixture is damaged.
    """
    one, other = one_mixture(a), one_mixture(b)
    equal = one.manifest.digest == other.manifest.digest
    rows = [_records(side, text=not equal) for side in (one, other)]
    only = [rows[0].join(rows[1], on="id", how="anti")["id"], rows[1].join(rows[0], on="id", how="anti")["id"]]
    changed = {} if equal else _changed(*rows)
    return DiffAnswer(
        equal=equal,
        a=_side(a, one, rows[0]),
        b=_side(b, other, rows[1]),
        both=rows[0].height - only[0].len(),
        only_a=only[0].len(),
        only_b=only[1].len(),
        only_a_in_b=_fates(other, only[0]),
        only_b_in_a=_fates(one, only[1]),
        cells=tuple(_cells(one, other, *rows)),
        changed=changed,
        reordered=not (equal or changed or only[0].len() or only[1].len()),
        spec=tuple(differences(_flat(one.manifest.spec), _flat(other.manifest.spec))),
        inputs=tuple(_inputs(_read_by(one.manifest), _read_by(other.manifest))),
        versions=tuple(version_differences(one.manifest, other.manifest.doit, other.manifest.versions)),
        ids_a=tuple(only[0].sort().head(ids)) if ids else None,
        ids_b=tuple(only[1].sort().head(ids)) if ids else None,
    )


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """The keys whose values are not the same, in ascending order."""
    return [
        Difference(key=key, a=a.get(key), b=b.get(key))
        for key in sorted({*a, *b})
        if a.get(key, ABSENT) != b.get(key, ABSENT)
    ]


def version_differences(manifest: Manifest, doit: str, versions: Mapping[str, str]) -> list[Difference]:
    """The libraries whose versions are not a manifest's."""
    return differences({"doit": manifest.doit, **manifest.versions}, {"doit": doit, **versions})


# -- records


def _records(mixture: Opened, *, text: bool) -> pl.DataFrame:
    """Distinct records of a mixture: `id` and the columns of `COMPARED`; `text` as a number, null if not asked for.

    The number is polars' hash: it is compared within this process alone and never kept.
    """
    spoken = pl.concat_str(
        pl.col("messages").list.eval(_message()).list.join("\x1e"),
        pl.col("reasoning").list.eval(pl.element().fill_null("\x1d")).list.join("\x1e").fill_null("\x1d"),
        pl.col("tools").fill_null("\x1d"),
        separator="\x1c",
    ).hash()
    labels = [name for name in COMPARED if name not in ("split", "copies", "text")]
    frames = []
    for split in SPLITS:
        files = sorted((mixture.folder / "data").glob(f"{split}-*.parquet"))
        if files:
            # The first copy stands for all: they differ in nothing but their number.
            frame = pl.scan_parquet(files, glob=False).select(
                "id",
                *labels,
                "epoch",
                split=pl.lit(split),
                text=spoken if text else pl.lit(None, pl.UInt64),
            )
            frames.append(collected(frame, mixture.folder))
    if not frames:
        raise SpecError("D206", "the mixture has no rows: data/ is empty.", where=str(mixture.folder))
    rows = pl.concat(frames).with_columns(copies=pl.len().cast(pl.Int32).over("id"))
    return rows.filter(pl.col("epoch") == 1).select("id", *COMPARED)


def _message() -> pl.Expr:
    message = pl.element().struct
    return pl.concat_str(message.field("role"), message.field("content"), separator="\x1f")


def _changed(a: pl.DataFrame, b: pl.DataFrame) -> dict[str, int]:
    """Of the records in both: how many have another value, by column."""
    pairs = a.join(b, on="id", how="inner", suffix=":b")
    counts = {name: int(pairs[name].ne_missing(pairs[f"{name}:b"]).sum()) for name in COMPARED}
    return {name: count for name, count in counts.items() if count}


def _side(out: Path, mixture: Opened, rows: pl.DataFrame) -> Side:
    manifest = mixture.manifest
    total = int(rows["copies"].sum())
    return Side(out=str(out), name=manifest.name, digest=manifest.digest, rows=total, records=rows.height)


def _fates(mixture: Opened, ids: pl.Series) -> dict[str, int]:
    """What became in a mixture of records that it does not hold; empty where it has no ledger."""
    if ids.is_empty() or not (mixture.folder / "ledger.parquet").is_file():
        return {}
    ledger = scan_table(mixture.folder, "ledger.parquet")
    original = pl.col("rule").is_null() | (pl.col("rule") != EXACT)
    wanted = ids.to_frame("id")
    inside = ledger.filter(original).select("id", "fate", "rule").join(wanted.lazy(), on="id", how="semi")
    met = wanted.join(collected(inside, mixture.folder).unique("id"), on="id", how="left")
    named = pl.concat_str("fate", pl.lit(" by ") + pl.col("rule"), ignore_nulls=True)
    unused = pl.concat_str("fate", pl.lit(": ") + pl.col("rule"), ignore_nulls=True)
    told = pl.when(pl.col("fate") == "unused").then(unused).otherwise(named)
    words = met.select(pl.when(pl.col("fate").is_null()).then(pl.lit("not read")).otherwise(told).alias("what"))
    counts = words["what"].value_counts().sort("count", "what", descending=[True, False])
    return {str(what): int(count) for what, count in counts.rows()}


def _cells(a: Opened, b: Opened, rows: pl.DataFrame, others: pl.DataFrame) -> Iterator[CellDifference]:
    """Distinct records of the cells that differ, in the order of their names."""
    axes = [mixture.spec().axes() for mixture in (a, b)]
    same = _values(axes[0]) == _values(axes[1])
    # What was held out belongs to no cell of the plan.
    held = pl.when(pl.col("split") != "train").then("split")
    placed = [
        _by_targets(rows, axes[0]) if same else _by_labels(rows),
        _by_targets(others, axes[1]) if same else _by_labels(others),
    ]
    placed = [
        side.select("id", cell=pl.coalesce(whole.select(held).to_series(), "cell"))
        for side, whole in zip(placed, (rows, others), strict=True)
    ]
    counts = [dict(side.group_by("cell").len().rows()) for side in placed]
    both = dict(placed[0].join(placed[1], on=["id", "cell"], how="inner").group_by("cell").len().rows())
    for cell in sorted({*counts[0], *counts[1]}):
        left, right, shared = counts[0].get(cell, 0), counts[1].get(cell, 0), both.get(cell, 0)
        if left > shared or right > shared:
            yield CellDifference(cell=cell, a=left, b=right, both=shared, only_a=left - shared, only_b=right - shared)


def _values(axes: Sequence[Axis]) -> list[tuple[str, list[str]]]:
    return [(axis.name, sorted(axis.targets)) for axis in axes]


def _by_targets(rows: pl.DataFrame, axes: Sequence[Axis]) -> pl.DataFrame:
    """`id` and `cell`, as the ledger names cells."""
    number, cells = cellular.assign(rows, axes)
    names = pl.Series([cellular.cell_name(axes, cell) for cell in cells] + ["no target"], dtype=pl.String)
    return rows.select("id", cell=names.gather(number.replace(cellular.NOWHERE, len(cells))))


def _by_labels(rows: pl.DataFrame) -> pl.DataFrame:
    """`id` and `cell` by the rows' own language and ability."""
    return rows.select(
        "id", cell=pl.format("language={} ability={}", "language", pl.col("ability").fill_null("(none)"))
    )


# -- what is behind the records


def _flat(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec as dotted keys; the items of `sources` are called by their datasets' names, of other lists by number."""
    return dict(_leaves({**spec, "sources": _by_name(spec.get("sources", ()))}, ""))


def _by_name(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    named = {}
    for number, source in enumerate(sources):
        card = source.get("dataset")
        named[str(card.get("name", number) if isinstance(card, dict) else card or number)] = source
    return named


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    items: Mapping[str, Any] = {}
    if isinstance(value, dict):
        items = value
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = {str(number): item for number, item in enumerate(value)}
    if not items:
        yield key, value
    for name, item in items.items():
        part = f'"{name}"' if "." in str(name) else str(name)
        yield from _leaves(item, f"{key}.{part}" if key else part)


def _read_by(manifest: Manifest) -> list[InputFile]:
    """The files of the sources, and those that rules read, under what reads them."""
    beside = [
        InputFile(source=one.of, file=one.file, bytes=one.bytes, sha256=one.sha256, read=0)
        for one in manifest.rule_files
    ]
    return [*manifest.inputs, *beside]


def _inputs(a: Sequence[InputFile], b: Sequence[InputFile]) -> list[InputDifference]:
    left, right = ({(file.source, file.file): file for file in side} for side in (a, b))
    found = [
        InputDifference(what="changed", a=file, b=right[place])
        for place, file in left.items()
        if place in right and right[place].sha256 != file.sha256
    ]
    gone = [file for place, file in left.items() if place not in right]
    come = [file for place, file in right.items() if place not in left]
    for file in list(gone):
        twin = next((other for other in come if other.sha256 == file.sha256), None)
        if twin is not None:
            found.append(InputDifference(what="moved", a=file, b=twin))
            gone.remove(file)
            come.remove(twin)
    found += [InputDifference(what="removed", a=file) for file in gone]
    found += [InputDifference(what="added", b=file) for file in come]
    return sorted(found, key=lambda one: _place(one.a or one.b))


def _place(file: InputFile | None) -> tuple[str, str]:
    return ("", "") if file is None else (file.source, file.file)


__all__ = ["diff", "differences", "version_differences"]
