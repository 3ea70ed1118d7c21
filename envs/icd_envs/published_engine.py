"""The published ALFWorld engine behind the same interface as ours, for cross-checks (extra ``alfworld``).

It can run one game at a time in a process: it keeps its state in a shared library, changes ``sys.argv`` and
``sys.stdout`` while it loads, and needs seconds for a game. So a process has one player, used again for each
game, and its imports happen here only when it is made. It is never asked for its plan, which takes minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Protocol

from icd_envs.errors import EngineError, GameFileError
from icd_envs.household.engine import Turn
from icd_envs.household.game import GameFile


class _State(Protocol):
    feedback: str
    admissible_commands: list[str]
    won: bool


class _TextEnvironment(Protocol):
    def load(self, data: dict[str, object]) -> None: ...

    def reset(self) -> _State: ...

    def step(self, command: str) -> tuple[_State, float, bool]: ...


class PublishedEngine:
    """Plays a game on the published engine. Only the player made last may be used."""

    _environment: ClassVar[_TextEnvironment | None] = None
    _owner: ClassVar[PublishedEngine | None] = None

    def __init__(self, file: GameFile) -> None:
        """Load a game, which ends the game of the player before. Raises `EngineError` without the extra."""
        self._file = file
        self._load()

    def reset(self) -> Turn:
        """Start the game over."""
        if PublishedEngine._owner is not self:
            self._load()
        with _restored_process():
            return _turn(_environment().reset())

    def step(self, command: str) -> Turn:
        """Do a command."""
        if PublishedEngine._owner is not self:
            raise EngineError("the published engine plays one game at a time, and another was loaded since")
        state, _, _ = _environment().step(command)
        return _turn(state)

    def _load(self) -> None:
        with _restored_process():
            # The engine fails in many ways on a game that it cannot read, none of them its own kind of error.
            try:
                _environment().load(
                    {
                        "pddl_domain": self._file.pddl_domain,
                        "grammar": self._file.grammar,
                        "pddl_problem": self._file.pddl_problem,
                        "walkthrough": list(self._file.walkthrough),
                        "solvable": self._file.solvable,
                    }
                )
            except EngineError:
                raise
            except Exception as error:
                raise GameFileError(f"the published engine cannot load the game: {error!r}") from error
        PublishedEngine._owner = self


def _environment() -> _TextEnvironment:
    if PublishedEngine._environment is None:
        PublishedEngine._environment = _make_environment()
    return PublishedEngine._environment


def _make_environment() -> _TextEnvironment:
    with _restored_process():
        try:
            from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
            from textworld import EnvInfos
            from textworld.envs.pddl import PddlEnv
        except ImportError as error:
            raise EngineError(
                f"the published engine is not installed ({error}): pip install 'icd-runtime[alfworld]' (it "
                "compiles for minutes; Python before 3.13), or leave out engine='textworld'"
            ) from error
        environment: _TextEnvironment = AlfredDemangler(PddlEnv(EnvInfos(won=True, admissible_commands=True)))
        return environment


def _turn(state: _State) -> Turn:
    return Turn(state.feedback, tuple(state.admissible_commands), bool(state.won))


@contextmanager
def _restored_process() -> Iterator[None]:
    arguments, output = sys.argv, sys.stdout
    try:
        yield
    finally:
        sys.argv, sys.stdout = arguments, output
