"""Processes that are killed in the middle of writing, and processes that write at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from samples import trajectory

from icd_memory.embedding import HashingEmbedder
from icd_memory.retrieval import Memory, Query
from icd_memory.store import Store

WRITER = Path(__file__).with_name("writer.py")


def start_writer(place: str, name: str, count: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(WRITER.parent), *sys.path])}
    return subprocess.Popen(
        [sys.executable, str(WRITER), place, name, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def check(place: str, acknowledged: list[str]) -> None:
    """Everything acknowledged is there, whole, and can be found."""
    with Store.open(place) as store:
        stored = {t.id: t for t in store.trajectories(status="demonstration")}
        assert set(acknowledged) <= stored.keys()
        assert all(t == trajectory(t.id) for t in stored.values())
        # An episode is there with all its parts or not at all.
        assert {row.id for row in store.episodes("r")} == {f"e-{id}" for id in stored}
        ledger = store.ledger(run_id="r")
        assert len(ledger) == 5 * len(stored)
        assert {row.episode_id for row in ledger} == {f"e-{id}" for id in stored}
        with Memory.open(store, HashingEmbedder()) as memory:
            for id in acknowledged[-3:]:
                state = f"{id} thinks of 1"
                query = Query("put an apple in the fridge", "household", state=state, state_key="reasoning")
                assert memory.retriever.for_step(query, 1)[0].trajectory_id == id


@pytest.mark.parametrize("moment", [1, 4, 9, 17, 30])
def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path, moment: int) -> None:
    place = str(tmp_path / "store.db")
    writer = start_writer(place, "w", 10_000)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip() for _ in range(moment)]
    writer.kill()
    rest, errors = writer.communicate()
    acknowledged += rest.split("\n")[:-1]
    assert "" not in acknowledged, errors
    check(place, acknowledged)


def test_a_killed_process_can_go_on_where_it_was(tmp_path: Path) -> None:
    place = str(tmp_path / "store.db")
    acknowledged: list[str] = []
    for _ in range(3):
        writer = start_writer(place, "w", 40)
        assert writer.stdout is not None
        acknowledged += [writer.stdout.readline().strip() for _ in range(12)]
        writer.kill()
        writer.communicate()
    writer = start_writer(place, "w", 40)
    said, errors = writer.communicate()
    assert writer.returncode == 0, errors
    acknowledged += said.split()
    check(place, list(dict.fromkeys(acknowledged)))
    with Store.open(place) as store:
        assert store.stats().trajectories["demonstration"] == 40


def test_processes_may_write_at_once(store_place: str) -> None:
    if store_place == ":memory:":
        pytest.skip("a store in memory belongs to one process")
    writers = [start_writer(store_place, name, 40) for name in ("a", "b", "c")]
    ends = [writer.communicate() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], ends
    check(store_place, [line for said, _ in ends for line in said.split()])


def test_one_process_sees_what_another_stored_when_it_refreshes(tmp_path: Path) -> None:
    place = str(tmp_path / "store.db")
    with Store.open(place) as store, Memory.open(store, HashingEmbedder()) as memory:
        query = Query("put an apple in the fridge", "household")
        assert memory.retriever.for_plan(query, 3) == []
        said, errors = start_writer(place, "w", 2).communicate()
        assert said.split() == ["w-0", "w-1"], errors
        memory.refresh()
        assert {e.trajectory_id for e in memory.retriever.for_plan(query, 3)} == {"w-0", "w-1"}
        store.set_status("w-0", "disabled", "by another process")
        memory.refresh()
        assert {e.trajectory_id for e in memory.retriever.for_plan(query, 3)} == {"w-1"}
