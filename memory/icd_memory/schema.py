"""The store's tables as they are now. `icd_memory.migrations` says how they came to be; a test compares.

Every text that people or models wrote is kept as a JSON string: unpaired surrogates and NUL characters
survive in SQLite and in PostgreSQL alike, and the database stays readable. Times are ISO strings, exact with
their offset.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa


class JsonText(sa.types.TypeDecorator[Any]):
    """A JSON value in a text column, exact for any Python string."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Encode."""
        return None if value is None else dump_json(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Decode."""
        return None if value is None else json.loads(value)


def dump_json(value: Any) -> str:
    """Return `value` as JSON, readable where that is possible, escaped where the text isn't valid Unicode."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


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
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("config", JsonText, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
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
    sa.Column("created_at", sa.Text, nullable=False),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("episode_id", sa.Text, nullable=False, index=True),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("body", JsonText, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
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
