"""Long conversations made several, each within a number of tokens; no cut falls inside an exchange."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from doit.curation.rules.lengths import Tokens
from doit.mixtures.pools.tokens import Tokenizer, entry_tokens, message_sizes
from doit.schemas.record import content_id


def split_long(
    records: pl.DataFrame, rule: Tokens, tokenizer: Tokenizer, folder: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make several conversations of each that is too long.

    An exchange is a user's turn and all that answers it; a piece is a run of whole exchanges under the conversation's
    system turn. A piece that is one exchange may still be too long: the rule drops it. Pieces are records of their
    own, with an id each, in one group, so that no split of a mixture parts them.

    Args:
        records: pooled records, in order.
        rule: the limit.
        tokenizer: counts.
        folder: the entry's, where the counts of whole records are kept.

    Returns:
        The records that are short enough, and the pieces of the others; the columns are the same.
    """
    too_long = entry_tokens(folder, tokenizer)["tokens"] > rule.at_most
    long = records.filter(too_long)
    sizes = message_sizes(long["messages"], tokenizer)
    pieces: list[dict[str, Any]] = []
    for row, counts in zip(long.iter_rows(named=True), sizes, strict=True):
        pieces += _pieces(row, counts, rule)
    return records.filter(~too_long), pl.DataFrame(pieces, schema=records.schema)


def _pieces(row: dict[str, Any], sizes: Sequence[int], rule: Tokens) -> Iterator[dict[str, Any]]:
    """The records that one record becomes: itself where it is a single exchange."""
    messages = row["messages"]
    runs = list(_runs(messages, sizes, rule.at_most))
    if len(runs) == 1:
        yield row
        return
    system = [0] if messages[0]["role"] == "system" else []
    for number, run in enumerate(runs):
        kept = [*system, *run]
        turns = [messages[at] for at in kept]
        yield {
            **row,
            "id": content_id((turn["role"], turn["content"]) for turn in turns),
            "messages": turns,
            "reasoning": None if row["reasoning"] is None else [row["reasoning"][at] for at in kept],
            "tags": [*row["tags"], f"rewritten:{rule.title}"],
            "group": row["group"] or row["id"],
            "part": row["part"] + number,
            "turns": sum(turn["role"] == "assistant" for turn in turns),
            "chars": sum(len(turn["content"]) for turn in turns),
        }


def _runs(messages: Sequence[dict[str, str]], sizes: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Positions of the messages of each piece, without the system turn."""
    first = int(messages[0]["role"] == "system")
    room = limit - sum(sizes[:first])
    run: list[int] = []
    for exchange in _exchanges(messages, first):
        size = sum(sizes[at] for at in exchange)
        if run and sum(sizes[at] for at in run) + size > room:
            yield run
            run = []
        run = [*run, *exchange]
    yield run


def _exchanges(messages: Sequence[dict[str, str]], first: int) -> Iterator[list[int]]:
    """Positions of each user's turn and of what answers it."""
    exchange: list[int] = []
    for at in range(first, len(messages)):
        if messages[at]["role"] == "user" and exchange and messages[exchange[-1]]["role"] != "user":
            yield exchange
            exchange = []
        exchange.append(at)
    yield exchange
