"""The OpenAI chat protocol as bytes: what a request becomes, and what a reply says. Nothing is sent here.

`icd.backends.openai_stream` reads replies that come in pieces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import PydanticSerializationError, to_json

from icd.backends.base import ChatRequest, Completion, Message, Tool, ToolCall, Usage
from icd.backends.tokens import count_completion, count_prompt
from icd.errors import BackendReplyError

__all__ = [
    "Guided",
    "Reply",
    "TokenLimitName",
    "UsageFields",
    "chat_usage",
    "completion_of",
    "decode",
    "encode",
    "excerpt",
    "fields_besides",
    "passed_on",
]

Guided: TypeAlias = Literal["choice", "json"]
TokenLimitName: TypeAlias = Literal["max_tokens", "max_completion_tokens"]
"""OpenAI's newer models know only the second, most other servers only the first."""

_MOST_TOKENS = 100_000_000
"""Counts above it are no counts."""
_THOUGHT_CHARACTERS = 240
_MOST_STOPS = 4
"""The protocol's limit; what a longer list would have cut is left to the reader of the answer."""
_MODES = frozenset({"auto", "none", "required"})
_OWNED = (
    frozenset(
        {"model", "messages", "n", "temperature", "max_tokens", "max_completion_tokens", "seed", "stop"}
    )
    | {"tools", "tool_choice", "parallel_tool_calls", "response_format", "logprobs", "top_logprobs"}
    | {"stream", "stream_options", "structured_outputs"}
)
"""Fields that the request has a place of its own for: `ChatRequest.options` never sets them."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one reply said."""

    completions: tuple[Completion, ...]
    usage: Usage


def encode(
    request: ChatRequest,
    model: str,
    n: int,
    limit_name: TokenLimitName,
    guided: Guided | None = None,
    stream: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the JSON body that asks for `n` samples.

    `ChatRequest.cue` cannot be continued there: it is left out. `stream` has the fields that ask for a streamed
    reply.
    """
    body = passed_on(request.options)
    body["model"] = model
    body["messages"] = [message_json(message) for message in request.messages]
    body[limit_name] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if n > 1:
        body["n"] = n
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop and not (guided and request.choices):
        body["stop"] = request.stop[:_MOST_STOPS]
    if request.tools:
        _add_tools(body, request)
    if request.top_logprobs is not None:
        body["logprobs"] = True
        if request.top_logprobs:
            body["top_logprobs"] = request.top_logprobs
    _add_format(body, request, guided)
    if stream:
        body.update(stream)
    try:
        return to_json(body)
    except PydanticSerializationError:
        # Half of a surrogate pair is no UTF-8, but JSON can escape it.
        return json.dumps(body).encode()


def decode(data: bytes, request: ChatRequest, n: int, guided: Guided | None = None) -> Reply:
    """Read a reply of at most `n` samples; without a usage it is estimated, and marked so.

    Raises:
        BackendReplyError: it is not JSON, not of the protocol, or has no choices.
    """
    try:
        reply = _Reply.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BackendReplyError(
            f"the reply cannot be read ({where + ': ' if where else ''}{first['msg']}): "
            f"{excerpt(data)}; is base_url that of an OpenAI-compatible endpoint?"
        ) from error
    if not reply.choices:
        raise BackendReplyError(f"the reply has no choices: {excerpt(data)}")
    ordered = sorted(reply.choices, key=lambda choice: choice.index)
    completions = [_completion(choice, request, guided) for choice in ordered]
    return Reply(tuple(completions[:n]), chat_usage(reply.usage, request, completions))


def passed_on(options: Mapping[str, Any], but: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the options of a request that no field of `ChatRequest` stands for, nor any of `but`."""
    return {name: value for name, value in options.items() if name not in _OWNED and name not in but}


def excerpt(data: bytes) -> str:
    """Return how the bytes begin, for a message."""
    return repr(data[:120].decode("utf-8", errors="replace"))


def fields_besides(model: BaseModel) -> dict[str, Any]:
    """Return the fields that a model of these modules has no place for, without those that are null."""
    extra = model.model_extra
    return {name: value for name, value in extra.items() if value is not None} if extra else {}


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class UsageFields(BaseModel):
    """``usage`` of a reply."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _PromptDetails | None = None


class _Function(BaseModel):
    name: str = ""
    arguments: str = ""

    @field_validator("arguments", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        """Some servers send the arguments as an object, or null."""
        return value if isinstance(value, str) else json.dumps(value or {})


class _Call(BaseModel):
    id: str | None = None
    function: _Function


class _Message(BaseModel):
    model_config = ConfigDict(extra="allow")
    role: str | None = None
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    index: int = 0
    message: _Message
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Reply(BaseModel):
    choices: list[_Choice]
    usage: UsageFields | None = None


def chat_usage(usage: UsageFields | None, request: ChatRequest, written: Sequence[Completion]) -> Usage:
    """Return what the endpoint counted; where it did not, or cannot have, an estimate by what was asked and written."""
    if (
        usage is None
        or not 0 < usage.prompt_tokens <= _MOST_TOKENS
        or not 0 <= usage.completion_tokens <= _MOST_TOKENS
    ):
        return Usage(count_prompt(request), 0, sum(map(count_completion, written)), estimated=True)
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details else 0
    return Usage(usage.prompt_tokens, min(max(cached, 0), usage.prompt_tokens), usage.completion_tokens)


def completion_of(
    text: str,
    finish: str | None,
    calls: Sequence[ToolCall] = (),
    logprobs: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Completion:
    """Return a sample as the protocol's fields say it."""
    extra = extra or {}
    finish = "refusal" if extra.get("refusal") else finish or ("tool_calls" if calls else "stop")
    return Completion(text, finish, _sum_of(logprobs), tuple(calls), logprobs, extra)


def _sum_of(logprobs: Mapping[str, Any] | None) -> float | None:
    try:
        scores = [token["logprob"] for token in logprobs["content"]] if logprobs else []
        return float(sum(scores)) if scores else None
    except (KeyError, TypeError):
        return None


def _completion(choice: _Choice, request: ChatRequest, guided: Guided | None) -> Completion:
    message = choice.message
    text = message.content or ""
    if request.choices and guided == "json":
        text = _text_of_json(text, request)
    elif request.choices and guided == "choice" and not _thinks(request):
        text = f"{request.choice_cue} {text}".strip()
    calls = [
        ToolCall(call.id or f"call_{choice.index}_{number}", call.function.name, call.function.arguments)
        for number, call in enumerate(message.tool_calls or ())
    ]
    return completion_of(text, choice.finish_reason, calls, choice.logprobs, fields_besides(message))


def message_json(message: Message) -> dict[str, Any]:
    """Return a turn as the protocol writes it."""
    body: dict[str, Any] = {**message.extra, "role": message.role}
    body["content"] = message.parts or message.content
    if message.tool_calls:
        body["content"] = body["content"] or None
        body["tool_calls"] = [tool_call_json(call) for call in message.tool_calls]
    if message.tool_call_id:
        body["tool_call_id"] = message.tool_call_id
    return body


def tool_call_json(call: ToolCall) -> dict[str, Any]:
    """Return a tool call as the protocol writes it."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _add_tools(body: dict[str, Any], request: ChatRequest) -> None:
    body["tools"] = [tool_json(tool) for tool in request.tools]
    if request.tool_choice in _MODES:
        body["tool_choice"] = request.tool_choice
    elif request.tool_choice:
        body["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice}}
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def tool_json(tool: Tool) -> dict[str, Any]:
    """Return a tool as the protocol writes it."""
    function: dict[str, Any] = {**tool.extra, "name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters:
        function["parameters"] = tool.parameters
    return {"type": "function", "function": function}


def _add_format(body: dict[str, Any], request: ChatRequest, guided: Guided | None) -> None:
    if request.choices and guided == "json":
        body["response_format"] = _json_schema(request)
    elif request.choices and guided == "choice":
        body["structured_outputs"] = _structured(request)
    elif request.response_format is not None:
        body["response_format"] = request.response_format


def _thinks(request: ChatRequest) -> bool:
    """Whether a line of free text is wanted before the choice (see `ChatRequest.choice_cue`)."""
    return request.cue != request.choice_cue


def _json_schema(request: ChatRequest) -> dict[str, Any]:
    properties: dict[str, Any] = {"reasoning": {"type": "string"}} if _thinks(request) else {}
    properties["choice"] = {"type": "string", "enum": list(request.choices or ())}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "step", "strict": True, "schema": schema}}


def _structured(request: ChatRequest) -> dict[str, Any]:
    choices = list(request.choices or ())
    if not _thinks(request):
        return {"choice": choices}
    options = "|".join(re.escape(choice) for choice in choices)
    return {"regex": rf"[^\n]{{1,{_THOUGHT_CHARACTERS}}}\n{re.escape(request.choice_cue)} ({options})"}


def _text_of_json(text: str, request: ChatRequest) -> str:
    """Write a JSON answer as the lines that were asked for in words; what is no such JSON stays as it is."""
    try:
        answer = json.loads(text)
        choice = answer["choice"]
    except (ValueError, TypeError, KeyError):
        return text
    lines = [str(answer.get("reasoning", "")).strip(), f"{request.choice_cue} {choice}".strip()]
    return "\n".join(line for line in lines if line)
