"""Fitting a tagger to labelled records. Needs scikit-learn; what it makes does not.

The sources weigh the same, whatever their size, and so do the abilities of one source: what a large set happens to look
like must not decide. Temperature and threshold come from sources that the model did not see (or, where there are fewer
than three, from records that it did not see).
"""

from __future__ import annotations

import hashlib
import importlib
import warnings
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from doit.curation.tagging.features import BUCKETS, chunks, matrix
from doit.curation.tagging.model import Tagger
from doit.curation.tagging.requests import own_requests
from doit.curation.tagging.rules import ability_of, decided, hits, rule_names
from doit.errors import DataError, MissingExtra, SpecError
from doit.schemas.abilities import ABILITIES, OTHER

COLUMNS = ("prompt", "answer", "ability", "source")
MOST = 2000
"""Records of one ability in one source that are learnt from: those with the smallest digests."""
MOST_CALIBRATING = 150
FOLDS = 3
BALANCE = 0.5
"""How far abilities are brought to one weight: 0 not at all, 1 wholly."""
TEMPERATURES = (0.02, 5.0)


def fit(
    records: pl.DataFrame, *, base: bool = True, strength: float = 0.5, abstain: float = 0.1, most: int = MOST
) -> Tagger:
    """Fit a tagger. The same records in any order give the same model.

    Args:
        records: columns `prompt`, `answer`, `ability`, `source`; rows without an ability are left out.
        base: learn from the requests written for this project too, as one more source in each language; without it
            only the abilities in `records` are known.
        strength: the inverse of the regularisation (`C` of scikit-learn's LinearSVC).
        abstain: the share of unseen records that the threshold leaves without an answer, sources weighing the same.
        most: records of one ability in one source that are learnt from.

    Raises:
        MissingExtra: D208 scikit-learn is not installed.
        SpecError: D203 an ability is none of ours; D204 a share out of range.
        DataError: D401 fewer than two abilities.
    """
    if not 0 <= abstain < 1:
        raise SpecError("D204", f"`abstain` is {abstain}.", hint="Give a share: 0 or more, below 1.")
    ready = prepared(records, base=base, most=most)
    prompts, answers = ready["prompt"], ready["answer"]
    features = _features(prompts, answers)
    labels, sources = ready["ability"].to_numpy().astype(str), ready["source"].to_numpy().astype(str)
    abilities = np.unique(labels)
    dense, bias = _svm(features, labels, sources, abilities, strength)
    scale = max(float(np.abs(dense).max()), float(np.abs(bias).max())) / 32767
    temperature, threshold = _calibrated(features, ready, strength, abstain)
    return Tagger(
        tuple(abilities.tolist()),
        np.round(dense / scale).astype(np.int16),
        np.round(bias / scale).astype(np.int16),
        scale,
        temperature,
        threshold,
        _seen(prompts, labels),
        _about(records, ready, base=base),
    )


def prepared(records: pl.DataFrame, *, base: bool = True, most: int = MOST) -> pl.DataFrame:
    """The records to learn from, in an order of their own: `COLUMNS` and `digest`. See `fit`."""
    known = [*ABILITIES, OTHER]
    found = records.select(COLUMNS).drop_nulls("ability").with_columns(pl.col("prompt", "answer").fill_null(""))
    for ability in found["ability"].unique().sort():
        if ability not in known:
            raise SpecError("D203", f'no ability "{ability}".', hint="See `doit list abilities`.")
    parts = [found, own_requests().select(COLUMNS)] if base else [found]
    whole = pl.concat([part.cast(pl.String) for part in parts]).filter(pl.col("prompt").str.strip_chars() != "")
    if whole["ability"].n_unique() < 2:
        raise DataError("D401", "there are labelled records of fewer than two abilities.", hint="Label more of them.")
    digest = pl.col("prompt").map_elements(_digest, return_dtype=pl.UInt64)
    ordered = whole.unique(("prompt", "ability", "source"), keep="first").with_columns(digest=digest)
    ordered = ordered.sort("source", "ability", "digest", "prompt", "answer")
    return ordered.filter(pl.int_range(pl.len()).over("source", "ability") < most)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _features(prompts: pl.Series, answers: pl.Series) -> Any:
    from scipy.sparse import csr_matrix, vstack  # noqa: PLC0415 - few commands need it

    return csr_matrix(vstack([matrix(prompts[at], answers[at]) for at in chunks(prompts, answers)]))


def _svm(
    features: Any, labels: NDArray[np.str_], sources: NDArray[np.str_], abilities: NDArray[np.str_], strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (`BUCKETS` by abilities) and biases of linear machines, one ability against the others.

    An ability without records has weights of zero and a bias under every margin that can be.
    """
    try:
        svm: Any = importlib.import_module("sklearn.svm")
    except ImportError as error:
        hint = "Install it: pip install 'doit-mix[tag]'."
        raise MissingExtra("D208", "fitting a tagger needs scikit-learn.", hint=hint) from error
    machine = svm.LinearSVC(C=strength, random_state=0, max_iter=200, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last digits of a machine that has not settled change no tag
        machine.fit(features, labels, sample_weight=weights_of(labels, sources))
    dense, bias = np.zeros((BUCKETS, len(abilities))), np.full(len(abilities), -4.0)
    found = machine.coef_, machine.intercept_
    if len(machine.classes_) == 2:
        found = np.concatenate([-found[0], found[0]]), np.concatenate([-found[1], found[1]])
    at = np.searchsorted(abilities, machine.classes_)
    dense[:, at], bias[at] = found[0].T, found[1]
    return dense, bias


def weights_of(labels: NDArray[np.str_], sources: NDArray[np.str_]) -> NDArray[np.float64]:
    """What each record weighs: the abilities of a source alike, sources alike, abilities nearly alike; 1 on average."""
    cells = np.char.add(np.char.add(sources, "\0"), labels)
    _, cell, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    found = 1.0 / sizes[cell]
    _, label = np.unique(labels, return_inverse=True)
    totals = np.bincount(label, weights=found)
    found *= ((totals.mean() / totals) ** BALANCE)[label]
    return np.asarray(found / found.mean())


def _calibrated(features: Any, ready: pl.DataFrame, strength: float, abstain: float) -> tuple[float, float]:
    """Temperature and threshold, from what machines say of sources that they did not see."""
    few = ready.with_row_index("at").filter(
        pl.int_range(pl.len()).over("source", "ability") < MOST_CALIBRATING
    )  # the first are those with the smallest digests
    labels, sources = few["ability"].to_numpy().astype(str), few["source"].to_numpy().astype(str)
    chosen = features[few["at"].to_numpy()]
    abilities, fold = np.unique(labels), _folds(few)
    margins = np.full((len(few), len(abilities)), -4.0)
    for one in range(FOLDS):
        seen, unseen = fold != one, fold == one
        if unseen.any() and len(np.unique(labels[seen])) > 1:
            dense, bias = _svm(chosen[seen], labels[seen], sources[seen], abilities, strength)
            margins[unseen] = chosen[unseen] @ dense + bias
    truth = np.searchsorted(abilities, labels)
    knowable = np.array([len(set(fold[labels == label])) > 1 for label in abilities])[truth]
    if not knowable.any():
        return 0.5, 1.0 / len(abilities)
    _, source, sizes = np.unique(sources, return_inverse=True, return_counts=True)
    share = (1.0 / sizes)[source][knowable]
    temperature = _temperature(margins[knowable], truth[knowable], share)
    best = np.sort(_softmax(margins[knowable] / temperature).max(axis=1))
    order = np.argsort(_softmax(margins[knowable] / temperature).max(axis=1), kind="stable")
    place = int(np.searchsorted(np.cumsum(share[order]) / share.sum(), abstain))
    return temperature, float(np.round(best[min(place, len(best) - 1)], 4))


def _folds(records: pl.DataFrame) -> NDArray[np.int64]:
    """Where each record is held out: by source, large ones first to the emptiest fold; of few sources, by digest."""
    sizes = records.group_by("source").len().sort("len", "source", descending=[True, False])
    if len(sizes) < FOLDS:
        return (records["digest"] % FOLDS).to_numpy().astype(np.int64)
    filled = [0] * FOLDS
    place = {}
    for source, size in sizes.iter_rows():
        place[source] = filled.index(min(filled))
        filled[place[source]] += size
    return np.array([place[source] for source in records["source"]])


def _softmax(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _temperature(margins: NDArray[np.float64], truth: NDArray[np.int64], share: NDArray[np.float64]) -> float:
    """The temperature under which the truth is likeliest (Guo et al. 2017, arXiv 1706.04599, section 4.2)."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 - few commands need it

    def surprise(logarithm: float) -> float:
        chances = _softmax(margins / np.exp(logarithm))[np.arange(len(truth)), truth]
        return float(-(share * np.log(np.maximum(chances, 1e-12))).sum() / share.sum())

    least, greatest = np.log(TEMPERATURES)
    found = minimize_scalar(surprise, bounds=(least, greatest), method="bounded")
    return float(np.round(np.exp(found.x), 4))


def _seen(prompts: pl.Series, labels: NDArray[np.str_]) -> dict[str, tuple[int, int]]:
    """For each rule the records that it alone decides, and those of them that have its ability."""
    names = rule_names()
    rule = decided(hits(prompts), np.ones(len(names), dtype=bool))
    return {
        name: (int((rule == at).sum()), int(((rule == at) & (labels == ability_of(name))).sum()))
        for at, name in enumerate(names)
    }


def texts_digest(ready: pl.DataFrame) -> str:
    """What stands for the records that a model learnt from."""
    digest = hashlib.sha256()
    for row in ready.select(COLUMNS).iter_rows():
        digest.update("\0".join(row).encode() + b"\1")
    return digest.hexdigest()


def _about(records: pl.DataFrame, ready: pl.DataFrame, *, base: bool) -> dict[str, Any]:
    counted = records.drop_nulls("ability").group_by("ability").len().sort("ability")
    return {
        "records": int(counted["len"].sum()),
        "learnt": len(ready),
        "texts": texts_digest(ready),
        "sources": records.drop_nulls("ability")["source"].cast(pl.String).unique().sort().to_list(),
        "abilities": dict(counted.iter_rows()),
        "base": base,
    }
