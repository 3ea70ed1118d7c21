"""What a person decides about a whole source: to trust it, or to take everything back that it gave."""

from __future__ import annotations

from typing import NamedTuple

from icd_memory.probation import WAITS, WAITS_FOR_A_PERSON, Probation
from icd_memory.retrieval import Memory
from icd_memory.rows import Status
from icd_memory.store import Store

_AT_ONCE = 100


class Unindexed:
    """What a memory can do without an embedder: say where trajectories stand. Indexes learn of it when opened."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.probation = Probation(store)

    def set_status(self, id: str, status: Status, reason: str) -> None:
        """Change where a trajectory stands. Raises TrajectoryNotFoundError."""
        self.store.set_status(id, status, reason)


class Recalled(NamedTuple):
    """What was taken back with a source."""

    disabled: list[str]
    """Its demonstrations."""
    decisions: list[str]
    """The receipts of the decisions that were shown one of its trajectories."""


def approve_source(
    memory: Memory | Unindexed, source: str, *, tenant: str = "default", reason: str = "approved by hand"
) -> list[str]:
    """Trust a source; return the trajectories that waited for it and are shown now. What a screen held back stays."""
    waiting = [t.id for t in memory.probation.waiting(tenant, source, WAITS, WAITS_FOR_A_PERSON)]
    memory.probation.set_level(tenant, source, "approved", reason)
    for id in waiting:
        memory.set_status(id, "demonstration", reason)
    return waiting


def recall_source(
    memory: Memory, source: str, *, tenant: str = "default", reason: str = "recalled by hand"
) -> Recalled:
    """Take all of a source back, now and in future; return what was disabled and the decisions it touched."""
    shown = take_back(memory, source, tenant=tenant, reason=reason)
    given = [stored.id for stored in memory.store.listing(tenant=tenant, source=source)]
    return Recalled(shown, memory.store.trust.decisions_showing(tenant, given))


def take_back(
    memory: Memory | Unindexed, source: str, *, tenant: str = "default", reason: str = "recalled by hand"
) -> list[str]:
    """Take all of a source back, now and in future, without looking for what it touched; return what was disabled."""
    memory.probation.set_level(tenant, source, "recalled", reason)
    shown = [
        stored.id for stored in memory.store.listing(tenant=tenant, source=source, status="demonstration")
    ]
    for start in range(0, len(shown), _AT_ONCE):
        # One transaction for many: each by itself would wait for the disk.
        with memory.store.transaction():
            for id in shown[start : start + _AT_ONCE]:
                memory.set_status(id, "disabled", reason)
    return shown
