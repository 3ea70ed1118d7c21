"""The order in which tasks are played: varied over their categories, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def varied(items: Iterable[T], category: Callable[[T], str], seed: int) -> list[T]:
    """Return all items shuffled, the categories in turn, so that any first few are varied."""
    rng = random.Random(seed)
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(category(item), []).append(item)
    queues = [groups[name] for name in sorted(groups)]
    for queue in queues:
        rng.shuffle(queue)
    rng.shuffle(queues)
    order: list[T] = []
    while queues:
        queues = [queue for queue in queues if queue]
        order.extend(queue.pop() for queue in queues)
    return order


def scenario_of(task_id: str) -> str:
    """Return what the variants of a scenario have in common of their ids: all before the last underscore."""
    return task_id.rpartition("_")[0]


def whole_scenarios(task_ids: Sequence[str]) -> list[str]:
    """Return the tasks with all variants of a scenario together, the scenarios in the order they first come in."""
    places = {scenario: at for at, scenario in reversed([*enumerate(map(scenario_of, task_ids))])}
    return sorted(task_ids, key=lambda task_id: (places[scenario_of(task_id)], task_id))
