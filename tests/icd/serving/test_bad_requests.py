"""Whatever comes in: an error in OpenAI's form that says what to change, and never a 500."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from scripted import ScriptedAnswerer

JSON = {"content-type": "application/json"}
CHAT = "/v1/chat/completions"
TURN = {"role": "user", "content": "hello?"}
CALLED = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "icd/cascade", "messages": [TURN], **fields}


def tool(name: str = "look", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


def error_of(reply: httpx.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "Traceback" not in reply.text
    return dict(error)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{**TURN, "tool_calls": [CALLED]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c9"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages[0].function_call"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"n": 10**30}, "n"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"seed": 2**70}, "seed"),
        ({"stop": [1]}, "stop"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
        ),
        ({"stream": True, "stream_options": {"other": True}}, "stream_options.other"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tools": [tool("a b")]}, "tools[0].function.name"),
        ({"tools": [tool(), tool()]}, "tools"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": [tool(parameters={"$ref": "#"})]}, "tools"),
        ({"tools": [tool(parameters={"type": "nothing"})]}, "tools"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"metadata": {"icd_episode": "x" * 201}}, "metadata.icd_episode"),
        ({"metadata": {"icd_episode": "a\nb"}}, "metadata.icd_episode"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_fields_that_are_wrong_are_named(
    client: httpx.AsyncClient, answerer: ScriptedAnswerer, fields: dict[str, Any], param: str
) -> None:
    error = error_of(await client.post(CHAT, json=body(**fields)), 400)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert not answerer.calls


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"model": "\xff"}',
        b"[" * 5000 + b"]" * 5000,
        b'{"model": "icd/cascade", "messages": ' + b"[" * 5000,
        json.dumps(body()).encode()[:-1] + b', "x": NaN}',
        json.dumps(body()).encode()[:-1] + b', "x": [1e999]}',
        json.dumps(body()).encode()[:-1] + b', "x": 1' + b"0" * 400 + b".5}",
        json.dumps(body()).encode()[:-1] + b', "x": ' + b"9" * 5000 + b"}",
        json.dumps(body()).encode()[:-1] + b', "user": "\\ud800"}',
    ],
)
async def test_bytes_that_are_no_request(client: httpx.AsyncClient, raw: bytes) -> None:
    error_of(await client.post(CHAT, content=raw, headers=JSON), 400)


async def test_other_fields_are_passed_on(client: httpx.AsyncClient, answerer: ScriptedAnswerer) -> None:
    turns = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [CALLED],
            "reasoning_content": "hm",
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "done"}]},
    ]
    fields = {"min_p": 0.1, "top_p": None, "logit_bias": {"5": -1}, "response_format": {"type": "text"}}
    reply = await client.post(CHAT, json=body(messages=turns, tools=[tool(strict=True)], **fields))
    assert reply.status_code == 200, reply.text
    (call,) = answerer.calls
    assert call.options == {"min_p": 0.1, "logit_bias": {"5": -1.0}}
    assert call.tools[0].extra == {"strict": True}
    assert call.response_format is None
    user, assistant, result = call.messages
    assert (user.content, len(user.parts)) == ("a", 2)
    assert (assistant.content, dict(assistant.extra)) == ("", {"reasoning_content": "hm"})
    assert (result.content, result.parts) == ("done", ())


async def test_halves_of_surrogate_pairs_and_odd_numbers_of_a_model_become_json(
    client: httpx.AsyncClient, answerer: ScriptedAnswerer
) -> None:
    from icd.backends.base import Completion

    logprobs = {"content": [{"token": "a", "logprob": float("-inf")}]}
    answerer.script = lambda call: [Completion("\ud83d", logprobs=logprobs)]
    reply = await client.post(CHAT, json=body())
    assert reply.json()["choices"][0]["logprobs"]["content"][0]["logprob"] is None
    assert reply.json()["choices"][0]["message"]["content"] == "\ud83d"


async def test_a_name_that_is_very_long_is_not_repeated(client: httpx.AsyncClient) -> None:
    reply = await client.post("/v1/feedback", json={"decision": "r1", "e" * 9_000: 1})
    assert error_of(reply, 400)["code"] == "invalid_value"
    assert len(reply.content) < 3_000


async def test_a_body_that_is_too_large(client: httpx.AsyncClient) -> None:
    large = json.dumps(body(user="x" * 20_000)).encode()

    async def in_pieces() -> Any:
        for start in range(0, len(large), 1000):
            yield large[start : start + 1000]

    for content in (large, in_pieces()):
        error = error_of(await client.post(CHAT, content=content, headers=JSON), 413)
        assert "0.01 MB" in error["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_type(client: httpx.AsyncClient, kind: str) -> None:
    reply = await client.post(CHAT, content=json.dumps(body()), headers={"content-type": kind})
    assert "application/json" in error_of(reply, 415)["message"]


async def test_types_with_parameters_and_suffixes_are_json(client: httpx.AsyncClient) -> None:
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"):
        reply = await client.post(CHAT, content=json.dumps(body()), headers={"content-type": kind})
        assert reply.status_code == 200


async def test_places_and_methods_that_are_not_there(client: httpx.AsyncClient) -> None:
    assert error_of(await client.get("/v1/nothing"), 404)["code"] == "unknown_url"
    reply = await client.get(CHAT)
    assert error_of(reply, 405)["code"] == "method_not_allowed"
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "model", ["icd/nothing", "icd/unanimity(0)", "icd/unanimity(1000)", "icd/", "gpt-5", "x" * 9000]
)
async def test_models_that_are_not_there(client: httpx.AsyncClient, model: str) -> None:
    error = error_of(await client.post(CHAT, json=body(model=model)), 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "icd/cascade" in error["message"]
    assert len(error["message"]) < 1000


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[::2]:80"])
async def test_other_hosts_names_are_refused(client: httpx.AsyncClient, host: str) -> None:
    error = error_of(await client.get("/healthz", headers={"host": host}), 421)
    assert error["code"] == "wrong_host"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]", "[::1]:8080"])
async def test_this_machines_names_are_not(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/healthz", headers={"host": host})).status_code == 200
