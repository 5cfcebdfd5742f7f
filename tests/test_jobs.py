from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pytest

from doit import jobs
from doit.errors import DataError, MissingExtra, SpecError, StorageError

ROOT = Path(__file__).resolve().parents[1]


def slow_square(number: int) -> int:
    time.sleep(0.05 * (3 - number % 4))
    return number * number


def process_of(number: int) -> int:
    return os.getpid()


def refuse_odd(number: int) -> int:
    if number % 2:
        time.sleep(0.2 if number == 1 else 0)
        raise DataError("D320", f"shard {number} is empty.", where="a.jsonl", hint="Look.")
    return number


def die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fault(number: int) -> int:
    return 1 // (number - 1)


@pytest.mark.parametrize("count", [1, 2])
def test_results_keep_the_order_of_the_shards(count):
    told: list[int] = []

    results = jobs.run(slow_square, range(8), jobs=count, progress=told.append)

    assert results == [number * number for number in range(8)]
    assert sorted(told) == results


@pytest.mark.parametrize(("count", "shards", "here"), [(1, 4, True), (2, 1, True), (2, 4, False)])
def test_other_processes_are_started_only_when_they_help(count, shards, here):
    pids = jobs.run(process_of, list(range(shards)), jobs=count)

    assert (set(pids) == {os.getpid()}) == here


def test_the_caller_takes_part_where_it_is_asked_to():
    pids = jobs.run(process_of, list(range(4)), jobs=2, takes_part=True)

    assert os.getpid() in pids
    assert len(set(pids)) == 2


def test_with_the_caller_taking_part_order_and_errors_are_the_same():
    told: list[int] = []

    results = jobs.run(slow_square, range(8), jobs=2, progress=told.append, takes_part=True)

    assert results == [number * number for number in range(8)]
    assert sorted(told) == results
    with pytest.raises(DataError, match="shard 1 "):
        jobs.run(refuse_odd, [0, 1, 2, 3], jobs=2, takes_part=True)


def test_no_shards_no_results():
    assert jobs.run(slow_square, [], jobs=4) == []


@pytest.mark.parametrize("count", [1, 2])
def test_the_error_of_the_first_shard_comes_back_as_itself(count):
    with pytest.raises(DataError) as caught:
        jobs.run(refuse_odd, [1, 3, 5, 7, 0], jobs=count)

    error = caught.value
    assert (error.code, error.what, error.where, error.hint) == ("D320", "shard 1 is empty.", "a.jsonl", "Look.")


def test_an_error_that_is_not_ours_comes_back_too():
    with pytest.raises(ZeroDivisionError):
        jobs.run(fault, [0, 1, 2], jobs=2)


def test_a_dead_worker_is_said():
    with pytest.raises(StorageError, match="fewer jobs") as caught:
        jobs.run(die, range(6), jobs=2)

    assert caught.value.code == "D105"


@pytest.mark.parametrize(("options", "words"), [({"jobs": 0}, "--jobs"), ({"engine": "spark"}, "local or ray")])
def test_calls_that_make_no_sense(options, words):
    with pytest.raises(SpecError, match=words) as caught:
        jobs.run(slow_square, [1], **options)

    assert caught.value.code == "D204"


SCRIPT = """
import os, sys, time
from pathlib import Path
from doit import jobs

def wait(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    jobs.run(wait, [sys.argv[1]] * 4, jobs=2)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path, blow):
    if not Path("/proc/self/stat").exists():
        pytest.skip("processes are looked up in /proc")
    script, folder = tmp_path / "script.py", tmp_path / "pids"
    script.write_text(SCRIPT)
    folder.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until = time.monotonic() + 30
    while len(list(folder.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    workers = [int(path.name) for path in folder.iterdir()]
    assert len(workers) == 2

    parent.send_signal(blow)
    _, errors = parent.communicate(timeout=5)

    until = time.monotonic() + 5
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, workers))
    assert (b"KeyboardInterrupt" in errors) == (blow == signal.SIGINT)


def test_ray_that_is_not_installed_is_named(monkeypatch):
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)

    with pytest.raises(MissingExtra, match=r"pip install 'doit-mix\[ray\]'") as caught:
        jobs.run(slow_square, [1, 2], engine="ray")

    assert caught.value.code == "D208"


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def pretend_ray(calls: list[str]) -> types.ModuleType:
    """A module with the few calls that are made, which finishes tasks last come, first served."""
    ray = types.ModuleType("ray")

    def get(task):
        function, shard = task
        if shard == "lost":
            raise RayError("worker crashed")
        try:
            return function(shard)
        except Exception as error:  # noqa: BLE001 - as Ray does
            raise RayTaskError(error) from None

    ray.is_initialized = lambda: False
    ray.init = lambda **options: calls.append(f"init {options['num_cpus']}")
    ray.shutdown = lambda: calls.append("shutdown")
    ray.remote = lambda function: types.SimpleNamespace(remote=lambda shard: (function, shard))
    ray.wait = lambda tasks, num_returns: (tasks[-1:], tasks[:-1])
    ray.get = get
    ray.exceptions = types.SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    return ray


@pytest.mark.parametrize(
    ("function", "shards", "expected"),
    [
        (abs, [-1, -2, -3], [1, 2, 3]),
        (refuse_odd, [0, 1, 3], DataError),
        (abs, ["text"], RayTaskError),
        (abs, [1, "lost"], StorageError),
    ],
)
def test_ray_gives_the_same_answers(monkeypatch, function, shards, expected):
    calls: list[str] = []
    told: list[int] = []
    monkeypatch.setitem(sys.modules, "ray", pretend_ray(calls))

    def answer():
        return jobs.run(function, shards, jobs=3, engine="ray", progress=told.append)

    if isinstance(expected, list):
        assert answer() == expected
    else:
        with pytest.raises(expected):
            answer()

    assert calls == ["init 3", "shutdown"]
    if isinstance(expected, list):
        assert sorted(told) == expected


@pytest.mark.slow
def test_real_ray_gives_the_same_answers():
    pytest.importorskip("ray", reason="Ray is not installed")
    code = textwrap.dedent(
        """
        from doit import jobs
        from doit.errors import DataError

        def square(number):
            if number > 5:
                raise DataError("D320", "too big.", where=str(number))
            return number * number

        assert jobs.run(square, range(6), jobs=2, engine="ray") == [0, 1, 4, 9, 16, 25]
        try:
            jobs.run(square, range(9), jobs=2, engine="ray")
        except DataError as error:
            assert (error.code, error.where) == ("D320", "6"), error
        else:
            raise AssertionError("no error")
        """
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=ROOT, check=False
    )

    assert done.returncode == 0, done.stderr
