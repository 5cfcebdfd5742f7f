"""Real texts with their language, from the files they stand in; none of them is in this repository.

What the origin cannot say was read by hand: `undecided_texts.txt` names, by digest, the texts that could be of either
Chinese script, and those that are formulas alone. The tables under test have no say in it.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SHORT = 10
SHORT_TEXTS = 300


class Labelled(NamedTuple):
    """A record's text with its language."""

    kind: str
    """Which row of the table it counts for."""
    language: str
    text: str
    first: str
    """The first user turn."""


def labelled() -> list[Labelled]:
    """Every text, long and short."""
    read = {digest: tag for tag, digest in _read_by_hand()}
    found = [*_chinese(), *_others(), *_code(), *_mixed(), *_short()]
    return [one._replace(language=read.get(digest_of(one.text), one.language)) for one in found]


def digest_of(text: str) -> str:
    """The name of a text in `undecided_texts.txt`."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _read_by_hand() -> Iterator[tuple[str, str]]:
    for line in Path(__file__).with_name("undecided_texts.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            tag, _, digest = line.rpartition(" ")
            yield tag or "zh", digest


def _lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / path).read_text(encoding="utf-8").splitlines() if line.strip()]


def _zipped(folder: str) -> list[dict[str, Any]]:
    path = next((DATA / folder).rglob("*.jsonl.gz"))
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def _text(kind: str, language: str, *turns: str) -> Labelled:
    return Labelled(kind, language, "\n".join(turns), turns[0])


def _chinese() -> Iterator[Labelled]:
    for row in _lines("belle/train/utils/data/dev1K.json"):
        yield _text("zh-Hans", "zh-Hans", row["instruction"] + "\n" + row["input"], row["output"])
    for row in _lines("belle/eval/eval_set.json"):
        yield _text("zh-Hans", "zh-Hans", row["question"], row["std_answer"] or "")
    for row in _cmmlu():
        yield _text("zh-Hans", "zh-Hans", "\n".join([row["Question"], *(row[key] for key in "ABCD")]), row["Answer"])
    for paragraph in _drcd():
        for question in paragraph["qas"]:
            yield _text("zh-Hant (DRCD)", "zh-Hant", question["question"], question["answers"][0]["text"])
        yield _text("zh-Hant (DRCD)", "zh-Hant", paragraph["context"])
    for row in _lines("taiwan-llm-bench/zh_tw_bench/question.jsonl"):
        yield from (_text("zh-Hant (Taiwan)", "zh-Hant", turn) for turn in row["turns"])


def _cmmlu() -> Iterator[dict[str, str]]:
    for path in sorted((DATA / "cmmlu").glob("*/*.csv")):
        yield from csv.DictReader(path.read_text(encoding="utf-8").splitlines(keepends=True))


def _drcd() -> Iterator[dict[str, Any]]:
    for article in json.loads((DATA / "drcd-zh-hant/DRCD_dev.json").read_text(encoding="utf-8"))["data"]:
        yield from article["paragraphs"]


def _others() -> Iterator[Labelled]:
    for row in json.loads((DATA / "alpaca-cleaned-extensions/gsm_8k/gsm_8k_train.json").read_text(encoding="utf-8")):
        yield _text("en", "en", row["instruction"] + "\n" + row["input"], row["output"])
    for row in _lines("gsm8k/test.jsonl"):
        yield _text("en", "en", row["question"], row["answer"])
    for row in _lines("stanford-alpaca-seeds/seed_tasks.jsonl"):
        yield _text("en", "en", row["instruction"], *(one["input"] + "\n" + one["output"] for one in row["instances"]))
    for code in ("ja", "fr", "th", "en"):
        for line in (DATA / f"mgsm/mgsm_{code}.tsv").read_text(encoding="utf-8").splitlines():
            yield _text(code, code, line.split("\t")[0])
    for name in ("oasst_20230412_fr_top1", "dummy_chat"):
        for row in _lines(f"vigogne-fr/chat/{name}.jsonl"):
            yield _text("fr", "fr", *(message["content"] for message in row["messages"]))
    for row in _lines("vigogne-fr/instruct/seed_tasks_vigogne.jsonl"):
        yield _text("fr", "fr", row["instruction"], *(one["input"] + "\n" + one["output"] for one in row["instances"]))


def _code() -> Iterator[Labelled]:
    """Little prose beside much code: code alone without its fences, and in fences under a Chinese request."""
    for row in json.loads(next((DATA / "code-alpaca").rglob("*.json")).read_text(encoding="utf-8"))[:500]:
        yield _text("code-heavy", "en", row["instruction"] + "\n" + row["input"], row["output"])
    programs = _zipped("humaneval")
    asked = [row["question"] for row in _lines("belle/eval/eval_set.json")]
    for row, question in zip(programs, asked, strict=False):
        code = f"```python\n{row['prompt']}{row['canonical_solution']}\n```"
        yield _text("code-heavy", "zh-Hans", question, code)


def _mixed() -> Iterator[Labelled]:
    """A request in one language, its answer in another."""
    chinese = [(row["question"], row["std_answer"]) for row in _lines("belle/eval/eval_set.json") if row["std_answer"]]
    english = [(row["question"], row["answer"]) for row in _lines("gsm8k/test.jsonl")]
    for (zh_question, zh_answer), (en_question, en_answer) in zip(chinese[:300], english, strict=False):
        yield _text("mixed", "zh-Hans", zh_question, en_answer)
        yield _text("mixed", "en", en_question, zh_answer)


def _short() -> Iterator[Labelled]:
    """Up to ten characters: answers of exams, words of an encyclopaedia, clauses of sums, titles."""
    hans = [row[key] for row in _cmmlu() for key in "ABCD"]
    hant = [question["answers"][0]["text"] for paragraph in _drcd() for question in paragraph["qas"]]
    japanese = [line.split("\t")[0] for line in (DATA / "mgsm/mgsm_ja.tsv").read_text(encoding="utf-8").splitlines()]
    clauses = [clause for text in japanese for clause in re.split("[、。？]", text)]
    asked = [row["queries"]["ko"] for row in _zipped("mkqa-sample")]
    korean = [word for text in asked for word in text.split() if re.search("[가-힣]", word)]
    for kind, language, texts in (
        ("short Han", "zh-Hans", _few(hans, SHORT_TEXTS)),
        ("short Han", "zh-Hant", _few(hant, SHORT_TEXTS)),
        ("short kana", "ja", _few(clauses, 120)),
        ("short Hangul", "ko", _few(korean, SHORT_TEXTS)),
        ("short Latin", "en", _few([w for row in _lines("gsm8k/test.jsonl") for w in _phrases(row["question"])], 200)),
    ):
        yield from (_text(kind, language, text) for text in texts)


def _phrases(text: str) -> Iterator[str]:
    """Two words at a time."""
    words = re.findall("[A-Za-z]+", text)
    yield from (" ".join(words[at : at + 2]) for at in range(0, len(words) - 1, 7))


def _few(texts: Iterable[str], count: int) -> list[str]:
    """Some short texts with letters, the same ones always."""
    short = {text.strip() for text in texts}
    letters = re.compile(r"[^\W\d_a-zA-Z]|[a-zA-Z] [a-zA-Z]")
    return sorted((text for text in short if 0 < len(text) <= SHORT and letters.search(text)), key=digest_of)[:count]
