"""What a stranger's trajectory is compared with: the first of its source, and how its family's own begin actions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

from icd_memory.lookalikes import Lookalikes, triples
from icd_memory.screening import MOST_ALIKE, possible_by, texts_of, verbs
from icd_memory.source_trust import Level
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory

LOOKED_AT = 200
"""Trajectories that a new one is compared with."""
_FEWEST_TO_TELL = 10
_SOURCES = 16
"""Whose first trajectories are kept."""


class Neighbours:
    """Reads each source and family once and keeps what it found, so it lives as long as one trajectory is judged, or as
    one import runs; that tells it of what it stored."""

    def __init__(self, store: Store, level: Callable[[str, str], Level | None]) -> None:
        """Take a store, and what says how far a tenant trusts a source."""
        self._store = store
        self._level = level
        self._sources: OrderedDict[tuple[str, str, str], Lookalikes] = OrderedDict()
        self._possible: dict[tuple[str, str], Callable[[str], bool] | None] = {}

    def repeated(self, t: Trajectory) -> bool:
        """Say whether a source gives the same again and again."""
        return self._of_source(t).count(triples(texts_of(t))) >= MOST_ALIKE

    def stored(self, t: Trajectory) -> None:
        """Take note of a trajectory that is about to be stored."""
        known = self._of_source(t)
        if len(known) < LOOKED_AT:
            known.add(triples(texts_of(t)))

    def possible(self, t: Trajectory) -> Callable[[str], bool] | None:
        """Return a test for actions by the family's own demonstrations; None: there are too few to tell."""
        family = (t.tenant, t.environment)
        if family not in self._possible:
            shown = self._store.trajectories(
                tenant=t.tenant, environment=t.environment, status="demonstration"
            )
            own = [o for o in islice(shown, LOOKED_AT) if self._level(o.tenant, o.provenance.source) is None]
            self._possible[family] = possible_by(verbs(own)) if len(own) >= _FEWEST_TO_TELL else None
        return self._possible[family]

    def _of_source(self, t: Trajectory) -> Lookalikes:
        key = _source(t)
        known = self._sources.get(key)
        if known is None:
            known = self._sources[key] = Lookalikes()
            same = self._store.trajectories(
                tenant=t.tenant, source=t.provenance.source, environment=t.environment
            )
            for other in islice(same, LOOKED_AT):
                if other.id != t.id:
                    known.add(triples(texts_of(other)))
            if len(self._sources) > _SOURCES:
                self._sources.popitem(last=False)
        self._sources.move_to_end(key)
        return known


def _source(t: Trajectory) -> tuple[str, str, str]:
    return t.tenant, t.provenance.source, t.environment
