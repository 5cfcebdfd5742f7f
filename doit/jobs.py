"""Run one function over shards: in this process, in several processes, or as Ray tasks; the answer is the same."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from queue import SimpleQueue
from typing import Any, TypeVar

from doit.errors import DoitError, MissingExtra, SpecError, StorageError

T = TypeVar("T")
R = TypeVar("R")


def run(
    function: Callable[[T], R],
    shards: Sequence[T],
    *,
    jobs: int = 1,
    engine: str = "local",
    progress: Callable[[R], None] | None = None,
    takes_part: bool = False,
) -> list[R]:
    """Call `function` once for each shard.

    Args:
        function: takes a shard and gives its result; a module-level function when it runs elsewhere than here.
        shards: what to work on; order is kept, and work begins in it.
        jobs: processes (`local`) or CPUs (`ray`) at a time; 1 with `local` means this process, with no other started.
        engine: `local` or `ray`.
        progress: called in this process with the result of each shard as it is done, in any order.
        takes_part: whether this process is one of the `jobs`, which saves the start of another. Not for work that can
            end its process, which here is the caller's, too.

    Returns:
        The results in the order of the shards, whatever the order in which they came.

    Raises:
        DoitError: what a shard raised, as itself; of several failures that of the first shard.
        StorageError: D105 when a worker died without a word.
        MissingExtra: D208 when Ray is asked for and not installed.
        SpecError: D204 when `jobs` is below 1 or the engine is not known.
    """
    if jobs < 1:
        raise SpecError("D204", f"must be 1 or more, not {jobs}.", where="--jobs")
    if engine not in {"local", "ray"}:
        raise SpecError("D204", f'must be local or ray, not "{engine}".', where="--engine")
    tell = progress or (lambda result: None)
    if engine == "ray":
        return _run_ray(function, shards, jobs, tell)
    if jobs == 1 or len(shards) < 2:
        results = []
        for shard in shards:
            results.append(function(shard))
            tell(results[-1])
        return results
    return _run_processes(function, shards, min(jobs, len(shards)), tell, takes_part=takes_part)


def _run_processes(
    function: Callable[[T], R], shards: Sequence[T], jobs: int, tell: Callable[[R], None], *, takes_part: bool
) -> list[R]:
    # spawn, because the threads of polars do not survive a fork
    context = multiprocessing.get_context("spawn")
    strangers = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs - takes_part, mp_context=context, initializer=_prepare_worker)
    threads = ThreadPoolExecutor(jobs)
    try:
        submit = _sharing(pool, threads, jobs) if takes_part else pool.submit
        futures = [submit(function, shard) for shard in shards]
        _await(futures, tell)
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise _dead_worker() from error
    except BaseException as error:
        threads.shutdown(wait=False, cancel_futures=True)
        pool.shutdown(wait=False, cancel_futures=True)
        if not isinstance(error, Exception):
            for child in set(multiprocessing.active_children()) - strangers:
                child.terminate()
        raise
    finally:
        threads.shutdown(wait=True, cancel_futures=True)
        pool.shutdown(wait=True, cancel_futures=True)


def _sharing(
    pool: ProcessPoolExecutor, threads: ThreadPoolExecutor, jobs: int
) -> Callable[[Callable[[T], R], T], Future[R]]:
    """A `submit` whose shards go to this process or to one of the pool's, whichever is free."""
    free: SimpleQueue[bool] = SimpleQueue()
    for number in range(jobs):
        free.put(number == 0)

    def work(function: Callable[[T], R], shard: T) -> R:
        here = free.get()
        try:
            return function(shard) if here else pool.submit(function, shard).result()
        finally:
            free.put(here)

    return lambda function, shard: threads.submit(work, function, shard)


def _await(futures: list[Future[R]], tell: Callable[[R], None]) -> None:
    """Wait for all shards; after a failure only for those before it, so that the error told is always the same one."""
    waiting: set[Future[R]] = set(futures)
    place = {future: number for number, future in enumerate(futures)}
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        failed = [place[future] for future in done if future.exception() is not None]
        for future in done:
            if future.exception() is None:
                tell(future.result())
        if failed:
            for future in futures[min(failed) + 1 :]:
                future.cancel()
            waiting = {future for future in waiting if place[future] < min(failed)}


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _dead_worker() -> StorageError:
    return StorageError(
        "D105",
        "a worker process died without a word; most often the memory ran out.",
        where="--jobs",
        hint='Use fewer jobs. In a script of your own, call this under `if __name__ == "__main__":`.',
    )


def _run_ray(function: Callable[[T], R], shards: Sequence[T], jobs: int, tell: Callable[[R], None]) -> list[R]:
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        hint = "Install it with: pip install 'doit-mix[ray]'"
        raise MissingExtra("D208", "the engine `ray` is not installed.", where="--engine", hint=hint) from error
    started = not ray.is_initialized()
    if started:
        ray.init(num_cpus=jobs, include_dashboard=False, log_to_driver=False)
    try:
        task = ray.remote(function)
        tasks = [task.remote(shard) for shard in shards]
        waiting = list(tasks)
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            try:
                result = _ray_result(ray, done[0])
            except Exception:  # noqa: BLE001, S112 - raised below, for the first shard that failed
                continue
            tell(result)
        return [_ray_result(ray, one) for one in tasks]
    finally:
        if started:
            ray.shutdown()


def _ray_result(ray: Any, task: Any) -> Any:
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, DoitError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise _dead_worker() from error
