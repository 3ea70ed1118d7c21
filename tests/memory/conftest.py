"""A store in each database that is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from icd_memory.store import Store


def database_urls() -> list[object]:
    """SQLite always; PostgreSQL where a test server is named."""
    missing = pytest.mark.skipif(
        "ICD_TEST_POSTGRES" not in os.environ, reason="ICD_TEST_POSTGRES names no server"
    )
    return ["sqlite", "memory", pytest.param("postgresql", marks=[pytest.mark.postgres, missing])]


@pytest.fixture(params=database_urls())
def store_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a fresh store can be opened."""
    if request.param == "sqlite":
        yield str(tmp_path / "store.db")
    elif request.param == "memory":
        yield ":memory:"
    else:
        yield from postgres_schema(os.environ["ICD_TEST_POSTGRES"])


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


@pytest.fixture
def store(store_place: str) -> Iterator[Store]:
    """An open, empty store."""
    with Store.open(store_place) as opened:
        yield opened


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    """An open, empty store in a file."""
    with Store.open(tmp_path / "file.db") as opened:
        yield opened
