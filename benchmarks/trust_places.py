"""The databases that trust is measured on: SQLite, and PostgreSQL where `ICD_TEST_POSTGRES` names a server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "memory"))

from postgres_schemas import postgres_schema


@contextmanager
def places(folder: Path) -> Iterator[dict[str, str]]:
    """Give an empty store's place in each, by the database's name."""
    found = {"SQLite": str(folder / "shared.db")}
    if "ICD_TEST_POSTGRES" not in os.environ:
        yield found
        return
    schema = postgres_schema(os.environ["ICD_TEST_POSTGRES"])
    try:
        yield {**found, "PostgreSQL": next(schema)}
    finally:
        next(schema, None)
