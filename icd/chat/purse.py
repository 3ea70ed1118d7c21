"""What a call has set aside in the store, where every process sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from icd.calls import Bill
from icd.chat.budgets import Budgets, PayersBudget
from icd.chat.call import ChatCall
from icd.errors import BudgetError
from icd.telemetry.spans import Span
from icd_memory.group_commit import GroupCommit
from icd_memory.rows import Batch, Hold

__all__ = ["StorePurse", "open_bill"]


class StorePurse:
    """The purse of one decision; an `icd.calls.Purse`."""

    def __init__(self, commit: GroupCommit, id: str, budgets: Sequence[PayersBudget]) -> None:
        """`id` is the decision's; `budgets` are those of who pays for it."""
        self._commit = commit
        self._id = id
        self._budgets = budgets
        self._held = False

    @property
    def ids(self) -> Sequence[str]:
        """What is to be let go when the charges are recorded."""
        return (self._id,) if self._held else ()

    async def hold(self, dollars: float) -> None:
        """Set so many US dollars aside in all.

        Raises:
            BudgetError: with what others spent and set aside that is too much.
            MemoryStoreError: the store cannot be written.
        """
        hold = Hold(self._id, dollars, tuple(budget.payer for budget in self._budgets))
        # Also if nobody waits for it any more it will be written, and must be let go then.
        self._held = True

        def write(batch: Batch) -> None:
            batch.holds.append(hold)

        await asyncio.wrap_future(self._commit.submit(write))
        for budget, spent in zip(self._budgets, hold.spent, strict=False):
            budget.learn(spent)
        if hold.refused is not None:
            refused = self._budgets[hold.payers.index(hold.refused)]
            raise BudgetError(
                f"the next call may cost ${dollars:.6f}, but ${refused.spent:.6f} of the budget of "
                f"${hold.refused.limit:.6f} is spent, and calls under way have set more aside: {refused.remedy}"
            )


def open_bill(
    call: ChatCall,
    episode_id: str,
    receipt_id: str,
    span: Span,
    budgets: Budgets | None,
    commit: GroupCommit | None,
) -> Bill:
    """Return the empty bill of a call, which its key, tenant and episode pay where they are limited."""
    if budgets is None or commit is None:
        return Bill(span=span)
    payers = budgets.payers(call.tenant, call.account, episode_id)
    return Bill(payers, span=span, purse=StorePurse(commit, receipt_id, payers) if payers else None)
