"""Real requests with an ability that is certain, from the files they stand in; none of them is in this repository.

A label is a publisher's own (BELLE's classes, by the crosswalk) or follows from what a file is: an exam's subject,
sums, programs, questions on a passage. Files whose subject is between two abilities are left out, and say so here. A
family is what is held out together; a source within it weighs as much as any other.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from doit.schemas.crosswalk import crosswalk

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
CMMLU = {
    "biology": "genetics high_school_biology virology anatomy",
    "history": "chinese_history world_history",
    "math": "elementary_mathematics high_school_mathematics college_mathematics",
    "chinese": "elementary_chinese modern_chinese ancient_chinese",
    "reasoning": "logical",
    "ethics": "business_ethics legal_and_moral_basis",
    "other": (
        "arts astronomy chinese_driving_rule chinese_food_culture college_education computer_science "
        "conceptual_physics "
        "construction_project_management economics electrical_engineering elementary_information_and_technology "
        "high_school_chemistry high_school_geography high_school_physics journalism management marketing "
        "professional_accounting public_relations sports_science"
    ),
}
"""Subjects whose ability is certain. Left out: medicine, food and farming (near biology), law and politics (near
ethics), civil service, statistics, literature, religions, peoples, foreign policy and general knowledge (several)."""

AGIEVAL = {"gaokao-history": "history", "gaokao-chinese": "chinese", "gaokao-mathcloze": "math", "sat-math": "math",
           "gaokao-physics": "other"}  # fmt: skip
"""jec-qa (law) is left out; logiqa and aqua-rat are families of their own."""
GAOKAO = {"Biology": "biology", "History": "history", "Chinese": "chinese", "Geography": "other"}


class Labelled(NamedTuple):
    """A record's texts with its ability."""

    family: str
    source: str
    ability: str
    prompt: str
    answer: str


def labelled(most: int) -> list[Labelled]:
    """So many records of each ability in each source, the same ones always, no request twice.

    Args:
        most: the records with the smallest digests are taken.
    """
    found = [*belle(), *_exams(), *_sums(), *_reasoning(), *_passages(), *_programs()]
    unique = {one.prompt: one for one in reversed(found) if one.prompt.strip()}
    cells: dict[tuple[str, str], list[Labelled]] = {}
    for one in unique.values():
        cells.setdefault((one.source, one.ability), []).append(one)
    return [one for cell in sorted(cells) for one in sorted(cells[cell], key=_digest)[:most]]


def _digest(one: Labelled) -> bytes:
    return hashlib.blake2b(one.prompt.encode(), digest_size=8).digest()


def _lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / path).read_text(encoding="utf-8").splitlines() if line.strip()]


def _whole(path: str) -> Any:
    return json.loads((DATA / path).read_text(encoding="utf-8"))


def belle() -> Iterator[Labelled]:
    """BELLE's evaluation set."""
    abilities = {label.casefold(): ability for label, ability in crosswalk().system("belle-10").mapping().items()}
    for row in _lines("belle/eval/eval_set.json"):
        label = " ".join(row["class"].split())
        yield Labelled("belle", "belle", abilities[label], row["question"], row["std_answer"] or "")


def _exams() -> Iterator[Labelled]:
    for path in sorted((DATA / "gaokao-bench").rglob("*.json")):
        ability = GAOKAO[path.name.split("_")[1]]
        for row in _whole(f"gaokao-bench/{path.parent.name}/{path.name}")["example"]:
            answer = row["answer"] if isinstance(row["answer"], str) else "".join(row["answer"])
            yield Labelled("gaokao", "gaokao", ability, row["question"], answer)
    for name, ability in AGIEVAL.items():
        yield from _agieval(name, "agieval", "agieval", ability)
    for ability, names in CMMLU.items():
        for name in names.split():
            for part in ("dev", "test"):
                path = DATA / "cmmlu" / part / f"{name}.csv"
                for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines(keepends=True)):
                    options = "\n".join(f"{key}. {row[key]}" for key in "ABCD")
                    yield Labelled("cmmlu", "cmmlu", ability, f"{row['Question']}\n{options}", row["Answer"])


def _agieval(name: str, family: str, source: str, ability: str) -> Iterator[Labelled]:
    for row in _lines(f"agieval/v1/{name}.jsonl"):
        parts = [row["passage"] or "", row["question"], *(row["options"] or [])]
        answer = row.get("label") or row.get("answer") or ""
        prompt = "\n".join(part for part in parts if part)
        yield Labelled(family, source, ability, prompt, answer if isinstance(answer, str) else "".join(answer))


def _sums() -> Iterator[Labelled]:
    for row in _lines("gsm8k/test.jsonl"):
        yield Labelled("gsm8k+mgsm", "gsm8k", "math", row["question"], row["answer"])
    for code in ("en", "zh", "ja", "fr"):
        for line in (DATA / f"mgsm/mgsm_{code}.tsv").read_text(encoding="utf-8").splitlines():
            question, answer = line.split("\t")
            yield Labelled("gsm8k+mgsm", "mgsm", "math", question, answer)
    yield from _agieval("aqua-rat", "aqua", "aqua-agieval", "math")
    for row in _whole("alpaca-cot-flan/formatted_cot_data/aqua_train.json"):
        yield Labelled("aqua", "aqua-flan", "math", row["instruction"].replace("\\n", "\n"), row["output"])


def _reasoning() -> Iterator[Labelled]:
    """QASC is left out: its questions are facts of biology, physics and geography alike."""
    yield from _agieval("logiqa-zh", "logiqa", "logiqa-zh", "reasoning")
    yield from _agieval("logiqa-en", "logiqa", "logiqa-en", "reasoning")
    for row in _whole("alpaca-cot-flan/formatted_cot_data/strategyqa_train.json"):
        yield Labelled("strategyqa", "strategyqa", "reasoning", row["instruction"].replace("\\n", "\n"), row["output"])


def _passages() -> Iterator[Labelled]:
    for dialogue, questions, _ in _whole("c3-dialog-mc/c3-d-dev.json"):
        for one in questions:
            options = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCDEFG", one["choice"], strict=False))
            prompt = "\n".join(dialogue) + f"\n{one['question']}\n{options}"
            yield Labelled("c3", "c3", "understanding", prompt, one["answer"])
    for family, path in (
        ("cmrc", "cmrc2018/squad-style-data/cmrc2018_trial.json"),
        ("drcd", "drcd-zh-hant/DRCD_dev.json"),
        ("squad-zh", "chinese-squad-v2/squad_2.0/dev-v2.0-zh.json"),
    ):
        yield from _squad(family, _whole(path)["data"])


def _squad(family: str, articles: Iterable[dict[str, Any]]) -> Iterator[Labelled]:
    for article in articles:
        for paragraph in article["paragraphs"]:
            for one in paragraph["qas"]:
                answers = one.get("answers") or [{"text": ""}]
                prompt = f"{paragraph['context']}\n{one['question']}"
                yield Labelled(family, family, "understanding", prompt, answers[0]["text"])


def _programs() -> Iterator[Labelled]:
    for row in _whole("code-alpaca/code_alpaca_2k.json"):
        prompt = "\n".join(part for part in (row["instruction"], row["input"]) if part)
        yield Labelled("code-alpaca", "code-alpaca", "code", prompt, row["output"])
    text = gzip.decompress((DATA / "humaneval/HumanEval.jsonl.gz").read_bytes()).decode()
    for row in map(json.loads, text.splitlines()):
        yield Labelled("humaneval", "humaneval", "code", row["prompt"], row["canonical_solution"])
