"""Tools that come with every call are worked out once, and never taken for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from chat_world import LOOKUP, REFUND, conversation, runtime, same, student, teacher
from hypothesis import given
from hypothesis import strategies as st

from icd.backends.base import ChatRequest, Completion, Message, Tool, ToolCall
from icd.chat.call import ChatCall, Feedback
from icd.chat.tool_set import tool_set
from icd.chat.turns import known

WHERE = conversation("Where is order 5?")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, -0.0]) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


def lookup(**schema: Any) -> Tool:
    return Tool("look", "Look.", {"type": "object", **schema})


def test_the_same_tools_of_another_call_are_the_same_set() -> None:
    first, second = (ChatCall(WHERE, tools=(lookup(a=[1]), REFUND)) for _ in range(2))
    assert first.tools is second.tools
    assert tool_set(first.tools) is first.tools
    assert tool_set([REFUND, lookup(a=[1])]) is not first.tools


@given(
    st.dictionaries(st.text(max_size=2), JSON, max_size=2),
    st.dictionaries(st.text(max_size=2), JSON, max_size=2),
)
def test_tools_that_are_written_otherwise_are_other_tools(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = [tool_set([Tool("look", parameters=schema)]) for schema in (one, other)]
    # Unlike equality, which takes true for 1.
    assert (found[0] is found[1]) == (repr(one) == repr(other))
    assert repr(found[0][0].parameters) == repr(one)


@pytest.mark.parametrize("odd", ["\ud800", {1: object()}, [[]]])
def test_tools_that_are_no_json_are_not_kept(odd: Any) -> None:
    nested: Any = odd
    for _ in range(300 if odd == [[]] else 0):
        nested = [nested]
    tools = tool_set([lookup(default=nested)])
    assert tools.names == {"look"}
    assert tools[0].parameters["default"] is nested


def test_messages_with_parts_are_told_apart_where_equality_does_not() -> None:
    one, other = (Message("user", "Look.", parts=({"type": "x", "y": y},)) for y in (1, True))
    assert one == other
    assert known(one).hash != known(other).hash


def test_what_a_client_changes_in_a_turn_leaves_its_fingerprint() -> None:
    one = Message("assistant", "Yes.", (ToolCall("c", "look", '{"a": 1, "b": 2}'),))
    other = Message("assistant", " Yes. ", (ToolCall("c", "look", '{"b":2,"a":1}'),))
    assert known(one).fingerprint == known(other).fingerprint
    assert known(one).hash != known(other).hash


async def test_where_the_nearest_excerpts_call_other_tools_the_next_ones_are_shown() -> None:
    calls = {
        tool.name: Completion("", "tool_calls", tool_calls=(ToolCall("c", tool.name, '{"id": 5}'),))
        for tool in (LOOKUP, REFUND)
    }

    def said(request: ChatRequest) -> Sequence[Completion]:
        return [calls[request.tools[0].name]] * request.n

    chat = runtime(student(said), teacher(same(calls[LOOKUP.name])), k=1)
    near, far = conversation("Where is order 5?"), conversation("I want my money for order 5 back!")
    for number, (messages, tools) in enumerate([(near, (LOOKUP,)), (far, (REFUND,))]):
        first = await chat.answer(ChatCall(messages, tools=tools, category="shop"))
        await chat.feedback(Feedback(f"f{number}", episode_id=first.episode_id, success=True))
    again = conversation("Where is order 5? ")
    shown = await chat.answer(ChatCall(again, tools=(LOOKUP, REFUND), category="shop", instance="i"))
    others = await chat.answer(ChatCall(again, tools=(REFUND,), category="shop", instance="j"))
    assert len(shown.decision.excerpts) == len(others.decision.excerpts) == 1
    assert shown.decision.excerpts[0].trajectory_id != others.decision.excerpts[0].trajectory_id
