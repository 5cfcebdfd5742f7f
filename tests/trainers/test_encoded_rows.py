from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from rows_written import build
from small_tokenizers import CHATML, letters, marked, spec

from doit.errors import DataError, SpecError, StorageError
from doit.trainers import rows as module
from doit.trainers.rows import EncodedRows, encode
from doit.trainers.spec import TrainerSpec
from doit.trainers.templates import fit_tokenizer

LONG = ["甲" * 10, "乙" * 10, "丙" * 10, "丁" * 10, "你" * 30, "好" * 30]
"""Three exchanges of 10, 10 and 30 characters a turn; with DoIT's marks 24, 24 and 64 tokens."""
ROWS: list[dict[str, Any]] = [
    {"turns": ["Hi", "Hello!"], "kind": "math"},
    {"turns": ["今天", "好"], "kind": "code"},
    {"turns": LONG, "kind": "code"},
    {"turns": ["a" * 80, "b"], "kind": "other"},
]


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOIT_CACHE", str(folder / "cache"))
        return build(folder, ROWS)


def rows_of(mixture: Path, **changes: Any) -> tuple[EncodedRows, list[str]]:
    tokenizer, given = letters(), spec(**{"template": "doit", **changes})
    fit_tokenizer(tokenizer, given)
    rows = encode(mixture, "train", given, tokenizer)
    return rows, [marked(tokenizer, *rows.row(at)) for at in range(len(rows))]


def counts(rows: EncodedRows) -> dict[str, dict[str, int]]:
    return {
        str(cell.ability): {name: value for name, value in vars(cell).items() if isinstance(value, int) and value}
        for cell in rows.report
    }


def test_rows_come_in_the_order_of_the_mixture_with_their_ids_and_cells(mixture: Path) -> None:
    rows, texts = rows_of(mixture, max_tokens=400)
    table = pl.read_parquet(mixture / "data" / "train-*.parquet")

    assert rows.record.tolist() == table["id"].to_list()
    cells = [rows.cells[at] for at in rows.cell]
    assert cells == list(zip(table["language"], table["ability"], strict=True))
    assert rows.cells == tuple(sorted(rows.cells))
    assert sorted(texts)[:2] == [
        "<user>Hi<eot><assistant>⟦Hello!<eot>⟧",
        "<user>" + "a" * 80 + "<eot><assistant>⟦b<eot>⟧",
    ]
    assert rows.ids.dtype == np.int32
    assert rows.offsets[-1] == len(rows.ids) == len(rows.supervised)
    for cell in rows.report:
        inside = [at for at in range(len(rows)) if rows.cells[rows.cell[at]] == (cell.language, cell.ability)]
        assert cell.read == cell.rows == len(inside)
        assert cell.tokens == sum(len(rows.row(at)[0]) for at in inside)
        assert cell.supervised == sum(int(rows.row(at)[1].sum()) for at in inside)


@pytest.mark.parametrize(
    ("over_length", "limit", "long", "counted"),
    [
        ("drop", 60, [], {"dropped": 1}),
        (
            "cut_turns",
            60,
            ["<user>甲*<eot><assistant>⟦乙*<eot>⟧<user>丙*<eot><assistant>⟦丁*<eot>⟧"],
            {"cut": 1, "answers_left_out": 1},
        ),
        ("cut_turns", 30, ["<user>甲*<eot><assistant>⟦乙*<eot>⟧"], {"cut": 1, "answers_left_out": 2}),
        ("cut_turns", 22, [], {"dropped": 1}),
        ("truncate", 30, ["<user>甲*<eot><assistant>⟦乙*<eot>⟧<user>丙丙丙丙丙"], {"truncated": 1}),
        ("truncate", 18, ["<user>甲*<eot><assistant>⟦乙乙乙乙乙⟧"], {"truncated": 1}),
        ("truncate", 12, [], {"unsupervised": 1}),
        (
            "split",
            65,
            [
                "<user>甲*<eot><assistant>⟦乙*<eot>⟧<user>丙*<eot><assistant>⟦丁*<eot>⟧",
                "<user>你*<eot><assistant>⟦好*<eot>⟧",
            ],
            {"split": 1},
        ),
        (
            "split",
            30,
            ["<user>甲*<eot><assistant>⟦乙*<eot>⟧", "<user>丙*<eot><assistant>⟦丁*<eot>⟧"],
            {"split": 1, "answers_left_out": 1},
        ),
    ],
)
def test_long_rows_are_dropped_cut_truncated_or_split_and_counted(
    mixture: Path, over_length: str, limit: int, long: list[str], counted: dict[str, int]
) -> None:
    rows, texts = rows_of(mixture, over_length=over_length, max_tokens=limit)

    for text in ("甲", "乙", "丙", "丁"):
        texts = [each.replace(text * 10, text + "*") for each in texts]
    for text in ("你", "好"):
        texts = [each.replace(text * 30, text + "*") for each in texts]
    assert [text for text in texts if "甲" in text or "丙" in text or "你" in text] == long
    code = {name: value for name, value in counts(rows)["code"].items() if name not in {"tokens", "supervised"}}
    assert code == {"read": 2, "rows": 1 + len(long), **counted}
    assert max(rows.lengths) <= limit
    assert all(rows.row(at)[1].any() for at in range(len(rows)))


def test_every_part_of_a_split_row_begins_with_the_system_text(tmp_path: Path) -> None:
    _, texts = rows_of(build(tmp_path, [{"turns": LONG, "system": "S"}]), over_length="split", max_tokens=67)

    assert len(texts) == 2
    assert all(text.startswith("S\n\n<user>") for text in texts)


def test_a_mixture_of_which_nothing_is_left_is_an_error(mixture: Path) -> None:
    with pytest.raises(DataError, match="no row of train is left to train on: 4 are too long") as caught:
        rows_of(mixture, max_tokens=3)

    assert caught.value.code == "D320"


def test_rows_that_a_template_refuses_are_counted_with_the_reason(tmp_path: Path) -> None:
    chat = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    mixture = build(tmp_path, [{"turns": ["Hi", "Yes"]}, {"turns": ["Hi", "No"], "system": "S"}])
    rows = encode(mixture, "train", spec(), letters(chat))

    assert (len(rows), rows.report[0].read, rows.report[0].refused) == (1, 2, 1)
    assert rows.refusals == {"the chat template refuses: no system": 1}


def test_copies_are_rows(tmp_path: Path) -> None:
    texts = [{"turns": [f"Say {n}", f"{n}"]} for n in "abc"]
    mixture = build(tmp_path, texts, size=7, shortage="repeat", mix={"ability": {"math": 1}})
    rows, _ = rows_of(mixture)

    assert len(rows) == 7
    assert len(set(rows.record.tolist())) == 3


def test_batches_change_nothing(mixture: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole, _ = rows_of(mixture, over_length="split", max_tokens=65)
    monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setenv("DOIT_CACHE", str(tmp_path))
    single, _ = rows_of(mixture, over_length="split", max_tokens=65)

    assert same(whole, single)


def same(one: EncodedRows, other: EncodedRows) -> bool:
    arrays = ("ids", "supervised", "offsets", "cell", "record")
    facts = ("cells", "report", "refusals", "max_tokens")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays) and all(
        getattr(one, name) == getattr(other, name) for name in facts
    )


def test_what_was_tokenised_before_is_found_again_and_nothing_else_is(
    mixture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = letters()
    made: list[int] = []
    before = module.Encoder.encode
    monkeypatch.setattr(module.Encoder, "encode", lambda self, rows: made.append(len(rows)) or before(self, rows))

    def again(tokenizer: Any = tokenizer, **changes: Any) -> EncodedRows:
        made.clear()
        return encode(mixture, "train", spec(**{"template": "belle", **changes}), tokenizer, tmp_path)

    first = again()
    assert made
    assert same(first, again())
    assert not made
    assert isinstance(first.ids, np.memmap)
    again(optimizer={"lr": 1e-5}, epochs=1, seed=3)
    assert not made, "what does not decide tokens is no part of the key"
    for changes in ({"template": "model"}, {"supervise": "last_turn"}, {"max_tokens": 90}, {"over_length": "split"}):
        again(**changes)
        assert made, changes
    other = letters()
    other.add_tokens(["甲乙"])
    again(other)
    assert made, "another tokenizer"


@pytest.mark.parametrize("damage", ["shortened", "changed", "no entry"])
def test_a_damaged_entry_of_the_cache_is_made_anew(mixture: Path, tmp_path: Path, damage: str) -> None:
    tokenizer, given = letters(), spec(template="belle")
    first = encode(mixture, "train", given, tokenizer, tmp_path)
    kept = first.ids.copy()
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    path = folder / ("entry.json" if damage == "no entry" else "ids.npy")
    data = path.read_bytes()
    if damage == "no entry":
        path.write_bytes(orjson.dumps({"doit": 1, "files": {f"{n}.npy": {} for n in module._ARRAYS}}))
    else:
        path.write_bytes(data[:-3] if damage == "shortened" else data[:-1] + bytes([data[-1] ^ 1]))

    assert np.array_equal(encode(mixture, "train", given, tokenizer, tmp_path).ids, kept)


def test_a_split_that_is_not_there_is_named(mixture: Path) -> None:
    with pytest.raises(SpecError, match=r"no split 'validation'.*It has train") as caught:
        encode(mixture, "validation", spec(template="belle"), letters())
    assert caught.value.code == "D206"
    with pytest.raises(SpecError, match="no mixture here"):
        encode(mixture / "nothing", "train", spec(template="belle"), letters())


def test_a_file_that_is_not_what_the_manifest_says_is_damage(tmp_path: Path) -> None:
    mixture = build(tmp_path, ROWS)
    (path,) = (mixture / "data").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StorageError, match="not what the manifest says") as caught:
        encode(mixture, "train", spec(template="belle"), letters())
    assert caught.value.code == "D102"


def test_a_tokenizer_that_lacks_the_templates_tokens_is_refused(mixture: Path) -> None:
    with pytest.raises(SpecError, match="lacks '<user>'"):
        encode(mixture, "train", TrainerSpec.model_validate({**spec().model_dump(), "template": "doit"}), letters())
