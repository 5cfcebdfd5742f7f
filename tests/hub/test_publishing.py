"""Publishing with the real client of the Hub against a server of its protocol."""

from __future__ import annotations

import io
import json
import re

import polars as pl
import pytest

import doit
from doit.cli import main
from doit.errors import DataError, DoitError, SpecError, StorageError
from doit.hub.package import NEVER
from doit.mixtures.proofs.published import RECEIPT
from tests.hub.conftest import REPO, TOKEN, rows, tree, writes


def ids(content: bytes) -> list[str]:
    return pl.read_parquet(io.BytesIO(content))["id"].to_list()


def test_a_mixture_becomes_one_commit_and_a_tag(hub, build):
    out = build(splits={"validation": {"records": 4, "per": "ability"}})
    answer = doit.publish(out, REPO)

    repository = hub.repositories["datasets", REPO]
    assert answer.committed
    assert answer.commit == repository.branches["main"] == repository.tags[answer.tag]
    assert len(repository.commits) == 2  # the Hub's own first one, and ours
    assert repository.private
    assert answer.tag == f"content-{answer.digest}"
    assert set(tree(hub)) == {
        ".gitattributes",
        "README.md",
        "data/train-00000-of-00001.parquet",
        "data/validation-00000-of-00001.parquet",
        "images/default.svg",
        "manifest.json",
        "publication.json",
        "spec.yaml",
    }
    assert answer.configs == {"default": {"train": 30, "validation": 8}}
    local = pl.read_parquet(out / "data" / "train-00000-of-00001.parquet")
    there = pl.read_parquet(io.BytesIO(tree(hub)["data/train-00000-of-00001.parquet"]))
    assert there.drop("file").equals(local.drop("file"))
    commits = [request for request in hub.requests if "/commit/" in request.path]
    assert json.loads(commits[0].body.splitlines()[0])["value"]["parentCommit"] in repository.commits


def test_the_same_again_makes_no_commit_and_writes_nothing(hub, build):
    out = build()
    first = doit.publish(out, REPO)
    hub.requests.clear()
    again = doit.publish(out, REPO)

    assert not again.committed
    assert again.commit == first.commit
    assert again.changed == again.deleted == ()
    assert writes(hub) == []
    assert not [one for one in hub.requests if one.method not in {"GET", "HEAD"}]


def test_a_rebuilt_mixture_of_the_same_content_makes_no_commit(hub, build):
    doit.publish(build(), REPO)
    assert not doit.publish(build(), REPO).committed


def test_one_changed_row_makes_one_commit(hub, build):
    first = doit.publish(build(), REPO)
    changed = [{**row, "output": "換了。"} if n == 7 else row for n, row in enumerate(rows(0, 40))]
    second = doit.publish(build(first=changed, size="all", mix={}), REPO)

    repository = hub.repositories["datasets", REPO]
    assert second.committed
    assert len(repository.commits) == 3
    assert repository.tags == {first.tag: first.commit, second.tag: second.commit}
    assert "data/train-00000-of-00001.parquet" in second.changed


def test_a_missing_tag_is_added_by_the_next_run(hub, build):
    out = build()
    first = doit.publish(out, REPO)
    repository = hub.repositories["datasets", REPO]
    repository.tags.clear()
    again = doit.publish(out, REPO)

    assert not again.committed
    assert repository.tags == {first.tag: first.commit}


def test_files_of_an_earlier_publication_go_and_files_of_others_stay(hub, build):
    doit.publish(build(series=[10, 20], size=20), REPO)
    repository = hub.repositories["datasets", REPO]
    repository.commit({**tree(hub), "photo.png": b"theirs"})
    answer = doit.publish(build("other"), REPO)

    assert {"10/manifest.json", "20/data/train-00000-of-00001.parquet"} <= set(answer.deleted)
    assert tree(hub)["photo.png"] == b"theirs"
    assert not any(path.startswith(("10/", "20/")) for path in tree(hub))


def test_a_repository_of_somebody_else_is_left_alone(hub, build):
    hub.commit(REPO, {"data.csv": b"a,b\n"})
    hub.repositories["datasets", REPO].private = True
    before = dict(tree(hub))
    with pytest.raises(StorageError, match=r"D101.*`data\.csv`"):
        doit.publish(build(), REPO)
    assert tree(hub) == before


def test_a_public_repository_is_not_written_to_by_accident(hub, build):
    out = build()
    doit.publish(out, REPO, public=True)
    assert not hub.repositories["datasets", REPO].private
    with pytest.raises(SpecError, match=r"D204.*public"):
        doit.publish(out, REPO)
    assert not doit.publish(out, REPO, public=True).committed


def test_another_branch_is_made_where_it_is_missing(hub, build):
    answer = doit.publish(build(), REPO, revision="draft")
    repository = hub.repositories["datasets", REPO]
    assert repository.branches["draft"] == answer.commit
    assert set(repository.commits[repository.branches["main"]]) == {".gitattributes"}


def test_a_series_has_one_configuration_a_size_the_largest_first(hub, build):
    answer = doit.publish(build(series=[10, 20], size=20), REPO)
    assert list(answer.configs) == ["20", "10"]
    small, large = (set(ids(tree(hub)[f"{size}/data/train-00000-of-00001.parquet"])) for size in (10, 20))
    assert small < large
    assert json.loads(tree(hub)["manifest.json"])["series"].keys() == {"10", "20"}


def test_variants_and_abilities_have_configurations_too(hub, build):
    out = build(variants={"few": {"size": 10}, "many": {"size": 20}})
    answer = doit.publish(out, REPO, by="ability")
    assert list(answer.configs) == ["few", "many", "few-code", "few-math", "many-code", "many-math"]
    assert answer.configs["few"]["train"] == answer.configs["few-code"]["train"] + answer.configs["few-math"]["train"]
    parts = [ids(tree(hub)[f"many/by_ability/{a}/train-00000-of-00001.parquet"]) for a in ("math", "code")]
    assert sorted([*parts[0], *parts[1]]) == sorted(ids(tree(hub)["many/data/train-00000-of-00001.parquet"]))


def test_what_must_stay_at_home_stays(hub, build, tmp_path):
    """No ledger, no rejects, no report; and no byte that names this machine, in rows or texts."""
    doit.publish(build(splits={"test": {"records": 2, "per": "ability"}}), REPO, by="ability")
    for path, content in tree(hub).items():
        assert not NEVER.search(path)
        assert str(tmp_path).encode() not in content
        assert str(tmp_path.parent).encode() not in content
        if path.endswith(".parquet"):
            files = pl.read_parquet(io.BytesIO(content))["file"].unique().to_list()
            assert all(re.fullmatch(r"out-sources/[ab]\.jsonl", file) for file in files)


def test_the_receipt_lists_every_file_as_it_is(hub, build):
    import hashlib

    doit.publish(build(), REPO)
    held = tree(hub)
    receipt = json.loads(held[RECEIPT])
    assert set(receipt["files"]) == set(held) - {RECEIPT, ".gitattributes"}
    for path, told in receipt["files"].items():
        assert told == {"bytes": len(held[path]), "sha256": hashlib.sha256(held[path]).hexdigest()}
    manifest = json.loads(held["manifest.json"])
    assert set(manifest["files"]) == {"data/train-00000-of-00001.parquet"}
    assert receipt["mixtures"]["default"]["digest"] == manifest["digest"]


def test_a_changed_file_is_not_published(hub, build):
    out = build()
    path = out / "data" / "train-00000-of-00001.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(license=pl.lit("CC0-1.0")).write_parquet(path)
    with pytest.raises(StorageError, match="D102"):
        doit.publish(out, REPO)
    assert hub.requests == []


# -- gates


def test_rows_without_a_licence_stop_it_and_are_named(hub, build):
    out = build(licenses=("unknown", "MIT"))
    with pytest.raises(DataError, match=r"D701.*set-a \(unknown\), 15 rows \(first out-sources|D701.*set-a") as caught:
        doit.publish(out, REPO)
    assert caught.value.exit_status == 3
    assert "15 rows" in str(caught.value)
    assert re.search(r"a\.jsonl:\d+", str(caught.value))
    assert hub.requests == []


def test_an_accepted_licence_is_recorded(hub, build):
    out = build(licenses=("unknown", "MIT"))
    answer = doit.publish(out, REPO, accept_license="作者來信同意")
    receipt = json.loads(tree(hub)[RECEIPT])
    assert receipt["license"]["accepted"] == "作者來信同意"
    assert "作者來信同意" in tree(hub)["README.md"].decode()
    assert answer.licensing.effective == "unknown"


def secret_rows() -> list[dict[str, str]]:
    made = rows(0, 40)
    made[3]["output"] = "請寫信到 lin.xiaoming@mail.taipei-office.tw，謝謝。"
    made[5]["output"] = "密钥是 ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5" + "。"
    return made


def test_secrets_and_personal_data_stop_it_and_are_not_shown(hub, build):
    out = build(first=secret_rows(), size="all", mix={})
    with pytest.raises(DataError, match="D702") as caught:
        doit.publish(out, REPO)
    text = str(caught.value)
    assert "lin.xiaoming" not in text
    assert "aB3dE5" not in text
    assert "e-mail" in text
    assert re.search(r"row \d+, from \S*a\.jsonl:3", text)
    assert hub.requests == []


def test_masked_rows_are_published_under_their_ids(hub, build):
    out = build(first=secret_rows(), size="all", mix={}, splits={"test": {"records": 1, "per": "ability"}})
    answer = doit.publish(out, REPO, redact=True)
    there = {path: content for path, content in tree(hub).items() if path.endswith(".parquet")}
    frames = pl.concat(pl.read_parquet(io.BytesIO(content)) for content in there.values())
    text = json.dumps(frames["messages"].to_list(), ensure_ascii=False)
    assert "lin.xiaoming" not in text
    assert "aB3dE5" not in text
    assert "[e-mail]" in text
    masked = frames.filter(pl.col("tags").list.contains("rewritten:secrets"))
    assert masked.height == 2
    local = pl.concat(pl.read_parquet(path) for path in sorted((out / "data").glob("*.parquet")))
    assert sorted(frames["id"]) == sorted(local["id"])
    lengths = masked.select(pl.col("messages").list.eval(pl.element().struct["content"].str.len_chars()).list.sum())
    assert lengths.to_series().to_list() == masked["chars"].to_list()
    manifest = json.loads(tree(hub)["manifest.json"])
    receipt = json.loads(tree(hub)[RECEIPT])["mixtures"]["default"]
    assert receipt["published_digest"] == answer.digest != manifest["digest"]
    assert receipt["found"]["masked_rows"] == 2
    assert not doit.publish(out, REPO, redact=True).committed


def test_personal_data_may_stay_but_keys_may_not(hub, build):
    out = build(first=secret_rows(), size="all", mix={})
    with pytest.raises(DataError, match="D702"):
        doit.publish(out, REPO, allow_personal="公開的聯絡方式")
    doit.publish(out, REPO, allow_personal="公開的聯絡方式", redact=True)
    rows_there = pl.read_parquet(io.BytesIO(tree(hub)["data/train-00000-of-00001.parquet"]))
    text = json.dumps(rows_there["messages"].to_list(), ensure_ascii=False)
    assert "lin.xiaoming" in text
    assert "aB3dE5" not in text
    assert json.loads(tree(hub)[RECEIPT])["personal_data"] == {"allowed": "公開的聯絡方式"}


# -- the call


def test_a_dry_run_shows_everything_and_asks_nobody(hub, build, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    out = build(licenses=("unknown", "MIT"))
    with pytest.raises(SystemExit) as stopped:
        main(["publish", str(out), REPO, "--dry-run"])
    text = capsys.readouterr().out
    assert stopped.value.code == 3
    assert hub.requests == []
    for part in ("data/train-00000-of-00001.parquet", "STOPS", "set-a", "pretty_name:", "## Rebuild it", "spec.yaml"):
        assert part in text


def test_a_dry_run_lists_what_a_push_sends(hub, build, capsys):
    out = build()
    answers = []
    for flags in (["--dry-run", "--json"], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["publish", str(out), REPO, *flags])
        assert not ended.value.code
        answers.append(json.loads(capsys.readouterr().out))
    told, done = answers
    assert told["dry_run"]
    assert not done["dry_run"]
    assert told["files"] == done["files"]
    assert told["card"] == done["card"] == tree(hub)["README.md"].decode()
    assert {one["path"]: one["bytes"] for one in told["files"]} == {
        path: len(content) for path, content in tree(hub).items() if path != ".gitattributes"
    }


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"repo": "alone"}, "D204"),
        ({"repo": "a/b/c"}, "D204"),
        ({"repo": "../x"}, "D204"),
        ({"repo": "a/b.git"}, "D204"),
        ({"repo": "https://huggingface.co/a/b"}, "D204"),
        ({"repo": "own\u202e/er"}, "D204"),
        ({"repo": "a/" + "x" * 100}, "D204"),
        ({"revision": "../main"}, "D204"),
        ({"revision": "a b"}, "D204"),
        ({"accept_license": " "}, "D204"),
        ({"allow_personal": ""}, "D204"),
        ({"mixture": "a/b"}, "D204"),
        ({"base_license": "MIT"}, "D204"),
        ({"recipe_only": True, "by": "ability"}, "D204 --by"),
        ({"recipe_only": True, "redact": True}, "D204 --redact"),
        ({"recipe_only": True, "allow_personal": "public"}, "D204 --allow-personal"),
        ({"recipe_only": True, "accept_license": "ours"}, "D204 --accept-license"),
        ({"folder": "nowhere"}, "D206"),
        ({"folder": "hf"}, "D206"),
    ],
)
def test_a_wrong_call_is_said_before_anything_is_asked(hub, build, tmp_path, options, code):
    (tmp_path / "hf").mkdir()
    folder = tmp_path / options.pop("folder") if "folder" in options else build()
    with pytest.raises(DoitError, match=code) as caught:
        doit.publish(folder, options.pop("repo", REPO), **options)
    assert caught.value.exit_status == 2
    assert hub.requests == []


def test_without_a_token_nothing_is_asked(hub, build, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(SpecError, match=r"D211.*no token"):
        doit.publish(build(), REPO)
    assert hub.requests == []


@pytest.mark.parametrize("address", ["notaurl", "ftp://example.org", "http://", "//example.org", "someone:word@host"])
def test_an_endpoint_that_is_no_address_is_said(hub, build, monkeypatch, address):
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(SpecError, match=r"D211.*HF_ENDPOINT is not the address of a Hub") as caught:
        doit.publish(build(), REPO)
    assert address not in str(caught.value)
    assert hub.requests == []


def test_offline_asks_nobody(hub, build, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SpecError, match=r"D211.*HF_HUB_OFFLINE"):
        doit.publish(build(), REPO)
    assert hub.requests == []


def test_a_token_that_may_not_write_is_said(hub, build, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN.replace("00", "11"))
    with pytest.raises(SpecError, match=r"D211.*status 40"):
        doit.publish(build(), REPO)


def test_nobody_there_is_said(hub, build):
    out = build()
    hub.stop()
    with pytest.raises(SpecError, match=r"D211.*cannot be reached"):
        doit.publish(out, REPO)


def test_a_published_mixture_can_be_published_from_where_it_was_loaded(hub, build, tmp_path):
    """What lies on the Hub is a mixture again, without its ledger."""
    first = doit.publish(build(), REPO)
    copy = tmp_path / "copy"
    for path, content in tree(hub).items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(content)
    again = doit.publish(copy, "desk/copy")
    assert again.digest == first.digest
    assert tree(hub, "desk/copy")["manifest.json"] == tree(hub)["manifest.json"]


def test_a_downloaded_copy_of_a_series_is_verified(hub, build, tmp_path):
    """Without the ledgers, which stay at home, and with the files of each ability, which come on top."""
    doit.publish(build(size=20, series=[10, 20]), REPO, by="ability")
    for path, content in tree(hub).items():
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).write_bytes(content)

    found = doit.verify(tmp_path / "copy")

    assert {check.name.split(": ")[-1] for check in found.checks} >= {"files", "content digest", "series"}
    assert [check for check in found.checks if not check.ok] == []
    (tmp_path / "copy" / "10" / "data" / "train-00000-of-00001.parquet").unlink()
    assert not doit.verify(tmp_path / "copy").ok


def test_a_downloaded_copy_of_masked_rows_is_verified(hub, build, tmp_path):
    """Its content digest is another one than the manifest's, and is held against the one that was published."""
    doit.publish(build(first=secret_rows(), size=70, mix={}, series=[20, 70]), REPO, redact=True)
    for path, content in tree(hub).items():
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).write_bytes(content)
    found = doit.verify(tmp_path / "copy")
    assert [check for check in found.checks if not check.ok] == []
    assert any("not that of the build" in check.detail for check in found.checks)
    assert doit.verify(tmp_path / "copy" / "70").ok

    receipt = tmp_path / "copy" / RECEIPT
    account = json.loads(receipt.read_text(encoding="utf-8"))
    account["mixtures"]["70"]["published_digest"] = "0" * 64
    receipt.write_text(json.dumps(account), encoding="utf-8")
    wrong = [check for check in doit.verify(tmp_path / "copy").checks if not check.ok]
    assert [check.name for check in wrong] == ["70: content digest"]
