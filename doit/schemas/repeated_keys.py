"""Keys that stand twice in one JSON object, which parsers drop without a word.

`"key":` is counted in the bytes first, which costs a tenth of parsing flat rows. Only where that count is not the
number of keys that were parsed is the row read again, slowly. What gets past: a row that writes some of its keys in
the usual way (no blank, or one, before the colon) and as many in another way as are repeated; and one nested some 900
deep.
"""

from __future__ import annotations

import json
from typing import Any


class _Repeated(Exception):
    """A key that stands twice."""


def repeated_key(data: bytes, value: Any) -> str | None:
    """A key that one object of a JSON text holds twice, or None.

    Args:
        data: a JSON text in UTF-8.
        value: the same, parsed.

    Returns:
        The first that the parser meets; objects inside others come before those around them.
    """
    written = data.count(b'":')
    if written == len(value) if type(value) is dict else type(value) is not list:
        return None
    if _are_all_keys(data, written, _keys_in(value)):
        return None
    try:
        json.loads(data.decode(), object_pairs_hook=_unrepeated, parse_int=str, parse_float=str)
    except _Repeated as repeated:
        return str(repeated)
    except RecursionError:
        return None
    return None


def _are_all_keys(data: bytes, written: int, keys: int) -> bool:
    """Whether `keys` is how often `":` stands in the data, less those inside texts, more those after a blank."""
    if written == keys or (written := written - data.count(b'\\":')) == keys:
        return True
    return written + data.count(b'" :') - data.count(b'\\" :') == keys


def _keys_in(value: Any) -> int:
    """How many keys the objects of a value have, at any depth."""
    count = 0
    waiting = [value]
    while waiting:
        held: Any = waiting.pop()
        if type(held) is dict:
            count += len(held)
            held = held.values()
        for one in held:
            kind = type(one)
            if kind is dict or kind is list:
                waiting.append(one)
    return count


def _unrepeated(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _Repeated(key)
        seen.add(key)
