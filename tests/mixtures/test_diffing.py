"""What differs between two mixtures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import doit
from doit.cli import main
from doit.inspecting.explaining_tables import diff_table
from doit.inspecting.tables import show

Write = Callable[[str, Any], Path]


def rows(count: int, kind: str) -> list[dict[str, str]]:
    return [
        {"instruction": f"请说明第{n}个{kind}问题", "output": f"这是第{n}个回答", "kind": kind} for n in range(count)
    ]


def spec(**more: Any) -> dict[str, Any]:
    card = {
        "name": "mine",
        "shape": {"kind": "alpaca"},
        "source": {"files": ["*.jsonl"]},
        "ability": {"field": "kind"},
    }
    shares = {"ability": {"math": 0.5, "code": 0.5}}
    return {"name": "t", "size": 20, "sources": [{"dataset": card}], "mix": shares, **more}


@pytest.fixture
def build(write: Write, tmp_path: Path) -> Callable[..., Path]:
    write("math.jsonl", rows(40, "math"))
    write("code.jsonl", rows(40, "code"))

    def _build(name: str, document: dict[str, Any]) -> Path:
        write("spec.yaml", document)
        doit.build(tmp_path / "spec.yaml", tmp_path / name)
        return tmp_path / name

    return _build


def ids(out: Path) -> set[str]:
    return set(pl.read_parquet(out / "data" / "train-*.parquet")["id"])


def test_a_mixture_equals_itself(build: Callable[..., Path]) -> None:
    a, b = build("a", spec()), build("b", spec())

    answer = doit.diff(a, b, ids=5)

    assert answer.equal
    assert (answer.both, answer.only_a, answer.only_b) == (20, 0, 0)
    assert (answer.changed, answer.reordered) == ({}, False)
    assert (answer.spec, answer.inputs, answer.versions, answer.ids_a, answer.ids_b) == ((), (), (), (), ())
    assert answer.cells == ()


def test_equal_mixtures_of_different_specs_have_no_cell_that_differs(build: Callable[..., Path]) -> None:
    a, b = build("a", spec()), build("b", spec(mix={"ability": {"math": 1, "code": 1}}))

    answer = doit.diff(a, b)

    assert answer.equal
    assert {d.key for d in answer.spec} == {"mix.ability.math", "mix.ability.code"}
    assert answer.cells == ()


def test_a_changed_share_by_cell_and_by_id(build: Callable[..., Path]) -> None:
    a = build("a", spec())
    b = build("b", spec(mix={"ability": {"math": 0.75, "code": 0.25}}))

    answer = doit.diff(a, b, ids=3)

    assert not answer.equal
    assert (answer.both, answer.only_a, answer.only_b) == (len(ids(a) & ids(b)), len(ids(a) - ids(b)), 5)
    cells = {c.cell: (c.a, c.b, c.both, c.only_a, c.only_b) for c in answer.cells}
    assert cells == {"ability=code": (10, 5, 5, 5, 0), "ability=math": (10, 15, 10, 0, 5)}
    assert [(d.key, d.a, d.b) for d in answer.spec] == [
        ("mix.ability.code", 0.5, 0.25),
        ("mix.ability.math", 0.5, 0.75),
    ]
    assert list(answer.ids_a or ()) == sorted(ids(a) - ids(b))[:3]
    assert list(answer.ids_b or ()) == sorted(ids(b) - ids(a))[:3]
    assert answer.only_a_in_b == {"unused": 5}
    assert answer.only_b_in_a == {"unused": 5}
    assert answer.changed == {}


def test_another_seed_may_only_reorder(build: Callable[..., Path]) -> None:
    a, b = build("a", spec(size=80)), build("b", spec(size=80, seed=1))

    answer = doit.diff(a, b)

    assert not answer.equal
    assert answer.reordered
    assert [d.key for d in answer.spec] == ["seed"]


def test_a_changed_label_a_moved_file_and_a_rule(build: Callable[..., Path], write: Write, tmp_path: Path) -> None:
    everything = {"size": "all", "mix": {}}
    a = build("a", spec(**everything))
    (tmp_path / "math.jsonl").rename(tmp_path / "moved.jsonl")
    write("code.jsonl", [*rows(39, "code"), rows(40, "code")[39] | {"kind": "reasoning"}])
    write("new.jsonl", rows(3, "history"))
    limit = [{"kind": "assistant_chars", "name": "long", "at_most": 7}]
    b = build("b", spec(**everything, curation=limit))

    answer = doit.diff(a, b)

    assert (answer.only_a, answer.only_b) == (60, 3)
    assert answer.only_a_in_b == {"dropped by long": 60}
    assert answer.only_b_in_a == {"not read": 3}
    assert [(i.what, (i.a or i.b).file) for i in answer.inputs if i.a or i.b] == [
        ("changed", "code.jsonl"),
        ("moved", "math.jsonl"),
        ("added", "new.jsonl"),
    ]
    assert {d.key for d in answer.spec} == {"curation", "curation.0.kind", "curation.0.name", "curation.0.at_most"}


def test_labels_and_text_of_common_records(build: Callable[..., Path], write: Write) -> None:
    a = build("a", spec(size="all", mix={}))
    write("code.jsonl", [*rows(39, "code"), {**rows(40, "code")[39], "kind": "reasoning"}])
    b = build("b", spec(size="all", mix={}))

    answer = doit.diff(a, b)

    assert (answer.only_a, answer.only_b) == (0, 0)
    assert answer.changed == {"ability": 1}
    assert not answer.reordered


def test_text_as_written_differs(build: Callable[..., Path], write: Write) -> None:
    a = build("a", spec(size="all", mix={}))
    first = rows(40, "code")
    write("code.jsonl", [{**first[0], "output": first[0]["output"] + "\n"}, *first[1:]])
    b = build("b", spec(size="all", mix={}))

    answer = doit.diff(a, b)

    assert (answer.only_a, answer.only_b) == (0, 0)
    assert set(answer.changed) <= {"text", "chars"}
    assert answer.changed["text"] == 1


def test_other_axes_are_compared_by_language_and_ability(build: Callable[..., Path]) -> None:
    a, b = build("a", spec()), build("b", spec(mix={"language": {"zh": 1}}, seed=1))

    answer = doit.diff(a, b)

    assert {c.cell for c in answer.cells} == {"language=zh-Hans ability=math", "language=zh-Hans ability=code"}
    assert sum(c.a for c in answer.cells) == sum(c.b for c in answer.cells) == 20


def test_held_out_records_are_cells_of_their_own(build: Callable[..., Path]) -> None:
    a, b = build("a", spec()), build("b", spec(splits={"test": {"records": 6}}))

    answer = doit.diff(a, b)

    assert {c.cell: c.b for c in answer.cells}["test"] == 6
    assert {c.cell for c in answer.cells} <= {"ability=math", "ability=code", "test"}
    assert (answer.b.rows, answer.b.records) == (26, 26)


def test_copies_are_counted_as_rows(build: Callable[..., Path]) -> None:
    document = spec(size=100, shortage="repeat")
    document["sources"][0]["max_epochs"] = 2
    a, b = build("a", spec(size=80)), build("b", document)

    answer = doit.diff(a, b)

    assert (answer.b.rows, answer.b.records) == (100, 80)
    assert answer.changed == {"copies": 20}


def test_a_series_is_refused_with_its_sizes(build: Callable[..., Path]) -> None:
    document = spec(series=[4, 8])
    del document["size"]
    a = build("a", document)

    with pytest.raises(doit.SpecError, match=r"D206 .*several mixtures: 8, 4\. Name one"):
        doit.diff(a, a)

    assert doit.diff(a / "4", a / "8").only_b == 4


def test_a_published_mixture_without_ledger(build: Callable[..., Path]) -> None:
    a, b = build("a", spec()), build("b", spec(size=10))
    (b / "ledger.parquet").unlink()

    answer = doit.diff(a, b)

    assert (answer.only_a, answer.only_a_in_b) == (10, {})


def test_the_command_and_the_table(build: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    a, b = build("a", spec()), build("b", spec(size=10))
    capfd.readouterr()

    with pytest.raises(SystemExit) as stop:
        main(["diff", str(a), str(b), "--ids", "2", "--json"])
    answer = json.loads(capfd.readouterr().out)
    show(diff_table(doit.diff(a, b, ids=2)))
    told = capfd.readouterr().err

    assert not stop.value.code
    assert (answer["equal"], answer["only_a"], len(answer["ids_a"])) == (False, 10, 2)
    assert "10 records in both, 10 only in A, 0 only in B." in told
    assert "ability=math" in told
    assert answer["ids_a"][0] in told
    assert max(map(len, told.splitlines())) <= 100


def test_a_negative_number_of_ids(build: Callable[..., Path]) -> None:
    with pytest.raises(doit.SpecError, match="D204"):
        doit.diff("a", "b", ids=-1)
