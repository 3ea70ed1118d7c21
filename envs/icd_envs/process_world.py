"""A world in a process of its own, behind the same interface: for engines of which a process can hold only one.

The process ends with this one, however that ends. When it dies, the running episode is lost, which is told as an
`EngineError`; the next reset starts another.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from icd_envs.base import Environment, Expert, ExpertMove, StepResult, Task
from icd_envs.errors import EngineError, EnvsError
from icd_envs.table import suite

_GRACE = 5.0


class ProcessWorld:
    """An environment played in another process. Not thread-safe: one per worker."""

    def __init__(self, name: str, make: Callable[[], Environment]) -> None:
        """Prepare a world that `make` makes there; it must be picklable. The process starts at the first reset."""
        self.name = name
        self._make = make
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    @classmethod
    def of_suite(cls, name: str, options: Mapping[str, Any], max_steps: int) -> ProcessWorld:
        """Return a world of an environment of the table."""
        return cls(name, partial(_world, name, dict(options), max_steps))

    def reset(self, task: Task) -> StepResult:
        """Start an episode of `task`."""
        if self._process is None or not self._process.is_alive():
            self._start()
        result: StepResult = self._ask("reset", task)
        return result

    def step(self, action: str) -> StepResult:
        """Do `action`."""
        result: StepResult = self._ask("step", action)
        return result

    def expert(self) -> Expert | None:
        """Return the expert of the running episode, or None where the environment has none."""
        return _ProcessExpert(self._ask) if self._ask("has_expert") else None

    def close(self) -> None:
        """End the process."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is None:
            return
        process.join(_GRACE)
        if process.is_alive():
            process.kill()
            process.join()

    def _start(self) -> None:
        self.close()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._make), daemon=True)
        self._process.start()
        theirs.close()

    def _ask(self, what: str, *arguments: object) -> Any:
        if self._connection is None or self._process is None:
            raise EngineError("no episode is running: call reset(task) first")
        try:
            self._connection.send((what, arguments))
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(_GRACE)
            code = self._process.exitcode
            raise EngineError(
                f"the process of a world of {self.name} is gone (exit code {code}), and its episode with it"
            ) from error
        if isinstance(answer, EnvsError):
            raise answer
        return answer


class _ProcessExpert:
    """The other process's expert."""

    def __init__(self, ask: Callable[[str], Any]) -> None:
        self._ask = ask

    def plan(self) -> str:
        text: str = self._ask("plan")
        return text

    def move(self) -> ExpertMove:
        move: ExpertMove = self._ask("move")
        return move


def _world(name: str, options: dict[str, Any], max_steps: int) -> Environment:
    return suite(name, **options).environment(max_steps)


def _serve(connection: Connection, make: Callable[[], Environment]) -> None:
    """Answer until the other side is gone."""
    # Ctrl-C reaches both processes, and the other one decides. What the engine prints is no output of a command.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    world: Environment | None = None
    with suppress(EOFError, OSError):
        while True:
            what, arguments = connection.recv()
            try:
                if world is None:
                    world = make()
                answer = _answer(world, what, arguments)
            except EnvsError as error:
                answer = error
            except Exception as error:  # noqa: BLE001 - an engine fails in any way, and the player has to hear of it
                answer = EngineError(f"{type(error).__name__}: {error}")
            connection.send(answer)
    if world is not None:
        world.close()


def _answer(world: Environment, what: str, arguments: tuple[Any, ...]) -> object:
    match what:
        case "reset":
            return world.reset(*arguments)
        case "step":
            return world.step(*arguments)
    expert = world.expert()
    if what == "has_expert":
        return expert is not None
    if expert is None:
        raise EngineError("this episode has no expert")
    return expert.plan() if what == "plan" else expert.move()
