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
from icd_memory.index import BestSteps, Exclusion, Ranked, Scores, StateKey, TrajectoryKey, VectorIndex

_ROUNDING = 1e-5
"""Scores nearer than this are equal: the last bits of a dot product depend on its place in memory."""


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
) -> list[Hit]:
    """Return the k trajectories with the best sum of scores, best first, each with its best step."""
    ranked = index.trajectories(keys, cut.first, exclude)
    best = index.best_steps(ranked.refs, state, state_key)
    if len(ranked.refs) == cut.first:
        least = _kth_best(ranked.scores + best.scores, k) - _ROUNDING
        # A cosine is at most 1, so a trajectory that scores less can't make it up by its steps.
        others = index.trajectories(keys, cut.most, exclude, least=least - 1.0)
        fresh = ~np.isin(others.refs, ranked.refs)
        others = Ranked(others.refs[fresh], others.scores[fresh])
        bounds = others.scores + index.step_bounds(others.refs, state, state_key)
        ranked, best = _looked_further(index, state, state_key, k, (ranked, best), others, bounds, cut.first)
    totals = np.round((ranked.scores + best.scores) / _ROUNDING)
    order = np.lexsort((ranked.refs, -totals))[:k]
    names = index.resolve(ranked.refs[order])
    return [
        Hit(id, int(best.steps[at]), float(ranked.scores[at]), float(best.scores[at]))
        for id, at in zip(names, order, strict=True)
    ]


def _looked_further(
    index: VectorIndex,
    state: Vector,
    state_key: StateKey,
    k: int,
    seen: tuple[Ranked, BestSteps],
    others: Ranked,
    bounds: Scores,
    width: int,
) -> tuple[Ranked, BestSteps]:
    """Look at the other trajectories, the highest bound first, until none left can be among the k best."""
    ranked, best = seen
    order = np.argsort(-bounds, kind="stable")
    at = 0
    while at < len(order):
        least = _kth_best(ranked.scores + best.scores, k) - _ROUNDING
        chosen = order[at : at + width]
        chosen = chosen[bounds[chosen] >= least]
        if len(chosen) == 0:
            break
        found = index.best_steps(others.refs[chosen], state, state_key)
        ranked = Ranked(
            np.concatenate([ranked.refs, others.refs[chosen]]),
            np.concatenate([ranked.scores, others.scores[chosen]]),
        )
        best = BestSteps(
            np.concatenate([best.steps, found.steps]), np.concatenate([best.scores, found.scores])
        )
        at += width
    return ranked, best


def _kth_best(totals: Scores, k: int) -> float:
    return float(np.partition(totals, len(totals) - k)[len(totals) - k])
