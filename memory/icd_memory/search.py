"""The two stages of retrieval over any vector index (arXiv 2505.00234), without texts and without storage.

Stage 1 ranks trajectories by the mean similarity of their keys. Stage 2 takes the best step of each
trajectory and ranks by the sum of both scores. Looking at every step would be slow, so stage 2 looks at the
best M trajectories first, and then only at those that could still enter the result by an upper bound of their
steps' scores. With an exact index the result is that of no cut at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from icd_memory.embedding import Vector
from icd_memory.index import Exclusion, Ranked, Refs, Scores, StateKey, TrajectoryKey, VectorIndex

_ROUNDING = 1e-5
"""Scores nearer than this are equal: the last bits of a dot product depend on its place in memory."""

_BLOCK = 16
"""Trajectories looked at together before the bounds are compared again; doubled each time."""


class Hit(NamedTuple):
    """One found trajectory and the step of it that fits best."""

    trajectory_id: str
    step: int
    trajectory_score: float
    step_score: float


@dataclass(frozen=True, slots=True)
class Cut:
    """How many trajectories the second stage looks at."""

    first: int
    """M: how many in any case."""
    most: int
    """How many could at most enter the result after those: a bound of the work, not of the result's size."""


def find_trajectories(
    index: VectorIndex, keys: Mapping[TrajectoryKey, Vector], k: int, exclude: Exclusion
) -> list[Hit]:
    """Return the k best trajectories by their keys, best first; their step is 0, with score 0."""
    ranked = index.trajectories(keys, k, exclude)
    names = index.resolve(ranked.refs)
    return [Hit(id, 0, float(score), 0.0) for id, score in zip(names, ranked.scores, strict=True)]


def find_steps(
    index: VectorIndex,
    keys: Mapping[TrajectoryKey, Vector],
    state: Vector,
    state_key: StateKey,
    k: int,
    cut: Cut,
    exclude: Exclusion,
    step_weight: float = 1.0,
) -> list[Hit]:
    """Return the k trajectories with the best weighted sum of scores, best first, each with its best step."""
    looked = _Looked(index, state, state_key, k, step_weight)
    ranked = index.trajectories(keys, cut.first, exclude)
    looked.at(ranked)
    if len(ranked.refs) == cut.first:
        # A cosine is at most 1: a trajectory that scores less than this can't make it up by its steps.
        others = index.contenders(keys, looked.least() - step_weight, cut.most, exclude)
        looked.at(_without(others, ranked.refs))
    return looked.hits()


class _Looked:
    """The second stage under way: the trajectories whose steps were looked at, and the k best of them so
    far."""

    def __init__(
        self, index: VectorIndex, state: Vector, state_key: StateKey, k: int, step_weight: float
    ) -> None:
        self._weight = step_weight
        self._index = index
        self._state = state
        self._state_key: StateKey = state_key
        self._k = k
        self._refs = np.empty(0, dtype=np.int64)
        self._scores = np.empty(0, dtype=np.float32)
        self._steps = np.empty(0, dtype=np.int64)
        self._step_scores = np.empty(0, dtype=np.float32)

    def least(self) -> float:
        """Return the sum that a trajectory needs to be among the k best."""
        missing = len(self._refs) < self._k
        return -np.inf if missing else _kth_best(self._totals(), self._k) - _ROUNDING

    def at(self, ranked: Ranked) -> None:
        """Look at trajectories, the highest upper bound first, until none left can be among the k best."""
        bounds = ranked.scores + self._weight * self._index.step_bounds(
            ranked.refs, self._state, self._state_key
        )
        order = np.argsort(-bounds, kind="stable")
        start, width = 0, max(self._k, _BLOCK)
        while start < len(order):
            chosen = order[start : start + width]
            start, width = start + width, 2 * width
            chosen = chosen[bounds[chosen] >= self.least()]
            if len(chosen) == 0:
                return
            best = self._index.best_steps(ranked.refs[chosen], self._state, self._state_key)
            self._refs = np.concatenate([self._refs, ranked.refs[chosen]])
            self._scores = np.concatenate([self._scores, ranked.scores[chosen]])
            self._steps = np.concatenate([self._steps, best.steps])
            self._step_scores = np.concatenate([self._step_scores, best.scores])

    def _totals(self) -> Scores:
        return self._scores + self._weight * self._step_scores

    def hits(self) -> list[Hit]:
        """Return the k best, best first, equals in the order they came."""
        totals = np.round(self._totals() / _ROUNDING)
        order = np.lexsort((self._refs, -totals))[: self._k]
        names = self._index.resolve(self._refs[order])
        return [
            Hit(id, int(self._steps[at]), float(self._scores[at]), float(self._step_scores[at]))
            for id, at in zip(names, order, strict=True)
        ]


def _without(ranked: Ranked, refs: Refs) -> Ranked:
    """Return what is left without these trajectories."""
    seen = np.zeros(max(ranked.refs.max(initial=0), refs.max(initial=0)) + 1, dtype=np.bool_)
    seen[refs] = True
    fresh = ~seen[ranked.refs]
    return Ranked(ranked.refs[fresh], ranked.scores[fresh])


def _kth_best(totals: Scores, k: int) -> float:
    return float(np.partition(totals, len(totals) - k)[len(totals) - k])
