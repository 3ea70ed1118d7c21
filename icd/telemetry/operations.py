"""What is said about an operation: names and attributes, as pure functions. See `icd.telemetry.conventions`.

What stands here never holds what people or models wrote; that is in `icd.telemetry.content`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from icd.backends.base import Backend, ChatRequest, ChatResponse, LocatedBackend, Location, Usage
from icd.decision import CallRole, Charge, Decision
from icd.telemetry.conventions import DATA_SOURCE, PROVIDER
from icd.telemetry.spans import Attributes, Operation

if TYPE_CHECKING:
    from icd_memory.retrieval import Excerpt

__all__ = [
    "agent",
    "answered",
    "chat",
    "decided",
    "first_piece",
    "found",
    "paid",
    "played",
    "retrieval",
    "step",
    "tool",
]

_HERE = Location(PROVIDER, in_process=True)
_OPTIONS = ("top_p", "top_k", "frequency_penalty", "presence_penalty")


def agent(episode_id: str, *, model: str, **about: str) -> Operation:
    """An episode, or one request of somebody's agent; `model`: the policy as a model id; `about`: our own attributes."""
    attributes: dict[str, str] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.agent.name": PROVIDER,
        "gen_ai.request.model": model,
        "gen_ai.conversation.id": episode_id,
        **{f"icd.{name}": value for name, value in about.items() if value},
    }
    return Operation(f"invoke_agent {PROVIDER}", "internal", attributes, episode_id)


def step(episode_id: str, number: int) -> Operation:
    """One decision."""
    return Operation("icd.decide", "internal", {"icd.step": number}, episode_id)


def chat(backend: Backend, request: ChatRequest, role: CallRole, *, stream: bool = False) -> Operation:
    """A call to a model, with all its retries."""
    where = backend.location if isinstance(backend, LocatedBackend) else _HERE
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": where.provider,
        "gen_ai.request.model": backend.model,
        "gen_ai.request.max_tokens": request.max_tokens,
        "icd.role": role,
    }
    if where.host:
        attributes |= {"server.address": where.host, "server.port": where.port}
    if request.temperature is not None:
        attributes["gen_ai.request.temperature"] = float(request.temperature)
    if request.n != 1:
        attributes["gen_ai.request.choice.count"] = request.n
    if request.seed is not None:
        attributes["gen_ai.request.seed"] = request.seed
    if request.stop:
        attributes["gen_ai.request.stop_sequences"] = list(request.stop)
    if stream:
        attributes["gen_ai.request.stream"] = True
    if request.response_format is not None:
        json = str(request.response_format.get("type", "")).startswith("json")
        attributes["gen_ai.output.type"] = "json" if json else "text"
    for name in _OPTIONS:
        if isinstance(value := request.options.get(name), int | float):
            attributes[f"gen_ai.request.{name}"] = float(value)
    return Operation(f"chat {backend.model}", "internal" if where.in_process else "client", attributes)


def paid(response: ChatResponse, charge: Charge) -> Attributes:
    """A model's answer and what it cost."""
    return {
        "gen_ai.response.model": response.model,
        "gen_ai.response.finish_reasons": [completion.finish for completion in response.completions],
        **_usage(charge.usage),
        "icd.cost_usd": charge.cost,
    }


def first_piece(seconds: float) -> Attributes:
    """How long the first piece of a streamed answer took."""
    return {"gen_ai.response.time_to_first_chunk": seconds}


def retrieval(count: int, embedder: str) -> Operation:
    """A search for excerpts: so many at most."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.data_source.id": DATA_SOURCE,
        "gen_ai.request.model": embedder,
        "gen_ai.request.top_k": float(count),
    }
    return Operation(f"retrieval {DATA_SOURCE}", "client", attributes)


def found(excerpts: Sequence[Excerpt]) -> Attributes:
    """How many excerpts were found, and the similarity of the best."""
    support = max((excerpt.similarity for excerpt in excerpts), default=None)
    return {"icd.excerpts": len(excerpts), **({} if support is None else {"icd.support": float(support)})}


def tool(name: str) -> Operation:
    """A step of an environment."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
    }
    return Operation(f"execute_tool {name}", "internal", attributes)


def decided(decision: Decision) -> Attributes:
    """Who acts and why."""
    attributes: dict[str, Any] = {
        "icd.receipt.id": decision.receipt_id,
        "icd.acted_by": decision.acted_by,
        "icd.reason": decision.reason,
        "icd.escalated": decision.escalated,
        "icd.samples": len(decision.samples),
        "icd.cost_usd": decision.cost,
    }
    if decision.agreement is not None:
        attributes["icd.agreement"] = decision.agreement
    if decision.support is not None:
        attributes["icd.support"] = float(decision.support)
    return attributes


def answered(decision: Decision, finish_reasons: Sequence[str], overhead: float) -> Attributes:
    """A request's decision, the tokens of all its calls, and the seconds that were ours."""
    charges = [charge.usage for charge in decision.charges if not charge.counterfactual]
    return {
        **decided(decision),
        **_usage(sum(charges, Usage(requests=0))),
        "gen_ai.response.finish_reasons": list(finish_reasons),
        "icd.overhead_seconds": overhead,
    }


def played(won: bool, score: float, steps: int) -> Attributes:
    """How an episode ended."""
    return {"icd.won": won, "icd.score": float(score), "icd.steps": steps}


def _usage(usage: Usage) -> dict[str, int]:
    tokens = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
    }
    return (
        {**tokens, "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens}
        if usage.cached_tokens
        else tokens
    )
