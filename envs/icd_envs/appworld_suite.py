"""The tasks of the published AppWorld, by split, and the environment in which they are played.

AppWorld's rules on its data are kept here: only train tasks may become demonstrations, a scenario is one instance (so
that no variant is shown beside another), and each task says that nothing made from it is to be published.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ValidationError

from icd_envs.appworld import NAME, SPLITS, AppWorld, data_root, split_ids
from icd_envs.base import Environment, Stepping, Task
from icd_envs.code_environment import MAX_STEPS, CodeEnvironment
from icd_envs.errors import TaskNotFoundError
from icd_envs.sampling import scenario_of, varied, whole_scenarios
from icd_envs.table import RESTRICTIONS


class _Specs(BaseModel):
    instruction: str


class AppWorldSuite:
    """The tasks of an installed AppWorld. Nothing is read or started before tasks or a world are asked for."""

    name: str = NAME
    splits: tuple[str, ...] = SPLITS
    test_splits: tuple[str, ...] = SPLITS[1:]
    """All but train: AppWorld's dev tasks are for choosing between methods."""
    max_steps: int = MAX_STEPS
    stepping: Stepping = "thread"

    def __init__(
        self,
        python: str | os.PathLike[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        require_sandbox: bool = False,
    ) -> None:
        """Play on this installation, by default on the one that ``APPWORLD_PYTHON`` and ``APPWORLD_ROOT`` name."""
        self._python = python
        self._named_root = root
        self._require_sandbox = require_sandbox

    @cached_property
    def root(self) -> Path:
        """Where the data is. Raises `RemoteWorldError` where nothing names it."""
        return data_root(self._named_root)

    def tasks(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Task]:
        """Return tasks of a split: its scenarios in turn in train, each scenario whole elsewhere.

        Raises:
            TaskNotFoundError: there is no such split, or no data.
            RemoteWorldError: nothing names the data.
        """
        order = varied(split_ids(self.root, split), scenario_of, seed)
        if split in self.test_splits:
            order = whole_scenarios(order)
        return [self._task(task_id, split) for task_id in order[:limit]]

    def environment(self, max_steps: int = MAX_STEPS) -> Environment:
        """Make an environment with a server of its own, which starts at the first task.

        Raises:
            RemoteWorldError: the installation is not named, or not there.
            SandboxError: a sandbox is required, and there is none here.
        """
        world = AppWorld(self._python, self.root, require_sandbox=self._require_sandbox)
        return CodeEnvironment(world, max_steps)

    def _task(self, task_id: str, split: str) -> Task:
        path = self.root / "data" / "tasks" / task_id / "specs.json"
        try:
            told = _Specs.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise TaskNotFoundError(f"{path} tells no task: {error}") from error
        return Task(
            id=task_id,
            environment=NAME,
            split=split,
            goal=told.instruction,
            category=NAME,
            instance=scenario_of(task_id),
            restriction=RESTRICTIONS[NAME],
        )
