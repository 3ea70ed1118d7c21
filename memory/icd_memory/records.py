"""The rows of one table as values of one class: written when they are new, read by condition.

Inserts are in the path of every decision, so their SQL is made once and goes to the driver as it is: making
and processing a statement with SQLAlchemy costs several times what the database does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from icd_memory.database import Database

Row = TypeVar("Row")


class Inserter:
    """Writes rows of one table, given as tuples in the order of `names`."""

    def __init__(
        self, database: Database, table: sa.Table, names: Sequence[str], key: Sequence[str] = ("id",)
    ) -> None:
        dialect = database.engine.dialect
        quote = dialect.identifier_preparer.quote
        columns = ", ".join(quote(name) for name in names)
        mark = "?" if dialect.paramstyle == "qmark" else "%s"
        marks = ", ".join([mark] * len(names))
        self._sql = (
            f"INSERT INTO {quote(table.name)} ({columns}) VALUES ({marks}) "
            f"ON CONFLICT ({', '.join(quote(name) for name in key)}) DO NOTHING"
        )
        self._db = database
        self._encoders: list[tuple[int, Callable[[Any], Any]]] = [
            (place, encode)
            for place, name in enumerate(names)
            if (encode := _encoder(table.c[name], dialect)) is not None
        ]

    def add(self, rows: Iterable[tuple[Any, ...]]) -> int:
        """Write the rows whose key is not there yet; return how many that were."""
        return self.add_encoded([self.encoded(row) for row in rows])

    def add_encoded(self, rows: Sequence[tuple[Any, ...]]) -> int:
        """Write rows as `encoded` gives them, if their key is not there yet; return how many that were."""
        if not rows:
            return 0
        with self._db.write() as connection:
            return connection.exec_driver_sql(self._sql, list(rows)).rowcount

    def encoded(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a row as it is stored."""
        values = list(row)
        for place, encode in self._encoders:
            values[place] = encode(values[place])
        return tuple(values)


class Records(Generic[Row]):
    """A table whose columns, but for ``seq``, are the fields of a class of rows."""

    def __init__(
        self, database: Database, table: sa.Table, row: type[Row], key: Sequence[str] = ("id",)
    ) -> None:
        names = [field.name for field in fields(row)]  # type: ignore[arg-type]
        self._db = database
        self._table = table
        self._row = row
        self._key = key
        self._names = names
        self._columns = [table.c[name] for name in names]
        self._order = (table.c.seq,) if "seq" in table.c else tuple(table.primary_key)
        self._values: Callable[[Row], tuple[Any, ...]] = attrgetter(*names)
        self._inserter = Inserter(database, table, names, key)

    def add(self, rows: Iterable[Row]) -> int:
        """Write the rows whose key is not there yet; return how many that were."""
        return self._inserter.add(map(self._values, rows))

    def put(self, row: Row, where: sa.ColumnElement[bool] | None = None) -> bool:
        """Write a row, in place of one with its key if `where` holds for that; return whether it was written."""
        values = dict(zip(self._names, self._values(row), strict=True))
        return upsert(self._db, self._table, values, self._key, where)

    def find(
        self, *conditions: sa.ColumnElement[bool], order: Sequence[sa.ColumnElement[Any]] = ()
    ) -> list[Row]:
        """Return the rows for which all conditions hold, in the order they came unless told otherwise."""
        query = sa.select(*self._columns).where(*conditions).order_by(*(order or self._order))
        with self._db.read() as connection:
            return [self._row(*row) for row in connection.execute(query)]

    def one(self, *conditions: sa.ColumnElement[bool]) -> Row | None:
        """Return the first row for which all conditions hold, or None."""
        found = self.find(*conditions)
        return found[0] if found else None


def upsert(
    database: Database,
    table: sa.Table,
    values: dict[str, Any],
    key: Sequence[str],
    where: sa.ColumnElement[bool] | None = None,
) -> bool:
    """Write a row, in place of one with its key if `where` holds for that; return whether it was written."""
    insert = postgresql.insert if database.engine.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(values)
    statement = statement.on_conflict_do_update(index_elements=key, set_=values, where=where)
    with database.write() as connection:
        return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def _encoder(column: sa.Column[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    """Return what turns a value of the column into one for the driver; None: nothing needs to."""
    kind = column.type
    if not isinstance(kind, sa.types.TypeDecorator):
        return None
    return lambda value: kind.process_bind_param(value, dialect)
