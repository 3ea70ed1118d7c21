"""Whether something has changed: a test of values that come one by one, which may be looked at after each of them.

A conformal test martingale (Vovk et al. 2021, "Retrain or not retrain", arXiv 2102.10439): while values are exchangeable,
the rank of each among those before it, ties broken by chance, is uniform. Three bettors play against that (the Simple
Jumper): on low ranks, on high ones, and not at all. By Ville's inequality their wealth ever reaches 1/alpha with
probability alpha at most, whatever the values' distribution. With each block of values a part of the money enters that
stayed out before, so that a long quiet time does not ruin them: a mixture over when the game begins. Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict

__all__ = ["MEASURES", "WORSE_BY", "Measure", "Stream", "Turn", "observed", "turn_of"]

Measure: TypeAlias = Literal["support", "agreement", "escalated", "success"]
"""Of an episode: mean similarity of the nearest excerpt, mean share of equal samples, share of steps that the teacher
took in the student's place, and whether it succeeded (0 or 1)."""
WORSE_BY: Mapping[Measure, int] = {"support": -1, "agreement": -1, "escalated": 1, "success": -1}
"""The direction in which a measure is worse."""
MEASURES: tuple[Measure, ...] = tuple(WORSE_BY)

_JUMP = 0.01
_BETS = (-1, 0, 1)
_BLOCK = 100
"""Values after which more money enters: of all 1/(k(k + 1)) with block k."""
_LEVELS = 100
"""Values are told apart to a hundredth."""
_RECENT = 50


class Stream(BaseModel):
    """What is kept of the values so far."""

    model_config = ConfigDict(frozen=True)

    seen: dict[int, int] = {}
    """How often each value came, in hundredths."""
    wealth: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the bettors on low ranks (high values), on nothing, and on high ranks."""
    recent: tuple[int, ...] = ()
    """The last values, in hundredths."""

    @property
    def count(self) -> int:
        """Values so far."""
        return sum(self.seen.values())

    @property
    def evidence(self) -> float:
        """Wealth: the change is noticed at 1/alpha."""
        return sum(self.wealth)


class Turn(NamedTuple):
    """How a stream has changed."""

    before: float
    """Mean of all but the recent values; of all, while there are no others."""
    recent: float


def observed(stream: Stream, value: float, chance: float) -> Stream:
    """Return the stream with one more value; `chance` is uniform in [0, 1) and independent of all values."""
    level, number = round(value * _LEVELS), stream.count
    above = sum(count for known, count in stream.seen.items() if known > level)
    alike = stream.seen.get(level, 0) + 1
    rank = (above + chance * alike) / (number + 1)
    block = number // _BLOCK + 1
    more = 0.0 if number % _BLOCK else 1 / (block * (block + 1)) / len(_BETS)
    arms = [arm + more for arm in stream.wealth]
    total = sum(arms)
    low, none, high = (
        ((1 - _JUMP) * arm + _JUMP / 3 * total) * (1 + bet * (rank - 0.5))
        for bet, arm in zip(_BETS, arms, strict=True)
    )
    return Stream(
        seen={**stream.seen, level: alike},
        wealth=(low, none, high),
        recent=(*stream.recent, level)[-_RECENT:],
    )


def turn_of(stream: Stream) -> Turn:
    """Return the means of the recent values and of those before."""
    recent, count = sum(stream.recent), len(stream.recent)
    total = sum(level * number for level, number in stream.seen.items())
    rest = stream.count - count
    last = recent / max(1, count) / _LEVELS
    return Turn((total - recent) / rest / _LEVELS if rest else last, last)
