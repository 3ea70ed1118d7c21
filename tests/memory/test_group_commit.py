"""Writes of many callers in one transaction."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NOW

from icd_memory import group_commit
from icd_memory.errors import MemoryStoreError, StoreClosedError, StoreLockedError
from icd_memory.group_commit import GroupCommit, Write
from icd_memory.rows import Batch, DecisionRow, LedgerRow
from icd_memory.store import Store, text_hash

WRITER = Path(__file__).with_name("group_writer.py")


class BadWriteError(Exception):
    """What a failing write raises."""


def good(caller: str, number: int) -> Write:
    id = f"{caller}-{number}"

    def write(batch: Batch) -> None:
        batch.texts[text_hash(id)] = id
        batch.decisions.append(DecisionRow(id, caller, number, {}, NOW))
        batch.ledger.append(LedgerRow(id, "r", "student", "m", 1, 0, 1, 0.5, caller, id))

    return write


def bad(caller: str, number: int) -> Write:
    def write(batch: Batch) -> None:
        good(caller, number)(batch)
        raise BadWriteError(f"{caller}-{number}")

    return write


class Gate:
    """Holds the writing thread, so that what is submitted meanwhile becomes one group."""

    def __init__(self, commit: GroupCommit) -> None:
        self._open, self._reached = threading.Event(), threading.Event()
        commit.submit(self._wait)
        assert self._reached.wait(10)

    def _wait(self, _: Batch) -> None:
        self._reached.set()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()


def test_what_waits_together_is_written_together(file_store: Store) -> None:
    gathered: list[int] = []
    with GroupCommit(file_store) as commit:
        gate = Gate(commit)
        done = [commit.submit(good("a", number)) for number in range(5)]
        commit.submit(lambda batch: gathered.append(len(batch.decisions)))
        # Nothing is stored before all of the group is.
        commit.submit(lambda _: gathered.append(len(file_store.decisions("a"))))
        gate.open()
        for future in done:
            assert future.result(10) is None
    assert gathered == [5, 0]
    assert [row.step for row in file_store.decisions("a")] == list(range(5))
    assert len(file_store.texts(text_hash(f"a-{number}") for number in range(5))) == 5


def test_the_first_of_several_callers_waits_until_all_are_here(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_DELAY", 60.0)
    gathered: list[int] = []
    with GroupCommit(store, lambda: 6) as commit:
        done = [commit.submit(good("a", number)) for number in range(5)]
        done.append(commit.submit(lambda batch: gathered.append(len(batch.decisions))))
        for future in done:
            future.result(10)
    assert gathered == [5]


def test_it_does_not_wait_for_long_where_nobody_comes(store: Store) -> None:
    with GroupCommit(store, lambda: 1_000) as commit:
        commit.submit(good("a", 0)).result(10)


def test_a_few_callers_do_not_wait_for_each_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_DELAY", 60.0)
    with GroupCommit(store, lambda: 3) as commit:
        commit.submit(good("a", 0)).result(10)


def test_closing_ends_the_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_DELAY", 60.0)
    commit = GroupCommit(store, lambda: 1_000)
    done = commit.submit(good("a", 0))
    commit.close()
    assert done.done()
    assert len(store.decisions("a")) == 1


def test_a_row_that_cannot_be_stored_fails_alone(store: Store) -> None:
    with GroupCommit(store) as commit:
        gate = Gate(commit)
        row = DecisionRow("a-1", "a", 1, {"what": object()}, NOW)
        done = [
            commit.submit(write) for write in (good("a", 0), lambda b: b.decisions.append(row), good("a", 2))
        ]
        gate.open()
        assert [type(future.exception(10)) for future in done] == [type(None), TypeError, type(None)]
    assert [row.step for row in store.decisions("a")] == [0, 2]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=30))
def test_exactly_the_good_writes_are_stored_in_order(writes: list[tuple[str, bool, bool]]) -> None:
    with Store.open(":memory:") as store, GroupCommit(store) as commit:
        gate = Gate(commit)
        futures = []
        for number, (caller, fine, new_group) in enumerate(writes):
            if new_group:
                gate.open()
                gate = Gate(commit)
            futures.append(commit.submit((good if fine else bad)(caller, number)))
        gate.open()
        for (caller, fine, _), number, future in zip(writes, range(len(writes)), futures, strict=True):
            error = future.exception(10)
            assert str(error or "") == ("" if fine else f"{caller}-{number}")
        expected = [f"{caller}-{n}" for n, (caller, fine, _) in enumerate(writes) if fine]
        assert [row.id for row in store.ledger()] == expected


def test_closing_finishes_what_is_queued_and_takes_nothing_more(store: Store) -> None:
    commit = GroupCommit(store)
    gate = Gate(commit)
    done = [commit.submit(good("a", number)) for number in range(20)]
    closing = threading.Thread(target=commit.close)
    closing.start()
    gate.open()
    closing.join(10)
    assert all(future.done() for future in done)
    assert len(store.decisions("a")) == 20
    with pytest.raises(StoreClosedError, match="no more writes") as caught:
        commit.submit(good("a", 99))
    assert isinstance(caught.value, MemoryStoreError)
    commit.close()
    assert store.decision("a-99") is None


def test_who_stops_waiting_has_it_written_nevertheless(store: Store) -> None:
    with GroupCommit(store) as commit:
        gate = Gate(commit)
        assert not commit.submit(good("a", 0)).cancel()
        gate.open()
    assert store.decision("a-0") is not None


def test_callers_of_many_threads(store: Store) -> None:
    with GroupCommit(store) as commit:

        def work(caller: str) -> None:
            for number in range(50):
                commit.submit(good(caller, number)).result(30)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(store.decisions(name)) for name in "abcdefgh"] == [50] * 8


def test_a_locked_store_is_waited_for_once_and_not_by_each_write(tmp_path: Path) -> None:
    tries: list[int] = []

    def locked(_: Batch) -> None:
        tries.append(1)
        raise StoreLockedError("locked by another process")

    with Store.open(tmp_path / "store.db") as store, GroupCommit(store) as commit:
        gate = Gate(commit)
        done = [commit.submit(write) for write in (good("a", 0), locked, good("a", 1))]
        gate.open()
        assert all(isinstance(future.exception(10), StoreLockedError) for future in done)
        assert tries == [1]
        assert store.decisions("a") == []
        commit.submit(good("a", 0)).result(10)


@pytest.mark.parametrize("moment", [1, 7, 40, 150])
def test_a_killed_process_loses_nothing_whose_future_was_done(tmp_path: Path, moment: int) -> None:
    place = str(tmp_path / "store.db")
    writer = subprocess.Popen(
        [sys.executable, str(WRITER), place],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(WRITER.parent), *sys.path])},
    )
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip() for _ in range(moment)]
    writer.kill()
    rest, errors = writer.communicate()
    acknowledged += rest.split("\n")[:-1]
    assert "" not in acknowledged, errors
    with Store.open(place) as store:
        for id in acknowledged:
            assert store.decision(id) is not None, id
            assert len(store.ledger(episode_id=id)) == 3
        # A write is there with all its parts or not at all.
        assert len(store.ledger()) == 3 * store.stats().decisions
