"""The model's own chat template: rendered with placeholders, so that what belongs to whom is known and not guessed.

A template is a program. It is run on a conversation whose texts are placeholders; where those come out, the texts
will stand, and everything else is the template's. What a row says never enters the program, so it cannot steer it.
Two more runs prove that this is right: with other placeholders everything else must stay the same, and with white space
around them it is seen what the template cuts off. What cannot be proved is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

from doit.errors import SpecError
from doit.trainers.encoding import ControlTokens
from doit.trainers.rendering import (
    CannotRender,
    Outline,
    Piece,
    Shape,
    Slot,
    Spelled,
    Written,
    learned_turns,
    thinking,
)
from doit.trainers.spec import TrainerSpec

LONGEST = 1_000_000
"""Characters of template text a conversation may have; a hostile template could write without end."""

MOST_STEPS = 1_000_000
"""Lines of its own program that a template may run for one conversation: some seconds at most, far more than
any needs."""

DATE = "01 Jan 2025"
"""What templates that write the date are told where they listen, or the tokens of a row would change every day."""

KNOWN_SHAPES = 4096
"""How many proved shapes of conversations are remembered."""

_LEFT, _RIGHT = "\n \n", "\n\t\n"
_CUTS: tuple[tuple[str | None, str, str], ...] = (("", _LEFT, _RIGHT), ("\n", " \n", "\n\t"), (None, "", ""))
"""(Characters that a template cuts off, what it then leaves of white space before a text, and behind it.)"""

Cut = str | None


class Place(NamedTuple):
    """Where a placeholder came out."""

    message: int
    thought: bool
    start: int
    end: int


class ModelRenderer:
    """Renders the chat template of a tokenizer.

    Args:
        tokenizer: of transformers.
        spec: `supervise` and `reasoning` are read.
        control: the tokenizer's control tokens.

    Raises:
        SpecError: D602 there is no chat template, or it fails on a question and an answer.
    """

    bos = False  # a chat template writes the begin token itself

    def __init__(self, tokenizer: Any, spec: TrainerSpec, control: ControlTokens) -> None:
        self._tokenizer, self._spec, self._control = tokenizer, spec, control
        self._known: dict[Shape, Outline | str] = {}
        self._text = tokenizer.chat_template
        hint = "Use `template: chatml`, alpaca, belle or doit."
        if not isinstance(self._text, str):
            raise SpecError("D602", "it has no chat template.", where="tokenizer", hint=hint)
        self._mark = "q" + hashlib.blake2b(self._text.encode(), digest_size=6).hexdigest()
        plain = Shape(("user", "assistant"), (True, True), (False, False), None)
        try:
            self._inline = False
            self._inline = not self._has_place_for_reasoning()
            self._probe = self._prove(plain)
        except CannotRender as refusal:
            what = f"its chat template cannot be used: {refusal}."
            raise SpecError("D602", what, where="tokenizer", hint=hint) from None

    def identity(self) -> str:
        """See `rendering.Renderer.identity`; holds what the template writes today, should it write the date."""
        return repr((self._text, self._inline, self._probe))

    def end_token(self) -> str:
        """See `rendering.Renderer.end_token`: that of the last answer."""
        last = max(number for number, piece in enumerate(self._probe) if isinstance(piece, Slot))
        behind = self._probe[last + 1]
        assert isinstance(behind, Written)
        return str(self._control.first(behind.text))

    def outline(self, shape: Shape) -> Outline:
        """See `rendering.Renderer.outline`."""
        if shape not in self._known:
            if len(self._known) >= KNOWN_SHAPES:
                self._known.clear()
            try:
                self._known[shape] = self._prove(shape)
            except CannotRender as refusal:
                self._known[shape] = str(refusal)
        found = self._known[shape]
        if isinstance(found, str):
            raise CannotRender(found)
        return found

    def _has_place_for_reasoning(self) -> bool:
        shape = Shape(("user", "assistant"), (True, True), (False, True), None)
        return self._holder(1, True) in self._run(shape, self._holder)

    def _holder(self, number: int, thought: bool) -> str:
        return f"{self._mark}{'r' if thought else 'c'}{number:04}e"

    def _other(self, number: int, thought: bool) -> str:
        return f"{self._holder(number, thought)}，另一個 text\n12 {{x}}"

    def _padded(self, number: int, thought: bool) -> str:
        return _LEFT + self._holder(number, thought) + _RIGHT

    def _guard(self, number: int) -> str:
        return f"{self._mark}t{number:04}e"

    def _prove(self, shape: Shape) -> Outline:
        text = self._run(shape, self._holder)
        places = _places(text, shape, self._holder)
        gaps = _gaps(text, places)
        other = self._run(shape, self._other)
        if _gaps(other, _places(other, shape, self._other)) != gaps:
            raise CannotRender("what the template writes depends on what is said")
        padded = self._run(shape, self._padded)
        cuts = _cuts(_gaps(padded, _places(padded, shape, self._holder)), gaps)
        marks = self._marks(shape, text, places)
        pieces: list[Piece] = []
        at = 0
        for place, (left, right) in zip(places, cuts, strict=True):
            pieces += self._written(text, at, place.start, marks, shape.tools)
            if self._inline and shape.thoughts[place.message]:
                taught = marks[place.start] and self._spec.reasoning == "keep"
                pieces += thinking(place.message, supervised=taught)
            pieces.append(Slot(place.message, place.thought, left, right, marks[place.start]))
            at = place.end
        return (*pieces, *self._written(text, at, len(text), marks, shape.tools))

    def _marks(self, shape: Shape, text: str, places: Sequence[Place]) -> list[bool]:
        """Whether each character is learned: answers, from where the model takes over to their end token."""
        learned = learned_turns(shape.roles, self._spec)
        marks = [False] * len(text)
        told: dict[tuple[str, str], int | None] = {}
        for place in places:
            if place.thought or place.message not in learned:
                continue
            thought = next((each for each in places if each.thought and each.message == place.message), None)
            begin = (thought or place).start
            before = max((each.end for each in places if each.end <= begin), default=0)
            # turns that begin alike are asked for alike, so a long conversation needs few runs
            alike = (shape.roles[max(0, place.message - 1)], text[before:begin])
            if alike not in told:
                found = self._answer_start(shape, text, place.message, begin)
                told[alike] = None if found is None else begin - found
            ahead = told[alike]
            takes_over = None if ahead is None else begin - ahead
            first = place.start
            if thought is not None and self._spec.reasoning == "keep":
                first = thought.start if takes_over is None else takes_over
            elif thought is None and takes_over is not None and not text[takes_over : place.start].strip():
                first = takes_over
            stop = self._end_of_answer(text, place.end)
            marks[first:stop] = [True] * (stop - first)
        return marks

    def _written(self, text: str, start: int, end: int, marks: list[bool], tools: str | None) -> list[Piece]:
        """The template's text between two slots, cut where learning begins or ends and at guarded parts of tools."""
        guards = [] if tools is None else self._guards(tools)
        pieces: list[Piece] = []
        at = start
        for stop in range(start + 1, end + 1):
            if stop == end or marks[stop] != marks[at]:
                pieces += self._unguarded(Written(text[at:stop], marks[at]), guards)
                at = stop
        return pieces

    def _unguarded(self, written: Written, guards: list[str]) -> list[Piece]:
        pieces: list[Piece] = [written]
        for number, guard in enumerate(guards):
            cut: list[Piece] = []
            for piece in pieces:
                if not isinstance(piece, Written):
                    cut.append(piece)
                    continue
                first, *rest = piece.text.split(self._guard(number))
                cut.append(Written(first, piece.supervised))
                for after in rest:
                    cut += [Spelled(guard, piece.supervised), Written(after, piece.supervised)]
            pieces = [piece for piece in cut if isinstance(piece, Slot) or piece.text]
        return pieces

    def _answer_start(self, shape: Shape, text: str, number: int, latest: int) -> int | None:
        """Where the model takes over: the end of the prompt that the template writes for this answer, if it says."""
        if number == 0:
            return None
        before = Shape(shape.roles[:number], shape.contents[:number], shape.thoughts[:number], shape.tools)
        try:
            prompt = self._run(before, self._holder, prompt=True)
        except CannotRender:
            return None
        return len(prompt) if len(prompt) <= latest and text.startswith(prompt) else None

    def _end_of_answer(self, text: str, at: int) -> int:
        token = self._control.first(text[at:])
        if token is None:
            raise CannotRender("no control token ends an answer")
        return text.index(token, at) + len(token)

    def _run(self, shape: Shape, holder: Callable[[int, bool], str], *, prompt: bool = False) -> str:
        messages = []
        for number, (role, content, thought) in enumerate(zip(*shape[:3], strict=True)):
            message = {"role": role, "content": holder(number, False) if content else ""}
            if thought and not self._inline:
                message["reasoning_content"] = holder(number, True)
            messages.append(message)
        options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": prompt}
        if shape.tools is not None:
            options["tools"] = self._guarded_tools(shape.tools)
        if "strftime_now" in self._text:
            options["date_string"] = DATE
        try:
            with _bounded():
                text = str(self._tokenizer.apply_chat_template(messages, **options))
        except ImportError:
            raise
        except Exception as error:  # a program of others may fail in any way
            raise CannotRender(f"the chat template refuses: {_reason(error)}") from error
        if len(text) > LONGEST:
            raise CannotRender("the chat template writes without end")
        return text

    def _guards(self, tools: str) -> list[str]:
        """The control tokens that are spelled out in the definitions of tools."""
        try:
            read = json.loads(tools)
        except ValueError:
            raise CannotRender("its tools are not JSON") from None
        return self._control.within(json.dumps(read, ensure_ascii=False))

    def _guarded_tools(self, tools: str) -> Any:
        """The definitions, with a placeholder wherever a control token is spelled out in them."""
        guards = {guard: self._guard(number) for number, guard in enumerate(self._guards(tools))}
        read = _replaced(json.loads(tools), guards)
        if not isinstance(read, list) or not all(isinstance(tool, dict) for tool in read):
            raise CannotRender("its tools are not a list of objects")
        return read


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Stop a template that runs on and on: loops within loops get past the sandbox, which only bounds a single one.

    Lines are counted, and not seconds, so that a slow machine refuses nothing that a fast one takes.

    Raises:
        TimeoutError: it ran more than `MOST_STEPS` lines.
    """
    left = MOST_STEPS
    before = sys.gettrace()

    def inside(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise TimeoutError("it runs on and on")
        return inside

    def entered(frame: FrameType, event: str, argument: Any) -> Any:
        return inside if frame.f_code.co_filename == "<template>" else None

    sys.settrace(entered)
    try:
        yield
    finally:
        sys.settrace(before)


def _replaced(value: Any, by: dict[str, str]) -> Any:
    """A JSON value in whose texts some texts are replaced by others."""
    if isinstance(value, str):
        for old, new in by.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, dict):
        return {_replaced(key, by): _replaced(each, by) for key, each in value.items()}
    return [_replaced(each, by) for each in value] if isinstance(value, list) else value


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0][:120] if lines else type(error).__name__).rstrip(".")


def _places(text: str, shape: Shape, holder: Callable[[int, bool], str]) -> list[Place]:
    """Where every placeholder came out, in the order of the text.

    Raises:
        CannotRender: a text is missing or written twice, or the order is not the conversation's.
    """
    found = []
    for number, role in enumerate(shape.roles):
        for thought, there in ((True, shape.thoughts[number]), (False, shape.contents[number])):
            mark = holder(number, thought)
            times = text.count(mark) if there else 0
            if times > 1:
                raise CannotRender(f"the template writes a text of the {role} {times} times")
            if there and times == 0 and not thought:
                raise CannotRender(f"the template leaves out a turn of the {role}")
            if times:
                start = text.index(mark)
                found.append(Place(number, thought, start, start + len(mark)))
    if found != sorted(found, key=lambda place: place.start):
        raise CannotRender("the template changes the order of the turns")
    return found


def _gaps(text: str, places: Sequence[Place]) -> list[str]:
    """The texts before, between and behind the placeholders."""
    starts = [*(place.start for place in places), len(text)]
    ends = [0, *(place.end for place in places)]
    return [text[end:start] for end, start in zip(ends, starts, strict=True)]


def _cuts(padded: list[str], gaps: list[str]) -> list[tuple[Cut, Cut]]:
    """What a template cuts off each text, from what is left of white space in the gaps."""
    rights: list[Cut] = []
    lefts: list[Cut] = []
    last = len(gaps) - 1
    nothing = (("", "", ""),)
    for number, (seen, gap) in enumerate(zip(padded, gaps, strict=True)):
        fitting = [
            (right, left)
            for right, _, behind in (_CUTS if number else nothing)
            for left, before, _ in (_CUTS if number < last else nothing)
            if behind + gap + before == seen
        ]
        if len(fitting) != 1:
            raise CannotRender("the template changes the white space of what is said")
        rights.append(fitting[0][0])
        lefts.append(fitting[0][1])
    return [(lefts[number], rights[number + 1]) for number in range(last)]
