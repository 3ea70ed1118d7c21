"""A world in a process of its own: it plays as one in this process does, and its death is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from icd_envs.base import Environment
from icd_envs.errors import EngineError
from icd_envs.household.suite import HouseholdSuite
from icd_envs.process_world import ProcessWorld
from icd_envs.table import suite


class Broken:
    """An environment whose engine fails."""

    name = "broken"

    def reset(self, task: object) -> object:
        raise KeyError("grammar")


def broken() -> Environment:
    return Broken()  # type: ignore[return-value]


@pytest.fixture
def world() -> Iterator[ProcessWorld]:
    made = ProcessWorld.of_suite("household", {}, 20)
    yield made
    made.close()


def test_it_plays_as_here_and_starts_again_after_its_death(world: ProcessWorld) -> None:
    homes = HouseholdSuite()
    task = homes.tasks("train", 1)[0]
    here = homes.environment(20)
    with pytest.raises(EngineError, match=r"call reset\(task\) first"):
        world.step("look")
    assert world.reset(task) == here.reset(task)
    theirs, ours = world.expert(), here.expert()
    assert theirs is not None
    assert ours is not None
    assert theirs.plan() == ours.plan()
    for _ in range(3):
        move = theirs.move()
        assert move == ours.move()
        assert world.step(move.action) == here.step(move.action)
    _kill(world)
    with pytest.raises(EngineError, match="exit code -9"):
        world.step("look")
    assert world.reset(task) == homes.environment(20).reset(task)


def _kill(world: ProcessWorld) -> None:
    process = world._process
    assert process is not None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_what_fails_there_is_told_here() -> None:
    world = ProcessWorld("broken", partial(broken))
    try:
        with pytest.raises(EngineError, match="KeyError: 'grammar'"):
            world.reset(HouseholdSuite().tasks("train", 1)[0])
    finally:
        world.close()


def test_suites_say_how_their_worlds_are_played() -> None:
    found = {name: suite(name).stepping for name in ("household", "alfworld", "workspace")}
    assert found == {"household": "loop", "alfworld": "loop", "workspace": "thread"}
    assert suite("alfworld", engine="textworld").stepping == "process"
