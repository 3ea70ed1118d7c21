"""The connection behind the store: SQLite or PostgreSQL, transactions, and what their failures mean.

Knows nothing of what is stored. A write returns when it is durable: SQLite runs in WAL mode with
`synchronous=FULL`, PostgreSQL with its default `synchronous_commit`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import StaticPool

from icd_memory.errors import (
    MemoryStoreError,
    StoreCorruptError,
    StoreFullError,
    StoreLockedError,
    StoreUnavailableError,
    StoreUnwritableError,
)
from icd_memory.migrations import migrate

APPLICATION = "icd-runtime"
"""By which a PostgreSQL server knows our sessions."""
_WRITE = "icd_write"


class Database:
    """One database, shared by the threads of a process; see `Database.open`."""

    def __init__(self, engine: sa.Engine, place: str, lock_timeout_s: float) -> None:
        self.engine = engine
        self.place = place
        self.lock_timeout_s = lock_timeout_s
        self._local = threading.local()
        self._writing = threading.RLock()
        self._in_memory = isinstance(engine.pool, StaticPool)

    @classmethod
    def open(cls, url_or_path: str | Path, lock_timeout_s: float = 30.0) -> Database:
        """Open a database and bring its tables up to date. A missing SQLite file is made, its folder too.

        Raises a MemoryStoreError that says what to do.
        """
        url, place = _url(url_or_path)
        try:
            engine = _engine(url, lock_timeout_s)
        except ModuleNotFoundError as error:
            raise StoreUnavailableError(
                f"the driver for {place} is missing ({error.name}): pip install 'icd-runtime[postgres]'"
            ) from error
        database = cls(engine, place, lock_timeout_s)
        try:
            with database.write() as connection:
                migrate(connection)
        except BaseException:
            engine.dispose()
            raise
        return database

    def close(self) -> None:
        """Close every connection; SQLite folds its log into the file."""
        self.engine.dispose()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection in a transaction that is committed at the end; nested use joins the outer one."""
        outer = self._current()
        if outer is not None:
            with self.boundary():
                yield outer
            return
        with self._turn(), self.boundary(), self.engine.connect() as connection:
            writing = connection.execution_options(**{_WRITE: True})
            with writing.begin():
                self._local.connection = writing
                try:
                    yield writing
                finally:
                    self._local.connection = None

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection for reading: in a transaction its own, else one with a fresh snapshot."""
        outer = self._current()
        if outer is not None:
            with self.boundary():
                yield outer
            return
        if self._in_memory:
            with self.write() as connection:
                yield connection
            return
        with self.boundary(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def hold(self, name: str) -> Iterator[bool]:
        """Hold the server's lock of this name while entered; yields False if somebody else does.

        The server frees it when its holder dies, however that happens. PostgreSQL only.
        """
        # A key of 64 bits, in this schema alone: advisory locks belong to the whole database.
        key = sa.func.hashtextextended(sa.func.concat(sa.func.current_schema(), " ", name), 0)
        with self.boundary(), self.engine.connect() as connection:
            session = connection.execution_options(isolation_level="AUTOCOMMIT")
            mine = bool(session.scalar(sa.select(sa.func.pg_try_advisory_lock(key))))
            try:
                yield mine
            finally:
                if mine:
                    session.execute(sa.select(sa.func.pg_advisory_unlock(key)))

    @contextmanager
    def boundary(self) -> Iterator[None]:
        """Turn the driver's errors into this package's."""
        try:
            yield
        except (exc.DBAPIError, exc.TimeoutError) as error:
            raise _explained(error, self.place, self.lock_timeout_s) from error
        except UnicodeDecodeError as error:
            # SQLite's own message repeats damaged bytes, and Python cannot read that.
            raise _damaged(self.place, "a text in it is no UTF-8") from error

    def _current(self) -> sa.Connection | None:
        return getattr(self._local, "connection", None)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for this process's turn to write: fair and cheaper than polling the file's lock."""
        if self.engine.dialect.name != "sqlite":
            yield
            return
        with self._writing:
            yield


def _url(url_or_path: str | Path) -> tuple[sa.URL, str]:
    """Return the SQLAlchemy URL and a name for messages, without a password."""
    text = str(url_or_path)
    if "://" not in text:
        if text == ":memory:":
            return sa.URL.create("sqlite"), "the store in memory"
        path = Path(text).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnwritableError(
                f"can't make the folder {path.parent} ({error.strerror}): name another place for the store"
            ) from error
        return sa.URL.create("sqlite", database=str(path)), str(path)
    try:
        url = sa.make_url(text)
    except exc.ArgumentError as error:
        raise MemoryStoreError(
            "not a database URL: use a file path, sqlite:///PATH or postgresql://USER@HOST/NAME"
        ) from error
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    elif url.get_backend_name() != "sqlite":
        raise MemoryStoreError(
            f"no store for {url.get_backend_name()}: use a file path, sqlite:///PATH or postgresql://..."
        )
    return url, url.render_as_string(hide_password=True)


def _engine(url: sa.URL, lock_timeout_s: float) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        named = {"application_name": APPLICATION}
        return sa.create_engine(url, pool_pre_ping=True, connect_args=named)
    in_memory = url.database in (None, "", ":memory:")
    arguments = {"check_same_thread": False, "timeout": lock_timeout_s, "isolation_level": None}
    engine = (
        sa.create_engine(url, connect_args=arguments, poolclass=StaticPool)
        if in_memory
        else sa.create_engine(url, connect_args=arguments, pool_size=4, max_overflow=60, pool_use_lifo=True)
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute(f"PRAGMA busy_timeout = {int(lock_timeout_s * 1000)}")
        if not in_memory:
            _enter_wal(cursor, lock_timeout_s)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A reader that becomes a writer half-way can be refused at once; so writers say so from the start.
        writes = connection.get_execution_options().get(_WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _enter_wal(cursor: object, timeout_s: float) -> None:
    """Switch to WAL. Of two processes that open a new file at once, SQLite refuses one without waiting."""
    import sqlite3

    deadline = time.monotonic() + timeout_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")  # type: ignore[attr-defined]
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _damaged(place: str, cause: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"{place} is damaged or is no store ({cause}): restore it from a backup, "
        "try `sqlite3 FILE .recover`, or use another path"
    )


def _explained(error: exc.SQLAlchemyError, place: str, lock_timeout_s: float) -> MemoryStoreError:
    """Return the error of this package that says what happened at `place` and what to do."""
    cause = str(getattr(error, "orig", None) or error).strip()
    lowered = cause.lower()

    def has(*words: str) -> bool:
        return any(word in lowered for word in words)

    if has("database is locked", "table is locked"):
        return StoreLockedError(
            f"{place} has been locked by another process for {lock_timeout_s:g} s: "
            "wait for it to end or stop it, or give each its own store"
        )
    if has("not a database", "malformed", "disk image", "file is encrypted"):
        return _damaged(place, cause)
    if has("disk is full", "no space left", "disk full"):
        return StoreFullError(
            f"no space left for {place}: free some and repeat; what was acknowledged is safe"
        )
    if has("disk i/o error"):
        return MemoryStoreError(
            f"{place} cannot be read or written ({cause}): check the disk, its free space and its quota; "
            "what was acknowledged is safe"
        )
    if has("readonly", "read-only", "unable to open", "permission denied"):
        return StoreUnwritableError(
            f"can't open or write {place} ({cause}): check the path and its permissions"
        )
    if isinstance(error, exc.TimeoutError):
        return StoreUnavailableError(
            f"{place} has no free connection: fewer workers at once, or a larger pool"
        )
    if place.startswith("postgresql") and isinstance(error, exc.OperationalError):
        return StoreUnavailableError(
            f"{place} does not answer ({cause}): is the server running, is the URL right?"
        )
    return MemoryStoreError(f"{place}: {cause}")
