"""The pages that a build writes beside its data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from doit.mixtures.manifest import Manifest


def pages(manifest: Manifest, mixture: pl.DataFrame, rejects: pl.DataFrame, folder: Path) -> dict[str, str]:
    """Name -> text of the report and of the dataset card."""
    from doit.inspecting.report import card_markdown, report_html

    page = report_html(manifest, mixture, rejects, **looked_at(manifest, folder))
    return {"report.html": page, "README.md": card_markdown(manifest, mixture)}


def looked_at(manifest: Manifest, folder: Path) -> dict[str, pl.DataFrame]:
    """What the report shows of a mixture's rows and of its near duplicates."""
    from doit.inspecting.browsing import MOST, PER_CELL
    from doit.inspecting.clusters import concerned
    from doit.inspecting.samples import samples

    files = sorted((folder / "data").glob("train-*.parquet"))
    return {
        "samples": samples(files, per_cell=PER_CELL, most=MOST),
        "ledger": concerned(folder / "ledger.parquet", manifest.dropped),
    }
