from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

import doit
from doit.curation.tagging.endpoint import Endpoint, EndpointTagger
from doit.curation.tagging.model import load_tagger
from doit.errors import DataError, SpecError
from doit.mixtures.loading import load_spec
from doit.mixtures.pools import tagging
from doit.mixtures.pools.pool import build_pool

Write = Callable[[str, Any], Path]

ROWS = [
    {"instruction": "请扮演一位导游", "input": "", "output": "欢迎光临", "kind": None},
    {"instruction": "用Python写一个排序函数", "input": "", "output": "def f(x): return sorted(x)", "kind": None},
    {"instruction": "唐朝的均田制是什么时候实行的？", "input": "", "output": "唐初。", "kind": "历史"},
    {"instruction": "嗯", "input": "", "output": "哦", "kind": None},
]
CARD = {
    "name": "mine",
    "license": "unknown",
    "languages": ["zh"],
    "construction": "human",
    "source": {"files": "mine.jsonl"},
    "shape": {"kind": "alpaca"},
    "ability": {"field": "kind", "map": {"历史": "history"}},
}


@pytest.fixture
def spec(write: Write) -> Path:
    write("mine.jsonl", ROWS)
    return write("spec.yaml", {"name": "m", "size": "all", "sources": [{"dataset": CARD}]})


def test_records_without_an_ability_get_the_taggers(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "tagged.parquet"
    answer = tagging.apply_tags(spec, out, load_tagger(), threshold=0.75)
    assert (answer.records, answer.kept, answer.unsure) == (4, 1, 1)
    assert answer.tagged == {"code": 1, "role_play": 1}
    assert answer.rules == {"code__program_asked_for": 1, "role_play__part_given": 1}
    told = {row["ability"]: row for row in pl.read_parquet(out).to_dicts()}
    assert told["history"]["ability_from"] == "card"
    assert told["history"]["ability_reason"] is None
    assert told["code"]["ability_from"] == "tagger"
    assert told["code"]["ability_score"] > 0.75
    assert told[None]["ability_from"] is None
    assert told[None]["ability_reason"] == "unsure"


def test_a_mixture_can_be_tagged_and_its_text_stays(spec: Path, tmp_path: Path) -> None:
    mixture, out = tmp_path / "mixture", tmp_path / "tagged.parquet"
    doit.build(spec, mixture)
    tagging.apply_tags(mixture, out, load_tagger())
    before = pl.read_parquet(mixture / "data" / "*.parquet")
    after = pl.read_parquet(out)
    assert after.drop("ability", "ability_from", "ability_score", "ability_reason").equals(
        before.drop("ability", "ability_from")
    )
    held = pq.read_schema(out)
    assert str(held.field("id").type) == "string", "no large types, which ordinary chat data cannot be joined to"
    assert "large" not in str(held.field("messages").type)


def test_labels_can_be_asked_about_again(spec: Path, tmp_path: Path) -> None:
    answer = tagging.apply_tags(spec, tmp_path / "a.parquet", load_tagger(), over=True, threshold=0.01)
    assert answer.kept == 0
    assert answer.tagged["history"] == 1


def test_tags_of_a_tagger_are_no_labels(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "tagged.parquet"
    tagging.apply_tags(spec, out, load_tagger(), threshold=0.01)
    assert tagging.labelled([out])["ability"].to_list() == ["history"]
    assert tagging.labelled([spec, out])["ability"].to_list() == ["history", "history"]


def test_tags_are_compared_with_labels(spec: Path) -> None:
    told = tagging.evaluated(spec, load_tagger())
    assert told.records == 1
    assert told.confusion == {"history": {"history": 1}}


def test_a_record_is_explained_by_its_id(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "tagged.parquet"
    tagging.apply_tags(spec, out, load_tagger())
    first = pl.read_parquet(out).filter(pl.col("ability") == "role_play")["id"][0]
    said = tagging.explained(out, first[:10], load_tagger())
    assert (said.ability, said.matched) == ("role_play", "请扮演")
    assert tagging.explained(spec, first, load_tagger()) == said
    for wrong, code in (("ffffffffff", "D203"), ("ab", "D204")):
        with pytest.raises(SpecError) as raised:
            tagging.explained(out, wrong, load_tagger())
        assert raised.value.code == code


def test_tags_are_kept_beside_the_pool(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, model = build_pool(load_spec(spec).sources), load_tagger()
    first = tagging.pool_tags(pool.parts, model)
    assert first["ability"].to_list()[:3] == ["role_play", "code", "history"]
    with monkeypatch.context() as patch:
        patch.setattr(tagging, "tag", None)
        assert tagging.pool_tags(pool.parts, model).equals(first), "nothing is read again"
    kept = next((pool.parts[0].entry.folder / "tags").glob("*.parquet"))
    kept.write_bytes(b"damaged")
    assert tagging.pool_tags(pool.parts, model).equals(first)


def test_what_cannot_be_read_is_an_error_with_a_code(spec: Path, tmp_path: Path, write: Write) -> None:
    model = load_tagger()
    cases = [
        (tmp_path / "nowhere", tmp_path / "o.parquet", SpecError, "D206"),
        (write("broken.parquet", b"PAR1 no"), tmp_path / "o.parquet", DataError, "D309"),
        (spec, tmp_path / "o.json", SpecError, "D204"),
    ]
    pl.DataFrame({"text": ["a"]}).write_parquet(tmp_path / "other.parquet")
    cases.append((tmp_path / "other.parquet", tmp_path / "o.parquet", DataError, "D309"))
    for path, out, kind, code in cases:
        with pytest.raises(kind) as raised:
            tagging.apply_tags(path, out, model)
        assert raised.value.code == code, path
        assert not out.exists()


def test_the_input_is_never_written_over(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "tagged.parquet"
    tagging.apply_tags(spec, out, load_tagger())
    with pytest.raises(SpecError, match="D204"):
        tagging.apply_tags(out, out, load_tagger())


def test_without_labels_there_is_nothing_to_compare(write: Write) -> None:
    write("mine.jsonl", ROWS[:2])
    card = {name: value for name, value in CARD.items() if name != "ability"}
    bare = write("bare.yaml", {"name": "m", "size": "all", "sources": [{"dataset": card}]})
    with pytest.raises(DataError, match="D320"):
        tagging.labelled([bare])


def test_an_endpoint_is_asked_about_records_without_a_label_alone(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(self: EndpointTagger, texts: list[str]) -> list[str]:
        asked.extend(texts)
        return ["reasoning"] * len(texts)

    monkeypatch.setattr(EndpointTagger, "_ask", answer)
    model = EndpointTagger(Endpoint(url="http://127.0.0.1:9/v1", model="m"), tmp_path / "cache")
    told = tagging.apply_tags(spec, tmp_path / "e.parquet", model)
    assert told.tagged == {"reasoning": 3}
    assert len(asked) == 3
    assert not any("唐朝" in text for text in asked), "a record with a label is not sent"
    assert told.costs is not None
    assert told.costs.asked == 3
