"""The model that travels with the package: made of this project's own text, in step with it, and not useless."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from doit.curation.tagging.features import features_digest
from doit.curation.tagging.fitting import prepared, texts_digest
from doit.curation.tagging.model import SHIPPED, load_tagger, tag
from doit.curation.tagging.requests import own_requests
from doit.curation.tagging.weights import load
from doit.mixtures.pools.tagging import labelled
from doit.schemas.abilities import ABILITIES, OTHER

ROOT = Path(__file__).resolve().parents[2]


def test_it_learnt_from_our_own_text_as_it_is_now() -> None:
    examples = labelled([ROOT / "examples" / "demo.yaml"]).filter(pl.col("source") != "cot")
    _, notes = load(SHIPPED)
    due = "run benchmarks/shipped_tagger.py"
    assert notes["features"] == features_digest(), due
    assert load_tagger().about["texts"] == texts_digest(prepared(examples)), due


def test_it_is_small_and_knows_every_ability() -> None:
    assert SHIPPED.stat().st_size < 2_000_000
    assert set(load_tagger().abilities) == {*ABILITIES, OTHER}


@pytest.mark.parametrize("ability", [*ABILITIES, OTHER])
def test_own_requests_speak_of_every_ability_in_three_ways_of_writing(ability: str) -> None:
    mine = own_requests().filter(pl.col("ability") == ability)
    assert len(mine) >= 40
    assert set(mine["source"]) == {"requests/zh", "requests/en"}
    assert mine["prompt"].str.contains("[這個為請說麼哪發還學經會裡幾與對]").any(), "some of it is Traditional"
    assert not mine["prompt"].str.contains(r"\{[a-z]+\}").any(), "every slot is filled"


@pytest.mark.parametrize(
    ("prompt", "ability"),
    [
        ("叶绿体和线粒体有哪些相同点？", "biology"),
        ("洋務運動為什麼沒有成功？", "history"),
        ("Implement a binary search in Java.", "code"),
        ("寫一個關於燈塔的故事", "creative_writing"),
        ("“胸有成竹”的“竹”是什么意思？它的近义词有哪些？", "chinese"),
        ("女：几点的车？\n男：九点半，还有一刻钟。\n现在几点？", "understanding"),
        ("請你扮演一位店小二", "role_play"),
        ("如果所有猫都怕水，而咪咪是猫，能推出什么结论？", "reasoning"),
        ("小明有15元，买了3支每支2元的笔，还剩多少元？", "math"),
        ("替同事隐瞒过失，在道德上对吗？", "ethics"),
    ],
)
def test_it_knows_plain_cases(prompt: str, ability: str) -> None:
    assert tag(pl.Series([prompt]), pl.Series([""]), load_tagger())["ability"][0] == ability
