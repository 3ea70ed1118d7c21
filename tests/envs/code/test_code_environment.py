"""A code world as an environment: what is observed, when an episode ends, and the expert's place in its solution."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from datetime import datetime
from typing import Any

import pytest

from icd_envs.base import Task
from icd_envs.code_environment import NO_CODE, CodeEnvironment
from icd_envs.code_world import CodeTask, Evaluation, GoldStep, Supervisor
from icd_envs.errors import EngineError, TaskNotFoundError
from icd_envs.sampling import scenario_of
from icd_envs.table import suite
from icd_envs.workspace.suite import WorkspaceSuite

TASK = CodeTask(
    "add_1", "Add the two numbers.", Supervisor("Ada", "Berg", "ada@example.com", "555"),
    datetime(2026, 3, 2, 9, 30), {"sums": "adds", "supervisor": "your supervisor"}, "train", "add", 1,
)  # fmt: skip
GOLD = (
    GoldStep("I read the numbers.", "numbers = [2, 3]\nprint(numbers)"),
    GoldStep("I add them.", "total = sum(numbers)"),
    GoldStep("I hand it in.", "complete_task(answer=total)"),
)
PLAYED = Task("add_1", "sums", "train", TASK.instruction, "sums", "add")


class SumSession:
    """Runs blocks in this process; the task is done when somebody says so."""

    task = TASK

    def __init__(self) -> None:
        self.said: Any = None
        self.ended = False
        self.closed = 0
        self.namespace: dict[str, Any] = {"complete_task": self.complete}

    def complete(self, answer: object = None) -> None:
        self.ended, self.said = True, answer

    def execute(self, code: str) -> str:
        out = io.StringIO()
        with redirect_stdout(out):
            exec(code, self.namespace)
        return out.getvalue()

    def completed(self) -> bool:
        return self.ended

    def evaluate(self) -> Evaluation:
        right = self.said == 5
        return Evaluation(right, ("said",) + ("right",) * right, () if right else ("right",), 1)

    def close(self) -> None:
        self.closed += 1


class SumWorld:
    """A world with one task."""

    name = "sums"

    def __init__(self) -> None:
        self.sessions: list[SumSession] = []
        self.closed = False

    def task_ids(self, split: str) -> list[str]:
        return ["add_1"]

    def open(self, task_id: str) -> SumSession:
        self.sessions.append(SumSession())
        return self.sessions[-1]

    def close(self) -> None:
        self.closed = True


SOLUTIONS: Mapping[str, tuple[GoldStep, ...]] = {"add_1": GOLD}


def environment(max_steps: int = 40) -> CodeEnvironment:
    return CodeEnvironment(SumWorld(), max_steps, SOLUTIONS.__getitem__)


def test_the_first_observation_tells_all_that_is_needed() -> None:
    result = environment().reset(PLAYED)
    assert result.actions.code
    assert result.actions.admissible is None
    for part in ("Add the two numbers.", "Ada Berg", "ada@example.com", "02 March 2026", "- sums: adds"):
        assert part in result.observation
    assert "complete_task" in result.observation
    assert "if it asks none, the answer stays null" in result.observation


def test_the_expert_solves_the_task_with_its_reasons() -> None:
    world = environment()
    result = world.reset(PLAYED)
    expert = world.expert()
    assert expert is not None
    assert expert.plan() == "1. I read the numbers. 2. I add them. 3. I hand it in."
    moves = []
    while not result.done:
        moves.append(expert.move())
        result = world.step(moves[-1].action)
    assert [(move.reasoning, move.action) for move in moves] == [(s.reasoning, s.code) for s in GOLD]
    assert all(move.code for move in moves)
    assert (result.won, result.reward) == (True, 1.0)


def test_the_expert_goes_on_from_where_others_came() -> None:
    world = environment()
    world.reset(PLAYED)
    expert = world.expert()
    assert expert is not None
    assert world.step("numbers = [2,3]  # as it is\nprint(numbers)").observation == "[2, 3]\n"
    assert expert.move().action == GOLD[1].code
    world.step("values = [2, 3]")  # What the solution goes on with is not there now.
    world.step("total = 4")
    assert expert.move().action == GOLD[1].code
    world.step(GOLD[1].code)
    assert world.step(expert.move().action).won


def test_the_end_is_saying_so_or_the_cap() -> None:
    world = environment(max_steps=2)
    world.reset(PLAYED)
    assert not world.step("1 + 1").done
    last = world.step("2 + 2")
    assert (last.done, last.won, last.reward) == (True, False, 0.5)
    with pytest.raises(EngineError, match="over"):
        world.step("3 + 3")
    world.reset(PLAYED)
    wrong = world.step("complete_task(answer=6)")
    assert (wrong.done, wrong.won) == (True, False)


def test_an_answer_without_code_costs_a_step_and_changes_nothing() -> None:
    world = environment(max_steps=2)
    world.reset(PLAYED)
    assert world.step(" ").observation == NO_CODE
    assert world.step("").done


def test_sessions_and_world_are_closed() -> None:
    made = SumWorld()
    world = CodeEnvironment(made)
    with pytest.raises(EngineError, match="reset"):
        world.expert()
    world.reset(PLAYED)
    assert world.expert() is None
    world.reset(PLAYED)
    world.close()
    assert [session.closed for session in made.sessions] == [1, 1]
    assert made.closed


# The workspace's tasks.


def test_the_workspace_is_in_the_table() -> None:
    made = suite("workspace")
    assert (made.splits, made.test_splits, made.max_steps) == (("train", "dev", "test"), ("test",), 40)
    with pytest.raises(TaskNotFoundError, match="train, dev, test"):
        made.tasks("valid")


def test_the_first_tasks_are_varied_in_train_and_whole_scenarios_elsewhere() -> None:
    made = WorkspaceSuite()
    train = made.tasks("train", 5, seed=1)
    assert len({task.instance for task in train}) == 5
    test = made.tasks("test", 6, seed=1)
    assert [task.instance for task in test] == [task.instance for task in test[::3] for _ in range(3)]
    assert test[0].instance != test[3].instance
    assert [task.id for task in test] == [task.id for task in made.tasks("test", 6, seed=1)]
    assert all((task.split, task.category) == ("test", "workspace") for task in test)
    assert [task.instance for task in test] == [scenario_of(task.id).removeprefix("test_") for task in test]


def test_the_expert_solves_a_task_of_the_workspace_in_its_worker() -> None:
    made = WorkspaceSuite()
    task = made.tasks("train", 1)[0]
    world = made.environment(made.max_steps)
    try:
        result = world.reset(task)
        assert task.goal in result.observation
        expert = world.expert()
        assert expert is not None
        while not result.done:
            result = world.step(expert.move().action)
        assert (result.won, result.reward) == (True, 1.0)
    finally:
        world.close()
