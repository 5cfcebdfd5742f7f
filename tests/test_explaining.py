"""What a wrong value of a spec, a card or a trainer is told: one sentence that a person understands, with its key."""

from __future__ import annotations

import json
import re
from typing import Any

import pydantic
import pytest

from doit import yamlio
from doit.curation.tagging.endpoint import Endpoint
from doit.explaining import PATTERNS
from doit.mixtures.spec import MixtureSpec
from doit.schemas.card import DatasetCard
from doit.trainers.spec import TrainerSpec

SPEC = "name: t\nsize: 10\nsources: [{dataset: alpaca}]\n"
CARD = "name: a\nshape: {kind: alpaca}\n"
TRAINER = "name: t\nmodel: m\nmethod: {kind: lora}\n"
MAPPING = "a mapping of `key: value`"

SAID: list[tuple[type[pydantic.BaseModel], str, str, set[str]]] = [
    # lists and mappings that are too short or too long
    (MixtureSpec, "name: t\nsize: 1\nsources: []", "sources: must not be empty.", {"too_short"}),
    (MixtureSpec, SPEC + "curation: [{kind: secrets, kinds: []}]", "curation.0.kinds: must not be empty.",
     {"too_short"}),
    (DatasetCard, CARD + "preference: {votes: v, of: {'1': a}}",
     "preference.of: must have 2 entries or more, and this has 1.", {"too_short"}),
    (TrainerSpec, TRAINER + "optimizer: {betas: [0.9, 0.9, 0.9]}",
     "optimizer.betas: must have 2 entries or fewer, and this has 3.", {"too_long"}),
    (TrainerSpec, TRAINER + "optimizer: {betas: [0.9]}", "optimizer.betas.1: missing.", {"missing"}),
    # texts
    (MixtureSpec, SPEC + "curation: [{kind: top_scores, by: '', keep: 1}]", "curation.0.by: must not be empty.",
     {"string_too_short"}),
    (DatasetCard, CARD + "source: {delimiter: '||'}",
     'source.delimiter: must have 1 character or fewer, not "||".', {"string_too_long"}),
    (DatasetCard, "name: 我的集\nshape: {kind: alpaca}",
     'name: must be letters, digits, `.`, `_` and `-` that begin with a letter or digit, not "我的集".',
     {"string_pattern_mismatch"}),
    (DatasetCard, CARD + "languages: [中文]",
     'languages.0: must be a language tag such as `zh`, `zh-Hant` or `en`, not "中文".', {"string_pattern_mismatch"}),
    (DatasetCard, CARD + "title: [a]", "title: must be text, not a list.", {"string_type"}),
    # numbers
    (MixtureSpec, SPEC + "seed: x", 'seed: must be a whole number, not "x".', {"int_parsing"}),
    (MixtureSpec, SPEC + "seed: [1]", "seed: must be a whole number, not a list.", {"int_type"}),
    (MixtureSpec, SPEC + "seed: 1.5", "seed: must be a whole number, not 1.5.", {"int_from_float"}),
    (MixtureSpec, SPEC + "series: [0]", "series.0: must be 1 or more, not 0.", {"greater_than_equal"}),
    (MixtureSpec, SPEC + "curation: [{kind: near_duplicates, threshold: 2}]",
     "curation.0.threshold: must be 1 or less, not 2.", {"less_than_equal"}),
    (MixtureSpec, SPEC + "curation: [{kind: near_duplicates, threshold: 0}]",
     "curation.0.threshold: must be greater than 0, not 0.", {"greater_than"}),
    (MixtureSpec, SPEC + "curation: [{kind: near_duplicates, threshold: 80%}]",
     'curation.0.threshold: must be a number, not "80%".', {"float_parsing"}),
    (MixtureSpec, SPEC + "curation: [{kind: near_duplicates, threshold: [1]}]",
     "curation.0.threshold: must be a number, not a list.", {"float_type"}),
    (MixtureSpec, SPEC + "curation: [{kind: score, by: chars, at_least: .inf}]",
     "curation.0.at_least: must be a finite number, not inf.", {"finite_number"}),
    (DatasetCard, CARD + "ability: {file_stem: maybe}", 'ability.file_stem: must be true or false, not "maybe".',
     {"bool_parsing"}),
    (DatasetCard, CARD + "ability: {file_stem: [1]}", "ability.file_stem: must be true or false, not a list.",
     {"bool_type"}),
    # lists and mappings of another kind
    (MixtureSpec, SPEC + "curation: {kind: turns}", "curation: must be a list, not a mapping.", {"tuple_type"}),
    (DatasetCard, CARD + "languages: zh", 'languages: must be a list, not "zh". Write `[zh]`.', {"tuple_type"}),
    (DatasetCard, CARD + "task: 3", "task: must be a list, not 3.", {"tuple_type"}),
    (MixtureSpec, SPEC + "mix: [zh]", f"mix: must be {MAPPING}, not a list.", {"dict_type"}),
    (DatasetCard, CARD + "source: a.json", f'source: must be {MAPPING}, not "a.json".', {"model_type"}),
    (MixtureSpec, "- 1", f"must be {MAPPING}, not a list.", {"model_type"}),
    (DatasetCard, "name: a\nshape: alpaca", f'shape: must be {MAPPING}, not "alpaca". Write `{{kind: alpaca}}`.',
     {"model_attributes_type"}),
    # unions: everything that could stand there
    (MixtureSpec, "name: t\nsize: ten\nsources: [{dataset: a}]", 'size: must be a whole number or "all", not "ten".',
     {"int_parsing", "literal_error"}),
    (MixtureSpec, "name: t\nsize: 0\nsources: [{dataset: a}]", "size: must be 1 or more, not 0.",
     {"greater_than_equal", "literal_error"}),
    (MixtureSpec, "name: t\nsize: 1\nsources: [{dataset: 3}]",
     f"sources.0.dataset: must be text or {MAPPING}, not 3.", {"string_type", "model_type", "too_short"}),
    (MixtureSpec, "name: t\nsize: 1\nsources: [{dataset: a, files: 3}]",
     "sources.0.files: must be text or a list, not 3.", {"string_type", "tuple_type", "too_short"}),
    (MixtureSpec, SPEC + "curation: [{kind: script, to: zh-Hant, names: 张三}]",
     f'curation.0.names: must be a list or {MAPPING}, not "张三".', {"tuple_type", "model_type"}),
    (MixtureSpec, SPEC + "curation: [{kind: script, to: zh-Hant, names: {file: []}}]",
     "curation.0.names.file: must not be empty.", {"tuple_type", "string_type", "too_short"}),
    (MixtureSpec, SPEC + "curation: [{kind: top_scores, by: turns, keep: half}]",
     f'curation.0.keep: must be a number or {MAPPING}, not "half".', {"float_parsing", "model_type"}),
    (TrainerSpec, TRAINER + "packing: maybe", 'packing: must be "auto" or true or false, not "maybe".',
     {"literal_error", "bool_parsing"}),
    (MixtureSpec, SPEC + "unit: [records]", 'unit: must be "records" or "tokens", not a list.', {"literal_error"}),
    # choices
    (MixtureSpec, SPEC + "shortage: eror",
     'shortage: no choice "eror". Did you mean "error"? One of error, redistribute, shrink, repeat.',
     {"literal_error"}),
    (MixtureSpec, SPEC + "curation: [{kind: turn}]",
     'curation.0.kind: no rule "turn". Did you mean "turns"? See `doit list rules`.', {"union_tag_invalid"}),
    (MixtureSpec, SPEC + "curation: [{kind: [turns]}]", "curation.0.kind: must be text, not a list.",
     {"union_tag_invalid"}),
    (MixtureSpec, SPEC + "curation: [{}]", "curation.0.kind: missing.", {"union_tag_not_found"}),
    (MixtureSpec, SPEC + "curation: [turns]", f'curation.0: must be {MAPPING}, not "turns". Write `{{kind: turns}}`.',
     {"model_attributes_type"}),
    # keys
    (MixtureSpec, SPEC + "curration: []", 'curration: unknown key. Did you mean "curation"?', {"extra_forbidden"}),
    (DatasetCard, "name: a", "shape: missing.", {"missing"}),
    # words of our own
    (MixtureSpec, SPEC + "curation: [{kind: turns}]", "curation.0: give `at_least`, `at_most` or both.",
     {"value_error"}),
    (MixtureSpec, SPEC + "curation: [{kind: pattern, matches: '('}]",
     "curation.0.matches: not a regular expression of Polars: unclosed group. It knows no look-around and no \\1.",
     {"value_error"}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "text", "said", "kinds"), SAID, ids=[said for _, _, said, _ in SAID])
def test_every_kind_of_mistake_is_a_sentence_with_its_key(
    model: type[pydantic.BaseModel], text: str, said: str, kinds: set[str]
) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        model.model_validate(yamlio.loads(text, "s.yaml"))
    error = yamlio.explain(caught.value, where="s.yaml", text=text, model=model)
    assert {problem["type"] for problem in caught.value.errors()} == kinds
    assert re.sub(r"^D20\d s\.yaml( line \d+)?: ", "", str(error)) == said


def test_a_pattern_is_told_in_words() -> None:
    found: set[str] = set()

    def look(schema: Any) -> None:
        if isinstance(schema, dict):
            found.update(value for key, value in schema.items() if key == "pattern" and "$defs" not in value)
        for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
            look(inner)

    for model in (MixtureSpec, DatasetCard, TrainerSpec, Endpoint):
        look(json.loads(json.dumps(model.model_json_schema())))
    assert found == PATTERNS.keys()
