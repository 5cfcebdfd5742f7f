from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from doit.reading import containers, json_pieces, json_values
from doit.reading import text as text_module
from doit.reading.containers import compressed
from doit.reading.json_pieces import Piece, Sound, Stretch, pieces
from doit.reading.rows import Bad, Layout, Row, read_rows
from doit.reading.text import Text

G = ""  # a good row


def read_bytes(folder: Path, data: bytes, name: str = "a.json", **layout: Any) -> list[Row | Bad]:
    path = folder / name
    path.write_bytes(data)
    return [row for batch in read_rows(path, Layout(**layout)) for row in batch]


def codes(rows: list[Row | Bad]) -> list[tuple[int | None, str]]:
    return [(row.row, row.code if isinstance(row, Bad) else G) for row in rows]


def values(rows: list[Row | Bad]) -> list[Any]:
    return [row.value for row in rows if isinstance(row, Row)]


def cut(data: bytes, size: int) -> list[Piece | Stretch]:
    """The pieces of an array that comes in chunks of `size` bytes, those that were parsed on the way as plain ones."""
    chunks = (data[at : at + size] for at in range(0, len(data), size))
    found = pieces(Text(chunks, name="a"), b"[")
    return [Piece(p.byte, data[p.byte : p.byte + p.size].strip()) if isinstance(p, Sound) else p for p in found]


DEEP = b"[" * 1030 + b"]" * 1030

LINE_FILES = {
    "plain": (b'{"a":1}\n{"a":2}\n', [(0, G), (1, G)]),
    "no final newline": (b'{"a":1}\n{"a":2}', [(0, G), (1, G)]),
    "crlf": (b'{"a":1}\r\n{"a":2}\r\n', [(0, G), (1, G)]),
    "blank lines are not rows": (b'\n{"a":1}\n\n  \t\r\n{"a":2}\n\n', [(0, G), (1, G)]),
    "trailing comma": (b'{"a":1}\n{"a":2,}\n{"a":3}\n', [(0, G), (1, "D302"), (2, G)]),
    "trailing comma first": (b'{"a":1,}\n{"a":2}\n', [(0, "D302"), (1, G)]),
    "comma after the row": (b'{"a":1},\n{"a":2}\n', [(0, "D302"), (1, G)]),
    "two objects on a line": (b'{"a":1}\n{"a":2}{"a":3}\n', [(0, G), (1, G), (2, G)]),
    "objects on lines": (b'{"a":1} {"a":2}\n{"a":3}\n\t{}{"a":5}\r\n', [(n, G) for n in range(5)]),
    "two objects and a comma": (b'{"a":1}\n{"a":2}{"a":3},\n{"a":4}\n', [(0, G), (1, "D302"), (2, G)]),
    "an object and a number": (b'{"a":1}\n{"a":2}3\n{"a":4}\n', [(0, G), (1, "D302"), (2, G)]),
    "an object and a broken one": (b'{"a":1}\n{"a":2}{"a":NaN}\n{"a":4}\n', [(0, G), (1, "D302"), (2, G)]),
    "an object and half of one": (b'{"a":1}\n{"a":2}{"a":\n{"a":4}\n', [(0, G), (1, "D302"), (2, G)]),
    "key twice in a second object": (b'{"a":1}{"a":2,"a":3}\n{"a":4}\n', [(0, G), (1, "D302"), (2, G)]),
    "NaN": (b'{"a":1}\n{"a":NaN}\n', [(0, G), (1, "D302")]),
    "Infinity": (b'{"a":1}\n{"a":-Infinity}\n', [(0, G), (1, "D302")]),
    "huge number": (b'{"a":1}\n{"a":1e400}\n', [(0, G), (1, "D302")]),
    "Python dict": (b"{\"a\":1}\n{'a': 1}\n", [(0, G), (1, "D302")]),
    "Python constants": (b'{"a":1}\n{"a": None}\n{"a": True}\n', [(0, G), (1, "D302"), (2, "D302")]),
    "truncated last line": (b'{"a":1}\n{"a":"tex', [(0, G), (1, "D302")]),
    "truncated in the middle": (b'{"a":1}\n{"a":"tex\n{"a":3}\n', [(0, G), (1, "D302"), (2, G)]),
    "raw control character": (b'{"a":1}\n{"a":"\x01"}\n', [(0, G), (1, "D302")]),
    "raw tab": (b'{"a":1}\n{"a":"\t"}\n', [(0, G), (1, "D302")]),
    "NUL": (b'{"a":1}\n{"a":"\x00"}\n' + b'{"a":2}\n' * 9, [(0, G), (1, "D302"), *[(n, G) for n in range(2, 11)]]),
    "bad escape": (b'{"a":1}\n{"a":"\\x"}\n', [(0, G), (1, "D302")]),
    "comment": (b'{"a":1}\n// a\n{"a":2}\n', [(0, G), (1, "D302"), (2, G)]),
    "invalid UTF-8": (b'{"a":1}\n{"a":"\xff"}\n{"a":3}\n', [(0, G), (1, "D303"), (2, G)]),
    "cut character": (b'{"a":1}\n{"a":"\xe4\xb8"}\n', [(0, G), (1, "D303")]),
    "overlong form": (b'{"a":1}\n{"a":"\xc0\x80"}\n', [(0, G), (1, "D303")]),
    "surrogate as UTF-8": (b'{"a":1}\n{"a":"\xed\xa0\x80"}\n', [(0, G), (1, "D303")]),
    "bad JSON and bad UTF-8": (b'{"a":1}\n{"a":\xff,}\n', [(0, G), (1, "D303")]),
    "high surrogate alone": (b'{"a":1}\n{"a":"\\ud800"}\n', [(0, G), (1, "D304")]),
    "low surrogate alone": (b'{"a":1}\n{"a":"\\udc00x"}\n', [(0, G), (1, "D304")]),
    "high surrogate then text": (b'{"a":1}\n{"a":"\\ud83dx"}\n', [(0, G), (1, "D304")]),
    "two high surrogates": (b'{"a":1}\n{"a":"\\ud83d\\ud83d"}\n', [(0, G), (1, "D304")]),
    "surrogate pair": (b'{"a":1}\n{"a":"\\ud83d\\ude00"}\n', [(0, G), (1, G)]),
    "too deep": (b'{"a":1}\n' + DEEP + b'\n{"a":3}\n', [(0, G), (1, "D302"), (2, G)]),
    "separators inside strings": ('{"a":"1\u2028\u2029\u0085\\r2"}\n{"a":"\u000b"}\n'.encode(), [(0, G), (1, "D302")]),
    "lone carriage returns": (b'{"a":1}\r{"a":2}\r', [(0, G), (1, G)]),
    "mark in the middle": (b'{"a":1}\n\xef\xbb\xbf{"a":2}\n', [(0, G), (1, "D302")]),
    "lists as rows": (b'[{"a":1}]\n[{"a":2}]\n', [(0, G), (1, G)]),
    "lists as rows, first broken": (b'[{"a":1,}]\n[{"a":2}]\n[]\n', [(0, "D302"), (1, G), (2, G)]),
    "lists as rows, second broken": (b'[{"a":1}]\n[{"a":2}\n[]\n', [(0, G), (1, "D302"), (2, G)]),
    "texts as rows": (b'"a"\n"b"\n', [(0, G), (1, G)]),
    "numbers as rows": (b"1\n2\n", [(0, G), (1, G)]),
    "no JSON at all": ("第一行\n第二行\n".encode(), [(0, "D302"), (1, "D302")]),
    "one bad line": (b'{"a":1', [(0, "D302")]),
    "null row": (b'{"a":1}\nnull\n', [(0, G), (1, G)]),
}

OTHER_FILES = {
    "array": (b'[{"a":1},{"a":2}]', [(0, G), (1, G)]),
    "pretty array": (json.dumps([{"a": [1, {"b": 2}]}, {"a": "]"}], indent=4).encode(), [(0, G), (1, G)]),
    "array of lists, one a line": (b'[\n["a"],\n["b"]\n]\n', [(0, G), (1, G)]),
    "array that opens its first list": (b'[["a"]\n,["b"]]', [(0, G), (1, G)]),
    "array of one line": (b'[["a"],["b"]]\n', [(0, G), (1, G)]),
    "array of scalars": (b'[1, "a,]", null, true]', [(n, G) for n in range(4)]),
    "array with a mark": (b"\xef\xbb\xbf [1]", [(0, G)]),
    "NaN in an element": (b'[{"a":1},{"a":NaN},{"a":3}]', [(0, G), (1, "D302"), (2, G)]),
    "NaN as an element": (b"[1,NaN,3]", [(0, G), (1, "D302"), (2, G)]),
    "trailing comma in an element": (b'[{"a":1,},{"a":2}]', [(0, "D302"), (1, G)]),
    "Python in an element": (b"[{'a': 1},{\"a\":2}]", [(0, "D302"), (1, G)]),
    "bad escape in an element": (b'[{"a":"\\x"},{"a":2}]', [(0, "D302"), (1, G)]),
    "invalid bytes in an element": (b'[{"a":"\xff"},{"a":2}]', [(0, "D303"), (1, G)]),
    "surrogate in an element": (b'[{"a":"\\ud800"},{"a":2}]', [(0, "D304"), (1, G)]),
    "deep element": (b"[1," + DEEP + b",3]", [(0, G), (1, "D302"), (2, G)]),
    "raw line break in a string": (b'[\n{"a":"x\ny"},\n{"a":2}\n]', [(0, "D302"), (1, G)]),
    "raw line break, the rest on one line": (b'[{"a":"x\ny"},{"a":2}]', [(None, "D308")]),
    "no comma between elements": (b'[{"a":1} {"a":2},{"a":3}]', [(0, "D302"), (1, G)]),
    "comma before the end": (b'[{"a":1},]', [(0, G), (None, "D302")]),
    "two commas": (b'[{"a":1},,{"a":2}]', [(0, G), (None, "D302"), (1, G)]),
    "quotes inside a string": (b'[{"a":"x "y" z"},{"a":"2"}]', [(0, "D302"), (1, G)]),
    "odd quote, one element a line": (b'[\n{"a":"x},\n{"a":"2"},\n{"a":"3"}\n]', [(0, "D302"), (1, G), (2, G)]),
    "odd quote, all on one line": (b'[{"a":1},{"a":"x},{"a":"2"}]', [(0, G), (None, "D308")]),
    "object among the members of an array of objects": (
        b'[{"a":1},{"a":2},{"b":{"a":3}},{"a":"},{\\"a"},{"a":[{"a":1},{"a":2}]},{"a":4}]',
        [(n, G) for n in range(6)],
    ),
    "list out of a text": (b'[{"a":"x "y", [1, 2]"},[1,2],{"a":"3"}]', [(0, "D302"), (1, "D302"), (2, G)]),
    "missing bracket": (b'[{"a":1},{"a":[2},{"a":3}]', [(0, G), (None, "D308")]),
    "bracket too many": (b'[{"a":1},{"a":2}},{"a":3}]', [(0, G), (None, "D308")]),
    "truncated in an element": (b'[{"a":1},{"a":"2', [(0, G), (None, "D308")]),
    "truncated after an element": (b'[{"a":1},{"a":2}\n', [(0, G), (1, G), (None, "D308")]),
    "truncated after a comma": (b'[{"a":1},', [(0, G), (None, "D308")]),
    "truncated number": (b"[1,23", [(0, G), (None, "D308")]),
    "truncated at once": (b"[", [(None, "D308")]),
    "text after the array": (b'[{"a":1}]\nend', [(0, G), (None, "D308")]),
    "array after the array on one line": (b'[{"a":1}][{"a":2}]', [(0, G), (None, "D308")]),
    "one object": (b'{"a":1}', [(0, G)]),
    "object over lines": (b'{\n  "a": 1,\n  "b": [\n    1\n  ]\n}\n', [(0, G)]),
    "object that opens a list": (b'{"data": [\n{"a":1},\n{"a":2}\n]}', [(0, G)]),
    "broken object over lines": (b'{\n  "a": 1,\n  "b": [\n    1,\n  ]\n}\n', [(None, "D302")]),
    "truncated object over lines": (b'{\n  "a": 1,\n  "b": [\n', [(None, "D302")]),
    "broken object that opens a list": (b'{"data": [\n{"a":1},\n{"a":NaN},\n{"a":2}\n]}', [(None, "D302")]),
    "objects over lines": (b'{\n "a": 1\n}\n{\n "a": {\n  "b": 2\n }\n}\n', [(0, G), (1, G)]),
    "objects over lines without a break": (b'{\n "a": 1\n}{\n "a": 2\n}{"a":3}', [(0, G), (1, G), (2, G)]),
    "objects over CR and LF": (b'{\r\n "a": 1\r\n}\r\n\r\n{\r\n "a": 2\r\n}\r\n', [(0, G), (1, G)]),
    "a line, then objects over lines": (b'{"a":1}\n{\n "a": 2\n}\n{"a":3}{"a":4}', [(n, G) for n in range(4)]),
    "objects over lines, not indented": (
        b'{\n"a":1\n}\n{\n"b":[\n{\n"x":1\n},\n{\n"x":2\n}\n]\n}\n{\n"a":3\n}',
        [(0, G), (1, G), (2, G)],
    ),
    "objects over lines, one broken": (b'{\n "a": 1\n}\n{\n "a": 2,\n}\n{\n "a": 3\n}', [(0, G), (1, "D302"), (2, G)]),
    "objects over lines, first broken": (b'{\n "a": 1,\n}\n{\n "a": 2\n}\n', [(0, "D302"), (1, G)]),
    "objects over lines, open quote": (b'{\n "a": "x,\n "b": 1\n}\n{\n "a": 2\n}\n', [(0, "D302"), (1, G)]),
    "objects over lines, brace too few": (b'{\n "a": {\n  "b": 1\n}\n{\n "a": 2\n}\n', [(0, "D302"), (1, G)]),
    "objects over lines, brace too many": (b'{\n "a": 1\n}\n}\n{\n "a": 2\n}\n', [(0, G), (1, "D302"), (2, G)]),
    "objects over lines, text between": (b'{\n "a": 1\n}\nend\n{\n "a": 2\n}\n', [(0, G), (1, "D302"), (2, G)]),
    "objects over lines, key twice": (b'{\n "a": 1\n}\n{\n "b": 2,\n "b": 3\n}\n', [(0, G), (1, "D302")]),
    "objects over lines, truncated": (b'{\n "a": 1\n}\n{\n "a": [\n{"x": 1}', [(0, G), (1, "D302")]),
    "one line of objects, one broken": (b'{"a":1}{"a":NaN}{"a":3}', [(0, G), (1, "D302"), (2, G)]),
    "one line of objects, truncated": (b'{"a":1}{"a":', [(0, G), (1, "D302")]),
    "broken lines only": (b"{'a':1}\n{'a':2}\n", [(0, "D302"), (1, "D302")]),
}


@pytest.mark.parametrize(("data", "expected"), LINE_FILES.values(), ids=LINE_FILES)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_lines(tmp_path: Path, name: str, data: bytes, expected: list[tuple[int | None, str]]) -> None:
    assert codes(read_bytes(tmp_path, data, name)) == expected


@pytest.mark.parametrize(("data", "expected"), LINE_FILES.values(), ids=LINE_FILES)
def test_lines_when_they_are_declared(tmp_path: Path, data: bytes, expected: list[tuple[int | None, str]]) -> None:
    assert codes(read_bytes(tmp_path, data, rows="lines")) == expected


@pytest.mark.parametrize(("data", "expected"), OTHER_FILES.values(), ids=OTHER_FILES)
def test_arrays_and_objects(tmp_path: Path, data: bytes, expected: list[tuple[int | None, str]]) -> None:
    assert codes(read_bytes(tmp_path, data)) == expected


@pytest.mark.parametrize(("data", "expected"), OTHER_FILES.values(), ids=OTHER_FILES)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_what_is_found_does_not_depend_on_the_chunks(
    data: bytes, expected: list[tuple[int | None, str]], size: int
) -> None:
    assert cut(data, size) == cut(data, len(data))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"a":1,}', "trailing comma is not allowed, at character 7 of the row."),
        (b'{"a":1}["a"]', "a second value where the row should end, at character 8 of the row."),
        (b'{"a":NaN}', "NaN is no JSON value, at character 6 of the row."),
        (b'{"a":-Infinity}', "-Infinity is no JSON value, at character 7 of the row."),
        (b"{'a':1}", "' is Python's spelling, not JSON's, at character 2 of the row."),
        (b'{"a":None}', "None is Python's spelling, not JSON's, at character 6 of the row."),
        ('{"中":"文'.encode(), "the text ends too early, at character 8 of the row."),
        ('{"中":"\udcff"}'.encode("utf-8", "surrogateescape"), "byte 8 of the row (0xff) is not UTF-8."),
        (b'{"a":"\\ud800"}', "half a surrogate pair in a string, at character 7 of the row."),
        (DEEP, "nested more than 1,024 deep, at character 1,026 of the row."),
    ],
)
def test_reason_says_what_and_where(tmp_path: Path, line: bytes, said: str) -> None:
    (bad,) = read_bytes(tmp_path, line, rows="lines")

    assert isinstance(bad, Bad)
    assert bad.reason == said


def test_raw_is_verbatim_and_offsets_point_at_it(tmp_path: Path) -> None:
    data = '{"a":"好"}\r\n\n{"a":"\udcff",}\r\n{"a": 3}'.encode("utf-8", "surrogateescape")

    first, bad, last = read_bytes(tmp_path, data)

    assert isinstance(bad, Bad)
    assert bad.raw == '{"a":"\\xff",}'
    assert [data[row.byte :][:5] for row in (first, bad, last)] == [b'{"a":'] * 3  # type: ignore[misc]


def test_offsets_of_objects_over_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = [
        json.dumps({"n": n, "文": "{\\n" * (n % 5)}, indent=n % 3 or None, ensure_ascii=False) for n in range(500)
    ]
    data = b"\xef\xbb\xbf" + "\n".join(written).encode()
    monkeypatch.setattr(containers, "CHUNK_BYTES", 100)

    rows = read_bytes(tmp_path, data)

    assert values(rows) == [json.loads(text) for text in written]
    starts = [3 + sum(len(text.encode()) + 1 for text in written[:n]) for n in range(500)]
    assert [(row.row, row.byte) for row in rows] == list(enumerate(starts))


def test_an_object_over_lines_without_end_is_bad_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_values, "LINE_BYTES", 1 << 16)
    data = b'{\n "a": 1\n}\n{\n "a": [\n' + b"1,\n" * 30_000 + b'{\n "b": 1\n}\n{\n "a": 2\n}\n'

    rows = read_bytes(tmp_path, data)

    assert values(rows) == [{"a": 1}, {"b": 1}, {"a": 2}]
    assert {code for _, code in codes(rows)} <= {G, "D308", "D302"}


def test_long_runs_of_blank_lines_are_passed_at_once(tmp_path: Path) -> None:
    runs = [b"\n" * (1 << 20), b"\r\n" * 1000, b" \t\n" * 1000 + b"  "]
    data = b"".join(b'%b{"a":"%d"}\n' % (run, n) for n, run in enumerate(runs)) + runs[0]

    start = time.process_time()
    rows = read_bytes(tmp_path, data)

    assert time.process_time() - start < 1
    assert values(rows) == [{"a": "0"}, {"a": "1"}, {"a": "2"}]
    places = [data.index(b'{"a":"%d"' % n) for n in range(3)]
    assert [row.byte for row in rows] == [*places[:2], places[2] - 2]


def test_offsets_of_elements(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf[ {"a":1} ,\n {"a":NaN},\n\t[2] ]'

    assert [row.byte for row in read_bytes(tmp_path, data)] == [
        data.index(text) for text in (b'{"a":1', b'{"a":N', b"[2]")
    ]


def test_values_of_an_object(tmp_path: Path) -> None:
    data = b'{"x": {"a": 1}, "y": {"a": NaN}, "x": {"a": 3}, "z" 4, "k\\"ey": [1, 2], "last": "}"}'

    rows = read_bytes(tmp_path, data, rows="values")

    assert codes(rows) == [(0, G), (1, "D302"), (2, G), (3, "D302"), (4, G), (5, G)]
    assert values(rows) == [{"a": 1}, {"a": 3}, [1, 2], "}"]


def test_objects_without_keys_are_no_values(tmp_path: Path) -> None:
    rows = read_bytes(tmp_path, b'{"x": 1, {"a": 1}, {"a": 2}, {"a": 3}}', rows="values")

    assert codes(rows) == [(0, G), (1, "D302"), (2, "D302"), (3, "D302")]


@pytest.mark.parametrize("data", [b"[1]", b"7", b"x"])
def test_values_of_what_is_no_object(tmp_path: Path, data: bytes) -> None:
    assert codes(read_bytes(tmp_path, data, rows="values")) == [(None, "D308")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data.*.paragraphs", [1, 2, 3]),
        ("data.*", [{"paragraphs": [1, 2]}, {"paragraphs": [3]}]),
        ("data", [{"paragraphs": [1, 2]}, {"paragraphs": [3]}]),
        ("data.0.paragraphs", [1, 2]),
        ("data.1.paragraphs.0", [3]),
        ("splits.*.*", [["a"], ["b"], ["c"]]),
        ("splits.train", [["a"], ["b"]]),
        ("splits.*", [[["a"], ["b"]], [["c"]]]),
        ("meta", [{"by": "x"}]),
    ],
)
def test_rows_at_a_path(tmp_path: Path, path: str, expected: list[Any]) -> None:
    document = {
        "data": [{"paragraphs": [1, 2]}, {"paragraphs": [3]}],
        "splits": {"train": [["a"], ["b"]], "test": [["c"]]},
        "meta": {"by": "x"},
    }

    rows = read_bytes(tmp_path, json.dumps(document, indent=1).encode(), rows=path)

    assert values(rows) == expected
    assert [row.row for row in rows] == list(range(len(expected)))


@pytest.mark.parametrize("path", ["data.*.text", "nowhere", "data.9", "data.0.n.*", "data.x"])
def test_path_that_leads_nowhere_is_a_bad_that_names_the_place(tmp_path: Path, path: str) -> None:
    rows = read_bytes(tmp_path, b'{"data": [{"n": 1}]}', rows=path)

    assert codes(rows) == [(None, "D305")]
    assert rows[0].field  # type: ignore[union-attr]


@pytest.mark.parametrize("rows", ["file", "data.*"])
def test_whole_file_that_is_no_json(tmp_path: Path, rows: str) -> None:
    assert codes(read_bytes(tmp_path, b'{"data": [1,]}', rows=rows)) == [(0 if rows == "file" else None, "D302")]


def test_file_as_one_row(tmp_path: Path) -> None:
    assert values(read_bytes(tmp_path, b"[1,\n2]\n", rows="file")) == [[1, 2]]


def test_overlong_element_ends_the_reading_but_not_the_rows_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_pieces, "LINE_BYTES", 1 << 20)
    data = b'["a", "' + b"x" * (9 << 20) + b'", "b"]'

    rows = read_bytes(tmp_path, data)

    assert codes(rows) == [(0, G), (None, "D308")]
    assert f"{len(data) - 6:,} bytes in all" in rows[1].raw  # type: ignore[union-attr]


def test_json_in_a_file_called_a_table_is_read_as_json(tmp_path: Path) -> None:
    assert values(read_bytes(tmp_path, b'{"a":1}\n{"a":2}\n', "a.csv")) == [{"a": 1}, {"a": 2}]
    assert values(read_bytes(tmp_path, b'[\n{"a":1}\n]\n', "a.tsv")) == [{"a": 1}]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(TEXTS, JSON, min_size=1, max_size=3), min_size=1, max_size=8)
PROPERTY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PROPERTY
@given(records=RECORDS, end=st.sampled_from([b"\n", b"\r\n", b"\n\n"]), escaped=st.booleans())
def test_lines_written_are_lines_read(tmp_path: Path, records: list[Any], end: bytes, escaped: bool) -> None:
    data = end.join(json.dumps(record, ensure_ascii=escaped).encode() for record in records)

    rows = read_bytes(tmp_path, data, "a.jsonl")

    assert values(rows) == records
    assert codes(rows) == [(n, G) for n in range(len(records))]


@PROPERTY
@given(records=RECORDS | st.lists(JSON, min_size=1), indent=st.sampled_from([None, 0, 2]), chunk=st.integers(1, 40))
def test_array_written_is_array_read(tmp_path: Path, records: list[Any], indent: int | None, chunk: int) -> None:
    data = json.dumps(records, indent=indent, ensure_ascii=False).encode()

    assert values(read_bytes(tmp_path, data)) == records
    found = cut(data, chunk)
    assert [orjson.loads(piece.data) for piece in found] == records  # type: ignore[union-attr]
    assert [data[piece.byte :].startswith(piece.data) for piece in found] == [True] * len(records)


@PROPERTY
@given(records=RECORDS, data=st.data())
def test_corrupt_line_costs_itself_alone(tmp_path: Path, records: list[Any], data: st.DataObject) -> None:
    lines = [orjson.dumps(record) for record in records]
    index = data.draw(st.integers(0, len(lines) - 1))
    at = data.draw(st.integers(0, len(lines[index])))
    junk = data.draw(st.binary(min_size=1, max_size=4)).replace(b"\n", b"")
    lines[index] = lines[index][:at] + junk + lines[index][at + data.draw(st.integers(0, 3)) :]
    assume(not compressed(b"\n".join(lines)))

    rows = read_bytes(tmp_path, b"\n".join(lines), rows="lines")

    blank = not lines[index].strip()
    assert len(rows) == len(records) - blank
    good = records[:index] + records[index + 1 :]
    kept = rows if blank else rows[:index] + rows[index + 1 :]
    assert values(kept) == good


BROKEN = [
    b"NaN",
    b'{"a": 1,}',
    b"{'a': 'b'}",
    b'{"a": "\\x"}',
    b'{"a": "\xff"}',
    b'{"a": "\\ud800"}',
    b"{1: 2}",
    b'{"a" "b"}',
]


@PROPERTY
@given(
    records=RECORDS,
    index=st.integers(0, 8),
    broken=st.sampled_from(BROKEN),
    glue=st.sampled_from([b",", b",\n", b" , "]),
)
def test_broken_element_leaves_all_others(
    tmp_path: Path, records: list[Any], index: int, broken: bytes, glue: bytes
) -> None:
    index = min(index, len(records))
    elements = [orjson.dumps(record) for record in records]
    elements.insert(index, broken)

    rows = read_bytes(tmp_path, b"[" + glue.join(elements) + b"]")

    assert [row.row for row in rows] == list(range(len(elements)))
    assert isinstance(rows[index], Bad)
    assert values(rows) == records


@PROPERTY
@given(records=RECORDS, data=st.data())
def test_corrupt_array_invents_no_element(tmp_path: Path, records: list[Any], data: st.DataObject) -> None:
    written = b"[" + b",\n".join(orjson.dumps(record) for record in records) + b"]"
    at = data.draw(st.integers(1, len(written)))
    junk = data.draw(st.sampled_from([b"", b'"', b"'", b"\\", b"}", b"]", b"\xff", b"\x00"]))
    cut = data.draw(st.booleans())
    written = written[:at] + junk + (b"" if cut else written[at:])

    rows = read_bytes(tmp_path, written)

    touched = sum(row not in records for row in values(rows))
    assert touched <= 1
    assert rows or not written.strip(b"[] \n")
    assert not any(
        isinstance(row, Bad) and row.code not in {"D301", "D302", "D303", "D304", "D308", "D309"} for row in rows
    )


def test_offsets_and_rows_hold_over_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "CHUNK_BYTES", 64)
    data = b"".join(b'{"n": %d}\n' % n for n in range(2000))

    rows = read_bytes(tmp_path, data)

    assert [orjson.loads(data[row.byte :].partition(b"\n")[0]) for row in rows] == values(rows)  # type: ignore[misc]
    assert len(rows) == 2000
