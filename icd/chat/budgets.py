"""Who pays for a call: the budgets of its key, tenant, episode and day.

What was spent is read from the ledger when a budget is first needed, and counted here from then on, so that a call that
is out of the question is refused at once. What other processes spend and set aside is found in the store before each
call (`icd.chat.purse`). Days are those of UTC, and never go back, whatever the clock does: money that was spent is not
given out again.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from icd.ledger import Budget
from icd_memory.accounts import Accounts
from icd_memory.rows import Payer, PayerKind

__all__ = ["BudgetLimits", "Budgets", "PayersBudget"]

_KEPT = 2_000
"""Budgets of episodes and of past days that are remembered."""
_KEY = "use a key with a larger budget (`icd keys create --budget`)"


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """US dollars; None: not limited. The limit of a key in all is the key's own."""

    key_day: float | None = None
    tenant: float | None = None
    tenant_day: float | None = None
    episode: float | None = None


class PayersBudget(Budget):
    """The budget of a payer, as far as this process knows it."""

    def __init__(self, payer: Payer, spent: float, remedy: str) -> None:
        """Start with what was `spent`, in US dollars."""
        super().__init__(payer.limit, spent, remedy=remedy)
        self.payer = payer


class Budgets:
    """The budgets of a server; belongs to one event loop."""

    def __init__(self, accounts: Accounts, limits: BudgetLimits, now: Callable[[], datetime]) -> None:
        self._accounts = accounts
        self._limits = limits
        self._now = now
        self._today = date.min
        self._known: OrderedDict[tuple[str, ...], PayersBudget] = OrderedDict()
        self._key_limits: OrderedDict[str, float | None] = OrderedDict()

    def payers(self, tenant: str, account: str, episode_id: str) -> tuple[PayersBudget, ...]:
        """Return the limited budgets that pay for a call; without an account no key does.

        Raises:
            MemoryStoreError: what was spent cannot be read.
        """
        limits = self._limits
        found = [
            self._budget(("key", account), self._key_limit(account), _KEY),
            self._budget(("tenant", tenant), limits.tenant, _raise("tenant_budget")),
            self._budget(
                ("tenant", tenant, episode_id),
                limits.episode,
                _raise("episode_budget"),
                episode_id=episode_id,
            ),
            *self._of_today(tenant, account),
        ]
        return tuple(budget for budget in found if budget is not None)

    def all(self) -> list[PayersBudget]:
        """Return every budget that is remembered."""
        return list(self._known.values())

    def _of_today(self, tenant: str, account: str) -> list[PayersBudget | None]:
        limits = self._limits
        if limits.key_day is None and limits.tenant_day is None:
            return []
        self._today = max(self._today, self._now().astimezone(UTC).date())
        day, since = str(self._today), datetime.combine(self._today, time(), UTC)
        return [
            self._budget(
                ("key", account, "day", day),
                limits.key_day if account else None, _raise("key_day_budget"), since=since,
            ),
            self._budget(
                ("tenant", tenant, "day", day), limits.tenant_day, _raise("tenant_day_budget"), since=since
            ),
        ]  # fmt: skip

    def _budget(
        self,
        name: tuple[PayerKind, str, *tuple[str, ...]],
        limit: float | None,
        remedy: str,
        *,
        episode_id: str | None = None,
        since: datetime | None = None,
    ) -> PayersBudget | None:
        """Return the budget of this name; None: it has no limit."""
        if limit is None:
            return None
        if name not in self._known:
            payer = Payer(json.dumps(name), name[0], name[1], limit, episode_id, since)
            self._known[name] = PayersBudget(payer, self._accounts.spent_of(payer), remedy)
            self._forget()
        self._known.move_to_end(name)
        return self._known[name]

    def _key_limit(self, account: str) -> float | None:
        """Return the limit of a key, which never changes."""
        if account not in self._key_limits:
            row = self._accounts.key(account) if account else None
            self._key_limits[account] = row.budget if row is not None else None
            if len(self._key_limits) > _KEPT:
                self._key_limits.popitem(last=False)
        return self._key_limits[account]

    def _forget(self) -> None:
        """Drop budgets that were not used for long, unless a call is under way."""
        for name in list(self._known)[: max(0, len(self._known) - _KEPT)]:
            if not self._known[name].reserved:
                del self._known[name]


def _raise(setting: str) -> str:
    return f"raise serve.{setting}"
