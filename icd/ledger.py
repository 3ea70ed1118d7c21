"""What calls cost: pure functions of usage and prices, and the budget that calls are charged to.

Costs are US dollars. Whether n samples were billed for one prompt or for n is already in `Usage`. This module calls no
model and stores nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from icd.backends.base import Backend, ChatRequest, Usage
from icd.backends.tokens import count_prompt
from icd.errors import BudgetError
from icd.prices import Price, PriceTable

__all__ = [
    "BreakEven",
    "Budget",
    "Price",
    "PriceTable",
    "Reservation",
    "TeacherStep",
    "break_even",
    "cost",
    "counterfactual_teacher_cost",
    "largest_usage",
    "prompt_tokens",
]


def cost(usage: Usage, price: Price) -> float:
    """Return the dollars for `usage`."""
    fresh = max(usage.input_tokens - usage.cached_tokens, 0)
    dollars = (
        fresh * price.input + usage.cached_tokens * price.cached_input + usage.output_tokens * price.output
    )
    return dollars / 1_000_000


def prompt_tokens(request: ChatRequest, backend: Backend) -> int:
    """Return the tokens of the request's prompt, by the backend's own count."""
    return count_prompt(request, backend.count_tokens)


def largest_usage(request: ChatRequest, backend: Backend) -> Usage:
    """Return the most that the request can use: every sample at full length, nothing cached.

    The prompt counts n times also where it is billed once: an endpoint that gives fewer samples is asked again.
    """
    tokens = prompt_tokens(request, backend) * request.n
    return Usage(tokens, 0, request.n * request.max_tokens, request.n, estimated=True)


@dataclass(frozen=True, slots=True)
class TeacherStep:
    """A step as the teacher would have been billed for it."""

    prompt_tokens: int
    """The prompt without excerpts: a teacher on its own is shown none."""
    output_tokens: int | None = None
    """What it wrote; None where it was not asked."""


def counterfactual_teacher_cost(
    steps: Sequence[TeacherStep], price: Price, *, typical_output: float = 0.0, cached_prompts: bool = False
) -> float:
    """Return what the same steps would have cost had the teacher taken every one of them.

    It cannot know that the teacher might have taken another way: it prices the steps that happened.

    Args:
        steps: in order; the prompt of each begins with the prompt of the one before.
        price: the teacher's.
        typical_output: tokens of a step that was not asked, where this episode has none to average.
        cached_prompts: bill the part of the prompt that the step before had already sent at the cached price.
    """
    known = [step.output_tokens for step in steps if step.output_tokens is not None]
    mean = sum(known) / len(known) if known else typical_output
    dollars, sent_before = 0.0, 0
    for step in steps:
        cached = min(sent_before, step.prompt_tokens) if cached_prompts else 0
        output = mean if step.output_tokens is None else step.output_tokens
        dollars += cost(Usage(step.prompt_tokens, cached), price) + output * price.output / 1_000_000
        sent_before = step.prompt_tokens
    return dollars


@dataclass(frozen=True, slots=True)
class BreakEven:
    """After how many episodes collecting the demonstrations has paid for itself; infinite: never."""

    episodes: float
    low: float
    high: float
    confidence: float
    """Of the interval from `low` to `high`."""


def break_even(
    collection_cost: float,
    teacher_costs: Sequence[float],
    method_costs: Sequence[float],
    *,
    seed: int = 0,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> BreakEven:
    """Return collection cost / (teacher - method cost per episode), with a bootstrap interval over episodes.

    The collection cost is what was spent, failed demonstrations included; it is not resampled. Lists of equal
    length are taken as pairs on the same tasks and resampled together.

    Raises:
        ValueError: one of the lists is empty.
    """
    if not teacher_costs or not method_costs:
        raise ValueError("break-even needs at least one episode of each")
    import numpy as np

    rng = np.random.default_rng(seed)
    teacher, method = np.asarray(teacher_costs, float), np.asarray(method_costs, float)
    teacher_rows = rng.integers(len(teacher), size=(resamples, len(teacher)))
    paired = len(teacher) == len(method)
    method_rows = teacher_rows if paired else rng.integers(len(method), size=(resamples, len(method)))
    saved = teacher[teacher_rows].mean(axis=1) - method[method_rows].mean(axis=1)
    tail = (1 - confidence) / 2
    least, most = (float(q) for q in np.quantile(saved, [tail, 1 - tail]))
    mean = float(teacher.mean() - method.mean())

    def episodes(saving: float) -> float:
        if collection_cost <= 0:
            return 0.0 if saving >= 0 else float("inf")
        return collection_cost / saving if saving > 0 else float("inf")

    return BreakEven(episodes(mean), episodes(most), episodes(least), confidence)


_UNIT = 10**12
"""Budgets are kept in whole millionths of a microdollar, so that sums are exact in any order."""


class Budget:
    """A limit in dollars: reserved before a call, settled after it.

    Safe for threads and for tasks of an event loop: what is spent and reserved never passes the limit, unless
    a call cost more than was reserved for it. That is still recorded, and nothing further is granted then.
    """

    def __init__(
        self, limit: float | None = None, spent: float = 0.0, *, remedy: str = "raise run.budget"
    ) -> None:
        """Start a budget of `limit` dollars (None: unlimited), of which `spent` are gone already; `remedy` says what can
        be done when it is used up."""
        self._limit = None if limit is None else _units(limit)
        self._spent = _units(spent)
        self._remedy = remedy
        self._reserved = 0
        self._lock = threading.Lock()

    @property
    def limit(self) -> float | None:
        """Dollars; None is unlimited."""
        return None if self._limit is None else self._limit / _UNIT

    @property
    def spent(self) -> float:
        """Dollars settled so far."""
        return self._spent / _UNIT

    @property
    def remedy(self) -> str:
        """What can be done when it is used up."""
        return self._remedy

    def learn(self, spent: float) -> None:
        """Take in how many dollars were spent by all who share this limit, if that is more than is known here."""
        with self._lock:
            self._spent = max(self._spent, _units(spent))

    @property
    def reserved(self) -> float:
        """Dollars of calls under way."""
        return self._reserved / _UNIT

    @property
    def remaining(self) -> float | None:
        """Dollars that can still be reserved, never negative; None is unlimited."""
        with self._lock:
            if self._limit is None:
                return None
            return max(self._limit - self._spent - self._reserved, 0) / _UNIT

    def reserve(self, amount: float, what: str = "the next call") -> Reservation:
        """Set `amount` dollars aside.

        Raises:
            BudgetError: it would pass the limit; nothing was reserved.
        """
        units = _units(amount)
        with self._lock:
            if self._limit is not None and self._spent + self._reserved + units > self._limit:
                raise BudgetError(
                    f"{what} may cost ${amount:.6f}, but ${self._spent / _UNIT:.6f} of the budget of "
                    f"${self._limit / _UNIT:.6f} is spent and ${self._reserved / _UNIT:.6f} reserved: "
                    f"{self._remedy}, or lower max_tokens or the number of samples"
                )
            self._reserved += units
        return Reservation(self, units)

    def _close(self, reservation: Reservation, spent: int) -> None:
        with self._lock:
            if reservation.closed:
                raise RuntimeError("this reservation is already settled or released")
            reservation.closed = True
            self._reserved -= reservation.units
            self._spent += spent


class Reservation:
    """Money set aside for one call. As a context manager it is released at the end unless it was settled."""

    def __init__(self, budget: Budget, units: int) -> None:
        self._budget = budget
        self.units = units
        self.closed = False

    def settle(self, amount: float) -> None:
        """Replace the reservation with what the call cost, in dollars.

        Raises:
            RuntimeError: it was settled or released before.
        """
        self._budget._close(self, _units(amount))

    def release(self) -> None:
        """Give everything back: the call was not billed.

        Raises:
            RuntimeError: it was settled or released before.
        """
        self._budget._close(self, 0)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.closed:
            self.release()


def _units(dollars: float) -> int:
    if not 0 <= dollars < float("inf"):
        raise ValueError(f"an amount of dollars cannot be {dollars}")
    return round(dollars * _UNIT)
