"""One step, from its context to a durable receipt: who acts, what is asked, what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from icd.backends.base import Capabilities, ChatRequest
from icd.calls import PricedModel
from icd.cascade import Guards, parse_policy
from icd.decision import DecisionContext
from icd.errors import BackendReplyError, BudgetError, ConfigurationError
from icd.evidence import tried_here
from icd.ledger import Budget, Price
from icd.prompting import PromptSettings
from icd.runtime import Runtime, RuntimeSettings
from icd.testing import ScriptedBackend
from icd_memory.store import Store
from icd_memory.trajectory import Step

PRICE = Price(1.0, 1.0, 1.0, "test")
ONE_BY_ONE = Capabilities(shared_prompt=False)
SHARED = Capabilities(shared_prompt=True)
CONTEXT = DecisionContext(
    "find the key",
    "search",
    "You are in a hall.",
    view="Here: hall",
    admissible=("go north", "go south"),
    episode_id="e",
)


def answer(action: str) -> str:
    return f"Think: why not.\nAction: {action}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def model(*actions: str, capabilities: Capabilities = SHARED, limit: float | None = None) -> PricedModel:
    backend = ScriptedBackend([answer(a) for a in actions], capabilities=capabilities)
    return PricedModel(backend, PRICE, Budget(limit))


def runtime(
    policy: str,
    student: PricedModel | None = None,
    teacher: PricedModel | None = None,
    store: Store | None = None,
    **settings: object,
) -> Runtime:
    chosen = replace(RuntimeSettings(policy=parse_policy(policy), k=0), **settings)  # type: ignore[arg-type]
    return Runtime(student=student, teacher=teacher, store=store, settings=chosen)


def asked(priced: PricedModel) -> int:
    assert isinstance(priced.backend, ScriptedBackend)
    return len(priced.backend.requests)


async def test_samples_that_agree_are_trusted_and_the_teacher_is_not_asked() -> None:
    student, teacher = model("go north", "Go  North", "go north."), model("go south")
    decision = await runtime("unanimity(3)", student, teacher).decide(CONTEXT)
    assert (decision.acted_by, decision.reason, decision.agreement) == ("student", "agreed", 1.0)
    assert decision.action == "go north"
    assert (asked(student), asked(teacher)) == (1, 0)


async def test_samples_that_disagree_call_the_teacher_for_this_step() -> None:
    student, teacher = model("go north", "go south", "go north"), model("go south")
    decision = await runtime("unanimity(3)", student, teacher).decide(CONTEXT)
    assert (decision.acted_by, decision.reason, decision.action) == ("teacher", "disagreed", "go south")
    assert {charge.role for charge in decision.charges} == {"student", "teacher"}


async def test_without_a_shared_prompt_sampling_stops_at_the_first_disagreement() -> None:
    student = model("go north", "go south", capabilities=ONE_BY_ONE)
    decision = await runtime("unanimity(5)", student, model("go south")).decide(CONTEXT)
    assert asked(student) == 2
    assert decision.acted_by == "teacher"


async def test_an_unreadable_answer_is_a_disagreement() -> None:
    student = PricedModel(ScriptedBackend(["no idea"] * 3, capabilities=SHARED), PRICE, Budget())
    decision = await runtime("unanimity(3)", student, model("go south")).decide(CONTEXT)
    assert (decision.acted_by, decision.reason) == ("teacher", "invalid")


@pytest.mark.parametrize(("guards", "actor"), [(Guards(), "student"), (Guards(validity=True), "teacher")])
async def test_the_validity_guard_is_a_switch(guards: Guards, actor: str) -> None:
    student = model(*["fly away"] * 3)
    decision = await runtime("unanimity(3)", student, model("go south"), guards=guards).decide(CONTEXT)
    assert decision.acted_by == actor


@pytest.mark.parametrize(("guards", "actor"), [(Guards(), "student"), (Guards(progress=True), "teacher")])
async def test_what_was_tried_in_this_very_state_is_not_trusted_again(guards: Guards, actor: str) -> None:
    context = replace(CONTEXT, history=(Step("You are in a hall.", "go north", view="Here: hall"),), step=1)
    student = model(*["go north"] * 3)
    decision = await runtime("unanimity(3)", student, model("go south"), guards=guards).decide(context)
    assert decision.acted_by == actor


async def test_the_support_guard_needs_demonstrations() -> None:
    with pytest.raises(ConfigurationError, match="needs demonstrations"):
        runtime("unanimity(3)", model("go north"), model("go south"), guards=Guards(support=0.5))


async def test_choices_leave_out_what_was_tried_here() -> None:
    context = replace(CONTEXT, history=(Step("You are in a hall.", "go north", view="Here: hall"),), step=1)
    student = model("go south")
    await runtime("student", student).decide(context)
    assert isinstance(student.backend, ScriptedBackend)
    assert student.backend.requests[0].choices == ("go south",)


def test_another_view_is_another_state() -> None:
    context = replace(CONTEXT, history=(Step("You are in a hall.", "go north", view="Here: kitchen"),))
    assert tried_here(context) == frozenset()


def test_what_just_failed_is_not_tried_again() -> None:
    failed = replace(
        CONTEXT,
        observation="Nothing happens.",
        view="Here: hall\nNot possible: fly",
        history=(Step("You are in a hall.", "Fly", view="Here: hall"),),
    )
    assert tried_here(failed) == {"fly"}


async def test_a_teacher_that_cannot_be_paid_is_not_asked() -> None:
    student, teacher = model("go north", "go south", "go south"), model("go north", limit=0.0)
    decision = await runtime("unanimity(3)", student, teacher).decide(CONTEXT)
    assert (decision.acted_by, decision.reason, decision.action) == ("student", "budget", "go south")
    assert asked(teacher) == 0


async def test_a_student_that_cannot_be_paid_is_an_error() -> None:
    with pytest.raises(BudgetError):
        await runtime("student", model("go north", limit=0.0)).decide(CONTEXT)


async def test_a_failing_student_is_a_disagreement() -> None:
    student = PricedModel(ScriptedBackend([], capabilities=SHARED), PRICE, Budget())
    decision = await runtime("unanimity(3)", student, model("go south")).decide(CONTEXT)
    assert decision.acted_by == "teacher"


async def test_a_failing_teacher_is_an_error_unless_the_user_said_otherwise() -> None:
    def broken() -> PricedModel:
        return PricedModel(ScriptedBackend([], capabilities=SHARED), PRICE, Budget())

    split = ("go north", "go south", "go south")
    with pytest.raises(BackendReplyError):
        await runtime("unanimity(3)", model(*split), broken()).decide(CONTEXT)
    decision = await runtime("unanimity(3)", model(*split), broken(), fall_back_to_student=True).decide(
        CONTEXT
    )
    assert (decision.acted_by, decision.reason, decision.action) == ("student", "teacher_failed", "go south")


async def test_the_teacher_sees_the_whole_history_and_no_excerpts() -> None:
    context = replace(CONTEXT, history=(Step("A dark room.", "open door"),), step=1)
    teacher = model("go south")
    await runtime("teacher", teacher=teacher, student_prompt=PromptSettings(history_steps=0)).decide(context)
    assert isinstance(teacher.backend, ScriptedBackend)
    assert "> open door" in teacher.backend.requests[0].messages[1].content


async def test_random_asks_the_teacher_about_as_often_as_said() -> None:
    student, teacher = model(*["go north"] * 400), model(*["go south"] * 400)
    mixed = runtime("random(0.3)", student, teacher)
    decisions = [await mixed.decide(replace(CONTEXT, step=step)) for step in range(400)]
    assert 80 <= sum(d.acted_by == "teacher" for d in decisions) <= 160
    again = runtime("random(0.3)", model(*["go north"] * 400), model(*["go south"] * 400))
    assert [d.acted_by for d in decisions] == [
        (await again.decide(replace(CONTEXT, step=step))).acted_by for step in range(400)
    ]


async def test_the_receipt_and_every_charge_are_stored_before_the_action_is_returned(store: Store) -> None:
    student, teacher = model("go north", "go south", "go north"), model("go south")
    decision = await runtime("unanimity(3)", student, teacher, store).decide(CONTEXT)
    (receipt,) = store.decisions("e")
    assert receipt.id == decision.receipt_id
    assert receipt.body["reason"] == "disagreed"
    assert [sample["action"] for sample in receipt.body["samples"]] == ["go north", "go south", "go north"]
    assert {row.role for row in store.ledger(episode_id="e")} == {"student", "teacher"}
    assert sum(row.cost for row in store.ledger(episode_id="e")) == pytest.approx(decision.cost)


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("student", "needs a student"),
        ("teacher", "needs a teacher"),
        ("copy", "needs a memory"),
        ("calibrated(0.1, 0.1)", "run `icd calibrate` first"),
    ],
)
def test_what_is_missing_is_found_at_the_start(policy: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        runtime(policy)


async def test_sequential_asks_for_no_more_at_once_than_can_be_enough() -> None:
    student = model("go north", "go south", "go north", "go north", "go south")
    decision = await runtime("sequential(5, 0.95)", student, model("go south")).decide(CONTEXT)
    assert isinstance(student.backend, ScriptedBackend)
    assert [request.n for request in student.backend.requests] == [3, 1]
    assert (decision.acted_by, decision.action, decision.agreement) == ("student", "go north", 0.75)


async def test_sequential_samples_are_those_of_one_by_one() -> None:
    def seeded(request: ChatRequest) -> list[str]:
        assert request.seed is not None
        return [answer(f"go {(request.seed + n) % 3}") for n in range(request.n)]

    async def drawn(capabilities: Capabilities) -> list[str]:
        backend = ScriptedBackend(seeded, capabilities=capabilities)
        student = PricedModel(backend, PRICE, Budget())
        decision = await runtime("sequential(9, 0.9)", student, model("go south")).decide(CONTEXT)
        return [sample.action for sample in decision.samples]

    assert await drawn(SHARED) == await drawn(ONE_BY_ONE)


@pytest.mark.parametrize("capabilities", [SHARED, ONE_BY_ONE])
async def test_a_full_record_has_every_sample_and_the_teachers_answer(
    store: Store, capabilities: Capabilities
) -> None:
    student = model(*["go north"] * 5, capabilities=capabilities)
    full = runtime("sequential(5, 0.95)", student, model("go south"), store, record="full")
    decision = await full.decide(CONTEXT)
    assert (decision.acted_by, decision.action) == ("student", "go north")
    assert len(decision.samples) == 5
    assert decision.shadow is not None
    assert decision.shadow.key == "go south"
    (receipt,) = store.decisions("e")
    assert receipt.body["shadow"]["action"] == "go south"
    assert receipt.body["record"] == "full"
    rows = store.ledger(episode_id="e")
    assert {row.role for row in rows if row.counterfactual} == {"teacher"}
    assert decision.cost == pytest.approx(sum(row.cost for row in rows if not row.counterfactual))


async def test_a_full_record_of_a_step_of_the_teacher_asks_it_once() -> None:
    teacher = model("go south")
    split = model("go north", "go south", "go east")
    decision = await runtime("unanimity(3)", split, teacher, record="full").decide(CONTEXT)
    assert (decision.acted_by, decision.shadow, asked(teacher)) == ("teacher", None, 1)


async def test_a_full_record_costs_its_budget() -> None:
    student = model(*["go north"] * 3)
    with pytest.raises(BudgetError):
        await runtime("unanimity(3)", student, model("go south", limit=0.0), record="full").decide(CONTEXT)


def test_a_full_record_needs_a_teacher() -> None:
    with pytest.raises(ConfigurationError, match="record = full needs a teacher"):
        runtime("student", model("go north"), record="full")


@pytest.mark.parametrize(("kind", "actor"), [("exact", "teacher"), ("intent", "student")])
async def test_samples_of_one_intent_agree_where_that_is_enough(kind: str, actor: str) -> None:
    context = replace(CONTEXT, admissible=("go to shelf 1", "go to shelf 2", "go to desk 1"))
    student = model("go to shelf 2", "go to shelf 1", "go to shelf 2")
    agreeing = runtime("unanimity(3)", student, model("go to desk 1"), agreement=kind)
    decision = await agreeing.decide(context)
    assert decision.acted_by == actor
    assert decision.action == ("go to shelf 2" if kind == "intent" else "go to desk 1")


async def test_guards_look_at_the_action_that_is_done_not_at_its_intent() -> None:
    student = model("go to shelf 9", "go to shelf 1", "go to shelf 1")
    context = replace(CONTEXT, admissible=("go to shelf 1",))
    guarded = runtime(
        "unanimity(3)", student, model("go to shelf 1"), agreement="intent", guards=Guards(validity=True)
    )
    assert (await guarded.decide(context)).reason == "invalid"
