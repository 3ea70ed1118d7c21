"""Intervals for small numbers of episodes. Pure functions; a confidence of 95 % everywhere.

Shares of independent trials have Wilson's interval, differences of paired shares Newcombe's (1998, method
10), means and ratios a percentile bootstrap over tasks with a fixed seed. Several episodes of one task are
not independent: then tasks are what is resampled, for shares too. Nor are the tasks of one scenario: their
share counts for as many trials as the scenarios are worth (`clustered_share`). Which is used where, and why:
docs/statistics.md.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Rows: TypeAlias = npt.NDArray[np.float64]

Z = 1.959963984540054
CONFIDENCE = 0.95
RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


Groups: TypeAlias = Sequence[Sequence[float]]
"""One list for each task: the values of its episodes."""


def wilson(successes: int, trials: int) -> Interval:
    """Return a share with Wilson's interval; of no trials it is anything.

    Raises:
        ValueError: more successes than trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0)
    return _wilson(successes / trials, trials)


def _wilson(share: float, trials: float) -> Interval:
    spread = Z * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    middle, scale = share + Z * Z / (2 * trials), 1 + Z * Z / trials
    return Interval(
        share,
        0.0 if share == 0 else (middle - spread) / scale,
        1.0 if share == 1 else (middle + spread) / scale,
    )


def clustered_share(groups: Groups) -> Interval:
    """Return the share of successes (1 or 0) over all of some groups whose members are not independent.

    Wilson's interval for as many trials as the groups are worth (Rao and Scott, 1992): at most one for each member, at
    least one for each group, which is what is taken where nothing is known of how alike the members are. Unlike a
    bootstrap it stays honest for few groups, and where all succeed.
    """
    sizes = [len(group) for group in groups]
    won = [sum(group) for group in groups]
    members, count = sum(sizes), len(groups)
    if not members:
        return wilson(0, 0)
    share = sum(won) / members
    worth = float(count)
    if 0 < share < 1 and count > 1:
        residuals = sum((w - share * size) ** 2 for w, size in zip(won, sizes, strict=True))
        variance = count / (count - 1) * residuals / members**2
        worth = share * (1 - share) / variance if variance else float(members)
    return _wilson(share, min(max(worth, count), members))


def success_share(groups: Groups) -> Interval:
    """Return the share of successes (1 or 0 for each episode) of all tasks."""
    if all(len(group) == 1 for group in groups):
        return wilson(round(sum(group[0] for group in groups)), len(groups))
    return mean(groups)


def mean(groups: Groups) -> Interval:
    """Return the mean over tasks of each task's mean, with a bootstrap interval over tasks."""
    means = [sum(group) / len(group) for group in groups]
    return _bootstrap([means], lambda rows: rows[0].mean(axis=-1))


def ratio(numerators: Groups, denominators: Groups) -> Interval:
    """Return the ratio of two means over the same tasks, which are resampled together.

    Where the second mean is zero the ratio is not a number.
    """
    columns = [[sum(group) / len(group) for group in groups] for groups in (numerators, denominators)]

    def divide(rows: Sequence[_Rows]) -> _Rows:
        import numpy as np

        below = rows[1].mean(axis=-1)
        return np.where(below > 0, rows[0].mean(axis=-1) / np.where(below > 0, below, 1), np.nan)

    return _bootstrap(columns, divide)


def paired_difference(first: Groups, second: Groups) -> Interval:
    """Return the difference of two shares of successes on the same tasks."""
    if all(len(a) == len(b) == 1 for a, b in zip(first, second, strict=True)):
        return _newcombe([(bool(a[0]), bool(b[0])) for a, b in zip(first, second, strict=True)])
    return mean_difference(first, second)


def mcnemar(first: Groups, second: Groups) -> float:
    """Return the two-sided p-value of "both succeed equally often" on the same tasks: McNemar's exact test.

    Where tasks have several episodes it is the exact sign-flip test of the tasks' differences, of which McNemar's is the
    case of one episode each.
    """
    differences = [
        Fraction(round(sum(a)), len(a)) - Fraction(round(sum(b)), len(b))
        for a, b in zip(first, second, strict=True)
    ]
    chances = {Fraction(0): 1.0}
    for difference in differences:
        if difference:
            following: dict[Fraction, float] = defaultdict(float)
            for total, chance in chances.items():
                following[total + difference] += chance / 2
                following[total - difference] += chance / 2
            chances = following
    observed = abs(sum(differences, Fraction(0)))
    return min(1.0, math.fsum(chance for total, chance in chances.items() if abs(total) >= observed))


def mean_difference(first: Groups, second: Groups) -> Interval:
    """Return the mean over tasks of first minus second (dollars, steps, ...), tasks resampled as pairs."""
    return mean([[sum(a) / len(a) - sum(b) / len(b)] for a, b in zip(first, second, strict=True)])


def cost_per_success(costs: Groups, won: Groups) -> Interval:
    """Return the mean cost of an episode over the share of successes; infinite without any success.

    A resample without a success counts as infinite, so the upper end is infinite where successes are few. Without any,
    the lower end is the least mean cost over the largest share that Wilson's interval allows.
    """
    if not any(any(group) for group in won):
        most = wilson(0, len(won)).high
        return Interval(math.inf, mean(costs).low / most if won else 0.0, math.inf)
    columns = [[sum(group) / len(group) for group in groups] for groups in (costs, won)]

    def divide(rows: Sequence[_Rows]) -> _Rows:
        import numpy as np

        below = rows[1].mean(axis=-1)
        return np.where(below > 0, rows[0].mean(axis=-1) / np.where(below > 0, below, 1), np.inf)

    return _bootstrap(columns, divide)


def _newcombe(pairs: Sequence[tuple[bool, bool]]) -> Interval:
    n = len(pairs)
    if n == 0:
        return Interval(math.nan, -1.0, 1.0)
    both, only_first, only_second, neither = (
        pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))
    )
    first, second = wilson(both + only_first, n), wilson(both + only_second, n)
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    cross = both * neither - only_first * only_second
    corrected = max(cross - n / 2, 0.0) if cross > 0 else float(cross)
    phi = corrected / math.sqrt(margins) if margins else 0.0
    difference = (only_first - only_second) / n

    def distance(up: float, down: float) -> float:
        return math.sqrt(max(up * up - 2 * phi * up * down + down * down, 0.0))

    return Interval(
        difference,
        max(-1.0, difference - distance(first.value - first.low, second.high - second.value)),
        min(1.0, difference + distance(first.high - first.value, second.value - second.low)),
    )


def _bootstrap(columns: Sequence[Sequence[float]], statistic: Callable[[Sequence[_Rows]], _Rows]) -> Interval:
    """Return a statistic of columns whose rows belong together, with its percentile interval."""
    import numpy as np

    arrays = [np.asarray(column, float) for column in columns]
    size = len(arrays[0])
    if size == 0:
        return Interval(math.nan, math.nan, math.nan)
    drawn = np.random.default_rng(0).integers(size, size=(RESAMPLES, size))
    values = statistic([array[drawn] for array in arrays])
    value = float(statistic(arrays))
    known = values[~np.isnan(values)]
    if not len(known):
        return Interval(value, math.nan, math.nan)
    tail = (1 - CONFIDENCE) / 2
    # Values that occurred, as there is nothing halfway to infinity.
    low = np.quantile(known, tail, method="lower")
    high = np.quantile(known, 1 - tail, method="higher")
    return Interval(value, float(low), float(high))
