"""Taking a source back, and all that it touched: what the memory knows, strategies, data sets and students."""

from __future__ import annotations

from typing import NamedTuple

from icd.offline.registry import recall as recalled_artifacts
from icd_memory.recall import Recalled, recall_source
from icd_memory.retrieval import Memory
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import Strategy


class Touched(NamedTuple):
    """What came of recalling a source. Only its demonstrations are disabled; about the rest a person decides."""

    memory: Recalled
    strategies: tuple[Strategy, ...]
    """Learned from its episodes, or from decisions that were shown one of them."""
    datasets: tuple[str, ...]
    """Ids of those that contain it."""
    students: tuple[str, ...]
    """Ids of the checkpoints that were trained on one of them, or on top of such a one."""


def recall_all(
    memory: Memory, source: str, *, tenant: str = "default", reason: str = "recalled by hand"
) -> Touched:
    """Disable all that a source gave, now and in future, and find what it touched."""
    store = memory.store
    found = recall_source(memory, source, tenant=tenant, reason=reason)
    given = list(store.trajectories(tenant=tenant, source=source))
    library = StrategyLibrary(store, memory.embedder)
    origins = frozenset([source, *(t.id for t in given), *found.decisions])

    def touched(strategy: Strategy) -> bool:
        versions = (version.origin for version in library.versions(strategy.id, tenant=tenant))
        return any(not origins.isdisjoint((o.run, *o.episodes, *o.decisions)) for o in versions)

    made = recalled_artifacts(store, source=source, trajectories=[t.id for t in given])
    return Touched(
        found,
        tuple(filter(touched, library.list(tenant=tenant))),
        tuple(one.id for one in made.datasets),
        tuple(one.id for one in made.students),
    )
