"""The chain of a tenant's receipts in the store: appended to in the transaction that writes them, checked, and kept when
content is erased.

Several processes may write one store: whoever appends reads and advances the tenant's head in the same transaction. On
SQLite there is one writer at a time; on PostgreSQL a lock of the tenant's is held until the end of the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.database import Database
from icd_memory.links import DIGESTED, EntryKind, digest_of, erasure_digest, first_link, next_link
from icd_memory.records import Inserter
from icd_memory.schema import dump_json

__all__ = ["ChainReport", "Head", "ReceiptChain", "TenantChain"]

_PAGE = 500
_MOST_PROBLEMS = 100
_ENTRY = ("tenant", "position", "receipt_id", "kind", "digest", "link", "at")
_TENANT = DIGESTED.index("tenant")
_CHAIN, _DECISIONS = schema.receipt_chain.c, schema.decisions.c
_CHAINED = sa.select(_CHAIN.receipt_id).where(
    _CHAIN.receipt_id.in_(sa.bindparam("ids", expanding=True)), _CHAIN.kind == "receipt"
)
_STORED = [sa.type_coerce(_DECISIONS[name], sa.Text).label(f"stored_{name}") for name in DIGESTED]


class Head(NamedTuple):
    """The last entry of a chain. Kept elsewhere, it shows later that nothing before it was changed or cut off."""

    position: int
    link: str


@dataclass(frozen=True, slots=True)
class TenantChain:
    """What a tenant's chain holds."""

    tenant: str
    receipts: int
    erased: int
    head: Head


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of all chains found."""

    tenants: tuple[TenantChain, ...]
    problems: tuple[str, ...]
    """The first 100, in words; empty: everything fits."""


class _Entry(NamedTuple):
    kind: EntryKind
    receipt_id: str
    digest: str
    at: str


class ReceiptChain:
    """Appends to the chains of a store and checks them; see `Store`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._entries = Inserter(database, schema.receipt_chain, _ENTRY, key=("tenant", "position"))
        self._on_server = database.engine.dialect.name == "postgresql"
        mark = "%s" if self._on_server else "?"
        self._last = (
            f"SELECT position, link FROM receipt_chain WHERE tenant = {mark} ORDER BY position DESC LIMIT 1"
        )

    def append(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append receipts, as they are stored: tuples of the columns `DIGESTED`. Belongs into their transaction."""
        entries = [(row[_TENANT], _Entry("receipt", row[0], digest_of(row), row[4])) for row in rows]
        # By name, so that two processes that write for several tenants don't wait for each other.
        entries.sort(key=lambda pair: pair[0])
        with self._db.write() as connection:
            for tenant, group in groupby(entries, key=lambda pair: pair[0]):
                self._extend(connection, tenant, [entry for _, entry in group])

    def unchained(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return those of the receipts that are in no chain yet; of several with one id the first."""
        by_id = {row[0]: row for row in reversed(rows)}
        ids = list(by_id)
        with self._db.read() as connection:
            for start in range(0, len(ids), _PAGE):
                for id in connection.scalars(_CHAINED, {"ids": ids[start : start + _PAGE]}):
                    del by_id[id]
        return [row for row in reversed(by_id.values())]

    def erase(self, tenant: str, receipt_ids: Sequence[str], at: str) -> int:
        """Replace the content of a tenant's receipts by a tombstone; return how many had any.

        The digests stay in the chain, and an entry of its own says that this was done.
        """
        table = schema.decisions
        gone = sa.select(_CHAIN.receipt_id).where(_CHAIN.tenant == tenant, _CHAIN.kind == "erasure")
        erased: list[_Entry] = []
        with self._db.write() as connection:
            for start in range(0, len(receipt_ids), _PAGE):
                part = receipt_ids[start : start + _PAGE]
                wanted = (_DECISIONS.tenant == tenant, _DECISIONS.id.in_(part), _DECISIONS.id.not_in(gone))
                query = sa.select(_DECISIONS.id).where(*wanted).order_by(_DECISIONS.seq)
                for id in connection.scalars(query).all():
                    stone = {"receipt_id": id, "erased": at}
                    connection.execute(table.update().where(table.c.id == id).values(body=stone, thread=""))
                    erased.append(_Entry("erasure", id, erasure_digest(id, at), at))
            self._extend(connection, tenant, erased)
        return len(erased)

    def verify(self, expected: Mapping[str, Head] | None = None) -> ChainReport:
        """Check every chain against the receipts that are stored.

        `expected` are heads that were noted earlier, by tenant: they must still be in their chains.
        """
        with self._db.read() as connection:
            problems = [
                f"receipt {id} is in no chain"
                for id in connection.scalars(_IN_NO_CHAIN.limit(_MOST_PROBLEMS))
            ]
            names = {*(expected or {}), *connection.scalars(sa.select(_CHAIN.tenant).distinct())}
            chains = [
                _Check(connection, tenant, (expected or {}).get(tenant), problems).run()
                for tenant in sorted(names)
            ]
        return ChainReport(tuple(chains), tuple(problems[:_MOST_PROBLEMS]))

    def _extend(self, connection: sa.Connection, tenant: str, entries: Sequence[_Entry]) -> None:
        if not entries:
            return
        position, link = self._head(connection, tenant)
        rows = []
        for kind, receipt_id, digest, at in entries:
            position += 1
            link = next_link(link, position, kind, receipt_id, digest)
            rows.append((tenant, position, receipt_id, kind, digest, link, at))
        self._entries.add(rows)

    def _head(self, connection: sa.Connection, tenant: str) -> Head:
        """Return the last entry, which no other process adds to until the end of this transaction."""
        if self._on_server:
            connection.exec_driver_sql(_LOCK, (tenant,))
        found = connection.exec_driver_sql(self._last, (tenant,)).one_or_none()
        return Head(0, first_link(tenant)) if found is None else Head(*found)


_LOCK = (
    "SELECT pg_advisory_xact_lock(hashtextextended(concat(current_schema(), ' icd receipts ', %s::text), 0))"
)
_IN_NO_CHAIN = (
    sa.select(_DECISIONS.id)
    .outerjoin(
        schema.receipt_chain,
        sa.and_(
            _CHAIN.receipt_id == _DECISIONS.id, _CHAIN.kind == "receipt", _CHAIN.tenant == _DECISIONS.tenant
        ),
    )
    .where(_CHAIN.receipt_id.is_(None))
    .order_by(_DECISIONS.seq)
)


class _Check:
    """Goes through one tenant's chain."""

    def __init__(
        self,
        connection: sa.Connection,
        tenant: str,
        noted: Head | None,
        problems: list[str],
    ) -> None:
        self._connection, self._tenant = connection, tenant
        self._noted, self._problems = noted, problems
        erasures = sa.select(_CHAIN.receipt_id).where(_CHAIN.tenant == tenant, _CHAIN.kind == "erasure")
        self._erased = set(connection.scalars(erasures))

    def run(self) -> TenantChain:
        """Check entry after entry."""
        link, position, receipts, noted = first_link(self._tenant), 0, 0, self._noted
        for row in self._rows():
            position += 1
            if row.position != position:
                self._wrong(f"entries {position} to {row.position - 1} are missing")
                position = row.position
            link = next_link(link, position, row.kind, row.receipt_id, row.digest)
            if row.link != link:
                self._wrong(f"entry {position} (receipt {row.receipt_id}) does not fit the one before it")
                link = row.link
            if noted is not None and noted.position == position and noted.link != link:
                self._wrong(f"entry {position} is not the one that was noted earlier")
            receipts += row.kind == "receipt"
            self._check_content(row)
        if noted is not None and noted.position > position:
            self._wrong(f"it ends at entry {position}, and entry {noted.position} was noted earlier")
        return TenantChain(self._tenant, receipts, len(self._erased), Head(position, link))

    def _rows(self) -> Iterator[sa.Row[Any]]:
        last = 0
        joined = sa.select(
            _CHAIN.position, _CHAIN.receipt_id, _CHAIN.kind, _CHAIN.digest, _CHAIN.link, _CHAIN.at, *_STORED
        ).outerjoin(schema.decisions, _DECISIONS.id == _CHAIN.receipt_id)
        while True:
            page = joined.where(_CHAIN.tenant == self._tenant, _CHAIN.position > last)
            rows = self._connection.execute(page.order_by(_CHAIN.position).limit(_PAGE)).all()
            yield from rows
            if len(rows) < _PAGE:
                return
            last = rows[-1].position

    def _check_content(self, row: sa.Row[Any]) -> None:
        """Compare a receipt with its digest, or a tombstone with the entry that says so."""
        id, stored = row.receipt_id, tuple(row)[-len(DIGESTED) :]
        if row.kind == "erasure":
            stone = dump_json({"receipt_id": id, "erased": row.at})
            if row.digest != erasure_digest(id, row.at):
                self._wrong(f"entry {row.position}: the erasure of receipt {id} was changed")
            if row.stored_id is not None and row.stored_body != stone:
                self._wrong(f"receipt {id} was erased, and has content")
        elif id in self._erased:
            return
        elif row.stored_id is None:
            self._wrong(f"receipt {id} is missing, and was not erased")
        elif digest_of(stored) != row.digest:
            self._wrong(f"receipt {id} was changed")

    def _wrong(self, what: str) -> None:
        self._problems.append(f"tenant {self._tenant}: {what}")
