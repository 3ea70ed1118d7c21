"""What the figures of episodes are computed from, read for many episodes at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.database import Database
from icd_memory.facts import DemonstrationFacts, EpisodeKey
from icd_memory.rows import EpisodeStatus, JsonObject

__all__ = ["FactSources", "Played", "Receipt", "Sources", "Verdict"]

_IN_LIST = 400


class Receipt(NamedTuple):
    """A decision, as far as figures need it."""

    step: int
    body: JsonObject
    at: datetime


class Played(NamedTuple):
    """What the row of a run's episode says."""

    run_id: str
    method: str
    status: EpisodeStatus
    outcome: JsonObject
    at: datetime


class Verdict(NamedTuple):
    """How somebody says that an episode ended."""

    success: bool | None
    score: float | None


@dataclass(slots=True)
class Sources:
    """All about an episode."""

    receipts: list[Receipt] = field(default_factory=list)
    played: Played | None = None
    """None: no run played it."""
    verdict: Verdict | None = None
    cost: float = 0.0
    """US dollars, without calls for the record only."""
    teacher_calls: int = 0
    teacher_cost: float = 0.0


class FactSources:
    """Reads them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of(
        self, keys: Collection[EpisodeKey], verdict_ids: Callable[[EpisodeKey], str]
    ) -> dict[EpisodeKey, Sources]:
        """Return all about each of these episodes.

        `verdict_ids` names the trajectory that holds an episode's outcome if nobody gave feedback.
        """
        found: dict[EpisodeKey, Sources] = {key: Sources() for key in keys}
        ids = list(dict.fromkeys(id for _, id in keys))
        with self._db.read() as connection:
            for part in _parts(ids):
                _receipts(connection, part, found)
                _bills(connection, part, found)
                _played(connection, part, found)
                _feedback(connection, part, found)
            _outcomes(connection, {verdict_ids(key): key for key in keys}, found)
        return found

    def demonstrations(self, ids: Sequence[str]) -> list[DemonstrationFacts]:
        """Return the facts of these trajectories."""
        table, found = schema.trajectories.c, []
        with self._db.read() as connection:
            for part in _parts(ids):
                query = sa.select(table.seq, table.id, table.tenant, table.environment, table.body)
                for seq, id, tenant, environment, body in connection.execute(query.where(table.id.in_(part))):
                    found.append(
                        DemonstrationFacts(
                            tenant, id, seq, environment, body.get("category", ""), body.get("goal", ""),
                            body.get("provenance", {}).get("producer", ""), len(body.get("steps", ())),
                        )
                    )  # fmt: skip
        return found


def _receipts(connection: sa.Connection, ids: Sequence[str], found: dict[EpisodeKey, Sources]) -> None:
    table = schema.decisions.c
    query = (
        sa.select(table.tenant, table.episode_id, table.step, table.body, table.created_at)
        .where(table.episode_id.in_(ids))
        .order_by(table.step, table.seq)
    )
    for tenant, id, *receipt in connection.execute(query):
        if (tenant, id) in found:
            found[tenant, id].receipts.append(Receipt(*receipt))


def _bills(connection: sa.Connection, ids: Sequence[str], found: dict[EpisodeKey, Sources]) -> None:
    table = schema.ledger.c
    query = (
        sa.select(
            table.tenant, table.episode_id, table.role, table.counterfactual, sa.func.count(),
            sa.func.sum(table.cost),
        )
        .where(table.episode_id.in_(ids))
        .group_by(table.tenant, table.episode_id, table.role, table.counterfactual)
    )  # fmt: skip
    for tenant, id, role, counterfactual, calls, cost in connection.execute(query):
        one = found.get((tenant, id))
        if one is None:
            continue
        if not counterfactual:
            one.cost += cost
        if role == "teacher":
            one.teacher_calls += calls
            one.teacher_cost += cost


def _played(connection: sa.Connection, ids: Sequence[str], found: dict[EpisodeKey, Sources]) -> None:
    table = schema.episodes.c
    query = sa.select(
        table.id, table.run_id, table.method, table.status, table.outcome, table.created_at
    ).where(table.id.in_(ids))
    for id, run_id, method, status, outcome, at in connection.execute(query):
        # Runs are played for nobody in particular.
        one = found.get(("default", id))
        if one is not None:
            one.played = Played(run_id, method, status, outcome or {}, at)


def _feedback(connection: sa.Connection, ids: Sequence[str], found: dict[EpisodeKey, Sources]) -> None:
    table = schema.feedback.c
    query = (
        sa.select(table.tenant, table.episode_id, table.success, table.score)
        .where(table.episode_id.in_(ids), table.decision_id.is_(None), table.success.is_not(None))
        .order_by(table.seq)
    )
    for tenant, id, success, score in connection.execute(query):
        if (tenant, id) in found:
            found[tenant, id].verdict = Verdict(success, score)


def _outcomes(connection: sa.Connection, of: dict[str, EpisodeKey], found: dict[EpisodeKey, Sources]) -> None:
    wanted = [id for id, key in of.items() if found[key].verdict is None and found[key].played is None]
    table = schema.trajectories.c
    for part in _parts(wanted):
        query = sa.select(table.id, table.tenant, table.body).where(table.id.in_(part))
        for id, tenant, body in connection.execute(query):
            outcome: dict[str, Any] | None = body.get("outcome")
            if outcome and outcome.get("verified_by") and of[id][0] == tenant:
                found[of[id]].verdict = Verdict(outcome["success"], outcome["score"])


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _IN_LIST] for start in range(0, len(ids), _IN_LIST))
