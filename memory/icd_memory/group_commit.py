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

_SEVERAL = 4
"""Callers from which a group waits for those that are still to come."""
_DELAY = 0.01
"""Seconds that it waits for the next of them."""
_DELAYS = 3
"""It waits so often at most."""


class _Queued(NamedTuple):
    write: Write
    done: Future[None]


class GroupCommit:
    """One thread that writes: all that is queued when it is free goes into one batch, and that into one transaction.

    The rows of a table are stored in the order of `submit`. How many may wait is up to the callers.
    """

    def __init__(self, store: Store, under_way: Callable[[], int] = lambda: 0) -> None:
        """Start the thread.

        Args:
            store: what is written to.
            under_way: how many callers write soon or wait already. If they are several, the first write waits a moment
                for the others (as with PostgreSQL's ``commit_delay``): a commit costs more than its rows. It waits no
                longer than until all of them are here: nobody would use the time.
        """
        self._store = store
        self._under_way = under_way
        self._all_here = threading.Event()
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
        if not self._more_to_come():
            self._all_here.set()
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
        self._all_here.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        last = False
        while not last:
            group = [self._queue.get()]
            if self._under_way() >= _SEVERAL:
                self._gather()
            while not self._queue.empty():
                group.append(self._queue.get())
            last = group[-1] is None
            if writes := [queued for queued in group if queued is not None]:
                self._commit(writes)

    def _gather(self) -> None:
        """Wait for the others, as long as they keep coming."""
        self._all_here.clear()
        for _ in range(_DELAYS):
            here = self._queue.qsize()
            if self._closed or not self._more_to_come():
                return
            self._all_here.wait(_DELAY)
            if self._queue.qsize() == here:
                return

    def _more_to_come(self) -> bool:
        """Say whether a caller has not queued its write yet, beside the one whose write opened the group."""
        return self._queue.qsize() + 1 < self._under_way()

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
