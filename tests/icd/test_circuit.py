"""Endpoints that keep failing, and endpoints that answer with ill will."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from icd.backends import network, openai_compatible, openai_http
from icd.backends.base import ChatRequest, ChatResponse, Delta, Message
from icd.backends.circuit import Circuit
from icd.backends.openai_compatible import OpenAICompatibleBackend
from icd.errors import (
    BackendError,
    BackendOverloadedError,
    BackendRefusedError,
    BackendReplyError,
)
from icd.serving.metrics import Metrics
from icd.testing import Fault, LoopbackServer

REQUEST = ChatRequest((Message("user", "hello"),), max_tokens=20)
DOWN = BackendOverloadedError("planned")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fail(circuit: Circuit, error: BaseException = DOWN) -> None:
    with pytest.raises(type(error)), circuit.call("it"):
        raise error


def refused(circuit: Circuit) -> bool:
    try:
        with circuit.call("it"):
            return False
    except BackendOverloadedError as error:
        return "left alone" in str(error)


def test_a_circuit_opens_probes_and_closes() -> None:
    clock = Clock()
    circuit = Circuit(3, 10.0, clock)
    fail(circuit)
    fail(circuit)
    assert not refused(circuit)  # an answer: the count begins anew
    for _ in range(3):
        assert circuit.state == "closed"
        fail(circuit)
    assert circuit.state == "open"
    assert refused(circuit)
    clock.now = 10.0
    with circuit.call("it"):
        assert circuit.state == "probing"
        assert refused(circuit)
    assert circuit.state == "closed"
    for _ in range(3):
        fail(circuit)
    clock.now = 20.0
    fail(circuit)
    clock.now = 39.9
    assert refused(circuit)
    clock.now = 40.0
    assert not refused(circuit)
    assert circuit.state == "closed"


@pytest.mark.parametrize(
    "error", [BackendRefusedError("key"), BackendReplyError("?"), asyncio.CancelledError()]
)
def test_what_says_nothing_about_the_endpoint_does_not_count(error: BaseException) -> None:
    clock = Clock()
    circuit = Circuit(2, 10.0, clock)
    for _ in range(5):
        fail(circuit, error)
    assert circuit.state == "closed"
    fail(circuit)
    fail(circuit)
    clock.now = 10.0
    fail(circuit, error)  # as a probe: the next call is one
    assert not refused(circuit)


def test_it_is_left_alone_for_longer_each_time_but_not_for_ever() -> None:
    clock = Clock()
    circuit = Circuit(1, 1.0, clock)
    pauses = []
    fail(circuit)
    for _ in range(6):
        begin = clock.now
        while "left alone" in str(caught(circuit)):
            clock.now += 0.5
        pauses.append(clock.now - begin)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def caught(circuit: Circuit) -> BaseException:
    with pytest.raises(BackendOverloadedError) as found, circuit.call("it"):
        raise DOWN
    return found.value


async def test_an_endpoint_that_is_down_is_asked_no_more() -> None:
    with LoopbackServer(lambda _: ["x"], faults=[Fault("status", status=500)] * 3) as server:
        clock = Clock()
        model = OpenAICompatibleBackend(
            "any-model", base_url=server.base_url, retries=0, circuit=Circuit(3, 10.0, clock)
        )
        for _ in range(10):
            with pytest.raises(BackendOverloadedError):
                await model.complete(REQUEST)
        with pytest.raises(BackendOverloadedError, match="left alone"):
            await anext(model.stream(REQUEST))
        assert len(server.requests) == 3
        clock.now = 10.0
        items = [item async for item in model.stream(REQUEST)]
        assert isinstance(items[-1], ChatResponse)
        assert (await model.complete(REQUEST)).completions[0].text == "x"
        await model.close()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def endpoint(handler: Handler) -> Any:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    model = OpenAICompatibleBackend(
        "m", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1", retries=0, deadline=20.0
    )
    try:
        yield model
    finally:
        await model.close()
        await runner.cleanup()


@pytest.fixture
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (network, openai_http, openai_compatible):
        monkeypatch.setattr(module, "MOST_BYTES", 100_000)


def chat(text: str, **usage: Any) -> dict[str, Any]:
    counted = {"prompt_tokens": 3, "completion_tokens": 2, **usage}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": counted}


@pytest.mark.usefixtures("_little")
@pytest.mark.parametrize("packed", [False, True])
async def test_a_reply_without_end_is_cut_off(packed: bool) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        body = json.dumps(chat("a" * 5_000_000)).encode()
        if packed:
            return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        return web.Response(body=body)

    async with endpoint(flood) as model:
        with pytest.raises(BackendReplyError, match="longer than"):
            await model.complete(REQUEST)


@pytest.mark.usefixtures("_little")
async def test_a_stream_without_end_is_cut_off() -> None:
    begun = asyncio.Event()

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        piece = {"choices": [{"index": 0, "delta": {"content": "a" * 1000}}]}
        try:
            await response.write(f"data: {json.dumps(piece)}\n\n".encode())
            await begun.wait()
            for _ in range(5000):
                await response.write(f"data: {json.dumps(piece)}\n\n".encode())
        except ConnectionError:
            pass
        return response

    shown: list[str] = []

    async def read(model: OpenAICompatibleBackend) -> None:
        async for item in model.stream(REQUEST):
            assert isinstance(item, Delta)
            shown.append(item.text)
            begun.set()

    async with endpoint(flood) as model:
        with pytest.raises(BackendReplyError, match="longer than"):
            await read(model)
    assert 0 < len("".join(shown)) < 100_000


async def test_an_error_without_end_is_told_by_its_beginning() -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, body=b"no! " * 2_000_000)

    async with endpoint(flood) as model:
        with pytest.raises(BackendOverloadedError) as told:
            await model.complete(REQUEST)
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize(
    "usage",
    [
        {"completion_tokens": -5},
        {"prompt_tokens": -1},
        {"prompt_tokens": 10**15},
        {"completion_tokens": 10**15},
    ],
)
async def test_counts_that_cannot_be_are_estimated(usage: dict[str, int]) -> None:
    async def lie(request: web.Request) -> web.StreamResponse:
        return web.json_response(chat("one two three", **usage))

    async with endpoint(lie) as model:
        found = (await model.complete(REQUEST)).usage
    assert found.estimated
    assert 0 < found.input_tokens < 100
    assert 0 < found.output_tokens < 100


@pytest.mark.parametrize(("cached", "counted"), [(-7, 0), (10**9, 3), (2, 2)])
async def test_cached_tokens_are_part_of_the_prompt(cached: int, counted: int) -> None:
    async def lie(request: web.Request) -> web.StreamResponse:
        return web.json_response(chat("x", prompt_tokens_details={"cached_tokens": cached}))

    async with endpoint(lie) as model:
        assert (await model.complete(REQUEST)).usage.cached_tokens == counted


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"null",
            b"[]",
            b'{"choices": 3}',
            b'{"choices": [{}]}',
            b"\xff\xfe",
            b"[" * 100_000,
            b"<html>",
        ),
        b'{"choices": [{"message": {"content": {"a": 1}}}]}',
    ],
)
async def test_wrong_json_is_a_typed_error(body: bytes) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    async with endpoint(answer) as model:
        with pytest.raises(BackendError):
            await model.complete(REQUEST)


async def test_an_open_circuit_shows_in_the_metrics() -> None:
    metrics, circuit = Metrics(), Circuit(1)
    metrics.watch("large", circuit)
    assert b'icd_circuit_open{model="large"} 0.0' in metrics.text()
    fail(circuit)
    assert b'icd_circuit_open{model="large"} 1.0' in metrics.text()
