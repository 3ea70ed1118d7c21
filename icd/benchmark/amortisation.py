"""What demonstrations cost first and save later: cumulative cost, and when to stop collecting.

The rule for stopping: go on while the next demonstration brings more, over the episodes still to come, than it costs.
What it brings is read from episodes played with memories of several sizes, through curves that saturate:

    value(m) = episodes * (worth * success(m) - cost(m)) - price * m,    y(m) = end + (start - end) * exp(-m / scale)

for success and cost an episode. The assumptions: tasks to come are like those that were played; further demonstrations
are like the earlier ones (their order is no order of quality); the gain of each is smaller than that of the one before;
and a success is worth what the caller says, such as the teacher's cost of one, which is what it takes to have a failed
episode done by the teacher.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from icd.benchmark.statistics import CONFIDENCE, Groups, Interval, mean
from icd.ledger import BreakEven, break_even

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Floats = npt.NDArray[np.floating[Any]]

__all__ = [
    "Amortisation",
    "CostPoint",
    "Rung",
    "StopCollecting",
    "amortisation",
    "stop_collecting",
]

_POINTS = 40
_REFITS = 500
"""Resamples of the stopping rule: each one is a fit."""
_SCALES = 100
"""Scales of the curves that are tried out."""
_BEYOND = 4
"""How many times the largest measured memory the rule looks at."""
FEWEST_SIZES = 3


class CostPoint(NamedTuple):
    """Dollars for all of some episodes, by the teacher and by the method, demonstrations included."""

    episodes: int
    teacher: Interval
    method: Interval


@dataclass(frozen=True, slots=True)
class Amortisation:
    """How the bills grow."""

    points: tuple[CostPoint, ...]
    """From the first episode to twice the break-even, if there is one."""
    break_even: BreakEven


def amortisation(
    collection_cost: float, teacher_costs: Groups, method_costs: Groups, *, horizon: int | None = None
) -> Amortisation:
    """Return the cumulative costs of the teacher and of a method that had its demonstrations collected first.

    The intervals are those of the mean cost an episode, times the episodes: how sure one is of the line, not how far a
    single month will stray from it.

    Args:
        collection_cost: dollars, failed attempts included.
        teacher_costs: dollars by task and episode.
        method_costs: likewise, of the same tasks.
        horizon: episodes of the last point; None: twice the break-even, or 1,000 where there is none.

    Raises:
        ValueError: there are no episodes.
    """
    found = break_even(
        collection_cost,
        [sum(group) / len(group) for group in teacher_costs],
        [sum(group) / len(group) for group in method_costs],
    )
    if horizon is None:
        horizon = math.ceil(2 * found.episodes) if math.isfinite(found.episodes) else 1000
    horizon = max(horizon, 10)
    teacher, method = mean(teacher_costs), mean(method_costs)
    counts = sorted({round(horizon * part / _POINTS) for part in range(_POINTS + 1)})
    return Amortisation(
        tuple(CostPoint(n, _line(0.0, teacher, n), _line(collection_cost, method, n)) for n in counts), found
    )


def _line(start: float, each: Interval, episodes: int) -> Interval:
    return Interval(*(start + episodes * value for value in each))


@dataclass(frozen=True, slots=True)
class Rung:
    """What was played with a memory of one size: the same tasks as with every other size."""

    demonstrations: int
    won: Mapping[str, float]
    """Share of successes by task."""
    cost: Mapping[str, float]
    """Dollars an episode, by task."""


@dataclass(frozen=True, slots=True)
class StopCollecting:
    """What the rule says."""

    verdict: Literal["stop", "collect", "unclear"]
    """Whether, after the demonstrations there are, another one pays; `unclear`: the interval holds their number."""
    best: Interval
    """Demonstrations with the largest value."""
    gain: float
    """Dollars that collecting up to the best number is expected to bring, over all episodes to come; 0 if it is past."""
    tasks: int
    beyond: bool
    """The best number lies beyond the largest memory that was measured: it is an extrapolation."""


def stop_collecting(
    rungs: Sequence[Rung], *, price: float, worth: float, episodes: int, have: int | None = None
) -> StopCollecting:
    """Return whether collecting more demonstrations is expected to pay.

    Args:
        rungs: memories of at least three sizes, 0 among them if it was played.
        price: dollars that one admitted demonstration costs, its share of failed attempts included.
        worth: dollars of a success.
        episodes: that are still to be played.
        have: demonstrations so far; None: those of the largest memory.

    Raises:
        ValueError: fewer than three sizes, or no task that was played with all of them; or an amount is no amount.
    """
    import numpy as np

    if not all(0 <= amount < math.inf for amount in (price, worth, episodes)):
        raise ValueError(f"a price of {price}, a worth of {worth} and {episodes} episodes say nothing")
    rungs = sorted(rungs, key=lambda rung: rung.demonstrations)
    sizes = np.asarray([rung.demonstrations for rung in rungs], float)
    if len(set(sizes)) < FEWEST_SIZES or len(set(sizes)) < len(sizes):
        raise ValueError(f"the rule needs memories of at least {FEWEST_SIZES} different sizes")
    tasks = sorted(set.intersection(*(rung.won.keys() & rung.cost.keys() for rung in rungs)))
    if not tasks:
        raise ValueError("no task was played with every size")
    won = np.asarray([[rung.won[task] for task in tasks] for rung in rungs])
    cost = np.asarray([[rung.cost[task] for task in tasks] for rung in rungs])
    have = rungs[-1].demonstrations if have is None else have
    grid = np.arange(max(_BEYOND * int(sizes[-1]), have) + 1)

    everyone = np.arange(len(tasks))[None]
    drawn = np.random.default_rng(0).integers(len(tasks), size=(_REFITS, len(tasks)))
    rows = np.vstack([everyone, drawn])
    success = np.clip(_curves(sizes, won[:, rows].mean(axis=2), grid), 0, 1)
    each = np.maximum(_curves(sizes, cost[:, rows].mean(axis=2), grid), 0)
    value = episodes * (worth * success - each) - price * grid[:, None]
    expected, (most, *best) = value[:, 0], value.argmax(axis=0).tolist()
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(q) for q in np.quantile(best, [tail, 1 - tail], method="nearest"))
    return StopCollecting(
        verdict="stop" if high <= have else "collect" if low > have else "unclear",
        best=Interval(float(most), min(low, most), max(high, most)),
        gain=max(float(expected[most] - expected[have]), 0.0) if most > have else 0.0,
        tasks=len(tasks),
        beyond=most > sizes[-1],
    )


def _curves(sizes: _Floats, values: _Floats, grid: npt.NDArray[np.integer[Any]]) -> _Floats:
    """Return saturating curves of least squares, at other sizes.

    For a given scale the curve is linear in its two ends, so only scales are tried out.

    Args:
        sizes: n of them.
        values: n x curves.
        grid: m sizes.

    Returns:
        m x curves.
    """
    import numpy as np

    scales = np.geomspace(sizes[sizes > 0].min() / 3, sizes.max(), _SCALES)
    decay = np.exp(-sizes / scales[:, None])
    design = np.stack([decay, 1 - decay], axis=2)
    ends = np.linalg.pinv(design) @ values
    misfit = ((design @ ends - values) ** 2).sum(axis=1)
    chosen = misfit.argmin(axis=0)
    start, end = ends[chosen, :, np.arange(values.shape[1])].T
    left: _Floats = np.exp(-grid[:, None] / scales[chosen])
    fitted: _Floats = left * start + (1 - left) * end
    return fitted
