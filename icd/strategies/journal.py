"""Paid answers of a learning run, each kept before the next is asked for: a run that was killed goes on without paying
for anything twice.

An answer is kept under its model and request, in one transaction with its ledger row. Before a call is made, what it can
cost at most is written down: if the process dies in the middle of it, nobody knows whether it was billed, so that much
counts as spent. So the budget holds over any number of deaths. Calls are made one at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from icd.backends.base import ChatRequest, Completion, Usage
from icd.calls import Bill, PricedModel
from icd.decision import CallRole, Charge
from icd.errors import BackendError, BudgetError
from icd.ledger import Budget, cost, largest_usage
from icd.receipts import ledger_rows, new_id
from icd_memory.store import Store

ROLE: CallRole = "strategies"


class Journal:
    """Asks models for one learning run; use one at a time (`icd.benchmark.locks.alone`)."""

    def __init__(
        self, store: Store, run_id: str, limit: float | None = None, *, tenant: str = "default"
    ) -> None:
        """Open the run's journal; `limit`: US dollars that all of the run may cost, None: unlimited."""
        self._store, self._tenant = store, tenant
        self.run_id = run_id
        self._settle_lost()
        self._budget = Budget(limit, self.spent, remedy="raise --budget")

    @property
    def spent(self) -> float:
        """US dollars that the run has cost so far, in all processes."""
        return sum(row.cost for row in self._store.ledger(self.run_id))

    def cost_of(self, part: str) -> float:
        """Return the US dollars that a part of the run has cost so far."""
        return sum(row.cost for row in self._store.ledger(episode_id=self._part(part)))

    async def ask(self, model: PricedModel, request: ChatRequest, part: str) -> Completion:
        """Return the model's answer: the kept one, if the same was asked before. `part` is what the call is paid for:
        the ledger keeps it in the place of an episode.

        Raises:
            BudgetError: the call could overspend the budget; it was not made.
            BackendError: the model could not answer; only what it says was used nevertheless is paid.
        """
        key = self._key(model, request)
        kept = self._store.note(f"answer {key}")
        if kept is not None:
            return Completion(*json.loads(kept))
        bill = Bill((self._budget,))
        self._begin(key, model, request, part)
        try:
            response = await bill.ask(model, request, ROLE)
        except (BackendError, BudgetError):
            self._end(f"{key}/{new_id()}", bill, part)
            raise
        answer = response.completions[0]
        self._end(key, bill, part, answer)
        return Completion(answer.text, answer.finish)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return JSON data that stays as it was first made in this run, whatever the store holds meanwhile."""
        place = f"made {self.run_id}/{name}"
        kept = self._store.note(place)
        if kept is None:
            kept = json.dumps(make())
            self._store.set_note(place, kept)
        return json.loads(kept)

    def _key(self, model: PricedModel, request: ChatRequest) -> str:
        asked = json.dumps([model.backend.model, asdict(request)], sort_keys=True)
        return f"{self.run_id}/{hashlib.sha256(asked.encode()).hexdigest()[:32]}"

    @property
    def _under_way(self) -> str:
        return f"under way {self.run_id}"

    def _part(self, part: str) -> str:
        return f"{self.run_id}/{part}"

    def _begin(self, key: str, model: PricedModel, request: ChatRequest, part: str) -> None:
        usage = largest_usage(request, model.backend)
        most = {
            "id": f"{key}/{new_id()}",
            "part": part,
            "model": model.backend.model,
            "usage": asdict(usage),
            "cost": cost(usage, model.price),
        }
        self._store.set_note(self._under_way, json.dumps(most))

    def _end(self, prefix: str, bill: Bill, part: str, answer: Completion | None = None) -> None:
        rows = ledger_rows(
            bill.charges, run_id=self.run_id, episode_id=self._part(part), prefix=prefix, decision_id=None,
            tenant=self._tenant,
        )  # fmt: skip
        with self._store.transaction():
            if answer is not None:
                self._store.set_note(f"answer {prefix}", json.dumps([answer.text, answer.finish]))
            self._store.add_ledger(rows)
            self._store.set_note(self._under_way, "")

    def _settle_lost(self) -> None:
        """Count the call that a dead process left under way as paid, at its most."""
        noted = self._store.note(self._under_way)
        if not noted:
            return
        lost = json.loads(noted)
        bill = Bill()
        bill.charges.append(Charge(ROLE, lost["model"], Usage(**lost["usage"]), lost["cost"]))
        self._end(lost["id"], bill, lost["part"])
