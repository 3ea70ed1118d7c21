"""A model with its price and budget: every call is reserved before, settled after, and leaves a charge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from icd.backends.base import Backend, ChatRequest, ChatResponse
from icd.decision import CallRole, Charge
from icd.errors import BackendError
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
            BackendError: the backend could not answer; only what it says was used nevertheless is paid.
        """
        with self.budget.reserve(self.largest_cost(request), f"a {role} call") as reservation:
            try:
                response = await self.backend.complete(request)
            except BackendError as error:
                if error.usage is not None:
                    reservation.settle(cost(error.usage, self.price))
                raise
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


class Bill:
    """The charges of one decision as they come in: what was paid is known even when no decision comes of it."""

    def __init__(self) -> None:
        self.charges: list[Charge] = []

    async def ask(self, model: PricedModel, request: ChatRequest, role: CallRole) -> ChatResponse:
        """Call a model and note what it cost; raises as `PricedModel.ask`."""
        try:
            answer = await model.ask(request, role)
        except BackendError as error:
            if error.usage is not None:
                paid = cost(error.usage, model.price)
                self.charges.append(Charge(role, model.backend.model, error.usage, paid))
            raise
        self.charges.append(answer.charge)
        return answer.response
