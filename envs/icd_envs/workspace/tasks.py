"""The tasks of the workspace: their ids by split, and how one is made with a fresh world of its own."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

from icd_envs.code_world import CodeTask, Evaluation, GoldStep
from icd_envs.errors import TaskNotFoundError
from icd_envs.workspace.evaluation import Goal
from icd_envs.workspace.scenario import Scenario
from icd_envs.workspace.state import State
from icd_envs.workspace.world import World


@dataclass(frozen=True, slots=True)
class WorkspaceTask:
    """A task, its world before anything is done in it, and what only the evaluator and the teacher know."""

    task: CodeTask
    world: World
    gold: tuple[GoldStep, ...]
    goal: Goal

    def evaluate(self, before: State, world: World) -> Evaluation:
        """Judge `world` against the state it had at the start."""
        return self.goal.evaluate(
            before,
            world.state(),
            world.date.isoformat(timespec="seconds"),
            completed=world.completed and not world.gave_up,
            answer=world.answer,
            difficulty=self.task.difficulty,
        )


def task_ids(split: Literal["train", "dev", "test"]) -> list[str]:
    """Return the ids of a split, the variants of a scenario one after the other. Raises `TaskNotFoundError`."""
    if split not in ("train", "dev", "test"):
        raise TaskNotFoundError(f"the workspace has no split {split!r}: it has train, dev and test")
    return [name for name, (one, _) in _table().items() if one.split == split]


def make_task(task_id: str) -> WorkspaceTask:
    """Make a task; the same id makes the same task and world. Raises `TaskNotFoundError`."""
    if task_id not in _table():
        raise TaskNotFoundError(f"the workspace has no task {task_id!r}: task_ids(split) lists them")
    one, variant = _table()[task_id]
    with _no_collection():
        world = World(f"{one.name}/{variant}")
        plan = one.plan(world, variant)
    task = CodeTask(
        id=task_id,
        instruction=plan.instruction,
        supervisor=world.supervisor,
        date=world.date,
        apps=world.descriptions(),
        split=one.split,
        scenario=one.name,
        difficulty=one.difficulty,
    )
    return WorkspaceTask(task, world, plan.gold, plan.goal)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the cycle collector still: of the tens of thousands of rows that a world makes none is garbage."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@cache
def _table() -> Mapping[str, tuple[Scenario, int]]:
    from icd_envs.workspace.scenarios import scenarios

    return {
        f"{one.split}_{one.name}_{variant}": (one, variant)
        for one in scenarios()
        for variant in range(1, len(one.variants) + 1)
    }
