"""Power against listing every outcome, and against playing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icd.benchmark.power import detectable, power, tasks_needed
from icd.benchmark.statistics import mcnemar

pytest.importorskip("scipy")


def listed(tasks: int, difference: float, discordance: float) -> float:
    """The power, by going through every number of tasks that only the first or only the second wins."""
    first, second = (discordance + difference) / 2, (discordance - difference) / 2
    total = 0.0
    for a in range(tasks + 1):
        for b in range(tasks + 1 - a):
            ways = math.comb(tasks, a) * math.comb(tasks - a, b)
            chance = ways * first**a * second**b * (1 - first - second) ** (tasks - a - b)
            won = [[1.0]] * a + [[0.0]] * (tasks - a), [[0.0]] * a + [[1.0]] * b + [[0.0]] * (tasks - a - b)
            total += chance * (mcnemar(*won) <= 0.05)
    return total


@settings(max_examples=15)
@given(st.integers(1, 14), st.floats(0, 1), st.floats(0.05, 1))
def test_power_is_what_all_outcomes_add_up_to(tasks: int, part: float, discordance: float) -> None:
    difference = part * discordance
    assert power(tasks, difference, discordance) == pytest.approx(listed(tasks, difference, discordance))
    assert power(tasks, -difference, discordance) == pytest.approx(power(tasks, difference, discordance))


@settings(max_examples=25)
@given(st.integers(5, 300), st.floats(0.02, 0.9))
def test_nothing_is_shown_too_often_where_nothing_is(tasks: int, discordance: float) -> None:
    assert power(tasks, 0.0, discordance) <= 0.05 + 1e-9


@settings(max_examples=15, deadline=None)
@given(st.floats(0.2, 1), st.floats(0.1, 0.6))
def test_the_tasks_needed_are_enough_and_one_fewer_is_not(part: float, discordance: float) -> None:
    difference = part * discordance
    needed = tasks_needed(difference, discordance)
    assert needed is not None
    assert power(needed - 1, difference, discordance) < 0.8
    assert min(power(n, difference, discordance) for n in range(needed, needed + 60)) >= 0.8
    shown = detectable(needed, discordance)
    assert shown is not None
    assert shown <= difference + 0.001


def test_power_holds_when_it_is_played() -> None:
    needed = tasks_needed(0.15, 0.25)
    assert needed is not None
    rng = np.random.default_rng(0)
    shown = 0
    for _ in range(300):
        u = rng.random(needed)
        a, b = u < 0.2, (u >= 0.2) & (u < 0.25)
        shown += mcnemar([[float(x)] for x in a], [[float(x)] for x in b]) <= 0.05
    assert shown / 300 == pytest.approx(0.8, abs=0.07)


def test_what_forty_tasks_can_show() -> None:
    assert detectable(40, 0.1) is None
    assert detectable(40, 0.3) == pytest.approx(0.24, abs=0.02)
    assert tasks_needed(0.001, 1.0) is None
    with pytest.raises(ValueError, match="not possible"):
        power(40, 0.2, 0.1)
    with pytest.raises(ValueError, match="needs no tasks"):
        tasks_needed(0.0, 0.1)
