"""Why a record has its tag: the rule with what it matched, or the features that weighed most."""

from __future__ import annotations

import numpy as np
import polars as pl

from doit.curation.tagging.features import BUCKETS, Space, buckets, matrix, name_hash, pieces
from doit.curation.tagging.form import READ, form_names
from doit.curation.tagging.model import Tagger, tag
from doit.curation.tagging.words import words_in
from doit.curation.texts.phrases import first_match, phrases
from doit.schemas.base import Frozen

PLACES = {
    Space.REQUEST: "request",
    Space.START: "beginning of the request",
    Space.END: "end of the request",
    Space.ANSWER: "answer",
    Space.FORM: "form",
}


class Contribution(Frozen):
    """One feature of a record, and what it adds to the margin between its ability and the mean of all."""

    feature: str
    """The n-gram or word as the model reads it (lower case, Simplified, digits 0), or the name of a form."""
    where: str
    weight: float


class Explanation(Frozen):
    """Why a record has its tag."""

    ability: str | None
    """Null: the tagger is not sure."""
    score: float
    reason: str
    """`rule:<name>`, `model` or `unsure`."""
    matched: str | None
    """What the rule matched."""
    chances: dict[str, float]
    """What the linear model finds likely, the three likeliest abilities."""
    features: tuple[Contribution, ...]
    """What weighed most for the likeliest ability of the linear model, the heaviest first."""


def explain(prompt: str, answer: str, model: Tagger, *, most: int = 10) -> Explanation:
    """Why the tagger says what it says of one record.

    Args:
        prompt: the user's turns, joined by line breaks.
        answer: the assistant's.
        model: a tagger.
        most: features that are named.
    """
    asked, told = pl.Series([prompt]), pl.Series([answer])
    ability, score, reason = tag(asked, told, model).row(0)
    margins = model.margins(asked, told)
    chances = dict(zip(model.abilities, model.probabilities(margins)[0].tolist(), strict=True))
    likely = sorted(chances, key=lambda name: (-chances[name], name))[:3]
    rule = reason.removeprefix("rule:") if reason.startswith("rule:") else None
    return Explanation(
        ability=ability,
        score=score,
        reason=reason,
        matched=first_match(asked, phrases("ability_rules")[rule])[0] if rule else None,
        chances={name: chances[name] for name in likely},
        features=_heaviest(asked, told, model, int(margins[0].argmax()), most),
    )


def _heaviest(asked: pl.Series, told: pl.Series, model: Tagger, column: int, most: int) -> tuple[Contribution, ...]:
    steps = model.steps.astype(np.float64)
    gain = (steps[:, column] - steps.mean(axis=1)) * model.scale
    names = _names(asked, told)
    row = matrix(asked, told)
    values = np.zeros(BUCKETS)
    np.add.at(values, row.indices, row.data)
    weights = {bucket: float(values[bucket] * gain[bucket]) for bucket in names}
    order = sorted((bucket for bucket in weights if weights[bucket] > 0), key=lambda bucket: (-weights[bucket], bucket))
    found: list[Contribution] = []
    for bucket in order:
        feature, where = names[bucket]
        # A gram inside one that is named already, at the same place, says nothing new.
        if not any(feature in one.feature and where == one.where for one in found):
            found.append(Contribution(feature=feature, where=where, weight=round(weights[bucket], 4)))
        if len(found) == most:
            break
    return tuple(found)


def _names(asked: pl.Series, told: pl.Series) -> dict[int, tuple[str, str]]:
    """Bucket -> a feature of this record that falls in it, the longest one, and where it stands."""
    names: dict[int, tuple[str, str]] = {}
    for space, text, grams in pieces(asked, told):
        for bucket, first, last in zip(buckets(grams.hash, space).tolist(), grams.first, grams.last, strict=True):
            gram = "".join(map(chr, text.points[first:last].tolist()))
            if len(gram) > len(names.get(bucket, ("", ""))[0]):
                names[bucket] = (gram, PLACES[space])
    _, form = form_names(asked, told)
    words = words_in(asked[0][:READ])
    for code in form.codes:
        name = form.categories[code]
        bucket = int(buckets(np.array([name_hash(name)], dtype=np.uint64), Space.FORM)[0])
        ability = name.removeprefix("words of ").partition(":")[0]
        spoken = f" ({', '.join(words[ability][:6])})" if name.startswith("words of ") else ""
        names[bucket] = (name + spoken, PLACES[Space.FORM])
    return names
