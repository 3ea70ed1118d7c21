"""Whether a strategy helps: the same samples answered without it and with it. Pure functions of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from icd.benchmark.statistics import CONFIDENCE, Interval, mcnemar, mean_difference, paired_difference
from icd.strategies.judging import FULL

LARGEST_P = 1 - CONFIDENCE

Measure = Literal["agreement", "score"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a strategy does to the answers to the same samples."""

    pairs: int
    without: float
    """Share of the teacher's points."""
    with_it: float
    difference: Interval
    """Of the shares: with minus without."""
    p_value: float
    """Two-sided, of "it makes no difference": McNemar's exact test, or the exact sign-flip test of scores."""
    measure: Measure

    @property
    def helps(self) -> bool:
        """Whether it is shown to help: the difference's whole interval lies above 0, and the exact test agrees."""
        return self.difference.low > 0 and self.p_value <= LARGEST_P

    @property
    def hurts(self) -> bool:
        """Whether answers were worse with it."""
        return self.difference.value < 0


def compare(without: Sequence[int], with_it: Sequence[int]) -> Effect:
    """Compare the points of the same samples, one of each task: without the strategy, and with it.

    Raises:
        ValueError: there are no samples, or not the same number.
    """
    if not without or len(without) != len(with_it):
        raise ValueError(f"{len(without)} samples without the strategy, {len(with_it)} with it")
    before = [[points / FULL] for points in without]
    after = [[points / FULL] for points in with_it]
    actions = {*without, *with_it} <= {0, FULL}
    difference = paired_difference(after, before) if actions else mean_difference(after, before)
    return Effect(
        len(without),
        sum(without) / (FULL * len(without)),
        sum(with_it) / (FULL * len(with_it)),
        difference,
        mcnemar([[points] for points in with_it], [[points] for points in without]),
        "agreement" if actions else "score",
    )


def could_help(without: Sequence[int]) -> bool:
    """Say whether a strategy could be shown to help at all: on enough samples something is missing without it."""
    missing = sum(points < FULL for points in without)
    return 2 * 0.5**missing <= LARGEST_P
