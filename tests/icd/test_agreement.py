"""Canonical forms of answers, and whether an answer fits the live request: properties, and hostile input."""

from __future__ import annotations

import ast
import json
import random
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from icd.agreement import calls_key, json_key, message_key, python_key, text_groups, vote
from icd.backends.base import Completion, Tool, ToolCall
from icd.chat.schemas import ToolSchemas, check_response_format, check_tools

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
json_objects = st.dictionaries(texts, json_values, max_size=4)
plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "a", "b", "ab"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
type_names = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


def extended(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.one_of(type_names, st.lists(type_names, min_size=1, max_size=3, unique=True)),
            "enum": st.lists(plain_values, min_size=1, max_size=3),
            "const": plain_values,
            "minimum": st.integers(-2, 2),
            "maxLength": st.integers(0, 2),
            "minItems": st.integers(0, 2),
            "maxProperties": st.integers(0, 2),
            "uniqueItems": st.booleans(),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "properties": named,
            "additionalProperties": inner,
            "propertyNames": inner,
            "items": inner,
            "prefixItems": some,
            "contains": inner,
            "minContains": st.integers(0, 2),
            "anyOf": some,
            "oneOf": some,
            "allOf": some,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        },
    )


schemas = st.recursive(st.booleans(), extended, max_leaves=5)


def answer(*arguments: str, name: str = "f") -> Completion:
    return Completion("", tool_calls=tuple(ToolCall(str(i), name, text) for i, text in enumerate(arguments)))


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same JSON value, its keys in another order."""
    if isinstance(value, dict):
        pairs = [(key, shuffled(item, rng)) for key, item in value.items()]
        rng.shuffle(pairs)
        return dict(pairs)
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


@given(json_objects, st.integers(0, 99), st.sampled_from([None, 0, 2]), st.booleans())
@example({"```": None}, 0, None, True)
def test_formatting_and_the_order_of_keys_do_not_count(
    value: dict[str, Any], seed: int, indent: int | None, escaped: bool
) -> None:
    other = json.dumps(shuffled(value, random.Random(seed)), indent=indent, ensure_ascii=escaped)
    assert calls_key(answer(json.dumps(value)).tool_calls) == calls_key(answer(other).tool_calls) is not None
    assert json_key(json.dumps(value)) == json_key(f"```json\n{other}\n```") is not None


@given(plain_values, plain_values)
def test_different_values_have_different_keys(one: Any, other: Any) -> None:
    same = Draft202012Validator({"const": one}).is_valid(other)
    assert (json_key(json.dumps(one)) == json_key(json.dumps(other))) is same


@given(st.lists(st.tuples(st.sampled_from("fgh"), json_objects), min_size=1, max_size=4), st.randoms())
def test_calls_made_together_have_no_order(pairs: list[tuple[str, Any]], rng: random.Random) -> None:
    calls = [ToolCall(str(i), name, json.dumps(value)) for i, (name, value) in enumerate(pairs)]
    mixed = [ToolCall("x" + call.id, call.name, call.arguments) for call in calls]
    rng.shuffle(mixed)
    assert calls_key(calls) == calls_key(mixed) is not None
    assert calls_key(calls) != calls_key([*calls, calls[0]])


@given(st.text(), st.text())
def test_any_text_has_a_key_or_none(text: str, other: str) -> None:
    for given_text in (text, f"```json\n{text}\n```", text + "[" * 3000):
        json_key(given_text)
        python_key(given_text)
        calls_key(answer(given_text).tool_calls, {"f": {"properties": other}})
        ToolSchemas([Tool("f")]).problem(answer(given_text))


@given(st.text(), json_objects, json_values)
def test_any_schema_is_used_or_refused(name: str, schema: dict[str, Any], value: Any) -> None:
    tools = [Tool(name or "f", parameters=schema)]
    refusal = check_tools(tools)
    problem = ToolSchemas(tools).problem(answer(json.dumps(value), name=name or "f"))
    assert refusal is None or problem is not None
    message_key(answer(json.dumps(value)), {"f": schema})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a": 1}', '{"a": 1.0}', True),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": 0}', '{"a": -0.0}', True),
        ('{"a": 1e2}', '{"a": 100}', True),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}', False),
        ('{"a": "1"}', '{"a": 1}', False),
        ('{"a": "x"}', '{"a": "x \\n"}', True),
        ('{"a": "x"}', '{"a": "\\n\\nx"}', True),
        ('{"a": "x"}', '{"a": "    x"}', False),
        ('{"a": " "}', '{"a": ""}', False),
        ('{"a": "X"}', '{"a": "x"}', False),
        ('{"a": "\u00e9"}', '{"a": "e\u0301"}', True),
        ('{"a": [1, 2]}', '{"a": [2, 1]}', False),
        ('{"a": null}', "{}", False),
    ],
)
def test_which_arguments_are_the_same(one: str, other: str, same: bool) -> None:
    assert (calls_key(answer(one).tool_calls) == calls_key(answer(other).tool_calls)) is same


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "1", "null", '{"a": NaN}', '{"a": 1e999}', '{"a": 1, "a": 1}', "{"]
)
def test_unreadable_arguments_have_no_key(text: str) -> None:
    assert calls_key(answer("{}", text).tool_calls) is None
    assert "arguments of 'f'" in str(ToolSchemas([Tool("f")]).problem(answer("{}", text)))


LOOKUP = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "default": "all"},
        "limit": {"$ref": "#/$defs/limit"},
        "tags": {
            "anyOf": [{"type": "array", "items": {"type": "string"}, "uniqueItems": True}, {"type": "null"}]
        },
        "next": {"$ref": "#"},
        "order": {"type": "array"},
    },
    "required": ["query"],
    "$defs": {"limit": {"type": "integer", "default": 10}},
}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"query": "x", "limit": 10.0}', '{"query": "x"}', True),
        ('{"query": "x", "limit": 9}', '{"query": "x"}', False),
        ('{"query": "all"}', "{}", False),
        ('{"tags": ["a", "b"]}', '{"tags": ["b", "a"]}', True),
        ('{"tags": ["a", "b"]}', '{"tags": ["b"]}', False),
        ('{"order": ["a", "b"]}', '{"order": ["b", "a"]}', False),
        ('{"next": {"next": {"tags": [1, 2], "limit": 10}}}', '{"next": {"next": {"tags": [2, 1]}}}', True),
    ],
)
def test_schemas_name_defaults_and_sets(one: str, other: str, same: bool) -> None:
    keys = ToolSchemas([Tool("f", parameters=LOOKUP), Tool("g", parameters={"type": "object"})]).for_keys
    assert list(keys) == ["f"]
    assert (calls_key(answer(one).tool_calls, keys) == calls_key(answer(other).tool_calls, keys)) is same


@given(
    st.sampled_from(
        ["x = 1", "def f(a):\n    return a + 1", "class A:\n    b: int = 2", "print('a', end=\"\")"]
    )
)
def test_formatting_of_python_does_not_count(code: str) -> None:
    key = python_key(code)
    assert key is not None
    assert python_key(f"```python\n# first\n{ast.unparse(ast.parse(code))}  # why\n```") == key
    assert python_key(code.replace("a", "z").replace("x", "y").replace("b", "c")) != key


def test_docstrings_do_not_count_but_values_do() -> None:
    assert python_key('def f():\n    """Say so."""') == python_key("def f(): pass")
    assert python_key('"""About."""\nx = 1') == python_key("x = 1")
    assert python_key("'one'") != python_key("'two'")
    assert python_key("x = u'a'") == python_key("x = 'a'")


@pytest.mark.parametrize(
    "code",
    [
        "",
        "# only words",
        "x =",
        "a\0b",
        "(" * 5000,
        "-" * 90_000 + "1",
        "a" + ".a" * 40_000,
        "x" * 200_000,
        "\ud800",
    ],
)
def test_hostile_python_has_no_key(code: str) -> None:
    assert python_key(code) is None


def test_python_is_read_without_warnings() -> None:
    assert python_key('"\\d" is 1') is not None  # pytest turns warnings into errors


def test_what_an_answer_is() -> None:
    call = ToolCall("1", "f", "{}")
    assert message_key(Completion("Let me look.", tool_calls=(call,))) == 'calls:[["f",{}]]'
    assert message_key(Completion("Done.  ")) == "text:done"
    assert message_key(Completion("")) is None
    assert (
        message_key(Completion('{"b":1, "a":2}'), response_format={"type": "json_object"})
        == 'json:{"a":2,"b":1}'
    )
    assert (
        message_key(Completion('{"b":1,', finish="length"), response_format={"type": "json_object"}) is None
    )
    assert message_key(Completion("So far", finish="length")) == "text:so far"


samples = st.lists(
    st.tuples(
        st.sampled_from(["It rains", "it rains.", "Rain", "Wet", "7 mm", "8 mm", ""]), st.integers(0, 5)
    ),
    max_size=7,
)


@given(samples, st.randoms(), st.floats(0.1, 1))
def test_groups_of_texts_do_not_depend_on_order(
    drawn: list[tuple[str, int]], rng: random.Random, least: float
) -> None:
    def grouped(order: list[tuple[str, int]]) -> dict[tuple[str, int], str | None]:
        cosine = [[1 - abs(a - b) / 10 for _, b in order] for _, a in order]
        keys = text_groups([text for text, _ in order], cosine, least)
        for (text, _), key in zip(order, keys, strict=True):
            assert (key is None) is (text == "")
        for i, (one, _) in enumerate(order):
            for j, (other, _) in enumerate(order):
                if keys[i] == keys[j] is not None and one.lower().rstrip(".") != other.lower().rstrip("."):
                    assert cosine[i][j] >= least
                    assert "mm" not in one + other
        return {sample: vote_key for sample, vote_key in zip(order, keys, strict=True)}

    mixed = rng.sample(drawn, len(drawn))
    first, second = grouped(drawn), grouped(mixed)
    assert first == second
    assert vote([first[s] for s in drawn]) == vote([second[s] for s in mixed])


def test_texts_do_not_chain() -> None:
    cosine = [[1, 0.95, 0.5], [0.95, 1, 0.92], [0.5, 0.92, 1]]
    assert text_groups(["a", "b", "c"], cosine, 0.9) == ["a", "a", "c"]
    assert text_groups(["a", "b", "c"], None, 0.9) == ["a", "b", "c"]
    assert text_groups(["a", "b"], [[1, float("nan")], [float("nan"), 1]], 0.9) == ["a", "b"]


@given(schemas, plain_values)
def test_values_are_checked_as_the_standard_says(schema: Any, value: Any) -> None:
    within = {"properties": {"x": schema}}
    assert check_tools([Tool("f", parameters=within)]) is None
    problem = ToolSchemas([Tool("f", parameters=within)]).problem(answer(json.dumps({"x": value})))
    assert (problem is None) is Draft202012Validator(within).is_valid({"x": value})


def test_problems_are_told_in_words() -> None:
    schema = {
        "properties": {"unit": {"enum": ["c", "f"]}},
        "additionalProperties": False,
        "required": ["unit"],
    }
    tools = ToolSchemas([Tool("f", parameters=schema), Tool("g")])
    good = answer('{"unit": "c"}')
    assert tools.problem(good) is tools.problem(good, "required") is tools.problem(good, "f") is None
    assert tools.problem(Completion("Hello"), "auto") is None
    assert "'h'" in str(tools.problem(answer("{}", name="h")))
    assert "$.unit" in str(tools.problem(answer('{"unit": "k"}')))
    assert "'unit' is a required property" in str(tools.problem(answer("{}")))
    assert "'z'" in str(tools.problem(answer('{"unit": "c", "z": 1}')))
    assert "required" in str(tools.problem(Completion("Hello"), "required"))
    assert "'g'" in str(tools.problem(Completion("Hello"), "g"))
    assert "instead of 'g'" in str(tools.problem(good, "g"))
    assert "none may be" in str(tools.problem(good, "none"))


def test_json_answers_are_checked() -> None:
    tools = ToolSchemas([])
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"required": ["a"]}}}
    assert tools.problem(Completion('```json\n{"a": 1}\n```'), "", wanted) is None
    assert "'a'" in str(tools.problem(Completion("{}"), "", wanted))
    assert "not JSON" in str(tools.problem(Completion("a"), "", wanted))
    assert "object" in str(tools.problem(Completion("[]"), "", {"type": "json_object"}))
    assert tools.problem(Completion("a"), "", {"type": "text"}) is None
    assert check_response_format(wanted) is check_response_format(None) is None
    bad = {"type": "json_schema", "json_schema": {"schema": {"$ref": "https://example.com/schema"}}}
    assert "nothing is fetched" in str(check_response_format(bad))


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"$ref": "https://example.com/x.json"}, "nothing is fetched"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "$.properties.a.$ref"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"allOf": [{"anyOf": [{"$ref": "#"}]}]}, "leads back to itself"),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}},
            "itself",
        ),
        (nested(100), "nested"),
        (nested(100_000), "nested"),
        ({"type": "strin"}, "$.type"),
        ({"properties": []}, "$.properties"),
        ({"required": "a"}, "$.required"),
        ({"items": 3}, "$.items"),
        ({"maxLength": -1}, "$.maxLength"),
        ({"multipleOf": 0}, "$.multipleOf"),
        ({"minimum": float("nan")}, "$.minimum"),
        ({"enum": {}}, "$.enum"),
        ({"description": "x" * 300_000}, "at most"),
        ({"default": object()}, "JSON"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_by_name(schema: dict[str, Any], says: str) -> None:
    tools = [Tool("good"), Tool("bad", parameters=schema)]
    refusal = check_tools(tools)
    assert refusal is not None
    assert "'bad'" in refusal
    assert says in refusal
    assert "cannot be checked" in str(ToolSchemas(tools).problem(answer("{}", name="bad")))
    calls_key(answer('{"a": [[[]]]}', name="bad").tool_calls, {"bad": schema})


def test_tools_need_names_of_their_own() -> None:
    assert "rename" in str(check_tools([Tool("f"), Tool("f")]))
    assert "name" in str(check_tools([Tool("")]))


def test_a_python_object_within_itself_is_refused() -> None:
    schema: dict[str, Any] = {}
    schema["properties"] = {"a": schema}
    assert "'f'" in str(check_tools([Tool("f", parameters=schema)]))


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (
            {"properties": {"kids": {"items": {"$ref": "#"}}, "n": {"type": "integer"}}},
            '{"kids":[{"n":1}]}',
            '{"kids":[{"n":"1"}]}',
        ),
        (
            {"properties": {"a": {"items": [{"type": "string"}], "additionalItems": False}}},
            '{"a":["x"]}',
            '{"a":["x",1]}',
        ),
        ({"properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}}, '{"a":2}', '{"a":1}'),
        (
            {"properties": {"pattern": {"type": "string", "pattern": "(a+)+$"}}},
            '{"pattern":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}',
            '{"pattern":1}',
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "$id": "https://example.com/x",
                "properties": {"a": {"$ref": "#/definitions/t~1x"}},
                "definitions": {"t/x": {"type": "null"}},
            },
            '{"a":null}',
            '{"a":0}',
        ),
        (
            {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False, "required": ["b"]},
            '{"b":1}',
            '{"a":1}',
        ),
    ],
)
def test_schemas_in_use(schema: dict[str, Any], good: str, bad: str) -> None:
    assert check_tools([Tool("f", parameters=schema)]) is None
    assert ToolSchemas([Tool("f", parameters=schema)]).problem(answer(good)) is None
    assert "violated" in str(ToolSchemas([Tool("f", parameters=schema)]).problem(answer(bad)))


def doubling(word: str) -> dict[str, Any]:
    defs: dict[str, Any] = {f"d{i}": {word: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    return {"$ref": "#/$defs/d0", "$defs": defs | {"d40": {"type": "object"}}}


LONG_LIST = f'{{"a": [[{",".join("0" * 4000)}]]}}'


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (doubling("allOf"), "{}"),
        (doubling("oneOf"), "{}"),
        ({"properties": {"a": {"anyOf": [False] * 40_000}}}, LONG_LIST),
        ({"properties": {"a": {"anyOf": [{"enum": [[1]]}] * 10_000}}}, LONG_LIST),
        ({"properties": {"a": {"anyOf": [{"maxItems": 0}] * 12_000}}}, LONG_LIST),
        (
            {"properties": {"a": {"items": {"properties": {f"p{i}": {} for i in range(5000)}}}}},
            f'{{"a": [{",".join(["{}"] * 4000)}]}}',
        ),
        ({"anyOf": [{"additionalProperties": False}] * 6000}, json.dumps({f"k{i}": 0 for i in range(2000)})),
    ],
)
def test_hostile_schemas_end_soon(schema: dict[str, Any], arguments: str) -> None:
    began = time.thread_time()
    problem = ToolSchemas([Tool("f", parameters=schema)]).problem(answer(arguments))
    calls_key(answer(arguments).tool_calls, {"f": schema})
    assert problem is not None
    assert len(problem) <= 300
    assert time.thread_time() - began < 5
