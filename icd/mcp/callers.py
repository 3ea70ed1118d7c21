"""Who calls a tool: by the key that the process was given, or that a request bears, as in `icd.serving`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from icd.errors import ConfigurationError
from icd.serving.keys import Caller, Keyring
from icd.serving.limits import RateLimiter
from icd_memory.accounts import Accounts

KEY_VARIABLE = "ICD_MCP_KEY"
"""The environment variable with the key, over stdio."""
_ANYBODY = Caller("", "default", "operator", None, None)
"""Who calls where the store has no key: only this machine can."""


class TooManyRequestsError(ConfigurationError):
    """A key was used more often than it may be."""

    code = "key.limit"


class Callers:
    """Recognises callers; belongs to one event loop."""

    def __init__(
        self, accounts: Accounts, key: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the store's keys, and the one of this process; None: each request bears its own."""
        self._keys = Keyring(accounts)
        self._key = key
        self._clock = clock
        self._limiter = RateLimiter()

    async def known(self, headers: Mapping[str, str] | None) -> Caller:
        """Return who sent a request, without counting it.

        Raises:
            UnknownKeyError, RevokedKeyError: nobody who may.
            ConfigurationError: there is no key in it, and the store has keys.
            MemoryStoreError: the store cannot be read.
        """
        token = _bearer(headers) if headers is not None else self._key
        if token:
            return await self._keys.verify(token)
        if not await self._keys.needed():
            return _ANYBODY
        how = "send Authorization: Bearer icd_..." if headers is not None else f"set {KEY_VARIABLE}"
        raise ConfigurationError(
            f"this store has keys, and none was given: {how} (`icd keys create` makes one)"
        )

    async def admit(self, headers: Mapping[str, str] | None) -> Caller:
        """Return who calls a tool. Raises as `known`, and `TooManyRequestsError`."""
        caller = await self.known(headers)
        if caller.requests_per_minute is not None:
            wait = self._limiter.check(caller.account, caller.requests_per_minute, self._clock())
            if wait > 0:
                raise TooManyRequestsError(
                    f"this key may send {caller.requests_per_minute} requests a minute: wait {math.ceil(wait)} s"
                )
        return caller


def _bearer(headers: Mapping[str, str]) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
