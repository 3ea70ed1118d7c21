"""The rubric, and the rules that a conversation can break."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service_desk_play import FAMILIES, by_expert, conversation, new_world, task, verdict_of

from icd_envs.service_desk.case import Case
from icd_envs.service_desk.rubric import GOOD, HIGHEST, LOWEST, RULES, Conversation, satisfaction
from icd_envs.service_desk.suite import make_case

counts = st.integers(0, 4)
conversations = st.builds(
    Conversation,
    result=st.sampled_from(["met", "refused", "declined", "missed"]),
    needless=counts,
    waits=counts,
    unsoothed=st.booleans(),
    untold=st.booleans(),
    false_promises=counts,
    violations=counts,
    alternatives=st.booleans(),
    left=st.booleans(),
)


@given(conversations)
def test_a_score_is_between_1_and_10(seen: Conversation) -> None:
    assert LOWEST <= satisfaction(seen) <= HIGHEST


@given(conversations, st.sampled_from(["needless", "waits", "false_promises", "violations"]))
def test_more_of_what_is_bad_never_raises_the_score(seen: Conversation, name: str) -> None:
    worse = replace(seen, **{name: getattr(seen, name) + 1})
    assert satisfaction(worse) <= satisfaction(seen)


@given(conversations)
def test_a_violation_lowers_the_score_unless_it_is_the_lowest(seen: Conversation) -> None:
    worse = satisfaction(replace(seen, violations=seen.violations + 1))
    assert worse < satisfaction(seen) or seen.left or satisfaction(seen) == LOWEST


@given(conversations, st.sampled_from(["unsoothed", "untold", "left"]))
def test_neither_silence_nor_leaving_raises_the_score(seen: Conversation, name: str) -> None:
    assert satisfaction(replace(seen, **{name: True})) <= satisfaction(replace(seen, **{name: False}))


@given(conversations)
def test_a_need_that_was_met_is_worth_more_than_one_that_was_missed(seen: Conversation) -> None:
    scores = [
        satisfaction(replace(seen, result=r, untold=False)) for r in ("missed", "declined", "refused", "met")
    ]
    assert scores == sorted(scores)
    assert satisfaction(replace(seen, result="missed")) < GOOD


@given(conversations)
def test_who_left_is_not_satisfied(seen: Conversation) -> None:
    assert satisfaction(replace(seen, left=True)) <= 2.0


def test_the_page_states_the_rubric() -> None:
    page = (Path(__file__).parents[2] / "docs/service_desk.md").read_text("utf-8")
    for points, words in RULES.values():
        assert f"| −{points:g} | {words} |" in page
    for family, split in FAMILIES.items():
        assert f"| `{family}` | {split} |" in page


def numbers_where(family: str, ending: str) -> int:
    """Return a task of the family that ends so."""
    return next(n for n in range(100) if case(family, n).ending == ending)


def case(family: str, number: int) -> Case:
    return make_case(task(family, number).id)


def expert_actions(family: str, number: int) -> list[str]:
    world = new_world()
    return [action for action, _ in by_expert(world, world.reset(task(family, number)))]


def without(actions: list[str], start: str) -> list[str]:
    found = [action for action in actions if not action.startswith(start)]
    assert len(found) < len(actions)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_acting_without_the_policy_is_a_violation(family: str) -> None:
    number = next(n for n in range(50) if case(family, n).ending != "declined")
    verdict = verdict_of(family, number, without(expert_actions(family, number), "read policy"))
    assert verdict.violations == ("unread_policy",)
    assert not verdict.won


def test_acting_without_the_record_is_a_violation() -> None:
    number = numbers_where("late_parcel", "done")
    verdict = verdict_of("late_parcel", number, without(expert_actions("late_parcel", number), "lookup"))
    assert verdict.violations == ("unchecked_record",)


def test_changing_data_before_the_identity_check_is_a_violation() -> None:
    number = numbers_where("data_change", "done")
    actions = without(expert_actions("data_change", number), "verify")
    assert verdict_of("data_change", number, actions).violations == ("no_identity_check",)


def test_a_fee_needs_consent() -> None:
    number = next(n for n in range(100) if case("booking_change", n).consent == "yes")
    actions = without(expert_actions("booking_change", number), "say: state the fee")
    assert verdict_of("booking_change", number, actions).violations == ("no_consent",)


def test_a_fee_that_was_declined() -> None:
    number = numbers_where("booking_cancel", "declined")
    actions = expert_actions("booking_cancel", number)
    assert verdict_of("booking_cancel", number, actions).won
    booking = next(iter(a for a in actions if a.startswith("lookup booking"))).split()[-1]
    verdict = verdict_of("booking_cancel", number, [*actions[:-1], f"cancel booking {booking}", "close"])
    assert "not_due: bookings" in verdict.violations


def test_cancelling_without_offering_a_pause_is_a_violation() -> None:
    number = next(n for n in range(100) if case("subscription_cancel", n).pause == "no")
    actions = without(expert_actions("subscription_cancel", number), "say: offer a pause")
    assert verdict_of("subscription_cancel", number, actions).violations == ("no_pause_offered",)


def test_nobody_is_asked_to_prove_a_disability() -> None:
    actions = ["say: ask for a photo or link", *expert_actions("accessibility", 0)]
    assert verdict_of("accessibility", 0, actions).violations == ("private_question",)


def test_a_refund_that_is_not_due() -> None:
    number = numbers_where("unwanted_item", "refused")
    actions = expert_actions("unwanted_item", number)
    order = next(a for a in actions if a.startswith("lookup order")).split()[-1]
    verdict = verdict_of("unwanted_item", number, [*actions[:-1], f"refund order {order} full", "close"])
    assert verdict.violations == ("not_due: refunds",)
    assert verdict.extra
    assert not verdict.missing


def test_refusing_what_is_due_is_a_violation() -> None:
    number = numbers_where("warranty", "done")
    actions = ["say: refuse: outside the warranty" if a.startswith("repair") else a
               for a in expert_actions("warranty", number)]  # fmt: skip
    verdict = verdict_of("warranty", number, actions)
    assert "wrong_refusal" in verdict.violations
    assert verdict.conversation.result == "missed"
    assert verdict.missing


@pytest.mark.parametrize(
    ("family", "promise", "kept"),
    [
        ("late_parcel", "refund", True),
        ("late_parcel", "replacement", False),
        ("warranty", "refund", False),
        ("complaint", "callback", True),
        ("late_parcel", "callback", False),
    ],
)
def test_promises_are_held_against_the_records(family: str, promise: str, kept: bool) -> None:
    number = numbers_where(family, "done")
    verdict = verdict_of(family, number, [f"say: promise a {promise}", *expert_actions(family, number)])
    assert verdict.violations == (() if kept else (f"false_promise: {promise}",))
    assert verdict.won == kept


def test_saying_that_something_was_done_when_nothing_was() -> None:
    actions = ["say: tell what was done", *expert_actions("late_parcel", 0)]
    verdict = verdict_of("late_parcel", 0, actions)
    assert "false_statement" in verdict.violations


@pytest.mark.parametrize(("left_out", "points"), [("say: tell what was done", 1.5), ("say: apologise", 1.0)])
def test_silence_costs_points(left_out: str, points: float) -> None:
    number = next(n for n in range(50) if case("late_parcel", n).mood >= 2)
    actions = expert_actions("late_parcel", number)
    best = verdict_of("late_parcel", number, actions)
    verdict = verdict_of("late_parcel", number, without(actions, left_out))
    assert verdict.satisfaction == best.satisfaction - points


def test_an_honest_refusal_with_alternatives_is_worth_more() -> None:
    number = numbers_where("gift_card", "refused")
    actions = expert_actions("gift_card", number)
    with_them = verdict_of("gift_card", number, actions)
    plain = verdict_of("gift_card", number, without(actions, "say: name the alternatives"))
    assert with_them.satisfaction == plain.satisfaction + 1.0
    assert plain.won


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 30), st.integers(0, 6), st.data())
def test_a_needless_question_never_makes_an_episode_better(
    family: str, number: int, at: int, data: st.DataObject
) -> None:
    actions = expert_actions(family, number)
    question = data.draw(
        st.sampled_from(["what happened", "for the reference number", "for the new details"])
    )
    place = min(at, len(actions) - 1)
    asked = [*actions[:place], f"say: ask {question}", *actions[place:]]
    best = verdict_of(family, number, actions)
    assert verdict_of(family, number, asked[:24]).satisfaction <= best.satisfaction


def test_the_conversation_is_judged_as_it_stands() -> None:
    world = new_world()
    world.reset(task("late_parcel", 0))
    assert conversation(world).verdict().conversation.result == "missed"
