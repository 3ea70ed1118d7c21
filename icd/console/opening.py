"""A console over a store: with the memory that is there already, or with one that is opened when it is needed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from icd.assembly import open_memory
from icd.config import Settings
from icd.console.sessions import SignInLink
from icd.console.site import Site
from icd.errors import IcdError, IcdMemoryError
from icd.serving.keys import Keyring
from icd_envs.table import SUITES, suite
from icd_memory.retrieval import Memory
from icd_memory.store import Store

__all__ = ["OpenedLater", "site_alone"]

_log = logging.getLogger(__name__)

_FRESH_S = 30.0
"""What other processes store is found this much later."""


class OpenedLater:
    """The memory of a store, opened at its first use; None where its embedder cannot be used. Safe for threads."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._lock = threading.Lock()
        self._opened = ExitStack()
        self._memory: Memory | None = None
        self._tried = False
        self._refreshed = 0.0

    def __call__(self) -> Memory | None:
        """Return the memory, with what other processes changed."""
        with self._lock:
            if not self._tried:
                self._tried = True
                self._memory = self._open()
                self._refreshed = self._clock()
            elif self._memory is not None and self._clock() - self._refreshed > _FRESH_S:
                self._memory.refresh()
                self._refreshed = self._clock()
            return self._memory

    def _open(self) -> Memory | None:
        kept_out = {split for name in SUITES for split in suite(name).test_splits}
        memory = self._settings.memory
        # What the store was made with wins over what nobody has configured.
        noted = _named(self._store.note("embedder"))
        if noted is not None:
            memory = memory.model_copy(update={"embedder": noted})
        settings = self._settings.model_copy(update={"memory": memory})
        try:
            return self._opened.enter_context(open_memory(settings, self._store, test_splits=kept_out))
        except (IcdError, IcdMemoryError) as error:
            _log.warning("the console cannot search by meaning: %s", error)
            return None

    def close(self) -> None:
        """Free it."""
        self._opened.close()


def _named(embedder_id: str | None) -> str | None:
    """Return the setting that makes the embedder of this id, where it is one of ours."""
    known = {"all-minilm": "minilm", "hashing": "hashing"}
    return next((name for start, name in known.items() if (embedder_id or "").startswith(start)), None)


def site_alone(store: Store, settings: Settings, tenant: str) -> Site:
    """Return a console that can be signed in to by a link, once, as an operator of `tenant`; or by a key."""
    memory = OpenedLater(settings, store)
    return Site(store, Keyring(store.accounts), SignInLink(tenant), memory, closing=memory.close)
