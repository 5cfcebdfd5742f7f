"""The language of real texts, against labels that follow from their files' origin and from reading."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
import pytest
from real_texts import DATA, SHORT, labelled

from doit.curation.language.telling import languages

pytestmark = pytest.mark.shared

EAST = ("short Han", "short kana", "short Hangul")


@pytest.fixture(scope="module")
def right() -> dict[tuple[str, str], list[bool]]:
    """(kind, language) -> whether each text was told rightly; formulas alone do not count."""
    if not DATA.is_dir():
        pytest.skip("needs the real sets of ../shared/data")
    texts = labelled()
    assert len(texts) >= 3000
    got = languages(pl.Series([one.text for one in texts]), pl.Series([one.first for one in texts]))
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for one, tag in zip(texts, got, strict=True):
        if one.language != "und" and (len(one.text) > SHORT or one.kind.startswith("short")):
            found[one.kind, one.language].append(tag == one.language)
    return found


def accuracies(right: dict[tuple[str, str], list[bool]], *kinds: str) -> dict[str, float]:
    """Language -> accuracy over some kinds of texts, all that are not short if none is named."""
    by: dict[str, list[bool]] = defaultdict(list)
    for (kind, language), told in right.items():
        if kind in kinds or not (kinds or kind.startswith("short")):
            by[language] += told
    return {language: sum(told) / len(told) for language, told in by.items()}


def test_macro_accuracy_over_ten_characters_is_at_least_99_percent(right) -> None:
    by = accuracies(right)

    assert set(by) == {"zh-Hans", "zh-Hant", "zh", "en", "ja", "fr", "th"}
    assert sum(by.values()) / len(by) >= 0.99, by
    assert min(by.values()) >= 0.98, by


@pytest.mark.parametrize("kind", ["zh-Hant (DRCD)", "zh-Hant (Taiwan)", "code-heavy", "mixed"])
def test_hard_kinds_of_texts(right, kind: str) -> None:
    by = accuracies(right, kind)

    assert sum(by.values()) / len(by) >= 0.98, by


def test_macro_accuracy_of_short_eastern_texts_is_at_least_95_percent(right) -> None:
    by = accuracies(right, *EAST)

    assert set(by) == {"zh-Hans", "zh-Hant", "zh", "ja", "ko"}
    assert sum(by.values()) / len(by) >= 0.95, by
