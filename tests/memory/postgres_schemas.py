"""Empty schemas of a PostgreSQL server that the tests may use."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import sqlalchemy as sa


def postgres_schema(url: str) -> Iterator[str]:
    """An empty schema of the test server, dropped afterwards."""
    name = f"icd_{uuid4().hex[:12]}"
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    yield (
        sa.make_url(url)
        .update_query_dict({"options": f"-csearch_path={name}"})
        .render_as_string(hide_password=False)
    )
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()
