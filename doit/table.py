"""Names and types of the columns that pools and mixtures share. Nothing else in the library spells them out again."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

RECORD = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("messages", MESSAGES, nullable=False),
        pa.field("reasoning", pa.list_(pa.string())),
        pa.field("tools", pa.string()),
        pa.field("language", pa.string(), nullable=False),
        pa.field("ability", pa.string()),
        pa.field("ability_from", pa.string()),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("construction", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("turns", pa.int32(), nullable=False),
        pa.field("chars", pa.int32(), nullable=False),
        pa.field("tokens", pa.int32()),
    ]
)
"""A record, DESIGN's pool columns in their order. Plain `string` and `list`, which ordinary chat data has too."""

MIXTURE = RECORD.append(pa.field("epoch", pa.int32(), nullable=False))
"""A row of a mixture: a record and which copy of it this is, from 1."""

LEDGER = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64()),
        pa.field("part", pa.int32()),
        pa.field("cell", pa.string()),
        pa.field("fate", pa.string(), nullable=False),
        pa.field("rule", pa.string()),
        pa.field("value", pa.string()),
        pa.field("rank", pa.int64()),
        pa.field("epoch", pa.int32()),
        pa.field("split", pa.string()),
        pa.field("rewritten", pa.string()),
    ]
)
"""One line per record read. `fate` is drawn, unused, dropped or rejected; `rule` names the rule or the reject's code;
`value` is what the rule measured (a duplicate's survivor); `rank` is the place in the cell's draw, from 0; `epoch` is
how many copies were drawn."""

REJECTS = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64()),
        pa.field("part", pa.int32()),
        pa.field("byte", pa.int64()),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.string()),
    ]
)
"""What could not become a record. `stage` is `reading` (bytes -> row) or `shaping` (row -> conversation)."""

MESSAGES_POLARS = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
