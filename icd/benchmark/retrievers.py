"""What each method finds its demonstrations with: the run's memory, or another one over the same store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from icd.benchmark.methods import Details, Method
from icd_memory.embedding import Embedder
from icd_memory.fixed_examples import FixedExamples, in_fixed_order
from icd_memory.retrieval import RETRIEVAL_KEYS, Memory, Retriever
from icd_memory.store import Store


class Retrievers:
    """Makes the retrievers of a run's methods; those that search in the same place share it."""

    def __init__(
        self,
        memory: Callable[[], Memory],
        store: Store,
        environment: str,
        usual: Details,
        make_embedder: Callable[[str], Embedder],
    ) -> None:
        """`usual` is what methods do that change nothing; `memory` opens the run's own memory."""
        self._own, self._store, self._environment, self._usual = memory, store, environment, usual
        self._make_embedder = make_embedder
        self._memory = lru_cache(maxsize=None)(self._open)

    def of(self, method: Method) -> Retriever | None:
        """Return the method's retriever; None where it shows no demonstrations.

        Raises:
            ConfigurationError: its embedder is none.
            IcdMemoryError: the memory or the embedder cannot be used.
        """
        if not method.k:
            return None
        details = method.details
        all_keys = details.keys == set(RETRIEVAL_KEYS)
        memory = self._memory(details.embedder, details.memory_size, all_keys)
        if details.retrieval == "fixed":
            return FixedExamples(memory)
        width = memory.settings.window if details.window == self._usual.window else details.window
        return Retriever(memory, replace(memory.settings, window=width, keys=details.keys))

    def _open(self, embedder: str, size: int | None, all_keys: bool) -> Memory:
        """Open a memory. Some of the keys are searched for exactly: an index that cuts by all keys first cannot."""
        own = self._own()
        if embedder == self._usual.embedder and size is None and all_keys:
            return own
        other = None if embedder == self._usual.embedder else self._make_embedder(embedder)
        return own.beside(other, None if size is None else self._first(size))

    def _first(self, size: int) -> list[str]:
        rows = self._store.listing(environment=self._environment, status="demonstration")
        return in_fixed_order(row.id for row in rows)[:size]
