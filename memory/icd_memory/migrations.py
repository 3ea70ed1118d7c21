"""How the store's tables came to be: numbered steps, only ever appended to.

Which of them a database has had is written in its table `migrations`, so opening a store twice, or from two
processes at once, runs each step once. A step uses no definition from `icd_memory.schema`, which shows only
the newest state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from icd_memory.errors import StoreVersionError
from icd_memory.links import digest_of, first_link, next_link

Migration = Callable[[sa.Connection], None]
_ADVISORY_LOCK = 4_203_412_025
"""Any number that others are unlikely to use: two processes that open a new PostgreSQL store take turns."""


def m001_first_tables(connection: sa.Connection) -> None:
    """Trajectories, runs, episodes, decisions, ledger, texts, vectors, meta."""
    made = sa.MetaData()

    def table(name: str, *parts: sa.Column[Any] | sa.Index) -> None:
        numbered = [sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True)]
        sa.Table(name, made, *numbered, sa.Column("id", sa.Text, nullable=False, unique=True), *parts)

    def text(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.Text, nullable=False) for name in names]

    def number(name: str, kind: type[sa.types.TypeEngine[Any]] = sa.BigInteger) -> sa.Column[Any]:
        return sa.Column(name, kind, nullable=False)

    family = ("tenant", "environment", "status", "seq")
    table(
        "trajectories",
        *text("tenant", "environment", "split", "source", "status", "reason", "content_hash", "body"),
        sa.Index("trajectories_by_family", *family),
        sa.Index("trajectories_by_source", "source"),
        sa.Index("trajectories_by_content", "content_hash"),
    )
    table("runs", *text("config", "created_at"))
    table(
        "episodes",
        *text("run_id", "task_id", "method"),
        number("seed"),
        *text("status"),
        sa.Column("outcome", sa.Text),
        *text("created_at"),
        sa.Index("ix_episodes_run_id", "run_id"),
    )
    table(
        "decisions",
        *text("episode_id"),
        number("step", sa.Integer),
        *text("body", "created_at"),
        sa.Index("ix_decisions_episode_id", "episode_id"),
    )
    table(
        "ledger",
        *text("run_id"),
        sa.Column("episode_id", sa.Text),
        sa.Column("decision_id", sa.Text),
        *text("role", "model"),
        *(number(name) for name in ("input_tokens", "cached_tokens", "output_tokens")),
        *text("price"),
        number("cost", sa.Double),
        number("requests", sa.Integer),
        number("estimated", sa.Boolean),
        number("counterfactual", sa.Boolean),
        sa.Index("ix_ledger_run_id", "run_id"),
        sa.Index("ix_ledger_episode_id", "episode_id"),
    )
    sa.Table("texts", made, sa.Column("hash", sa.Text, primary_key=True), *text("body"))
    sa.Table(
        "vectors",
        made,
        sa.Column("embedder", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    sa.Table("meta", made, sa.Column("name", sa.Text, primary_key=True), *text("value"))
    made.create_all(connection, checkfirst=False)


def m002_tenants_and_keys(connection: sa.Connection) -> None:
    """Who a decision and an amount belong to; keys, tenants, feedback."""
    for table, column, default in (
        ("decisions", "tenant", "default"),
        ("decisions", "thread", ""),
        ("ledger", "tenant", "default"),
        ("ledger", "account", ""),
    ):
        connection.execute(
            sa.text(f"ALTER TABLE {table} ADD COLUMN {column} TEXT NOT NULL DEFAULT '{default}'")
        )
    connection.execute(sa.text("CREATE INDEX decisions_by_thread ON decisions (tenant, thread)"))
    connection.execute(sa.text("CREATE INDEX ledger_by_account ON ledger (account, counterfactual, cost)"))

    made = sa.MetaData()

    def text(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.Text, nullable=nullable) for name in names]

    def seq() -> sa.Column[Any]:
        return sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True)

    sa.Table(
        "keys",
        made,
        seq(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        *text("tenant", "role", "name"),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        *text("created_at"),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("budget", sa.Double),
        *text("revoked_at", nullable=True),
    )
    sa.Table(
        "tenants",
        made,
        sa.Column("id", sa.Text, primary_key=True),
        *text("mode"),
        *text("policy", nullable=True),
        *text("changed_at"),
    )
    sa.Table(
        "feedback",
        made,
        seq(),
        *text("id", "tenant", "episode_id"),
        *text("decision_id", nullable=True),
        sa.Column("success", sa.Boolean),
        sa.Column("score", sa.Double),
        *text("comment", "account", "created_at"),
        sa.UniqueConstraint("tenant", "id"),
        sa.Index("feedback_by_episode", "tenant", "episode_id"),
    )
    made.create_all(connection, checkfirst=False)


def m003_strategies(connection: sa.Connection) -> None:
    """Strategies, what their versions said, their history, uses and tests."""
    made = sa.MetaData()

    def text(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.Text, nullable=nullable) for name in names]

    def number(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.Integer, nullable=False) for name in names]

    def seq() -> sa.Column[Any]:
        return sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True)

    sa.Table(
        "strategies",
        made,
        seq(),
        *text("tenant", "id", "environment", "status"),
        *number("version", "revision"),
        *text("reason"),
        *text("merged_into", nullable=True),
        *text("created_at"),
        sa.UniqueConstraint("tenant", "id"),
        sa.Index("strategies_by_family", "tenant", "environment", "status", "seq"),
        sa.Index("strategies_by_merge", "tenant", "merged_into"),
    )
    sa.Table(
        "strategy_versions",
        made,
        *text("tenant", "strategy_id"),
        *number("version"),
        *text("body"),
        sa.PrimaryKeyConstraint("tenant", "strategy_id", "version"),
    )
    sa.Table(
        "strategy_changes",
        made,
        seq(),
        *text("tenant", "strategy_id"),
        *number("number"),
        *text("action", "status"),
        *number("version"),
        *text("author", "why", "at"),
        sa.UniqueConstraint("tenant", "strategy_id", "number"),
    )
    sa.Table(
        "strategy_uses",
        made,
        seq(),
        *text("tenant", "strategy_id", "episode_id"),
        *number("version"),
        sa.Column("shown", sa.Boolean, nullable=False),
        sa.Column("similarity", sa.Double),
        sa.Column("success", sa.Boolean),
        sa.Column("score", sa.Double),
        *text("verdict", nullable=True),
        *text("at"),
        sa.UniqueConstraint("tenant", "strategy_id", "episode_id"),
    )
    sa.Table(
        "strategy_tests",
        made,
        seq(),
        *text("tenant", "id", "strategy_id"),
        *number("version"),
        *text("body"),
        sa.UniqueConstraint("tenant", "id"),
        sa.Index("strategy_tests_by_strategy", "tenant", "strategy_id"),
    )
    made.create_all(connection, checkfirst=False)


def m004_receipt_chain(connection: sa.Connection) -> None:
    """A chain of each tenant's receipts; those that are there already come first, in the order in which they came."""
    made = sa.MetaData()
    names = ("receipt_id", "kind", "digest", "link", "at")
    chain = sa.Table(
        "receipt_chain",
        made,
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in names),
        sa.Index("receipt_chain_by_receipt", "receipt_id", "kind", unique=True),
        sqlite_with_rowid=False,
    )
    made.create_all(connection, checkfirst=False)
    page = sa.text(
        "SELECT seq, id, episode_id, step, body, created_at, tenant, thread FROM decisions "
        "WHERE seq > :last ORDER BY seq LIMIT 500"
    )
    known: dict[str, tuple[int, str]] = {}
    last = -1
    while rows := connection.execute(page, {"last": last}).all():
        for row in rows:
            position, link = known.get(row.tenant, (0, first_link(row.tenant)))
            digest = digest_of(tuple(row)[1:])
            position, link = position + 1, next_link(link, position + 1, "receipt", row.id, digest)
            known[row.tenant] = position, link
            entry = (row.tenant, position, row.id, "receipt", digest, link, row.created_at)
            connection.execute(chain.insert().values(entry))
        last = rows[-1].seq


def m005_artifacts(connection: sa.Connection) -> None:
    """Data sets, students, and what was decided about them."""
    made = sa.MetaData()
    names = ("kind", "body", "created_at")
    sa.Table(
        "artifacts",
        made,
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in names),
        sa.Index("artifacts_by_kind", "kind", "seq"),
    )
    made.create_all(connection, checkfirst=False)


def m006_sources(connection: sa.Connection) -> None:
    """How far each tenant trusts each source of demonstrations."""
    made = sa.MetaData()
    sa.Table(
        "sources",
        made,
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("level", "reason", "changed_at")),
    )
    made.create_all(connection, checkfirst=False)


def m007_facts(connection: sa.Connection) -> None:
    """Figures of each episode and demonstration, derived from receipts and bills, for looking at many at once."""
    made = sa.MetaData()

    def columns(kind: type[sa.types.TypeEngine[Any]], *names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, kind, nullable=False) for name in names]

    def seq() -> sa.Column[Any]:
        return sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True)

    sa.Table(
        "episode_facts",
        made,
        seq(),
        *columns(sa.Text, "tenant", "episode_id", "run_id", "method", "category", "day", "goal", "status"),
        sa.Column("success", sa.Boolean),
        sa.Column("score", sa.Double),
        *columns(sa.Integer, "steps", "student_steps", "teacher_steps"),
        *columns(sa.Double, "cost"),
        *columns(sa.Integer, "teacher_calls"),
        *columns(sa.Double, "teacher_cost", "seconds"),
        *columns(sa.Text, "began"),
        sa.UniqueConstraint("tenant", "episode_id"),
        sa.Index("episode_facts_by_seq", "tenant", "seq"),
        sa.Index("episode_facts_by_run", "tenant", "run_id", "method", "seq"),
        sa.Index("episode_facts_by_category", "tenant", "category", "seq"),
        sa.Index("episode_facts_by_success", "tenant", "success", "seq"),
        sa.Index("episode_facts_by_status", "status"),
    )
    keys = ("tenant", "run_id", "method", "category", "day")
    counts = ("episodes", "judged", "won", "steps", "student_steps", "teacher_steps", "teacher_calls")
    sums = ("cost", "teacher_cost", "cost_squared", "steps_squared", "steps_cost", "calls_squared")
    sa.Table(
        "episode_totals",
        made,
        *columns(sa.Text, *keys),
        *columns(sa.BigInteger, *counts),
        *columns(sa.Double, *sums, "teacher_cost_squared", "calls_teacher_cost"),
        sa.PrimaryKeyConstraint(*keys),
    )
    used = ("episodes", "judged", "won", "shown", "followed")
    sa.Table(
        "demonstration_facts",
        made,
        *columns(sa.Text, "tenant", "trajectory_id"),
        *columns(sa.Integer, "seq"),
        *columns(sa.Text, "environment", "category", "goal", "producer"),
        *columns(sa.Integer, "steps"),
        *(sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in used),
        sa.PrimaryKeyConstraint("tenant", "trajectory_id"),
        sa.Index("demonstration_facts_by_seq", "tenant", "seq"),
        sa.Index("demonstration_facts_by_use", "tenant", "episodes", "seq"),
    )
    sa.Table(
        "demonstration_uses",
        made,
        seq(),
        *columns(sa.Text, "tenant", "trajectory_id", "episode_id"),
        *columns(sa.Integer, "shown", "followed"),
        *columns(sa.Double, "similarity"),
        sa.Column("success", sa.Boolean),
        sa.UniqueConstraint("tenant", "episode_id", "trajectory_id"),
        sa.Index("demonstration_uses_by_trajectory", "tenant", "trajectory_id", "seq"),
    )
    made.create_all(connection, checkfirst=False)


def m008_status_index(connection: sa.Connection) -> None:
    """What waits in quarantine is found among many."""
    connection.execute(sa.text("CREATE INDEX trajectories_by_status ON trajectories (tenant, status, seq)"))


def m009_watched(connection: sa.Connection) -> None:
    """Streams of values that are watched for drift, by tenant, environment, category, measure and policy."""
    made = sa.MetaData()
    sa.Table(
        "watched",
        made,
        *(
            sa.Column(name, sa.Text, primary_key=True)
            for name in ("tenant", "environment", "category", "measure", "under")
        ),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("alarm", sa.Text),
        sa.Column("changed_at", sa.Text, nullable=False),
    )
    made.create_all(connection, checkfirst=False)


def m010_reservations(connection: sa.Connection) -> None:
    """What is set aside for calls under way; and what a tenant has spent is summed without reading the ledger's rows."""
    made = sa.MetaData()
    sa.Table(
        "reservations",
        made,
        sa.Column("payer", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Index("reservations_by_id", "id"),
    )
    made.create_all(connection, checkfirst=False)
    columns = "tenant, counterfactual, run_id, id, cost"
    connection.execute(sa.text(f"CREATE INDEX ledger_by_tenant ON ledger ({columns})"))


def m011_strategy_sums(connection: sa.Connection) -> None:
    """What became of showing strategies is summed without reading the rows of their uses."""
    columns = "tenant, strategy_id, shown, success, score, verdict"
    connection.execute(sa.text(f"CREATE INDEX strategy_uses_by_end ON strategy_uses ({columns})"))


MIGRATIONS: tuple[Migration, ...] = (
    m001_first_tables,
    m002_tenants_and_keys,
    m003_strategies,
    m004_receipt_chain,
    m005_artifacts,
    m006_sources,
    m007_facts,
    m008_status_index,
    m009_watched,
    m010_reservations,
    m011_strategy_sums,
)

_applied = sa.Table("migrations", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True))


def migrate(connection: sa.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> list[str]:
    """Bring the database up to date inside the connection's transaction; return the names of what was done.

    Raises StoreVersionError when the database has steps that this version doesn't know.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    _applied.create(connection, checkfirst=True)
    done = set(connection.scalars(sa.select(_applied.c.name)))
    known = [migration.__name__ for migration in migrations]
    if unknown := sorted(done - set(known)):
        raise StoreVersionError(
            f"the store was made by a newer icd-runtime (it has {', '.join(unknown)}): "
            "upgrade icd-runtime, or use another store"
        )
    missing = [migration for migration in migrations if migration.__name__ not in done]
    for migration in missing:
        migration(connection)
        connection.execute(_applied.insert(), {"name": migration.__name__})
    return [migration.__name__ for migration in missing]
