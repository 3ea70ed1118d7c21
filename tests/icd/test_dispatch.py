"""Episodes on several machines, without Ray: plain messages, the driver's dispatching, workers that are lost."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from losing_pool import LosingPool
from scenario import METHODS, bill, collection, comparison, play_everything, settings, workplace

from icd.benchmark.dispatch import LOST_AFTER, dispatch
from icd.benchmark.engine_ray import Node, check_places, check_versions, cpus_each, default_workers
from icd.benchmark.experiment import Experiment, Request, Workplace
from icd.benchmark.runner import Ended, Event, Job, Stage, StepTaken, Tally
from icd.benchmark.summary import summarise
from icd.benchmark.wire import Briefing, EndSaid, ErrorSaid, Order, StepSaid, differences, read_reply
from icd.config import Settings
from icd.errors import (
    BudgetError,
    ClusterError,
    ConfigurationError,
    IcdError,
    MissingExtraError,
)
from icd_memory.errors import StoreUnavailableError
from icd_memory.store import Store

REQUEST = Request("household", 2, methods=METHODS, command="icd run household")
FOREVER = itertools.repeat(None)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A store in which everything was played by this process alone."""
    store = tmp_path_factory.mktemp("played") / "icd.db"
    play_everything(store)
    place = workplace(store)
    yield place
    place.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    found = workplace(tmp_path / "icd.db")
    asyncio.run(collection(found).play())
    yield found
    found.close()


def briefing(place: Workplace, experiment: Experiment, **changes: object) -> Briefing:
    found = Briefing.of(
        experiment.run_id, REQUEST, place.settings, experiment.config["conditions"], str(Path.cwd())
    )
    return found.model_copy(update=changes)


def on_pool(
    experiment: Experiment, pool: LosingPool, workers: int, budget: float | None = None
) -> Experiment:
    async def execute(jobs: list[Job], stage: Stage, _: int) -> Tally:
        return await dispatch(jobs, stage, pool, workers, budget)

    return replace(experiment, executor=execute)  # type: ignore[arg-type]


def play(
    place: Workplace, plan: Iterable[int | None], workers: int = 3, most: int = 99
) -> tuple[Tally, list[Event], LosingPool]:
    experiment = comparison(place)
    pool = LosingPool(briefing(place, experiment), iter(plan), most)
    events: list[Event] = []
    return asyncio.run(on_pool(experiment, pool, workers).play(events.append)), events, pool


def last_run(store: Store) -> str:
    return store.runs()[-1].id


def same(place: Workplace, played: Workplace) -> None:
    """Both stores say the same: outcomes, figures, and every call paid once."""
    run = last_run(played.store)
    assert last_run(place.store) == run
    assert summarise(place.store, run) == summarise(played.store, run)
    assert bill(place.store) == bill(played.store)
    assert place.store.stats().trajectories == played.store.stats().trajectories


@pytest.mark.parametrize(
    "plan",
    [
        FOREVER,
        # Lost before the first step, in the middle, at start, and at the very moment of telling the end.
        [1, 7, 0, 3, 13, None, 26, *[None] * 9],
        [2, 0, 0, 5, 0, *[None] * 9],
    ],
)
def test_lost_workers_change_no_figure_and_nothing_is_paid_twice(
    place: Workplace, played: Workplace, plan: Iterable[int | None]
) -> None:
    tally, events, pool = play(place, plan)
    assert (tally.done, tally.failed, tally.not_played) == (len(METHODS) * 2, (), 0)
    same(place, played)
    ended = [event.job.id for event in events if isinstance(event, Ended)]
    assert sorted(ended) == sorted(set(ended))
    taken = {(event.job.id, event.step) for event in events if isinstance(event, StepTaken)}
    steps = sum((row.outcome or {})["steps"] for row in place.store.episodes(last_run(place.store)))
    assert len(taken) == steps
    assert not any(worker.here for worker in pool.hired)


def test_when_no_worker_is_left_it_says_so_and_the_same_command_goes_on(
    place: Workplace, played: Workplace
) -> None:
    with pytest.raises(ClusterError, match="no worker is left"):
        play(place, [9, 30], workers=2, most=2)
    tally = asyncio.run(comparison(place).play())
    assert tally.done + tally.done_before == len(METHODS) * 2
    same(place, played)


def test_fewer_workers_than_wanted_play_everything(place: Workplace, played: Workplace) -> None:
    tally, _, pool = play(place, [5, None], workers=4, most=2)
    assert tally.done == len(METHODS) * 2
    assert len(pool.hired) == 2
    same(place, played)


def test_an_episode_that_kills_its_workers_fails_and_the_others_are_played(place: Workplace) -> None:
    plan = [1] * LOST_AFTER + [None]
    tally, _, _ = play(place, plan, workers=1)
    assert len(tally.failed) == 1
    error = (tally.failed[0].outcome or {})["error"]
    assert error["code"] == "cluster"
    assert "killed by plan" in error["message"]
    assert tally.done == len(METHODS) * 2 - 1


def test_workers_that_die_while_they_start_end_the_run(place: Workplace) -> None:
    with pytest.raises(ClusterError, match="die while they start: died at start"):
        play(place, itertools.repeat(0))


def test_cancelling_stops_every_worker_and_the_next_run_goes_on(place: Workplace, played: Workplace) -> None:
    experiment = comparison(place)
    pool = LosingPool(briefing(place, experiment), iter(FOREVER))
    steps = itertools.count(1)

    async def interrupted() -> None:
        def watch(event: Event) -> None:
            if isinstance(event, StepTaken) and next(steps) == 20:
                task.cancel()

        task = asyncio.create_task(on_pool(experiment, pool, 3).play(watch))
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())
    assert pool.closed
    assert not any(worker.here for worker in pool.hired)
    play(place, FOREVER)
    same(place, played)


def test_a_budget_holds_for_all_workers_together(tmp_path: Path) -> None:
    place = workplace(tmp_path / "icd.db", run={"max_steps": 12, "budget": 0.03})
    request = Request("household", 4, methods=("teacher",))
    experiment = comparison(place, 4, methods=("teacher",))
    for _ in range(2):
        brief = briefing(place, experiment, request=request)
        pool = LosingPool(brief, iter(FOREVER))
        with pytest.raises(BudgetError, match=r"run\.budget"):
            asyncio.run(on_pool(experiment, pool, 3, 0.03).play())
    spent = sum(row.cost for row in place.store.ledger(experiment.run_id))
    assert 0.02 < spent <= 0.03
    place.close()


def test_a_budget_that_is_enough_is_dealt_until_all_is_played(tmp_path: Path) -> None:
    place = workplace(tmp_path / "icd.db")
    experiment = comparison(place, 4, methods=("teacher",))
    asyncio.run(experiment.play())
    cost = sum(row.cost for row in place.store.ledger(experiment.run_id))
    again = comparison(place, 4, methods=("teacher",), fresh=True)
    request = Request("household", 4, methods=("teacher",))
    pool = LosingPool(briefing(place, again, request=request), iter(FOREVER))
    # What a call sets aside is more than it costs; a third of it each would not be enough.
    tally = asyncio.run(on_pool(again, pool, 3, cost * 1.2).play())
    assert (tally.done, tally.failed) == (4, ())
    assert len([order for worker in pool.hired for order in worker.orders]) > 4
    place.close()


def test_a_worker_under_other_conditions_is_refused_and_they_are_named(place: Workplace) -> None:
    experiment = comparison(place)
    other = settings(place.store.place, retrieval={"k": 3, "window": 0})
    brief = briefing(place, experiment, settings=other.model_dump(mode="json"))
    with pytest.raises(ConfigurationError, match=r"k is 2 here and 3 there"):
        asyncio.run(on_pool(experiment, LosingPool(brief, iter(FOREVER)), 2).play())


def test_settings_arrive_as_they_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Settings(
        student={"kind": "openai", "model": "m", "price": 0, "base_url": "http://127.0.0.1:1/v1"},
        guards={"support": 0.6},
        prices={"m": {"input": 1, "output": 2}},
        run={"budget": 1.5},
    )
    experiment_free = Briefing(
        run_id="r", request=REQUEST, settings=sent.model_dump(mode="json"), conditions={}, folder="/"
    )
    text = experiment_free.model_dump_json()
    monkeypatch.setenv("ICD_RETRIEVAL__K", "1")
    monkeypatch.setenv("ICD_RUN__BUDGET", "99")
    got = Briefing.model_validate_json(text)
    assert got.restored() == sent
    assert got.request == REQUEST


@given(st.text(min_size=1), st.text(), st.integers(0, 10**9), st.none() | st.floats(0, 1e6))
def test_an_order_arrives_as_it_was_sent(method: str, task: str, seed: int, budget: float | None) -> None:
    order = Order(method=method, task_id=task, seed=seed, budget=budget)
    assert Order.model_validate(order.model_dump(mode="json")) == order


def test_replies_arrive_as_they_were_sent(played: Workplace) -> None:
    row = played.store.episodes(last_run(played.store))[0]
    for said in (
        StepSaid(step=3, actor="teacher", action="go to a"),
        EndSaid(row=row, cost=0.1 + 0.2),
        ErrorSaid(code="x", message="y"),
    ):
        assert read_reply(said.model_dump(mode="json")) == said


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BudgetError("b"), BudgetError),
        (MissingExtraError("x", "ray"), ConfigurationError),
        (IcdError("?"), ClusterError),
    ],
)
def test_errors_keep_their_kind(error: IcdError, kind: type[Exception]) -> None:
    found = ErrorSaid.of(error).error()
    assert type(found) is kind
    assert str(found) == str(error)


def test_a_store_that_does_not_answer_is_still_one_after_the_journey() -> None:
    assert ErrorSaid.of(StoreUnavailableError("gone")).code == "memory.store.unavailable"
    assert getattr(ErrorSaid.of(StoreUnavailableError("gone")).error(), "code", "") == "memory.store"


def test_differences_are_named_with_both_values() -> None:
    assert list(differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 2}, "c": 2})) == [
        "a.b is 1 here and 2 there"
    ]


HERE, THERE = Node("a", "127.0.0.2", 2), Node("b", "127.0.0.3", 2)


def test_a_store_in_a_file_is_for_one_machine(place: Workplace) -> None:
    check_places(place.settings, place.store, [HERE], "a")
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.3: put it on a PostgreSQL server"):
        check_places(place.settings, place.store, [HERE, THERE], "a")
    with pytest.raises(ConfigurationError, match="PostgreSQL"):
        check_places(place.settings, place.store, [THERE], "a")
    with pytest.raises(ClusterError, match="no machine"):
        check_places(place.settings, place.store, [], "a")


def test_what_belongs_to_one_process_is_refused(place: Workplace) -> None:
    embedded = settings(
        place.store.place,
        memory={"store": place.store.place, "embedder": "hashing", "index": "chroma"},
    )
    with pytest.raises(ConfigurationError, match="chroma run"):
        check_places(embedded, place.store, [HERE], "a")
    with Store.open(":memory:") as store, pytest.raises(ConfigurationError, match="PostgreSQL"):
        check_places(settings(":memory:"), store, [HERE], "a")


def test_other_versions_are_refused_and_both_are_named() -> None:
    check_versions("0.1.0", {"127.0.0.2": "0.1.0"})
    with pytest.raises(ConfigurationError, match=r"icd-runtime 0\.1\.0, and 127\.0\.0\.3 has 0\.2\.0"):
        check_versions("0.1.0", {"127.0.0.2": "0.1.0", "127.0.0.3": "0.2.0"})
    with pytest.raises(ConfigurationError, match="has no icd-runtime"):
        check_versions("0.1.0", {"127.0.0.3": ""})


@given(st.lists(st.integers(1, 16), min_size=1, max_size=6), st.integers(1, 200))
def test_all_workers_find_room(cpus: list[int], workers: int) -> None:
    nodes = [Node(str(number), "", float(count)) for number, count in enumerate(cpus)]
    each = cpus_each(workers, nodes)
    assert 0 < each <= 1
    assert sum(int(node.cpus / each + 1e-9) for node in nodes) >= workers


def test_a_model_in_the_worker_gets_a_machine_for_itself() -> None:
    local = Settings(student={"kind": "local"})
    remote = Settings(student={"kind": "openai", "model": "m"})
    assert default_workers(local, [HERE, THERE]) == 2
    assert default_workers(remote, [HERE, THERE]) == 4


HOLD = """
import asyncio, sys
from icd.benchmark.locks import playing
from icd_memory.store import Store
async def main():
    with Store.open(sys.argv[1]) as store:
        async with playing(store, "e"):
            print("held", flush=True)
            sys.stdin.read()
asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="locks of files")
def test_an_episode_is_played_by_one_process_until_that_is_gone(tmp_path: Path) -> None:
    holds_an_episode(str(tmp_path / "icd.db"))


@pytest.mark.postgres
@pytest.mark.skipif("ICD_TEST_POSTGRES" not in os.environ, reason="ICD_TEST_POSTGRES names no server")
def test_an_episode_is_played_by_one_process_on_postgresql() -> None:
    holds_an_episode(os.environ["ICD_TEST_POSTGRES"])


def holds_an_episode(place: str) -> None:
    from icd.benchmark.locks import alone, playing

    async def take(store: Store, name: str, patience: float) -> None:
        async with playing(store, name, patience):
            pass

    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    with holder, Store.open(place) as store:
        assert holder.stdout.readline() == "held\n"
        asyncio.run(take(store, "another", 0.0))
        with pytest.raises(ClusterError, match="another process has been playing e in"):
            asyncio.run(take(store, "e", 0.0))
        holder.kill()
        asyncio.run(take(store, "e", 20.0))
        with alone(store, "r"), pytest.raises(ConfigurationError, match="another process"), alone(store, "r"):
            pass
        with alone(store, "r"):
            pass
