"""The promise holds, is as cheap as it can be, and is refused where there is too little to give it."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icd.calibration import (
    DEFAULT_CANDIDATES,
    Choice,
    Tally,
    Trial,
    check_enough,
    episodes_needed,
    episodes_wanted,
    ordered,
    p_value,
    p_value_in_each,
)
from icd.calibration_pvalues import betting_p_value, exact_p_value, most_losses
from icd.calibration_simulation import World, at_the_edge, luck_for, repeat, simulate, with_luck
from icd.cascade import Policy, parse_policy
from icd.errors import ConfigurationError


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.data(), st.sampled_from([0.05, 0.1, 0.2]))
def test_the_exact_p_value_falls_with_fewer_losses_and_more_gains(
    n: int, data: st.DataObject, margin: float
) -> None:
    losses = data.draw(st.integers(1, n))
    gains = data.draw(st.integers(0, n - losses))
    p = exact_p_value(losses, gains, n, margin)
    assert 0 < p <= 1
    assert exact_p_value(losses - 1, gains, n, margin) <= p + 1e-12
    assert exact_p_value(losses - 1, gains + 1, n, margin) <= p + 1e-12


@pytest.mark.parametrize(("n", "margin", "level"), [(30, 0.1, 0.1), (60, 0.2, 0.05), (100, 0.05, 0.2)])
def test_no_null_hypothesis_is_rejected_more_often_than_its_level(
    n: int, margin: float, level: float
) -> None:
    """By summing over all tables, for many shares of gains and for losses at the edge and beyond it."""
    most = most_losses(n, margin, level)
    ways = [[math.comb(n, b) * math.comb(n - b, c) for c in range(n + 1)] for b in range(n + 1)]
    for beyond in (0.0, 0.03):
        for gain in np.linspace(0, (1 - margin - beyond) / 2, 23):
            loss = gain + margin + beyond
            even = max(1 - loss - gain, 0.0)
            chance = sum(
                ways[b][c] * loss**b * gain**c * even ** (n - b - c)
                for c, limit in enumerate(most)
                for b in range(min(limit, n - c) + 1)
            )
            assert chance <= level + 1e-9


def test_the_table_of_most_losses_is_where_the_p_value_crosses_the_level() -> None:
    most = most_losses(80, 0.1, 0.1)
    for gains in (0, 3, 10):
        assert exact_p_value(most[gains], gains, 80, 0.1) <= 0.1
    assert exact_p_value(most[0] + 1, 0, 80, 0.1) > 0.1


def test_betting_rejects_a_true_null_rarely_and_a_false_one_often() -> None:
    rng = random.Random(1)
    true = [betting_p_value([float(rng.random() < 0.1) for _ in range(150)], 0.1) <= 0.1 for _ in range(400)]
    assert sum(true) <= 400 * 0.1 + 3 * math.sqrt(400 * 0.09)
    false = [betting_p_value([float(rng.random() < 0.02) for _ in range(150)], 0.1) <= 0.1 for _ in range(50)]
    assert sum(false) >= 45


def test_scenarios_of_several_tasks_are_units_and_groups_must_all_hold() -> None:
    alone = [[(True, True)]] * 40
    assert p_value(alone, 0.1) == exact_p_value(0, 0, 40, 0.1)
    together = [[(True, True), (False, False)]] * 20
    assert p_value(together, 0.1) > p_value([[(True, True)]] * 40, 0.1)
    bad = [[(True, False)]] * 5 + [[(True, True)]] * 5
    assert p_value_in_each([alone, bad], 0.1) == p_value(bad, 0.1) > 0.5


def test_candidates_stand_from_the_most_careful_to_the_cheapest() -> None:
    shuffled = random.Random(3).sample(DEFAULT_CANDIDATES, len(DEFAULT_CANDIDATES))
    assert ordered(shuffled) == DEFAULT_CANDIDATES
    with pytest.raises(ConfigurationError, match="student"):
        ordered([parse_policy("student")])


def _tested(policy: str, p: float, cost: float) -> Trial:
    return Trial(parse_policy(policy), Tally(50, 0, 0), p, cost)


def test_the_first_failure_ends_the_sequence_and_the_cheapest_accepted_is_chosen() -> None:
    tests = (
        _tested("unanimity(5)", 0.01, 0.3),
        _tested("unanimity(3)", 0.02, 0.35),
        _tested("unanimity(2)", 0.2, 0.2),
        _tested("unanimity(1)", 0.01, 0.1),
    )
    choice = Choice(0.1, 0.1, tests, teacher_cost=1.0)
    assert [str(test.policy) for test in choice.accepted] == ["unanimity(5)", "unanimity(3)"]
    assert choice.chosen is tests[0]
    assert Choice(0.1, 0.1, tests, teacher_cost=0.2).chosen is None
    assert Choice(0.1, 0.005, tests, teacher_cost=1.0).chosen is None


@pytest.mark.parametrize(("epsilon", "delta", "needed"), [(0.1, 0.1, 22), (0.05, 0.1, 45), (0.1, 0.05, 29)])
def test_too_few_episodes_are_refused_with_how_many_are_needed(
    epsilon: float, delta: float, needed: int
) -> None:
    assert episodes_needed(epsilon, delta) == needed
    check_enough(needed, epsilon, delta)
    with pytest.raises(ConfigurationError, match=f"{needed} are needed, 5 more"):
        check_enough(needed - 5, epsilon, delta)


def test_how_many_episodes_a_failed_candidate_would_need() -> None:
    assert episodes_wanted(Tally(50, 8, 3), 0.1, 0.1) is None
    wanted = episodes_wanted(Tally(100, 8, 2), 0.1, 0.1)
    assert wanted is not None
    assert 100 < wanted < 200
    assert exact_p_value(math.ceil(0.08 * wanted), int(0.02 * wanted), wanted, 0.1) <= 0.1


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_bound_is_broken_in_at_most_delta_of_the_runs_and_savings_are_kept(correlation: float) -> None:
    rng = np.random.default_rng(5)
    violated, kept = 0, []
    for skill in (1.0, 1.7, 2.4, 3.1):
        plain = simulate(World(correlation=correlation, skill=skill), 10_000, rng)
        pool = with_luck(plain, luck_for(plain, 0.1, 0.1), rng)
        found = repeat(pool, 200, 0.1, 0.1, 50, rng)
        violated += int(found.violated.sum())
        kept.append(found.saving.mean() / pool.saving[pool.best(0.1)])
    assert violated <= 200 * 0.1 + 2 * math.sqrt(200 * 0.09)
    assert np.mean(kept) >= 0.8


@pytest.mark.parametrize("discordance", [0.1, 0.3])
def test_at_the_edge_of_the_bound_too(discordance: float) -> None:
    share = at_the_edge(120, 0.1, 0.1, discordance, 4000, np.random.default_rng(0))
    assert 0.04 < share <= 0.1 + 3 * math.sqrt(0.09 / 4000)


def test_the_simulated_cascade_is_the_cascade() -> None:
    """Fewer escalations, more savings: cheaper candidates ask the teacher less."""
    pool = simulate(World(), 5000, np.random.default_rng(0))
    assert list(pool.saving) == sorted(pool.saving)
    one = simulate(World(), 5000, np.random.default_rng(0), [Policy("unanimity", n=1)])
    assert one.saving[0] == pytest.approx(1 - World().sample_cost)
