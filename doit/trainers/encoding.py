"""Conversations to token ids and masks. Control tokens come from the template alone, never from what a row says.

A tokenizer cuts a text at its control tokens and encodes each stretch between them by itself. We do the same, but
only the template's own text is searched for control tokens; the stretches, in which template and data stand side by
side, are encoded by a copy of the tokenizer that knows no control token. One more cut is made, where learned text
begins or ends: there the model too starts and stops writing, so that the tokens of training are those of use.
"""

from __future__ import annotations

import re
import secrets
from array import array
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from doit.errors import SpecError
from doit.trainers.rendering import CannotRender, Conversation, Outline, Slot, Written, filled

START, AFTER_CONTROL, CONTINUED = 0, 1, 2
"""Where a stretch stands: at the start of the text, behind a control token, or behind a cut. Tokenizers that put a
space before a text do so at the first, some at the second, and none at the third."""

REMEMBERED = 200_000
"""Words whose tokens a copy of the tokenizer remembers; ten thousand, as is usual, are few for two languages."""

_BRACKETS = (("<", ">"), ("[", "]"), ("＜", "＞"), ("【", "】"), ("«", "»"), ("⟨", "⟩"))
_HTML = frozenset(
    (
        *(
            "a",
            "b",
            "blockquote",
            "br",
            "code",
            "div",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "i",
            "img",
            "li",
        ),
        *("ol", "p", "pre", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
    )
)


class ControlTokens:
    """Which tokens of a tokenizer steer a model, and how a text is cut at them.

    Control tokens are those that the tokenizer calls special, those that its chat template names, and those between
    brackets (`<think>`, `[INST]`). Other added tokens, such as runs of spaces or tags of HTML, are text.

    Args:
        tokenizer: a fast tokenizer of transformers.

    Raises:
        SpecError: D601 it is not one.
    """

    def __init__(self, tokenizer: Any) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None or not hasattr(backend, "encode_batch"):
            hint = "Use a model whose folder has a tokenizer.json."
            raise SpecError("D601", "it is not a fast tokenizer.", where="tokenizer", hint=hint)
        named = str(tokenizer.chat_template or "")
        added = backend.get_added_tokens_decoder()
        chosen = {token.content: (id_, token) for id_, token in added.items() if _steers(token, named)}
        self.ids: dict[str, int] = {content: id_ for content, (id_, _) in chosen.items()}
        self.tokens: dict[int, Any] = dict(chosen.values())
        # longest first, as the tokenizer's own matching is
        parts = "|".join(re.escape(text) for text in sorted(self.ids, key=len, reverse=True))
        self._pattern = re.compile(f"({parts})") if parts else None

    def cut(self, text: str) -> list[tuple[str, int | None]]:
        """Parts of a template's text: (text, None), or (control token, its id)."""
        if self._pattern is None:
            return [(text, None)]
        return [(part, self.ids.get(part)) for part in self._pattern.split(text) if part]

    def first(self, text: str) -> str | None:
        """The control token that a text begins with, white space aside."""
        if self._pattern is None:
            return None
        found = self._pattern.match(text.lstrip())
        return found[0] if found else None

    def within(self, text: str) -> list[str]:
        """The control tokens that occur in a text."""
        return [] if self._pattern is None else sorted(set(self._pattern.findall(text)))


def _steers(token: Any, chat_template: str) -> bool:
    text = token.content
    if token.special or (any(letter.isalpha() for letter in text) and text in chat_template):
        return True
    bracketed = any(text.startswith(left) and text.endswith(right) for left, right in _BRACKETS)
    return bracketed and len(text) > 2 and text.strip("</>").lower() not in _HTML


class Step(NamedTuple):
    """A part of a row between two cuts."""

    ids: list[int] | None
    """Its tokens, where they are the same in all rows of the shape."""
    where: int
    parts: tuple[str | Slot, ...]
    """Else the texts it is joined from."""
    supervised: bool


class Recipe(NamedTuple):
    """How rows of one shape become tokens."""

    steps: tuple[Step, ...]
    controls: int
    """Control tokens of the template."""


class Row(NamedTuple):
    """A row that is ready for the tokenizer."""

    recipe: Recipe
    texts: list[str]
    """One for each step that has no ids."""


class Encoded(NamedTuple):
    """Rows as tokens, end to end."""

    ids: NDArray[np.int32]
    """(T,)"""
    supervised: NDArray[np.bool_]
    """(T,)"""
    lengths: list[int]
    """Tokens of each row."""
    unsafe: dict[int, str]
    """Row -> why it has no tokens: what it says could not be kept apart from control tokens."""


class Encoder:
    """Encodes rendered conversations with one tokenizer.

    Args:
        tokenizer: a fast tokenizer of transformers.
        control: its control tokens.
        bos: whether every row begins with its begin token.
    """

    def __init__(self, tokenizer: Any, control: ControlTokens, *, bos: bool) -> None:
        self._control = control
        self._bos = [int(tokenizer.bos_token_id)] if bos else []
        self._plain = _plain_tokenizers(tokenizer.backend_tokenizer, control)
        self._steering = np.zeros(len(tokenizer) + 1, dtype=np.bool_)
        unknown = tokenizer.unk_token_id
        # an unknown character is no forged token, unless the unknown token ends or begins texts as well
        harmless = {unknown} - {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id}
        self._steering[[id_ for id_ in control.ids.values() if id_ not in harmless]] = True

    def recipe(self, outline: Outline) -> Recipe:
        """How conversations of an outline become tokens.

        Raises:
            CannotRender: a text that is the same in all of them cannot be kept apart from control tokens.
        """
        steps = [Step(self._bos, START, (), False)] if self._bos else []
        for step in self._steps(outline, AFTER_CONTROL if self._bos else START):
            ids = step.ids
            if ids is None and all(isinstance(part, str) for part in step.parts):
                ids = self._apart("".join(map(str, step.parts)), step.where)
            if ids is not None and steps and steps[-1].ids is not None and steps[-1].supervised == step.supervised:
                steps[-1] = steps[-1]._replace(ids=steps[-1].ids + ids)
            else:
                steps.append(step._replace(ids=ids))
        given = sum(int(self._steering[step.ids].sum()) for step in steps if step.ids)
        return Recipe(tuple(steps), given)

    def _steps(self, outline: Outline, where: int) -> list[Step]:
        steps: list[Step] = []
        open_: list[str | Slot] = []
        learned, trim = False, False

        def close(then: int) -> None:
            nonlocal where
            if open_:
                steps.append(Step(None, where, tuple(open_), learned))
                open_.clear()
                where = CONTINUED
            where = then if then == AFTER_CONTROL else where

        for piece in outline:
            if piece.supervised != learned:
                close(CONTINUED)
                learned = piece.supervised
            if isinstance(piece, Slot):
                open_.append(piece._replace(left=None) if trim else piece)
                trim = False
                continue
            for text, id_ in self._control.cut(piece.text) if isinstance(piece, Written) else ((piece.text, None),):
                if id_ is None:
                    kept = text.lstrip() if trim else text
                    open_ += [kept] if kept else []
                    trim = trim and not kept
                    continue
                token = self._control.tokens[id_]
                if token.lstrip:
                    _cut_end(open_)
                close(AFTER_CONTROL)
                steps.append(Step([id_], where, (), learned))
                trim = token.rstrip
        close(CONTINUED)
        return steps

    def prompt(self, outline: Outline) -> list[int]:
        """Token ids of an outline without slots, such as `rendering.prompt_of` gives.

        Raises:
            CannotRender: a text of it cannot be kept apart from control tokens.
        """
        return [id_ for step in self.recipe(outline).steps for id_ in step.ids or ()]

    def row(self, recipe: Recipe, conversation: Conversation) -> Row:
        """The texts of a conversation in the places of its recipe."""
        texts = []
        for ids, _, parts, _ in recipe.steps:
            if ids is None:
                found = [part if isinstance(part, str) else filled(part, conversation) for part in parts]
                texts.append("".join(found) if len(found) > 1 else found[0])
        return Row(recipe, texts)

    def encode(self, rows: Sequence[Row]) -> Encoded:
        """Token ids and masks of rows, tokenised on every processor."""
        waiting: list[list[str]] = [[], [], []]
        for recipe, texts in rows:
            wheres = [step.where for step in recipe.steps if step.ids is None]
            for where, text in zip(wheres, texts, strict=True):
                waiting[where].append(text)
        answers = [
            iter(self._plain[where].encode_batch_fast(texts, add_special_tokens=False) if texts else ())
            for where, texts in enumerate(waiting)
        ]
        ids, sizes, marks, lengths = array("i"), array("q"), [], []
        for recipe, _ in rows:
            before = len(ids)
            for fixed, where, _, supervised in recipe.steps:
                found = next(answers[where]).ids if fixed is None else fixed
                ids.extend(found)
                sizes.append(len(found))
                marks.append(supervised)
            lengths.append(len(ids) - before)
        flat = np.frombuffer(ids, dtype=np.int32) if ids else np.zeros(0, np.int32)
        mask = np.repeat(np.array(marks, dtype=np.bool_), np.frombuffer(sizes, np.int64) if sizes else 0)
        if int(self._steering[flat].sum()) == sum(row.recipe.controls for row in rows):
            return Encoded(flat, mask, lengths, {})
        return self._mended(rows, Encoded(flat, mask, lengths, {}))

    def _mended(self, rows: Sequence[Row], encoded: Encoded) -> Encoded:
        """The same with the rows encoded again in which text became a control token."""
        flat, mask, lengths, _ = encoded
        parts, masks, new_lengths, unsafe = [], [], [], {}
        for number, end in enumerate(np.cumsum(lengths).tolist()):
            one = slice(end - lengths[number], end)
            ids, learned = flat[one], mask[one]
            if int(self._steering[ids].sum()) != rows[number].recipe.controls:
                try:
                    ids, learned = self._row_apart(rows[number])
                except CannotRender as refusal:
                    unsafe[number] = str(refusal)
                    ids, learned = ids[:0], learned[:0]
            parts.append(ids)
            masks.append(learned)
            new_lengths.append(len(ids))
        return Encoded(np.concatenate(parts), np.concatenate(masks), new_lengths, unsafe)

    def _row_apart(self, row: Row) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        ids: list[int] = []
        mask: list[bool] = []
        texts = iter(row.texts)
        for fixed, where, _, supervised in row.recipe.steps:
            found = self._apart(next(texts), where) if fixed is None else fixed
            ids += found
            mask += [supervised] * len(found)
        return np.array(ids, dtype=np.int32), np.array(mask, dtype=np.bool_)

    def _apart(self, text: str, where: int) -> list[int]:
        """Encode a text in pieces so that no piece becomes a control token; it is cut inside each that would."""
        ids: list[int] = []
        while text:
            encoding = self._plain[where].encode(text, add_special_tokens=False)
            found = list(encoding.ids)
            wrong = next((at for at, id_ in enumerate(found) if self._steering[id_]), None)
            if wrong is None:
                return ids + found
            start, end = encoding.offsets[wrong]
            cut = start + 1
            if end - start < 2 or cut >= len(text):
                raise CannotRender("it has a character that the tokenizer reads as a control token")
            ids += self._apart(text[:cut], where)
            text, where = text[cut:], CONTINUED
        return ids


def _cut_end(parts: list[str | Slot]) -> None:
    """Cut white space off the end of what is joined."""
    while parts:
        last = parts[-1]
        if isinstance(last, Slot):
            parts[-1] = last._replace(right=None)
            return
        parts.pop()
        if kept := last.rstrip():
            parts.append(kept)
            return


def _plain_tokenizers(backend: Any, control: ControlTokens) -> tuple[Any, Any, Any]:
    """Copies of a tokenizer that know no control token, for each place a stretch can stand at."""
    document = orjson.loads(backend.to_str())
    document.update(truncation=None, padding=None, post_processor=None)
    known = backend.get_vocab(with_added_tokens=False)
    # Ids of added tokens follow from their order, so those outside the vocabulary leave a name that no text can have.
    secret = secrets.token_hex(16)
    kept = []
    for token in document["added_tokens"]:
        if token["content"] not in control.ids:
            kept.append(token)
        elif token["content"] not in known:
            kept.append({**token, "content": f"\U000f0000{secret}{token['id']}", "special": True, "normalized": False})
    document["added_tokens"] = kept
    after, continued = deepcopy(document), deepcopy(document)
    _prefix(after, everywhere=False)
    _prefix(continued, everywhere=True)
    texts = [orjson.dumps(variant).decode() for variant in (document, after, continued)]
    loaded = {text: _load(type(backend), text, control, backend) for text in dict.fromkeys(texts)}
    return loaded[texts[0]], loaded[texts[1]], loaded[texts[2]]


def _load(kind: Any, text: str, control: ControlTokens, backend: Any) -> Any:
    plain = kind.from_str(text)
    if hasattr(plain.model, "_resize_cache"):
        plain.model._resize_cache(REMEMBERED)
    ids = plain.get_added_tokens_decoder()
    for id_, token in backend.get_added_tokens_decoder().items():
        if token.content not in control.ids and (id_ not in ids or ids[id_].content != token.content):
            what = f"the id of its token {token.content!r} depends on other tokens."
            raise SpecError("D601", what, where="tokenizer", hint="Save it anew with `save_pretrained`.")
    return plain


def _prefix(document: dict[str, Any], *, everywhere: bool) -> None:
    """Take away the space that a tokenizer puts before a text: all of it, or where only the first text gets it."""
    for key in ("normalizer", "pre_tokenizer"):
        document[key] = _without_prefix(document[key], everywhere=everywhere)


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
