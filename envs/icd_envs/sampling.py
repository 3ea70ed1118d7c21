"""The order in which tasks are played: varied over their categories, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
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
