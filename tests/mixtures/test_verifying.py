"""What verify says of tables that are not as a build writes them: a check that fails, never a traceback."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import doit
from doit.mixtures.manifest import Check
from doit.yamlio import dump

DATA = "data/train-00000-of-00001.parquet"
LEDGER, REJECTS = "ledger.parquet", "rejects.parquet"

Change = Callable[[pa.Table], pa.Table]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture with drawn, unused, dropped and rejected rows."""
    folder = tmp_path_factory.mktemp("whole")
    rows = [{"instruction": f"请说明第{n}个问题", "output": f"这是第{n % 9}个回答。"} for n in range(40)]
    lines = [*rows, rows[0], {"instruction": "没有回答"}]
    (folder / "a.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines), "utf-8")
    card = {"name": "a", "shape": {"kind": "alpaca"}, "source": {"files": "a.jsonl"}}
    spec = {"name": "t", "size": 20, "sources": [{"dataset": card}], "mix": {"language": {"zh": 1}}}
    (folder / "spec.yaml").write_text(dump(spec), "utf-8")
    doit.build(folder / "spec.yaml", folder / "out")
    return folder / "out"


@pytest.fixture
def failed(whole: Path, tmp_path: Path) -> Callable[[str, Callable[[Path], None]], list[Check]]:
    """The failed checks of a copy of which one file was changed, and its digest in the manifest with it."""

    def _failed(name: str, change: Callable[[Path], None]) -> list[Check]:
        out = tmp_path / "out"
        shutil.copytree(whole, out)
        before = hashlib.sha256((out / name).read_bytes()).hexdigest()
        change(out / name)
        after = hashlib.sha256((out / name).read_bytes()).hexdigest()
        manifest = out / "manifest.json"
        manifest.write_text(manifest.read_text("utf-8").replace(before, after), "utf-8")
        answer = doit.verify(out)
        assert answer.checks[0].ok, answer.checks[0]
        assert answer.ok == all(check.ok for check in answer.checks)
        return [check for check in answer.checks if not check.ok]

    return _failed


def table(change: Change) -> Callable[[Path], None]:
    return lambda path: pq.write_table(change(pq.read_table(path)), path)


def replaced(column: str, value: object) -> Callable[[Path], None]:
    """The first value of a column replaced, the schema left as it is but for what may be null."""

    def _change(path: Path) -> None:
        rows = pq.read_table(path)
        at = rows.schema.get_field_index(column)
        field = rows.schema.field(column)
        if pa.types.is_dictionary(field.type):
            field = field.with_type(field.type.value_type)
        values = rows[column].to_pylist()
        values[0] = value
        field = field.with_nullable(field.nullable or value is None)
        pq.write_table(rows.set_column(at, field, pa.array(values, field.type)), path)

    return _change


def test_the_whole_mixture_holds(whole: Path) -> None:
    answer = doit.verify(whole)

    assert answer.ok
    assert "columns" in {check.name for check in answer.checks}


def rewritten_by_polars(path: Path) -> None:
    pl.read_parquet(path).write_parquet(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize("name", [DATA, LEDGER, REJECTS])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rewritten_by_polars, r" is large_string, not string\."),
        (table(lambda rows: rows.drop_columns(["source"])), r"has no column `source`\."),
        (table(lambda rows: rows.append_column("more", pa.nulls(len(rows)))), r"has a column `more`"),
        (table(lambda rows: rows.select(rows.column_names[::-1])), r"in their order\."),
        (replaced("file", None), r"the column `file` may hold nulls\."),
        (cut, r"cannot be read: .*\."),
    ],
    ids=["polars", "dropped", "added", "reversed", "null", "cut"],
)
def test_other_columns_fail_a_check(
    name: str, change: Callable[[Path], None], said: str, failed: Callable[..., list[Check]]
) -> None:
    (check,) = failed(name, change)

    assert check.name == "columns"
    assert check.detail.startswith(f"D501 {name}")
    assert pl.Series([check.detail]).str.contains(said).all(), check.detail


@pytest.mark.parametrize(
    ("name", "column", "value", "fails"),
    [
        (DATA, "id", None, "columns"),
        (DATA, "id", "没有", "order"),
        (DATA, "tags", None, "columns"),
        (DATA, "tags", [None], "identities"),
        (DATA, "messages", [None], "identities"),
        (DATA, "messages", [{"role": "user", "content": None}], "identities"),
        (DATA, "messages", [], "identities"),
        (DATA, "epoch", 2**31 - 1, "order"),
        (DATA, "epoch", -1, "order"),
        (DATA, "tokens", 7, "content digest"),
        (LEDGER, "id", None, "draw"),
        (LEDGER, "id", "zz", "draw"),
        (LEDGER, "rank", None, "draw"),
        (LEDGER, "epoch", None, "membership"),
        (LEDGER, "split", "elsewhere", "membership"),
        (LEDGER, "cell", "language=en", "plan"),
        (LEDGER, "fate", "lost", "law of rows"),
        (LEDGER, "source", "b", "law of rows"),
        (REJECTS, "row", None, "rejects"),
        (REJECTS, "code", "D999", "rejects"),
    ],
)
def test_other_values_fail_a_check(
    name: str, column: str, value: object, fails: str, failed: Callable[..., list[Check]]
) -> None:
    found = failed(name, replaced(column, value))

    assert fails in {check.name for check in found}
    assert all(check.detail.startswith("D501 ") and check.detail.endswith((".", "…")) for check in found)


@pytest.mark.parametrize("name", [DATA, LEDGER, REJECTS])
def test_a_damaged_page_fails_a_check(name: str, failed: Callable[..., list[Check]]) -> None:
    def damage(path: Path) -> None:
        bytes_ = bytearray(path.read_bytes())
        bytes_[8:400] = bytes(392)
        path.write_bytes(bytes_)

    found = failed(name, damage)

    assert found
    assert all(check.detail.startswith("D501 ") for check in found)


def test_a_name_or_a_text_that_is_no_unicode_fails_a_check(failed: Callable[..., list[Check]]) -> None:
    def damage(path: Path) -> None:
        path.write_bytes(path.read_bytes().replace(b"reason", b"rea\xffon"))

    (check,) = failed(REJECTS, damage)

    assert check.detail.startswith("D501 rejects.parquet cannot be read: ")


def test_rows_that_are_gone_fail_a_check(failed: Callable[..., list[Check]]) -> None:
    found = failed(DATA, table(lambda rows: rows.slice(0, 0)))

    assert {"content digest", "membership", "plan"} <= {check.name for check in found}


def test_a_spec_of_another_version_is_an_error(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "out")
    manifest = tmp_path / "out" / "manifest.json"
    document = json.loads(manifest.read_text("utf-8"))
    document["spec"]["sead"] = 1
    manifest.write_text(json.dumps(document), "utf-8")

    with pytest.raises(doit.SpecError, match=r"D202 .*manifest\.json: spec"):
        doit.verify(tmp_path / "out")
