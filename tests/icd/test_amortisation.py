"""Cumulative costs, and the stopping rule on learning curves that are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icd.benchmark.amortisation import Rung, StopCollecting, amortisation, stop_collecting
from icd.ledger import break_even

costs = st.lists(st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)), min_size=1, max_size=12)
PRICE, WORTH = 0.07, 0.066
"""Dollars: of a demonstration, and of a success by the teacher (arXiv 2512.02543)."""


@given(costs, st.floats(0, 100))
def test_the_lines_cross_at_the_break_even(rows: list[tuple[float, float]], collection: float) -> None:
    teacher, method = [[a] for a, _ in rows], [[b] for _, b in rows]
    found = amortisation(collection, teacher, method)
    assert found.break_even == break_even(collection, [a for a, _ in rows], [b for _, b in rows])
    assert found.points[0] == (0, (0, 0, 0), (collection,) * 3)
    for point in found.points:
        if point.episodes > found.break_even.episodes + 1e-6:
            assert point.method.value <= point.teacher.value + 1e-6
        elif point.episodes < found.break_even.episodes - 1e-6:
            assert point.method.value >= point.teacher.value - 1e-6
        assert point.teacher.low <= point.teacher.value + 1e-9
        assert point.method.value <= point.method.high + 1e-9


def test_a_method_that_never_pays_still_has_a_curve() -> None:
    found = amortisation(10.0, [[1.0], [2.0]], [[2.0], [3.0]])
    assert math.isinf(found.break_even.episodes)
    assert found.points[-1].episodes == 1000
    assert amortisation(10.0, [[1.0]], [[0.5]], horizon=80).points[-1].episodes == 80


def saturating(size: float) -> float:
    return 0.87 - 0.69 * math.exp(-size / 30)


def power_law(size: float) -> float:
    return 0.95 - 0.77 * (1 + size / 10) ** -0.7


def played(
    success: Callable[[float], float],
    sizes: Sequence[int],
    tasks: int,
    rng: np.random.Generator,
) -> list[Rung]:
    """The same tasks with memories of several sizes; a hard task is hard with each of them."""
    hardness = rng.random(tasks)
    rungs = []
    for size in sizes:
        noisy = np.clip(hardness + 0.1 * rng.normal(size=tasks), 0, 1)
        won = noisy < success(size)
        paid = np.where(won, 0.02, 0.03) * rng.gamma(20, 1 / 20, tasks)
        names = [f"{number}" for number in range(tasks)]
        rungs.append(
            Rung(size, dict(zip(names, won * 1.0, strict=True)), dict(zip(names, paid, strict=True)))
        )
    return rungs


def regret(success: Callable[[float], float], found: StopCollecting, episodes: int) -> float:
    """How much of the best value the rule's number gives away."""
    sizes = np.arange(3000)
    each = np.asarray([success(size) * (WORTH + 0.01) - 0.03 for size in sizes])
    value = episodes * each - PRICE * sizes
    return float((value.max() - value[int(found.best.value)]) / (value.max() - value[0]))


@pytest.mark.parametrize("success", [saturating, power_law])
@pytest.mark.parametrize("episodes", [500, 5000])
def test_little_is_lost_by_the_rule(success: Callable[[float], float], episodes: int) -> None:
    rng = np.random.default_rng(5)
    lost = [
        regret(
            success,
            stop_collecting(
                played(success, (0, 10, 20, 50, 100, 200), 134, rng),
                price=PRICE,
                worth=WORTH,
                episodes=episodes,
            ),
            episodes,
        )
        for _ in range(4)
    ]
    assert np.mean(lost) < 0.1


def test_the_interval_holds_the_best_number() -> None:
    rng = np.random.default_rng(6)
    episodes, held = 2000, 0
    truth = int(np.argmax([episodes * saturating(m) * (WORTH + 0.01) - PRICE * m for m in range(1000)]))
    for _ in range(20):
        found = stop_collecting(
            played(saturating, (0, 10, 20, 50, 100, 200), 134, rng),
            price=PRICE,
            worth=WORTH,
            episodes=episodes,
        )
        held += found.best.low <= truth <= found.best.high
    assert held >= 16


def test_the_verdict_follows_what_there_is() -> None:
    rungs = played(saturating, (0, 10, 20, 50, 100, 200), 134, np.random.default_rng(7))
    early = stop_collecting(rungs, price=PRICE, worth=WORTH, episodes=5000, have=20)
    late = stop_collecting(rungs, price=PRICE, worth=WORTH, episodes=5000, have=600)
    assert (early.verdict, late.verdict) == ("collect", "stop")
    assert early.gain > 0
    assert late.gain == 0
    assert stop_collecting(rungs, price=PRICE, worth=WORTH, episodes=0, have=1).best == (0, 0, 0)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 50))
def test_more_to_come_and_cheaper_demonstrations_never_call_for_fewer(few: int, more: int, seed: int) -> None:
    rungs = played(saturating, (0, 20, 100), 60, np.random.default_rng(seed))
    few, more = sorted((few, more))
    best = [
        stop_collecting(rungs, price=price, worth=WORTH, episodes=episodes).best.value
        for price, episodes in ((PRICE, few), (PRICE, more), (PRICE / 2, more))
    ]
    assert best == sorted(best)


def test_two_sizes_are_no_curve() -> None:
    rungs = played(saturating, (0, 20), 10, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 3 different sizes"):
        stop_collecting(rungs, price=PRICE, worth=WORTH, episodes=100)
    with pytest.raises(ValueError, match="no task"):
        stop_collecting([*rungs, Rung(50, {"x": 1.0}, {"x": 0.1})], price=PRICE, worth=WORTH, episodes=100)
    with pytest.raises(ValueError, match="say nothing"):
        stop_collecting(rungs, price=PRICE, worth=math.inf, episodes=100)
