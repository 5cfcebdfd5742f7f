"""Two spellings of one BCP 47 range are one range, wherever a spec may write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

import doit
from doit.curation.language.ranges import canonical_range

Write = Callable[[str, Any], Path]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ZH", "zh"),
        ("zh-hans", "zh-Hans"),
        ("ZH-HANT-tw", "zh-Hant-TW"),
        ("zh-CMN-hans-CN", "zh-cmn-Hans-CN"),
        ("sgn-be-fr", "sgn-BE-FR"),
        ("EN-CA-X-CA", "en-CA-x-ca"),
        ("az-latn-x-LATN", "az-Latn-x-latn"),
        ("de-CH-1996", "de-CH-1996"),
        ("es-419", "es-419"),
        ("*", "*"),
        ("Chinese", "Chinese"),
        ("中文", "中文"),
        ("", ""),
    ],
)
def test_every_range_has_one_spelling(written: str, name: str) -> None:
    assert canonical_range(written) == name
    assert canonical_range(name) == name


@pytest.fixture
def spec(write: Write) -> Callable[..., Path]:
    simplified = [{"instruction": f"请说明第{n}个问题", "output": f"这是第{n}个回答。"} for n in range(20)]
    english = [{"instruction": f"Tell me about it {n}", "output": f"This is the answer {n}."} for n in range(20)]
    write("a.jsonl", [*simplified, *english])
    card = {"name": "a", "shape": {"kind": "alpaca"}, "source": {"files": "a.jsonl"}}

    def _spec(mix: dict[str, Any], **more: Any) -> Path:
        document = {"name": "t", "size": 8, "sources": [{"dataset": card}], "mix": {"language": mix}}
        return write("spec.yaml", document | more)

    return _spec


def test_cells_and_manifest_have_the_one_spelling(spec: Callable[..., Path], tmp_path: Path) -> None:
    keep = [{"kind": "languages", "keep": ["ZH-hans", "zh-HANS", "EN"]}]
    answer = doit.build(spec({"ZH-hans": 3, "EN": 1}, curation=keep), tmp_path / "out")

    assert {cell.language: cell.taken for cell in answer.cells} == {"zh-Hans": 6, "en": 2}
    document = orjson.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert document["spec"]["mix"] == {"language": {"zh-Hans": 3.0, "en": 1.0}}
    assert document["spec"]["curation"][0]["keep"] == ["zh-Hans", "en"]
    assert doit.verify(tmp_path / "out").ok


def test_two_spellings_of_one_range_contradict_each_other(spec: Callable[..., Path]) -> None:
    with pytest.raises(doit.SpecError, match=r'D207 .*mix\.language: "zh" and "ZH" are one range, zh\.'):
        doit.plan(spec({"zh": 1, "ZH": 1}))


@pytest.mark.parametrize("override", ["mix.language.ZH=0", "mix.language.zH =0", "mix.language.zh=0"])
def test_an_override_reaches_the_range_in_any_spelling(override: str, spec: Callable[..., Path]) -> None:
    answer = doit.plan(spec({"Zh": 1, "en": 1}), overrides=[override])

    assert {cell.language: cell.taken for cell in answer.cells if cell.taken} == {"en": 8}


def test_an_override_inside_a_target_reaches_it(spec: Callable[..., Path]) -> None:
    answer = doit.plan(spec({"Zh": {"records": 3}, "en": 1}), overrides=["mix.language.ZH.records=5"])

    assert {cell.language: cell.taken for cell in answer.cells} == {"zh": 5, "en": 3}


def test_variants_reach_the_range_in_any_spelling(spec: Callable[..., Path]) -> None:
    variants = {
        "less": {"mix.language.ZH": 0.25, "mix.language.en": 0.75},
        "without": {"leave_out": {"language": "ZH"}},
        "steps": {"sweep": {"mix.language.ZH-hant": [0]}},
    }
    answer = doit.plan(spec({"zh": 1, "EN": 1}, variants=variants))

    taken = {
        name: {cell.language: cell.taken for cell in plan.cells if cell.taken}
        for name, plan in (answer.variants or {}).items()
    }
    assert taken == {"less": {"zh": 2, "en": 6}, "without": {"en": 8}, "steps-0": {"zh": 4, "en": 4}}
