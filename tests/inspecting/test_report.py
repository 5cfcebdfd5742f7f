from __future__ import annotations

import re
from html.parser import HTMLParser

import polars as pl
import pytest
import yaml

from doit.inspecting.card import plain
from doit.inspecting.report import card_markdown, report_html
from doit.inspecting.visible import visible
from doit.mixtures.manifest import BuiltFile, InputFile

PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '" onfocus="alert(1)" autofocus="',
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</td></tr></table><iframe src=//evil.example>",
    "</pre></code><base href=//evil.example/>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "--><script>alert(1)</script><!--",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?><script>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='https://evil.example'>x</a>",
    "<link rel=stylesheet href=//evil.example/a.css>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<object data=//evil.example><embed src=//evil.example>",
    "<form action=//evil.example><input name=x autofocus onfocus=alert(1)>",
    "<style>@import '//evil.example/a.css';</style>",
    "<math><mtext></form><form><mglyph><svg><mtext><style><path id='</style><img onerror=alert(1) src>'>",
    "<details open ontoggle=alert(1)>",
    "<ｓｃｒｉｐｔ>alert(1)</ｓｃｒｉｐｔ>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\x3cscript\x3e\u2028alert(1)",
    "${alert(1)} $title $$ {{7*7}} <%= 7*7 %>",
    "\u202e<script>\u2066alert(1)\u2069",
    "\x00<scr\x00ipt>alert(1)",
    "`${1}`;url(//evil.example);expression(alert(1))",
    "\ud83d<b>half a pair",
]


class Page(HTMLParser):
    """What a browser would make of a page: its elements, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.pairs: list[tuple[str, str]] = []
        self.other: list[str] = []
        self.open: list[str] = []
        self.cells: list[str] = []
        self.ids: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        for name, value in attrs:
            self.attributes.add((tag, name))
            self.pairs.append((name, value or ""))
        if tag not in {"meta"}:
            self.open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.other.append(data)
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data

    def handle_comment(self, data):
        raise AssertionError(data)

    def handle_pi(self, data):
        raise AssertionError(data)

    def unknown_decl(self, data):
        raise AssertionError(data)

    @property
    def text(self) -> str:
        return "".join(self.other)


@pytest.fixture
def page(manifest, mixture, rejects):
    return Page(report_html(manifest, mixture, rejects))


def poisoned(payload, change, mixture, rejects, manifest):
    """A payload in every place where text from data can stand."""
    counts = manifest.sources["belle-multiturn"].model_copy(update={"dropped": {payload: 1}, "rejected": {payload: 2}})
    plan = manifest.plan
    plan = plan.model_copy(
        update={
            "cells": tuple(c.model_copy(update={"language": payload, "ability": payload}) for c in plan.cells),
            "margins": tuple(m.model_copy(update={"axis": payload, "value": payload}) for m in plan.margins),
            "shortage": payload,
        }
    )
    hostile = change(
        name=payload,
        digest=payload,
        spec={payload: payload, "list": [payload]},
        dropped={payload: 1},
        rejected={payload: 2},
        sources={payload: counts},
        licenses={payload: payload},
        plan=plan,
        funnel=tuple(step.model_copy(update={"rule": payload}) for step in manifest.funnel),
        inputs=(InputFile(source=payload, file=payload, bytes=1, sha256=payload, read=1),),
        warnings=(payload,),
        versions={payload: payload},
        files={payload: BuiltFile(bytes=1, sha256=payload)},
        doit=payload,
    )
    text = pl.lit(payload.encode("utf-8", "replace").decode())
    rows = mixture.with_columns(language=text, ability=text, source=text, construction=text)
    bad = rejects.with_columns(text.alias(name) for name in ("source", "file", "field", "code", "reason"))
    return hostile, rows, bad


@pytest.mark.parametrize("payload", PAYLOADS)
def test_text_from_data_stays_text(payload, change, mixture, rejects, manifest, page):
    written = report_html(*poisoned(payload, change, mixture, rejects, manifest))
    hostile = Page(written.encode().decode())

    assert hostile.elements == page.elements
    assert hostile.attributes <= page.attributes
    assert not {name for _, name in hostile.attributes} & {"src", "action", "srcset", "data", "xlink:href"}
    assert not [name for _, name in hostile.attributes if name.startswith("on")]
    assert all(value.startswith("#") for name, value in hostile.pairs if name == "href")
    assert hostile.text.count(visible(payload)) > 15


def test_styles_hold_nothing_but_numbers(change, mixture, rejects, manifest):
    page = Page(report_html(*poisoned(PAYLOADS[0], change, mixture, rejects, manifest)))

    styles = {value for name, value in page.pairs if name == "style"}
    assert styles
    assert all(re.fullmatch(r"(--v:\d\.\d+|(width|left):\d+\.\d+%)", style) for style in styles)


def test_the_page_fetches_nothing(manifest, mixture, rejects):
    page = report_html(manifest, mixture, rejects)

    assert not re.search(r"https?://|url\(|@import|<script|<link|<iframe| on\w+=", page)
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy is not None
    scripts = r"script-src 'sha256-[A-Za-z0-9+/]{43}='; connect-src 'none'; "
    assert re.match(rf"default-src 'none'; {scripts}style-src 'unsafe-inline'; img-src data:", policy[1])
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_cells_are_those_of_the_manifest(page, manifest):
    for cell in manifest.plan.cells:
        short = f"short {cell.wanted - cell.taken:,}" if cell.taken < cell.wanted else ""
        assert f"{short}{cell.taken:,}{cell.wanted:,} wanted / {cell.available:,} available" in page.cells
    for margin in manifest.plan.margins:
        at = next(
            i
            for i, text in enumerate(page.cells)
            if text.startswith(margin.value) and page.cells[i + 1] == f"{margin.wanted:,}"
        )
        assert page.cells[at + 3 : at + 5] == [f"{margin.available:,}", f"{margin.taken:,}"]


def test_the_law_of_rows_stands_per_source_and_in_all(page, manifest):
    at = page.cells.index("中文资料（繁體）CC-BY-4.0")
    assert page.cells[at + 1 : at + 6] == ["800", "500", "200", "90near_duplicates 90", "10D302 10"]
    at = page.cells.index("831,836", at)
    assert page.cells[at : at + 5] == ["831,836", "1,700", "825,200", "4,890", "46"]


def test_the_funnel_ends_with_what_was_drawn(page, change, mixture, rejects):
    assert [page.cells[page.cells.index("drawnin the mixture, splits included") + 2]] == ["1,700"]
    left = page.cells[page.cells.index("unusedmore than the plan takes") + 2]
    assert left == "1,700"

    where = Page(report_html(change(dropped={"where": 7}, funnel=()), mixture, rejects))
    at = where.cells.index("whereleft out by the card")
    assert where.cells[at + 1 : at + 3] == ["−7", f"{831_836 - 46 - 7:,}"]


def test_contents_count_the_training_rows(page, mixture):
    math = mixture.filter(pl.col("ability") == "math", pl.col("language") == "zh-Hans").height
    assert f"{math:,}{math / mixture.height:.1%}" in page.cells
    assert "10 and more" in page.cells


def test_at_most_fifty_rejects_are_shown(page):
    assert "The first 50 of 60" in page.text
    assert "reason number 49." in page.text
    assert "reason number 50." not in page.text
    assert "a null field" in page.cells


def test_the_histogram_holds_every_row(manifest, mixture, rejects):
    page = report_html(manifest, mixture, rejects)

    figures = re.findall(r"<figure>.*?</figure>", page, flags=re.S)
    sums = [sum(int(n.replace(",", "")) for n in re.findall(r"characters: ([\d,]+) rows", text)) for text in figures]
    english = mixture.filter(pl.col("language") == "en").height
    assert sums == [mixture.height, mixture.height - english, english]


def test_tokens_are_shown_where_they_were_counted(manifest, mixture, rejects):
    counted = mixture.with_columns(tokens=pl.when(pl.col("language") != "en").then(pl.col("chars") // 2))
    page = report_html(manifest, counted, rejects)

    drawn = [text for text in re.findall(r"<figcaption>(.*?)</figcaption>", page) if "tokens per row" in text]
    assert [text.partition(":")[0] for text in drawn] == ["all", "zh"]
    assert ">tokens, language<" in page
    assert "tokens" not in "".join(re.findall(r"<figure>.*?</figure>", report_html(manifest, mixture, rejects)))


@pytest.mark.parametrize("chars", [[0], [1], [1, 1], [2_000_000_000], [9, 10, 99, 100, 999, 1000]])
def test_any_length_has_a_place_in_the_histogram(manifest, mixture, rejects, chars):
    rows = mixture.head(len(chars)).with_columns(chars=pl.Series(chars, dtype=pl.Int32))
    page = report_html(manifest, rows, rejects)

    first = re.search(r"<figure>.*?</figure>", page, flags=re.S)
    assert first is not None
    assert sum(map(int, re.findall(r"characters: (\d+) row", first[0]))) == len(chars)
    places = [float(x) for x in re.findall(r'<rect width="([^"]+)"', first[0])]
    assert all(0 < width <= 560 for width in places)


def test_a_report_of_nothing_is_a_page(change, mixture, rejects):
    empty = change(rejected={}, dropped={}, funnel=(), sources={}, read=0, drawn=0, unused=0, inputs=(), warnings=())
    page = Page(report_html(empty, mixture.head(0), rejects.head(0)))

    assert "There are no rows." in page.text
    assert "Every row became a record." in page.text


def test_ids_are_unique_and_every_link_leads_somewhere(page):
    ids = [value for name, value in page.pairs if name == "id"]
    assert len(set(ids)) == len(ids)
    assert {value[1:] for name, value in page.pairs if name == "href"} <= set(ids)


def test_the_page_stays_small_and_bounded(change, mixture, rejects):
    many = tuple(InputFile(source="s", file=f"data/{n}.json", bytes=1, sha256="ab" * 32, read=1) for n in range(5000))
    long = rejects.with_columns(reason=pl.lit("长" * 100_000))
    page = report_html(change(inputs=many), mixture, long)

    assert len(page.encode()) < 300_000
    assert "… and 4,800 more inputs" in page


def front(card: str):
    return yaml.safe_load(card.split("---\n")[1])


def test_the_card_starts_with_what_the_hub_reads(change, mixture):
    files = {f"data/{split}-00000-of-00001.parquet": BuiltFile(bytes=1, sha256="a") for split in ("train", "test")}
    changed = change(files=files)
    card = card_markdown(changed, mixture)

    assert front(card) == {
        "pretty_name": "zh-general",
        "license": "other",
        "language": ["zh", "en"],
        "size_categories": ["1K<n<10K"],
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "doit-mix"],
        "configs": [
            {
                "config_name": "default",
                "description": f"content digest {changed.digest}",
                "data_files": [
                    {"split": "train", "path": "data/train-*.parquet"},
                    {"split": "test", "path": "data/test-*.parquet"},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ("CC-BY-4.0", "cc-by-4.0", "cc-by-4.0"),
        ("Apache-2.0", "Apache-2.0", "apache-2.0"),
        ("GPL-3.0-only", "GPL-3.0-only", "gpl-3.0"),
        ("ODC-By-1.0", "ODC-By-1.0", "odc-by"),
        ("MIT", "CC-BY-4.0", "other"),
        ("LicenseRef-own", "LicenseRef-own", "other"),
        ("MIT", "unknown", None),
        ("unknown", "unknown", None),
    ],
)
def test_a_licence_is_stated_only_where_all_sources_agree(change, mixture, first, second, named):
    card = card_markdown(change(licenses={"belle-multiturn": first, "中文资料（繁體）": second}), mixture)

    assert front(card).get("license") == named


def test_a_source_without_rows_does_not_change_the_licence(change, mixture):
    licenses = {"belle-multiturn": "MIT", "中文资料（繁體）": "unknown"}
    rows = mixture.filter(pl.col("source") == "belle-multiturn")

    assert front(card_markdown(change(licenses=licenses), rows))["license"] == "mit"


@pytest.mark.parametrize(("tags", "listed"), [(["no", "und"], ["no"]), (["zh-Hant-TW", "zh"], ["zh"]), (["und"], None)])
def test_languages_are_primary_tags(change, manifest, mixture, tags, listed):
    rows = mixture.head(2 * len(tags)).with_columns(language=pl.Series(tags * 2))

    assert front(card_markdown(manifest, rows)).get("language") == listed


def test_the_card_counts_and_tells_how(manifest, mixture):
    card = card_markdown(manifest, mixture)

    assert "| math 数学 | 100 | 100 | 200 |" in card
    assert "| creative\\_writing 创意写作 | 400 | 100 | 500 |" in card
    assert f"| all | 1,300 | 400 | {mixture.height:,} |" in card
    assert "| belle-multiturn | GPL-3.0-only |" in card
    assert 'load_dataset("PATH_OR_REPOSITORY", split="train")' in card
    assert f"`{manifest.digest}`" in card
    assert "data/a.json" not in card


def test_a_card_of_nothing_is_a_card(manifest, mixture):
    card = card_markdown(manifest, mixture.head(0))

    assert front(card)["size_categories"] == ["n<1K"]


@pytest.mark.parametrize(
    "payload", [*PAYLOADS, "[a](http://x.example)", "a|b\n| c |", "# h", "- x", "1. x", "**b** _i_", "---\nx: 1"]
)
def test_names_in_the_card_stay_text(payload, change, mixture, rejects, manifest):
    markdown_it = pytest.importorskip("markdown_it")
    hostile, rows, _ = poisoned(payload, change, mixture, rejects, manifest)
    card = card_markdown(hostile, rows)
    _, header, body = card.split("---\n", 2)

    assert yaml.safe_load(header)["pretty_name"] == visible(payload)
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(body)
    kinds = {child.type for token in tokens for child in (token.children or [])}
    assert kinds <= {"text", "code_inline", "softbreak", "text_special"}
    assert not {token.type for token in tokens} & {
        "html_block",
        "hr",
        "bullet_list_open",
        "ordered_list_open",
        "blockquote_open",
    }
    inline = ["".join(child.content for child in token.children) for token in tokens if token.type == "inline"]
    assert visible(payload) in inline
    columns = [
        len(line.split(" | ")) for line in body.splitlines() if line.startswith("| ability") or line.startswith("| all")
    ]
    assert len(set(columns)) == 1


def test_automatic_links_are_broken():
    assert plain("http://a.example www.a.example a@b.example") == "http\\://a.example www\\.a.example a\\@b.example"
