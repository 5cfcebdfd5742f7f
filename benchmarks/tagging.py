"""How well and how fast abilities are told, on real labels of sources that the model did not see.

    python benchmarks/tagging.py [--most 300] [--only speed|shipped]

The records and the families are those of tests/curation/real_abilities.py. Two models: the one that is shipped, which
has seen nothing but this project's own text, and, for each family, one fitted with `doit.curation.tagging.fitting.fit`
(what `doit tag fit` calls) on all the other families. A source weighs as much as any other. F1 is of the records that
got a tag, and beside it of all, a missing tag counted as a miss. The last lines hold out all exams at once, and measure
within the sources: two thirds of every source and ability are learnt from, a third is asked.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "curation")]

FIVE = ("math", "code", "understanding", "history", "biology")
EXAMS = {"gaokao", "agieval", "cmmlu"}
SPEED_RECORDS = 20_000


def frame(most: int):
    import polars as pl
    import real_abilities

    return pl.DataFrame(real_abilities.labelled(most), schema=real_abilities.Labelled._fields, orient="row")


def weights(records) -> list[float]:
    sizes = Counter(records["source"])
    return [1 / sizes[source] for source in records["source"]]


def held_out(records, held):
    """Tags of the records of some families by a model fitted on the others."""
    import polars as pl

    from doit.curation.tagging.fitting import fit
    from doit.curation.tagging.model import tag

    inside = pl.col("family").is_in(list(held))
    model = fit(records.filter(~inside))
    asked = records.filter(inside)
    tags = tag(asked["prompt"], asked["answer"], model)
    print(f"{' '.join(sorted(held)):>24}: threshold {model.threshold:.2f}", file=sys.stderr)
    return asked.with_columns(tagged=tags["ability"], score=tags["score"])


def calibration(tagged) -> tuple[float, float, float]:
    """Mean score and share right of what was tagged, and the mean distance of the two over ten bins of score."""
    import polars as pl

    told = tagged.with_columns(weight=pl.Series(weights(tagged))).drop_nulls("tagged")
    told = told.with_columns(right=(pl.col("tagged") == pl.col("ability")).cast(pl.Float64))
    share = pl.col("weight") / pl.col("weight").sum()
    bins = told.group_by((pl.col("score") * 10).floor().clip(0, 9).alias("bin")).agg(
        (share * pl.col("score")).sum().alias("score"),
        (share * pl.col("right")).sum().alias("right"),
        pl.col("weight").sum(),
    )
    whole = bins.with_columns(pl.col("weight") / pl.col("weight").sum()).select(
        (pl.col("weight") * pl.col("score")).sum(),
        (pl.col("weight") * pl.col("right")).sum().alias("hit"),
        (pl.col("weight") * (pl.col("score") - pl.col("right")).abs()).sum().alias("distance"),
    )
    return whole.row(0)


def five(score) -> tuple[float, float]:
    chosen = [score.abilities[ability] for ability in FIVE if ability in score.abilities]
    return sum(one.f1 for one in chosen) / len(FIVE), sum(one.f1_of_all for one in chosen) / len(FIVE)


def table(columns: dict) -> None:
    names = sorted({name for score in columns.values() for name in score.abilities})
    print(
        f"\n{'':18}{'records':>9}"
        + "".join(f"{name + ': precision':>22}{'recall':>8}{'F1':>7}{'of all':>8}" for name in columns)
    )
    for name in names:
        held = [score.abilities[name].records for score in columns.values() if name in score.abilities]
        line = f"{name:18}{max(held):>9,}"
        for score in columns.values():
            one = score.abilities.get(name)
            line += f"{one.precision:>22.2f}{one.recall:>8.2f}{one.f1:>7.2f}{one.f1_of_all:>8.2f}" if one else " " * 45
        print(line)
    for label, values in (
        ("mean of five", [five(score) for score in columns.values()]),
        ("mean of all", [(score.macro_f1, score.macro_f1_of_all) for score in columns.values()]),
    ):
        print(f"{label:27}" + "".join(f"{'':30}{answered:>7.3f}{every:>8.3f}" for answered, every in values))
    print(f"{'left without a tag':27}" + "".join(f"{'':30}{score.abstained:>7.1%}{'':8}" for score in columns.values()))


def by_family(tagged) -> None:
    import polars as pl

    cells = tagged.group_by("family", "ability").agg(
        pl.len().alias("n"),
        (pl.col("tagged") == pl.col("ability")).fill_null(value=False).mean().alias("right"),
        pl.col("tagged").is_null().mean().alias("none"),
        pl.col("tagged")
        .filter((pl.col("tagged") != pl.col("ability")).fill_null(value=False))
        .mode()
        .first()
        .alias("most"),
    )
    print(f"\n{'family held out':16}{'ability':18}{'records':>8}{'right':>8}{'no tag':>8}  mostly taken for")
    for family, ability, n, right, none, most in cells.sort("family", "ability").iter_rows():
        print(f"{family:16}{ability:18}{n:>8,}{right:>8.0%}{none:>8.0%}  {most or ''}")


def within(records):
    """Two thirds of every source and ability are learnt from, the others asked."""
    import polars as pl

    from doit.curation.tagging.fitting import fit
    from doit.curation.tagging.model import tag

    third = pl.int_range(pl.len()).over("source", "ability") % 3 == 0
    marked = records.with_columns(third=third)
    model = fit(marked.filter(~pl.col("third")))
    asked = marked.filter("third")
    tags = tag(asked["prompt"], asked["answer"], model)
    every = tag(asked["prompt"], asked["answer"], model, threshold=1e-9)
    return asked, tags["ability"], every["ability"]


def speed(model) -> None:
    import polars as pl
    import real_abilities

    from doit.curation.tagging.model import tag

    rows = list(real_abilities.belle())
    rows = (rows * (1 + SPEED_RECORDS // len(rows)))[:SPEED_RECORDS]
    prompts, answers = pl.Series([one.prompt for one in rows]), pl.Series([one.answer for one in rows])
    blank = pl.Series([""] * len(rows))
    tag(prompts[:10], answers[:10], model)
    print()
    for what, told in (("BELLE's prompts", blank), ("BELLE's prompts and answers", answers)):
        took = []
        for _ in range(3):
            start = time.process_time()
            tag(prompts, told, model)
            took.append(time.process_time() - start)
        print(
            f"{what}, median {prompts.str.len_chars().median():.0f} characters: "
            f"{len(rows) / min(took):,.0f} records/s per core"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=300, help="records of one ability in one source")
    parser.add_argument("--only", choices=["speed", "shipped", "all"], default="all")
    asked = parser.parse_args()
    import polars as pl

    from doit.curation.tagging.evaluating import evaluate
    from doit.curation.tagging.model import load_tagger, tag

    shipped = load_tagger()
    if asked.only != "shipped":
        speed(shipped)
    if asked.only == "speed":
        return
    records = frame(asked.most)
    tags = tag(records["prompt"], records["answer"], shipped)["ability"]
    columns = {"shipped": evaluate(records["ability"], tags, weights(records))}
    if asked.only == "shipped":
        table(columns)
        by_family(records.with_columns(tagged=tags))
        return
    families = sorted(set(records["family"]))
    fitted = pl.concat([held_out(records, {family}) for family in families])
    columns["fitted"] = evaluate(fitted["ability"], fitted["tagged"], weights(fitted))
    table(columns)
    by_family(fitted)
    score, right, distance = calibration(fitted)
    print(f"\nfitted: mean score {score:.3f}, right {right:.3f}, mean distance over ten bins {distance:.3f}")
    others = fitted.filter(~pl.col("family").is_in(list(EXAMS)))
    strict = pl.concat([others, held_out(records, EXAMS)])
    score = evaluate(strict["ability"], strict["tagged"], weights(strict))
    print(
        f"\nall exams held out at once: mean of five {five(score)[0]:.3f} ({five(score)[1]:.3f} of all), "
        f"no tag {score.abstained:.1%}"
    )
    inside, answered, every = within(records)
    for what, tags in (("with the threshold", answered), ("without it", every)):
        score = evaluate(inside["ability"], tags, weights(inside))
        print(
            f"within the sources, {what}: macro F1 {score.macro_f1:.3f}, accuracy {score.accuracy:.3f}, "
            f"no tag {score.abstained:.1%}"
        )


if __name__ == "__main__":
    main()
