"""What trainers that people already use read: one class each, with its rows, its files and how it is told of them.

A row is made by the shape of the same layout (`doit.schemas.shapes`), read again to see that nothing is lost, and then
given what the trainer expects on top. The layouts are those of the trainers' own documents and readers: LLaMA-Factory's
`data/README.md`, `converter.py` and `formatter.py`, axolotl's `chat_template.py`, ms-swift's `Custom-dataset.md`,
`Agent-support.md` and `preprocessor/core.py`, TRL's `sft_trainer.py` and OpenAI's fine-tuning guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import orjson

from doit.mixtures.exporting.inline_text import calls_in, function_tools, named_tools, tool_list, with_thought
from doit.reading.converting import TARGETS
from doit.schemas.shapes.base import BadRow, CannotHold, Conversation, Shape
from doit.schemas.shapes.way_back import has_reasoning
from doit.yamlio import dump

TEXT = "string"


class Present(NamedTuple):
    """What occurs anywhere in a mixture.

    Readers of JSON fix their columns by a file's first rows; so a column that some rows have is given to all.
    """

    tools: bool
    reasoning: bool
    system: bool
    earlier_turns: bool


class TrainerFormat:
    """One trainer's layout; this one serves as it is where a row is a line and nothing is added."""

    name: ClassVar[str]
    shape: ClassVar[Shape]
    holds: ClassVar[dict[str, str]] = {}
    """Key of `LOSSES` -> what of it there is a place for, as a sentence."""

    def row(self, conversation: Conversation, present: Present, channel: str) -> dict[str, Any]:
        """The row of a conversation.

        Args:
            conversation: one of the mixture.
            present: what occurs in the mixture.
            channel: name of its cell.

        Raises:
            CannotHold: something of the conversation would be lost.
        """
        row: dict[str, Any] = self.shape.row(conversation)
        try:
            again = self.shape.conversation(row)
        except BadRow:
            raise CannotHold("text") from None
        same = again.messages == conversation.messages and again.tools == conversation.tools
        if not same or _thoughts(again) != _thoughts(conversation):
            raise CannotHold("text")
        return row

    def file(self, split: str, ability: str | None) -> str:
        """Path, in the export, of the file that takes a row."""
        return f"{split}.jsonl"

    def pattern(self, split: str) -> str:
        """Glob of a split's files, for `datasets`."""
        return f"{split}.jsonl"

    def features(self, present: Present) -> list[dict[str, Any]] | None:
        """Columns and types as a dataset card spells them; None where a row's columns have no fixed types."""
        return None

    def pages(self, mixture: str, splits: Sequence[str], present: Present) -> dict[str, str]:
        """Path -> text of the files beside the data."""
        return {}

    def usage(self, mixture: str, splits: Sequence[str]) -> str:
        """Markdown: how the trainer is told of these files."""
        return (
            f'```python\nfrom datasets import load_dataset\n\ntrain = load_dataset("{PLACE}", split="{splits[0]}")\n```'
        )


PLACE = "PATH_OF_THIS_FOLDER"
NAMED_TOOLS = "It takes a JSON list of objects of which each has a name."
END_IN_THINKING = "It takes thinking that does not hold the mark of its own end, `</think>`."


class LlamaFactory(TrainerFormat):
    """LLaMA-Factory: `conversations` of `from` and `value`, described by `dataset_info.json`.

    Users and tool results must alternate with answers and calls, or the trainer skips the row; hence two results in a
    row are refused. A call is a `function_call` only where the trainer can parse it, and an answer otherwise. Rows
    without tools have an empty text: any other makes the trainer begin with a system text.
    """

    name = "llamafactory"
    shape = TARGETS["sharegpt"]
    holds: ClassVar[dict[str, str]] = {
        "tools": NAMED_TOOLS,
        "tool_turns": "A call has one result there, and an answer or another call follows.",
        "reasoning": END_IN_THINKING,
    }
    call_marks = ("<tool_call>", "<|tool_call", "<think>", "<seed:think>", "◁think▷", "<|channel")
    """How thinking and calls begin in its templates: within a call they make it cut the JSON, and stop."""

    def row(self, conversation: Conversation, present: Present, channel: str) -> dict[str, Any]:
        """See `TrainerFormat.row`."""
        roles = [role for role, _ in conversation.messages]
        if ("tool", "tool") in pairwise(roles):
            raise CannotHold("tool_turns")
        row = super().row(conversation._replace(reasoning=None), present, channel)
        for number, turn in enumerate(row["conversations"]):
            written = with_thought(conversation, number)
            marked = any(mark in written for mark in self.call_marks)
            if turn["from"] == "function_call" and (marked or not calls_in(written)):
                turn["from"] = "gpt"
            turn["value"] = written
        return _with_tool_text(row, conversation, present, none="")

    def features(self, present: Present) -> list[dict[str, Any]]:
        """See `TrainerFormat.features`."""
        turn = {"name": "conversations", "list": _texts("from", "value")}
        return [turn, *(_texts("tools") if present.tools else [])]

    def pages(self, mixture: str, splits: Sequence[str], present: Present) -> dict[str, str]:
        """See `TrainerFormat.pages`."""
        described = {}
        for split in splits:
            described[_of_split(mixture, split)] = {
                "file_name": self.file(split, None),
                "formatting": "sharegpt",
                "columns": {"messages": "conversations", **({"tools": "tools"} if present.tools else {})},
                "tags": {
                    "role_tag": "from",
                    "content_tag": "value",
                    "user_tag": "human",
                    "assistant_tag": "gpt",
                    "observation_tag": "observation",
                    "function_tag": "function_call",
                    "system_tag": "system",
                },
            }
        data = orjson.dumps(described, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        return {"dataset_info.json": data.decode()}

    def usage(self, mixture: str, splits: Sequence[str]) -> str:
        """See `TrainerFormat.usage`."""
        options = {"dataset_dir": PLACE, "dataset": mixture}
        if "validation" in splits:
            options["eval_dataset"] = _of_split(mixture, "validation")
        return f"In the YAML of `llamafactory-cli train`:\n\n```yaml\n{dump(options)}```"


class Messages(TrainerFormat):
    """TRL: `messages` of `role` and `content`, thinking as `reasoning_content`, `tools` as JSON text."""

    name = "trl"
    shape = TARGETS["messages"]
    holds: ClassVar[dict[str, str]] = {"tools": "It takes a JSON list of objects."}

    def row(self, conversation: Conversation, present: Present, channel: str) -> dict[str, Any]:
        """See `TrainerFormat.row`."""
        row = super().row(conversation, present, channel)
        if conversation.tools is not None:
            row["tools"] = self.tools(conversation.tools)
        elif present.tools:
            row["tools"] = None
        for turn in row["messages"] if present.reasoning else ():
            if turn["role"] == "assistant":
                turn.setdefault("reasoning_content", None)
        return row

    def tools(self, text: str) -> Any:
        """The value of the column `tools`."""
        tool_list(text)
        return text

    def features(self, present: Present) -> list[dict[str, Any]] | None:
        """See `TrainerFormat.features`."""
        turn = _texts("role", "content", *(["reasoning_content"] if present.reasoning else []))
        messages = {"name": "messages", "list": turn}
        return [messages, *(_texts("tools") if present.tools else [])]


class Axolotl(Messages):
    """axolotl: `messages` for `type: chat_template`, and the part of its YAML that names them.

    It takes tools as a list, so each must be a function with a name, and may have a description and parameters. Those
    are JSON text there, as the trainer's own advice is for tools of unlike parameters; what is null it leaves out.
    """

    name = "axolotl"
    holds: ClassVar[dict[str, str]] = {"tools": "It takes functions of `name`, `description` and `parameters` alone."}

    def tools(self, text: str) -> list[dict[str, Any]]:
        """See `Messages.tools`."""
        made = []
        for tool in function_tools(text):
            function = {name: value for name, value in tool["function"].items() if value is not None}
            kinds = {name: type(value) for name, value in function.items()}
            if not kinds.items() <= {"name": str, "description": str, "parameters": dict}.items():
                raise CannotHold("tools")
            parameters = orjson.dumps(function["parameters"]).decode() if "parameters" in function else None
            each = {"name": function["name"], "description": function.get("description"), "parameters": parameters}
            made.append({"type": "function", "function": each})
        return made

    def features(self, present: Present) -> list[dict[str, Any]] | None:
        """See `TrainerFormat.features`."""
        (messages, *_) = super().features(present) or []
        function = {"name": "function", "struct": _texts("name", "description", "parameters")}
        tools = {"name": "tools", "list": [*_texts("type"), function]}
        return [messages, *([tools] if present.tools else [])]

    def pages(self, mixture: str, splits: Sequence[str], present: Present) -> dict[str, str]:
        """See `TrainerFormat.pages`."""
        keys = {"datasets": "train", "test_datasets": "validation"}
        config = {
            key: [
                {
                    "path": ".",
                    "split": split,
                    "type": "chat_template",
                    "field_messages": "messages",
                    "message_property_mappings": {"role": "role", "content": "content"},
                    "roles_to_train": ["assistant"],
                }
            ]
            for key, split in keys.items()
            if split in splits
        }
        return {"axolotl.yaml": dump(config)}

    def usage(self, mixture: str, splits: Sequence[str]) -> str:
        """See `TrainerFormat.usage`."""
        return (
            "Put the keys of `axolotl.yaml` into your configuration and make `path` the path of this folder. Name the "
            "folder and not a file in it: only then are the columns' types, above, read."
        )


class Swift(TrainerFormat):
    """ms-swift: `messages`, `tools` as JSON text, and the cell as `channel`, for a loss per cell.

    A call that the trainer can parse is a turn of `tool_call`, which it renders as each model's own calls. Rows without
    tools have an empty list: it takes any text that is not JSON, an empty one too, for a tool.
    """

    name = "ms-swift"
    shape = TARGETS["messages"]
    holds: ClassVar[dict[str, str]] = {"tools": NAMED_TOOLS, "reasoning": END_IN_THINKING}

    def row(self, conversation: Conversation, present: Present, channel: str) -> dict[str, Any]:
        """See `TrainerFormat.row`."""
        row = super().row(conversation._replace(reasoning=None), present, channel)
        roles = [*(role for role, _ in conversation.messages), ""]
        for number, turn in enumerate(row["messages"]):
            written = with_thought(conversation, number)
            if (
                turn["role"] == "assistant"
                and roles[number + 1] == "tool"
                and written.lstrip()[:1] == "{"
                and calls_in(written)
            ):
                turn["role"] = "tool_call"
            turn["content"] = written
        return {**_with_tool_text(row, conversation, present, none="[]"), "channel": channel}

    def features(self, present: Present) -> list[dict[str, Any]]:
        """See `TrainerFormat.features`."""
        messages = {"name": "messages", "list": _texts("role", "content")}
        return [messages, *_texts(*(["tools"] if present.tools else []), "channel")]

    def usage(self, mixture: str, splits: Sequence[str]) -> str:
        """See `TrainerFormat.usage`."""
        files = [f"--dataset {PLACE}/train.jsonl"] if "train" in splits else []
        files += [f"--val_dataset {PLACE}/validation.jsonl"] if "validation" in splits else []
        return f"```sh\nswift sft {' '.join(files)} --enable_channel_loss true …\n```"


class OpenAi(TrainerFormat):
    """OpenAI's fine-tuning files: `messages`, and `tools` as a list.

    A tool's result needs the id of its call there, which a mixture does not keep; hence tool turns are refused.
    """

    name = "openai"
    shape = TARGETS["messages"]
    holds: ClassVar[dict[str, str]] = {"tools": "It takes a JSON list of functions of which each has a name."}

    def row(self, conversation: Conversation, present: Present, channel: str) -> dict[str, Any]:
        """See `TrainerFormat.row`."""
        if has_reasoning(conversation):
            raise CannotHold("reasoning")
        if any(role == "tool" for role, _ in conversation.messages):
            raise CannotHold("tool_turns")
        row = super().row(conversation, present, channel)
        if conversation.tools is not None:
            row["tools"] = function_tools(conversation.tools)
        return row

    def usage(self, mixture: str, splits: Sequence[str]) -> str:
        """See `TrainerFormat.usage`."""
        return f"Upload `{splits[0]}.jsonl` with the purpose `fine-tune`."


class Alpaca(TrainerFormat):
    """Stanford Alpaca's three columns; `system` and `history` where the mixture has system texts or earlier turns."""

    name = "alpaca"
    shape = TARGETS["alpaca"]

    def row(self, conversation: Conversation, present: Present, channel: str) -> dict[str, Any]:
        """See `TrainerFormat.row`."""
        row = super().row(conversation, present, channel)
        if present.system:
            row.setdefault("system", "")
        if present.earlier_turns:
            row.setdefault("history", [])
        return row

    def features(self, present: Present) -> list[dict[str, Any]]:
        """See `TrainerFormat.features`."""
        columns = _texts("instruction", "input", "output", *(["system"] if present.system else []))
        return columns + ([{"name": "history", "list": {"list": TEXT}}] if present.earlier_turns else [])


class Belle(TrainerFormat):
    """BELLE 3.5M: `conversations` of `from` (human, assistant) and `value`."""

    name = "belle"
    shape = TARGETS["belle"]

    def features(self, present: Present) -> list[dict[str, Any]]:
        """See `TrainerFormat.features`."""
        return [{"name": "conversations", "list": _texts("from", "value")}]


class Doit(TrainerFormat):
    """DoIT: one file of JSON Lines an ability, named `<ability>_full.json`, with `messages` of users and assistants."""

    name = "doit"
    shape = TARGETS["doit"]

    def file(self, split: str, ability: str | None) -> str:
        """See `TrainerFormat.file`."""
        folder = "" if split == "train" else f"{split}/"
        return f"{folder}{ability or 'untagged'}_full.json"

    def pattern(self, split: str) -> str:
        """See `TrainerFormat.pattern`."""
        return "*_full.json" if split == "train" else f"{split}/*_full.json"

    def features(self, present: Present) -> list[dict[str, Any]]:
        """See `TrainerFormat.features`."""
        return [{"name": "messages", "list": _texts("role", "content")}]


FORMATS: dict[str, TrainerFormat] = {
    each.name: each for each in (LlamaFactory(), Axolotl(), Swift(), Messages(), OpenAi(), Alpaca(), Belle(), Doit())
}
"""What a mixture can be exported as."""


def _texts(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "dtype": TEXT} for name in names]


def _of_split(mixture: str, split: str) -> str:
    return mixture if split == "train" else f"{mixture}_{split}"


def _thoughts(conversation: Conversation) -> list[str | None]:
    return [thought or None for thought in conversation.reasoning or ()] if has_reasoning(conversation) else []


def _with_tool_text(row: dict[str, Any], conversation: Conversation, present: Present, *, none: str) -> dict[str, Any]:
    """The row with `tools` as JSON text in every row of a mixture that has tools, and `none` where the row has none."""
    if not present.tools:
        return row
    tools = conversation.tools if conversation.tools is not None and named_tools(conversation.tools) else none
    return {**row, "tools": tools}
