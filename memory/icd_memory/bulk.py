"""Many trajectories at once: which are stored already, and writing them in one transaction. See `Store.bulk`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.admission import Admission
from icd_memory.codec import trajectory_to_json
from icd_memory.database import Database
from icd_memory.records import Inserter

_IN_LIST = 500
"""Values in one SQL `IN (...)`: SQLite allows a limited number of variables."""
_COLUMNS = ("id", "tenant", "environment", "split", "source", "status", "reason", "content_hash", "body")


def _among(column: sa.Column[str], *others: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(column, *others).where(column.in_(sa.bindparam("keys", expanding=True)))


_IDS = _among(schema.trajectories.c.id)
_SHOWN = _among(
    schema.trajectories.c.content_hash, schema.trajectories.c.tenant, schema.trajectories.c.id
).where(schema.trajectories.c.status == "demonstration")


class BulkTrajectories:
    """The trajectories of a store, many at once."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._inserter = Inserter(database, schema.trajectories, _COLUMNS)

    def held(self, ids: Collection[str]) -> frozenset[str]:
        """Return those of the ids under which something is stored."""
        return frozenset(row.id for row in self._rows(_IDS, ids))

    def shown(self, content_hashes: Collection[str]) -> Iterator[tuple[str, str, str]]:
        """Yield content hash, tenant and id of the demonstrations with these contents."""
        for row in self._rows(_SHOWN, content_hashes):
            yield row.content_hash, row.tenant, row.id

    def add(self, judged: Iterable[tuple[Admission, str]]) -> int:
        """Store trajectories as they were judged, each with its content hash, in one transaction; return how many were
        new: an id that is there already is left as it is."""
        return self._inserter.add(
            (
                t.id, t.tenant, t.environment, t.split, t.provenance.source, admission.status, admission.reason, content,
                trajectory_to_json(t),
            )
            for admission, content in judged
            for t in (admission.trajectory,)
        )  # fmt: skip

    def _rows(self, query: sa.Select[Any], keys: Collection[str]) -> Iterator[sa.Row[Any]]:
        wanted = list(dict.fromkeys(keys))
        with self._db.read() as connection:
            for start in range(0, len(wanted), _IN_LIST):
                yield from connection.execute(query, {"keys": wanted[start : start + _IN_LIST]})
