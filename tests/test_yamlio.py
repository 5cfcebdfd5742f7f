from __future__ import annotations

import math
import os
import time
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from doit import yamlio, yamlnodes
from doit.errors import DataError, SpecError


@pytest.fixture(params=["fast", "portable"])
def parser(request, monkeypatch):
    """Every verdict must be the same with libyaml and without."""
    if request.param == "fast" and not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(yamlnodes, "_PARSER", yaml.CSafeLoader if request.param == "fast" else yaml.SafeLoader)
    return request.param


def refused(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        yamlio.loads(text, "mix.yaml")
    assert str(caught.value).count("\n") <= 2
    return caught.value


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: [null, Null, NULL, nUll]", {"a": [None, None, None, "nUll"]}),
        ("a: [true, False, TRUE, tRue]", {"a": [True, False, True, "tRue"]}),
        ("a: [1e-4, 2.0e-4, 5.0E-5, 1., .5, -0.3, +1, 7e3]", {"a": [1e-4, 2e-4, 5e-5, 1.0, 0.5, -0.3, 1, 7000.0]}),
        ("a: [0, -0, 0x1F, 0o17, 0.5, 00:00]", {"a": [0, 0, 31, 15, 0.5, "00:00"]}),
        ("a: [12:30:45, 2024-01-31, 1_000, 0b11, 1.2.3, .., '012']", None),
        ("a: ['no', \"yes\", 'on']", {"a": ["no", "yes", "on"]}),
        ("a: [nope, yesterday, once]", {"a": ["nope", "yesterday", "once"]}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1\r\nb: 2\rc: 3\n", {"a": 1, "b": 2, "c": 3}),
        ("标题：全角: 值", {"标题：全角": "值"}),
        ("😀: '𠮷野家'", {"😀": "𠮷野家"}),
        ('"\\u2028\\0": 1', {"\u2028\0": 1}),
        ("1: a\n'1': b", {1: "a", "1": "b"}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("a: |\n  一\n  二\n", {"a": "一\n二\n"}),
        ("'<<': 1", {"<<": 1}),
        ("a: {b: []}", {"a": {"b": []}}),
        ("[" * 64 + "]" * 64, None),
    ],
)
def test_loads_reads_yaml_1_2(text, value):
    read = yamlio.loads(text, "mix.yaml")

    if "12:30" in text:
        assert read == {"a": ["12:30:45", "2024-01-31", "1_000", "0b11", "1.2.3", "..", "012"]}
    elif text.startswith("[["):
        assert isinstance(read, list)
    else:
        assert read == value


@pytest.mark.usefixtures("parser")
def test_loads_reads_what_is_not_finite():
    read = yamlio.loads("[.inf, -.Inf, +.INF, .nan, .NaN]", "x")

    assert read[:3] == [math.inf, -math.inf, math.inf]
    assert all(math.isnan(value) for value in read[3:])


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("word", ["no", "NO", "No", "yes", "Yes", "on", "ON", "off", "Off", "y", "N"])
@pytest.mark.parametrize("form", ["a: {{{}: 1}}", "a: [{}]", "a: {}"])
def test_bare_words_of_yaml_1_1_are_refused_with_the_fix(word, form):
    error = refused("name: x\n" + form.format(word))

    assert error.code == "D201"
    assert error.where.startswith("mix.yaml line 2, column ")
    assert f'"{word}"' in error.hint
    assert "quotes" in error.hint


def test_the_norwegian_problem_reads_well():
    error = refused("seed: 0\nmix: {language: {no: 1}}\n")

    assert str(error) == (
        "D201 mix.yaml line 2, column 18: the bare word `no` is text to some YAML readers and a truth value to others. "
        'Write "no" in quotes for the text, or true or false.'
    )


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        ("a: 012", "D201", "line 1, column 4", "octal"),
        ("a: [1,\n  2", "D201", "line", "not valid YAML"),
        ("a: b: c", "D201", "line 1", "quotes"),
        ("a: 1\n\tb: 2", "D201", "line 2", "spaces"),
        ("a:\n  - b\n - c\n", "D201", "line 3", "indentation"),
        ("a: !!python/object:os.system x", "D201", "line 1, column 4", "tag"),
        ("a: !x 1", "D201", "line 1", "tag"),
        ("a: ! 1", "D201", "line 1", "tag"),
        ("a: !!int '1'", "D201", "line 1", "tag"),
        ("a: &x 1", "D201", "line 1", "anchor"),
        ("a: &x [1]\nb: *x", "D201", "line 1", "anchor"),
        ("a: *x", "D201", "line 1", "alias"),
        ("a: {*: 0.6}", "D201", "line 1", '"*"'),
        ("files: *.json", "D201", "line 1", '"*"'),
        ("<<: {a: 1}", "D201", "line 1", "merge"),
        ("%YAML 1.1\n---\na: 1", "D201", "line 1", "directive"),
        ("%TAG ! tag:x,2000:\n---\na: 1", "D201", "line 1", "directive"),
        ("a: 1\n---\nb: 2", "D201", "line 2", "second document"),
        ("a: %x", "D201", "line 1", "quotes"),
        ("a: @x", "D201", "line 1", "quotes"),
        ("a: 1\nb：2\n", "D201", "line", "full-width"),
        ("a: \x00", "D201", "line 1, column 4", "U+0000"),
        ("a: x\u2028y", "D201", "line 1, column 5", "U+2028"),
        ("a: \ud800", "D201", "line 1, column 4", "U+D800"),
        ('a: "\\ud800"', "D201", "", ""),
        ('a: "\\U99999999"', "D201", "", ""),
        ('a: "\\q"', "D201", "line 1", "escape"),
        ("a: 'x", "D201", "line", "quote"),
        ("a: 1\nb: 2\na: 3", "D205", "line 3, column 1", "lines 1 and 3"),
        ("m:\n  x: {k: 1, 'k': 2}", "D205", "line 2", "lines 2 and 2"),
        ("1: a\n0x1: b", "D205", "line 2", "lines 1 and 2"),
        ("? [a]\n: b", "D201", "line 1", "key"),
        ("? {a: 1}\n: b", "D201", "line 1", "key"),
        ("~: b", "D201", "line 1", "key"),
        ("1.5: b", "D201", "line 1", "key"),
        ("a: " + "1" * 5000, "D201", "line 1", "5,000 digits"),
        ("[" * 65 + "]" * 65, "D201", "column 65", "64 levels"),
        ("[" * 100_000, "D201", "column 65", "64 levels"),
        ("{a: " * 2000, "D201", "line 1", "64 levels"),
        ("- " * 1000 + "a", "D201", "line 1", "64 levels"),
        ("x" * (yamlio.MAX_BYTES + 1), "D201", "mix.yaml", "1,048,576 bytes"),
    ],
)
def test_loads_refuses(text, code, place, words):
    started = time.perf_counter()
    error = refused(text)

    assert error.code == code
    assert place in error.where
    assert words in str(error)
    assert time.perf_counter() - started < 1


@pytest.mark.usefixtures("parser")
def test_an_alias_bomb_is_refused_before_it_grows():
    text = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )

    assert refused(text).code == "D201"


@given(st.text(max_size=60) | st.text(alphabet=":-[]{}#&*!|>'\"%@`, \n\tab1.~?<", max_size=40))
def test_loads_answers_or_refuses_with_a_code(text):
    verdicts = []
    for parser in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yamlnodes, "_PARSER", parser)
            try:
                yamlio.loads(text, "x")
                verdicts.append("read")
            except SpecError as error:
                verdicts.append(error.code)

    assert set(verdicts) <= {"read", "D201", "D205"}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers()


@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=12,
    )
)
def test_dump_is_read_back_the_same(value):
    assert yamlio.loads(yamlio.dump(value), "x") == value


@pytest.mark.parametrize("text", ["no", "y", "1e-4", "012", "0o7", "12:30:45", "~", "", "a\x85b", "\u2028", "<<", "*"])
def test_dump_quotes_what_would_change(text):
    assert yamlio.loads(yamlio.dump({text: [text]}), "x") == {text: [text]}


def test_dump_keeps_order_chinese_and_repeats():
    shared = [1, 2]

    written = yamlio.dump({"名": "中文" * 100, "b": shared, "a": shared})

    assert written == "名: " + "中文" * 100 + "\nb:\n- 1\n- 2\na:\n- 1\n- 2\n"


def test_load_reads_a_file(tmp_path):
    path = tmp_path / "混合.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: \xe4\xb8\xad\n")

    assert yamlio.load(path) == {"name": "中"}


def test_load_names_the_nearest_sibling(tmp_path):
    (tmp_path / "zh-general.yaml").write_text("a: 1")

    with pytest.raises(SpecError, match=r"D206 .*no such file\. Did you mean \"zh-general\.yaml\"\?"):
        yamlio.load(tmp_path / "zh-genral.yaml")


@pytest.mark.parametrize("name", [".", "missing/x.yaml", "x" * 300, "a\0b", "fifo"])
def test_load_refuses_what_is_not_a_file(tmp_path, name):
    if name == "fifo":
        os.mkfifo(tmp_path / name)

    with pytest.raises(SpecError) as caught:
        yamlio.load(tmp_path / name)

    assert caught.value.code == "D206"
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"a: 1\nb: \xff\n", "line 2: byte 8 is not UTF-8"), (b"a" * (yamlio.MAX_BYTES + 1), "longer than")],
)
def test_load_refuses_bytes(tmp_path, data, words):
    path = tmp_path / "x.yaml"
    path.write_bytes(data)

    with pytest.raises(SpecError, match=words) as caught:
        yamlio.load(path)

    assert caught.value.code == "D201"


SPEC = """\
name: zh
mix:
  language:
    zh: 0.7
    "no": 0.3
sources:
  - dataset: a
  - {dataset: b,
     keep: 2}
"""


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 1),
        (("mix",), 2),
        (("mix", "language"), 3),
        (("mix", "language", "no"), 5),
        (("mix", "language", "fr"), 3),
        (("sources", 0), 7),
        (("sources", 1, "keep"), 9),
        (("sources", 7), 6),
        (("sources", "x"), 6),
        (("name", "deeper"), 1),
        (("absent",), None),
        ((), None),
    ],
)
def test_line_of(path, line):
    assert yamlio.line_of(SPEC, path) == line


def test_line_of_an_unreadable_text_is_none():
    assert yamlio.line_of("a: [", ("a",)) is None


@pytest.mark.parametrize(
    ("assignment", "changed"),
    [
        ("seed=7", {"seed": 7}),
        ("mix.language.zh=0.5", {"mix": {"language": {"zh": 0.5, "en": 0.3}}}),
        ("mix.language={zh: 1}", {"mix": {"language": {"zh": 1}}}),
        ("mix.ability.math=1e-4", {"mix": {"language": {"zh": 0.7, "en": 0.3}, "ability": {"math": 1e-4}}}),
        ("sources.1.keep=0.5", {"sources": [{"dataset": "a"}, {"dataset": "b", "keep": 0.5}]}),
        ("series=[10, 40]", {"series": [10, 40]}),
        ('mix."a.b=c"=1', {"mix": {"language": {"zh": 0.7, "en": 0.3}, "a.b=c": 1}}),
        ("empty.x=1", {"empty": {"x": 1}}),
        ('name="no"', {"name": "no"}),
        ("name=中文=好", {"name": "中文=好"}),
        ("name=", {"name": None}),
        ("labels.1=b", {"labels": {1: "b"}}),
    ],
)
def test_apply_override(assignment, changed):
    document = {
        "name": "x",
        "mix": {"language": {"zh": 0.7, "en": 0.3}},
        "sources": [{"dataset": "a"}, {"dataset": "b"}],
        "empty": None,
        "labels": {1: "a"},
    }
    before = yamlio.dump(document)

    result = yamlio.apply_override(document, assignment)

    assert result == {**document, **changed}
    assert yamlio.dump(document) == before


@pytest.mark.parametrize(
    ("assignment", "code"),
    [
        ("seed", "D204"),
        ("=1", "D204"),
        ("a..b=1", "D204"),
        ("a.=1", "D204"),
        (".a=1", "D204"),
        ("seed=no", "D204"),
        ("seed=[1,", "D204"),
        ("seed=a: 1", "D204"),
        ("seed=- 1", "D204"),
        ("sources.2=1", "D202"),
        ("sources.-1=1", "D202"),
        ("sources.x=1", "D202"),
        ("name.x=1", "D202"),
    ],
)
def test_apply_override_refuses(assignment, code):
    with pytest.raises(SpecError) as caught:
        yamlio.apply_override({"name": "x", "sources": [1, 2]}, assignment)

    assert caught.value.code == code
    assert assignment in str(caught.value)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Alpaca(Strict):
    kind: Literal["alpaca"] = "alpaca"
    instruction: str = "instruction"


class Chat(Strict):
    kind: Literal["chat"] = "chat"
    turns: str


Shape = Annotated[Alpaca | Chat, Field(discriminator="kind")]


class Exactly(Strict):
    records: int = Field(gt=0)


class Card(Strict):
    title: str
    shape: Shape


class Source(Strict):
    dataset: str | Card
    keep: float = Field(default=1.0, le=1)


class Spec(Strict):
    name: str
    seed: int = 0
    shortage: Literal["error", "redistribute", "shrink", "repeat"] = "error"
    curation: list[Shape] = []
    sources: list[Source] = []
    mix: dict[str, dict[str, float | Exactly]] = {}
    shape: Shape | None = None
    size: int | Literal["all"] = Field(default="all", alias="Size")

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if name == "ours":
            raise SpecError("D209", "leaves the folder.", hint="Stay.")
        if name == "placed":
            raise DataError("D320", "no rows.", where="a.jsonl")
        if name == "plain":
            raise ValueError("a dull name")
        return name


def explained(text: str, *, model: object = Spec) -> str:
    with pytest.raises(ValidationError) as caught:
        Spec.model_validate(yamlio.loads(text, "s.yaml"))
    error = yamlio.explain(caught.value, where="s.yaml", text=text, model=model)
    assert isinstance(error, SpecError)
    assert str(error).count("\n") <= 2
    return str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmae: x", 'D202 s.yaml line 1: nmae: unknown key. Did you mean "name"?'),
        ("name: x\nsize: 1", 'D202 s.yaml line 2: size: unknown key. Did you mean "Size"?'),
        (
            "name: x\nshape: {kind: alpacca}",
            'D203 s.yaml line 2: shape.kind: no shape "alpacca". Did you mean "alpaca"? See `doit list shapes`.',
        ),
        (
            "name: x\ncuration:\n- kind: alpaca\n- kind: zzz",
            'D203 s.yaml line 4: curation.1.kind: no rule "zzz". One of alpaca, chat. See `doit list rules`.',
        ),
        ("name: x\nshape: {instruction: a}", "D204 s.yaml line 2: shape.kind: missing."),
        (
            "name: x\nshape:\n  kind: alpaca\n  instuction: a",
            'D202 s.yaml line 4: shape.instuction: unknown key. Did you mean "instruction"?',
        ),
        ("name: x\nshape: {kind: chat}", "D204 s.yaml line 2: shape.turns: missing."),
        ("seed: 1", "D204 s.yaml: name: missing."),
        ("name: 5", "D204 s.yaml line 1: name: must be text, not 5."),
        ("name: x\nseed: '1'", 'D204 s.yaml line 2: seed: must be a whole number, not "1".'),
        ("name: x\nseed: 1.5", "D204 s.yaml line 2: seed: must be a whole number, not 1.5."),
        ("name: x\nsources: {}", "D204 s.yaml line 2: sources: must be a list, not a mapping."),
        ("name: x\nmix: [1]", "D204 s.yaml line 2: mix: must be a mapping of `key: value`, not a list."),
        (
            "name: x\nshape: chat",
            'D204 s.yaml line 2: shape: must be a mapping of `key: value`, not "chat". Write `{kind: chat}`.',
        ),
        (
            "name: x\nshortage: repeet",
            'D203 s.yaml line 2: shortage: no choice "repeet". Did you mean "repeat"? '
            "One of error, redistribute, shrink, repeat.",
        ),
        (
            "name: x\nmix:\n  ability:\n    math: {records: 0}",
            "D204 s.yaml line 4: mix.ability.math.records: must be greater than 0, not 0.",
        ),
        (
            "name: x\nmix:\n  ability:\n    math: {record: 1}",
            'D202 s.yaml line 4: mix.ability.math.record: unknown key. Did you mean "records"?',
        ),
        (
            "name: x\nmix: {ability: {math: a}}",
            'D204 s.yaml line 2: mix.ability.math: must be a number or a mapping of `key: value`, not "a".',
        ),
        (
            "name: x\nsources:\n- dataset:\n    tilte: a\n    shape: {kind: alpaca}",
            'D202 s.yaml line 4: sources.0.dataset.tilte: unknown key. Did you mean "title"?',
        ),
        (
            "name: x\nsources:\n- dataset:\n    title: a\n    shape: {kind: chta}",
            'D203 s.yaml line 5: sources.0.dataset.shape.kind: no shape "chta". Did you mean "chat"? '
            "See `doit list shapes`.",
        ),
        ("name: x\nsources: [{dataset: a, keep: 2}]", "D204 s.yaml line 2: sources.0.keep: must be 1 or less, not 2."),
        ("name: ours", "D209 s.yaml line 1: name: leaves the folder. Stay."),
        ("name: placed", "D320 s.yaml: a.jsonl: no rows."),
        ("name: plain", "D204 s.yaml line 1: name: a dull name."),
        ("just text", 'D204 s.yaml: must be a mapping of `key: value`, not "just text".'),
        ("", "D204 s.yaml: must be a mapping of `key: value`, not empty."),
    ],
)
def test_explain(text, message):
    assert explained(text) == message


def test_explain_without_model_or_text():
    with pytest.raises(ValidationError) as caught:
        Spec.model_validate({"name": "x", "sede": "\u202e" * 100})

    error = yamlio.explain(caught.value, where="s.yaml")

    assert str(error) == "D202 s.yaml: sede: unknown key."


def test_explain_shows_no_control_characters():
    with pytest.raises(ValidationError) as caught:
        Spec.model_validate({"name": "x", "seed": "\u202e\x1b" + "长" * 100})

    message = str(yamlio.explain(caught.value, where="s.yaml"))

    assert "\u202e" not in message
    assert "\x1b" not in message
    assert len(message) < 160
