"""Whether a candidate may take the student's place, by the same held-out episodes played with both. Pure functions.

Two tests, both at level alpha, both to be passed; so that one of them is passed wrongly has a chance of at most alpha:

- success: "the candidate loses more than `margin`" is rejected. On single episodes of independent tasks by the exact
  paired test (`icd.calibration_pvalues.exact_p_value`); where tasks have several episodes, or scenarios several tasks, by
  betting on their means (`betting_p_value`).
- cost per success: "it does not fall" is rejected, one-sided, for c/s < c0/s0, that is c*s0 - c0*s < 0, whose linear part
  is a mean over tasks (normal approximation; Fieller's linear form of a ratio).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

from icd.benchmark.pairs import Pairs
from icd.benchmark.played import Result
from icd.calibration_pvalues import betting_p_value, exact_p_value, most_losses

__all__ = ["Comparison", "GateRules", "Unit", "compare", "units_of"]


@dataclass(frozen=True, slots=True)
class GateRules:
    """What a candidate has to show before it sees a live episode."""

    margin: float = 0.05
    """By which success may fall, at most."""
    alpha: float = 0.05
    """Chance, at most, that a candidate passes that loses more, or that costs no less per success."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A task (or scenario) played by both: means over its episodes. Units are independent of each other."""

    candidate_won: float
    current_won: float
    candidate_cost: float
    """US dollars an episode."""
    current_cost: float
    episodes: int = 1


@dataclass(frozen=True)
class Comparison:
    """A candidate beside the current student."""

    units: tuple[Unit, ...]
    rules: GateRules

    @property
    def losses(self) -> int:
        """Units of which the current student won more."""
        return sum(unit.candidate_won < unit.current_won for unit in self.units)

    @property
    def gains(self) -> int:
        """Units of which the candidate won more."""
        return sum(unit.candidate_won > unit.current_won for unit in self.units)

    @cached_property
    def success_p(self) -> float:
        """The p-value of "the candidate loses more than the margin"."""
        if not self.units:
            return 1.0
        if self._single:
            return exact_p_value(self.losses, self.gains, len(self.units), self.rules.margin)
        losses = [unit.current_won - unit.candidate_won for unit in self.units]
        return betting_p_value(losses, self.rules.margin, low=-1.0, high=1.0)

    @cached_property
    def keeps_success(self) -> bool:
        """Whether the test of success is passed."""
        if not self.units:
            return False
        if not self._single:
            return self.success_p <= self.rules.alpha
        # As `success_p <= alpha`, from a table that is made once for a number of episodes.
        limits = most_losses(len(self.units), self.rules.margin, self.rules.alpha)
        return self.losses <= limits[self.gains]

    @cached_property
    def cost_p(self) -> float:
        """The p-value of "cost per success does not fall"."""
        n = len(self.units)
        if n < 2:
            return 1.0
        won, won0 = (
            sum(x) / n for x in zip(*((u.candidate_won, u.current_won) for u in self.units), strict=True)
        )
        cost, cost0 = (
            sum(x) / n for x in zip(*((u.candidate_cost, u.current_cost) for u in self.units), strict=True)
        )
        if not won:
            return 1.0
        excess = cost * won0 - cost0 * won
        parts = [
            u.candidate_cost * won0 + cost * u.current_won - u.current_cost * won - cost0 * u.candidate_won
            for u in self.units
        ]
        error = math.sqrt(sum((part - 2 * excess) ** 2 for part in parts) / (n - 1) / n)
        if error <= 1e-12 * max(abs(cost), abs(cost0), 1e-12):
            return 0.0 if excess < -1e-12 * max(cost0, 1e-12) else 1.0
        return NormalDist().cdf(excess / error)

    @property
    def saves(self) -> bool:
        """Whether the test of cost per success is passed."""
        return self.cost_p <= self.rules.alpha

    @property
    def passed(self) -> bool:
        """Whether the candidate may be tried on live episodes."""
        return self.keeps_success and self.saves

    @property
    def candidate(self) -> tuple[float, float]:
        """Success and cost per success (dollars; infinite without any) of the candidate."""
        return _means([(unit.candidate_won, unit.candidate_cost) for unit in self.units])

    @property
    def current(self) -> tuple[float, float]:
        """The same of the current student."""
        return _means([(unit.current_won, unit.current_cost) for unit in self.units])

    def words(self) -> list[str]:
        """Say what was found."""
        if not self.units:
            return ["the two runs have no finished task in common"]
        (won, cost), (won0, cost0) = self.candidate, self.current
        rules = self.rules
        return [
            f"success {won:.3f} beside {won0:.3f} on {len(self.units)} tasks ({self.losses} lost, {self.gains} gained): "
            f"{'not worse' if self.keeps_success else 'not shown to be not worse'} by {rules.margin:g} "
            f"(p = {self.success_p:.4f}, needed {rules.alpha:g})",
            f"${cost:.5f} per success beside ${cost0:.5f}: {'lower' if self.saves else 'not shown to be lower'} "
            f"(p = {self.cost_p:.4f}, needed {rules.alpha:g})",
        ]

    @property
    def _single(self) -> bool:
        return all(unit.episodes == 1 for unit in self.units)


def compare(units: Sequence[Unit], rules: GateRules) -> Comparison:
    """Compare a candidate with the current student."""
    return Comparison(tuple(units), rules)


def units_of(candidate: Sequence[Result], current: Sequence[Result]) -> list[Unit]:
    """Return the independent units that both have finished: scenarios where tasks have them, else tasks."""
    pairs = Pairs.of(candidate, current)
    mine = [result for group in pairs.first for result in group]
    others = {(result.task_id, result.seed): result for group in pairs.second for result in group}
    groups: dict[str, list[tuple[Result, Result]]] = defaultdict(list)
    for result in mine:
        groups[result.scenario or result.task_id].append((result, others[result.task_id, result.seed]))
    return [
        Unit(
            _mean([float(one.won) for one, _ in group]),
            _mean([float(other.won) for _, other in group]),
            _mean([one.cost for one, _ in group]),
            _mean([other.cost for _, other in group]),
            len(group),
        )
        for _, group in sorted(groups.items())
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    if not pairs:
        return math.nan, math.nan
    won, cost = _mean([won for won, _ in pairs]), _mean([cost for _, cost in pairs])
    return won, cost / won if won else math.inf
