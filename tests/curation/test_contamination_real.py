"""Contamination on real sets whose overlaps are known."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from doit.curation.contamination.finding import contaminated

pytestmark = pytest.mark.shared

CLAUSE = re.compile(r"[^，。；：？！,.;:?!\n]+[，。；：？！,.;:?!\n]*")
TWINS = {(20, 632), (1314, 602), (5162, 602)}
"""Rows of the GSM8K-train Alpaca file and of GSM8K test: the same template told with other numbers."""


def rows(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8-sig")
    return (
        json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines() if line]
    )


def alpaca(path: Path) -> pl.Series:
    return pl.Series(["\n".join((row["instruction"], row["input"] or "", str(row["output"]))) for row in rows(path)])


def gsm8k(shared: Path) -> pl.Series:
    return pl.Series([row["question"] for row in rows(shared / "gsm8k" / "test.jsonl")])


def cmmlu(shared: Path) -> pl.Series:
    asked = []
    for path in sorted((shared / "cmmlu" / "test").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                asked.append("\n".join([row["Question"], *(f"{letter}. {row[letter]}" for letter in "ABCD")]))
    return pl.Series(asked)


def train(shared: Path) -> pl.Series:
    return alpaca(shared / "alpaca-cleaned-extensions" / "gsm_8k" / "gsm_8k_train.json")


def found(texts: pl.Series, items: pl.Series, coverage: float = 0.7, n: int = 8) -> pl.DataFrame:
    return contaminated(texts, items, words=n, characters=n, coverage=coverage)


@pytest.mark.parametrize(("n", "coverage"), [(8, 0.7), (13, 0.6)])
def test_mgsm_is_in_gsm8k_and_its_training_file_is_not(shared: Path, n: int, coverage: float) -> None:
    lines = (shared / "mgsm" / "mgsm_en.tsv").read_text(encoding="utf-8").splitlines()
    there = found(pl.Series([line.split("\t")[0] for line in lines]), gsm8k(shared), coverage, n)
    assert there.filter(pl.col("at") == pl.col("item")).height == 250
    assert there.height == 250
    assert found(train(shared), gsm8k(shared), coverage, n).is_empty()


@pytest.mark.parametrize(("n", "coverage"), [(8, 0.7), (13, 0.6)])
def test_pandalm_asks_what_self_instruct_asks(shared: Path, n: int, coverage: float) -> None:
    asked = rows(shared / "pandalm-pairwise" / "testset-v1.json")
    texts = pl.Series(["\n".join((row["instruction"], row["input"] or "", str(row["response1"]))) for row in asked])
    items = [row["instruction"] for row in rows(shared / "self-instruct-eval" / "user_oriented_instructions.jsonl")]
    there = found(texts, pl.Series(items), coverage, n)
    assert there["at"].n_unique() == 998
    assert set(range(999)) - set(there["at"].to_list()) == {466}  # its instruction is a space


def test_unrelated_sets_hold_nothing(shared: Path) -> None:
    benchmarks = pl.concat([gsm8k(shared), cmmlu(shared)])
    code = alpaca(shared / "code-alpaca" / "code_alpaca_2k.json")
    chinese = pl.concat(
        [alpaca(next((shared / "belle").rglob("*dev1K*.json"))), pl.Series([str(row) for row in _medical(shared)])]
    )
    for texts in (code, chinese):
        assert len(texts) >= 2000
        assert found(texts, benchmarks)["at"].n_unique() <= 0.001 * len(texts)


def _medical(shared: Path) -> list[str]:
    return next((shared / "zh-medical-gb18030").glob("*.csv")).read_text(encoding="gb18030").splitlines()[1:]


def planted(items: list[str], seed: int = 0) -> tuple[pl.Series, list[int]]:
    """Items of three clauses or more with one of them replaced by one of any item's, and which items they were."""
    chance = random.Random(seed)
    every = [clause for item in items for clause in CLAUSE.findall(item)]
    made, which = [], []
    for number, item in enumerate(items):
        clauses = CLAUSE.findall(item)
        if len(clauses) >= 3:
            clauses[chance.randrange(len(clauses))] = chance.choice(every)
            made.append("".join(clauses))
            which.append(number)
    return pl.Series(made), which


@pytest.mark.parametrize("benchmark", [gsm8k, cmmlu])
def test_items_with_one_clause_replaced_are_found_at_a_coverage_of_a_third(shared: Path, benchmark: Any) -> None:
    items = benchmark(shared)
    texts, which = planted(items.to_list())
    assert len(which) > 1000
    pairs = set(found(texts, items, 0.3).select("at", "item").rows())
    assert sum((at, item) in pairs for at, item in enumerate(which)) >= 0.9 * len(which)


def test_at_a_coverage_of_a_third_the_training_file_has_template_twins(shared: Path) -> None:
    assert set(found(train(shared), gsm8k(shared), 0.3).select("at", "item").rows()) == TWINS
