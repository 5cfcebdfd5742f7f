"""How a conversation becomes text: the papers' templates as data, and what they ask of a tokenizer.

A template says what stands before and behind each turn. `END` in these texts is the template's end token; every answer
is followed by it. Sources: Alpaca-CoT's `uniform_finetune.py` (and Stanford Alpaca, whose prompt it is), BELLE's
`sample_generator.py`, DoIT's `train_sft.py`, OpenAI's ChatML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from doit.errors import SpecError
from doit.trainers.spec import TrainerSpec

END = "\0end\0"
"""Stands for the end token in the texts of a layout."""


class Around(NamedTuple):
    """What a template writes before and behind a text."""

    before: str
    behind: str


NOTHING = Around("", "")


@dataclass(frozen=True)
class Layout:
    """The texts around the turns of a conversation."""

    user: Around
    assistant: Around
    """`before` ends the prompt; `behind` follows the end token."""
    answer: Around = NOTHING
    """White space that the answer itself begins and ends with: the model has to write it, so it is learned."""
    header: str = ""
    """Before the first turn."""
    system: Around | None = None
    """None: the system's text stands before everything else, with an empty line behind it."""
    tool: Around | None = None
    """None: a conversation with tool turns cannot be rendered."""


@dataclass(frozen=True)
class Template:
    """One of the papers' formats."""

    name: str
    layout: Layout
    several: Layout | None = None
    """The layout of conversations with more than one exchange, where it is another one."""
    end: str | None = None
    """The end token; None = the tokenizer's own."""
    tokens: tuple[str, ...] = ()
    """Control tokens that the tokenizer must have."""
    bos: bool = False
    """Begin with the tokenizer's begin token, where the tokenizer itself would."""
    strip: bool = False
    """Cut white space off both ends of every text."""


_TASK = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
_DIALOGUE = (
    "Below is an multi-round dialogue between human and assistant. "
    "Write a response as an assistant that appropriately completes the human request in each round "
    "by incorporating previous context.\n\n"
)

TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template(
            name="alpaca",
            layout=Layout(
                header=_TASK,
                user=Around("### Instruction:\n", "\n\n"),
                assistant=Around("### Response:", ""),
                answer=Around(" ", " "),
            ),
            several=Layout(
                header=_DIALOGUE,
                user=Around("### Human: ", END),
                assistant=Around("### Assistant:", ""),
                answer=Around(" ", ""),
            ),
            bos=True,
        ),
        Template(
            name="belle",
            layout=Layout(user=Around("Human: \n", "\n\n"), assistant=Around("Assistant: \n", "")),
        ),
        Template(
            name="doit",
            layout=Layout(user=Around("<user>", END), assistant=Around("<assistant>", "")),
            end="<eot>",
            tokens=("<user>", "<assistant>", "<eot>"),
            strip=True,
        ),
        Template(
            name="chatml",
            layout=Layout(
                system=Around("<|im_start|>system\n", END + "\n"),
                user=Around("<|im_start|>user\n", END + "\n"),
                assistant=Around("<|im_start|>assistant\n", "\n"),
                tool=Around("<|im_start|>tool\n", END + "\n"),
            ),
            end="<|im_end|>",
            tokens=("<|im_start|>", "<|im_end|>"),
        ),
    )
}
"""Name -> template."""

THINKING = Around("<think>\n", "\n</think>\n\n")
"""Around reasoning, where a template has no place of its own for it."""


def fit_tokenizer(tokenizer: Any, spec: TrainerSpec) -> int:
    """Add the control tokens that the spec's template needs and the tokenizer lacks.

    Args:
        tokenizer: a tokenizer of transformers; it is changed.
        spec: `template` is read.

    Returns:
        How much longer the vocabulary became: so many rows the model's embeddings must grow by, and those rows have to
        be trained.
    """
    template = TEMPLATES.get(spec.template)
    missing = [token for token in template.tokens if token not in tokenizer.get_added_vocab()] if template else []
    before = len(tokenizer)
    if missing:
        from transformers import AddedToken

        tokenizer.add_tokens(
            [AddedToken(token, normalized=False, special=True) for token in missing], special_tokens=True
        )
    return len(tokenizer) - before


def end_token(tokenizer: Any, template: Template) -> str:
    """The text of the token that ends an answer.

    Raises:
        SpecError: D601 the tokenizer has none, or lacks a control token of the template.
    """
    known = tokenizer.get_added_vocab()
    end = template.end or tokenizer.eos_token
    if end is None:
        hint = "Set `eos_token` in its tokenizer_config.json, or use `template: chatml`, which brings one."
        raise SpecError("D601", "it has no end token, so no answer could ever end.", where="tokenizer", hint=hint)
    lacking = [token for token in (*template.tokens, end) if token not in known]
    if lacking:
        what = f"it lacks {lacking[0]!r}, a control token of the template {template.name}."
        raise SpecError("D601", what, where="tokenizer", hint="`fit_tokenizer` adds it.")
    return str(end)
