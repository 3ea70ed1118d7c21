"""Many episodes end to end: equal arms, resuming, failures that are no outcomes, what may become a demonstration."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenario import (
    COLLECTED,
    METHODS,
    bill,
    collection,
    comparison,
    play_everything,
    workplace,
)

from icd.benchmark.experiment import Workplace
from icd.benchmark.locks import alone
from icd.benchmark.retrying import STOP_AFTER
from icd.benchmark.runner import Ended, Event, Started, StepTaken
from icd.benchmark.summary import summarise
from icd.errors import BackendRefusedError, BackendUnreachableError, BudgetError, ConfigurationError
from icd.testing import DemonstrationBackend, FlakyBackend
from icd_memory.store import Store

SCENARIO = Path(__file__).with_name("scenario.py")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A store in which everything was played once, without interruption."""
    store = tmp_path_factory.mktemp("played") / "icd.db"
    play_everything(store)
    place = workplace(store)
    yield place
    place.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    found = workplace(tmp_path / "icd.db")
    yield found
    found.close()


def last_run(store: Store) -> str:
    return store.runs()[-1].id


def test_every_method_plays_the_same_tasks_and_seeds(played: Workplace) -> None:
    rows = played.store.episodes(last_run(played.store))
    by_method = {name: {(r.task_id, r.seed) for r in rows if r.method == name} for name in METHODS}
    assert len(set(map(frozenset, by_method.values()))) == 1
    assert all(row.status == "done" for row in rows)


def test_the_summary_says_what_happened(played: Workplace) -> None:
    summary = summarise(played.store, last_run(played.store))
    assert [m.method.name for m in summary.methods] == list(METHODS)
    teacher, cascade, copied = summary.of("teacher"), summary.of("cascade"), summary.of("copy")
    assert teacher is not None
    assert cascade is not None
    assert copied is not None
    assert teacher.success.value == 1.0
    assert teacher.escalation == 1.0
    assert teacher.against.relative_cost == (1.0, 1.0, 1.0)
    assert teacher.against.break_even is None
    assert copied.cost.value == 0.0
    assert copied.against.break_even is not None
    assert cascade.against.difference is not None
    spent = sum(row.cost for row in played.store.ledger(last_run(played.store)))
    assert spent == pytest.approx(sum(m.cost.value * m.episodes for m in summary.methods))


def test_the_bill_of_a_collection_counts_failed_attempts(place: Workplace) -> None:
    place.settings = place.settings.model_copy(
        update={"run": place.settings.run.model_copy(update={"max_steps": 6})}
    )
    experiment = collection(place)
    asyncio.run(experiment.play())
    asyncio.run(comparison(place, 1, methods=("copy", "teacher")).play())
    found = summarise(place.store, last_run(place.store)).collection
    assert found.episodes == COLLECTED
    assert 0 < found.won < COLLECTED
    assert found.demonstrations == found.won
    assert found.cost == pytest.approx(sum(r.cost for r in place.store.ledger(experiment.run_id)))
    billed = {row.episode_id for row in place.store.ledger(experiment.run_id)}
    assert len(billed) == COLLECTED


def test_nothing_is_collected_twice_and_more_adds_only_what_is_missing(place: Workplace) -> None:
    asyncio.run(collection(place, 3).play())
    once = bill(place.store)
    again = asyncio.run(collection(place, 3).play())
    assert (again.done, again.done_before) == (0, 3)
    assert bill(place.store) == once
    more = asyncio.run(collection(place, 5).play())
    assert (more.done, more.done_before) == (2, 3)
    assert sum(place.store.stats().trajectories.values()) == 5


def test_a_test_split_is_not_collected(place: Workplace) -> None:
    with pytest.raises(ConfigurationError, match=r"'test' is a test split"):
        collection(place, split="test")


def test_what_methods_play_never_becomes_a_demonstration(played: Workplace, tmp_path: Path) -> None:
    stats = played.store.stats().trajectories
    assert stats["demonstration"] <= COLLECTED
    assert stats["rejected"] >= len(METHODS) * 2
    kept = played.store.trajectories(status="rejected", split="test")
    assert {t.provenance.source for t in kept} == {last_run(played.store)}
    other = workplace(tmp_path / "train.db", run={"max_steps": 40})
    asyncio.run(collection(other, 3).play())
    asyncio.run(comparison(other, 1, split="train", methods=("teacher",)).play())
    assert other.store.stats().trajectories == {
        "demonstration": 3,
        "quarantine": 1,
        "rejected": 0,
        "disabled": 0,
    }
    other.close()


def test_the_same_command_resumes_and_another_condition_is_another_run(place: Workplace) -> None:
    asyncio.run(collection(place).play())
    first = comparison(place, 1, methods=("copy",))
    asyncio.run(first.play())
    joined = comparison(place, 2, methods=("copy", "teacher"))
    assert joined.run_id == first.run_id
    tally = asyncio.run(joined.play())
    assert (tally.done, tally.done_before) == (3, 1)
    fresh = comparison(place, 1, methods=("copy",), fresh=True)
    assert fresh.run_id == f"{first.run_id}.2"
    asyncio.run(fresh.play())
    assert comparison(place, 1, methods=("copy",)).run_id == fresh.run_id
    hotter = workplace(place.store.place, student=None, retrieval={"k": 3, "window": 0})
    assert comparison(hotter, 1, methods=("copy",)).run_id != first.run_id
    hotter.close()


def test_methods_with_demonstrations_need_some(place: Workplace) -> None:
    with pytest.raises(ConfigurationError, match="icd collect household"):
        comparison(place)
    asyncio.run(comparison(place, 1, methods=("teacher",)).play())


def test_a_machine_failure_is_no_outcome_and_is_played_again(tmp_path: Path) -> None:
    inner = DemonstrationBackend(model="gpt-4.1-mini")
    flaky = FlakyBackend(inner, [None, None, None, BackendUnreachableError("gone")])
    place = workplace(tmp_path / "icd.db", flaky)
    experiment = comparison(place, 2, methods=("student",))
    events: list[Event] = []
    first = asyncio.run(experiment.play(events.append))
    assert (first.done, len(first.failed)) == (1, 1)
    assert first.failed[0].outcome == {"error": {"code": "backend.unreachable", "message": "gone"}}
    halfway = summarise(place.store, experiment.run_id).methods[0]
    assert (halfway.episodes, halfway.failed) == (1, 1)
    calls = len(inner.requests)
    second = asyncio.run(comparison(place, 2, methods=("student",)).play())
    assert (second.done, second.done_before, second.failed) == (1, 1, ())
    whole = summarise(place.store, experiment.run_id).methods[0]
    assert (whole.episodes, whole.failed) == (2, 0)
    # The plan and the steps before the failure were not asked again.
    rows = place.store.ledger(experiment.run_id)
    assert len(rows) == len(inner.requests)
    assert len(inner.requests) - calls < calls
    assert isinstance(events[0], Started)
    assert sum(isinstance(event, Ended) for event in events) == 2
    place.close()


def test_a_run_stops_when_nothing_works(tmp_path: Path) -> None:
    broken = FlakyBackend(DemonstrationBackend(model="gpt-4.1-mini"), [BackendRefusedError("no key")] * 99)
    place = workplace(tmp_path / "icd.db", broken)
    tally = asyncio.run(comparison(place, 6, methods=("student",)).play())
    assert len(tally.failed) == STOP_AFTER
    assert tally.not_played == 6 - STOP_AFTER
    place.close()


def test_a_budget_stops_the_run_and_counts_what_was_spent_before(tmp_path: Path) -> None:
    store = tmp_path / "icd.db"
    limited = workplace(store, run={"max_steps": 12, "budget": 0.004})
    experiment = comparison(limited, 4, methods=("teacher",))
    for _ in range(2):
        with pytest.raises(BudgetError, match=r"run\.budget"):
            asyncio.run(comparison(limited, 4, methods=("teacher",)).play())
    spent = sum(row.cost for row in limited.store.ledger(experiment.run_id))
    assert 0 < spent <= 0.004
    limited.close()


def test_cancelling_loses_nothing(place: Workplace) -> None:
    steps: list[StepTaken] = []

    async def interrupted() -> None:
        task = asyncio.create_task(collection(place, 4).play(watch))
        watching.append(task)
        await task

    watching: list[asyncio.Task[object]] = []

    def watch(event: Event) -> None:
        if isinstance(event, StepTaken):
            steps.append(event)
            if len(steps) == 17:
                watching[0].cancel()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())
    seen = [(s.job.id, s.step) for s in steps]
    asyncio.run(collection(place, 4).play(watch))
    rows = place.store.ledger()
    assert len({row.decision_id for row in rows}) == len(rows)
    finished = {row.id: row.outcome or {} for row in place.store.episodes(steps[0].job.run_id)}
    assert {row for row, _ in seen} <= set(finished)
    decided = sum(len(place.store.decisions(id)) - 1 for id in finished)
    assert decided == sum(outcome["steps"] for outcome in finished.values())


def test_two_processes_do_not_play_the_same_run(place: Workplace) -> None:
    mine = collection(place, 2)
    second = workplace(place.store.place)

    def watch(event: Event) -> None:
        if isinstance(event, Started):
            with (
                pytest.raises(ConfigurationError, match="another process is playing"),
                alone(second.store, mine.run_id),
            ):
                pass

    asyncio.run(mine.play(watch))
    assert asyncio.run(collection(second, 2).play()).done_before == 2
    second.close()


@pytest.mark.parametrize("workers", [3])
def test_workers_change_no_figure(played: Workplace, tmp_path: Path, workers: int) -> None:
    place = workplace(tmp_path / "icd.db")
    asyncio.run(collection(place, workers=workers).play())
    experiment = comparison(place, workers=workers)
    asyncio.run(experiment.play())
    assert bill(place.store) == bill(played.store)
    assert summarise(place.store, experiment.run_id) == summarise(played.store, experiment.run_id)
    place.close()


def test_killed_again_and_again_it_ends_as_if_it_never_was(played: Workplace, tmp_path: Path) -> None:
    store = tmp_path / "icd.db"
    acknowledged: set[tuple[str, int]] = set()
    for steps in (9, 60, 75, 30):
        process = subprocess.Popen(
            [sys.executable, str(SCENARIO), str(store)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = [line for _, line in zip(range(steps), process.stdout, strict=False)]
        process.kill()
        process.wait()
        process.stdout.close()
        acknowledged |= {tuple(json.loads(line)) for line in lines if line.startswith("[")}
        with Store.open(store) as opened:
            for episode, step in acknowledged:
                assert step - 1 in {row.step for row in opened.decisions(episode)}
    done = subprocess.run(
        [sys.executable, str(SCENARIO), str(store)], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("end\n")
    with Store.open(store) as opened:
        run = last_run(opened)
        assert run == last_run(played.store)
        assert summarise(opened, run) == summarise(played.store, run)
        assert bill(opened) == bill(played.store)
        assert opened.stats().trajectories == played.store.stats().trajectories
