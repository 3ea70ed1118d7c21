"""Rows of an agent's conversation: what the student was sent, its tools, and the answer with its tool calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from chat_world import LOOKUP, REFUND, asked, calls, conversation, runtime, same, student, teacher

from icd import RuntimeSettings
from icd.backends.base import ChatRequest, Completion, Message
from icd.backends.openai_wire import message_json, tool_json
from icd.chat.call import ChatCall, Feedback
from icd.chat.runtime import ChatRuntime
from icd.errors import ConfigurationError
from icd.offline.composing import Composer
from icd.offline.dataset import DataSet, Wishes, make_dataset
from icd_memory.store import Store


def unsure(request: ChatRequest) -> Sequence[Completion]:
    """A student that first does not know which order, and then agrees with itself."""
    if any(message.role == "tool" for message in request.messages):
        return [Completion("It is on its way.")] * request.n
    return [calls("refund", f"call_{number}", "", id=number) for number in range(request.n)]


async def served(store: Store, *, success: bool) -> ChatRuntime:
    """An episode of two calls: the teacher looks an order up, the student answers."""
    looked_up = calls("get_order", "call_7", "I look.", id=7)
    chat = runtime(student(unsure), teacher(same(looked_up)), store)
    messages = conversation("Where is order 7?")
    first = await chat.answer(ChatCall(messages, (LOOKUP, REFUND), episode_id="e"))
    said = first.completions[0]
    turns = (
        *messages,
        Message("assistant", said.text, said.tool_calls),
        Message("tool", "sent yesterday", tool_call_id="call_7"),
    )
    await chat.answer(ChatCall(turns, (LOOKUP, REFUND), episode_id="e"))
    await chat.feedback(Feedback("f", episode_id="e", success=success))
    return chat


def made_of(store: Store) -> DataSet:
    return make_dataset(store, Wishes(validation=0.0), Composer(RuntimeSettings(k=0), 131_072))


def plain(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [{name: value for name, value in turn.items() if name != "weight"} for turn in turns]
    return list(json.loads(json.dumps(found)))


async def test_a_row_holds_what_the_student_was_sent_and_the_answer_given() -> None:
    with Store.open(":memory:") as store:
        chat = await served(store, success=True)
        made = made_of(store)
        rows = made.examples["train"]
        assert [row.kind for row in rows] == ["escalated", "student"]
        assert chat.student is not None
        for row, request in zip(rows, asked(chat.student), strict=True):
            assert plain(row.prompt) == json.loads(json.dumps([message_json(m) for m in request.messages]))
            assert list(row.tools) == [tool_json(tool) for tool in (LOOKUP, REFUND)]
        first, second = rows
        assert first.answer["content"] == "I look."
        (call,) = first.answer["tool_calls"]
        assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == (
            "get_order",
            {"id": 7},
        )
        assert second.answer["content"] == "It is on its way."
        assert [turn.get("weight") for turn in second.messages if turn["role"] == "assistant"] == [0, 1]
        for row in rows:
            receipt = store.decision(row.origins[0].decision)
            assert receipt is not None
            assert receipt.body["action"] == row.action
        await chat.close()


async def test_a_pair_prefers_the_teachers_call_to_each_of_the_students() -> None:
    with Store.open(":memory:") as store:
        chat = await served(store, success=True)
        pairs = made_of(store).pairs["train"]
        assert pairs
        for pair in pairs:
            assert pair.chosen[0]["tool_calls"][0]["function"]["name"] == "get_order"
            assert pair.rejected[0]["tool_calls"][0]["function"]["name"] == "refund"
            assert list(pair.tools) == [tool_json(tool) for tool in (LOOKUP, REFUND)]
        await chat.close()


async def test_an_episode_with_an_erased_receipt_is_not_learned_from() -> None:
    with Store.open(":memory:") as store:
        chat = await served(store, success=True)
        store.chain.erase("default", [store.decisions("e")[0].id], "2026-11-22T00:00:00+00:00")
        with pytest.raises(ConfigurationError, match="1 with erased receipts"):
            made_of(store)
        await chat.close()
