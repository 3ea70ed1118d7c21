"""Who pays for a call: the budgets of its key, tenant, episode and day.

What was spent is read from the ledger when a budget is first needed, and counted here from then on. What is set aside for
calls under way is known to this process alone: a process that dies leaves nothing set aside. Days are those of UTC, and
never go back, whatever the clock does: money that was spent is not given out again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from icd.ledger import Budget
from icd_memory.accounts import Accounts

__all__ = ["BudgetLimits", "Budgets"]

_KEPT = 10_000
"""Budgets of episodes and of past days that are remembered."""
_KEY = "use a key with a larger budget (`icd keys create --budget`)"


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """US dollars; None: not limited. The limit of a key in all is the key's own."""

    key_day: float | None = None
    tenant: float | None = None
    tenant_day: float | None = None
    episode: float | None = None


class Budgets:
    """The budgets of a server; belongs to one event loop."""

    def __init__(self, accounts: Accounts, limits: BudgetLimits, now: Callable[[], datetime]) -> None:
        self._accounts = accounts
        self._limits = limits
        self._now = now
        self._today = date.min
        self._known: OrderedDict[tuple[str, ...], Budget] = OrderedDict()

    def payers(self, tenant: str, account: str, episode_id: str) -> tuple[Budget, ...]:
        """Return the limited budgets that pay for a call; without an account no key does.

        Raises:
            MemoryStoreError: what was spent cannot be read.
        """
        limits, accounts = self._limits, self._accounts
        found = []
        if account:
            found.append(self._budget(("key", account), self._key_limit(account), accounts.spent, _KEY))
        if limits.tenant is not None:
            found.append(
                self._budget(("tenant", tenant), limits.tenant, accounts.spent_by, _raise("tenant_budget"))
            )
        if limits.episode is not None:
            found.append(
                self._budget(
                    ("episode", tenant, episode_id), limits.episode,
                    lambda _: accounts.spent_by(tenant, episode_id=episode_id), _raise("episode_budget"),
                )
            )  # fmt: skip
        found += self._of_today(tenant, account)
        return tuple(budget for budget in found if budget.limit is not None)

    def all(self) -> list[Budget]:
        """Return every budget that is remembered."""
        return list(self._known.values())

    def _of_today(self, tenant: str, account: str) -> list[Budget]:
        limits, found = self._limits, []
        if limits.key_day is None and limits.tenant_day is None:
            return []
        self._today = max(self._today, self._now().astimezone(UTC).date())
        day, since = str(self._today), datetime.combine(self._today, time(), UTC)
        if account and limits.key_day is not None:
            found.append(
                self._budget(
                    ("key", account, day), limits.key_day,
                    lambda _: self._accounts.spent(account, since), _raise("key_day_budget"),
                )
            )  # fmt: skip
        if limits.tenant_day is not None:
            found.append(
                self._budget(
                    ("tenant", tenant, day), limits.tenant_day,
                    lambda _: self._accounts.spent_by(tenant, since=since), _raise("tenant_day_budget"),
                )
            )  # fmt: skip
        return found

    def _budget(
        self, name: tuple[str, ...], limit: float | None, spent: Callable[[str], float], remedy: str
    ) -> Budget:
        if name not in self._known:
            self._known[name] = Budget(limit, 0.0 if limit is None else spent(name[1]), remedy=remedy)
            self._forget()
        self._known.move_to_end(name)
        return self._known[name]

    def _key_limit(self, account: str) -> float | None:
        if ("key", account) in self._known:
            return None
        row = self._accounts.key(account)
        return row.budget if row is not None else None

    def _forget(self) -> None:
        """Drop budgets that were not used for long, unless a call is under way."""
        for name in list(self._known)[: max(0, len(self._known) - _KEPT)]:
            if not self._known[name].reserved:
                del self._known[name]


def _raise(setting: str) -> str:
    return f"raise serve.{setting}"
