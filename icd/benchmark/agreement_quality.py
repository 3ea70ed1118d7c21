"""Whether the agreement of samples says that the student is right: reliability curve and AUROC.

Right is what the teacher would have done at the step itself (runs with ``record: full``); where that was not asked, that
the episode was won, which is a label of episodes and not of steps. A task's steps are not independent, so tasks are what
is resampled. Source: arXiv 2310.03094 and 2511.07396 use the agreement as a confidence.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from icd.benchmark.statistics import CONFIDENCE, RESAMPLES, Interval, clustered_share, wilson
from icd.benchmark.steps import PlayedStep

__all__ = ["AgreementQuality", "Judged", "ReliabilityPoint", "agreement_quality", "auroc", "reliability"]

Target = Literal["teacher", "outcome"]
_MOST_POINTS = 10


class Judged(NamedTuple):
    """A step's confidence, and whether it was right."""

    task: str
    score: float
    right: bool


class ReliabilityPoint(NamedTuple):
    """Steps with about the same agreement."""

    agreement: float
    """Their mean."""
    right: Interval
    steps: int


@dataclass(frozen=True, slots=True)
class AgreementQuality:
    """How well agreement foretells a right step."""

    target: Target
    """What counts as right: the teacher's own action, or that the episode was won."""
    steps: int
    tasks: int
    auroc: Interval
    curve: tuple[ReliabilityPoint, ...]
    only_unanimity: bool
    """Sampling stopped early: of each step it is only known whether all samples would have been equal (1) or not (0)."""


def agreement_quality(steps: Sequence[PlayedStep]) -> AgreementQuality | None:
    """Return the quality of a method's agreement, from all its steps with samples.

    None where it cannot be known: nothing was sampled more than once, or sampling stopped while all samples were equal.
    """
    sampled = [step for step in steps if step.agreement is not None]
    if not sampled or max(step.wanted for step in sampled) < 2:
        return None
    cut = any(step.drawn < step.wanted for step in sampled)
    if any(step.drawn < step.wanted and step.agreement == 1 for step in sampled):
        return None
    target: Target = "outcome" if any(step.matches is None for step in sampled) else "teacher"
    judged = [
        Judged(
            step.task_id,
            float(step.agreement == 1) if cut else float(step.agreement or 0),
            step.won if target == "outcome" else bool(step.matches),
        )
        for step in sampled
    ]
    tasks = len({one.task for one in judged})
    return AgreementQuality(target, len(judged), tasks, auroc(judged), reliability(judged), cut)


def reliability(judged: Sequence[Judged]) -> tuple[ReliabilityPoint, ...]:
    """Return the share of right steps by agreement: one point a value, ten equal bins where there are more values."""
    values = {one.score for one in judged}
    bins: dict[float, list[Judged]] = defaultdict(list)
    for one in judged:
        place = min(int(one.score * _MOST_POINTS), _MOST_POINTS - 1)
        bins[place if len(values) > _MOST_POINTS else one.score].append(one)
    points = []
    for _, group in sorted(bins.items()):
        tasks: dict[str, list[float]] = defaultdict(list)
        for one in group:
            tasks[one.task].append(float(one.right))
        mean = math.fsum(one.score for one in group) / len(group)
        points.append(ReliabilityPoint(mean, clustered_share(list(tasks.values())), len(group)))
    return tuple(points)


def auroc(judged: Sequence[Judged]) -> Interval:
    """Return the probability that a right step has the higher agreement of a right and a wrong one, ties counting half.

    The interval is a percentile bootstrap over tasks. Where every pair is in the same order no resample differs: then it
    is Wilson's for as many trials as the rarer kind of step has tasks. Without both kinds it is anything.
    """
    right, wrong = ({one.task for one in judged if one.right is kind} for kind in (True, False))
    if not right or not wrong:
        return Interval(math.nan, 0.0, 1.0)
    import numpy as np

    tasks = {task: row for row, task in enumerate(sorted(right | wrong))}
    scores = {score: column for column, score in enumerate(sorted({one.score for one in judged}))}
    counts = np.zeros((2, len(tasks), len(scores)))
    for one in judged:
        counts[int(one.right), tasks[one.task], scores[one.score]] += 1
    drawn = np.random.default_rng(0).multinomial(len(tasks), [1 / len(tasks)] * len(tasks), size=RESAMPLES)
    weights = np.vstack([np.ones((1, len(tasks))), drawn])
    negative, positive = weights @ counts[0], weights @ counts[1]
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    areas = (positive * below).sum(axis=1)[pairs > 0] / pairs[pairs > 0]
    value = float(areas[0])
    if value in (0.0, 1.0):
        trials = min(len(right), len(wrong))
        return wilson(round(value) * trials, trials)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(areas[1:], [tail, 1 - tail])
    return Interval(value, min(float(low), value), max(float(high), value))
