from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import doit
from doit.cli import main
from doit.errors import DataError, DoitError, SpecError, StorageError
from doit.reading.converting import TARGETS, convert_files, described_input
from doit.reading.records import read_records
from doit.reading.rows import Layout, read_rows
from doit.schemas.card import DatasetCard, Source
from doit.schemas.record import content_id
from doit.schemas.shapes import Conversation
from doit.schemas.shapes.base import CannotHold, check_order
from doit.schemas.shapes.way_back import LOSSES, without

Write = Callable[[str, Any], Path]

TURNS = [("user", "你好，你是谁？"), ("assistant", "我是客服。"), ("user", "Bye — 再见 👋🏽"), ("assistant", "慢走")]
BELLE = {
    "id": "1",
    "conversations": [
        {"from": "human", "value": TURNS[0][1]},
        {"from": "assistant", "value": TURNS[1][1]},
        {"from": "human", "value": TURNS[2][1]},
        {"from": "assistant", "value": TURNS[3][1]},
    ],
}
MARKED = {
    "instruction": f"Human:{TURNS[0][1]}\nAssistant:{TURNS[1][1]}\nHuman:{TURNS[2][1]}\nAssistant:",
    "input": "",
    "output": TURNS[3][1],
}
DOIT = {"messages": [{"role": role, "content": content} for role, content in TURNS]}

TOOLS = '[{"name": "weather"}]'
CALLED = [
    ("system", "查天气"),
    ("user", "上海天气？"),
    ("assistant", '{"name": "weather"}'),
    ("tool", "晴"),
    ("assistant", "晴天"),
    ("user", "谢谢"),
    ("assistant", "不客气"),
]


def rows_of(path: Path, **layout: Any) -> list[Any]:
    return [row.value for batch in read_rows(path, Layout(**layout)) for row in batch]


def made_of(path: Path, card: DatasetCard) -> list[Conversation]:
    found = []
    for batch in read_records(path, card):
        assert not batch.rejects
        for row in batch.records.select(["messages", "reasoning", "tools"]).to_pylist():
            turns = [(message["role"], message["content"]) for message in row["messages"]]
            found.append(Conversation(turns, row["reasoning"], row["tools"]))
    return found


def card(target: str, **source: Any) -> DatasetCard:
    return DatasetCard(name="t", shape=TARGETS[target], source=Source(**source))


def test_one_conversation_in_three_layouts_has_one_id_and_each_becomes_the_others(write: Write, tmp_path: Path) -> None:
    files = {
        "belle": (write("belle.jsonl", [BELLE]), "belle-3.5m", "belle"),
        "marked": (write("marked.jsonl", [MARKED]), "belle-multiturn", "belle-multiturn"),
        "doit": (write("doit.jsonl", [DOIT]), "doit", "doit"),
    }
    ids = set()
    for name, (path, dataset, _) in files.items():
        for other, (original, read_by, to) in files.items():
            there, back = tmp_path / f"{name}-{other}.jsonl", tmp_path / f"{name}-{other}-back.jsonl"
            doit.convert(path, there, to=to, dataset=dataset)
            doit.convert(there, back, to=files[name][2], dataset=read_by)
            for file, by in ((path, dataset), (there, read_by), (back, dataset), (original, read_by)):
                messages = tmp_path / "messages.jsonl"
                doit.convert(file, messages, to="messages", dataset=by, overwrite=True)
                (row,) = rows_of(messages)
                ids.add(content_id((turn["role"], turn["content"]) for turn in row["messages"]))
    assert ids == {content_id(TURNS)}


WRITTEN: dict[str, Any] = {
    "messages": DOIT,
    "doit": DOIT,
    "belle": {"conversations": BELLE["conversations"]},
    "sharegpt": {
        "conversations": [{"from": "human" if role == "user" else "gpt", "value": content} for role, content in TURNS]
    },
    "alpaca": {
        "instruction": TURNS[2][1],
        "input": "",
        "output": TURNS[3][1],
        "history": [[TURNS[0][1], TURNS[1][1]]],
    },
    "pairs": {
        "turns": [
            {"user": TURNS[0][1], "assistant": TURNS[1][1]},
            {"user": TURNS[2][1], "assistant": TURNS[3][1]},
        ]
    },
    "marked_text": {
        "text": f"Human: {TURNS[0][1]}\n\nAssistant: {TURNS[1][1]}\n\nHuman: {TURNS[2][1]}\n\nAssistant: {TURNS[3][1]}"
    },
}


@pytest.mark.parametrize("target", WRITTEN)
def test_each_format_is_written_as_its_publisher_writes_it(target: str) -> None:
    assert TARGETS[target].row(Conversation(TURNS)) == WRITTEN[target]


def test_single_questions_are_written_with_their_rationale_apart() -> None:
    one = Conversation([("user", "2+2?"), ("assistant", "4")], [None, "Two and two."])
    assert TARGETS["cot"].row(one) == {"question": "2+2?", "answer": "4", "rationale": "Two and two."}
    assert TARGETS["qa"].row(one._replace(reasoning=None)) == {"question": "2+2?", "answer": "4"}
    assert TARGETS["messages"].row(one)["messages"][1] == {
        "role": "assistant",
        "content": "4",
        "reasoning_content": "Two and two.",
    }


def test_tool_turns_keep_the_names_that_sharegpt_gives_them() -> None:
    row = TARGETS["sharegpt"].row(Conversation(CALLED, None, TOOLS))
    names = ["system", "human", "function_call", "observation", "gpt", "human", "gpt"]
    assert [turn["from"] for turn in row["conversations"]] == names
    assert row["tools"] == TOOLS


OWN_SHAPES: dict[str, tuple[dict[str, Any], Conversation, Any]] = {
    "columns of their own": (
        {"kind": "alpaca", "instruction": "input", "input": None, "output": "target"},
        Conversation(TURNS[:2]),
        {"input": TURNS[0][1], "target": TURNS[1][1]},
    ),
    "nested": (
        {"kind": "qa", "prompt": "data.ask", "answer": "data.reply"},
        Conversation(TURNS[:2]),
        {"data": {"ask": TURNS[0][1], "reply": TURNS[1][1]}},
    ),
    "JSON in a text": (
        {"kind": "pairs", "turns": "json:rounds"},
        Conversation(TURNS[:2]),
        {
            "rounds": json.dumps(
                [{"user": TURNS[0][1], "assistant": TURNS[1][1]}], ensure_ascii=False, separators=(",", ":")
            )
        },
    ),
    "two lists": (
        {"kind": "pairs", "turns": None},
        Conversation(TURNS),
        {"user": [TURNS[0][1], TURNS[2][1]], "assistant": [TURNS[1][1], TURNS[3][1]]},
    ),
    "turns without roles": (
        {"kind": "chat", "turns": "query", "starts": "user"},
        Conversation(TURNS),
        {"query": [content for _, content in TURNS]},
    ),
    "the row is the list": (
        {"kind": "messages", "turns": "."},
        Conversation(TURNS[:2]),
        DOIT["messages"][:2],
    ),
    "roles of their own": (
        {"kind": "chat", "roles": {"客户": "user", "client": "user"}, "system": "persona"},
        Conversation([("system", "店员"), *TURNS[:2]]),
        {
            "messages": [{"role": "客户", "content": TURNS[0][1]}, {"role": "assistant", "content": TURNS[1][1]}],
            "persona": "店员",
        },
    ),
    "several columns ask": (
        {"kind": "qa", "prompt": ["title", "ask"]},
        Conversation(TURNS[:2]),
        {"title": TURNS[0][1], "ask": "", "answer": TURNS[1][1]},
    ),
    "an end marker": (
        {"kind": "marked_text", "markers": {"user": "USER:", "assistant": "BOT:", "system": "SYS:", "end": "</s>"}},
        Conversation([("system", "店员"), *TURNS[:2]]),
        {"text": f"SYS: 店员</s>\n\nUSER: {TURNS[0][1]}</s>\n\nBOT: {TURNS[1][1]}</s>"},
    ),
}


@pytest.mark.parametrize("name", OWN_SHAPES)
def test_a_cards_own_layout_is_written_and_read_back(name: str) -> None:
    spec, conversation, row = OWN_SHAPES[name]
    shape = DatasetCard.model_validate({"name": "t", "shape": spec}).shape
    assert shape.row(conversation) == row
    assert shape.conversation(row).messages == conversation.messages


THOUGHT = Conversation(TURNS[:2], [None, "嗯"])
REFUSED: list[tuple[str, Conversation, str]] = [
    *((name, Conversation(TURNS[:2], None, TOOLS), "tools") for name in ("alpaca", "belle", "doit", "pairs", "qa")),
    *(
        (name, Conversation(CALLED[1:]), "tool_turns")
        for name in ("alpaca", "belle", "doit", "marked_text", "pairs", "qa")
    ),
    *((name, THOUGHT, "reasoning") for name in ("alpaca", "belle", "doit", "sharegpt", "marked_text", "pairs", "qa")),
    *(
        (name, Conversation([("system", "店员"), *TURNS[:2]]), "system")
        for name in ("belle", "doit", "marked_text", "qa")
    ),
    *((name, Conversation(TURNS), "earlier_turns") for name in ("qa", "cot")),
    ("cot", Conversation(TURNS[:2]), "rationale"),
    ("marked_text", Conversation([("user", "Quote:\nHuman: hi"), ("assistant", "ok")]), "markers"),
    ("marked_text", Conversation([("user", "x"), ("assistant", "a\n  Assistant: b")]), "markers"),
]


@pytest.mark.parametrize(("target", "conversation", "what"), REFUSED)
def test_a_format_refuses_what_it_has_no_place_for(target: str, conversation: Conversation, what: str) -> None:
    with pytest.raises(CannotHold) as refused:
        TARGETS[target].row(conversation)
    assert refused.value.what == what
    assert what in LOSSES


def test_a_text_that_quotes_markers_within_a_line_is_one_turn() -> None:
    quoting = [("user", 'What do "Human:" and "Assistant:" mean?'), ("assistant", "Human: and Assistant: are markers.")]
    row = TARGETS["marked_text"].row(Conversation(quoting))
    assert TARGETS["marked_text"].conversation(row).messages == quoting


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("system", CALLED[1:]),
        ("tool_turns", [*CALLED[:2], *CALLED[4:]]),
        ("earlier_turns", [CALLED[0], *CALLED[5:]]),
    ],
)
def test_what_is_left_is_in_good_order(what: str, left: list[tuple[str, str]]) -> None:
    reasoning = [content for _, content in CALLED]
    less = without(Conversation(CALLED, reasoning, TOOLS), what)
    assert less == Conversation(left, [content for _, content in left], TOOLS)
    check_order(left, "messages")


def test_nothing_less_helps_where_nothing_is_there_to_drop() -> None:
    assert without(Conversation(TURNS[:2]), "earlier_turns") is None
    assert without(Conversation(TURNS), "markers") is None


MARKS = [
    "Human:",
    "Assistant:",
    "\n",
    "\n\nHuman: ",
    "</s>",
    "\r\n",
    "\t",
    '"',
    ",",
    "{",
    "[",
    "\u2028",
    "\x85",
    "\ufeff",
    "　",
]
LETTERS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
PIECES = st.one_of(st.sampled_from([*MARKS, "你好", "臺灣", "👩‍👩‍👧", "e\u0301", "\x00", "\\n", "null"]), LETTERS)
TEXTS = st.lists(PIECES, min_size=1, max_size=6).map("".join).filter(lambda text: bool(text.strip()))


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    messages = [("system", draw(TEXTS))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        messages.append(("user", draw(TEXTS)))
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            messages += [("assistant", draw(TEXTS)), ("tool", draw(st.one_of(st.just(""), TEXTS)))]
        messages.append(("assistant", draw(TEXTS)))
    reasoning = None
    if draw(st.booleans()):
        thoughts = [draw(TEXTS) if role == "assistant" and draw(st.booleans()) else None for role, _ in messages]
        reasoning = thoughts if any(thoughts) else None
    return Conversation(messages, reasoning, draw(st.sampled_from([None, None, TOOLS])))


@pytest.mark.parametrize("target", TARGETS)
@given(conversation=conversations())
@settings(max_examples=150, deadline=None)
def test_what_a_format_accepts_it_gives_back(target: str, conversation: Conversation) -> None:
    less: Conversation | None = conversation
    while less is not None:
        try:
            row = TARGETS[target].row(less)
        except CannotHold as cannot:
            less = without(less, cannot.what)
            continue
        back = TARGETS[target].conversation(orjson.loads(orjson.dumps(row)))
        if target == "marked_text":
            stripped = [(role, content.strip()) for role, content in less.messages]
            assert back == Conversation(stripped)
            assert content_id(stripped) == content_id(less.messages)
        else:
            assert back == less
        return


CONTAINERS = ["x.jsonl", "x.json", "x.csv", "x.tsv", "x.parquet"]


@pytest.mark.parametrize("name", CONTAINERS)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_container_gives_back_what_it_was_given(name: str, texts: list[tuple[str, str]], tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / name
    source.write_bytes(b"".join(orjson.dumps({"question": q, "answer": a}) + b"\n" for q, a in texts))
    held = [pair for pair in texts if name not in ("x.csv", "x.tsv") or "\0" not in "".join(pair)]
    if name == "x.tsv":
        held = [
            pair for pair in held if not set("\t\r\n") & set("".join(pair)) and not any(t[0] == "\ufeff" for t in pair)
        ]
    if not held:
        with pytest.raises(DataError, match="D320"):
            doit.convert(source, out, to="alpaca", shape="qa", overwrite=True, lossy=True)
        return
    answer = doit.convert(source, out, to="alpaca", shape="qa", overwrite=True, lossy=True)
    assert (answer.read, answer.written) == (len(texts), len(held))
    assert answer.left_out == ({"cells": len(texts) - len(held)} if len(held) < len(texts) else {})
    assert [made.messages for made in made_of(out, card("alpaca"))] == [
        [("user", question), ("assistant", reply)] for question, reply in held
    ]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.parquet"])
@pytest.mark.parametrize("target", ["messages", "sharegpt", "alpaca", "pairs"])
def test_rows_with_different_fields_share_a_container(name: str, target: str, write: Write, tmp_path: Path) -> None:
    plain = {"messages": DOIT["messages"][:2]}
    longer = {"messages": [{"role": "system", "content": "店员"}, *DOIT["messages"]]}
    out = tmp_path / name
    doit.convert(write("in.jsonl", [plain, longer, plain]), out, to=target, shape="messages")
    assert [made.messages for made in made_of(out, card(target))] == [
        TURNS[:2],
        [("system", "店员"), *TURNS],
        TURNS[:2],
    ]


def test_many_rows_are_split_into_batches_and_read_back(tmp_path: Path, write: Write) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"问{n}"}, {"role": "assistant", "content": "答"}]}
        for n in range(9000)
    ]
    rows[8500]["messages"][1]["reasoning_content"] = "想"
    out = tmp_path / "x.parquet"
    assert doit.convert(write("in.jsonl", rows), out, to="messages", shape="messages").written == 9000
    made = made_of(out, card("messages"))
    assert [one.messages[0][1] for one in made] == [f"问{n}" for n in range(9000)]
    assert [number for number, one in enumerate(made) if one.reasoning] == [8500]


COT = "2+2?\t4\tTwo and two.\n猫？\t是\t因为\\n它喵\n"


def test_cot_files_have_no_header_and_keep_rationales_apart(write: Write, tmp_path: Path) -> None:
    source = write("in.tsv", COT)
    doit.convert(source, tmp_path / "out.tsv", to="cot", shape="cot")
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == COT

    doit.convert(source, tmp_path / "out.csv", to="cot", shape="cot")
    doit.convert(tmp_path / "out.csv", tmp_path / "back.tsv", to="cot", shape="cot")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").startswith("question,answer,rationale\n")
    assert (tmp_path / "back.tsv").read_text(encoding="utf-8") == COT


def test_a_cot_file_with_a_header_in_another_order_is_read_by_its_names(write: Write, tmp_path: Path) -> None:
    source = write("in.tsv", "question\trationale\tanswer\n2+2?\tTwo and two.\t4\n")
    doit.convert(source, tmp_path / "out.tsv", to="cot", shape="cot")
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == "2+2?\t4\tTwo and two.\n"


def test_a_rationale_is_joined_as_the_card_says_unless_the_target_keeps_it(write: Write, tmp_path: Path) -> None:
    source = write("in.tsv", COT)
    doit.convert(source, tmp_path / "joined.jsonl", to="alpaca", shape="cot")
    assert rows_of(tmp_path / "joined.jsonl")[0] == {"instruction": "2+2?", "input": "", "output": "Two and two.\n4"}
    with pytest.raises(SpecError, match="whose rationale is not kept apart"):
        doit.convert(tmp_path / "joined.jsonl", tmp_path / "no.tsv", to="cot", shape="alpaca")
    apart = write(
        "apart.jsonl",
        [{"messages": [*DOIT["messages"][:1], {"role": "assistant", "content": "4", "reasoning_content": "想"}]}],
    )
    doit.convert(apart, tmp_path / "apart.tsv", to="cot", shape="messages")
    assert (tmp_path / "apart.tsv").read_text(encoding="utf-8") == f"{TURNS[0][1]}\t4\t想\n"


def test_formatted_rows_are_taken_apart_again(write: Write, tmp_path: Path) -> None:
    template = {"prompt": "Q: {question} Think.", "response": "{rationale} So: {answer}."}
    shape = {"kind": "templated", "templates": [template]}
    by = write("card.yaml", {"name": "formatted", "shape": shape})
    source = write("in.jsonl", [{"instruction": "Q: 2+2? Think.", "input": "", "output": "Two and two. So: 4."}])
    doit.convert(source, tmp_path / "out.tsv", to="cot", dataset=str(by))
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == "2+2?\t4\tTwo and two.\n"


def test_texts_without_questions_are_written_as_texts(write: Write, tmp_path: Path) -> None:
    to = write("card.yaml", {"name": "mine", "shape": {"kind": "text", "text": "content"}})
    source = write("in.jsonl", [{"text": "春眠不觉晓"}])
    doit.convert(source, tmp_path / "out.jsonl", to=str(to), shape="text")
    assert rows_of(tmp_path / "out.jsonl") == [{"content": "春眠不觉晓"}]
    with pytest.raises(SpecError, match="this is dialogue"):
        doit.convert(
            write("qa.jsonl", [{"question": "a", "answer": "b"}]), tmp_path / "no.jsonl", to=str(to), shape="qa"
        )


def called(write: Write) -> Path:
    rows = [
        DOIT,
        {"messages": [{"role": role, "content": content} for role, content in CALLED], "tools": TOOLS},
        {"messages": [{"role": "user", "content": "a\nHuman: b"}, {"role": "assistant", "content": "c"}]},
    ]
    return write("called.jsonl", rows)


def test_a_loss_is_refused_with_its_row_and_nothing_is_written(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        doit.convert(called(write), tmp_path / "out.jsonl", to="alpaca", shape="messages")
    assert refused.value.where.endswith("called.jsonl row 1")
    assert "tool definitions" in refused.value.what
    assert "--lossy" in refused.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["called.jsonl"]


@pytest.mark.parametrize(
    ("target", "written", "lost", "left_out"),
    [
        ("alpaca", 3, {"tools": 1, "tool_turns": 1}, {}),
        ("doit", 3, {"system": 1, "tools": 1, "tool_turns": 1}, {}),
        ("qa", 3, {"system": 1, "tools": 1, "tool_turns": 1, "earlier_turns": 2}, {}),
        ("marked_text", 2, {"system": 1, "tools": 1, "tool_turns": 1}, {"markers": 1}),
        ("messages", 3, {}, {}),
        ("sharegpt", 3, {}, {}),
    ],
)
def test_lossy_counts_what_was_lost(
    target: str, written: int, lost: dict[str, int], left_out: dict[str, int], write: Write, tmp_path: Path
) -> None:
    answer = doit.convert(called(write), tmp_path / "out.jsonl", to=target, shape="messages", lossy=True)
    assert (answer.read, answer.written, answer.lost, answer.left_out) == (3, written, lost, left_out)
    assert len(made_of(tmp_path / "out.jsonl", card(target))) == written


@pytest.mark.parametrize("target", ["alpaca", "belle", "qa"])
def test_the_thinking_of_a_dropped_tool_call_is_counted(target: str, write: Write, tmp_path: Path) -> None:
    turns = [{"role": role, "content": content} for role, content in CALLED]
    call = next(at for at, turn in enumerate(turns) if turn["role"] == "assistant")
    turns[call]["reasoning_content"] = "先查天气。"
    source = write("called.jsonl", [{"messages": turns}])

    answer = doit.convert(source, tmp_path / "out.jsonl", to=target, shape="messages", lossy=True)

    assert answer.lost["tool_turns"] == answer.lost["reasoning"] == 1


def test_bad_rows_are_counted_by_code_and_the_rest_is_written(write: Write, tmp_path: Path) -> None:
    source = write("in.jsonl", '{"instruction": "a", "output": "b"}\n{"instruction": "a"}\n{bad\n')
    answer = doit.convert(source, tmp_path / "out.jsonl", to="messages", shape="alpaca")
    assert (answer.read, answer.written, answer.rejected) == (3, 1, {"D302": 1, "D310": 1})
    assert "in.jsonl row 1 (byte 36): field `output` is missing." in answer.first_rejects[0]
    with pytest.raises(DataError) as strict:
        doit.convert(source, tmp_path / "strict.jsonl", to="messages", shape="alpaca", strict=True)
    assert strict.value.code == "D310"
    assert not (tmp_path / "strict.jsonl").exists()


def test_rows_that_a_card_leaves_out_are_counted(write: Write, tmp_path: Path) -> None:
    path = write("card.yaml", {"name": "mine", "shape": {"kind": "alpaca"}, "where": {"ok": True}})
    source = write("in.jsonl", [{"instruction": "a", "output": "b", "ok": n > 0} for n in range(3)])
    answer = doit.convert(source, tmp_path / "out.jsonl", to="qa", dataset=str(path))
    assert (answer.read, answer.written, answer.dropped) == (3, 2, {"where": 1})


def test_several_inputs_become_one_file_in_their_order(write: Write, tmp_path: Path) -> None:
    second = write("b.jsonl", [{"question": "3", "answer": "z"}])
    first = write("a.jsonl", [{"instruction": "1", "output": "x"}, {"instruction": "2", "input": "2b", "output": "y"}])
    answer = doit.convert([first, second], tmp_path / "out.jsonl", to="qa")
    assert [row["question"] for row in rows_of(tmp_path / "out.jsonl")] == ["1", "2\n2b", "3"]
    assert [one.shape for one in answer.inputs] == ["alpaca", "qa"]
    assert all(one.because for one in answer.inputs)


def test_an_input_that_shows_nothing_must_be_declared(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="--shape") as refused:
        doit.convert(write("in.jsonl", [{"n": 1}, {"n": 2}]), tmp_path / "out.jsonl", to="qa")
    assert refused.value.code == "D204"


def test_a_file_that_is_there_stays_unless_overwritten(write: Write, tmp_path: Path) -> None:
    source, out = write("in.jsonl", [DOIT]), write("out.jsonl", "mine\n")
    with pytest.raises(StorageError, match="--overwrite") as refused:
        doit.convert(source, out, to="belle", shape="doit")
    assert refused.value.code == "D101"
    assert out.read_text(encoding="utf-8") == "mine\n"
    doit.convert(source, out, to="belle", shape="doit", overwrite=True)
    assert rows_of(out) == [WRITTEN["belle"]]
    doit.convert(out, out, to="doit", shape="belle", overwrite=True)
    assert rows_of(out) == [DOIT]


WRONG: dict[str, tuple[dict[str, Any], str, type[DoitError], str]] = {
    "no such target": ({"to": "alpacca", "shape": "doit"}, "out.jsonl", SpecError, 'Did you mean "alpaca"?'),
    "no such shape": ({"to": "qa", "shape": "messagez"}, "out.jsonl", SpecError, 'Did you mean "messages"?'),
    "shape and card": ({"to": "qa", "shape": "qa", "dataset": "doit"}, "out.jsonl", SpecError, "leave `shape` out"),
    "no such card": ({"to": "qa", "dataset": "dooit"}, "out.jsonl", SpecError, "See `doit list datasets`"),
    "no such container": ({"to": "qa", "shape": "doit"}, "out.xlsx", SpecError, ".parquet"),
    "lists in cells": ({"to": "messages", "shape": "doit"}, "out.csv", SpecError, "Write to .jsonl"),
    "no way back": ({"to": "belle-eval", "shape": "doit"}, "out.jsonl", SpecError, "no way back"),
    "questions alone": ({"to": "qa", "shape": "prompts"}, "out.jsonl", SpecError, "no questions with answers"),
    "text alone": ({"to": "qa", "shape": "text"}, "out.jsonl", SpecError, "no questions with answers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_says_what_is_right(name: str, write: Write, tmp_path: Path) -> None:
    options, out, kind, hint = WRONG[name]
    with pytest.raises(kind) as refused:
        doit.convert(write("in.jsonl", [DOIT]), tmp_path / out, **options)
    assert hint in str(refused.value)
    assert not (tmp_path / out).exists()


def test_nothing_to_write_is_an_error_and_leaves_nothing(write: Write, tmp_path: Path) -> None:
    for name, content in (("empty.jsonl", ""), ("bad.jsonl", [{"instruction": "a"}])):
        with pytest.raises(DataError) as refused:
            doit.convert(write(name, content), tmp_path / "out.jsonl", to="qa", shape="alpaca")
        assert refused.value.code == "D320"
    assert not (tmp_path / "out.jsonl").exists()
    with pytest.raises(SpecError, match="no such file"):
        doit.convert(tmp_path / "nowhere.jsonl", tmp_path / "out.jsonl", to="qa", shape="alpaca")


def run(arguments: list[str | Path], capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = int(stop.code or 0)
    return status, *capfd.readouterr()


def test_the_command_answers_in_json_and_tells_on_standard_error(
    write: Write, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write("in.jsonl", [DOIT, {"messages": []}])
    arguments: list[str | Path] = ["convert", source, tmp_path / "out.json", "--to", "belle", "--json"]
    status, out, err = run([*arguments, "--shape", "doit"], capfd)
    answer = json.loads(out)
    assert status == 0
    assert (answer["read"], answer["written"], answer["rejected"], answer["lost"]) == (2, 1, {"D313": 1}, {})
    assert "D313" in err
    assert "in.jsonl row 1" in err
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == [WRITTEN["belle"]]

    status, out, err = run([*arguments, "--overwrite"], capfd)
    assert status == 0
    assert "read as messages" in err
    assert [run([*arguments, *more], capfd)[0] for more in ([], ["--overwrite", "--strict"])] == [2, 3]
    assert run(["convert", source, "--to", "belle"], capfd)[0] == 2


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    import tracemalloc

    def peak(copies: int) -> int:
        source = tmp_path / f"{copies}.jsonl"
        row = orjson.dumps({"instruction": "问" * 200, "output": "答" * 300}) + b"\n"
        with source.open("wb") as file:
            for _ in range(copies):
                file.write(row * 100)
        tracemalloc.start()
        described = [described_input(source, None, "alpaca")]
        convert_files(described, tmp_path / f"{copies}.parquet", TARGETS["messages"], "messages")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(120) < 1.5 * peak(40)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["aqua", "qasc", "strategyqa"])
def test_formatted_cot_rows_come_back_equal(name: str, shared: Path, tmp_path: Path) -> None:
    source = shared / "alpaca-cot-flan" / "formatted_cot_data" / f"{name}_train.json"
    for to, container in (("messages", "jsonl"), ("belle", "json"), ("pairs", "parquet")):
        there, back = tmp_path / f"{name}-{to}.{container}", tmp_path / f"{name}-{to}-back.json"
        doit.convert(source, there, to=to, shape="alpaca")
        doit.convert(there, back, to="alpaca", shape=to)
        assert json.loads(back.read_bytes()) == json.loads(source.read_bytes())


@pytest.mark.shared
@pytest.mark.parametrize("name", ["aqua", "qasc", "strategyqa"])
def test_cot_tables_come_back_byte_for_byte(name: str, shared: Path, tmp_path: Path) -> None:
    source = shared / "alpaca-cot-flan" / "origin_cot_data" / f"{name}_train.tsv"
    doit.convert(source, tmp_path / "x.jsonl", to="cot", shape="cot")
    doit.convert(tmp_path / "x.jsonl", tmp_path / "x.tsv", to="cot", shape="cot")
    assert (tmp_path / "x.tsv").read_bytes().rstrip(b"\n") == source.read_bytes().rstrip(b"\n")


@pytest.mark.shared
def test_tool_conversations_come_back_equal(shared: Path, tmp_path: Path) -> None:
    source = shared / "llamafactory-demos" / "glaive_toolcall_zh_demo.json"
    doit.convert(source, tmp_path / "x.jsonl", to="messages", shape="sharegpt")
    doit.convert(tmp_path / "x.jsonl", tmp_path / "x.json", to="sharegpt", shape="messages")
    wanted = json.loads(source.read_bytes())
    assert json.loads((tmp_path / "x.json").read_bytes()) == [
        {key: value for key, value in row.items() if value not in ("", [])} for row in wanted
    ]
