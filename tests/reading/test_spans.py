from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import doit
from doit.mixtures.pools import pool
from doit.reading.rows import Layout, read_rows, read_span, spans

LINES = st.lists(
    st.one_of(
        st.text(max_size=20).map(lambda text: json.dumps({"a": text}, ensure_ascii=False).encode("utf-8", "replace")),
        st.sampled_from([b"", b"  ", b'{"a": ', b"\xff\xfe", b"[1]", b"\xef\xbb\xbf{}", b'{"a": "\\ud800"}', b"x\r"]),
    ),
    max_size=60,
)


@given(lines=LINES, size=st.integers(1, 200), ended=st.booleans())
def test_a_file_read_in_spans_is_the_file_read_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int, ended: bool
) -> None:
    path = tmp_path_factory.mktemp("spans") / "a.jsonl"
    path.write_bytes(b'{"a": 0}\n' + b"\n".join(lines) + b"\n" * ended)
    whole = [row for batch in read_rows(path, Layout()) for row in batch]

    cut = spans(path, Layout(), size)

    if not cut:
        return
    assert cut[0][0] == 0
    assert cut[-1][1] == path.stat().st_size
    assert all(before[1] == after[0] for before, after in pairwise(cut))
    rows: list[object] = []
    first = 0
    for start, stop in cut:
        part = [row for batch in read_span(path, start, stop) for row in batch]
        rows += [row._replace(row=None if row.row is None else row.row + first) for row in part]
        first += max((row.row + 1 for row in part if row.row is not None), default=0)
    assert rows == whole


@pytest.mark.parametrize(
    ("name", "content", "layout"),
    [
        ("a.json", b'[\n{"a": 1},\n{"a": 2}\n]' * 20, Layout()),
        ("a.csv", b"a,b\n1,2\n" * 50, Layout()),
        ("a.jsonl", '{"a": "字"}\n'.encode("gb18030") * 50, Layout(encoding="gb18030")),
        ("a.jsonl", b'{"a": [1]}\n' * 50, Layout(rows="a")),
        ("a.jsonl.gz", b"\x1f\x8b" + b'{"a": 1}\n' * 50, Layout()),
    ],
)
def test_what_is_not_plain_lines_is_read_whole(tmp_path: Path, name: str, content: bytes, layout: Layout) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert spans(path, layout, 16) == []


def test_a_file_that_grows_keeps_its_first_spans(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 100)
    before = spans(path, Layout(), 90)
    with path.open("ab") as file:
        file.write(b'{"a": 2}\n' * 100)

    assert spans(path, Layout(), 90)[: len(before) - 1] == before[:-1]


def test_a_build_from_spans_is_the_build_from_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"instruction": f"问题{n}", "output": f"回答{n}"}, ensure_ascii=False) for n in range(200)]
    lines[37], lines[150] = '{"instruction": "x"}', "{broken"
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(
        "name: t\nsize: 50\nsources: [{dataset: {name: a, shape: {kind: alpaca}, source: {files: a.jsonl}}}]\n",
        encoding="utf-8",
    )
    whole = doit.build(tmp_path / "spec.yaml", tmp_path / "whole")

    monkeypatch.setattr(pool, "SPAN_BYTES", 500)
    cut = doit.build(tmp_path / "spec.yaml", tmp_path / "cut", jobs=1)

    assert cut.model_copy(update={"out": whole.out, "report": whole.report}) == whole
    assert (tmp_path / "cut" / "ledger.parquet").read_bytes() == (tmp_path / "whole" / "ledger.parquet").read_bytes()
    assert (tmp_path / "cut" / "rejects.parquet").read_bytes() == (tmp_path / "whole" / "rejects.parquet").read_bytes()
    assert doit.verify(tmp_path / "cut").ok
