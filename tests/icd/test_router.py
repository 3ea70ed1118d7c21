"""The router on tasks whose difficulty can be foreseen, and on tasks where it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from runs_by_hand import CONDITIONS, add_episode, add_run

from icd.benchmark.derived import derive
from icd.benchmark.played_run import PlayedRun, Prompt
from icd.benchmark.router import Lesson, learn
from icd.errors import ConfigurationError
from icd_memory.embedding import HashingEmbedder
from icd_memory.store import Store

pytest.importorskip("sklearn")
THINGS, PLACES = ("mug", "apple", "pan", "book", "soap", "key"), ("desk", "fridge", "shelf", "sink")


def tasks(number: int, rng: np.random.Generator, *, foreseeable: bool) -> list[Lesson]:
    """Goals of two kinds; where it can be foreseen, those that heat something are mostly too hard."""
    lessons = []
    for _ in range(number):
        hard = bool(rng.random() < 0.4)
        heats = hard if foreseeable and rng.random() < 0.95 else bool(rng.random() < 0.4)
        what = f"{rng.choice(THINGS)} {'heated and put' if heats else 'put'} in the {rng.choice(PLACES)}"
        lessons.append(Lesson(Prompt(what, "heat" if heats else "put"), not hard))
    return lessons


def sent(train: Sequence[Lesson], test: Sequence[Lesson], share: float) -> tuple[float, float]:
    """Return the teacher's share of the test tasks, and the share of those that were hard."""
    router = learn(train, HashingEmbedder(64).embed)
    chosen = router.to_teacher([lesson.prompt for lesson in test], share)
    hard = [not lesson.good_enough for lesson, to in zip(test, chosen, strict=True) if to]
    return sum(chosen) / len(test), sum(hard) / max(len(hard), 1)


def test_what_can_be_foreseen_is_sent_to_the_teacher() -> None:
    rng = np.random.default_rng(0)
    share, hard = sent(tasks(200, rng, foreseeable=True), tasks(400, rng, foreseeable=True), 0.3)
    assert share == pytest.approx(0.3, abs=0.12)
    assert hard > 0.85


def test_what_cannot_be_foreseen_is_a_coin() -> None:
    rng = np.random.default_rng(1)
    share, hard = sent(tasks(200, rng, foreseeable=False), tasks(400, rng, foreseeable=False), 0.3)
    assert share == pytest.approx(0.3, abs=0.15)
    assert hard == pytest.approx(0.4, abs=0.12)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nobody_or_everybody(share: float) -> None:
    rng = np.random.default_rng(2)
    assert sent(tasks(40, rng, foreseeable=True), tasks(20, rng, foreseeable=True), share)[0] == share


def test_one_kind_of_task_teaches_nothing() -> None:
    lessons = [Lesson(Prompt("put a mug", "put"), True)] * 9 + [Lesson(Prompt("heat a mug", "heat"), False)]
    with pytest.raises(ConfigurationError, match="9 of 10 train tasks"):
        learn(lessons, HashingEmbedder(8).embed)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "icd.db") as opened:
        yield opened


def play(store: Store, run_id: str, lessons: Sequence[Lesson]) -> None:
    with store.transaction():
        _play(store, run_id, lessons)


def _play(store: Store, run_id: str, lessons: Sequence[Lesson]) -> None:
    for number, lesson in enumerate(lessons):
        for method, won, cost in (("in-context", lesson.good_enough, 1.0), ("teacher", True, 5.0)):
            add_episode(store, run_id, method, f"{run_id}-{number}", won=won, cost=cost, goal=lesson.prompt.goal,
                        category=lesson.prompt.category, steps=1)  # fmt: skip


def test_a_router_learns_from_the_train_episodes_of_the_same_conditions(store: Store) -> None:
    rng = np.random.default_rng(3)
    run = PlayedRun(store, "run", add_run(store, "run"))
    play(store, "run", tasks(30, rng, foreseeable=True))
    with pytest.raises(ConfigurationError, match="play some with --split train"):
        derive("router(0.4)", run)
    add_run(store, "other memory", split="train", memory="def")
    play(store, "other memory", tasks(30, rng, foreseeable=True))
    with pytest.raises(ConfigurationError, match="play some with --split train"):
        derive("router(0.4)", run)
    dearer = {**CONDITIONS["teacher"], "price": {"input": 3}}
    add_run(store, "train", split="train", teacher=dearer, seed=7)
    play(store, "train", tasks(60, rng, foreseeable=True))
    found = derive("router(0.4)", run)
    student, teacher = run.by_task("in-context"), run.by_task("teacher")
    assert len(found) == 30
    for result in found:
        key = (result.task_id, result.seed)
        assert result.cost in (student[key].cost, teacher[key].cost)
    cost, won = sum(r.cost for r in found) / 30, sum(r.won for r in found) / 30
    alone = sum(r.won for r in student.values()) / 30
    assert won > alone + 0.2
    assert cost < 4
    assert found == derive("router(0.4)", run)
