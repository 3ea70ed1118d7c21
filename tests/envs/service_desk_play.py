"""Playing the service desk in tests."""

from __future__ import annotations

from collections.abc import Iterable

from icd_envs.base import StepResult, Task
from icd_envs.service_desk.evaluation import Verdict
from icd_envs.service_desk.families import SPLITS
from icd_envs.service_desk.suite import MAX_STEPS, NAME, ServiceDeskSuite
from icd_envs.service_desk.world import Conversation, ServiceDeskWorld

SUITE = ServiceDeskSuite()
FAMILIES = {name: split for split in ("train", "dev", "test") for name in SPLITS[split]}
"""The split of each family."""


def new_world(max_steps: int = MAX_STEPS) -> ServiceDeskWorld:
    return ServiceDeskWorld(SUITE.load, max_steps)


def task(family: str, number: int) -> Task:
    return SUITE.task(f"{NAME}/{FAMILIES[family]}/{family}/{number:06d}")


def by_expert(world: ServiceDeskWorld, result: StepResult) -> list[tuple[str, StepResult]]:
    """Let the expert play on to the end; return its actions and their results."""
    steps = []
    while not result.done:
        expert = world.expert()
        assert expert is not None
        action = expert.move().action
        result = world.step(action)
        steps.append((action, result))
    return steps


def conversation(world: ServiceDeskWorld) -> Conversation:
    assert world.conversation is not None
    return world.conversation


def verdict_of(family: str, number: int, actions: Iterable[str]) -> Verdict:
    """Return the verdict on an episode of these actions."""
    world = new_world()
    world.reset(task(family, number))
    for action in actions:
        world.step(action)
    return conversation(world).verdict()
