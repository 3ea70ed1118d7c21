"""What may become a demonstration."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NOW, trajectory

from icd_memory.admission import admit, is_idle, without_idle_steps
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

OUTCOMES = st.none() | st.builds(
    Outcome, st.booleans(), st.just(1.0), st.sampled_from([None, "environment", "feedback"])
)
OBSERVATIONS = st.sampled_from(["You see a mug 1.", "Nothing happens.", "nothing happens", "You open it."])
STEPS = st.lists(
    st.builds(Step, OBSERVATIONS, st.sampled_from("abc"), view=st.sampled_from("uvw")), max_size=8
)


@given(
    outcome=OUTCOMES,
    split=st.sampled_from(["train", "dev", "test"]),
    steps=STEPS,
    known=st.booleans(),
    trusted=st.sampled_from([None, (), ("tests",)]),
)
def test_only_verified_success_outside_of_test_splits_is_shown(
    outcome: Outcome | None,
    split: str,
    steps: list[Step],
    known: bool,
    trusted: tuple[str, ...] | None,
) -> None:
    t = trajectory(outcome=outcome, split=split)
    t = replace(t, steps=tuple(steps))
    verdict = admit(t, test_splits={"test"}, is_known=lambda _: known, trusted_sources=trusted)
    shown = verdict.status == "demonstration"
    assert shown == (
        outcome is not None
        and outcome.success
        and outcome.verified_by is not None
        and split != "test"
        and steps != []
        and not known
        and trusted in (None, ("tests",))
    )
    assert verdict.reason
    assert verdict.trajectory == without_idle_steps(t)


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, "demonstration", "success, verified by environment"),
        ({"outcome": Outcome(True, 1.0)}, "quarantine", "outcome not verified"),
        ({"outcome": None}, "quarantine", "outcome not verified"),
        ({"outcome": Outcome(False, 0.0, "feedback")}, "rejected", "failed, says the feedback"),
        ({"split": "test"}, "rejected", "of the test split test"),
        ({"steps": 0}, "rejected", "no step"),
        ({"provenance": Provenance("web", "who", NOW)}, "quarantine", "source 'web' is not trusted yet"),
    ],
)
def test_the_verdict_says_why(changes: dict[str, object], status: str, reason: str) -> None:
    t = trajectory(**changes)  # type: ignore[arg-type]
    verdict = admit(t, test_splits={"test"}, trusted_sources={"tests"})
    assert (verdict.status, verdict.reason) == (status, reason)


def test_an_action_that_did_nothing_goes_with_its_answer() -> None:
    t = steps_of(
        Step("start", "go to shelf 1", view="v0"),
        Step("You see a mug 1.", "take cup 1", "There is a cup.", view="v1"),
        Step("Nothing happens.", "take mug 1", "There is a mug.", view="v2"),
        Step("You take it.", "look", view="v3"),
    )
    assert without_idle_steps(t).steps == (
        Step("start", "go to shelf 1", view="v0"),
        Step("You see a mug 1.", "take mug 1", "There is a mug.", view="v1"),
        Step("You take it.", "look", view="v3"),
    )


def test_several_idle_actions_in_a_row() -> None:
    t = steps_of(
        Step("start", "a"), Step("Nothing happens.", "b"), Step("Nothing happens.", "c"), Step("Done.", "d")
    )
    assert without_idle_steps(t).steps == (Step("start", "c"), Step("Done.", "d"))


@given(STEPS)
def test_removing_idle_steps_keeps_the_rest_and_is_done_in_one_go(steps: list[Step]) -> None:
    t = steps_of(*steps)
    cleaned = without_idle_steps(t)
    assert without_idle_steps(cleaned) == cleaned
    assert not any(is_idle(step.observation) for step in cleaned.steps[1:])
    idle = sum(is_idle(step.observation) for step in steps[1:])
    assert len(cleaned.steps) == len(steps) - idle
    # What is left acted in this order, and each saw what was seen in the original.
    actions = [step.action for step in steps]
    for step in cleaned.steps:
        actions = actions[actions.index(step.action) + 1 :]
        assert step.observation in [original.observation for original in steps]
    if not idle:
        assert cleaned is t


def steps_of(*steps: Step) -> Trajectory:
    return replace(trajectory(), steps=steps)
