"""What the composer shows, what it cuts, and how answers are read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icd.decision import DecisionContext
from icd.errors import ContextOverflowError
from icd.prompting import ACT, THINK, PromptSettings, compose, compose_plan, read_plan, read_step
from icd_memory.retrieval import Excerpt
from icd_memory.trajectory import Step

CONTEXT = DecisionContext(
    goal="heat some tomato and put it in fridge.",
    category="heat",
    observation="You arrive at table 1.",
    plan="1. find a tomato",
    view="Here: table 1 (tomato 1)",
    history=(Step("You are in a room.", "go to table 1", "No tomato found yet."),),
    admissible=("take tomato 1 from table 1", "go to fridge 1"),
    step=1,
)


def excerpt(number: int, goal: str = "heat some egg and put it in microwave.") -> Excerpt:
    steps = (
        Step("You see nothing.", "go to shelf 2", "No egg found yet.", view="Here: middle of the room"),
        Step(
            "You see an egg.",
            f"take egg {number} from shelf 2",
            "Egg is here.",
            view=f"Here: shelf 2 (egg {number})",
        ),
    )
    return Excerpt(f"t{number}", goal, "heat", "1. find an egg", steps, 1, 4, 0.9, 0.9, 0.9, "test")


def text(settings: PromptSettings, *excerpts: Excerpt, budget: int | None = None) -> str:
    return compose(CONTEXT, excerpts, settings, budget_tokens=budget).messages[1].content


def test_names_of_the_present_task_are_filled_in() -> None:
    shown = text(PromptSettings(), excerpt(3))
    assert "take tomato 3 from shelf 2" in shown
    assert "egg" not in shown


def test_names_can_be_left_alone() -> None:
    assert "take egg 3 from shelf 2" in text(PromptSettings(adapt_names=False), excerpt(3))


def test_the_best_excerpt_stands_next_to_the_present_state() -> None:
    shown = text(PromptSettings(), excerpt(1), excerpt(2))
    assert (
        shown.index("tomato 2 from")
        < shown.index("take tomato 1 from shelf 2")
        < shown.index("Here: table 1")
    )


def test_excerpts_stand_where_the_setting_says() -> None:
    after, before = (
        text(PromptSettings(placement=place), excerpt(3)) for place in ("after_history", "before_history")
    )
    assert after.index("> go to table 1") < after.index("tomato 3")
    assert before.index("tomato 3") < before.index("> go to table 1")


@pytest.mark.parametrize(("before", "first"), [(0, False), (1, True)])
def test_the_window_says_how_many_steps_are_shown(before: int, first: bool) -> None:
    assert ("go to shelf 2" in text(PromptSettings(excerpt_before=before), excerpt(3))) is first


def test_history_can_be_limited() -> None:
    assert "> go to table 1" not in text(PromptSettings(history_steps=0), excerpt(3))


def test_without_reasoning_the_cue_asks_for_the_action() -> None:
    prompt = compose(CONTEXT, [excerpt(3)], PromptSettings(reasoning=False))
    assert prompt.cue == ACT
    assert THINK not in prompt.messages[1].content


def test_what_does_not_fit_is_cut_from_the_least_similar_and_told() -> None:
    whole = compose(CONTEXT, [excerpt(1), excerpt(2)], PromptSettings())
    size = sum(len(m.content) for m in whole.messages) // 4
    cut = compose(CONTEXT, [excerpt(1), excerpt(2)], PromptSettings(), budget_tokens=size - 5)
    assert cut.cut == ("excerpt t2",)
    assert "take tomato 1 from shelf 2" in cut.messages[1].content


def test_a_task_that_never_fits_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ContextOverflowError, match="larger window"):
        compose(CONTEXT, [excerpt(1)], PromptSettings(), budget_tokens=10)


def test_the_last_observation_stays_when_the_history_is_cut() -> None:
    context = replace(CONTEXT, view="", history=CONTEXT.history * 30)
    prompt = compose(context, [], PromptSettings(), budget_tokens=200)
    assert prompt.messages[1].content.endswith(context.observation)
    assert prompt.cut


def test_a_plan_prompt_shows_similar_plans() -> None:
    shown = compose_plan(CONTEXT, [excerpt(3)], PromptSettings()).messages[1].content
    assert "1. find an tomato" in shown
    assert shown.endswith(f"Task: {CONTEXT.goal}")


@pytest.mark.parametrize(
    ("answer", "action", "reasoning"),
    [
        (
            "Think: it is here.\nAction: take tomato 1 from table 1\n",
            "take tomato 1 from table 1",
            "it is here.",
        ),
        ("Action:  Go to  Fridge 1 ", "Go to  Fridge 1", ""),
        ("action: a\nmore\nAction: go to fridge 1", "go to fridge 1", "action: a\nmore"),
    ],
)
def test_answers_are_read(answer: str, action: str, reasoning: str) -> None:
    read = read_step(answer, CONTEXT)
    assert (read.action, read.reasoning, read.admissible) == (action, reasoning, True)


@given(st.text().filter(lambda t: "action:" not in t.lower()))
def test_an_answer_without_an_action_is_unreadable(answer: str) -> None:
    read = read_step(answer, CONTEXT)
    assert read.key is None
    assert not read.admissible


def test_an_action_that_is_not_possible_is_told() -> None:
    assert not read_step("Action: fly away", CONTEXT).admissible
    assert read_step("Action: fly away", replace(CONTEXT, admissible=None)).admissible


def test_a_plan_is_its_first_line() -> None:
    assert read_plan("\nPlan: 1. go\nPlan: 2. come") == "1. go"
    assert read_plan(" \n") == ""
