"""From a chat call to what one model is sent. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from icd.backends.base import ChatRequest, Message
from icd.backends.tokens import count_prompt, most_tokens
from icd.calls import PricedModel
from icd.chat.call import ChatCall
from icd.chat.prompting import compose_chat
from icd.chat.tool_set import tool_set
from icd.prompting import Placement
from icd_memory.retrieval import Excerpt
from icd_memory.strategy import Match

_WINDOW_SHARE = 4
"""An answer whose length the call leaves open takes at most this part of the model's window."""


class Fitted(NamedTuple):
    """A request that fits a model's window."""

    request: ChatRequest
    cut: tuple[str, ...]
    """What was left out of the conversation, in words."""


def request_for(
    model: PricedModel,
    call: ChatCall,
    max_tokens: int,
    *,
    n: int = 1,
    temperature: float | None = None,
    excerpts: Sequence[Excerpt] = (),
    strategies: Sequence[Match] = (),
    placement: Placement = "after_history",
) -> Fitted:
    """Return a call as a model is asked it, with excerpts and strategies in its conversation.

    Args:
        model: who is asked.
        call: what for.
        max_tokens: limit of an answer where the call sets none; a small window lowers it.
        n: answers.
        temperature: None: the model's own.
        excerpts: best first.
        strategies: best first; behind the system prompt.
        placement: where excerpts stand.

    Raises:
        ContextOverflowError: it does not fit, whatever is cut.
    """
    backend = model.backend
    window = backend.capabilities.context_tokens
    limit = call.max_tokens or min(max_tokens, window // _WINDOW_SHARE)
    room = window - limit

    def request(messages: Sequence[Message]) -> ChatRequest:
        return ChatRequest(
            messages=tuple(messages),
            n=n,
            temperature=temperature,
            max_tokens=limit,
            seed=call.seed,
            stop=call.stop,
            tools=call.tools,
            tool_choice=call.tool_choice,
            parallel_tool_calls=call.parallel_tool_calls,
            response_format=call.response_format,
            top_logprobs=call.top_logprobs,
            options=call.options,
        )

    def count(messages: Sequence[Message]) -> int:
        most = most_tokens(messages, ()) + tool_set(call.tools).most_tokens
        return most if most <= room else count_prompt(request(messages), backend.count_tokens)

    composed = compose_chat(
        call.messages, excerpts, placement, room=room, count_tokens=count, strategies=strategies
    )
    return Fitted(request(composed.messages), composed.cut)
