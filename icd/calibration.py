"""Choosing a policy with a guarantee: with confidence 1 - delta, its success is at most epsilon below the teacher's.

Learn-then-Test (Angelopoulos et al., 2021) with a fixed sequence: candidates are tested from the most careful to the
cheapest, each at level delta, until one fails; so the chance that any accepted one breaks the bound is at most delta. The
unit is the episode, paired with the teacher's on the same task; where several tasks belong together, it is the scenario.
Knows outcomes and costs only, not how they were played.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import NormalDist
from typing import TypeAlias

from icd.calibration_pvalues import betting_p_value, exact_p_value
from icd.cascade import Policy
from icd.errors import ConfigurationError

Unit: TypeAlias = Sequence[tuple[bool, bool]]
"""Episodes that are not independent of each other, mostly one: whether the teacher succeeded, and the candidate."""

DEFAULT_CANDIDATES = (
    Policy("unanimity", n=5),
    Policy("unanimity", n=3),
    Policy("majority", n=5, threshold=0.8),
    Policy("unanimity", n=2),
    Policy("majority", n=5, threshold=0.6),
    Policy("majority", n=3, threshold=0.6),
    Policy("unanimity", n=1),
)
"""What is tried where nobody says otherwise; the last asks the teacher only when a guard does, or an answer is
unreadable."""

_EXACT_UP_TO = 1000
"""Episodes; of more than that the normal approximation says enough about how many would do."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Paired outcomes in numbers."""

    episodes: int
    losses: int
    """Won by the teacher only."""
    gains: int
    """Won by the candidate only."""

    @classmethod
    def of(cls, units: Sequence[Unit]) -> Tally:
        """Count the episodes of all units."""
        pairs = [pair for unit in units for pair in unit]
        return cls(len(pairs), pairs.count((True, False)), pairs.count((False, True)))

    @property
    def shortfall(self) -> float:
        """Success of the teacher minus that of the candidate."""
        return (self.losses - self.gains) / self.episodes if self.episodes else math.nan


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that was played and tested."""

    policy: Policy
    tally: Tally
    p_value: float
    """Of "more than epsilon below the teacher"."""
    cost: float
    """Dollars an episode."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What came of the tests."""

    epsilon: float
    delta: float
    tested: tuple[Trial, ...]
    """In the order tested; the last one failed, unless all passed."""
    teacher_cost: float

    @property
    def accepted(self) -> tuple[Trial, ...]:
        """The candidates for which the bound holds, all of them together, with confidence 1 - delta."""
        return tuple(takewhile(lambda test: test.p_value <= self.delta, self.tested))

    @property
    def chosen(self) -> Trial | None:
        """The cheapest accepted candidate; None: the teacher, since none is accepted or none is cheaper."""
        best = min(self.accepted, key=lambda test: test.cost, default=None)
        return best if best is not None and best.cost <= self.teacher_cost else None


def ordered(policies: Sequence[Policy]) -> tuple[Policy, ...]:
    """Return candidates from the most careful to the cheapest: an order that no outcome has a say in.

    By how often an answer would be trusted whose chance is anything between 0 and 1, all alike.

    Raises:
        ConfigurationError: one of them does not compare samples, or is named twice.
    """
    odd = [str(policy) for policy in policies if policy.name not in ("unanimity", "majority")]
    if odd or len(set(policies)) < len(policies):
        raise ConfigurationError(
            f"candidates are different unanimity(n) and majority(n, share): {', '.join(odd) or 'one stands twice'}"
        )
    return tuple(sorted(policies, key=lambda policy: (_trusted(policy), -policy.n)))


def _trusted(policy: Policy) -> float:
    return (policy.n - policy.votes_needed + 1) / (policy.n + 1)


def p_value(units: Sequence[Unit], epsilon: float) -> float:
    """Return the p-value of "more than epsilon below the teacher".

    Exact where each unit is one episode; by betting on the units' means, in the order given, where one holds several.
    """
    if all(len(unit) == 1 for unit in units):
        tally = Tally.of(units)
        return exact_p_value(tally.losses, tally.gains, tally.episodes, epsilon)
    means = [sum(int(teacher) - int(mine) for teacher, mine in unit) / len(unit) for unit in units]
    return betting_p_value(means, epsilon, low=-1.0, high=1.0)


def p_value_in_each(groups: Sequence[Sequence[Unit]], epsilon: float) -> float:
    """Return the p-value of "in some group more than epsilon below the teacher" (intersection-union test, Berger 1982:
    one policy for all groups needs no correction for their number)."""
    return max(p_value(units, epsilon) for units in groups)


def episodes_needed(epsilon: float, delta: float) -> int:
    """Return the fewest episodes that can certify anything: with none lost."""
    check_promise(epsilon, delta)
    episodes = math.ceil(math.log(delta) / math.log1p(-epsilon))
    while exact_p_value(0, 0, episodes, epsilon) > delta:
        episodes += 1
    return episodes


def check_promise(epsilon: float, delta: float) -> None:
    """Refuse what cannot be promised.

    Raises:
        ConfigurationError: epsilon or delta lies outside 0..1.
    """
    if not (0 < epsilon < 1 and 0 < delta < 1):
        raise ConfigurationError(f"epsilon {epsilon:g} and delta {delta:g} must lie between 0 and 1")


def check_enough(units: int, epsilon: float, delta: float) -> None:
    """Refuse to calibrate on too little.

    Raises:
        ConfigurationError: so few episodes certify nothing, whatever their outcome.
    """
    needed = episodes_needed(epsilon, delta)
    if units < needed:
        raise ConfigurationError(
            f"{units} held-out episodes cannot certify anything at epsilon {epsilon:g} and delta {delta:g}, even if "
            f"none is lost: {needed} are needed, {needed - units} more"
        )


def episodes_wanted(tally: Tally, epsilon: float, delta: float) -> int | None:
    """Return about how many episodes would certify a candidate if its rates stayed as they are; None: no number would."""
    room = epsilon - tally.shortfall
    if not room > 0:
        return None
    both = (tally.losses + tally.gains) / tally.episodes
    spread = max(both - tally.shortfall**2, epsilon * (1 - epsilon))
    estimate = math.ceil(NormalDist().inv_cdf(1 - delta) ** 2 * spread / room**2)
    wanted = max(estimate, episodes_needed(epsilon, delta), tally.episodes + 1)
    while wanted < _EXACT_UP_TO and _p_value_at(tally, wanted, epsilon) > delta:
        wanted += math.ceil(wanted / 20)
    return wanted


def _p_value_at(tally: Tally, episodes: int, epsilon: float) -> float:
    share = episodes / tally.episodes
    return exact_p_value(math.ceil(tally.losses * share), int(tally.gains * share), episodes, epsilon)
