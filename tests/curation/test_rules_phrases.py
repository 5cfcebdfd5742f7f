"""Phrases: Simplified, Traditional and English forms are found, and what only sounds alike is not."""

from __future__ import annotations

import polars as pl
import pytest
from test_rules_table import GOOD, decide, records

from doit.curation.rules.generator import BelleGenerator, BelleMillion
from doit.curation.rules.refusals import IdentityLeak, Refusals
from doit.curation.texts.leftovers import first_leftover
from doit.curation.texts.mismatch import languages_apart
from doit.curation.texts.missing_inputs import missing_input
from doit.curation.texts.phrases import FOLDER, first_match, phrases

REFUSED = [
    "很抱歉，作为一个AI语言模型，我无法提供医疗建议。",
    "很抱歉，作為一個AI語言模型，我無法提供醫療建議。",
    "对不起，我不能参与这样的讨论。",
    "對不起，我沒有辦法幫您訂機票。",
    "抱歉，无法回答该问题。",
    "作为人工智能助手，我没有个人感受。",
    "身為人工智慧，我不具備情感。",
    "我是一个人工智能助手，无法查看图片。",
    "我无法为您提供这类信息。",
    "I'm sorry, but I can't assist with that.",
    "I’m sorry, I cannot help you with this request.",
    "Sorry, but I'm not able to share that.",
    "As an AI language model, I don't have personal opinions.",
    "I cannot provide instructions for that.",
    "Unfortunately, I am unable to browse the internet.",
    "I apologize, but I cannot fulfill this request.",
]
ANSWERED = [
    "抱歉让您久等了，您的订单已经发出。",
    "对不起，我不能再等你了。——他在信里写道。",
    "无法回答",
    "由题意无法确定两人谁先到。",
    "作为一个AI工程师，你需要学习线性代数。",
    "作为语言模型的基础，分词十分重要。",
    "我无法忘记那年夏天的海。",
    "短文没有提供这个信息，所以不能判断。",
    "I'm sorry to hear that. Try restarting the router.",
    "Sorry for the delay! Your parcel arrives on Monday.",
    "I cannot forget the summer of 1969.",
    "He said: “I'm sorry.” Then he left.",
    "As an AI researcher, you should read widely.",
    "You can't divide by zero.",
]
LEAKED = [
    "作为一个AI语言模型，我没有情感。",
    "作為一個大型語言模型，我可以寫詩。",
    "我是一款人工智能助手。",
    "我是由OpenAI训练的。",
    "我是ChatGPT，很高兴见到你。",
    "大家好，我叫文心一言。",
    "我是通義千問。",
    "我是Claude，一个人工智能助手。",
    "As an AI language model, my knowledge ends in 2021.",
    "I am an AI assistant.",
    "Well, I'm a large language model trained by researchers.",
    "I was created by OpenAI.",
    "My name is Vicuna.",
    "I'm Gemini, a helpful AI model.",
]
SPOKEN_OF = [
    "ChatGPT是OpenAI开发的大型语言模型。",
    "作为人工智能领域的学者，他写了三本书。",
    "我是人工智能专业的学生。",
    "我是Claude，巴黎的一名画家。",
    "作为一种语言模型，BERT是双向的。",
    "我的朋友在百度工作。",
    "As an AI engineer, I build models.",
    "I am an airline pilot.",
    "I'm Gemini, born in June.",
    "GPT-4 was created by OpenAI.",
    "I am studying artificial intelligence at university.",
]


@pytest.mark.parametrize("answer", REFUSED)
def test_refusals(answer: str) -> None:
    assert decide(Refusals(), records(("问", answer), ("问", GOOD, "再问", f"\n {answer}")))[0] == [False, False]


@pytest.mark.parametrize("answer", ANSWERED)
def test_what_is_no_refusal(answer: str) -> None:
    assert decide(Refusals(), records(("问", answer), ("我无法为您提供。", GOOD)))[0] == [True, True]


@pytest.mark.parametrize("answer", LEAKED)
def test_identity_leaks(answer: str) -> None:
    assert decide(IdentityLeak(), records(("问", answer), ("问", GOOD + answer)))[0] == [False, False]


@pytest.mark.parametrize("answer", SPOKEN_OF)
def test_what_is_no_identity_leak(answer: str) -> None:
    assert decide(IdentityLeak(), records(("问", answer), ("你是ChatGPT吗？", GOOD)))[0] == [True, True]


@pytest.mark.parametrize(
    ("request_", "phrase"),
    [
        ("请翻译以下句子。", "以下句子"),
        ("請總結下面這篇文章。", "請總結下面這篇文章"),
        ("从给定段落中生成一个标题。", "给定段落"),
        ("请将以下代码矫正：", "以下代码"),
        ("这句话中有多少个单词？", "这句话"),
        ("Summarize the following paragraph.", "the following paragraph"),
        ("Translate the sentence below into French.", "sentence below"),
        ("Classify the given text as positive or negative.", "the given text"),
        ("请翻译以下句子：今天天气很好。", None),
        ("请将以下句子改写为感叹句。她真的很漂亮。", None),
        ("请翻译以下句子\n今天天气很好。", None),
        ("请用以下词语造句：“春天”", None),
        ("Summarize the following paragraph: Bees dance.", None),
        ("Reword this sentence to increase clarityThe idea of her being so brave made me smile", None),
        ("Write a function that sorts the given list.", None),
        ("写一个函数，对给定的列表排序。", None),
        ("Sort the following numbers: 3, 1, 2", None),
        ("请提供一个龙舟节的相关信息。", None),
        ("以下是什么意思", None),
    ],
)
def test_requests_without_their_text(request_: str, phrase: str | None) -> None:
    assert missing_input(pl.Series([request_])).to_list() == [phrase]


@pytest.mark.parametrize(
    ("text", "leftover"),
    [
        ("E/A比值&lt;1", "entities &lt;"),
        ("第一行<br/>第二行", "tags <br/>"),
        ("他说<span style='color:red'>好</span>", "tags <span style='color:red'>"),
        ("答完了<|im_end|>", "tokens <|im_end|>"),
        ("治病[INST]", "tokens [INST]"),
        ("Best regards,\n{{name}}", "templates {{name}}"),
        ("### Response:\n好", "templates ### Response:"),
        ("牛肉\ufffd得很嫩", "replacement U+FFFD"),
        ("结构\ue0fc式", "controls U+E0FC"),
        ("a\x00b", "controls U+0000"),
        ("的\u200b地", "invisible U+200B"),
        ("\ufeff你好", "invisible U+FEFF"),
        ("a < b 且 c > d，AT&T", None),
        ("用HTML的<br>标签换行", None),
        ("```\n<div>&nbsp;</div>\n```", None),
        ("👨\u200d👩\u200d👧 می\u200cخواهم ❤\ufe0f", None),
        ("第一行\r\n\t第二行　第三", None),
        ("填入<mask>处", None),
        ("向量<x|y>与|0>", None),
    ],
)
def test_leftovers(text: str, leftover: str | None) -> None:
    assert first_leftover(pl.Series([text])).to_list() == [leftover]


@pytest.mark.parametrize(
    ("asked", "answered", "apart"),
    [
        ("安排明天上午十点的会议。", "Certainly, I will schedule a meeting for you tomorrow at ten.", "zh-Hans → en"),
        ("ウクライナ風ボルシチのレシピを教えて", "乌克兰风味的罗宋汤是一种非常健康的汤，以下是食谱。", "ja → zh-Hans"),
        ("把这句译成英文：早上好，老师。", "Good morning, dear teacher.", None),
        ("列出三本书", "1. War and Peace", None),
        ("1 + 1 等于多少？", "1 + 1 = 2", None),
        ("用程序求和", "def total(values): return sum(values)", None),
        ("“to be or not to be, that is the question”是谁说的", "to be or not to be, that is the question", None),
        ("請問怎麼去車站比較快？", "可以先坐地铁，再换公共汽车，大约二十分钟。", None),
        ("How do I say hello?", "Hola, ¿qué tal?", None),
    ],
)
def test_languages_apart(asked: str, answered: str, apart: str | None) -> None:
    assert languages_apart(pl.Series([asked]), pl.Series([answered])).to_list() == [apart]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("加油", "short: 加油"),
        ("加油啊啊", None),
        ("题目：\n小明有五个苹果，送出两个，还剩几个？", None),
        ("让GPT写一首诗", None),
        ("请要求ChatGPT帮助我写一首关于雪的诗", None),
        ("GPT和搜索引擎有什么区别", "names: GPT"),
        ("OpenAI是哪年成立的？", "blacklist: OpenAI"),
        ("Describe this picture in one line.", "blacklist: this picture"),
        ("请根据这份文件写一个摘要", "blacklist: 这份文件"),
        ("長" * 100 + "\n輸入", "long: 100 characters before an input"),
        ("长" * 99 + "\n输入", None),
        ("长" * 100, None),
        ("长" * 100 + "\n无输入", None),
        ("长" * 100 + "\n他几岁？", None),
        ("示例" + "长" * 140 + "\n输入", None),
        ("示例" + "长" * 148 + "\n输入", "long: 150 characters before an input"),
        ("Long " * 50 + "\ninput", None),
    ],
)
def test_the_generator_filters(request_: str, said: str | None) -> None:
    assert decide(BelleGenerator(), records((request_, GOOD)))[1] == [said]


@pytest.mark.parametrize(
    ("request_", "answer", "said"),
    [
        ("你是谁？", "我是一个由OpenAI开发的GPT模型。", "names"),
        ("请翻译以下句子。", GOOD, "input"),
        ("概括给定信息", "由于您没有提供信息，我无法为您概括。", "input"),
        ("Summarize it.", "I'm sorry, but I need you to provide the text.", "input"),
        ("安排明天上午十点的会议。", "Certainly, I will schedule a meeting for you tomorrow.", "language"),
        ("安排明天上午十点的会议，用英文。", "Certainly, I will schedule a meeting for you tomorrow.", None),
        ("How are you today, my friend?", "我很好，谢谢你的关心，希望你今天也过得愉快。", None),
        ("帮我写诗", "请告诉我您喜欢什么主题。", None),
    ],
)
def test_the_rules_of_the_million(request_: str, answer: str, said: str | None) -> None:
    (value,) = decide(BelleMillion(), records((request_, answer)))[1]

    assert (value and value.split(":")[0]) == said


LISTS = [path.stem for path in sorted(FOLDER.glob("*.txt")) if "phrases.py" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_made_of_patterns_that_need_a_character(name: str) -> None:
    assert len(LISTS) >= 5
    for section, pattern in phrases(name).items():
        assert not pl.Series([""]).str.contains(pattern)[0], section


def test_hints_only_make_it_quicker() -> None:
    texts = pl.Series(["aXb", "Hint and axB", "hint", None])

    assert first_match(texts, "(?i)axb", ["AX"]).to_list() == first_match(texts, "(?i)axb").to_list()
    assert first_match(texts, "(?i)axb").to_list() == ["aXb", "axB", None, None]
