"""Costs, break-even, and the budget under concurrency."""

from __future__ import annotations

import asyncio
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icd.backends.base import Usage
from icd.errors import BudgetError
from icd.ledger import (
    Budget,
    Price,
    TeacherStep,
    break_even,
    cost,
    counterfactual_teacher_cost,
)

SONNET = Price(3.0, 15.0, 0.3, "test")

amounts = st.floats(0, 100, allow_nan=False)
usages = st.builds(
    lambda fresh, cached, output: Usage(fresh + cached, cached, output),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)


def test_a_million_tokens_cost_their_price() -> None:
    assert cost(Usage(1_000_000, 0, 0), SONNET) == pytest.approx(3.0)
    assert cost(Usage(1_000_000, 1_000_000, 0), SONNET) == pytest.approx(0.3)
    assert cost(Usage(0, 0, 1_000_000), SONNET) == pytest.approx(15.0)


@given(usages, usages)
def test_costs_add_up(one: Usage, other: Usage) -> None:
    assert cost(one + other, SONNET) == pytest.approx(cost(one, SONNET) + cost(other, SONNET))


@given(usages)
def test_a_cache_never_costs_more(usage: Usage) -> None:
    fresh = Usage(usage.input_tokens, 0, usage.output_tokens)
    assert cost(usage, SONNET) <= cost(fresh, SONNET) + 1e-12


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Price(-1, 0, 0, "test")


def test_the_counterfactual_uses_what_the_teacher_wrote_where_it_was_asked() -> None:
    steps = [TeacherStep(100, 20), TeacherStep(150), TeacherStep(200, 40)]
    expected = cost(Usage(450, 0, 20 + 30 + 40), SONNET)
    assert counterfactual_teacher_cost(steps, SONNET) == pytest.approx(expected)


def test_the_counterfactual_of_an_episode_without_the_teacher_uses_the_typical_output() -> None:
    steps = [TeacherStep(100), TeacherStep(150)]
    dollars = counterfactual_teacher_cost(steps, SONNET, typical_output=10)
    assert dollars == pytest.approx(cost(Usage(250, 0, 20), SONNET))


def test_the_counterfactual_under_cached_prompts_bills_only_what_is_new() -> None:
    steps = [TeacherStep(100, 0), TeacherStep(150, 0)]
    dollars = counterfactual_teacher_cost(steps, SONNET, cached_prompts=True)
    assert dollars == pytest.approx(cost(Usage(250, 100, 0), SONNET))


def test_break_even_of_the_paper() -> None:
    # arXiv 2512.02543, ALFWorld: 843 episodes at 0.059 and 0.024 dollars an episode.
    result = break_even(843 * 0.035, [0.059] * 10, [0.024] * 10)
    assert result.episodes == pytest.approx(843)
    assert result.low == pytest.approx(843)
    assert result.high == pytest.approx(843)


def test_break_even_is_never_reached_where_nothing_is_saved() -> None:
    assert break_even(1.0, [1.0, 1.0], [1.0, 2.0]).episodes == math.inf


@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=20),
    st.lists(st.floats(0.01, 1), min_size=2, max_size=20),
    st.integers(0, 100),
)
def test_break_even_is_repeatable_and_its_interval_is_ordered(
    teacher: list[float], method: list[float], seed: int
) -> None:
    one = break_even(5.0, teacher, method, seed=seed, resamples=200)
    assert one == break_even(5.0, teacher, method, seed=seed, resamples=200)
    assert one.low <= one.high


def test_break_even_needs_episodes() -> None:
    with pytest.raises(ValueError, match="at least one"):
        break_even(1.0, [], [1.0])


def test_a_reservation_that_passes_the_limit_is_refused_and_leaves_no_trace() -> None:
    budget = Budget(1.0)
    held = budget.reserve(0.8)
    with pytest.raises(BudgetError, match=r"run\.budget"):
        budget.reserve(0.3)
    held.settle(0.1)
    assert budget.spent == pytest.approx(0.1)
    budget.reserve(0.9)
    assert budget.remaining == 0


def test_without_a_limit_only_counting_remains() -> None:
    budget = Budget()
    budget.reserve(1e6).settle(5.0)
    assert (budget.limit, budget.remaining, budget.spent) == (None, None, 5.0)


def test_a_call_that_fails_gives_its_reservation_back() -> None:
    budget = Budget(1.0)
    with pytest.raises(RuntimeError, match="no answer"), budget.reserve(1.0):
        raise RuntimeError("no answer")
    assert (budget.spent, budget.reserved) == (0, 0)


def test_a_call_that_cost_more_than_reserved_is_recorded() -> None:
    budget = Budget(1.0)
    budget.reserve(0.5).settle(2.0)
    assert budget.spent == 2.0
    assert budget.remaining == 0
    with pytest.raises(BudgetError):
        budget.reserve(0.001)


def test_a_reservation_is_closed_once() -> None:
    reservation = Budget(1.0).reserve(0.5)
    reservation.settle(0.5)
    with pytest.raises(RuntimeError, match="already"):
        reservation.release()


@pytest.mark.parametrize("amount", [-1.0, math.nan, math.inf])
def test_amounts_that_are_no_amounts_are_refused(amount: float) -> None:
    with pytest.raises(ValueError, match="dollars"):
        Budget(1.0).reserve(amount)


@given(st.floats(0, 50), st.lists(st.tuples(amounts, st.floats(0, 1)), max_size=40))
def test_spent_and_reserved_never_pass_the_limit(limit: float, calls: list[tuple[float, float]]) -> None:
    budget, expected = Budget(limit), 0.0
    for amount, share in calls:
        try:
            reservation = budget.reserve(amount)
        except BudgetError:
            continue
        assert budget.spent + budget.reserved <= limit + 1e-9
        reservation.settle(amount * share)
        expected += amount * share
    assert budget.reserved == 0
    assert budget.spent == pytest.approx(expected, abs=1e-9)
    assert budget.spent <= limit + 1e-9


def test_the_limit_holds_for_threads_that_start_together() -> None:
    budget, barrier = Budget(1.0), threading.Barrier(8)

    def spend() -> int:
        barrier.wait()
        granted = 0
        for _ in range(50):
            try:
                budget.reserve(0.01).settle(0.01)
            except BudgetError:
                continue
            granted += 1
        return granted

    with ThreadPoolExecutor(8) as pool:
        granted = sum(future.result() for future in [pool.submit(spend) for _ in range(8)])
    assert granted == 100
    assert budget.spent == 1.0


async def test_the_limit_holds_for_tasks_that_wait_in_their_calls() -> None:
    budget, peak = Budget(1.0), 0.0

    async def call() -> bool:
        nonlocal peak
        try:
            reservation = budget.reserve(0.3)
        except BudgetError:
            return False
        await asyncio.sleep(0)
        peak = max(peak, budget.reserved)
        reservation.settle(0.2)
        return True

    granted = await asyncio.gather(*(call() for _ in range(20)))
    assert peak <= 1.0
    assert budget.spent == pytest.approx(0.2 * sum(granted))
