from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doit import convert
from doit.errors import DataError
from doit.reading.records import Batch, read_records
from doit.schemas.card import DatasetCard, Preference


def read(folder: Path, content: Any, **card: Any) -> Batch:
    path = folder / "rows.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    (batch,) = read_records(path, DatasetCard.model_validate({"name": "set", **card}))
    return batch


words = st.sampled_from(["甲", "乙", "", " x", "line\r\nend"])


def said(batch: Batch) -> list[list[str]]:
    return [[turn["content"] for turn in messages] for messages in batch.records["messages"].to_pylist()]


def test_each_keeps_the_rows_other_fields_around_its_elements(tmp_path: Path) -> None:
    rows = [{"instruction": "译", "instances": [{"input": "早", "output": "Hi"}, {"input": "晚", "output": "Bye"}]}]

    batch = read(tmp_path, rows, shape={"kind": "alpaca"}, each="instances")

    assert said(batch) == [["译\n早", "Hi"], ["译\n晚", "Bye"]]
    assert batch.records["part"].to_pylist() == [0, 1]


def test_each_of_several_outputs(tmp_path: Path) -> None:
    rows = [{"instruction": "q", "output": ["one", "", "three"]}]

    batch = read(tmp_path, rows, shape={"kind": "alpaca"}, each="output")

    assert said(batch) == [["q", "one"], ["q", "three"]]
    assert batch.records["part"].to_pylist() == [0, 2]
    assert [(reject.row, reject.part, reject.code, reject.field) for reject in batch.rejects] == [
        (0, 1, "D313", "output")
    ]


def test_each_of_a_row_that_is_a_list_names_its_places(tmp_path: Path) -> None:
    rows = [[["甲：早", "乙：早"], [{"question": "谁先说？", "choice": ["甲", "乙"], "answer": "甲"}], "id-7"]]
    shape = {"kind": "choice", "passage": "0", "options": "choice", "key": "text"}

    batch = read(tmp_path, rows, shape=shape, each="1", group="2")

    assert said(batch) == [["甲：早\n乙：早\n谁先说？\nA. 甲\nB. 乙", "A. 甲"]]
    assert batch.records["group"].to_pylist() == ["id-7"]


def test_each_follows_a_path(tmp_path: Path) -> None:
    rows = [
        {"made": {"talks": [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]], "tools": "t"}}
    ]

    batch = read(
        tmp_path, rows, each="made.talks", shape={"kind": "messages", "turns": "made.talks", "tools": "made.tools"}
    )

    assert said(batch) == [["a", "b"]]
    assert batch.records["tools"].to_pylist() == ["t"]


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [({"instances": []}, "D313", "instances"), ({}, "D310", "instances"), ({"instances": "x"}, "D312", "instances")],
)
def test_a_row_with_nothing_to_take_apart_is_one_reject(
    row: dict[str, Any], code: str, field: str, tmp_path: Path
) -> None:
    batch = read(tmp_path, [row], shape={"kind": "alpaca"}, each="instances")

    assert [(reject.part, reject.code, reject.field) for reject in batch.rejects] == [(None, code, field)]


def test_a_rows_group_comes_before_an_elements(tmp_path: Path) -> None:
    rows = [{"id": "passage", "context": "c", "qas": [{"id": "question", "question": "q", "answers": ["a"]}]}]

    batch = read(tmp_path, rows, shape={"kind": "mrc"}, each="qas", group="id")

    assert batch.records["group"].to_pylist() == ["passage"]


PARAGRAPHS = [
    {"context": "文一", "id": "p1", "qas": [{"question": "问一", "answers": [{"text": "答一"}]}]},
    {
        "context": "文二",
        "id": "p2",
        "qas": [{"question": "问二", "answers": ["答二"]}, {"question": "问三", "answers": []}],
    },
]


@pytest.mark.parametrize("each", ["paragraphs.*.qas", "paragraphs.*.qas.*"])
def test_each_goes_down_lists_and_keeps_the_fields_on_the_way(each: str, tmp_path: Path) -> None:
    rows = [{"title": "题", "paragraphs": PARAGRAPHS}, {"title": "再", "paragraphs": PARAGRAPHS[:1]}]

    batch = read(tmp_path, rows, shape={"kind": "mrc", "system": "title"}, each=each, group="id")

    assert said(batch) == [["题", "文一\n问一", "答一"], ["题", "文二\n问二", "答二"], ["再", "文一\n问一", "答一"]]
    assert batch.records["group"].to_pylist() == ["p1", "p2", "p1"]
    assert [(reject.row, reject.part, reject.code, reject.field) for reject in batch.rejects] == [
        (0, 2, "D313", "answers")
    ]


def test_each_of_a_list_on_the_way_that_leads_no_further_is_one_reject(tmp_path: Path) -> None:
    wrong = [{"context": "空", "qas": []}, {"context": "无"}, "文", PARAGRAPHS[0]]

    batch = read(
        tmp_path, [{"paragraphs": wrong}, {"paragraphs": []}, {}], shape={"kind": "mrc"}, each="paragraphs.*.qas"
    )

    assert said(batch) == [["文一\n问一", "答一"]]
    assert batch.records["part"].to_pylist() == [3]
    assert [(reject.row, reject.part, reject.code, reject.field) for reject in batch.rejects] == [
        (0, 0, "D313", "paragraphs.0.qas"),
        (0, 1, "D310", "paragraphs.1.qas"),
        (0, 2, "D310", "paragraphs.2.qas"),
        (1, None, "D313", "paragraphs.*"),
        (2, None, "D310", "paragraphs.*"),
    ]
    assert json.loads(batch.rejects[0].raw) == {"paragraphs": wrong}


def test_nearer_fields_win_and_elements_without_fields_stand_at_the_path(tmp_path: Path) -> None:
    rows = [{"name": "far", "talks": [{"name": "near", "texts": ["甲", "乙"]}, {"texts": ["丙"]}]}]
    shape = {"kind": "qa", "prompt": "talks.*.texts", "answer": "name"}

    batch = read(tmp_path, rows, shape=shape, each="talks.*.texts")

    assert said(batch) == [["甲", "near"], ["乙", "near"], ["丙", "far"]]


def test_each_of_a_row_that_is_a_list_of_objects(tmp_path: Path) -> None:
    batch = read(tmp_path, [PARAGRAPHS[:1], PARAGRAPHS[:1]], shape={"kind": "mrc"}, each="*.qas")

    assert said(batch) == [["文一\n问一", "答一"]] * 2


@pytest.mark.parametrize("each", ["json:held", "json:held.rows", "json:held.rows.*.qas"])
def test_each_reads_lists_that_a_text_holds(each: str, tmp_path: Path) -> None:
    found: Any = [{"question": "问", "answer": "答"}]
    if each.endswith("qas"):
        found = [{"qas": found}]
    held = found if each == "json:held" else {"rows": found}

    batch = read(tmp_path, [{"held": json.dumps(held)}, {"held": "["}], shape={"kind": "qa"}, each=each)

    assert said(batch) == [["问", "答"]]
    assert [(reject.row, reject.code, reject.field) for reject in batch.rejects] == [(1, "D312", "held")]


def test_where_looks_into_a_text(tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": "a", "label": label} for label in ('{"k": 1}', '{"k": 2}', "{")]

    batch = read(tmp_path, rows, shape={"kind": "qa"}, where={"json:label.k": 1})

    assert batch.records["row"].to_pylist() == [0]
    assert batch.left_out == [(1, 0)]
    assert [(reject.row, reject.code, reject.field) for reject in batch.rejects] == [(2, "D312", "label")]


def test_a_label_in_a_broken_text_rejects_its_row_alone(tmp_path: Path) -> None:
    rows = [
        {"question": f"q{number}", "answer": "a", "label": label} for number, label in enumerate(('{"k": "math"}', "{"))
    ]

    batch = read(tmp_path, rows, shape={"kind": "qa"}, ability={"field": "json:label.k"})

    assert batch.records["ability"].to_pylist() == ["math"]
    assert [(reject.row, reject.code, reject.field) for reject in batch.rejects] == [(1, "D312", "label")]


@given(
    rows=st.lists(
        st.fixed_dictionaries({"q": words, "a": words}, optional={"ctx": words | st.none() | st.just([])}),
        min_size=1,
        max_size=12,
    )
)
def test_a_passage_is_missed_the_same_in_bulk_and_row_by_row(rows: list[Any], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("passage") / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    shape = {"kind": "qa", "prompt": "q", "answer": "a", "passage": "ctx"}
    card = DatasetCard.model_validate({"name": "set", "rows": "lines", "shape": shape})

    (bulk,) = read_records(path, card)
    (single,) = read_records(path, card, watch=True)

    assert bulk.records.equals(single.records)
    assert bulk.rejects == single.rejects
    missing = [number for number, row in enumerate(rows) if "ctx" not in row]
    assert set(missing) <= {reject.row for reject in bulk.rejects}


@pytest.mark.parametrize(("path", "count"), [("data.-1.p", 1), ("data.0.p", 2), ("data.-2.p", 2)])
def test_rows_at_a_place_counted_from_the_end(path: str, count: int, tmp_path: Path) -> None:
    row = {"question": "q", "answer": "a"}

    batch = read(tmp_path, {"data": [{"p": [row, row]}, {"p": [row]}]}, shape={"kind": "qa"}, rows=path)

    assert len(said(batch)) == count


def test_rows_at_a_place_that_is_not_there(tmp_path: Path) -> None:
    batch = read(tmp_path, {"data": [{"p": []}]}, shape={"kind": "qa"}, rows="data.-2.p")

    assert [(reject.code, reject.field) for reject in batch.rejects] == [("D305", "data.-2")]


def test_where_keeps_rows_with_a_value_or_one_of_several(tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": "a", "kind": kind} for kind in ("x", "y", None, "z")]

    batch = read(tmp_path, rows, shape={"kind": "qa"}, where={"kind": ["x", "z"]})

    assert batch.records["row"].to_pylist() == [0, 3]
    assert batch.left_out == [(1, 0), (2, 0)]


def test_one_row_as_several_records_and_a_reject(tmp_path: Path) -> None:
    leaf = {"role": "assistant", "text": "b", "replies": []}
    rows = [
        {"prompt": {"role": "prompter", "text": "a", "replies": [leaf, {**leaf, "text": ""}, {**leaf, "text": "c"}]}}
    ]

    batch = read(tmp_path, rows, shape={"kind": "tree"})

    assert said(batch) == [["a", "b"], ["a", "c"]]
    assert batch.records["part"].to_pylist() == [0, 2]
    assert [(reject.part, reject.code, reject.field) for reject in batch.rejects] == [(1, "D313", "text")]


JUDGED = {"votes": ["one", "two", "three"], "of": {"1": "first", "2": "second"}}


@pytest.mark.parametrize(
    ("votes", "column"),
    [
        ((1, 1, 1), "first"),
        ((1, 2, 2), "second"),
        (("2", 0, 2), "second"),
        ((0, 0, 2), None),
        ((1, 2, 0), None),
        ((None, None, None), None),
    ],
)
def test_the_majority_of_the_votes_chooses(votes: tuple[Any, ...], column: str | None) -> None:
    row = dict(zip(JUDGED["votes"], votes, strict=True))

    assert Preference.model_validate(JUDGED).chosen(row) == column


def test_the_preferred_side_is_the_record(tmp_path: Path) -> None:
    rows = [
        {"question": "q", "first": "a", "second": "b", "better": True},
        {"question": "q", "first": "a", "second": "b", "better": None},
        {"question": "q", "second": "b", "better": True},
        ["q"],
    ]
    preference = {"votes": "better", "of": {"true": "first", "false": "second"}}

    batch = read(tmp_path, rows, shape={"kind": "qa", "answer": "chosen"}, preference=preference)

    assert said(batch) == [["q", "a"]]
    assert batch.left_out == [(1, 0), (3, 0)]
    assert [(reject.row, reject.code, reject.field) for reject in batch.rejects] == [(2, "D310", "first")]


def test_plain_text_and_prompts_need_no_dialogue(tmp_path: Path) -> None:
    text = read(tmp_path, [{"text": "春眠不觉晓"}], shape={"kind": "text"})
    asked = read(tmp_path, [{"turns": ["a", "b"]}], shape={"kind": "prompts", "prompt": "turns"})

    assert text.records["messages"].to_pylist() == [[{"role": "assistant", "content": "春眠不觉晓"}]]
    assert text.records["turns"].to_pylist() == [1]
    assert [turn["role"] for turn in asked.records["messages"].to_pylist()[0]] == ["user", "user"]


def test_rows_of_an_object_of_splits(tmp_path: Path) -> None:
    content = {"train": [["a", "b"], ["c", "d"]], "test": [], "valid": [["e", "f"]]}

    batch = read(tmp_path, content, shape={"kind": "chat", "turns": ".", "starts": "user"}, rows="*.*")

    assert said(batch) == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert batch.records["row"].to_pylist() == [0, 1, 2]


def test_what_is_said_of_a_row_without_fields_has_no_empty_place(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[["问", "答"]]', encoding="utf-8")

    with pytest.raises(DataError, match=r"row 0 \(byte 1\): the row is a list, not an object; its columns are places"):
        convert([str(path)], tmp_path / "out.jsonl", shape="qa", to="messages")
