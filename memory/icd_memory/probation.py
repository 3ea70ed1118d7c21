"""Who may show demonstrations: screens, and probation for strangers.

A stranger is a source that is not the tenant's own: an end user of its agent, a file. What it gives waits in
quarantine until it has `PROVEN_BY` verified successes on different tasks, none of which a screen stopped, or until a
person approves it; after that a prompt still shows at most `MOST_OF_A_STRANGER` excerpts of it, and every screen still
applies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from icd_memory.admission import Admission
from icd_memory.neighbours import Neighbours
from icd_memory.screening import aimed_at_the_model, outside, ungrounded
from icd_memory.source_trust import Level, SourceRow
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory

PROVEN_BY = 3
"""Verified successes on different tasks after which a stranger's demonstrations are shown."""
MOST_OF_A_STRANGER = 2
"""Excerpts of one stranger in a prompt."""
WAITS = "waits for trust in its source"
WAITS_FOR_A_PERSON = "waits for a person to approve its source"
HELD_BACK = "held back"


class Probation:
    """Judges what sources give, over one store. Safe for threads."""

    def __init__(self, store: Store, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._now = now
        self._levels: dict[str, dict[str, Level]] = {}
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Forget what was read: other processes may have changed it."""
        with self._lock:
            self._levels = {}

    def level(self, tenant: str, source: str) -> Level | None:
        """Return how far a source is trusted; None: it is the tenant's own."""
        with self._lock:
            if tenant not in self._levels:
                self._levels[tenant] = self._store.trust.levels(tenant)
            return self._levels[tenant].get(source)

    def has_strangers(self, tenant: str) -> bool:
        """Say whether excerpts of any source of the tenant are limited."""
        self.level(tenant, "")
        return "proven" in self._levels.get(tenant, {}).values()

    def set_level(self, tenant: str, source: str, level: Level, reason: str) -> None:
        """Change how far a source is trusted."""
        self._store.trust.put(SourceRow(tenant, source, level, reason, self._now()))
        self.refresh()

    def judged(
        self,
        admission: Admission,
        *,
        stranger: bool,
        possible: Callable[[str], bool] | None = None,
        neighbours: Neighbours | None = None,
    ) -> Admission:
        """Return what becomes of a trajectory that admission would show.

        Args:
            admission: what was found by its outcome.
            stranger: its source is not the tenant's own, unless a person has approved it.
            possible: says whether an action is in the action space; None: as the demonstrations there are begin.
            neighbours: what it is compared with, of who judges many; None: read for this one.
        """
        t = admission.trajectory
        if admission.status != "demonstration":
            return admission
        level = self.level(t.tenant, t.provenance.source)
        if level == "recalled":
            return replace(admission, status="quarantine", reason="its source was recalled")
        near = neighbours or self.neighbours()
        if (why := self._sign(t, stranger and level != "approved", possible, near)) is not None:
            return replace(admission, status="quarantine", reason=f"{HELD_BACK}: {why}")
        if not stranger or level in ("approved", "proven"):
            return admission
        if level is None:
            self._store.trust.add(
                SourceRow(t.tenant, t.provenance.source, "unknown", "first seen", self._now())
            )
            self.refresh()
        return replace(admission, status="quarantine", reason=WAITS)

    def neighbours(self) -> Neighbours:
        """Return what trajectories are compared with; it keeps what it reads."""
        return Neighbours(self._store, self.level)

    def waiting(self, tenant: str, source: str, *reasons: str) -> list[Trajectory]:
        """Return what of a source waits for one of these reasons."""
        found = self._store.trajectories(tenant=tenant, source=source, status="quarantine")
        return [t for t in found if self._store.admission(t.id).reason in reasons]

    def is_proven(self, waiting: list[Trajectory]) -> bool:
        """Say whether these are enough verified successes: in other words and by other actions, or it is one repeated."""
        goals = {(t.environment, t.goal.strip().lower()) for t in waiting}
        actions = {(t.environment, *(step.action for step in t.steps)) for t in waiting}
        return min(len(goals), len(actions)) >= PROVEN_BY

    def _sign(
        self, t: Trajectory, stranger: bool, possible: Callable[[str], bool] | None, neighbours: Neighbours
    ) -> str | None:
        """Return why a trajectory looks made to mislead; a stranger's is looked at more closely."""
        if words := aimed_at_the_model(t):
            return f"it instructs the model: {words!r}"
        if not stranger:
            return None
        if name := ungrounded(t):
            return f"an action holds {name!r}, which was never seen"
        if (possible or (possible := neighbours.possible(t))) and (
            action := outside(t, possible)
        ) is not None:
            return f"an action that is not possible: {action[:80]!r}"
        if neighbours.repeated(t):
            return "its source repeats itself"
        return None
