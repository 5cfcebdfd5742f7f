"""How long mixtures take: rebuilding after a change of the spec, drawing, planning, and BELLE's series at full size.

    python benchmarks/mixtures.py [--case rebuild|draw|plan|series] [--records 1000000]

Every build runs in a process of its own, `python -m doit build`, so that the start of Python counts, with modules that
are compiled, as pip leaves them; its memory is the peak of the process and its children. Ratios are of one run: what
else the machine does meanwhile meets both sides.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

CHARACTERS = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多"
)
WORDS = ("the", "of", "and", "to", "a", "in", "is", "it", "you", "that", "he", "was", "for", "on", "are", "with", "as")
ABILITIES = (
    "biology",
    "history",
    "code",
    "creative_writing",
    "chinese",
    "understanding",
    "role_play",
    "reasoning",
    "math",
    "ethics",
)
SIZES = (200_000, 600_000, 1_000_000, 2_000_000)


def write_rows(path: Path, records: int, *, long: bool) -> None:
    """Alpaca rows, no two the same: about 500 bytes each where `long`, two in five English; else about 100."""
    chance = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(records):
            if not long:
                asked, answered = "".join(chance.choices(CHARACTERS, k=6)), "".join(chance.choices(CHARACTERS, k=8))
            elif chance.random() < 0.6:
                asked, answered = "".join(chance.choices(CHARACTERS, k=30)), "".join(chance.choices(CHARACTERS, k=115))
            else:
                asked, answered = " ".join(chance.choices(WORDS, k=14)), " ".join(chance.choices(WORDS, k=95))
            row = {"instruction": f"{number} {asked}", "output": answered}
            if long:
                row["kind"] = ABILITIES[number % 10]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def build(spec: dict[str, Any], out: Path, folder: Path) -> tuple[dict[str, Any], float, float]:
    """(answer, seconds, MB) of one build in a process of its own, with a cache in `folder`."""
    path = folder / "spec.yaml"
    path.write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
    command = [sys.executable, __file__, "--doit", "build", str(path), str(out), "--json"]
    began = time.perf_counter()
    environment = {**os.environ, "DOIT_CACHE": str(folder / "cache")}
    ran = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False)
    seconds = time.perf_counter() - began
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return json.loads(ran.stdout), seconds, float(ran.stderr.rstrip().splitlines()[-1])


def doit(arguments: list[str]) -> None:
    """The command itself, and its peak memory on the last line of standard error."""
    from doit.cli import main as command

    sys.argv = ["doit", *arguments]
    try:
        command()
    finally:
        peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        print(max(peaks) / 1024, file=sys.stderr)


def rebuild(records: int) -> Iterator[str]:
    """The first build, then builds of other specs over the same files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "rows.jsonl", records, long=True)
        card = {"name": "bench", "shape": {"kind": "alpaca"}, "source": {"files": "rows.jsonl"}}
        card["ability"] = {"field": "kind"}
        mix = {"language": {"zh": 0.7, "en": 0.3}, "ability": {"math": 0.2, "code": 0.3, "*": 0.5}}
        spec = {"name": "bench", "size": 10_000, "sources": [{"dataset": card}], "mix": mix}
        compileall.compile_dir(Path(__file__).resolve().parent.parent / "doit", quiet=1)
        time.sleep(2.5)  # a file that was written a moment ago is not trusted by its times
        _, first, peak = build(spec, folder / "out", folder)
        yield f"first build of 10,000 from {records:,} records: {first:.2f} s, {peak:.0f} MB"
        spec["mix"] = {"language": {"zh": 0.5, "en": 0.5}, "ability": {"math": 0.4, "*": 0.6}}
        later = []
        for seed in range(3):
            _, seconds, peak = build({**spec, "seed": seed}, folder / "out", folder)
            later.append(seconds)
        again = sorted(later)[1]
        yield f"another spec over the same pool, the median of 3: {again:.2f} s, {peak:.0f} MB"
        yield f"the first build takes {first / again:.1f} times as long"


def draw(_: int) -> Iterator[str]:
    """10,000 and 1,000,000 of 10,000,000 slim rows in 24 cells."""
    import numpy as np
    import polars as pl

    from doit.mixtures.building.draw import draw as drawing
    from doit.mixtures.building.draw import ordered

    chance, rows, word = np.random.default_rng(0), 1_000_000, pl.lit(1 << 64, pl.UInt128)
    parts = []
    for _ in range(10):
        high, low = (chance.integers(0, 1 << 64, rows, dtype=np.uint64) for _ in range(2))
        cell = chance.integers(0, 24, rows, dtype=np.int32)
        frame = pl.DataFrame({"high": high, "low": low, "cell": cell})
        wide = (pl.col("high").cast(pl.UInt128) * word + pl.col("low")).alias("id")
        parts.append(frame.select(wide, "cell", max_epochs=pl.lit(1, pl.Int32)))
    slim = pl.concat(parts)
    for size in (10_000, 1_000_000):
        began = time.perf_counter()
        drawn = drawing(slim, dict.fromkeys(range(24), size // 24), 0)
        chosen = ordered(slim.with_columns(drawn["epoch"]).filter(pl.col("epoch") > 0), 0)
        seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield f"draw {chosen.height:,} of {slim.height:,} slim rows: {seconds:.2f} s, {peak:.0f} MB, the table included"


def plan(_: int) -> Iterator[str]:
    """Two and three axes with equal shares, on stocks that carry them and on stocks that do not."""
    from doit.mixtures.planning.plan import Axis, Request, Target
    from doit.mixtures.planning.plan import plan as planning

    lengths = {"language": 10, "ability": 12, "source": 60}
    for names, asked in ((("language", "ability"), 0), (("language", "ability", "source"), 1200)):
        values = [[f"{name}{number:02d}" for number in range(lengths[name])] for name in names]
        axes = tuple(
            Axis(name, {value: Target(share=Fraction(1)) for value in mine})
            for name, mine in zip(names, values, strict=True)
        )
        for size in (10_000, 30_000, 38_000):
            taken, busy = [], []
            for seed in range(3):
                chance = random.Random(seed)
                stock: dict[tuple[str, ...], tuple[int]] = {}
                while len(stock) < (asked or 120):
                    scale = 50_000 / 40 / (asked or 120)
                    stock[tuple(map(chance.choice, values))] = (int(chance.lognormvariate(3, 1.2) * scale) + 1,)
                began, worked = time.perf_counter(), time.process_time()
                made = planning(Request(axes, size, "redistribute", None), stock)
                taken.append(time.perf_counter() - began)
                busy.append(time.process_time() - worked)
            kind = "hold" if made.holds else "run short"
            longest = max(taken)
            yield (
                f"plan {size:,} on {' x '.join(names)}, {len(stock):,} cells with data, equal shares that {kind}: "
                f"{longest:.2f} s, the longest of 3 (processor: {max(busy):.2f} s); proven: {made.proven}"
            )


def series(records: int) -> Iterator[str]:
    """BELLE's scaling series at full size: each size inside the next."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = max(records, SIZES[-1] + 100_000)
        write_rows(folder / "rows.jsonl", records, long=False)
        card = {"name": "belle", "shape": {"kind": "alpaca"}, "source": {"files": "rows.jsonl"}}
        spec = {"name": "belle-scaling", "sources": [{"dataset": card}], "series": list(SIZES)}
        answer, seconds, peak = build(spec, folder / "out", folder)
        drawn = [_ids(folder / "out" / str(size)) for size in SIZES]
        assert [len(ids) for ids in drawn] == list(SIZES), "a size has other rows"
        sets = [set(ids) for ids in drawn]
        assert all(small < large for small, large in pairwise(sets)), "a size is not inside the next"
        listed = ", ".join(f"{size:,}" for size in SIZES)
        yield f"series {listed} of {answer['read']:,} records: {seconds:.1f} s, {peak:.0f} MB; all nested"


def _ids(folder: Path) -> list[str]:
    import polars as pl

    return pl.scan_parquet(folder / "data" / "*.parquet").select("id").collect()["id"].to_list()


CASES: dict[str, Callable[[int], Iterator[str]]] = {"rebuild": rebuild, "draw": draw, "plan": plan, "series": series}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--records", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.case:
        for line in CASES[options.case](options.records):
            print(line, flush=True)
        return
    for case in CASES:
        subprocess.run([sys.executable, __file__, "--case", case, "--records", str(options.records)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--doit"]:
        doit(sys.argv[2:])
    else:
        main()
