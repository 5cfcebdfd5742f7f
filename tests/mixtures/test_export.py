"""Every export is read back as its trainer reads it, and gives the mixture's rows again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from exported_rows import CALL, TOOL, Row, Turns, built, messages_of, plain, records, rich, turn, written

import doit
from doit import yamlio
from doit.mixtures.exporting.export import ExportAnswer
from doit.mixtures.exporting.trainer_formats import FORMATS
from doit.schemas.record import content_id


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOIT_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def simple(made: Path) -> Path:
    """40 records with copies of ten, and a validation split, in two languages and two abilities."""
    mix = {"language": {"zh": 0.5, "en": 0.5}, "ability": {"math": 0.5, "code": 0.5}}
    splits = {"validation": {"records": 4, "per": "ability"}}
    spec = {"size": 40, "mix": mix, "shortage": "repeat", "splits": splits}
    return built(made / "simple", [plain(number) for number in range(38)], **spec)


@pytest.fixture(scope="module")
def full(made: Path) -> Path:
    """Plain records, then one with each of what only some formats hold."""
    return built(made / "full", [plain(1), plain(2), *rich()], size="all")


def export(mixture: Path, out: Path, to: str, *, lossy: bool = False, overwrite: bool = False) -> ExportAnswer:
    answer = doit.convert(mixture, out, to=to, lossy=lossy, overwrite=overwrite)
    assert isinstance(answer, ExportAnswer)
    return answer


def lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def loaded(out: Path, file: str | None = None) -> dict[str, list[Row]]:
    """The export, or one file of it, as `datasets` reads it, in a process which no warning filter of ours reaches."""
    pytest.importorskip("datasets")
    code = (
        "import sys, json, datasets; datasets.disable_progress_bars(); "
        "(out, cache, *files) = sys.argv[1:]; "
        "more = {'path': 'json', 'data_files': files} if files else {'path': out}; "
        "read = datasets.load_dataset(cache_dir=cache, **more); "
        "print(json.dumps({split: read[split].to_list() for split in read}))"
    )
    files = [str(out / file)] if file else []
    command = [sys.executable, "-c", code, str(out), str(out.with_name(f"{out.name}-cache")), *files]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    read: dict[str, list[Row]] = json.loads(done.stdout)
    return read


def unthought(messages: Turns) -> tuple[Turns, list[str | None]]:
    """Messages without the thinking at the beginning of an answer, and that thinking."""
    left: Turns = []
    thoughts: list[str | None] = []
    for role, content in messages:
        thought, end, answer = content.removeprefix("<think>\n").partition("\n</think>\n\n")
        apart = role == "assistant" and content.startswith("<think>\n") and bool(end)
        left.append((role, answer if apart else content))
        thoughts.append(thought if apart else None)
    return left, thoughts


def from_messages(row: Row, names: dict[str, str]) -> Turns:
    return [(names.get(each["role"], each["role"]), each["content"]) for each in row["messages"]]


def from_sharegpt(row: Row) -> Turns:
    names = {"human": "user", "gpt": "assistant", "function_call": "assistant", "observation": "tool"}
    return [(names.get(each["from"], each["from"]), each["value"]) for each in row["conversations"]]


def from_alpaca(row: Row) -> Turns:
    """As LLaMA-Factory reads it: the system text, every round of the history, the instruction with its input."""
    turns = [("system", row["system"])] if row.get("system") else []
    for question, answer in row.get("history") or []:
        turns += [("user", question), ("assistant", answer)]
    question = "\n".join(text for text in (row["instruction"], row["input"]) if text)
    return [*turns, ("user", question), ("assistant", row["output"])]


READERS: dict[str, Callable[[Row], Turns]] = {
    "llamafactory": from_sharegpt,
    "axolotl": lambda row: from_messages(row, {}),
    "ms-swift": lambda row: from_messages(row, {"tool_call": "assistant"}),
    "trl": lambda row: from_messages(row, {}),
    "openai": lambda row: from_messages(row, {}),
    "alpaca": from_alpaca,
    "belle": from_sharegpt,
    "doit": lambda row: from_messages(row, {}),
}


def test_every_format_has_a_reader_here() -> None:
    assert set(READERS) == set(FORMATS)


@pytest.mark.parametrize("to", sorted(set(FORMATS) - {"doit", "belle"}))
def test_rows_come_back_the_same_in_order_with_copies(simple: Path, tmp_path: Path, to: str) -> None:
    answer = export(simple, tmp_path / "out", to)

    assert answer.written == {"train": 40, "validation": 8}
    for split in ("train", "validation"):
        rows, wanted = lines(tmp_path / "out" / f"{split}.jsonl"), records(simple, split)
        assert [READERS[to](row) for row in rows] == [messages_of(record) for record in wanted]
        assert [content_id(READERS[to](row)) for row in rows] == [record["id"] for record in wanted]
    ids = [record["id"] for record in records(simple, "train")]
    assert len(set(ids)) < len(ids), "no copies in the mixture: this proves nothing about them"


def test_belle_and_doit_hold_the_same_rows(simple: Path, tmp_path: Path) -> None:
    export(simple, tmp_path / "belle", "belle")
    export(simple, tmp_path / "doit", "doit")

    for split, folder in (("train", ""), ("validation", "validation/")):
        wanted = records(simple, split)
        rows = lines(tmp_path / "belle" / f"{split}.jsonl")
        assert [from_sharegpt(row) for row in rows] == [messages_of(record) for record in wanted]
        assert {each["from"] for row in rows for each in row["conversations"]} == {"human", "assistant"}
        by_ability = defaultdict(list)
        for record in wanted:
            by_ability[record["ability"]].append(messages_of(record))
        for ability, turns in by_ability.items():
            rows = lines(tmp_path / "doit" / folder / f"{ability}_full.json")
            assert [from_messages(row, {}) for row in rows] == turns


def test_an_export_for_doit_is_read_by_its_card(simple: Path, tmp_path: Path) -> None:
    """By the shipped card, with the abilities from the files' names: the same records again."""
    export(simple, tmp_path / "out", "doit")
    spec = {"name": "again", "size": "all", "sources": [{"dataset": "doit", "files": f"{tmp_path}/out/*_full.json"}]}
    doit.build(spec, tmp_path / "again")

    wanted = {(record["id"], record["ability"]) for record in records(simple, "train")}
    assert {(record["id"], record["ability"]) for record in records(tmp_path / "again", "train")} == wanted


@pytest.mark.parametrize("to", ["axolotl", "trl"])
def test_messages_formats_hold_everything(full: Path, tmp_path: Path, to: str) -> None:
    export(full, tmp_path / "out", to)

    rows, wanted = lines(tmp_path / "out" / "train.jsonl"), records(full, "train")
    assert [READERS[to](row) for row in rows] == [messages_of(record) for record in wanted]
    for row, record in zip(rows, wanted, strict=True):
        thoughts = [message.get("reasoning_content") for message in row["messages"]]
        assert thoughts == (record["reasoning"] or [None] * len(thoughts))
        assert tools_of(row["tools"]) == tools_of(record["tools"])
    assert any(record["reasoning"] for record in wanted)


def tools_of(tools: Any) -> Any:
    """Tools as a template gets them: a list, without what is null, with parameters parsed where they are text."""
    read = json.loads(tools) if isinstance(tools, str) else tools
    for tool in read or []:
        if "function" in tool:
            tool["function"] = {key: value for key, value in tool["function"].items() if value is not None}
            parameters = tool["function"].get("parameters")
            if isinstance(parameters, str):
                tool["function"]["parameters"] = json.loads(parameters)
    return read


@pytest.mark.parametrize("to", ["llamafactory", "ms-swift"])
def test_thinking_goes_before_the_answer(full: Path, tmp_path: Path, to: str) -> None:
    export(full, tmp_path / "out", to)

    rows, wanted = lines(tmp_path / "out" / "train.jsonl"), records(full, "train")
    for row, record in zip(rows, wanted, strict=True):
        expected, thoughts = unthought(messages_of(record))
        kept = [own or thought for own, thought in zip(record["reasoning"] or thoughts, thoughts, strict=True)]
        assert unthought(READERS[to](row)) == (expected, kept)
        assert row["tools"] == (record["tools"] or {"llamafactory": "", "ms-swift": "[]"}[to])


def llama_factory(folder: Path, name: str) -> list[Row]:
    """Rows as LLaMA-Factory aligns them from `dataset_info.json`; a row that it would skip or stop at is an error."""
    info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))[name]
    assert info["formatting"] == "sharegpt"
    tags, columns = info["tags"], info["columns"]
    odd, even = (tags["user_tag"], tags["observation_tag"]), (tags["assistant_tag"], tags["function_tag"])
    roles = dict(zip((*odd, *even), ("user", "tool", "assistant", "assistant"), strict=True))
    aligned = []
    for row in lines(folder / info["file_name"]):
        turns = [(each[tags["role_tag"]], each[tags["content_tag"]]) for each in row[columns["messages"]]]
        system = [("system", turns.pop(0)[1])] if turns[0][0] == tags["system_tag"] else []
        assert len(turns) % 2 == 0
        assert all(tag in (even if number % 2 else odd) for number, (tag, _) in enumerate(turns))
        calls = [json.loads(text) for tag, text in turns if tag == tags["function_tag"]]
        assert all({"name", "arguments"} == set(call) for call in calls)
        tools = row[columns["tools"]] if "tools" in columns else ""
        assert isinstance(json.loads(tools or "[]"), list)
        messages = [*system, *((roles[tag], text) for tag, text in turns)]
        aligned.append({"messages": messages, "tools": tools, "calls": len(calls)})
    return aligned


def test_llama_factory_keeps_every_row(full: Path, simple: Path, tmp_path: Path) -> None:
    export(full, tmp_path / "full", "llamafactory")
    export(simple, tmp_path / "simple", "llamafactory")

    rows, wanted = llama_factory(tmp_path / "full", "small"), records(full, "train")
    assert [unthought(row["messages"])[0] for row in rows] == [unthought(messages_of(record))[0] for record in wanted]
    assert sum(row["calls"] for row in rows) == 1
    for name, split in (("small", "train"), ("small_validation", "validation")):
        held = [row["messages"] for row in llama_factory(tmp_path / "simple", name)]
        assert held == [messages_of(record) for record in records(simple, split)]


def test_swift_rows_name_their_cells_and_calls(simple: Path, full: Path, tmp_path: Path) -> None:
    export(simple, tmp_path / "simple", "ms-swift")
    export(full, tmp_path / "full", "ms-swift")

    for row, record in zip(lines(tmp_path / "simple" / "train.jsonl"), records(simple, "train"), strict=True):
        assert row["channel"] == f"{record['language'].split('-')[0]}/{record['ability']}"
    rows = lines(tmp_path / "full" / "train.jsonl")
    calls = [each["content"] for row in rows for each in row["messages"] if each["role"] == "tool_call"]
    assert calls == [CALL]
    allowed = {"system", "user", "assistant", "tool", "tool_call"}
    assert all({"role", "content"} == set(each) for row in rows for each in row["messages"])
    assert {each["role"] for row in rows for each in row["messages"]} == allowed
    assert {row["channel"] for row in rows} >= {"zh-Hans/untagged", "en/code"}


def test_axolotl_config_names_the_splits(simple: Path, tmp_path: Path) -> None:
    export(simple, tmp_path / "out", "axolotl")

    config = yamlio.loads((tmp_path / "out" / "axolotl.yaml").read_text(encoding="utf-8"), "axolotl.yaml")
    named = {key: [(each["type"], each["field_messages"], each["split"]) for each in config[key]] for key in config}
    train, validation = (("chat_template", "messages", split) for split in ("train", "validation"))
    assert named == {"datasets": [train], "test_datasets": [validation]}


@pytest.mark.parametrize("to", ["axolotl", "trl", "llamafactory", "ms-swift", "alpaca", "doit"])
def test_datasets_loads_the_folder(simple: Path, tmp_path: Path, to: str) -> None:
    export(simple, tmp_path / "out", to)

    read = loaded(tmp_path / "out")
    assert set(read) == {"train", "validation"}
    for split in read:
        found = sorted(content_id(READERS[to](row)) for row in read[split])
        assert found == sorted(record["id"] for record in records(simple, split))


@pytest.fixture(scope="module")
def late(made: Path) -> Path:
    """A mixture of more than ten megabytes; `datasets` takes a file's columns from so much of its beginning."""
    long = [{"messages": [turn("user", f"{n} " + "长" * 3500), turn("assistant", "好")]} for n in range(1100)]
    return built(made / "late", [*long, *rich()], size="all")


@pytest.mark.parametrize(
    ("to", "file"), [("axolotl", None), ("trl", None), ("ms-swift", "train.jsonl"), ("llamafactory", "train.jsonl")]
)
def test_columns_that_appear_late_have_their_types(late: Path, tmp_path: Path, to: str, file: str | None) -> None:
    """Only the last rows have tools or thinking. Two trainers load the folder, the others load the file by itself."""
    export(late, tmp_path / "out", to)
    data = tmp_path / "out" / "train.jsonl"
    rows = sorted(lines(data), key=lambda row: len(json.dumps(row)) < 5000)
    written(data, rows)

    read = loaded(tmp_path / "out", file)["train"]

    assert [READERS[to](row) for row in read] == [READERS[to](row) for row in rows]
    assert sum(row["tools"] not in (None, "", "[]") for row in read) == 1
    assert data.stat().st_size > 11 << 20


@pytest.mark.parametrize(
    ("to", "lost", "left_out"),
    [
        ("openai", {"reasoning": 1, "tool_turns": 3}, {}),
        ("alpaca", {"reasoning": 1, "tool_turns": 3, "tools": 1}, {}),
        ("belle", {"reasoning": 1, "system": 1, "tool_turns": 3, "tools": 1}, {}),
        ("doit", {"reasoning": 1, "system": 1, "tool_turns": 3, "tools": 1}, {}),
    ],
)
def test_what_a_format_cannot_hold(
    full: Path, tmp_path: Path, to: str, lost: dict[str, int], left_out: dict[str, int]
) -> None:
    with pytest.raises(doit.SpecError) as caught:
        export(full, tmp_path / "out", to)
    named = caught.value.where.split()
    assert caught.value.code == "D213"
    assert named[0] == "train"
    assert named[1] in {record["id"] for record in records(full, "train")}
    assert not (tmp_path / "out").exists()

    answer = export(full, tmp_path / "out", to, lossy=True)

    assert (answer.lost, answer.left_out) == (lost, left_out)
    assert answer.read == sum(answer.written.values()) + sum(answer.left_out.values())
    receipt = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert receipt["lost"] == lost
    assert "written without tool calls" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("row", "refused"),
    [
        (
            [turn("user", "a"), turn("assistant", "b"), turn("tool", "1"), turn("tool", "2"), turn("assistant", "c")],
            {"llamafactory": "tool calls", "openai": "tool calls"},
        ),
        (
            [turn("user", "a"), turn("assistant", "b", reasoning_content="x\n</think>\n\ny")],
            {"llamafactory": "thinking", "ms-swift": "thinking", "openai": "thinking"},
        ),
    ],
    ids=["two results", "marks in thinking"],
)
def test_what_a_trainer_would_skip_is_refused(tmp_path: Path, row: list[Row], refused: dict[str, str]) -> None:
    mixture = built(tmp_path, [{"messages": row}], size="all")
    for to in ("llamafactory", "ms-swift", "trl", "axolotl", "openai"):
        if to in refused:
            with pytest.raises(doit.SpecError, match=refused[to]):
                export(mixture, tmp_path / to, to)
        else:
            export(mixture, tmp_path / to, to)


FUNCTION = {"name": "f", "description": "d", "parameters": {}}


@pytest.mark.parametrize(
    ("tools", "held"),
    [
        ("not JSON", ""),
        ('{"name": "f"}', ""),
        ('[{"description": "no name"}, {"name": "f"}]', "trl"),
        (json.dumps([FUNCTION]), "trl llamafactory ms-swift openai axolotl"),
        (json.dumps([{**FUNCTION, "type": "function"}]), "trl llamafactory ms-swift"),
        ('[{"type": "function", "function": {"name": "f", "strict": true}}]', "trl llamafactory ms-swift openai"),
        ('[{"type": "function", "function": {"name": "f"}}]', "trl llamafactory ms-swift openai axolotl"),
        (json.dumps([TOOL]), "trl llamafactory ms-swift openai axolotl"),
        ("[]", "trl llamafactory ms-swift openai axolotl"),
    ],
)
def test_tools_that_a_trainer_cannot_read_are_refused(tmp_path: Path, tools: str, held: str) -> None:
    mixture = built(tmp_path, [{"messages": [turn("user", "a"), turn("assistant", "b")], "tools": tools}], size="all")
    for to in ("llamafactory", "ms-swift", "trl", "openai", "axolotl"):
        if to in held.split():
            export(mixture, tmp_path / to, to)
            read = tools_of(lines(tmp_path / to / "train.jsonl")[0]["tools"] or [])
            assert [tool.get("function", tool) for tool in read] == [
                tool.get("function", tool) for tool in json.loads(tools)
            ]
            assert to not in ("openai", "axolotl") or {*map(tuple, read)} <= {("type", "function")}
        else:
            with pytest.raises(
                doit.SpecError, match=r"D213 .* tool definitions as they are here\. It takes .*(name|object)"
            ):
                export(mixture, tmp_path / to, to)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"name": "run", "arguments": {"code": "<tool_call>{}</tool_call>"}}),
        json.dumps({"name": "run", "arguments": {"code": "<think>\u597d</think>"}}),
        json.dumps({"name": "run", "arguments": {}, "id": "1"}),
        json.dumps([{"name": "run", "arguments": "{}"}]),
    ],
    ids=["a call in a call", "thinking in a call", "one more key", "arguments as text"],
)
def test_calls_that_llama_factory_would_change_are_answers(tmp_path: Path, text: str) -> None:
    row = [turn("user", "a"), turn("assistant", text), turn("tool", "1"), turn("assistant", "c")]
    export(built(tmp_path, [{"messages": row}], size="all"), tmp_path / "out", "llamafactory")

    (read,) = lines(tmp_path / "out" / "train.jsonl")
    assert read["conversations"][1] == {"from": "gpt", "value": text}


@pytest.mark.parametrize("to", ["axolotl", "trl", None], ids=["axolotl", "trl", "the mixture itself"])
def test_a_folder_with_other_rows_is_read_anew(tmp_path: Path, to: str | None) -> None:
    """`datasets` knows a folder by its name and its card: rows that change in the same place must change the card."""
    for answer in ("一", "二"):
        rows = [{"messages": [turn("user", "a"), turn("assistant", answer)]}]
        folder = built(tmp_path, rows, size="all")
        if to:
            export(folder, tmp_path / "out", to, overwrite=True)
            folder = tmp_path / "out"
        assert [row["messages"][1]["content"] for row in loaded(folder)["train"]] == [answer]


def test_the_export_says_where_it_is_from(simple: Path, tmp_path: Path) -> None:
    answer = export(simple, tmp_path / "out", "trl")

    manifest = json.loads((simple / "manifest.json").read_text(encoding="utf-8"))
    receipt = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert receipt["digest"] == answer.digest == manifest["digest"]
    assert set(receipt["files"]) == {"README.md", "train.jsonl", "validation.jsonl"}
    page = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert manifest["digest"] in page
    assert "mine `CC-BY-4.0`" in page
    again = export(simple, tmp_path / "again", "trl")
    assert again.files == answer.files


def test_what_lies_in_the_way_stays(simple: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine", encoding="utf-8")
    export(simple, tmp_path / "out", "trl")

    for out, overwrite in (("own", True), ("out", False), ("own", False)):
        with pytest.raises(doit.StorageError) as caught:
            export(simple, tmp_path / out, "alpaca", overwrite=overwrite)
        assert caught.value.code == "D101"
    for inside in (simple, simple / "export"):
        with pytest.raises(doit.StorageError, match="D101"):
            export(simple, inside, "alpaca", overwrite=True)
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["notes.txt"]

    export(simple, tmp_path / "out", "llamafactory", overwrite=True)
    assert (tmp_path / "out" / "dataset_info.json").is_file()


def test_a_changed_mixture_is_refused(tmp_path: Path) -> None:
    mixture = built(tmp_path, [plain(1), plain(2)], size="all")
    with next((mixture / "data").glob("train-*.parquet")).open("ab") as file:
        file.write(b"\0")

    with pytest.raises(doit.StorageError, match="D102"):
        export(mixture, tmp_path / "out", "trl")


def test_calls_that_are_wrong(simple: Path, tmp_path: Path) -> None:
    for wrong, meant in (("lamafactory", "llamafactory"), ("LLaMA-Factory", "llamafactory"), ("swift", "ms-swift")):
        with pytest.raises(doit.SpecError, match=rf'D203.*"{wrong}".*Did you mean "{meant}"\?'):
            export(simple, tmp_path / "out", wrong)
    for files in (simple / "manifest.json", tmp_path / "nothing.jsonl"):
        with pytest.raises(doit.SpecError, match=r'D203.*"axolotl" is made of a mixture'):
            doit.convert(files, tmp_path / "out", to="axolotl")
    with pytest.raises(doit.SpecError, match="D206"):
        doit.convert(tmp_path, tmp_path.with_name("out"), to="trl")
    with pytest.raises(doit.SpecError, match="D204"):
        doit.convert([simple, simple], tmp_path / "out", to="trl")
    with pytest.raises(doit.SpecError, match="D204"):
        doit.convert(simple, tmp_path / "out", to="trl", shape="alpaca")
