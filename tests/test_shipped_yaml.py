from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from doit import catalogue, json_schemas, yamlio
from doit.catalogue import KINDS, Kind
from doit.mixtures.loading import load_card, load_spec
from doit.mixtures.planning.plan import Request, Stock, plan
from doit.mixtures.spec import MixtureSpec
from doit.reading.records import read_records
from doit.schemas.abilities import ABILITIES, OTHER
from doit.schemas.card import DatasetCard
from doit.trainers.spec import METHODS, NewModel, TrainerSpec

ROOT = Path(__file__).parent.parent
MODELS: dict[Kind, type[BaseModel]] = {"schemas": DatasetCard, "mixtures": MixtureSpec, "trainers": TrainerSpec}
SHIPPED = [(kind, name) for kind in KINDS for name in catalogue.names(kind)]

TABLE = """
chain-of-thought 74771 EN/CN MT HG
gpt4all 806199 EN MT COL
gpteacher 29013 EN MT SI
guanaco 534610 ML MT SI
hc3 37175 EN/CN TS MIX
alpaca 52002 EN MT SI
natural-instructions 5040134 ML MT COL
belle-cn 1079517 CN TS/MT SI
instinwild 52191 EN/CN MT SI
prosocial-dialog 165681 EN TS MIX
finance-en 68912 EN TS COL
xp3 78883588 ML MT COL
firefly 1649398 CN MT COL
instruct 888969 EN MT COL
code-alpaca 20022 EN TS SI
alpaca-gpt4 52002 EN/CN MT SI
webgpt 18994 EN TS MIX
dolly 15015 EN TS HG
baize 653699 EN MT COL
hh-rlhf 284517 EN TS MIX
oig 49237 EN MT COL
gaokao 2785 CN MT COL
camel 760620 EN MT SI
flan-muffin 1764800 EN MT COL
coig 298428 CN MT COL
gpt4tools 71446 EN MT SI
sharechat 1663241 EN MT MIX
auto-cot 5816 EN MT COL
moss 1583595 EN/CN TS SI
ultrachat 28247446 EN - -
chinese-medical 792099 CN TS COL
csl 396206 CN MT COL
pclue 1200705 CN MT COL
news-commentary 252776 CN TS COL
stackllama - EN - -
"""
"""The README table of github.com/PhoebusSi/Alpaca-CoT: name, count, Lang, Task, Gen."""

LANG = {("en",): "EN", ("zh",): "CN", ("en", "zh"): "EN/CN", ("mul",): "ML"}
TASK = {("MT",): "MT", ("TS",): "TS", ("TS", "MT"): "TS/MT", ("unknown",): "-"}
GEN = {"human": "HG", "self_instruct": "SI", "mixed": "MIX", "collection": "COL", "unknown": "-"}


def card(name: str) -> DatasetCard:
    return load_card(name, beside=None)[0]


def document(kind: Kind, name: str) -> dict[str, Any]:
    loaded = yamlio.load(catalogue.find(kind, name))
    if kind == "mixtures" and "extends" in loaded:
        base = yamlio.load(catalogue.find(kind, loaded["extends"], beside=ROOT / kind))
        mix = {**base.get("mix", {}), **loaded.get("mix", {})}
        loaded = {**base, **loaded, **({"mix": mix} if mix else {})}
    return dict(loaded)


def tags(name: str) -> tuple[str, str, str, str, str]:
    read = card(name)
    count = "-" if read.records is None else str(read.records)
    return name, count, LANG[read.languages], TASK[read.task], GEN[read.construction]


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_a_shipped_file_obeys_its_model_and_bears_its_name(kind: Kind, name: str) -> None:
    model: Any = MODELS[kind].model_validate(document(kind, name))

    assert model.name == name
    assert yamlio.load(catalogue.find(kind, name))["name"] == name


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_a_shipped_file_names_its_json_schema_first(kind: Kind, name: str) -> None:
    first = catalogue.find(kind, name).read_text(encoding="utf-8").splitlines()[0]

    assert first == f"# yaml-language-server: $schema=./{json_schemas.MODELS[kind][0]}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_json_schemas_are_those_of_the_models(kind: Kind) -> None:
    path = ROOT / kind / json_schemas.MODELS[kind][0]

    assert path.read_text(encoding="utf-8") == json_schemas.written(kind), "run `python -m doit.json_schemas`"


def test_the_json_schemas_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    for kind in KINDS:
        (tmp_path / kind).mkdir()

    written = json_schemas.write(tmp_path)

    assert [json.loads(path.read_text(encoding="utf-8"))["title"] for path in written] == [
        "DatasetCard",
        "MixtureSpec",
        "TrainerSpec",
    ]


def test_all_rows_of_the_alpaca_cot_table_are_here_with_their_tags() -> None:
    rows = [tuple(line.split()) for line in TABLE.split("\n") if line]

    assert len(rows) == 35
    assert [tags(row[0]) for row in rows] == rows


def test_the_totals_of_the_alpaca_cot_table() -> None:
    rows = [tags(line.split()[0]) for line in TABLE.split("\n") if line]

    assert sum(int(count) for _, count, *_ in rows if count != "-") == 127_495_609
    assert sum(count != "-" for _, count, *_ in rows) == 34
    assert Counter(row[2] for row in rows) == {"EN": 19, "CN": 8, "EN/CN": 5, "ML": 3}
    assert Counter(row[3] for row in rows) == {"MT": 22, "TS": 10, "TS/MT": 1, "-": 2}
    assert Counter(row[4] for row in rows) == {"COL": 16, "SI": 10, "MIX": 5, "HG": 2, "-": 2}


@pytest.mark.parametrize("name", catalogue.names("schemas"))
def test_a_card_says_what_a_reader_needs(name: str) -> None:
    read = card(name)

    assert read.title
    assert read.about
    assert str(read.cite).startswith("https://")
    assert read.languages
    assert read.source.revision is None, "a commit is pinned by who downloads"


def test_belles_multiturn_and_seed_cards_read_their_odd_rows() -> None:
    multiturn = card("belle-multiturn").shape.conversation(
        {"instruction": "Human:你好\nAssistant:你好！\nHuman:再见\nAssistant:", "input": "", "output": "再见！"}
    )
    seed = card("belle-seed-tasks")

    assert multiturn.messages == [
        ("user", "你好"),
        ("assistant", "你好！"),
        ("user", "再见"),
        ("assistant", "再见！"),
    ]
    assert seed.each == "instances"


def test_an_instance_of_natural_instructions_is_a_record(tmp_path: Path) -> None:
    task = {
        "Definition": ["Add the numbers."],
        "Instances": [
            {"id": "a", "input": "1 + 1", "output": ["2", "two"]},
            {"id": "b", "input": "2", "output": ["2"]},
        ],
    }
    path = tmp_path / "task.json"
    path.write_text(json.dumps(task, indent=1))

    (batch,) = read_records(path, card("natural-instructions"))

    assert [len(messages) for messages in batch.records["messages"].to_pylist()] == [2, 2]
    assert batch.records["messages"][0].as_py()[0]["content"] == "Add the numbers.\n1 + 1"
    assert batch.records["messages"][0].as_py()[1]["content"] == "2"


def talk(*turns: str) -> list[tuple[str, str]]:
    return [("assistant" if number % 2 else "user", turn) for number, turn in enumerate(turns)]


EXAM = {
    "textbox_q_instruction": "选一项。",
    "textbox_q_context": "",
    "textbox_question": "1+1=? A.2 B.3",
    "textbox_answer": "A",
}


@pytest.mark.parametrize(
    ("name", "row", "messages", "ability"),
    [
        ("firefly", {"kind": "NLI", "input": "甲？", "target": "蕴含"}, talk("甲？", "蕴含"), "reasoning"),
        ("firefly", {"kind": "nli", "input": "甲？", "target": "蕴含"}, talk("甲？", "蕴含"), "reasoning"),
        (
            "dolly",
            {"instruction": "Who?", "context": "Ann sings.", "response": "Ann.", "category": "closed_qa"},
            talk("Who?\nAnn sings.", "Ann."),
            "understanding",
        ),
        (
            "hc3",
            {"question": "Why?", "human_answers": ["No."], "chatgpt_answers": ["Yes."]},
            talk("Why?", "Yes."),
            None,
        ),
        ("xp3-zh", {"inputs": "你好", "targets": "您好"}, talk("你好", "您好"), None),
        ("pclue", {"input": "分类：甲", "target": "乙", "type": "classify"}, talk("分类：甲", "乙"), None),
        ("prosocial-dialog", {"context": "I lied.", "response": "Why?"}, talk("I lied.", "Why?"), "ethics"),
        ("stackllama", {"question": "How?", "response_j": "So.", "response_k": "No."}, talk("How?", "So."), None),
        ("ultrachat-dialogues", {"id": "1", "data": ["a", "b", "c", "d"]}, talk("a", "b", "c", "d"), None),
        (
            "belle-3.5m-category",
            {
                "id": "1",
                "conversations": [{"from": "human", "value": "扮演猫"}, {"from": "assistant", "value": "喵"}],
                "category": "role playing",
            },
            talk("扮演猫", "喵"),
            "role_play",
        ),
        (
            "coig-exam",
            {**EXAM, "textbox_answer_analysis": "一加一是二。", "subject": "历史"},
            talk("选一项。\n1+1=? A.2 B.3", "一加一是二。\nA"),
            "history",
        ),
        ("coig-values-exam", EXAM, talk("选一项。\n1+1=? A.2 B.3", "A"), "ethics"),
        (
            "coig-trans",
            {"instruction": "Add.", "trans_instruction": "相加。", "trans_input": "1, 2", "trans_output": "3"},
            talk("相加。\n1, 2", "3"),
            None,
        ),
        (
            "coig-ccmc",
            {
                "instruction": "",
                "conversations": [{"question": "甲", "answer": "乙"}, {"question": "丙", "answer": "丁"}],
            },
            talk("甲", "乙", "丙", "丁"),
            None,
        ),
    ],
)
def test_a_card_reads_a_row_as_its_publisher_writes_it(
    tmp_path: Path, name: str, row: dict[str, Any], messages: list[tuple[str, str]], ability: str | None
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")

    (batch,) = read_records(path, card(name))
    (record,) = batch.records.to_pylist()

    assert [(message["role"], message["content"]) for message in record["messages"]] == messages
    assert record["ability"] == ability
    assert not batch.unknown_labels


@pytest.mark.parametrize(
    ("file", "ability"),
    [
        ("biology_full.json", "biology"),
        ("creative_writing_1000.json", "creative_writing"),
        ("role_play_valid.json", "role_play"),
    ],
)
def test_doits_files_name_their_ability(tmp_path: Path, file: str, ability: str) -> None:
    row = {"messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]}
    (tmp_path / file).write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")

    (batch,) = read_records(tmp_path / file, card("doit-full"))

    assert batch.records["ability"].to_pylist() == [ability]


@pytest.mark.shared
def test_belles_evaluation_set_has_its_ten_classes(shared: Path) -> None:
    batches = list(read_records(shared / "belle" / "eval" / "eval_set.json", card("belle-eval")))
    classes = Counter(tag for batch in batches for row in batch.records["tags"].to_pylist() for tag in row)

    assert sum(batch.records.num_rows for batch in batches) == 1000
    assert not any(batch.rejects or batch.unknown_labels for batch in batches)
    assert classes == {
        "belle:brainstorming": 179,
        "belle:classification": 65,
        "belle:closed qa": 52,
        "belle:code": 38,
        "belle:extract": 37,
        "belle:generation": 98,
        "belle:math": 75,
        "belle:open qa": 285,
        "belle:rewrite": 131,
        "belle:summarization": 40,
    }


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "pattern", "records", "rejects"),
    [
        ("belle-seed-tasks", "belle/data/1.5M/*.json", 175, 0),
        ("belle-school-math", "belle/train/utils/data/*.json", 1000, 0),
        ("flan-cot", "alpaca-cot-flan/origin_cot_data/*.tsv", 5873, 0),
        ("chain-of-thought", "alpaca-cot-flan/formatted_cot_data/*.json", 5873, 0),
        ("code-alpaca", "code-alpaca/*.json", 2015, 2),
        ("hh-rlhf-chosen", "hh-rlhf/harmless-base/*.jsonl.gz", 2299, 13),
        ("chinese-medical", "zh-medical-gb18030/*.csv", 2000, 0),
    ],
)
def test_a_card_reads_real_rows(shared: Path, name: str, pattern: str, records: int, rejects: int) -> None:
    batches = [batch for path in sorted(shared.glob(pattern)) for batch in read_records(path, card(name))]

    assert sum(batch.records.num_rows for batch in batches) == records
    assert sum(len(batch.rejects) for batch in batches) == rejects
    assert not any(batch.unknown_labels for batch in batches)


@pytest.mark.parametrize("name", catalogue.names("mixtures"))
def test_a_mixture_names_shipped_datasets_in_their_folders(name: str) -> None:
    spec = MixtureSpec.model_validate(document("mixtures", name))

    for source in spec.sources:
        assert isinstance(source.dataset, str)
        assert source.dataset in catalogue.names("schemas")
        assert str(source.files).startswith(f"data/{source.dataset}/")


TRAIN = {
    "biology": 1042,
    "history": 1893,
    "code": 4968,
    "creative_writing": 1000,
    "chinese": 1450,
    "understanding": 4885,
    "role_play": 1000,
    "reasoning": 12751,
    "math": 11501,
    "ethics": 1000,
}
"""DoIT's training rows: the paper's sizes less 100 validation and 100 test rows an ability (arXiv 2310.19651)."""


def taken(name: str, sizes: dict[str, int], folder: Path, size: int | None = None) -> Counter[str]:
    """Records per ability (and `synthetic`) that a shipped DoIT mixture takes; specs are used as a reader would."""
    for path in ("doit-full/a_full.json", "doit-curated/a_1000.json", "doit-synthetic/a.json"):
        (folder / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / path).touch()
    (folder / "mine.yaml").write_text(f"name: mine\nextends: {name}\n")
    spec = load_spec(folder / "mine.yaml").spec
    axes = spec.axes()
    stock: Counter[tuple[str, ...]] = Counter()
    for ability, number in [*sizes.items(), ("synthetic", 40960)]:
        source = "doit-synthetic" if ability == "synthetic" else "doit-full"
        if ability == "synthetic" and len(axes) == 1:
            continue
        values = {"ability": ability if ability in axes[0].targets else "*", "source": source}
        stock[tuple(values[axis.name] for axis in axes)] += number
    wanted = size or (spec.size if isinstance(spec.size, int) else None)
    given: Stock = {cell: (number,) for cell, number in stock.items()}
    made = plan(Request(axes=axes, size=wanted, shortage=spec.shortage), given)
    counts: Counter[str] = Counter()
    for cell in made.cells:
        counts["synthetic" if "doit-synthetic" in cell.values else cell.values[0]] += cell.taken
    return +counts


@pytest.mark.parametrize("size", [10, 40, 160, 640, 2560, 10000])
def test_curated_is_even_over_the_ten_abilities(tmp_path: Path, size: int) -> None:
    curated = dict.fromkeys(TRAIN, 1000)

    assert taken("doit-curated", curated, tmp_path, size) == dict.fromkeys(TRAIN, size // 10)


def test_curated_is_a_series_and_the_baseline_its_largest_size(tmp_path: Path) -> None:
    series = document("mixtures", "doit-curated")
    baseline = document("mixtures", "doit-baseline")

    assert series["series"] == [10, 40, 160, 640, 2560, 10000]
    assert (baseline["size"], baseline["series"], baseline["mix"]) == (10000, [], series["mix"])
    assert taken("doit-baseline", dict.fromkeys(TRAIN, 1000), tmp_path) == dict.fromkeys(TRAIN, 1000)


@pytest.mark.parametrize(("biology", "chinese"), [(1041, 1306), (1042, 1305)])
def test_reconstruct_has_the_papers_counts(tmp_path: Path, biology: int, chinese: int) -> None:
    counts = taken("doit-reconstruct", {**TRAIN, "biology": biology}, tmp_path)

    assert counts == {
        "ethics": 64,
        "role_play": 64,
        "creative_writing": 1000,
        "biology": biology,
        "chinese": chinese,
        "history": 1305,
        "code": 1305,
        "understanding": 1305,
        "reasoning": 1305,
        "math": 1305,
    }
    assert counts.total() == 10_000


def test_maximum_and_the_mixes_on_top_of_it(tmp_path: Path) -> None:
    maximum = taken("doit-maximum", TRAIN, tmp_path)

    assert maximum == {"ethics": 64, "role_play": 64, "creative_writing": 1000, "*": 38_490}
    assert maximum.total() == 39_618
    assert taken("doit-mix-0", TRAIN, tmp_path) == maximum
    assert taken("doit-mix-2560", TRAIN, tmp_path) == {**maximum, "synthetic": 2560}
    assert taken("doit-mix-40960", TRAIN, tmp_path) == {**maximum, "synthetic": 40960}


def test_belles_scaling_sizes_are_a_series() -> None:
    assert document("mixtures", "belle-scaling")["series"] == [200_000, 600_000, 1_000_000, 2_000_000]


def test_every_method_has_a_trainer() -> None:
    kinds = {document("trainers", name)["method"]["kind"] for name in catalogue.names("trainers")}

    assert kinds == set(METHODS)


def test_abilities_of_the_cards_are_known_keys() -> None:
    rules = [rule for name in catalogue.names("schemas") if (rule := card(name).ability) is not None]
    given = {key for rule in rules for key in (*(rule.map or {}).values(), *([rule.constant] if rule.constant else []))}

    assert given <= {*ABILITIES, OTHER}
    assert given >= {"math", "code", "chinese", "creative_writing", "understanding", "reasoning", "ethics", "role_play"}


def readme_rows(kind: Kind) -> list[str]:
    """The rows that the table in `<kind>/README.md` must have."""
    rows = []
    for name in catalogue.names(kind):
        if kind == "schemas":
            read = card(name)
            counted = "" if read.records is None else f"{read.records:,}"
            task = "" if read.task == ("unknown",) else ", ".join(read.task)
            languages = ", ".join(read.languages)
            cells = [languages, task, read.construction, read.shape.kind, counted, read.license]
        elif kind == "mixtures":
            spec = MixtureSpec.model_validate(document(kind, name))
            sizes = ", ".join(f"{size:,}" for size in spec.series) or (
                f"{spec.size:,}" if isinstance(spec.size, int) else "all"
            )
            cells = [", ".join(str(source.dataset) for source in spec.sources), sizes]
        else:
            trainer = TrainerSpec.model_validate(document(kind, name))
            new = isinstance(trainer.model, NewModel)
            cells = [trainer.method.kind, f"new {trainer.model.config['model_type']}" if new else f"`{trainer.model}`"]
        rows.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_lists_every_file(kind: Kind) -> None:
    lines = (ROOT / kind / "README.md").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line.startswith("| `")] == readme_rows(kind)
