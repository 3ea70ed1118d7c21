"""The OpenAI chat protocol as bytes: what a request becomes, and what a reply says. Nothing is sent here."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ValidationError

from icd.backends.base import ChatRequest, Completion, Usage
from icd.backends.tokens import estimate_tokens
from icd.errors import BackendReplyError

__all__ = ["Guided", "Reply", "TokenLimitName", "decode", "encode", "estimated_prompt_tokens"]

Guided: TypeAlias = Literal["choice", "json"]
TokenLimitName: TypeAlias = Literal["max_tokens", "max_completion_tokens"]
"""OpenAI's newer models know only the second, most other servers only the first."""

_MESSAGE_OVERHEAD = 4
_THOUGHT_CHARACTERS = 240
_MOST_STOPS = 4
"""The protocol's limit; what a longer list would have cut is left to the reader of the answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one reply said."""

    completions: tuple[Completion, ...]
    usage: Usage


def encode(
    request: ChatRequest, model: str, n: int, limit_name: TokenLimitName, guided: Guided | None
) -> dict[str, Any]:
    """Return the JSON body that asks for `n` samples. `ChatRequest.cue` cannot be continued there: it is left
    out."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "temperature": request.temperature,
        limit_name: request.max_tokens,
    }
    if n > 1:
        body["n"] = n
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop and not (guided and request.choices):
        body["stop"] = list(request.stop[:_MOST_STOPS])
    if request.choices and guided == "json":
        body["response_format"] = _json_schema(request)
    elif request.choices and guided == "choice":
        body["structured_outputs"] = _structured(request)
    return body


def decode(data: bytes, request: ChatRequest, n: int, guided: Guided | None) -> Reply:
    """Read a reply of at most `n` samples; without a usage it is estimated, and marked so.

    Raises:
        BackendReplyError: it is not JSON, not of the protocol, or has no choices.
    """
    try:
        reply = _Reply.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BackendReplyError(
            f"the reply cannot be read ({where + ': ' if where else ''}{first['msg']}): "
            f"{_excerpt(data)}; is base_url that of an OpenAI-compatible endpoint?"
        ) from error
    if not reply.choices:
        raise BackendReplyError(f"the reply has no choices: {_excerpt(data)}")
    chosen = sorted(reply.choices, key=lambda choice: choice.index)[:n]
    completions = tuple(_completion(choice, request, guided) for choice in chosen)
    return Reply(completions, _usage(reply.usage, request, reply.choices))


def estimated_prompt_tokens(request: ChatRequest) -> int:
    """Return about how many tokens the prompt has."""
    return sum(estimate_tokens(message.content) + _MESSAGE_OVERHEAD for message in request.messages)


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    index: int = 0
    message: _Message
    finish_reason: str | None = None


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _PromptDetails | None = None


class _Reply(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None


def _usage(usage: _Usage | None, request: ChatRequest, choices: Sequence[_Choice]) -> Usage:
    if usage is None or usage.prompt_tokens <= 0:
        written = sum(estimate_tokens(choice.message.content or "") for choice in choices)
        return Usage(estimated_prompt_tokens(request), 0, written, estimated=True)
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details else 0
    return Usage(usage.prompt_tokens, min(cached, usage.prompt_tokens), usage.completion_tokens)


def _completion(choice: _Choice, request: ChatRequest, guided: Guided | None) -> Completion:
    text = choice.message.content or ""
    finish = choice.finish_reason or "stop"
    if choice.message.refusal:
        finish = "refusal"
    if request.choices and guided == "json":
        text = _text_of_json(text, request)
    elif request.choices and guided == "choice" and not _thinks(request):
        text = f"{request.choice_cue} {text}".strip()
    return Completion(text, finish)


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


def _excerpt(data: bytes) -> str:
    return repr(data[:120].decode("utf-8", errors="replace"))
