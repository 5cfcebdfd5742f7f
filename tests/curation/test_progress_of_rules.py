"""Long comparisons tell how far they have come, and in the end have counted all that they said they would."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Self

import polars as pl
import pytest

from doit.curation.choosing import diversity
from doit.curation.contamination import finding, word_runs
from doit.curation.rules import selection
from doit.curation.rules.base import Benchmark, Left
from doit.curation.rules.contamination import Contaminated
from doit.curation.rules.selection import Count, FarthestFirst
from doit.progress import Progress

ITEMS = {"file": pl.String, "row": pl.Int64, "part": pl.Int32, "prompt": pl.String, "answer": pl.String}


class Counted(Progress):
    """What was said of all work."""

    told: list[Self] = []  # noqa: RUF012 - emptied for each test

    def __init__(self, what: str, **given: Any) -> None:
        super().__init__(what, **given)
        self.steps = 0
        self.told.append(self)

    def advance(self, count: int = 1) -> None:
        self.steps += 1
        super().advance(count)

    def shown(self) -> tuple[str, int | None, int]:
        return self._what, self._total, self._done


def watch(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> list[Counted]:
    monkeypatch.setattr(Counted, "told", [])
    for module in modules:
        monkeypatch.setattr(module, "Progress", Counted)
    return Counted.told


def left(count: int, **more: Any) -> Left:
    texts = pl.Series([f"第{at}題：鸡兔同笼，有{at}条腿。" for at in range(count)])
    rows = pl.DataFrame({"id": [f"{at:032x}" for at in range(count)], "source": [f"s{at % 2}" for at in range(count)]})
    return Left(rows, lambda _: texts, **more)


def test_the_search_for_benchmark_items_counts_records(monkeypatch: pytest.MonkeyPatch) -> None:
    told = watch(monkeypatch, finding)
    monkeypatch.setattr(word_runs, "CHUNK_ROWS", 100)
    items = pl.DataFrame([("b.jsonl", 0, 0, "鸡兔同笼，有七条腿，问鸡兔各几何？", "")], ITEMS, orient="row")
    Contaminated(against=("b",)).compare(left(1050, benchmarks={"b": Benchmark("b", items)}))
    assert [one.shown() for one in told] == [("looking for benchmark items", 1050, 1050)]
    assert told[0].steps == 11


def test_farthest_first_counts_vectors_and_what_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    told = watch(monkeypatch, diversity, selection)
    FarthestFirst(keep=Count(records=20), per=("source",)).compare(left(70))
    assert [one.shown() for one in told] == [("making vectors", 70, 70), ("choosing the farthest", 40, 40)]
    assert told[1].steps == 40


def test_cells_that_stay_whole_are_nothing_to_choose_from(monkeypatch: pytest.MonkeyPatch) -> None:
    told = watch(monkeypatch, diversity, selection)
    FarthestFirst(keep=Count(records=35), per=("source",)).compare(left(70))
    assert told[1].shown() == ("choosing the farthest", 0, 0)
