"""The two stages of retrieval over any vector index (arXiv 2505.00234), without texts and without storage.

Stage 1 ranks trajectories by the mean similarity of their keys and keeps the best M. Stage 2 looks at the
steps of those M only, takes the best step of each, and ranks by the sum of both scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from icd_memory.embedding import Vector
from icd_memory.index import Exclusion, StateKey, TrajectoryKey, VectorIndex


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
    """M: how many at first."""
    most: int
    """How many at most: more are looked at while one of them could still be among the best."""


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
) -> list[Hit]:
    """Return the k trajectories with the best sum of scores, best first, each with its best step.

    The sum of a trajectory that was not looked at is at most its own score + 1, so looking further stops
    early without a loss where scores are far enough apart, and at `cut.most` at the latest.
    """
    ranked = index.trajectories(keys, cut.most, exclude)
    steps = np.empty(0, dtype=np.int64)
    step_scores = np.empty(0, dtype=np.float32)
    looked = 0
    width = cut.first
    while looked < len(ranked.refs):
        chosen = ranked.refs[looked : looked + width]
        best = index.best_steps(chosen, state, state_key)
        steps = np.concatenate([steps, best.steps])
        step_scores = np.concatenate([step_scores, best.scores])
        looked += len(chosen)
        if looked >= len(ranked.refs) or looked < k:
            continue
        totals = ranked.scores[:looked] + step_scores
        worst_kept = np.partition(totals, looked - k)[looked - k]
        if ranked.scores[looked] + 1.0 <= worst_kept:
            break
        width = looked
    # Rounded: the last bits of a dot product depend on its place in memory, and equal texts should tie.
    totals = np.round(ranked.scores[:looked] + step_scores, 5)
    order = np.lexsort((ranked.refs[:looked], -totals))[:k]
    names = index.resolve(ranked.refs[order])
    return [
        Hit(id, int(steps[at]), float(ranked.scores[at]), float(step_scores[at]))
        for id, at in zip(names, order, strict=True)
    ]
