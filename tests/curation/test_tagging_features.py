from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from doit.curation.tagging import features, form, lists, tables, words
from doit.curation.tagging.texts import texts
from doit.curation.texts.phrases import phrases


def row(prompt: str, answer: str = "") -> np.ndarray:
    return features.matrix(pl.Series([prompt]), pl.Series([answer])).toarray()[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("求圓的面積", "求圆的面积"),
        ("Ｐｙｔｈｏｎ函数", "python函数"),
        ("有 3 个苹果", "有 ７ 个苹果"),
        ("他說「好」", "他说“好”"),
    ],
)
def test_what_nobody_means_makes_no_gram(one: str, other: str) -> None:
    first, second = (features.letters(pl.Series([text])).points for text in (one, other))
    assert first.tolist() == second.tolist()


def test_texts_differ_in_what_they_say() -> None:
    assert not np.array_equal(row("光合作用发生在哪里"), row("辛亥革命发生在哪里"))


def test_a_record_has_the_same_features_alone_and_among_others() -> None:
    asked = ["光合作用", "", "Write a function", "x\n\ny", "👩‍👩‍👧 é é", "学" * 900]
    told = ["好", "OK", "", "```\ncode\n```", "ß", "A"]
    together = features.matrix(pl.Series(asked), pl.Series(told)).toarray()
    for at, (prompt, answer) in enumerate(zip(asked, told, strict=True)):
        assert np.array_equal(together[at], row(prompt, answer)), prompt


def test_a_space_has_its_own_columns_and_length() -> None:
    spaces = features.parts(pl.Series(["光合作用是什么"]), pl.Series(["光合作用"]))
    for part, weight in zip(spaces, features.WEIGHTS.values(), strict=True):
        assert np.linalg.norm(part.toarray()) == pytest.approx(weight, rel=0.02)
    request, answer = set(spaces[0].indices.tolist()), set(spaces[3].indices.tolist())
    assert len(request & answer) <= 1  # by chance at most


def test_values_are_whole_steps_so_that_sums_are_exact() -> None:
    values = features.matrix(pl.Series(["为什么天空是蓝色的？ why 3"]), pl.Series(["散射"])).data * features.STEPS
    assert np.array_equal(values, np.round(values))


def test_words_and_their_pairs_are_found_wherever_they_stand() -> None:
    text = features.letters(pl.Series(["big dog", "a big dog ran", "bigdog"]))
    found = features.grams(text)
    spelt = {"".join(map(chr, text.points[a:b])) for a, b in zip(found.first, found.last, strict=True)}
    assert {"big dog", "bigdog", "ran"} <= spelt
    pair = [h for r, h, a, b in zip(found.row, found.hash, found.first, found.last, strict=True) if b - a == 7]
    assert len(set(pair)) < len(pair), "the pair of the first text and of the second have one hash"
    assert not any("\n" in one for one in spelt), "no gram crosses from text to text"


def test_of_a_long_request_the_two_ends_are_read() -> None:
    middle = "甲" * 2000
    read = features.shortened(pl.Series(["开头" + middle + "结尾", "短"])).to_list()
    assert read[0].startswith("开头")
    assert read[0].endswith("结尾")
    assert len(read[0]) == features.HEAD + features.TAIL + 1
    assert read[1] == "短"


def names(prompt: str, answer: str = "") -> set[str]:
    _, form_of = form.form_names(pl.Series([prompt]), pl.Series([answer]))
    return {form_of.categories[code] for code in form_of.codes}


@pytest.mark.parametrize(
    ("prompt", "answer", "name"),
    [
        ("下列正确的是\nA．甲\nB．乙", "", "request: options"),
        ("男：你好\n女：再见\n他们是谁", "", "request: man and woman"),
        ("计算 3×5", "", "request: sum"),
        ("printf();\nint x = 3;", "", "request: code"),
        ("問", "答案是 C", "answer length 2^ 2"),
        ("选哪个", " B ", "answer: letter"),
        ("唐朝和宋朝", "", "words of history: 2+"),
        ("唐朝與鴉片戰爭", "", "words of history: 2+"),
        ("Genes and Chromosomes", "", "words of biology: 2+"),
        ("城北的石桥建于一百年前，" * 12 + "谁修的", "城北的石桥", "answer stands in a long request"),
    ],
)
def test_form_is_seen(prompt: str, answer: str, name: str) -> None:
    assert name in names(prompt, answer)


def test_words_of_a_list_are_whole_words_in_latin_script() -> None:
    assert "cell" not in words.words_in("an excellent excellency")["biology"]
    assert words.words_in("Two cells")["biology"] == ["cell"]


def test_turns_are_read_by_side_and_long_ones_are_cut_in_the_middle() -> None:
    talk = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "一"},
        {"role": "assistant", "content": "二"},
        {"role": "user", "content": "三" * 20_000 + "末"},
    ]
    frame = pl.DataFrame(
        {"messages": [talk, []]}, schema={"messages": pl.List(pl.Struct({"role": pl.String, "content": pl.String}))}
    )
    read = frame.select(texts())
    assert read["prompt"][0].startswith("一\n三")
    assert read["prompt"][0].endswith("三末")
    assert len(read["prompt"][0]) == 8001
    assert read["answer"].to_list() == ["二", ""]


def test_the_tables_of_scripts_are_of_use_and_in_step_with_the_words() -> None:
    assert tables.simplified()["體"] == "体"
    assert "鴉片戰爭" in tables.traditional_words()["history"]
    assert set(tables.traditional_words()) == set(lists.sections("zh")) == set(lists.sections("en"))
    assert len(tables.simplified()) > 3000


def test_every_shape_has_patterns_of_its_own() -> None:
    for name, pattern in phrases(form.SHAPES).items():
        assert name.startswith(("request__", "answer__")), name
        assert not pl.Series([""]).str.contains(pattern)[0], f"{name} matches nothing at all"
