"""Reading the figures of `icd_memory.facts`: sums by day and kind, pages of episodes. Each by an index."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.database import Database
from icd_memory.rows import DecisionRow

__all__ = ["EpisodeFigures", "EpisodeFilter", "Figures", "Page", "Scope", "Totals"]

_FACTS, _TOTALS = schema.episode_facts.c, schema.episode_totals.c


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over episodes: of one run, method, kind and day, or over several."""

    run_id: str = ""
    method: str = ""
    category: str = ""
    day: str = ""
    episodes: int = 0
    judged: int = 0
    """Of which it is known how they ended."""
    won: int = 0
    steps: int = 0
    student_steps: int = 0
    teacher_steps: int = 0
    teacher_calls: int = 0
    cost: float = 0.0
    """US dollars, here and below."""
    teacher_cost: float = 0.0
    cost_squared: float = 0.0
    steps_squared: float = 0.0
    steps_cost: float = 0.0
    calls_squared: float = 0.0
    teacher_cost_squared: float = 0.0
    calls_teacher_cost: float = 0.0

    @staticmethod
    def over(rows: Sequence[Totals]) -> Totals:
        """Return the sums of sums."""
        return Totals(**{name: sum(getattr(row, name) for row in rows) for name in _SUMS})


_KEYS = ("run_id", "method", "category", "day")
_SUMS = tuple(field.name for field in fields(Totals) if field.name not in _KEYS)


class Scope(NamedTuple):
    """A run and method of which there are episodes."""

    run_id: str
    method: str
    episodes: int
    student_steps: int
    teacher_steps: int
    last_day: str


@dataclass(frozen=True, slots=True)
class EpisodeFilter:
    """Which episodes; None: any."""

    run_id: str | None = None
    method: str | None = None
    category: str | None = None
    success: bool | None = None
    judged: bool | None = None
    """False: those of which nobody said how they ended."""
    escalated: bool | None = None
    """Whether the teacher took a step."""
    since: str | None = None
    """A day, YYYY-MM-DD."""
    until: str | None = None
    """The last day, included."""
    text: str | None = None
    """Part of the goal or the id."""


@dataclass(frozen=True, slots=True)
class EpisodeFigures:
    """An episode in a list."""

    seq: int
    """Its place: newer ones have larger numbers."""
    episode_id: str
    run_id: str
    method: str
    category: str
    goal: str
    status: str
    success: bool | None
    score: float | None
    steps: int
    student_steps: int
    teacher_steps: int
    cost: float
    teacher_calls: int
    teacher_cost: float
    seconds: float
    began: datetime


_LISTED = [_FACTS[field.name] for field in fields(EpisodeFigures)]


class Page(NamedTuple):
    """Part of a list, newest first, and where to go on; None: there is nothing further."""

    rows: Sequence[Any]
    older: int | None
    newer: int | None

    @classmethod
    def of(
        cls,
        connection: sa.Connection,
        query: sa.Select[Any],
        place: sa.Column[Any],
        row: type[Any],
        *,
        older: int | None,
        newer: int | None,
        most: int,
    ) -> Page:
        """Return the newest rows of a query, those older than a place, or those newer than one; each has a `seq`."""
        if newer is not None:
            query = query.where(place > newer).order_by(place)
        else:
            query = (query if older is None else query.where(place < older)).order_by(place.desc())
        found = [row(*values) for values in connection.execute(query.limit(most + 1))]
        more, rows = len(found) > most, found[:most]
        if newer is not None:
            rows.reverse()
        if not rows:
            return cls([], None, None)
        further, back = (True, more) if newer is not None else (more, older is not None)
        return cls(rows, rows[-1].seq if further else None, rows[0].seq if back else None)


class Figures:
    """Read-only; see `Store.figures`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def scopes(self, tenant: str) -> list[Scope]:
        """Return the runs and methods, the latest first."""
        query = (
            sa.select(
                _TOTALS.run_id, _TOTALS.method, sa.func.sum(_TOTALS.episodes), sa.func.sum(_TOTALS.student_steps),
                sa.func.sum(_TOTALS.teacher_steps), sa.func.max(_TOTALS.day),
            )
            .where(_TOTALS.tenant == tenant)
            .group_by(_TOTALS.run_id, _TOTALS.method)
            .having(sa.func.sum(_TOTALS.episodes) > 0)
            .order_by(sa.func.max(_TOTALS.day).desc(), _TOTALS.run_id, _TOTALS.method)
        )  # fmt: skip
        with self._db.read() as connection:
            return [Scope(r, m, int(n), int(s), int(t), d) for r, m, n, s, t, d in connection.execute(query)]

    def costs(self, tenant: str) -> dict[str, float]:
        """Return what the episodes of each run cost, in US dollars."""
        query = sa.select(_TOTALS.run_id, sa.func.sum(_TOTALS.cost)).where(_TOTALS.tenant == tenant)
        with self._db.read() as connection:
            return {run: cost for run, cost in connection.execute(query.group_by(_TOTALS.run_id))}

    def totals(
        self, tenant: str, run_id: str | None = None, method: str | None = None, category: str | None = None
    ) -> list[Totals]:
        """Return the sums by run, method, kind and day, by day."""
        wanted = [_TOTALS.tenant == tenant, _TOTALS.episodes > 0]
        if run_id is not None:
            wanted.append(_TOTALS.run_id == run_id)
        if method is not None:
            wanted.append(_TOTALS.method == method)
        if category is not None:
            wanted.append(_TOTALS.category == category)
        columns = [_TOTALS[name] for name in (*_KEYS, *_SUMS)]
        query = sa.select(*columns).where(*wanted).order_by(_TOTALS.day, _TOTALS.category)
        with self._db.read() as connection:
            return [Totals(*row) for row in connection.execute(query)]

    def run_states(self, run_id: str) -> dict[str, int]:
        """Return the number of a run's episodes by status."""
        table = schema.episodes.c
        query = sa.select(table.status, sa.func.count()).where(table.run_id == run_id).group_by(table.status)
        with self._db.read() as connection:
            return {status: int(count) for status, count in connection.execute(query)}

    def live_ends(self, since: datetime, most: int = 50_000) -> list[tuple[str, bool]]:
        """Return the live episodes of all tenants that began then or later and whose end is known, as they began."""
        query = (
            sa.select(_FACTS.episode_id, _FACTS.success)
            .where(
                _FACTS.run_id == "live", _FACTS.success.is_not(None), _FACTS.began >= since.astimezone(UTC)
            )
            .order_by(_FACTS.began, _FACTS.seq)
            .limit(most)
        )
        with self._db.read() as connection:
            return [(id, bool(won)) for id, won in connection.execute(query)]

    def categories(self, tenant: str) -> list[str]:
        """Return the kinds of task, in alphabetical order."""
        query = sa.select(_TOTALS.category).where(_TOTALS.tenant == tenant, _TOTALS.episodes > 0).distinct()
        with self._db.read() as connection:
            return sorted(connection.scalars(query))

    def episode(self, tenant: str, episode_id: str) -> EpisodeFigures | None:
        """Return an episode, or None."""
        query = sa.select(*_LISTED).where(_FACTS.tenant == tenant, _FACTS.episode_id == episode_id)
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else EpisodeFigures(*row)

    def episodes(
        self,
        tenant: str,
        wanted: EpisodeFilter,
        *,
        older: int | None = None,
        newer: int | None = None,
        most: int = 50,
    ) -> Page:
        """Return a page of episodes, newest first: the newest, those older than a place, or those newer than one."""
        conditions = [_FACTS.tenant == tenant, *_conditions(wanted)]
        query = sa.select(*_LISTED).where(*conditions)
        with self._db.read() as connection:
            return Page.of(connection, query, _FACTS.seq, EpisodeFigures, older=older, newer=newer, most=most)

    def receipts(self, tenant: str, episode_id: str, start: int, most: int) -> list[DecisionRow]:
        """Return the receipts of an episode of the tenant by step: at most so many, after the first `start`."""
        table = schema.decisions.c
        query = (
            sa.select(*(table[field.name] for field in fields(DecisionRow)))
            .where(table.tenant == tenant, table.episode_id == episode_id)
            .order_by(table.step, table.seq)
            .offset(start)
            .limit(most)
        )
        with self._db.read() as connection:
            return [DecisionRow(*row) for row in connection.execute(query)]

    def goals(self, tenant: str, trajectory_ids: Collection[str]) -> dict[str, str]:
        """Return the goals of recorded trajectories, as far as they are there."""
        table = schema.demonstration_facts.c
        query = sa.select(table.trajectory_id, table.goal).where(
            table.tenant == tenant, table.trajectory_id.in_(trajectory_ids)
        )
        with self._db.read() as connection:
            return {id: goal for id, goal in connection.execute(query)}


def _conditions(wanted: EpisodeFilter) -> list[sa.ColumnElement[bool]]:
    equal = {
        "run_id": wanted.run_id, "method": wanted.method, "category": wanted.category, "success": wanted.success,
    }  # fmt: skip
    found: list[sa.ColumnElement[bool]] = [
        _FACTS[name] == value for name, value in equal.items() if value is not None
    ]
    if wanted.judged is not None:
        found.append(_FACTS.success.is_not(None) if wanted.judged else _FACTS.success.is_(None))
    if wanted.escalated is not None:
        found.append(_FACTS.teacher_steps > 0 if wanted.escalated else _FACTS.teacher_steps == 0)
    if wanted.since:
        found.append(_FACTS.day >= wanted.since)
    if wanted.until:
        found.append(_FACTS.day <= wanted.until)
    if wanted.text:
        # A JSON text: what is looked for is compared as it would stand in it.
        inner = schema.dump_json(wanted.text)[1:-1]
        goal = sa.type_coerce(_FACTS.goal, sa.Text)
        found.append(
            sa.or_(
                goal.icontains(inner, autoescape=True),
                _FACTS.episode_id.icontains(wanted.text, autoescape=True),
            )
        )
    return found
