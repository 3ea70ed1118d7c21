"""A household as an `Environment`: the engine, a step cap, and what the agent knows so far.

Plays generated and published games alike; where a task's game comes from is the caller's affair (`load`).
"""

from __future__ import annotations

from collections.abc import Callable

from icd_envs.base import ActionSpace, Expert, StepResult, Task
from icd_envs.errors import EngineError
from icd_envs.household.engine import Engine, Player, Turn
from icd_envs.household.expert import HouseholdExpert
from icd_envs.household.game import Game
from icd_envs.household.knowledge import Knowledge


class HouseholdWorld:
    """One world in which household tasks are played one after the other. Not thread-safe: one per worker."""

    def __init__(
        self, load: Callable[[Task], Game | Player], max_steps: int = 50, name: str = "household"
    ) -> None:
        """Make a world that gets each task's game, or a player of it, from `load`."""
        self.name = name
        self.max_steps = max_steps
        self.knowledge: Knowledge | None = None
        """What the agent of the running episode knows."""
        self._load = load
        self._engine: Player | None = None
        self._steps = 0
        self._over = True

    def reset(self, task: Task) -> StepResult:
        """Start an episode of `task`. Raises `GameFileError` or `TaskNotFoundError` where it has no game."""
        loaded = self._load(task)
        self._engine = Engine(loaded) if isinstance(loaded, Game) else loaded
        turn = self._engine.reset()
        self.knowledge = Knowledge(task.goal)
        self.knowledge.start(turn.observation, turn.admissible)
        self._steps = 0
        return self._result(turn, self.knowledge)

    def step(self, action: str) -> StepResult:
        """Do `action`. Raises `EngineError` before the first reset and after the end of an episode."""
        if self._engine is None or self.knowledge is None or self._over:
            raise EngineError("no episode is running: call reset(task) first")
        turn = self._engine.step(action)
        self._steps += 1
        self.knowledge.update(action, turn.observation, turn.admissible)
        return self._result(turn, self.knowledge)

    def expert(self) -> Expert | None:
        """Return the expert of the running episode; None before the first, or if it cannot read the goal."""
        if self.knowledge is None or self.knowledge.goal is None:
            return None
        return HouseholdExpert(self.knowledge)

    def close(self) -> None:
        """Forget the running episode."""
        self._engine, self.knowledge, self._over = None, None, True

    def _result(self, turn: Turn, knowledge: Knowledge) -> StepResult:
        self._over = turn.won or self._steps >= self.max_steps
        return StepResult(
            observation=turn.observation,
            actions=ActionSpace(turn.admissible),
            reward=float(turn.won),
            done=self._over,
            won=turn.won,
            view=knowledge.view(),
        )
