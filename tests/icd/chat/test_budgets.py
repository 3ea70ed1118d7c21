"""Who pays, and that nobody pays more than they may."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from icd.chat.budgets import BudgetLimits, Budgets
from icd.errors import BudgetError
from icd_memory.rows import KeyRow, LedgerRow
from icd_memory.store import Store

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
from trust_budget_processes import run_processes
from trust_budgets import run
from trust_places import places

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


def bill(store: Store, number: int, at: datetime, cost: float, **changes: str) -> None:
    id = f"{int(at.timestamp() * 1000):012x}{number:020x}:0"
    fields = {"tenant": "a", "account": "k", "episode_id": "e", **changes}
    store.add_ledger([LedgerRow(id, "live", "student", "m", 1, 0, 1, cost, **fields)])  # type: ignore[arg-type]


@pytest.fixture
def store() -> Store:
    opened = Store.open(":memory:")
    opened.accounts.add_key(KeyRow("k", "a", "agent", "", b"", b"", NOON, None, 10.0))
    return opened


def test_key_tenant_episode_and_day_pay_at_once(store: Store) -> None:
    bill(store, 1, NOON - timedelta(days=1), 1.0)
    bill(store, 2, NOON, 2.0)
    bill(store, 3, NOON, 4.0, account="other", episode_id="f")
    bill(store, 4, NOON, 8.0, tenant="b")
    limits = BudgetLimits(key_day=11.0, tenant=20.0, tenant_day=15.0, episode=5.0)
    payers = Budgets(store.accounts, limits, Clock()).payers("a", "k", "e")
    assert [(p.limit, p.spent) for p in payers] == [
        (10.0, 11.0), (20.0, 7.0), (5.0, 3.0), (11.0, 10.0), (15.0, 6.0)
    ]  # fmt: skip
    nobody = Budgets(store.accounts, BudgetLimits(), Clock())
    assert nobody.payers("a", "", "e") == ()
    assert [p.limit for p in nobody.payers("a", "k", "e")] == [10.0]


def test_a_new_day_brings_new_money_and_a_clock_that_goes_back_does_not(store: Store) -> None:
    clock = Clock()
    budgets = Budgets(store.accounts, BudgetLimits(tenant_day=1.0), clock)
    (today,) = budgets.payers("a", "", "e")
    today.reserve(1.0).settle(1.0)
    for hours in (0, 11, -20, -72, 3):
        clock.now = NOON + timedelta(hours=hours)
        (same,) = budgets.payers("a", "", "e")
        assert same is today
    under_way = None
    clock.now = NOON + timedelta(hours=12)
    (tomorrow,) = budgets.payers("a", "", "e")
    under_way = tomorrow.reserve(0.75)
    clock.now = NOON
    (still,) = budgets.payers("a", "", "e")
    with pytest.raises(BudgetError, match="tenant_day_budget"):
        still.reserve(0.5)
    under_way.release()
    assert still.reserved == 0


def test_a_day_begins_where_utc_says(store: Store) -> None:
    clock = Clock()
    clock.now = datetime.fromisoformat("2026-11-23T01:30:00+02:00")  # still the 22nd
    bill(store, 1, datetime(2026, 11, 22, 0, 0, tzinfo=UTC), 1.0)
    bill(store, 2, datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC), 2.0)
    (payer,) = Budgets(store.accounts, BudgetLimits(tenant_day=5.0), clock).payers("a", "", "e")
    assert payer.spent == 1.0


async def test_a_thousand_calls_with_cancellations_and_crashes(tmp_path: Path) -> None:
    done = await run(tmp_path / "store.db", 1000)
    assert done.calls == 1000
    assert (done.over, done.leaked) == (0.0, 0.0)
    assert min(done.answered, done.refused, done.cancelled, done.failed) >= 5


@pytest.mark.slow
def test_processes_that_share_a_store_share_its_budgets_though_one_is_killed(tmp_path: Path) -> None:
    with places(tmp_path) as databases:
        for place in databases.values():
            done = run_processes(place, 300, 3)
            assert (done.over, done.leaked) == (0.0, 0.0)
            assert done.outcomes["answered"] > 20
            assert done.outcomes["refused"] > 0
