"""What every backend promises, whatever stands behind it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio
from tiny_checkpoint import write_checkpoint

from icd.backends.base import (
    Backend,
    ChatRequest,
    ChatResponse,
    Completion,
    Message,
    StreamingBackend,
    Tool,
    ToolCall,
)
from icd.backends.expert import ExpertBackend
from icd.backends.openai_compatible import OpenAICompatibleBackend
from icd.backends.transformers import TransformersBackend
from icd.errors import ModelFilesError
from icd.models import resolve
from icd.testing import DemonstrationBackend, FlakyBackend, LoopbackServer, ScriptedBackend
from icd_envs.base import ExpertMove

CHOICES = ("look", "go to cabinet 1", "go to cabinet 12")
REQUEST = ChatRequest(
    (Message("system", "You act."), Message("user", "Task: find a cup\nYou are in a kitchen.")),
    temperature=1.0,
    max_tokens=24,
    seed=11,
    stop=("\n\n",),
    cue="Action:",
    choice_cue="Action:",
)


LOOK = ToolCall("call_1", "look", "{}")
WITH_TOOLS = ChatRequest(
    (
        Message("system", "You act."),
        Message("user", "Find a cup."),
        Message("assistant", "", (LOOK,)),
        Message("tool", "You see a table.", tool_call_id="call_1"),
    ),
    temperature=1.0,
    max_tokens=24,
    seed=11,
    tools=(
        Tool("look", "Look around."),
        Tool("go", "Walk.", {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}),
    ),
)


class OneTrackExpert:
    def plan(self) -> str:
        return "look around"

    def move(self) -> ExpertMove:
        return ExpertMove("I have seen nothing yet.", "look")


def scripted(folder: Path) -> Backend:
    calls = Completion("", "tool_calls", tool_calls=(LOOK, ToolCall("call_2", "go", '{"to": "table"}')))
    return ScriptedBackend(lambda request: calls if request.tools else "Action: look")


def demonstration(folder: Path) -> Backend:
    return DemonstrationBackend()


def flaky(folder: Path) -> Backend:
    return FlakyBackend(DemonstrationBackend(), [])


def expert(folder: Path) -> Backend:
    return ExpertBackend().bind(OneTrackExpert())


def transformers_plain(folder: Path) -> Backend:
    return TransformersBackend(write_checkpoint(folder), model="tiny")


def transformers_chat(folder: Path) -> Backend:
    return TransformersBackend(write_checkpoint(folder), model="tiny", style="chat")


@cache
def local() -> Backend:
    """Loaded once for all tests: it is a real model."""
    pytest.importorskip("xllamacpp")
    from icd.backends.local import LocalBackend

    try:
        return LocalBackend(resolve("smollm2-135m"), model="smollm2-135m", context=1024, slots=3)
    except ModelFilesError as error:
        pytest.skip(str(error))


def over_the_wire(folder: Path) -> LoopbackServer:
    function = {"name": "go", "arguments": '{"to": "table"}'}
    calls = {"tool_calls": [{"id": "call_2", "type": "function", "function": function}]}
    return LoopbackServer(lambda body: [calls if "tools" in body else "Action: look"])


MAKERS = [
    scripted,
    demonstration,
    flaky,
    expert,
    over_the_wire,
    transformers_plain,
    transformers_chat,
    pytest.param(lambda folder: local(), id="local", marks=pytest.mark.model),
]


@pytest_asyncio.fixture(params=MAKERS)
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    made = request.param(tmp_path)
    if isinstance(made, LoopbackServer):
        with made as server:
            model = OpenAICompatibleBackend("any-model", base_url=server.base_url)
            yield model
            await model.close()
    else:
        yield made
        if made.model != "smollm2-135m":
            await made.close()


async def test_it_gives_as_many_samples_as_asked_for_and_counts_them(backend: Backend) -> None:
    response = await backend.complete(replace(REQUEST, n=4))
    one = await backend.complete(REQUEST)
    assert (len(response.completions), len(one.completions)) == (4, 1)
    assert response.model == one.model == backend.model
    assert 0 <= response.usage.cached_tokens <= response.usage.input_tokens
    assert response.usage.input_tokens > 0
    assert response.usage.output_tokens > 0
    if backend.capabilities.shared_prompt:
        assert response.usage.input_tokens == one.usage.input_tokens


async def test_the_same_seed_gives_the_same_answer_where_that_is_promised(backend: Backend) -> None:
    first, second = [await backend.complete(replace(REQUEST, n=2)) for _ in range(2)]
    if backend.capabilities.seeded:
        assert [c.text for c in first.completions] == [c.text for c in second.completions]


async def test_without_temperature_samples_are_equal(backend: Backend) -> None:
    response = await backend.complete(replace(REQUEST, n=2, temperature=0.0))
    assert len({completion.text for completion in response.completions}) == 1


@pytest.mark.parametrize("cue", ["Action:", "Think:"])
async def test_choices_are_kept_to_where_that_is_promised(backend: Backend, cue: str) -> None:
    response = await backend.complete(replace(REQUEST, n=3, choices=CHOICES, cue=cue))
    for completion in response.completions if backend.capabilities.constrained else ():
        last = completion.text.strip().splitlines()[-1]
        assert last.removeprefix("Action:").strip() in CHOICES
        assert "\n" not in completion.text.rstrip().replace("\nAction:", "")


async def test_tools_are_called_or_an_answer_is_written_where_that_is_promised(backend: Backend) -> None:
    if not backend.capabilities.tools:
        pytest.skip("it does not promise to know tools")
    response = await backend.complete(replace(WITH_TOOLS, n=2))
    assert len(response.completions) == 2
    assert response.usage.output_tokens > 0
    for completion in response.completions:
        assert completion.text or completion.tool_calls
        assert {call.name for call in completion.tool_calls} <= {"look", "go"}
        assert all(call.id and isinstance(call.arguments, str) for call in completion.tool_calls)


@pytest.mark.parametrize("request_", [REQUEST, WITH_TOOLS], ids=["text", "tools"])
@pytest.mark.parametrize("n", [1, 2])
async def test_the_pieces_of_a_stream_make_up_its_answer(
    backend: Backend, request_: ChatRequest, n: int
) -> None:
    if not isinstance(backend, StreamingBackend):
        pytest.skip("it does not stream")
    items = [item async for item in backend.stream(replace(request_, n=n))]
    assert [type(item) for item in items].index(ChatResponse) == len(items) - 1
    texts, arguments = [""] * n, dict.fromkeys(range(n), "")
    for item in items[:-1]:
        assert not isinstance(item, ChatResponse)
        texts[item.index] += item.text
        arguments[item.index] += "".join(call.arguments for call in item.tool_calls)
    response = items[-1]
    assert isinstance(response, ChatResponse)
    assert texts == [completion.text for completion in response.completions]
    assert list(arguments.values()) == [
        "".join(call.arguments for call in completion.tool_calls) for completion in response.completions
    ]
    assert response.usage.output_tokens > 0


@pytest.mark.model
@pytest.mark.parametrize("choice", ["required", "go"])
async def test_a_local_model_calls_the_tool_that_it_must(choice: str) -> None:
    request = replace(WITH_TOOLS, tool_choice=choice, max_tokens=60, parallel_tool_calls=False)
    response = await local().complete(request)
    (call,) = response.completions[0].tool_calls
    assert call.name in ({"go"} if choice == "go" else {"look", "go"})
    assert isinstance(json.loads(call.arguments), dict)
    assert response.completions[0].finish == "tool_calls"


@pytest.mark.model
async def test_a_local_model_answers_in_the_json_that_is_wanted() -> None:
    schema = {"type": "object", "properties": {"cups": {"type": "integer"}}, "required": ["cups"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "count", "schema": schema}}
    request = ChatRequest((Message("user", "How many cups?"),), max_tokens=60, seed=1, response_format=wanted)
    text = (await local().complete(request)).completions[0].text
    assert isinstance(json.loads(text)["cups"], int)


@pytest.mark.model
async def test_a_local_model_stops_writing_when_nobody_reads() -> None:
    backend = local()
    assert isinstance(backend, StreamingBackend)
    request = ChatRequest((Message("user", "Tell a long story."),), max_tokens=900, seed=1)
    stream = backend.stream(request)
    await anext(stream)
    started = time.perf_counter()
    await stream.aclose()
    assert time.perf_counter() - started < 5


async def test_longer_text_has_more_tokens(backend: Backend) -> None:
    short, longer = backend.count_tokens("a cup"), backend.count_tokens("a cup on a table " * 20)
    assert 0 < short < longer


async def test_it_may_be_closed_twice(backend: Backend) -> None:
    await backend.complete(REQUEST)
    await backend.close()
    await backend.close()
