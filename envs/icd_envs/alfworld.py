"""The suite of published ALFWorld games, on our engine or, for cross-checks, on the published one.

The games are not part of this package: they come from a tree as ``alfworld-download`` lays it out
(``ALFWORLD_DATA``) or from a compact pack (``ICD_ALFWORLD_PACK``); see `game_library`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from icd_envs.base import Environment, Stepping, Task
from icd_envs.errors import TaskNotFoundError
from icd_envs.game_library import GameLibrary, PublishedGame
from icd_envs.household.game import Game
from icd_envs.household.world import HouseholdWorld
from icd_envs.sampling import varied

NAME = "alfworld"


class AlfworldSuite:
    """The published games. Nothing is read before tasks or a game are asked for."""

    name: str = NAME
    splits: tuple[str, ...] = ("train", "valid_train", "valid_seen", "valid_unseen")
    test_splits: tuple[str, ...] = ("valid_train", "valid_seen", "valid_unseen")
    max_steps: int = 30

    def __init__(self, games: Sequence[str | Path] = (), engine: Literal["icd", "textworld"] = "icd") -> None:
        """Play the games at these paths (packs or trees), or those that the environment variables name.

        ``engine="textworld"`` plays them on the published engine: extra ``alfworld``, one world per process.
        """
        self._games = tuple(games)
        self._engine = engine
        self.stepping: Stepping = "process" if engine == "textworld" else "loop"
        self._library: GameLibrary | None = None

    @property
    def library(self) -> GameLibrary:
        """Where the games are. Raises `GameFileError` where there are none."""
        if self._library is None:
            self._library = GameLibrary.at(self._games) if self._games else GameLibrary.from_environment()
        return self._library

    def tasks(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Task]:
        """Return tasks of a split, the categories in turn. Raises `TaskNotFoundError` or `GameFileError`."""
        if split not in self.splits:
            raise TaskNotFoundError(f"no split {split!r} of {NAME}: there are {', '.join(self.splits)}")
        library = self.library
        order = varied(library.ids(split), lambda game_id: PublishedGame(game_id, "").category, seed)
        return [_task(library.game(game_id)) for game_id in order[:limit]]

    def task(self, task_id: str) -> Task:
        """Return the task of the game with this id. Raises `TaskNotFoundError` or `GameFileError`."""
        return _task(self.library.game(task_id))

    def load(self, task: Task) -> Game:
        """Return the game of a task. Raises `TaskNotFoundError` or `GameFileError`."""
        return Game.load(self.library.file(task.id))

    def environment(self, max_steps: int = 50) -> Environment:
        """Make a world for these tasks with a step cap."""
        if self._engine == "textworld":
            from icd_envs.published_engine import PublishedEngine

            return HouseholdWorld(lambda task: PublishedEngine(self.library.file(task.id)), max_steps, NAME)
        return HouseholdWorld(self.load, max_steps, NAME)


def _task(game: PublishedGame) -> Task:
    return Task(
        id=game.id,
        environment=NAME,
        split=game.split,
        goal=game.goal,
        category=game.category,
        instance=game.trial,
    )
