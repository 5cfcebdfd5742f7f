from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doit.reading.cut_lines import CutRows, cut_block
from doit.reading.records import read_records
from doit.reading.rows import Bad, Layout, Row, read_cut, read_rows
from doit.schemas.card import DatasetCard

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["你好", 'say "hi"', "back\\slash", "\\", '\\"', "a\nb", "\t", "/", "\u2028", "\x7f", "\ufeff", '"}']
    ),
)
VALUES = st.one_of(TEXTS, TEXTS, TEXTS, st.sampled_from([None, 1, [], {}, ["x"], {"a": "b"}, True]))
OBJECTS = st.one_of(
    st.fixed_dictionaries({"q": TEXTS, "n": st.just([]), "a": TEXTS}),
    st.fixed_dictionaries({"q": TEXTS, "n": st.just([]), "a": TEXTS}),
    st.dictionaries(st.sampled_from(["q", "a", "n", 'k"']), VALUES, max_size=3),
)


def written(value: Any, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def broken(line: bytes, at: int, put: bytes) -> bytes:
    at %= len(line) + 1
    return line[:at] + put + line[at:]


LINES = st.one_of(
    st.builds(written, OBJECTS, st.just(value=False)),
    st.builds(written, OBJECTS, st.just(value=False)),
    st.builds(written, OBJECTS, st.booleans()),
    st.builds(
        broken,
        st.builds(written, OBJECTS, st.just(value=False)),
        st.integers(0, 99),
        st.sampled_from(
            [b'"', b"\\", b"\\u4f60", b"\\x", b"\xff", b"\x01", b"\r", b"\t", b" ", b"}", b'","q":"', b"\n"]
        ),
    ),
    st.sampled_from(
        [b"", b" ", b'{"q": "1", "n": [], "a": "2", "q": "3"}', b'{"q": "\\ud800", "n": [], "a": ""}', b"[]"]
    ),
)


def one_by_one(read: list[Row | Bad] | CutRows) -> list[Row | Bad]:
    if not isinstance(read, CutRows):
        return read
    rows = [*read.rows(np.arange(len(read.numbers))), *read.others]
    return sorted(rows, key=lambda row: row.row or 0)


@given(lines=st.lists(LINES, min_size=1, max_size=12), end=st.sampled_from([b"\n", b"\r\n"]), closed=st.booleans())
@example(lines=[b'{"q": "1"}', b'{\\"q\\": "1"}', b'{"q": "\\\\"}'], end=b"\n", closed=True)
@example(lines=[b'{"q": "1"}', b'{"q": "2\\'], end=b"\n", closed=False)
def test_rows_that_are_cut_are_what_the_parser_makes_of_them(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes, closed: bool
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.jsonl"
    path.write_bytes(end.join(lines) + end * closed)

    parsed = [row for batch in read_rows(path, Layout(rows="lines")) for row in batch]
    cut = [row for batch in read_cut(path, Layout(rows="lines")) for row in one_by_one(batch)]

    assert cut == parsed
    # The order of the keys is kept too: a reject shows its row.
    assert [list(row.value) for row in cut if isinstance(row, Row) and isinstance(row.value, dict)] == [
        list(row.value) for row in parsed if isinstance(row, Row) and isinstance(row.value, dict)
    ]


def test_alike_lines_are_cut_and_the_others_left_to_the_parser() -> None:
    alike = [{"q": f"{number} 问\n", "n": [], "a": 'so "good"'} for number in range(5)]
    lines = [written(row, ascii_only=False) for row in alike]
    other = [b'{"a": "1", "n": [], "q": "2"}', b'{"q": "1", "n": [1], "a": ""}', b'{"q": "1", "n": [], "a": "\\u4f60"}']

    cut = cut_block(b"\n".join([lines[0], *other, *lines[1:]]))

    assert cut is not None
    assert cut.mask.tolist() == [True, False, False, False, True, True, True, True]
    assert cut.columns["q"].to_list() == [row["q"] for row in alike]
    assert cut.columns["a"].to_list() == [row["a"] for row in alike]
    assert cut.pattern["n"] == []


@pytest.mark.parametrize(
    "line",
    [b'{"q": "1", "q": "2"}', b'{"q": {"a": "1"}}', b'["1"]', b'{"q": 1}', b'{"q": "1"', b"", b'{"q": "\xff"}'],
)
def test_a_line_that_is_no_flat_object_with_texts_is_no_pattern(line: bytes) -> None:
    assert cut_block(b"\n".join([line] * 3)) is None


def test_rows_keep_their_order_where_none_of_a_block_is_plain(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"question": "Human:", "answer": "\r\n\x07"}, {"question": "Human:", "answer": "Human:\r\n"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    card = DatasetCard.model_validate({"name": "a", "shape": {"kind": "qa", "prompt": "question", "answer": "answer"}})

    read = [row for batch in read_records(path, card) for row in batch.records["row"].to_pylist()]

    assert read == [0, 1]
