"""Removing what nothing refers to: texts of no receipt, vectors of no trajectory; and the space that it took."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.checks import receipts, texts_of_receipt
from icd_memory.copies import exclusively, file_of
from icd_memory.database import APPLICATION, Database
from icd_memory.errors import StoreLockedError

__all__ = ["Swept", "sweep"]

_PAGE = 500


class Swept(NamedTuple):
    """What was removed."""

    texts: int
    vectors: int
    """Of embedders that the store is no longer used with."""


def sweep(place: str) -> Swept:
    """Remove what nothing in a store refers to, and give its space back.

    A running server remembers which texts it has stored: nobody else may have the store open meanwhile.

    Raises:
        StoreLockedError: somebody has.
    """
    on_server = "://" in place and not place.startswith("sqlite")
    if not on_server:
        with exclusively(file_of(place, "sweep", "")):
            pass
    database = Database.open(place)
    try:
        if on_server:
            _alone(database)
        with database.write() as connection:
            swept = Swept(*_remove(database, connection))
        if not on_server:
            with database.engine.connect() as connection:
                # What was deleted is still in the file's free pages, and in the log.
                raw = connection.connection.cursor()
                raw.execute("VACUUM")
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                raw.close()
        return swept
    finally:
        database.close()


def _alone(database: Database) -> None:
    """Check that no other process of ours is in the database. Raises StoreLockedError."""
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name "
        "AND pid <> pg_backend_pid()"
    )
    with database.read() as connection:
        others = connection.scalar(query, {"name": APPLICATION}) or 0
    if others:
        raise StoreLockedError(
            f"{others} other sessions use {database.place}: stop servers and runs that use it, and repeat"
        )


def _remove(database: Database, connection: sa.Connection) -> tuple[int, int]:
    used: set[str] = set()
    for _, body in receipts(database):
        used |= texts_of_receipt(body)
    unused = [key for key in connection.scalars(sa.select(schema.texts.c.hash)) if key not in used]
    _delete(connection, schema.texts, schema.texts.c.hash, unused)
    embedder = connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.name == "embedder"))
    vectors = 0
    if embedder is not None:
        others = schema.vectors.delete().where(schema.vectors.c.embedder != embedder)
        vectors = connection.execute(others).rowcount
    return len(unused), vectors


def _delete(connection: sa.Connection, table: sa.Table, column: sa.Column[Any], keys: Iterable[str]) -> None:
    wanted = list(keys)
    for start in range(0, len(wanted), _PAGE):
        connection.execute(table.delete().where(column.in_(wanted[start : start + _PAGE])))
