"""Strategies behind somebody's agent: in the system prompt, for the live tools only, the same for an episode."""

from __future__ import annotations

from dataclasses import replace

from chat_world import LOOKUP, NOW, REFUND, asked, calls, conversation, runtime, same, student, teacher
from hypothesis import given
from hypothesis import strategies as st

from icd.backends.base import Message
from icd.chat.call import ChatCall, Feedback
from icd.chat.prompting import compose_chat
from icd.chat.runtime import ChatRuntime
from icd.strategy_use import StrategySettings, framed
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import Match, Strategy, StrategyDraft, StrategyOrigin

WHERE = conversation("Where is order 5?")


def strategy(guidance: str, id: str = "s1") -> Strategy:
    return Strategy(
        id, "default", "chat", "Where is an order?", guidance, "", StrategyOrigin(), "approved", 1, 1, "", NOW
    )


def approved(store: Store, scenario: str, guidance: str, tenant: str = "default") -> str:
    library = StrategyLibrary(store, now=lambda: NOW)
    made = library.propose(StrategyDraft(scenario, guidance, "chat", tenant=tenant), by="teacher")
    return library.approve(made.id, by="ada", why="true", tenant=tenant).id


def serving(store: Store, **settings: object) -> ChatRuntime:
    answer = same(calls("get_order", id=5))
    return runtime(
        student(answer),
        teacher(answer),
        store,
        k=0,
        strategies=StrategySettings(k=2, min_similarity=0.3),
        **settings,
    )


def length(messages: object) -> int:
    return sum(len(message.content) for message in messages)  # type: ignore[attr-defined]


@given(guidance=st.text(alphabet="<>/strategiexmpls \n|", max_size=40))
def test_the_clients_system_prompt_stays_and_stands_first(guidance: str) -> None:
    matches = [Match(strategy(f"Be kind. {guidance}"), 0.5)]
    sent = compose_chat(
        WHERE, (), "after_history", room=10**6, count_tokens=length, strategies=matches
    ).messages
    assert sent[0] == Message("system", f"You help customers.\n\n{framed(matches)}")
    assert sent[0].content.count("</strategies>") == 1
    assert sent[1:] == WHERE[1:]


def test_without_a_system_prompt_they_make_one() -> None:
    matches = [Match(strategy("Be kind."), 0.5)]
    sent = compose_chat(
        WHERE[1:], (), "after_history", room=10**6, count_tokens=length, strategies=matches
    ).messages
    assert sent == (Message("system", framed(matches)), *WHERE[1:])


def test_they_are_cut_before_the_conversation_is() -> None:
    matches = [Match(strategy("Be kind."), 0.5), Match(strategy("x" * 500, "s2"), 0.4)]
    composed = compose_chat(WHERE, (), "after_history", room=500, count_tokens=length, strategies=matches)
    assert composed.cut == ("strategy s2",)
    assert "Be kind." in composed.messages[0].content


async def test_the_student_sees_them_the_teacher_and_the_tools_do_not_change() -> None:
    with Store.open(":memory:") as store:
        id = approved(store, "Where is order 5?", "Look the order up first.")
        approved(store, "Where is order 5?", "Theirs.", tenant="other")
        chat = serving(store)
        answer = await chat.answer(ChatCall(WHERE, tools=(LOOKUP,)))
        assert chat.student is not None
        (request,) = asked(chat.student)
        assert request.tools == (LOOKUP,)
        assert request.messages[0].content.startswith("You help customers.\n\n<strategies>")
        assert "Theirs." not in request.messages[0].content
        assert [(one.id, one.shown) for one in answer.decision.strategies] == [(id, True)]
        row = store.decision(answer.decision.receipt_id)
        assert row is not None
        assert row.body["strategies"][0]["id"] == id
        await chat.feedback(Feedback("f1", episode_id=answer.episode_id, success=True, score=9.0))
        assert StrategyLibrary(store).measured(id).shown_outcomes == (1, 1, 9.0)
        await chat.close()


async def test_one_that_names_tools_the_call_does_not_offer_is_not_shown() -> None:
    with Store.open(":memory:") as store:
        approved(store, "Where is order 5?", "Call refund(id) at once.")
        chat = serving(store)
        offered = await chat.answer(ChatCall(WHERE, tools=(LOOKUP, REFUND)))
        assert len(offered.decision.strategies) == 1
        without = await chat.answer(ChatCall(WHERE, tools=(LOOKUP,)))
        assert without.decision.strategies == ()
        await chat.close()


async def test_an_episode_keeps_its_own_so_that_its_prefix_stays() -> None:
    with Store.open(":memory:") as store:
        approved(store, "Where is order 5?", "Look the order up first.")
        chat = serving(store)
        first = ChatCall(WHERE, tools=(LOOKUP,), episode_id="e1")
        answer = await chat.answer(first)
        approved(store, "Where is order 5?", "Newer advice.")
        said = Message("assistant", "It is on its way.")
        later = replace(first, messages=(*WHERE, said, Message("user", "Where is order 6?")))
        again = await chat.answer(later)
        assert again.decision.strategies == answer.decision.strategies
        assert chat.student is not None
        one, two = asked(chat.student)
        assert one.messages[0] == two.messages[0]
        await chat.close()


async def test_without_approved_ones_the_conversation_is_sent_as_it_is() -> None:
    with Store.open(":memory:") as store:
        StrategyLibrary(store).propose(StrategyDraft("Where is order 5?", "Look.", "chat"), by="teacher")
        chat = serving(store)
        await chat.answer(ChatCall(WHERE, tools=(LOOKUP,)))
        assert chat.student is not None
        assert asked(chat.student)[0].messages == WHERE
        await chat.close()
