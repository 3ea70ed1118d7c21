"""A model call of an agent, from its messages to a recorded answer."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from chat_world import (
    LOOKUP,
    NOW,
    ONE_BY_ONE,
    REFUND,
    asked,
    calls,
    conversation,
    different,
    runtime,
    same,
    student,
    teacher,
)
from hypothesis import given
from hypothesis import strategies as st

from icd import Budget, Guards, parse_policy
from icd.backends.base import Capabilities, ChatRequest, Completion, Delta, Message
from icd.chat.call import ChatAnswer, ChatCall, Feedback, Settled
from icd.chat.runtime import SHADOW, ChatRuntime
from icd.chat.tenants import Service
from icd.errors import (
    BackendError,
    BackendOverloadedError,
    BudgetError,
    ConfigurationError,
    ContextOverflowError,
    UnknownEpisodeError,
)
from icd.testing import FlakyBackend
from icd_memory.rows import KeyRow
from icd_memory.store import Store

WHERE = conversation("Where is order 5?")


async def test_agreeing_samples_are_answered_by_the_student_in_one_request() -> None:
    cheap, dear = student(same("It was sent.")), teacher(same("unused"))
    answer = await runtime(cheap, dear).answer(ChatCall(WHERE))
    assert (answer.decision.acted_by, answer.decision.reason) == ("student", "agreed")
    assert [c.text for c in answer.completions] == ["It was sent."]
    assert answer.model == "gpt-4.1-mini"
    assert [request.n for request in asked(cheap)] == [3]
    assert asked(dear) == []


async def test_disagreement_is_answered_by_the_teacher_with_the_clients_own_conversation() -> None:
    cheap, dear = student(different), teacher(same("Order 5 was sent."))
    answer = await runtime(cheap, dear).answer(ChatCall(WHERE, temperature=0.7, tools=(LOOKUP,)))
    assert (answer.decision.acted_by, answer.decision.reason) == ("teacher", "disagreed")
    [request] = asked(dear)
    assert request.messages == WHERE
    assert (request.temperature, request.tools, request.n) == (0.7, (LOOKUP,), 1)
    assert answer.decision.cost > 0
    assert {charge.role for charge in answer.decision.charges} == {"student", "teacher"}


async def test_one_by_one_sampling_stops_at_the_first_disagreement() -> None:
    answers = iter(["one", "two", "never"])
    cheap = student(lambda request: [next(answers)], capabilities=ONE_BY_ONE)
    answer = await runtime(cheap, teacher(same("x"))).answer(ChatCall(WHERE))
    assert len(asked(cheap)) == 2
    assert answer.decision.acted_by == "teacher"


async def test_equal_calls_agree_whatever_their_ids_and_spelling() -> None:
    spelled = [
        calls("get_order", "a", id=5),
        calls("get_order", "b", "Let me look.", id=5),
        Completion("", tool_calls=(calls("get_order", "c", id=5).tool_calls[0],)),
    ]
    answer = await runtime(student(lambda request: spelled), teacher(same("x"))).answer(
        ChatCall(WHERE, tools=(LOOKUP,))
    )
    assert answer.decision.acted_by == "student"
    assert answer.completions[0].tool_calls[0].id == "a"
    assert answer.decision.action == '{"tool_calls": [{"name": "get_order", "arguments": {"id": 5}}]}'


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (calls("delete_order", id=5), "delete_order"),
        (calls("get_order", id="five"), "id"),
        (calls("get_order"), "id"),
    ],
)
async def test_a_call_that_does_not_fit_the_live_tools_is_not_trusted(said: Completion, problem: str) -> None:
    chat = runtime(student(same(said)), teacher(same("Sorry.")), guards=Guards(validity=True))
    answer = await chat.answer(ChatCall(WHERE, tools=(LOOKUP,)))
    assert (answer.decision.acted_by, answer.decision.reason) == ("teacher", "invalid")
    assert problem in answer.decision.samples[0].problem


async def test_what_led_back_here_is_not_trusted_again() -> None:
    chat = runtime(student(same("Try again.")), teacher(same("Call us.")), guards=Guards(progress=True))
    stuck = conversation("It fails.", "Try again.", "It fails.")
    assert (await chat.answer(ChatCall(stuck))).decision.reason == "stuck"
    moved = conversation("It fails.", "Try again.", "It works now, but how do I log out?")
    assert (await chat.answer(ChatCall(moved))).decision.reason == "agreed"


async def test_free_texts_that_are_alike_agree() -> None:
    said = [
        "Your order was sent on Monday.",
        "your order was sent on monday!",
        "Your order was sent out on Monday.",
    ]
    chat = runtime(student(lambda request: said), teacher(same("x")), text_similarity=0.8)
    assert (await chat.answer(ChatCall(WHERE))).decision.acted_by == "student"
    strict = runtime(student(lambda request: said), teacher(same("x")), text_similarity=1.0)
    assert (await strict.answer(ChatCall(WHERE))).decision.acted_by == "teacher"


async def test_a_student_without_tools_hands_the_step_over() -> None:
    unable = student(same("x"), capabilities=Capabilities(shared_prompt=True))
    chat = runtime(unable, teacher(same(calls("get_order", id=5))))
    answer = await chat.answer(ChatCall(WHERE, tools=(LOOKUP,)))
    assert (answer.decision.acted_by, answer.decision.reason) == ("teacher", "incapable")
    assert asked(unable) == []
    with pytest.raises(ConfigurationError, match="cannot call tools"):
        await chat.answer(ChatCall(WHERE, tools=(LOOKUP,), policy=parse_policy("student")))


async def test_a_conversation_too_long_for_the_student_goes_to_the_teacher() -> None:
    small = student(same("x"), capabilities=Capabilities(shared_prompt=True, context_tokens=512))
    chat = runtime(small, teacher(same("Read.")))
    long = conversation("word " * 1_000)
    answer = await chat.answer(ChatCall(long))
    assert (answer.decision.acted_by, answer.decision.reason) == ("teacher", "incapable")
    with pytest.raises(ContextOverflowError):
        await chat.answer(ChatCall(long, policy=parse_policy("student")))


async def test_a_failing_student_is_a_disagreement() -> None:
    cheap = student(same("x"))
    broken = cheap.with_backend(FlakyBackend(cheap.backend, [BackendOverloadedError("busy")]))
    answer = await runtime(broken, teacher(same("Here."))).answer(ChatCall(WHERE))
    assert answer.decision.acted_by == "teacher"
    broken = cheap.with_backend(FlakyBackend(cheap.backend, [BackendOverloadedError("busy")]))
    with pytest.raises(BackendOverloadedError):
        await runtime(broken, None).answer(ChatCall(WHERE, policy=parse_policy("student")))


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failing_teacher_is_an_error_unless_the_user_wants_the_students_best(streamed: bool) -> None:
    dear = teacher(same("x"))

    def failing() -> ChatRuntime:
        broken = dear.with_backend(FlakyBackend(dear.backend, [BackendOverloadedError("busy")] * 9))
        return runtime(student(different), broken, fall_back_to_student=fall_back)

    fall_back = False
    with pytest.raises(BackendOverloadedError):
        await ask(failing(), ChatCall(WHERE), streamed)
    fall_back = True
    answer = await ask(failing(), ChatCall(WHERE), streamed)
    assert (answer.decision.acted_by, answer.decision.reason) == ("student", "teacher_failed")


async def test_several_answers_of_one_call() -> None:
    chat = runtime(student(same("Same.")), teacher(different))
    assert len((await chat.answer(ChatCall(WHERE, n=2))).completions) == 2
    assert len((await chat.answer(ChatCall(WHERE, n=5))).completions) == 5
    assert len((await chat.answer(ChatCall(WHERE, n=5, policy=parse_policy("teacher")))).completions) == 5
    one_by_one = runtime(student(lambda r: ["Same."], capabilities=ONE_BY_ONE), teacher(different))
    assert len((await one_by_one.answer(ChatCall(WHERE, n=3))).completions) == 3


# Episodes


async def test_an_unchanged_client_gets_its_steps_grouped() -> None:
    chat = runtime(student(same("Which one?")), teacher(same("x")))
    first = await chat.answer(ChatCall(WHERE))
    second = await chat.answer(
        ChatCall((*WHERE, Message("assistant", "Which one?"), Message("user", "Number 5.")))
    )
    other = await chat.answer(ChatCall(WHERE))
    assert (first.step, second.step, other.step) == (0, 1, 0)
    assert first.episode_id == second.episode_id != other.episode_id


async def test_equal_conversations_at_once_keep_their_own_episodes() -> None:
    chat = runtime(student(same("Which one?")), teacher(same("x")))
    firsts = [await chat.answer(ChatCall(WHERE)) for _ in range(3)]
    on = (*WHERE, Message("assistant", "Which one?"), Message("user", "Number 5."))
    seconds = [await chat.answer(ChatCall(on)) for _ in range(3)]
    assert {a.episode_id for a in firsts} == {a.episode_id for a in seconds}
    assert [a.step for a in seconds] == [1, 1, 1]


async def test_a_conversation_is_recognised_after_a_restart(tmp_path: Path) -> None:
    on = (*WHERE, Message("assistant", "Which one?"), Message("user", "Number 5."))
    with Store.open(tmp_path / "icd.db") as store:
        chat = runtime(student(same("Which one?")), teacher(same("x")), store)
        first = await chat.answer(ChatCall(WHERE))
        await chat.close()
    with Store.open(tmp_path / "icd.db") as store:
        chat = runtime(student(same("It was sent.")), teacher(same("x")), store)
        second = await chat.answer(ChatCall(on))
        stranger = await chat.answer(ChatCall(on, tenant="other"))
        await chat.close()
    assert (second.episode_id, second.step) == (first.episode_id, 1)
    assert stranger.episode_id != first.episode_id


async def test_a_named_episode_stays_one_though_its_client_forgets_old_turns() -> None:
    chat = runtime(student(same("Go on.")), teacher(same("x")))
    first = await chat.answer(ChatCall(WHERE, episode_id="mine"))
    second = await chat.answer(ChatCall(conversation("Where?", "It is near.", "And now?"), episode_id="mine"))
    assert first.episode_id == second.episode_id == "mine"
    assert second.step == 1


# Learning


async def test_a_successful_episode_becomes_a_demonstration_for_the_next_one() -> None:
    def imitating(request: ChatRequest) -> Sequence[Completion | str]:
        shown = 'Called: get_order({"id": 5})' in request.messages[-1].content
        return [calls("get_order", id=7)] * request.n if shown else different(request)

    chat = runtime(student(imitating), teacher(same(calls("get_order", id=5))), k=2)
    first = await chat.answer(ChatCall(WHERE, tools=(LOOKUP,)))
    assert first.decision.acted_by == "teacher"
    result = await chat.feedback(Feedback("f1", episode_id=first.episode_id, success=True))
    assert result.status == "demonstration"
    other = conversation("Where is order 7?")
    second = await chat.answer(ChatCall(other, tools=(LOOKUP,)))
    assert second.decision.acted_by == "student"
    assert second.decision.excerpts[0].trajectory_id.startswith("live-")
    without = await chat.answer(ChatCall(other, tools=(REFUND,)))
    assert without.decision.excerpts == ()
    elsewhere = await chat.answer(ChatCall(other, tools=(LOOKUP,), tenant="other"))
    assert elsewhere.decision.excerpts == ()


async def test_feedback_is_idempotent_and_the_latest_verdict_holds() -> None:
    chat = runtime(student(different), teacher(same("Here.")), k=2)
    answer = await chat.answer(ChatCall(WHERE))

    async def say(id: str, success: bool | None) -> tuple[bool, str]:
        result = await chat.feedback(Feedback(id, episode_id=answer.episode_id, success=success))
        return result.new, result.status

    def demonstrations() -> int:
        assert chat.store is not None
        return len(chat.store.listing(environment="chat", status="demonstration"))

    assert await say("a", True) == (True, "demonstration")
    assert await say("a", True) == (False, "demonstration")
    assert demonstrations() == 1
    assert await say("b", False) == (True, "rejected")
    assert demonstrations() == 0
    assert await say("a", True) == (False, "rejected")
    assert demonstrations() == 0
    assert await say("c", True) == (True, "demonstration")
    assert demonstrations() == 1


async def test_feedback_about_one_decision_is_kept_and_judges_nothing() -> None:
    chat = runtime(student(different), teacher(same("Here.")))
    answer = await chat.answer(ChatCall(WHERE))
    said = Feedback("a", decision_id=answer.decision.receipt_id, success=True, comment="nice")
    assert (await chat.feedback(said)).status == "recorded"
    assert chat.store is not None
    assert chat.store.feedback("default", answer.episode_id)[0].comment == "nice"


async def test_feedback_of_another_tenant_finds_nothing() -> None:
    chat = runtime(student(different), teacher(same("Here.")))
    answer = await chat.answer(ChatCall(WHERE))
    for said in (
        Feedback("a", episode_id=answer.episode_id, success=True, tenant="other"),
        Feedback("a", decision_id=answer.decision.receipt_id, tenant="other"),
        Feedback("a", episode_id="nowhere"),
    ):
        with pytest.raises(UnknownEpisodeError):
            await chat.feedback(said)


async def test_repeated_calls_do_not_become_steps_of_the_demonstration() -> None:
    chat = runtime(student(different), teacher(same("Which one?")), k=2)
    first = await chat.answer(ChatCall(WHERE, episode_id="e"))
    await chat.answer(ChatCall(WHERE, episode_id="e"))
    on = (*WHERE, Message("assistant", "Which one?"), Message("user", "Number 5."))
    await chat.answer(ChatCall(on, episode_id="e"))
    await chat.feedback(Feedback("f", episode_id="e", success=True))
    assert chat.store is not None
    [trajectory] = chat.store.trajectories(environment="chat")
    assert [step.observation for step in trajectory.steps] == ["Where is order 5?", "Number 5."]
    assert {step.actor for step in trajectory.steps} == {"teacher"}
    assert first.episode_id == trajectory.task_id


# Modes


async def test_observing_asks_the_teacher_alone() -> None:
    cheap = student(same("x"))
    answer = await runtime(cheap, teacher(same("Here.")), mode="observe").answer(ChatCall(WHERE))
    assert (answer.decision.acted_by, answer.decision.reason) == ("teacher", "policy")
    assert asked(cheap) == []


async def test_a_shadow_scores_the_student_beside_the_teachers_answer() -> None:
    chat = runtime(student(same("It was sent.")), teacher(same("it was sent")), mode="shadow")
    answer = await chat.answer(ChatCall(WHERE))
    assert answer.decision.acted_by == "teacher"
    assert {charge.role for charge in answer.decision.charges} == {"teacher"}
    await chat.close()
    assert chat.store is not None
    [told, shadow] = sorted(chat.store.decisions(answer.episode_id), key=lambda row: len(row.id))
    assert shadow.id == told.id + SHADOW
    assert (shadow.body["acted_by"], shadow.body["reason"]) == ("student", "agreed")
    assert shadow.body["agrees_with_teacher"] == [True, True, True]
    assert {row.role for row in chat.store.ledger()} == {"student", "teacher"}


async def test_no_key_pays_for_shadows() -> None:
    chat = runtime(student(same("No.")), teacher(same("Yes.")), mode="shadow")
    await chat.answer(ChatCall(WHERE, account="a"))
    await chat.close()
    assert chat.store is not None
    assert {(row.role, row.account) for row in chat.store.ledger()} == {("student", ""), ("teacher", "a")}


async def test_a_shadow_that_fails_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    poor = student(same("No."), budget=Budget(0.0))
    chat = runtime(poor, teacher(same("Yes.")), mode="shadow")
    assert (await chat.answer(ChatCall(WHERE))).decision.acted_by == "teacher"
    await chat.close()
    assert "the budget" in caplog.text


async def test_shadows_are_no_steps_of_the_episode() -> None:
    chat = runtime(student(same("No.")), teacher(same("Yes.")), mode="shadow")
    answer = await chat.answer(ChatCall(WHERE))
    while chat.store and len(chat.store.decisions(answer.episode_id)) < 2:
        await asyncio.sleep(0)
    await chat.feedback(Feedback("f", episode_id=answer.episode_id, success=True))
    [trajectory] = chat.store.trajectories(environment="chat") if chat.store else []
    assert [step.action for step in trajectory.steps] == ["Yes."]


async def test_a_tenant_is_switched_without_a_restart() -> None:
    chat = runtime(student(same("Mine.")), teacher(same("Hers.")), mode="observe")
    call = ChatCall(WHERE, tenant="acme")
    assert (await chat.answer(call)).decision.acted_by == "teacher"
    chat.tenants.change("acme", Service("cascade", parse_policy("unanimity(2)")), NOW)
    answer = await chat.answer(call)
    assert answer.decision.acted_by == "student"
    assert len(answer.decision.samples) == 2
    assert (await chat.answer(ChatCall(WHERE))).decision.acted_by == "teacher"
    assert (await chat.answer(ChatCall(WHERE, policy=parse_policy("student")))).decision.acted_by == "student"


# Streams


async def ask(chat: ChatRuntime, call: ChatCall, streamed: bool) -> ChatAnswer:
    if not streamed:
        return await chat.answer(call)
    items = [item async for item in chat.stream(call)]
    assert isinstance(items[0], Settled)
    assert all(isinstance(item, Delta) for item in items[1:-1])
    answer = items[-1]
    assert isinstance(answer, ChatAnswer)
    assert items[0].receipt_id == answer.decision.receipt_id
    return answer


@given(st.sampled_from(["student", "teacher", "unanimity(3)"]), st.booleans(), st.booleans())
def test_a_stream_ends_as_the_whole_answer_would(policy: str, agree: bool, with_tools: bool) -> None:
    said: str | Completion = calls("get_order", id=5) if with_tools else "It was sent."
    cheap = student(same(said) if agree else different)
    call = ChatCall(WHERE, tools=(LOOKUP,), policy=parse_policy(policy))
    whole = asyncio.run(ask(runtime(cheap, teacher(same(said))), call, False))
    pieces = asyncio.run(ask(runtime(cheap, teacher(same(said))), call, True))
    assert pieces.completions[0].text == whole.completions[0].text
    assert pieces.completions[0].tool_calls == whole.completions[0].tool_calls
    assert (pieces.decision.acted_by, pieces.decision.reason) == (
        whole.decision.acted_by,
        whole.decision.reason,
    )
    assert pieces.decision.cost == pytest.approx(whole.decision.cost)


async def test_a_stream_that_is_left_is_billed_for_what_it_showed() -> None:
    chat = runtime(student(different), teacher(same("A long answer that nobody will read to its end.")))
    stream = chat.stream(ChatCall(WHERE, policy=parse_policy("teacher")))
    assert isinstance(await anext(stream), Settled)
    assert isinstance(await anext(stream), Delta)
    await stream.aclose()
    await chat.close()
    assert chat.store is not None
    [row] = chat.store.ledger()
    assert row.decision_id is None
    assert row.estimated
    assert row.cost > 0


# Receipts and budgets


async def test_the_receipt_is_there_when_the_answer_is() -> None:
    chat = runtime(student(different), teacher(same("Here.")))
    answer = await chat.answer(ChatCall(WHERE, tools=(LOOKUP,), category="shop", account="k1"))
    assert chat.store is not None
    row = chat.store.decision(answer.decision.receipt_id)
    assert row is not None
    assert (row.tenant, row.episode_id, row.step) == ("default", answer.episode_id, 0)
    assert row.body["category"] == "shop"
    assert row.body["policy"] == "unanimity(3)"
    assert len(row.body["samples"]) == 3
    texts = chat.store.texts([*row.body["messages"], row.body["tools"]])
    assert "get_order" in texts[row.body["tools"]]
    assert [texts[key] for key in row.body["messages"]][1] == '{"role":"user","content":"Where is order 5?"}'
    ledger = chat.store.ledger(episode_id=answer.episode_id)
    assert sum(entry.cost for entry in ledger) == pytest.approx(answer.decision.cost)
    assert {entry.account for entry in ledger} == {"k1"}


async def test_a_keys_budget_is_never_exceeded_by_calls_at_once() -> None:
    with Store.open(":memory:") as store:
        store.accounts.add_key(KeyRow("k1", "default", "agent", "", b"", b"", NOW, budget=0.002))
        chat = runtime(student(different), teacher(same("word " * 50)), store, max_tokens=200)
        call = ChatCall(WHERE, account="k1")
        results = await asyncio.gather(*(chat.answer(call) for _ in range(60)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, BudgetError)]
        answered = [result for result in results if isinstance(result, ChatAnswer)]
        assert len(refused) + len(answered) == 60
        assert refused
        assert answered
        assert store.accounts.spent("k1") <= 0.002
        again = runtime(student(different), teacher(same("x")), store)
        assert again.budgets is not None
        (budget,) = again.budgets.payers("default", "k1", "e")
        assert budget.spent == pytest.approx(store.accounts.spent("k1"))
        await chat.close()
        await again.close()


async def test_what_was_paid_is_recorded_though_no_answer_came_of_it() -> None:
    dear = teacher(same("x"))
    broken = dear.with_backend(FlakyBackend(dear.backend, [BackendOverloadedError("busy")]))
    chat = runtime(student(different), broken)
    with pytest.raises(BackendOverloadedError):
        await chat.answer(ChatCall(WHERE))
    await chat.close()
    assert chat.store is not None
    [row] = chat.store.ledger()
    assert (row.role, row.decision_id) == ("student", None)


async def test_a_step_that_the_teacher_cannot_be_paid_for_stays_with_the_student() -> None:
    chat = runtime(student(different), teacher(same("x"), budget=Budget(0.0)))
    answer = await chat.answer(ChatCall(WHERE))
    assert (answer.decision.acted_by, answer.decision.reason) == ("student", "budget")


async def test_a_student_that_gave_nothing_is_no_answer_where_the_teacher_cannot_be_paid_for() -> None:
    cheap = student(same("x"))
    broken = cheap.with_backend(FlakyBackend(cheap.backend, [BackendOverloadedError("busy")] * 9))
    chat = runtime(broken, teacher(same("x"), budget=Budget(0.0)), fall_back_to_student=True)
    with pytest.raises(BudgetError):
        await chat.answer(ChatCall(WHERE))
    with pytest.raises(BackendError, match="no teacher"):
        await runtime(broken, None).answer(ChatCall(WHERE))


async def test_a_policy_without_its_model_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match=r"\[teacher\]"):
        await runtime(student(different), None).answer(ChatCall(WHERE, policy=parse_policy("teacher")))
    with pytest.raises(ConfigurationError, match="copy"):
        await runtime(student(different), None).answer(ChatCall(WHERE, policy=parse_policy("copy")))
