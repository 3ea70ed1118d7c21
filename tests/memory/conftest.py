"""A store in each database that is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_schemas import postgres_schema

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
