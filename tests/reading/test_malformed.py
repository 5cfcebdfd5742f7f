"""What must be said of every malformed file: alone, and all together in one build."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from doit import yamlio
from doit.cli import main
from doit.errors import CODES
from doit.reading import containers, parquet_rows, raw
from doit.reading.records import Reject, read_records
from doit.schemas.card import DatasetCard
from tests.reading.malformed import ALPACA, GOOD, NOT_JSON, NOT_UTF8, Case, json_cases, lines, text_of
from tests.reading.malformed_files import file_cases, parquet, zipped, zstd
from tests.reading.malformed_rows import row_cases

CASES = [*json_cases(), *file_cases(), *row_cases()]
SECONDS_PER_MIB = 5.0
"""What is promised. The dearest takes 1 to 3 of the processor's seconds; work that grows with the square, minutes."""
Built = tuple[Path, dict[str, list[tuple[str, Case]]]]
"""The folder of a mixture, and for each of its sources the files with their cases."""


def read(path: Path, card: dict[str, Any]) -> tuple[list[Reject], int]:
    """The rejects of a file, and how many records it has."""
    batches = list(read_records(path, DatasetCard(name="x", **card)))
    return [reject for batch in batches for reject in batch.rejects], sum(batch.records.num_rows for batch in batches)


def run(*arguments: str | Path) -> int:
    """The exit status of a command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def found(rejects: list[Reject]) -> Counter[tuple[str, int | None, str | None]]:
    return Counter((reject.code, reject.row, reject.field) for reject in rejects)


def test_there_are_enough_files_and_no_two_are_the_same() -> None:
    assert sum(bool(case.bad) for case in CASES) >= 1200
    assert len({case.name for case in CASES}) == len(CASES)
    told_apart = {(case.file, case.data, json.dumps(case.card, sort_keys=True)) for case in CASES}
    assert len(CASES) - len(told_apart) <= 12
    codes = {code for case in CASES for code, _, _ in case.bad}
    assert codes == {code for code in CODES if "D301" <= code <= "D317"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_reject_has_its_code_row_and_field(case: Case, tmp_path: Path) -> None:
    path = tmp_path / case.file
    path.write_bytes(case.data)

    rejects, good = read(path, case.card)

    assert found(rejects) == Counter(case.bad)
    assert good == case.good
    assert all(reject.reason and "\n" not in reject.reason for reject in rejects)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Every file in one folder, one source for each card, and what `doit build` made of them."""
    folder = tmp_path_factory.mktemp("malformed")
    sources: dict[str, list[tuple[str, Case]]] = {}
    written = []
    for number, case in enumerate(CASES):
        file = f"{number:04}/{case.file}"
        (folder / file).parent.mkdir()
        (folder / file).write_bytes(case.data)
        sources.setdefault(json.dumps(case.card, sort_keys=True), []).append((file, case))
    named = {f"s{number}": files for number, files in enumerate(sources.values())}
    for name, files in named.items():
        card = files[0][1].card
        source = {**card.get("source", {}), "files": [file for file, _ in files]}
        written.append({"dataset": {"name": name, **card, "source": source}})
    spec = folder / "spec.yaml"
    spec.write_text(yamlio.dump({"name": "all", "size": "all", "sources": written}), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOIT_CACHE", str(folder / "cache"))
        assert run("build", spec, folder / "out", "--jobs", "1") == 0
    return folder / "out", named


@pytest.mark.slow
def test_a_build_of_all_files_rejects_exactly_what_it_must(built: Built) -> None:
    out, named = built
    rejects = pl.read_parquet(out / "rejects.parquet")

    got = Counter(rejects.select("source", "file", "code", "row", "field").rows())

    assert got == Counter(
        (name, file, *bad) for name, files in named.items() for file, case in files for bad in case.bad
    )


@pytest.mark.slow
def test_the_law_of_rows_holds_for_every_source(built: Built) -> None:
    out, named = built
    ledger = pl.read_parquet(out / "ledger.parquet")

    fates = {(source, fate): count for source, fate, count in ledger.group_by("source", "fate").agg(pl.len()).rows()}

    for name, files in named.items():
        rejected = sum(len(case.bad) for _, case in files)
        good = sum(case.good for _, case in files)
        assert fates.get((name, "rejected"), 0) == rejected
        assert sum(fates.get((name, fate), 0) for fate in ("drawn", "unused", "dropped")) == good
    assert run("verify", out) == 0


HEAVY = {
    "not JSON": b"".join(lines(row) for row in NOT_JSON.values() if len(row) < 2000),
    "deep": lines(NOT_JSON["too deep"], NOT_JSON["objects too deep"]),
    "not UTF-8": b"".join(lines(text_of(inside)) for inside in NOT_UTF8.values()),
    "blank": b"\n" * 1000,
    "repeated keys": lines(b'{"instruction":"x","output":"y","output":"z"}'),
    "code in texts": lines(b'{"instruction":"{\\"a\\" :\\"b\\\\\\":1}","output":"y"}'),
    "no objects": b"1\n" * 100,
    "empty objects": b"{}\n" * 100,
    "empty lists": b"[]\n" * 100,
    "letters": b"x\n" * 100,
    "brackets": b"[" * 1000,
    "quotes": b'"' * 999 + b"\n",
    "commas": b"," * 999,
    "carriage returns": b"\r" * 1000,
}


@pytest.mark.parametrize("name", HEAVY)
@pytest.mark.parametrize("file", ["a.jsonl", "a.json", "a.csv"])
def test_a_mebibyte_of_it_takes_at_most_five_seconds(name: str, file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    body = (HEAVY[name] * (1 + (1 << 18) // len(HEAVY[name])))[: 1 << 18]
    path.write_bytes((b"[" if file == "a.json" else b"instruction,output\n" if file == "a.csv" else b"") + body)

    def seconds() -> float:
        start = time.process_time()
        for _ in read_records(path, DatasetCard(name="x", **ALPACA)):
            pass
        return time.process_time() - start

    most = SECONDS_PER_MIB * path.stat().st_size / (1 << 20)
    assert any(seconds() < most for _ in range(3)), "three times in a row: it is not the machine"


MEASURE = """
import json, resource, sys
from pathlib import Path
from doit.reading.records import read_records
from doit.schemas.card import DatasetCard
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = [0, []]
for batch in read_records(Path(sys.argv[1]), DatasetCard(name="x", shape={"kind": "alpaca"})):
    found[0] += batch.records.num_rows
    found[1] += [(reject.code, reject.row) for reject in batch.rejects]
print(json.dumps((*found, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)))
"""


def measured(path: Path) -> tuple[int, list[tuple[str, int | None]], int]:
    """Records, rejects and MiB of memory that reading took, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    good, rejects, mebibytes = json.loads(done.stdout)
    return good, [(code, row) for code, row in rejects], mebibytes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "opening", "bad", "good"),
    [
        ("a.jsonl.gz", b'{"instruction":"', [("D308", 0)], 1),
        ("a.json.gz", b'[{"instruction":"', [("D308", None)], 0),
        ("a.jsonl.zst", b'{"instruction":"', [("D308", 0)], 1),
        ("a.csv.gz", b"instruction,output\n", [("D308", 0), ("D307", 1)], 0),
        ("a.zip", b'{"instruction":"', [("D308", 0)], 1),
    ],
)
def test_a_line_of_200_mib_in_a_small_archive_is_a_reject(
    file: str, opening: bytes, bad: list[Any], good: int, tmp_path: Path
) -> None:
    body = opening + b"x" * (200 << 20) + b"\n" + GOOD[0] + b"\n"
    packed = {"gz": lambda data: gzip.compress(data, 1), "zst": zstd, "zip": lambda data: zipped({"a.jsonl": data})}
    path = tmp_path / file
    path.write_bytes(packed[file.rsplit(".", 1)[1]](body))
    assert path.stat().st_size < 2 << 20

    records, rejects, mebibytes = measured(path)

    assert (records, rejects) == (good, bad)
    assert mebibytes < 500


def bomb(text: int, rows: int, *, dictionary: bool) -> bytes:
    """Parquet with `rows` times one text of `text` bytes."""
    target = io.BytesIO()
    texts = pa.array(["x" * text], pa.string())
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), texts)
    table = pa.table({"instruction": column, "output": pa.array(["y"] * rows)})
    if not dictionary:
        table = table.replace_schema_metadata(None)
    pq.write_table(table, target, compression="zstd", write_statistics=False, store_schema=dictionary)
    return target.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("dictionary", [True, False])
def test_a_parquet_bomb_is_read_in_bounded_memory_up_to_its_limit(dictionary: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(bomb(1 << 20, 2000, dictionary=dictionary))
    assert path.stat().st_size < 1000

    records, rejects, mebibytes = measured(path)

    assert rejects == [("D308", None)]
    assert 1000 <= records <= 1100
    assert mebibytes < 900


@pytest.mark.slow
def test_a_parquet_text_over_the_limit_is_a_reject_of_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(bomb(70 << 20, 5, dictionary=False))

    records, rejects, mebibytes = measured(path)

    assert (records, rejects) == (0, [("D308", row) for row in range(5)])
    assert mebibytes < 600


@pytest.mark.parametrize("file", ["a.jsonl.gz", "a.jsonl.zst", "a.zip", "a.parquet"])
def test_what_a_packed_file_holds_over_its_limit_is_one_reject(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "SMALL_BYTES", 1 << 20)
    monkeypatch.setattr(raw, "UNPACKED_RATIO", 1)
    for module in (containers, parquet_rows):
        monkeypatch.setattr(module, "CHUNK_BYTES", 1 << 16)
    row = {"instruction": "x", "output": "y" * 5000}
    data = lines(json.dumps(row).encode()) * 1000
    packed = {
        "a.jsonl.gz": lambda: gzip.compress(data),
        "a.jsonl.zst": lambda: zstd(data),
        "a.zip": lambda: zipped({"a.jsonl": data[: len(data) // 8], "b.jsonl": data}),
        "a.parquet": lambda: parquet([row] * 1000),
    }
    path = tmp_path / file
    path.write_bytes(packed[file]())

    rejects, good = read(path, ALPACA)

    assert found(rejects) == Counter([("D308", None, None)])
    assert "unpacks to more than 1,048,576 bytes" in rejects[0].reason
    assert 190 <= good <= 280


def test_packed_files_may_unpack_to_a_thousand_times_their_size_and_never_to_more_than_64_gib() -> None:
    assert raw.most_unpacked(100) == 1 << 30
    assert raw.most_unpacked(2 << 20) == 1000 * (2 << 20)
    assert raw.most_unpacked(1 << 40) == 64 << 30


def test_every_limit_is_documented_as_it_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    for name in ("LINE_BYTES", "DOCUMENT_BYTES", "FILE_BYTES", "SMALL_BYTES", "CHUNK_BYTES", "RAW_BYTES"):
        size = getattr(raw, name)
        shown = next(
            f"{size >> shift} {unit}" for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")) if size >> shift
        )
        assert any(f"`{name}`" in line and f"| {shown} |" in line for line in text.splitlines()), name
    for name in ("BATCH_ROWS", "UNPACKED_RATIO"):
        size = getattr(raw, name)
        assert any(f"`{name}`" in line and f"| {size:,} " in line for line in text.splitlines()), name
