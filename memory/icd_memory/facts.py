"""Figures of episodes and demonstrations, kept so that many can be looked at at once.

All of it is derived: whoever knows what receipts say computes `EpisodeFacts` (`icd.episode_facts`), and this module
keeps them with their sums. An episode is always computed anew as a whole and replaces what was known of it, so that
nothing is counted twice. `Marks` tell how far the store has been read.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from icd_memory import schema
from icd_memory.database import Database

EpisodeKey: TypeAlias = tuple[str, str]
"""Tenant and episode id."""
_Sums: TypeAlias = dict[tuple[str, ...], Counter[str]]

_NOTE = "facts"
_IN_LIST = 400
_LAG = 500
"""On a server a row with a smaller number may become visible later: so many are looked at again."""
_SOURCES = ("decisions", "bills", "episodes", "feedback", "trajectories")
Source = Literal["decisions", "bills", "episodes", "feedback", "trajectories"]


@dataclass(frozen=True, slots=True)
class DemonstrationUse:
    """That excerpts of a demonstration were shown in an episode."""

    trajectory_id: str
    shown: int
    """Steps at which one was in the prompt."""
    followed: int
    """Of these, steps that the student took: the teacher did not have to."""
    similarity: float
    """The highest."""


@dataclass(frozen=True, slots=True)
class EpisodeFacts:
    """An episode in figures."""

    tenant: str
    episode_id: str
    run_id: str
    """``live`` for what no run played."""
    method: str
    category: str
    goal: str
    status: str
    """``running``, ``done`` or ``failed``; ``live`` for what no run played."""
    success: bool | None
    """None: nobody said."""
    score: float | None
    steps: int
    student_steps: int
    teacher_steps: int
    cost: float
    """US dollars, without calls for the record only."""
    teacher_calls: int
    """Calls of the teacher, those for the record only included."""
    teacher_cost: float
    """Of these calls, in US dollars."""
    seconds: float
    began: datetime
    """In UTC."""
    uses: tuple[DemonstrationUse, ...] = ()

    @property
    def key(self) -> EpisodeKey:
        """By which it is known."""
        return self.tenant, self.episode_id


@dataclass(frozen=True, slots=True)
class DemonstrationFacts:
    """What a recorded episode is about, without its steps."""

    tenant: str
    trajectory_id: str
    seq: int
    environment: str
    category: str
    goal: str
    producer: str
    steps: int


class Marks(NamedTuple):
    """The last row of each table that was taken in."""

    decisions: int = -1
    bills: int = -1
    episodes: int = -1
    feedback: int = -1
    trajectories: int = -1


class Changed(NamedTuple):
    """What may have changed since the marks, a portion of it."""

    episodes: tuple[EpisodeKey, ...]
    trajectories: tuple[str, ...]
    """Ids of those whose facts are not known yet."""
    marks: Marks
    """How far this portion goes."""


class FactTables:
    """The facts in SQL; see `Store.facts`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._on_server = database.engine.dialect.name != "sqlite"
        self._insert: Any = postgresql.insert if self._on_server else sqlite.insert

    def marks(self) -> Marks:
        """Return how far the store has been read."""
        with self._db.read() as connection:
            return _marks(connection)

    def ends(self) -> Marks:
        """Return the last row of each table."""
        with self._db.read() as connection:
            return Marks(
                *(connection.scalar(sa.select(sa.func.max(_table(name).c.seq))) or -1 for name in _SOURCES)
            )

    def changed(self, marks: Marks, most: int, episode_of: Callable[[str, str], str]) -> Changed:
        """Return the next portion: at most so many rows of each table.

        `episode_of` tells from tenant and id which episode a trajectory recorded.
        """
        found: dict[EpisodeKey, None] = {}
        after: dict[str, int] = {}
        new: list[str] = []
        with self._db.read() as connection:
            for name, mark in marks._asdict().items():
                rows = self._rows(connection, name, mark, most)  # type: ignore[arg-type]
                after[name] = max([mark, *(row.seq for row in rows)])
                if name == "trajectories":
                    new = self._unknown(connection, [row.episode_id for row in rows])
                    found.update(
                        dict.fromkeys((row.tenant, episode_of(row.tenant, row.episode_id)) for row in rows)
                    )
                else:
                    found.update(dict.fromkeys((row.tenant, row.episode_id) for row in rows))
            found.update(dict.fromkeys(self._ended(connection, most)))
        return Changed(tuple(found), tuple(new), Marks(**after))

    def _rows(self, connection: sa.Connection, name: Source, mark: int, most: int) -> Sequence[sa.Row[Any]]:
        table = _table(name)
        query = _QUERIES[name].order_by(table.c.seq).limit(most)
        rows = connection.execute(query.where(table.c.seq > mark)).all()
        if rows and self._on_server and mark > 0:
            again = connection.execute(query.where(table.c.seq > mark - _LAG, table.c.seq <= mark)).all()
            return [*again, *rows]
        return rows

    def _ended(self, connection: sa.Connection, most: int) -> list[EpisodeKey]:
        """Return episodes of runs that stand otherwise than is known: their rows are changed in place."""
        facts, episodes = schema.episode_facts.c, schema.episodes.c
        query = (
            sa.select(facts.tenant, facts.episode_id)
            .join_from(schema.episode_facts, schema.episodes, facts.episode_id == episodes.id)
            .where(facts.status.in_(("running", "failed")), episodes.status != facts.status)
            .limit(most)
        )
        return [(tenant, id) for tenant, id in connection.execute(query)]

    def _unknown(self, connection: sa.Connection, ids: Sequence[str]) -> list[str]:
        known: set[str] = set()
        table = schema.demonstration_facts.c
        for part in _parts(ids):
            known |= set(
                connection.scalars(sa.select(table.trajectory_id).where(table.trajectory_id.in_(part)))
            )
        return [id for id in dict.fromkeys(ids) if id not in known]

    def replace(
        self,
        before: Marks | None,
        after: Marks | None,
        episodes: Iterable[EpisodeFacts] = (),
        demonstrations: Iterable[DemonstrationFacts] = (),
    ) -> bool:
        """Put these facts in the place of what was known, and move the marks; without marks, only the facts.

        Returns False, and changes nothing, if the marks are not `before` any more.
        """
        facts = {one.key: one for one in episodes}
        with self._db.write() as connection:
            if before is not None and after is not None:
                if _marks(connection) != before:
                    return False
                self._set_marks(connection, after)
            self._add_demonstrations(connection, list(demonstrations))
            sums: _Sums = defaultdict(Counter)
            shown: _Sums = defaultdict(Counter)
            for old, uses in self._known(connection, list(facts)):
                _count(sums, shown, old, uses, -1)
            for one in facts.values():
                _count(sums, shown, asdict(one), one.uses, 1)
            self._write(connection, list(facts.values()))
            self._add_totals(connection, sums)
            self._add_shown(connection, shown)
        return True

    def _set_marks(self, connection: sa.Connection, marks: Marks) -> None:
        values = {"name": _NOTE, "value": json.dumps(marks)}
        insert = self._insert(schema.meta).values(values)
        connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))

    def _known(
        self, connection: sa.Connection, keys: Sequence[EpisodeKey]
    ) -> list[tuple[sa.RowMapping, list[DemonstrationUse]]]:
        """Return what is known of these episodes, and which demonstrations each was shown."""
        wanted = set(keys)
        facts, uses = schema.episode_facts, schema.demonstration_uses
        found: list[sa.RowMapping] = []
        shown: dict[EpisodeKey, list[DemonstrationUse]] = defaultdict(list)
        ids = [id for _, id in keys]
        tenants = sorted({tenant for tenant, _ in keys})
        for part in _parts(ids):
            old = sa.select(facts).where(facts.c.tenant.in_(tenants), facts.c.episode_id.in_(part))
            found += [
                row._mapping for row in connection.execute(old) if (row.tenant, row.episode_id) in wanted
            ]
            used = sa.select(uses).where(uses.c.tenant.in_(tenants), uses.c.episode_id.in_(part))
            for row in connection.execute(used):
                use = DemonstrationUse(row.trajectory_id, row.shown, row.followed, row.similarity)
                shown[row.tenant, row.episode_id].append(use)
        return [(row, shown[row["tenant"], row["episode_id"]]) for row in found]

    def _write(self, connection: sa.Connection, facts: Sequence[EpisodeFacts]) -> None:
        if not facts:
            return
        rows = [asdict(one) for one in facts]
        for row in rows:
            del row["uses"]
            row["day"] = day_of(row["began"])
        insert = self._insert(schema.episode_facts)
        changes = {name: insert.excluded[name] for name in rows[0] if name not in ("tenant", "episode_id")}
        connection.execute(
            insert.on_conflict_do_update(index_elements=["tenant", "episode_id"], set_=changes), rows
        )
        table = schema.demonstration_uses
        gone = table.delete().where(
            table.c.tenant == sa.bindparam("of"), table.c.episode_id == sa.bindparam("id")
        )
        connection.execute(gone, [{"of": one.tenant, "id": one.episode_id} for one in facts])
        uses = [
            {**asdict(use), "tenant": one.tenant, "episode_id": one.episode_id, "success": one.success}
            for one in facts
            for use in one.uses
        ]
        if uses:
            connection.execute(table.insert(), uses)

    def _add_demonstrations(self, connection: sa.Connection, facts: Sequence[DemonstrationFacts]) -> None:
        if not facts:
            return
        table = schema.demonstration_facts
        insert = self._insert(table).on_conflict_do_nothing()
        connection.execute(insert, [asdict(one) for one in facts])
        # Episodes may have shown it before its own facts were taken in.
        uses = schema.demonstration_uses.c
        for one in facts:
            mine = sa.and_(uses.tenant == one.tenant, uses.trajectory_id == one.trajectory_id)
            sums = connection.execute(
                sa.select(
                    sa.func.count(),
                    sa.func.count(uses.success),
                    sa.func.coalesce(sa.func.sum(sa.cast(uses.success, sa.Integer)), 0),
                    sa.func.coalesce(sa.func.sum(uses.shown), 0),
                    sa.func.coalesce(sa.func.sum(uses.followed), 0),
                ).where(mine)
            ).one()
            if sums[0]:
                names = ("episodes", "judged", "won", "shown", "followed")
                where = (table.c.tenant == one.tenant, table.c.trajectory_id == one.trajectory_id)
                connection.execute(table.update().where(*where).values(dict(zip(names, sums, strict=True))))

    def _add_totals(self, connection: sa.Connection, sums: _Sums) -> None:
        keys = ("tenant", "run_id", "method", "category", "day")
        table = schema.episode_totals
        names = [column.name for column in table.columns if column.name not in keys]
        rows = [
            {**dict(zip(keys, key, strict=True)), **{name: counts[name] for name in names}}
            for key, counts in sums.items()
            if any(counts.values())
        ]
        if not rows:
            return
        insert = self._insert(table)
        added = {name: table.c[name] + insert.excluded[name] for name in names}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=added), rows)

    def _add_shown(self, connection: sa.Connection, shown: _Sums) -> None:
        table = schema.demonstration_facts
        names = ("episodes", "judged", "won", "shown", "followed")
        rows = [
            {"of": tenant, "id": id, **{f"more_{name}": counts[name] for name in names}}
            for (tenant, id), counts in shown.items()
            if any(counts.values())
        ]
        if rows:
            change = (
                table.update()
                .where(table.c.tenant == sa.bindparam("of"), table.c.trajectory_id == sa.bindparam("id"))
                .values({name: table.c[name] + sa.bindparam(f"more_{name}") for name in names})
            )
            connection.execute(change, rows)


def day_of(moment: datetime) -> str:
    """Return the day of a time in UTC, as it is kept."""
    return f"{moment:%Y-%m-%d}"


def _count(
    sums: _Sums,
    shown: _Sums,
    facts: Mapping[str, Any] | sa.RowMapping,
    uses: Iterable[DemonstrationUse],
    sign: int,
) -> None:
    """Add an episode to the sums, or take it away."""
    key = (facts["tenant"], facts["run_id"], facts["method"], facts["category"], day_of(facts["began"]))
    judged, won = int(facts["success"] is not None), int(bool(facts["success"]))
    steps, cost, calls, teacher = (
        facts["steps"], facts["cost"], facts["teacher_calls"], facts["teacher_cost"],
    )  # fmt: skip
    values = {
        "episodes": 1, "judged": judged, "won": won, "steps": steps, "student_steps": facts["student_steps"],
        "teacher_steps": facts["teacher_steps"], "teacher_calls": calls, "cost": cost, "teacher_cost": teacher,
        "cost_squared": cost * cost, "steps_squared": float(steps * steps), "steps_cost": steps * cost,
        "calls_squared": float(calls * calls), "teacher_cost_squared": teacher * teacher,
        "calls_teacher_cost": calls * teacher,
    }  # fmt: skip
    for name, value in values.items():
        sums[key][name] += sign * value
    for use in uses:
        counts = shown[facts["tenant"], use.trajectory_id]
        counts.update(
            episodes=sign, judged=sign * judged, won=sign * won, shown=sign * use.shown,
            followed=sign * use.followed,
        )  # fmt: skip


def _table(name: str) -> sa.Table:
    return schema.ledger if name == "bills" else schema.metadata.tables[name]


_D, _L, _E, _F, _T = (_table(name).c for name in _SOURCES)
_RUNS_TENANT = sa.literal("default").label("tenant")
"""Runs are played for nobody in particular."""
_QUERIES: dict[Source, sa.Select[Any]] = {
    "decisions": sa.select(_D.seq, _D.tenant, _D.episode_id),
    # What a decision was paid for came together with it.
    "bills": sa.select(_L.seq, _L.tenant, _L.episode_id).where(
        _L.decision_id.is_(None), _L.episode_id.is_not(None)
    ),
    "episodes": sa.select(_E.seq, _RUNS_TENANT, _E.id.label("episode_id")),
    "feedback": sa.select(_F.seq, _F.tenant, _F.episode_id),
    "trajectories": sa.select(_T.seq, _T.tenant, _T.id.label("episode_id")),
}


def _marks(connection: sa.Connection) -> Marks:
    meta = schema.meta.c
    value = connection.scalar(sa.select(meta.value).where(meta.name == _NOTE))
    return Marks() if value is None else Marks(*json.loads(value))


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _IN_LIST] for start in range(0, len(ids), _IN_LIST))
