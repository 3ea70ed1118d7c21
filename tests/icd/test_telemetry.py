"""Traces by the pinned conventions: a step of the student's, an escalated one, a streamed one, errors; no content."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from chat_world import LOOKUP, conversation, different, runtime, same, student, teacher
from genai_conventions import VERSION, violations
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from scenario import collection, workplace

from icd import Budget, PricedModel, PriceTable, Runtime, RuntimeSettings, parse_policy
from icd.backends.base import ChatRequest, ChatResponse, Completion, LocatedBackend, Message, ToolCall, Usage
from icd.backends.location import location_of
from icd.backends.openai_compatible import OpenAICompatibleBackend
from icd.chat.call import ChatAnswer, ChatCall
from icd.errors import BackendOverloadedError, BackendRefusedError
from icd.telemetry import content, conventions, disable, enable, spans
from icd.testing import Fault, FlakyBackend, LoopbackServer

SECRET = "rosebud-7261"


class Seen(NamedTuple):
    """What was exported."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracers: TracerProvider

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, beginning: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith(beginning)]

    def one(self, beginning: str) -> dict[str, object]:
        [span] = self.named(beginning)
        return dict(span.attributes or {})

    @property
    def text(self) -> str:
        return "\n".join(span.to_json() for span in self.spans)


@pytest.fixture
def seen() -> Iterator[Seen]:
    exporter, reader, tracers = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader])
    enable(tracers, meters)
    yield Seen(exporter, reader, tracers)
    disable()
    tracers.shutdown()
    meters.shutdown()


def parents(found: Seen) -> dict[str, str]:
    """Return the name of each span's parent by its own, empty for a root."""
    names = {span.context.span_id: span.name for span in found.spans if span.context}
    return {span.name: names.get(span.parent.span_id, "?") if span.parent else "" for span in found.spans}


def test_the_version_is_the_one_that_is_tested() -> None:
    assert conventions.VERSION == VERSION


async def test_a_step_that_the_student_settles(seen: Seen) -> None:
    call = ChatCall(conversation(SECRET), tools=(LOOKUP,), seed=4, stop=("END",), options={"top_p": 0.5})
    answer = await runtime(student(same("Sent.")), teacher(same("unused"))).answer(call)
    assert violations(seen.spans) == []
    asked = seen.one("chat gpt-4.1-mini")
    assert asked["gen_ai.request.choice.count"] == 3
    assert asked["gen_ai.request.stop_sequences"] == ("END",)
    assert asked["gen_ai.response.finish_reasons"] == ("stop", "stop", "stop")
    assert asked["gen_ai.conversation.id"] == answer.episode_id
    assert asked["icd.role"] == "student"
    request = seen.one("invoke_agent icd")
    assert (request["icd.acted_by"], request["icd.reason"], request["icd.escalated"]) == (
        "student",
        "agreed",
        False,
    )
    assert request["icd.receipt.id"] == answer.decision.receipt_id
    assert request["icd.cost_usd"] == pytest.approx(answer.decision.cost)
    assert request["gen_ai.usage.output_tokens"] == sum(
        c.usage.output_tokens for c in answer.decision.charges
    )
    assert parents(seen)["chat gpt-4.1-mini"] == "invoke_agent icd"


async def test_an_escalated_step(seen: Seen) -> None:
    await runtime(student(different), teacher(same("Sent."))).answer(ChatCall(conversation(SECRET)))
    assert violations(seen.spans) == []
    request = seen.one("invoke_agent icd")
    assert (request["icd.acted_by"], request["icd.reason"], request["icd.escalated"]) == (
        "teacher",
        "disagreed",
        True,
    )
    assert request["icd.agreement"] == pytest.approx(1 / 3)
    roles = [dict(span.attributes or {})["icd.role"] for span in seen.named("chat ")]
    assert roles == ["student", "teacher"]
    assert len({span.context.trace_id for span in seen.spans if span.context}) == 1


async def test_a_streamed_step_tells_when_its_first_piece_came(seen: Seen) -> None:
    items = [
        item
        async for item in runtime(student(different), teacher(same("Sent."))).stream(
            ChatCall(conversation(SECRET))
        )
    ]
    assert isinstance(items[-1], ChatAnswer)
    assert violations(seen.spans) == []
    [_, streamed] = seen.named("chat ")
    attributes = dict(streamed.attributes or {})
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] >= 0
    assert seen.one("invoke_agent icd")["icd.reason"] == "disagreed"


async def test_a_stream_that_its_reader_leaves_is_cancelled(seen: Seen) -> None:
    stream = runtime(None, teacher(same("A long answer.")), policy=parse_policy("teacher")).stream(
        ChatCall(conversation(SECRET))
    )
    await anext(stream)
    await anext(stream)
    await stream.aclose()
    assert violations(seen.spans) == []
    assert {dict(span.attributes or {})["error.type"] for span in seen.spans} == {"cancelled"}


async def test_an_upstream_error_is_told_by_its_code_not_by_its_words(seen: Seen) -> None:
    dear = teacher(same("unused"))
    flaky = FlakyBackend(dear.backend, [BackendOverloadedError(f"overloaded by {SECRET}")])
    broken = runtime(None, dear.with_backend(flaky), policy=parse_policy("teacher"))
    with pytest.raises(BackendOverloadedError):
        await broken.answer(ChatCall(conversation("Where?")))
    assert violations(seen.spans) == []
    assert {span.status.status_code for span in seen.spans} == {StatusCode.ERROR}
    assert {dict(span.attributes or {})["error.type"] for span in seen.spans} == {BackendOverloadedError.code}
    assert SECRET not in seen.text


async def test_content_is_nowhere_by_default(seen: Seen) -> None:
    call = ChatCall(conversation(SECRET), tools=(LOOKUP,))
    await runtime(student(different), teacher(same(SECRET))).answer(call)
    assert seen.spans
    assert SECRET not in seen.text


async def test_content_is_captured_where_the_switch_says_so(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(conventions.CAPTURE_CONTENT, "true")
    enable(seen.tracers)
    await runtime(student(different), teacher(same("Sent."))).answer(
        ChatCall(conversation(SECRET), tools=(LOOKUP,))
    )
    assert violations(seen.spans, with_content=True) == []
    attributes = dict(seen.named("chat ")[-1].attributes or {})
    written = json.loads(str(attributes["gen_ai.input.messages"]))
    assert written[-1] == {"role": "user", "parts": [{"type": "text", "content": SECRET}]}
    [answer] = json.loads(str(attributes["gen_ai.output.messages"]))
    assert answer == {
        "role": "assistant",
        "parts": [{"type": "text", "content": "Sent."}],
        "finish_reason": "stop",
    }


@pytest.mark.parametrize("value", ["", "false", "no_content", "event_only"])
async def test_other_values_of_the_switch_capture_nothing(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(conventions.CAPTURE_CONTENT, value)
    enable(seen.tracers)
    await runtime(student(same(SECRET)), teacher(same("x"))).answer(ChatCall(conversation(SECRET)))
    assert SECRET not in seen.text


async def test_played_episodes_have_their_steps_retrievals_and_tools(seen: Seen) -> None:
    place = workplace(":memory:")
    try:
        await collection(place, 1).play()
    finally:
        place.close()
    assert violations(seen.spans) == []
    above = parents(seen)
    assert above["invoke_agent icd"] == ""
    assert above["icd.decide"] == above["execute_tool household"] == "invoke_agent icd"
    assert above["chat expert"] in ("icd.decide", "invoke_agent icd")
    episode = seen.one("invoke_agent icd")
    assert episode["icd.steps"] == len(seen.named("execute_tool household")) == len(seen.named("icd.decide"))


async def test_ones_own_agent(seen: Seen) -> None:
    cheap = student(same("Thought: it is there\nAction: look"))
    settings = RuntimeSettings(policy=parse_policy("student"), k=0)
    with Runtime(student=cheap, settings=settings).episode(SECRET, category="look") as episode:
        await episode.decide("You see a room.", admissible=["look", "go"])
    assert violations(seen.spans) == []
    assert parents(seen) == {
        "chat gpt-4.1-mini": "icd.decide",
        "icd.decide": "invoke_agent icd",
        "invoke_agent icd": "",
    }
    assert SECRET not in seen.text


async def test_the_trace_goes_on_upstream_and_comes_from_downstream(seen: Seen) -> None:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = [(b"traceparent", f"00-{trace_id}-{span_id}-01".encode())]
    with LoopbackServer(lambda request: ["Sent."], models=["large"]) as server:
        backend = OpenAICompatibleBackend("large", base_url=server.base_url)
        model = PricedModel(backend, PriceTable().price("gpt-4.1"), Budget())
        with spans.continued(headers):
            await runtime(None, model, policy=parse_policy("teacher")).answer(
                ChatCall(conversation("Where?"))
            )
        await backend.close()
        [request] = server.requests
    [call] = seen.named("chat large")
    assert call.context
    assert request.headers["traceparent"] == f"00-{trace_id}-{call.context.span_id:016x}-01"
    assert violations(seen.spans) == []
    attributes = dict(call.attributes or {})
    assert (attributes["server.address"], attributes["gen_ai.provider.name"]) == ("127.0.0.1", "openai")
    [root] = seen.named("invoke_agent")
    assert root.parent
    assert (root.parent.span_id, root.parent.is_remote) == (int(span_id, 16), True)


async def test_an_endpoint_that_refuses(seen: Seen) -> None:
    with LoopbackServer(
        lambda request: ["x"], faults=[Fault("status", status=401, message=SECRET)]
    ) as server:
        backend = OpenAICompatibleBackend("large", base_url=server.base_url)
        model = PricedModel(backend, PriceTable().price("gpt-4.1"), Budget())
        with pytest.raises(BackendRefusedError):
            await runtime(None, model, policy=parse_policy("teacher")).answer(
                ChatCall(conversation("Where?"))
            )
        await backend.close()
    assert violations(seen.spans) == []
    assert seen.one("chat large")["error.type"] == BackendRefusedError.code
    assert SECRET not in seen.text


async def test_metrics_of_the_conventions(seen: Seen) -> None:
    await runtime(student(different), teacher(same("Sent."))).answer(ChatCall(conversation("Where?")))
    data = seen.reader.get_metrics_data()
    assert data
    [scope] = data.resource_metrics[0].scope_metrics
    assert scope.schema_url == conventions.SCHEMA_URL
    found = {metric.name: metric for metric in scope.metrics}
    assert {(name, metric.unit) for name, metric in found.items()} == {
        ("gen_ai.client.token.usage", "{token}"),
        ("gen_ai.client.operation.duration", "s"),
    }
    for name, boundaries in (
        ("gen_ai.client.token.usage", conventions.TOKEN_BUCKETS),
        ("gen_ai.client.operation.duration", conventions.SECOND_BUCKETS),
    ):
        for point in found[name].data.data_points:
            assert isinstance(point, HistogramDataPoint)
            assert tuple(point.explicit_bounds) == pytest.approx(boundaries)
            assert {"gen_ai.operation.name", "gen_ai.provider.name"} <= set(point.attributes or {})
    kinds = [
        dict(p.attributes or {})["gen_ai.token.type"]
        for p in found["gen_ai.client.token.usage"].data.data_points
    ]
    assert sorted(map(str, kinds)) == ["input", "input", "output", "output"]


@pytest.mark.parametrize(
    ("url", "provider", "host", "port"),
    [
        ("https://api.openai.com/v1", "openai", "api.openai.com", 443),
        ("https://mine.openai.azure.com/openai/v1", "azure.ai.openai", "mine.openai.azure.com", 443),
        (
            "https://us-central1-aiplatform.googleapis.com/v1",
            "gcp.vertex_ai",
            "us-central1-aiplatform.googleapis.com",
            443,
        ),
        ("https://api.x.ai/v1", "x_ai", "api.x.ai", 443),
        ("http://max.ai/v1", "openai", "max.ai", 80),
        ("http://127.0.0.1:8000/v1", "openai", "127.0.0.1", 8000),
    ],
)
def test_providers_by_address(url: str, provider: str, host: str, port: int) -> None:
    found = location_of(url)
    assert (found.provider, found.host, found.port, found.in_process) == (provider, host, port, False)


def test_nobody_watches_by_default() -> None:
    assert spans.ambient() is spans.OFF
    assert spans.outgoing() == {}


def test_fakes_need_no_location() -> None:
    assert not isinstance(student(same("x")).backend, LocatedBackend)


def test_the_trace_in_the_docs_is_what_the_example_prints() -> None:
    root = Path(__file__).parents[2]
    example = root / "examples/observability/trace_of_a_step.py"
    printed = subprocess.run([sys.executable, example], check=True, capture_output=True, text=True).stdout
    assert f"```text\n{printed}```" in (root / "docs/observability.md").read_text("utf-8")


@given(st.text(st.characters(exclude_categories=()), max_size=20), st.text(max_size=20))
def test_any_content_can_be_exported(words: str, called: str) -> None:
    asked = ChatRequest((Message("user", words), Message("assistant", "", (ToolCall("1", "f", called),))))
    answer = ChatResponse((Completion(words, tool_calls=(ToolCall("1", "f", words),)),), Usage(), "m")
    for attributes in (content.prompt(asked), content.answer(answer), content.tool(words, called)):
        for value in attributes.values():
            assert isinstance(value, str)
            value.encode()
            json.loads(value)
    found = content.search(words, called, ())
    assert str(found["gen_ai.retrieval.query.text"]).encode()
