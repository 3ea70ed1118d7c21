"""A small world for code-writing agents in this process, its suite, and a student that does what demonstrations did."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scenario import ScenarioModels

from icd.backends.base import ChatRequest
from icd.benchmark.collect import prepare_collection
from icd.benchmark.compare import prepare_comparison
from icd.benchmark.experiment import Experiment, Request, Workplace
from icd.config import Settings
from icd.testing import ScriptedBackend
from icd_envs.base import Environment, Stepping, Task
from icd_envs.code_environment import CodeEnvironment
from icd_envs.code_world import CodeTask, Evaluation, GoldStep, Supervisor

NAME = "sums"
SCENARIOS = {"train": ("add", "sub"), "test": ("mul", "max")}
VARIANTS = 3
OPERATIONS = {"add": "a + b", "sub": "a - b", "mul": "a * b", "max": "max(a, b)"}


def gold(task_id: str) -> tuple[GoldStep, ...]:
    _, scenario, _ = task_id.split("_")
    return (
        GoldStep("I need the numbers.", "found = apis.sums.numbers()\nprint(found)"),
        GoldStep(
            "I compute and hand it in.",
            f"a, b = found\napis.supervisor.complete_task(answer={OPERATIONS[scenario]})",
        ),
    )


class SumsSession:
    """Runs blocks in this process; the right answer is the operation of the scenario."""

    def __init__(self, task: CodeTask, numbers: list[int]) -> None:
        self.task = task
        self._numbers = numbers
        self._answer: Any = None
        self._completed = False
        apps = SimpleNamespace(
            sums=SimpleNamespace(numbers=lambda: list(self._numbers)),
            supervisor=SimpleNamespace(complete_task=self._complete),
        )
        self._namespace: dict[str, Any] = {"apis": apps}

    def _complete(self, answer: object = None) -> None:
        self._completed, self._answer = True, answer

    def execute(self, code: str) -> str:
        out = io.StringIO()
        try:
            with redirect_stdout(out):
                exec(code, self._namespace)
        except (NameError, SyntaxError) as error:
            return f"The code failed:\n{error}"
        return out.getvalue()

    def completed(self) -> bool:
        return self._completed

    def evaluate(self) -> Evaluation:
        a, b = self._numbers
        right = self._answer == eval(OPERATIONS[self.task.scenario], {"a": a, "b": b})
        return Evaluation(right, ("right",) * right, ("right",) * (not right), 1)

    def close(self) -> None:
        pass


class SumsWorld:
    """Two numbers a task."""

    name = NAME

    def task_ids(self, split: str) -> list[str]:
        return [f"{split}_{one}_{number}" for one in SCENARIOS[split] for number in range(1, VARIANTS + 1)]

    def open(self, task_id: str) -> SumsSession:
        split, scenario, number = task_id.split("_")
        person = Supervisor("Ada", "Berg", "ada@example.com", "555")
        apps = {"sums": "has two numbers", "supervisor": "takes the answer"}
        task = CodeTask(
            task_id, f"What is {OPERATIONS[scenario]} of set {number}?", person, datetime(2026, 3, 2), apps, split,
            scenario, 1,
        )  # fmt: skip
        return SumsSession(task, [int(number) + 2, 7])

    def close(self) -> None:
        pass


class SumsSuite:
    """The tasks of the small world."""

    name = NAME
    splits: tuple[str, ...] = ("train", "test")
    test_splits: tuple[str, ...] = ("test",)
    max_steps: int = 5
    stepping: Stepping = "loop"

    def tasks(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Task]:
        world = SumsWorld()
        tasks = [world.open(task_id).task for task_id in world.task_ids(split)]
        return [Task(t.id, NAME, split, t.instruction, NAME, t.scenario) for t in tasks][:limit]

    def environment(self, max_steps: int = 40) -> Environment:
        return CodeEnvironment(SumsWorld(), max_steps, gold)


def follow(request: ChatRequest) -> list[str]:
    """Write the block of the best example; every third task's samples disagree at the last step."""
    text = request.messages[-1].content
    blocks = re.findall(r"```python\n(.*?)\n```", text.partition("</example>")[0], re.DOTALL)
    block = blocks[-1] if "<example>" in text and blocks else "print(1)"
    wavers = "set 3" in text and "Output:" in text.rpartition("</example>")[2]
    codes = [f"{block}\nprint({number})" if wavers else block for number in range(request.n)]
    if wavers:
        codes = [code.replace("answer=", f"answer={number} + ") for number, code in enumerate(codes)]
    return [f" I do as shown.\n```python\n{code}" for code in codes]


def student() -> ScriptedBackend:
    return ScriptedBackend(follow, model="gpt-4.1-mini")


def place(store: Path, **changes: Any) -> Workplace:
    sections: dict[str, Any] = {
        "memory": {"store": str(store), "embedder": "hashing"},
        "student": {"kind": "openai", "model": "gpt-4.1-mini"},
        "retrieval": {"k": 1, "window": 0, "adapt_names": False},
    }
    made = Workplace(Settings(**{**sections, **changes}), NAME, make_models=ScenarioModels(student()))
    vars(made)["suite"] = SumsSuite()
    return made


def collect(where: Workplace) -> Experiment:
    experiment = prepare_collection(Request(NAME, 6, command="icd collect sums"), where)
    asyncio.run(experiment.play())
    return experiment


def compare(where: Workplace, *methods: str, **request: Any) -> Experiment:
    asked = Request(NAME, 6, methods=methods, command="icd run sums", **request)
    experiment = prepare_comparison(asked, where)
    asyncio.run(experiment.play())
    return experiment
