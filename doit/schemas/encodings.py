"""The names of text encodings that a card may declare."""

from __future__ import annotations

import codecs

from doit.errors import SpecError

_NO_TEXT = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"}
"""Codecs between text and bytes that say how a name or a literal is written, in whose place no file can be read."""


def text_encoding(declared: str) -> str:
    """The codec's own name for an encoding.

    Raises:
        SpecError: there is no such encoding of texts (D203).
    """
    try:
        found = codecs.lookup(declared)
        "".encode(found.name)  # LookupError for what turns bytes into bytes, such as rot13 and base64
    except (LookupError, UnicodeError, ValueError) as error:
        raise _unknown(declared) from error
    if found.name.replace("-", "_") in _NO_TEXT:
        raise _unknown(declared)
    return found.name


def _unknown(declared: str) -> SpecError:
    hint = "Python's names count, such as gb18030, big5 or utf-16."
    return SpecError("D203", f'no text encoding "{declared}".', where="encoding", hint=hint)
