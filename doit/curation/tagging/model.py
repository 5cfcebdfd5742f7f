"""The ability tagger: rules, and a linear model over the features of request and answer.

All sums are of whole numbers (weights of 16 bits, features in steps of 1/4096), so that every machine finds the same
scores whatever the order in which it adds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from doit.curation.tagging import weights
from doit.curation.tagging.features import BUCKETS, chunks, features_digest, parts
from doit.curation.tagging.rules import ability_of, decided, hits, rule_names
from doit.errors import DataError, SpecError
from doit.schemas.abilities import ABILITIES, OTHER

SHIPPED = Path(__file__).parent / "data" / "shipped.safetensors"
DEFAULT = "default"
"""What a spec and the command line call the shipped model."""
FORMAT = "doit-ability-tagger-1"
TAGS = {"ability": pl.String, "score": pl.Float64, "reason": pl.String}
PRIOR = 19
"""A rule is taken to have been right so often, of one more, before any label is seen."""


@dataclass(frozen=True, eq=False)
class Tagger:
    """A fitted model. Made by `doit.curation.tagging.fitting.fit`, kept in one file."""

    abilities: tuple[str, ...]
    steps: NDArray[np.int16]
    """Weights in steps of `scale`: `BUCKETS` rows, one column an ability."""
    bias: NDArray[np.int16]
    """In steps of `scale`, one an ability."""
    scale: float
    temperature: float
    threshold: float
    """A smaller score is no answer."""
    rules: dict[str, tuple[int, int]]
    """Rule -> labelled records that it matched alone, and those of them where it was right."""
    about: dict[str, Any]
    """What it was fitted on: records, sources, abilities, and the version of the taxonomy."""

    def rule_score(self, rule: str) -> float:
        """How often a rule is right, as far as the labels say."""
        matched, right = self.rules.get(rule, (0, 0))
        return round((right + PRIOR) / (matched + PRIOR + 1), 4)

    @property
    def trusted(self) -> NDArray[np.bool_]:
        """The rules that decide: those that are right in four of five cases."""
        return np.array([self.rule_score(rule) >= 0.8 and ability_of(rule) in self.abilities for rule in rule_names()])

    def margins(self, prompts: pl.Series, answers: pl.Series) -> NDArray[np.float64]:
        """What the linear model says: n rows, one column an ability. A larger one is likelier."""
        found = [np.zeros((0, len(self.abilities)))]
        dense = self.steps.astype(np.float64)
        for chunk in chunks(prompts, answers):
            found_here = parts(prompts[chunk], answers[chunk])
            found.append((sum(part @ dense for part in found_here) + self.bias) * self.scale)
        return np.concatenate(found)

    def probabilities(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated: softmax of the margins over the temperature, in steps of 1/10000."""
        scaled = margins / self.temperature
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(np.round(powers / powers.sum(axis=1, keepdims=True), 4))

    def save(self, path: Path) -> None:
        """Write the model as one file of safetensors.

        Raises:
            StorageError: the disk refused.
        """
        arrays, notes = self._parts()
        weights.save(path, arrays, notes)

    @property
    def digest(self) -> str:
        """What stands for the model in keys of caches and in manifests: SHA-256 of its file."""
        return hashlib.sha256(weights.written(*self._parts())).hexdigest()

    def _parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        kept = np.flatnonzero(self.steps.any(axis=1)).astype(np.uint32)
        arrays: dict[str, NDArray[Any]] = {"buckets": kept, "weights": self.steps[kept], "bias": self.bias}
        told = {
            "format": FORMAT,
            "features": features_digest(),
            "abilities": list(self.abilities),
            "scale": self.scale,
            "temperature": self.temperature,
            "threshold": self.threshold,
            "rules": self.rules,
            "about": self.about,
        }
        return arrays, {name: _json(value) for name, value in told.items()}


def _json(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


@cache
def load_tagger(name: str = DEFAULT) -> Tagger:
    """The shipped model (`default`), or one from a file.

    Raises:
        SpecError: D206 when there is no such file.
        DataError: D309 when it is not a model of ours.
    """
    path = SHIPPED if name == DEFAULT else Path(name)
    arrays, notes = weights.load(path)
    try:
        return _tagger(arrays, notes)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        hint = "Fit it anew with this version: `doit tag fit`."
        raise DataError(
            "D309", f"this is not a model that this version reads: {error}.", where=str(path), hint=hint
        ) from error


def _tagger(arrays: dict[str, NDArray[Any]], notes: dict[str, str]) -> Tagger:
    if notes["format"] != FORMAT:
        raise ValueError(f"its format is {notes['format']}")
    if notes["features"] != features_digest():
        raise ValueError("it was fitted on other features")
    abilities = tuple(orjson.loads(notes["abilities"]))
    unknown = [one for one in abilities if one not in ABILITIES and one != OTHER]
    if unknown or arrays["weights"].shape != (len(arrays["buckets"]), len(abilities)):
        raise ValueError(f"its abilities are {', '.join(map(str, abilities))}")
    steps = np.zeros((BUCKETS, len(abilities)), dtype=np.int16)
    steps[arrays["buckets"]] = arrays["weights"]
    numbers = {name: float(orjson.loads(notes[name])) for name in ("scale", "temperature", "threshold")}
    if not all(np.isfinite(value) and value > 0 for value in numbers.values()):
        raise ValueError("a number is out of range")
    rules = {rule: (int(seen), int(right)) for rule, (seen, right) in orjson.loads(notes["rules"]).items()}
    bias = arrays["bias"].reshape(len(abilities))
    return Tagger(abilities, steps, bias, **numbers, rules=rules, about=orjson.loads(notes["about"]))


def tag(prompts: pl.Series, answers: pl.Series, model: Tagger, *, threshold: float | None = None) -> pl.DataFrame:
    """The ability of each record.

    Args:
        prompts: the user's turns of each record, joined by line breaks; a null counts as empty.
        answers: the assistant's.
        model: a tagger.
        threshold: instead of the model's own.

    Returns:
        `ability`, null under the threshold; `score`, 0 to 1; `reason`: `rule:<name>`, `model`, or `unsure` where the
        score is under the threshold.

    Raises:
        SpecError: D204 the threshold is not 0 to 1.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise SpecError("D204", f"the threshold is {threshold}.", hint="Give a score: 0 to 1.")
    asked, told = prompts.fill_null(""), answers.fill_null("")
    if asked.is_empty():
        return pl.DataFrame(schema=TAGS)
    least = model.threshold if threshold is None else threshold
    margins = model.margins(asked, told)
    best, chances = margins.argmax(axis=1), model.probabilities(margins)
    abilities, scores = np.array(model.abilities)[best], chances[np.arange(len(best)), best]
    rule = decided(hits(asked), model.trusted)
    ruled = rule >= 0
    names = np.array(rule_names())
    abilities = np.where(ruled, np.array([ability_of(name) for name in names])[rule], abilities)
    scores = np.where(ruled, np.array([model.rule_score(name) for name in names])[rule], scores)
    blank = ((asked.str.strip_chars() == "") & (told.str.strip_chars() == "")).to_numpy()
    sure = (scores >= least) & ~blank
    reasons = np.where(sure, np.where(ruled, np.char.add("rule:", names)[rule], "model"), "unsure")
    frame = pl.DataFrame({"ability": abilities.tolist(), "score": scores, "reason": reasons.tolist()}, schema=TAGS)
    return frame.with_columns(ability=pl.when(pl.Series(sure)).then("ability"))
