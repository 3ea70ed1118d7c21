"""What is watched for drift: the state of each stream of values, and the alarm that it raised; for all processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from icd_memory import schema
from icd_memory.database import Database
from icd_memory.records import Records
from icd_memory.rows import JsonObject

_TABLE = schema.watched
_KEY = ("tenant", "environment", "category", "measure", "under")


class StreamKey(NamedTuple):
    """Which values are watched together."""

    tenant: str
    environment: str
    category: str
    measure: str
    under: str
    """By which policy and models: others make other values."""


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream as it stands."""

    tenant: str
    environment: str
    category: str
    measure: str
    under: str
    state: JsonObject
    alarm: JsonObject | None
    """None: nothing was noticed."""
    changed_at: datetime


class Watched:
    """The streams of a store; see `Store.watched`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._rows = Records(database, _TABLE, StreamRow, key=_KEY)

    def change(
        self, key: StreamKey, at: datetime, change: Callable[[StreamRow], StreamRow | None]
    ) -> StreamRow | None:
        """Put what `change` makes of a stream (a new one has an empty state) in its place, and return it; None: it
        stays as it is. Processes take turns."""
        columns = _TABLE.c
        where = [columns[name] == value for name, value in zip(_KEY, key, strict=True)]
        insert = postgresql.insert if self._db.engine.dialect.name == "postgresql" else sqlite.insert
        new = StreamRow(*key, {}, None, at)
        with self._db.write() as connection:
            connection.execute(insert(_TABLE).values(asdict(new)).on_conflict_do_nothing(index_elements=_KEY))
            names = [columns[name] for name in asdict(new)]
            found = connection.execute(sa.select(*names).where(*where).with_for_update()).one()
            changed = change(StreamRow(*found))
            if changed is not None:
                connection.execute(_TABLE.update().where(*where).values(asdict(changed)))
        return changed

    def find(
        self, *, tenant: str | None = None, environment: str | None = None, category: str | None = None
    ) -> list[StreamRow]:
        """Return the streams, narrowed as asked."""
        return self._rows.find(*_narrowed(tenant, environment, category))

    def alarms(self, *, tenant: str | None = None, environment: str | None = None) -> list[StreamRow]:
        """Return the streams with an alarm."""
        return self._rows.find(*_narrowed(tenant, environment, None), _TABLE.c.alarm.is_not(None))

    def forget(self, *, tenant: str, environment: str | None = None, category: str | None = None) -> int:
        """Remove a tenant's streams, so that they begin anew; return how many there were."""
        with self._db.write() as connection:
            wanted = _narrowed(tenant, environment, category)
            return connection.execute(_TABLE.delete().where(*wanted)).rowcount


def _narrowed(
    tenant: str | None, environment: str | None, category: str | None
) -> list[sa.ColumnElement[bool]]:
    wanted = {"tenant": tenant, "environment": environment, "category": category}
    return [_TABLE.c[name] == value for name, value in wanted.items() if value is not None]
