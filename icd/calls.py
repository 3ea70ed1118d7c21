"""A model with its price and budget: every call is reserved before, settled after, and leaves a charge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from icd.backends.base import Backend, ChatRequest, ChatResponse
from icd.decision import CallRole, Charge
from icd.ledger import Budget, Price, cost, largest_usage


class Answer(NamedTuple):
    """A reply and what it cost."""

    response: ChatResponse
    charge: Charge


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A backend with what it costs and what may be spent on it."""

    backend: Backend
    price: Price
    budget: Budget

    async def ask(self, request: ChatRequest, role: CallRole) -> Answer:
        """Call the backend.

        Raises:
            BudgetError: the call could overspend; it was not made.
            BackendError: the backend could not answer; nothing is charged.
        """
        with self.budget.reserve(self.largest_cost(request), f"a {role} call") as reservation:
            response = await self.backend.complete(request)
            paid = cost(response.usage, self.price)
            reservation.settle(paid)
        return Answer(response, Charge(role, response.model, response.usage, paid))

    def largest_cost(self, request: ChatRequest) -> float:
        """Return the dollars that the request can cost at most; free of counting where no limit is set."""
        if self.budget.limit is None:
            return 0.0
        return cost(largest_usage(request, self.backend), self.price)

    def with_backend(self, backend: Backend) -> PricedModel:
        """Return the same price and budget for another backend (an expert bound to an episode)."""
        return replace(self, backend=backend)
