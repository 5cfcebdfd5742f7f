"""A recipe holds no text, and whoever has the sources builds the same mixture from it."""

from __future__ import annotations

import io
import json
import shutil

import polars as pl
import pytest

import doit
from doit.errors import DataError
from tests.hub.conftest import REPO, tree

SPECS = {
    "one": {"splits": {"test": {"records": 2, "per": "ability"}}},
    "series": {"series": [10, 20], "size": 20},
    "variants": {"variants": {"few": {"size": 10}, "many": {"size": 20, "seed": 7}}},
}


def fetched(hub, folder):
    """What somebody else downloads."""
    for path, content in tree(hub).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def digests(folder) -> list[str]:
    manifests = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("manifest.json"))]
    return [one["digest"] for one in manifests if "digest" in one]


@pytest.mark.parametrize("options", SPECS.values(), ids=SPECS)
def test_a_recipe_is_rebuilt_elsewhere_to_the_same_digest(hub, build, tmp_path, options):
    out = build(licenses=("unknown", "CC-BY-NC-4.0"), **options)
    answer = doit.publish(out, REPO, recipe_only=True)
    recipe = fetched(hub, tmp_path / "elsewhere" / "recipe")
    sources = tmp_path / "elsewhere" / "downloads"
    shutil.move(tmp_path / "out-sources", sources)
    again = doit.rebuild(recipe, tmp_path / "elsewhere" / "again", sources=sources)
    assert again.inputs == 2
    assert digests(tmp_path / "elsewhere" / "again") == digests(out)
    assert answer.tag.startswith("recipe-")
    assert not doit.publish(tmp_path / "elsewhere" / "again", REPO, recipe_only=True).changed


def test_a_recipe_holds_ids_and_no_text(hub, build):
    out = build(licenses=("unknown", "MIT"))
    answer = doit.publish(out, REPO, recipe_only=True)
    assert answer.kind == "recipe"
    assert answer.ok
    assert answer.licensing.refused
    for path, content in tree(hub).items():
        assert "道数学题".encode() not in content, path
        assert "答案是".encode() not in content, path
        assert not path.startswith("data/")
    members = pl.read_parquet(io.BytesIO(tree(hub)["members/train-00000-of-00001.parquet"]))
    local = pl.read_parquet(out / "data" / "train-00000-of-00001.parquet")
    assert members.columns == ["id", "source", "file", "row", "part", "language", "ability", "license", "epoch"]
    assert members["id"].to_list() == local["id"].to_list()
    assert json.loads(tree(hub)["manifest.json"])["files"] == {}


def test_secrets_in_rows_do_not_stop_a_recipe(hub, build):
    made = [
        {"instruction": f"第{n}題", "output": f"寫信到 lin.{n}@mail.taipei-office.tw", "kind": "数学"}
        for n in range(40)
    ]
    out = build(first=made)
    with pytest.raises(DataError, match="D702"):
        doit.publish(out, REPO)
    doit.publish(out, REPO, recipe_only=True)
    assert not any(b"taipei-office" in content for content in tree(hub).values())


def test_a_recipe_and_the_mixture_can_follow_each_other(hub, build):
    out = build()
    recipe = doit.publish(out, REPO, recipe_only=True)
    mixture = doit.publish(out, REPO)
    assert mixture.digest == recipe.digest
    assert mixture.deleted == ("members/train-00000-of-00001.parquet",)
    assert set(hub.repositories["datasets", REPO].tags) == {mixture.tag, recipe.tag}
