"""How long rules, exact and near duplicates take, beside Data-Juicer and a loop over datasketch, on one file.

    make bench-peers
    python benchmarks/peers.py --peers .venv-peers/bin/python [--rows 100000] [--rounds 1]

The rows are those of `benchmarks/near_duplicates.py`: made-up Chinese and English, about 197 characters each, one in
six an edited copy. Both sides get the same JSON lines, two processes, and five steps: length, share of letters and
digits, repetition of ten characters (thresholds that drop nothing), exact duplicates, near duplicates at 0.8
(Data-Juicer: MinHash over character 5-grams; ours: verified Jaccard of 4-grams). `command` is from start to end of the
whole command, imports, reading and writing included; `operators` is what the steps alone take, by Data-Juicer's own
log. The cases run in turn; a time is the median of the rounds, the shortest and longest beside it.

datasketch: for each row a MinHash of 128 permutations over character 5-grams, `MinHashLSH` at 0.8, a query and an
insertion, in one process; ours beside it is `near_duplicates` alone, in one process and one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from near_duplicates import mixed

SPEC = """
name: peers
size: all
sources:
  - dataset: {{name: rows, shape: {{kind: alpaca}}, source: {{files: "{source}"}}}}
curation:
  - {{kind: chars, at_least: 1}}
  - {{kind: alphanumeric, at_least: 0.0}}
  - {{kind: repetition, at_most: 1.0, of: conversation}}
  - {{kind: near_duplicates, threshold: 0.8}}
"""

JUICER = """
project_name: peers
dataset_path: {source}
export_path: {folder}/out/kept.jsonl
np: 2
text_keys: text
use_cache: false
open_tracer: false
process:
  - text_length_filter: {{min_len: 1, max_len: 1000000}}
  - alphanumeric_filter: {{tokenization: false, min_ratio: 0.0}}
  - character_repetition_filter: {{rep_len: 10, max_ratio: 1.0}}
  - document_deduplicator: {{lowercase: false, ignore_non_character: false}}
  - document_minhash_deduplicator: {{tokenization: character, window_size: 5, lowercase: true, jaccard_threshold: 0.8}}
"""

DATASKETCH = """
import json, sys, time
from datasketch import MinHash, MinHashLSH
texts = [json.loads(line)["text"] for line in open(sys.argv[1], encoding="utf-8")]
began, used = time.perf_counter(), time.process_time()
index, kept = MinHashLSH(threshold=0.8, num_perm=128), 0
for number, text in enumerate(texts):
    sketch = MinHash(num_perm=128)
    sketch.update_batch([text[at : at + 5].encode() for at in range(max(1, len(text) - 4))])
    if not index.query(sketch):
        kept += 1
        index.insert(number, sketch)
print(json.dumps([time.perf_counter() - began, kept, time.process_time() - used]))
"""


class Took(NamedTuple):
    """What a case took."""

    seconds: float
    left: int
    """Rows."""
    processor: float | None = None
    """Seconds of all its processes: other work on the machine changes them little."""


def generate(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for text in mixed(rows):
            cut = max(1, len(text) // 4)
            row = {"instruction": text[:cut], "input": "", "output": text[cut:], "text": text}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def timed(command: list[str], folder: Path, **more: str) -> tuple[float, float, str]:
    """Seconds, seconds of the processor, and what was said."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **more})
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed in {folder}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used, done.stdout + done.stderr


def our_command(source: Path, folder: Path) -> Took:
    (folder / "peers.yaml").write_text(SPEC.format(source=source), encoding="utf-8")
    command = [sys.executable, "-m", "doit", "build", str(folder / "peers.yaml"), str(folder / "out"), "--jobs", "2"]
    seconds, used, _ = timed(command, folder, DOIT_CACHE=str(folder / "cache"))
    import polars as pl

    return Took(seconds, pl.scan_parquet(folder / "out/data/*.parquet").select(pl.len()).collect().item(), used)


def juicer(source: Path, folder: Path, peers: str) -> tuple[Took, Took]:
    """The whole command, and its operators by its own log."""
    config = folder / "juicer.yaml"
    config.write_text(JUICER.format(source=source, folder=folder), encoding="utf-8")
    more = {"HOME": str(folder.parent), "HF_HUB_OFFLINE": "1"}
    seconds, used, said = timed([str(Path(peers).parent / "dj-process"), "--config", str(config)], folder, **more)
    steps = re.findall(r"Done in ([\d.]+)s\. Left (\d+) samples", said)
    assert len(steps) == 5, said[-2000:]
    left = int(steps[-1][1])
    return Took(seconds, left, used), Took(sum(float(step) for step, _ in steps), left)


def own_process(what: str, source: Path, **more: str) -> Took:
    _, _, said = timed([sys.executable, __file__, "--work", what, "--source", str(source)], source.parent, **more)
    return Took(*json.loads(said.strip().splitlines()[-1]))


def datasketch_loop(source: Path, folder: Path, peers: str) -> Took:
    _, _, said = timed([peers, "-c", DATASKETCH, str(source)], folder)
    return Took(*json.loads(said.strip().splitlines()[-1]))


def work(what: str, source: Path) -> None:
    """Our steps alone, on texts that are in memory: what `operators` and `near` time."""
    import polars as pl

    from doit.curation.duplicates.near_duplicates import near_duplicates
    from doit.curation.rules.base import Left
    from doit.curation.rules.duplicates import ExactDuplicates, NearDuplicates
    from doit.curation.rules.lengths import Chars
    from doit.curation.rules.noise import Alphanumeric, Repetition

    read = pl.read_ndjson(source)
    ids = pl.Series("id", [f"{number:032x}" for number in range(read.height)])
    if what == "near":
        began, used = time.perf_counter(), time.process_time()
        found = near_duplicates(read["text"], ids)
        print(json.dumps([time.perf_counter() - began, read.height - found.height, time.process_time() - used]))
        return
    user = pl.struct(role=pl.lit("user"), content="instruction")
    assistant = pl.struct(role=pl.lit("assistant"), content="output")
    rows = read.select(messages=pl.concat_list(user, assistant)).with_columns(
        chars=pl.col("messages").list.eval(pl.element().struct.field("content").str.len_chars()).list.sum()
    )
    began, used = time.perf_counter(), time.process_time()
    measured = [Chars(at_least=1), Alphanumeric(at_least=0.0), Repetition(at_most=1.0, of="conversation")]
    keeps = [rule.keeps(rule.measure()) for rule in measured]
    at = rows.lazy().select(pl.all_horizontal(keeps)).collect(engine="streaming").to_series().arg_true()
    for rule in (ExactDuplicates(), NearDuplicates()):
        table, named = rows[at], ids[at]
        falls = rule.compare(
            Left(pl.DataFrame({"id": named}), lambda text, table=table: table.select(t=text)["t"])
        ).falls
        at = at.filter(~pl.int_range(len(at), eager=True).is_in(falls["at"].implode()))
    print(json.dumps([time.perf_counter() - began, len(at), time.process_time() - used]))


def one_round(source: Path, folder: Path, peers: str) -> dict[str, tuple[Took, Took]]:
    """Ours and the peer's, case by case, one after the other."""
    command = our_command(source, folder)
    juicer_command, juicer_operators = juicer(source, folder, peers)
    operators = own_process("operators", source)
    near = own_process("near", source, POLARS_MAX_THREADS="1", OMP_NUM_THREADS="1")
    return {
        "command, Data-Juicer": (command, juicer_command),
        "operators, Data-Juicer": (operators, juicer_operators),
        "near alone, datasketch": (near, datasketch_loop(source, folder, peers)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=".venv-peers/bin/python", help="Python with py-data-juicer and datasketch.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--work", choices=["operators", "near"], help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, given.source)
        return
    peers = str(Path(given.peers).absolute())
    rounds = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source, few = folder / "rows.jsonl", folder / "few.jsonl"
        generate(source, given.rows)
        generate(few, 500)
        print(f"{given.rows:,} rows, {source.stat().st_size / 1e6:.0f} MB, {os.cpu_count()} cores", flush=True)
        for turn in range(-1, given.rounds):
            own = folder / f"round-{turn}"
            own.mkdir()
            if turn < 0:
                juicer(few, own, peers)  # its first run fetches what its operators need
            else:
                rounds.append(one_round(source, own, peers))
    print("| what | ours, s | processor, s | left | theirs, s | processor, s | left | ratio | of processor |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in rounds[0]:
        ours, theirs = ([found[name][side] for found in rounds] for side in range(2))
        ratio = median(theirs, 0) / median(ours, 0)
        of_processor = f"{median(theirs, 2) / median(ours, 2):.1f}" if theirs[0].processor else ""
        print(f"| {name} | {told(ours)} | {told(theirs)} | {ratio:.1f} | {of_processor} |")


def median(side: list[Took], column: int) -> float:
    return statistics.median(took[column] for took in side)  # type: ignore[type-var]


def told(side: list[Took]) -> str:
    seconds = [took.seconds for took in side]
    used = f"{median(side, 2):.1f}" if side[0].processor else ""
    return f"{median(side, 0):.1f} ({min(seconds):.1f}–{max(seconds):.1f}) | {used} | {side[0].left:,}"


if __name__ == "__main__":
    main()
