"""The k best trajectories found so far, each with its best step."""

from __future__ import annotations

import numpy as np

from icd_memory.index import ROUNDING, Refs, Scores

LOWEST = -1e30
"""Less than any score, more than the -inf of what is removed or excluded."""

_PART = 1_024
_PART_OF_ENOUGH = 4
"""So many steps, or so many times those that are enough, are looked at to find what is below the best."""


class Best:
    """Trajectories by total, then in the order they came; of a trajectory the first of its best steps."""

    def __init__(self, k: int) -> None:
        self._k = k
        self.refs = np.empty(0, dtype=np.int64)
        self.steps = np.empty(0, dtype=np.int64)
        self.scores = np.empty(0, dtype=np.float32)
        """The steps' cosines."""
        self._totals = np.empty(0, dtype=np.float32)
        self.least = LOWEST
        """The total that a trajectory needs to be among the k best."""

    def reached(self, totals: Scores, repeats: int) -> float:
        """Return a total that the k best all have once these are taken in, at most `repeats` of any trajectory.

        Of many only a part is looked at: any will do, and sorting all takes longer than it saves.
        """
        # So many steps are of k trajectories at least: what is below them all is not among the best.
        enough = self._k * repeats
        part = totals[:: max(1, len(totals) // max(_PART, _PART_OF_ENOUGH * enough))]
        if enough >= len(part):
            return self.least
        return max(self.least, float(np.partition(part, -enough)[-enough]) - ROUNDING)

    def take(self, refs: Refs, steps: Refs, scores: Scores, totals: Scores) -> None:
        """Take in steps of trajectories: those whose totals are less than what is `reached` may be left out."""
        if len(self.refs):
            refs = np.concatenate([self.refs, refs])
            steps = np.concatenate([self.steps, steps])
            scores = np.concatenate([self.scores, scores])
            totals = np.concatenate([self._totals, totals])
        order = np.lexsort((steps, np.rint(scores / -ROUNDING), refs, np.rint(totals / -ROUNDING)))
        kept = order[_firsts(refs[order].tolist(), self._k)]
        self.refs, self.steps, self.scores, self._totals = refs[kept], steps[kept], scores[kept], totals[kept]
        if len(kept) == self._k:
            self.least = float(self._totals[-1]) - ROUNDING


def _firsts(values: list[int], k: int) -> list[int]:
    """Return where the first k different values stand first."""
    places: dict[int, int] = {}
    for place, value in enumerate(values):
        if value not in places:
            places[value] = place
            if len(places) == k:
                break
    return list(places.values())
