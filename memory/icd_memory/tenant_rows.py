"""What one tenant may see of a store: who serves several tenants reads through this, and cannot forget whose it is."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.codec import trajectory_from_json
from icd_memory.database import Database
from icd_memory.records import Records
from icd_memory.rows import AdmissionRow, DecisionRow, FeedbackRow, LedgerRow
from icd_memory.trajectory import Trajectory

__all__ = ["TenantRows"]

_DECISIONS, _LEDGER, _FEEDBACK = schema.decisions.c, schema.ledger.c, schema.feedback.c
_TRAJECTORIES = schema.trajectories.c


class TenantRows:
    """The rows of a tenant, whatever ids are asked for; see `Store.of`."""

    def __init__(
        self,
        database: Database,
        tenant: str,
        decisions: Records[DecisionRow],
        ledger: Records[LedgerRow],
        feedback: Records[FeedbackRow],
    ) -> None:
        self.tenant = tenant
        self._db = database
        self._decisions, self._ledger, self._feedback = decisions, ledger, feedback

    def decision(self, id: str) -> DecisionRow | None:
        """Return a receipt, or None."""
        return self._decisions.one(_DECISIONS.id == id, _DECISIONS.tenant == self.tenant)

    def decisions(self, episode_id: str) -> list[DecisionRow]:
        """Return an episode's receipts by step."""
        mine = _DECISIONS.tenant == self.tenant
        order = (_DECISIONS.step, _DECISIONS.seq)
        return self._decisions.find(_DECISIONS.episode_id == episode_id, mine, order=order)

    def ledger(self, episode_id: str | None = None) -> list[LedgerRow]:
        """Return the bills of an episode, or all."""
        wanted = [] if episode_id is None else [_LEDGER.episode_id == episode_id]
        return self._ledger.find(_LEDGER.tenant == self.tenant, *wanted)

    def feedback(self, episode_id: str) -> list[FeedbackRow]:
        """Return what was said about an episode, in the order it came."""
        mine = _FEEDBACK.tenant == self.tenant
        return self._feedback.find(_FEEDBACK.episode_id == episode_id, mine)

    def erase_feedback(self, episode_id: str) -> int:
        """Remove the comments on an episode, not the verdicts; return how many there were."""
        wanted = (
            _FEEDBACK.tenant == self.tenant,
            _FEEDBACK.episode_id == episode_id,
            _FEEDBACK.comment != "",
        )
        with self._db.write() as connection:
            return connection.execute(schema.feedback.update().where(*wanted).values(comment="")).rowcount

    def trajectories(self, ids: Iterable[str]) -> dict[str, Trajectory]:
        """Return those of the trajectories that are there, whatever their status."""
        query = sa.select(_TRAJECTORIES.id, _TRAJECTORIES.body).where(
            _TRAJECTORIES.tenant == self.tenant, _TRAJECTORIES.id.in_(list(ids))
        )
        with self._db.read() as connection:
            return {id: trajectory_from_json(body) for id, body in connection.execute(query)}

    def admission(self, id: str) -> AdmissionRow | None:
        """Return where a trajectory stands, and why; None: there is none."""
        table = _TRAJECTORIES
        query = sa.select(table.id, table.status, table.reason, table.content_hash).where(
            table.id == id, table.tenant == self.tenant
        )
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else AdmissionRow(*row)
