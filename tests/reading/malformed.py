"""Malformed JSON, made by code: files, the cards that they are read with, and what must be said of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Found = tuple[str, int | None, str | None]


class Case(NamedTuple):
    """One file, the card that it is read with, and what must come of it."""

    name: str
    file: str
    data: bytes
    bad: tuple[Found, ...]
    """(code, row, field) of every reject."""
    good: int
    """How many records there are."""
    card: dict[str, Any]
    """`shape`, and what else the card of the file says."""


ALPACA: dict[str, Any] = {"shape": {"kind": "alpaca"}}


def compact(value: Any) -> bytes:
    """JSON without blanks, as most sets are written."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sound(number: int) -> dict[str, str]:
    return {"instruction": f"第{number}题：鸡兔同笼，怎么算？", "input": "", "output": f"答案是 {number}。"}


GOOD = [compact(sound(number)) for number in range(8)]


def lines(*rows: bytes) -> bytes:
    return b"".join(row + b"\n" for row in rows)


def row_of(output: bytes) -> bytes:
    """A row whose answer is written as these bytes."""
    return b'{"instruction":"x","output":%b}' % output


def text_of(inside: bytes) -> bytes:
    """A row whose answer is a text of these bytes."""
    return row_of(b'"%b"' % inside)


NOT_JSON = {
    "trailing comma": b'{"instruction":"x","output":"y",}',
    "leading comma": b'{,"instruction":"x","output":"y"}',
    "two commas": b'{"instruction":"x",,"output":"y"}',
    "no comma": b'{"instruction":"x" "output":"y"}',
    "semicolon": b'{"instruction":"x";"output":"y"}',
    "no colon": b'{"instruction" "x","output":"y"}',
    "equals sign": b'{"instruction"="x","output":"y"}',
    "no value": b'{"instruction":"x","output":}',
    "no key": b'{:"x","output":"y"}',
    "number as key": b'{1:"x","output":"y"}',
    "bare key": b'{instruction:"x",output:"y"}',
    "bare value": row_of(b"yes"),
    "single quotes": b"{'instruction':'x','output':'y'}",
    "Python None": row_of(b"None"),
    "Python True": row_of(b"True"),
    "Python tuple": row_of(b'("y",)'),
    "Python bytes": row_of(b'b"y"'),
    "JavaScript undefined": row_of(b"undefined"),
    "template string": row_of(b"`y`"),
    "NaN": row_of(b"NaN"),
    "Infinity": row_of(b"Infinity"),
    "minus Infinity": row_of(b"-Infinity"),
    "number beyond a double": row_of(b"1e999"),
    "number of 400 digits": row_of(b"9" * 400),
    "plus sign": row_of(b"+1"),
    "leading zero": row_of(b"01"),
    "bare fraction": row_of(b".5"),
    "bare point": row_of(b"1."),
    "hexadecimal": row_of(b"0x1F"),
    "empty exponent": row_of(b"1e"),
    "lone minus": row_of(b"-"),
    "line comment": b'{"instruction":"x","output":"y"}//z',
    "block comment": b'{"instruction":"x",/*z*/"output":"y"}',
    "hash comment": b'{"instruction":"x","output":"y"}#z',
    "unknown escape": text_of(b"\\x41"),
    "short escape": text_of(b"\\u12"),
    "escape of no digits": text_of(b"\\uZZZZ"),
    "escaped quote escapes": text_of(b"\\'"),
    "raw tab": text_of(b"a\tb"),
    "raw NUL": text_of(b"a\x00b"),
    "raw control character": text_of(b"a\x1fb"),
    "raw carriage return": text_of(b"a\rb"),
    "quotes in a text": text_of(b'he said "hi" twice'),
    "unclosed text": b'{"instruction":"x","output":"y}',
    "unclosed key": b'{"instruction":"x","output:"y"}',
    "unclosed object": b'{"instruction":"x","output":"y"',
    "unclosed list": row_of(b'["y"'),
    "mixed brackets": row_of(b'["y"}'),
    "brace too many": b'{"instruction":"x","output":"y"}}',
    "an object and a list": b'{"instruction":"x","output":"y"}[{"instruction":"x","output":"y"}]',
    "two objects and a comma": b'{"instruction":"x","output":"y"},{"instruction":"x","output":"y"}',
    "an object, a blank and a text": b'{"instruction":"x","output":"y"} "x"',
    "two objects and a bracket": b'{"instruction":"x","output":"y"}{"instruction":"x","output":"y"}]',
    "comma after the object": b'{"instruction":"x","output":"y"},',
    "word after the object": b'{"instruction":"x","output":"y"} end',
    "full-width quotes": "{“instruction”:“x”,“output”:“y”}".encode(),
    "full-width colon": '{"instruction"："x","output"："y"}'.encode(),
    "full-width comma": '{"instruction":"x"，"output":"y"}'.encode(),
    "full-width braces": '｛"instruction":"x","output":"y"｝'.encode(),
    "no-break space": '{"instruction":\u00a0"x","output":"y"}'.encode(),
    "ideographic space": '{"instruction":\u3000"x","output":"y"}'.encode(),
    "zero-width space": '{"instruction":"x",\u200b"output":"y"}'.encode(),
    "form feed": b'{"instruction":\x0c"x","output":"y"}',
    "mark in the middle of the file": b'\xef\xbb\xbf{"instruction":"x","output":"y"}',
    "mark inside the row": b'{\xef\xbb\xbf"instruction":"x","output":"y"}',
    "too deep": row_of(b"[" * 1500 + b"]" * 1500),
    "objects too deep": row_of(b'{"a":' * 1500 + b"1" + b"}" * 1500),
    "deep and unclosed": row_of(b"[" * 100_000),
    "prose": "这一行不是数据。".encode(),
    "HTML": b"<html><body>504 Gateway Time-out</body></html>",
    "conflict marker": b"<<<<<<< HEAD",
    "log line": b"2023-04-01 12:00:00 INFO wrote 100 rows",
    "CSV line": b"x,,y",
    "YAML": b"instruction: x",
    "ellipsis": b"...",
    "lone brace": b"{",
    "lone bracket": b"[",
    "lone quote": b'"',
    "lone comma": b",",
    "NUL alone": b"\x00",
}
"""A row that is not JSON, by what is wrong with it. A line each."""

NOT_UTF8 = {
    "overlong of two": b"\xc0\x80",
    "overlong slash": b"\xc0\xaf",
    "overlong of three": b"\xe0\x80\x80",
    "overlong of four": b"\xf0\x80\x80\x80",
    "high surrogate": b"\xed\xa0\xbd",
    "low surrogate": b"\xed\xb8\x80",
    "surrogate pair in six bytes": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond the last plane": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "byte FE": b"\xfe",
    "byte FF": b"\xff",
    "lone continuation": b"\x80",
    "cut after one of two": b"\xc3",
    "cut after one of three": b"\xe4",
    "cut after two of three": b"\xe4\xbd",
    "cut after three of four": b"\xf0\x9f\x98",
    "half a character before one": b"\xe4\xbd" + "好".encode(),
    "latin-1": "café".encode("latin-1"),
    "windows-1252 quotes": "“y”".encode("cp1252"),
    "GB18030": "中文回答".encode("gb18030"),
    "Big5": "回答".encode("big5"),
    "Shift JIS": "答え".encode("shift_jis"),
    "EUC-KR": "대답".encode("euc_kr"),
    "KOI8-R": "ответ".encode("koi8_r"),
}
"""Bytes inside a text that no UTF-8 text has."""

HALF_PAIRS = {
    "high": b"\\ud83d",
    "low": b"\\ude00",
    "high twice": b"\\ud83d\\ud83d",
    "reversed": b"\\ude00\\ud83d",
    "high before a letter": b"\\ud83dx",
    "high before an escape": b"\\ud83d\\n",
    "high before a plain escape": b"\\ud83d\\u4e2d",
    "last of all": "好".encode() + b"\\uDFFF",
}

REPEATED_KEYS = {
    "answers that differ": (b'{"instruction":"x","output":"y","output":"z"}', "output"),
    "answers that are equal": (b'{"instruction":"x","output":"y","output":"y"}', "output"),
    "spaces after the colons": (b'{"instruction": "x", "output": "y", "instruction": "z"}', "instruction"),
    "spaces around the colons": (b'{"instruction" : "x", "output" : "y", "output" : "z"}', "output"),
    "one key escaped": (b'{"instruction":"x","output":"y","\\u006futput":"z"}', "output"),
    "in an object below": (b'{"instruction":"x","output":"y","meta":{"id":1,"id":2}}', "id"),
    "in an object of a list": (b'{"instruction":"x","output":"y","meta":[{"id":1},{"id":1,"id":2}]}', "id"),
    "beside code in a text": (b'{"instruction":"{\\"a\\": 1}","output":"y","output":"z"}', "output"),
}

SOUND_ROWS = {
    "line and paragraph separators": '{"instruction":"a\u2028b\u2029c\u0085d","output":"y"}'.encode(),
    "escaped separators": b'{"instruction":"a\\u2028b\\u0085","output":"y"}',
    "escaped NUL": b'{"instruction":"a\\u0000b","output":"y"}',
    "noncharacters": '{"instruction":"a\ufffe\uffff\U0010ffff","output":"y"}'.encode(),
    "delete": b'{"instruction":"a\x7fb","output":"y"}',
    "surrogate pair": b'{"instruction":"\\ud83d\\ude00","output":"y"}',
    "marks of direction": '{"instruction":"\u202eabc\u202c","output":"y\u200d\ufeff"}'.encode(),
    "escaped slash": b'{"instruction":"a\\/b","output":"y"}',
    "blanks around": b' \t{ "instruction" :\t"x" , "output":"y" } \r',
    "deep in a column that nobody reads": b'{"instruction":"x","output":"y","meta":' + b"[" * 900 + b"]" * 900 + b"}",
    "huge number in a column that nobody reads": b'{"instruction":"x","output":"y","id":%b}' % (b"9" * 40),
    "empty key": b'{"instruction":"x","output":"y","":"z"}',
    "JSON and code in a text": b'{"instruction":"{\\"a\\": 1, \\"a\\" : 2, \\\\\\"b\\\\\\":3}","output":"y\\\\"}',
    "key that ends in a backslash": b'{"instruction":"x","output":"y","a\\\\":"z"}',
}
"""Rows that look odd and are right: nothing may be said of them."""


def syntax_files() -> Iterator[Case]:
    for name, row in NOT_JSON.items():
        yield Case(f"{name}, in the middle", "a.jsonl", lines(GOOD[0], row, GOOD[1]), (("D302", 1, None),), 2, ALPACA)
    for name, row in NOT_JSON.items():
        if row.startswith(b"{") and row != b"{":
            yield Case(f"{name}, first", "a.jsonl", lines(row, *GOOD[:3]), (("D302", 0, None),), 3, ALPACA)
            yield Case(f"{name}, last", "a.jsonl", lines(*GOOD[:2]) + row, (("D302", 2, None),), 2, ALPACA)
    for name, inside in NOT_UTF8.items():
        data = lines(GOOD[0], text_of(inside), GOOD[1])
        yield Case(f"{name}, in a line", "a.jsonl", data, (("D303", 1, None),), 2, ALPACA)
        data = b"[" + b",".join([GOOD[0], text_of(inside), GOOD[1]]) + b"]"
        yield Case(f"{name}, in an element", "a.json", data, (("D303", 1, None),), 2, ALPACA)
        data = lines(GOOD[0], b'{"%b":"x"}' % inside, GOOD[1])
        yield Case(f"{name}, in a key", "a.jsonl", data, (("D303", 1, None),), 2, ALPACA)
    for name, inside in HALF_PAIRS.items():
        data = lines(GOOD[0], text_of(inside), GOOD[1])
        yield Case(f"half a pair, {name}", "a.jsonl", data, (("D304", 1, None),), 2, ALPACA)
        data = lines(GOOD[0], b'{"%b":"x"}' % inside, GOOD[1])
        yield Case(f"half a pair in a key, {name}", "a.jsonl", data, (("D304", 1, None),), 2, ALPACA)


def repeated_key_files() -> Iterator[Case]:
    for name, (row, key) in REPEATED_KEYS.items():
        bad = (("D302", 1, key),)
        yield Case(f"repeated key, {name}", "a.jsonl", lines(GOOD[0], row, GOOD[1]), bad, 2, ALPACA)
        data = b"[" + b",\n".join([GOOD[0], row, GOOD[1], GOOD[2]]) + b"]"
        yield Case(f"repeated key in an element, {name}", "a.json", data, bad, 3, ALPACA)
    twice = b'{"data":[%b],"data":[%b]}' % (GOOD[0], GOOD[1])
    yield Case("repeated key above the rows", "a.json", twice, (("D302", None, "data"),), 0, {**ALPACA, "rows": "data"})
    yield Case("repeated key in the one row", "a.json", REPEATED_KEYS["in an object below"][0],
               (("D302", 0, "id"),), 0, {**ALPACA, "rows": "file"})  # fmt: skip


def sound_files() -> Iterator[Case]:
    for name, row in SOUND_ROWS.items():
        yield Case(f"sound: {name}", "a.jsonl", lines(GOOD[0], row, GOOD[1]), (), 3, ALPACA)
        data = b"[" + b",".join([GOOD[0], row, GOOD[1]]) + b"]"
        yield Case(f"sound: {name}, in an element", "a.json", data, (), 3, ALPACA)
    layouts = {
        "mark at the start": b"\xef\xbb\xbf" + lines(*GOOD[:2]),
        "no last line feed": lines(*GOOD[:2])[:-1],
        "blank lines": b"\n\r\n" + GOOD[0] + b"\n \t\n\n" + GOOD[1] + b"\n\n",
        "CR and LF": b"\r\n".join([*GOOD[:2], b""]),
        "array in a .jsonl file": b"[" + b",".join(GOOD[:2]) + b"]",
        "array over lines in a .jsonl file": b"[\n" + b",\n".join(GOOD[:2]) + b"\n]\n",
    }
    for name, data in layouts.items():
        yield Case(f"sound: {name}", "a.jsonl", data, (), 2, ALPACA)
    spread = [json.dumps(sound(number), indent=2, ensure_ascii=False).encode() for number in range(3)]
    for name, glue in {"a line feed": b"\n", "nothing": b"", "blank lines": b"\n\n \r\n"}.items():
        yield Case(f"sound: objects on a line with {name} between", "a.json", glue.join(GOOD[:3]), (), 3, ALPACA)
        for file in ("a.json", "a.jsonl"):
            yield Case(f"sound: objects over lines, {name} between, {file}", file, glue.join(spread), (), 3, ALPACA)
    yield Case("sound: lines in a .json file", "a.json", lines(*GOOD[:2]), (), 2, ALPACA)
    yield Case("sound: no rows", "a.json", b"[]", (), 0, ALPACA)


def truncated_files() -> Iterator[Case]:
    """Three rows as lines and as an array, cut at every fifth byte of the last row and at its edges."""
    last = len(GOOD[2])
    for cut in sorted({*range(1, last, 5), last - 1}):
        data = lines(*GOOD[:2]) + GOOD[2][:cut]
        code = "D303" if not _whole_characters(GOOD[2][:cut]) else "D302"
        yield Case(f"lines cut at {cut}", "a.jsonl", data, ((code, 2, None),), 2, ALPACA)
        data = b"[" + b",".join([*GOOD[:2], GOOD[2][:cut]])
        yield Case(f"array cut at {cut}", "a.json", data, (("D308", None, None),), 2, ALPACA)
        data = lines(b"[", GOOD[0] + b",", GOOD[1] + b",") + GOOD[2][:cut]
        yield Case(f"array over lines cut at {cut}", "a.json", data, (("D308", None, None),), 2, ALPACA)
    whole = b"[" + b",".join(GOOD[:2])
    yield Case("array without its bracket", "a.json", whole, (("D308", None, None),), 2, ALPACA)
    yield Case("array cut after a comma", "a.json", whole + b", ", (("D308", None, None),), 2, ALPACA)
    yield Case("array cut at once", "a.json", b"[", (("D308", None, None),), 0, ALPACA)
    document = json.dumps({"data": [sound(0), sound(1)]}, indent=1).encode()
    for cut in range(12, len(document) - 1, 23):
        yield Case(f"document cut at {cut}", "a.json", document[:cut], (("D302", None, None),), 0,
                   {**ALPACA, "rows": "data"})  # fmt: skip
        yield Case(f"file of one row cut at {cut}", "a.json", document[:cut], (("D302", 0, None),), 0,
                   {**ALPACA, "rows": "file"})  # fmt: skip


def _whole_characters(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


BROKEN_ELEMENTS = (
    "trailing comma", "no colon", "no value", "single quotes", "Python None", "NaN", "unknown escape", "raw tab",
    "bare key", "leading zero", "full-width colon", "an object, a blank and a text", "too deep",
)  # fmt: skip


def array_files() -> Iterator[Case]:
    for name in BROKEN_ELEMENTS:
        for place in range(3):
            elements = [*GOOD[:place], NOT_JSON[name], *GOOD[place:2]]
            data = b"[" + (b"," if place % 2 else b",\n").join(elements) + b"]"
            yield Case(f"element {place}: {name}", "a.json", data, (("D302", place, None),), 2, ALPACA)
    whole = b"[" + b",".join(GOOD[:2]) + b"]"
    after = {"word": b" end", "bracket": b"]", "comma": b",", "object": GOOD[2], "array": whole, "NUL": b"\x00"}
    for name, rest in after.items():
        yield Case(f"after the array: {name}", "a.json", whole + rest, (("D308", None, None),), 2, ALPACA)
        yield Case(f"after the array, in .jsonl: {name}", "a.jsonl", whole + rest, (("D308", None, None),), 2, ALPACA)
    commas = {
        "before the end": (b"[%b,%b,]", (("D302", None, None),)),
        "at the start": (b"[,%b,%b]", (("D302", None, None),)),
        "twice": (b"[%b,,%b]", (("D302", None, None),)),
        "three times": (b"[%b,,,%b]", (("D302", None, None),)),
    }
    for name, (pattern, bad) in commas.items():
        yield Case(f"comma {name}", "a.json", pattern % tuple(GOOD[:2]), bad, 2, ALPACA)
    kinds = {"null": b"null", "number": b"7", "text": b'"x"', "true": b"true", "empty list": b"[]", "list": b'["x"]'}
    for name, element in kinds.items():
        data = b"[" + b",".join([GOOD[0], element, GOOD[1]]) + b"]"
        yield Case(f"element that is {name}", "a.json", data, (("D305", 1, ""),), 2, ALPACA)
        yield Case(f"line that is {name}", "a.jsonl", lines(GOOD[0], element, GOOD[1]), (("D305", 1, ""),), 2, ALPACA)
    brackets = {
        "brace too many": (b"[%b},%b]", 0), "brace too few": (b'[%b,{"a":[2},%b]', 1),
        "bracket for brace": (b'[%b,{"a":1],%b]', 1), "brace for bracket": (b'[%b,{"a":[1}},%b]', 1),
    }  # fmt: skip
    for name, (pattern, good) in brackets.items():
        yield Case(name, "a.json", pattern % tuple(GOOD[:2]), (("D308", None, None),), good, ALPACA)


def path_files() -> Iterator[Case]:
    """Files parsed as a whole, and objects of rows."""
    document = compact({"data": [{"rows": [sound(0)]}, {"none": 1}, {"rows": [sound(1)]}]})
    paths = {
        "data.*.rows": (("D305", None, "data.1.rows"),),
        "data.*.rows.*": (("D305", None, "data.1.rows"),),
    }
    for path, bad in paths.items():
        yield Case(f"one of three leads nowhere: {path}", "a.json", document, bad, 2, {**ALPACA, "rows": path})
    nowhere = {"rows": "rows", "data.9": "data.9", "data.x": "data.x", "data.1.none.*": "data.1.none.*",
               "data.0.rows.0.output.text": "data.0.rows.0.output.text"}  # fmt: skip
    for path, field in nowhere.items():
        yield Case(f"leads nowhere: {path}", "a.json", document, (("D305", None, field),), 0, {**ALPACA, "rows": path})
    values = {**ALPACA, "rows": "values"}
    members = {
        "no colon": b'"b" 1', "no key": b"1", "no value": b'"b":', "NaN": b'"b":NaN', "bare key": b"b:1",
        "trailing comma": b'"b":{"c":1,}',
    }  # fmt: skip
    for name, member in members.items():
        data = b'{"a":%b,%b,"c":%b}' % (GOOD[0], member, GOOD[1])
        yield Case(f"value of an object: {name}", "a.json", data, (("D302", 1, None),), 2, values)
    for name, data in {"array": b"[1]", "number": b"7", "text": b'"x"', "prose": b"x"}.items():
        yield Case(f"values of what is no object: {name}", "a.json", data, (("D308", None, None),), 0, values)
    cut = b'{"a":%b,"c":%b' % (GOOD[0], GOOD[1])
    yield Case("object of rows without its brace", "a.json", cut, (("D308", None, None),), 2, values)
    yield Case("object of rows cut in a row", "a.json", cut[:-4], (("D308", None, None),), 1, values)
    for name, data in {"trailing comma": b'{"data":[1,]}', "NaN": b'{"data":[NaN]}', "two": b'{"data":[]}{}'}.items():
        yield Case(f"document: {name}", "a.json", data, (("D302", None, None),), 0, {**ALPACA, "rows": "data"})
        yield Case(f"file of one row: {name}", "a.json", data, (("D302", 0, None),), 0, {**ALPACA, "rows": "file"})
    spread = json.dumps({"meta": {"a": [1, 2]}, "data": [sound(0)]}, indent=2).encode()
    yield Case("object over lines that is no row", "a.json", spread, (("D310", 0, "instruction"),), 0, ALPACA)
    yield Case("broken object over lines", "a.json", spread.replace(b"1,", b"1,,"), (("D302", None, None),), 0, ALPACA)


def json_cases() -> list[Case]:
    """Every file of this module."""
    families = (syntax_files, repeated_key_files, sound_files, truncated_files, array_files, path_files)
    return [case for family in families for case in family()]
