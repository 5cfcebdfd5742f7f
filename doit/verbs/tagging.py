"""The verbs of the ability tagger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doit.curation.tagging.endpoint import Endpoint
    from doit.curation.tagging.evaluating import TagEval
    from doit.curation.tagging.explaining import Explanation
    from doit.mixtures.pools.tagging import ApplyAnswer, FitAnswer

DEFAULT = "default"


def tag_fit(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    base: bool = True,
    strength: float = 0.5,
    abstain: float = 0.1,
) -> FitAnswer:
    """Fit an ability tagger to labelled records.

    Args:
        inputs: mixture specs (the records of their sources), mixtures' folders, or Parquet files of records.
        out: the model's file, `….safetensors`.
        base: learn from the requests written for this project too.
        strength: the inverse of the regularisation.
        abstain: the share of unseen records that the threshold leaves without an answer.

    Raises:
        MissingExtra: D208 scikit-learn is not installed.
        SpecError: the call or a spec is wrong.
        DataError: no record has an ability, or all have the same.
        StorageError: the disk refused.
    """
    from doit.curation.tagging.fitting import fit
    from doit.mixtures.pools.tagging import fit_answer, labelled

    paths = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(one) for one in inputs]
    model = fit(labelled(paths), base=base, strength=strength, abstain=abstain)
    model.save(Path(out))
    return fit_answer(Path(out), model)


def tag_apply(
    path: str | Path,
    out: str | Path,
    *,
    model: str | Path = DEFAULT,
    over: bool = False,
    threshold: float | None = None,
    endpoint: Endpoint | None = None,
) -> ApplyAnswer:
    """Write records with the tagger's abilities where they have none.

    Args:
        path: a mixture spec, a mixture's folder, or Parquet files of records.
        out: the `.parquet` file to make.
        model: `default`, or a file made by `tag_fit`.
        over: ask about records that have an ability, too, and replace it where the tagger is sure.
        threshold: instead of the model's own.
        endpoint: a model behind an OpenAI-compatible endpoint that is asked instead; its answers are kept in the cache.

    Raises:
        SpecError: the call is wrong, or the endpoint gives no answers.
        DataError: there are no records.
        StorageError: the disk refused.
    """
    from doit.curation.tagging.model import load_tagger
    from doit.mixtures.pools.tagging import apply_tags

    if endpoint is not None:
        from doit.curation.tagging.endpoint import EndpointTagger
        from doit.reading.hub_repository import cache_home

        return apply_tags(Path(path), Path(out), EndpointTagger(endpoint, cache_home() / "endpoint"), over=over)
    return apply_tags(Path(path), Path(out), load_tagger(str(model)), over=over, threshold=threshold)


def tag_eval(path: str | Path, *, model: str | Path = DEFAULT, threshold: float | None = None) -> TagEval:
    """Compare the tagger with the labels of records: precision, recall and F1 of each ability, and the confusions.

    Args:
        path: a mixture spec, a mixture's folder, or Parquet files of records.
        model: `default`, or a file made by `tag_fit`.
        threshold: instead of the model's own.

    Raises:
        SpecError: the call is wrong.
        DataError: no record has an ability.
    """
    from doit.curation.tagging.model import load_tagger
    from doit.mixtures.pools.tagging import evaluated

    return evaluated(Path(path), load_tagger(str(model)), threshold=threshold)


def tag_explain(
    text: str | None = None,
    *,
    answer: str = "",
    path: str | Path | None = None,
    id: str | None = None,  # noqa: A002 - the record's own name for it
    model: str | Path = DEFAULT,
) -> Explanation:
    """Why the tagger says what it says: the rule with what it matched, and the features that weighed most.

    Args:
        text: a request; or none, and `path` and `id` name a record.
        answer: the answer to it.
        path: a mixture spec, a mixture's folder, or Parquet files of records.
        id: a record's id, or its first digits.
        model: `default`, or a file made by `tag_fit`.

    Raises:
        SpecError: the call is wrong, or no record has this id.
    """
    from doit.curation.tagging.explaining import explain
    from doit.curation.tagging.model import load_tagger
    from doit.errors import SpecError
    from doit.mixtures.pools.tagging import explained

    tagger = load_tagger(str(model))
    if path is not None and id is not None and text is None:
        return explained(Path(path), id, tagger)
    if text is None or path is not None or id is not None:
        raise SpecError("D204", "there is nothing to explain.", hint="Give a text, or an input and an id.")
    return explain(text, answer, tagger)
