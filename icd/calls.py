"""A model with its price and budget: every call is reserved before, settled after, and leaves a charge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from icd.backends.base import (
    Backend,
    ChatRequest,
    ChatResponse,
    Completion,
    Delta,
    StreamingBackend,
    ToolCallDelta,
    Usage,
)
from icd.backends.circuit import Guarded
from icd.decision import CallRole, Charge, Trouble
from icd.errors import BackendError
from icd.ledger import Budget, Price, cost, largest_usage, prompt_tokens
from icd.telemetry import content, operations, spans


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A backend with what it costs and what may be spent on it."""

    backend: Backend
    price: Price
    budget: Budget

    def limited(self, payers: Sequence[Budget] = ()) -> bool:
        """Say whether the model's budget, or one of `payers`, has a limit."""
        return any(budget.limit is not None for budget in (self.budget, *payers))

    def largest_cost(self, request: ChatRequest, payers: Sequence[Budget] = ()) -> float:
        """Return the dollars that the request can cost at most; free of counting where no budget has a limit."""
        if not self.limited(payers):
            return 0.0
        return cost(largest_usage(request, self.backend), self.price)

    def affordable(self, request: ChatRequest, payers: Sequence[Budget] = ()) -> bool:
        """Say whether the model's budget and those of `payers` have enough left for the request."""
        left = [dollars for budget in (self.budget, *payers) if (dollars := budget.remaining) is not None]
        return not left or self.largest_cost(request, payers) <= min(left)

    def with_backend(self, backend: Backend) -> PricedModel:
        """Return the same price and budget for another backend (an expert bound to an episode)."""
        return replace(self, backend=backend)


class Purse(Protocol):
    """Where money for calls is set aside besides the budgets of this process: other processes spend it too."""

    @property
    def ids(self) -> Sequence[str]:
        """What is to be let go when the charges are recorded."""

    async def hold(self, dollars: float) -> None:
        """Set so many US dollars aside in all, in place of what was before. Raises `BudgetError`."""


class Bill:
    """Asks models and keeps the charges of one decision: what was paid is known even when no decision comes of it."""

    def __init__(
        self,
        payers: Sequence[Budget] = (),
        *,
        counterfactual: bool = False,
        span: spans.Span | None = None,
        purse: Purse | None = None,
    ) -> None:
        """Start an empty bill; `payers` are budgets that pay besides the models' own; `counterfactual` marks its charges
        as no part of what the decision cost; `span`: the operation whose calls these are, if not the current one; `purse`
        is what pays in other processes too."""
        self.charges: list[Charge] = []
        self.trouble: list[Trouble] = []
        """Of calls that did not come through at once, or not at all."""
        self.waited = 0.0
        """Seconds spent waiting for models."""
        self._payers = tuple(payers)
        self._counterfactual = counterfactual
        self._span = span
        self._purse = purse
        self._under_way: list[float] = []
        """What each call under way may cost."""

    def beside(self) -> Bill:
        """Return a bill whose charges are kept here too, marked as counterfactual; the budgets pay them all the same."""
        other = Bill(self._payers, counterfactual=True, span=self._span)
        other.charges, other.trouble = self.charges, self.trouble
        other._purse, other._under_way = self._purse, self._under_way
        return other

    @property
    def held(self) -> Sequence[str]:
        """What is to be let go when the charges are recorded."""
        return () if self._purse is None else self._purse.ids

    @property
    def cost(self) -> float:
        """US dollars so far."""
        return sum(charge.cost for charge in self.charges)

    def affordable(self, model: PricedModel, request: Callable[[], ChatRequest]) -> bool:
        """Say whether the budgets have enough left for the request, which is only made if one has a limit."""
        return not model.limited(self._payers) or model.affordable(request(), self._payers)

    async def ask(self, model: PricedModel, request: ChatRequest, role: CallRole) -> ChatResponse:
        """Call a model.

        Raises:
            BudgetError: the call could overspend a budget; it was not made.
            BackendError: the model could not answer; only what it says was used nevertheless is paid.
        """
        with self._paying(model, request, role) as pay:
            await self._set_aside()
            with self._watched(model, request, role) as span:
                with span.current():
                    response = await model.backend.complete(request)
                pay(response.usage)
                self._tell(span, response)
        return response

    async def stream(
        self, model: PricedModel, request: ChatRequest, role: CallRole
    ) -> AsyncGenerator[Delta | ChatResponse, None]:
        """Call a model and yield the answer as it is written, and at the end whole; raises as `ask`.

        A stream that is closed early is paid by what it had shown, estimated.
        """
        backend = model.backend
        if not isinstance(backend, StreamingBackend):
            response = await self.ask(model, request, role)
            for piece in pieces(response.completions):
                yield piece
            yield response
            return
        shown = 0
        with ExitStack() as stack:
            pay = stack.enter_context(self._paying(model, request, role))
            await self._set_aside()
            span = stack.enter_context(self._watched(model, request, role, stream=True))
            started = time.perf_counter()
            async with aclosing(backend.stream(request)) as items:
                try:
                    item = await _next(items, span)
                    span.tell(operations.first_piece, time.perf_counter() - started)
                    while isinstance(item, Delta):
                        shown += backend.count_tokens(item.text)
                        yield item
                        item = await _next(items, span)
                    pay(item.usage)
                    self._tell(span, item)
                    yield item
                except (GeneratorExit, asyncio.CancelledError):
                    if shown:
                        pay(Usage(prompt_tokens(request, backend), 0, shown, estimated=True))
                    raise

    async def _set_aside(self) -> None:
        """Set aside what the calls under way may cost and what was charged, which nobody else knows of yet."""
        if self._purse is None or not any(self._under_way):
            return
        started = time.perf_counter()
        try:
            await self._purse.hold(self.cost + sum(self._under_way))
        finally:
            self.waited -= time.perf_counter() - started  # For a disk, not for a model.

    def _watched(
        self, model: PricedModel, request: ChatRequest, role: CallRole, *, stream: bool = False
    ) -> spans.Span:
        """Begin a call for who watches."""
        within = spans.ambient() if self._span is None else self._span
        span = within.start(operations.chat, model.backend, request, role, stream=stream)
        span.content(content.prompt, request)
        return span

    def _tell(self, span: spans.Span, response: ChatResponse) -> None:
        """Say how a call ended."""
        if response.failures:
            charge = self.charges[-1]
            self.trouble.append(Trouble(charge.role, charge.model, response.failures))
        span.tell(operations.paid, response, self.charges[-1])
        span.content(content.answer, response)

    @contextmanager
    def _paying(
        self, model: PricedModel, request: ChatRequest, role: CallRole
    ) -> Iterator[Callable[[Usage], None]]:
        """Reserve what the request can cost; yields what settles it, once. Unsettled, the reservations are released."""
        largest = model.largest_cost(request, self._payers)
        started = time.perf_counter()
        with ExitStack() as stack:
            reserved = [
                stack.enter_context(budget.reserve(largest, f"a {role} call"))
                for budget in (model.budget, *self._payers)
            ]
            self._under_way.append(largest)

            def pay(usage: Usage) -> None:
                if reserved[0].closed:
                    return
                charge = Charge(
                    role, model.backend.model, usage, cost(usage, model.price), self._counterfactual
                )
                for reservation in reserved:
                    reservation.settle(charge.cost)
                self.charges.append(charge)

            try:
                yield pay
            except BackendError as error:
                backend = model.backend
                circuit = backend.circuit.state if isinstance(backend, Guarded) else ""
                self.trouble.append(Trouble(role, backend.model, error.failures, error.code, circuit))
                if error.usage is not None:
                    pay(error.usage)
                raise
            finally:
                self._under_way.remove(largest)
                self.waited += time.perf_counter() - started


async def _next(items: AsyncGenerator[Delta | ChatResponse, None], span: spans.Span) -> Delta | ChatResponse:
    """Read on within the operation, which must not be the current one while a generator yields."""
    with span.current():
        return await anext(items)


def pieces(completions: Sequence[Completion]) -> Iterator[Delta]:
    """Yield whole answers as the pieces of a stream: one each."""
    for index, completion in enumerate(completions):
        calls = tuple(
            ToolCallDelta(number, call.id, call.name, call.arguments)
            for number, call in enumerate(completion.tool_calls)
        )
        yield Delta(completion.text, calls, index, completion.logprobs, completion.extra)
