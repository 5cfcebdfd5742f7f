"""Private things in text: addresses, numbers, keys. What they are is said in `find`.

A column is first searched in Polars' engine, whose time is linear in the text (`screen`); only the texts it flags are
read again, with the same patterns between look-arounds, and what matches is checked: check digits, dates, public
address ranges. Every pattern is bounded, so that no text can make the second search run away.

Formats: RFC 2606 and RFC 5737 (names and addresses for documents), RFC 7519 (JWT), RFC 7468 (keys as text), GB 11643
(identity cards), ISO/IEC 7812 (card numbers, Luhn's check digit); the prefixes of keys are those that their services
publish for scanners.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import polars as pl

from doit.curation.private.checks import CHECKS
from doit.curation.private.patterns import PATTERNS, WIDE, Pattern

Kind = Literal[
    "private-key", "url-credentials", "jwt", "api-key", "password", "e-mail", "id-card", "bank-card", "phone", "ip"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What is looked for. Where two kinds overlap, the earlier one has the text."""
ROUNDS = 8
WIDE_FORMS = {point: point - 0xFEE0 for point in range(0xFF01, 0xFF5F)}
"""Full-width forms and the ASCII character of each; a text keeps its length."""


@dataclass(frozen=True)
class Found:
    """One private thing in a text."""

    kind: str
    """Of `KINDS`."""
    start: int
    """Its first character, counted in characters."""
    end: int
    """One past its last character."""


@cache
def _compiled() -> tuple[tuple[Pattern, re.Pattern[str]], ...]:
    return tuple((pattern, re.compile(pattern.exact)) for pattern in PATTERNS)


def find(text: str, kinds: Collection[str] = KINDS) -> list[Found]:
    """The private things in a text, in order; none overlaps another.

        private-key      PEM blocks of private keys, also cut off
        url-credentials  user:password in an address
        jwt              signed tokens
        api-key          keys and tokens of well-known services, by their prefixes
        password         `password = …`, 密码：…, with a value that looks like one
        e-mail           addresses, without those of RFC 2606 (example.com)
        id-card          mainland identity numbers: 18 digits with date and check digit; 15 with a word for it before
        bank-card        card numbers with a known issuer's prefix and Luhn's check digit
        phone            mainland mobile and landline numbers, Taiwan's, North America's, and +country code
        ip               public IPv4 and IPv6 addresses

    Args:
        text: any string; full-width digits and letters are read like usual ones.
        kinds: of `KINDS`; all of them by default.

    Returns:
        Spans in characters. A password's or credential's span is its value alone, so that the word before it stays.
    """
    plain = text.translate(WIDE_FORMS) if WIDE.search(text) else text
    taken: list[Found] = []
    for pattern, compiled in _compiled():
        if pattern.kind in kinds and any(hint in plain for hint in pattern.hints):
            taken += _matches(plain, pattern, compiled)
    return _apart(taken)


def _matches(text: str, pattern: Pattern, compiled: re.Pattern[str]) -> Iterator[Found]:
    check = CHECKS[pattern.check]
    for match in compiled.finditer(text):
        group = compiled.groupindex.get("value", 0)
        if check(match[group], text, match):
            yield Found(pattern.kind, match.start(group), match.end(group))


def _apart(found: list[Found]) -> list[Found]:
    """Without those that overlap one of an earlier kind, or an earlier one of their own."""
    rank: dict[str, int] = {kind: number for number, kind in enumerate(KINDS)}
    kept: list[Found] = []
    taken: set[int] = set()
    for item in sorted(found, key=lambda item: (rank[item.kind], item.start, -item.end)):
        if taken.isdisjoint(range(item.start, item.end)):
            taken.update(range(item.start, item.end))
            kept.append(item)
    return sorted(kept, key=lambda item: item.start)


def redact(text: str, kinds: Collection[str] = KINDS) -> str:
    """The text with `[e-mail]`, `[phone]`, … in place of what `find` finds, until it finds nothing more.

    Where two things touch, taking one out can bring the other to light; so the text is searched again, at most `ROUNDS`
    times.
    """
    for _ in range(ROUNDS):
        found = find(text, kinds)
        if not found:
            break
        parts, at = [], 0
        for item in found:
            parts += [text[at : item.start], f"[{item.kind}]"]
            at = item.end
        text = "".join([*parts, text[at:]])
    return text


def screen(texts: pl.Series, kinds: Collection[str] = KINDS) -> pl.Series:
    """Whether `find` may find something: never False where it does.

    Args:
        texts: a column of strings.
        kinds: as in `find`.

    Returns:
        A Boolean column; False for nulls.
    """
    wide = texts.str.contains(WIDE.pattern).fill_null(value=False).arg_true()
    plain = texts.scatter(wide, [text.translate(WIDE_FORMS) for text in texts.gather(wide)]) if len(wide) else texts
    flagged = pl.Series(texts.name, [False], dtype=pl.Boolean).new_from_index(0, len(texts))
    # One search a pattern: together they have too many states for the engine's cache and take thirty times as long.
    for pattern in PATTERNS:
        if pattern.kind in kinds:
            flagged |= plain.str.contains(pattern.loose)
    return flagged.fill_null(value=False)
