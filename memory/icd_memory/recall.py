"""What a person decides about a whole source: to trust it, or to take everything back that it gave."""

from __future__ import annotations

from typing import NamedTuple

from icd_memory.probation import WAITS, WAITS_FOR_A_PERSON
from icd_memory.retrieval import Memory


class Recalled(NamedTuple):
    """What was taken back with a source."""

    disabled: list[str]
    """Its demonstrations."""
    decisions: list[str]
    """The receipts of the decisions that were shown one of its trajectories."""


def approve_source(
    memory: Memory, source: str, *, tenant: str = "default", reason: str = "approved by hand"
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
    memory.probation.set_level(tenant, source, "recalled", reason)
    given = list(memory.store.trajectories(tenant=tenant, source=source))
    shown = [t.id for t in given if memory.store.admission(t.id).status == "demonstration"]
    for id in shown:
        memory.set_status(id, "disabled", reason)
    return Recalled(shown, memory.store.trust.decisions_showing(tenant, [t.id for t in given]))
