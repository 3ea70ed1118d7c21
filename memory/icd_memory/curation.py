"""Demonstrations as those see them who look after a memory: pages of them, what use they were, and their sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.database import Database
from icd_memory.figures import Page
from icd_memory.rows import Status
from icd_memory.source_trust import Level

__all__ = ["Curation", "KnownSource", "ListedDemonstration", "NotedUse"]

_T, _F, _U = schema.trajectories.c, schema.demonstration_facts.c, schema.demonstration_uses.c
_JOINED = sa.and_(_F.tenant == _T.tenant, _F.trajectory_id == _T.id)


@dataclass(frozen=True, slots=True)
class ListedDemonstration:
    """A trajectory in a list, with what became of showing it."""

    seq: int
    id: str
    environment: str
    source: str
    split: str
    status: Status
    reason: str
    category: str
    goal: str
    producer: str
    steps: int
    episodes: int
    """In which it was shown."""
    judged: int
    """Of these, those of which it is known how they ended."""
    won: int
    shown: int
    """Steps at which it was in the prompt."""
    followed: int
    """Of these, steps that the student took."""


_LISTED = [
    _T.seq, _T.id, _T.environment, _T.source, _T.split, _T.status, _T.reason, _F.category, _F.goal, _F.producer,
    _F.steps, _F.episodes, _F.judged, _F.won, _F.shown, _F.followed,
]  # fmt: skip


class NotedUse(NamedTuple):
    """An episode in which a demonstration was shown."""

    seq: int
    episode_id: str
    goal: str
    shown: int
    followed: int
    similarity: float
    success: bool | None


class KnownSource(NamedTuple):
    """A source that somebody has judged, or that waits for it."""

    source: str
    level: Level | None
    """None: nobody has said so far."""
    reason: str
    waiting: int
    """Trajectories in quarantine."""


class Curation:
    """Read-only; see `Store.curation`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def demonstrations(
        self,
        tenant: str,
        *,
        status: Status | None = None,
        environment: str | None = None,
        source: str | None = None,
        text: str | None = None,
        older: int | None = None,
        newer: int | None = None,
        most: int = 50,
    ) -> Page:
        """Return a page of trajectories, the newest first, narrowed as asked; `text` is part of the goal or the id."""
        equal = {_T.status: status, _T.environment: environment, _T.source: source}
        narrowed = {column: value for column, value in equal.items() if value is not None}
        # Which table is read first, down to where the page is full: the one that narrows the most. SQLite goes by the
        # order that is asked for.
        first = _F if source is None and (text or not narrowed) else _T
        wanted: list[sa.ColumnElement[bool]] = [first.tenant == tenant]
        wanted += [column == value for column, value in narrowed.items()]
        if text:
            goal = sa.type_coerce(_F.goal, sa.Text)
            inner = schema.dump_json(text)[1:-1]
            wanted.append(
                sa.or_(
                    goal.icontains(inner, autoescape=True), _F.trajectory_id.icontains(text, autoescape=True)
                )
            )
        query = sa.select(*_LISTED).join_from(schema.trajectories, schema.demonstration_facts, _JOINED)
        with self._db.read() as connection:
            return Page.of(
                connection,
                query.where(*wanted),
                first.seq,
                ListedDemonstration,
                older=older,
                newer=newer,
                most=most,
            )

    def most_shown(self, tenant: str, most: int) -> list[ListedDemonstration]:
        """Return the trajectories that were shown in the most episodes."""
        query = (
            sa.select(*_LISTED)
            .join_from(schema.demonstration_facts, schema.trajectories, _JOINED)
            .where(_F.tenant == tenant, _F.episodes > 0)
            .order_by(_F.episodes.desc(), _F.seq.desc())
            .limit(most)
        )
        with self._db.read() as connection:
            return [ListedDemonstration(*row) for row in connection.execute(query)]

    def one(self, tenant: str, id: str) -> ListedDemonstration | None:
        """Return a trajectory, or None."""
        found = self.some(tenant, [id])
        return found[0] if found else None

    def some(self, tenant: str, ids: Sequence[str]) -> list[ListedDemonstration]:
        """Return these trajectories as far as they are the tenant's, in this order."""
        query = (
            sa.select(*_LISTED)
            .join_from(schema.trajectories, schema.demonstration_facts, _JOINED)
            .where(_T.tenant == tenant, _T.id.in_(ids))
        )
        with self._db.read() as connection:
            found = {row.id: ListedDemonstration(*row) for row in connection.execute(query)}
        return [found[id] for id in ids if id in found]

    def uses(
        self, tenant: str, id: str, *, older: int | None = None, newer: int | None = None, most: int = 25
    ) -> Page:
        """Return a page of the episodes in which a trajectory was shown, the latest first."""
        facts = schema.episode_facts.c
        query = (
            sa.select(
                _U.seq, _U.episode_id, facts.goal, _U.shown, _U.followed, _U.similarity,
                _U.success,
            )
            .join_from(
                schema.demonstration_uses,
                schema.episode_facts,
                sa.and_(facts.tenant == _U.tenant, facts.episode_id == _U.episode_id),
            )
            .where(_U.tenant == tenant, _U.trajectory_id == id)
        )  # fmt: skip
        with self._db.read() as connection:
            return Page.of(connection, query, _U.seq, NotedUse, older=older, newer=newer, most=most)

    def touched(self, tenant: str, source: str) -> int:
        """Return how many episodes were shown something of a source."""
        query = (
            sa.select(sa.func.count(_U.episode_id.distinct()))
            .join_from(
                schema.trajectories,
                schema.demonstration_uses,
                sa.and_(_U.tenant == _T.tenant, _U.trajectory_id == _T.id),
            )
            .where(_T.tenant == tenant, _T.source == source)
        )
        with self._db.read() as connection:
            return int(connection.scalar(query) or 0)

    def sources(self, tenant: str) -> list[KnownSource]:
        """Return the sources of which somebody has said how far they are trusted, or that wait for it."""
        table = schema.sources.c
        waiting = (
            sa.select(_T.source, sa.func.count())
            .where(_T.tenant == tenant, _T.status == "quarantine")
            .group_by(_T.source)
        )
        levels = sa.select(table.source, table.level, table.reason).where(table.tenant == tenant)
        with self._db.read() as connection:
            counts: dict[str, int] = {source: count for source, count in connection.execute(waiting)}
            rows: list[Any] = list(connection.execute(levels.order_by(table.source)))
        found = [KnownSource(row.source, row.level, row.reason, counts.pop(row.source, 0)) for row in rows]
        return found + [KnownSource(source, None, "", count) for source, count in sorted(counts.items())]

    def counts(self, tenant: str) -> dict[str, int]:
        """Return the number of trajectories by status."""
        query = sa.select(_T.status, sa.func.count()).where(_T.tenant == tenant).group_by(_T.status)
        with self._db.read() as connection:
            return {status: int(count) for status, count in connection.execute(query)}

    def environments(self, tenant: str) -> list[str]:
        """Return the environments of which there are trajectories."""
        # Of the trajectories' own table, whose index has all of it.
        query = sa.select(_T.environment).where(_T.tenant == tenant).distinct().order_by(_T.environment)
        with self._db.read() as connection:
            return list(connection.scalars(query))
