"""Copies of a store, their return, and what removing leaves."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from samples import NOW, trajectory

from icd_memory.checks import check
from icd_memory.copies import back_up, restore
from icd_memory.database import Database
from icd_memory.errors import MemoryStoreError, StoreCorruptError, StoreLockedError
from icd_memory.rows import Batch, DecisionRow, FeedbackRow, LedgerRow
from icd_memory.store import Store, Vector, text_hash
from icd_memory.sweeping import Swept, sweep


def fill(store: Store, begin: int, end: int) -> None:
    for number in range(begin, end):
        body = {"messages": [text_hash(f"text {number}"), text_hash("shared")], "tools": None}
        store.add_batch(
            Batch(
                {text_hash(text): text for text in (f"text {number}", "shared")},
                [DecisionRow(f"d{number}", "e", number, body, NOW)],
                [LedgerRow(f"l{number}", "live", "student", "m", 1, 0, 1, 0.5, "e", f"d{number}")],
            )
        )
    store.add_trajectory(trajectory(f"t{begin}"), status="demonstration")


def problems(place: str | Path) -> tuple[str, ...]:
    database = Database.open(place)
    try:
        return check(Store(database), database).problems
    finally:
        database.close()


def test_a_store_is_copied_while_it_is_written(tmp_path: Path) -> None:
    path, stop = tmp_path / "store.db", threading.Event()
    with Store.open(path) as store:
        fill(store, 0, 20)

        def write() -> None:
            number = 20
            while not stop.is_set():
                fill(store, number, number + 1)
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(3):
                assert back_up(path, tmp_path / f"copy{number}.db") > 0
        finally:
            stop.set()
            writer.join()
    for number in range(3):
        copy = tmp_path / f"copy{number}.db"
        with Store.open(copy) as store:
            assert store.stats().decisions >= 20
        assert problems(copy) == ()


def test_a_copy_takes_a_name_only_when_told(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with Store.open(path) as store:
        fill(store, 0, 1)
    back_up(path, copy)
    with pytest.raises(MemoryStoreError, match="--overwrite"):
        back_up(path, copy)
    with pytest.raises(MemoryStoreError, match="--overwrite"):
        restore(copy, path)
    back_up(path, copy, overwrite=True)
    restore(copy, path, overwrite=True)
    restore(copy, tmp_path / "new" / "store.db")
    assert problems(path) == problems(tmp_path / "new" / "store.db") == ()
    assert not list(tmp_path.glob(".*"))


def test_a_restored_store_is_the_copied_one(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with Store.open(path) as store:
        fill(store, 0, 5)
        back_up(path, copy)
        fill(store, 5, 9)
        with pytest.raises(StoreLockedError, match="open in another process"):
            restore(copy, path, overwrite=True)
        assert store.stats().decisions == 9
    restore(copy, path, overwrite=True)
    with Store.open(path) as store:
        assert store.stats().decisions == 5
        fill(store, 5, 6)
    assert problems(path) == ()


def test_a_log_that_was_left_behind_is_not_applied_to_the_restored_store(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with Store.open(path) as store:
        fill(store, 0, 2)
    back_up(path, copy)
    code = (
        f"import os, sys; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
        "from test_store_copies import fill, Store\n"
        f"store = Store.open({str(path)!r}); fill(store, 2, 9); os.kill(os.getpid(), {signal.SIGKILL})"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert path.with_name("store.db-wal").stat().st_size > 0
    restore(copy, path, overwrite=True)
    with Store.open(path) as store:
        assert store.stats().decisions == 2
    assert problems(path) == ()


def test_a_damaged_copy_is_not_restored(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with Store.open(path) as store:
        fill(store, 0, 60)
    back_up(path, copy)
    whole = path.read_bytes()
    data = bytearray(copy.read_bytes())
    data[8192:16384] = os.urandom(8192)
    copy.write_bytes(data)
    for broken in (copy, tmp_path / "empty.db"):
        (tmp_path / "empty.db").write_bytes(b"")
        with pytest.raises(StoreCorruptError):
            restore(broken, path, overwrite=True)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(StoreCorruptError, match="no store of"):
        restore(tmp_path / "other.db", path, overwrite=True)
    assert path.read_bytes() == whole
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_store_can_be_replaced(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with Store.open(path) as store:
        fill(store, 0, 3)
    back_up(path, copy)
    path.write_bytes(b"not a database" * 1000)
    restore(copy, path, overwrite=True)
    assert problems(path) == ()


def test_a_server_is_copied_with_its_own_tools(tmp_path: Path) -> None:
    with pytest.raises(MemoryStoreError, match="pg_dump"):
        back_up("postgresql://user@host/name", tmp_path / "copy.db")
    with pytest.raises(MemoryStoreError, match="pg_restore"):
        restore(tmp_path / "copy.db", "postgresql+psycopg://user@host/name")


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "DELETE FROM texts WHERE hash = (SELECT min(hash) FROM texts)",
            "refers to 1 texts that are not there",
        ),
        ("UPDATE texts SET body = '\"lies\"'", "is not what its hash says"),
        ("UPDATE trajectories SET body = replace(body, 'thing', 'king')", "trajectory t0 is not what"),
        ("UPDATE ledger SET decision_id = 'x'", "is of a decision that is not there"),
        ("UPDATE feedback SET decision_id = 'x'", "feedback f is about a decision"),
        ("DELETE FROM decisions WHERE id = 'd1'", "receipt d1 is missing"),
    ],
)
def test_what_is_wrong_in_a_store_is_found(store_place: str, statement: str, told: str) -> None:
    if store_place == ":memory:":
        pytest.skip("another connection is used")
    with Store.open(store_place) as store:
        fill(store, 0, 40)
        store.add_feedback(FeedbackRow("f", "default", "e", "d0", True, None, "", "", NOW))
        assert problems(store_place) == ()
        with store._db.write() as connection:
            assert connection.exec_driver_sql(statement.replace("%", "%%")).rowcount > 0
    found = problems(store_place)
    assert any(told in problem for problem in found), found
    assert len(found) < 50


def test_sweeping_removes_what_nothing_refers_to(store_place: str) -> None:
    if store_place == ":memory:":
        pytest.skip("another connection is used")
    with Store.open(store_place) as store:
        fill(store, 0, 4)
        store.add_texts(["nobody's"])
        store.set_note("embedder", "mine")
        vector = trajectory_vector()
        store.add_vectors("mine", vector)
        store.add_vectors("another", vector)
        store.chain.erase("default", ["d0", "d1"], NOW.isoformat())
        with pytest.raises(StoreLockedError, match="stop servers"):
            sweep(store_place)
    assert sweep(store_place) == Swept(texts=3, vectors=1)
    assert sweep(store_place) == Swept(0, 0)
    assert problems(store_place) == ()
    with Store.open(store_place) as store:
        assert store.stats().texts == 3
        assert store.stats().vectors == {"mine": 1}
    if "://" not in store_place:
        left = b"".join(path.read_bytes() for path in Path(store_place).parent.glob("store.db*"))
        assert b"text 0" not in left
        assert b"text 2" in left


def trajectory_vector() -> dict[str, Vector]:
    return {text_hash("a"): np.zeros(4, dtype=np.float32)}
