"""`icd store` and `icd receipts`; indexes that are missing, stale or damaged; forgetting an episode."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from samples import trajectory

from icd.assembly import make_index
from icd.cli.app import run
from icd.config import MemorySettings
from icd.errors import UnknownEpisodeError
from icd.store_upkeep import erase_episode, index_states
from icd_memory.embedding import HashingEmbedder
from icd_memory.exact_index import ExactIndex
from icd_memory.retrieval import Family, Memory, Query
from icd_memory.rows import Batch, DecisionRow, FeedbackRow
from icd_memory.store import Store, text_hash

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PLACE = "icd.db"


def fill(count: int = 3) -> None:
    with Store.open(PLACE) as store:
        for number in range(count):
            body = {"messages": [text_hash(f"secret {number}")], "observation": f"secret {number}"}
            row = DecisionRow(f"d{number}", f"e{number}", 0, body, NOW)
            store.add_batch(Batch({text_hash(f"secret {number}"): f"secret {number}"}, [row]))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert run([*words, "--store", PLACE, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_verify_backup_restore_and_gc(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    assert said(capsys, "store", "verify")["problems"] == []
    assert said(capsys, "store", "backup", "copy.db")["bytes"] > 0
    fill(5)
    assert said(capsys, "receipts", "verify")["tenants"][0]["receipts"] == 5
    assert run(["store", "restore", "copy.db", "--store", PLACE]) == 4
    assert "--overwrite" in capsys.readouterr().err
    said(capsys, "store", "restore", "copy.db", "--overwrite")
    assert said(capsys, "receipts", "verify")["tenants"][0]["receipts"] == 3
    assert said(capsys, "store", "gc")["texts"] == 0


def test_what_was_changed_is_told(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    assert run(["receipts", "verify", "--store", PLACE]) == 0
    head = capsys.readouterr().out.split()[0]
    assert run(["receipts", "verify", "--store", PLACE, "--head", head]) == 0
    tenant, position, _ = head.split(":")
    assert run(["receipts", "verify", "--store", PLACE, "--head", f"{tenant}:{position}:{'0' * 64}"]) == 1
    assert "noted earlier" in capsys.readouterr().out
    assert run(["receipts", "verify", "--store", PLACE, "--head", "what"]) == 2
    with Store.open(PLACE) as store, store._db.write() as connection:
        connection.exec_driver_sql("UPDATE decisions SET step = 7 WHERE id = 'd1'")
    for group in ("receipts", "store"):
        assert run([group, "verify", "--store", PLACE]) == 1
        assert "receipt d1 was changed" in capsys.readouterr().out


def test_an_episode_is_forgotten(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    learned = trajectory("live-f", environment="chat", task_id="e1", goal="secret 1")
    with Store.open(PLACE) as store, Memory.open(store, HashingEmbedder()) as memory:
        store.add_trajectory(learned, status="demonstration")
        store.add_trajectory(trajectory("other", environment="chat"), status="demonstration")
        store.add_feedback(FeedbackRow("f", "default", "e1", None, True, None, "secret 1", "", NOW))
        query = Query("secret 1", "chat")
        assert {e.trajectory_id for e in memory.retriever.for_plan(query, 3)} == {"live-f", "other"}
        with pytest.raises(UnknownEpisodeError, match="tenant b has no"):
            erase_episode(store, "b", "e1", NOW)
        assert run(["receipts", "erase", "e1", "--store", PLACE]) == 0
        memory.refresh()
        assert {e.trajectory_id for e in memory.retriever.for_plan(query, 3)} == {"other"}
        assert store.chain.verify().problems == ()
        assert store.feedback("default", "e1")[0].comment == ""
    assert run(["store", "gc", "--store", PLACE]) == 0
    assert run(["store", "verify", "--store", PLACE]) == 0
    left = b"".join(path.read_bytes() for path in workspace.glob("icd.db*"))
    assert b"secret 1" not in left
    assert b"secret 2" in left


def opened(store: Store) -> Memory:
    settings = MemorySettings(store=PLACE, embedder="hashing")
    return Memory.open(store, HashingEmbedder(), make_index=make_index(settings))


def answers(memory: Memory) -> list[str]:
    query = Query("put an apple in the fridge", "household", state="t7 sees thing 1")
    return [f"{e.trajectory_id} {e.similarity:.6f}" for e in memory.retriever.for_step(query, 5)]


@pytest.fixture
def indexed(workspace: Path) -> Path:
    """The file of a store's index."""
    with Store.open(PLACE) as store:
        for number in range(12):
            store.add_trajectory(trajectory(f"t{number}", steps=200), status="demonstration")
        with opened(store) as memory:
            index = memory.index(Family("default", "household"))
            assert isinstance(index, ExactIndex)
            index.save()
    (file,) = (workspace / f"{PLACE}-index").glob("*.index")
    return file


@pytest.mark.parametrize("harm", ["none", "missing", "flipped", "truncated", "stale"])
def test_an_index_is_as_good_as_its_store(indexed: Path, harm: str) -> None:
    with Store.open(PLACE) as store:
        with Memory.open(store, HashingEmbedder()) as fresh:
            expected = answers(fresh)
        whole, random = indexed.read_bytes(), Random(1)
        for round in range(5 if harm in ("flipped", "truncated") else 1):
            if harm == "missing":
                indexed.unlink()
            elif harm == "flipped":
                data = bytearray(whole)
                data[random.randrange(len(data))] ^= 1 << random.randrange(8)
                indexed.write_bytes(data)
            elif harm == "truncated":
                indexed.write_bytes(whole[: random.randrange(len(whole))])
            elif harm == "stale":
                store.set_status("t7", "disabled", "")
                store.add_trajectory(trajectory("t7b"), status="demonstration")
                with Memory.open(store, HashingEmbedder()) as fresh:
                    expected = answers(fresh)
            if round == 0:
                states = [state.state for state in index_states(store)]
                assert states == {"none": ["fresh"], "missing": [], "stale": ["stale"]}.get(harm, ["damaged"])
            with opened(store) as memory:
                assert answers(memory) == expected
    assert run(["store", "verify", "--store", PLACE]) == 0
