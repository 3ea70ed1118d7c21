"""One step, from its context to a durable receipt: who acts, what is asked, what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from icd.backends.base import Capabilities
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
