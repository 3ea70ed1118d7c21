"""Live traffic is stored without secrets and personal data, and stays usable."""

from __future__ import annotations

import json

from chat_world import LOOKUP, NOW, asked, calls, conversation, priced, same

from icd import Message
from icd.backends.base import Completion, Tool
from icd.chat.call import ChatAnswer, ChatCall, Feedback
from icd.chat.reading import AnswerReader
from icd.chat.runtime import ChatRuntime, ChatSettings
from icd.chat.schemas import ToolSchemas
from icd_memory.embedding import HashingEmbedder
from icd_memory.retrieval import Memory
from icd_memory.store import Store

EMAIL, KEY = "ana.lopez@example.com", "sk-" + "a1B2c3D4" * 6
MAIL = Tool("send", "Send a mail.", {"type": "object", "properties": {"to": {"type": "string"}}})


def opened(store: Store, answer: str | Completion, redact: bool = True) -> ChatRuntime:
    memory = Memory.open(store, HashingEmbedder(), redact=redact)
    student, teacher = priced(same(answer), "gpt-4.1-mini"), priced(same(answer), "gpt-4.1")
    return ChatRuntime(
        student=student, teacher=teacher, memory=memory, settings=ChatSettings(), now=lambda: NOW
    )


async def played(runtime: ChatRuntime) -> ChatAnswer:
    messages = conversation(f"Write to {EMAIL}, my key is {KEY}")
    first = await runtime.answer(ChatCall(messages, (MAIL,)))
    later = (
        *messages,
        Message("assistant", "", first.completions[0].tool_calls),
        Message("tool", f"{EMAIL}: ok", (), "call_1"),
    )
    return await runtime.answer(ChatCall(later, (MAIL,)))


def everything(store: Store, episode: str) -> str:
    rows = store.decisions(episode)
    hashes = {key for row in rows for key in (*row.body["messages"], row.body["tools"])}
    texts = store.texts(hashes)
    assert set(texts) == hashes
    return json.dumps([*(row.body for row in rows), *texts.values(), *(t.goal for t in store.trajectories())])


async def test_nothing_of_it_is_stored() -> None:
    with Store.open(":memory:") as store:
        runtime = opened(store, calls("send", to=EMAIL))
        last = await played(runtime)
        said = Feedback("f", last.episode_id, success=True, comment=f"{EMAIL} was happy")
        assert (await runtime.feedback(said)).status == "demonstration"
        stored = everything(store, last.episode_id) + store.feedback("default", last.episode_id)[0].comment
        assert EMAIL not in stored
        assert KEY not in stored
        (found,) = store.trajectories()
        assert found.goal == "Write to <email-1>, my key is <api-key-1>"
        assert [step.action for step in found.steps] == [
            '{"tool_calls": [{"name": "send", "arguments": {"to": "<email-1>"}}]}'
        ] * 2
        assert found.steps[1].observation == "send: <email-1>: ok"
        assert store.feedback("default", last.episode_id)[0].comment == "<email-1> was happy"
        # The client has what it was given, and the next agent is told what the words mean.
        assert json.loads(last.completions[0].tool_calls[0].arguments) == {"to": EMAIL}
        await runtime.answer(ChatCall(conversation("Write to bob@example.com"), (MAIL,)))
        assert runtime.student is not None
        shown = "".join(message.content for message in asked(runtime.student)[-1].messages)
        assert "<email-1> stands for a value that was left out" in shown
        await runtime.close()


async def test_it_can_be_turned_off() -> None:
    with Store.open(":memory:") as store:
        runtime = opened(store, calls("send", to=EMAIL), redact=False)
        last = await played(runtime)
        assert EMAIL in everything(store, last.episode_id)
        await runtime.close()


def test_an_answer_that_would_send_a_placeholder_is_invalid() -> None:
    def problem(to: str, question: str) -> str:
        call = ChatCall(conversation(question), (MAIL, LOOKUP))
        (candidate,) = AnswerReader(call, ToolSchemas(call.tools), None, 0.9).read([calls("send", to=to)])
        assert candidate.admissible == (not candidate.problem)
        return candidate.problem

    assert "<email-1>" in problem("<email-1>", "Write to bob")
    assert not problem(EMAIL, "Write to bob")
    assert not problem("<email-1>", "Send <email-1> literally")
