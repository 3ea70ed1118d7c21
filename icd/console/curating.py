"""What an operator does to the memory: disable, show again, approve, reject, trust a source or recall it.

Everything is confined to the operator's tenant and recorded with who and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from icd.console.visit import Visit
from icd.errors import ConfigurationError
from icd_memory.errors import TrajectoryNotFoundError
from icd_memory.recall import Unindexed, approve_source, take_back
from icd_memory.retrieval import Memory
from icd_memory.rows import Status
from icd_memory.trajectory import Trajectory

__all__ = ["ACTIONS", "Action", "change", "change_source"]

Action: TypeAlias = Literal["disable", "enable", "approve", "reject"]

ACTIONS: Mapping[Action, tuple[Status, Status, str]] = {
    "disable": ("demonstration", "disabled", "It is shown no more"),
    "enable": ("disabled", "demonstration", "It is shown again"),
    "approve": ("quarantine", "demonstration", "It is shown from now on"),
    "reject": ("quarantine", "rejected", "It is kept, and never shown"),
}
"""From which status each leads to which, and what is told then."""


def _memory(here: Visit) -> Memory | Unindexed:
    return here.site.memory() or Unindexed(here.site.store)


def _reason(here: Visit, why: str) -> str:
    return f"{why} ({here.session.name})"


def change(here: Visit, id: str, action: Action, why: str) -> str:
    """Change where a trajectory stands; return what to tell.

    Raises:
        TrajectoryNotFoundError: the tenant has none of this id.
        ConfigurationError: it does not stand where this can be done, or must not be shown.
    """
    own = here.site.store.of(here.tenant)
    found, stands = own.trajectories([id]).get(id), own.admission(id)
    if found is None or stands is None:
        raise TrajectoryNotFoundError("there is no such demonstration here")
    before, after, told = ACTIONS[action]
    if stands.status != before:
        raise ConfigurationError(f"this is {stands.status} by now ({stands.reason}), and not {before}")
    memory = _memory(here)
    if after == "demonstration" and (problem := _hindrance(memory, found)):
        raise ConfigurationError(f"this cannot be shown: {problem}")
    memory.set_status(id, after, _reason(here, why))
    return f"{told}."


def _hindrance(memory: Memory | Unindexed, t: Trajectory) -> str | None:
    """Return what no operator can set aside; None: nothing."""
    if t.outcome is None or t.outcome.verified_by is None:
        return "nobody has verified that it succeeded"
    if not t.outcome.success:
        return f"it failed, says the {t.outcome.verified_by}"
    if isinstance(memory, Memory) and t.split in memory.test_splits:
        return f"it is of the test split {t.split}"
    if memory.probation.level(t.tenant, t.provenance.source) == "recalled":
        return "its source was recalled"
    return None


def change_source(here: Visit, source: str, action: Literal["approve", "recall"], why: str) -> str:
    """Trust a source, or take back all that it gave; return what to tell.

    Raises:
        ConfigurationError: the tenant has nothing of this source.
    """
    if not here.site.store.listing(tenant=here.tenant, source=source):
        raise ConfigurationError("there is nothing of this source here")
    memory, reason = _memory(here), _reason(here, why)
    if action == "approve":
        shown = approve_source(memory, source, tenant=here.tenant, reason=reason)
        return f"{source} is trusted: {len(shown)} of its trajectories that waited are shown now."
    gone = take_back(memory, source, tenant=here.tenant, reason=reason)
    touched = here.site.store.curation.touched(here.tenant, source)
    return (
        f"{source} is recalled: {len(gone)} of its demonstrations are shown no more. {touched} episodes had been "
        "shown something of it."
    )
