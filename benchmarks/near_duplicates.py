"""How long near duplicates take to find, and how that grows.

    python benchmarks/near_duplicates.py [--rows 100000 300000 1000000] [--kind mixed templates]

Rows are made here: `mixed` are sentences of made-up words after Zipf's law, three in five Chinese, about 197
characters each, one in six an edited copy; `templates` are three sums told in words with other numbers, 142 characters
each, nearly all of whose pairs look alike. Every case runs in a process of its own with one thread; the seconds are the
processor's, the memory is the process's peak, the rows themselves included.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import time

LETTERS = (
    "etaoinshrdlucmfwygpbvk",
    (12, 9, 8, 7.5, 7, 6.7, 6.3, 6, 6, 4.2, 4, 2.8, 2.7, 2.4, 2.2, 2.3, 2, 2, 1.9, 1.5, 1, 0.8),
)
SUMS = (
    "{n}有{a}个{t}，他又买了{b}个{t}，然后送给朋友{c}个。请问{n}现在一共有多少个{t}？请写出计算过程。\n"
    "{n}原来有{a}个{t}，买了{b}个后是{d}个，送出{c}个后剩下{e}个。所以答案是{e}。",
    "一辆汽车以每小时{a}公里的速度行驶了{b}小时，然后以每小时{c}公里的速度行驶了{d}小时，请问一共行驶了多少公里？\n"
    "解：{a}×{b}+{c}×{d}={e}公里。",
    "{n} earns ${a} an hour for babysitting. Yesterday, she did {b} minutes of babysitting and then {c} more hours. "
    "How much did she earn in total over {d} days?\nShe earned {e} dollars because {a} * {b} + {c} = {d}.",
)


def mixed(rows: int) -> list[str]:
    chance = random.Random(0)
    han = [chr(0x4E00 + at) for at in range(3000)]
    chance.shuffle(han)
    common = [1 / (at + 5) for at in range(3000)]
    chinese = ["".join(chance.choices(han, common, k=chance.choice((1, 2, 2, 2, 3)))) for _ in range(30_000)]
    english = ["".join(chance.choices(*LETTERS, k=chance.choice((2, 3, 3, 4, 4, 5, 6, 7, 8)))) for _ in range(30_000)]
    zipf = list(itertools.accumulate(1 / (at + 2) for at in range(30_000)))
    made: list[str] = []
    while len(made) < rows:
        length = max(4, int(chance.lognormvariate(5.0, 0.6)))
        words, between, size = (chinese, "", 2) if chance.random() < 0.6 else (english, " ", 5)
        text = chance.choices(words, cum_weights=zipf, k=length // size + 1)
        made.append(between.join(text))
        if chance.random() < 0.2:
            for _ in range(chance.choice((1, 1, 2, 3, 4, 6))):
                text[chance.randrange(len(text))] = chance.choice(words)
            made.append(between.join(text))
    made = made[:rows]
    chance.shuffle(made)
    return made


def templates(rows: int) -> list[str]:
    chance = random.Random(0)
    made = []
    for _ in range(rows):
        a, b, c = (chance.randrange(2, 1000) for _ in range(3))
        name, thing = chance.choice(("小明", "小红", "小刚", "老王")), chance.choice(("苹果", "梨", "书", "铅笔"))
        made.append(chance.choice(SUMS).format(n=name, t=thing, a=a, b=b, c=c, d=a + b, e=a + b - c))
    return made


def one_case(kind: str, rows: int) -> None:
    import polars as pl

    from doit.curation.duplicates.near_duplicates import near_duplicates

    texts = pl.Series({"mixed": mixed, "templates": templates}[kind](rows))
    ids = pl.Series([f"{number:032x}" for number in random.Random(1).sample(range(1 << 62), rows)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = near_duplicates(texts, ids)
    seconds = time.process_time() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "dropped": found.height, "before": before / 1e6, "peak": after / 1e6}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--kind", nargs="+", choices=("mixed", "templates"), default=["mixed"])
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        one_case(given.case, given.rows[0])
        return
    print("| rows | kind | dropped | seconds | µs a row | GB before | GB at the peak |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    alone = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for kind, rows in itertools.product(given.kind, given.rows):
        command = [sys.executable, __file__, "--case", kind, "--rows", str(rows)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=alone)
        got = json.loads(done.stdout)
        each = got["seconds"] / rows * 1e6
        print(
            f"| {rows:,} | {kind} | {got['dropped']:,} | {got['seconds']:.1f} | {each:.0f} "
            f"| {got['before']:.2f} | {got['peak']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
