"""What all pages of a console share: the store, who may come in, and the figures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from icd.console.experiments import Reports
from icd.console.sessions import Session, Sessions, SignInLink
from icd.episode_facts import FactKeeper
from icd.errors import IcdMemoryError
from icd.serving.keys import Keyring
from icd.serving.limits import RateLimiter
from icd_memory.retrieval import Memory
from icd_memory.store import Store

__all__ = ["Site"]

_log = logging.getLogger(__name__)

_FRESH_S = 1.0
"""A revoked key is seen, and new figures are taken in, at most this late."""
_TAKING_IN_S = 0.05
"""Seconds that a page takes for what is new before it is shown; the rest is done in the background."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Site:
    """A console over one store."""

    store: Store
    keys: Keyring
    link: SignInLink | None = None
    """Signs in without a key, once; None: only keys do."""
    memory: Callable[[], Memory | None] = lambda: None
    """The memory, for what has to be found or to be shown no more; None: without an embedder."""
    closing: Callable[[], None] = lambda: None
    """Called at the end: frees what the memory holds, where it is the console's own."""
    now: Callable[[], datetime] = _utc_now
    clock: Callable[[], float] = time.monotonic
    limiter: RateLimiter = field(default_factory=RateLimiter)
    """Of attempts to sign in."""

    def __post_init__(self) -> None:
        self.facts = FactKeeper(self.store, self.clock)
        self._checked: dict[str, float] = {}
        self._taken_in = -_FRESH_S
        self._all_in = False
        self.sessions = Sessions(lambda: self.clock())
        self.reports = Reports(self.store)

    def session(self, token: str) -> Session | None:
        """Return whose session this is, if their key is still good."""
        found = self.sessions.find(token)
        if found is None or not found.account:
            return found
        if self.clock() - self._checked.get(found.account, -_FRESH_S) >= _FRESH_S:
            row = self.store.accounts.key(found.account)
            if row is None or row.revoked_at is not None or row.role != "operator":
                self.sessions.close(token)
                return None
            self._checked[found.account] = self.clock()
        return found

    def refresh(self) -> float | None:
        """Take in what is new; return how much of the store has been taken in if that is not all, None if it is.

        A store that cannot be written now is shown as far as it was taken in.
        """
        if self._all_in and self.clock() - self._taken_in < _FRESH_S:
            return None
        try:
            self._all_in = self.facts.catch_up(_TAKING_IN_S)
        except IcdMemoryError as error:
            _log.warning("the console's figures are not up to date: %s", error)
            return self.facts.share()
        self._taken_in = self.clock()
        if self._all_in:
            return None
        self.facts.in_background()
        return self.facts.share()

    def close(self) -> None:
        """Stop what runs in the background, and free what is the console's own."""
        self.facts.close()
        self.closing()
