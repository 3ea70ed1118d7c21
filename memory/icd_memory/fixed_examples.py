"""The same demonstrations for every task of a category: what is compared with retrieval; and a fixed order of ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from icd_memory.excerpts import Excerpt, Query
from icd_memory.retrieval import Family, Memory, Retriever
from icd_memory.trajectory import Trajectory


def in_fixed_order(ids: Iterable[str]) -> list[str]:
    """Return the ids in an order that depends on nothing but them: the first m are a sample, and nested ones nest."""
    return sorted(ids, key=lambda id: (hashlib.sha256(id.encode()).digest(), id))


class FixedExamples(Retriever):
    """Whole demonstrations of the task's category, always the same ones; of any category, where it has none.

    The leak guard holds here too: one of the instance being played gives its place to the next.
    """

    def __init__(self, memory: Memory) -> None:
        """Read the demonstrations of a family when they are first asked for."""
        super().__init__(memory)
        self._of_family = lru_cache(maxsize=None)(self._read)

    def for_plan(self, query: Query, k: int) -> list[Excerpt]:
        """Return the first k."""
        return self.for_step(query, k)

    def for_step(self, query: Query, k: int) -> list[Excerpt]:
        """Return the first k, whatever the step. Their similarity is 0: it was not looked for."""
        held_back = self._exclusion(query)
        known = [
            one
            for one in self._of_family(Family(query.tenant, query.environment))
            if one.instance not in held_back.instances and one.split not in held_back.splits
        ]
        alike = [one for one in known if one.category == query.category]
        return [_whole(one) for one in (alike or known)[: max(k, 0)]]

    def is_quick(self, query: Query) -> bool:
        """Say that nothing is embedded."""
        return True

    def _read(self, family: Family) -> tuple[Trajectory, ...]:
        found = {
            one.id: one
            for one in self.memory.store.trajectories(
                tenant=family.tenant, environment=family.environment, status="demonstration"
            )
            if one.steps and self.memory.holds(one.id)
        }
        return tuple(found[id] for id in in_fixed_order(found))


def _whole(trajectory: Trajectory) -> Excerpt:
    return Excerpt(
        trajectory_id=trajectory.id,
        goal=trajectory.goal,
        category=trajectory.category,
        plan=trajectory.plan,
        steps=trajectory.steps,
        focus=0,
        step=0,
        trajectory_score=0.0,
        step_score=0.0,
        similarity=0.0,
        source=trajectory.provenance.source,
    )
