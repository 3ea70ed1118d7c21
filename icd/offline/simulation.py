"""Candidates whose true rates are known, sent through the gate and the canary, to see which come through how often.

The decisions are those of `icd.offline.promotion` and `icd.offline.canary`; only what is played is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from icd.offline.canary import Outcome, watch
from icd.offline.gate import Rules
from icd.offline.promotion import Unit, compare

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Candidate", "Fate", "fate_of", "shares_of"]

Fate = Literal["kept", "promoted", "rolled back"]
_OUTCOMES = tuple(Outcome(arm, won) for arm in ("current", "canary") for won in (False, True))


@dataclass(frozen=True, slots=True)
class Candidate:
    """The truth about a candidate."""

    offline: float = 0.0
    """Its success on held-out tasks minus the current student's."""
    live: float = 0.0
    """The same on live episodes."""
    cost: float = 1.0
    """Of its episodes, in those of the current student."""
    current: float = 0.8
    """Success of the current student."""
    discordance: float = 0.2
    """Share of held-out tasks that exactly one of the two wins."""
    tasks: int = 200
    """Held-out."""
    rules: Rules = field(default_factory=Rules)


def fate_of(candidate: Candidate, rng: np.random.Generator) -> Fate:
    """Send a candidate through."""
    rules = candidate.rules
    if not compare(_played(candidate, rng), rules.gate).passed:
        return "kept"
    found = watch(_live(candidate, rng), rules.canary)
    return "promoted" if found.decision == "promote" else "rolled back"


def shares_of(candidate: Candidate, repetitions: int, rng: np.random.Generator) -> dict[Fate, float]:
    """Return how often which fate meets a candidate."""
    fates = [fate_of(candidate, rng) for _ in range(repetitions)]
    return {fate: fates.count(fate) / repetitions for fate in ("kept", "promoted", "rolled back")}


def _played(candidate: Candidate, rng: np.random.Generator) -> list[Unit]:
    import numpy as np

    n, gain = candidate.tasks, (candidate.discordance + candidate.offline) / 2
    loss = candidate.discordance - gain
    both = candidate.current - loss
    kinds = rng.choice(4, size=n, p=[both, loss, gain, 1 - both - candidate.discordance])
    length = np.exp(rng.normal(0, 0.4, n))  # What makes a task long makes it long for both.
    costs = length * np.exp(rng.normal(0, 0.3, n)), candidate.cost * length * np.exp(rng.normal(0, 0.3, n))
    return [
        Unit(float(kind in (0, 2)), float(kind in (0, 1)), float(mine), float(other))
        for kind, other, mine in zip(kinds, *costs, strict=True)
    ]


def _live(candidate: Candidate, rng: np.random.Generator) -> list[Outcome]:
    import numpy as np

    rules = candidate.rules
    episodes = round(1.2 * rules.canary.most / rules.share)
    tried = rng.random(episodes) < rules.share
    rate = np.where(tried, candidate.current + candidate.live, candidate.current)
    won = rng.random(episodes) < rate
    return [_OUTCOMES[index] for index in (2 * tried + won).tolist()]
