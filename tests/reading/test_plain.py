from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from doit.reading.plain import plain_rows
from doit.reading.records import identify
from doit.schemas.shapes import AnyShape, BadRow
from doit.schemas.shapes.base import check_order

Shape: TypeAdapter[Any] = TypeAdapter(AnyShape)

SHAPES = [
    {"kind": "alpaca"},
    {"kind": "alpaca", "join": " | ", "history": None, "system": None},
    {"kind": "alpaca", "instruction": "input", "input": None, "output": "output"},
    {"kind": "qa", "prompt": "instruction", "answer": "output"},
    {"kind": "qa", "prompt": "instruction", "answer": "output", "passage": "input", "system": "system"},
    {"kind": "cot", "prompt": "instruction", "answer": "output", "rationale": "input"},
    {"kind": "cot", "prompt": "instruction", "answer": "output", "rationale": "input", "rationale_in": "nowhere"},
]

texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["你好", " 你好", "hi\r\nthere", "\x1c你好", "好\u3000", "", " \n", "e\u0301", "\ud800", "\x00"]),
)
values = st.one_of(texts, texts, texts, st.none(), st.integers(), st.booleans(), st.lists(texts, max_size=2))
rows = st.one_of(
    st.dictionaries(st.sampled_from(["instruction", "input", "output", "history", "system"]), values),
    st.fixed_dictionaries({"instruction": texts, "input": texts, "output": texts}),
    values,
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@given(batch=st.lists(rows, min_size=1, max_size=8))
def test_plain_rows_are_what_the_shape_makes_of_them(shape: dict[str, Any], batch: list[Any]) -> None:
    one_by_one = Shape.validate_python(shape)

    plain = plain_rows(batch, one_by_one.flat())

    if plain is None:
        return
    chosen = [row for row, is_plain in zip(batch, plain.mask, strict=True) if is_plain]
    for number, row in enumerate(chosen):
        made = one_by_one.conversation(row)
        check_order(made.messages, "messages")
        assert [(m["role"], m["content"]) for m in plain.messages[number].as_py()] == made.messages
        assert (bytes.fromhex(plain.ids[number].as_py()), plain.written[number].as_py()) == identify(made)
        assert plain.chars[number].as_py() == sum(len(content) for _, content in made.messages)
        assert made.reasoning is None
        assert made.tools is None


def test_an_ordinary_row_is_plain() -> None:
    shape = Shape.validate_python({"kind": "alpaca"})
    good = {"instruction": "译成英文", "input": "早上好", "output": "Good morning"}

    plain = plain_rows([good, {"instruction": "x"}, [good], {**good, "history": [["a", "b"]]}], shape.flat())

    assert plain is not None
    assert plain.mask.tolist() == [True, False, False, False]
    assert plain.messages[0].as_py()[0]["content"] == "译成英文\n早上好"


def test_a_bad_row_is_never_plain() -> None:
    shape = Shape.validate_python({"kind": "alpaca"})
    bad = [{"instruction": "x", "output": value} for value in (None, 4, "", " ", ["y"], True)]

    assert plain_rows(bad, shape.flat()) is None
    for row in bad:
        with pytest.raises(BadRow):
            shape.conversation(row)
