"""Who plays what: locks that die with their holder, so that no run and no episode is played by two processes.

In a store that is a file they are locks of files beside it, for the processes of this machine; on PostgreSQL they are
the server's, for all machines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from icd import assembly
from icd.benchmark.conditions import digest
from icd.errors import ClusterError, ConfigurationError
from icd_memory.store import Store

try:
    import fcntl
except ImportError:  # Windows has none.
    fcntl = None  # type: ignore[assignment]

_PATIENCE_S = 60.0
"""For the worker of a driver or a node that is gone to be gone as well."""
_POLL_S = 0.1


@contextmanager
def alone(store: Store, run_id: str) -> Iterator[None]:
    """Keep a second process from playing the same run.

    Raises:
        ConfigurationError: another process is playing it.
    """
    with _run_lock(store, run_id) as mine:
        if not mine:
            raise ConfigurationError(
                f"another process is playing {run_id} in {store.place}: wait for its end, or use another --store"
            )
        yield


@contextmanager
def _run_lock(store: Store, run_id: str) -> Iterator[bool]:
    if store.on_server:
        with store.hold(f"run {run_id}") as mine:
            yield mine
        return
    folder = assembly.index_folder(store.place)
    if folder is None:
        yield True
        return
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / f"{digest({'run': run_id})}.lock") as mine:
        yield mine


@contextmanager
def file_lock(path: Path) -> Iterator[bool]:
    """Say whether this process holds the lock of a file, whose folder is there; it dies with its holder."""
    if fcntl is None:
        yield True
        return
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@asynccontextmanager
async def playing(store: Store, episode_id: str, patience_s: float = _PATIENCE_S) -> AsyncIterator[None]:
    """Keep a second process from playing the same episode; waits for one that is about to end.

    Raises:
        ClusterError: another process still plays it after `patience_s` seconds.
    """
    deadline = time.monotonic() + patience_s
    while True:
        with _episode_lock(store, episode_id) as mine:
            if mine:
                yield
                return
        if time.monotonic() > deadline:
            raise ClusterError(
                f"another process has been playing {episode_id} in {store.place} for {patience_s:g} s: "
                "end it (a worker whose driver is gone?), and repeat the command"
            )
        await asyncio.sleep(_POLL_S)


@contextmanager
def _episode_lock(store: Store, episode_id: str) -> Iterator[bool]:
    if store.on_server:
        with store.hold(f"episode {episode_id}") as mine:
            yield mine
        return
    folder = assembly.index_folder(store.place)
    if fcntl is None or folder is None:
        yield True
        return
    folder.mkdir(parents=True, exist_ok=True)
    # One byte of one file for each episode: a file for each would be litter.
    place = int(digest({"episode": episode_id}), 16)
    with (folder / "episodes.lock").open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            yield False
            return
        yield True
