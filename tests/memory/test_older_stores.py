"""Stores as every version left them, kept as SQL, are brought up to date with all that is in them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from icd_memory.checks import check
from icd_memory.database import Database
from icd_memory.migrations import MIGRATIONS
from icd_memory.rows import ArtifactRow, DecisionRow, LedgerRow
from icd_memory.store import Store

STORES = sorted(Path(__file__).with_name("stores").glob("*.sql"))


@pytest.mark.parametrize("dump", STORES, ids=lambda path: path.stem)
def test_a_store_of_each_version_is_brought_up_to_date(tmp_path: Path, dump: Path) -> None:
    place = tmp_path / "store.db"
    with closing(sqlite3.connect(place)) as connection:
        connection.executescript(dump.read_text())
    for _ in range(2):
        database = Database.open(place)
        store = Store(database)
        at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert store.decision("d") == DecisionRow("d", "e", 3, {"a": 1}, at)
        assert store.ledger() == [LedgerRow("l", "r", "student", "m", 1, 2, 3, 0.5, "e", "d")]
        assert store.note("embedder") == "hashing"
        assert store.stats().schema == MIGRATIONS[-1].__name__
        if dump.stem >= "m005":
            assert store.artifacts.one("set-1") == ArtifactRow("set-1", "dataset", {"rows": 2}, at)
        if dump.stem >= "m006":
            assert store.trust.levels("default") == {"run-1": "approved"}
        found = check(store, database)
        assert found.problems == ()
        assert found.chain.tenants[0].receipts == 1
        database.close()


def test_every_version_so_far_is_kept() -> None:
    """Add the dump of a migration when it is released."""
    kept = {path.stem for path in STORES}
    assert kept >= {migration.__name__ for migration in MIGRATIONS[:6]}
