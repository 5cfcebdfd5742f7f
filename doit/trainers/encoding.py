"""Conversations to token ids and masks. Control tokens come from the template alone, never from what a row says.

A tokenizer cuts a text at its control tokens and encodes each stretch between them by itself. We do the same, but
only the template's own text is searched for control tokens; the stretches, in which template and data stand side by
side, are encoded by a copy of the tokenizer that knows no control token. One more cut is made, where learned text
begins or ends: there the model too starts and stops writing, so that the tokens of training are those of use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from doit.errors import SpecError
from doit.trainers.byte_pairs import BytePairs, Tokens, byte_pairs_of, encode_texts
from doit.trainers.plain_tokenizers import plain_tokenizers
from doit.trainers.rendering import CannotRender, Conversation, Outline, Slot, Written, filled

START, AFTER_CONTROL, CONTINUED = 0, 1, 2
"""Where a stretch stands: at the start of the text, behind a control token, or behind a cut. Tokenizers that put a
space before a text do so at the first, some at the second, and none at the third."""

_FIXED = -1
"""In place of a copy of the tokenizer: the tokens are known."""

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
        self.others = len(added) > len(chosen)
        """Whether the tokenizer has other added tokens, which are text."""
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
    """How rows of one shape become tokens, in S steps."""

    steps: tuple[Step, ...]
    controls: int
    """Control tokens of the template."""
    fixed: NDArray[np.int32]
    """Tokens that are the same in all rows of the shape, end to end."""
    sizes: NDArray[np.int64]
    """(S,) how many of them each step has; 0 where it has a text instead."""
    copies: NDArray[np.int8]
    """(S,) which copy of the tokenizer encodes the text of each step, or -1."""
    marks: NDArray[np.bool_]
    """(S,) whether each is learned."""


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
    lengths: NDArray[np.int64]
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
        self._plain = plain_tokenizers(tokenizer.backend_tokenizer, control.ids)
        self._copies = list(dict.fromkeys(self._plain))
        self._quick: BytePairs | None = None
        self._steering = np.zeros(len(tokenizer) + 1, dtype=np.bool_)
        unknown = tokenizer.unk_token_id
        # an unknown character is no forged token, unless the unknown token ends or begins texts as well
        harmless = {unknown} - {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id}
        self._steering[[id_ for id_ in control.ids.values() if id_ not in harmless]] = True

    def quicken(self) -> bool:
        """Encode with tiktoken from here on, where it is proved to give the same tokens; the proof takes a second.

        Returns:
            Whether it is: then `encode` works on one processor, and several threads may call it.
        """
        if len(self._copies) == 1 and not self._control.others:
            self._quick = byte_pairs_of(self._copies[0])
        return self._quick is not None

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
        fixed = np.array([id_ for step in steps for id_ in step.ids or ()], dtype=np.int32)
        return Recipe(
            tuple(steps),
            int(self._steering[fixed].sum()),
            fixed,
            np.array([len(step.ids or ()) for step in steps], dtype=np.int64),
            np.array([self._copy(step) for step in steps], dtype=np.int8),
            np.array([step.supervised for step in steps], dtype=np.bool_),
        )

    def _copy(self, step: Step) -> int:
        return _FIXED if step.ids is not None else self._copies.index(self._plain[step.where])

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
        """Token ids and masks of rows."""
        if not rows:
            return Encoded(np.zeros(0, np.int32), np.zeros(0, np.bool_), np.zeros(0, np.int64), {})
        recipes = [row.recipe for row in rows]
        copies = np.concatenate([recipe.copies for recipe in recipes])
        sizes = np.concatenate([recipe.sizes for recipe in recipes])
        found = [self._tokens(copy, texts) for copy, texts in enumerate(self._waiting(rows))]
        for copy, (_, lengths) in enumerate(found):
            sizes[copies == copy] = lengths
        source = np.repeat(copies, sizes)
        ids = np.empty(len(source), dtype=np.int32)
        ids[source == _FIXED] = np.concatenate([recipe.fixed for recipe in recipes])
        for copy, (tokens, _) in enumerate(found):
            ids[source == copy] = tokens
        supervised = np.repeat(np.concatenate([recipe.marks for recipe in recipes]), sizes)
        ends = np.cumsum([len(recipe.steps) for recipe in recipes])
        lengths = np.diff(np.concatenate([[0], np.cumsum(sizes)])[ends], prepend=0)
        encoded = Encoded(ids, supervised, lengths, {})
        if int(self._steering[ids].sum()) == sum(recipe.controls for recipe in recipes):
            return encoded
        return self._mended(rows, encoded)

    def _waiting(self, rows: Sequence[Row]) -> list[list[str]]:
        """The texts for each copy of the tokenizer, in their order."""
        if len(self._copies) == 1:
            return [[text for row in rows for text in row.texts]]
        waiting: list[list[str]] = [[] for _ in self._copies]
        for recipe, texts in rows:
            for copy, text in zip(recipe.copies[recipe.copies != _FIXED].tolist(), texts, strict=True):
                waiting[copy].append(text)
        return waiting

    def _tokens(self, copy: int, texts: list[str]) -> Tokens:
        return self._quick.encode(texts) if self._quick is not None else encode_texts(self._copies[copy], texts)

    def _mended(self, rows: Sequence[Row], encoded: Encoded) -> Encoded:
        """The same with the rows encoded again in which text became a control token."""
        flat, mask, lengths, _ = encoded
        parts, masks, unsafe = [], [], {}
        for number, (end, length) in enumerate(zip(np.cumsum(lengths).tolist(), lengths.tolist(), strict=True)):
            one = slice(end - length, end)
            ids, learned = flat[one], mask[one]
            if int(self._steering[ids].sum()) != rows[number].recipe.controls:
                try:
                    ids, learned = self._row_apart(rows[number])
                except CannotRender as refusal:
                    unsafe[number] = str(refusal)
                    ids, learned = ids[:0], learned[:0]
            parts.append(ids)
            masks.append(learned)
        return Encoded(np.concatenate(parts), np.concatenate(masks), np.array(list(map(len, parts))), unsafe)

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
