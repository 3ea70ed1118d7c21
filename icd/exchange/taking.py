"""Trajectories into a memory, under what admission says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache

from icd_envs.table import SUITES, suite
from icd_memory.intake import Intake
from icd_memory.retrieval import Memory
from icd_memory.trajectory import Trajectory


def take_in(
    trajectories: Iterable[Trajectory],
    memory: Memory,
    *,
    approved: bool = False,
    told: Callable[[int], None] = lambda steps: None,
) -> Counter[str]:
    """Store trajectories; return how many came to which status, or were known.

    The test splits are those of each trajectory's own environment. What a file says of its success nobody here has
    seen: unless a person has `approved` it, or its source is a run of this store, it waits in quarantine. `told` hears
    how many steps were stored since it was called last. May be stopped at any time and begun anew.
    """
    intake = Intake(memory, approved=approved, test_splits=_test_splits, invented=SUITES.__contains__)
    return intake.take(trajectories, told)


@cache
def _test_splits(environment: str) -> tuple[str, ...]:
    return suite(environment).test_splits if environment in SUITES else ()
