"""The company's records: tables of rows in memory, snapshots of them, and what changed between two.

It knows nothing about policies: it stores whatever it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

Row: TypeAlias = Mapping[str, str]
Tables: TypeAlias = Mapping[str, Mapping[str, Row]]
"""Rows by table and id."""

TABLES: Final = (
    "customers", "orders", "shipments", "payments", "refunds", "bookings", "subscriptions", "cards", "tickets",
)  # fmt: skip


class Change(NamedTuple):
    """One field of one row that is not as it was; empty: not there."""

    table: str
    id: str
    field: str
    before: str
    after: str


class Database:
    """Tables that the desk's tools read and write."""

    def __init__(self, tables: Tables) -> None:
        """Copy `tables`, so that an episode changes only its own."""
        self._tables = {name: {id: dict(row) for id, row in tables.get(name, {}).items()} for name in TABLES}

    def row(self, table: str, id: str) -> Row | None:
        """Return a row to read; None if there is none."""
        row = self._tables[table].get(id)
        return None if row is None else MappingProxyType(row)

    def rows(self, table: str) -> Mapping[str, Row]:
        """Return the rows of a table by id, to read."""
        return MappingProxyType(self._tables[table])

    def write(self, table: str, id: str, **fields: str) -> None:
        """Set fields of a row, which is made if it is not there."""
        self._tables[table].setdefault(id, {}).update(fields)

    def snapshot(self) -> Tables:
        """Return a copy of all tables."""
        return {name: {id: dict(row) for id, row in rows.items()} for name, rows in self._tables.items()}


def changes(before: Tables, after: Tables) -> frozenset[Change]:
    """Return what differs between two snapshots."""
    return frozenset(_changes(before, after))


def _changes(before: Tables, after: Tables) -> Iterator[Change]:
    for table in TABLES:
        old, new = before.get(table, {}), after.get(table, {})
        for id in old.keys() | new.keys():
            was, now = old.get(id, {}), new.get(id, {})
            for field in was.keys() | now.keys():
                if was.get(field, "") != now.get(field, ""):
                    yield Change(table, id, field, was.get(field, ""), now.get(field, ""))
