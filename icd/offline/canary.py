"""Watching a candidate on live episodes: a sequential test that holds whenever it is looked at. Pure functions.

Two streams of successes and failures, the candidate's and the current student's, become differences: each candidate
episode (or several) minus the mean of the current student's since the one before. Two gamblers bet on these, one that the
candidate is worse, one that it is not worse by the margin: neither can expect to win if its bet's opposite is true, so
that its wealth reaches 1/alpha with a chance of at most alpha at any time (Ville). Bets are a mixture over a grid of
stakes (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024, diversified
Kelly betting). Both rates may drift together, since episodes are compared with those beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["Arm", "CanaryRules", "Outcome", "Watched", "Wealth", "differences", "watch"]

Arm = Literal["canary", "current"]
_STAKES = tuple(0.9 * 1.35**-step for step in range(12))
"""Parts of what can be staked at most: from nearly all of it to a thirtieth."""


class Outcome(NamedTuple):
    """A live episode, in the order they ended."""

    arm: Arm
    won: bool


@dataclass(frozen=True, slots=True)
class CanaryRules:
    """When a trial ends."""

    margin: float = 0.1
    """By which success may fall, at most, for the candidate to stay."""
    alpha: float = 0.05
    """Chance, at most, that one stays that is worse by the margin, and that one is sent back as worse that is not."""
    most: int = 2000
    """Episodes of the candidate until it has to be decided: what is not proven then goes back."""


class Watched(NamedTuple):
    """Where a trial stands."""

    decision: Literal["continue", "promote", "rollback"]
    reason: str
    canary: int
    """Episodes seen until the decision."""
    current: int
    canary_won: int
    current_won: int
    worse: float
    """Evidence that the candidate is worse: 1/alpha is enough."""
    good: float
    """Evidence that it is not worse by the margin."""


def differences(outcomes: Iterable[Outcome]) -> Iterator[tuple[int, float]]:
    """Yield the candidate's mean success minus the current student's over blocks of episodes, with the number of outcomes
    seen at its end. A block ends as soon as both are in it, whatever their outcomes are."""
    block: dict[Arm, list[bool]] = {"canary": [], "current": []}
    for number, outcome in enumerate(outcomes, 1):
        block[outcome.arm].append(outcome.won)
        if all(block.values()):
            one, other = (sum(won) / len(won) for won in (block["canary"], block["current"]))
            yield number, one - other
            block = {"canary": [], "current": []}


class Wealth:
    """A gambler's money, 1 at first, on values above `-least` whose mean is at most 0 if the null is true."""

    def __init__(self, least: float) -> None:
        self._stakes = [stake / least for stake in _STAKES]
        self._logs = [0.0] * len(_STAKES)

    def bet(self, value: float) -> float:
        """Bet on a value and return the money."""
        self._logs = [
            log + math.log1p(stake * value) for log, stake in zip(self._logs, self._stakes, strict=True)
        ]
        top = max(self._logs)
        return (
            math.exp(min(top, 700.0)) * math.fsum(math.exp(log - top) for log in self._logs) / len(self._logs)
        )


def watch(outcomes: Sequence[Outcome], rules: CanaryRules) -> Watched:
    """Return where a trial stands after these outcomes; what came after its decision does not count."""
    worse, good = Wealth(1.0), Wealth(1.0 - rules.margin)
    against = money = 1.0
    tried = before = 0
    for seen, difference in differences(outcomes):
        against = worse.bet(-difference)
        money = good.bet(difference + rules.margin)
        if against >= 1 / rules.alpha:
            return _watched("rollback", "worse than the current student", outcomes[:seen], against, money)
        if money >= 1 / rules.alpha:
            return _watched("promote", f"not worse by {rules.margin:g}", outcomes[:seen], against, money)
        tried += sum(outcome.arm == "canary" for outcome in outcomes[before:seen])
        before = seen
        if tried >= rules.most:
            return _watched(
                "rollback", f"not proven in {rules.most} episodes", outcomes[:seen], against, money
            )
    return _watched("continue", "not decided yet", outcomes, against, money)


def _watched(
    decision: Literal["continue", "promote", "rollback"],
    reason: str,
    outcomes: Sequence[Outcome],
    worse: float,
    good: float,
) -> Watched:
    tried = [outcome.won for outcome in outcomes if outcome.arm == "canary"]
    others = [outcome.won for outcome in outcomes if outcome.arm == "current"]
    return Watched(decision, reason, len(tried), len(others), sum(tried), sum(others), worse, good)
