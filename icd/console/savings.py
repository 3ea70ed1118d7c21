"""What sums of episodes say: success, cost beside the teacher's, escalations, break-even; each with its interval. Pure.

The teacher's cost of an episode is counterfactual: its steps at the mean price of the teacher's calls that there are
(steps it took, and answers for the record). It cannot know that a teacher might have needed more or fewer steps, and
the calls are those of the steps that came to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from icd.benchmark.statistics import Interval, Z, wilson
from icd.ledger import BreakEven
from icd_memory.figures import Totals

__all__ = ["CallPrice", "Saving", "saving"]


@dataclass(frozen=True, slots=True)
class CallPrice:
    """What a step costs when the teacher takes it."""

    dollars: float
    variance: float
    """Of this mean."""
    calls: int

    @classmethod
    def of(cls, totals: Totals) -> CallPrice | None:
        """Return the price of the teacher's calls in these episodes; None: there are none."""
        calls = totals.teacher_calls
        if not calls:
            return None
        price = totals.teacher_cost / calls
        # A ratio of two sums over episodes, linearised: episodes are what is drawn.
        residuals = (
            totals.teacher_cost_squared
            - 2 * price * totals.calls_teacher_cost
            + price**2 * totals.calls_squared
        )
        return cls(price, max(residuals, 0.0) / calls**2, calls)


@dataclass(frozen=True, slots=True)
class Saving:
    """What episodes achieved and cost."""

    episodes: int
    judged: int
    success: Interval
    """Of those of which it is known."""
    cost: Interval
    """Dollars an episode."""
    teacher: Interval | None
    """Dollars an episode had the teacher taken every step; None: nothing is known of its price."""
    saved: Interval | None
    """Of the difference of the two."""
    escalation: Interval
    """Share of the steps that the teacher took."""
    break_even: BreakEven | None
    collection: float
    """Dollars that had been spent for demonstrations before."""

    @property
    def relative(self) -> float | None:
        """Cost over the teacher's."""
        return self.cost.value / self.teacher.value if self.teacher and self.teacher.value else None


def saving(totals: Totals, price: CallPrice | None, collection: float = 0.0) -> Saving:
    """Return what sums say; `collection` are dollars that demonstrations had cost before."""
    n = totals.episodes
    cost = _mean(totals.cost, totals.cost_squared, n)
    teacher = saved = found = None
    if price is not None and n:
        steps, rate = totals.steps / n, price.dollars
        own = price.variance * steps**2
        teacher = _around(rate * steps, rate**2 * _variance(totals.steps, totals.steps_squared, n) + own)
        # Of rate*steps - cost, episode by episode.
        total = rate * totals.steps - totals.cost
        squares = rate**2 * totals.steps_squared - 2 * rate * totals.steps_cost + totals.cost_squared
        saved = _around(total / n, _variance(total, squares, n) + own)
        found = _break_even(collection, saved)
    return Saving(
        n, totals.judged, wilson(totals.won, totals.judged), cost, teacher, saved,
        wilson(min(totals.teacher_steps, totals.steps), totals.steps), found, collection,
    )  # fmt: skip


def _variance(total: float, squares: float, n: int) -> float:
    """Return the variance of the mean of `n` values with this sum and sum of squares."""
    if n < 2:
        return math.nan
    return max(squares - total**2 / n, 0.0) / (n - 1) / n


def _mean(total: float, squares: float, n: int) -> Interval:
    return _around(total / n, _variance(total, squares, n)) if n else Interval(math.nan, math.nan, math.nan)


def _around(value: float, variance: float) -> Interval:
    spread = Z * math.sqrt(variance) if variance == variance else math.nan
    return Interval(value, value - spread, value + spread)


def _break_even(collection: float, saved: Interval) -> BreakEven:
    def episodes(each: float) -> float:
        if collection <= 0:
            return 0.0 if each >= 0 else math.inf
        return collection / each if each > 0 else math.inf

    low, high = (saved.low, saved.high) if saved.low == saved.low else (saved.value, saved.value)
    return BreakEven(episodes(saved.value), episodes(high), episodes(low), 0.95)
