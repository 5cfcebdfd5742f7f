"""Paths: how a column is found in a row that is nested, a list, or holds JSON in a text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from doit.schemas.shapes import AnyShape, BadRow
from doit.schemas.shapes.base import MISSING, find

Shape: TypeAdapter[Any] = TypeAdapter(AnyShape)


def text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


ROW = {
    "payload": text({"q": "问", "list": [1, {"a": "é"}], "null": None, "a.b": 5}),
    "outer": {"inner": text({"k": 1})},
    "many": [text({"k": 1}), text({"k": 2})],
    "rounds": [{"held": text([1])}, {"held": text([2])}],
    "dotted.key": text({"k": 3}),
    "dotted": {"key": text({"k": 4})},
    "twice": text({"more": text({"k": 6})}),
    "again": text(text([7])),
    "none": None,
    "json:plain": 8,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("json:payload.q", "问"),
        ("json:payload.list.1.a", "é"),
        ("json:payload.list.-1", {"a": "é"}),
        ("json:payload.list.*", [1, {"a": "é"}]),
        ("json:payload.null", None),
        ("json:payload.a.b", 5),
        ("json:payload.no", MISSING),
        ("json:outer.inner", {"k": 1}),
        ("json:outer.inner.k", 1),
        ("outer.json:inner.k", 1),
        ("json:many.*.k", [1, 2]),
        ("json:many.*", [{"k": 1}, {"k": 2}]),
        ("json:rounds.*.held", [[1], [2]]),
        ("json:rounds.*.no", MISSING),
        ("json:dotted.key.k", 3),
        ("json:twice.json:more.k", 6),
        ("json:twice.more", text({"k": 6})),
        ("json:again.json:.", [7]),
        ("json:none", None),
        ("json:none.k", MISSING),
        ("json:absent.k", MISSING),
        ("json:plain", 8),
    ],
)
def test_json_in_a_text_is_gone_into(path: str, value: Any) -> None:
    found = find(ROW, path)

    assert found is MISSING if value is MISSING else found == value


@pytest.mark.parametrize(
    ("row", "path", "field", "reason"),
    [
        ({"p": '{"q": 1'}, "json:p.q", "p", "does not hold JSON"),
        ({"p": "NaN"}, "json:p", "p", "does not hold JSON"),
        ({"p": ""}, "json:p.q", "p", "does not hold JSON"),
        ({"p": '{"q": 1, "q": 2}'}, "json:p.q", "p", "'q' stands twice"),
        ({"p": '[{"r": {"q": 1, "q": 2}}]'}, "json:p.0", "p", "'q' stands twice"),
        ({"p": {"q": {"r": 1}}}, "json:p.q", "p.q", "is an object, not JSON in a text"),
        ({"p": {"q": 4}}, "json:p.q", "p.q", "is a number, not JSON in a text"),
        ({"p": [text({}), "{"]}, "json:p.*.q", "p.*", "does not hold JSON"),
        ({"p": text({"q": "{"})}, "json:p.json:q.r", "q", "does not hold JSON"),
    ],
)
def test_broken_json_in_a_text_names_its_field(row: Any, path: str, field: str, reason: str) -> None:
    with pytest.raises(BadRow, match=reason) as caught:
        find(row, path)

    assert (caught.value.code, caught.value.field) == ("D312", field)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "0", "语"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    value=json_values,
    steps=st.lists(st.sampled_from(["a", "b", "0", "-1", "语", "*"]), min_size=1, max_size=3),
)
def test_inside_a_text_a_path_finds_what_it_finds_in_the_open(value: Any, steps: list[str]) -> None:
    path = ".".join(steps)

    held, bare = find({"p": text(value)}, f"json:p.{path}"), find({"p": value}, f"p.{path}")

    assert (held is MISSING) == (bare is MISSING)
    assert held is MISSING or held == bare


BY_PLACE: dict[str, tuple[dict[str, Any], Any, list[str]]] = {
    "qa": ({"kind": "qa", "prompt": "0", "answer": "1"}, ["问", "答"], ["问", "答"]),
    "qa with a passage": (
        {"kind": "qa", "prompt": "1", "answer": "-1", "passage": "0"},
        list("文问答"),
        ["文\n问", "答"],
    ),
    "qa of texts with JSON": (
        {"kind": "qa", "prompt": "json:0.q", "answer": "1"},
        [text({"q": "问"}), "答"],
        ["问", "答"],
    ),
    "cot": ({"kind": "cot", "prompt": "0", "answer": "2", "rationale": "1"}, list("问想答"), ["问", "想\n答"]),
    "mrc": ({"kind": "mrc", "passage": "0", "prompt": "1", "answer": "2"}, ["文", "问", ["答"]], ["文\n问", "答"]),
    "alpaca": ({"kind": "alpaca", "instruction": "0", "input": "1", "output": "2"}, list("问入答"), ["问\n入", "答"]),
    "choice": (
        {"kind": "choice", "question": "0", "options": ["1", "2"], "answer": "3"},
        ["问", "甲", "乙", "B"],
        ["问\nA. 甲\nB. 乙", "B. 乙"],
    ),
    "pairs": ({"kind": "pairs", "turns": "1"}, ["id", [["问", "答"]]], ["问", "答"]),
    "pairs that are the row": ({"kind": "pairs", "turns": "."}, [["问", "答"], ["再", "好"]], ["问", "答", "再", "好"]),
    "pairs of parallel lists": (
        {"kind": "pairs", "turns": None, "user": "0", "assistant": "1"},
        [["问", "再"], ["答", "好"]],
        ["问", "答", "再", "好"],
    ),
    "marked_text": ({"kind": "marked_text", "text": "1"}, ["id", "Human: 问\nAssistant: 答"], ["问", "答"]),
    "tree": (
        {"kind": "tree", "root": "0"},
        [{"role": "user", "text": "问", "replies": [{"role": "assistant", "text": "答"}]}],
        ["问", "答"],
    ),
    "text": ({"kind": "text", "text": "1"}, ["id", "春眠不觉晓"], ["春眠不觉晓"]),
    "prompts": ({"kind": "prompts", "prompt": "*"}, ["问", "再"], ["问", "再"]),
    "templated": (
        {
            "kind": "templated",
            "instruction": "0",
            "output": "1",
            "templates": [{"prompt": "Q: {question}", "response": "{rationale} So: {answer}"}],
        },
        ["Q: 问", "想 So: 答"],
        ["问", "想\n答"],
    ),
}


@pytest.mark.parametrize("case", BY_PLACE)
def test_a_row_that_is_a_list_is_read_by_places(case: str) -> None:
    shape, row, said = BY_PLACE[case]

    assert [content for _, content in Shape.validate_python(shape).conversation(row).messages] == said


@pytest.mark.parametrize("kind", ["qa", "alpaca", "choice", "pairs", "marked_text", "tree", "text", "prompts"])
def test_a_list_has_no_columns_with_names(kind: str) -> None:
    with pytest.raises(
        BadRow, match=r"^the row is a list, not an object; its columns are places, such as `0`\.$"
    ) as it:
        Shape.validate_python({"kind": kind}).conversation(["问", "答"])

    assert it.value.code == "D305"


def test_every_value_of_an_object_that_is_the_row() -> None:
    assert find({"a": 1, "b": 2}, "*") == [1, 2]
    assert find({"*": 1, "b": 2}, "*") == 1


def test_a_place_that_a_list_lacks_is_a_missing_field() -> None:
    with pytest.raises(BadRow) as caught:
        Shape.validate_python({"kind": "qa", "prompt": "0", "answer": "1"}).conversation(["问"])

    assert (caught.value.code, caught.value.field) == ("D310", "1")


ASKED = {"question": "问", "answers": ["答"], "answer": "答", "options": ["答", "否"], "key": "A"}
PASSAGES: dict[str, tuple[dict[str, Any], str]] = {
    "mrc": ({"kind": "mrc"}, "context"),
    "mrc, named": ({"kind": "mrc", "passage": "ctx"}, "ctx"),
    "qa": ({"kind": "qa", "passage": "ctx"}, "ctx"),
    "cot": ({"kind": "cot", "passage": "a.ctx"}, "a.ctx"),
    "choice": ({"kind": "choice", "answer": "key", "passage": "ctx"}, "ctx"),
}


@pytest.mark.parametrize("case", PASSAGES)
def test_a_passage_that_the_card_names_must_be_there(case: str) -> None:
    named, field = PASSAGES[case]
    shape = Shape.validate_python(named)

    with pytest.raises(BadRow) as caught:
        shape.conversation(ASKED)

    assert (caught.value.code, caught.value.field) == ("D310", field)
    for nothing in (None, "", " ", []):
        assert shape.conversation({**ASKED, field: nothing}).messages[0][1].startswith("问")
    assert shape.conversation({**ASKED, field: "文"}).messages[0][1].startswith("文\n问")


def test_a_passage_that_no_card_names_may_be_missing() -> None:
    for shape in ({"kind": "mrc", "passage": None}, {"kind": "qa"}, {"kind": "choice", "answer": "key"}):
        assert Shape.validate_python(shape).conversation(ASKED).messages[0][1].startswith("问")


def test_the_way_back_makes_a_passage_that_can_be_read() -> None:
    for shape in ({"kind": "mrc"}, {"kind": "qa", "passage": "ctx"}):
        model = Shape.validate_python(shape)
        made = model.conversation({**ASKED, "context": "文", "ctx": "文"})

        assert model.conversation(model.row(made)) == made
