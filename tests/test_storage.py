from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from doit import folderlock, parquet, storage
from doit.errors import SpecError, StorageError

FILES = 3


def build(out: Path, version: int, *, fail: BaseException | None = None) -> None:
    with storage.replacing(out) as staging:
        (staging / "data").mkdir()
        for number in range(FILES):
            (staging / "data" / f"{number}.txt").write_text(str(version))
        if fail is not None:
            raise fail
        (staging / "manifest.json").write_text(json.dumps({"doit": 1, "version": version}))


def version_of(out: Path) -> int:
    """The version that OUT holds; fails when it is not whole or mixes two."""
    version = orjson.loads((out / "manifest.json").read_bytes())["version"]
    texts = [path.read_text() for path in sorted((out / "data").iterdir())]
    assert texts == [str(version)] * FILES
    return version


def beside(out: Path) -> list[str]:
    return sorted(entry.name for entry in out.parent.iterdir() if entry != out)


def test_replacing_makes_then_replaces_and_leaves_nothing_beside(tmp_path):
    out = tmp_path / "deep" / "混合"

    build(out, 1)
    build(out, 2)

    assert version_of(out) == 2
    assert beside(out) == []


@pytest.mark.parametrize("fail", [ValueError("x"), KeyboardInterrupt(), SpecError("D204", "x")])
def test_an_error_in_the_block_leaves_the_old_folder(tmp_path, fail):
    out = tmp_path / "out"
    build(out, 1)

    with pytest.raises(type(fail)):
        build(out, 2, fail=fail)

    assert version_of(out) == 1
    assert beside(out) == []


def test_an_error_in_the_first_build_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="x"):
        build(tmp_path / "out", 1, fail=ValueError("x"))

    assert list(tmp_path.iterdir()) == []


def test_a_build_without_manifest_is_refused(tmp_path):
    with (
        pytest.raises(StorageError, match=r"no `manifest\.json`") as caught,
        storage.replacing(tmp_path / "out") as staging,
    ):
        (staging / "x").write_text("x")

    assert caught.value.code == "D102"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("manifest", [None, "not json", "[]", '{"other": 1}', '"doit"'])
def test_a_folder_that_is_not_ours_is_refused(tmp_path, manifest):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    if manifest is not None:
        (out / "manifest.json").write_text(manifest)

    with pytest.raises(StorageError, match="another folder") as caught:
        build(out, 1)

    assert caught.value.code == "D101"
    assert (out / "thesis.txt").read_text() == "mine"
    assert beside(out) == []


def test_a_folder_filled_by_somebody_else_during_the_build_is_refused(tmp_path):
    out = tmp_path / "out"

    def build_while_out_is_filled() -> None:
        with storage.replacing(out) as staging:
            (staging / "manifest.json").write_text('{"doit": 1}')
            out.mkdir()
            (out / "mine").write_text("mine")

    with pytest.raises(StorageError) as caught:
        build_while_out_is_filled()

    assert caught.value.code == "D101"
    assert (out / "mine").exists()
    assert beside(out) == []


def test_an_empty_folder_may_be_filled(tmp_path):
    out = tmp_path / "out"
    out.mkdir()

    build(out, 1)

    assert version_of(out) == 1


@pytest.mark.parametrize("kind", ["file", "root"])
def test_what_is_not_a_folder_of_its_own_is_refused(tmp_path, kind):
    out = Path("/") if kind == "root" else tmp_path / "out"
    if kind == "file":
        out.write_text("x")

    with pytest.raises(StorageError) as caught:
        build(out, 1)

    assert caught.value.code in {"D101", "D104"}


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")

    build(link, 1)

    assert link.is_symlink()
    assert version_of(tmp_path / "real") == 1


def test_a_second_builder_is_told_who_is_at_work(tmp_path):
    out = tmp_path / "out"

    with storage.replacing(out) as staging:
        with pytest.raises(StorageError, match=f"process {os.getpid()} on ") as caught:
            build(out, 2)
        for number in range(FILES):
            storage.write_text(staging / "data" / f"{number}.txt", "1")
        storage.write_json(staging / "manifest.json", {"doit": 1, "version": 1})

    assert caught.value.code == "D103"
    assert version_of(out) == 1


def test_leftovers_of_dead_processes_are_removed_and_those_of_living_ones_kept(tmp_path):
    out = tmp_path / "out"
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = tmp_path / f".out.staging-{int(child.stdout)}-1-aaaa"
    reused = tmp_path / f".out.staging-{os.getpid()}-1-aaaa"
    abandoned = tmp_path / f".out.staging-{folderlock.process_mark()}-aaaa"
    living = tmp_path / f".out.staging-{folderlock.process_mark(os.getppid())}-aaaa"
    trash = tmp_path / ".out.trash-bbbb"
    other = tmp_path / ".another.staging-1-1-aaaa"
    for folder in (dead, reused, abandoned, living, trash, other):
        folder.mkdir()
        (folder / "x").write_text("x")

    build(out, 1)

    assert beside(out) == sorted([living.name, other.name])


def test_recover_writes_nothing_where_nothing_is_left(tmp_path):
    out = tmp_path / "out"
    build(out, 1)
    before = tmp_path.stat().st_mtime_ns

    storage.recover(out)
    storage.recover(tmp_path / "absent")

    assert tmp_path.stat().st_mtime_ns == before


@pytest.mark.parametrize("torn", [b"", b'{"doit": 1, "stag', b"[]", b"{}"])
def test_a_torn_journal_means_that_nothing_was_moved(tmp_path, torn):
    out = tmp_path / "out"
    build(out, 1)
    (tmp_path / ".out.journal").write_bytes(torn)

    storage.recover(out)

    assert version_of(out) == 1
    assert beside(out) == []


def journal(out: Path, owner: str) -> None:
    entry = {"doit": 1, "staging": ".out.staging-x", "aside": ".out.old-x", "owner": owner}
    out.with_name(".out.journal").write_bytes(orjson.dumps(entry))


def test_the_swap_of_a_living_process_is_not_touched(tmp_path):
    out = tmp_path / "out"
    build(out, 1)
    journal(out, folderlock.process_mark(os.getppid()))

    with pytest.raises(StorageError) as caught:
        storage.recover(out)

    assert caught.value.code == "D103"
    assert version_of(out) == 1


def test_a_folder_put_in_the_way_of_recovery_is_not_deleted(tmp_path):
    out = tmp_path / "out"
    for name, version in ((".out.old-x", 1), (".out.staging-x", 2)):
        build(tmp_path / "made", version)
        (tmp_path / "made").rename(tmp_path / name)
    out.mkdir()
    (out / "mine").write_text("mine")
    journal(out, "1-1")

    with pytest.raises(StorageError, match="move this folder away") as caught:
        storage.recover(out)
    assert caught.value.code == "D101"

    out.rename(tmp_path / "elsewhere")
    storage.recover(out)
    assert version_of(out) == 2
    assert beside(out) == ["elsewhere"]


def test_the_old_folder_comes_back_when_the_new_one_is_gone(tmp_path):
    out = tmp_path / "out"
    build(out, 1)
    out.rename(tmp_path / ".out.old-x")
    journal(out, "1-1")

    storage.recover(out)

    assert version_of(out) == 1
    assert beside(out) == []


CHILD = """
import json, os, sys
from pathlib import Path
from doit import storage

def build(out, version):
    with storage.replacing(out) as staging:
        (staging / "data").mkdir()
        for number in range(3):
            (staging / "data" / f"{number}.txt").write_text(str(version))
        (staging / "manifest.json").write_text(json.dumps({"doit": 1, "version": version}))
"""

UNLOCKED = (
    CHILD
    + """
import fcntl
from doit.errors import StorageError
fcntl.flock = lambda handle, how: None
done = 0
for turn in range(25):
    try:
        build(Path(sys.argv[1]), int(sys.argv[2]) * 1000 + turn)
        done += 1
    except StorageError as error:
        # D101 and D104 when OUT is moved between two looks at it
        if error.code not in {"D101", "D103", "D104"}:
            raise
print(done)
"""
)


@pytest.mark.slow
def test_builders_without_working_locks_never_mix(tmp_path):
    """Locks that everybody gets: each build is whole, or told that another one is swapping."""
    out = tmp_path / "out"
    build(out, 0)

    children = [
        subprocess.Popen([sys.executable, "-c", UNLOCKED, str(out), str(worker)], stdout=subprocess.PIPE, text=True)
        for worker in range(1, 5)
    ]
    answers = [child.communicate(timeout=60)[0] for child in children]

    assert [child.returncode for child in children] == [0] * 4
    assert sum(map(int, answers)) > 0
    storage.recover(out)
    assert version_of(out) > 0
    build(out, 9)
    assert version_of(out) == 9
    assert beside(out) == []


FOREVER = (
    CHILD
    + """
version = int(sys.argv[2])
while True:
    build(Path(sys.argv[1]), version)
    os.write(1, f"{version}\\n".encode())
    version += 1
"""
)


@pytest.mark.slow
def test_random_kills_leave_the_old_folder_or_the_new_one(tmp_path):
    """SIGKILL at random moments of a loop of builds; each recovery must find the last version or the one after it."""
    out = tmp_path / "out"
    chance = random.Random(7)
    build(out, 0)
    done, kills, unfinished = 0, 0, 0

    while kills < 60:
        child = subprocess.Popen(
            [sys.executable, "-c", FOREVER, str(out), str(done + 1)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(chance.random() * 0.02)
        child.kill()
        printed = first + child.stdout.read()
        child.stdout.close()
        child.wait()
        assert child.returncode == -9
        kills += 1
        last = int(printed.split(b"\n")[-2])

        unfinished += (tmp_path / ".out.journal").exists()
        storage.recover(out)

        assert version_of(out) in {last, last + 1}
        done = version_of(out) + 1
        build(out, done)
        assert version_of(out) == done
        assert beside(out) == []
    print(f"{kills} kills, {done} versions, {unfinished} of them in the middle of a swap")
    assert unfinished > 0


STEPS = (
    CHILD
    + """
out, step, after = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "after"
count = 0

def counted(function):
    def call(*arguments, **options):
        global count
        count += 1
        mine = count
        if mine == step and not after:
            os._exit(9)
        try:
            return function(*arguments, **options)
        finally:
            if mine == step:
                os._exit(9)
    return call

for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync", "open"):
    setattr(os, name, counted(getattr(os, name)))
build(out, 2)
print(count)
"""
)


def stepped(out: Path, step: int, moment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", STEPS, str(out), str(step), moment], capture_output=True, check=False, timeout=60
    )


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_every_system_call_leaves_the_old_folder_or_the_new_one(tmp_path, moment):
    total = None
    step, seen = 0, []
    while total is None:
        step += 1
        out = tmp_path / str(step) / "out"
        build(out, 1)

        child = stepped(out, step, moment)

        if child.returncode == 0:
            total = int(child.stdout)
            break
        assert child.returncode == 9, child.stderr.decode()
        storage.recover(out)
        seen.append(version_of(out))
        build(out, 3)
        assert version_of(out) == 3
        assert beside(out) == []

    assert total == step - 1
    assert total > 20
    assert seen == sorted(seen), "once the new version is there, no later kill brings the old one back"
    assert set(seen) == {1, 2}


CALLS = ("rename", "unlink", "rmdir", "mkdir", "fsync")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_an_error_of_every_system_call_is_said_and_leaves_a_whole_folder(tmp_path, monkeypatch, number):
    finished, step, refused = False, 0, 0
    while not finished:
        step += 1
        out = tmp_path / f"{step}" / "out"
        build(out, 1)
        count = 0

        def failing(function, step=step):
            def call(*arguments, **options):
                nonlocal count
                count += 1
                if count == step:
                    raise OSError(number, os.strerror(number))
                return function(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, failing(getattr(os, name)))
            try:
                build(out, 2)
                said = ""
            except StorageError as error:
                said = error.code
            except PermissionError:
                said = "EACCES"  # without a file name it may be about anything that the block does
        assert said in {"", "D104", "EACCES" if number == errno.EACCES else "D104"}
        assert version_of(out) == (1 if said else 2)
        refused += bool(said)
        finished = count < step

        build(out, 3)
        assert version_of(out) == 3
        assert beside(out) == []
    assert refused > 10


def test_removing_any_sync_is_noticed(tmp_path, monkeypatch):
    """Each file and folder of the new version, the journal and the folder around OUT reach the disk in time."""
    out = tmp_path / "out"
    build(out, 1)
    log: list[str] = []
    fsync, rename = os.fsync, os.rename

    def logged_sync(handle: int) -> None:
        log.append(Path(f"/proc/self/fd/{handle}").readlink().name.split("-")[0])
        fsync(handle)

    def logged_rename(source, target, **options) -> None:
        log.append(f"{Path(source).name.split('-')[0]} > {Path(target).name.split('-')[0]}")
        rename(source, target, **options)

    if not Path("/proc/self/fd").exists():
        pytest.skip("names of open files are read from /proc")
    monkeypatch.setattr(os, "fsync", logged_sync)
    monkeypatch.setattr(os, "rename", logged_rename)

    build(out, 2)

    around = tmp_path.name.split("-")[0]
    assert sorted(log[:3]) == ["0.txt", "1.txt", "2.txt"]
    assert log[3:] == [
        *("data", "manifest.json", ".out.staging", ".out.journal", around),
        *("out > .out.old", ".out.staging > out", around),
        *(".out.old > .out.trash", around),
    ]


def test_reading_errors_of_the_block_are_not_blamed_on_the_disk(tmp_path):
    with pytest.raises(FileNotFoundError), storage.replacing(tmp_path / "out"):
        (tmp_path / "source.jsonl").read_bytes()


def test_a_full_disk_says_how_much_is_free(tmp_path):
    with (
        pytest.raises(StorageError, match=r"No space left on device\. [0-9,]+ bytes are free"),
        storage.replacing(tmp_path / "out"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_may_not_be_written_is_said(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a"))

    monkeypatch.setattr(os, "mkdir", refuse)

    with pytest.raises(StorageError, match="may write to") as caught:
        build(tmp_path / "a" / "out", 1)

    assert caught.value.code == "D104"


def test_single_files(tmp_path):
    storage.write_json(tmp_path / "a" / "x.json", {"乙": 1, "甲": [1.5, None]})
    storage.write_text(tmp_path / "x.txt", "一\r\n二\n")
    storage.write_bytes(tmp_path / "x.bin", b"\0")

    assert (tmp_path / "a" / "x.json").read_text("utf-8") == textwrap.dedent(
        """\
        {
          "乙": 1,
          "甲": [
            1.5,
            null
          ]
        }
        """
    )
    assert (tmp_path / "x.txt").read_bytes() == "一\r\n二\n".encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "x.bin", "x.txt"]


def test_atomic_file_keeps_the_old_file_on_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("长" * 80)
    storage.write_text(path, "old")

    def write_half() -> None:
        with storage.atomic_file(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device", str(temporary))

    with pytest.raises(StorageError) as caught:
        write_half()

    assert caught.value.code == "D104"
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_publish_file(tmp_path):
    (tmp_path / "t").write_text("new")
    (tmp_path / "f").write_text("old")

    storage.publish_file(tmp_path / "t", tmp_path / "f")

    assert (tmp_path / "f").read_text() == "new"
    assert not (tmp_path / "t").exists()
    with pytest.raises(StorageError, match="D104"):
        storage.publish_file(tmp_path / "t", tmp_path / "f")


def test_a_published_file_is_on_the_disk_before_and_after_its_name(tmp_path, monkeypatch):
    log: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (log.append("sync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names, **options: (log.append("rename"), replace(*names, **options)))

    storage.write_text(tmp_path / "x", "x")

    assert log == ["sync", "rename", "sync"]


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """The holder removes its file just before we lock it: we must lock the one that the next process will see."""
    out, flock, removed = tmp_path / "out", fcntl.flock, []

    def late(handle: int, how: int) -> None:
        if not removed:
            removed.append(tmp_path / ".out.lock")
            removed[0].unlink()
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)

    with folderlock.folder_lock(out):
        assert (tmp_path / ".out.lock").exists()
        with pytest.raises(StorageError, match="D103"), folderlock.folder_lock(out):
            pass
    assert list(tmp_path.iterdir()) == []


def test_file_digest(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")

    assert storage.file_digest(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223")
    with pytest.raises(SpecError, match="D206"):
        storage.file_digest(tmp_path / "absent")


@pytest.mark.parametrize(
    "path",
    [
        *("..", "../x", "a/../../x", "a/..", "/etc/passwd", "~", "~root/x", "C:/x", "c:x", "\\x", "\\\\host\\share"),
        *("a\\..\\..\\x", "file:///etc", "https://x", "a\0b", "out", "chain", "\u202e/../..", "loop"),
    ],
)
def test_safe_relative_refuses(tmp_path, path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    (root / "chain").symlink_to("out")
    (root / "loop").symlink_to("../root-other")

    with pytest.raises(SpecError) as caught:
        storage.safe_relative(path, root)

    assert caught.value.code == "D209"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ["a.jsonl", "子/..x/数据.jsonl", ".", "", "link/x", "a b/c"])
def test_safe_relative_accepts(tmp_path, path):
    root = tmp_path / "root"
    (root / "子").mkdir(parents=True)
    (root / "link").symlink_to("子")
    (tmp_path / "alias").symlink_to("root")

    found = storage.safe_relative(path, tmp_path / "alias")

    assert found == (root / "子" / "x" if path == "link/x" else root / path)
    assert storage.safe_relative(found, root) == found


SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("tags", pa.list_(pa.string())),
        ("n", pa.int32()),
    ]
)


def rows(count: int, width: int) -> list[dict[str, object]]:
    chance = random.Random(count)
    return [
        {
            "id": f"{number:032x}",
            "messages": None
            if number % 11 == 0
            else [{"role": "user", "content": "问" * chance.randrange(width)}, {"role": None, "content": None}],
            "tags": [] if number % 3 else ["一", None],
            "n": None if number % 5 else number,
        }
        for number in range(count)
    ]


def written(path: Path, tables: list[pa.Table]) -> str:
    with storage.parquet_writer(path, SCHEMA) as table:
        for part in tables:
            table.write_table(part)
    return storage.file_digest(path)


@pytest.mark.parametrize("group_bytes", [16 << 20, 50_000])
def test_parquet_bytes_do_not_depend_on_the_batches(tmp_path, monkeypatch, group_bytes):
    monkeypatch.setattr(parquet, "GROUP_BYTES", group_bytes)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 1000)
    data = rows(2500, 60)
    whole = pa.Table.from_pylist(data, schema=SCHEMA)
    wide = whole.cast(
        pa.schema(
            [
                ("id", pa.large_string()),
                ("messages", pa.large_list(pa.struct([("role", pa.large_string()), ("content", pa.string())]))),
                ("tags", pa.large_list(pa.large_string())),
                ("n", pa.int64()),
            ]
        )
    ).select(["n", "tags", "messages", "id"])
    batches = {
        "whole": [whole],
        "single rows": [whole.slice(at, 1) for at in range(2500)],
        "odd": [wide.slice(at, 333) for at in range(0, 2500, 333)],
        "fresh": [pa.Table.from_pylist(data[at : at + 700], schema=SCHEMA) for at in range(0, 2500, 700)],
        "chunked": [pa.concat_tables([whole.slice(0, 10), whole.slice(10)]), whole.slice(0, 0)],
    }

    digests = {name: written(tmp_path / "x.parquet", tables) for name, tables in batches.items()}

    assert len(set(digests.values())) == 1, digests
    file = pq.ParquetFile(tmp_path / "x.parquet", page_checksum_verification=True)
    assert file.read().equals(whole)
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    assert max(sizes) <= 1000
    assert (len(sizes) > 3) == (group_bytes == 50_000)


def test_parquet_of_no_rows_keeps_its_columns(tmp_path):
    written(tmp_path / "x.parquet", [])

    assert pq.read_schema(tmp_path / "x.parquet").equals(SCHEMA)


def test_parquet_of_huge_rows_keeps_groups_small(tmp_path):
    table = pa.table({"id": ["x" * (6 << 20)] * 7}).append_column("messages", pa.nulls(7))
    table = table.append_column("tags", pa.nulls(7)).append_column("n", pa.nulls(7))

    written(tmp_path / "x.parquet", [table])

    metadata = pq.read_metadata(tmp_path / "x.parquet")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [3, 3, 1]


def test_a_failed_parquet_table_leaves_nothing(tmp_path):
    table = pa.Table.from_pylist(rows(5, 3), schema=SCHEMA)

    with pytest.raises(KeyError):
        written(tmp_path / "x.parquet", [table, table.drop(["id"])])

    assert list(tmp_path.iterdir()) == []


def test_disk_errors_of_arrow_are_coded(tmp_path, monkeypatch):
    def full(self, table):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(parquet.ParquetTable, "write_table", full)

    with pytest.raises(StorageError, match="D104"):
        written(tmp_path / "x.parquet", [pa.Table.from_pylist(rows(5, 3), schema=SCHEMA)])
    assert list(tmp_path.iterdir()) == []


def test_slim_parquet_has_plain_strings_and_a_group_a_table(tmp_path):
    named = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([("id", pa.string()), ("cell", named), ("row", pa.int64())])
    table = pa.table({"id": ["a", None, "语"], "cell": ["x", "y", None], "row": [7, None, 1 << 40]}, schema=schema)

    storage.write_slim_parquet(tmp_path / "x.parquet", schema, [table, table.slice(1, 1)], counted=["row"])

    file = pq.ParquetFile(tmp_path / "x.parquet", page_checksum_verification=True)
    plain = pa.schema([("id", pa.string()), ("cell", pa.string()), ("row", pa.int64())])
    assert file.schema_arrow.equals(plain, check_metadata=True)
    assert file.read().to_pylist() == [*table.to_pylist(), *table.slice(1, 1).to_pylist()]
    assert [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)] == [3, 1]


def test_a_failed_slim_parquet_file_leaves_nothing(tmp_path):
    table = pa.table({"id": ["a"]})

    def tables():
        yield table
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="D104"):
        storage.write_slim_parquet(tmp_path / "x.parquet", table.schema, tables())

    assert list(tmp_path.iterdir()) == []
