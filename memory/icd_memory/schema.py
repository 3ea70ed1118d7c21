"""The store's tables as they are now. `icd_memory.migrations` says how they came to be; a test compares.

Every text that people or models wrote is kept as a JSON string: unpaired surrogates and NUL characters
survive in SQLite and in PostgreSQL alike, and the database stays readable. Times are ISO strings, exact with
their offset.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_json

from icd_memory.errors import StoreCorruptError


class JsonText(sa.types.TypeDecorator[Any]):
    """A JSON value in a text column, exact for any Python string."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Encode."""
        return None if value is None else dump_json(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Decode. Raises StoreCorruptError."""
        try:
            return None if value is None else json.loads(value)
        except (ValueError, RecursionError) as error:
            raise StoreCorruptError(f"a row of the store is damaged ({error}): restore a backup") from error


class Moment(sa.types.TypeDecorator[datetime]):
    """A time in a text column, exact with its offset or the lack of one."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        """Encode."""
        return None if value is None else value.isoformat()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        """Decode. Raises StoreCorruptError."""
        try:
            return None if value is None else datetime.fromisoformat(value)
        except ValueError as error:
            raise StoreCorruptError(f"a row of the store is damaged ({error}): restore a backup") from error


_ESCAPED = json.JSONEncoder(separators=(",", ":"))


def dump_json(value: Any) -> str:
    """Return `value` as JSON, readable where that is possible, escaped where the text isn't valid Unicode."""
    try:
        return to_json(value).decode()
    except ValueError:  # Unpaired surrogates, or nested too deeply for it.
        return _ESCAPED.encode(value)


metadata = sa.MetaData()

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

trajectories = sa.Table(
    "trajectories",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("split", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("body", JsonText, nullable=False),
    sa.Index("trajectories_by_family", "tenant", "environment", "status", "seq"),
    sa.Index("trajectories_by_source", "source"),
    sa.Index("trajectories_by_content", "content_hash"),
    sa.Index("trajectories_by_status", "tenant", "status", "seq"),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("config", JsonText, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

episodes = sa.Table(
    "episodes",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("task_id", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("outcome", JsonText),
    sa.Column("created_at", Moment, nullable=False),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("episode_id", sa.Text, nullable=False, index=True),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("body", JsonText, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False, server_default="default"),
    sa.Column("thread", sa.Text, nullable=False, server_default=""),
    sa.Index("decisions_by_thread", "tenant", "thread"),
)

receipt_chain = sa.Table(
    "receipt_chain",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("receipt_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("link", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Index("receipt_chain_by_receipt", "receipt_id", "kind", unique=True),
    sqlite_with_rowid=False,
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("episode_id", sa.Text, index=True),
    sa.Column("decision_id", sa.Text),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("price", JsonText, nullable=False),
    sa.Column("cost", sa.Double, nullable=False),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("estimated", sa.Boolean, nullable=False),
    sa.Column("counterfactual", sa.Boolean, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False, server_default="default"),
    sa.Column("account", sa.Text, nullable=False, server_default=""),
    sa.Index("ledger_by_account", "account", "counterfactual", "cost"),
    sa.Index("ledger_by_tenant", "tenant", "counterfactual", "run_id", "id", "cost"),
)

reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("payer", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("units", sa.BigInteger, nullable=False),
    sa.Index("reservations_by_id", "id"),
)

texts = sa.Table(
    "texts",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("body", JsonText, nullable=False),
)

vectors = sa.Table(
    "vectors",
    metadata,
    sa.Column("embedder", sa.Text, primary_key=True),
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("name", JsonText, nullable=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("requests_per_minute", sa.Integer),
    sa.Column("budget", sa.Double),
    sa.Column("revoked_at", Moment),
)

tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("policy", sa.Text),
    sa.Column("changed_at", Moment, nullable=False),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("episode_id", sa.Text, nullable=False),
    sa.Column("decision_id", sa.Text),
    sa.Column("success", sa.Boolean),
    sa.Column("score", sa.Double),
    sa.Column("comment", JsonText, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    # Ids are the client's own: one tenant's must not stand in another's way.
    sa.UniqueConstraint("tenant", "id"),
    sa.Index("feedback_by_episode", "tenant", "episode_id"),
)

strategies = sa.Table(
    "strategies",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("reason", JsonText, nullable=False),
    sa.Column("merged_into", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.UniqueConstraint("tenant", "id"),
    sa.Index("strategies_by_family", "tenant", "environment", "status", "seq"),
    sa.Index("strategies_by_merge", "tenant", "merged_into"),
)

strategy_versions = sa.Table(
    "strategy_versions",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("strategy_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("body", JsonText, nullable=False),
)

strategy_changes = sa.Table(
    "strategy_changes",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("strategy_id", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("author", JsonText, nullable=False),
    sa.Column("why", JsonText, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.UniqueConstraint("tenant", "strategy_id", "number"),
)

strategy_uses = sa.Table(
    "strategy_uses",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("strategy_id", sa.Text, nullable=False),
    sa.Column("episode_id", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("shown", sa.Boolean, nullable=False),
    sa.Column("similarity", sa.Double),
    sa.Column("success", sa.Boolean),
    sa.Column("score", sa.Double),
    sa.Column("verdict", sa.Text),
    sa.Column("at", Moment, nullable=False),
    sa.UniqueConstraint("tenant", "strategy_id", "episode_id"),
    # All that the sums need: no row has to be read.
    sa.Index("strategy_uses_by_end", "tenant", "strategy_id", "shown", "success", "score", "verdict"),
)

strategy_tests = sa.Table(
    "strategy_tests",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("strategy_id", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", JsonText, nullable=False),
    sa.UniqueConstraint("tenant", "id"),
    sa.Index("strategy_tests_by_strategy", "tenant", "strategy_id"),
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", JsonText, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index("artifacts_by_kind", "kind", "seq"),
)

watched = sa.Table(
    "watched",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("environment", JsonText, primary_key=True),
    sa.Column("category", JsonText, primary_key=True),
    sa.Column("measure", sa.Text, primary_key=True),
    sa.Column("under", JsonText, primary_key=True),
    sa.Column("state", JsonText, nullable=False),
    sa.Column("alarm", JsonText),
    sa.Column("changed_at", Moment, nullable=False),
)

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
)

episode_facts = sa.Table(
    "episode_facts",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("episode_id", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("category", JsonText, nullable=False),
    sa.Column("day", sa.Text, nullable=False),
    sa.Column("goal", JsonText, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("success", sa.Boolean),
    sa.Column("score", sa.Double),
    sa.Column("steps", sa.Integer, nullable=False),
    sa.Column("student_steps", sa.Integer, nullable=False),
    sa.Column("teacher_steps", sa.Integer, nullable=False),
    sa.Column("cost", sa.Double, nullable=False),
    sa.Column("teacher_calls", sa.Integer, nullable=False),
    sa.Column("teacher_cost", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("began", Moment, nullable=False),
    sa.UniqueConstraint("tenant", "episode_id"),
    sa.Index("episode_facts_by_seq", "tenant", "seq"),
    sa.Index("episode_facts_by_run", "tenant", "run_id", "method", "seq"),
    sa.Index("episode_facts_by_category", "tenant", "category", "seq"),
    sa.Index("episode_facts_by_success", "tenant", "success", "seq"),
    sa.Index("episode_facts_by_status", "status"),
)

_SUMS = (
    "episodes", "judged", "won", "steps", "student_steps", "teacher_steps", "teacher_calls",
)  # fmt: skip
_MOMENTS = (
    "cost", "teacher_cost", "cost_squared", "steps_squared", "steps_cost", "calls_squared", "teacher_cost_squared",
    "calls_teacher_cost",
)  # fmt: skip

episode_totals = sa.Table(
    "episode_totals",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("category", JsonText, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS),
    *(sa.Column(name, sa.Double, nullable=False) for name in _MOMENTS),
)

demonstration_facts = sa.Table(
    "demonstration_facts",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("trajectory_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("category", JsonText, nullable=False),
    sa.Column("goal", JsonText, nullable=False),
    sa.Column("producer", JsonText, nullable=False),
    sa.Column("steps", sa.Integer, nullable=False),
    *(
        sa.Column(name, sa.Integer, nullable=False, server_default="0")
        for name in ("episodes", "judged", "won", "shown", "followed")
    ),
    sa.Index("demonstration_facts_by_seq", "tenant", "seq"),
    sa.Index("demonstration_facts_by_use", "tenant", "episodes", "seq"),
)

demonstration_uses = sa.Table(
    "demonstration_uses",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("trajectory_id", sa.Text, nullable=False),
    sa.Column("episode_id", sa.Text, nullable=False),
    sa.Column("shown", sa.Integer, nullable=False),
    sa.Column("followed", sa.Integer, nullable=False),
    sa.Column("similarity", sa.Double, nullable=False),
    sa.Column("success", sa.Boolean),
    sa.UniqueConstraint("tenant", "episode_id", "trajectory_id"),
    sa.Index("demonstration_uses_by_trajectory", "tenant", "trajectory_id", "seq"),
)
