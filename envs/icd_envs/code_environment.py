"""A code world as an environment: the action is a block of Python, the observation what it printed.

This module knows a session and, where the world has them, gold solutions; it knows no apps. Its expert takes the gold
solution step by step: the place in it is how many of its blocks were executed in order, by whomever. Blocks that read
the same as a syntax tree are the same block; names count, since later gold blocks use what earlier ones assigned.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Sequence

from icd_envs.base import ActionSpace, ExpertMove, StepResult, Task
from icd_envs.code_world import CodeSession, CodeTask, CodeWorld, GoldStep
from icd_envs.errors import EngineError

MAX_STEPS = 40

Gold = Callable[[str], Sequence[GoldStep]]
"""The gold solution of a task, by its id."""

NO_CODE = "There was no block of Python in your answer, so nothing was executed."
_ACTIONS = ActionSpace(code=True)


class CodeEnvironment:
    """Plays the tasks of a code world, one session at a time."""

    def __init__(self, world: CodeWorld, max_steps: int = MAX_STEPS, gold: Gold | None = None) -> None:
        """Play in `world`, which is closed with this environment; without `gold` there is no expert."""
        self.name = world.name
        self._world = world
        self._max_steps = max_steps
        self._gold = gold
        self._session: CodeSession | None = None
        self._expert: _GoldExpert | None = None
        self._steps = 0
        self._done = False

    def reset(self, task: Task) -> StepResult:
        """Open a session of `task`; what is observed is the task itself. Raises `TaskNotFoundError`."""
        self._end()
        self._session = self._world.open(task.id)
        self._steps, self._done, self._expert = 0, False, None
        return StepResult(introduction(self._session.task), _ACTIONS)

    def step(self, action: str) -> StepResult:
        """Execute a block. One without code costs a step and changes nothing.

        Raises:
            EngineError: there is no running episode.
        """
        session = self._running()
        observation = session.execute(action) if action.strip() else NO_CODE
        self._steps += 1
        if self._expert is not None:
            self._expert.executed(action)
        done = session.completed() or self._steps >= self._max_steps
        if not done:
            return StepResult(observation, _ACTIONS)
        self._done = True
        verdict = session.evaluate()
        requirements = len(verdict.passed) + len(verdict.failed)
        share = len(verdict.passed) / requirements if requirements else float(verdict.success)
        self._end()
        return StepResult(observation, _ACTIONS, share, done=True, won=verdict.success)

    def expert(self) -> _GoldExpert | None:
        """Return the expert of the running episode; None where the world has no gold solutions.

        Ask for it before the first step: it does not know the blocks that were executed before.

        Raises:
            EngineError: there is no running episode.
        """
        session = self._running()
        if self._expert is None and self._gold is not None:
            self._expert = _GoldExpert(self._gold(session.task.id))
        return self._expert

    def close(self) -> None:
        """End the session and close the world."""
        self._end()
        self._world.close()

    def _running(self) -> CodeSession:
        if self._session is None:
            said = "the episode is over" if self._done else "there is no episode yet"
            raise EngineError(f"{said}: call reset with a task first")
        return self._session

    def _end(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


class _GoldExpert:
    """Takes the blocks of a gold solution that were not executed yet."""

    def __init__(self, gold: Sequence[GoldStep]) -> None:
        self._gold = tuple(gold)
        self._trees = [_tree(step.code) for step in self._gold]
        self._at = 0

    def plan(self) -> str:
        """Return the reasons of the gold blocks, numbered, in one line."""
        reasons = [" ".join(step.reasoning.split()) for step in self._gold]
        return " ".join(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))

    def move(self) -> ExpertMove:
        """Return the next block; the last one again when all were executed and the task is still not completed."""
        step = self._gold[min(self._at, len(self._gold) - 1)]
        return ExpertMove(step.reasoning, step.code, code=True)

    def executed(self, code: str) -> None:
        """Take note of a block that somebody executed."""
        if self._at < len(self._gold) and _tree(code) == self._trees[self._at]:
            self._at += 1


def introduction(task: CodeTask) -> str:
    """Return what an agent is told of a task and of the world in which it acts."""
    person = task.supervisor
    apps = "\n".join(f"- {name}: {about}" for name, about in sorted(task.apps.items()))
    return (
        f"{task.instruction}\n\n"
        f"You act for your supervisor: {person.first_name} {person.last_name}, {person.email}, "
        f"{person.phone_number}.\n"
        f"It is {task.date:%A, %d %B %Y, %H:%M}.\n\n"
        f"Apps:\n{apps}\n\n"
        "Call them as `apis.<app>.<api>(name=value)`; `apis.api_docs` tells which APIs an app has and what they take. "
        "Variables stay from one block to the next, and you see only what a block prints. When the task is done call "
        "`apis.supervisor.complete_task()`: that ends it. Give it `answer=...` if the task asks a question; if it asks "
        "none, the answer stays null."
    )


def _tree(code: str) -> str:
    """Return the syntax tree as text; code that is none as it is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.dump(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
