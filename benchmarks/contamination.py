"""How fast records stream past benchmark items.

    python benchmarks/contamination.py [--rows 100000 300000] [--items 20000] [--kind mixed templates]

Rows are those of `benchmarks/near_duplicates.py`; items are made the same way, and one row in a thousand has one added.
Every case runs in a process of its own with one thread; the seconds are the processor's, those of `index` for reading
the items and `seconds` for all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time

from near_duplicates import mixed, templates


def one_case(kind: str, rows: int, items: int) -> None:
    import polars as pl

    from doit.curation.contamination.benchmark_index import BenchmarkIndex
    from doit.curation.contamination.finding import contaminated

    chance = random.Random(2)
    made = {"mixed": mixed, "templates": templates}[kind](rows + items)
    chance.shuffle(made)
    sought, texts = made[:items], made[items:]
    for at in range(0, rows, 1000):
        texts[at] = f"{texts[at]}\n{chance.choice(sought)}"
    setting = {"words": 8, "characters": 8, "coverage": 0.7}
    contaminated(pl.Series(texts[:1]), pl.Series(sought[:1]), **setting)  # makes the tables of characters
    began = time.process_time()
    BenchmarkIndex.of(pl.Series(sought), **setting)
    indexed = time.process_time()
    found = contaminated(pl.Series(texts), pl.Series(sought), **setting)
    seconds = time.process_time() - indexed
    held = found["at"].n_unique()
    print(json.dumps({"characters": sum(map(len, texts)), "held": held, "index": indexed - began, "seconds": seconds}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--kind", choices=["mixed", "templates"], nargs="+", default=["mixed", "templates"])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        one_case(asked.one[0], int(asked.one[1]), int(asked.one[2]))
        return
    env = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    print("| rows | kind | characters | rows that hold an item | index, s | seconds | rows a second |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind in asked.kind:
        for rows in asked.rows:
            case = [sys.executable, __file__, "--one", kind, str(rows), str(asked.items)]
            told = json.loads(subprocess.run(case, env=env, check=True, capture_output=True, text=True).stdout)
            rate = rows / told["seconds"]
            print(
                f"| {rows:,} | {kind} | {told['characters']:,} | {told['held']:,} | {told['index']:.2f}"
                f" | {told['seconds']:.2f} | {rate:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
