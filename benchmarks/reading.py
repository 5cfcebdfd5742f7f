"""How long it takes to normalise 500,000 Alpaca rows, beside a bare Polars pipeline and beside `datasets`.

    python benchmarks/reading.py [--rows 500000] [--rounds 3]

Every case runs in a process of its own, the cases in turn, round after round; what counts is the median, and the ratio
within this run. The time is that of the work, from the first call to the last byte written, imports apart; so are the
processors' seconds, which other work on the machine disturbs less; the memory is the peak of the process or of a child.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHINESE = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多"
)
ENGLISH = [
    "the",
    "of",
    "and",
    "to",
    "a",
    "in",
    "is",
    "it",
    "you",
    "that",
    "he",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "his",
    "they",
    "be",
    "at",
    "one",
    "have",
    "this",
    "from",
]


def generate(path: Path, rows: int) -> None:
    """Alpaca rows, three in five Chinese, about 480 bytes each, every one different."""
    chance = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            if number % 5 < 3:
                asked, answered = "".join(chance.choices(CHINESE, k=30)), "".join(chance.choices(CHINESE, k=115))
            else:
                asked, answered = " ".join(chance.choices(ENGLISH, k=14)), " ".join(chance.choices(ENGLISH, k=95))
            row = {"instruction": f"{number} {asked}", "input": "" if number % 3 else asked[:10], "output": answered}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def bare_polars(source: Path, folder: Path) -> float:
    """Scan with a schema, build messages, sink to Parquet: no checks, ids, language, rejects or digests."""
    import polars as pl

    began = time.perf_counter()
    schema = dict.fromkeys(("instruction", "input", "output"), pl.String)
    joined = pl.concat_str("instruction", pl.lit("\n"), "input")
    user = pl.when(pl.col("input") == "").then("instruction").otherwise(joined)
    turns = [
        pl.struct(role=pl.lit("user"), content=user),
        pl.struct(role=pl.lit("assistant"), content=pl.col("output")),
    ]
    pl.scan_ndjson(source, schema=schema).select(messages=pl.concat_list(turns)).sink_parquet(folder / "bare.parquet")
    return time.perf_counter() - began


def doit_pool(source: Path, folder: Path) -> float:
    """Our pool: strict checks, ids, languages, labels, rejects, digests; as many processes as help."""
    os.environ["DOIT_CACHE"] = str(folder)
    from doit.mixtures.loading import resolve
    from doit.mixtures.pools.pool import build_pool

    card = {"name": "bench", "shape": {"kind": "alpaca"}, "source": {"files": str(source)}}
    resolved = resolve({"name": "b", "size": "all", "sources": [{"dataset": card}]}, folder=folder, where="bench")
    began = time.perf_counter()
    pool = build_pool(resolved.sources)
    taken = time.perf_counter() - began
    assert sum(file.read for file in pool.inputs) == sum(1 for _ in source.open("rb"))
    return taken


def datasets_map(source: Path, folder: Path) -> float:
    """`load_dataset("json")`, a function a row in two processes, `to_parquet`."""
    import datasets

    datasets.disable_progress_bars()
    began = time.perf_counter()
    loaded = datasets.load_dataset("json", data_files=str(source), split="train", cache_dir=str(folder))
    mapped = loaded.map(as_messages, num_proc=2, remove_columns=loaded.column_names)
    mapped.to_parquet(folder / "mapped.parquet")
    return time.perf_counter() - began


def as_messages(row: dict[str, str]) -> dict[str, list[dict[str, str]]]:
    asked = f"{row['instruction']}\n{row['input']}" if row["input"] else row["instruction"]
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}]}


CASES: dict[str, Callable[[Path, Path], float]] = {
    "bare Polars": bare_polars,
    "doit": doit_pool,
    "datasets.map": datasets_map,
}


def usage() -> tuple[float, float]:
    """(processors' seconds, peak MB) of this process and its children so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used), max(one.ru_maxrss for one in used) / 1024


def prepare(name: str) -> None:
    """Import what a case stands on, so that it is not measured."""
    modules = {"bare Polars": ["polars"], "doit": ["doit.mixtures.pools.pool"], "datasets.map": ["datasets"]}
    for module in modules[name]:
        importlib.import_module(module)


def run_case(name: str, source: Path) -> tuple[float, float, float]:
    """(seconds, processors' seconds, MB) of one case in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--case", name, "--source", str(source), "--folder", folder]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
    seconds, busy, peak = json.loads(answer)
    return seconds, busy, peak


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.case:
        prepare(options.case)
        before, _ = usage()
        seconds = CASES[options.case](options.source, options.folder)
        after, peak = usage()
        print(json.dumps([seconds, after - before, peak]))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "alpaca.jsonl"
        generate(source, options.rows)
        runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CASES}
        for _ in range(options.rounds):
            for name in CASES:
                runs[name].append(run_case(name, source))
        print(f"{options.rows:,} Alpaca rows, {source.stat().st_size / 1e6:.0f} MB, median of {options.rounds} rounds")
    base, base_processors = (statistics.median(column) for column in list(zip(*runs["bare Polars"], strict=True))[:2])
    for name, measured in runs.items():
        taken, busy, peaks = zip(*measured, strict=True)
        median, processors = statistics.median(taken), statistics.median(busy)
        ratio = f"{median / base:5.2f} × bare Polars ({processors / base_processors:.2f} × its processors)"
        spread = f"{min(taken):.1f}–{max(taken):.1f}"
        print(f"{name:14} {median:7.2f} s  ({spread} s)  {processors:6.2f} CPU-s  {ratio}  {max(peaks):6.0f} MB")


if __name__ == "__main__":
    main()
