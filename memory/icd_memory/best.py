"""The k best trajectories found so far, each with its best step."""

from __future__ import annotations

import numpy as np

from icd_memory.index import ROUNDING, Refs, Scores

LOWEST = -1e30
"""Less than any score, more than the -inf of what is removed or excluded."""


class Best:
    """Trajectories by total, then in the order they came; of a trajectory the first of its best steps."""

    def __init__(self, k: int) -> None:
        self._k = k
        self.refs = np.empty(0, dtype=np.int64)
        self.steps = np.empty(0, dtype=np.int64)
        self.scores = np.empty(0, dtype=np.float32)
        """The steps' cosines."""
        self._totals = np.empty(0, dtype=np.float32)

    @property
    def least(self) -> float:
        """The total that a trajectory needs to be among the k best."""
        return LOWEST if len(self.refs) < self._k else float(self._totals[-1]) - ROUNDING

    def take(self, refs: Refs, steps: Refs, scores: Scores, totals: Scores) -> None:
        """Take in steps of trajectories; several of the same trajectory are no harm."""
        able = totals >= self.least
        refs = np.concatenate([self.refs, refs[able]])
        steps = np.concatenate([self.steps, steps[able]])
        scores = np.concatenate([self.scores, scores[able]])
        totals = np.concatenate([self._totals, totals[able]])
        rounded = -np.round(scores / ROUNDING), refs, -np.round(totals / ROUNDING)
        order = np.lexsort((steps, *rounded))
        _, firsts = np.unique(refs[order], return_index=True)
        kept = order[np.sort(firsts)[: self._k]]
        self.refs, self.steps, self.scores, self._totals = refs[kept], steps[kept], scores[kept], totals[kept]
