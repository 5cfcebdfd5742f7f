"""Sample rows, conditions, the picture and the notebook: on a small mixture that is built once."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

import doit
from doit import verbs
from doit.errors import SpecError
from doit.inspecting import heatmap
from doit.inspecting.clusters import clusters
from doit.inspecting.samples import COLUMNS
from doit.schemas.abilities import ABILITIES

ROWS = [
    *({"instruction": f"{n} 加 {n} 等于几", "output": f"这样算来是 {2 * n} 个", "kind": "math"} for n in range(6)),
    *({"instruction": f"{n} 加 {n} 等於幾個", "output": f"答案為 {2 * n}", "kind": "math"} for n in range(4)),
    *({"instruction": f"Write a loop of {n} steps, please", "output": "for", "kind": "code"} for n in range(3)),
    *({"instruction": f"介绍第 {n} 个省会", "output": "好的，这是一座大城市", "kind": None} for n in range(2)),
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    card = {"name": "a", "shape": {"kind": "alpaca"}, "ability": {"field": "kind"}}
    doit.build(
        {"name": "t", "size": "all", "sources": [{"dataset": card, "files": str(folder / "a.jsonl")}]}, folder / "out"
    )
    return folder / "out"


def test_every_cell_gives_its_first_rows(out: Path) -> None:
    rows = verbs.samples(out, 2)

    assert rows.columns == list(COLUMNS)
    counted = rows.group_by("language", "ability").len().sort("language", "ability").rows()
    assert counted == [("en", "code", 2), ("zh-Hans", None, 2), ("zh-Hans", "math", 2), ("zh-Hant", "math", 2)]
    order = pl.read_parquet(out / "data" / "train-*.parquet").filter(pl.col("ability") == "code")["id"].to_list()
    assert rows.filter(pl.col("ability") == "code")["id"].to_list() == order[:2]


def test_conditions_hold_together(out: Path) -> None:
    assert verbs.inspect(out, where=["language=zh"]).records == 12
    assert verbs.inspect(out, where=["language=zh-Hant"]).records == 4
    assert verbs.inspect(out, where=["language=zh", "ability=untagged"]).records == 2
    assert verbs.inspect(out, where=["turns=2"]).records == 0
    assert verbs.crosstab(out, ["ability"], where=["language=en"]).rows() == [("code", 3)]
    assert verbs.samples(out, 9, where=["ability=code"]).height == 3
    assert verbs.samples(out, 9, where=["ability=ethics"]).is_empty()


@pytest.mark.parametrize(
    ("condition", "said"),
    [("langauge=zh", 'D203 .*Did you mean "language"'), ("language", "D204"), ("language=", "D204")],
)
def test_a_wrong_condition_is_refused(out: Path, condition: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        verbs.inspect(out, where=[condition])


def test_no_rows_of_a_cell_are_refused(out: Path) -> None:
    with pytest.raises(SpecError, match="D204"):
        verbs.samples(out, 0)


def test_answers_show_themselves(out: Path) -> None:
    answer = verbs.inspect(out)
    console = Console(width=100, record=True, file=None)
    with console.capture() as said:
        console.print(answer)

    assert "15 records" in said.get()
    page = answer._repr_html_()
    assert "15 records" in page
    assert "数学" in page
    assert answer.model_dump() == verbs.inspect(out).model_dump()
    assert "checks, all ok" in verbs.verify(out)._repr_html_()


def test_the_picture_has_the_counts_of_every_cell(out: Path) -> None:
    pytest.importorskip("altair", reason="the extra `report` is not installed")
    answer = verbs.inspect(out)

    spec = heatmap.heatmap_spec(answer, family="Noto Sans CJK SC")

    drawn = {(row["ability"], row["language"]): row["records"] for row in spec["data"]["values"]}
    assert drawn == {
        ("数学 Mathematics", "zh-Hans"): 6,
        ("数学 Mathematics", "zh-Hant"): 4,
        ("代码 Code generation", "en"): 3,
        ("untagged", "zh-Hans"): 2,
    }
    plain = heatmap.heatmap_spec(answer, family=None)
    assert all(row["ability"].isascii() for row in plain["data"]["values"])


def test_the_picture_is_a_png(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("altair", reason="the extra `report` is not installed")
    pytest.importorskip("vl_convert", reason="the extra `report` is not installed")
    monkeypatch.setattr(heatmap, "chinese_font", lambda: None)

    verbs.heatmap(out, tmp_path / "h.png")

    data = (tmp_path / "h.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(data[16:20], "big") > 400


def test_fonts_are_found_by_their_files(tmp_path: Path) -> None:
    assert heatmap.chinese_font((str(tmp_path),)) is None
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "wqy-zenhei.ttc").touch()
    (tmp_path / "DejaVuSans.ttf").touch()

    assert heatmap.chinese_font((str(tmp_path),)) == ("WenQuanYi Zen Hei", tmp_path / "deep" / "wqy-zenhei.ttc")


def test_nothing_cannot_be_drawn(out: Path) -> None:
    with pytest.raises(SpecError, match="D204"):
        heatmap.heatmap_spec(verbs.inspect(out, where=["ability=ethics"]), family=None)


def test_clusters_name_who_stands_for_how_many() -> None:
    kept, other = "a" * 32, "b" * 32
    lines = [
        (kept, "s", "f", 0, None, None),
        (other, "s", "f", 1, None, None),
        ("c" * 32, "s", "f", 2, "near", f"0.81 {kept}"),
        ("d" * 32, "t", "g", 3, "near", f"0.95 {kept}"),
        ("e" * 32, "t", "g", 4, "near", f"1.0 {other}"),
        ("f" * 32, "t", "g", 5, "exact_duplicates", "s f:0"),
    ]
    ledger = pl.DataFrame(lines, schema=["id", "source", "file", "row", "rule", "value"], orient="row")

    found = clusters(ledger)

    assert found.select("survivor", "dropped", "least", "most", "row").rows() == [
        (kept, 2, 0.81, 0.95, 0),
        (other, 1, 1.0, 1.0, 1),
    ]
    assert found["sources"].to_list() == [["s", "t"], ["t"]]


def test_every_ability_has_a_row_of_its_own_in_the_picture() -> None:
    assert len({heatmap._title(name, None) for name in ABILITIES}) == len(ABILITIES)
