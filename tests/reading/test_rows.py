from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doit.errors import CODES, SpecError
from doit.reading import raw, text
from doit.reading.rows import Bad, Layout, Row, read_rows
from doit.schemas.card import Source

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
LINES = b"".join(b'{"n": %d}\n' % n for n in range(3))


def read(path: Path, layout: Layout | None = None) -> list[Row | Bad]:
    return [row for batch in read_rows(path, layout or Layout()) for row in batch]


def read_bytes(folder: Path, name: str, data: bytes, **layout: object) -> list[Row | Bad]:
    path = folder / name
    path.write_bytes(data)
    return read(path, Layout(**layout))  # type: ignore[arg-type]


def codes(rows: list[Row | Bad]) -> list[tuple[int | None, str]]:
    """(row, code) of everything read, with an empty code for a good row."""
    return [(row.row, row.code if isinstance(row, Bad) else "") for row in rows]


MEMBER, LISTED = b"PK\x03\x04", b"PK\x01\x02"
"""How the headers of a zip archive begin: the one before a member, and its entry in the list at the end."""


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def zstd(data: bytes) -> bytes:
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, "zstd") as stream:
        stream.write(data)
    return bytes(target.getvalue())


COMPRESSORS = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zstd": zstd}


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"[]", b"[\n]\n"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_file_without_rows_yields_nothing(tmp_path: Path, name: str, data: bytes) -> None:
    assert read_bytes(tmp_path, name, data) == []


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"question\n", b"question\r\n\r\n", b"question"])
def test_table_with_a_header_alone_yields_nothing(tmp_path: Path, name: str, data: bytes) -> None:
    assert read_bytes(tmp_path, name, data) == []


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_compression_is_told_by_the_first_bytes_not_by_the_name(tmp_path: Path, kind: str) -> None:
    assert codes(read_bytes(tmp_path, "a.jsonl", COMPRESSORS[kind](LINES))) == [(0, ""), (1, ""), (2, "")]


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_rows_before_the_damage_of_an_archive_survive_and_one_bad_follows(tmp_path: Path, kind: str) -> None:
    lines = b"".join(b'{"n": %d, "text": "%d"}\n' % (n, n**9) for n in range(100_000))
    packed = COMPRESSORS[kind](lines)

    rows = read_bytes(tmp_path, f"a.jsonl.{kind}", packed[: len(packed) * 2 // 3])

    good, last = rows[:-1], rows[-1]
    assert isinstance(last, Bad)
    assert (last.row, last.code) == (None, "D308")
    assert "cut off or damaged" in last.reason
    assert good == [Row(n, row.byte, {"n": n, "text": str(n**9)}) for n, row in enumerate(good)]
    assert 10_000 < len(good) < 100_000


def test_truncated_archive_never_reads_half_a_last_line(tmp_path: Path) -> None:
    packed = gzip.compress(b"1\n23\n45678901234567890", compresslevel=0)

    rows = read_bytes(tmp_path, "a.jsonl.gz", packed[:26])

    assert [row.value for row in rows if isinstance(row, Row)] == [1, 23]
    assert codes(rows)[-1] == (None, "D308")
    assert rows[-1].raw.startswith("4567")


def test_truncated_array_in_an_archive_keeps_its_whole_elements(tmp_path: Path) -> None:
    packed = gzip.compress(b'[{"a":1},{"a":2},{"a":3}]', compresslevel=0)

    rows = read_bytes(tmp_path, "a.json.gz", packed[:-14])

    assert codes(rows) == [(0, ""), (1, ""), (None, "D308")]


def test_gzip_of_several_members_is_one_stream(tmp_path: Path) -> None:
    assert len(read_bytes(tmp_path, "a.jsonl.gz", gzip.compress(LINES) + gzip.compress(LINES))) == 6


def test_wrong_checksum_is_noticed_after_the_rows(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(LINES))
    packed[-6] ^= 0xFF

    assert codes(read_bytes(tmp_path, "a.jsonl.gz", bytes(packed))) == [(0, ""), (1, ""), (2, ""), (None, "D308")]


def test_zip_members_come_by_name_and_rows_are_numbered_through(tmp_path: Path) -> None:
    data = zipped(
        {"b.json": b'[{"n": 2}]', "a.jsonl": b'{"n": 0}\n{"n": }\n', "__MACOSX/a.jsonl": b"x", "c/d.csv": b"n\n3\n"}
    )

    rows = read_bytes(tmp_path, "all.zip", data)

    assert codes(rows) == [(0, ""), (1, "D302"), (2, ""), (3, "")]
    assert isinstance(rows[1], Bad)
    assert rows[1].reason.startswith("a.jsonl: ")
    assert isinstance(rows[3], Row)
    assert rows[3].value == {"n": "3"}


def test_damaged_member_of_a_zip_archive_leaves_the_others(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.jsonl": LINES, "b.jsonl": LINES}))
    data[data.index(b"a.jsonl") + 12] ^= 0xFF

    found = codes(read_bytes(tmp_path, "all.zip", bytes(data)))

    assert (None, "D308") in found
    assert sum(code == "" for _, code in found) >= 3


@pytest.mark.parametrize("name", ["a.jsonl", "a.zip"])
@pytest.mark.parametrize(
    "edits",
    [
        pytest.param([(LISTED, 46, b"\x00")], id="member without a name"),
        pytest.param([(LISTED, 6, b"\xff")], id="version that is to come"),
        pytest.param([(LISTED, 10, b"\x63")], id="method that is not known"),
        pytest.param([(LISTED, 8, b"\x01")], id="password"),
        pytest.param([(LISTED, 9, b"\x08"), (MEMBER, 30, b"\xff")], id="name that is not UTF-8"),
    ],
)
def test_header_of_a_zip_archive_that_cannot_be_followed_is_one_reject(
    tmp_path: Path, name: str, edits: list[tuple[bytes, int, bytes]]
) -> None:
    data = bytearray(zipped({"a.jsonl": LINES}))
    for header, at, junk in edits:
        start = data.index(header) + at
        data[start : start + len(junk)] = junk

    assert codes(read_bytes(tmp_path, name, bytes(data))) == [(None, "D309")]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("a.xlsx", zipped({"[Content_Types].xml": b"<x/>", "xl/a.xml": b"<x/>"}), id="xlsx"),
        pytest.param("a.json", b"\x00\x01\x02\x00\x00\x07" * 50, id="junk"),
        pytest.param("a.parquet", b"PAR1" + b"\x00" * 64, id="parquet junk"),
        pytest.param("a.parquet", b"PAR1", id="parquet magic alone"),
        pytest.param("a.zip", b"PK\x03\x04" + b"\x00" * 40, id="zip junk"),
        pytest.param("a.pkl", b"\x80\x04\x95\x00", id="pickle"),
        pytest.param("a.7z", b"7z\xbc\xaf\x27\x1c\x00\x04", id="7z"),
        pytest.param("a.db", b"SQLite format 3\x00" + b"\x01" * 100, id="sqlite"),
        pytest.param("a.zip", zipped({"a.zip": zipped({"a.jsonl": LINES})}), id="zip in zip"),
        pytest.param("a.tar.gz", gzip.compress(b"a.jsonl".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 300), id="tar"),
    ],
)
def test_container_that_is_not_read_is_one_bad(tmp_path: Path, name: str, data: bytes) -> None:
    assert codes(read_bytes(tmp_path, name, data)) == [(None, "D309")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_wide_encoding_that_nobody_declared_is_one_bad_that_names_it(tmp_path: Path, encoding: str, name: str) -> None:
    text = 'q,a\n{"你": "hello, world, a longer text"}\n'

    rows = read_bytes(tmp_path, name, text.encode(encoding))

    assert codes(rows) == [(None, "D301")]
    assert "encoding: utf-" in rows[0].reason  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "encoding", ["gb18030", "gbk", "big5", "shift_jis", "utf-16", "utf-16-be", "utf-32", "utf-8", "utf-8-sig"]
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv"])
def test_declared_encoding_is_read(tmp_path: Path, encoding: str, name: str) -> None:
    texts = ["中文的功能", "表示能力", "許蓋"] if encoding == "big5" else ["中文", "表示能力", "一二三"]
    written = {
        "a.jsonl": "".join(f'{{"q": "{text}"}}\n' for text in texts),
        "a.json": "[" + ",".join(f'{{"q": "{text}"}}' for text in texts) + "]",
        "a.csv": "q\n" + "".join(f'"{text}"\r\n' for text in texts),
        "a.tsv": "q\n" + "".join(f"{text}\n" for text in texts),
    }[name]

    rows = read_bytes(tmp_path, name, written.encode(encoding), encoding=encoding)

    assert [row.value for row in rows if isinstance(row, Row)] == [{"q": text} for text in texts]


def test_undecodable_bytes_cost_their_own_line_and_are_kept(tmp_path: Path) -> None:
    good = '{"q": "中文"}\n'.encode("gb18030")

    rows = read_bytes(tmp_path, "a.jsonl", good + b'{"q": "\xff\x81"}\n' + good, encoding="gb18030")

    assert codes(rows) == [(0, ""), (1, "D303"), (2, "")]
    assert rows[1].raw == '{"q": "\\xff\\x81"}'  # type: ignore[union-attr]
    assert rows[0].byte is None


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "latin-1", "utf-16"])
def test_utf8_under_another_declared_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    data = '{"q": "这是一个用统一码写成的文件，声明写错了"}\n'.encode()

    assert codes(read_bytes(tmp_path, "a.jsonl", data, encoding=encoding)) == [(None, "D301")]


def test_gb18030_table_without_a_declaration_is_one_bad_that_says_what_it_looks_like(tmp_path: Path) -> None:
    data = "科室,问题\n内科,头痛怎么办\n外科,骨折\n".encode("gb18030")

    rows = read_bytes(tmp_path, "a.csv", data)

    assert codes(rows) == [(None, "D301")]
    assert "encoding: gb18030" in rows[0].reason  # type: ignore[union-attr]


def test_text_that_starts_with_foreign_bytes_is_one_bad(tmp_path: Path) -> None:
    assert codes(read_bytes(tmp_path, "a.jsonl", "中文\n".encode("gb18030"))) == [(None, "D301")]


def test_byte_order_mark_is_skipped_at_the_start_only_and_counted_in_offsets(tmp_path: Path) -> None:
    rows = read_bytes(tmp_path, "a.jsonl", b"\xef\xbb\xbf1\n\xef\xbb\xbf2\n3")

    assert codes(rows) == [(0, ""), (1, "D302"), (2, "")]
    assert [row.byte for row in rows] == [3, 5, 10]


@pytest.mark.parametrize(
    ("layout", "code"),
    [
        (Layout(encoding="gb"), "D203"),
        (Layout(encoding="base64"), "D203"),
        (Layout(compression="rar"), "D203"),
        (Layout(delimiter=""), "D204"),
        (Layout(delimiter='"'), "D204"),
    ],
)
def test_impossible_layout_is_the_callers_error(tmp_path: Path, layout: Layout, code: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n1\n")

    with pytest.raises(SpecError) as caught:
        read(path, layout)

    assert caught.value.code == code


def test_missing_file_and_folder_are_the_callers_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(SpecError, match="D206"):
            read(path)


def test_declared_compression_that_is_not_there_is_bad(tmp_path: Path) -> None:
    assert codes(read_bytes(tmp_path, "a.jsonl", LINES, compression="gzip")) == [(None, "D308")]
    assert codes(read_bytes(tmp_path, "a.jsonl", LINES, compression="zip")) == [(None, "D309")]


def test_parquet_rows_and_its_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    values = [{"q": f"问{n}", "turns": [{"role": "user"}] * (n % 3)} for n in range(5000)]
    pq.write_table(pa.Table.from_pylist(values), path, row_group_size=1000)
    whole = path.read_bytes()

    assert [row.value for row in read(path)] == values  # type: ignore[union-attr]

    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 200] = b"\x00" * 200
    path.write_bytes(bytes(damaged))
    assert codes(read(path))[-1] == (None, "D309")
    path.write_bytes(whole[:-9])
    assert codes(read(path)) == [(None, "D309")]


@pytest.mark.parametrize(
    "encoding", ["idna", "punycode", "unicode_escape", "raw-unicode-escape", "rot13", "base64", "x"]
)
def test_what_is_no_text_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(SpecError, match=f'D203 .*no text encoding "{encoding}"'):
        read_bytes(tmp_path, "a.jsonl", LINES, encoding=encoding)
    with pytest.raises(ValueError, match=f'D203 .*no text encoding "{encoding}"'):
        Source(encoding=encoding)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_bytes_that_a_declared_encoding_lacks_are_told_as_they_stand(tmp_path: Path, name: str) -> None:
    rows = ['{"问":"', '"}'] if name == "a.jsonl" else ["问,", ""]
    good = "问,答\n" if name == "a.csv" else ""
    data = good.encode("gb18030") + rows[0].encode("gb18030") + b"\xff\xff" + rows[1].encode()

    (bad,) = read_bytes(tmp_path, name, data, encoding="gb18030")

    assert isinstance(bad, Bad)
    at = len(rows[0]) + 1
    assert bad.reason == f"0xff 0xff is no text in gb18030, the declared encoding, at character {at} of the row."


TEXT_MAP = pa.map_(pa.string(), pa.string())
NESTED: dict[str, tuple[pa.Array, list[object]]] = {
    "map": (pa.array([[("甲", "1"), ("乙", None)], None, []], TEXT_MAP), [{"甲": "1", "乙": None}, None, {}]),
    "map with a key twice": (
        pa.array([[("x", "1"), ("x", "2")], [("x", "3")], None], TEXT_MAP),
        [[["x", "1"], ["x", "2"]], {"x": "3"}, None],
    ),
    "map of numbers": (pa.array([[(1, "a")], None, []], pa.map_(pa.int32(), pa.string())), [[[1, "a"]], None, {}]),
    "map of maps": (
        pa.array([[("x", [("y", "1")])], [("z", None)], []], pa.map_(pa.string(), TEXT_MAP)),
        [{"x": {"y": "1"}}, {"z": None}, {}],
    ),
    "maps in objects in a list": (
        pa.array([[{"k": [("x", "1")]}], None, []], pa.list_(pa.struct([("k", TEXT_MAP)]))),
        [[{"k": {"x": "1"}}], None, []],
    ),
    "text view": (pa.array(["甲", None, "🙂"], pa.string_view()), ["甲", None, "🙂"]),
    "text views in a list": (pa.array([["甲"], None, []], pa.list_(pa.string_view())), [["甲"], None, []]),
    "bytes view": (pa.array([b"a", None, b""], pa.binary_view()), [b"a", None, b""]),
    "list view": (pa.array([["甲"], None, []], pa.list_view(pa.string())), [["甲"], None, []]),
    "list of two": (
        pa.array([["a", "b"], None, ["c", None]], pa.list_(pa.string(), 2)),
        [["a", "b"], None, ["c", None]],
    ),
    "dictionary in an object": (
        pa.array([{"a": "x"}, None, {"a": None}], pa.struct([("a", pa.dictionary(pa.int32(), pa.string()))])),
        [{"a": "x"}, None, {"a": None}],
    ),
}


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("kind", NESTED)
def test_parquet_columns_of_every_kind_are_read(tmp_path: Path, kind: str, stored: bool) -> None:
    column, expected = NESTED[kind]
    table = pa.table({"q": ["一", "二", "三"], "x": column})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=stored)

    rows = read(tmp_path / "a.parquet")

    assert [row.value for row in rows] == [  # type: ignore[union-attr]
        {"q": q, "x": value} for q, value in zip("一二三", expected, strict=True)
    ]


@pytest.mark.parametrize("kind", [TEXT_MAP, pa.list_(pa.string(), 1), pa.list_view(pa.string())])
def test_parquet_rows_with_long_texts_in_nested_columns_come_in_parts(tmp_path: Path, kind: pa.DataType) -> None:
    text = "长" * 100_000
    values = [[(str(n), text)] for n in range(100)] if kind == TEXT_MAP else [[text]] * 100
    pq.write_table(pa.table({"x": pa.array(values, kind)}), tmp_path / "a.parquet")

    batches = list(read_rows(tmp_path / "a.parquet", Layout()))

    assert [row.value["x"] for batch in batches for row in batch] == [  # type: ignore[union-attr]
        dict(value) if kind == TEXT_MAP else value for value in values
    ]
    assert all(300_000 * len(batch) <= 2 * raw.CHUNK_BYTES for batch in batches)


def test_parquet_text_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    binary = pa.array([b"ok", b"\xff\xfe", b"ok"], pa.binary())
    pq.write_table(pa.table({"q": pa.Array.from_buffers(pa.string(), 3, binary.buffers())}), tmp_path / "a.parquet")

    assert codes(read(tmp_path / "a.parquet")) == [(0, ""), (1, "D303"), (2, "")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_overlong_line_is_bad_and_the_next_is_read(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "LINE_BYTES", 1 << 20)
    body = b'"head"\n"' + b"x" * (9 << 20) + b'"\n"after"\n\n"last"'

    rows = read_bytes(tmp_path, name, body)

    expected = [(0, ""), (1, "D308"), (2, ""), (3, "")]
    shift = 0 if name == "a.jsonl" else 1
    assert codes(rows) == [(row - shift, code) for row, code in expected[shift:]]
    bad = rows[1 - shift]
    assert isinstance(bad, Bad)
    assert len(bad.raw) < raw.RAW_BYTES + 100
    assert f"{(9 << 20) + 2:,} bytes in all" in bad.raw
    assert rows[2 - shift].byte == 7 + (9 << 20) + 3


def test_long_bad_row_is_cut_at_a_character_and_says_how_long_it_was(tmp_path: Path) -> None:
    data = ('{"q": "' + "汉" * 60_000 + '",}').encode()

    (bad,) = read_bytes(tmp_path, "a.jsonl", data)

    assert isinstance(bad, Bad)
    assert bad.raw.endswith(f"汉… [cut here: {len(data):,} bytes in all]")


def test_batches_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n" * 20_000)

    assert [len(batch) for batch in read_rows(path, Layout())] == [4096] * 4 + [3616]


def _count(folder: str, pattern: str, layout: Layout | None = None) -> tuple[int, int]:
    paths = sorted((SHARED / folder).rglob(pattern))
    rows = [row for path in paths for row in read(path, layout)]
    return sum(isinstance(row, Row) for row in rows), sum(isinstance(row, Bad) for row in rows)


needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real sets of ../shared/data are not here")


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize(
    ("folder", "pattern", "layout", "expected"),
    [
        ("belle", "eval_set.json", {}, (1000, 0)),
        ("alpaca-cot-flan", "aqua_train.tsv", {"columns": ("q", "a", "r")}, (2728, 0)),
        ("alpaca-cot-flan", "strategyqa_train.tsv", {"columns": ("q", "a", "r")}, (2061, 0)),
        ("alpaca-cot-flan", "qasc_train.tsv", {"columns": ("q", "a", "r")}, (1084, 0)),
        ("alpaca-cot-flan", "*.json", {}, (5873, 0)),
        ("code-alpaca", "*.json", {}, (2017, 0)),
        ("xtuner-openai", "openai_sft.jsonl", {}, (128, 0)),
        ("xtuner-openai", "mllm_sft_text_example_data.jsonl", {}, (200, 0)),
        ("llamafactory-demos", "alpaca_zh_demo.json", {}, (1000, 0)),
        ("cmmlu", "*.csv", {}, (11917, 0)),
        ("zh-medical-gb18030", "*.csv", {"encoding": "gb18030"}, (2000, 0)),
        ("zh-medical-gb18030", "*.csv", {}, (0, 1)),
        ("instructionwild", "user_1.jsonl", {}, (429, 0)),
        ("instructionwild", "user_2.jsonl", {}, (246, 2)),
        ("instructionwild", "user_3.jsonl", {}, (198, 3)),
        ("instructionwild", "seed_prompts_*.jsonl", {}, (858, 0)),
        ("mgsm", "*.tsv", {"columns": ("question", "answer")}, (1250, 0)),
        ("opengpt-csv", "*.csv", {}, (386, 0)),
        ("hh-rlhf", "*.gz", {}, (2312, 0)),
        ("humaneval", "*.gz", {}, (164, 0)),
        ("mkqa-sample", "*.gz", {}, (6, 0)),
        ("crosswoz", "*.zip", {}, (1, 0)),
        ("crosswoz", "*.zip", {"rows": "values"}, (500, 0)),
        ("drcd-zh-hant", "*.json", {"rows": "data.*.paragraphs"}, (1000, 0)),
        ("chinese-squad-v2", "*.json", {"rows": "data"}, (35, 0)),
        ("moss-003-sft-samples", "*.json", {}, (240, 0)),
        ("data-juicer-demos", "demo-dataset.parquet", {}, (6, 0)),
    ],
)
def test_real_sets_have_the_rows_that_were_counted(
    folder: str, pattern: str, layout: dict[str, object], expected: tuple[int, int]
) -> None:
    assert _count(folder, pattern, Layout(**layout)) == expected  # type: ignore[arg-type]


@pytest.mark.shared
@needs_shared
def test_every_real_file_is_read_and_few_rows_are_bad() -> None:
    suffixes = {".json", ".jsonl", ".tsv", ".csv", ".gz", ".zip", ".parquet"}
    paths = sorted(path for path in SHARED.rglob("*") if path.suffix in suffixes)
    bad = {str(path.relative_to(SHARED)): [r for r in read(path) if isinstance(r, Bad)] for path in paths}

    assert len(paths) > 600
    assert {name: len(rows) for name, rows in bad.items() if rows} == {
        "instructionwild/data_v2/user_2.jsonl": 2,
        "instructionwild/data_v2/user_3.jsonl": 3,
        "zh-medical-gb18030/样例_内科5000-6000.csv": 1,
    }


SEEDS = [
    LINES,
    b'[{"a": "\xe4\xb8\xad"}, [1], "x"]',
    b'q,a\n"1\n2",3\n4,5\n',
    gzip.compress(LINES, mtime=0),
    zipped({"a.jsonl": LINES}),
    zipped({"a/": b"", "a/b.jsonl": LINES, "c.json": b"[1]"}),
    zstd(LINES),
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=3)), max_size=4),
    name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv"]),
    rows=st.sampled_from(["auto", "lines", "values", "file", "*.a"]),
    encoding=st.sampled_from([None, "gb18030", "utf-16"]),
)
def test_no_file_whatever_raises(
    tmp_path: Path, seed: bytes, edits: list[tuple[int, bytes]], name: str, rows: str, encoding: str | None
) -> None:
    data = bytearray(seed)
    for at, junk in edits:
        data[at : at + 1] = junk

    found = read_bytes(tmp_path, name, bytes(data), rows=rows, encoding=encoding)

    numbers = [row.row for row in found if row.row is not None]
    assert numbers == list(range(len(numbers)))
    assert all(row.code in CODES and row.reason.endswith(".") for row in found if isinstance(row, Bad))
