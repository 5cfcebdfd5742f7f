"""What is private in a text, what only looks like it, and that no text is missed or makes the search run away."""

from __future__ import annotations

import random
import re
import string
from itertools import pairwise
from pathlib import Path
from time import thread_time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doit.curation.private.patterns import PATTERNS
from doit.curation.private.secrets import KINDS, Found, find, redact, screen
from doit.curation.rules.private import Secrets
from doit.table import MESSAGES_POLARS

BODY = "MIIEpAIBAAKCAQEA7bq2Vn8eT4tYxKp0cQwJm1s5Zr9uLd3FhGgXoPiUyBvNkEaS"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{BODY[::-1]}\n-----END RSA PRIVATE KEY-----"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI5OTAxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r"
RANDOM = "q7Zt2Lm9Xw4Rb8Kc3Vn6Pd1Hs5Jg0FyTeUaQo"

PRIVATE: list[tuple[str, str, str]] = [
    # kind, the private part, its text
    ("e-mail", "li.si@qq.com", "邮箱li.si@qq.com，请查收"),
    ("e-mail", "anna+news@mail.uni-koeln.de", "Write to anna+news@mail.uni-koeln.de."),
    ("e-mail", "ｌｉ＠ｑｑ．ｃｏｍ", "邮箱：ｌｉ＠ｑｑ．ｃｏｍ"),
    ("phone", "13812345678", "电话13812345678，谢谢"),
    ("phone", "138-1234-5678", "手机：138-1234-5678"),
    ("phone", "138 1234 5678", "手机 138 1234 5678"),
    ("phone", "+86 13812345678", "(+86 13812345678)"),
    ("phone", "１３８１２３４５６７８", "电话１３８１２３４５６７８"),
    ("phone", "010-65120909", "毛主席纪念堂，电话：010-65120909、"),
    ("phone", "(0571) 87654321", "总机(0571) 87654321"),
    ("phone", "（０２１）６５４３２１９８", "总机（０２１）６５４３２１９８"),
    ("phone", "0912-345-678", "請打0912-345-678找王先生"),
    ("phone", "(02) 2345-6789", "電話 (02) 2345-6789"),
    ("phone", "(215) 204-3120", "by telephone at (215) 204-3120."),
    ("phone", "650-636-4884", "Call us at 650-636-4884 or visit"),
    ("phone", "+44 20 7946 0958", "Ring +44 20 7946 0958 now"),
    ("phone", "+33 6 12 34 56 78", "Tél. +33 6 12 34 56 78"),
    ("id-card", "11010519491231002X", "身份证号11010519491231002X。"),
    ("id-card", "440524188001010014", "号码是440524188001010014"),
    ("id-card", "110105491231002", "身份证（旧）110105491231002"),
    ("ip", "202.114.18.110", "服务器是202.114.18.110，"),
    ("ip", "2400:3200:baba::1a2b", "v6: 2400:3200:baba::1a2b"),
    ("url-credentials", "root:T0pS3cr3t", "mysql://root:T0pS3cr3t@db.internal.cn:3306/a"),
    ("bank-card", "6222 0212 3456 7890 128", "卡号6222 0212 3456 7890 128"),
    ("bank-card", "4539578763621486", "信用卡 4539578763621486"),
    ("bank-card", "3782 822463 10005", "Amex 3782 822463 10005"),
    ("api-key", f"sk-{RANDOM}", f"Authorization: Bearer sk-{RANDOM}"),
    ("api-key", f"ghp_{RANDOM}"[:40], f"git clone with ghp_{RANDOM}"[:55]),
    ("api-key", f"hf_{RANDOM}"[:37], f"HF_TOKEN=hf_{RANDOM}"[:46]),
    ("api-key", "AKIA4Q7ZT2LM9XW4RB8K", "aws: AKIA4Q7ZT2LM9XW4RB8K"),
    ("api-key", f"AIza{RANDOM}"[:39], f"key=AIza{RANDOM}"[:43]),
    ("api-key", "LTAI5tQ7Zt2Lm9Xw4Rb8Kc3V", "AccessKeyId：LTAI5tQ7Zt2Lm9Xw4Rb8Kc3V"),
    ("api-key", "7204519836:AAHq7Zt2Lm9Xw4Rb8Kc3Vn6Pd1Hs5Jg0FyT", "bot 7204519836:AAHq7Zt2Lm9Xw4Rb8Kc3Vn6Pd1Hs5Jg0FyT"),
    ("private-key", PEM, f"我的密钥：\n{PEM}\n请保密"),
    ("private-key", PEM[:100], PEM[:100] + "…"),
    ("jwt", TOKEN, f"Cookie: {TOKEN};"),
    ("password", "aB3#fG7&kL9!", "您的新密码是：aB3#fG7&kL9!。"),
    ("password", "Zq81_rTw4", 'password = "Zq81_rTw4"'),
    ("password", "Zq81rTw4Lm92Xw01", "api_key: 'Zq81rTw4Lm92Xw01'"),
    ("password", "k7Tq90zz", "口令：k7Tq90zz"),
]

HARMLESS = [
    "2023-10-25 12:30:45", "2019年12月31日", "20191231", "1949-10-01", "1,381,234,567.8", "3.13812345678",
    "13812345678901", "版本1.2.3.4", "version 10.12.120.114", "Chrome/91.0.4472.124", "192.168.100.100",
    "127.0.0.1", "255.255.255.128", "114.114.114.114", "203.0.113.25", "10.250.10.100/24",
    "2001:db8::ff00:42:8329", "12:34:56", "std::vector", "3.14.15.9", "x = 138 + 12345678", "a = 5 +123456789",
    "150 2010 2020", "400-810-8888", "800-555-0199", "(800) 234-5678", "ISBN 978-7-111-40701-0",
    "ISBN 9787111407010", "5×10^12 = 5000000000000", "6222021234567890123", "4111 1111 1111 1112",
    "圆周率3.14159265358979323846", "订单号202310251230456789", "110105194912310021", "999999194912310029",
    "someone@example.com", "lodash@4.17.21", "git@github.com:a/b.git", "user@localhost", "@media screen",
    "xxx@xxx.com", "password = input('?')", "password: string", "password = os.environ['PW']", "密码是什么？",
    "请输入密码：******", "password = your_password", "password=hunter", "token = tokenizer", "密码：123456",
    "pwd = getpass()", "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "sk-your-api-key-goes-here-please",
    "AKIAIOSFODNN7EXAMPLE", "hf_xxxxx", "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "postgres://user:password@localhost/db", "https://{user}:{token}@host/a", "eyJhbGciOiJIUzI1NiJ9",
    "http://a:b", "０１２３", "13800000000000000", "00000000000", "11111111111",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", "2020 2021 2022 2023 2024", "-1* -1*-1 = ?", "1e10+1e-10",
    "6000-600-150-1200-2000=2050", "0987654321", "16986330902", "150-1200-2000=3",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "part", "text"), PRIVATE, ids=[f"{kind}-{part[:12]}" for kind, part, _ in PRIVATE])
def test_private_things_are_found_whole(kind: str, part: str, text: str) -> None:
    start = text.index(part)

    assert find(text) == [Found(kind, start, start + len(part))]
    assert redact(text) == text.replace(part, f"[{kind}]")
    assert screen(pl.Series([text])).to_list() == [True]
    assert kind not in {item.kind for item in find(text, [other for other in KINDS if other != kind])}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_private_stays(text: str) -> None:
    assert find(text) == []
    assert find(f"见{text}。") == []


LETTERS, ANY = string.ascii_letters, string.ascii_letters + string.digits


@pytest.mark.parametrize(
    ("prefix", "length", "alphabet"),
    [
        ("hf_", 34, LETTERS),
        ("AKIA", 16, string.ascii_uppercase + "234567"),
        ("glpat-", 20, ANY + "_-"),
        ("ghp_", 36, ANY),
        ("npm_", 36, ANY),
        ("AIza", 35, ANY + "_-"),
        ("sk-", 48, ANY),
    ],
)
def test_random_tokens_are_found(prefix: str, length: int, alphabet: str) -> None:
    draw = random.Random(7)
    tokens = [prefix + "".join(draw.choices(alphabet, k=length)) for _ in range(2000)]

    found = [find(f"token: {token} 。") == [Found("api-key", 7, 7 + len(token))] for token in tokens]

    assert sum(found) >= 0.99 * len(found)


@pytest.mark.parametrize(
    ("prefix", "rest"),
    [
        ("hf_", "x" * 34),
        ("hf_", "XxXxXxXx" * 5),
        ("hf_", "abcdeABCDE" * 4),
        ("hf_", "yourtokenhere" + "abcdefghijklmnopqrst"),
        ("hf_", "ThisIsWhereTheHubKeyOfAnAccountWouldGo"),
        ("hf_", "LORAquantizedmodeladapterweightsfile"),
        ("hf_", "transformerspipelinesentimentanalysis"),
        ("hf_", "MYVERYOWNKEYSTANDSINTHISPLACEFORNOWOK"),
        ("AKIA", "A" * 16),
        ("AKIA", "ACCESSKEYIDSAMPL"),
        ("AKID", "entifierForTheWholeModule"),
        ("glpat-", "My-GitLab-Access-TOKEN"),
        ("glpat-", "my-personal-access-token"),
    ],
)
def test_what_stands_for_a_token_is_none(prefix: str, rest: str) -> None:
    assert find(f"用法：{prefix}{rest}。") == []


def test_every_kind_is_in_the_table() -> None:
    assert {kind for kind, _, _ in PRIVATE} == set(KINDS) == {pattern.kind for pattern in PATTERNS}


def test_what_overlaps_is_found_once() -> None:
    text = f"postgres://ann:k7Tq90zz@ann.cn/x?password=k7Tq90zz {TOKEN}"

    found = find(text)

    assert [item.kind for item in found] == ["url-credentials", "password", "jwt"]
    assert all(one.end <= two.start for one, two in pairwise(found))


def test_check_digits_are_checked() -> None:
    assert find("身份证11010519491231002X")
    assert not find("身份证110105194912310028")
    assert not find("身份证11010519490231002X"), "no 31 February"
    assert find("卡4539578763621486")
    assert not find("卡4539578763621487")


PIECES = st.one_of(
    st.sampled_from([text for _, _, text in PRIVATE] + HARMLESS + [pattern.kind for pattern in PATTERNS]),
    st.text(string.digits + "０１２３４５６７８９-–.,:/@ +()（）[]'\"=：xXaAeEyJ_\n", max_size=25),
    st.sampled_from(
        ["电话", "身份证", "卡", "：", "。", "密码", "password=", "https://", "+86", "Bearer ", "　", "😀"]
    ),
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)


@given(TEXTS)
def test_the_screen_misses_nothing(text: str) -> None:
    for kind in KINDS:
        if find(text, [kind]):
            assert screen(pl.Series([text]), [kind]).to_list() == [True], (kind, text)


@given(TEXTS)
def test_nothing_is_left_after_redaction(text: str) -> None:
    clean = redact(text)

    assert find(clean) == []
    assert redact(clean) == clean


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: f"{pattern.kind}-{pattern.check}")
def test_the_exact_pattern_is_the_loose_one_between_look_arounds(pattern: object) -> None:
    texts = [text for _, _, text in PRIVATE] + HARMLESS
    for text in texts:
        if re.search(pattern.exact, text):  # type: ignore[attr-defined]
            assert pl.Series([text]).str.contains(pattern.loose)[0]  # type: ignore[attr-defined]


def test_nulls_and_empty_columns() -> None:
    assert screen(pl.Series([None, "", "电话13812345678"], dtype=pl.String)).to_list() == [False, False, True]
    assert screen(pl.Series([], dtype=pl.String)).to_list() == []
    assert find("") == []
    assert redact("") == ""


def frame(*rows: list[tuple[str, str]], reasoning: list[str | None] | None = None) -> pl.DataFrame:
    messages = [[{"role": role, "content": content} for role, content in row] for row in rows]
    return pl.DataFrame(
        {"messages": messages, "reasoning": [reasoning] * len(rows), "tools": [None] * len(rows)},
        schema={"messages": MESSAGES_POLARS, "reasoning": pl.List(pl.String), "tools": pl.String},
    )


def test_the_ledger_counts_and_never_shows_them() -> None:
    rows = frame(
        [("user", "a@qq.com和b@qq.com"), ("assistant", "13812345678")], [("user", "你好"), ("assistant", "好")]
    )
    rule = Secrets()

    value = rows.select(v=rule.measure())

    assert value["v"].to_list() == ["2 e-mail, 1 phone", None]
    assert value.select(rule.keeps(pl.col("v"))).to_series().to_list() == [False, True]


def test_reasoning_is_searched_too() -> None:
    rows = frame([("user", "问"), ("assistant", "答")], reasoning=[None, "他的邮箱是a@qq.com"])

    assert rows.select(v=Secrets().measure())["v"].to_list() == ["1 e-mail"]


def test_redaction_changes_contents_and_nothing_else() -> None:
    rows = frame(
        [("system", "简短"), ("user", "发到a@qq.com"), ("assistant", "已发到a@qq.com，密码：k7Tq90zz")],
        [("user", "你好"), ("assistant", "你好！")],
        [("user", "电话？"), ("assistant", "13812345678")],
    )
    rule = Secrets(action="redact")
    assert rule.rewrites
    assert not Secrets().rewrites

    after = rule.rewrite(rows["messages"], pl.Series(["zh"] * 3))

    assert after.dtype == MESSAGES_POLARS
    texts = [[turn["content"] for turn in row] for row in after]
    assert texts == [
        ["简短", "发到[e-mail]", "已发到[e-mail]，密码：[password]"],
        ["你好", "你好！"],
        ["电话？", "[phone]"],
    ]
    assert [[turn["role"] for turn in row] for row in after] == [
        [turn["role"] for turn in row] for row in rows["messages"]
    ]
    only = Secrets(action="redact", kinds=("phone",)).rewrite(rows["messages"], pl.Series(["zh"] * 3))
    assert only[0].to_list() == rows["messages"][0].to_list()


HOSTILE = [
    "a", "1", "a@", "@a.", "a.", "1.", "1-", "1 ", "+1", "+", "(0", "010-", "138 ", "13812345678", "0912-",
    "://a:", "://", "a:b@", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----A", "-", "-----", "eyJ",
    "eyJaaaaaaaaaaa.", "password=", "password ", "密码：", "token:a1", "sk-", "sk-a1", "AKIA", "xoxb-1", "SG.a",
    "2222:", "2:", ":", "6222 ", "62220212", "４", "＠", "a_", "%", "[e-mail]", "is ", "://a", "://a:a",
    "1234567890:AA", "AccountKey=a", "hooks.slack.com/services/T", "github_pat_a", "AIza", "110105",
    "110105491231", "86 ", "+86", "0086", "[", "(", "（", "\n", "\t", "x'", "=", "：",
]  # fmt: skip


def cost(text: str) -> float:
    def once() -> float:
        start = thread_time()
        redact(text)
        return thread_time() - start

    return min(once() for _ in range(2))


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_makes_the_search_run_away(piece: str) -> None:
    short, long = piece * (5_000 // len(piece)), piece * (40_000 // len(piece))

    # Eight times the text may take 24 times as long; were the time quadratic, it would take 64 times.
    assert cost(long + "!") <= 24 * max(cost(short + "!"), 0.0005)


@pytest.mark.shared
def test_real_problems_hold_next_to_nothing_private(shared: Path) -> None:
    exams = "".join(
        path.read_text(encoding="utf-8")
        for name in ("gsm8k/test.jsonl", "mgsm/mgsm_zh.tsv", "mgsm/mgsm_en.tsv", "belle/eval/eval_set.json")
        for path in shared.glob(name)
    )

    found = [exams[item.start : item.end] for item in find(exams)]

    assert len(found) <= 1, found
