"""The gate, the canary and the way back: who comes through, who doesn't, and what is written down."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_run import STUDENT_PRICE, Play, record

from icd.cli.app import run
from icd.config import BackendSettings
from icd.errors import ConfigurationError
from icd.offline.active import Pointer, in_canary, read_pointer, student_for, student_settings, write_pointer
from icd.offline.canary import CanaryRules, Outcome, Wealth, differences, watch
from icd.offline.gate import (
    Played,
    Rules,
    history,
    live_outcomes,
    offer,
    played_units,
    roll_back,
    watch_canary,
)
from icd.offline.promotion import GateRules, Unit, compare
from icd.offline.registry import (
    Student,
    damaged,
    find_student,
    make_student,
    register_student,
)
from icd.offline.simulation import Candidate, shares_of
from icd.receipts import LIVE
from icd_memory.store import Store
from icd_memory.trajectory import Outcome as Ending
from icd_memory.trajectory import Provenance, Step, Trajectory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = Rules()


def clock(start: datetime = NOW) -> Callable[[], datetime]:
    return lambda: start


def student(folder: Path, name: str = "a", **about: object) -> Student:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "weights.gguf").write_bytes(name.encode())
    known = {"base_model": "tiny", "licence": "apache-2.0", "weights": "gguf", "backend": {"model": name}}
    return make_student(place, **{**known, "now": NOW, **about})  # type: ignore[arg-type]


def units(losses: int, gains: int, both: int, neither: int, cost: float = 0.8) -> list[Unit]:
    """Tasks with these outcomes, whose costs vary a little."""
    kinds = [(0.0, 1.0)] * losses + [(1.0, 0.0)] * gains + [(1.0, 1.0)] * both + [(0.0, 0.0)] * neither
    rng = random.Random(1)
    return [Unit(won, won0, cost * rng.uniform(0.9, 1.1), rng.uniform(0.9, 1.1)) for won, won0 in kinds]


# The gate


def test_a_worse_candidate_is_kept_out_and_a_better_one_comes_in() -> None:
    assert not compare(units(30, 5, 130, 35), GateRules()).passed
    assert compare(units(5, 20, 150, 25), GateRules()).passed


def test_a_candidate_that_does_not_save_is_kept_out_however_good_it_is() -> None:
    found = compare(units(0, 5, 150, 45, cost=1.2), GateRules())
    assert found.keeps_success
    assert not found.saves
    free = [replace(unit, candidate_cost=0.0, current_cost=0.0) for unit in units(0, 20, 150, 30)]
    assert not compare(free, GateRules()).saves


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 40))
@settings(max_examples=30)
def test_the_decision_is_that_of_its_p_value(losses: int, gains: int, both: int) -> None:
    found = compare(units(losses, gains, both + 1, 3), GateRules(0.1, 0.1))
    assert found.keeps_success == (found.success_p <= 0.1)


def test_tasks_with_several_episodes_count_once() -> None:
    few = [Unit(1.0, 1.0, 0.8, 1.0, episodes=50)] * 4
    assert not compare(few, GateRules()).keeps_success


# The canary


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_blocks_end_by_who_played_and_never_by_how_it_ended(plays: list[tuple[bool, bool]]) -> None:
    outcomes = [Outcome("canary" if tried else "current", won) for tried, won in plays]
    other = [Outcome(arm, not won) for arm, won in outcomes]
    ends = [(seen, value) for seen, value in differences(outcomes)]
    assert [seen for seen, _ in ends] == [seen for seen, _ in differences(other)]
    assert all(-1 <= value <= 1 for _, value in ends)
    assert [-value for _, value in differences(other)] == pytest.approx([value for _, value in ends])


def test_a_gambler_who_cannot_win_in_the_mean_seldom_gets_rich() -> None:
    rng = np.random.default_rng(0)
    rich = 0
    for _ in range(400):
        gambler = Wealth(1.0)
        rich += any(gambler.bet(value) >= 20 for value in rng.choice([-1.0, 0.0, 1.0], 150))
    assert rich / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_wealth_is_a_mean_over_stakes_and_does_not_depend_on_the_order() -> None:
    values = [1.0, -1.0, 0.3, 0.0, -0.2]
    one, other = Wealth(1.0), Wealth(1.0)
    assert [one.bet(v) for v in values][-1] == pytest.approx([other.bet(v) for v in values[::-1]][-1])


def test_what_is_not_proven_in_time_goes_back() -> None:
    outcomes = [Outcome("canary" if number % 2 else "current", True) for number in range(40)]
    rules = CanaryRules(most=10)
    assert watch(outcomes, rules).decision == "rollback"
    assert watch(outcomes[:10], rules).decision == "continue"


@pytest.mark.slow
def test_as_often_as_promised_at_most() -> None:
    """The figures of benchmarks/promotion.py, smaller."""
    rng = np.random.default_rng(0)
    false = [
        Candidate(-RULES.gate.margin, 0.0, 0.8),
        Candidate(0.0, 0.0, 1.0),
        Candidate(0.05, -RULES.canary.margin, 0.8),
    ]
    for candidate in false:
        assert shares_of(candidate, 300, rng)["promoted"] <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5
    assert shares_of(Candidate(0.05, 0.05, 0.8), 100, rng)["promoted"] >= 0.8


def test_few_of_those_that_must_not_come_through_do() -> None:
    rng = np.random.default_rng(1)
    worse = shares_of(Candidate(-2 * RULES.gate.margin, 0.0, 0.8), 40, rng)
    assert worse["kept"] == 1
    turned = shares_of(Candidate(0.05, -2 * RULES.canary.margin, 0.8), 15, rng)
    assert turned["promoted"] == 0
    assert turned["rolled back"] > 0.5
    better = shares_of(Candidate(0.05, 0.05, 0.7), 10, rng)
    assert better["promoted"] >= 0.7


# The pointer


def test_whoever_reads_the_pointer_sees_a_change_at_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "icd.db") as store, Store.open(tmp_path / "icd.db") as server:
        assert student_for(read_pointer(server), "episode") is None
        write_pointer(store, Pointer(active="student-1"))
        assert student_for(read_pointer(server), "episode") == "student-1"


def test_an_episode_has_one_student_and_about_the_share_tries_the_candidate() -> None:
    episodes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(4000)]
    tried = [in_canary("student-1", 0.1, episode) for episode in episodes]
    assert tried == [in_canary("student-1", 0.1, episode) for episode in episodes]
    assert 0.08 < sum(tried) / len(tried) < 0.12
    assert tried != [in_canary("student-2", 0.1, episode) for episode in episodes]


def test_a_student_is_run_by_what_its_registration_changes(tmp_path: Path) -> None:
    configured = BackendSettings(
        kind="openai", model="base", temperature=0.3, base_url="http://127.0.0.1:1/v1"
    )
    with Store.open(":memory:") as store:
        tuned = student(tmp_path, backend={"model": "tuned"})
        register_student(store, tuned)
        found = student_settings(store, configured, tuned.id)
        assert (found.model, found.temperature, found.base_url) == ("tuned", 0.3, "http://127.0.0.1:1/v1")
        assert student_settings(store, configured, None) is configured


# Registered, on trial, promoted, sent back


def test_students_are_known_by_their_files_and_found_damaged(tmp_path: Path) -> None:
    with Store.open(":memory:") as store:
        first, again, second = student(tmp_path), student(tmp_path), student(tmp_path, "b")
        assert first.id == again.id != second.id
        assert register_student(store, first)
        assert not register_student(store, again)
        assert find_student(store, first.id) == first
        assert not damaged(first)
        (tmp_path / "a" / "weights.gguf").write_bytes(b"other")
        assert damaged(first) == ["weights.gguf"]
        with pytest.raises(ConfigurationError, match="gone or was changed"):
            offer(store, first, units(0, 30, 100, 10), RULES, clock())
        with pytest.raises(ConfigurationError, match="no data set"):
            register_student(store, student(tmp_path, "c", dataset="unknown"))


def live(store: Store, number: int, won: bool, at: datetime) -> None:
    episode = f"episode-{number}"
    store.add_trajectory(
        Trajectory(
            id=f"{LIVE}-{episode}", environment="chat", task_id=episode, instance=episode, split=LIVE, goal="g",
            category="c", plan="", steps=(Step("o", f"a {number}"),), outcome=Ending(won, float(won), "feedback"),
            provenance=Provenance(f"{LIVE}:default", "m", at),
        ),
        status="demonstration" if won else "rejected",
    )  # fmt: skip


def on_trial(store: Store, folder: Path, rules: Rules) -> Student:
    candidate = student(folder)
    register_student(store, candidate)
    event, _ = offer(store, candidate, units(0, 20, 150, 10), rules, clock())
    assert event.decision == "canary"
    return candidate


@pytest.mark.parametrize(("canary_rate", "decision"), [(0.2, "rolled back"), (0.98, "promoted")])
def test_live_episodes_decide_a_trial(tmp_path: Path, canary_rate: float, decision: str) -> None:
    rules = Rules(share=0.5)
    with Store.open(tmp_path / "icd.db") as store:
        candidate = on_trial(store, tmp_path, rules)
        live(store, 9999, False, NOW - timedelta(hours=1))  # Before the trial: does not count.
        watched = watch_canary(store, clock())
        assert watched is not None
        assert (watched[0].decision, watched[1]) == ("continue", None)
        rng = random.Random(0)
        for number in range(300):
            rate = canary_rate if in_canary(candidate.id, 0.5, f"episode-{number}") else 0.85
            live(store, number, rng.random() < rate, NOW + timedelta(minutes=number))
        trial = read_pointer(store).canary
        assert trial is not None
        assert len(live_outcomes(store, trial)) == 300
        watched = watch_canary(store, clock(NOW + timedelta(days=1)))
        assert watched is not None
        assert watched[1] is not None
        assert watched[1].decision == decision
        pointer = read_pointer(store)
        assert pointer.canary is None
        assert pointer.active == (candidate.id if decision == "promoted" else None)
        assert [event.decision for event in history(store)] == ["canary", decision]
        assert watch_canary(store, clock()) is None


def test_a_refused_candidate_changes_nothing_and_is_written_down(tmp_path: Path) -> None:
    with Store.open(":memory:") as store:
        candidate = student(tmp_path)
        event, found = offer(store, candidate, units(40, 0, 100, 10), RULES, clock())
        assert event.decision == "kept"
        assert not found.keeps_success
        assert read_pointer(store) == Pointer()
        assert [event.decision for event in history(store)] == ["kept"]


def test_back_and_back_again(tmp_path: Path) -> None:
    at_once = Rules(share=0)
    with Store.open(":memory:") as store:
        first, second = student(tmp_path), student(tmp_path, "b")
        for one in (first, second):
            event, _ = offer(store, one, units(0, 20, 150, 10), at_once, clock())
            assert event.decision == "promoted"
        with pytest.raises(ConfigurationError, match="active student already"):
            offer(store, second, units(0, 20, 150, 10), at_once, clock())
        roll_back(store, "by hand", clock())
        assert read_pointer(store).active == first.id
        roll_back(store, "by hand", clock())
        assert read_pointer(store).active is None
        with pytest.raises(ConfigurationError, match="no student to go back"):
            roll_back(store, "by hand", clock())


def test_one_trial_at_a_time_and_a_rollback_ends_it(tmp_path: Path) -> None:
    with Store.open(":memory:") as store:
        on_trial(store, tmp_path, RULES)
        with pytest.raises(ConfigurationError, match="is on trial"):
            offer(store, student(tmp_path, "b"), units(0, 20, 150, 10), RULES, clock())
        roll_back(store, "by hand", clock())
        assert read_pointer(store) == Pointer()


# Runs


def runs(store: Store, *, candidate_model: str = "a", **changes: object) -> None:
    seat = {"kind": "openai", "settings": {}, "price": STUDENT_PRICE}
    good = [Play(number % 10 < 8, "sst" if number % 2 else "ss") for number in range(80)]
    better = [Play(number % 10 < 9, "ss" if number % 3 else "s") for number in range(80)]
    record(store, {"cascade": good}, "old", student={**seat, "model": "base"})
    record(store, {"cascade": better}, "new", student={**seat, "model": candidate_model}, **changes)


def test_runs_are_paired_by_task_and_have_to_differ_in_the_student_only(tmp_path: Path) -> None:
    new, old = Played("new", "cascade"), Played("old", "cascade")
    with Store.open(":memory:") as store:
        runs(store)
        candidate = student(tmp_path)
        found = compare(played_units(store, new, old, candidate), GateRules())
        assert (len(found.units), found.losses, found.gains) == (80, 0, 8)
        assert found.passed
        with pytest.raises(ConfigurationError, match="was trained on 1 tasks"):
            played_units(store, new, old, candidate, trained={"task-003"})
        with pytest.raises(ConfigurationError, match="no finished episode of 'student'"):
            played_units(store, Played("new", "student"), old, candidate)
        with pytest.raises(ConfigurationError, match="was played by a"):
            played_units(store, new, old, student(tmp_path, "b"))
    with Store.open(":memory:") as store:
        runs(store, max_steps=10)
        with pytest.raises(ConfigurationError, match="max_steps"):
            played_units(store, new, old, candidate)


def test_the_commands(tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.open(workspace / "icd.db") as store:
        runs(store)
    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / "weights.gguf").write_bytes(b"weights")

    def icd(*words: str) -> tuple[int, dict[str, object]]:
        code = run(["offline", *words, "--store", "icd.db", "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, made = icd(
        "register", str(folder), "--base-model", "tiny", "--licence", "mit", "--student-model", "a"
    )
    assert code == 0
    id = str(made["id"])
    assert icd("promote", id, "--candidate", "old", "--current", "new")[0] == 2
    code, event = icd("promote", id, "--candidate", "new", "--current", "old")
    assert (code, event["decision"]) == (0, "canary")
    assert icd("watch")[1]["decision"] == "continue"
    assert icd("rollback")[1]["decision"] == "rolled back"
    code, event = icd("promote", id, "--candidate", "new", "--current", "old", "--alpha", "0.0001")
    assert (code, event["decision"]) == (1, "kept")
    listed = icd("list")[1]
    assert listed["pointer"] == {"active": None, "previous": [], "canary": None}
    assert [one["id"] for one in listed["students"]] == [id]  # type: ignore[union-attr,index,attr-defined]
    assert icd("recall", "--source", "unheard of") == (0, {"datasets": [], "students": []})
