"""Whether a store is whole: the file, what refers to what, contents against their hashes, and the chain of receipts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from icd_memory import schema
from icd_memory.chain import ChainReport, Head
from icd_memory.database import Database
from icd_memory.store import Store, text_hash

__all__ = ["StoreCheck", "check", "texts_of_receipt"]

_PAGE = 500
_MOST = 20
"""Problems of one kind that are told."""


class StoreCheck:
    """What a check of a store found."""

    def __init__(self, problems: list[str], chain: ChainReport) -> None:
        self.problems = (*problems, *chain.problems)
        """In words, some of each kind; empty: the store is whole."""
        self.chain = chain


def check(store: Store, database: Database, expected: Mapping[str, Head] | None = None) -> StoreCheck:
    """Check a whole store; `database` is the one that it is in, `expected` as in `ReceiptChain.verify`."""
    problems: list[str] = []
    for found in (
        _file(database),
        _ledger(database),
        _feedback(database),
        _receipts(database),
        _texts(database),
        _trajectories(store),
    ):
        for number, problem in enumerate(found):
            if number == _MOST:
                problems.append("and more of this kind")
                break
            problems.append(problem)
    return StoreCheck(problems, store.chain.verify(expected))


def texts_of_receipt(body: Mapping[str, Any]) -> set[str]:
    """Return the hashes of the texts that the body of a receipt refers to."""
    if not isinstance(body, Mapping):
        return set()  # Somebody changed it: the chain tells.
    messages, tools = body.get("messages"), body.get("tools")
    named = [*(messages if isinstance(messages, list) else ()), tools]
    return {key for key in named if isinstance(key, str) and len(key) == 32}


def receipts(database: Database) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield id and body of every receipt, in the order they came."""
    table, last = schema.decisions.c, -1
    while True:
        page = sa.select(table.seq, table.id, table.body).where(table.seq > last).order_by(table.seq)
        with database.read() as connection:
            rows = connection.execute(page.limit(_PAGE)).all()
        for row in rows:
            yield row.id, row.body
        if len(rows) < _PAGE:
            return
        last = rows[-1].seq


def _file(database: Database) -> Iterator[str]:
    if database.engine.dialect.name != "sqlite":
        return
    with database.read() as connection:
        for (told,) in connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST})"):
            if told != "ok":
                yield f"the file is damaged: {told}"


def _missing(database: Database, table: sa.Table, column: sa.Column[Any]) -> Iterator[str]:
    """Yield the ids of rows that name a decision that is not there."""
    decision = schema.decisions
    query = (
        sa.select(table.c.id)
        .outerjoin(decision, decision.c.id == column)
        .where(column.is_not(None), decision.c.id.is_(None))
        .limit(_MOST + 1)
    )
    with database.read() as connection:
        yield from connection.scalars(query)


def _ledger(database: Database) -> Iterator[str]:
    for id in _missing(database, schema.ledger, schema.ledger.c.decision_id):
        yield f"ledger row {id} is of a decision that is not there"


def _feedback(database: Database) -> Iterator[str]:
    for id in _missing(database, schema.feedback, schema.feedback.c.decision_id):
        yield f"feedback {id} is about a decision that is not there"


def _receipts(database: Database) -> Iterator[str]:
    known = _hashes(database)
    for id, body in receipts(database):
        if lost := sorted(texts_of_receipt(body) - known):
            yield f"receipt {id} refers to {len(lost)} texts that are not there ({lost[0]})"


def _hashes(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(sa.select(schema.texts.c.hash)))


def _texts(database: Database) -> Iterator[str]:
    table, last = schema.texts.c, ""
    while True:
        with database.read() as connection:
            page = sa.select(table.hash, table.body).where(table.hash > last).order_by(table.hash)
            rows = connection.execute(page.limit(_PAGE)).all()
        for key, body in rows:
            if text_hash(body) != key:
                yield f"text {key} is not what its hash says"
        if len(rows) < _PAGE:
            return
        last = rows[-1].hash


def _trajectories(store: Store) -> Iterator[str]:
    for tenant in sorted({tenant for tenant, _ in store.families()}):
        hashes = {row.id: row.content_hash for row in store.listing(tenant=tenant)}
        for trajectory in store.trajectories(tenant=tenant):
            if trajectory.content_hash() != hashes.get(trajectory.id, trajectory.content_hash()):
                yield f"trajectory {trajectory.id} is not what its hash says"
