from __future__ import annotations

import pytest
from household_play import admissible

from icd_envs.errors import EngineError
from icd_envs.household.engine import Engine
from icd_envs.household.generator import household
from icd_envs.household.suite import HouseholdSuite


def test_the_text_of_the_engine_is_kept() -> None:
    suite = HouseholdSuite()
    world = suite.environment()
    for task in suite.tasks("dev", limit=6):
        engine = Engine(suite.load(task))
        turn, result = engine.reset(), world.reset(task)
        for command in [*household("dev", int(task.id[-6:])).walkthrough()[:-1], "sing"]:
            assert (result.observation, result.actions.admissible, result.won) == tuple(
                (turn.observation, turn.admissible, turn.won)
            )
            turn, result = engine.step(command), world.step(command)
        assert result.observation == turn.observation


def test_winning() -> None:
    suite = HouseholdSuite()
    world = suite.environment()
    task = suite.task("household/dev/000002")
    result = world.reset(task)
    assert (result.reward, result.done, result.won) == (0.0, False, False)
    assert task.goal in result.observation
    for command in household("dev", 2).walkthrough():
        assert not result.done
        result = world.step(command)
    assert (result.reward, result.done, result.won) == (1.0, True, True)
    with pytest.raises(EngineError, match="reset"):
        world.step("look")


def test_the_step_cap_ends_an_episode_unwon() -> None:
    suite = HouseholdSuite()
    world = suite.environment(max_steps=3)
    world.reset(suite.task("household/dev/000002"))
    results = [world.step(action) for action in ("look", "nonsense", "inventory")]
    assert [result.done for result in results] == [False, False, True]
    assert not any(result.won or result.reward for result in results)


def test_an_impossible_action_costs_a_step_and_changes_nothing() -> None:
    suite = HouseholdSuite()
    world = suite.environment()
    before = world.reset(suite.task("household/dev/000003"))
    after = world.step("open the window")
    assert after.actions == before.actions
    assert "Not possible: open the window" in after.view


def test_out_of_order() -> None:
    suite = HouseholdSuite()
    world = suite.environment()
    assert world.expert() is None
    with pytest.raises(EngineError):
        world.step("look")
    world.reset(suite.task("household/dev/000003"))
    world.close()
    assert world.expert() is None
    with pytest.raises(EngineError):
        world.step("look")


def test_episodes_do_not_mix() -> None:
    suite = HouseholdSuite()
    world = suite.environment()
    first = world.reset(suite.task("household/dev/000004"))
    for _ in range(5):
        result = world.step(admissible(first)[0])
    assert result.view != first.view
    assert world.reset(suite.task("household/dev/000004")) == first
