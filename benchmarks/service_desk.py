"""The service desk: is it sound, and how far apart are good and bad service?

Usage: nice -n 15 python benchmarks/service_desk.py [--tasks 200] [--quick] [--json]

The scripted expert and the scripted naive agent serve the same customers of every family. `expert_violations` and
`naive_violations` count violations of all episodes; `*_satisfaction` are means from 1 to 10; `idle_won` are episodes won
by closing at once; `stray_change_won` are those won by the expert after one more change in the records.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import Figures, emit

from icd_envs.base import Expert, Task
from icd_envs.service_desk.expert import ServiceDeskExpert
from icd_envs.service_desk.knowledge import Knowledge
from icd_envs.service_desk.naive import NaiveAgent
from icd_envs.service_desk.suite import MAX_STEPS, ServiceDeskSuite, family_of
from icd_envs.service_desk.world import ServiceDeskWorld

_SPLITS = ("train", "dev", "test")
_QUICK = 10


class Played(NamedTuple):
    """What came of an episode."""

    won: bool
    satisfaction: float
    violations: int
    steps: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Soundness of the service desk, and good and bad service.")
    parser.add_argument("--tasks", type=int, default=200, help="of each family")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} tasks of each family")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    emit("service_desk", figures(_QUICK if options.quick else options.tasks), {}, options.json)


def figures(tasks_each: int) -> Figures:
    suite = ServiceDeskSuite()
    tasks = [task for split in _SPLITS for task in suite.tasks(split, tasks_each * _families(suite, split))]
    world = ServiceDeskWorld(suite.load, MAX_STEPS)
    start = time.perf_counter()
    expert = [play(world, task, ServiceDeskExpert) for task in tasks]
    seconds = time.perf_counter() - start
    naive = [play(world, task, NaiveAgent) for task in tasks]
    return {
        "families": len({family_of(task.id) for task in tasks}),
        "tasks": len(tasks),
        "expert_satisfaction": mean(one.satisfaction for one in expert),
        "expert_satisfaction_least": min(one.satisfaction for one in expert),
        "expert_violations": sum(one.violations for one in expert),
        "expert_won": mean(one.won for one in expert),
        "expert_steps": mean(one.steps for one in expert),
        "naive_satisfaction": mean(one.satisfaction for one in naive),
        "naive_violations": sum(one.violations for one in naive),
        "naive_won": mean(one.won for one in naive),
        "idle_won": sum(_idle(world, task) for task in tasks),
        "stray_change_won": sum(play(world, task, ServiceDeskExpert, stray=True).won for task in tasks),
        "steps_per_s": sum(one.steps for one in expert) / seconds,
    }


def play(
    world: ServiceDeskWorld, task: Task, agent: Callable[[Knowledge], Expert], stray: bool = False
) -> Played:
    """Play an episode; `stray`: change some other row of the records before its last step."""
    result = world.reset(task)
    assert world.knowledge is not None
    assert world.conversation is not None
    player = agent(world.knowledge)
    steps = 0
    while not result.done:
        move = player.move()
        if stray and move.action == "close":
            world.conversation.database.write("customers", "1", name="nobody")
        result = world.step(move.action)
        steps += 1
    violations = world.conversation.verdict().violations
    return Played(result.won, result.reward, len(violations), steps)


def _idle(world: ServiceDeskWorld, task: Task) -> bool:
    world.reset(task)
    return world.step("close").won


def _families(suite: ServiceDeskSuite, split: str) -> int:
    return len({family_of(task.id) for task in suite.tasks(split)})


if __name__ == "__main__":
    main()
