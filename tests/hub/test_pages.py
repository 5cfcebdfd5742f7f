"""The pages: metadata that the Hub's own models take, and Markdown that renders, links and tables included."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import doit
from doit.hub.contents import MEMBERS
from doit.hub.dataset_page import _feature
from doit.hub.licences import licensing
from doit.hub.model_page import model_page
from doit.hub.picture import cross_picture
from doit.hub.run_folder import Run
from doit.mixtures.manifest import CrossCount, InspectAnswer
from doit.table import MIXTURE
from tests.hub.conftest import REPO, rows

markdown_it = pytest.importorskip("markdown_it")
hub_library = pytest.importorskip("huggingface_hub")

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b\n| c |",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/a.png)",
    "`code` **b** _i_",
    "---\nlicense: mit",
    "\u202eabc",
    "# h\n\n- x",
    "http://evil.example",
]


class Page:
    """A README as a reader gets it."""

    def __init__(self, text: str) -> None:
        _, front, body = text.split("---\n", 2)
        self.front: dict[str, Any] = yaml.safe_load(front)
        self.text = body
        tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(body)
        self.kinds = {token.type for token in tokens} | {c.type for t in tokens for c in t.children or []}
        self.links = [str(c.attrs["href"]) for t in tokens for c in t.children or [] if c.type == "link_open"]
        self.images = [str(c.attrs["src"]) for t in tokens for c in t.children or [] if c.type == "image"]
        self.headings = [tokens[n + 1].content for n, t in enumerate(tokens) if t.type == "heading_open"]
        self.tables: list[list[int]] = []
        for token in tokens:
            if token.type == "table_open":
                self.tables.append([])
            elif token.type == "tr_open":
                self.tables[-1].append(0)
            elif token.type in {"td_open", "th_open"}:
                self.tables[-1][-1] += 1
        self.code = [token.content for token in tokens if token.type == "fence"]

    def well_formed(self, files: set[str]) -> None:
        assert all(len(set(table)) == 1 for table in self.tables)
        lines = [line for line in self.text.splitlines() if line.startswith("|")]
        assert sum(len(table) + 1 for table in self.tables) == len(lines)  # every line of a table is in one
        assert set(self.images) <= files
        assert all(re.match(r"https://[^\s]+$", link) or link in files for link in self.links)
        assert not self.kinds & {"html_block", "html_inline"}


SPECS: dict[str, dict[str, Any]] = {
    "one": {},
    "splits": {"splits": {"validation": {"records": 2, "per": "ability"}, "test": {"records": 2, "per": "ability"}}},
    "series": {"series": [10, 20], "size": 20},
    "variants": {"variants": {"few": {"size": 10}, "many": {"size": 20}}},
}


@pytest.mark.parametrize("options", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("extra", [{}, {"by": "ability"}, {"recipe_only": True}], ids=["whole", "by", "recipe"])
def test_the_dataset_page_is_what_the_hub_and_a_reader_expect(build, options, extra):
    answer = doit.publish(build(**options), REPO, dry_run=True, **extra)
    page = Page(answer.card)
    page.well_formed({file.path for file in answer.files})
    assert len(page.tables) >= 5
    assert page.images
    for heading in ("Load it", "What is in it", "Sources and licences", "What was left out", "Rebuild it"):
        assert heading in page.headings
    data = hub_library.DatasetCardData(**page.front)
    assert data.to_dict() == page.front
    assert hub_library.DatasetCard(answer.card).data.to_dict() == page.front
    named = [config["config_name"] for config in page.front["configs"]]
    assert named == list(answer.configs) == [info["config_name"] for info in page.front["dataset_info"]]
    assert len(page.code[0].splitlines()) == 3
    paths = {file.path for file in answer.files}
    for config in page.front["configs"]:
        for files in config["data_files"]:
            pattern = re.escape(files["path"]).replace(r"\*", "[^/]*")
            assert any(re.fullmatch(pattern, path) for path in paths)


def test_the_features_are_those_that_datasets_writes():
    datasets = pytest.importorskip("datasets")
    for schema in (MIXTURE, MEMBERS):
        ours = [{"name": field.name, **_feature(field.type)} for field in schema]
        assert ours == datasets.Features.from_arrow_schema(schema)._to_yaml_list()


def test_datasets_reads_the_metadata(build, tmp_path):
    pytest.importorskip("datasets")
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs

    answer = doit.publish(build(series=[10, 20], size=20), REPO, dry_run=True)
    data = hub_library.DatasetCard(answer.card).data
    infos = DatasetInfosDict.from_dataset_card_data(data)
    assert {name: info.splits["train"].num_examples for name, info in infos.items()} == {"20": 20, "10": 10}
    configs = MetadataConfigs.from_dataset_card_data(data)
    assert configs.get_default_config_name() == "20"


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_stays_text(build, tmp_path, text):
    """A card's licence, address and construction may hold anything."""
    out = build(licenses=("unknown", "MIT"))
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    manifest["licenses"]["set-a"] = text
    manifest["dropped"] = {text: 1}
    manifest["spec"]["sources"][0]["dataset"]["cite"] = text
    manifest["spec"]["sources"][1]["dataset"]["source"] = {"hub": text, "revision": text}
    manifest["spec"]["curation"] = [{"kind": "contaminated", "against": [text], "action": text, "ngram": text}]
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    answer = doit.publish(out, REPO, dry_run=True, accept_license=text)
    page = Page(answer.card)
    page.well_formed({file.path for file in answer.files})
    assert page.front["license"] == "unknown"
    assert not any("evil" in link or "javascript" in link for link in [*page.links, *page.images])
    assert len(page.headings) == 9


def test_the_contamination_rules_are_told(build):
    out = build()
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    rule = {"kind": "contaminated", "against": ["cmmlu", {"name": "ceval"}], "ngram": 13, "coverage": 0.6}
    manifest["spec"]["curation"] = [rule]
    counted = {"rule": "contaminated", "items": 1000, "records": 7}
    manifest["contamination"] = [
        {**counted, "benchmark": "cmmlu", "found": 5},
        {**counted, "benchmark": "ceval", "found": 0},
    ]
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    card = doit.publish(out, REPO, dry_run=True).card
    assert "| cmmlu | 13 | 0\\.6 | 5 of 1,000 | 7 | dropped |" in card
    assert "| ceval | 13 | 0\\.6 | 0 of 1,000 | 7 | dropped |" in card


def section(card: str, heading: str) -> str:
    return card.split(f"## {heading}\n\n")[1].split("\n## ", maxsplit=1)[0]


def test_a_source_of_which_every_row_is_held_out_is_on_the_page(build):
    out = build(first=rows(0, 4), size=10, mix={}, splits={"test": {"records": 4, "per": "source"}})
    answer = doit.publish(out, REPO, dry_run=True)
    told = section(answer.card, "Sources and licences")
    assert re.search(r"^\| set-a \| MIT \| .* \| 0 \| 0\.0% \| 4 \|$", told, re.MULTILINE)
    assert re.search(r"^\| set-b \| CC-BY-4\.0 \| .* \| 10 \| 100\.0% \| 4 \|$", told, re.MULTILINE)
    assert "An instruction mixture of 10 training, 8 test rows from 2 sources" in answer.card


MOSTLY_MATH = {"ability": {"math": 0.8, "code": 0.2}}


def test_variants_are_one_publication_with_one_name_and_each_its_tables(build):
    options = {"series": [10, 20], "size": 20, "variants": {"a": {}, "b": {"mix": MOSTLY_MATH}}}
    answer = doit.publish(build(**options), REPO, dry_run=True)
    page = Page(answer.card)
    assert page.front["pretty_name"] == page.headings[0] == "zh-mix"
    assert "A set of 4 instruction mixtures, the first of 20 training rows from 2 sources" in page.text
    assert "those of `a-20`, `b-20`; of the others see their `manifest.json`" in page.text
    told = section(answer.card, "Sources and licences")
    assert told.count("| set-a | MIT |") == 2
    assert told.index("Licence of the whole") < told.index("### a-20") < told.index("### b-20")
    # what is the same of all of them is said once
    assert "###" not in section(answer.card, "Contamination")


@pytest.mark.parametrize(("wanted", "words"), [(0.5, "Every share of the plan holds"), (0.99, "Short of what was")])
def test_the_page_says_whether_the_shares_hold(build, wanted, words):
    mix = {"ability": {"math": wanted, "code": round(1 - wanted, 2)}}
    card = doit.publish(build(size=60, mix=mix, shortage="redistribute"), REPO, dry_run=True).card
    assert words in section(card, "What is in it")


def test_the_page_of_a_recipe_says_that_it_loads_no_text(build):
    page = Page(doit.publish(build(), REPO, dry_run=True, recipe_only=True).card)
    assert "print(places[0])" in page.code[0]
    assert "where the rows are, not what they say" in page.text
    assert "mixture[0]" not in page.text


def test_one_row_is_not_called_rows(build):
    made = rows(0, 40)
    made[3]["output"] = "請寫信到 lin.xiaoming@mail.taipei-office.tw，謝謝。"
    answer = doit.publish(build(first=made, size="all", mix={}), REPO, dry_run=True, redact=True)
    assert "something was found in 1 row (e-mail\\: 1). It was masked in 1 row;" in answer.card
    assert not re.search(r"\b1 (?:rows|data files)\b", answer.card + str(answer.checks))


def test_the_page_says_which_files_a_rebuild_needs(build, tmp_path):
    out = build()
    told = section(doit.publish(out, REPO, dry_run=True).card, "Rebuild it")
    size = (tmp_path / "out-sources" / "a.jsonl").stat().st_size
    assert f"| set-a | out-sources/a.jsonl | {size:,} |" in told
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    first = manifest["inputs"][0]
    manifest["inputs"] += [{**first, "file": f"{first['file']}.{n}", "read": 0} for n in range(5)]
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    told = section(doit.publish(out, REPO, dry_run=True).card, "Rebuild it")
    assert "out-sources/a.jsonl, out-sources/a.jsonl.0, out-sources/a.jsonl.1 and 3 more" in told


def test_a_licence_that_is_in_no_table_is_not_called_unstated(build):
    out = build(licenses=("LicenseRef-research-only", "MIT"))
    answer = doit.publish(out, REPO, dry_run=True, accept_license="作者來信同意")
    (line,) = [line for line in answer.licensing.asks if line.startswith("LicenseRef")]
    assert "in no table of ours" in line
    assert "nobody has said" not in answer.card
    assert "\\`" not in answer.card  # a back-tick that Markdown would show


class _Names(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_picture_is_plain_xml(text):
    cross = (
        CrossCount(language=text, ability="math", records=3),
        CrossCount(language="en", ability=text, records=0),
        CrossCount(language="zh-Hant", ability=None, records=7),
    )
    by = {"language": {text: 3, "en": 0, "zh-Hant": 7}, "ability": {"math": 3, text: 0, "untagged": 7}}
    picture = cross_picture(InspectAnswer(records=10, by=by, cross=cross, lengths={}))
    root = ElementTree.fromstring(picture)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "title", "rect", "text"}
    assert "math 数学" in {element.text for element in root.iter()}
    assert {"3", "7", "0"} <= {element.text for element in root.iter()}
    assert _Names(picture).names == {"svg", "title", "rect", "text"}


# -- models

RUN = {
    "name": "lora-zh",
    "doit": "0.1.0",
    "model": {"name": "Qwen/Qwen2.5-0.5B", "commit": "060db6499f32" + "0" * 28, "license": "apache-2.0"},
    "spec": {"name": "lora-zh", "method": {"kind": "lora", "rank": 8, "targets": ["q_proj", "v_proj"]}},
    "mixture": {"digest": "ab" * 32, "name": "zh-general"},
    "licenses": {"belle": "GPL-3.0-only", "own": "MIT"},
    "cost": {"trainable": 4194304, "total": 6742609920, "seconds": 812.4, "tokens": 1200000, "peak_memory": None},
    "masks": {"train": [{"language": tag, "ability": None} for tag in ("zh-Hans", "zh-Hant", "en")]},
    "losses": {
        "validation": {
            "loss": 1.75,
            "cells": [
                {"language": "zh-Hans", "ability": "math", "loss": 1.9234, "tokens": 5120},
                {"language": "en", "ability": None, "loss": 1.1},
            ],
        },
        "train": None,
    },
    "scores": [{"ability": "math", "metric": "accuracy", "value": 0.41, "dataset": "cmmlu", "split": "test"}],
    "written_by_a_later_version": {"x": 1},
}


def run_page(run: dict[str, Any], *, adapter: bool = True, mixture: str | None = "desk/mix") -> str:
    read = Run.model_validate(run)
    found = licensing({("base", read.model.license): 0, **dict.fromkeys(read.licenses.items(), 0)})
    return model_page(read, found, repo="desk/lora", tag="model-x", adapter=adapter, mixture=mixture, accepted=None)


def test_the_model_page_is_what_the_hub_and_a_reader_expect():
    card = run_page(RUN)
    page = Page(card)
    page.well_formed(set())
    front = page.front
    assert front["base_model"] == "Qwen/Qwen2.5-0.5B"
    assert front["base_model_relation"] == "adapter"
    assert front["datasets"] == ["desk/mix"]
    assert front["language"] == ["zh", "en"]
    assert front["license"] == "gpl-3.0"
    data = hub_library.ModelCardData(**{**front, "model-index": front["model-index"]})
    assert all(isinstance(result, hub_library.EvalResult) for result in data.eval_results)
    assert sorted(result.metric_value for result in data.eval_results) == [0.41, 1.1, 1.75, 1.9234]
    assert hub_library.ModelCard(card).data.to_dict() == data.to_dict()
    for part in ("060db6499f32", "| math | zh-Hans | validation | 1.9234 | 5,120 |", "4,194,304", "0.0622%", "ab" * 32):
        assert part in card
    compile(page.code[0], "page", "exec")
    named = {metric["name"] for result in front["model-index"][0]["results"] for metric in result["metrics"]}
    assert named == {"Loss, all", "Loss, math, zh-Hans", "Loss, untagged, en", "accuracy, math"}
    assert "| all | all | validation | 1.7500 |" in card
    assert "*" not in card.replace("**", "")


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_a_run_stays_text(text):
    run = {
        **RUN,
        "name": text,
        "model": {"name": text, "commit": text, "license": text, "added_tokens": 3},
        "spec": {"method": {"kind": text, text: text}},
        "mixture": {"digest": text, "name": text},
        "licenses": {text: text},
        "masks": {"train": [{"language": text}]},
        "losses": {"validation": {"loss": 1.0, "cells": [{"ability": text, "language": text, "loss": 1.0}]}},
        "scores": [{"ability": text, "metric": text, "value": 1.0, "dataset": text}],
    }
    page = Page(run_page(run, mixture=None))
    page.well_formed(set())
    assert "base_model" not in page.front
    assert not page.links
    assert not page.images
    compile(page.code[0], "page", "exec")


def test_a_run_may_say_almost_nothing():
    page = Page(run_page({"model": {"name": "tiny"}}, adapter=False, mixture=None))
    page.well_formed(set())
    assert page.front["library_name"] == "transformers"
    assert page.front["license"] == "unknown"


def test_the_card_that_a_build_writes_says_what_was_left_out(build):
    page = Page(Path(build() / "README.md").read_text(encoding="utf-8"))
    page.well_formed(set())
    assert {"What was left out", "Contamination"} <= set(page.headings)
