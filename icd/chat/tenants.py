"""How each tenant's calls are answered. Read from the store, kept for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from icd.cascade import Policy, parse_policy
from icd.chat.call import Mode
from icd_memory.rows import TenantRow
from icd_memory.store import Store

_FRESH = 1.0
"""Seconds after which another process's change is seen."""


class Service(NamedTuple):
    """How a tenant is served."""

    mode: Mode
    policy: Policy
    """Of mode cascade; in shadow mode what the student's samples are judged by."""


class Tenants:
    """The tenants of a server."""

    def __init__(
        self, store: Store | None, default: Service, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.default = default
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[float, Service]] = {}

    def service(self, tenant: str) -> Service:
        """Return how a tenant is served now."""
        if self._store is None:
            return self.default
        now = self._clock()
        read, service = self._known.get(tenant, (-_FRESH, self.default))
        if now - read >= _FRESH:
            row = self._store.accounts.tenant(tenant)
            policy = parse_policy(row.policy) if row is not None and row.policy else self.default.policy
            service = self.default if row is None else Service(row.mode, policy)
            self._known[tenant] = now, service
        return service

    def change(self, tenant: str, service: Service, at: datetime) -> None:
        """Serve a tenant in another way from now on.

        Raises:
            MemoryStoreError: it cannot be written.
        """
        if self._store is not None:
            self._store.accounts.set_tenant(TenantRow(tenant, service.mode, str(service.policy), at))
        self._known[tenant] = self._clock(), service
