"""OpenTelemetry's conventions for generative AI, release 1.41.1, as far as spans of this runtime go: what a span of each
operation must have, may have and may only have where content was asked for. Written from model/gen-ai/spans.yaml and
registry.yaml of that release."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

VERSION = "1.41.1"


class Rule(NamedTuple):
    """What the conventions say about one operation."""

    kinds: frozenset[SpanKind]
    named_after: str
    """The attribute whose value stands after the operation in the span's name."""
    required: frozenset[str]
    allowed: frozenset[str]
    """Recommended, or required under a condition."""
    opt_in: frozenset[str]


def _gen_ai(text: str) -> frozenset[str]:
    return frozenset(f"gen_ai.{name}" for name in text.split())


SERVER = frozenset({"server.address", "server.port"})
ERROR = frozenset({"error.type"})
USAGE = _gen_ai(
    "usage.input_tokens usage.output_tokens usage.cache_read.input_tokens usage.cache_creation.input_tokens"
)
SAMPLING = _gen_ai(
    "request.max_tokens request.choice.count request.temperature request.top_p request.stop_sequences "
    "request.frequency_penalty request.presence_penalty request.seed output.type response.finish_reasons conversation.id"
)
CONTENT = _gen_ai("system_instructions input.messages output.messages tool.definitions")

RULES = {
    "chat": Rule(
        frozenset({SpanKind.CLIENT, SpanKind.INTERNAL}),
        "gen_ai.request.model",
        _gen_ai("operation.name provider.name"),
        SERVER | ERROR | USAGE | SAMPLING
        | _gen_ai(
            "request.model request.top_k request.stream response.id response.model response.time_to_first_chunk "
            "usage.reasoning.output_tokens"
        ),
        CONTENT,
    ),
    "invoke_agent": Rule(
        frozenset({SpanKind.INTERNAL}),
        "gen_ai.agent.name",
        _gen_ai("operation.name provider.name"),
        ERROR | USAGE | SAMPLING
        | _gen_ai("request.model agent.id agent.name agent.description agent.version data_source.id"),
        CONTENT,
    ),
    "retrieval": Rule(
        frozenset({SpanKind.CLIENT}),
        "gen_ai.data_source.id",
        _gen_ai("operation.name"),
        SERVER | ERROR | _gen_ai("request.model request.top_k provider.name data_source.id"),
        _gen_ai("retrieval.query.text retrieval.documents"),
    ),
    "execute_tool": Rule(
        frozenset({SpanKind.INTERNAL}),
        "gen_ai.tool.name",
        _gen_ai("operation.name tool.name"),
        ERROR | _gen_ai("tool.call.id tool.description tool.type"),
        _gen_ai("tool.call.arguments tool.call.result"),
    ),
}  # fmt: skip

PROVIDERS = frozenset(
    {
        "openai", "gcp.gen_ai", "gcp.vertex_ai", "gcp.gemini", "anthropic", "cohere", "azure.ai.inference",
        "azure.ai.openai", "ibm.watsonx.ai", "aws.bedrock", "perplexity", "x_ai", "deepseek", "groq", "mistral_ai",
    }
)  # fmt: skip
CUSTOM_PROVIDERS = frozenset({"icd", "llama.cpp", "transformers"})
"""The conventions allow others, where none of theirs applies: these are ours."""
ENUMS = {
    "gen_ai.provider.name": PROVIDERS | CUSTOM_PROVIDERS,
    "gen_ai.output.type": frozenset({"text", "json", "image", "speech"}),
    "gen_ai.tool.type": frozenset({"function", "extension", "datastore"}),
}
TYPES: dict[str, type] = {
    "gen_ai.request.temperature": float,
    "gen_ai.request.top_p": float,
    "gen_ai.request.top_k": float,
    "gen_ai.request.max_tokens": int,
    "gen_ai.request.seed": int,
    "gen_ai.request.choice.count": int,
    "gen_ai.request.stream": bool,
    "gen_ai.request.stop_sequences": tuple,
    "gen_ai.response.finish_reasons": tuple,
    "gen_ai.response.time_to_first_chunk": float,
    "gen_ai.usage.input_tokens": int,
    "gen_ai.usage.output_tokens": int,
    "gen_ai.usage.cache_read.input_tokens": int,
    "server.port": int,
}


def violations(spans: Iterable[ReadableSpan], *, with_content: bool = False) -> list[str]:
    """Return what the conventions forbid in spans, in words."""
    return [f"{span.name}: {found}" for span in spans for found in _violations(span, with_content)]


def _violations(span: ReadableSpan, with_content: bool) -> list[str]:
    attributes = dict(span.attributes or {})
    operation = str(attributes.get("gen_ai.operation.name", ""))
    found = [
        f"{name} = {value!r}"
        for name, value in attributes.items()
        if (name in ENUMS and value not in ENUMS[name])
        or (name in TYPES and not isinstance(value, TYPES[name]))
    ]
    if not operation:
        own = [name for name in attributes if not name.startswith("icd.") and name != "error.type"]
        return [*found, *(f"{name} on a span of our own" for name in own), *_of_status(span, attributes)]
    rule = RULES[operation]
    allowed = rule.required | rule.allowed | (rule.opt_in if with_content else frozenset())
    found += [f"{name} is missing" for name in rule.required - attributes.keys()]
    found += [
        f"{name} does not belong"
        for name in attributes
        if name not in allowed and not name.startswith("icd.")
    ]
    if span.kind not in rule.kinds:
        found.append(f"kind {span.kind}")
    if span.name != f"{operation} {attributes[rule.named_after]}":
        found.append("its name")
    if ("server.address" in attributes) != ("server.port" in attributes):
        found.append("server.address and server.port belong together")
    return [*found, *_of_status(span, attributes)]


def _of_status(span: ReadableSpan, attributes: dict[str, object]) -> list[str]:
    failed = span.status.status_code is StatusCode.ERROR
    if failed != ("error.type" in attributes):
        return ["status and error.type contradict each other"]
    return ["an error's words are told"] if span.status.description or span.events else []
