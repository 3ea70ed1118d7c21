"""Plays household episodes for the tests, and finds the published games."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from icd_envs.base import Environment, StepResult, Task

# Read at import: the fixtures of tests/conftest.py clear the environment before each test.
_PACK = os.environ.get("ICD_ALFWORLD_PACK", "")
_REQUIRED = os.environ.get("ICD_REQUIRE_ALFWORLD", "") == "1"


@dataclass(frozen=True)
class Played:
    task: Task
    won: bool
    steps: int
    """Steps of the expert, without those before it took over."""


def published_pack() -> Path:
    """The compact pack of published games; skips, or fails where they are required, if there is none."""
    if _PACK and Path(_PACK, "common.json").is_file():
        return Path(_PACK)
    why = f"no published games: ICD_ALFWORLD_PACK={_PACK!r} is not a folder with common.json"
    if _REQUIRED:
        pytest.fail(why)
    pytest.skip(why)


def play(world: Environment, task: Task, others: int = 0) -> Played:
    """Let the expert play, after `others` random admissible actions of somebody else."""
    result = world.reset(task)
    rng = random.Random(task.id)
    for _ in range(others):
        if not result.done:
            result = world.step(rng.choice(admissible(result)))
    expert = world.expert()
    assert expert is not None, task.goal
    steps = 0
    while not result.done:
        move = expert.move()
        assert move.action in admissible(result), f"{task.id}: {move}"
        assert move.reasoning.endswith("."), move
        result = world.step(move.action)
        steps += 1
    return Played(task, result.won, steps)


def admissible(result: StepResult) -> tuple[str, ...]:
    assert result.actions.admissible is not None
    return result.actions.admissible


def lost(played: list[Played]) -> list[str]:
    return [one.task.id for one in played if not one.won]
