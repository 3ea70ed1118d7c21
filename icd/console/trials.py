"""How the candidate on trial stands, by the figures of live episodes."""

from __future__ import annotations

from typing import NamedTuple

from icd.offline.active import Canary, in_canary
from icd.offline.canary import CanaryRules, Outcome, Watched, watch
from icd_memory.store import Store

__all__ = ["Trial", "trial"]


class Trial(NamedTuple):
    """A candidate on trial."""

    canary: Canary
    watched: Watched
    """Where it stands, episodes taken in the order in which they began. `icd offline watch`, which decides, takes them
    as their verdicts came."""

    @property
    def needed(self) -> float:
        """The evidence that decides."""
        return 1 / self.canary.alpha


def trial(store: Store, canary: Canary) -> Trial:
    """Return how a candidate stands."""
    outcomes = [
        Outcome("canary" if in_canary(canary.student, canary.share, id) else "current", won)
        for id, won in store.figures.live_ends(canary.since)
    ]
    return Trial(canary, watch(outcomes, CanaryRules(canary.margin, canary.alpha, canary.most)))
