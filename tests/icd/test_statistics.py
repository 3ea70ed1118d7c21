"""Intervals against published values and against simple truths."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icd.benchmark.statistics import (
    Interval,
    clustered_share,
    cost_per_success,
    mcnemar,
    mean,
    mean_difference,
    paired_difference,
    ratio,
    success_share,
    wilson,
)

shares = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def columns(pairs: list[tuple[bool, bool]]) -> tuple[list[list[float]], list[list[float]]]:
    return [[float(a)] for a, _ in pairs], [[float(b)] for _, b in pairs]


def test_wilson_against_newcombes_table() -> None:
    # Newcombe 1998, Statistics in Medicine 17: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.3080, 0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.0, 0.1611), abs=5e-5)


@given(shares)
def test_wilson_holds_its_share(share: tuple[int, int]) -> None:
    found = wilson(*share)
    assert 0 <= found.low <= found.value <= found.high <= 1
    mirrored = wilson(share[1] - share[0], share[1])
    assert mirrored.low == pytest.approx(1 - found.high)


def test_no_trials_say_nothing() -> None:
    found = wilson(0, 0)
    assert math.isnan(found.value)
    assert found[1:] == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)


def test_paired_difference_against_newcombes_table() -> None:
    # Newcombe 1998, Statistics in Medicine 17: 2635, method 10: 36, 12, 2, 0 pairs.
    rows = [(True, True)] * 36 + [(True, False)] * 12 + [(False, True)] * 2
    assert paired_difference(*columns(rows)) == pytest.approx((0.2, 0.0569, 0.3404), abs=5e-4)


@given(pairs)
def test_paired_difference_is_antisymmetric(rows: list[tuple[bool, bool]]) -> None:
    first, second = columns(rows)
    forth, back = paired_difference(first, second), paired_difference(second, first)
    assert back == pytest.approx((-forth.value, -forth.high, -forth.low))
    assert -1 <= forth.low <= forth.value <= forth.high <= 1


def test_paired_difference_of_the_same_has_a_width() -> None:
    found = paired_difference(*columns([(True, True)] * 8))
    assert found.value == 0
    assert found.low < 0 < found.high


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_a_mean_lies_in_its_interval(values: list[float]) -> None:
    found = mean([[value] for value in values])
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert mean([[value] for value in values]) == found


def test_episodes_of_one_task_are_not_independent() -> None:
    ten_tasks = [[1.0]] * 5 + [[0.0]] * 5
    often = [group * 20 for group in ten_tasks]
    assert success_share(often).high - success_share(often).low > 0.5


def test_a_ratio_is_resampled_as_pairs() -> None:
    assert ratio([[1.0], [10.0]], [[2.0], [20.0]]) == Interval(0.5, 0.5, 0.5)
    assert math.isnan(ratio([[1.0]], [[0.0]]).value)


clusters = st.lists(st.lists(st.booleans().map(float), min_size=1, max_size=4), min_size=1, max_size=15)


@given(clusters)
def test_a_clustered_share_lies_between_its_members_and_its_groups(groups: list[list[float]]) -> None:
    found = clustered_share(groups)
    members = [one for group in groups for one in group]
    assert found.value == pytest.approx(sum(members) / len(members))
    assert 0 <= found.low <= found.value <= found.high <= 1
    independent = wilson(int(sum(members)), len(members))
    assert found.high - found.low >= independent.high - independent.low - 1e-9


def test_groups_that_agree_with_themselves_are_worth_one_trial_each() -> None:
    assert clustered_share([[1.0] * 3] * 4 + [[0.0] * 3] * 6)[1:] == pytest.approx(wilson(4, 10)[1:])
    assert clustered_share([[1.0] * 3] * 7) == wilson(7, 7)
    alone = clustered_share([[1.0, 0.0, 1.0]])
    assert alone.low < wilson(2, 3).low < wilson(2, 3).high < alone.high
    assert clustered_share([[1.0], [0.0], [1.0]]) == pytest.approx(wilson(2, 3))
    assert math.isnan(clustered_share([]).value)


several = st.lists(
    st.tuples(
        st.lists(st.booleans().map(float), min_size=2, max_size=2),
        st.lists(st.booleans().map(float), min_size=2, max_size=2),
    ),
    min_size=1,
    max_size=7,
)


@given(pairs)
def test_mcnemar_is_a_binomial_test_of_the_discordant(rows: list[tuple[bool, bool]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    first, second = columns(rows)
    better, worse = rows.count((True, False)), rows.count((False, True))
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == pytest.approx(expected)


@given(several)
def test_of_several_episodes_a_task_the_signs_are_flipped(
    rows: list[tuple[list[float], list[float]]],
) -> None:
    differences = [sum(a) / 2 - sum(b) / 2 for a, b in rows]
    flipped = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in itertools.product((1, -1), repeat=len(rows))
    ]
    expected = sum(abs(total) >= abs(sum(differences)) for total in flipped) / len(flipped)
    assert mcnemar([a for a, _ in rows], [b for _, b in rows]) == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=15), st.floats(0, 100))
def test_a_difference_of_pairs_does_not_see_what_they_share(
    rows: list[tuple[float, float]], shared: float
) -> None:
    plain = mean_difference([[a] for a, _ in rows], [[b] for _, b in rows])
    shifted = mean_difference([[a + shared] for a, _ in rows], [[b + shared] for _, b in rows])
    assert shifted == pytest.approx(plain, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0.01, 9), st.booleans()), min_size=1, max_size=20))
def test_the_cost_of_a_success_is_total_over_total(rows: list[tuple[float, bool]]) -> None:
    costs, won = [[c] for c, _ in rows], [[float(w)] for _, w in rows]
    found, successes = cost_per_success(costs, won), sum(w for _, w in rows)
    expected = sum(c for c, _ in rows) / successes if successes else math.inf
    assert found.value == pytest.approx(expected)
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert 0 <= found.low < math.inf


def test_few_successes_leave_their_cost_unbounded() -> None:
    one = cost_per_success([[1.0]] * 20, [[1.0]] + [[0.0]] * 19)
    assert one.value == 20
    assert one.high == math.inf
    none = cost_per_success([[1.0]] * 20, [[0.0]] * 20)
    assert none == (math.inf, pytest.approx(1 / 0.1611, abs=1e-2), math.inf)
    assert cost_per_success([[1.0]] * 20, [[1.0]] * 20) == (1, 1, 1)


def test_the_cost_of_a_success_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        won = rng.random(40) < 0.4
        costs = rng.gamma(4, 0.25, 40) * (2 - won)  # failures cost twice as much
        found = cost_per_success([[c] for c in costs], [[float(w)] for w in won])
        covered += found.low <= 1.6 / 0.4 <= found.high
    assert covered >= 180
