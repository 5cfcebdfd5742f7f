"""The bar, on real sets: sources that the model has not seen. benchmarks/tagging.py measures it on more records."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import real_abilities

from doit.curation.tagging.evaluating import TagEval, evaluate
from doit.curation.tagging.fitting import fit
from doit.curation.tagging.model import load_tagger, tag

FIVE = ("math", "code", "understanding", "history", "biology")
MOST = 40
"""Records of one ability in one source."""


def frame() -> pl.DataFrame:
    return pl.DataFrame(real_abilities.labelled(MOST), schema=real_abilities.Labelled._fields, orient="row")


def scored(records: pl.DataFrame, tags: pl.Series) -> TagEval:
    """Sources weigh the same."""
    sizes = Counter(records["source"])
    return evaluate(records["ability"], tags, [1 / sizes[source] for source in records["source"]])


@pytest.mark.slow
@pytest.mark.shared
def test_sources_that_were_not_seen_are_told_well_enough(shared: Path) -> None:
    pytest.importorskip("sklearn", reason="fitting needs the extra `tag`")
    records = frame()
    parts = []
    for family in sorted(set(records["family"])):
        model = fit(records.filter(pl.col("family") != family), most=60)
        asked = records.filter(pl.col("family") == family)
        parts.append(asked.with_columns(tagged=tag(asked["prompt"], asked["answer"], model)["ability"]))
    told = pl.concat(parts)
    score = scored(told, told["tagged"])
    assert score.abstained <= 0.20
    assert sum(score.abilities[ability].f1 for ability in FIVE) / len(FIVE) >= 0.75


@pytest.mark.shared
def test_the_shipped_model_is_of_use_on_sets_that_it_never_saw(shared: Path) -> None:
    records = frame()
    score = scored(records, tag(records["prompt"], records["answer"], load_tagger())["ability"])
    assert score.abstained <= 0.20
    assert sum(score.abilities[ability].f1 for ability in FIVE) / len(FIVE) >= 0.75


@pytest.mark.shared
def test_no_own_request_is_a_row_of_a_real_set(shared: Path) -> None:
    from doit.curation.tagging.requests import own_requests

    theirs = {" ".join(one.prompt.split()) for one in real_abilities.labelled(1 << 40)}
    assert not theirs & {" ".join(prompt.split()) for prompt in own_requests()["prompt"]}
