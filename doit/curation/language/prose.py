"""What of a text is language: everything but code marked as such, addresses and formulas."""

from __future__ import annotations

import polars as pl

SIGNS = r"[`@$\\]|~~~|://|(?i:www\.)"
DOMAINS = (".com", ".org", ".net", ".edu", ".gov", ".io", ".cn", ".tw", ".hk", ".jp")
"""A text without any of these signs and domains holds nothing that a pattern below could match."""

PATTERNS = (
    # Fences, the long ones first, for they may hold short ones; one that is never closed runs to the end.
    r"(?s)````+.*?(?:````+|\z)",
    r"(?s)```.*?(?:```|\z)",
    # Tildes are also friendly punctuation in Chinese, so only a line of its own opens or closes such a fence.
    r"(?ms)^ {0,3}~~~+[ \t]*[\w+#.-]*[ \t]*\r?$.*?(?:^ {0,3}~~~+[ \t]*\r?$|\z)",
    r"``[^`\n]+``",
    r"`[^`\n]+`",
    # Addresses are ASCII here: in Chinese the sentence goes on behind them without a space.
    r"(?i)(?:https?|ftps?|file)://[!-~]+",
    r"(?i)(?-u:\b)www\.[!-~]+",
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    # A bare domain, which many a question is about.
    r"(?i)(?-u:\b)[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|edu|gov|io|cn|tw|hk|jp)(?:/[!-~]*|(?-u:\b))",
    r"(?s)\$\$.*?\$\$",
    r"(?s)\\\(.*?\\\)",
    r"(?s)\\\[.*?\\\]",
    # One dollar is money more often than mathematics, except around a command, an index or a power.
    r"\$[^$\n]*[\\^_][^$\n]*\$",
)


def prose(texts: pl.Series) -> pl.Series:
    """The texts without code fences, inline code, URLs, e-mail addresses and LaTeX, each of which leaves one space.

    Args:
        texts: a column of strings; nulls stay null.
    """
    # Two searches, because one pattern for both takes over three times as long.
    domains = texts.str.contains_any(list(DOMAINS), ascii_case_insensitive=True)
    signed = (texts.str.contains(SIGNS) | domains).arg_true()
    if not len(signed):
        return texts
    stripped = texts.gather(signed)
    for pattern in PATTERNS:
        stripped = stripped.str.replace_all(pattern, " ")
    return texts.clone().scatter(signed, stripped)
