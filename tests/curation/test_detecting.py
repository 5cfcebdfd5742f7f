from __future__ import annotations

import polars as pl
import pytest

pytest.importorskip("langdetect", reason="the extra `langid` is not installed")

from doit.curation.language.detecting import second_opinion
from doit.curation.language.telling import languages

TEXTS = [
    "Bhí madra mór dubh ag rith trasna na páirce",  # no list of words has it
    "Tere hommikust kallid sõbrad ja naabrid",
    "def f(x): return x",
    "```python\nprint(1)\n```",
    "3.14 + 2",
    "今天天气很好",
    "The weather is fine today, and we are glad of it.",
    "",
]


def test_only_the_undecided_get_another_tag() -> None:
    texts = pl.Series(TEXTS)
    tags = languages(texts)

    told = second_opinion(tags, texts)

    decided = tags != "und"
    assert told.filter(decided).to_list() == tags.filter(decided).to_list()
    assert told[1] == "et"
    assert told[3] == told[4] == told[7] == "und"


def test_the_same_text_has_the_same_tag_always() -> None:
    texts = pl.Series([TEXTS[0][:n] for n in range(4, 40)] * 2)

    told = second_opinion(pl.Series(["und"] * len(texts)), texts).to_list()

    assert told[: len(told) // 2] == told[len(told) // 2 :]
