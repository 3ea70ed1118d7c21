"""The strategies' tables: what is written together, and how values become rows. Knows no rule of the library."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.database import Database
from icd_memory.records import Records
from icd_memory.rows import JsonObject
from icd_memory.strategy import (
    ChangeKind,
    PairedTest,
    Strategy,
    StrategyChange,
    StrategyOrigin,
    StrategyStatus,
    StrategyText,
    StrategyUse,
    StrategyVersion,
    Verdict,
)

_HEAD, _VERSION, _CHANGE = schema.strategies.c, schema.strategy_versions.c, schema.strategy_changes.c
_USE, _TEST = schema.strategy_uses.c, schema.strategy_tests.c
_WHOLE = sa.select(
    _HEAD.id, _HEAD.tenant, _HEAD.environment, _VERSION.body, _HEAD.status, _HEAD.version, _HEAD.revision,
    _HEAD.reason, _HEAD.created_at, _HEAD.merged_into,
).join_from(
    schema.strategies,
    schema.strategy_versions,
    (_HEAD.tenant == _VERSION.tenant)
    & (_HEAD.id == _VERSION.strategy_id)
    & (_HEAD.version == _VERSION.version),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _HeadRow:
    tenant: str
    id: str
    environment: str
    status: StrategyStatus
    version: int
    revision: int
    reason: str
    merged_into: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _VersionRow:
    tenant: str
    strategy_id: str
    version: int
    body: JsonObject


@dataclass(frozen=True, slots=True)
class _ChangeRow:
    tenant: str
    strategy_id: str
    number: int
    action: ChangeKind
    status: StrategyStatus
    version: int
    author: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _UseRow:
    tenant: str
    strategy_id: str
    episode_id: str
    version: int
    shown: bool
    similarity: float | None
    success: bool | None
    score: float | None
    verdict: Verdict | None
    at: datetime


@dataclass(frozen=True, slots=True)
class _TestRow:
    tenant: str
    id: str
    strategy_id: str
    version: int
    body: JsonObject


class UseCounts(NamedTuple):
    """Episodes in which a strategy applied, and was shown or not."""

    strategy_id: str
    shown: bool
    episodes: int
    known: int
    """Of which it is known whether they succeeded."""
    successes: int
    scored: int
    score: float
    """Sum."""
    helpful: int
    harmful: int


class StrategyTables:
    """Strategies in SQL; see `Store.strategies`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._heads = Records(database, schema.strategies, _HeadRow, key=("tenant", "id"))
        self._versions = Records(
            database, schema.strategy_versions, _VersionRow, key=("tenant", "strategy_id", "version")
        )
        self._changes = Records(
            database, schema.strategy_changes, _ChangeRow, key=("tenant", "strategy_id", "number")
        )
        self._uses = Records(
            database, schema.strategy_uses, _UseRow, key=("tenant", "strategy_id", "episode_id")
        )
        self._tests = Records(database, schema.strategy_tests, _TestRow, key=("tenant", "id"))

    def add(self, strategy: Strategy, changes: Sequence[StrategyChange]) -> bool:
        """Store a new strategy, and how it came to stand where it does; return False, and change nothing, if its id is
        there already."""
        head = _HeadRow(
            strategy.tenant, strategy.id, strategy.environment, strategy.status, strategy.version,
            strategy.revision, strategy.reason, strategy.merged_into, strategy.created_at,
        )  # fmt: skip
        with self._db.write():
            if not self._heads.add([head]):
                return False
            self._add_version(strategy)
            self._add_changes(strategy.tenant, changes)
            return True

    def change(self, old: Strategy, new: Strategy, changes: Sequence[StrategyChange]) -> bool:
        """Put a strategy in the place of what it was; return False, and change nothing, if it is that no more."""
        update = (
            schema.strategies.update()
            .where(_HEAD.tenant == old.tenant, _HEAD.id == old.id, _HEAD.revision == old.revision)
            .values(
                status=new.status, version=new.version, revision=new.revision, reason=new.reason,
                merged_into=new.merged_into,
            )
        )  # fmt: skip
        with self._db.write() as connection:
            if connection.execute(update).rowcount != 1:
                return False
            if new.version != old.version:
                self._add_version(new)
            self._add_changes(new.tenant, changes)
            return True

    def one(self, id: str, tenant: str) -> Strategy | None:
        """Return a strategy, or None."""
        found = self._strategies(_HEAD.tenant == tenant, _HEAD.id == id)
        return found[0] if found else None

    def find(
        self, tenant: str, environment: str | None = None, status: StrategyStatus | None = None
    ) -> list[Strategy]:
        """Return the tenant's strategies in the order they came, narrowed as asked."""
        wanted = [_HEAD.tenant == tenant]
        if environment is not None:
            wanted.append(_HEAD.environment == environment)
        if status is not None:
            wanted.append(_HEAD.status == status)
        return self._strategies(*wanted)

    def merged_into(self, id: str, tenant: str) -> list[str]:
        """Return the ids of what was merged into a strategy."""
        query = sa.select(_HEAD.id).where(_HEAD.tenant == tenant, _HEAD.merged_into == id).order_by(_HEAD.seq)
        with self._db.read() as connection:
            return list(connection.scalars(query))

    def versions(self, id: str, tenant: str) -> list[StrategyVersion]:
        """Return what all versions said, oldest first."""
        rows = self._versions.find(
            _VERSION.tenant == tenant, _VERSION.strategy_id == id, order=(_VERSION.version,)
        )
        return [StrategyVersion(row.version, *_text_and_origin(row.body)) for row in rows]

    def changes(self, ids: Collection[str], tenant: str) -> list[StrategyChange]:
        """Return the changes of strategies, in the order they were made."""
        rows = self._changes.find(_CHANGE.tenant == tenant, _CHANGE.strategy_id.in_(ids))
        return [
            StrategyChange(
                row.strategy_id, row.number, row.action, row.status, row.version, row.author, row.why, row.at
            )
            for row in rows
        ]

    def put_use(self, use: StrategyUse) -> bool:
        """Store a use, in place of one whose outcome was not known; return whether it was written."""
        row = _UseRow(
            use.tenant, use.strategy_id, use.episode_id, use.version, use.shown, use.similarity, use.success,
            use.score, use.verdict, use.at,
        )  # fmt: skip
        return self._uses.put(row, where=_USE.success.is_(None) & _USE.score.is_(None))

    def outcomes(self, tenant: str, ids: Collection[str] | None = None) -> list[UseCounts]:
        """Return what became of showing strategies, and of not showing them; None: of all the tenant's."""
        wanted = [_USE.tenant == tenant]
        if ids is not None:
            wanted.append(_USE.strategy_id.in_(ids))
        query = (
            sa.select(
                _USE.strategy_id, _USE.shown, sa.func.count(), sa.func.count(_USE.success),
                sa.func.coalesce(sa.func.sum(sa.cast(_USE.success, sa.Integer)), 0), sa.func.count(_USE.score),
                sa.func.coalesce(sa.func.sum(_USE.score), 0.0),
                sa.func.coalesce(sa.func.sum(sa.case((_USE.verdict == "helpful", 1), else_=0)), 0),
                sa.func.coalesce(sa.func.sum(sa.case((_USE.verdict == "harmful", 1), else_=0)), 0),
            )
            .where(*wanted)
            .group_by(_USE.strategy_id, _USE.shown)
        )  # fmt: skip
        with self._db.read() as connection:
            return [UseCounts(*row) for row in connection.execute(query)]

    def add_test(self, strategy: Strategy, test: PairedTest) -> bool:
        """Store a test; return False, and change nothing, if its id is there already."""
        body = {**asdict(test), "at": test.at and test.at.isoformat()}
        return self._tests.add([_TestRow(strategy.tenant, test.id, strategy.id, test.version, body)]) == 1

    def tests(self, id: str, tenant: str) -> list[PairedTest]:
        """Return a strategy's tests in the order they came."""
        rows = self._tests.find(_TEST.tenant == tenant, _TEST.strategy_id == id)
        return [PairedTest(**{**row.body, "at": _moment(row.body["at"])}) for row in rows]

    def _strategies(self, *conditions: sa.ColumnElement[bool]) -> list[Strategy]:
        with self._db.read() as connection:
            return [
                _strategy(row) for row in connection.execute(_WHOLE.where(*conditions).order_by(_HEAD.seq))
            ]

    def _add_version(self, strategy: Strategy) -> None:
        body = {**asdict(strategy.text), "origin": _origin_to_json(strategy.origin)}
        self._versions.add([_VersionRow(strategy.tenant, strategy.id, strategy.version, body)])

    def _add_changes(self, tenant: str, changes: Sequence[StrategyChange]) -> None:
        self._changes.add(
            _ChangeRow(
                tenant, change.strategy_id, change.number, change.action, change.status, change.version, change.by,
                change.why, change.at,
            )
            for change in changes
        )  # fmt: skip


def _strategy(row: Sequence[Any]) -> Strategy:
    id, tenant, environment, body, status, version, revision, reason, created_at, merged_into = row
    text, origin = _text_and_origin(body)
    return Strategy(
        id, tenant, environment, text.scenario, text.guidance, text.category, origin, status, version, revision,
        reason, created_at, merged_into,
    )  # fmt: skip


def _text_and_origin(body: JsonObject) -> tuple[StrategyText, StrategyOrigin]:
    text = StrategyText(body["scenario"], body["guidance"], body["category"])
    return text, _origin_from_json(body["origin"])


def _origin_to_json(origin: StrategyOrigin) -> JsonObject:
    return {**asdict(origin), "created_at": origin.created_at and origin.created_at.isoformat()}


def _origin_from_json(body: JsonObject) -> StrategyOrigin:
    origin = StrategyOrigin(**body)
    return replace(
        origin,
        episodes=tuple(origin.episodes),
        decisions=tuple(origin.decisions),
        created_at=_moment(body["created_at"]),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
