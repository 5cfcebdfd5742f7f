from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doit.reading.delimited import LOOKAHEAD_LINES
from doit.reading.rows import Bad, Layout, Row, read_rows

G = ""  # a good row


def read_bytes(folder: Path, data: bytes, name: str = "a.csv", **layout: Any) -> list[Row | Bad]:
    path = folder / name
    path.write_bytes(data)
    return [row for batch in read_rows(path, Layout(**layout)) for row in batch]


def codes(rows: list[Row | Bad]) -> list[tuple[int | None, str]]:
    return [(row.row, row.code if isinstance(row, Bad) else G) for row in rows]


def values(rows: list[Row | Bad]) -> list[tuple[str, ...]]:
    return [tuple(row.value.values()) for row in rows if isinstance(row, Row)]


TABLES: dict[str, tuple[bytes, list[tuple[int | None, str]], list[tuple[str, ...]]]] = {
    "plain": (b"q,a\n1,2\n", [(0, G)], [("1", "2")]),
    "no final newline": (b"q,a\n1,2", [(0, G)], [("1", "2")]),
    "crlf": (b"q,a\r\n1,2\r\n", [(0, G)], [("1", "2")]),
    "blank lines are not rows": (b"\nq,a\n\n1,2\r\n\r\n3,4\n", [(0, G), (1, G)], [("1", "2"), ("3", "4")]),
    "empty values": (b'q,a\n,\n"",""\n', [(0, G), (1, G)], [("", ""), ("", "")]),
    "spaces are kept": (b"q,a\n 1 , 2\n", [(0, G)], [(" 1 ", " 2")]),
    "words for nothing stay text": (b"q,a\nNA,None\nnull,nan\n", [(0, G), (1, G)], [("NA", "None"), ("null", "nan")]),
    "numbers stay text": (b"q,a\n001,1e5\nTrue,-0\n", [(0, G), (1, G)], [("001", "1e5"), ("True", "-0")]),
    "quoted comma": (b'q,a\n"1,2",3\n', [(0, G)], [("1,2", "3")]),
    "doubled quote": (b'q,a\n"say ""hi""",""""\n', [(0, G)], [('say "hi"', '"')]),
    "line break in quotes": (b'q,a\n"1\n2",3\n4,5\n', [(0, G), (1, G)], [("1\n2", "3"), ("4", "5")]),
    "crlf in quotes": (b'q,a\r\n"1\r\n2",3\r\n', [(0, G)], [("1\r\n2", "3")]),
    "blank line in quotes": (b'q,a\n"1\n\n2",3\n', [(0, G)], [("1\n\n2", "3")]),
    "rows over lines, twice": (b'q,a\n"1\n","\n2"\n"3\n",4\n', [(0, G), (1, G)], [("1\n", "\n2"), ("3\n", "4")]),
    "quote within a plain field": (b'q,a\n5" disk,2\n', [(0, G)], [('5" disk', "2")]),
    "too few": (b"q,a\n1\n3,4\n", [(0, "D306"), (1, G)], [("3", "4")]),
    "too many": (b"q,a\n1,2,3\n3,4\n", [(0, "D306"), (1, G)], [("3", "4")]),
    "comma at the end": (b"q,a\n1,2,\n3,4\n", [(0, "D306"), (1, G)], [("3", "4")]),
    "unclosed quote": (b'q,a\n1,"x\n2,y\n3,z\n', [(0, "D307"), (1, G), (2, G)], [("2", "y"), ("3", "z")]),
    "unclosed quote last": (b'q,a\n1,2\n3,"x', [(0, G), (1, "D307")], [("1", "2")]),
    "two unclosed quotes": (
        b'q,a\n1,"x\n2,y\n3,"z\n4,w\n',
        [(0, "D307"), (1, G), (2, "D307"), (3, G)],
        [("2", "y"), ("4", "w")],
    ),
    "unclosed quote before a row over lines": (b'q,a\n1,"x\n"2\n3",y\n', [(0, "D307"), (1, G)], [("2\n3", "y")]),
    "text after a quote": (b'q,a\n"1"x,2\n3,4\n', [(0, "D307"), (1, G)], [("3", "4")]),
    "quote closed by a wrong row": (b'q,a\n1,"x\n2,y",z\n3,4\n', [(0, "D307"), (1, "D306"), (2, G)], [("3", "4")]),
    "invalid bytes": (
        b"q,a\n1,2\n\xff,2\n3,4\n5,6\n",
        [(0, G), (1, "D303"), (2, G), (3, G)],
        [("1", "2"), ("3", "4"), ("5", "6")],
    ),
    "invalid bytes in quotes": (
        b'q,a\n1,2\n"\xff\n",2\n3,4\n',
        [(0, G), (1, "D303"), (2, G)],
        [("1", "2"), ("3", "4")],
    ),
    "NUL": (b"q,a\n1,\x00\n" + b"33,44\n" * 9, [(n, G) for n in range(10)], [("1", "\0"), *[("33", "44")] * 9]),
    "Unicode separators": ("q,a\n1\u2028,2\u0085\x0b\n".encode(), [(0, G)], [("1\u2028", "2\u0085\x0b")]),
    "carriage return in a field": (b"q,a\n1\rx,2\n", [(0, G)], [("1\rx", "2")]),
    "mark": (b"\xef\xbb\xbfq,a\n1,2\n", [(0, G)], [("1", "2")]),
    "lone carriage returns": (b"q,a\r1,2\r", [(None, "D308")], []),
    "broken header": (b'"q,a\n1,2\n', [(None, "D307")], []),
    "JSON in a cell": (b'q,a\n"{""a"": 1}",[1]\n', [(0, G)], [('{"a": 1}', "[1]")]),
    "bracketed header": (b"[q],a\n1,2\n", [(0, G)], [("1", "2")]),
}

TABBED: dict[str, tuple[bytes, list[tuple[int | None, str]], list[tuple[str, ...]]]] = {
    "plain": (b"q\ta\n1\t2\n", [(0, G)], [("1", "2")]),
    "quotes are characters": (b'q\ta\n"1\t"2"\n3\t""\n', [(0, G), (1, G)], [('"1', '"2"'), ("3", '""')]),
    "unbalanced quote": (b'q\ta\n1\t"x\n2\ty\n3\tz\n', [(0, G), (1, G), (2, G)], [("1", '"x'), ("2", "y"), ("3", "z")]),
    "commas": (b"q\ta\n1,2\t3\n", [(0, G)], [("1,2", "3")]),
    "empty columns": (b"q\ta\n\t\n", [(0, G)], [("", "")]),
    "too few": (b"q\ta\n1\n", [(0, "D306")], []),
    "too many": (b"q\ta\n1\t2\t3\n4\t5\r\n", [(0, "D306"), (1, G)], [("4", "5")]),
    "invalid bytes": (b"q\ta\n1\t\xff\n4\t5\n", [(0, "D303"), (1, G)], [("4", "5")]),
}


@pytest.mark.parametrize(("data", "expected", "read"), TABLES.values(), ids=TABLES)
def test_commas(tmp_path: Path, data: bytes, expected: list[Any], read: list[Any]) -> None:
    rows = read_bytes(tmp_path, data)

    assert codes(rows) == expected
    assert values(rows) == read


@pytest.mark.parametrize(("data", "expected", "read"), TABBED.values(), ids=TABBED)
@pytest.mark.parametrize("name", ["a.tsv", "a.tab", "a.TSV"])
def test_tabs(tmp_path: Path, name: str, data: bytes, expected: list[Any], read: list[Any]) -> None:
    rows = read_bytes(tmp_path, data, name)

    assert codes(rows) == expected
    assert values(rows) == read


@pytest.mark.parametrize(
    ("header", "names", "twice"),
    [
        ("q,q,q", ["q", "q_2", "q_3"], "q"),
        ("q,q_2,q", ["q", "q_2", "q_3"], "q"),
        ("q,q,q_2", ["q", "q_3", "q_2"], "q"),
        ("问题,答案, 答案 ", ["问题", "答案", "答案_2"], "答案"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_columns_of_one_name_are_not_read_until_the_card_tells_them_apart(
    tmp_path: Path, header: str, names: list[str], twice: str, delimiter: str
) -> None:
    data = f"{header}\n1,2,3\n4,5,6\n".replace(",", delimiter).encode()
    name = "a.csv" if delimiter == "," else "a.tsv"

    (bad,) = read_bytes(tmp_path, data, name)

    assert isinstance(bad, Bad)
    assert (bad.row, bad.code, bad.field) == (None, "D302", twice)
    assert f"`columns: [{', '.join(names)}]`" in bad.reason
    rows = read_bytes(tmp_path, data, name, columns=tuple(names))
    assert [row.value for row in rows] == [  # type: ignore[union-attr]
        dict(zip(names, cells, strict=True)) for cells in ("123", "456")
    ]


@pytest.mark.parametrize("blank", [b"\n", b"\r\n"])
def test_many_empty_lines_are_passed_but_not_within_quotes(tmp_path: Path, blank: bytes) -> None:
    many = blank * 100_000
    quoted = blank * 900
    data = b"q,a" + many + b'1,"x' + quoted + b'y"' + many + b"3,4" + many

    first, last = read_bytes(tmp_path, data)

    assert isinstance(first, Row)
    assert isinstance(last, Row)
    assert first.value == {"q": "1", "a": "x" + quoted.decode() + "y"}
    assert [data[row.byte :][:3] for row in (first, last)] == [b'1,"', b"3,4"]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("q,a", ["q", "a"]),
        (",Question,A", ["column_0", "Question", "A"]),
        (",,column_1", ["column_0", "column_1_2", "column_1"]),
        (' q ,"a b"', ["q", "a b"]),
        ("问题,答案", ["问题", "答案"]),
    ],
)
def test_names_of_columns(tmp_path: Path, header: str, names: list[str]) -> None:
    cells = [str(n) for n in range(len(names))]

    (row,) = read_bytes(tmp_path, f"{header}\n{','.join(cells)}\n".encode())

    assert isinstance(row, Row)
    assert row.value == dict(zip(names, cells, strict=True))


def test_declared_columns_name_a_file_without_a_header(tmp_path: Path) -> None:
    rows = read_bytes(tmp_path, b"1\t2\n3\t4\n", "a.txt", columns=("q", "a"))

    assert [row.value for row in rows if isinstance(row, Row)] == [{"q": "1", "a": "2"}, {"q": "3", "a": "4"}]


def test_declared_columns_that_are_the_first_row_are_its_header(tmp_path: Path) -> None:
    assert values(read_bytes(tmp_path, b"q,a\n1,2\n", columns=("q", "a"))) == [("1", "2")]


@pytest.mark.parametrize(
    ("delimiter", "data"), [(";", b'q;a\n"1;";2\n'), ("|", b"q|a\n1;|2\n"), ("||", b"q||a\n1;||2\n")]
)
def test_declared_delimiter(tmp_path: Path, delimiter: str, data: bytes) -> None:
    assert values(read_bytes(tmp_path, data, delimiter=delimiter)) == [("1;", "2")]


def test_bad_row_says_the_counts_and_keeps_the_text(tmp_path: Path) -> None:
    (bad,) = read_bytes(tmp_path, b"q,a\n1,2,3\r\n")

    assert isinstance(bad, Bad)
    assert (bad.field, bad.raw, bad.byte) == ("3 of 2 columns", "1,2,3", 4)
    assert bad.reason == "the row has 3 columns where 2 are named."


def test_many_open_quotes_cost_linear_time(tmp_path: Path) -> None:
    data = b"q,a\n" + b'1,"x\n2,y\n' * 20_000 + b"3,z\n" * 40_000

    start = time.perf_counter()
    rows = read_bytes(tmp_path, data)

    assert time.perf_counter() - start < 5
    assert len(rows) == 80_000


def test_lookahead_for_a_closing_quote_is_bounded(tmp_path: Path) -> None:
    between = b"".join(b"%d,y\n" % n for n in range(LOOKAHEAD_LINES))
    data = b'q,a\n1,"x\n' + between + b'z"\n'

    rows = read_bytes(tmp_path, data)

    assert codes(rows)[0] == (0, "D307")
    assert len(rows) == LOOKAHEAD_LINES + 2


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)  # many NULs: binary
TSV_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\t\n\r"), max_size=10)
PROPERTY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PROPERTY
@given(
    cells=st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), max_size=8),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_csv_written_is_csv_read(tmp_path: Path, cells: list[tuple[str, ...]], quoting: Any) -> None:
    target = io.StringIO()
    csv.writer(target, quoting=quoting).writerows([("instruction", "input", "output"), *cells])
    data = target.getvalue().encode()

    rows = read_bytes(tmp_path, data)

    assert values(rows) == cells
    assert [row.row for row in rows] == list(range(len(cells)))


@PROPERTY
@given(cells=st.lists(st.tuples(TSV_TEXT, TSV_TEXT), max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_tsv_written_is_tsv_read(tmp_path: Path, cells: list[tuple[str, ...]], end: str) -> None:
    data = end.join("\t".join(row) for row in [("question", "answer"), *cells]).encode()

    rows = read_bytes(tmp_path, data, "a.tsv")

    assert values(rows) == cells


@PROPERTY
@given(lines=st.lists(st.text('a,"', min_size=1, max_size=8), max_size=12))
def test_no_line_of_any_table_is_lost(tmp_path: Path, lines: list[str]) -> None:
    rows = read_bytes(tmp_path, ("q,a\n" + "\n".join(lines)).encode())

    lost = list(lines)
    for row in rows:
        text = row.raw if isinstance(row, Bad) else "\n".join(row.value.values())
        del lost[: text.count("\n") + 1 if isinstance(row, Bad) else 1 + sum(v.count("\n") for v in row.value.values())]
    assert lost == []
    assert [row.row for row in rows] == list(range(len(rows)))


@PROPERTY
@given(cells=st.lists(st.tuples(TSV_TEXT, TSV_TEXT), min_size=1, max_size=8), data=st.data())
def test_corrupt_tsv_line_costs_itself_alone(tmp_path: Path, cells: list[tuple[str, ...]], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(cells) - 1))
    lines = ["\t".join(row).encode() for row in cells]
    lines[index] += data.draw(st.sampled_from([b"\xff", b"\tmore", b'"', b"\xe4\xb8"]))

    rows = read_bytes(tmp_path, b"question\tanswer\n" + b"\n".join(b"ok\tok\n" + line for line in lines), "a.tsv")

    assert len(rows) == 2 * len(cells)
    expected = [
        value for n, row in enumerate(cells) for value in (("ok", "ok"), row) if value == ("ok", "ok") or n != index
    ]
    found = [tuple(r.value.values()) for n, r in enumerate(rows) if isinstance(r, Row) and n != 2 * index + 1]
    assert found == expected
