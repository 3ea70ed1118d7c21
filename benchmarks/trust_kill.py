"""Rounds of kill -9 in the middle of mixed writes: what was acknowledged and is not found.

On SQLite, and on PostgreSQL where `ICD_TEST_POSTGRES` names a server.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "memory"))

from conftest import postgres_schema
from kill_rounds import run

QUICK, FULL = 6, 300


def figures(quick: bool) -> dict[str, float | int]:
    """Return the figures of `benchmarks/trust.py`."""
    rounds = lost = torn = acknowledged = 0
    with _places() as places:
        for place in places:
            found = run(place, QUICK if quick else FULL)
            rounds += found.rounds
            lost += len(found.lost)
            torn += len(found.torn)
            acknowledged += len(found.acknowledged)
    return {
        "kill_rounds": rounds,
        "acknowledged": acknowledged,
        "lost_acknowledged": lost,
        "torn_writes": torn,
    }


@contextmanager
def _places() -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        places = [str(Path(folder) / "store.db")]
        if "ICD_TEST_POSTGRES" in os.environ:
            schema = postgres_schema(os.environ["ICD_TEST_POSTGRES"])
            places.append(next(schema))
            yield places
            next(schema, None)
        else:
            yield places


if __name__ == "__main__":
    print(figures("--quick" in sys.argv))
