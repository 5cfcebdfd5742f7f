"""Copies of a tokenizer that know no control token, for the stretches of a text between them."""

from __future__ import annotations

import secrets
from typing import Any

import orjson

from doit.errors import SpecError

REMEMBERED = 200_000
"""Words whose tokens a copy of the tokenizer remembers; ten thousand, as is usual, are few for two languages."""


def plain_tokenizers(backend: Any, control: dict[str, int]) -> tuple[Any, Any, Any]:
    """Copies of a tokenizer that know no control token, for each place a stretch can stand at.

    Args:
        backend: a `tokenizers.Tokenizer`.
        control: its control tokens.

    Returns:
        For the start of a text, behind a control token, and behind a cut; one object where they do the same.

    Raises:
        SpecError: D601 ids would change without the control tokens.
    """
    document = orjson.loads(backend.to_str())
    document.update(truncation=None, padding=None, post_processor=None)
    known = backend.get_vocab(with_added_tokens=False)
    # Ids of added tokens follow from their order, so those outside the vocabulary leave a name that no text can have.
    secret = secrets.token_hex(16)
    kept = []
    for token in document["added_tokens"]:
        if token["content"] not in control:
            kept.append(token)
        elif token["content"] not in known:
            kept.append({**token, "content": f"\U000f0000{secret}{token['id']}", "special": True, "normalized": False})
    document["added_tokens"] = kept
    after, continued = _prefixed(document, everywhere=False), _prefixed(document, everywhere=True)
    made: list[tuple[dict[str, Any], Any]] = []
    for variant in (document, after, continued):
        same = [plain for other, plain in made if all(variant[key] == other[key] for key in _PREFIXING)]
        made.append((variant, same[0] if same else _load(type(backend), variant, control, backend)))
    return made[0][1], made[1][1], made[2][1]


def _load(kind: Any, document: dict[str, Any], control: dict[str, int], backend: Any) -> Any:
    plain = kind.from_str(orjson.dumps(document).decode())
    if hasattr(plain.model, "_resize_cache"):
        plain.model._resize_cache(REMEMBERED)
    ids = plain.get_added_tokens_decoder()
    for id_, token in backend.get_added_tokens_decoder().items():
        if token.content not in control and (id_ not in ids or ids[id_].content != token.content):
            what = f"the id of its token {token.content!r} depends on other tokens."
            raise SpecError("D601", what, where="tokenizer", hint="Save it anew with `save_pretrained`.")
    return plain


_PREFIXING = ("normalizer", "pre_tokenizer")
"""Parts of a tokenizer that may put a space before a text."""


def _prefixed(document: dict[str, Any], *, everywhere: bool) -> dict[str, Any]:
    """Without the space that a tokenizer puts before a text: before any, or where only the first text gets it."""
    return {**document, **{key: _without_prefix(document[key], everywhere=everywhere) for key in _PREFIXING}}


def _without_prefix(part: Any, *, everywhere: bool) -> Any:
    if part is None:
        return None
    for inner in ("normalizers", "pretokenizers"):
        if inner in part:
            kept = [_without_prefix(each, everywhere=everywhere) for each in part[inner]]
            return {**part, inner: [each for each in kept if each is not None]}
    if part["type"] == "Metaspace" and (everywhere or part.get("prepend_scheme") == "first"):
        return {**part, "prepend_scheme": "never"}
    if everywhere and part["type"] == "ByteLevel":
        return {**part, "add_prefix_space": False}
    if everywhere and part["type"] == "Prepend":
        return None
    return part
