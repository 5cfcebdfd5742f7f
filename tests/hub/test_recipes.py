"""A recipe holds no text, and whoever has the sources builds the same mixture from it."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import doit
from doit.errors import DataError, SpecError
from doit.hub.package import Choices
from doit.hub.packing_mixtures import pack_mixture
from tests.hub.conftest import REPO, build_mixture, tree

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


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe as it is pushed."""
    where = tmp_path_factory.mktemp("recipes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOIT_CACHE", str(where / "cache"))
        out = build_mixture(where, **SPECS["one"])
    for one in pack_mixture(out, REPO, where / "staging", Choices(recipe_only=True)).files:
        (where / "recipe" / one.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(one.local, where / "recipe" / one.path)
    return where / "recipe"


@pytest.fixture
def recipe(packed, tmp_path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(packed, tmp_path / "recipe"))


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


@pytest.mark.parametrize("options", [{}, {"recipe_only": True}])
def test_a_recipe_is_no_mixture_to_publish(hub, recipe, options):
    with pytest.raises(SpecError, match=r"D206.*it is a recipe.*doit rebuild"):
        doit.publish(recipe, REPO, **options)
    assert hub.requests == []


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


# -- verifying one


@pytest.mark.parametrize("options", SPECS.values(), ids=SPECS)
def test_a_recipe_is_verified_as_far_as_it_goes(hub, build, tmp_path, options):
    doit.publish(build(**options), REPO, recipe_only=True)
    found = doit.verify(fetched(hub, tmp_path / "recipe"))
    assert [check for check in found.checks if not check.ok] == []
    assert found.ok
    assert found.checks[0].name == "recipe"
    assert "none of their text" in found.checks[0].detail
    assert "doit rebuild" in found.checks[0].detail
    named = [check.name.split(": ")[-1] for check in found.checks]
    mixtures = len(list((tmp_path / "recipe").rglob("members")))
    assert [named.count(law) for law in ("files", "spec", "members", "order")] == [1, *[mixtures] * 3]
    assert named.count("series") == ("series" in options)


def test_one_size_of_a_recipe_is_verified_alone(hub, build, tmp_path):
    doit.publish(build(**SPECS["series"]), REPO, recipe_only=True)
    copy = fetched(hub, tmp_path / "recipe")
    assert doit.verify(copy / "10").ok
    (copy / "20" / "spec.yaml").write_text("{}", encoding="utf-8")
    assert doit.verify(copy / "10").ok
    assert not doit.verify(copy).ok


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        *((path, "changed") for path in ("spec.yaml", "members/train-00000-of-00001.parquet", "manifest.json")),
        *((path, "gone") for path in ("spec.yaml", "members/test-00000-of-00001.parquet", "README.md")),
    ],
)
def test_a_file_of_a_recipe_that_is_not_what_was_published_is_named(recipe, path, damage):
    if damage == "changed":
        (recipe / path).write_bytes((recipe / path).read_bytes() + b"\n")
    else:
        (recipe / path).unlink()
    found = doit.verify(recipe)
    wrong = [check for check in found.checks if not check.ok]
    assert [check.name for check in wrong] == ["files"]
    assert wrong[0].detail.startswith(f"D102 {path}")


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"files": {"manifest.json": 3}}', b'{"files": {}}'])
def test_without_its_list_of_digests_a_recipe_proves_nothing(recipe, content):
    if content is None:
        (recipe / "publication.json").unlink()
    else:
        (recipe / "publication.json").write_bytes(content)
    wrong = [check for check in doit.verify(recipe).checks if not check.ok]
    assert [check.name for check in wrong] == ["files"]
    assert "publication.json" in wrong[0].detail


def test_a_file_that_comes_on_top_of_a_recipe_is_named(recipe):
    shutil.copy(recipe / "members" / "train-00000-of-00001.parquet", recipe / "members" / "more.parquet")
    assert "D102 members/more.parquet" in str(doit.verify(recipe).checks[1])


def list_again(recipe: Path, **more: str) -> None:
    """Write the digests of what is there now, as a forger would; `more` adds paths with digests."""
    receipt = json.loads((recipe / "publication.json").read_text(encoding="utf-8"))
    for path, told in receipt["files"].items():
        told["sha256"] = hashlib.sha256((recipe / path).read_bytes()).hexdigest()
    receipt["files"] |= {path: {"sha256": sha256} for path, sha256 in more.items()}
    (recipe / "publication.json").write_text(json.dumps(receipt), encoding="utf-8")


MEMBERS: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "a row less": (lambda rows: rows.head(rows.height - 1), "members"),
    "another order": (lambda rows: rows.reverse(), "order"),
    "a file that is no input": (lambda rows: rows.with_columns(file=pl.lit("other.jsonl")), "members"),
    "an id that is none": (lambda rows: rows.with_columns(id=pl.col("id").str.head(8)), "members"),
    "copies that are not numbered": (lambda rows: rows.with_columns(epoch=pl.lit(2, pl.Int32)), "members"),
    "a column less": (lambda rows: rows.drop("epoch"), "members"),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_rows_that_cannot_be_those_of_the_manifest_are_noticed(recipe, case):
    change, law = MEMBERS[case]
    path = recipe / "members" / "train-00000-of-00001.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    list_again(recipe)
    wrong = [check for check in doit.verify(recipe).checks if not check.ok]
    assert wrong
    assert law in {check.name for check in wrong}


@pytest.mark.parametrize("spec", ["name: other\n", "a: [\n", ""])
def test_a_spec_that_is_not_the_manifest_s_is_noticed(recipe, spec):
    (recipe / "spec.yaml").write_text(spec, encoding="utf-8")
    list_again(recipe)
    wrong = [check for check in doit.verify(recipe).checks if not check.ok]
    assert [check.name for check in wrong] == ["spec"]


def test_a_list_of_digests_leads_nowhere_else(recipe, tmp_path):
    (tmp_path / "other.txt").write_bytes(b"x")
    list_again(recipe, **{"../other.txt": hashlib.sha256(b"x").hexdigest()})
    assert "D209" in str(doit.verify(recipe).checks[1])
