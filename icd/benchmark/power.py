"""How many tasks a claimed difference needs, and what so many tasks can show: exact power of McNemar's exact test.

Two methods on the same tasks differ by their discordant tasks only: those that one of them wins. A difference of .05
needs few tasks where 6 % are discordant, and many where 40 % are. One episode a task is assumed; further episodes of the
same tasks add less than new tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icd.benchmark.statistics import CONFIDENCE
from icd.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Floats = npt.NDArray[np.floating[Any]]

__all__ = ["POWER", "detectable", "power", "tasks_needed"]

POWER = 0.8
"""Chance of showing what is there that is usually asked for."""
_MOST_TASKS = 20_000
_TEETH = 60
"""More tasks than a tooth of the saw is wide, for few tasks; for many, an eighth of them is."""
_ALPHA = 1 - CONFIDENCE


def power(tasks: int, difference: float, discordance: float) -> float:
    """Return the chance that the test shows a difference at the 5 % level, two-sided.

    Args:
        tasks: played by both methods.
        difference: of the two shares of successes.
        discordance: share of tasks that exactly one of them wins, at least the difference.

    Raises:
        ValueError: the shares are impossible together.
        MissingExtraError: the extra ``report`` is not installed.
    """
    _check(difference, discordance)
    return _power(tasks, discordance, _shown(tasks, difference, discordance))


def tasks_needed(difference: float, discordance: float, least: float = POWER) -> int | None:
    """Return from how many tasks on the power is at least `least`; None beyond 20,000.

    The power of an exact test is not monotonic: it saws by what a whole number of tasks allows. This is the number from
    which on it never falls below again.

    Raises:
        ValueError: the shares are impossible together, or the difference is 0.
        MissingExtraError: the extra ``report`` is not installed.
    """
    _check(difference, discordance)
    if difference == 0:
        raise ValueError("a difference of 0 needs no tasks")
    most = 64
    while power(most, difference, discordance) < least:
        if most >= _MOST_TASKS:
            return None
        most *= 2
    shown = _shown(2 * most + _TEETH, difference, discordance)
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, discordance, shown) >= least else (middle, high)
    found = high + high // 8 + _TEETH
    while found > 1 and _power(found - 1, discordance, shown) >= least:
        found -= 1
    return found


def detectable(tasks: int, discordance: float, least: float = POWER) -> float | None:
    """Return the smallest difference that so many tasks show with power `least`, to three digits; None: not even the
    largest, with every discordant task in favour of one method.

    Raises:
        ValueError: the discordance is no share.
        MissingExtraError: the extra ``report`` is not installed.
    """
    _check(0.0, discordance)
    if power(tasks, discordance, discordance) < least:
        return None
    low, high = 0.0, discordance
    while high - low > 0.0005:
        middle = (low + high) / 2
        low, high = (low, middle) if power(tasks, middle, discordance) >= least else (middle, high)
    return round(high, 3)


def _check(difference: float, discordance: float) -> None:
    if not abs(difference) <= discordance <= 1:
        raise ValueError(
            f"a difference of {difference:g} is not possible where {discordance:g} of the tasks are discordant"
        )


def _power(tasks: int, discordance: float, shown: _Floats) -> float:
    """Return the power, from the chance that a difference is shown by each number of discordant tasks."""
    import numpy as np
    from scipy.stats import binom

    return float(min(binom.pmf(np.arange(tasks + 1), tasks, discordance) @ shown[: tasks + 1], 1.0))


def _shown(most: int, difference: float, discordance: float) -> _Floats:
    """Return the chance that the test rejects with 0 to `most` discordant tasks."""
    try:
        from scipy.stats import binom
    except ImportError as error:
        raise MissingExtraError("power", "report") from error
    import numpy as np

    discordant = np.arange(most + 1)
    # The quantile is the first value at or beyond the level; at what lies below the level the test rejects.
    critical = binom.ppf(_ALPHA / 2, discordant, 0.5)
    critical = np.where(2 * binom.cdf(critical, discordant, 0.5) <= _ALPHA, critical, critical - 1)
    share = (1 + abs(difference) / discordance) / 2 if discordance else 0.5
    chance: _Floats = binom.cdf(critical, discordant, share) + binom.cdf(critical, discordant, 1 - share)
    return chance
