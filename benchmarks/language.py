"""How well and how fast the language of real texts is told, beside langdetect, lingua and py3langid.

    python benchmarks/language.py [--peers .venv-peers/bin/python]

The texts are those of tests/curation/real_texts.py: labels follow from their files' origin and from reading. The first
table gives the part of each kind that is told rightly, Chinese with its script; the second the language alone, in which
`zh-Hans` is as good as `zh-tw`, because two of the peers know no scripts. Formulas alone do not count. Speed is on the
Chinese texts, one processor; a peer sees the first 300 texts of every kind, or it would run for half an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(ROOT / "tests" / "curation"))

PEER_TEXTS = 300
SPEED_TEXTS = 100_000
PEER = """
import json, sys, time
name, texts = sys.argv[1], json.load(sys.stdin)
if name == "langdetect":
    import langdetect
    langdetect.DetectorFactory.seed = 0
    def told(text):
        try:
            return langdetect.detect(text)
        except langdetect.LangDetectException:
            return "und"
elif name == "lingua":
    import lingua
    detector = lingua.LanguageDetectorBuilder.from_all_languages().with_preloaded_language_models().build()
    def told(text):
        found = detector.detect_language_of(text)
        return found.iso_code_639_1.name.lower() if found else "und"
else:
    import py3langid
    def told(text):
        return py3langid.classify(text)[0]
told("Hello, world")
start = time.process_time()
tags = [told(text) for text in texts]
json.dump([tags, time.process_time() - start], sys.stdout)
"""
SCRIPTS = {"zh-cn": "zh-Hans", "zh-tw": "zh-Hant"}


def ours(texts, firsts) -> tuple[list[str], float]:
    import polars as pl

    from doit.curation.language.telling import languages

    start = time.process_time()
    tags = languages(pl.Series(texts), pl.Series(firsts)).to_list()
    return tags, time.process_time() - start


def peer(python: Path, name: str, texts: list[str]) -> tuple[list[str], float] | None:
    """The tags that a library gives, and its seconds; None where it is not installed."""
    asked = json.dumps(texts, ensure_ascii=False)
    run = subprocess.run([python, "-c", PEER, name], input=asked, text=True, capture_output=True, check=False)
    if run.returncode:
        print(f"{name}: not installed for {python}; see `make bench-peers`", file=sys.stderr)
        return None
    tags, seconds = json.loads(run.stdout)
    return [SCRIPTS.get(tag, tag) for tag in tags], seconds


def table(title: str, kinds: dict, columns: dict[str, list[str]], same) -> None:
    print(f"\n{title}\n{'':24}{'texts':>7}" + "".join(f"{name:>12}" for name in columns))
    sums = defaultdict(list)
    for (kind, language), at in kinds.items():
        line = f"{kind if language == kind.split()[0] else f'{kind} {language}':24}{len(at):7,}"
        for name, tags in columns.items():
            seen = [index for index in at if tags[index] is not None]
            part = sum(same(tags[index], language) for index in seen) / len(seen)
            sums[name].append(part)
            line += f"{part:12.3f}"
        print(line)
    print(f"{'mean of the lines':31}" + "".join(f"{sum(of) / len(of):12.3f}" for of in sums.values()))


def main() -> None:
    from real_texts import DATA, SHORT, labelled

    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    python = parser.parse_args().peers
    if not DATA.is_dir():
        print("language: needs the real sets of ../shared/data")
        return
    texts = [
        one for one in labelled() if one.language != "und" and (len(one.text) > SHORT or one.kind.startswith("short"))
    ]
    kinds: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, one in enumerate(texts):
        kinds[one.kind, one.language].append(at)
    columns = {"doit": ours([one.text for one in texts], [one.first for one in texts])[0]}
    few = sorted(at for of in kinds.values() for at in of[:PEER_TEXTS])
    han = [one.text for one in texts if one.kind == "zh-Hans"]
    many = (han * (1 + SPEED_TEXTS // len(han)))[:SPEED_TEXTS]
    speeds = {"doit": len(many) / ours(many, many)[1]}
    for name in ("langdetect", "lingua", "py3langid") if python.exists() else ():
        told = peer(python, name, [texts[at].text for at in few])
        if told is not None:
            columns[name] = [None] * len(texts)
            for at, tag in zip(few, told[0], strict=True):
                columns[name][at] = tag
            speeds[name] = 500 / peer(python, name, han[:500])[1]
    table("Language and script", kinds, columns, lambda got, wanted: got == wanted)
    table("Language alone", kinds, columns, lambda got, wanted: got[:2] == wanted[:2])
    print("\nChinese texts a second, one processor")
    for name, speed in speeds.items():
        slower = "" if name == "doit" else f"{speeds['doit'] / speed:10,.1f} x slower than doit"
        print(f"{name:12}{speed:12,.0f}{slower}")


if __name__ == "__main__":
    main()
