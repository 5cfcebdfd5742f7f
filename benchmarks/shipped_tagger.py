"""Make the ability tagger that travels with the package: from this project's own text and nothing else.

    python benchmarks/shipped_tagger.py [--out FILE]

It learns from the requests of doit/curation/tagging/data/requests.yaml and from the labelled conversations of
examples/; `cot.tsv` is left out, whose sums are labelled as reasoning. Run it after a change of those, of the word
lists or of the features; tests/curation/test_tagging_shipped.py says when it is due.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
LEFT_OUT = "cot"


def main() -> None:
    import polars as pl

    from doit.curation.tagging.fitting import fit
    from doit.curation.tagging.model import SHIPPED
    from doit.mixtures.pools.tagging import fit_answer, labelled

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    out = parser.parse_args().out
    model = fit(labelled([ROOT / "examples" / "demo.yaml"]).filter(pl.col("source") != LEFT_OUT))
    model.save(out)
    print(fit_answer(out, model).model_dump_json(indent=2))


if __name__ == "__main__":
    main()
