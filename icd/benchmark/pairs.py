"""Two methods on the tasks and seeds that both have finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from icd.benchmark.played import Result, by_task
from icd.benchmark.power import detectable
from icd.benchmark.statistics import Interval, mcnemar, mean_difference, paired_difference
from icd.errors import MissingExtraError

__all__ = ["PairedDifference", "Pairs", "differences"]

REFERENCES = ("student", "in-context", "cascade", "teacher")
"""What every other method is compared with; a method with changed settings, with its own base instead."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The episodes of two methods on the same tasks and seeds, by task."""

    first: list[list[Result]]
    second: list[list[Result]]

    @classmethod
    def of(cls, first: Sequence[Result], second: Sequence[Result]) -> Pairs:
        """Return the episodes of both that have a like in the other."""
        common = {(r.task_id, r.seed) for r in first} & {(r.task_id, r.seed) for r in second}
        mine, others = (
            by_task([r for r in side if (r.task_id, r.seed) in common]) for side in (first, second)
        )
        return cls(mine, others)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """A method minus another one, on the same tasks and seeds."""

    first: str
    second: str
    tasks: int
    success: Interval
    p: float
    """McNemar's exact test of equal success, two-sided; not corrected for the number of comparisons."""
    only_first: int
    """Episodes that only the first one won."""
    only_second: int
    cost: Interval
    """Dollars an episode."""
    discordance: float
    """Share of episodes that exactly one of them won, with one more of each kind, so that it is never 0 or 1."""
    detectable: float | None
    """Difference of success that so many tasks show with a chance of 80 %, at this discordance; None: none, or it is not
    known without the extra ``report``."""


def differences(results: Mapping[str, Sequence[Result]]) -> tuple[PairedDifference, ...]:
    """Return the differences that a report shows, in the order of the methods."""
    found = []
    names = list(results)
    for position, name in enumerate(names):
        head, changed, _ = name.partition("[")
        if changed:
            others = [other for other in names if other == head]
        else:
            others = [
                other
                for other in names
                if other in REFERENCES and (name not in REFERENCES or names.index(other) < position)
            ]
        found += [d for other in others if (d := _difference(name, other, results)) is not None]
    return tuple(found)


def _difference(first: str, second: str, results: Mapping[str, Sequence[Result]]) -> PairedDifference | None:
    pairs = Pairs.of(results[first], results[second])
    if not pairs.first:
        return None
    one, other = (
        {(r.task_id, r.seed): r.won for group in side for r in group} for side in (pairs.first, pairs.second)
    )
    won_by_one, won_by_other = _won(pairs.first), _won(pairs.second)
    only_first = sum(won and not other[key] for key, won in one.items())
    only_second = sum(won and not one[key] for key, won in other.items())
    discordance = (only_first + only_second + 1) / (len(one) + 2)
    return PairedDifference(
        first,
        second,
        len(pairs.first),
        paired_difference(won_by_one, won_by_other),
        mcnemar(won_by_one, won_by_other),
        only_first,
        only_second,
        mean_difference(_costs(pairs.first), _costs(pairs.second)),
        discordance,
        _detectable(len(pairs.first), discordance),
    )


@cache
def _detectable(tasks: int, discordance: float) -> float | None:
    try:
        return detectable(tasks, discordance)
    except MissingExtraError:
        return None


def _won(groups: Sequence[Sequence[Result]]) -> list[list[float]]:
    return [[float(r.won) for r in group] for group in groups]


def _costs(groups: Sequence[Sequence[Result]]) -> list[list[float]]:
    return [[r.cost for r in group] for group in groups]
