"""The tasks of the API workspace, by split, and the environment in which they are played."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from icd_envs.base import Environment, Stepping, Task
from icd_envs.code_environment import MAX_STEPS, CodeEnvironment
from icd_envs.code_world import CodeTask, GoldStep
from icd_envs.errors import TaskNotFoundError
from icd_envs.sampling import scenario_of, varied, whole_scenarios

NAME = "workspace"
_SPLITS: tuple[Literal["train", "dev", "test"], ...] = ("train", "dev", "test")


class WorkspaceSuite:
    """Tasks in scenarios of variants; no scenario is in two splits."""

    name = NAME
    splits: tuple[str, ...] = _SPLITS
    test_splits: tuple[str, ...] = ("test",)
    max_steps: int = MAX_STEPS
    stepping: Stepping = "thread"

    def __init__(self, require_sandbox: bool = False) -> None:
        """Play anywhere; ``require_sandbox`` refuses where the agent's code could not be locked in."""
        self._require_sandbox = require_sandbox

    def tasks(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Task]:
        """Return tasks of a split: its scenarios in turn in train, each scenario whole elsewhere.

        So the first few demonstrations are varied, and the first few results are of whole scenarios.

        Raises:
            TaskNotFoundError: there is no such split.
        """
        from icd_envs.workspace.tasks import task_ids

        known = next((name for name in _SPLITS if name == split), None)
        if known is None:
            raise TaskNotFoundError(f"no split {split!r} of {NAME}: there are {', '.join(self.splits)}")
        order = varied(task_ids(known), scenario_of, seed)
        if split != "train":
            order = whole_scenarios(order)
        return [self.task(task_id) for task_id in order[:limit]]

    def task(self, task_id: str) -> Task:
        """Return the task with this id. Raises `TaskNotFoundError`."""
        known = _told(task_id)
        return Task(
            id=task_id,
            environment=NAME,
            split=known.split,
            goal=known.instruction,
            category=NAME,
            instance=known.scenario,
        )

    def environment(self, max_steps: int = MAX_STEPS) -> Environment:
        """Make an environment with a world and worker of its own.

        Raises:
            EnvsError: a sandbox is required, and there is none here.
        """
        from icd_envs.workspace.session import Workspace

        return CodeEnvironment(Workspace(require_sandbox=self._require_sandbox), max_steps, gold_of)


def gold_of(task_id: str) -> Sequence[GoldStep]:
    """Return a task's gold solution. Raises `TaskNotFoundError`."""
    from icd_envs.workspace.tasks import make_task

    return make_task(task_id).gold


@cache
def _told(task_id: str) -> CodeTask:
    from icd_envs.workspace.tasks import make_task

    return make_task(task_id).task
