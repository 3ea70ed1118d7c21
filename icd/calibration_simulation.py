"""Worlds in which the true success of every candidate is known, to see whether a calibration keeps its promise.

An episode is some steps whose difficulties share a part (`correlation`). At each step the student answers several times;
where it is unsure it errs, and its errors may agree with each other. The teacher errs too. A mistake is fatal with some
chance; on top of that luck can decide episodes whoever acts, for teacher and cascade apart. Candidates see the same
samples, and their success is counted over a large pool of episodes; repetitions draw from the pool, so that its means are
the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from icd.calibration import DEFAULT_CANDIDATES
from icd.calibration_pvalues import most_losses
from icd.cascade import Policy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Ints: TypeAlias = npt.NDArray[np.int8]
    _Floats: TypeAlias = npt.NDArray[np.float64]
    _Flags: TypeAlias = npt.NDArray[np.bool_]

_WRONG_ANSWERS = 3
"""Different mistakes that can be made at a step."""


@dataclass(frozen=True, slots=True)
class World:
    """How hard a benchmark is, and for whom."""

    correlation: float = 0.5
    """Between the difficulties of an episode's steps, 0..1."""
    skill: float = 3.0
    """Log-odds that the student's sample is right at a step of middling difficulty."""
    teacher_skill: float = 6.0
    spread: float = 2.0
    """What a standard deviation of difficulty takes from the log-odds."""
    steps: int = 10
    fatal: float = 0.15
    """Chance that a mistake ends the episode's hopes."""
    sample_cost: float = 0.03
    """Of a student's sample, in steps of the teacher."""


class Pool(NamedTuple):
    """Episodes of a world, and what each candidate made of them."""

    teacher_won: _Flags
    """[episode]"""
    won: _Flags
    """[episode, candidate]"""
    saving: _Floats
    """By candidate: 1 minus its mean cost over the teacher's."""

    @property
    def shortfall(self) -> _Ints:
        """[episode, candidate]: 1 won by the teacher only, -1 by the candidate only, 0 alike."""
        import numpy as np

        difference: _Ints = self.teacher_won[:, None].astype(np.int8) - self.won.astype(np.int8)
        return difference

    @property
    def truth(self) -> _Floats:
        """Teacher's success minus the candidate's, by candidate."""
        means: _Floats = self.shortfall.mean(axis=0, dtype=float)
        return means

    @property
    def discordance(self) -> _Floats:
        """Share of episodes that only one of the two wins, by candidate."""
        means: _Floats = (self.shortfall != 0).mean(axis=0, dtype=float)
        return means

    def best(self, epsilon: float) -> int:
        """Return who knows the truth would choose: the last candidate of a sequence that keeps the bound; -1: none."""
        import numpy as np

        kept = np.flatnonzero(self.truth <= epsilon)
        return int(kept[np.argmax(self.saving[kept])]) if len(kept) else -1


def simulate(
    world: World, episodes: int, rng: np.random.Generator, candidates: Sequence[Policy] = DEFAULT_CANDIDATES
) -> Pool:
    """Play episodes of a world with every candidate and with the teacher."""
    import numpy as np

    shape = (episodes, world.steps)
    shared = np.sqrt(world.correlation) * rng.standard_normal((episodes, 1))
    difficulty = shared + np.sqrt(1 - world.correlation) * rng.standard_normal(shape)
    right = 1 / (1 + np.exp(world.spread * difficulty - world.skill))
    teacher_right = 1 / (1 + np.exp(world.spread * difficulty - world.teacher_skill))
    samples = _samples(right, max(policy.n for policy in candidates), rng)
    hurts = rng.random(shape) < world.fatal
    # The teacher that is asked for one step answers as it did alone: what differs is the student's doing, and luck.
    teacher_fatal = (rng.random(shape) >= teacher_right) & hurts
    won, savings = [], []
    for policy in candidates:
        trusted, mistaken, drawn = _cascade(policy, samples)
        fatal = np.where(trusted, mistaken & hurts, teacher_fatal)
        won.append(~fatal.any(axis=1))
        savings.append(1 - float((world.sample_cost * drawn + ~trusted).mean()))
    return Pool(~teacher_fatal.any(axis=1), np.stack(won, axis=1), np.array(savings))


def _samples(right: _Floats, n: int, rng: np.random.Generator) -> _Ints:
    """Return answers [sample, episode, step]: 0 is right, the others are mistakes, the first of them the likeliest."""
    import numpy as np

    answers = []
    for _ in range(n):
        wrong = 1 + np.minimum(rng.geometric(0.6, right.shape) - 1, _WRONG_ANSWERS - 1)
        answers.append(np.where(rng.random(right.shape) < right, 0, wrong).astype(np.int8))
    return np.stack(answers)


def _cascade(policy: Policy, samples: _Ints) -> tuple[_Flags, _Flags, _Ints]:
    """Return, by episode and step: whether the student acts, whether its answer is wrong, how many samples were drawn."""
    import numpy as np

    counts = np.zeros((1 + _WRONG_ANSWERS, *samples.shape[1:]), np.int8)
    drawn = np.zeros(samples.shape[1:], np.int8)
    settled = np.zeros(samples.shape[1:], bool)
    for index in range(policy.n):
        drawn += ~settled
        for answer in range(1 + _WRONG_ANSWERS):
            counts[answer] += (samples[index] == answer) & ~settled
        left, best = policy.n - index - 1, counts.max(axis=0)
        ahead = (
            2 * best > index + 1 + left
        )  # Enough for the first, and whoever has half of all cannot be caught.
        settled |= ((best >= policy.votes_needed) & ahead) | (best + left < policy.votes_needed)
    trusted = counts.max(axis=0) >= policy.votes_needed
    return trusted, counts.argmax(axis=0) != 0, drawn


def with_luck(pool: Pool, luck: float, rng: np.random.Generator) -> Pool:
    """Let every attempt at an episode fail with a chance of `luck`, the teacher's apart from the cascade's."""
    teacher_spared, spared = (rng.random(len(pool.teacher_won)) >= luck for _ in range(2))
    return Pool(pool.teacher_won & teacher_spared, pool.won & spared[:, None], pool.saving)


def luck_for(pool: Pool, epsilon: float, discordance: float) -> float:
    """Return the luck with which the best candidate and the teacher differ in that share of episodes; 0 where they do so
    more often anyway."""
    both = (pool.won & pool.teacher_won[:, None]).mean(axis=0)
    one = pool.discordance
    low, high = 0.0, 0.5
    for _ in range(20):
        luck = (low + high) / 2
        kept = (1 - luck) * pool.truth <= epsilon
        best = int((pool.saving * kept).argmax())
        share = (1 - luck) * (2 * luck * both[best] + one[best])
        low, high = (low, luck) if share >= discordance else (luck, high)
    return low


class Outcome(NamedTuple):
    """What became of repeated calibrations."""

    violated: _Flags
    """By repetition: the chosen policy breaks the bound."""
    saving: _Floats
    """By repetition: the chosen policy's; 0 where none was."""


def repeat(
    pool: Pool, episodes: int, epsilon: float, delta: float, repetitions: int, rng: np.random.Generator
) -> Outcome:
    """Calibrate again and again, each time on fresh episodes of the pool."""
    import numpy as np

    limits = np.array(most_losses(episodes, epsilon, delta))
    shortfall = pool.shortfall
    chosen = np.full(repetitions, -1)
    for index in range(repetitions):
        seen = shortfall[rng.integers(len(shortfall), size=episodes)]
        passed = (seen == 1).sum(axis=0) <= limits[(seen == -1).sum(axis=0)]
        accepted = len(passed) if passed.all() else int(np.argmin(passed))
        if accepted and pool.saving[:accepted].max() > 0:
            chosen[index] = np.argmax(pool.saving[:accepted])
    truth, saving = np.append(pool.truth, 0.0), np.append(pool.saving, 0.0)
    return Outcome(truth[chosen] > epsilon, saving[chosen])


def at_the_edge(
    episodes: int,
    epsilon: float,
    delta: float,
    discordance: float,
    repetitions: int,
    rng: np.random.Generator,
) -> float:
    """Return the share of repetitions that accept a candidate that breaks the bound by a hair: the hardest case."""
    import numpy as np

    gain = max(discordance - epsilon, 0.0) / 2
    loss = gain + epsilon * 1.0001
    counts = rng.multinomial(episodes, [loss, gain, 1 - loss - gain], size=repetitions)
    limits = np.array(most_losses(episodes, epsilon, delta))
    return float((counts[:, 0] <= limits[counts[:, 1]]).mean())
