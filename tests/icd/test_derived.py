"""Derived methods against choosing by hand, and steps as they are read from receipts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_by_hand import Moment, add_episode, add_run

from icd.benchmark.derived import derive, derived_method, parse_derived
from icd.benchmark.methods import MethodDefaults
from icd.benchmark.played_run import PlayedRun
from icd.benchmark.steps import played_steps
from icd.benchmark.summary import summarise_run
from icd.errors import ConfigurationError
from icd_memory.store import Store

ALONE = "majority(3,0.3)[guards=none]"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "icd.db") as opened:
        yield opened


def run_of(store: Store) -> PlayedRun:
    return PlayedRun(store, "run", add_run(store, "run"))


def test_the_oracle_takes_the_cheapest_that_succeeded(store: Store) -> None:
    for task, student, teacher in (
        ("a", True, True),
        ("b", False, True),
        ("c", False, False),
        ("d", True, False),
    ):
        add_episode(store, "run", "in-context", task, won=student, cost=1.0)
        add_episode(store, "run", "teacher", task, won=teacher, cost=5.0)
    add_episode(store, "run", "in-context", "only here", won=True, cost=1.0)
    found = derive("oracle", run_of(store))
    assert [(r.task_id, r.won, r.cost, r.teacher_steps) for r in found] == [
        ("a", True, 1.0, 0),
        ("b", True, 5.0, 5),
        ("c", False, 1.0, 0),
        ("d", True, 1.0, 0),
    ]
    assert {r.method for r in found} == {"oracle"}


def test_the_oracle_needs_a_common_task(store: Store) -> None:
    add_episode(store, "run", "student", "a", won=True, cost=1.0)
    with pytest.raises(ConfigurationError, match="no task that both have played"):
        derive("oracle", run_of(store))


def test_an_episode_is_played_anew_where_samples_disagreed_or_it_was_cut_off(store: Store) -> None:
    agreed, split = Moment(("go", "go", "go")), Moment(("go", "stay", "go"))
    for task, won, steps in (
        ("agreed", True, [agreed, agreed]),
        ("split", True, [agreed, split, split]),
        ("given up", False, [agreed] * 3),
        ("cut off", False, [agreed] * 10),
    ):
        add_episode(store, "run", ALONE, task, won=won, cost=1.0, steps=steps, policy="majority(3, 0.3)")
        add_episode(store, "run", "teacher", task, won=True, cost=5.0, steps=4)
    found = {r.task_id: r for r in derive("episodes(0.8)", run_of(store))}
    assert {task: (r.won, r.cost, r.steps, r.teacher_steps) for task, r in found.items()} == {
        "agreed": (True, 1.0, 2, 0),
        "split": (True, 6.0, 7, 4),
        "given up": (False, 1.0, 3, 0),
        "cut off": (True, 6.0, 14, 4),
    }
    assert found["split"].tokens.fresh == 200
    assert [r.won for r in derive("episodes(0)", run_of(store))] == [True, True, False, True]


def test_agreement_of_episodes_is_not_guessed(store: Store) -> None:
    add_episode(store, "run", "in-context", "a", won=True, cost=1.0)
    add_episode(
        store, "run", "cascade", "a", won=True, cost=1.0, policy="unanimity(3)",
        steps=[Moment(("go", "stay"), "open", "teacher", "disagreed")],
    )  # fmt: skip
    add_episode(store, "run", "teacher", "a", won=True, cost=5.0)
    with pytest.raises(ConfigurationError, match=r"also play majority\(3,0\.3\)\[guards=none\]"):
        derive("episodes(0.8)", run_of(store))


@pytest.mark.parametrize(
    "text", ["router", "episodes(2)", "oracle(1)", "episodes(0.1.2)", "best", "router(-1)"]
)
def test_what_is_no_derived_method(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write oracle, episodes"):
        parse_derived(text)


@given(st.sampled_from(["episodes", "router"]), st.integers(0, 100))
def test_a_derived_method_is_read_as_it_is_written(kind: str, percent: int) -> None:
    found = parse_derived(f"{kind}({percent / 100})")
    assert parse_derived(str(found)) == found
    method = derived_method(str(found), MethodDefaults())
    assert method.name == str(found)
    assert method.description.startswith("derived")


def test_steps_say_whether_the_students_choice_is_the_teachers(store: Store) -> None:
    moments = [
        Moment(("go", "go", "stay"), shadow="Go."),
        Moment(("go", "go", "go"), shadow="open door"),
        Moment(("go", "go", "stay"), "stay", "teacher", "disagreed"),
        Moment(("go", "go", "go")),
        Moment((None, None, None), "go", "teacher", "invalid"),
        Moment((), "go", "teacher", "policy"),
    ]
    add_episode(store, "run", "cascade", "a", won=True, cost=0.0, steps=moments, policy="unanimity(3)")
    add_run(store, "run")
    steps = played_steps(store, "run", "cascade")
    assert [step.matches for step in steps] == [True, False, False, None, False, None]
    assert [step.agreement for step in steps] == [pytest.approx(2 / 3), 1, pytest.approx(2 / 3), 1, 0, None]
    assert [(step.step, step.steps, step.wanted) for step in steps] == [(n, 6, 3) for n in range(6)]


def test_a_summary_shows_derived_methods_like_any(store: Store) -> None:
    run = run_of(store)
    for task in "abcd":
        add_episode(store, "run", "in-context", task, won=task in "ab", cost=1.0)
        add_episode(store, "run", "teacher", task, won=task != "d", cost=5.0)
    summary = summarise_run(run, {"oracle": derive("oracle", run)})
    assert [method.method.name for method in summary.methods] == ["in-context", "teacher", "oracle"]
    oracle = summary.of("oracle")
    assert oracle is not None
    assert (oracle.success.value, oracle.cost.value, oracle.episodes) == (0.75, 2.0, 4)
    assert oracle.against.relative_cost is not None
    assert oracle.against.relative_cost.value == pytest.approx(0.4)
