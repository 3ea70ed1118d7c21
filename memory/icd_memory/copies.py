"""Copies of a store: taken while it is in use, and put back whole or not at all.

For stores in a file; those on a PostgreSQL server are copied with its own tools (`pg_dump`, `pg_restore`).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from icd_memory.errors import (
    IcdMemoryError,
    MemoryStoreError,
    StoreCorruptError,
    StoreFullError,
    StoreLockedError,
    StoreUnwritableError,
)

__all__ = ["back_up", "exclusively", "restore"]

_PAGES = 1_000
"""Copied at a time: writers wait for so many at most."""


def back_up(store: str | Path, target: Path, *, overwrite: bool = False) -> int:
    """Copy the store in a file to `target` while others read and write; return the copy's size in bytes.

    What was acknowledged before the call is in the copy. The copy is checked before it gets its name.

    Raises:
        MemoryStoreError: the store is not in a file, `target` exists, or one of them cannot be read or written.
    """
    source = file_of(store, "back up", "pg_dump --format=custom --file=FILE")
    if target.exists() and not overwrite:
        raise MemoryStoreError(f"{target} exists: name another file, or pass --overwrite")
    with _explained(target), _replacing(target) as part:
        _copy(source, part)
        return part.stat().st_size


def restore(backup: Path, store: str | Path, *, overwrite: bool = False) -> int:
    """Put a copy in the place of the store in a file; return its size in bytes.

    Killed at any moment, it leaves the old store or the new one. Indexes beside it are caches that notice the change.

    Raises:
        StoreCorruptError: the copy is damaged or no store.
        StoreLockedError: a process has the store open.
        MemoryStoreError: the store exists and `overwrite` was not said, or a file cannot be read or written.
    """
    target = file_of(store, "restore", "pg_restore --clean --dbname=URL FILE")
    if target.exists() and not overwrite:
        raise MemoryStoreError(f"there is a store at {target} already: pass --overwrite to replace it")
    if not backup.is_file():
        raise MemoryStoreError(f"there is no file {backup}")
    with _explained(target), _replacing(target) as part:
        _copy(backup, part)
        if target.exists():
            # A log that is left beside the file would be applied to the new one.
            with suppress(StoreCorruptError), exclusively(target):
                pass
            for ending in ("-wal", "-shm"):
                target.with_name(target.name + ending).unlink(missing_ok=True)
        return part.stat().st_size


@contextmanager
def exclusively(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection to a store that no other process has open, its log folded into the file.

    Raises:
        StoreLockedError: another process has it open.
        StoreCorruptError: the file is damaged.
    """
    with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE").connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if "locked" not in str(error):
                raise StoreCorruptError(f"{path} is damaged or is no store ({error})") from error
            raise StoreLockedError(
                f"{path} is open in another process: stop servers and runs that use it, and repeat"
            ) from error
        yield connection


def file_of(store: str | Path, what: str, instead: str) -> Path:
    """Return the file that a store is in.

    Raises:
        MemoryStoreError: it is on a server, or in memory; the message says what to do `instead`.
    """
    text = str(store)
    path = Path(text.removeprefix("sqlite:///")).expanduser()
    if "://" in text and not text.startswith("sqlite:///"):
        raise MemoryStoreError(
            f"{what} a store on a PostgreSQL server with the server's own tools: {instead}"
        )
    if text in ("", ":memory:", "sqlite:///"):
        raise MemoryStoreError(f"a store in memory cannot be used to {what}")
    return path


def _copy(source: Path, target: Path) -> None:
    """Copy a database that may be in use, and check the copy."""
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as old,
            closing(sqlite3.connect(target, isolation_level=None)) as new,
        ):
            old.backup(new, pages=_PAGES)
            new.execute("PRAGMA journal_mode = DELETE")
            problems = [text for (text,) in new.execute("PRAGMA integrity_check(3)") if text != "ok"]
            known = new.execute("SELECT count(*) FROM sqlite_master WHERE name = 'migrations'").fetchone()[0]
    except sqlite3.DatabaseError as error:
        told = str(error)
        if "full" in told:
            raise StoreFullError(f"no space left for {target}: free some and repeat") from error
        if "unable to open" in told or "readonly" in told or "disk I/O" in told:
            raise StoreUnwritableError(f"can't read {source} or write {target} ({error})") from error
        raise StoreCorruptError(f"{source} is damaged or is no store ({error})") from error
    if problems:
        raise StoreCorruptError(f"{source} is damaged ({'; '.join(problems)}): use an older copy")
    if not known:
        raise StoreCorruptError(f"{source} is no store of icd-runtime")


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give the name of a new file that takes the place of `target` at the end, in one move, when it is on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            part.with_name(part.name + ending).unlink(missing_ok=True)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except IcdMemoryError:
        raise
    except OSError as error:
        kind = StoreFullError if error.errno in _FULL else StoreUnwritableError
        raise kind(f"can't write {target}: {error.strerror or error}") from error


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space, quota, file too large."""
