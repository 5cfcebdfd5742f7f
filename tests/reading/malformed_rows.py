"""Files whose bytes are sound and in which one row is not what its shape reads: every field of every main shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.reading.malformed import Case, Found, compact, lines

NO_TEXTS: dict[str, Any] = {
    "a number": 4,
    "a fraction": 0.5,
    "true": True,
    "a list": ["a"],
    "an empty list": [],
    "an object": {"a": "b"},
    "an empty object": {},
}
"""Values that stand where a text should (D312)."""
EMPTY_TEXTS = {
    "empty": "",
    "a blank": " ",
    "white space": "\t\r\n",
    "ideographic spaces": "\u3000\u3000",
    "NBSP": "\u00a0",
}
"""Texts that hold nothing (D313)."""
NO_LISTS: dict[str, Any] = {"a number": 4, "a text": "a", "true": False, "an object": {"a": "b"}}
"""Values that stand where a list should (D312)."""

Row = dict[str, Any]
Wrong = tuple[str, Any, str, str]
"""What is wrong, the row, the code and the field."""


def required_text(row: Row, key: str) -> Iterator[Wrong]:
    """A row without a text that it needs, in every way in which it can be missing."""
    yield f"{key} is missing", {name: value for name, value in row.items() if name != key}, "D310", key
    yield f"{key} is null", {**row, key: None}, "D311", key
    yield from (_with(row, key, what, value, "D312") for what, value in NO_TEXTS.items())
    yield from (_with(row, key, what, value, "D313") for what, value in EMPTY_TEXTS.items())


def optional_text(row: Row, key: str) -> Iterator[Wrong]:
    yield from (_with(row, key, what, value, "D312") for what, value in NO_TEXTS.items())


def required_list(row: Row, key: str) -> Iterator[Wrong]:
    yield f"{key} is missing", {name: value for name, value in row.items() if name != key}, "D310", key
    yield f"{key} is null", {**row, key: None}, "D311", key
    yield f"{key} is an empty list", {**row, key: []}, "D313", key
    yield from (_with(row, key, what, value, "D312") for what, value in NO_LISTS.items())


def _with(row: Row, key: str, what: str, value: Any, code: str) -> Wrong:
    return f"{key} is {what}", {**row, key: value}, code, key


def cases(shape: dict[str, Any], good: Any, wrong: Iterator[Wrong]) -> Iterator[Case]:
    """One file for each wrong row, which stands between two right ones."""
    for what, row, code, field in wrong:
        bad: tuple[Found, ...] = ((code, 1, field),)
        data = lines(compact(good), compact(row), compact(good))
        name = f"{shape['kind']}{'' if len(shape) == 1 else ' with ' + ' '.join(sorted(shape)[1:])}: {what}"
        yield Case(name, "a.jsonl", data, bad, 2, {"shape": shape})


def sound_cases(shape: dict[str, Any], rows: dict[str, Any]) -> Iterator[Case]:
    for what, row in rows.items():
        yield Case(f"sound: {shape['kind']}: {what}", "a.jsonl", lines(compact(row)), (), 1, {"shape": shape})


ROWS_OF_NOTHING = {"null": None, "a number": 7, "a text": "a", "true": True, "an empty list": [], "a list": ["a"]}


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def no_object() -> Iterator[Wrong]:
    yield from ((f"the row is {what}", row, "D305", "") for what, row in ROWS_OF_NOTHING.items())


def alpaca() -> Iterator[Case]:
    good = {"instruction": "问", "input": "", "output": "答"}

    def wrong() -> Iterator[Wrong]:
        yield from no_object()
        for key in ("instruction", "output"):
            yield from required_text(good, key)
        for key in ("input", "system"):
            yield from optional_text(good, key)
        yield "instruction is missing beside an input", {"input": "b", "output": "c"}, "D310", "instruction"
        yield "instruction is null beside an input", {**good, "instruction": None, "input": "b"}, "D311", "instruction"
        yield "instruction is a number beside an input", {**good, "instruction": 1, "input": "b"}, "D312", "instruction"
        for depth in (300, 900):
            yield f"output is {depth} deep", {**good, "output": nested(depth)}, "D312", "output"
            yield f"system is {depth} deep", {**good, "system": nested(depth)}, "D312", "system"
        for what, past, code, field in _histories():
            yield f"history {what}", {**good, "history": past}, code, field

    yield from cases({"kind": "alpaca"}, good, wrong())
    fine = {"history is null": None, "history is an empty list": [], "history is an empty text": ""}
    rows: dict[str, Any] = {what: {**good, "history": past} for what, past in fine.items()}
    rows |= {"input is null": {**good, "input": None}, "no input": {"instruction": "问", "output": "答"}}
    yield from sound_cases({"kind": "alpaca"}, rows)


def _histories() -> Iterator[Wrong]:
    yield from ((f"is {what}", value, "D312", "history") for what, value in NO_LISTS.items())
    yield "has a round of one", [["a", "b"], ["c"]], "D315", "history[1]"
    yield "has a round of three", [["a", "b", "c"]], "D315", "history[0]"
    yield "has an empty round", [[]], "D315", "history[0]"
    yield "ends on a question", ["a", "b", "c"], "D315", "history"
    yield "has a null", [[None, "b"]], "D311", "history[0]"
    yield "has a number", [["a", 7]], "D312", "history[1]"
    yield "has an object", [{"a": "b"}, "b"], "D312", "history[0]"
    yield "has an empty question", [["", "b"]], "D313", "history[0]"
    yield "has a blank answer", [["a", "b"], ["c", "\u3000"]], "D313", "history[3]"


def chats() -> Iterator[Case]:
    plain = {"kind": "messages"}, "messages", "role", "content", "user", "assistant"
    theirs = {"kind": "sharegpt"}, "conversations", "from", "value", "human", "gpt"
    own = {"kind": "chat", "turns": "dialog", "role": "who", "content": "said"}, "dialog", "who", "said", "User", "Bot"
    for shape, turns, role, content, user, assistant in (plain, theirs, own):
        good = {turns: [{role: user, content: "问"}, {role: assistant, content: "答"}]}
        yield from cases(shape, good, _chat(good, turns, role, content))


def _chat(good: Row, turns: str, role: str, content: str) -> Iterator[Wrong]:
    yield from required_list(good, turns)
    first, second = good[turns]
    user, assistant = first[role], second[role]
    for what, turn in {
        "null": None,
        "a number": 1,
        "a text": "a",
        "three": ["user", "a", "b"],
        "an empty list": [],
    }.items():
        yield f"turn is {what}", {turns: [first, turn]}, "D312", f"{turns}[1]"
    for what, turn, code, field in _turn(second, role, content):
        yield what, {turns: [first, turn]}, code, f"{turns}[1].{field}"
    for depth in (300, 900):
        yield f"tools {depth} deep", {**good, "tools": nested(depth)}, "D312", ""
        calls = [{**second, "tool_calls": nested(depth)}]
        yield f"calls {depth} deep", {turns: [first, *calls]}, "D312", ""
    for name in ("", "speaker", "人", "user2", "assistant:", "用户"):
        turn = {**first, role: name}
        yield f"role {name!r}", {turns: [turn, second]}, "D314", f"{turns}[0].{role}"
    yield "pair of an unknown role", {turns: [["speaker", "a"], second]}, "D314", f"{turns}[0][0]"
    yield "pair of a null", {turns: [[user, None], second]}, "D311", f"{turns}[0][1]"
    orders = {
        "assistant first": ([assistant, user, assistant], "D315", 0),
        "user twice": ([user, user, assistant], "D315", 1),
        "assistant twice": ([user, assistant, assistant], "D315", 2),
        "system in the middle": ([user, "system", assistant], "D315", 1),
        "system last": ([user, assistant, "system"], "D315", 2),
        "system twice": (["system", "system", user, assistant], "D315", 1),
        "assistant after system": (["system", assistant], "D315", 1),
        "tool first": (["tool", assistant], "D315", 0),
        "tool after user": ([user, "tool", assistant], "D315", 1),
        "user after tool": ([user, assistant, "tool", user, assistant], "D315", 3),
        "user alone": ([user], "D316", None),
        "user last": ([user, assistant, user], "D316", None),
        "system alone": (["system"], "D316", None),
        "tool last": ([user, assistant, "tool"], "D316", None),
    }
    for what, (names, code, place) in orders.items():
        row = {turns: [{role: name, content: f"{number}"} for number, name in enumerate(names)]}
        yield what, row, code, turns if place is None else f"{turns}[{place}]"


def _turn(turn: Row, role: str, content: str) -> Iterator[Wrong]:
    yield "turn without a role", {content: "a"}, "D310", role
    yield "role is null", {**turn, role: None}, "D311", role
    for what, value in NO_TEXTS.items():
        yield f"role is {what}", {**turn, role: value}, "D312", role
    yield "turn without a content", {role: turn[role]}, "D310", content
    yield "empty turn", {}, "D310", role
    yield "content is null", {**turn, content: None}, "D311", content
    for what in ("a number", "a fraction", "true", "an object", "an empty object"):
        yield f"content is {what}", {**turn, content: NO_TEXTS[what]}, "D312", content
    for what, text in EMPTY_TEXTS.items():
        yield f"content is {what}", {**turn, content: text}, "D313", content
    yield "content of no parts", {**turn, content: []}, "D313", content
    yield "part is a number", {**turn, content: [1]}, "D312", f"{content}[0]"
    yield "part is null", {**turn, content: ["a", None]}, "D312", f"{content}[1]"
    yield "part is a picture", {**turn, content: [{"type": "image_url", "image_url": {}}]}, "D312", f"{content}[0]"
    yield "part without a text", {**turn, content: [{"type": "text"}]}, "D311", f"{content}[0]"
    yield "part whose text is a number", {**turn, content: [{"type": "text", "text": 1}]}, "D312", f"{content}[0]"


def turns_without_roles() -> Iterator[Case]:
    shape = {"kind": "chat", "turns": "query", "starts": "user"}
    good = {"query": ["问", "答"]}
    turns: Iterator[Wrong] = iter(
        [
            ("empty text", {"query": ["a", ""]}, "D313", "query[1].content"),
            ("null", {"query": ["a", None]}, "D312", "query[1]"),
            ("a number", {"query": [1, "b"]}, "D312", "query[0]"),
            ("one turn", {"query": ["a"]}, "D316", "query"),
            ("three turns", {"query": ["a", "b", "c"]}, "D316", "query"),
            ("assistant starts", {"query": []}, "D313", "query"),
        ]
    )
    yield from cases(shape, good, turns)
    shape = {"kind": "chat", "turns": "talk", "roles": {"[甲]": "user", "[乙]": "assistant"}}
    good = {"talk": ["[甲] 问", "[乙] 答"]}
    turns = iter(
        [
            ("no name before the text", {"talk": ["[甲] a", "b"]}, "D314", "talk[1]"),
            ("another name", {"talk": ["[甲] a", "[丙] b"]}, "D314", "talk[1]"),
            ("a name alone", {"talk": ["[甲] a", "[乙]"]}, "D313", "talk[1].content"),
            ("a name twice", {"talk": ["[甲] a", "[甲] b"]}, "D315", "talk[1]"),
        ]
    )
    yield from cases(shape, good, turns)


def pairs() -> Iterator[Case]:
    good = {"turns": [{"user": "问", "assistant": "答"}, {"user": "再问", "assistant": "再答"}]}
    first, second = good["turns"]

    def wrong() -> Iterator[Wrong]:
        yield from no_object()
        yield from (one for one in required_list(good, "turns") if not isinstance(one[1].get("turns"), dict))
        yield "turns is an empty object", {"turns": {}}, "D312", "turns"
        yield from optional_text(good, "system")
        for what, turn in {"null": None, "a text": "a", "one": ["a"], "three": ["a", "b", "c"], "none": []}.items():
            yield f"round is {what}", {"turns": [first, turn]}, "D312", "turns[1]"
        for key in ("user", "assistant"):
            for what, turn, code, field in required_text(second, key):
                yield f"round: {what}", {"turns": [first, turn]}, code, f"turns[1].{field}"
        yield "pair with a null", {"turns": [["a", None]]}, "D311", "turns[0].assistant"
        yield "pair with an empty text", {"turns": [["", "b"]]}, "D313", "turns[0].user"
        yield "object of turns with a null", {"turns": {"turn_1": first, "turn_2": None}}, "D312", "turns[1]"

    yield from cases({"kind": "pairs"}, good, wrong())
    parallel = {"user": ["问", "再问"], "assistant": ["答", "再答"]}

    def unequal() -> Iterator[Wrong]:
        for key in ("user", "assistant"):
            yield from required_list(parallel, key)
        yield "one answer too few", {**parallel, "assistant": ["a"]}, "D315", "assistant"
        yield "one answer too many", {**parallel, "assistant": ["a", "b", "c"]}, "D315", "assistant"

    yield from cases({"kind": "pairs", "turns": None}, parallel, unequal())


def marked_texts() -> Iterator[Case]:
    good = {"text": "Human: 问\n\nAssistant: 答"}

    def wrong() -> Iterator[Wrong]:
        yield from no_object()
        yield from required_text(good, "text")
        texts = {
            "no marker": ("just a text", "D317"),
            "a text before the first marker": ("Dear all,\nHuman: a\nAssistant: b", "D317"),
            "another marker": ("User: a\nBot: b", "D317"),
            "full-width colons": ("Human：a\nAssistant：b", "D317"),
            "user twice": ("Human: a\nHuman: b\nAssistant: c", "D317"),
            "assistant twice": ("Human: a\nAssistant: b\nAssistant: c", "D317"),
            "empty question": ("Human:\nAssistant: b", "D313"),
            "empty answer": ("Human: a\nAssistant:", "D313"),
            "blank answer": ("Human: a\nAssistant: \u3000\nHuman: c\nAssistant: d", "D313"),
            "question last": ("Human: a\nAssistant: b\nHuman: c", "D316"),
            "question alone": ("Human: a", "D316"),
        }
        for what, (text, code) in texts.items():
            yield what, {"text": text}, code, "text"
        yield "assistant first", {"text": "Assistant: a\nHuman: b\nAssistant: c"}, "D315", "text[0]"

    yield from cases({"kind": "marked_text"}, good, wrong())
    two = {"instruction": "Human: 问\nAssistant:", "output": "答"}

    def wrong_columns() -> Iterator[Wrong]:
        for key in ("instruction", "output"):
            yield from required_text(two, key)
        yield "two questions", {"instruction": "Human: a\nHuman: b", "output": "c"}, "D317", "instruction"

    yield from cases({"kind": "marked_text", "text": ["instruction", "output"]}, two, wrong_columns())


def questions() -> Iterator[Case]:
    good = {"question": "问", "answer": "答"}

    def wrong() -> Iterator[Wrong]:
        yield from no_object()
        yield from required_text(good, "question")
        yield from required_text(good, "answer")

    yield from cases({"kind": "qa"}, good, wrong())
    thought = {**good, "rationale": "想"}

    def wrong_rationale() -> Iterator[Wrong]:
        yield from required_text(thought, "question")
        yield from required_text(thought, "answer")
        yield from optional_text(thought, "rationale")

    yield from cases({"kind": "cot"}, thought, wrong_rationale())
    passage = {**good, "passage": "文", "system": "角色"}
    shape = {"kind": "qa", "passage": "passage", "system": "system"}

    def wrong_passage() -> Iterator[Wrong]:
        yield from (one for one in optional_text(passage, "passage") if not isinstance(one[1]["passage"], list))
        yield "passage is missing", {**good, "system": "角色"}, "D310", "passage"
        yield "passage has a null line", {**passage, "passage": ["a", None]}, "D311", "passage[1]"
        yield "passage has a number", {**passage, "passage": [1]}, "D312", "passage[0]"
        yield from optional_text(passage, "system")

    yield from cases(shape, passage, wrong_passage())
    joined = {"kind": "qa", "prompt": ["title", "ask"]}
    both = {"title": "题", "ask": "问", "answer": "答"}
    empty: Iterator[Wrong] = iter(
        [
            ("both are empty", {**both, "title": "", "ask": " "}, "D313", "title"),
            ("both are missing", {"answer": "答"}, "D310", "title"),
            ("both are null", {**both, "title": None, "ask": None}, "D311", "title"),
            ("one is a number", {**both, "ask": 1}, "D312", "ask"),
        ]
    )
    yield from cases(joined, both, empty)
    yield from cases(
        {"kind": "qa", "prompt": "json:held", "answer": "answer"}, {"held": '"问"', "answer": "答"}, _held()
    )


def _held() -> Iterator[Wrong]:
    yield "no JSON in the text", {"held": "{", "answer": "a"}, "D312", "held"
    yield "an object for a text", {"held": {}, "answer": "a"}, "D312", "held"
    yield "null in the text", {"held": "null", "answer": "a"}, "D311", "json:held"
    yield "half a pair in the text", {"held": '"\\ud83d"', "answer": "a"}, "D312", "held"
    yield "a path that is not there", {"answer": "a"}, "D310", "json:held"
    yield "a key twice in the text", {"held": '{"a": 1, "a": 2}', "answer": "a"}, "D312", "held"


def choices() -> Iterator[Case]:
    good = {"question": "2 + 2？", "options": ["3", "4"], "answer": "B"}

    def wrong() -> Iterator[Wrong]:
        yield from no_object()
        yield from required_text(good, "question")
        for what, row, code, field in required_list(good, "options"):
            if not isinstance(row.get("options"), dict):
                yield what, row, code, field
        yield "option is null", {**good, "options": ["3", None]}, "D311", "options[1]"
        yield "option is a number", {**good, "options": [3, 4]}, "D312", "options[0]"
        yield "option is empty", {**good, "options": ["3", " "]}, "D313", "options[1]"
        yield "27 options", {**good, "options": [str(number) for number in range(27)]}, "D312", "options"
        yield "key is missing", {"question": "a", "options": ["3", "4"]}, "D310", "answer"
        for what, key, code in (
            ("null", None, "D311"), ("empty", "", "D313"), ("an empty list", [], "D313"), ("beyond", "C", "D312"),
            ("the option's text", "4", "D312"), ("an object", {}, "D312"), ("a word", "right", "D312"),
            ("true", True, "D312"),
        ):  # fmt: skip
            yield f"key is {what}", {**good, "answer": key}, code, "answer"

    yield from cases({"kind": "choice"}, good, wrong())


def readings() -> Iterator[Case]:
    good = {"context": "文", "question": "问", "answers": [{"text": "答", "answer_start": 0}]}

    def wrong() -> Iterator[Wrong]:
        yield from required_text(good, "question")
        yield "context is missing", {"question": "问", "answers": ["答"]}, "D310", "context"
        yield "answers is missing", {"context": "文", "question": "问"}, "D310", "answers"
        for what, value in {"null": None, "an empty list": [], "an empty text": "", "an empty object": {}}.items():
            yield f"answers is {what}", {**good, "answers": value}, "D313", "answers"
        yield "answers is a number", {**good, "answers": 7}, "D312", "answers"
        yield "answer is a number", {**good, "answers": [7]}, "D312", "answers[0]"
        yield "unanswerable", {**good, "is_impossible": True}, "D313", "answers"

    yield from cases({"kind": "mrc"}, good, wrong())


def row_cases() -> list[Case]:
    """Every file of this module."""
    families = (alpaca, chats, turns_without_roles, pairs, marked_texts, questions, choices, readings)
    return [case for family in families for case in family()]
