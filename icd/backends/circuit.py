"""A circuit breaker: an endpoint that keeps failing is left alone for a while, and its callers hear so at once.

Closed: calls go through. After `failures` in a row it opens: calls fail without being sent, so that a fallback answers in
no time and the endpoint can recover. After `pause` seconds one call is let through as a probe; it closes the circuit or
opens it again, for twice as long up to eight times. Only failures that may pass count: a refused key is no outage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol, runtime_checkable

from icd.errors import BackendOverloadedError, BackendTimeoutError, BackendUnreachableError

__all__ = ["COUNTED", "Circuit", "CircuitState", "Guarded"]

CircuitState = Literal["closed", "open", "probing"]
COUNTED = (BackendUnreachableError, BackendOverloadedError, BackendTimeoutError)
"""Failures that say something about the endpoint, and not about one request."""
_LONGEST = 8


class Circuit:
    """The circuit of one endpoint; belongs to one event loop."""

    def __init__(
        self, failures: int = 5, pause: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures = failures
        self._pause = pause
        self._clock = clock
        self._in_a_row = 0
        self._times_opened = 0
        self._until = 0.0
        self._probing = False

    @property
    def state(self) -> CircuitState:
        """How it stands."""
        if not self._times_opened:
            return "closed"
        return "probing" if self._probing else "open"

    @contextmanager
    def call(self, what: str) -> Iterator[None]:
        """Let a call through, and count how it ends. A call that is cancelled or refused says nothing of the endpoint.

        Raises:
            BackendOverloadedError: the circuit is open; `what` names the endpoint.
        """
        self._enter(what)
        try:
            yield
        except COUNTED:
            self._failed()
            raise
        except BaseException:
            self._probing = False
            raise
        self._in_a_row = self._times_opened = 0
        self._probing = False

    def _enter(self, what: str) -> None:
        if not self._times_opened:
            return
        wait = self._until - self._clock()
        if self._probing or wait > 0:
            until = "until the call under way has come through" if self._probing else f"for {wait:.1f} s more"
            raise BackendOverloadedError(
                f"{what} failed {self._in_a_row} times in a row and is left alone {until}: "
                "is it running, and does it keep up?"
            )
        self._probing = True

    def _failed(self) -> None:
        self._in_a_row += 1
        if self._probing or (not self._times_opened and self._in_a_row >= self._failures):
            self._until = self._clock() + self._pause * min(2**self._times_opened, _LONGEST)
            self._times_opened += 1
        self._probing = False


@runtime_checkable
class Guarded(Protocol):
    """A backend whose endpoint has a circuit."""

    circuit: Circuit
