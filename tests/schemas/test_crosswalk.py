from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

import doit
from doit import catalogue, yamlio
from doit.errors import SpecError
from doit.schemas.abilities import ABILITIES, OTHER
from doit.schemas.card import AbilityRule, DatasetCard
from doit.schemas.crosswalk import Crosswalk, crosswalk

SYSTEMS = {
    "belle-6": 6,
    "belle-9": 9,
    "belle-10": 10,
    "belle-12": 12,
    "firefly": 24,
    "coig-cqia": 13,
    "alignbench": 8,
    "superclue": 10,
    "magpie": 12,
    "infinity-instruct": 10,
    "flagdata": 22,
}


def test_every_ability_is_explained_in_both_languages_with_examples() -> None:
    assert len(ABILITIES) == 10
    for ability in ABILITIES.values():
        assert all(ability[:4])
        assert len(ability.belongs) >= 2
        assert len(ability.not_) >= 2


@pytest.mark.parametrize(("name", "labels"), SYSTEMS.items())
def test_every_system_has_all_its_labels(name: str, labels: int) -> None:
    assert len(crosswalk().system(name).labels) == labels


def test_every_ability_has_labels_of_others() -> None:
    systems = crosswalk().systems.values()

    assert all(any(system.native(ability) for system in systems) for ability in ABILITIES)


def test_a_label_is_found_however_it_is_written() -> None:
    belle = crosswalk().system("belle-10")

    assert belle.abilities("Closed\u00a0QA") == ("understanding",)
    assert belle.abilities("rewrite") == ("creative_writing", "chinese")
    assert belle.abilities("open qa") == (OTHER,)
    assert crosswalk().system("superclue").abilities("ＡＩ agent") == (OTHER,)
    with pytest.raises(SpecError, match=r'D203 .*Did you mean "extract"\?'):
        belle.abilities("extrakt")


def test_a_card_maps_by_a_system(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"instruction": "一加一等于几", "output": "二", "class": "Math"}\n'
        '{"instruction": "续写", "output": "春风", "class": "rewrite"}\n'
        '{"instruction": "最长的河", "output": "尼罗河", "class": "open\u00a0qa"}\n',
        encoding="utf-8",
    )
    card = {"name": "a", "shape": {"kind": "alpaca"}, "ability": {"field": "class", "crosswalk": "belle-10"}}
    spec = {"name": "t", "size": "all", "sources": [{"dataset": card, "files": str(tmp_path / "a.jsonl")}]}

    doit.build(spec, tmp_path / "out")

    assert doit.inspect(tmp_path / "out").by["ability"] == {"creative_writing": 1, "math": 1, "other": 1}


def test_a_map_of_ones_own_wins_and_an_unknown_system_is_refused() -> None:
    rule = AbilityRule(field="class", crosswalk="belle-10", map={"math": "reasoning"})

    assert rule.map == {"math": "reasoning"}
    with pytest.raises(ValidationError, match="doit list crosswalks"):
        AbilityRule(field="class", crosswalk="belle-11")


def test_the_shipped_cards_map_as_the_systems_say() -> None:
    for name in catalogue.names("schemas"):
        rule = DatasetCard.model_validate(yamlio.load(catalogue.find("schemas", name))).ability
        if rule is not None and rule.crosswalk is not None:
            assert rule.map == crosswalk().system(rule.crosswalk).mapping()


def test_a_label_may_stand_once_only() -> None:
    system = {"about": "x", "cite": "y", "labels": {"open qa": [], "Open\u00a0QA": ["math"]}}

    with pytest.raises(ValidationError, match="twice"):
        Crosswalk.model_validate({"version": 1, "systems": {"x": system}})
