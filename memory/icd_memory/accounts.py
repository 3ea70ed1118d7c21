"""Who may use the server, how their calls are answered, and what they have spent. Knows nothing of secrets."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.database import Database
from icd_memory.records import Records
from icd_memory.rows import KeyRow, Payer, TenantRow

_KEYS, _TENANTS, _LEDGER = schema.keys.c, schema.tenants.c, schema.ledger.c
_SPENT = sa.select(sa.func.coalesce(sa.func.sum(_LEDGER.cost), 0.0)).where(
    _LEDGER.account == sa.bindparam("account"), _LEDGER.counterfactual == sa.false()
)


class Accounts:
    """Keys and tenants of a store; see `Store.accounts`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._keys = Records(database, schema.keys, KeyRow)
        self._tenants = Records(database, schema.tenants, TenantRow)

    def add_key(self, row: KeyRow) -> bool:
        """Store a key; return False if its id is there already."""
        return self._keys.add([row]) == 1

    def key(self, id: str) -> KeyRow | None:
        """Return a key, revoked or not, or None."""
        return self._keys.one(_KEYS.id == id)

    def keys(self, tenant: str | None = None) -> list[KeyRow]:
        """Return the keys of a tenant, or all, in the order they were made."""
        return self._keys.find(*([] if tenant is None else [_KEYS.tenant == tenant]))

    def revoke_key(self, id: str, at: datetime) -> bool:
        """Take a key back; return False if there is none of this id, or it was taken back before."""
        change = schema.keys.update().where(_KEYS.id == id, _KEYS.revoked_at.is_(None)).values(revoked_at=at)
        with self._db.write() as connection:
            return connection.execute(change).rowcount == 1

    def tenant(self, id: str) -> TenantRow | None:
        """Return what is set for a tenant, or None."""
        return self._tenants.one(_TENANTS.id == id)

    def tenants(self) -> list[TenantRow]:
        """Return the tenants for which something is set, by name."""
        return self._tenants.find()

    def set_tenant(self, row: TenantRow) -> None:
        """Set how a tenant's calls are answered, in place of what was set before."""
        self._tenants.put(row)

    def spent(self, account: str, since: datetime | None = None) -> float:
        """Return what a key has spent, in US dollars; `since` counts live calls from a moment on."""
        query = _SPENT if since is None else _SPENT.where(_begun(since))
        with self._db.read() as connection:
            return float(connection.scalar(query, {"account": account}) or 0.0)

    def spent_by(self, tenant: str, *, episode_id: str | None = None, since: datetime | None = None) -> float:
        """Return what a tenant has spent, in US dollars, narrowed to an episode or to live calls from a moment on."""
        query = sa.select(sa.func.coalesce(sa.func.sum(_LEDGER.cost), 0.0)).where(
            _LEDGER.tenant == tenant, _LEDGER.counterfactual == sa.false()
        )
        if episode_id is not None:
            query = query.where(_LEDGER.episode_id == episode_id)
        if since is not None:
            query = query.where(_begun(since))
        with self._db.read() as connection:
            return float(connection.scalar(query) or 0.0)

    def spent_of(self, payer: Payer) -> float:
        """Return what a payer has spent, in US dollars."""
        if payer.kind == "key":
            return self.spent(payer.owner, payer.since)
        return self.spent_by(payer.owner, episode_id=payer.episode_id, since=payer.since)


def _begun(since: datetime) -> sa.ColumnElement[bool]:
    """Return the condition for ledger rows of live calls that began then or later: their ids begin with the milliseconds
    since 1970, in 12 hexadecimal digits."""
    return sa.and_(_LEDGER.run_id == "live", _LEDGER.id >= f"{int(since.timestamp() * 1000):012x}")
