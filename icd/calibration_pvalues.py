"""P-values for "the mean loss is more than a margin", valid for any number of episodes; pure functions.

Two tests. `exact_p_value` is for paired outcomes of independent episodes, whose difference is -1, 0 or 1: an
unconditional test that orders the tables by Tango's score (1998) and takes the worst case over the share of gains
(Barnard, 1947; Röhmel and Mansmann, 1999). `betting_p_value` is for anything bounded, such as shares of steps or means
over the tasks of a scenario: the wealth of a gambler who cannot win if the null is true (Waudby-Smith and Ramdas, 2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from icd.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Floats: TypeAlias = npt.NDArray[np.float64]
    _Ints: TypeAlias = npt.NDArray[np.int64]

_CELLS = 1000
"""Pieces into which the share of gains is cut. More of them make the test a little more powerful, never less valid."""


def exact_p_value(losses: int, gains: int, episodes: int, margin: float) -> float:
    """Return the p-value of "P(loss) - P(gain) > margin" from the counts of independent episodes.

    Raises:
        ValueError: counts that cannot be, or a margin outside 0..1.
        MissingExtraError: scipy is not installed.
    """
    if min(losses, gains) < 0 or losses + gains > episodes or not 0 < margin < 1:
        raise ValueError(f"{losses} losses and {gains} gains of {episodes} episodes, margin {margin}")
    if episodes == 0:
        return 1.0
    scores = _scores(episodes, margin)
    return _size(_region(scores, float(scores[losses, gains])), episodes, margin)


@lru_cache(maxsize=64)
def most_losses(episodes: int, margin: float, level: float) -> tuple[int, ...]:
    """Return, for each number of gains, with how many losses at most the exact p-value is `level` or less; -1: none."""
    import numpy as np

    scores = _scores(episodes, margin)
    cuts = np.unique(scores[np.isfinite(scores) & (scores < 0)])
    low, high = -1, len(cuts)
    while high - low > 1:
        middle = (low + high) // 2
        if _size(_region(scores, float(cuts[middle])), episodes, margin) <= level:
            low = middle
        else:
            high = middle
    if low < 0:
        return (-1,) * (episodes + 1)
    return tuple(int(most) for most in _region(scores, float(cuts[low])))


def _scores(n: int, margin: float) -> _Floats:
    """Return Tango's score of every table [losses, gains]; small where the loss is clearly below the margin."""
    import numpy as np

    losses, gains = np.arange(n + 1.0)[:, None], np.arange(n + 1.0)[None, :]
    half = (losses + gains) * (1 - margin) + 2 * losses * margin - 2 * n * margin
    share = (half + np.sqrt(half**2 + 8 * n * gains * margin * (1 - margin))) / (4 * n)
    spread = np.sqrt(n * (2 * share + margin - margin**2))
    return np.where(losses + gains <= n, (losses - gains - n * margin) / spread, np.inf)


def _region(scores: _Floats, cut: float) -> _Ints:
    """Return the most losses, by gains, of the tables with a score up to `cut`, and of all that are better in both.

    That the region is closed in this way makes its probability fall with P(loss) and rise with P(gain).
    """
    import numpy as np

    inside = scores <= cut
    most = np.where(inside.any(axis=0), len(scores) - 1 - np.argmax(inside[::-1], axis=0), -1)
    return np.maximum.accumulate(most)


def _size(region: _Ints, n: int, margin: float) -> float:
    """Return a bound on the region's probability over all chances with P(loss) - P(gain) >= margin.

    The worst case lies where the difference is the margin itself. Between two shares of gains the region cannot be more
    probable than with the losses of the lower and the gains of the upper one: a bound, not an approximation.
    """
    import numpy as np

    try:
        from scipy.special import bdtr, gammaln, xlog1py, xlogy
    except ImportError as error:
        raise MissingExtraError("calibration", "report") from error
    ends = np.linspace(0, (1 - margin) / 2, _CELLS + 1)
    loss, gain = (ends[:-1] + margin)[:, None], ends[1:, None]
    gains = np.arange(n + 1)[None, :]
    ways = gammaln(n + 1) - gammaln(gains + 1) - gammaln(n - gains + 1)
    of_gains = np.exp(ways + xlogy(gains, gain) + xlog1py(n - gains, -gain))
    most = np.minimum(region[None, :], n - gains)
    up_to = bdtr(np.maximum(most, 0).astype(float), n - gains, np.minimum(loss / (1 - gain), 1))
    return min(1.0, float((of_gains * np.where(most >= 0, up_to, 0)).sum(axis=1).max()))


def betting_p_value(losses: Sequence[float], margin: float, *, low: float = 0.0, high: float = 1.0) -> float:
    """Return the p-value of "the mean loss is more than margin" from independent losses in low..high, in a fixed order.

    Raises:
        ValueError: a loss or the margin is out of bounds.
    """
    if not low < margin < high or any(not low <= loss <= high for loss in losses):
        raise ValueError(f"losses and margin must lie in {low}..{high}")
    mean = (margin - low) / (high - low)
    wealth = best = 0.0
    total, squares, seen = 0.5, 0.25, 1
    for loss in ((value - low) / (high - low) for value in losses):
        stake = min(math.sqrt(2 * math.log(10) * seen / (len(losses) * squares)), 0.9 / (1 - mean))
        wealth += math.log1p(-stake * (loss - mean))
        best = max(best, wealth)
        total, seen = total + loss, seen + 1
        squares += (loss - total / seen) ** 2
    return math.exp(-best)
