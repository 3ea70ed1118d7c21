"""What people and models wrote, in the conventions' JSON: only for spans whose content somebody asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from icd.backends.base import ChatRequest, ChatResponse, Message, ToolCall
from icd.telemetry.spans import Attributes

if TYPE_CHECKING:
    from icd_memory.retrieval import Excerpt

__all__ = ["answer", "prompt", "search", "tool"]


def prompt(request: ChatRequest) -> Attributes:
    """What a model is asked."""
    messages = [
        _message(message) for message in request.messages if message.role not in ("system", "developer")
    ]
    told = [_text(m.content) for m in request.messages if m.role in ("system", "developer")]
    attributes = {"gen_ai.input.messages": _json(messages)}
    if told:
        attributes["gen_ai.system_instructions"] = _json(told)
    if request.tools:
        tools = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            }
            for tool in request.tools
        ]
        attributes["gen_ai.tool.definitions"] = _json(tools)
    return attributes


def answer(response: ChatResponse) -> Attributes:
    """What a model answered."""
    written = [
        {
            "role": "assistant",
            "parts": [*_texts(one.text), *map(_call, one.tool_calls)],
            "finish_reason": one.finish,
        }
        for one in response.completions
    ]
    return {"gen_ai.output.messages": _json(written)}


def search(goal: str, observation: str, excerpts: Sequence[Excerpt]) -> Attributes:
    """What excerpts were looked for, and which were found."""
    found = [{"id": f"{e.trajectory_id}#{e.step}", "score": float(e.similarity)} for e in excerpts]
    return {
        "gen_ai.retrieval.query.text": f"{goal}\n{observation}".encode("utf-8", "replace").decode(),
        "gen_ai.retrieval.documents": _json(found),
    }


def tool(action: str, observation: str) -> Attributes:
    """What an environment was told to do, and what came of it."""
    return {
        "gen_ai.tool.call.arguments": _json({"action": action}),
        "gen_ai.tool.call.result": _json({"observation": observation}),
    }


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        part = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}
        return {"role": "tool", "parts": [part]}
    # Parts that are no text (images, sound) are named, not copied: a span is no place for megabytes.
    other = [
        {"type": str(part.get("type", "unknown"))} for part in message.parts if part.get("type") != "text"
    ]
    return {
        "role": message.role,
        "parts": [*_texts(message.content), *other, *map(_call, message.tool_calls)],
    }


def _texts(text: str) -> list[dict[str, str]]:
    return [_text(text)] if text else []


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        given: Any = json.loads(call.arguments)
    except ValueError:
        given = call.arguments
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": given}


def _json(value: Sequence[Any] | Mapping[str, Any]) -> str:
    """Return JSON that can be exported whatever models and clients wrote: tracing must not be why a call fails."""
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
