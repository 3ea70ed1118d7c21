"""Hostile guidance is held back, ordinary guidance is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icd_memory.strategy import StrategyText
from icd_memory.strategy_admission import problems, told
from tests.memory.strategy_texts import HELD_OUT_HOSTILE, HELD_OUT_ORDINARY, HOSTILE, ORDINARY, TOOLS

SCENARIO = "A customer asks for a refund of a late delivery."


@pytest.mark.parametrize(("concern", "guidance"), HOSTILE)
def test_hostile_guidance_is_held_back_with_its_reason(concern: str, guidance: str) -> None:
    found = problems(StrategyText(SCENARIO, guidance), TOOLS)
    assert concern in {problem.concern for problem in found}, told(found)


def test_ordinary_guidance_passes() -> None:
    held = {
        guidance: told(found)
        for guidance in ORDINARY
        if (found := problems(StrategyText(SCENARIO, guidance), TOOLS))
    }
    assert held == {}


@pytest.mark.parametrize(("concern", "guidance"), HOSTILE[:-1])
def test_the_scenario_is_judged_like_the_guidance(concern: str, guidance: str) -> None:
    found = problems(StrategyText(guidance, "Be kind."), TOOLS)
    assert concern in {problem.concern for problem in found}


def test_calls_are_judged_only_where_the_tools_are_known() -> None:
    text = StrategyText(SCENARIO, "Call apis.orders.find(id) first.")
    assert problems(text) == ()
    assert problems(text, ["apis.orders.find"]) == ()
    assert [problem.concern for problem in problems(text, [])] == ["tools"]


@given(
    hostile=st.sampled_from(HOSTILE[:-1]), before=st.sampled_from(ORDINARY), after=st.sampled_from(ORDINARY)
)
def test_hostile_words_are_found_among_ordinary_ones(
    hostile: tuple[str, str], before: str, after: str
) -> None:
    concern, guidance = hostile
    found = problems(StrategyText(SCENARIO, f"{before}\n{guidance}\n{after}"), TOOLS)
    assert concern in {problem.concern for problem in found}


@given(text=st.text())
def test_any_text_is_judged(text: str) -> None:
    for problem in problems(StrategyText(text, text), []):
        assert told([problem])


def test_how_far_the_patterns_reach() -> None:
    """The figures of docs/strategies.md."""

    def held(texts: tuple[str, ...]) -> int:
        return sum(bool(problems(StrategyText(SCENARIO, text), TOOLS)) for text in texts)

    assert (held(HELD_OUT_HOSTILE), len(HELD_OUT_HOSTILE)) == (13, 24)
    assert (held(HELD_OUT_ORDINARY), len(HELD_OUT_ORDINARY)) == (0, 24)
    assert (len(HOSTILE), len(ORDINARY)) == (53, 55)
