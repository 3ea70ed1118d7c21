"""What every store promises, whatever database is behind it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import NOW, trajectory

from icd_memory.codec import trajectory_from_json, trajectory_to_json
from icd_memory.errors import TrajectoryNotFoundError
from icd_memory.rows import DecisionRow, EpisodeRow, LedgerRow, RunRow
from icd_memory.schema import dump_json
from icd_memory.store import Store, text_hash
from icd_memory.trajectory import Outcome, Provenance, Step

TEXTS = st.text(st.characters(), max_size=30)


def test_a_trajectory_comes_back_equal(store: Store) -> None:
    t = trajectory(
        goal="Ünïcode 🍎, \x00 and a lone \ud800",
        outcome=Outcome(False, 0.25, "feedback"),
        provenance=Provenance("run 1", "gpt", NOW.replace(tzinfo=None)),
        notes={"a": "b"},
    )
    assert store.add_trajectory(t, status="rejected", reason="failed")
    assert store.trajectory("t1") == t
    row = store.admission("t1")
    assert (row.status, row.reason, row.content_hash) == ("rejected", "failed", t.content_hash())


@given(st.lists(st.builds(Step, observation=TEXTS, action=TEXTS, reasoning=TEXTS, view=TEXTS)), TEXTS, TEXTS)
def test_the_codec_is_exact_for_any_text(steps: list[Step], goal: str, note: str) -> None:
    import json

    t = replace(trajectory(), goal=goal, steps=tuple(steps), notes={note: goal})
    assert trajectory_from_json(json.loads(dump_json(trajectory_to_json(t)))) == t
    dump_json(trajectory_to_json(t)).encode()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(_JSON)
def test_what_is_kept_as_json_comes_back_equal(value: object) -> None:
    import json

    kept = dump_json(value)
    assert json.loads(kept) == value
    assert json.dumps(json.loads(kept)) == json.dumps(value), "and of the same types"


def test_deep_json_is_kept() -> None:
    """Tool arguments may nest as deep as a client likes."""
    import json

    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    assert json.loads(dump_json(deep)) == deep


def test_the_same_id_twice_is_stored_once(store: Store) -> None:
    first = trajectory()
    assert store.add_trajectory(first, status="demonstration")
    assert not store.add_trajectory(replace(first, goal="other"), status="rejected")
    assert store.trajectory("t1") == first
    assert store.admission("t1").status == "demonstration"


def test_trajectories_are_narrowed_and_keep_their_order(store: Store) -> None:
    for number in range(450):
        t = trajectory(f"t{number}", steps=1, split="train" if number % 2 else "dev")
        store.add_trajectory(t, status="demonstration" if number % 3 else "quarantine")
    store.add_trajectory(trajectory("u", tenant="other"), status="demonstration")
    store.add_trajectory(
        trajectory("v", environment="desk", provenance=Provenance("log", "expert", NOW)),
        status="demonstration",
    )
    names = [t.id for t in store.trajectories(environment="household")]
    assert names == [f"t{number}" for number in range(450)]
    chosen = [t.id for t in store.trajectories(status="quarantine", split="dev")]
    assert chosen == [f"t{number}" for number in range(0, 450, 6)]
    assert [t.id for t in store.trajectories(source="log")] == ["v"]
    assert [t.id for t in store.trajectories(tenant="other")] == ["u"]
    assert [row.id for row in store.listing(environment="household")] == names
    assert store.families() == [("default", "desk"), ("default", "household"), ("other", "household")]
    assert store.sources() == ["log", "tests"]


def test_writing_while_reading_trajectories_is_fine(store: Store) -> None:
    for number in range(250):
        store.add_trajectory(trajectory(f"t{number}", steps=1), status="demonstration")
    seen = 0
    for t in store.trajectories(status="demonstration"):
        store.set_status(t.id, "disabled", "seen")
        seen += 1
    assert seen == 250
    assert store.stats().trajectories["disabled"] == 250


def test_the_status_of_a_trajectory_can_change(store: Store) -> None:
    store.add_trajectory(trajectory(), status="quarantine", reason="new source")
    store.set_status("t1", "demonstration", "checked by hand")
    assert store.admission("t1").reason == "checked by hand"
    with pytest.raises(TrajectoryNotFoundError):
        store.set_status("t2", "disabled", "")
    with pytest.raises(TrajectoryNotFoundError):
        store.trajectory("t2")
    with pytest.raises(TrajectoryNotFoundError):
        store.admission("t2")


def test_equal_contents_are_found_within_a_tenant(store: Store) -> None:
    t = trajectory()
    store.add_trajectory(t, status="demonstration")
    store.add_trajectory(replace(t, id="copy"), status="rejected")
    store.add_trajectory(replace(t, id="elsewhere", tenant="other"), status="demonstration")
    assert [row.trajectory_id for row in store.with_content(t.content_hash())] == ["t1", "copy"]


def test_runs_and_episodes(store: Store) -> None:
    run = RunRow("r1", {"k": 6, "policy": "unanimity(3)"}, NOW)
    assert store.add_run(run)
    assert not store.add_run(replace(run, config={}))
    assert store.run("r1") == run
    assert store.run("r2") is None
    assert store.runs() == [run]
    episode = EpisodeRow("e1", "r1", "train/1", "student", 2**40, "running", NOW)
    assert store.add_episode(episode)
    done = replace(episode, status="done", outcome={"success": True}, created_at=NOW + timedelta(seconds=3))
    assert store.add_episode(done)
    assert not store.add_episode(replace(done, outcome={"success": False}))
    assert not store.add_episode(episode)
    assert store.episodes("r1") == [done]
    assert store.episodes("r2") == []


def test_a_failed_episode_can_be_played_again(store: Store) -> None:
    episode = EpisodeRow("e1", "r1", "train/1", "student", 0, "failed", NOW)
    store.add_episode(episode)
    assert store.add_episode(replace(episode, status="done"))
    assert [row.status for row in store.episodes("r1")] == ["done"]


def test_decisions_come_back_by_step(store: Store) -> None:
    rows = [DecisionRow(f"d{step}", "e1", step, {"action": f"go {step}"}, NOW) for step in (2, 0, 1)]
    for row in rows:
        assert store.add_decision(row)
    assert not store.add_decision(replace(rows[0], body={}))
    assert [row.step for row in store.decisions("e1")] == [0, 1, 2]
    assert store.decision("d2") == rows[0]
    assert store.decision("d9") is None


def test_the_ledger_adds_up_whatever_is_sent_twice(store: Store) -> None:
    rows = [
        LedgerRow(f"l{number}", f"r{number % 2}", "student", "m", 10, 5, 1, 0.25, episode_id=f"e{number}")
        for number in range(4)
    ]
    rows[1] = replace(
        rows[1],
        price={"input": 3.0},
        requests=2,
        estimated=True,
        counterfactual=True,
        decision_id="d",
        input_tokens=2**40,
    )
    assert store.add_ledger(rows[:3]) == 3
    assert store.add_ledger(rows) == 1
    assert store.add_ledger([]) == 0
    assert store.ledger() == rows
    assert store.ledger(run_id="r1") == [rows[1], rows[3]]
    assert store.ledger(episode_id="e2") == [rows[2]]


def test_texts_are_kept_once(store: Store) -> None:
    hashes = store.add_texts(["a", "b", "a", "\x00\ud800"])
    assert hashes[0] == hashes[2] == text_hash("a")
    store.add_texts(["a"])
    assert store.texts([*hashes, "unknown"]) == {hashes[0]: "a", hashes[1]: "b", hashes[3]: "\x00\ud800"}
    assert store.stats().texts == 3


def test_vectors_belong_to_their_embedder(store: Store) -> None:
    rng = np.random.default_rng(0)
    vectors = {f"h{number}": rng.standard_normal(8).astype(np.float32) for number in range(1200)}
    assert store.add_vectors("one", vectors) == 1200
    assert store.add_vectors("one", vectors) == 0
    found = store.vectors("one", [*vectors, "unknown"])
    assert found.keys() == vectors.keys()
    assert all(np.allclose(found[key], vectors[key], atol=2e-3) for key in vectors)
    assert found["h0"].dtype == np.float32
    assert store.vectors("two", vectors) == {}
    assert store.stats().vectors == {"one": 1200}


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    class StopError(Exception):
        pass

    def write() -> None:
        store.add_trajectory(trajectory(), status="demonstration")
        store.add_ledger([LedgerRow("l", "r1", "teacher", "m", 1, 0, 1, 1.0)])
        store.add_episode(EpisodeRow("e1", "r1", "x", "m", 0, "done", NOW))

    def break_off() -> None:
        with store.transaction():
            write()
            assert store.ledger() != []  # its own writes are seen inside
            raise StopError

    with pytest.raises(StopError):
        break_off()
    assert (store.ledger(), store.episodes("r1"), list(store.trajectories())) == ([], [], [])
    with store.transaction(), store.transaction():
        write()
    assert len(store.ledger()) == len(store.episodes("r1")) == len(list(store.trajectories())) == 1


def test_other_threads_see_a_transaction_only_when_it_is_done(file_store: Store) -> None:
    inside, looked = threading.Event(), threading.Event()
    seen: list[int] = []

    def look() -> None:
        inside.wait(10)
        seen.append(len(file_store.listing()))
        looked.set()

    thread = threading.Thread(target=look)
    thread.start()
    with file_store.transaction():
        file_store.add_trajectory(trajectory(), status="demonstration")
        inside.set()
        assert looked.wait(10)
    thread.join()
    assert seen == [0]
    assert len(file_store.listing()) == 1


def test_threads_may_write_at_once(store: Store) -> None:
    errors: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for number in range(25):
                with store.transaction():
                    store.add_trajectory(trajectory(f"{worker}-{number}", steps=1), status="demonstration")
                    store.add_decision(DecisionRow(f"{worker}-{number}", f"e{worker}", number, {}, NOW))
                store.decisions(f"e{worker}")
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    stats = store.stats()
    assert (stats.trajectories["demonstration"], stats.decisions) == (200, 200)


def test_notes(store: Store) -> None:
    assert store.note("embedder") is None
    store.set_note("embedder", "a")
    store.set_note("embedder", "b")
    assert store.note("embedder") == store.stats().embedder == "b"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("abcdef"), max_size=12))
def test_writes_are_idempotent_in_any_order(ids: list[str]) -> None:
    with Store.open(":memory:") as store:
        new = [store.add_trajectory(trajectory(id, steps=1), status="demonstration") for id in ids]
        assert new == [id not in ids[:place] for place, id in enumerate(ids)]
        assert [row.id for row in store.listing()] == list(dict.fromkeys(ids))
