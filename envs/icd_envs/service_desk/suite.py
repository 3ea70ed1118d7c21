"""The tasks of the service desk, by split; a family of cases is in one split, so that transfer can be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from icd_envs.base import Environment, Stepping, Task
from icd_envs.errors import TaskNotFoundError
from icd_envs.service_desk.case import Case
from icd_envs.service_desk.families import SPLITS
from icd_envs.service_desk.world import ServiceDeskWorld

NAME = "service-desk"
MAX_STEPS = 24
_PER_FAMILY = 100
"""Tasks of a family that one seed lists, where no limit is set; a limit may go beyond."""
_SUBJECTS: Final[Mapping[str, str]] = {
    "order": "an order",
    "booking": "a booking",
    "subscription": "a subscription",
    "account": "an account",
    "card": "a gift card",
}


class ServiceDeskSuite:
    """Customers with a need: their families are split, and of each family there is no end of cases.

    ``test`` has families that ``train`` has not, ``test_seen`` other cases of the train families.
    """

    name = NAME
    splits: tuple[str, ...] = tuple(SPLITS)
    test_splits: tuple[str, ...] = ("dev", "test_seen", "test")
    max_steps: int = MAX_STEPS
    stepping: Stepping = "loop"

    def tasks(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Task]:
        """Return tasks of a split, its families in turn; another seed gives other tasks. Raises `TaskNotFoundError`."""
        families = _families(split)
        Random(seed).shuffle(families)
        count = _PER_FAMILY * len(families) if limit is None else limit
        first = seed * _PER_FAMILY
        return [
            self.task(f"{NAME}/{split}/{families[n % len(families)]}/{first + n // len(families):06d}")
            for n in range(count)
        ]

    def task(self, task_id: str) -> Task:
        """Return the task with this id, e.g. ``service-desk/train/late_parcel/000012``. Raises `TaskNotFoundError`."""
        case = make_case(task_id)
        return Task(
            id=task_id,
            environment=NAME,
            split=_parts(task_id)[0],
            goal=f"Help a customer with {_SUBJECTS[case.area]} within the policies, then close. {case.opening}",
            category=case.area,
            instance=task_id,
        )

    def load(self, task: Task) -> Case:
        """Return the case of a task. Raises `TaskNotFoundError`."""
        return make_case(task.id)

    def environment(self, max_steps: int = MAX_STEPS) -> Environment:
        """Make a world for these tasks with a step cap."""
        return ServiceDeskWorld(self.load, max_steps, NAME)


def make_case(task_id: str) -> Case:
    """Make the case of a task; the same id makes the same case. Raises `TaskNotFoundError`."""
    split, family = _parts(task_id)
    return SPLITS[split][family](Random(task_id))


def family_of(task_id: str) -> str:
    """Return the family of a task, which no agent is told. Raises `TaskNotFoundError`."""
    return _parts(task_id)[1]


def _families(split: str) -> list[str]:
    if split not in SPLITS:
        raise TaskNotFoundError(f"no split {split!r} of {NAME}: there are {', '.join(SPLITS)}")
    return list(SPLITS[split])


def _parts(task_id: str) -> tuple[str, str]:
    name, split, family, number = (task_id.split("/") + [""] * 4)[:4]
    if name != NAME or family not in SPLITS.get(split, {}) or not number.isdecimal():
        raise TaskNotFoundError(f"no task {task_id!r}: ids look like {NAME}/train/late_parcel/000012")
    return split, family
