"""Files in wrong encodings, delimited text, archives, foreign kinds and Parquet, malformed by code: see `malformed`."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.reading.malformed import ALPACA, GOOD, NOT_UTF8, Case, Found, lines, sound

QA: dict[str, Any] = {"shape": {"kind": "qa"}}

TEXTS = ["中文的功能與表示能力", "說明內容", "人工智慧的發展"]
ENCODINGS = ("gb18030", "gbk", "big5", "shift_jis", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


def encoding_files() -> Iterator[Case]:
    """Whole files in encodings that nobody declared, and declared ones that are wrong."""
    texts = {
        "jsonl": "".join(f'{{"instruction":"{text}","output":"{text}"}}\n' for text in TEXTS),
        "json": "[" + ",\n".join(f'{{"instruction":"{text}","output":"{text}"}}' for text in TEXTS) + "]",
        "csv": "instruction,output\n" + "".join(f"{text},{text}\n" for text in TEXTS),
        "tsv": "instruction\toutput\n" + "".join(f"{text}\t{text}\n" for text in TEXTS),
    }
    for kind, text in texts.items():
        for encoding in ENCODINGS:
            if encoding == "shift_jis":
                data = text.translate(str.maketrans("說內與發", "説内与発")).encode(encoding)
            else:
                data = text.encode(encoding)
            bad: tuple[Found, ...] = (("D301", None, None),)
            if kind in ("jsonl", "json") and not encoding.startswith("utf"):
                bad = tuple(("D303", row, None) for row in range(3))
            yield Case(f"{encoding} that nobody declared, {kind}", f"a.{kind}", data, bad, 0, ALPACA)
        for encoding in ("gb18030", "big5", "utf-16", "latin-1"):
            card = {**ALPACA, "source": {"encoding": encoding}}
            bad = (("D301", None, None),)
            yield Case(f"UTF-8 declared as {encoding}, {kind}", f"a.{kind}", text.encode(), bad, 0, card)
    declared = {**ALPACA, "source": {"encoding": "gb18030"}}
    row = '{"instruction":"中文","output":"回答"}'.encode("gb18030")
    wrong = row.replace("回答".encode("gb18030"), b"\xff\x81")
    yield Case("byte that GB18030 has not", "a.jsonl", lines(row, wrong, row), (("D303", 1, None),), 2, declared)
    cut = lines(row, row) + row[:-3]
    yield Case("GB18030 cut in a character", "a.jsonl", cut, (("D303", 2, None),), 2, declared)


def delimited_files() -> Iterator[Case]:
    """CSV and TSV: columns, quotes, headers, bytes."""
    head, qa, rows = "question,answer", QA, ["一,甲", "二,乙", "三,丙"]
    quoted = {
        "one column": ("D306", "x", "1 of 2 columns"),
        "three columns": ("D306", "x,y,z", "3 of 2 columns"),
        "comma at the end": ("D306", "x,y,", "3 of 2 columns"),
        "ten columns": ("D306", "x,y" + "," * 8, "10 of 2 columns"),
        "another delimiter": ("D306", "x;y", "1 of 2 columns"),
        "full-width comma": ("D306", "x，y", "1 of 2 columns"),
        "quoted delimiter alone": ("D306", '"x,y"', "1 of 2 columns"),
        "quote never closed": ("D307", '"x,y', None),
        "quote never closed, second": ("D307", 'x,"y', None),
        "text after a quote": ("D307", '"x"z,y', None),
        "blank after a quote": ("D307", '"x" ,y', None),
        "quote escaped as in C": ("D307", '"a \\" b",y', None),
        "three quotes": ("D307", 'x,"""', None),
        "empty question": ("D313", ",y", "question"),
        "empty answer": ("D313", "x,", "answer"),
        "empty in quotes": ("D313", '"",y', "question"),
        "blank answer": ("D313", "x,\u3000 ", "answer"),
        "delimiters alone": ("D313", ",", "question"),
    }
    for name, (code, row, field) in quoted.items():
        for place in (0, 1, 3):
            text = "\n".join([head, *rows[:place], row, *rows[place:]]) + "\n"
            yield Case(f"CSV, {name}, row {place}", "a.csv", text.encode(), ((code, place, field),), 3, qa)
    tabs = {
        "one column": ("D306", "x", "1 of 2 columns"),
        "three columns": ("D306", "x\ty\tz", "3 of 2 columns"),
        "tab in a quoted text": ("D306", '"x\tx"\ty', "3 of 2 columns"),
        "blanks for tabs": ("D306", "x    y", "1 of 2 columns"),
        "literal backslash t": ("D306", "x\\ty", "1 of 2 columns"),
        "empty answer": ("D313", "x\t", "answer"),
        "empty question": ("D313", "\ty", "question"),
    }
    for name, (code, row, field) in tabs.items():
        for place in (0, 2):
            text = "\n".join([*["question\tanswer", "一\t甲", "二\t乙"][: place + 1], row, '三"\t丙']) + "\n"
            bad = ((code, place, field),)
            yield Case(f"TSV, {name}, row {place}", "a.tsv", text.encode(), bad, place + 1, qa)
    yield from _delimited_bytes()
    yield from _headers()


def _delimited_bytes() -> Iterator[Case]:
    head = b"question,answer\n"
    for name, inside in list(NOT_UTF8.items())[::4]:
        data = head + b"a,b\nx,%b\nc,d\ne,f\n" % inside
        yield Case(f"CSV, {name}", "a.csv", data, (("D303", 1, None),), 3, QA)
        data = b"question\tanswer\na\tb\nx\t%b\nc\td\ne\tf\n" % inside
        yield Case(f"TSV, {name}", "a.tsv", data, (("D303", 1, None),), 3, QA)
    data = head + b'a,b\n"x\ny,z\nc,d\ne,f\n'
    yield Case("CSV, open quote before four rows", "a.csv", data, (("D307", 1, None),), 4, QA)
    data = head + b'a,b\n"x\n\nz",y,w\nc,d\n'
    bad: tuple[Found, ...] = (("D307", 1, None), ("D306", 2, "3 of 2 columns"))
    yield Case("CSV, row over lines with a column too many", "a.csv", data, bad, 2, QA)
    data = b"question,answer\ra,b\rc,d\r"
    yield Case("CSV, lone carriage returns", "a.csv", data, (("D308", None, None),), 0, QA)
    data = data.replace(b",", b"\t")
    yield Case("TSV, lone carriage returns", "a.tsv", data, (("D308", None, None),), 0, QA)
    data = b"question,answer\n" + b'a,"b\n' * 3
    bad = (("D307", 0, None), ("D307", 1, None), ("D307", 2, None))
    yield Case("CSV, three open quotes", "a.csv", data, bad, 0, QA)
    texts = ["None", "NA", "null", "nan", "001", "1e5", "TRUE", "-"]
    data = head + "".join(f"{text},{text}\n" for text in texts).encode()
    yield Case("sound: CSV of texts that look like values", "a.csv", data, (), len(texts), QA)
    data = head + b'"a ""b"" c","d\ne\r\n\nf"\r\n"g,h",i "j" k\r\n'
    yield Case("sound: CSV with everything that RFC 4180 allows", "a.csv", data, (), 2, QA)
    data = 'question\tanswer\n"a\tb"\n6" 管\tc\u2028d\n'.encode()
    yield Case("sound: TSV with quotes and separators as characters", "a.tsv", data, (), 2, QA)


def _headers() -> Iterator[Case]:
    data = b"question,question,answer\na,b,c\n"
    bad: tuple[Found, ...] = (("D302", None, "question"),)
    yield Case("CSV, repeated header", "a.csv", data, bad, 0, QA)
    yield Case("TSV, repeated header", "a.tsv", data.replace(b",", b"\t"), bad, 0, QA)
    card: dict[str, Any] = {**QA, "source": {"columns": ["question", "question_2", "answer"]}}
    yield Case("sound: repeated header told apart", "a.csv", data, (), 1, card)
    yield Case("sound: header without a name", "a.csv", b"question,,answer\na,b,c\n", (), 1, QA)
    for name, head in {"other names": b"q,a", "another case": b"Question,Answer", "no header": b"x,y"}.items():
        bad = (("D310", 0, "question"), ("D310", 1, "question"))
        yield Case(f"CSV, {name}", "a.csv", head + b"\na,b\nc,d\n", bad, 0, QA)
    bad = (("D310", 0, "answer"),)
    yield Case("CSV, one column is missing", "a.csv", b"question,reply\na,b\n", bad, 0, QA)
    wrong = {"semicolon": ";", "tab": "\t", "bar": "|"}
    for name, delimiter in wrong.items():
        card = {**QA, "source": {"delimiter": delimiter}}
        yield Case(f"CSV declared as separated by {name}", "a.csv", b"question,answer\na,b\n",
                   (("D310", 0, "question"),), 0, card)  # fmt: skip
    card = {**QA, "source": {"columns": ["question", "answer"]}}
    bad = (("D306", 0, "3 of 2 columns"), ("D306", 1, "3 of 2 columns"))
    yield Case("TSV with fewer columns declared", "a.tsv", b"a\tb\tc\nd\te\tf\n", bad, 0, card)
    data = b'question,"answer\na,b\n'
    yield Case("CSV, header that is never closed", "a.csv", data, (("D307", None, None),), 0, QA)
    yield Case("CSV, header that is not UTF-8", "a.csv", b"question,answer\xff\na,b\nc,d\ne,f\n",
               (("D303", None, None),), 0, QA)  # fmt: skip


def zipped(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, kind)
    return target.getvalue()


STEP = 4 << 10
"""Bytes that are unpacked at once: of zstd and zip, what a damaged step holds is lost with it."""


def zstd(data: bytes) -> bytes:
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, "zstd") as stream:
        stream.write(data)
    return bytes(target.getvalue())


def packed_files() -> Iterator[Case]:
    """Compressed files that are cut, damaged, wrongly declared, or have something after their end."""
    stretch: tuple[Found, ...] = (("D308", None, None),)
    three = lines(*GOOD[:3])
    stored = gzip.compress(three, 0, mtime=0)
    for cut in (3, 9, 12, 15, 20, 15 + len(GOOD[0]), 15 + len(GOOD[0]) + 1, 15 + 2 * len(GOOD[0]) + 7, len(stored) - 8):
        good = max(0, three[: max(0, cut - 15)].count(b"\n"))
        yield Case(f"gzip cut at {cut}", "a.jsonl.gz", stored[:cut], stretch, good, ALPACA)
    for name, junk in {"text": b"junk", "one byte": b"\x01", "half a member": stored[:12]}.items():
        yield Case(f"gzip and then {name}", "a.jsonl.gz", stored + junk, stretch, 3, ALPACA)
    yield Case("sound: gzip and then zeros", "a.jsonl.gz", stored + b"\0" * 512, (), 3, ALPACA)
    for name, at in {"checksum": -8, "length": -4}.items():
        wrong = bytearray(stored)
        wrong[at] ^= 0xFF
        yield Case(f"gzip with a wrong {name}", "a.jsonl.gz", bytes(wrong), stretch, 3, ALPACA)
    frames = zstd(lines(*GOOD[:2]).ljust(STEP, b"\n")) + zstd(GOOD[2])
    for back in (1, 4, 10, 60):
        yield Case(f"zstd without its last {back}", "a.jsonl.zst", frames[:-back], stretch, 2, ALPACA)
    packed = zstd(three.ljust(STEP, b"\n"))
    yield Case("zstd and then text", "a.jsonl.zst", packed + b"junk", stretch, 3, ALPACA)
    yield Case("zstd cut in its first step", "a.jsonl.zst", zstd(three)[:-9], stretch, 0, ALPACA)
    yield from _zip_files(stretch, three)
    for kind, data in {"gzip": three, "zstd": three}.items():
        card = {**ALPACA, "source": {"compression": kind}}
        yield Case(f"lines declared as {kind}", "a.jsonl", data, stretch, 0, card)
    card = {**ALPACA, "source": {"compression": "zip"}}
    yield Case("lines declared as zip", "a.jsonl", three, (("D309", None, None),), 0, card)


def _zip_files(stretch: tuple[Found, ...], three: bytes) -> Iterator[Case]:
    unopened: tuple[Found, ...] = (("D309", None, None),)
    archive = zipped({"a.jsonl": three, "b.jsonl": three}, zipfile.ZIP_STORED)
    for cut in (4, 30, len(archive) // 2, len(archive) - 22, len(archive) - 1):
        yield Case(f"zip cut at {cut}", "a.zip", archive[:cut], unopened, 0, ALPACA)
    damaged = bytearray(archive)
    damaged[archive.index(GOOD[2]) + len(GOOD[2])] = 0x20
    yield Case("zip with a wrong checksum", "a.zip", bytes(damaged), stretch, 3, ALPACA)
    encrypted = bytearray(archive)
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[archive.index(magic) + at] |= 1
    yield Case("zip with an encrypted member", "a.zip", bytes(encrypted), unopened, 3, ALPACA)
    unknown = bytearray(archive)
    for magic, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        unknown[archive.index(magic) + at] = 99
    yield Case("zip with an unknown method", "a.zip", bytes(unknown), unopened, 3, ALPACA)
    yield Case("zip in a zip", "a.zip", zipped({"b.zip": zipped({"a.jsonl": three})}), unopened, 0, ALPACA)
    yield Case("xlsx", "a.json", zipped({"[Content_Types].xml": b"<x/>", "xl/a.xml": b"<x/>"}), unopened, 0, ALPACA)
    members = {"../../a.jsonl": GOOD[0], "/etc/b.jsonl": GOOD[1] + b",", "c.png": b"\x89PNG\r\n\x1a\n" + bytes(64)}
    bad: tuple[Found, ...] = (("D309", None, None), ("D302", 1, None))
    yield Case("zip whose names leave the folder", "a.zip", zipped(members), bad, 1, ALPACA)


def foreign_files() -> Iterator[Case]:
    """Files of other kinds under a name that promises rows."""
    target = io.BytesIO()
    with pa.ipc.new_file(target, pa.schema([("a", pa.string())])):
        pass
    kinds = {
        "PNG": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(64),
        "JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(64),
        "SQLite": b"SQLite format 3\x00" + b"\x10\x00\x01\x01" * 25,
        "pickle": pickle.dumps([sound(0)], protocol=4),
        "PDF": b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\n",
        "old Excel": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64),
        "7z": b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24),
        "RAR": b"Rar!\x1a\x07\x01\x00" + bytes(24),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(64),
        "NumPy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'}",
        "Arrow": target.getvalue(),
        "ELF": b"\x7fELF\x02\x01\x01" + bytes(64),
        "zeros": bytes(4096),
        "zip magic alone": b"PK\x03\x04",
        "tar": b"a.jsonl".ljust(257, b"\0") + b"ustar\x0000" + bytes(300),
    }
    for name, data in kinds.items():
        for file in ("a.json", "a.jsonl"):
            yield Case(f"{name} called {file}", file, data, (("D309", None, None),), 0, ALPACA)
    tables = {name: kinds[name] for name in ("PNG", "SQLite", "pickle", "zeros")}
    for name, data in tables.items():
        yield Case(f"{name} called a.csv", "a.csv", data, (("D309", None, None),), 0, QA)


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), target, **options)
    return target.getvalue()


def texts_table() -> pa.Table:
    return pa.table({"instruction": pa.array([], pa.string()), "output": pa.array([], pa.string())})


def parquet_files() -> Iterator[Case]:
    whole = parquet([sound(number) for number in range(40)], row_group_size=20, compression="none")
    unread: tuple[Found, ...] = (("D309", None, None),)
    for cut in (4, 8, 60, len(whole) // 2, len(whole) - 8, len(whole) - 4, len(whole) - 1):
        yield Case(f"Parquet cut at {cut}", "a.parquet", whole[:cut], unread, 0, ALPACA)
    footers = {"zero": 0, "one": 1, "beyond the file": 2**31 - 1, "negative": 2**32 - 1}
    for name, length in footers.items():
        data = whole[:-8] + length.to_bytes(4, "little") + b"PAR1"
        yield Case(f"Parquet whose footer's length is {name}", "a.parquet", data, unread, 0, ALPACA)
    yield Case("Parquet and then text", "a.parquet", whole + b"junk", unread, 0, ALPACA)
    yield Case("Parquet with an encrypted footer", "a.parquet", whole[:-4] + b"PARE", unread, 0, ALPACA)
    yield Case("Parquet magic and zeros", "a.parquet", b"PAR1" + bytes(200), unread, 0, ALPACA)
    yield Case("Parquet magic called a.json", "a.json", b"PAR1" + bytes(200), unread, 0, ALPACA)
    yield Case("Parquet in gzip", "a.parquet.gz", gzip.compress(whole, mtime=0), unread, 0, ALPACA)
    second = whole.index("答案是 20。".encode()) - 40
    data = whole[:second] + bytes(160) + whole[second + 160 :]
    yield Case("Parquet with a damaged second part", "a.parquet", data, unread, 20, ALPACA)
    fields: list[tuple[str, Any, Found]] = [
        ("null", None, ("D311", 1, "output")),
        ("empty", "", ("D313", 1, "output")),
        ("blank", "\u3000", ("D313", 1, "output")),
    ]
    for name, value, bad in fields:
        rows = [sound(0), {**sound(1), "output": value}, sound(2)]
        yield Case(f"Parquet, output is {name}", "a.parquet", parquet(rows), (bad,), 2, ALPACA)
    columns = {"numbers": [1, 2], "lists": [["a"], []], "objects": [{"a": 1}, {"a": 2}], "bytes": [b"a", b"\xff"],
               "booleans": [True, False], "fractions": [1.5, float("nan")]}  # fmt: skip
    for name, values in columns.items():
        rows = [{"instruction": "x", "output": value} for value in values]
        wrong: tuple[Found, ...] = (("D312", 0, "output"), ("D312", 1, "output"))
        yield Case(f"Parquet, outputs are {name}", "a.parquet", parquet(rows), wrong, 0, ALPACA)
    data = parquet([{"instruction": "x"}])
    yield Case("Parquet without output", "a.parquet", data, (("D310", 0, "output"),), 0, ALPACA)
    target = io.BytesIO()
    binary = pa.array([b"ok", b"\xff\xfe", b"ok"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 3, binary.buffers())
    pq.write_table(pa.table({"instruction": texts, "output": texts}), target)
    yield Case("Parquet text that is not UTF-8", "a.parquet", target.getvalue(), (("D303", 1, None),), 2, ALPACA)
    target = io.BytesIO()
    pq.write_table(texts_table(), target)
    yield Case("sound: Parquet without rows", "a.parquet", target.getvalue(), (), 0, ALPACA)


def file_cases() -> list[Case]:
    """Every file of this module."""
    families = (encoding_files, delimited_files, packed_files, foreign_files, parquet_files)
    return [case for family in families for case in family()]
