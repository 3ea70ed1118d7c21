"""What is set aside for calls under way, in the store: so that processes that share it share its budgets.

A hold is granted if what the ledger says was spent, what others have set aside, and the hold itself stay within every
limit; it is let go in the transaction that writes the call's bill. What a killed process had set aside is let go when
somebody has seen it for longer than any call lives. That is measured by the watch of whoever looks, not by the clocks of
those who wrote: no clock that is set can give money out twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.accounts import Accounts
from icd_memory.database import Database
from icd_memory.rows import Hold, Payer

__all__ = ["LONGEST_CALL", "Reservations"]

LONGEST_CALL = 3600.0
"""Seconds after which a call that still has money set aside is taken for dead."""
_UNIT = 10**12
"""As `icd.ledger` counts: whole millionths of a microdollar."""
_TABLE = schema.reservations
_OF_PAYER = sa.select(_TABLE.c.id, _TABLE.c.units).where(_TABLE.c.payer == sa.bindparam("payer"))


class Reservations:
    """The holds of a store; see `Store.reservations`."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self._db = database
        self._accounts = accounts
        self._seen: dict[str, float] = {}
        self.longest_call = LONGEST_CALL
        self.watch: Callable[[], float] = time.monotonic
        """Seconds of a clock that never goes back."""

    def add(self, holds: Sequence[Hold]) -> None:
        """Grant holds in turn, in this transaction; each says afterwards who could not pay, and what payers have spent.

        A hold of an id that is there already takes its place.
        """
        if not holds:
            return
        with self._db.write() as connection:
            if connection.dialect.name == "postgresql":
                # In the same order everywhere, so that two servers don't wait for each other.
                for name in sorted({payer.name for hold in holds for payer in hold.payers}):
                    key = sa.func.hashtextextended(
                        sa.func.concat(sa.func.current_schema(), " pays ", name), 0
                    )
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
            for hold in holds:
                self._grant(connection, hold)

    def release(self, ids: Sequence[str]) -> None:
        """Let holds go."""
        if ids:
            with self._db.write() as connection:
                connection.execute(_TABLE.delete().where(_TABLE.c.id.in_(ids)))

    def held(self) -> float:
        """Return the US dollars that are set aside by all processes, each call counted once."""
        each = sa.select(sa.func.max(_TABLE.c.units).label("units")).group_by(_TABLE.c.id).subquery()
        with self._db.read() as connection:
            return (
                int(connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(each.c.units), 0))) or 0) / _UNIT
            )

    def _grant(self, connection: sa.Connection, hold: Hold) -> None:
        units = round(hold.dollars * _UNIT)
        hold.spent.clear()
        hold.refused = None
        for payer in hold.payers:
            # First what is held, then what is spent: a call that is billed in between counts twice, not never.
            others = self._held_by_others(connection, payer, hold.id)
            spent = round(self._accounts.spent_of(payer) * _UNIT)
            hold.spent.append(spent / _UNIT)
            if spent + others + units > round(payer.limit * _UNIT):
                hold.refused = payer
                return
        connection.execute(_TABLE.delete().where(_TABLE.c.id == hold.id))
        rows = [{"id": hold.id, "payer": payer.name, "units": units} for payer in hold.payers]
        connection.execute(_TABLE.insert(), rows)

    def _held_by_others(self, connection: sa.Connection, payer: Payer, id: str) -> int:
        now, total, dead = self.watch(), 0, []
        for row in connection.execute(_OF_PAYER, {"payer": payer.name}):
            if row.id == id:
                continue
            if now - self._seen.setdefault(row.id, now) > self.longest_call:
                dead.append(row.id)
            else:
                total += int(row.units)
        if dead:
            connection.execute(_TABLE.delete().where(_TABLE.c.id.in_(dead)))
        self._forget(now)
        return total

    def _forget(self, now: float) -> None:
        """Drop what was first seen so long ago that it is gone."""
        while self._seen:
            oldest = next(iter(self._seen))
            if now - self._seen[oldest] <= 2 * self.longest_call:
                return
            del self._seen[oldest]
