"""Many methods end to end: ablations, random mixing at equal cost, limits, failures that are tried again, raw results."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scenario import bill, collection, comparison, workplace

from icd.benchmark.conditions import Conditions
from icd.benchmark.experiment import Experiment, Workplace
from icd.benchmark.method_notation import Varied
from icd.benchmark.methods import MIXED, MIXED_FROM, STANDARD
from icd.benchmark.mixing import mixed_share, share_at_cost
from icd.benchmark.played import Result, Tokens
from icd.benchmark.results import write_results
from icd.benchmark.retrying import STOP_AFTER, Retries
from icd.benchmark.runner import Ended, Event, Postponed, Tally
from icd.benchmark.summary import summarise
from icd.errors import BackendUnreachableError, ConfigurationError
from icd.testing import DemonstrationBackend, FlakyBackend
from icd_memory.rows import EpisodeRow


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    found = workplace(tmp_path / "icd.db")
    asyncio.run(collection(found).play())
    yield found
    found.close()


def played(place: Workplace, *methods: str, episodes: int = 2, **request: object) -> Experiment:
    experiment = comparison(place, episodes, methods=methods, **request)
    asyncio.run(experiment.play())
    return experiment


def test_the_standard_methods_play_the_same_tasks(place: Workplace) -> None:
    run = played(place, *STANDARD).run_id
    summary = summarise(place.store, run)
    assert {m.method.name: m.episodes for m in summary.methods} == dict.fromkeys(STANDARD, 2)
    share = mixed_share(place.store, run)
    assert share is not None
    assert 0 <= share <= 1
    once = bill(place.store)
    assert played(place, *STANDARD).run_id == run
    assert bill(place.store) == once
    more = played(place, *STANDARD, episodes=3)
    assert (more.run_id, mixed_share(place.store, run)) == (run, share)


def test_few_shot_shows_the_same_and_per_episode_keeps_what_it_found(place: Workplace) -> None:
    run = played(place, "few-shot", "per-episode", "in-context", episodes=1).run_id
    shown = {
        row.method: [
            tuple((e["trajectory_id"], e["step"]) for e in decision.body["excerpts"])
            for decision in place.store.decisions(row.id)
            if decision.step >= 0
        ]
        for row in place.store.episodes(run)
    }
    assert len(set(shown["few-shot"])) == 1
    assert {step for _, step in shown["few-shot"][0]} == {0}
    assert len(set(shown["per-episode"])) == 1
    assert len(set(shown["in-context"])) > 1


def test_each_value_makes_a_method_of_each_student_method(place: Workplace) -> None:
    varied = (Varied("k", ("1", "2")), Varied("memory_size", ("4",)), Varied("n", ("5",)))
    experiment = comparison(place, 1, methods=("in-context", "cascade", "teacher"), varied=varied)
    assert list(experiment.totals) == [
        "in-context", "cascade", "teacher", "in-context[k=1]", "cascade[k=1]", "in-context[memory_size=4]",
        "cascade[memory_size=4]", "unanimity(5)",
    ]  # fmt: skip
    asyncio.run(experiment.play())
    small = {
        excerpt["trajectory_id"]
        for decision in place.store.decisions(
            f"{experiment.run_id}/in-context[memory_size=4]/{_task(experiment)}/0"
        )
        for excerpt in decision.body.get("excerpts", ())
    }
    assert 0 < len(small) <= 4
    names = [m.method.name for m in summarise(place.store, experiment.run_id).methods]
    assert set(names) == set(experiment.totals)


def _task(experiment: Experiment) -> str:
    return experiment.jobs[0].task.id


def test_a_policy_takes_changed_settings(place: Workplace) -> None:
    assert list(comparison(place, 1, methods=(), policy="student[k=1]").totals) == ["in-context[k=1]"]


def test_random_mixing_needs_the_others(place: Workplace) -> None:
    with pytest.raises(ConfigurationError, match=r"add cascade, teacher"):
        comparison(place, methods=("in-context", MIXED))


def _result(method: str, steps: int, cost: float) -> Result:
    return Result(method, "t", 0, "c", True, steps, 0, cost, Tokens(), False)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.001, 1), st.floats(1, 50), st.floats(0, 1))
@example(40, 20, 0.1, 3.0, 0.75)
@example(7, 7, 0.1, 1.0, 0.375)
@example(3, 13, 0.8967194535580767, 1.0, 1.0)
def test_the_share_costs_what_it_should(
    steps: int, more: int, price: float, factor: float, share: float
) -> None:
    """A random player of linear length and price that costs as much as share p is found at p or earlier."""

    def cost(p: float) -> float:
        return (steps + p * (more - steps)) * (price + p * (factor - 1) * price)

    student, teacher = [_result("in-context", steps, cost(0))], [_result("teacher", more, cost(1))]
    found = share_at_cost(student, teacher, cost(share))
    assert 0 <= found <= 1
    if cost(share) <= cost(0):
        assert found == 0
    else:
        assert cost(found) == pytest.approx(cost(share), rel=1e-6, abs=1e-9)
        assert found <= share + 1e-6


def test_what_costs_more_than_the_teacher_is_the_teacher() -> None:
    student, teacher = [_result(MIXED_FROM[0], 10, 1.0)], [_result("teacher", 10, 5.0)]
    assert share_at_cost(student, teacher, 6.0) == 1.0
    assert share_at_cost(student, teacher, 0.5) == 0.0
    assert share_at_cost(student, teacher, 3.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("setting", "value"), [("episode_tokens", 2000), ("episode_cost", 0.0008), ("episode_seconds", 1e-9)]
)
def test_a_limit_is_an_outcome(tmp_path: Path, setting: str, value: float) -> None:
    free = workplace(tmp_path / "icd.db")
    place = workplace(tmp_path / "icd.db", run={"max_steps": 12, setting: value})
    experiment = comparison(place, 1, methods=("student",))
    assert experiment.run_id != comparison(free, 1, methods=("student",)).run_id
    tally = asyncio.run(experiment.play())
    assert (tally.done, tally.failed) == (1, ())
    row = place.store.episodes(experiment.run_id)[0]
    outcome = row.outcome or {}
    assert outcome["limit"] == setting.removeprefix("episode_")
    assert not outcome["won"]
    assert outcome["steps"] < 12
    used = sum(r.input_tokens + r.output_tokens for r in place.store.ledger(experiment.run_id))
    assert setting != "episode_tokens" or value <= used < 2 * value
    free.close()
    place.close()


def test_a_limit_holds_over_an_interruption(tmp_path: Path) -> None:
    def outcome(backend: object, name: str) -> dict[str, object]:
        place = workplace(tmp_path / name, backend, run={"max_steps": 12, "episode_tokens": 2000})  # type: ignore[arg-type]
        for _ in range(2):
            asyncio.run(comparison(place, 1, methods=("student",)).play())
        row = place.store.episodes(comparison(place, 1, methods=("student",)).run_id)[0]
        place.close()
        return row.outcome or {}

    whole = outcome(DemonstrationBackend(model="gpt-4.1-mini"), "whole.db")
    faults = [None, None, None, BackendUnreachableError("gone")]
    assert outcome(FlakyBackend(DemonstrationBackend(model="gpt-4.1-mini"), faults), "cut.db") == whole


def test_per_episode_keeps_its_excerpts_over_an_interruption(tmp_path: Path) -> None:
    def shown(faults: list[Exception | None], name: str) -> list[object]:
        backend = FlakyBackend(DemonstrationBackend(model="gpt-4.1-mini"), faults)
        place = workplace(tmp_path / name, backend)
        asyncio.run(collection(place).play())
        for _ in range(2):
            run = played(place, "per-episode", episodes=1).run_id
        found = [
            row.body["excerpts"]
            for row in place.store.decisions(place.store.episodes(run)[0].id)
            if row.step >= 0
        ]
        place.close()
        return found

    assert shown([None, None, None, BackendUnreachableError("gone")], "cut.db") == shown([], "whole.db")


def test_unset_limits_and_later_settings_change_no_run_id(place: Workplace) -> None:
    facts = comparison(place, 1).config["conditions"]
    assert "limits" not in facts
    assert "policy" not in facts["runtime"]
    assert not {"agreement", "copy_above", "record"} & set(facts["runtime"])
    assert Conditions.__dataclass_fields__["limits"].default is not None


class Waiting:
    """Waits in no time, and remembers how long it should have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def retried(
    tmp_path: Path, faults: list[Exception | None], retries: int
) -> tuple[Tally, list[Event], Waiting]:
    backend = FlakyBackend(DemonstrationBackend(model="gpt-4.1-mini"), faults)
    place = workplace(tmp_path / "icd.db", backend)
    experiment = comparison(place, 3, methods=("student",), retries=retries)
    waiting, events = Waiting(), list[Event]()
    experiment = replace(experiment, stage=replace(experiment.stage, wait=waiting))
    tally = asyncio.run(experiment.play(events.append))
    place.close()
    return tally, events, waiting


def test_a_failed_episode_is_played_again_after_the_others(tmp_path: Path) -> None:
    tally, events, waiting = retried(tmp_path, [None, None, BackendUnreachableError("gone")], 2)
    assert (tally.done, tally.failed, tally.not_played) == (3, (), 0)
    ends = [event for event in events if isinstance(event, Postponed | Ended)]
    assert [type(event) for event in ends] == [Postponed, Ended, Ended, Ended]
    assert ends[0].job == ends[-1].job
    assert waiting.seconds == [2.0, 2.0]


def test_a_run_gives_up_with_growing_pauses(tmp_path: Path) -> None:
    tally, events, waiting = retried(tmp_path, [BackendUnreachableError("gone")] * 99, 1)
    assert tally.done == 0
    assert len(tally.failed) == 3
    assert tally.not_played == 0
    assert sum(isinstance(event, Postponed) for event in events) == 3
    assert waiting.seconds == sorted(waiting.seconds)
    assert len(waiting.seconds) == STOP_AFTER * 2 - 1


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60), st.integers(0, 3))
def test_no_episode_is_tried_too_often(tries: list[tuple[int, bool]], most: int) -> None:
    retries = Retries(most)
    attempts: dict[str, int] = {}
    for number, works in tries:
        id = f"e{number}"
        row = EpisodeRow(id, "r", "t", "m", 0, "failed", None)  # type: ignore[arg-type]
        assert 0 <= retries.pause(id) <= 60
        if works:
            retries.worked(id)
            assert not retries.has_failed(id)
        else:
            attempts[id] = attempts.get(id, 0) + 1
            assert retries.again(row, lasting=False) == (attempts[id] <= most)
            assert row in retries.failed


def test_raw_results_say_who_did_what_and_show_no_texts(place: Workplace, tmp_path: Path) -> None:
    run = played(place, "cascade", "copy").run_id
    file = tmp_path / "out" / "results.jsonl"
    assert write_results([(place.store, run)], file) == 4
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    summary = summarise(place.store, run)
    for name in ("cascade", "copy"):
        mine = [line for line in lines if line["method"] == name]
        found = summary.of(name)
        assert found is not None
        assert sum(line["won"] for line in mine) == found.success.value * 2
        assert sum(line["cost"] for line in mine) == pytest.approx(found.cost.value * 2)
        assert sum(len(line["steps"]) for line in mine) == found.steps * 2
    text = file.read_text("utf-8")
    for trajectory in place.store.trajectories(source=run):
        assert trajectory.goal not in text
        assert all(step.observation not in text for step in trajectory.steps)
    step = lines[0]["steps"][0]
    assert set(step) == {"action", "acted_by", "reason", "agreement", "support"}
    with pytest.raises(ConfigurationError, match="icd report --list"):
        write_results([(place.store, "no run")], file)
    assert file.read_text("utf-8") == text
