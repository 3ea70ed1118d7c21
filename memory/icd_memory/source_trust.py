"""How far each source of demonstrations is trusted, by tenant; and which decisions what it gave has touched.

A source without a level is the tenant's own (its runs, its agents). A stranger's demonstrations wait until it is
`proven` by verified successes or `approved` by a person; what was `recalled` is never shown again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.database import Database
from icd_memory.records import Records

Level = Literal["unknown", "proven", "approved", "recalled"]
_PAGE = 500


@dataclass(frozen=True, slots=True)
class SourceRow:
    """How far a tenant trusts a source, and why."""

    tenant: str
    source: str
    level: Level
    reason: str
    changed_at: datetime


class SourceTrust:
    """The levels of a store's sources; see `Store.trust`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._rows = Records(database, schema.sources, SourceRow, key=("tenant", "source"))

    def put(self, row: SourceRow) -> None:
        """Set a level in place of the one before."""
        self._rows.put(row)

    def add(self, row: SourceRow) -> bool:
        """Set the level of a source that has none yet; return False, and change nothing, if it has one."""
        return self._rows.add([row]) == 1

    def levels(self, tenant: str) -> dict[str, Level]:
        """Return the levels of the tenant's sources that have one."""
        return {row.source: row.level for row in self._rows.find(schema.sources.c.tenant == tenant)}

    def decisions_showing(self, tenant: str, ids: Collection[str]) -> list[str]:
        """Return the receipts of the tenant's decisions whose prompts held an excerpt of these trajectories."""
        table, wanted, found, last = schema.decisions.c, frozenset(ids), [], -1
        while wanted:
            page = (
                sa.select(table.seq, table.id, table.body)
                .where(table.tenant == tenant, table.seq > last)
                .order_by(table.seq)
                .limit(_PAGE)
            )
            with self._db.read() as connection:
                rows = connection.execute(page).all()
            found += [row.id for row in rows if wanted & _shown(row.body)]
            if len(rows) < _PAGE:
                break
            last = rows[-1].seq
        return found


def _shown(body: object) -> set[str]:
    """Return the trajectories of a receipt's excerpts: as lists in chat receipts, as objects in others."""
    excerpts = body.get("excerpts") if isinstance(body, dict) else None
    found = set()
    for use in excerpts if isinstance(excerpts, list) else ():
        if isinstance(use, dict):
            found.add(str(use.get("trajectory_id")))
        elif isinstance(use, list) and use:
            found.add(str(use[0]))
    return found
