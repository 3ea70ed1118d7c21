"""The tasks of the generated households, by split."""

from __future__ import annotations

from collections.abc import Sequence

from icd_envs.base import Environment, Stepping, Task
from icd_envs.errors import TaskNotFoundError
from icd_envs.household.game import Game
from icd_envs.household.generator import Household, category_of, household
from icd_envs.household.world import HouseholdWorld
from icd_envs.sampling import varied

NAME = "household"
_SIZES = {"train": 6000, "dev": 600, "test": 600}


class HouseholdSuite:
    """Generated households in three splits that share no layout. Games are made when a task is played."""

    name = NAME
    splits: tuple[str, ...] = tuple(_SIZES)
    test_splits: tuple[str, ...] = ("dev", "test")
    max_steps: int = 30
    stepping: Stepping = "loop"

    def tasks(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Task]:
        """Return tasks of a split, the six categories in turn. Raises `TaskNotFoundError`."""
        if split not in _SIZES:
            raise TaskNotFoundError(f"no split {split!r} of {NAME}: there are {', '.join(_SIZES)}")
        order = varied(range(_SIZES[split]), category_of, seed)
        return [_task(household(split, number)) for number in order[:limit]]

    def task(self, task_id: str) -> Task:
        """Return the task with this id, e.g. ``household/train/000123``. Raises `TaskNotFoundError`."""
        return _task(_find(task_id))

    def load(self, task: Task) -> Game:
        """Return the game of a task. Raises `TaskNotFoundError`."""
        return Game.load(_find(task.id).game_file())

    def environment(self, max_steps: int = 50) -> Environment:
        """Make a world for these tasks with a step cap."""
        return HouseholdWorld(self.load, max_steps, NAME)


def _find(task_id: str) -> Household:
    name, _, rest = task_id.partition("/")
    split, _, number = rest.partition("/")
    if name != NAME or not number.isdecimal():
        raise TaskNotFoundError(f"no task {task_id!r}: ids look like {NAME}/train/000123")
    return household(split, int(number))


def _task(home: Household) -> Task:
    return Task(
        id=f"{NAME}/{home.split}/{home.index:06d}",
        environment=NAME,
        split=home.split,
        goal=home.sentence,
        category=home.category,
        instance=home.layout.key,
    )
