from __future__ import annotations

import subprocess
import sys
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doit.curation.language.characters import generate, one_script_only
from doit.curation.language.function_words import vocabulary
from doit.curation.language.prose import prose
from doit.curation.language.scripts import Script, count_letters
from doit.curation.language.telling import languages


def tag(text: str | None, first: str | None = None) -> str:
    turns = None if first is None else pl.Series([first])
    return str(languages(pl.Series([text], dtype=pl.String), turns).item())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("请写一首诗", "zh-Hans"),
        ("請寫一首詩", "zh-Hant"),
        ("春天", "zh"),
        ("后里面干台只于云", "zh"),
        ("日本の首都はどこですか", "ja"),
        ("ラーメン", "ja"),
        ("한국의 수도는 어디입니까", "ko"),
        ("Какая столица России?", "ru"),
        ("Яка столиця України?", "uk"),
        ("ما هي عاصمة مصر؟", "ar"),
        ("پایتخت ایران کجاست؟", "fa"),
        ("پاکستان کا دارالحکومت کیا ہے؟", "ur"),
        ("เมืองหลวงของประเทศไทยคืออะไร", "th"),
        ("Ποια είναι η πρωτεύουσα;", "el"),
        ("מה בירת ישראל?", "he"),
        ("भारत की राजधानी क्या है?", "hi"),
        ("What is the capital of France?", "en"),
        ("Quelle est la capitale de la France ?", "fr"),
        ("Was ist die Hauptstadt von Deutschland?", "de"),
        ("¿Cuál es la capital de España?", "es"),
        ("Qual é a capital do Brasil?", "pt"),
        ("Qual è la capitale dell'Italia?", "it"),
        ("Wat is de hoofdstad van Nederland?", "nl"),
        ("Jaka jest stolica Polski i co to jest?", "pl"),
        ("Vad är Sveriges huvudstad och var ligger den?", "sv"),
        ("Türkiye'nin başkenti neresi ve bu nasıl bir şehir?", "tr"),
        ("Thủ đô của Việt Nam là gì?", "vi"),
        ("Apa ibu kota dari negara ini?", "id"),
    ],
)
def test_each_script_and_language_has_its_tag(text: str, expected: str) -> None:
    assert tag(text) == expected


@pytest.mark.parametrize(
    "text", ["Yes", "No.", "Hello!", "OK", "Translate this", "Write a poem", "Is this it?", "Thanks"]
)
def test_short_english_is_english(text: str) -> None:
    assert tag(text) == "en"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " \n\t",
        "3.14 + 2 = 5.14",
        "🙂👩‍👩‍👧",
        "\u200b\u200d\ufeff",
        "α + β = γ",
        "$$\\frac{the}{of}$$ \\(you\\) \\[we\\]",
        "```python\n# the sum of the two\n```",
        "````md\n```\nthe\n```\nof the\n````",
        "~~~\nthe sum of the two",
        "```\n这是没有结束的代码",
        "`这是代码`",
        "https://example.com/the/of/what me@the.example.com www.the.of",
        "print('hello')",
        "for i in range(10):\n    print(i)",
        "SELECT name FROM users WHERE id = 1;",
    ],
)
def test_code_formulas_numbers_and_addresses_have_no_language(text: str | None) -> None:
    assert tag(text) == "und"


@pytest.mark.parametrize(
    "text",
    [
        "x^2 + y^2 = z^2",
        "y = x",
        "y = ax + b",
        "x y z",
        "f(x, y) = x^2 + y^2",
        "x + y = 10, x - y = 2",
        "ｙ　＝　ａｘ　＋　ｂ",
        "y = mx + b\nm = (y2 - y1) / (x2 - x1)",
        "int x = 0, y = 1; while (x < y) { x += 1; }",
        "lambda x, y: x + y",
        "∂u/∂t + u ∂u/∂x = 0",
        "o = [1, 2, 3]; e = o[0]",
        "if a in b: return a",
        "for x, y in z: print x",
        "SELECT a FROM b",
        "A. B. C. D. I.",
        "2x + y",
    ],
)
def test_a_lone_letter_is_no_language(text: str) -> None:
    assert tag(text) == "und"
    assert tag(f"{text}\n1", text) == "und"
    assert tag(f"{text}\n这是直线的方程", text) == "zh-Hans"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Y a mí", "es"),
        ("Y tú?", "es"),
        ("Pan y vino (tinto), 5 y 6 euros", "es"),
        ("Gracias y saludos 🙂", "es"),
        ("U bent mooi", "nl"),
        ("Dank u!", "nl"),
        ("I am", "en"),
        ("Do as I do", "en"),
        ("Return a list", "en"),
        ("Plan B for a list", "en"),
        ("La recta es y = ax + b", "es"),
    ],
)
def test_a_lone_letter_beside_words_is_a_word(text: str, expected: str) -> None:
    assert tag(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("什么是人工智能", "zh-Hans"),
        ("怎么走", "zh-Hans"),
        ("那么", "zh-Hans"),
        ("什么是臺", "zh-Hant"),
        ("幺么小丑", "zh"),
        ("老么", "zh"),
        ("`什么`春天", "zh"),
        ("什麼是人工智能", "zh-Hant"),
    ],
)
def test_words_decide_where_no_character_does(text: str, expected: str) -> None:
    assert tag(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("请访问https://example.com/the/of/what查看说明", "zh-Hans"),
        (
            "写一个函数：\n```python\n# Return the sum of what you have\ndef add(a, b):\n    return a + b\n```",
            "zh-Hans",
        ),
        ("def add(a, b):\n    # 返回两个数的和\n    return a + b\n\nresult = add(first_number, second)", "zh-Hans"),
        ("Python 怎么读文件？\nwith open(path) as f:\n    data = f.read()", "zh-Hans"),
        ("PING 命令使用了哪种 ICMP\nEcho reply\nRedirect\nSource quench\nDestination unreachable", "zh"),
        ("Explain what the function does:\n```\n中文注释\n```", "en"),
        ("好的~~~这样就可以了~~~", "zh-Hans"),
        ("\u200b这\u200b里\u200b有", "zh-Hans"),
        ("𫗧", "zh-Hans"),
        ("𠀀𠀁", "zh"),
        ("⽤⽣⽇", "zh"),
        ("鮮の每日新鮮牛奶送到您的家門口", "zh-Hant"),
        ("Ｗｈａｔ　ｉｓ　ｔｈｉｓ？", "en"),
        ("Que\u0301 es esto y co\u0301mo se llama?", "es"),
        ("“It is what it is.” 这句话是什么意思，请你用中文解释", "zh-Hans"),
        ("简简简繁體", "zh-Hans"),
        ("簡簡簡繁体这", "zh-Hant"),
    ],
)
def test_the_prose_decides(text: str, expected: str) -> None:
    assert tag(text) == expected


@pytest.mark.parametrize(
    ("first", "answer", "expected"),
    [
        ("翻译成英文：今天天气很好", "The weather is very nice today. " * 50, "zh-Hans"),
        ("翻译：", "It was the best of times, it was the worst of times. " * 20, "zh-Hans"),
        ("翻譯成英文：早安", "Good morning to all of you. " * 50, "zh-Hant"),
        ("Write a poem about spring in Chinese", "春天来了，这里的风景真美丽。" * 50, "en"),
        ("Translate 早上好 into English", "Good morning", "en"),
        ("Translate this sentence into English: 今天天气很好，我们去公园吧，那里有很多花", "Nice weather", "en"),
        ("把这句话翻译成日语：你好", "こんにちは、お元気ですか。" * 5, "zh-Hans"),
        ("「図書館」の意味を中国語で説明してください", "图书馆是借书和读书的地方。" * 10, "ja"),
        ("한국어로 번역해 주세요: 早上好", "这里是中文的回答，说明怎么翻译。" * 5, "ko"),
        ("What is the French for 'we went home'? Please explain it.", "Nous sommes rentrés chez nous. " * 9, "en"),
        ("Traduisez cette phrase en anglais : nous sommes ici", "We are here, and this is what they have. " * 9, "fr"),
        ("```python\nprint(1)\n```", "这段代码会打印数字一。The output is 1.", "zh-Hans"),
        ("42", "这是宇宙的答案 the answer", "zh-Hans"),
    ],
)
def test_the_first_user_turn_decides_a_mixed_text(first: str, answer: str, expected: str) -> None:
    assert tag(f"{first}\n{answer}", first) == expected


def test_without_first_turns_the_first_line_decides() -> None:
    text = "1.\n翻译成英文\n" + "It was the best of times. " * 50

    assert tag(text) == "zh-Hans"
    assert languages(pl.Series([text]), pl.Series([None], dtype=pl.String)).item() == "zh-Hans"


def test_the_first_turn_breaks_a_tie_of_the_two_scripts() -> None:
    text = "这\n這"

    assert tag(text, "这") == "zh-Hans"
    assert tag(text, "這") == "zh-Hant"
    assert tag("这這", "春天") == "zh"


def test_an_empty_column_and_a_column_of_nulls() -> None:
    assert languages(pl.Series([], dtype=pl.String)).to_list() == []
    assert languages(pl.Series([None, None])).to_list() == ["und", "und"]


TEXTS = st.text(alphabet="abthe of中国國語の한б`$~\n\\()[]{}=é🙂\u0301\U00020000", max_size=40)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12))
def test_a_tag_depends_on_its_own_row_alone(rows: list[tuple[str, str]]) -> None:
    texts, first = (pl.Series(column) for column in zip(*rows, strict=True))

    together = languages(texts, first).to_list()
    apart = [languages(texts[i : i + 1], first[i : i + 1]).item() for i in range(len(rows))]

    assert together == apart
    assert languages(texts.reverse(), first.reverse()).to_list() == together[::-1]


def test_chunks_do_not_change_the_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series(["请写诗", "", "what is the", "請寫詩", "é", "Was ist das und wer", "𠀀" * 9] * 5)
    expected = languages(texts).to_list()

    monkeypatch.setattr("doit.curation.language.scripts.CHUNK_BYTES", 7)

    assert languages(pl.concat([texts.head(3), texts.slice(3)], rechunk=False)).to_list() == expected


def test_letters_are_counted_in_rows_of_any_length() -> None:
    counts = count_letters(pl.Series(["", "a中é语語のЖ", "", "Ω한𠀀"]))

    assert counts.sum(axis=1).tolist() == [0, 7, 0, 3]
    assert counts[1, [Script.LATIN, Script.HAN, Script.HANS, Script.HANT, Script.KANA]].tolist() == [2, 1, 1, 1, 1]
    assert counts[3, [Script.GREEK, Script.HANGUL, Script.HAN]].tolist() == [1, 1, 1]


def test_prose_keeps_what_is_around_code_and_addresses() -> None:
    texts = pl.Series(["看`x`和https://a.b/c。再见", "a $5 and $6", "令$x_1=2$，则", None])

    assert prose(texts).to_list() == ["看 和 。再见", "a $5 and $6", "令 ，则", None]


def test_no_character_of_both_scripts_is_in_a_table() -> None:
    hans, hant = one_script_only()

    assert not set("后里面干台只于云松斗几了群峰床摺捱乾著徵藉") & {*hans, *hant}
    assert not {*hans} & {*hant}
    assert set("们这说国图书馆体发为时会学习") <= {*hans}
    assert set("們這說國圖書館體發為時會學習後於裡裏爲麼") <= {*hant}


def test_the_shipped_tables_are_what_the_generator_makes() -> None:
    opencc = pytest.importorskip("opencc")
    if opencc.__version__ != "1.4.2":
        pytest.skip(f"the tables come from OpenCC 1.4.2, this is {opencc.__version__}")

    assert generate() == one_script_only()


def test_every_listed_word_is_found() -> None:
    known = vocabulary()

    assert (known.keys > 0).sum() == (known.kinds > 0).sum()
    assert known.languages[0] == "en"
    assert {"fr", "de", "es", "pt", "it", "nl", "pl", "sv", "tr", "vi", "id"} <= set(known.languages)


def test_the_detector_needs_no_opencc_and_no_langdetect() -> None:
    code = "import sys, doit.curation.language.telling; assert not {'opencc', 'langdetect'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)


def test_short_chinese_texts_take_less_than_ten_microseconds() -> None:
    texts = pl.Series(["请写一首关于春天的诗", "請解釋這個詞的意思"] * 50_000)
    languages(texts.head(10))

    start = time.process_time()
    languages(texts)

    assert (time.process_time() - start) / len(texts) < 10e-6


@pytest.mark.parametrize(
    "text",
    [
        "docs.google.com背后使用的框架是什么？",
        "CountryPlans.com在这个列表里吗？请说明理由",
        "在 github.com/python/cpython 上怎么提问题？",
    ],
)
def test_a_bare_domain_is_no_language(text: str) -> None:
    assert tag(text) in ("zh", "zh-Hans")
