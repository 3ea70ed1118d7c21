"""The source of truth: trajectories, runs, episodes, decisions, ledger and cached vectors in SQL.

Every write is durable when the call returns (inside `Store.transaction`: when the block ends) and is
idempotent: the same id twice is stored once. Knows nothing of search; an index is a cache that is rebuilt
from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from icd_memory import schema
from icd_memory.accounts import Accounts
from icd_memory.artifacts import Artifacts
from icd_memory.bulk import BulkTrajectories
from icd_memory.chain import ReceiptChain
from icd_memory.codec import trajectory_from_json, trajectory_to_json
from icd_memory.curation import Curation
from icd_memory.database import Database
from icd_memory.errors import StoreCorruptError, TrajectoryNotFoundError
from icd_memory.fact_sources import FactSources
from icd_memory.facts import FactTables
from icd_memory.figures import Figures
from icd_memory.links import DIGESTED
from icd_memory.migrations import MIGRATIONS
from icd_memory.records import Inserter, Records, upsert
from icd_memory.reservations import Reservations
from icd_memory.rows import (
    AdmissionRow,
    Batch,
    DecisionRow,
    EpisodeRow,
    FeedbackRow,
    LedgerRow,
    RunRow,
    Status,
    StoreStats,
    ThreadStep,
)
from icd_memory.source_trust import SourceTrust
from icd_memory.strategy_store import StrategyTables
from icd_memory.tenant_rows import TenantRows
from icd_memory.trajectory import Trajectory
from icd_memory.watched import Watched

Vector = npt.NDArray[np.float32]
_PAGE = 200
_IN_LIST = 500
"""Values in one SQL `IN (...)`: SQLite allows a limited number of variables."""


class Stored(NamedTuple):
    """Identity and contents of a stored trajectory, without reading it."""

    id: str
    content_hash: str


def text_hash(text: str) -> str:
    """Return the key of a text in the store: 128 bits of its sha256, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _by(column: sa.Column[str], *others: sa.Column[Any]) -> sa.Select[Any]:
    """Return the query for the rows with these keys. Made once: making it takes longer than running it."""
    return sa.select(column, *others).where(column.in_(sa.bindparam("keys", expanding=True)))


_TRAJECTORIES_BY_ID = _by(schema.trajectories.c.id, schema.trajectories.c.body)
_TEXTS_BY_HASH = _by(schema.texts.c.hash, schema.texts.c.body)
_VECTORS_BY_HASH = _by(schema.vectors.c.hash, schema.vectors.c.data).where(
    schema.vectors.c.embedder == sa.bindparam("embedder")
)
_DECISIONS_IN_THREAD = (
    sa.select(schema.decisions.c.episode_id, schema.decisions.c.step)
    .where(
        schema.decisions.c.tenant == sa.bindparam("tenant"),
        schema.decisions.c.thread == sa.bindparam("thread"),
    )
    .order_by(schema.decisions.c.seq)
)
_DIGESTED = attrgetter(*DIGESTED)
_TRAJECTORY = (
    "id",
    "tenant",
    "environment",
    "split",
    "source",
    "status",
    "reason",
    "content_hash",
    "body",
)


class Store:
    """A store, shared by the threads of a process; several processes may open the same one."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._trajectories = Inserter(database, schema.trajectories, _TRAJECTORY)
        self._texts = Inserter(database, schema.texts, ("hash", "body"), key=("hash",))
        self._vectors = Inserter(
            database, schema.vectors, ("embedder", "hash", "data"), key=("embedder", "hash")
        )
        self._runs = Records(database, schema.runs, RunRow)
        self._episodes = Records(database, schema.episodes, EpisodeRow)
        self._decisions = Records(database, schema.decisions, DecisionRow)
        self._receipts = Inserter(database, schema.decisions, DIGESTED)
        self._ledger = Records(database, schema.ledger, LedgerRow)
        self._feedback = Records(database, schema.feedback, FeedbackRow, key=("tenant", "id"))
        self.accounts = Accounts(database)
        self.artifacts = Artifacts(database)
        self.bulk = BulkTrajectories(database)
        self.chain = ReceiptChain(database)
        self.facts = FactTables(database)
        self.fact_sources = FactSources(database)
        self.figures = Figures(database)
        self.curation = Curation(database)
        self.reservations = Reservations(database, self.accounts)
        self.strategies = StrategyTables(database)
        self.trust = SourceTrust(database)
        self.watched = Watched(database)

    @classmethod
    def open(cls, url_or_path: str | Path, *, lock_timeout_s: float = 30.0) -> Self:
        """Open the store at a file path (made when missing), ``:memory:``, or a SQLite or PostgreSQL URL.

        Raises a MemoryStoreError that says what to do.
        """
        return cls(Database.open(url_or_path, lock_timeout_s))

    @property
    def place(self) -> str:
        """Where the store is: its path, or its URL without the password."""
        return self._db.place

    @property
    def on_server(self) -> bool:
        """Whether other machines can open it too: it is not a file of this one."""
        return self._db.engine.dialect.name != "sqlite"

    def of(self, tenant: str) -> TenantRows:
        """Return what this tenant may see."""
        return TenantRows(self._db, tenant, self._decisions, self._ledger, self._feedback)

    def hold(self, name: str) -> AbstractContextManager[bool]:
        """Hold the lock of this name while entered; gives False if another process does. Only where `on_server`."""
        return self._db.hold(name)

    def close(self) -> None:
        """Close the store's connections."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the writes of this block, by this thread, one: all are durable at its end, or none is stored.

        Other threads' writes wait meanwhile, so do slow work before. Don't await inside.
        """
        with self._db.write():
            yield

    # Trajectories

    def add_trajectory(
        self,
        t: Trajectory,
        *,
        status: Literal["demonstration", "quarantine", "rejected"],
        reason: str = "",
    ) -> bool:
        """Store a trajectory; return False, and change nothing, if its id is there already."""
        family = (t.id, t.tenant, t.environment, t.split, t.provenance.source)
        row = (*family, status, reason, t.content_hash(), trajectory_to_json(t))
        return self._trajectories.add([row]) == 1

    def trajectory(self, id: str) -> Trajectory:
        """Return a trajectory. Raises TrajectoryNotFoundError."""
        found = self.trajectories_by_id([id])
        if id not in found:
            raise TrajectoryNotFoundError(f"no trajectory {id!r} in {self.place}")
        return found[id]

    def trajectories_by_id(self, ids: Iterable[str]) -> dict[str, Trajectory]:
        """Return those of the trajectories that are there, whatever their status."""
        rows = self._by_key(_TRAJECTORIES_BY_ID, ids)
        return {row.id: _decoded(row.body) for row in rows}

    def trajectories(
        self,
        *,
        tenant: str = "default",
        environment: str | None = None,
        status: Status | None = None,
        source: str | None = None,
        split: str | None = None,
    ) -> Iterator[Trajectory]:
        """Yield the tenant's trajectories in the order they came, narrowed as asked; None means any."""
        table = schema.trajectories.c
        narrowed = _narrowed(
            schema.trajectories,
            tenant=tenant,
            environment=environment,
            status=status,
            source=source,
            split=split,
        )
        last = -1
        while True:
            # By key, and no connection held between pages: writers never wait for a slow reader.
            page = (
                sa.select(table.seq, table.body)
                .where(table.seq > last, *narrowed)
                .order_by(table.seq)
                .limit(_PAGE)
            )
            with self._db.read() as connection:
                rows = connection.execute(page).all()
            for _, body in rows:
                yield _decoded(body)
            if len(rows) < _PAGE:
                return
            last = rows[-1].seq

    def listing(
        self,
        *,
        tenant: str = "default",
        environment: str | None = None,
        status: Status | None = None,
        source: str | None = None,
    ) -> list[Stored]:
        """Return id and content hash of each trajectory in the order they came, without reading steps."""
        table = schema.trajectories.c
        narrowed = _narrowed(
            schema.trajectories, tenant=tenant, environment=environment, status=status, source=source
        )
        query = sa.select(table.id, table.content_hash).where(*narrowed).order_by(table.seq)
        with self._db.read() as connection:
            return [Stored(*row) for row in connection.execute(query)]

    def sources(
        self, *, tenant: str = "default", environment: str | None = None, status: Status | None = None
    ) -> list[str]:
        """Return the sources that the tenant's trajectories come from, in alphabetical order."""
        table = schema.trajectories.c
        narrowed = _narrowed(schema.trajectories, tenant=tenant, environment=environment, status=status)
        query = sa.select(table.source).where(*narrowed).distinct().order_by(table.source)
        with self._db.read() as connection:
            return list(connection.scalars(query))

    def families(self) -> list[tuple[str, str]]:
        """Return the pairs of tenant and environment that have trajectories."""
        table = schema.trajectories.c
        query = (
            sa.select(table.tenant, table.environment).distinct().order_by(table.tenant, table.environment)
        )
        with self._db.read() as connection:
            return [(tenant, environment) for tenant, environment in connection.execute(query)]

    def admission(self, id: str) -> AdmissionRow:
        """Return where a trajectory stands, and why. Raises TrajectoryNotFoundError."""
        table = schema.trajectories.c
        query = sa.select(table.id, table.status, table.reason, table.content_hash).where(table.id == id)
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise TrajectoryNotFoundError(f"no trajectory {id!r} in {self.place}")
        return AdmissionRow(*row)

    def with_content(self, content_hash: str, *, tenant: str = "default") -> list[AdmissionRow]:
        """Return where the tenant's trajectories of these contents stand."""
        table = schema.trajectories.c
        query = (
            sa.select(table.id, table.status, table.reason, table.content_hash)
            .where(table.content_hash == content_hash, table.tenant == tenant)
            .order_by(table.seq)
        )
        with self._db.read() as connection:
            return [AdmissionRow(*row) for row in connection.execute(query)]

    def set_status(self, id: str, status: Status, reason: str) -> None:
        """Change where a trajectory stands. Raises TrajectoryNotFoundError."""
        table = schema.trajectories
        change = table.update().where(table.c.id == id).values(status=status, reason=reason)
        with self._db.write() as connection:
            if connection.execute(change).rowcount == 0:
                raise TrajectoryNotFoundError(f"no trajectory {id!r} in {self.place}")

    # Runs, episodes, decisions, ledger, feedback

    def add_run(self, row: RunRow) -> bool:
        """Store a run; return False if its id is there already."""
        return self._runs.add([row]) == 1

    def run(self, id: str) -> RunRow | None:
        """Return a run, or None."""
        return self._runs.one(schema.runs.c.id == id)

    def runs(self) -> list[RunRow]:
        """Return all runs in the order they came."""
        return self._runs.find()

    def add_episode(self, row: EpisodeRow) -> bool:
        """Store an episode, in place of one of this id that is not `done`; return False if that is `done`."""
        return self._episodes.put(row, where=schema.episodes.c.status != "done")

    def episodes(self, run_id: str) -> list[EpisodeRow]:
        """Return a run's episodes in the order they came."""
        return self._episodes.find(schema.episodes.c.run_id == run_id)

    def add_decision(self, row: DecisionRow) -> bool:
        """Store a receipt; return False if its id is there already."""
        return self._add_decisions([row]) == 1

    def decision(self, id: str) -> DecisionRow | None:
        """Return a receipt, or None."""
        return self._decisions.one(schema.decisions.c.id == id)

    def decisions(self, episode_id: str) -> list[DecisionRow]:
        """Return an episode's receipts by step."""
        table = schema.decisions.c
        return self._decisions.find(table.episode_id == episode_id, order=(table.step, table.seq))

    def decisions_in_thread(self, tenant: str, thread: str) -> list[ThreadStep]:
        """Return where the tenant's decisions that ended in this conversation stand, in the order they came."""
        with self._db.read() as connection:
            found = connection.execute(_DECISIONS_IN_THREAD, {"tenant": tenant, "thread": thread})
            return [ThreadStep(*row) for row in found]

    def add_ledger(self, rows: Iterable[LedgerRow]) -> int:
        """Store ledger rows together; return how many were new."""
        return self._ledger.add(rows)

    def ledger(self, run_id: str | None = None, episode_id: str | None = None) -> list[LedgerRow]:
        """Return the ledger rows of a run, of an episode, or all."""
        wanted = _narrowed(schema.ledger, run_id=run_id, episode_id=episode_id)
        return self._ledger.find(*wanted)

    def add_batch(self, batch: Batch) -> None:
        """Store all that is new of a batch in one transaction."""
        with self.transaction():
            # In the same order everywhere, so that two servers don't wait for each other's texts.
            self._texts.add(sorted(batch.texts.items()))
            self._add_decisions(batch.decisions)
            self._ledger.add(batch.ledger)
            self.reservations.release(batch.released)
            # Who was cancelled while it waited for a hold has let it go already.
            self.reservations.add([hold for hold in batch.holds if hold.id not in batch.released])

    def _add_decisions(self, rows: Sequence[DecisionRow]) -> int:
        """Store receipts and append those that are new to their tenants' chains; return how many were new."""
        encoded = [self._receipts.encoded(_DIGESTED(row)) for row in rows]
        if not encoded:
            return 0
        with self.transaction():
            new = self._receipts.add_encoded(encoded)
            self.chain.append(encoded if new == len(encoded) else self.chain.unchained(encoded))
        return new

    def add_feedback(self, row: FeedbackRow) -> bool:
        """Store feedback; return False, and change nothing, if the tenant gave one of this id before."""
        return self._feedback.add([row]) == 1

    def feedback(self, tenant: str, episode_id: str) -> list[FeedbackRow]:
        """Return what was said about an episode of a tenant, in the order it came."""
        wanted = _narrowed(schema.feedback, tenant=tenant, episode_id=episode_id)
        return self._feedback.find(*wanted)

    def remove_trajectories_of(self, tenant: str, task_id: str) -> int:
        """Remove the tenant's trajectories of a task, such as an episode of live traffic; return how many there were."""
        found = [t.id for t in self.trajectories(tenant=tenant) if t.task_id == task_id]
        with self._db.write() as connection:
            for id in found:
                connection.execute(schema.trajectories.delete().where(schema.trajectories.c.id == id))
        return len(found)

    # Texts and vectors

    def add_texts(self, texts: Iterable[str]) -> list[str]:
        """Store texts once each by content; return their hashes in order, for bodies to refer to."""
        keyed = [(text_hash(text), text) for text in texts]
        self._texts.add(dict(keyed).items())
        return [key for key, _ in keyed]

    def texts(self, hashes: Iterable[str]) -> dict[str, str]:
        """Return those of the texts that are there, by hash."""
        rows = self._by_key(_TEXTS_BY_HASH, hashes)
        return {row.hash: row.body for row in rows}

    def vectors(self, embedder_id: str, hashes: Iterable[str]) -> dict[str, Vector]:
        """Return those of the embedder's vectors that are there, by text hash, as float32."""
        found = self._by_key(_VECTORS_BY_HASH, hashes, embedder=embedder_id)
        return {row.hash: np.frombuffer(row.data, dtype="<f2").astype(np.float32) for row in found}

    def add_vectors(self, embedder_id: str, vectors: dict[str, Vector]) -> int:
        """Store vectors by text hash, rounded to float16; return how many were new."""
        # In the same order everywhere, so that two processes don't wait for each other's.
        return self._vectors.add(
            (embedder_id, key, vectors[key].astype("<f2").tobytes()) for key in sorted(vectors)
        )

    # The store itself

    def note(self, name: str) -> str | None:
        """Return a note about the store itself, such as ``embedder``; None if there is none."""
        table = schema.meta.c
        with self._db.read() as connection:
            return connection.scalar(sa.select(table.value).where(table.name == name))

    def notes(self, beginning: str) -> list[str]:
        """Return the names of the notes that begin so."""
        names = sa.select(schema.meta.c.name).where(schema.meta.c.name.startswith(beginning, autoescape=True))
        with self._db.read() as connection:
            return list(connection.scalars(names.order_by(schema.meta.c.name)))

    def set_note(self, name: str, value: str) -> None:
        """Write a note about the store itself."""
        upsert(self._db, schema.meta, {"name": name, "value": value}, key=("name",))

    def stats(self) -> StoreStats:
        """Return how much the store holds."""
        trajectories, vectors = schema.trajectories.c, schema.vectors.c
        by_status = sa.select(trajectories.status, sa.func.count()).group_by(trajectories.status)
        by_embedder = sa.select(vectors.embedder, sa.func.count()).group_by(vectors.embedder)
        with self._db.read() as connection:

            def count(table: sa.Table) -> int:
                return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0

            statuses: dict[Status, int] = {"demonstration": 0, "quarantine": 0, "rejected": 0, "disabled": 0}
            statuses.update({status: number for status, number in connection.execute(by_status)})
            return StoreStats(
                trajectories=statuses,
                runs=count(schema.runs),
                episodes=count(schema.episodes),
                decisions=count(schema.decisions),
                ledger_rows=count(schema.ledger),
                texts=count(schema.texts),
                vectors={embedder: number for embedder, number in connection.execute(by_embedder)},
                schema=MIGRATIONS[-1].__name__,
                embedder=self.note("embedder"),
            )

    def _by_key(self, query: sa.Select[Any], keys: Iterable[str], **others: str) -> list[sa.Row[Any]]:
        wanted = list(dict.fromkeys(keys))
        rows: list[sa.Row[Any]] = []
        with self._db.read() as connection:
            for start in range(0, len(wanted), _IN_LIST):
                part = {"keys": wanted[start : start + _IN_LIST], **others}
                rows.extend(connection.execute(query, part))
        return rows


def _decoded(body: Any) -> Trajectory:
    try:
        return trajectory_from_json(body)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreCorruptError(f"a stored trajectory is damaged ({error!r}): restore a backup") from error


def _narrowed(table: sa.Table, **wanted: str | None) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in wanted.items() if value is not None]
