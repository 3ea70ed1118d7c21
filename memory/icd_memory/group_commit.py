"""Writes of many callers in one transaction: a disk that syncs 200 times a second carries more than 200 writes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple, Self

from icd_memory.errors import StoreClosedError, StoreLockedError, StoreUnavailableError
from icd_memory.rows import Batch
from icd_memory.store import Store

Write = Callable[[Batch], None]
"""Adds its rows to the batch."""


class _Queued(NamedTuple):
    write: Write
    done: Future[None]


class GroupCommit:
    """One thread that writes: all that is queued when it is free goes into one batch, and that into one transaction.

    The rows of a table are stored in the order of `submit`. How many may wait is up to the callers.
    """

    def __init__(self, store: Store, wait_for_more: Callable[[], None] = lambda: None) -> None:
        """Start the thread.

        Args:
            store: what is written to.
            wait_for_more: called when a write came, before its group is gathered: who knows that more will come soon
                sleeps here for a moment (as with PostgreSQL's ``commit_delay``): a commit costs more than its rows.
        """
        self._store = store
        self._wait_for_more = wait_for_more
        self.on_commit: Callable[[int, float], None] = lambda writes, seconds: None
        """Told in the thread how many writes a transaction held, and its seconds."""
        self._queue: queue.SimpleQueue[_Queued | None] = queue.SimpleQueue()
        self._submitting = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="icd-group-commit", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> Future[None]:
        """Queue a write; the future is done when it is durable, or has the exception that this write raised.

        A write may run twice: when its group's transaction fails, all are repeated one by one. It cannot be cancelled:
        who stops waiting for it still has it written.

        Raises:
            StoreClosedError: after `close`.
        """
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()
        with self._submitting:
            if self._closed:
                raise StoreClosedError(f"{self._store.place} takes no more writes: it is being closed")
            self._queue.put(_Queued(write, done))
        return done

    @property
    def waiting(self) -> int:
        """How many writes wait for the next transaction."""
        return self._queue.qsize()

    def close(self) -> None:
        """Finish what is queued and end the thread; the store stays open. May be called twice."""
        with self._submitting:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        last = False
        while not last:
            group = [self._queue.get()]
            if group[0] is not None:
                self._wait_for_more()
            while not self._queue.empty():
                group.append(self._queue.get())
            last = group[-1] is None
            if writes := [queued for queued in group if queued is not None]:
                self._commit(writes)

    def _commit(self, group: list[_Queued]) -> None:
        error = self._transaction(group)
        if error is None:
            for queued in group:
                queued.done.set_result(None)
        elif len(group) == 1 or isinstance(error, StoreLockedError | StoreUnavailableError):
            # No write's fault: repeating them one by one would make the last wait for all the others' deadlines.
            for queued in group:
                queued.done.set_exception(error)
        else:
            for queued in group:
                self._commit([queued])

    def _transaction(self, group: list[_Queued]) -> BaseException | None:
        """Write a group in one transaction; return why that failed."""
        started = time.perf_counter()
        try:
            batch = Batch()
            for queued in group:
                queued.write(batch)
            self._store.add_batch(batch)
            self.on_commit(len(group), time.perf_counter() - started)
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits, and this thread must go on
            return error
        return None
