"""Disks that are full, or cannot be written: typed errors, and nothing torn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from samples import NOW, trajectory

from icd_memory.checks import check
from icd_memory.database import Database
from icd_memory.errors import MemoryStoreError, StoreUnwritableError
from icd_memory.rows import Batch, DecisionRow, LedgerRow
from icd_memory.store import Store, text_hash

posix = pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX")

FILL = """
import resource, signal, sys
from test_disk import Store, write
from icd_memory.errors import MemoryStoreError
place, limit = sys.argv[1], int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Store.open(place) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    failed = number = 0
    while failed < 3:
        try:
            write(store, number)
            print(f"d{number}", flush=True)
        except MemoryStoreError as error:
            failed += 1
            print(f"error {error.code}", flush=True)
        number += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    write(store, number)
    print(f"d{number}", flush=True)
"""


def write(store: Store, number: int) -> None:
    text = f"{number} " * 20_000
    body = {"messages": [text_hash(text)]}
    decision = DecisionRow(f"d{number}", "e", number, body, NOW)
    bill = [LedgerRow(f"l{number}", "live", "s", "m", 1, 0, 1, 0.5, "e", f"d{number}")]
    store.add_batch(Batch({text_hash(text): text}, [decision], bill))


@posix
@pytest.mark.parametrize("limit", [300_000, 1_000_000, 6_000_000])
def test_a_disk_that_is_full(tmp_path: Path, limit: int) -> None:
    """No file may grow beyond a limit, which binds root too; in the end there is room again."""
    place = str(tmp_path / "store.db")
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", FILL, place, str(limit)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    errors = [line for line in lines if line.startswith("error")]
    assert len(errors) == 3
    assert all(line.startswith("error memory.store") for line in errors)
    database = Database.open(place)
    store = Store(database)
    stored = {row.id for row in store.decisions("e")}
    assert {line for line in lines if line.startswith("d")} == stored
    assert len(store.ledger()) == store.stats().texts == len(stored)
    assert check(store, database).problems == ()
    database.close()


def test_a_store_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    """As on a disk that is mounted read-only, which binds root too."""
    with Store.open(tmp_path / "store.db") as store:
        store.add_trajectory(trajectory(), status="demonstration")
        with store._db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(StoreUnwritableError):
            store.add_trajectory(trajectory("t2"), status="demonstration")
        assert [row.id for row in store.listing()] == ["t1"]


def test_a_damage_that_sqlite_repeats_in_its_message(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    Store.open(place).close()
    place.write_bytes(place.read_bytes().replace(b"CREATE TABLE", b"CR\xedATE TABLE"))
    with pytest.raises(MemoryStoreError), Store.open(place) as store:
        store.listing()


@pytest.mark.parametrize("harm", ["flipped", "truncated"])
def test_damaged_files_are_an_error_or_harmless(tmp_path: Path, harm: str) -> None:
    damaged(tmp_path, harm, 25)


@pytest.mark.long
@pytest.mark.parametrize("harm", ["flipped", "truncated"])
def test_many_damaged_files(tmp_path: Path, harm: str) -> None:
    damaged(tmp_path, harm, 5_000)


def damaged(folder: Path, harm: str, rounds: int) -> None:
    """Every read gives what was written, or a typed error: never another exception."""
    from random import Random

    place, random = folder / "store.db", Random(1)
    with Store.open(place) as store:
        for number in range(8):
            store.add_trajectory(trajectory(f"t{number}"), status="demonstration")
            store.add_decision(DecisionRow(f"d{number}", "e", number, {"a": "b" * 500}, NOW))
    whole = place.read_bytes()
    for _ in range(rounds):
        data = bytearray(whole)
        if harm == "flipped":
            for _ in range(random.randint(1, 8)):
                data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        else:
            del data[random.randrange(len(data)) :]
        place.write_bytes(data)
        try:
            database = Database.open(place)
        except MemoryStoreError:
            continue
        try:
            check(Store(database), database)
        except MemoryStoreError:
            pass
        finally:
            database.close()
            for ending in ("-wal", "-shm"):
                place.with_name(place.name + ending).unlink(missing_ok=True)
